"""Spectrum-informed fits of turbulence, with what a sceptic asks for beside them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from tqdm.auto import tqdm

from specbias.multistage import MultistageRegressor
from specbias.multistage.features import AbsorbedLayer
from specbias.multistage.minimizers import minimize
from specbias.multistage.published import fit_published
from specbias.multistage.spectral_network import SpectralNetwork
from specbias.multistage.stages import Stage, rms
from specbias.multistage.transforms import GridTransform, Lattice
from specbias.multistage.waves import all_modes, choose_modes, fit_waves, start
from specbias.spectra import power_spectrum_radial
from specbias.training.threads import own_threads
from specbias.turbulence import decaying_turbulence, resample

BINS = 200  # of E(k), as the paper has it
SHOWN = 128  # points along each axis of the fields that are kept
RECORDS = 60  # of each stage's search
PARTS = (0.25, 0.5, 1.0)  # of a search, where its residue is noted
COUNTS = 40  # of truncated Fourier series
KEYS = ("rms", "between", "largest", "points", "modes", "parameters", "iterations", "seconds")


def flow_fits(
    *, resolution: int, reynolds: float, moment: float, spectrum: str, peak: float, flow_seed: int,
    variants: Mapping[str, Mapping], seeds: int, seed: int, device: str = "auto", progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """Fit a snapshot of decaying turbulence in stages, in several ways.

    Parameters
    ----------
    resolution, reynolds, moment, spectrum, peak, flow_seed
        Of :func:`specbias.turbulence.decaying_turbulence`; ``moment`` is its ``time``.
    variants
        Name -> parameters of :class:`specbias.multistage.MultistageRegressor`, and ``oversampling``: how many
        times finer than the flow's is the grid that is fitted, with values by trigonometric interpolation.
    seeds, seed
        How many flows are fitted, each from a start of its own: ``flow_seed`` and ``seed`` are the first.

    Returns
    -------
    xarray.Dataset
        Relative to the root mean square of the target, over ``(variant, seed, stage)``, nan where there is
        none: ``rms`` and ``largest`` of the residue on the fitted points, ``between`` (rms of the error
        half-way between them along both axes); ``points``, ``modes``, ``parameters``, ``iterations``,
        ``seconds``; ``predicted (variant, seed)``, rms of the target minus ``predict``, all in float64.
        Of the first flow: ``iteration`` and ``size (variant, stage, record)``: the search. ``field (x, y)``;
        ``residue (variant, left, x, y)``, thinned; ``spectrum (variant, left, kx, ky)``: magnitudes of the
        residue's Fourier coefficients, pooled; ``energy (bin)``, ``reached`` and ``left_energy (variant,
        left, bin)``: E(k) of the target, of the stages' sum, of the residue. ``truncated (count)``: rms that
        a Fourier series leaves, by its modes.
    """
    settings = {"spectrum": spectrum, "peak": peak, "progress": progress}
    flows = [
        decaying_turbulence(resolution, reynolds, moment, seed=flow_seed + number, **settings)
        for number in range(seeds)
    ]
    names, tallest = list(variants), max(dict(one).get("stages", 4) for one in variants.values())
    numbers = {key: np.full((len(names), seeds, tallest), np.nan) for key in KEYS}
    predicted = np.full((len(names), seeds), np.nan)
    images = _Images(flows[0].streamfunction.values, len(names), tallest)
    with tqdm(total=len(names) * seeds, unit="fit", disable=not progress) as bar:
        for row, name in enumerate(names):
            for number, flow in enumerate(flows):
                fit = _fit_flow(flow.streamfunction.values, variants[name], seed + number, device)
                for key, values in fit.numbers.items():
                    numbers[key][row, number, : len(values)] = values
                predicted[row, number] = fit.predicted
                if number == 0:
                    images.add(row, fit)
                bar.update()
    data = {key: (("variant", "seed", "stage"), values) for key, values in numbers.items()}
    return images.dataset(names, flows[0]).assign(data | {"predicted": (("variant", "seed"), predicted)})


@dataclass(frozen=True)
class _FlowFit:
    """One fit of one flow; residues are on the flow's own grid, before the first stage and after each."""

    numbers: dict[str, list[float]]
    predicted: float
    residues: list[np.ndarray]
    stages: list[Stage]


