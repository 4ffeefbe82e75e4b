"""Where a network fits a sine and when: the error of every half oscillation, and whether the fit fans out."""

from __future__ import annotations

import numpy as np
import xarray as xr

from specbias.experiments.order import half_oscillation_errors, rank_correlation

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
    x, target = run.x.values, run.target.values
    prediction = run.prediction.values.astype(float)
    prediction = np.where(np.abs(prediction - target) < DIVERGED, prediction, np.inf)
    errors, centres = half_oscillation_errors(prediction, target, x, frequency, (x[0], x[-1]))
    return xr.DataArray(
        errors,
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
    correlations = rank_correlation(np.abs(errors.centre.values), first_fitted(errors, below))
    told = correlations[~np.isnan(correlations)]
    return float(np.median(told)) if told.size else float("nan")
