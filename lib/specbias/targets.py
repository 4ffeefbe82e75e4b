"""The functions that are fitted, each with its domain and the points it is sampled at.

Every constructor returns a :class:`Target` in float64. Regular samples are one of two kinds, and which one
matters:

- **periodic grid**: ``low + j (high - low) / n`` for ``j = 0 ... n - 1``, the end excluded, for functions on
  a circle;
- **midpoints**: ``low + (j + 1/2) (high - low) / n``, the points of the midpoint rule, for functions on an
  interval.

On both, ``specbias.spectra`` finds a component that is periodic over the domain exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from specbias._checks import check_count, check_positive

__all__ = [
    "Target",
    "checkerboard",
    "circle_waves",
    "lecture_curve",
    "rahaman_waves",
    "sequential_sine",
    "thread_sine",
    "wang_lai_curve",
]


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


def thread_sine(
    frequency: float = 2.0,
    data_range: float = 15.0,
    points: int | None = None,
    *,
    sampling: str = "random",
    generator: np.random.Generator | int = 0,
) -> Target:
    """The forum thread's ``sin(frequency x)`` on an interval of length ``data_range`` about zero.

    Parameters
    ----------
    frequency : float
        Angular frequency.
    data_range : float
        Length of the interval.
    points : int, optional
        Number of samples; 100 per unit of length, as in the thread, unless given.
    sampling : {"random", "regular"}
        Uniformly distributed points, sorted, or midpoints.
    generator : numpy.random.Generator or int
        Source of the random points, or its seed.

    Raises
    ------
    ValueError, TypeError
        If a number is not positive and finite, a count is not a whole number, or ``sampling`` is unknown.

    Examples
    --------
    >>> target = thread_sine()
    >>> target.x.shape, target.y.shape, target.domain
    ((1500, 1), (1500,), (-7.5, 7.5))
    """
    frequency = check_positive("frequency", frequency)
    data_range = check_positive("data_range", data_range)
    points = max(1, round(100 * data_range)) if points is None else check_count("points", points)
    low, high = -data_range / 2, data_range / 2
    if sampling == "random":
        x = np.sort(np.random.default_rng(generator).uniform(low, high, points))
    elif sampling == "regular":
        x = _midpoints(low, high, points)
    else:
        raise ValueError(f"sampling must be 'random' or 'regular', got {sampling!r}")
    turns = frequency * data_range / (2 * np.pi)
    return _curve(
        lambda x: np.sin(frequency * x),
        x,
        domain=(low, high),
        period=data_range if math.isclose(turns, round(turns), rel_tol=1e-12) else None,
        formula=rf"\sin({frequency:g}x)",
        frequencies=(frequency,),
    )


def circle_waves(
    wavenumbers: Iterable[int] = (4, 14),
    points: int = 1001,
    amplitudes: float | Iterable[float] | None = None,
) -> Target:
    """Sine waves on the circle, divided by their Euclidean norm over the samples (Basri et al. 2019, Fig. 2).

    Parameters
    ----------
    wavenumbers : iterable of int
        Distinct whole numbers of waves around the circle, at least 1 and below ``points / 2``.
    points : int
        Samples on the periodic grid that starts at ``-pi``.
    amplitudes : float or iterable of float, optional
        Amplitude of each wave before the division; 1 unless given.

    Returns
    -------
    Target
        ``x`` is the angle; the network of the paper is fed its cosine and sine (``models.Circle``).

    Raises
    ------
    ValueError, TypeError
        If wavenumbers repeat, cannot be told apart on so few points, or do not match ``amplitudes``.

    Examples
    --------
    >>> target = circle_waves()
    >>> float(np.sum(target.y**2).round(12)), float(np.abs(target.y).max().round(4))
    (1.0, 0.0625)
    """
    points = check_count("points", points)
    wavenumbers = _wavenumbers("wavenumbers", wavenumbers, points)
    amplitudes = _amplitudes(amplitudes, len(wavenumbers))
    x = _periodic_grid(-np.pi, np.pi, points)
    norm = np.linalg.norm(_sum_of_sines(x, wavenumbers, amplitudes))
    return _curve(
        lambda x: _sum_of_sines(x, wavenumbers, amplitudes) / norm,
        x,
        domain=(-np.pi, np.pi),
        period=2 * np.pi,
        formula=rf"\frac{{1}}{{{norm:.4g}}}\sum_k a_k\sin k\theta,\ k = {', '.join(map(str, wavenumbers))}",
        frequencies=wavenumbers,
    )


def rahaman_waves(
    frequencies: Iterable[int] = range(5, 55, 5),
    points: int = 200,
    amplitudes: float | Iterable[float] = 1.0,
    generator: np.random.Generator | int = 0,
) -> Target:
    """Sine waves with random phases on [0, 1) (Rahaman et al. 2019, Section 3).

    Parameters
    ----------
    frequencies : iterable of int
        Distinct whole numbers of cycles over the domain, at least 1 and below ``points / 2``.
    points : int
        Samples on the periodic grid.
    amplitudes : float or iterable of float
        Amplitude of each wave, or one for all.
    generator : numpy.random.Generator or int
        Source of the phases, uniform on [0, 2 pi), or its seed.

    Raises
    ------
    ValueError, TypeError
        As :func:`circle_waves`.

    Examples
    --------
    >>> rahaman_waves(points=200).x[:3, 0].tolist()
    [0.0, 0.005, 0.01]
    """
    points = check_count("points", points)
    cycles = _wavenumbers("frequencies", frequencies, points)
    amplitudes = _amplitudes(amplitudes, len(cycles))
    angular = tuple(2 * np.pi * k for k in cycles)
    phases = np.random.default_rng(generator).uniform(0, 2 * np.pi, len(cycles))
    return _curve(
        lambda x: _sum_of_sines(x, angular, amplitudes, phases),
        _periodic_grid(0.0, 1.0, points),
        domain=(0.0, 1.0),
        period=1.0,
        formula=r"\sum_i a_i\sin(2\pi k_i x + \varphi_i)",
        frequencies=angular,
    )


ENVELOPES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "none": ("", np.ones_like),
    "sqrt": (r"\sqrt{x}\,", np.sqrt),
    "bump": ("4x(1-x)", lambda x: 4 * x * (1 - x)),
    "bowl": (r"4(x-\tfrac12)^2", lambda x: 4 * (x - 0.5) ** 2),
}


def sequential_sine(envelope: str = "none", wavenumber: int = 13, points: int = 500) -> Target:
    r"""``sin(2 pi m x)`` under an envelope on [0, 1]: the four targets of the sequential-fitting text.

    Parameters
    ----------
    envelope : {"none", "sqrt", "bump", "bowl"}
        1, the square root of x, 4x(1-x) or 4(x-1/2)².
    wavenumber : int
        Number ``m`` of oscillations, at least 1 and below ``points / 2``.
    points : int
        Midpoints.

    Raises
    ------
    ValueError, TypeError
        For an unknown envelope or impossible counts.

    Examples
    --------
    >>> sequential_sine("bump").formula
    '4x(1-x)\\sin(26\\pi x)'
    """
    if envelope not in ENVELOPES:
        raise ValueError(f"envelope must be one of {', '.join(ENVELOPES)}, got {envelope!r}")
    points = check_count("points", points)
    (wavenumber,) = _wavenumbers("wavenumber", (wavenumber,), points)
    prefix, factor = ENVELOPES[envelope]
    return _curve(
        lambda x: factor(x) * np.sin(2 * np.pi * wavenumber * x),
        _midpoints(0.0, 1.0, points),
        domain=(0.0, 1.0),
        period=1.0 if envelope == "none" else None,
        formula=rf"{prefix}\sin({2 * wavenumber}\pi x)",
        frequencies=(2 * np.pi * wavenumber,),
    )


def checkerboard(points_per_side: int = 50) -> Target:
    """``sin(10 pi x1) sin(10 pi x2)`` on the midpoints of the unit square, in the sequential-fitting text.

    Parameters
    ----------
    points_per_side : int
        Midpoints along each axis; ``x2`` varies fastest, so ``y.reshape(side, side)[i, j]`` is at ``(x1_i,
        x2_j)``.

    Examples
    --------
    >>> checkerboard().x.shape
    (2500, 2)
    """
    side = _midpoints(0.0, 1.0, check_count("points_per_side", points_per_side))
    x = np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2)

    def function(x1, x2):
        return np.sin(10 * np.pi * x1) * np.sin(10 * np.pi * x2)

    return Target(
        x=x,
        y=function(*x.T),
        domain=(0.0, 1.0),
        period=1.0,
        formula=r"\sin(10\pi x_1)\sin(10\pi x_2)",
        function=function,
        frequencies=((10 * np.pi, -10 * np.pi), (10 * np.pi, 10 * np.pi)),
    )


def lecture_curve(points: int = 300) -> Target:
    """``sin(2x + 1) + 0.2 exp(1.3 x)``, the multistage lecture's target, on a grid of [-1, 1] with both ends.

    Examples
    --------
    >>> lecture_curve().x[[0, -1], 0].tolist()
    [-1.0, 1.0]
    """
    return _curve(
        lambda x: np.sin(2 * x + 1) + 0.2 * np.exp(1.3 * x),
        np.linspace(-1.0, 1.0, check_count("points", points)),
        domain=(-1.0, 1.0),
        period=None,
        formula=r"\sin(2x+1)+0.2e^{1.3x}",
        frequencies=(2.0,),
    )


def wang_lai_curve(points: int = 1501, reach: float = 1.02) -> Target:
    """``log(t + 2) cos(2t + t³)``: the second target of Wang & Lai 2024.

    Parameters
    ----------
    points : int
        Samples from ``-reach`` to ``reach``, both included.
    reach : float
        A little more than 1, so that the ends of the domain [-1, 1] are not the ends of the data; below 2,
        where the logarithm ends.

    Examples
    --------
    >>> target = wang_lai_curve()
    >>> target.x[[0, -1], 0].tolist(), target.domain
    ([-1.02, 1.02], (-1.0, 1.0))
    """
    reach = check_positive("reach", reach)
    if reach >= 2:
        raise ValueError(f"reach must be below 2, where log(t + 2) ends, got {reach}")
    return _curve(
        lambda t: np.log(t + 2) * np.cos(2 * t + t**3),
        np.linspace(-reach, reach, check_count("points", points)),
        domain=(-1.0, 1.0),
        period=None,
        formula=r"\log(t+2)\cos(2t+t^3)",
        frequencies=(),
    )


def _curve(function, x, *, domain, period, formula, frequencies) -> Target:
    """A target of one variable, from its points ``x (n,)``."""
    return Target(x[:, None], function(x), domain, period, formula, function, frequencies)


def _periodic_grid(low: float, high: float, points: int) -> np.ndarray:
    return low + (high - low) * (np.arange(points) / points)


def _midpoints(low: float, high: float, points: int) -> np.ndarray:
    return low + (high - low) * ((np.arange(points) + 0.5) / points)


def _sum_of_sines(x, frequencies, amplitudes, phases=None) -> np.ndarray:
    """Sum of ``a sin(w x + phi)`` at every element of ``x``."""
    phases = np.zeros(len(frequencies)) if phases is None else phases
    return np.sin(np.asarray(x)[..., None] * np.asarray(frequencies) + phases) @ amplitudes


def _wavenumbers(name: str, values: Iterable[int], points: int) -> tuple[int, ...]:
    values = tuple(check_count(name, value) for value in values)
    if not values or len(set(values)) < len(values):
        raise ValueError(f"{name} must be distinct and at least one, got {values}")
    if 2 * max(values) >= points:
        raise ValueError(f"{name} must be below half the number of points, {points}, got {max(values)}")
    return values


def _amplitudes(values: float | Iterable[float] | None, count: int) -> np.ndarray:
    array = np.asarray(
        1.0 if values is None else values if np.isscalar(values) else list(values), dtype=float
    )
    if array.ndim > 0 and array.shape != (count,):
        raise ValueError(f"amplitudes must be one number or {count}, got {array.size}")
    if not np.all(np.isfinite(array)) or not np.any(array):
        raise ValueError(f"amplitudes must be finite and not all zero, got {array.tolist()}")
    return np.broadcast_to(array, (count,)).copy()
