"""Targets of exactly one spectrum and different phases: what else decides how long a network takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from specbias import targets
from specbias.experiments.common import first_below
from specbias.experiments.sequential import networks
from specbias.experiments.sequential_predictions import kernel_modes, kernel_time
from specbias.training import fit

LEVELS = [0.9, 0.5, 0.1]
"""Relative errors whose first epochs are kept: the fit begins, is halfway, is done."""

KERNEL_LEVEL = 0.995
"""Relative error whose time the kernel of the untrained network is asked for; lower ones it never reaches."""


def same_spectrum(
    *,
    kind: str,
    envelope: str,
    wavenumber: float,
    points: int,
    count: int,
    networks_each: int,
    width: float,
    hidden: Sequence[int],
    lr: float,
    epochs: int,
    seed: int,
    dtype: str = "float32",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """Train on targets with the Fourier magnitudes of ``sequential_sine(envelope)``, all in one batch.

    Parameters
    ----------
    kind : {"phases", "shifts"}
        Random phases, or the target itself moved around the periodic interval by ``i / count`` turns.
    count, networks_each : int
        Number of targets, and of networks a target, each from a seed of its own.
    width : float
        Share of the interval at either end that :func:`specbias.targets.boundary_amplitude` looks at.
    epochs : int
        At most; a network stops at a relative error of 10 %.

    Returns
    -------
    xarray.Dataset
        ``reached (level, target, network)``, first epochs with a relative error below ``LEVELS``, or -1;
        ``boundary (target, end)``, the boundary amplitudes; ``kernel_steps (target)``, steps of gradient
        descent to ``KERNEL_LEVEL`` that the kernel of the untrained network predicts (median of two);
        ``deviation``, the largest difference between Fourier magnitudes, as a share of the largest; ``shift
        (target)`` for shifts.
    """
    base = targets.sequential_sine(envelope, wavenumber, points)
    turns = np.arange(count) / count
    if kind == "phases":
        values = targets.phase_surrogates(base.y, count, seed=seed)
    elif kind == "shifts":
        values = targets.shifted(base.y, turns)
    else:
        raise ValueError(f"kind must be phases or shifts, got {kind!r}")
    magnitudes, wanted = np.abs(np.fft.rfft(values)), np.abs(np.fft.rfft(base.y))
    power = float(np.mean(base.y**2))
    seeds = range(seed, seed + count * networks_each)
    result = fit(
        networks(hidden, "tanh", 1.0, "pytorch", (0, 1), seeds, dtype),
        base.x, np.repeat(values, networks_each, axis=0), lr=lr, epochs=epochs, loss="half-mse",
        stop_below=0.5 * LEVELS[-1] ** 2 * power, on_divergence="stop", device=device,
        progress=progress and f"{count} targets of one spectrum, {len(seeds)} networks",
    )  # fmt: skip
    loss = np.where(np.isnan(result.loss), np.inf, result.loss)
    reached = [first_below(loss, 0.5 * level**2 * power).reshape(count, networks_each) for level in LEVELS]
    return xr.Dataset(
        {
            "reached": (("level", "target", "network"), np.stack(reached)),
            "boundary": (("target", "end"), targets.boundary_amplitude(values, width)),
            "kernel_steps": ("target", _kernel_steps(hidden, seed, base.x, values)),
            "deviation": np.abs(magnitudes - wanted).max() / wanted.max(),
            "shift": ("target", turns),
            "seconds": result.seconds,
        },
        coords={"level": LEVELS, "end": ["left", "right"]},
        attrs={"device": result.device},
    )


def _kernel_steps(hidden: Sequence[int], seed: int, x: np.ndarray, values: np.ndarray) -> np.ndarray:
    models = networks(hidden, "tanh", 1.0, "pytorch", (0, 1), range(seed, seed + 2), "float64")
    modes = kernel_modes(models, x)
    steps = kernel_time(modes, np.zeros((2, len(x))), values, KERNEL_LEVEL)
    return np.minimum(np.median(steps.values, axis=0), 1e30)
