"""Many sums of waves at many points: dense, by FFT on a grid, by non-uniform FFT anywhere.

The first layer of a spectrum-informed network sums, in each of its units, all of its features: ``sum_j
Re(V_j exp(i k_j . x))`` with complex weights ``V``. As a matrix product that takes points times features
cosines and as many multiplications per unit. On a regular grid with whole waves it is an inverse FFT of a
spectrum with few entries, whose cost hardly depends on the number of features.

Each transform has ``synthesize``, from weights to values, and ``analyze``, its adjoint, of which gradients
are made. Arrays are tensors of PyTorch; FFTs on the CPU are SciPy's, which are faster there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch

from specbias.training import threads

DENSE = 2**24  # entries of a matrix of cosines up to which it is kept, rather than made in pieces
WHOLE = 1e-9  # by how much of a wave a wavenumber may differ from whole ones


@dataclass(frozen=True)
class Lattice:
    """A regular grid, part of a periodic one: ``low + j * step``, ``j < shape``, of period ``sizes * step``.

    Attributes
    ----------
    low, step : tuple of float
        First point and distance, by axis.
    shape : tuple of int
        Points, by axis.
    sizes : tuple of int
        Points of a whole period, by axis; more than ``shape`` where the points do not fill it.

    Examples
    --------
    >>> Lattice((-1.0,), (0.5,), (4,), (4,)).points().ravel().tolist()
    [-1.0, -0.5, 0.0, 0.5]
    """

    low: tuple[float, ...]
    step: tuple[float, ...]
    shape: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def base(self) -> np.ndarray:
        """Angular wavenumbers ``(d,)`` of one whole wave in a period."""
        return 2 * np.pi / (np.array(self.sizes) * np.array(self.step))

    @classmethod
    def square(cls, points: int, *, low: float = 0.0, length: float = 2 * np.pi) -> Lattice:
        """Periodic, of so many points along each of two axes."""
        return cls((low,) * 2, (length / points,) * 2, (points,) * 2, (points,) * 2)

    def points(self) -> np.ndarray:
        """``(n, d)``, the last axis fastest."""
        axes = [a + h * np.arange(n) for a, h, n in zip(self.low, self.step, self.shape, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


def find_lattice(points: np.ndarray) -> Lattice | None:
    """The regular grid that these points fill completely, or None; a period is taken to be the grid's own.

    The points must be in the order of `Lattice.points`.

    Examples
    --------
    >>> find_lattice(np.array([[0.0, 1.0], [0.0, 3.0], [2.0, 1.0], [2.0, 3.0]])).step
    (2.0, 2.0)
    >>> find_lattice(np.array([[0.0], [1.0], [3.0]])) is None
    True
    """
    axes = [np.unique(column) for column in points.T]
    shape = tuple(len(axis) for axis in axes)
    if np.prod(shape, dtype=float) != len(points) or min(shape) < 2:
        return None
    low = tuple(float(axis[0]) for axis in axes)
    step = tuple(float((axis[-1] - axis[0]) / (len(axis) - 1)) for axis in axes)
    found = Lattice(low, step, shape, shape)
    same = np.abs(found.points() - points).max(axis=0) <= 1e-9 * np.array(step)
    return found if same.all() else None


class DenseTransform:
    """Sums of waves by matrix products: the reference, and the fastest for few points and features.

    Parameters
    ----------
    points
        ``(n, d)``, real.
    wavenumbers
        ``(m, d)``, angular.
    device

    Examples
    --------
    >>> dense = DenseTransform(np.array([[0.0], [0.5]]), np.array([[np.pi]]))
    >>> dense.synthesize(torch.tensor([[2 + 0j]])).numpy().round(12).tolist()
    [[2.0, 0.0]]
    """

    def __init__(self, points: np.ndarray, wavenumbers: np.ndarray, device: str = "cpu"):
        self.points = torch.as_tensor(points, dtype=torch.float64, device=device)
        self.wavenumbers = torch.as_tensor(wavenumbers, dtype=torch.float64, device=device)
        self.size, self.features = len(points), len(wavenumbers)
        self.rows = max(1, DENSE // max(self.features, 1))
        self._kept = self._waves(slice(None)) if self.size <= self.rows else None

    def _waves(self, rows: slice) -> torch.Tensor:
        return torch.exp(1j * (self.points[rows] @ self.wavenumbers.T))

    def _pieces(self, dtype: torch.dtype):
        for begin in range(0, self.size, self.rows):
            rows = slice(begin, min(begin + self.rows, self.size))
            yield rows, (self._waves(rows) if self._kept is None else self._kept).to(dtype)

    def synthesize(self, weights: torch.Tensor) -> torch.Tensor:
        """Values ``(h, n)`` of complex weights ``(h, m)``."""
        out = weights.real.new_empty(len(weights), self.size)
        for rows, waves in self._pieces(weights.dtype):
            out[:, rows] = weights.real @ waves.real.T - weights.imag @ waves.imag.T
        return out

    def analyze(self, values: torch.Tensor) -> torch.Tensor:
        """``sum_x values(x) exp(-i k.x)``, ``(h, m)`` complex, of ``(h, n)``."""
        dtype = torch.complex64 if values.dtype == torch.float32 else torch.complex128
        total = torch.zeros(len(values), self.features, dtype=dtype, device=values.device)
        for rows, waves in self._pieces(dtype):
            part = values[:, rows].contiguous()
            total += torch.complex(part @ waves.real, -(part @ waves.imag))
        return total


class GridTransform:
    """Sums of whole waves on a grid, by FFT: the same as `DenseTransform`, to round-off.

    Parameters
    ----------
    lattice
        Of ``shape`` points of a period of ``sizes``.
    wavenumbers
        ``(m, d)``, whole waves in a period, of either sign; those that the grid does not resolve are what
        they are on its points. One may come several times.
    device

    Raises
    ------
    ValueError
        If wavenumbers are not whole numbers.

    Examples
    --------
    >>> lattice = Lattice((0.0,), (np.pi / 2,), (4,), (4,))
    >>> GridTransform(lattice, np.array([[1]])).synthesize(torch.tensor([[2 + 0j]])).numpy().round(6).tolist()
    [[2.0, 0.0, -2.0, 0.0]]
    """

    def __init__(self, lattice: Lattice, wavenumbers: np.ndarray, device: str = "cpu"):
        waves = np.asarray(wavenumbers)
        if waves.dtype.kind not in "iu":
            raise ValueError(f"wavenumbers must be whole numbers, got dtype {waves.dtype}")
        self.lattice, self.device = lattice, torch.device(device)
        self.size, self.features = int(np.prod(lattice.shape)), len(waves)
        sizes = np.array(lattice.sizes)
        folded = waves % sizes
        turned = folded[:, -1] > sizes[-1] // 2  # of a wave and its conjugate half a spectrum holds one
        folded = np.where(turned[:, None], -folded % sizes, folded)
        self.columns = int(folded[:, -1].max(initial=0)) + 1  # what lies beyond is zero, and not transformed
        self.held = (*lattice.sizes[:-1], self.columns)
        both = (folded[:, -1] == 0) | (2 * folded[:, -1] == sizes[-1])  # their conjugates are held, too
        self._at = self._tensor(np.ravel_multi_index(tuple(folded.T), self.held))
        self._both = self._tensor(np.flatnonzero(both))
        self._mirror = self._tensor(np.ravel_multi_index(tuple((-folded[both] % sizes).T), self.held))
        self._turned = self._tensor(turned)
        self._single = len(np.unique(self._at.cpu())) == len(waves)
        shift = np.exp(1j * (waves * lattice.base) @ np.array(lattice.low))  # of the first point
        self._shift = self._tensor(shift)
        self._whole = int(np.prod(lattice.sizes))

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, device=self.device)

    def synthesize(self, weights: torch.Tensor) -> torch.Tensor:
        """Values ``(h, n)`` of complex weights ``(h, m)``."""
        spectrum = weights * (0.5 * self._whole * self._shift).to(weights.dtype)
        spectrum = torch.where(self._turned, spectrum.conj(), spectrum)
        full = weights.new_zeros(len(weights), int(np.prod(self.held)))
        if self._single:
            full[:, self._at] = spectrum
        else:
            full.index_add_(1, self._at, spectrum)
        if len(self._both):
            full.index_add_(1, self._mirror, spectrum[:, self._both].conj().resolve_conj())
        return self._inverse(full.reshape(len(weights), *self.held)).reshape(len(weights), -1)

    def analyze(self, values: torch.Tensor) -> torch.Tensor:
        """``sum_x values(x) exp(-i k.x)``, ``(h, m)`` complex, of ``(h, n)``."""
        spectrum = self._forward(values.reshape(len(values), *self.lattice.shape))
        found = spectrum.reshape(len(values), -1)[:, self._at]
        found = torch.where(self._turned, found.conj(), found)
        return found * self._shift.conj().to(found.dtype)

    def _inverse(self, spectrum: torch.Tensor) -> torch.Tensor:
        last, axes = self.lattice.sizes[-1], tuple(range(1, len(self.held)))
        if self.device.type == "cpu":
            array, workers = spectrum.numpy(), threads.count()
            if axes:
                array = scipy.fft.ifftn(array, axes=axes, overwrite_x=True, workers=workers)
            field = torch.from_numpy(scipy.fft.irfft(array, n=last, axis=-1, workers=workers))
        else:
            field = torch.fft.irfft(torch.fft.ifftn(spectrum, dim=axes) if axes else spectrum, n=last, dim=-1)
        if self.lattice.shape != self.lattice.sizes:
            field = field[(slice(None), *(slice(n) for n in self.lattice.shape))].contiguous()
        return field

    def _forward(self, field: torch.Tensor) -> torch.Tensor:
        sizes, axes = self.lattice.sizes, tuple(range(1, len(self.held)))
        if self.device.type == "cpu":
            workers = threads.count()
            half = scipy.fft.rfft(field.numpy(), n=sizes[-1], axis=-1, workers=workers)[..., : self.columns]
            if axes:
                half = scipy.fft.fftn(half, s=sizes[:-1], axes=axes, workers=workers)
            return torch.from_numpy(np.ascontiguousarray(half))
        half = torch.fft.rfft(field, n=sizes[-1], dim=-1)[..., : self.columns]
        return torch.fft.fftn(half, s=sizes[:-1], dim=axes) if axes else half


class NonuniformTransform:
    """Sums of any waves at any points in up to three dimensions, by finufft's third type.

    Parameters
    ----------
    points, wavenumbers
        ``(n, d)`` and ``(m, d)``, real.
    tolerance
        Relative error that finufft is asked for.

    Raises
    ------
    ValueError
        For more than three dimensions.

    Examples
    --------
    >>> scattered = NonuniformTransform(np.array([[0.0], [0.5]]), np.array([[np.pi]]))
    >>> scattered.synthesize(torch.tensor([[2 + 0j]], dtype=torch.complex128)).numpy().round(10).tolist()
    [[2.0, 0.0]]
    """

    def __init__(self, points: np.ndarray, wavenumbers: np.ndarray, tolerance: float = 1e-14):
        if points.shape[1] > 3:
            raise ValueError(f"points must have at most 3 dimensions, got {points.shape[1]}")
        self.points = np.ascontiguousarray(points, dtype=float)
        self.wavenumbers = np.ascontiguousarray(wavenumbers, dtype=float)
        self.size, self.features, self.tolerance = len(points), len(wavenumbers), tolerance

    def synthesize(self, weights: torch.Tensor) -> torch.Tensor:
        """Values ``(h, n)`` of complex weights ``(h, m)``."""
        values = self._transform(self.wavenumbers, self.points, weights.numpy(), +1)
        return torch.from_numpy(np.ascontiguousarray(values.real)).to(weights.real.dtype)

    def analyze(self, values: torch.Tensor) -> torch.Tensor:
        """``sum_x values(x) exp(-i k.x)``, ``(h, m)`` complex, of ``(h, n)``."""
        dtype = torch.complex64 if values.dtype == torch.float32 else torch.complex128
        return torch.from_numpy(self._transform(self.points, self.wavenumbers, values.numpy(), -1)).to(dtype)

    def _transform(self, source: np.ndarray, target: np.ndarray, strengths: np.ndarray, sign: int):
        import finufft

        function = {1: finufft.nufft1d3, 2: finufft.nufft2d3, 3: finufft.nufft3d3}[source.shape[1]]
        strengths = np.ascontiguousarray(strengths, dtype=complex)
        ends = [np.ascontiguousarray(column) for end in (source, target) for column in end.T]
        dimensions = source.shape[1]
        found = function(
            *ends[:dimensions], strengths, *ends[dimensions:], isign=sign, eps=self.tolerance,
            nthreads=threads.count(),
        )  # fmt: skip
        return found.reshape(len(strengths), -1)
