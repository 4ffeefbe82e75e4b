"""Exact gradients of ReLU networks with two hidden layers and one real input, in one sweep along the points.

On a line, or on a circle, a unit of the first layer is active on one stretch of the sorted points. Between
two places where a unit switches, every unit of the second layer is therefore a fixed linear function
``c . phi(x)`` of ``phi = (x, 1)`` (on the circle ``(cos, sin, 1)``), and switching unit ``j`` adds
``W2[:, j]`` times ``(w_j, b_j)`` to the coefficients ``c``. The same holds backwards: all that the gradient
needs of the points at which unit ``j`` is active is the sum of ``delta phi`` over a stretch, a difference of
two prefix sums. So ``n`` points and ``H`` units a layer cost ``O(n H + H^2)`` operations instead of
``O(n H^2)``, with the same result: this is a rearrangement of the sums, not an approximation.
``benchmarks/training.py`` measures what it saves.

Its round-off is relative to the largest pre-activation anywhere on the line, not to the one at hand. Only a
network on the verge of overflowing can tell: its last epochs may differ from those of the matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from specbias.models import MLP
from specbias.training.stack import Stack
from specbias.training.sweep_kernels import sweep_some
from specbias.training.threads import share


def can_sweep(models: Sequence[MLP], inputs: torch.Tensor, device: torch.device) -> bool:
    """Whether a sweep can train these networks: ReLU, two hidden layers, a line or a circle, on the CPU."""
    first = models[0]
    if device.type != "cpu" or first.activation != "relu" or first.omega != 1.0 or len(first.hidden) != 2:
        return False
    if inputs.shape[2] == 1:
        return True
    return inputs.shape[2] == 2 and bool((inputs.double().norm(dim=2) - 1.0).abs().max() < 1e-5)


class SweepStack(Stack):
    """A ``Stack`` whose loss and gradient come from one sweep along the sorted points, in float64 inside."""

    _sorted_for: torch.Tensor | None = None

    def loss(self, inputs: torch.Tensor, targets: torch.Tensor, factor: float) -> torch.Tensor:
        """``factor`` times the sum of squares, ``(S,)`` float64; fills the gradients at the same time."""
        self._sort(inputs, targets)
        layers = [self._layer(weight, bias) for weight, bias in zip(self.weights, self.biases, strict=True)]
        data = (self._points, self._angles, self._slack, self._values)
        losses = np.empty(len(self))
        work = self._values.size * self.weights[2].shape[2]
        share(lambda begin, end: sweep_some(begin, end, data, *layers, factor, losses), len(self), work)
        return torch.from_numpy(losses)

    def gradient(self, factor: float) -> None:
        """Nothing is left to do: the sweep has filled the gradients already."""

    @staticmethod
    def _layer(weight: torch.Tensor, bias: torch.Tensor | None) -> tuple[np.ndarray, ...]:
        """Weight, bias and where their gradients go, on the same memory; an absent bias has width 0."""
        if bias is None:
            absent = np.empty((len(weight), 1, 0), weight.numpy().dtype)
            return weight.numpy(), absent, weight.grad.numpy(), absent
        return weight.numpy(), bias.numpy(), weight.grad.numpy(), bias.grad.numpy()

    def _sort(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        """Sort the points along the line or the circle, unless these are the ones of last time."""
        if self._sorted_for is inputs:
            return
        x = inputs.double().numpy()
        on_circle = x.shape[2] == 2
        place = np.arctan2(x[:, :, 1], x[:, :, 0]) if on_circle else x[:, :, 0]
        order = np.argsort(place, axis=1, kind="stable")
        self._points = np.take_along_axis(x, order[:, :, None], axis=1)  # (S, n, 1 or 2)
        self._angles = np.take_along_axis(place, order, axis=1)  # (S, n)
        self._values = np.take_along_axis(targets.double().numpy()[:, :, 0], order, axis=1)  # (S, n)
        # how far a point may be from the circle, and the round-off of a pre-activation
        self._slack = float(np.abs(np.hypot(x[..., 0], x[..., 1]) - 1).max()) + 1e-14 if on_circle else 0.0
        self._sorted_for = inputs
