"""Self-scaled BFGS: a quasi-Newton method that takes least squares down to round-off where L-BFGS creeps.

The inverse Hessian is kept in full, ``P x P``, which for the few thousand parameters of a stage is no burden.
Before each update it is multiplied by ``max(1, s.B s / y.s)``: what it knows of flat directions grows as the
curvature along the steps falls. This is Al-Baali's scaling (J. Optim. Theory Appl. 96, 533, 1998) for the
inverse matrix; that it takes networks below the floor of L-BFGS was shown for physics-informed ones by Urban,
Stefanou & Pons (J. Comput. Phys. 523, 113656, 2025).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit

Function = Callable[[np.ndarray], tuple[float, np.ndarray]]
SLOPE, CURVATURE = 1e-4, 0.9  # Wolfe's two conditions
TRIES = 30  # evaluations in one line search
TINY = np.finfo(float).tiny  # below it there are no digits left to divide by


@dataclass(frozen=True)
class Minimum:
    """Where a minimizer ended.

    Attributes
    ----------
    x : numpy.ndarray
        ``(P,)``.
    value : float
        Of the function there.
    iterations, evaluations : int
        Steps, and calls of the function.
    history : numpy.ndarray
        ``(iterations + 1,)``, value at the start and after each step.
    reason : str
        ``"iterations"``, ``"round-off"`` (no step lowers the function any more), ``"tolerance"`` or
        ``"callback"``.
    """

    x: np.ndarray
    value: float
    iterations: int
    evaluations: int
    history: np.ndarray
    reason: str


def check_start(value: float, gradient: np.ndarray) -> None:
    """Refuse a start from which no search can find a way."""
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        raise ValueError(f"start: the function or its gradient is not finite there, the value is {value}")


@np.errstate(over="ignore", invalid="ignore")  # a line search may try far too large a step; it goes back
def self_scaled_bfgs(
    function: Function, start: np.ndarray, *, max_iter: int, tolerance: float = -np.inf,
    callback: Callable[[int, np.ndarray, float], bool | None] | None = None,
) -> Minimum:  # fmt: skip
    """Minimize a smooth function of some thousand variables.

    Parameters
    ----------
    function
        Value and gradient at a point ``(P,)``. Tiny ones should be multiplied to about size 1: the first
        step that is tried is against the gradient and as long, or of length 1 if that is shorter.
    start
        ``(P,)`` float64.
    max_iter
        Steps at most.
    tolerance
        End when the value is at most this; by default only round-off ends the search early.
    callback
        Called with the number of steps, the point and the value after each; True ends the search.

    Returns
    -------
    Minimum

    Raises
    ------
    ValueError
        If value or gradient are not finite at the start.

    Examples
    --------
    >>> def rosenbrock(p):
    ...     a, b = p
    ...     value = (1 - a) ** 2 + 100 * (b - a * a) ** 2
    ...     return value, np.array([-2 * (1 - a) - 400 * a * (b - a * a), 200 * (b - a * a)])
    >>> found = self_scaled_bfgs(rosenbrock, np.array([-1.2, 1.0]), max_iter=200)
    >>> bool(abs(found.x - 1).max() < 1e-8)
    True
    """
    point = np.array(start, dtype=float)
    value, gradient = function(point)
    check_start(value, gradient)
    inverse, fresh = np.eye(point.size), True
    history, evaluations, reason = [value], 1, "iterations"
    while value > tolerance and len(history) <= max_iter:
        direction = -(inverse @ gradient)
        slope, after = gradient @ direction, np.inf
        if slope < 0:
            first = min(1.0, 1 / max(np.abs(gradient).sum(), TINY)) if fresh else 1.0
            step, after, new, calls = _line_search(function, point, value, direction, slope, first)
            evaluations += calls
        if not after < value:  # nothing lower: once more along the gradient, then it is round-off
            if fresh:
                reason = "round-off"
                break
            inverse, fresh = np.eye(point.size), True
            continue
        move = step * direction
        bent = None if fresh else -step * (move @ gradient)  # s.B s, as B s = -step * gradient
        fresh = not _learn(inverse, move, new - gradient, bent) and fresh
        point, value, gradient = point + move, after, new
        history.append(value)
        if callback is not None and callback(len(history) - 1, point, value):
            reason = "callback"
            break
    if value <= tolerance and reason != "callback":
        reason = "tolerance"
    return Minimum(point, value, len(history) - 1, evaluations, np.array(history), reason)


def _learn(inverse: np.ndarray, move: np.ndarray, change: np.ndarray, bent: float | None) -> bool:
    """Scale and update the inverse matrix by a step, in place; False if the step tells nothing.

    ``bent`` is the curvature along the step by the matrix that was; None if that was the unit matrix, which
    knows nothing and gets the size that this step tells.
    """
    curvature, square = change @ move, change @ change
    if min(curvature, square) <= TINY:
        return False
    if bent is None:
        inverse *= curvature / square
    factor = 1.0 if bent is None else max(1.0, bent / curvature)
    turned = inverse @ change
    _update(inverse, move, turned, curvature, change @ turned, factor)
    return True


def _line_search(
    function: Function, point: np.ndarray, value: float, direction: np.ndarray, slope: float, first: float
) -> tuple[float, float, np.ndarray, int]:
    """Bisection for the weak Wolfe conditions: step, value and gradient there, evaluations.

    A step that lowers the value is kept even if the conditions are never met, as near round-off.
    """
    low, high, step = 0.0, np.inf, first
    best = (0.0, np.inf, np.empty(0))
    for calls in range(1, TRIES + 1):
        after, gradient = function(point + step * direction)
        steepness = gradient @ direction
        usable = np.isfinite(after) and np.isfinite(steepness)
        if usable and after < best[1]:
            best = (step, after, gradient)
        if not usable or after > value + SLOPE * step * slope:
            high = step
        elif steepness < CURVATURE * slope:
            low = step
        else:
            return step, after, gradient, calls
        step = (low + high) / 2 if np.isfinite(high) else 2 * step
    return *best, calls


@njit(cache=True, nogil=True, fastmath=True)
def _update(inverse, move, turned, curvature, twice, factor):
    """The BFGS update of the scaled inverse, in one pass over it.

    ``(I - s y'/ys) f H (I - y s'/ys) + s s'/ys`` with ``H y = turned`` and ``y.H y = twice``.
    """
    one = factor / curvature
    both = (1 + factor * twice / curvature) / curvature
    for row in range(len(move)):
        of_move, of_turned = both * move[row] - one * turned[row], one * move[row]
        line = inverse[row]
        for column in range(len(move)):
            line[column] = factor * line[column] + of_move * move[column] - of_turned * turned[column]
