"""A plane shared among processes: each has a slab of rows, and its part of the Fourier transform.

As in pseudo-spectral codes: of a spectrum each process holds some columns, transforms them along the first
axis, hands to each of the others its rows, and transforms the rows that it gets along the second. The tanh
layers need nothing of each other's points; of sums over points the processes add their parts.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
import torch
import torch.distributed as dist

from specbias.multistage.transforms import Lattice
from specbias.training import threads


class Slab:
    """The rows of this process, of a plane that all processes of ``torch.distributed`` share.

    Parameters
    ----------
    lattice
        Of the whole plane, periodic, in two dimensions.
    wavenumbers
        ``(m, 2)``, whole waves in a period, each only once.

    Attributes
    ----------
    rows : slice
        Of the plane's first axis, those of this process.
    points : int
        Of the whole plane.
    size, features : int
        Points of this process, and waves.

    Raises
    ------
    ValueError
        If the lattice is not periodic in two dimensions, or there are fewer rows than processes.
    """

    def __init__(self, lattice: Lattice, wavenumbers: np.ndarray):
        if len(lattice.shape) != 2 or lattice.shape != lattice.sizes:
            raise ValueError(f"lattice must be periodic in two dimensions, got {lattice}")
        self.rank, self.others = dist.get_rank(), dist.get_world_size()
        if lattice.shape[0] < self.others:
            raise ValueError(f"lattice must have a row for each of {self.others} processes")
        self.lattice, self.features = lattice, len(wavenumbers)
        self.points = lattice.shape[0] * lattice.shape[1]
        self.row_ends = self._shares(lattice.shape[0])
        self.column_ends = self._shares(lattice.shape[1] // 2 + 1)
        self.rows = slice(*self.row_ends[self.rank : self.rank + 2])
        self.size = (self.rows.stop - self.rows.start) * lattice.shape[1]
        sizes, waves = np.array(lattice.sizes), np.asarray(wavenumbers)
        self._shift = np.exp(1j * (waves * lattice.base) @ np.array(lattice.low))
        self._places = [self._place(sign * waves % sizes) for sign in (1, -1)]

    def total(self, sums: torch.Tensor) -> torch.Tensor:
        """The sum over all processes; they add in the same order, so that they go on alike."""
        sums = sums.clone()
        dist.all_reduce(sums)
        return sums

    def largest(self, value: torch.Tensor) -> torch.Tensor:
        """The largest of all processes' values."""
        value = value.clone()
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return value

    def synthesize(self, weights: torch.Tensor) -> torch.Tensor:
        """Values ``(h, size)`` at the points of this process, of complex weights ``(h, m)``."""
        spectrum = weights.numpy() * (0.5 * self._shift).astype(weights.numpy().dtype)
        mine = np.zeros((len(weights), self.lattice.shape[0], self._columns()), spectrum.dtype)
        for (waves, kx, ky), part in zip(self._places, (spectrum, spectrum.conj()), strict=True):
            mine[:, kx, ky] += part[:, waves]
        mine = scipy.fft.ifft(mine, axis=1, norm="forward", workers=threads.count())
        rows = self._exchange([mine[:, a:b] for a, b in self._pairs(self.row_ends)], axis=2)
        field = scipy.fft.irfft(rows, n=self.lattice.shape[1], axis=2, norm="forward")
        return torch.from_numpy(field.reshape(len(weights), -1))

    def analyze(self, values: torch.Tensor) -> torch.Tensor:
        """``sum_x values(x) exp(-i k.x)`` over the points of all processes, ``(h, m)`` complex."""
        rows = values.numpy().reshape(len(values), -1, self.lattice.shape[1])
        rows = scipy.fft.rfft(rows, axis=2, workers=threads.count())
        mine = self._exchange([rows[:, :, a:b] for a, b in self._pairs(self.column_ends)], axis=1)
        mine = scipy.fft.fft(mine, axis=1, workers=threads.count())
        found = np.zeros((len(values), self.features), mine.dtype)
        waves, kx, ky = self._places[1]
        found[:, waves] = mine[:, kx, ky].conj()
        waves, kx, ky = self._places[0]
        found[:, waves] = mine[:, kx, ky]
        here = torch.from_numpy(found)
        owned = torch.zeros(self.features)
        for place in self._places:  # a wave whose conjugate is in another process's column is found twice
            owned[torch.from_numpy(place[0])] = 1
        dist.all_reduce(owned)
        dist.all_reduce(torch.view_as_real(here))
        return here / owned * torch.from_numpy(self._shift.conj()).to(here.dtype)

    def _shares(self, count: int) -> list[int]:
        return [count * part // self.others for part in range(self.others + 1)]

    @staticmethod
    def _pairs(ends: list[int]) -> list[tuple[int, int]]:
        return list(zip(ends[:-1], ends[1:], strict=True))

    def _columns(self) -> int:
        return self.column_ends[self.rank + 1] - self.column_ends[self.rank]

    def _place(self, folded: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Which waves stand in the columns of this process, and where."""
        low, high = self.column_ends[self.rank : self.rank + 2]
        waves = np.flatnonzero((folded[:, 1] >= low) & (folded[:, 1] < high))
        return waves, folded[waves, 0], folded[waves, 1] - low

    def _exchange(self, parts: list[np.ndarray], axis: int) -> np.ndarray:
        """Hand each process its part, and join along ``axis`` what they hand to this one."""
        shapes = [list(part.shape) for part in parts]
        widths = self._pairs(self.column_ends if axis == 2 else self.row_ends)
        mine = shapes[self.rank]
        found, waiting = [], []
        for other, (part, (low, high)) in enumerate(zip(parts, widths, strict=True)):
            if other == self.rank:
                found.append(np.ascontiguousarray(part))
                continue
            mine[axis] = high - low
            found.append(np.empty(mine, part.dtype))
            for send, array in ((True, np.ascontiguousarray(part)), (False, found[-1])):
                flat = torch.view_as_real(torch.from_numpy(array))
                waiting.append(dist.P2POp(dist.isend if send else dist.irecv, flat, other))
        for one in dist.batch_isend_irecv(waiting) if waiting else ():
            one.wait()
        return np.concatenate(found, axis=axis)
