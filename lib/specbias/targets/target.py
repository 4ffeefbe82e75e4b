"""What a target is, and the two kinds of regular points it is sampled at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Target:
    """Samples of a function, and the function itself.

    Attributes
    ----------
    x : ndarray, shape (n, d), float64
        Sample points.
    y : ndarray, shape (n,), float64
        Values there, ``function(*x.T)``.
    domain : (float, float)
        Ends of the interval that every coordinate covers.
    period : float or None
        ``high - low`` if the function repeats itself after the domain, so that its ends may be joined; else
        None.
    formula : str
        The function in TeX, without dollar signs.
    function : callable
        The function of ``d`` arrays, one per coordinate, element by element.
    frequencies : tuple
        Angular frequencies, in radians per unit of ``x``, of the sine waves it is made of; in two dimensions
        tuples, the wave vectors. Empty for a function that has no such description.
    """

    x: np.ndarray
    y: np.ndarray
    domain: tuple[float, float]
    period: float | None
    formula: str
    function: Callable[..., np.ndarray]
    frequencies: tuple


def curve(
    function: Callable[[np.ndarray], np.ndarray],
    x: np.ndarray,
    *,
    domain: tuple[float, float],
    period: float | None,
    formula: str,
    frequencies: tuple,
) -> Target:
    """A target of one variable, from its points ``x (n,)``.

    Examples
    --------
    >>> curve(abs, np.ones(3), domain=(0, 1), period=None, formula="|x|", frequencies=()).x.shape
    (3, 1)
    """
    return Target(x[:, None], function(x), domain, period, formula, function, frequencies)


def periodic_grid(low: float, high: float, points: int) -> np.ndarray:
    """Points ``(points,)`` of a circle cut open at ``low``; ``high`` is ``low`` again and left out.

    Examples
    --------
    >>> periodic_grid(0.0, 1.0, 4).tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    return low + (high - low) * (np.arange(points) / points)


def midpoints(low: float, high: float, points: int) -> np.ndarray:
    """Middles ``(points,)`` of equal pieces of an interval.

    Examples
    --------
    >>> midpoints(0.0, 1.0, 4).tolist()
    [0.125, 0.375, 0.625, 0.875]
    """
    return low + (high - low) * ((np.arange(points) + 0.5) / points)
