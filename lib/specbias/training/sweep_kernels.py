"""The compiled loops of the sweep: where the first layer's units switch, then loss and gradient in one pass.

All of them are in one file because Numba notices a change of a function that it has cached, but not a change
of one in another file that it calls.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ANGLE_ERROR = 1e-14  # of the computed angles of points and of switches, generously
# sums may be reordered for SIMD; nan and infinity keep their meaning
FAST = njit(cache=True, fastmath={"reassoc", "nsz", "contract", "arcp"})
# not left out: Numba makes fast what a fast function calls, and the same sum may then differ by its place
STRICT = njit(cache=True, fastmath=False)


@njit(cache=True, nogil=True, fastmath=False)
def sweep_some(begin, end, data, first, second, third, factor, losses):
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


@STRICT
def _active(w, b, points, i):
    """Whether a unit is on at a point. Nothing else decides it: round-off must not contradict itself."""
    z = b
    for c in range(w.shape[0]):
        z += w[c] * points[i, c]
    return z > 0.0


@STRICT
def _switches(w, b, points, angles, slack, found):
    """Write the sorted points before which a unit switches into ``found``; return how many there are."""
    if w.shape[0] == 1:
        return _switches_on_line(w, b, points, found)
    return _switches_on_circle(w, b, points, angles, slack, found)


@STRICT
def _switches_on_line(w, b, points, found):
    """At most one: the computed pre-activation is monotone along the line, so bisection finds it."""
    low, high = 0, points.shape[0] - 1
    start = _active(w, b, points, low)
    if _active(w, b, points, high) == start:
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        if _active(w, b, points, middle) == start:
            low = middle
        else:
            high = middle
    found[0] = high
    return 1


@STRICT
def _switches_on_circle(w, b, points, angles, slack, found):
    """Usually none or two; more where round-off makes the sign flicker.

    At the angle ``t`` from the direction of ``w`` the pre-activation is ``|w| cos(t) + b``. So the unit is
    surely on up to an angle ``inner`` and surely off beyond ``outer``, on both sides; between the two, where
    round-off (and the distance of float32 points from the circle) decides, every point is looked at.
    """
    n = points.shape[0]
    radius = np.hypot(w[0], w[1])
    if abs(b) >= radius * (1.0 + slack):
        return 0  # always on, or always off
    inner, outer = 0.0, np.pi  # below, products would lose digits to underflow: look everywhere
    if radius > 1e-290:
        level = -b / radius
        inner = max(np.arccos(min(max(level + slack, -1.0), 1.0)) - ANGLE_ERROR, 0.0)
        outer = min(np.arccos(max(min(level - slack, 1.0), -1.0)) + ANGLE_ERROR, np.pi)
    direction = np.arctan2(w[1], w[0])
    on_from, on_until = _beyond(direction - outer, angles), _beyond(direction - inner, angles)
    off_from, off_until = _beyond(direction + inner, angles), _beyond(direction + outer, angles)
    count = _scan(w, b, points, on_from, min(on_until, on_from + n - 1), found, 0)
    return _scan(w, b, points, max(off_from, on_until + 1), min(off_until, on_from + n - 1), found, count)


@STRICT
def _beyond(angle, angles):
    """Index of the first sorted point at or beyond an angle; ``n`` more for each turn of the angle."""
    turns = np.floor((angle + np.pi) / (2.0 * np.pi))
    angle -= 2.0 * np.pi * turns
    low, high = 0, angles.size
    while low < high:
        middle = (low + high) // 2
        if angles[middle] < angle:
            low = middle + 1
        else:
            high = middle
    return low + int(turns) * angles.size


@STRICT
def _scan(w, b, points, first, last, found, count):
    """Append those of the points ``first .. last`` (modulo ``n``) at which the unit switches."""
    n = points.shape[0]
    for index in range(first, last + 1):
        i = index % n
        if i > 0 and _active(w, b, points, i) != _active(w, b, points, i - 1):  # what holds at 0 is the start
            found[count] = i
            count += 1
    return count


@STRICT
def _schedule(w1, b1, points, angles, slack, on):
    """When which unit switches, as linked lists; into ``on``, which are on at the first point.

    Parameters
    ----------
    w1, b1 : numpy.ndarray
        ``(units, 1 or 2)`` and ``(units,)`` float64.
    points, angles : numpy.ndarray
        ``(n, 1 or 2)`` sorted along the line or, by their ``angles (n,)``, along the circle.
    slack : float
        How far a point may be from the circle, and more than the round-off of a pre-activation.
    on : numpy.ndarray
        ``(units,)`` bool, written.

    Returns
    -------
    head, link, unit : numpy.ndarray
        ``head[i]`` is the first switch before point ``i``, ``link[switch]`` the next one at the same point,
        -1 for none; ``unit[switch]`` is the unit that switches.
    """
    n, units = points.shape[0], w1.shape[0]
    head, found = np.full(n, -1), np.empty(n, np.int64)
    link, unit = np.empty(2 * units, np.int64), np.empty(2 * units, np.int64)
    switches = 0
    for j in range(units):
        if not np.abs(w1[j]).sum() + abs(b1[j]) < np.inf:
            on[j] = True  # everywhere, so that what is not finite spreads to the loss
            continue
        on[j] = _active(w1[j], b1[j], points, 0)
        for index in found[: _switches(w1[j], b1[j], points, angles, slack, found)]:
            if switches == link.size:
                link, unit = np.append(link, link), np.append(unit, unit)
            unit[switches], link[switches], head[index] = j, head[index], switches
            switches += 1
    return head, link, unit


@FAST
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


@FAST
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


@FAST
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


@FAST
def _sweep(points, angles, slack, values, w1, b1, w2, b2, w3, b3, factor, g1, g2, g3, gb1, gb2, gb3):
    """Loss of one network, and its gradient into ``g1 .. gb3``. All float64; absent biases are 0."""
    n, features = points.shape
    units, seconds = w1.shape[0], w3.shape[0]
    columns = np.ascontiguousarray(w2.T)
    on = np.zeros(units, np.bool_)
    head, link, unit = _schedule(w1, b1, points, angles, slack, on)
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


@FAST
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


@STRICT
def _bias(bias, width):
    """A bias in float64, zeros where there is none."""
    full = np.zeros(width)
    full[: bias.size] = bias
    return full
