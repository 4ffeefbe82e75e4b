"""Spectrum-informed fits of turbulence and of a plane function, with what a sceptic asks for beside them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from numpy.polynomial import chebyshev
from tqdm.auto import tqdm

from specbias.multistage import MultistageRegressor
from specbias.multistage.features import AbsorbedLayer
from specbias.multistage.minimizers import minimize
from specbias.multistage.published import fit_published
from specbias.multistage.spectral_network import SpectralNetwork
from specbias.multistage.transforms import GridTransform, Lattice
from specbias.multistage.waves import choose_modes, fit_waves, start
from specbias.spectra import largest_modes, power_spectrum_radial
from specbias.training.threads import own_threads
from specbias.turbulence import decaying_turbulence, resample

BINS = 200  # of E(k), as the paper has it
SHOWN = 128  # points along each axis of the fields that are kept
RECORDS = 60  # of each stage's search
COUNTS = 40  # of truncated Fourier series
KEYS = ("rms", "between", "largest", "modes", "parameters", "iterations", "seconds")


def square(points: int, low: float = 0.0, high: float = 2 * np.pi, *, closed: bool = False) -> np.ndarray:
    """``(points², 2)``, a regular grid on a square, with or without its far edges."""
    axis = np.linspace(low, high, points, endpoint=closed)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def flow_fits(
    *, resolution: int, reynolds: float, moment: float, spectrum: str, peak: float, flow_seed: int,
    variants: Mapping[str, Mapping], seed: int, device: str = "auto", progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """Fit a snapshot of decaying turbulence in stages, in several ways.

    Parameters
    ----------
    resolution, reynolds, moment, spectrum, peak, flow_seed
        Of :func:`specbias.turbulence.decaying_turbulence`; ``moment`` is its ``time``.
    variants
        Name -> parameters of :class:`specbias.multistage.MultistageRegressor`, and ``oversampling``: how many
        times finer than the flow's is the grid that is fitted, with values by trigonometric interpolation.
    seed
        Of the fits.

    Returns
    -------
    xarray.Dataset
        Relative to the root mean square of the target, over ``(variant, stage)``, nan where there is none:
        ``rms`` and ``largest`` of the residue on the fitted points, ``between`` (rms of the error half-way
        between them along both axes); ``modes``, ``parameters``, ``iterations``, ``seconds``; ``predicted
        (variant)``, rms of the target minus ``predict``, all in float64. ``iteration`` and ``size (variant,
        stage, record)``: the search. ``field (x, y)``; ``residue (variant, left, x, y)``, thinned out;
        ``spectrum (variant, left, kx, ky)``: magnitudes of the residue's Fourier coefficients, pooled;
        ``energy (bin)``, ``reached`` and ``left_energy (variant, left, bin)``: E(k) of the target, of the
        stages' sum, of the residue. ``truncated (count)``: rms that a Fourier series leaves, by its modes.
    """
    flow = decaying_turbulence(
        resolution, reynolds, moment, seed=flow_seed, spectrum=spectrum, peak=peak, progress=progress
    )
    field = flow.streamfunction.values
    size, names = float(field.std()), list(variants)
    tallest = max(dict(variant).get("stages", 4) for variant in variants.values())
    data = {key: np.full((len(names), tallest), np.nan) for key in KEYS}
    data |= {key: np.full((len(names), tallest, RECORDS), np.nan) for key in ("iteration", "size")}
    thin = max(1, resolution // SHOWN)
    shown = field[::thin, ::thin]
    residues = np.full((len(names), tallest + 1, *shown.shape), np.nan, np.float32)
    spectra = residues.copy()
    energies = np.full((2, len(names), tallest + 1, BINS), np.nan)
    predicted = np.full(len(names), np.nan)
    for row, name in enumerate(tqdm(names, unit="fit", disable=not progress)):
        variant = dict(variants[name])
        finer = variant.pop("oversampling", 1)
        x, y = square(finer * resolution), resample(field, finer * resolution)
        model = MultistageRegressor(
            **{"initialization": "spectrum", **variant}, random_state=seed, device=device
        ).fit(x, y.ravel())
        left = model.staged_residues(x, y.ravel())
        between = resample(field, 2 * finer * resolution)[1::2, 1::2]
        far = model.staged_residues(x + np.pi / (finer * resolution), between.ravel())
        predicted[row] = _rms(y.ravel() - model.predict(x)) / size
        for number, (stage, after, further) in enumerate(zip(model.stages_, left[1:], far[1:], strict=True)):
            told = (
                _rms(after) / size, _rms(further) / size, np.abs(after).max() / size,
                len(stage.network.wavenumbers), stage.network.size, stage.evaluations, stage.seconds,
            )  # fmt: skip
            for key, value in zip(KEYS, told, strict=True):
                data[key][row, number] = value
            steps = np.unique(np.linspace(0, len(stage.history) - 1, RECORDS).round().astype(int))
            at = np.linspace(0, stage.evaluations, len(stage.history))[steps]
            data["iteration"][row, number, : len(steps)] = at
            reached = np.sqrt(2 * stage.history[steps]) if variant.get("recipe") != "published" else (
                stage.history[steps]
            )  # fmt: skip
            data["size"][row, number, : len(steps)] = reached * stage.size / size
        for number, values in enumerate(left):
            plane = values.reshape(y.shape)[::finer, ::finer]
            residues[row, number] = plane[::thin, ::thin] / size
            spectra[row, number] = pooled_spectrum(plane / size, thin)
            energies[0, row, number] = power_spectrum_radial(field - plane, BINS)[1]
            energies[1, row, number] = power_spectrum_radial(plane, BINS)[1]
    wavenumbers, energy = power_spectrum_radial(field, BINS)
    counts, truncated = truncation(field)
    over = ("variant", "stage", "record")
    axis = flow.x.values[::thin]
    waves = thin * (np.arange(len(axis)) - len(axis) // 2) + (thin - 1) / 2
    return xr.Dataset(
        {key: (over[: values.ndim], values) for key, values in data.items()}
        | {
            "predicted": ("variant", predicted),
            "field": (("x", "y"), (shown / size).astype(np.float32)),
            "residue": (("variant", "left", "x", "y"), residues),
            "spectrum": (("variant", "left", "kx", "ky"), spectra),
            "energy": ("bin", energy),
            "reached": (("variant", "left", "bin"), energies[0]),
            "left_energy": (("variant", "left", "bin"), energies[1]),
            "truncated": ("count", truncated),
        },
        {
            "variant": names,
            "x": axis,
            "y": axis,
            "kx": waves,
            "ky": waves,
            "bin": wavenumbers,
            "count": counts,
        },
        {"target_rms": size, "steps": flow.attrs["steps"]},
    )


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
    """Numbers of modes, and what the largest so many of them leave, relative to the field's rms."""
    modes = largest_modes(field)
    power = modes.amplitudes**2 / 2
    outside = np.sqrt(np.append(np.cumsum(power[::-1])[::-1], 0.0)) / field.std()
    counts = np.unique(np.geomspace(1, len(power), COUNTS).round().astype(int))
    return counts, outside[counts]


