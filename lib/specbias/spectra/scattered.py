"""Values at points in any order and number of dimensions: spectrum, dominant wavenumber, sign changes."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from specbias._checks import check_choice

METHODS = ("spectrum", "crossings")
TIE = 1e-6  # distances that differ by no larger a share are equal


def spacing(points: np.ndarray) -> float:
    """Mean distance of neighbours, were the points of the box [-1, 1] to the d a regular grid."""
    count, dimensions = points.shape
    return 2 / max(count ** (1 / dimensions) - 1, 1)


def sign_changes(points: np.ndarray, residue: np.ndarray) -> tuple[float, float]:
    """Share of points where the residue changes sign to the nearest neighbour, and how many do per distance.

    A function that the points resolve rarely changes its sign between neighbours; noise does at every second
    one. In one dimension the neighbour is the next point; of several that are equally near, as on a grid,
    each counts. The rate is per unit of length, zeros of both signs counted, and in several dimensions along
    a line. Of points that coincide the residues are added.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 1001)[:, None]
    >>> share, rate = sign_changes(x, np.sin(20 * np.pi * x[:, 0] + 1))
    >>> round(share, 3), round(rate, 2)
    (0.04, 20.0)
    """
    points, residue = _merged(points, residue)
    if len(points) == 1:
        return 0.0, 0.0
    negative = residue < 0
    if points.shape[1] == 1:
        distance, changed = np.diff(points[:, 0]), negative[1:] != negative[:-1]
    else:
        distance, pairs = _neighbours(points)
        changed = negative[pairs[0]] != negative[pairs[1]]
    return float(changed.mean()), float(changed.sum() / distance.sum())


def _merged(points: np.ndarray, residue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points in an order of their own, so that the given one does not matter, those that coincide once."""
    order = np.lexsort((residue, *points.T[::-1]))
    points, residue = points[order], residue[order]
    first = np.flatnonzero(np.append(True, (points[1:] != points[:-1]).any(axis=1)))
    return points[first], np.add.reduceat(residue, first)


def _neighbours(points: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Distances and pairs of each point and those nearest to it: up to two per axis that are equally near."""
    distances, found = cKDTree(points).query(points, k=min(2 * points.shape[1] + 1, len(points)))
    row, column = np.nonzero(distances[:, 1:] <= (1 + TIE) * distances[:, 1:2])
    return distances[row, column + 1], (row, found[row, column + 1])


def scattered_spectrum(points: np.ndarray, residue: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fourier coefficients of a residue on the box [-1, 1] to the d, at points in any order, by finufft.

    Parameters
    ----------
    points
        ``(n, d)`` in [-1, 1], d at most 3.
    residue
        ``(n,)``.

    Returns
    -------
    wavenumbers : numpy.ndarray
        ``(modes, d)``, whole waves on the box, of one of each pair k, -k; up to half of what a regular grid
        of as many points resolves.
    magnitudes : numpy.ndarray
        ``(modes,)``, absolute values of ``2 / n * sum(residue * exp(-i pi k.x))``: amplitudes of cosines.

    Raises
    ------
    ValueError
        For more than three dimensions.

    Examples
    --------
    >>> x = np.random.default_rng(0).uniform(-1, 1, (2000, 1))
    >>> wavenumbers, magnitudes = scattered_spectrum(x, 3 * np.cos(np.pi * 12 * x[:, 0]))
    >>> int(wavenumbers[magnitudes.argmax(), 0]), round(float(magnitudes.max()), 1)
    (12, 3.0)
    """
    import finufft

    count, dimensions = points.shape
    if dimensions > 3:
        raise ValueError(f"points must have at most 3 dimensions for a spectrum, got {dimensions}")
    largest = max(1, int(count ** (1 / dimensions) / 4 + 1e-9))  # 512 ** (1 / 3) is a little below 8
    transform = {1: finufft.nufft1d1, 2: finufft.nufft2d1, 3: finufft.nufft3d1}[dimensions]
    angles = [np.ascontiguousarray(np.pi * column) for column in points.T]
    shape = (2 * largest + 1,) * dimensions
    values = transform(*angles, residue.astype(complex), shape, isign=-1, eps=1e-12, nthreads=1)
    axis = np.arange(-largest, largest + 1)
    wavenumbers = np.stack(np.meshgrid(*[axis] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    half = len(wavenumbers) // 2  # k = 0 stands in the middle, and -k before it
    return wavenumbers[half:], 2 / count * np.abs(values).ravel()[half:]


def dominant_wavenumber(points: np.ndarray, residue: np.ndarray, method: str = "spectrum") -> float:
    """Angular wavenumber of the strongest wave in a residue, in radians per unit of length.

    For a regular signal of one variable `dominant_frequency` finds it between whole waves, too.

    Parameters
    ----------
    points
        ``(n, d)`` in [-1, 1].
    residue
        ``(n,)``.
    method
        ``"spectrum"``: where the magnitude of the Fourier transform is largest; of more than three dimensions
        there is no such grid, and crossings are counted. ``"crossings"``: from the zeros along lines, half as
        many as waves, times the square root of d (exact for an isotropic Gaussian field: Rice, 1944).

    Examples
    --------
    >>> x = np.linspace(-1, 1, 1001)[:, None]
    >>> wave = np.sin(40 * np.pi * x[:, 0] + 1)
    >>> [round(dominant_wavenumber(x, wave, method) / np.pi, 1) for method in ("spectrum", "crossings")]
    [40.0, 40.0]
    """
    check_choice("method", method, METHODS)
    dimensions = points.shape[1]
    if method == "crossings" or dimensions > 3:
        return float(np.pi * sign_changes(points, residue)[1] * dimensions**0.5)
    wavenumbers, magnitudes = scattered_spectrum(points, residue - residue.mean())
    magnitudes[0] = 0  # the mean
    return float(np.pi * np.linalg.norm(wavenumbers[magnitudes.argmax()]))
