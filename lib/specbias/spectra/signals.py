"""Signals of one variable: amplitudes, the share of a component that is learned, the dominant frequency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from specbias._checks import check_positive, check_real


def amplitudes(values: ArrayLike, axis: int = -1) -> np.ndarray:
    """Amplitude of every wavenumber of a real signal on a regular periodic grid.

    Parameters
    ----------
    values : array_like, shape (..., n)
        Samples; ``axis`` is the one that is transformed.
    axis : int

    Returns
    -------
    ndarray, shape (..., n // 2 + 1), float64
        Amplitudes of wavenumbers 0 to ``n // 2``, the transformed axis last.

    Raises
    ------
    ValueError, TypeError
        If ``values`` is empty or holds anything but finite real numbers, or has no such axis.

    Examples
    --------
    >>> theta = 2 * np.pi * np.arange(8) / 8
    >>> amplitudes(3 + 2 * np.cos(theta - 1)).round(12).tolist()
    [3.0, 2.0, 0.0, 0.0, 0.0]
    """
    values = _axis_last("values", values, axis)
    return np.abs(_coefficients(values))


def amplitude_ratio(
    prediction: ArrayLike,
    target: ArrayLike,
    wavenumbers: int | Sequence[int],
    axis: int = -1,
    *,
    tolerance: float = 1e-6,
) -> np.ndarray:
    """How much of the target's component at each wavenumber a prediction holds, in the target's phase.

    With ``P`` and ``T`` the Fourier coefficients of the two, it is ``Re(P conj(T)) / |T|²``: 1 is learned, 0
    is absent or a quarter turn out of phase, negative is of opposite sign.

    Parameters
    ----------
    prediction : array_like, shape (..., n)
        Samples on the regular periodic grid of the target.
    target : array_like, shape (n,) or broadcastable to ``prediction``
    wavenumbers : int or sequence of int, K values
        Between 0 and ``n // 2``.
    axis : int
        The axis that is transformed, in ``prediction`` and in a ``target`` of more than one dimension.
    tolerance : float
        A component counts as present in the target above this share of its largest one. The default is above
        the round-off of float32 data.

    Returns
    -------
    ndarray, shape (..., K), float64

    Raises
    ------
    ValueError
        If the target lacks one of the components, or the shapes or wavenumbers do not match.

    Examples
    --------
    >>> theta = 2 * np.pi * np.arange(16) / 16
    >>> target = np.sin(theta) + np.sin(3 * theta)
    >>> amplitude_ratio(0.5 * np.sin(theta), target, [1, 3]).round(12).tolist()
    [0.5, 0.0]
    """
    prediction = _axis_last("prediction", prediction, axis)
    target = _axis_last("target", target, -1 if np.ndim(target) == 1 else axis)
    if prediction.shape[-1] != target.shape[-1]:
        raise ValueError(
            f"target must have as many samples as prediction, {prediction.shape[-1]}, got {target.shape[-1]}"
        )
    wavenumbers = _wavenumbers(wavenumbers, prediction.shape[-1])
    spectrum = _coefficients(target)
    wanted = spectrum[..., wavenumbers]
    absent = np.abs(wanted) <= tolerance * np.abs(spectrum).max(axis=-1, keepdims=True)
    if absent.any():
        missing = wavenumbers[absent.reshape(-1, wavenumbers.size).any(axis=0)]
        raise ValueError(f"wavenumbers must be present in target, but it has no component {missing.tolist()}")
    found = _coefficients(prediction)[..., wavenumbers]
    try:
        return (found * wanted.conj()).real / np.abs(wanted) ** 2
    except ValueError:
        raise ValueError(
            f"target must be broadcastable to prediction, got shapes {target.shape} and {prediction.shape}"
        ) from None


def project(values: ArrayLike, positions: ArrayLike, frequencies: ArrayLike) -> np.ndarray:
    """Complex amplitudes of given waves in a function known at any points, by least squares.

    All waves are fitted together: the ``c_k`` minimise the squared distance of ``values`` from ``sum_k Re(c_k
    exp(i w_k x))``. So ``|c|`` is an amplitude and the argument of ``c`` the phase of a cosine; ``sin(w x)``
    alone gives ``-i``. For the wavenumbers of a regular periodic grid this is its discrete Fourier transform.

    Parameters
    ----------
    values : array_like, shape (..., n)
    positions : array_like, shape (n,) or (n, d)
        Points, in any order and at any spacing.
    frequencies : array_like, shape (K,) or (K, d)
        Angular frequencies, in radians per unit of ``positions``; 0 is the constant.

    Returns
    -------
    ndarray, shape (..., K), complex128

    Raises
    ------
    ValueError, TypeError
        If shapes do not match, or the waves cannot be told apart at these points.

    Examples
    --------
    >>> x = np.array([0.0, 0.3, 1.1, 2.0, 2.2, 3.1])
    >>> float(abs(project(np.sin(2 * x), x, [2.0])[0]).round(12))
    1.0
    """
    values = _axis_last("values", values, -1)
    positions = check_real("positions", positions)
    positions = positions[:, None] if positions.ndim == 1 else positions
    frequencies = check_real("frequencies", frequencies)
    frequencies = frequencies.reshape(-1, 1) if frequencies.ndim < 2 else frequencies
    if positions.ndim != 2 or positions.shape[0] != values.shape[-1]:
        raise ValueError(
            f"positions must be one point for each of {values.shape[-1]} values, got {positions.shape}"
        )
    if frequencies.ndim != 2 or frequencies.shape[1] != positions.shape[1]:
        raise ValueError(f"frequencies must have shape (K, {positions.shape[1]}), got {frequencies.shape}")

    angle = positions @ frequencies.T
    waves = np.any(frequencies != 0, axis=1)  # a constant has no sine
    basis = np.hstack([np.cos(angle), np.sin(angle[:, waves])])
    solution, _, rank, _ = np.linalg.lstsq(basis, values.reshape(-1, values.shape[-1]).T, rcond=1e-10)
    if rank < basis.shape[1]:
        raise ValueError(
            f"frequencies cannot be told apart at these {positions.shape[0]} positions: "
            f"they need {basis.shape[1]} independent waves, there are {rank}"
        )
    count = frequencies.shape[0]
    coefficients = solution[:count].astype(complex)
    coefficients[waves] -= 1j * solution[count:]
    return coefficients.T.reshape(*values.shape[:-1], count)


def dominant_frequency(values: ArrayLike, spacing: float = 1.0) -> float:
    """Frequency of the largest component of a signal that need not be periodic, in cycles per unit.

    The mean is taken off, the ends are tapered by a Hann window, and the largest magnitude of the Fourier
    integral of the samples is found between the DFT's own frequencies, by bounded minimisation from the
    largest bin of a transform padded fourfold. Below about two oscillations in all, the window's width limits
    it.

    Parameters
    ----------
    values : array_like, shape (n,)
        At least four samples at equal distances ``spacing``.
    spacing : float

    Raises
    ------
    ValueError, TypeError
        If the signal is constant or too short, or ``spacing`` is not a positive number.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 400)
    >>> round(dominant_frequency(np.cos(2 * np.pi * 7.3 * x), spacing=x[1] - x[0]), 3)
    7.3
    """
    values = _one_dimensional(values, at_least=4)
    spacing = check_positive("spacing", spacing)
    if np.ptp(values) == 0:
        raise ValueError(f"values must not be constant, got {values.size} times {values[0]}")
    n = values.size
    index = np.arange(n)
    tapered = (values - values.mean()) * np.sin(np.pi * (index + 0.5) / n) ** 2
    padded = 4 * n
    start = max(1, int(np.argmax(np.abs(np.fft.rfft(tapered, padded)))))

    def negative_magnitude(bin_number: float) -> float:
        return -abs(np.exp(-2j * np.pi * bin_number / padded * index) @ tapered)

    bounds = (start - 1, min(start + 1, padded // 2))
    best = minimize_scalar(negative_magnitude, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return float(best.x / (padded * spacing))


def zero_crossings(values: ArrayLike) -> int:
    """Number of changes of sign along a signal; samples that are exactly zero are passed over.

    Parameters
    ----------
    values : array_like, shape (n,)

    Examples
    --------
    >>> zero_crossings([1.0, 0.0, -2.0, -1.0, 3.0, 0.0, 2.0])
    2
    """
    signs = np.sign(_one_dimensional(values, at_least=1))
    signs = signs[signs != 0]
    return int(np.count_nonzero(signs[1:] != signs[:-1]))


def _coefficients(values: np.ndarray) -> np.ndarray:
    """One-sided Fourier coefficients, scaled to amplitudes: ``(..., n) -> (..., n // 2 + 1)``."""
    n = values.shape[-1]
    coefficients = np.fft.rfft(values) / n
    coefficients[..., 1 : (n + 1) // 2] *= 2  # neither the constant nor Nyquist
    return coefficients


def _axis_last(name: str, values: ArrayLike, axis: int) -> np.ndarray:
    array = check_real(name, values)
    if not -array.ndim <= axis < array.ndim:
        raise ValueError(f"{name} must have an axis {axis}, got shape {array.shape}")
    if array.shape[axis] == 0:
        raise ValueError(f"{name} must have at least one sample, got shape {array.shape}")
    return np.moveaxis(array, axis, -1)


def _one_dimensional(values: ArrayLike, at_least: int) -> np.ndarray:
    array = check_real("values", values)
    if array.ndim != 1 or array.size < at_least:
        raise ValueError(
            f"values must be one-dimensional, of at least {at_least} samples, got shape {array.shape}"
        )
    return array


def _wavenumbers(values: int | Sequence[int], n: int) -> np.ndarray:
    array = np.atleast_1d(np.asarray(values))
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise ValueError(f"wavenumbers must be one or more whole numbers, got {values!r}")
    if array.min() < 0 or array.max() > n // 2:
        raise ValueError(f"wavenumbers must lie between 0 and {n // 2} for {n} samples, got {array.tolist()}")
    return array
