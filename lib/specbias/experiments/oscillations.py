"""Where a network fits a sine and when: the error of every half oscillation, and whether the fit fans out."""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

DIVERGED = 1e3
"""A relative error above which nothing is left of a fit."""


def oscillation_errors(run: xr.Dataset, frequency: float) -> xr.DataArray:
    """Relative error of each half oscillation of ``sin(frequency x)`` against the epoch.

    Half oscillations lie between zeros of the sine; those that the interval cuts off are left out, and so are
    those with fewer than three of the run's points inside.

    Parameters
    ----------
    run : xarray.Dataset
        ``prediction (seed, epoch, point)``, ``target (point)``, ``x (point)`` ascending.
    frequency : float
        Angular frequency of the target.

    Returns
    -------
    xarray.DataArray
        Over ``(seed, epoch, centre)``, where ``centre`` is the middle of a half oscillation; infinite where
        the network has diverged.

    Examples
    --------
    >>> x = np.linspace(-np.pi, np.pi, 101)
    >>> run = xr.Dataset({"prediction": (("seed", "epoch", "point"), np.zeros((1, 1, 101))),
    ...                   "target": ("point", np.sin(2 * x))}, coords={"x": ("point", x)})
    >>> oscillation_errors(run, 2.0).values.round(6).tolist()
    [[[1.0, 1.0, 1.0, 1.0]]]
    """
    half, x, target = np.pi / frequency, run.x.values, run.target.values
    residual = run.prediction.values.astype(float) - target
    residual = np.where(np.abs(residual) < DIVERGED, residual, np.inf)
    first, last = int(np.ceil(x[0] / half - 1e-9)), int(np.floor(x[-1] / half + 1e-9))
    centres, errors = [], []
    for number in range(first, last):
        inside = (x > half * number + 1e-9) & (x < half * (number + 1) - 1e-9)
        if np.count_nonzero(inside) >= 3:
            centres.append(half * (number + 0.5))
            power = np.mean(target[inside] ** 2)
            errors.append(np.sqrt(np.mean(residual[..., inside] ** 2, axis=-1) / power))
    return xr.DataArray(
        np.stack(errors, axis=-1) if errors else np.empty((*residual.shape[:2], 0)),
        dims=("seed", "epoch", "centre"),
        coords={"centre": centres} | ({"epoch": run.epoch} if "epoch" in run.coords else {}),
    )


def first_fitted(errors: xr.DataArray, below: float = 0.5) -> np.ndarray:
    """Position along ``epoch`` at which each half oscillation's error is first below ``below``.

    Returns
    -------
    ndarray of int, shape (seeds, centres)
        The number of epochs where it never is: later than all others.

    Examples
    --------
    >>> first_fitted(xr.DataArray([[[1.0, 0.1], [1.0, 0.1]]], dims=("seed", "epoch", "centre"))).tolist()
    [[2, 0]]
    """
    reached = errors.transpose("seed", "epoch", "centre").values < below
    return np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1])


def fanning_out(errors: xr.DataArray, below: float = 0.5) -> float:
    """Rank correlation of ``|centre|`` with the first epoch at which the error there is below ``below``.

    The median over networks. A half oscillation that is never fitted counts as later than all others.

    Returns
    -------
    float
        1 if every network fits from the centre outwards, -1 if from the edges inwards; nan if none has fitted
        one half oscillation before another.

    Examples
    --------
    >>> errors = xr.DataArray([[[1.0, 0.1, 1.0], [0.1, 0.1, 1.0]]], dims=("seed", "epoch", "centre"),
    ...                       coords={"centre": [2.0, 1.0, 3.0]})
    >>> round(fanning_out(errors), 6)
    1.0
    """
    distance = np.abs(errors.centre.values)
    if np.unique(distance).size < 2:
        return float("nan")
    correlations = [
        spearmanr(distance, epochs).statistic
        for epochs in first_fitted(errors, below)
        if np.unique(epochs).size > 1
    ]
    return float(np.median(correlations)) if correlations else float("nan")
