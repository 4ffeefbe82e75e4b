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
from numba import njit

from specbias.models import MLP
from specbias.training.stack import Stack
from specbias.training.switches import schedule
from specbias.training.threads import share

# sums may be reordered for SIMD; nan and infinity keep their meaning
FAST = {"reassoc", "nsz", "contract", "arcp"}


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
        share(lambda begin, end: _sweep_some(begin, end, data, *layers, factor, losses), len(self), work)
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


@njit(cache=True, fastmath=FAST)
def _add_unit(c, w, b, column, sign):
    """Switch a unit of the first layer: the coefficients change by ``sign * column * (w, b)``."""
    last = c.shape[0] - 1
    for row in range(last):
        scale = sign * w[row]
        for k in range(column.shape[0]):
            c[row, k] += scale * column[k]
    scale = sign * b
    for k in range(column.shape[0]):
        c[last, k] += scale * column[k]


@njit(cache=True, fastmath=FAST)
def _one_point(c, phi, w3, z, b3, target):
    """The residual at one point; leaves the second layer's pre-activations in ``z``."""
    u = 0.0
    if c.shape[0] == 2:
        for k in range(z.shape[0]):
            z[k] = c[0, k] * phi[0] + c[1, k]
            u += w3[k] * max(z[k], 0.0)
    else:
        for k in range(z.shape[0]):
            z[k] = c[0, k] * phi[0] + c[1, k] * phi[1] + c[2, k]
            u += w3[k] * max(z[k], 0.0)
    return u + b3 - target


@njit(cache=True, fastmath=FAST)
def _accumulate(sums, phi, z, delta, g3):
    """Add one point to the sums of ``delta phi`` over the points where each second-layer unit is on."""
    if sums.shape[0] == 2:
        d0 = delta * phi[0]
        for k in range(z.shape[0]):
            on = 1.0 if z[k] > 0.0 else 0.0
            sums[0, k] += on * d0
            sums[1, k] += on * delta
            g3[k] += on * delta * z[k]
    else:
        d0, d1 = delta * phi[0], delta * phi[1]
        for k in range(z.shape[0]):
            on = 1.0 if z[k] > 0.0 else 0.0
            sums[0, k] += on * d0
            sums[1, k] += on * d1
            sums[2, k] += on * delta
            g3[k] += on * delta * z[k]


@njit(cache=True, fastmath=FAST)
def _sweep(points, angles, slack, values, w1, b1, w2, b2, w3, b3, factor, g1, g2, g3, gb1, gb2, gb3):
    """Loss of one network, and its gradient into ``g1 .. gb3``. All float64; absent biases are 0."""
    n, features = points.shape
    units, seconds = w1.shape[0], w3.shape[0]
    columns = np.ascontiguousarray(w2.T)
    on = np.zeros(units, np.bool_)
    head, link, unit = schedule(w1, b1, points, angles, slack, on)
    c = np.zeros((features + 1, seconds))  # the second layer's pre-activations are c . (x, 1)
    c[features] = b2
    for j in range(units):
        if on[j]:
            _add_unit(c, w1[j], b1[j], columns[j], 1.0)
    sums = np.zeros((features + 1, seconds))
    stretch = np.zeros((units, features + 1, seconds))  # sums over the points at which each unit is on
    z = np.empty(seconds)
    count_on = on.sum()
    loss = 0.0
    g3[:] = 0.0
    gb3[:] = 0.0
    for i in range(n):
        event = head[i]
        while event >= 0:
            j = unit[event]
            sign = -1.0 if on[j] else 1.0
            on[j] = not on[j]
            count_on += int(sign)
            _add_unit(c, w1[j], b1[j], columns[j], sign)
            if count_on == 0:  # nothing but the bias, without the round-off of what came and went
                c[:features] = 0.0
                c[features] = b2
            stretch[j] -= sign * sums
            event = link[event]
        residual = _one_point(c, points[i], w3, z, b3, values[i])
        loss += residual * residual
        delta = 2.0 * factor * residual
        _accumulate(sums, points[i], z, delta, g3)
        gb3 += delta
    for j in range(units):
        if on[j]:
            stretch[j] += sums
        _unit_gradient(stretch[j], w1[j], b1[j], columns[j], w3, g1[j], g2[:, j], gb1[j : j + 1])
    gb2[:] = w3 * sums[features]
    return factor * loss


@njit(cache=True, fastmath=FAST)
def _unit_gradient(stretch, w, b, column, w3, g1, g2, gb1):
    """The gradient of a first-layer unit's weights, of its bias, and of its column of the second layer."""
    last = w.shape[0]
    for k in range(w3.shape[0]):
        total = b * stretch[last, k]
        for row in range(last):
            total += w[row] * stretch[row, k]
        g2[k] = w3[k] * total
    for row in range(last + 1):
        total = 0.0
        for k in range(w3.shape[0]):
            total += column[k] * w3[k] * stretch[row, k]
        if row < last:
            g1[row] = total
        else:
            gb1[0] = total


@njit(cache=True, nogil=True)
def _sweep_some(begin, end, data, first, second, third, factor, losses):
    """Loss and gradient of the networks from ``begin`` to ``end``.

    ``data`` is ``(points, angles, slack, values)``; a layer is ``(weight, bias, weight's gradient,
    bias's)`` with shapes as in ``Stack``, a bias of width 0 where there is none.
    """
    points, angles, slack, values = data
    (w1, b1, g1, gb1), (w2, b2, g2, gb2), (w3, b3, g3, gb3) = first, second, third
    units, seconds = w1.shape[1], w2.shape[1]
    d1, d2, d3 = np.empty(w1.shape[1:]), np.empty(w2.shape[1:]), np.empty(seconds)
    e1, e2, e3 = np.empty(units), np.empty(seconds), np.empty(1)
    for s in range(begin, end):
        bias1, bias2, bias3 = _bias(b1[s, 0], units), _bias(b2[s, 0], seconds), _bias(b3[s, 0], 1)
        losses[s] = _sweep(
            points[s], angles[s], slack, values[s], w1[s].astype(np.float64), bias1,
            w2[s].astype(np.float64), bias2, w3[s, 0].astype(np.float64), bias3[0], factor,
            d1, d2, d3, e1, e2, e3,
        )  # fmt: skip
        g1[s], g2[s], g3[s, 0] = d1, d2, d3
        gb1[s, 0], gb2[s, 0], gb3[s, 0] = e1[: b1.shape[2]], e2[: b2.shape[2]], e3[: b3.shape[2]]


@njit(cache=True)
def _bias(bias, width):
    """A bias in float64, zeros where there is none."""
    full = np.zeros(width)
    full[: bias.size] = bias
    return full
