"""Signals with exactly the Fourier magnitudes of another, and what tells them apart: where they are large.

A discrete Fourier transform of real samples has a magnitude and a phase for every wavenumber, except that
the mean and, on an even number of samples, the alternating component (Nyquist) are real: a magnitude and a
sign.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from specbias._checks import check_count, check_positive, check_real, check_seed


def phase_surrogates(values: ArrayLike, count: int, *, seed: int) -> np.ndarray:
    """Signals with the Fourier magnitudes of ``values`` and independent phases, uniform on the circle.

    The mean and the Nyquist component keep their sign: a real coefficient has no phase to turn.

    Parameters
    ----------
    values : array_like, shape (n,)
    count : int
        Number of surrogates. Each has a generator of its own, so the first ones of many are those of few.
    seed : int
        Not negative.

    Returns
    -------
    ndarray, shape (count, n), float64
        Their magnitudes are those of ``values`` to round-off.

    Raises
    ------
    ValueError, TypeError
        If ``values`` is not one signal of finite real numbers, or a number is not whole or too small.

    References
    ----------
    Theiler et al., Physica D 58 (1992) 77, the "unwindowed Fourier transform" surrogates.

    Examples
    --------
    >>> values = np.array([0.0, 1.0, 4.0, 9.0, 16.0])
    >>> found = phase_surrogates(values, 3, seed=0)
    >>> bool(np.allclose(np.abs(np.fft.rfft(found)), np.abs(np.fft.rfft(values)), rtol=1e-12))
    True
    """
    values, count, seed = _signal(values), check_count("count", count), check_seed("seed", seed)
    n = values.size
    free = (n - 1) // 2  # wavenumbers 1 ... free have a phase
    coefficients = np.fft.rfft(values) * np.ones((count, 1))
    phases = [np.random.default_rng([seed, i]).uniform(0, 2 * np.pi, free) for i in range(count)]
    coefficients[:, 1 : free + 1] = np.abs(coefficients[:, 1 : free + 1]) * np.exp(1j * np.array(phases))
    return np.fft.irfft(coefficients, n)


def shifted(values: ArrayLike, turns: ArrayLike) -> np.ndarray:
    """A signal moved around its period, by any share of it, as the wave through its samples moves.

    Every Fourier coefficient turns by its wavenumber times the shift, so its magnitude stays. The Nyquist
    component of an even number of samples is real and cannot turn by a part: it takes the sign that it has at
    the nearest whole number of samples (the even one of two as near).

    Parameters
    ----------
    values : array_like, shape (n,)
    turns : array_like, shape (t,)
        Shifts towards larger ``x``, as shares of the period: 1/2 moves the middle to the ends, ``j / n`` is
        ``numpy.roll(values, j)``.

    Returns
    -------
    ndarray, shape (t, n), float64

    Raises
    ------
    ValueError, TypeError
        If either is not one-dimensional and of finite real numbers, or ``values`` is empty.

    Examples
    --------
    >>> shifted([1.0, 2.0, 3.0, 4.0], [0.25, 0.5]).round(12).tolist()
    [[4.0, 1.0, 2.0, 3.0], [3.0, 4.0, 1.0, 2.0]]
    """
    values, turns = _signal(values), check_real("turns", turns)
    if turns.ndim != 1:
        raise ValueError(f"turns must be one-dimensional, got shape {turns.shape}")
    n = values.size
    turns = (turns % 1.0)[:, None]  # whole turns change nothing, and would cost digits below
    coefficients = np.fft.rfft(values) * np.exp(-2j * np.pi * (turns * np.arange(n // 2 + 1) % 1.0))
    if n % 2 == 0:
        nyquist = np.sum(values[::2] - values[1::2])
        coefficients[:, -1] = nyquist * (1 - 2 * (np.rint(n * turns[:, 0]) % 2))
    return np.fft.irfft(coefficients, n)


def boundary_amplitude(values: ArrayLike, width: float) -> np.ndarray:
    """How large a signal is near either end of its interval, against its size on the whole interval.

    Parameters
    ----------
    values : array_like, shape (..., n)
        Samples on the midpoints of an interval.
    width : float
        What counts as near, as a share of the interval: at most 1/2, and wide enough for a sample.

    Returns
    -------
    ndarray, shape (..., 2), float64
        Root mean squares within ``width`` of the left end and of the right end, divided by that of all
        samples.

    Raises
    ------
    ValueError, TypeError
        If there is no sample within ``width`` of an end, or a signal is zero everywhere.

    Examples
    --------
    >>> boundary_amplitude([3.0, 0.0, 0.0, 0.0], 0.25).tolist()
    [2.0, 0.0]
    """
    values, width = check_real("values", values), check_positive("width", width)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"values must have at least one sample, got shape {values.shape}")
    if width > 0.5:
        raise ValueError(f"width must be at most 0.5, where the two ends meet, got {width}")
    n = values.shape[-1]
    near = int(np.floor(n * width + 0.5 + 1e-9))  # midpoints (j + 1/2) / n up to width, round-off aside
    if near == 0:
        raise ValueError(f"width must reach the first of {n} midpoints, {0.5 / n:g}, got {width}")
    whole = _rms(values)
    if np.any(whole == 0):
        raise ValueError("values must not be zero everywhere")
    return np.stack([_rms(values[..., :near]), _rms(values[..., n - near :])], axis=-1) / whole[..., None]


def _rms(values: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(values**2, axis=-1))


def _signal(values: ArrayLike) -> np.ndarray:
    values = check_real("values", values)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"values must be one-dimensional, of at least one sample, got shape {values.shape}")
    return values
