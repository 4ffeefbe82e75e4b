"""The shapes of basis functions: whether they are steps, how steep, and where.

A step is monotone, with one steep place; an oscillating function turns back many times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike

from specbias._checks import check_count, check_real

ROUND_OFF = 8
"""A function whose range is within so many units of round-off of its largest value is a constant."""


class StepShape(NamedTuple):
    """What :func:`step_shape` finds, one value for each function.

    Attributes
    ----------
    pieces : ndarray, int64
        Number of maximal monotone pieces, turns back by no more than the tolerance passed over; 1 for a
        constant.
    variation : ndarray, float64
        Total variation over the range, turns of every size included: 1 for a monotone function, nan for a
        constant.
    steepest : ndarray, float64
        Largest absolute slope, by central differences (one-sided at the ends), over that of a straight ramp
        of the same range; nan for a constant.
    place : ndarray, float64
        Where the slope is the largest, the first place of several; nan for a constant.
    range : ndarray, float64
        Largest value less smallest; 0 for a constant.
    """

    pieces: np.ndarray
    variation: np.ndarray
    steepest: np.ndarray
    place: np.ndarray
    range: np.ndarray


def step_shape(functions: ArrayLike, x: ArrayLike, tolerance: float = 0.02) -> StepShape:
    """Number of monotone pieces, total variation and steepest slope of functions of one variable.

    A new piece begins where a function has turned back by more than ``tolerance`` times its range from the
    extreme it had reached. So round-off and small wiggles do not count, however many there are.

    Parameters
    ----------
    functions : array_like, shape (..., n)
        At least two samples. What counts as constant follows their precision.
    x : array_like, shape (n,)
        Ascending.
    tolerance : float
        From 0 to below 1.

    Returns
    -------
    StepShape
        Arrays of shape (...).

    Raises
    ------
    ValueError, TypeError
        If shapes do not match, ``x`` does not ascend, or values are not finite real numbers.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 401)
    >>> shape = step_shape([np.tanh(20 * (x - 0.5)), np.sin(2 * np.pi * x)], x)
    >>> shape.pieces.tolist(), shape.variation.round(3).tolist(), shape.place[0].round(3).tolist()
    ([1, 5], [1.0, 4.0], 0.5)
    """
    unit = _unit(functions)
    functions, x = check_real("functions", functions), check_real("x", x)
    if x.ndim != 1 or x.size < 2 or functions.shape[-1:] != x.shape:
        raise ValueError(
            f"functions (..., n) and x (n,) must match, n at least 2, got {functions.shape} and {x.shape}"
        )
    if np.any(np.diff(x) <= 0):
        raise ValueError("x must ascend")
    rows = functions.reshape(-1, x.size)
    found = _measure_rows(rows, x, _check_tolerance(tolerance), unit)
    return _shape(found, functions.shape[:-1])


def step_share(shape: StepShape, weights: ArrayLike) -> np.ndarray:
    """Share of a network's output that monotone basis functions carry.

    Parameters
    ----------
    shape : StepShape
        Of arrays (..., units).
    weights : array_like, shape (..., units)
        Of the output layer.

    Returns
    -------
    ndarray, shape (...), float64
        Sum of ``|weight| range`` over functions of one piece, over the sum over all; nan where that is zero.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match.

    Examples
    --------
    >>> x = np.linspace(0, 1, 101)
    >>> float(step_share(step_shape([x, np.cos(6 * np.pi * x)], x), [3.0, -0.5]))
    0.75
    """
    weights = check_real("weights", weights)
    if weights.ndim == 0 or weights.shape != shape.range.shape:
        raise ValueError(
            f"weights must be one for each function, shape {shape.range.shape}, got {weights.shape}"
        )
    carried = np.abs(weights) * shape.range
    whole = carried.sum(axis=-1)
    steps = np.sum(carried * (shape.pieces <= 1), axis=-1)
    return np.divide(steps, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def plane_step_shape(
    functions: ArrayLike, side: int, tolerance: float = 0.02
) -> tuple[np.ndarray, StepShape]:
    """Whether functions on the unit square vary in one direction only, and their shape along it.

    The direction is the main eigenvector of the mean of ``grad f grad f^T``. Along it the points fall into
    ``side`` equal bins; the profile is the mean of each that is not empty, against the mean coordinate of its
    points. It means little where the share is not near 1.

    Parameters
    ----------
    functions : array_like, shape (..., side * side)
        On midpoints, ``x2`` varying fastest.
    side : int
        At least 2.
    tolerance : float
        As in :func:`step_shape`.

    Returns
    -------
    share : ndarray, shape (...), float64
        Of the mean squared gradient along that direction: 1 for a function of one direction, 1/2 where none
        is preferred, nan for a constant.
    profile : StepShape
        ``place`` counts from the square's centre towards larger ``x1`` (larger ``x2``, straight along it).

    Raises
    ------
    ValueError, TypeError
        If ``functions`` does not hold ``side * side`` finite real numbers, or ``side`` is below 2.

    Examples
    --------
    >>> x = (np.arange(50) + 0.5) / 50
    >>> share, profile = plane_step_shape(np.tanh(8 * np.add.outer(x, x) - 8).reshape(-1), 50)
    >>> round(float(share), 6), int(profile.pieces)
    (1.0, 1)
    """
    unit, side = _unit(functions), check_count("side", side)
    functions = check_real("functions", functions)
    if side < 2 or functions.shape[-1:] != (side * side,):
        raise ValueError(
            f"functions must have shape (..., side * side) with side at least 2, "
            f"got {functions.shape} and side {side}"
        )
    fields = functions.reshape(-1, side, side)
    share, *found = _measure_fields(fields, _check_tolerance(tolerance), unit)
    shape = functions.shape[:-1]
    return share.reshape(shape), _shape(found, shape)


@njit(cache=True)
def _measure(values, x, tolerance, floor):
    """Pieces, variation, steepest slope, its place and the range of one function."""
    n = values.size
    low = high = values[0]
    total, slope, place = 0.0, -1.0, x[0]
    for i in range(n):
        low, high = min(low, values[i]), max(high, values[i])
        before, after = max(i - 1, 0), min(i + 1, n - 1)
        total += abs(values[i] - values[before])
        here = abs(values[after] - values[before]) / (x[after] - x[before])
        if here > slope:
            slope, place = here, x[i]
    span = high - low
    if span <= floor:
        return 1, np.nan, np.nan, np.nan, 0.0
    return _pieces(values, tolerance * span), total / span, slope * (x[-1] - x[0]) / span, place, span


@njit(cache=True)
def _pieces(values, least):
    """Number of monotone pieces, where a turn is one by more than ``least`` from the extreme before."""
    low = high = values[0]  # both extremes since the last turn; the one that counts follows the direction
    rising = falling = False
    pieces = 0
    for value in values:
        low, high = min(low, value), max(high, value)
        if not rising and value - low > least:
            rising, falling, high = True, False, value
            pieces += 1
        elif not falling and high - value > least:
            rising, falling, low = False, True, value
            pieces += 1
    return pieces


@njit(cache=True)
def _measure_rows(functions, x, tolerance, unit):
    """The five measures of functions ``(m, n)``, ``(m,)`` each."""
    m = len(functions)
    pieces, measures = np.empty(m, np.int64), np.empty((4, m))
    for row in range(m):
        floor = unit * np.abs(functions[row]).max()
        found = _measure(functions[row], x, tolerance, floor)
        pieces[row] = found[0]
        measures[0, row], measures[1, row], measures[2, row], measures[3, row] = found[1:]
    return pieces, measures[0], measures[1], measures[2], measures[3]


@njit(cache=True)
def _measure_fields(fields, tolerance, unit):
    """Share of gradient energy and the five measures of the profile, for fields ``(m, side, side)``."""
    m = len(fields)
    share, pieces, measures = np.empty(m), np.empty(m, np.int64), np.empty((4, m))
    for row in range(m):
        field = fields[row]
        floor = unit * np.abs(field).max()
        share[row], angle = _direction(field)
        if field.max() - field.min() <= floor:
            share[row] = np.nan
        place, profile = _profile(field, angle)
        found = _measure(profile, place, tolerance, floor)
        pieces[row] = found[0]
        measures[0, row], measures[1, row], measures[2, row], measures[3, row] = found[1:]
    return share, pieces, measures[0], measures[1], measures[2], measures[3]


@njit(cache=True)
def _direction(field):
    """Share of the squared gradient along its main direction, and that direction's angle from ``x1``."""
    side = len(field)
    first = second = mixed = 0.0
    for i in range(side - 1):
        for j in range(side - 1):
            # Over a cell of four points both differences belong to its middle; at points they would not.
            rise, twist = field[i + 1, j + 1] - field[i, j], field[i + 1, j] - field[i, j + 1]
            along, across = rise + twist, rise - twist
            first, second, mixed = first + along**2, second + across**2, mixed + along * across
    whole = first + second
    if whole == 0:
        return np.nan, 0.0
    angle = 0.5 * np.arctan2(2 * mixed, first - second)
    if angle < 1e-6 - np.pi / 2:  # round-off must not turn straight along x2 around
        angle += np.pi
    return 0.5 + 0.5 * np.hypot(first - second, 2 * mixed) / whole, angle