def stage_limits(
    *, resolution: int, flows: Mapping[str, Mapping], features: Sequence[int],
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
        ``size (flow, search, features, seed)``: rms of the residue by that of the target; ``seconds``;
        ``outside (flow, features)``: what a Fourier series of these modes leaves.
    """
    names, ways = list(flows), list(searches)
    shape = (len(names), len(ways), len(features), seeds)
    size, seconds = np.full(shape, np.nan), np.full(shape, np.nan)
    outside = np.full((len(names), len(features)), np.nan)
    lattice = Lattice((0.0, 0.0), (2 * np.pi / resolution,) * 2, (resolution,) * 2, (resolution,) * 2)
    with tqdm(total=int(np.prod(shape)), unit="fit", disable=not progress) as bar:
        for a, name in enumerate(names):
            field = decaying_turbulence(resolution, **flows[name]).streamfunction.values
            goal = field / field.std()
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
        {"size": (over, size), "seconds": (over, seconds), "outside": (("flow", "features"), outside)},
        {"flow": names, "search": ways, "features": list(features), "seed": np.arange(seed, seed + seeds)},
    )


@own_threads()
def _one_search(goal: np.ndarray, lattice: Lattice, count: int, search: dict, seed: int) -> float:
    generator, hidden = np.random.default_rng(seed), (30, 30, 30)
    optimizer, kind, max_iter = (search[key] for key in ("optimizer", "kind", "max_iter"))
    if optimizer == "gauss-newton":
        _, found = fit_waves(
            goal,
            lattice,
            hidden,
            generator,
            features=count,
            kind=kind,
            max_iter=max_iter,
            patience=max_iter,
        )
        return float(np.sqrt(2 * found.value))
    modes, _ = choose_modes(goal, count)
    network = SpectralNetwork(AbsorbedLayer(GridTransform(lattice, modes.wavenumbers), hidden[0]), hidden)
    wanted = torch.from_numpy(goal.ravel())

    def value(row: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = network.loss_and_gradient(torch.from_numpy(row), wanted)
        return loss, gradient.numpy()

    first = start(network, modes, wanted, generator, kind).numpy()
    return float(np.sqrt(2 * minimize(value, first, optimizer, max_iter=max_iter).value))


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
    lattice = Lattice((0.0, 0.0), (2 * np.pi / resolution,) * 2, (resolution,) * 2, (resolution,) * 2)
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
                found[:, row, number] = _rms(left), np.abs(left).max(), time.perf_counter() - began
                bar.update()
    over = ("variant", "seed")
    return xr.Dataset(
        {key: (over, values) for key, values in zip(("size", "largest", "seconds"), found, strict=True)},
        {"variant": list(variants), "seed": np.arange(seed, seed + seeds)},
    )


def plane(points: np.ndarray) -> np.ndarray:
    """``[sin(2x + 1) - 0.5 x] (1 - y²)``, the target of the paper's Figure 1, at ``(n, 2)``."""
    x, y = points.T
    return (np.sin(2 * x + 1) - 0.5 * x) * (1 - y**2)


def plane_fits(
    *, points: int, variants: Mapping[str, Mapping], seeds: int, seed: int, progress: bool = True
) -> xr.Dataset:
    """Fit the paper's Figure 1 in stages, in several ways.

    Parameters
    ----------
    points
        Along each axis of [-1, 1]², the edges included.
    variants
        Name -> parameters of :class:`specbias.multistage.MultistageRegressor`.

    Returns
    -------
    xarray.Dataset
        ``largest``, ``rms`` on the points and ``between`` (largest error at 4000 random points), ``seconds``
        and ``parameters`` over ``(variant, seed, stage)``; ``residue (variant, left, x, y)`` of the first
        seed; ``chebyshev (degree)``: largest error of tensor-product polynomials, between the points.
    """
    x, names = square(points, -1.0, 1.0, closed=True), list(variants)
    y, far = plane(x), np.random.default_rng(12345).uniform(-1, 1, (4000, 2))
    tallest = max(dict(variant).get("stages", 3) for variant in variants.values())
    keys = ("largest", "rms", "between", "seconds", "parameters")
    data = {key: np.full((len(names), seeds, tallest), np.nan) for key in keys}
    residues = np.full((len(names), tallest + 1, points, points), np.nan, np.float32)
    with tqdm(total=len(names) * seeds, unit="fit", disable=not progress) as bar:
        for row, name in enumerate(names):
            for number in range(seeds):
                model = MultistageRegressor(**{"stages": 3, **variants[name]}, random_state=seed + number)
                model.fit(x, y)
                left, further = model.staged_residues(x, y), model.staged_residues(far, plane(far))
                for stage, one in enumerate(model.stages_):
                    after, between = left[stage + 1], further[stage + 1]
                    told = (np.abs(after).max(), _rms(after), np.abs(between).max(), one.seconds)
                    for key, value in zip(keys, (*told, one.network.size), strict=True):
                        data[key][row, number, stage] = value
                if number == 0:
                    for stage, values in enumerate(left):
                        residues[row, stage] = values.reshape(points, points)
                bar.update()
    degrees = np.arange(4, 25, 2)
    axis = np.linspace(-1, 1, points)
    return xr.Dataset(
        {key: (("variant", "seed", "stage"), values) for key, values in data.items()}
        | {
            "residue": (("variant", "left", "x", "y"), residues),
            "chebyshev": ("degree", [_chebyshev(degree, far) for degree in degrees]),
        },
        {"variant": names, "seed": np.arange(seed, seed + seeds), "x": axis, "y": axis, "degree": degrees},
    )


def _chebyshev(degree: int, far: np.ndarray) -> float:
    """Largest error at ``far`` of the polynomial through (degree + 1)² Chebyshev points."""
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    values = plane(np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 2))
    basis = np.linalg.inv(chebyshev.chebvander(nodes, degree))
    coefficients = basis @ values.reshape(degree + 1, -1) @ basis.T
    return float(np.abs(chebyshev.chebval2d(far[:, 0], far[:, 1], coefficients) - plane(far)).max())


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.asarray(values, dtype=float) ** 2)))
