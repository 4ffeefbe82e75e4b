"""Exact gradients of ReLU networks with two hidden layers and one real input, in one sweep along the points.

On a line, or on a circle, a unit of the first layer is active on one stretch of the sorted points. Between two
places where a unit switches, every unit of the second layer is therefore a fixed linear function ``c . phi(x)`` of
``phi = (x, 1)`` (on the circle ``(cos, sin, 1)``), and switching unit ``j`` adds ``W2[:, j]`` times ``(w_j, b_j)`` to the
coefficients ``c``. The same holds backwards: all that the gradient needs of the points at which unit ``j`` is active
is the sum of ``delta phi`` over a stretch, a difference of two prefix sums. So ``n`` points and ``H`` units a layer
cost ``O(n H + H^2)`` operations instead of ``O(n H^2)``, with the same result: this is a rearrangement of the sums,
not an approximation. For 1500 points and 200 units it is about twenty times faster than the matrix products
(``benchmarks/training.py`` measures it).
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange

from specbias.models import MLP
from specbias.training.stack import Stack

FAST = {"reassoc", "nsz", "contract", "arcp"}  # sums may be reordered for SIMD; nan and infinity keep their meaning


def can_sweep(models: list[MLP], inputs: torch.Tensor, device: torch.device) -> bool:
    """Whether these networks are of the kind that a sweep can train: ReLU, two hidden layers, a line or a circle."""
    first = models[0]
    if device.type != "cpu" or first.activation != "relu" or first.omega != 1.0 or len(first.hidden) != 2:
        return False
    if inputs.shape[2] == 1:
        return True
    return inputs.shape[2] == 2 and bool(torch.allclose(inputs.double().square().sum(2), torch.ones(1).double()))


class SweepStack(Stack):
    """A ``Stack`` whose loss and gradient come from one sweep along the sorted points, in float64 inside."""

    _sorted_for: torch.Tensor | None = None

    def loss(self, inputs: torch.Tensor, targets: torch.Tensor, factor: float) -> torch.Tensor:
        self._sort(inputs, targets)
        w1, w2, w3 = (w.numpy() for w in self.weights)
        b1, b2, b3 = (np.zeros((len(self), 1, 0)) if b is None else b.numpy() for b in self.biases)
        grads = [w.grad.numpy() for w in self.weights]
        bias_grads = [np.zeros((len(self), 1, 0)) if b is None else b.grad.numpy() for b in self.biases]
        losses = np.empty(len(self))
        _sweep_all(self._points, self._values, w1, b1, w2, b2, w3, b3, factor, losses, *grads, *bias_grads)
        return torch.from_numpy(losses)

    def gradient(self, factor: float) -> None:
        """Nothing is left to do: the sweep has filled the gradients already."""

    def _sort(self, inputs: torch.Tensor, targets: torch.Tensor) -> None:
        if self._sorted_for is inputs:
            return
        x = inputs.double().numpy()
        place = x[:, :, 0] if x.shape[2] == 1 else np.arctan2(x[:, :, 1], x[:, :, 0])
        order = np.argsort(place, axis=1, kind="stable")
        self._points = np.take_along_axis(x, order[:, :, None], axis=1)  # (S, n, 1 or 2)
        self._values = np.take_along_axis(targets.double().numpy()[:, :, 0], order, axis=1)  # (S, n)
        self._sorted_for = inputs


@njit(cache=True, inline="always")
def _active(w, b, points, i):
    z = b
    for c in range(w.shape[0]):
        z += w[c] * points[i, c]
    return z > 0.0


@njit(cache=True)
def _switch_on_circle(w, b, points, up):
    """First sorted point at which the unit goes on (``up``) or off, on the circle; -1 if it never does."""
    n = points.shape[0]
    radius = np.hypot(w[0], w[1])
    if radius <= abs(b):
        return -1
    half = np.arccos(-b / radius)
    angle = np.arctan2(w[1], w[0]) + (-half if up else half)
    angle -= 2.0 * np.pi * np.floor((angle + np.pi) / (2.0 * np.pi))
    low, high = 0, n
    while low < high:  # first point beyond the angle
        middle = (low + high) // 2
        if np.arctan2(points[middle, 1], points[middle, 0]) < angle:
            low = middle + 1
        else:
            high = middle
    return low % n


@njit(cache=True)
def _boundaries(w, b, points):
    """The sorted points before which the unit switches, at most two of them, ascending; -1 for none.

    A candidate from the formula may be off by one point through round-off; what counts is the sign at the points.
    """
    n = points.shape[0]
    if w.shape[0] == 1:
        if _active(w, b, points, 0) == _active(w, b, points, n - 1):
            return -1, -1
        low, high = 0, n - 1  # low is like point 0, high is not
        while high - low > 1:
            middle = (low + high) // 2
            if _active(w, b, points, middle) == _active(w, b, points, 0):
                low = middle
            else:
                high = middle
        return high, -1
    first, second = -1, -1
    for up in (True, False):
        near = _switch_on_circle(w, b, points, up)
        if near < 0:
            continue
        for step in range(-1, 2):
            i = (near + step) % n
            if i > 0 and _active(w, b, points, i) == up and _active(w, b, points, i - 1) != up:
                if first < 0:
                    first = i
                elif i != first:
                    second = i
                break
    if second >= 0 and second < first:
        first, second = second, first
    return first, second


@njit(cache=True, fastmath=FAST)
def _add_unit(c, w, b, column, sign):
    """Switch a unit of the first layer: the second layer's coefficients change by ``sign * column * (w, b)``."""
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
    """Add one point to the prefix sums of ``delta phi`` over the points where each second-layer unit is active."""
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
def _sweep(points, values, w1, b1, w2, b2, w3, b3, factor, g1, g2, g3, gb1, gb2, gb3):
    """Loss of one network, and its gradient into ``g1 .. gb3``. All arrays float64; biases zeros where there are none."""
    n, features = points.shape
    units, seconds = w1.shape[0], w3.shape[0]
    columns = np.ascontiguousarray(w2.T)
    # which units switch before which point, as linked lists, and the units that are on at the first point
    head = np.full(n, -1, np.int64)
    link = np.full(2 * units, -1, np.int64)
    on = np.zeros(units, np.bool_)
    c = np.zeros((features + 1, seconds))
    c[features] = b2
    for j in range(units):
        on[j] = _active(w1[j], b1[j], points, 0)
        if on[j]:
            _add_unit(c, w1[j], b1[j], columns[j], 1.0)
        first, second = _boundaries(w1[j], b1[j], points)
        if first > 0:
            link[2 * j], head[first] = head[first], 2 * j
        if second > 0:
            link[2 * j + 1], head[second] = head[second], 2 * j + 1
    sums = np.zeros((features + 1, seconds))
    stretch = np.zeros((units, features + 1, seconds))  # sums over the points at which each unit is on
    z = np.empty(seconds)
    g3[:] = 0.0
    loss = 0.0
    gb3[:] = 0.0
    for i in range(n):
        event = head[i]
        while event >= 0:
            j = event // 2
            sign = -1.0 if on[j] else 1.0
            on[j] = not on[j]
            _add_unit(c, w1[j], b1[j], columns[j], sign)
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
        for k in range(seconds):
            total = b1[j] * stretch[j, features, k]
            for row in range(features):
                total += w1[j, row] * stretch[j, row, k]
            g2[k, j] = w3[k] * total
        for row in range(features):
            total = 0.0
            for k in range(seconds):
                total += columns[j, k] * w3[k] * stretch[j, row, k]
            g1[j, row] = total
        total = 0.0
        for k in range(seconds):
            total += columns[j, k] * w3[k] * stretch[j, features, k]
        gb1[j] = total
    gb2[:] = w3 * sums[features]
    return factor * loss


