"""In which direction, and where, a network fits ``sin(w x1) sin(w x2)``.

That target is made of two plane waves, ``cos(w (x1 - x2)) / 2 - cos(w (x1 + x2)) / 2``, one along each
diagonal of the square.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from specbias._checks import check_count, check_positive, check_real

ROUND_OFF = 1e-9


def diagonal_amplitudes(
    prediction: ArrayLike, points: ArrayLike, frequency: float = 10 * np.pi
) -> np.ndarray:
    """How much of each plane wave of ``sin(w x1) sin(w x2)`` a prediction holds, by least squares on both.

    Parameters
    ----------
    prediction : array_like, shape (..., n)
    points : array_like, shape (n, 2)
        In the unit square.
    frequency : float
        Angular frequency ``w``.

    Returns
    -------
    ndarray, shape (..., 2), float64
        Shares of the target's wave along ``x1 - x2`` and of that along ``x1 + x2``: 1 is learned, 0 absent,
        negative of opposite sign.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match, or the points cannot tell the waves apart.

    Examples
    --------
    >>> from specbias.targets import checkerboard
    >>> target = checkerboard()
    >>> diagonal_amplitudes(0.5 * target.y, target.x).round(12).tolist()
    [0.5, 0.5]
    """
    prediction, diagonals = _check_plane(prediction, points)
    return prediction @ _solver(_plane_waves(diagonals, frequency), "points").T


def strip_amplitudes(
    prediction: ArrayLike, points: ArrayLike, frequency: float, strips: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`diagonal_amplitudes`, in strips across either diagonal: where a front has passed.

    The square is cut into equal strips of ``x1 - x2``, and again of ``x1 + x2``; a strip owns its lower edge.
    At ``frequency`` 10 pi, ten strips are one period wide each. In every strip both waves, and no constant,
    are fitted together.

    Parameters
    ----------
    prediction : array_like, shape (..., n)
    points : array_like, shape (n, 2)
        In the unit square.
    frequency : float
    strips : int

    Returns
    -------
    shares : ndarray, shape (..., 2, strips), float64
        Of the wave that varies along ``x1 - x2`` in strips of ``x1 - x2``, then the same of ``x1 + x2``.
    centres : ndarray, shape (2, strips), float64
        Middles of the strips: of ``x1 - x2`` from -1 to 1, of ``x1 + x2`` from 0 to 2.

    Raises
    ------
    ValueError, TypeError
        If shapes do not match, or a strip has too few points to tell the waves apart.

    Examples
    --------
    >>> from specbias.targets import checkerboard
    >>> target = checkerboard()
    >>> half_done = target.y * (target.x[:, 0] < target.x[:, 1])  # where x1 - x2 is negative
    >>> strip_amplitudes(half_done, target.x, 10 * np.pi, 4)[0][0].round(12).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    prediction, diagonals = _check_plane(prediction, points)
    strips, waves, lows = check_count("strips", strips), _plane_waves(diagonals, frequency), (-1.0, 0.0)
    shares = np.empty((*prediction.shape[:-1], 2, strips))
    for wave, low in enumerate(lows):
        strip = np.floor((diagonals[wave] - low) * strips / 2 + ROUND_OFF).clip(0, strips - 1)
        for number in range(strips):
            inside = strip == number
            solver = _solver(waves[inside], "strips")
            shares[..., wave, number] = prediction[..., inside] @ solver[wave]
    return shares, np.add.outer(lows, (np.arange(strips) + 0.5) * 2 / strips)


def _plane_waves(diagonals: np.ndarray, frequency: float) -> np.ndarray:
    """The two waves of the target, ``(n, 2)``."""
    return np.array([0.5, -0.5]) * np.cos(check_positive("frequency", frequency) * diagonals.T)


def _solver(waves: np.ndarray, name: str) -> np.ndarray:
    """Pseudo-inverse ``(2, n)`` of two waves at ``n`` points."""
    if len(waves) == 0 or np.linalg.matrix_rank(waves, rtol=ROUND_OFF) < 2:
        raise ValueError(
            f"{name} must leave enough points to tell two waves apart, got {len(waves)} together"
        )
    return np.linalg.pinv(waves)


def _check_plane(prediction: ArrayLike, points: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """The prediction and its points' ``(x1 - x2, x1 + x2)``, shape (2, n)."""
    prediction, points = check_real("prediction", prediction), check_real("points", points)
    if points.ndim != 2 or points.shape[1] != 2 or prediction.shape[-1:] != points.shape[:1]:
        raise ValueError(
            f"points (n, 2) and prediction (..., n) must match, got {points.shape} and {prediction.shape}"
        )
    if points.size and (points.min() < 0 or points.max() > 1):
        raise ValueError(f"points must lie in the unit square, got {points.min():g} to {points.max():g}")
    return prediction, np.stack([points[:, 0] - points[:, 1], points[:, 0] + points[:, 1]])
