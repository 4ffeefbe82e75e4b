"""Spectrum-informed fits of turbulence, in several ways, stage by stage."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from specbias.multistage import MultistageRegressor
from specbias.multistage.stages import Stage, rms
from specbias.multistage.transforms import Lattice
from specbias.multistage.waves import all_modes
from specbias.parts import part
from specbias.spectra import power_spectrum_radial
from specbias.turbulence import decaying_turbulence, resample

BINS = 200  # of E(k), as the paper has it
SHOWN = 128  # points along each axis of the fields that are kept
RECORDS = 60  # of each stage's search
COUNTS = 40  # of truncated Fourier series


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
    flow = {
        "resolution": resolution,
        "reynolds": reynolds,
        "time": moment,
        "spectrum": spectrum,
        "peak": peak,
    }
    flows = [
        decaying_turbulence(**flow, seed=flow_seed + number, progress=progress) for number in range(seeds)
    ]
    rows = []
    with tqdm(total=len(variants) * seeds, unit="fit", disable=not progress) as bar:
        for variant in variants.values():
            fits = []
            for number, one in enumerate(flows):
                named = {
                    "flow": flow | {"seed": flow_seed + number},
                    "variant": variant,
                    "seed": seed + number,
                }
                work = (one.streamfunction.values, variant, seed + number, device)
                fits.append(part("si-msnn flow fit", partial(_fit_flow, *work), **named))
                bar.update()
            rows.append(fits)
    return _together(rows, flows[0]).assign_coords(variant=list(variants))


def _fit_flow(field: np.ndarray, variant: Mapping, seed: int, device: str) -> xr.Dataset:
    """All that is kept of one fit of one flow."""
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
    residues = [values.reshape(y.shape)[::finer, ::finer] for values in left]  # on the flow's own grid
    return xr.Dataset(
        {key: ("stage", np.array(values, float)) for key, values in told.items()}
        | {"predicted": rms(y.ravel() - model.predict(x)) / size}
        | _images(field, residues)
        | _searches(stages, size)
    )


def _images(field: np.ndarray, residues: list[np.ndarray]) -> dict:
    """What figures show of residues before the first stage and after each."""
    size, thin = float(field.std()), _thinning(field)
    energies = [
        (power_spectrum_radial(field - plane, BINS)[1], power_spectrum_radial(plane, BINS)[1])
        for plane in residues
    ]
    return {
        "residue": (("left", "x", "y"), np.float32([plane[::thin, ::thin] / size for plane in residues])),
        "spectrum": (
            ("left", "kx", "ky"),
            np.float32([pooled_spectrum(plane / size, thin) for plane in residues]),
        ),
        "reached": (("left", "bin"), np.array([reached for reached, _ in energies])),
        "left_energy": (("left", "bin"), np.array([left for _, left in energies])),
    }


def _searches(stages: list[Stage], size: float) -> dict:
    """Iterations and sizes of the residue along each stage's search, thinned."""
    found = np.full((2, len(stages), RECORDS), np.nan)
    for number, stage in enumerate(stages):
        steps = np.unique(np.linspace(0, len(stage.history) - 1, RECORDS).round().astype(int))
        sizes = np.sqrt(2 * stage.history[steps]) * stage.size / size
        found[:, number, : len(steps)] = steps, sizes
    return {"iteration": (("stage", "record"), found[0]), "size": (("stage", "record"), found[1])}


def _together(rows: list[list[xr.Dataset]], flow: xr.Dataset) -> xr.Dataset:
    """Fits by variant and seed, those with fewer stages filled with nan; images of the first flow's alone."""
    tallest = max(fit.sizes["stage"] for fits in rows for fit in fits)
    full = [[_padded(fit, tallest) for fit in fits] for fits in rows]
    images = ["residue", "spectrum", "reached", "left_energy", "iteration", "size"]
    shown = xr.concat([fits[0][images] for fits in full], "variant")
    told = xr.concat([xr.concat([fit.drop_vars(images) for fit in fits], "seed") for fits in full], "variant")
    field = flow.streamfunction.values
    thin = _thinning(field)
    wavenumbers, energy = power_spectrum_radial(field, BINS)
    counts, truncated = truncation(field)
    axis = flow.x.values[::thin]
    waves = thin * (np.arange(len(axis)) - len(axis) // 2) + (thin - 1) / 2
    series = {"energy": ("bin", energy), "truncated": ("count", truncated)}
    series["field"] = (("x", "y"), (field[::thin, ::thin] / field.std()).astype(np.float32))
    along = {"x": axis, "y": axis, "kx": waves, "ky": waves, "bin": wavenumbers, "count": counts}
    about = {"target_rms": float(field.std()), "steps": flow.attrs["steps"]}
    return xr.merge([shown, told]).assign(series).assign_coords(along).assign_attrs(about)


def _padded(fit: xr.Dataset, stages: int) -> xr.Dataset:
    missing = stages - fit.sizes["stage"]
    return fit.pad(stage=(0, missing), left=(0, missing))


def _thinning(field: np.ndarray) -> int:
    return max(1, len(field) // SHOWN)


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