@njit(cache=True, parallel=True)
def _sweep_all(points, values, w1, b1, w2, b2, w3, b3, factor, losses, g1, g2, g3, gb1, gb2, gb3):
    """Every network's loss and gradient, networks spread over the cores. Shapes as in ``Stack``; no bias: width 0."""
    for s in prange(losses.shape[0]):
        units, seconds = w1.shape[1], w2.shape[1]
        bias1, bias2, bias3 = np.zeros(units), np.zeros(seconds), 0.0
        if b1.shape[2]:
            bias1[:] = b1[s, 0]
        if b2.shape[2]:
            bias2[:] = b2[s, 0]
        if b3.shape[2]:
            bias3 = float(b3[s, 0, 0])
        d1, d2, d3 = np.empty(w1.shape[1:]), np.empty(w2.shape[1:]), np.empty(seconds)
        e1, e2, e3 = np.empty(units), np.empty(seconds), np.zeros(1)
        losses[s] = _sweep(
            points[s], values[s], w1[s].astype(np.float64), bias1, w2[s].astype(np.float64), bias2,
            w3[s, 0].astype(np.float64), bias3, factor, d1, d2, d3, e1, e2, e3,
        )  # fmt: skip
        g1[s], g2[s], g3[s, 0] = d1, d2, d3
        if b1.shape[2]:
            gb1[s, 0] = e1
        if b2.shape[2]:
            gb2[s, 0] = e2
        if b3.shape[2]:
            gb3[s, 0, 0] = e3[0]
