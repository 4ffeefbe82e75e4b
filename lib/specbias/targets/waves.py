"""Sine waves: on an interval, on the circle, with random phases, under an envelope, in the plane."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from specbias._checks import check_count, check_positive
from specbias.targets.target import Target, curve, midpoints, periodic_grid


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
        x = midpoints(low, high, points)
    else:
        raise ValueError(f"sampling must be 'random' or 'regular', got {sampling!r}")
    turns = frequency * data_range / (2 * np.pi)
    return curve(
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
    x = periodic_grid(-np.pi, np.pi, points)
    norm = np.linalg.norm(_sum_of_sines(x, wavenumbers, amplitudes))
    return curve(
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
    return curve(
        lambda x: _sum_of_sines(x, angular, amplitudes, phases),
        periodic_grid(0.0, 1.0, points),
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


def sequential_sine(envelope: str = "none", wavenumber: float = 13, points: int = 500) -> Target:
    r"""``sin(2 pi m x)`` under an envelope on [0, 1]: the four targets of the sequential-fitting text.

    Parameters
    ----------
    envelope : {"none", "sqrt", "bump", "bowl"}
        1, the square root of x, 4x(1-x) or 4(x-1/2)².
    wavenumber : int or float
        Number ``m`` of oscillations, a whole number or a half, from 1/2 to below ``points / 2``.
    points : int
        Midpoints.

    Returns
    -------
    Target
        It has a period only without envelope and with whole oscillations.

    Raises
    ------
    ValueError, TypeError
        For an unknown envelope or impossible counts.

    Examples
    --------
    >>> sequential_sine("bump").formula, sequential_sine("none", 13.5).formula
    ('4x(1-x)\\sin(26\\pi x)', '\\sin(27\\pi x)')
    """
    if envelope not in ENVELOPES:
        raise ValueError(f"envelope must be one of {', '.join(ENVELOPES)}, got {envelope!r}")
    points = check_count("points", points)
    halves = _half_oscillations(wavenumber, points)
    prefix, factor = ENVELOPES[envelope]
    return curve(
        lambda x: factor(x) * np.sin(np.pi * halves * x),
        midpoints(0.0, 1.0, points),
        domain=(0.0, 1.0),
        period=1.0 if envelope == "none" and halves % 2 == 0 else None,
        formula=rf"{prefix}\sin({halves}\pi x)",
        frequencies=(np.pi * halves,),
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
    side = midpoints(0.0, 1.0, check_count("points_per_side", points_per_side))
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


def _half_oscillations(wavenumber: float, points: int) -> int:
    """Twice a wavenumber that is a whole number or a half."""
    wavenumber = check_positive("wavenumber", wavenumber)
    if not (2 * wavenumber).is_integer():
        raise ValueError(f"wavenumber must be a whole number or a half, got {wavenumber:g}")
    if 2 * wavenumber >= points:
        raise ValueError(f"wavenumber must be below half the number of points, {points}, got {wavenumber:g}")
    return int(2 * wavenumber)


def _amplitudes(values: float | Iterable[float] | None, count: int) -> np.ndarray:
    array = np.asarray(
        1.0 if values is None else values if np.isscalar(values) else list(values), dtype=float
    )
    if array.ndim > 0 and array.shape != (count,):
        raise ValueError(f"amplitudes must be one number or {count}, got {array.size}")
    if not np.all(np.isfinite(array)) or not np.any(array):
        raise ValueError(f"amplitudes must be finite and not all zero, got {array.tolist()}")
    return np.broadcast_to(array, (count,)).copy()
