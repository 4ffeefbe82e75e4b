"""Fit, residual and spectrum of networks against the epoch: the panels of a scrubber."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from specbias.interactive import Line, Panel
from specbias.spectra import amplitudes

_SAMPLES = 512  # of the resampled fit that the spectrum is taken of


def bounded(values: ArrayLike, limit: float = 9.0) -> np.ndarray:
    """The values with all that has diverged at the limit: off the axes, and finite.

    Examples
    --------
    >>> bounded([0.5, -1e30, np.nan]).tolist()
    [0.5, -9.0, 9.0]
    """
    values = np.asarray(values, dtype=float)
    return np.clip(np.where(np.isnan(values), limit, values), -limit, limit)


def scrubber_panels(runs: Mapping[str, xr.Dataset], seed: int = 0) -> tuple[list[Panel], list[int]]:
    """Fit, residual and spectrum of one network of each run, over the epochs that the runs share.

    The spectrum is of the middle part of the interval that holds a whole number of the target's periods.

    Parameters
    ----------
    runs : mapping
        From a name to a run with ``prediction (seed, epoch, point)`` and ``target (point)``, a sine on the
        regular grid ``x (point)`` around 0; the same target and grid in all.
    seed : int
        Which network, counted from 0.

    Returns
    -------
    panels : list of Panel
    frames : list of int
        Epochs.
    """
    first = next(iter(runs.values()))
    frames = sorted(set.intersection(*(set(run.epoch.values.tolist()) for run in runs.values())))
    x, target = first.x.values, first.target.values
    fits = {
        name: bounded(run.prediction.isel(seed=seed).sel(epoch=frames).values) for name, run in runs.items()
    }
    frequencies, of_target = _spectrum(x, target, target)
    spectra = [Line(name, _spectrum(x, target, values)[1]) for name, values in fits.items()]
    sine, peak = Line("target", target, style="reference"), Line("target", of_target, style="reference")
    panels = [
        Panel("Fit", "x", "f(x)", x, [sine, *(Line(*fit) for fit in fits.items())], y_range=(-1.6, 1.6)),
        Panel(
            "Residual", "x", "f(x) − target", x,
            [Line(name, values - target) for name, values in fits.items()], y_range=(-1.6, 1.6),
        ),
        Panel("Spectrum", "angular frequency", "amplitude", frequencies, [peak, *spectra], y_range=(0, 1.1)),
    ]  # fmt: skip
    return panels, frames


def _spectrum(x: np.ndarray, sine: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes up to four times the sine's frequency, on the longest middle part with whole periods."""
    frequency = _angular_frequency(x, sine)
    period = 2 * np.pi / frequency
    whole = max(1, int((x[-1] - x[0]) / period + 1e-6))
    grid = whole * period * (np.arange(_SAMPLES) / _SAMPLES - 0.5)
    sampled = np.apply_along_axis(lambda row: np.interp(grid, x, row), -1, values)
    kept = min(4 * whole, _SAMPLES // 2) + 1
    return frequency * np.arange(kept) / whole, amplitudes(sampled)[..., :kept]


def _angular_frequency(x: np.ndarray, sine: np.ndarray) -> float:
    """Frequency of a sine from its values on a regular grid: the runs keep the target and not its formula.

    For spacing ``h``, ``sin(w (x + h)) + sin(w (x - h)) = 2 cos(w h) sin(w x)``.
    """
    spacing, inner = x[1] - x[0], sine[1:-1]
    cosine = (sine[2:] + sine[:-2]) @ inner / (2 * inner @ inner)
    return float(np.arccos(np.clip(cosine, -1, 1 - 1e-9)) / spacing)