@njit(cache=True)
def _profile(field, angle):
    """Mean coordinates from the centre, and mean values, of the bins along a direction that hold points."""
    side = len(field)
    cosine, sine = np.cos(angle), np.sin(angle)
    reach = 0.5 * (abs(cosine) + abs(sine))
    places, sums, counts = np.zeros(side), np.zeros(side), np.zeros(side)
    for i in range(side):
        for j in range(side):
            place = ((i + 0.5) / side - 0.5) * cosine + ((j + 0.5) / side - 0.5) * sine
            # The nudge: points that lie on an edge all go to the same side of it.
            number = min(int((place + reach) / (2 * reach) * side + 1e-9), side - 1)
            places[number] += place
            sums[number] += field[i, j]
            counts[number] += 1
    held = counts > 0
    return places[held] / counts[held], sums[held] / counts[held]


def _shape(found, shape: tuple[int, ...]) -> StepShape:
    return StepShape(*(measure.reshape(shape) for measure in found))


def _unit(functions: ArrayLike) -> float:
    """Share of its largest value within which a function is constant, in the precision that it came in."""
    dtype = np.asarray(functions).dtype
    return ROUND_OFF * float(np.finfo(dtype if dtype.kind == "f" else float).eps)


def _check_tolerance(tolerance: float) -> float:
    value = check_real("tolerance", tolerance)
    if value.ndim > 0 or not 0 <= value < 1:
        raise ValueError(f"tolerance must be a number from 0 to below 1, got {tolerance}")
    return float(value)