def _fit_flow(field: np.ndarray, variant: Mapping, seed: int, device: str) -> _FlowFit:
    variant = dict(variant)
    finer, size = variant.pop("oversampling", 1), float(field.std())
    side = finer * len(field)
    x, y = Lattice.square(side).points(), resample(field, side)
    model = MultistageRegressor(
        **{"initialization": "spectrum", **variant}, random_state=seed, device=device
    ).fit(x, y.ravel())
    left = model.staged_residues(x, y.ravel())
    far = model.staged_residues(x + np.pi / side, resample(field, 2 * side)[1::2, 1::2].ravel())
    stages = model.stages_
    told = {
        "rms": [rms(after) / size for after in left[1:]],
        "between": [rms(further) / size for further in far[1:]],
        "largest": [np.abs(after).max() / size for after in left[1:]],
        "points": [len(x)] * len(stages),
        "modes": [len(stage.network.wavenumbers) for stage in stages],
        "parameters": [stage.network.size for stage in stages],
        "iterations": [stage.iterations for stage in stages],
        "seconds": [stage.seconds for stage in stages],
    }
    residues = [values.reshape(y.shape)[::finer, ::finer] for values in left]
    return _FlowFit(told, rms(y.ravel() - model.predict(x)) / size, residues, stages)


class _Images:
    """What figures show of the fits of one flow: residues, spectra and searches, of every variant."""

    def __init__(self, field: np.ndarray, variants: int, stages: int):
        self.field, self.size = field, float(field.std())
        self.thin = max(1, len(field) // SHOWN)
        shown = field[:: self.thin, :: self.thin]
        self.residue = np.full((variants, stages + 1, *shown.shape), np.nan, np.float32)
        self.spectrum = self.residue.copy()
        self.energies = np.full((2, variants, stages + 1, BINS), np.nan)
        self.search = np.full((2, variants, stages, RECORDS), np.nan)

    def add(self, row: int, fit: _FlowFit) -> None:
        for number, plane in enumerate(fit.residues):
            self.residue[row, number] = plane[:: self.thin, :: self.thin] / self.size
            self.spectrum[row, number] = pooled_spectrum(plane / self.size, self.thin)
            self.energies[0, row, number] = power_spectrum_radial(self.field - plane, BINS)[1]
            self.energies[1, row, number] = power_spectrum_radial(plane, BINS)[1]
        for number, stage in enumerate(fit.stages):
            steps = np.unique(np.linspace(0, len(stage.history) - 1, RECORDS).round().astype(int))
            sizes = np.sqrt(2 * stage.history[steps]) * stage.size / self.size
            self.search[:, row, number, : len(steps)] = steps, sizes

    def dataset(self, names: list[str], flow: xr.Dataset) -> xr.Dataset:
        wavenumbers, energy = power_spectrum_radial(self.field, BINS)
        counts, truncated = truncation(self.field)
        axis = flow.x.values[:: self.thin]
        waves = self.thin * (np.arange(len(axis)) - len(axis) // 2) + (self.thin - 1) / 2
        shown = self.field[:: self.thin, :: self.thin] / self.size
        return xr.Dataset(
            {
                "field": (("x", "y"), shown.astype(np.float32)),
                "residue": (("variant", "left", "x", "y"), self.residue),
                "spectrum": (("variant", "left", "kx", "ky"), self.spectrum),
                "energy": ("bin", energy),
                "reached": (("variant", "left", "bin"), self.energies[0]),
                "left_energy": (("variant", "left", "bin"), self.energies[1]),
                "iteration": (("variant", "stage", "record"), self.search[0]),
                "size": (("variant", "stage", "record"), self.search[1]),
                "truncated": ("count", truncated),
            },
            {"variant": names, "x": axis, "y": axis, "kx": waves, "ky": waves, "bin": wavenumbers,
             "count": counts},
            {"target_rms": self.size, "steps": flow.attrs["steps"]},
        )  # fmt: skip


def pooled_spectrum(field: np.ndarray, side: int) -> np.ndarray:
    """Root mean square of the magnitudes of Fourier coefficients in squares of so many modes a side.

    Wavenumber 0 stands in the middle.

    Examples
    --------
    >>> pooled_spectrum(np.ones((4, 4)), 2).round(3).tolist()
    [[0.0, 0.0], [0.0, 0.5]]
    """
    power = np.abs(np.fft.fftshift(np.fft.fft2(field)) / field.size) ** 2
    rows, columns = (count // side for count in field.shape)
    power = power[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.sqrt(power.mean(axis=(1, 3)))


def truncation(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of modes, and what Fourier series of the largest so many of them leave, by the field's rms."""
    outside = all_modes(field)[1]
    counts = np.unique(np.geomspace(1, len(outside) - 1, COUNTS).round().astype(int))
    return counts, outside[counts]


def stage_limits(
    *, flows: Mapping[str, Mapping], features: Sequence[int],
    searches: Mapping[str, Mapping], seeds: int, seed: int, progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """How far one stage gets, by the number of its modes, the search and its start.

    Parameters
    ----------
    flows
        Name -> parameters of :func:`specbias.turbulence.decaying_turbulence`.
    searches
        Name -> ``optimizer`` (``"gauss-newton"`` or one of the minimizers), ``kind`` of start, ``max_iter``.

    Returns
    -------
    xarray.Dataset
        ``size (flow, search, features, seed, part)``: rms of the residue by that of the target after these
        parts of the iterations; ``seconds``; ``outside (flow, features)``: what a Fourier series of these
        modes leaves.
    """
    names, ways = list(flows), list(searches)
    shape = (len(names), len(ways), len(features), seeds)
    size, seconds = np.full((*shape, len(PARTS)), np.nan), np.full(shape, np.nan)
    outside = np.full((len(names), len(features)), np.nan)
    with tqdm(total=int(np.prod(shape)), unit="fit", disable=not progress) as bar:
        for a, name in enumerate(names):
            field = decaying_turbulence(**flows[name]).streamfunction.values
            goal, lattice = field / field.std(), Lattice.square(len(field))
            for c, count in enumerate(features):
                outside[a, c] = choose_modes(goal, count)[1]
                for b, way in enumerate(ways):
                    for d in range(seeds):
                        began = time.perf_counter()
                        size[a, b, c, d] = _one_search(goal, lattice, count, dict(searches[way]), seed + d)
                        seconds[a, b, c, d] = time.perf_counter() - began
                        bar.update()
    over = ("flow", "search", "features", "seed")
    return xr.Dataset(
        {
            "size": ((*over, "part"), size),
            "seconds": (over, seconds),
            "outside": (("flow", "features"), outside),
        },
        {"flow": names, "search": ways, "features": list(features), "seed": np.arange(seed, seed + seeds),
         "part": list(PARTS)},
    )  # fmt: skip


@own_threads()
def _one_search(goal: np.ndarray, lattice: Lattice, count: int, search: dict, seed: int) -> np.ndarray:
    """Sizes of the residue after `PARTS` of the iterations."""
    generator, hidden = np.random.default_rng(seed), (30, 30, 30)
    optimizer, kind, max_iter = (search[key] for key in ("optimizer", "kind", "max_iter"))
    if optimizer == "gauss-newton":
        _, found = fit_waves(
            goal, lattice, hidden, generator, features=count, kind=kind, max_iter=max_iter, patience=max_iter
        )
    else:
        modes, _ = choose_modes(goal, count)
        layer = AbsorbedLayer(GridTransform(lattice, modes.wavenumbers), hidden[0])
        network, wanted = SpectralNetwork(layer, hidden), torch.from_numpy(goal.ravel())
        first = start(network, modes, wanted, generator, kind).numpy()
        found = minimize(network.as_function(wanted), first, optimizer, max_iter=max_iter)
    at = (np.array(PARTS) * max_iter).round().astype(int)
    return np.sqrt(2 * found.history[np.minimum(at, len(found.history) - 1)])


def ablations(
    *, resolution: int, flow: Mapping, features: int, variants: Mapping[str, Mapping], seeds: int, seed: int,
    progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """One published stage on a small flow, with one of its choices changed at a time.

    Parameters
    ----------
    flow
        Of :func:`specbias.turbulence.decaying_turbulence`.
    variants
        Name -> ``train``, ``power``, ``optimizer`` and ``max_iter`` of `fit_published`.

    Returns
    -------
    xarray.Dataset
        ``size``, ``largest`` and ``seconds`` over ``(variant, seed)``: of the residue, by the target's rms.
    """
    field = decaying_turbulence(resolution, **flow).streamfunction.values
    goal = field / field.std()
    lattice = Lattice.square(resolution)
    found = np.full((3, len(variants), seeds), np.nan)
    with tqdm(total=len(variants) * seeds, unit="fit", disable=not progress) as bar:
        for row, settings in enumerate(variants.values()):
            for number in range(seeds):
                began = time.perf_counter()
                network, minimum = fit_published(
                    goal, lattice, (30, 30, 30), np.random.default_rng(seed + number), features=features,
                    **settings,
                )  # fmt: skip
                left = goal.ravel() - network.predict(minimum.x, lattice.points())
                found[:, row, number] = rms(left), np.abs(left).max(), time.perf_counter() - began
                bar.update()
    over = ("variant", "seed")
    return xr.Dataset(
        {key: (over, values) for key, values in zip(("size", "largest", "seconds"), found, strict=True)},
        {"variant": list(variants), "seed": np.arange(seed, seed + seeds)},
    )
