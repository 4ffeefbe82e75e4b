"""Periodic fields of any dimension: the power at each scale, and the largest modes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from specbias._checks import check_count, check_positive, check_real


def power_spectrum_radial(
    field: ArrayLike, bins: int = 200, *, length: float = 2 * np.pi
) -> tuple[np.ndarray, np.ndarray]:
    """Power of a periodic field on a plane, summed over all directions, by length of the wave vector.

    With ``u(k)`` the Fourier coefficients divided by the number of samples, ``E`` of a bin is the sum of
    ``|u(k)|²`` over all wave vectors (both of each conjugate pair) whose length lies in it. The bins are of
    equal width from 0 to the longest wave vector on the grid, so that the sum of ``E`` is the mean square of
    the field (Parseval).

    Parameters
    ----------
    field : array_like, shape (n1, n2)
        Samples of a real field on a regular periodic grid of the square ``length x length``.
    bins : int
    length : float
        Side of the square; wavenumbers are multiples of ``2 pi / length``.

    Returns
    -------
    wavenumbers : ndarray, shape (bins,), float64
        Centres of the bins.
    power : ndarray, shape (bins,), float64

    Raises
    ------
    ValueError, TypeError
        If ``field`` is not a real plane of at least two samples, or ``bins`` or ``length`` is not positive.

    Examples
    --------
    >>> y = 2 * np.pi * np.arange(16) / 16
    >>> wavenumbers, power = power_spectrum_radial(np.cos(3 * y)[:, None] * np.ones(16), bins=6)
    >>> power.round(12).tolist()
    [0.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    """
    field = check_real("field", field)
    if field.ndim != 2 or field.size < 2:
        raise ValueError(f"field must be two-dimensional, of at least two samples, got shape {field.shape}")
    bins = check_count("bins", bins)
    length = check_positive("length", length)
    axes = [2 * np.pi / length * np.fft.fftfreq(n, 1 / n) for n in field.shape]
    magnitude = np.hypot(axes[0][:, None], axes[1])
    power = np.abs(np.fft.fft2(field) / field.size) ** 2
    total, edges = np.histogram(magnitude, bins, range=(0, magnitude.max()), weights=power)
    return (edges[:-1] + edges[1:]) / 2, total


class Modes(NamedTuple):
    """Real Fourier modes ``a cos(k.x + phi)``, as :func:`largest_modes` returns them.

    Attributes
    ----------
    wavenumbers : ndarray, shape (count, d), int64
    amplitudes : ndarray, shape (count,), float64
    phases : ndarray, shape (count,), float64, in [-pi, pi]
    """

    wavenumbers: np.ndarray
    amplitudes: np.ndarray
    phases: np.ndarray


def largest_modes(
    field: ArrayLike, count: int | None = None, *, domain: tuple[float, float] = (0.0, 2 * np.pi)
) -> Modes:
    """The modes of largest amplitude of a real periodic field, each real mode once.

    Over all modes ``sum a cos(k.x + phi)`` is the field, to round-off. Here ``k = 2 pi m / (high - low)`` for
    the whole ``wavenumbers`` ``m``, so that ``k`` is ``m`` itself on the default domain.

    Of a pair ``m`` and ``-m`` the one listed has a positive first component, not counting components that are
    0 or Nyquist: those equal their own negative, so on the planes where the leading ones are, the next
    component decides. Nyquist itself is listed as ``+n/2``.

    Parameters
    ----------
    field : array_like, shape (n_1, ..., n_d)
        Samples at ``low + j (high - low) / n`` along each axis, the end excluded.
    count : int, optional
        How many; all ``(N + s) / 2`` of them unless given, for ``N`` samples and ``s`` modes that are their
        own negatives (1 if every ``n`` is odd, twice as many for each even ``n``).
    domain : (float, float)
        ``low`` and ``high``, for every axis.

    Returns
    -------
    Modes
        In order of falling amplitude. Amplitudes equal to about eleven digits count as equal; these are in
        order of ``|m|²``, then of ``m``, so that the order does not hang on round-off.

    Raises
    ------
    ValueError, TypeError
        If ``field`` holds anything but finite real numbers, or ``count`` or ``domain`` is impossible.

    Examples
    --------
    >>> theta = 2 * np.pi * np.arange(9) / 9
    >>> modes = largest_modes(np.cos(theta - 1) + 3 * np.cos(2 * theta + 0.5), 2)
    >>> modes.wavenumbers.tolist(), modes.amplitudes.round(12).tolist(), modes.phases.round(12).tolist()
    ([[2], [1]], [3.0, 1.0], [0.5, -1.0])
    """
    field = check_real("field", field)
    if field.ndim == 0 or field.size == 0:
        raise ValueError(f"field must have at least one axis and one sample, got shape {field.shape}")
    low, high = _interval("domain", domain)
    indices = np.indices(field.shape).reshape(field.ndim, -1)
    sizes = np.array(field.shape)[:, None]
    own = np.arange(field.size)
    conjugate = np.ravel_multi_index(tuple(-indices % sizes), field.shape)
    kept = own <= conjugate
    if count is None:
        count = int(kept.sum())
    elif check_count("count", count) > kept.sum():
        raise ValueError(
            f"count must be at most {kept.sum()}, the number of modes of a {field.shape} field, got {count}"
        )

    coefficients = np.fft.fftn(field).reshape(-1)[kept] / field.size
    amplitudes = np.where(own == conjugate, 1.0, 2.0)[kept] * np.abs(coefficients)
    wavenumbers = np.where(2 * indices > sizes, indices - sizes, indices)[:, kept].T

    order = _falling(amplitudes, wavenumbers)[:count]
    wavenumbers, amplitudes = wavenumbers[order], amplitudes[order]
    turns_to_low = wavenumbers.sum(axis=1) * (low / (high - low))
    phases = np.angle(coefficients[order] * np.exp(-2j * np.pi * turns_to_low))
    return Modes(wavenumbers, amplitudes, phases)


def _falling(amplitudes: np.ndarray, wavenumbers: np.ndarray) -> np.ndarray:
    """Order of falling amplitude; ties, to 37 bits, by length of the wave vector, then by its components."""
    mantissa, exponent = np.frexp(amplitudes)
    rounded = np.ldexp(np.round(np.ldexp(mantissa, 37)), exponent - 37)
    return np.lexsort((*wavenumbers.T[::-1], (wavenumbers**2).sum(axis=1), -rounded))


def _interval(name: str, value: tuple[float, float]) -> tuple[float, float]:
    ends = check_real(name, value)
    if ends.shape != (2,) or not ends[0] < ends[1]:
        raise ValueError(f"{name} must be (low, high) with low < high, got {value}")
    return float(ends[0]), float(ends[1])
