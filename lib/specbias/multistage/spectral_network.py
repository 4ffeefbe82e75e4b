"""A network on top of a layer of waves: residual, loss, gradient, and products with its Jacobian.

Between the waves and the output there are a few tanh layers of some thirty units. They are passed in blocks
of points that stay in the cache, written with matrix products and elementwise functions of PyTorch, so that
the same lines run on the CPU and on a GPU. There is no autograd: its record of all blocks would take the
memory that the fast transforms have saved.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
import torch

from specbias.multistage.blocks import cut, in_blocks, shapes_behind, summed, tanh_in_place

LEAST = 1e-6  # share of the largest column's square below which a column of the Jacobian is not divided by


class SpectralNetwork:
    """``waves -> hidden[0] -> ... -> hidden[-1] -> 1`` with tanh in each hidden layer (Ng, Wang & Lai 2024).

    Parameters
    ----------
    layer
        `AbsorbedLayer` or `FeatureLayer`: what the units of the first hidden layer sum up.
    hidden
        Units of the hidden layers; the first must be those of ``layer``.
    together
        Where the points are shared among processes, the `Slab` that adds up what each finds of its own.

    Attributes
    ----------
    size : int
        Number of parameters: those of the layer, then biases and weights of the others.

    Examples
    --------
    >>> from specbias.multistage.features import AbsorbedLayer
    >>> from specbias.multistage.transforms import GridTransform, Lattice
    >>> transform = GridTransform(Lattice((0.0,), (0.1,), (8,), (8,)), np.array([[1], [2]]))
    >>> net = SpectralNetwork(AbsorbedLayer(transform, 5), (5, 5))
    >>> net.size
    61
    """

    def __init__(self, layer, hidden: tuple[int, ...], together=None):
        self.layer, self.hidden, self.together = layer, tuple(hidden), together
        self._shapes = shapes_behind(self.hidden)
        self.size = layer.size + sum(map(prod, self._shapes))

    def total(self, sums: torch.Tensor) -> torch.Tensor:
        """Sums over the points of this process, summed over all of them."""
        return sums if self.together is None else self.together.total(sums)

    def count(self, here: int) -> int:
        """How many points there are in all, of which so many are here."""
        return here if self.together is None else self.together.points

    def rms(self, values: torch.Tensor) -> float:
        """Root mean square over all points."""
        wide = values.double()
        return float((self.total(wide @ wide) / self.count(len(values))) ** 0.5)

    def split(self, row: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Views of the layer's parameters, and of ``bias, weights, bias, ...`` of the tanh layers."""
        return row[: self.layer.size], cut(row[self.layer.size :], self._shapes)

    def initial(self, first: torch.Tensor, generator: np.random.Generator) -> torch.Tensor:
        """A row that begins with ``first``, the layer's parameters; behind it Xavier's normal, biases 0."""
        parts = [first.cpu().numpy()]
        for shape in self._shapes:
            spread = (2 / sum(shape)) ** 0.5 if len(shape) == 2 else 0.0
            parts.append(spread * generator.standard_normal(prod(shape)))
        return torch.from_numpy(np.concatenate(parts)).to(first.device)

    def predict(self, row: torch.Tensor) -> torch.Tensor:
        """Outputs ``(n,)`` at the points of the layer."""
        part, tail = self.split(row)
        values = self.layer.values(part)
        out = values.new_empty(values.shape[1])

        def one(block: slice) -> None:
            out[block] = self._pass(values[:, block], tail)[1]

        in_blocks(one, values)
        return out

    def basis(self, row: torch.Tensor) -> torch.Tensor:
        """The functions of the last hidden layer, ``(units, n)``."""
        part, tail = self.split(row)
        values = self.layer.values(part)
        return torch.cat(in_blocks(lambda block: self._pass(values[:, block], tail)[0][-1], values), dim=1)

    def loss_and_gradient(
        self, row: torch.Tensor, goal: torch.Tensor, power: int = 2
    ) -> tuple[float, torch.Tensor]:
        """A mean of powers of output minus ``goal``, and its gradient ``(size,)``.

        Half the mean square for ``power`` 2; else ``(mean |r|^p)^(1/p)``, the paper's norm (eq. 7) but for a
        factor that depends on the number of points.
        """
        part, tail = self.split(row)
        values = self.layer.values(part)
        count, total = self.count(values.shape[1]), 0.0
        if power != 2:  # the slope needs the norm, hence a pass of its own
            total = self._norm(row, goal, power)

        def one(block: slice) -> tuple[float, list[torch.Tensor]]:
            states, out = self._pass(values[:, block], tail)
            left = out - goal[block]
            square = float(left @ left)
            if power != 2:
                left = torch.sign(left) * (left.abs() / max(total, 1e-300)) ** (power - 1)
            slopes = [1 - state**2 for state in states]
            values[:, block], gradient = self._back(left / count, states, slopes, tail)
            return square, gradient

        found = in_blocks(one, values)
        if power == 2:
            total = 0.5 * float(self.total(values.new_tensor(sum(square for square, _ in found)))) / count
        gradient = self.total(torch.cat(summed([parts for _, parts in found])))
        return total, torch.cat([self.layer.gradient(part, values), gradient])

    def as_function(
        self, goal: torch.Tensor, power: int = 2
    ) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        """`loss_and_gradient` of NumPy rows, as `minimize` takes it."""

        def value(row: np.ndarray) -> tuple[float, np.ndarray]:
            loss, gradient = self.loss_and_gradient(torch.from_numpy(row).to(goal.device), goal, power)
            return loss, gradient.cpu().numpy()

        return value

    def _norm(self, row: torch.Tensor, goal: torch.Tensor, power: int) -> float:
        """``(mean |r|^p)^(1/p)`` over all points; powers are taken of numbers near 1."""
        left = (self.predict(row) - goal).abs()
        largest = float(self.together.largest(left.max()) if self.together else left.max())
        if largest == 0:
            return 0.0
        sums = in_blocks(lambda block: ((left[block] / largest) ** power).sum(), left[None])
        mean = float(self.total(torch.stack(sums).sum())) / self.count(len(left))
        return largest * mean ** (1 / power)

    def residual(self, row: torch.Tensor, goal: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Output minus ``goal``, ``(n,)``, and the values of the hidden layers, ``(units, n)`` each."""
        part, tail = self.split(row)
        values = self.layer.values(part)
        kept = [values, *(values.new_empty(units, values.shape[1]) for units in self.hidden[1:])]
        left = torch.empty_like(goal)

        def one(block: slice) -> None:
            states, out = self._pass(values[:, block], tail)
            for keep, state in zip(kept, states, strict=True):
                keep[:, block] = state
            left[block] = out - goal[block]

        in_blocks(one, values)
        return left, kept

    def linearize(self, row: torch.Tensor, states: list[torch.Tensor], dtype: torch.dtype) -> Linearization:
        """The Jacobian of the residual, as products with it; the layer must be linear in its parameters."""
        return Linearization(self, row, states, dtype)

    @staticmethod
    def _pass(values: torch.Tensor, tail: list[torch.Tensor]) -> tuple[list[torch.Tensor], torch.Tensor]:
        """States of the hidden layers, and the output, of one block of the first layer's sums."""
        states = [tanh_in_place(values + tail[0][:, None])]
        for weights, bias in zip(tail[1:-2:2], tail[2:-2:2], strict=True):
            states.append(tanh_in_place(torch.addmm(bias[:, None], weights, states[-1])))
        return states, tail[-2][0] @ states[-1] + tail[-1]

    @staticmethod
    def _back(
        left: torch.Tensor, states: list[torch.Tensor], slopes: list[torch.Tensor], tail: list[torch.Tensor]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """One block's part of the gradient by the first layer's sums, and by ``tail``."""
        gradient = [left.sum()[None], (states[-1] @ left)[None]]
        back = torch.outer(tail[-2][0], left)
        for layer in range(len(states) - 1, 0, -1):
            back *= slopes[layer]
            gradient += [back.sum(dim=1), back @ states[layer - 1].T]
            back = tail[2 * layer - 1].T @ back
        back *= slopes[0]
        return back, [*gradient, back.sum(dim=1)][::-1]


class Linearization:
    """The Jacobian ``J`` of a network's residual at one place, its columns divided by their lengths.

    All is kept in ``dtype``: in single precision a product takes half of the time, and a solution that is
    right to three digits is all that a step of Gauss–Newton needs.

    Attributes
    ----------
    scale : torch.Tensor
        ``(size,)``: a solution times this is a change of the parameters. Root mean squares of the columns
        are what a diagonal preconditioner knows; those of one unit's waves are taken to be equal.
    """

    def __init__(
        self, network: SpectralNetwork, row: torch.Tensor, states: list[torch.Tensor], dtype: torch.dtype
    ):
        self.network, self.dtype = network, dtype
        self.tail = [part.to(dtype) for part in network.split(row)[1]]
        self.states = [state.to(dtype) for state in states]
        self.slopes = [1 - state**2 for state in self.states]
        self.count = self.states[0].shape[1]
        squares = self._squares() / network.count(self.count)
        self.scale = (1 / torch.sqrt(squares.clamp(min=LEAST * float(squares.max())))).to(dtype)

    def forward(self, change: torch.Tensor) -> torch.Tensor:
        """``J change``, ``(n,)``."""
        part, by = self.network.split(change * self.scale)
        values = self.network.layer.values(part)
        out = values.new_empty(self.count)

        def one(block: slice) -> None:
            states, slopes = self._of(block)
            moved = (values[:, block] + by[0][:, None]) * slopes[0]
            for layer in range(1, len(states)):
                moved = torch.addmm(by[2 * layer][:, None], self.tail[2 * layer - 1], moved)
                moved.addmm_(by[2 * layer - 1], states[layer - 1]).mul_(slopes[layer])
            out[block] = self.tail[-2][0] @ moved + by[-2][0] @ states[-1] + by[-1]

        in_blocks(one, values)
        return out

    def adjoint(self, values: torch.Tensor) -> torch.Tensor:
        """``J^T values``, ``(size,)``."""
        first = torch.empty_like(self.states[0])

        def one(block: slice) -> list[torch.Tensor]:
            first[:, block], gradient = self.network._back(values[block], *self._of(block), self.tail)
            return gradient

        gradient = self.network.total(torch.cat(summed(in_blocks(one, first))))
        return torch.cat([self.network.layer.gradient(None, first), gradient]) * self.scale

    def _of(self, block: slice) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        return [one[:, block] for one in self.states], [one[:, block] for one in self.slopes]

    def _squares(self) -> torch.Tensor:
        """Sums of squares of the columns of the Jacobian, ``(size,)``."""

        def one(block: slice) -> list[torch.Tensor]:
            states, slopes = self._of(block)
            back = self.tail[-2][0][:, None] * slopes[-1]
            found = [torch.full_like(self.tail[-1], back.shape[1]), (states[-1] ** 2).sum(dim=1)]
            for layer in range(len(states) - 1, 0, -1):
                square = back**2
                found += [square.sum(dim=1), square @ (states[layer - 1] ** 2).T]
                back = (self.tail[2 * layer - 1].T @ back) * slopes[layer - 1]
            return [*found, (back**2).sum(dim=1)][::-1]

        found = self.network.total(torch.cat(summed(in_blocks(one, self.states[0]))))
        units = len(self.states[0])
        each_unit = self.network.layer.size // units
        return torch.cat([(found[:units] / 2).repeat_interleave(each_unit), found])
