"""In which order a network fits the oscillations of its target: where, when, and how many at one time.

Half oscillations of a sine of one variable are told apart by place; for two variables see ``plane_waves``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from specbias._checks import check_positive, check_real

ROUND_OFF = 1e-9


def half_oscillation_errors(
    prediction: ArrayLike,
    target: ArrayLike,
    x: ArrayLike,
    frequency: float,
    domain: tuple[float, float] = (0.0, 1.0),
) -> tuple[np.ndarray, np.ndarray]:
    """Root mean square of the residual in each half oscillation, over that of the target there.

    Half oscillations lie between zeros of ``sin(frequency x)``. Those that the domain cuts off are left out,
    and so are those with fewer than three points inside.

    Parameters
    ----------
    prediction : array_like, shape (..., n)
        May hold NaN or infinity, where a network has diverged.
    target : array_like, shape (n,)
        ``sin(frequency x)``, under any envelope that is not zero on a whole half oscillation.
    x : array_like, shape (n,)
    frequency : float
        Angular frequency.
    domain : (float, float)
        The interval that the points sample; midpoints do not reach its ends.

    Returns
    -------
    errors : ndarray, shape (..., c), float64
        Infinite where a value is not finite.
    centres : ndarray, shape (c,), float64
        Middles of the half oscillations, ascending.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match or numbers are out of range.

    Examples
    --------
    >>> x = (np.arange(40) + 0.5) / 40
    >>> errors, centres = half_oscillation_errors(0 * x, np.sin(4 * np.pi * x), x, 4 * np.pi)
    >>> errors.tolist(), centres.tolist()
    ([1.0, 1.0, 1.0, 1.0], [0.125, 0.375, 0.625, 0.875])
    """
    half, (low, high) = np.pi / check_positive("frequency", frequency), _check_domain(domain)
    x, target, prediction = check_real("x", x), check_real("target", target), _real("prediction", prediction)
    if x.ndim != 1 or target.shape != x.shape or prediction.shape[-1:] != x.shape:
        raise ValueError(
            f"prediction (..., n), target (n,) and x (n,) must match, "
            f"got {prediction.shape}, {target.shape} and {x.shape}"
        )
    with np.errstate(over="ignore"):
        squares = (prediction - target) ** 2
    squares[np.isnan(squares)] = np.inf
    errors, centres = [], []
    for number in range(int(np.ceil(low / half - ROUND_OFF)), int(np.floor(high / half + ROUND_OFF))):
        inside = (x > half * number + ROUND_OFF) & (x < half * (number + 1) - ROUND_OFF)
        if np.count_nonzero(inside) >= 3:
            centres.append(half * (number + 0.5))
            power = np.mean(target[inside] ** 2)
            if power == 0:
                raise ValueError(
                    f"target must not be zero on a half oscillation, it is about {centres[-1]:g}"
                )
            errors.append(np.sqrt(np.mean(squares[..., inside], axis=-1) / power))
    shape = (*prediction.shape[:-1], 0)
    return np.stack(errors, axis=-1) if errors else np.empty(shape), np.array(centres, dtype=float)


def first_below(errors: ArrayLike, epochs: ArrayLike, level: float) -> np.ndarray:
    """First recorded epoch at which each oscillation's error is below ``level``; nan if it never is.

    Parameters
    ----------
    errors : array_like, shape (seed, epoch, c)
        NaN is not below anything.
    epochs : array_like, shape (epoch,)
        Ascending.
    level : float

    Returns
    -------
    ndarray, shape (seed, c), float64

    Raises
    ------
    ValueError, TypeError
        If shapes do not match, or epochs do not ascend.

    Examples
    --------
    >>> first_below([[[1.0, 1.0], [0.4, 1.0], [0.1, 0.9]]], [0, 10, 100], 0.5).tolist()
    [[10.0, nan]]
    """
    errors, epochs = _check_history(errors, epochs)
    first = _first_position(errors < check_positive("level", level))
    return np.append(epochs, np.nan)[first]


def rank_correlation(positions: ArrayLike, epochs: ArrayLike) -> np.ndarray:
    """Spearman's correlation of position with fitting epoch, network by network.

    Parameters
    ----------
    positions : array_like, shape (c,)
        Of the oscillations: a coordinate, a distance.
    epochs : array_like, shape (seed, c)
        When they were fitted. Those that never were (nan) count as later than all others, and as tied.

    Returns
    -------
    ndarray, shape (seed,), float64
        nan where all were fitted at the same epoch, or all positions are the same.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match, or epochs are infinite.

    Examples
    --------
    >>> rank_correlation([0.1, 0.2, 0.3], [[10, 20, np.nan], [20, 10, 0], [5, 5, 5]]).round(6).tolist()
    [1.0, -1.0, nan]
    """
    positions, epochs = check_real("positions", positions), _real("epochs", epochs)
    if positions.ndim != 1 or epochs.ndim != 2 or epochs.shape[1] != positions.size:
        raise ValueError(
            f"epochs must have shape (seed, c) and positions (c,), got {epochs.shape} and {positions.shape}"
        )
    if np.isinf(epochs).any():
        raise ValueError("epochs must be finite, or nan for never, got an infinite one")
    epochs = np.where(np.isnan(epochs), np.inf, epochs)  # ranks need no distance
    correlations = np.full(len(epochs), np.nan)
    for seed, row in enumerate(epochs):
        if np.unique(row).size > 1 and np.unique(positions).size > 1:
            correlations[seed] = spearmanr(positions, row).statistic
    return correlations


def boundary_distance(centres: ArrayLike, domain: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """Distance of each centre from the nearest end of the domain, in the shape of ``centres``.

    Rounded well above round-off, so that centres as far from the one end as from the other are tied.

    Raises
    ------
    ValueError, TypeError
        If a centre lies outside the domain.

    Examples
    --------
    >>> boundary_distance([0.25, 0.5, 0.875]).tolist()
    [0.25, 0.5, 0.125]
    """
    centres, (low, high) = check_real("centres", centres), _check_domain(domain)
    distance = np.minimum(centres - low, high - centres)
    if np.any(distance < 0):
        raise ValueError(f"centres must lie in the domain from {low:g} to {high:g}, got {centres.tolist()}")
    unit = 2**16 * np.spacing(max(abs(low), abs(high)))
    return np.round(distance / unit) * unit


def concurrency(errors: ArrayLike, epochs: ArrayLike, started: float = 0.8, done: float = 0.4) -> np.ndarray:
    """How many oscillations are being fitted at one time, on average while any is.

    An oscillation is in progress until the first epoch at which its error is below ``done`` (or to the end),
    from when it was last at ``started`` or above: a dip that comes to nothing does not count. It is in
    progress at one recorded epoch at least, should it pass both between two. Every recorded epoch counts by
    its spacing, half the distance between its two neighbours (at either end: the distance to its only one).

    Parameters
    ----------
    errors : array_like, shape (seed, epoch, c)
    epochs : array_like, shape (epoch,)
        Ascending.
    started, done : float
        Errors, ``done < started``.

    Returns
    -------
    ndarray, shape (seed,), float64
        1 if one is fitted after another, c if all are together, nan if none ever starts.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match, epochs do not ascend, or ``done`` is not below ``started``.

    Examples
    --------
    >>> one_by_one = [[[1.0, 1.0], [0.6, 1.0], [0.3, 0.6], [0.1, 0.3]]]
    >>> together = [[[1.0, 1.0], [0.6, 0.6], [0.5, 0.5], [0.1, 0.1]]]
    >>> concurrency(one_by_one + together, [0, 10, 20, 30]).tolist()
    [1.0, 2.0]
    """
    errors, epochs = _check_history(errors, epochs)
    if check_positive("done", done) >= check_positive("started", started):
        raise ValueError(f"done must be below started, got {done} and {started}")
    recorded = np.arange(epochs.size)[:, None]
    ends = _first_position(errors < done)[:, None]  # the number of epochs where it never is
    waiting = np.where((errors < started) | (recorded >= ends), -1, recorded)
    begins = waiting.max(axis=1, keepdims=True) + 1
    ends = np.where(ends < epochs.size, np.maximum(ends, begins + 1), ends)
    running = np.count_nonzero((begins <= recorded) & (recorded < ends), axis=2)
    spacing = np.gradient(epochs) if epochs.size > 1 else np.ones(1)
    busy = (running > 0) @ spacing
    return np.divide(running @ spacing, busy, out=np.full(busy.shape, np.nan), where=busy > 0)


def largest_burst(fitted: ArrayLike, window: float = 0.1) -> np.ndarray:
    """The largest share of oscillations that are fitted within a short time.

    Parameters
    ----------
    fitted : array_like, shape (seed, c)
        When each was fitted; nan if never.
    window : float
        How short, as a share of the time until the last of a network's is fitted.

    Returns
    -------
    ndarray, shape (seed,), float64
        1 if all are fitted together; nan if none is ever.

    Examples
    --------
    >>> largest_burst([[100, 200, 300, 400], [100, 390, 395, 400], [np.nan] * 4]).tolist()
    [0.25, 0.75, nan]
    """
    fitted, window = np.sort(np.asarray(fitted, dtype=float), axis=1), check_positive("window", window)
    if fitted.ndim != 2 or fitted.shape[1] == 0:
        raise ValueError(f"fitted must have shape (seed, c), c at least 1, got {fitted.shape}")
    shares = np.full(len(fitted), np.nan)
    for index, row in enumerate(fitted):
        known = row[np.isfinite(row)]  # ascending
        if known.size:
            within = np.searchsorted(known, known + window * known[-1], side="right") - np.arange(known.size)
            shares[index] = within.max() / row.size
    return shares


def _first_position(reached: np.ndarray) -> np.ndarray:
    """Where each oscillation first is: ``(seed, epoch, c) -> (seed, c)``; the number of epochs for never."""
    return np.where(reached.any(axis=1), reached.argmax(axis=1), reached.shape[1])


def _check_history(errors: ArrayLike, epochs: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    errors, epochs = _real("errors", errors), check_real("epochs", epochs)
    if errors.ndim != 3 or epochs.shape != errors.shape[1:2] or epochs.size == 0:
        raise ValueError(
            f"errors must have shape (seed, epoch, c) and epochs (epoch,), "
            f"got {errors.shape} and {epochs.shape}"
        )
    if np.any(np.diff(epochs) <= 0):
        raise ValueError(f"epochs must ascend, got {epochs.tolist()}")
    return errors, epochs


def _check_domain(domain: tuple[float, float]) -> tuple[float, float]:
    ends = check_real("domain", domain)
    if ends.shape != (2,) or ends[0] > ends[1]:
        raise ValueError(f"domain must be two numbers in ascending order, got {domain}")
    return float(ends[0]), float(ends[1])


def _real(name: str, values: ArrayLike) -> np.ndarray:
    """Real numbers, finite or not, as float64."""
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must hold real numbers, got {array.dtype}")
    return array.astype(float)
