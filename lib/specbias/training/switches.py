"""Where the units of a first layer switch, on a line or on a circle.

A unit's sign is always the sign of the same floating-point sum, so that what is found here is consistent
whatever round-off does: a point on a kink is on one side of it, and on the same side each time it is asked.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ANGLE_ERROR = 1e-14  # of the computed angles of points and of switches, generously


@njit(cache=True)
def _active(w, b, points, i):
    """Whether a unit is on at a point; nothing else decides this, so that round-off never contradicts itself."""
    z = b
    for c in range(w.shape[0]):
        z += w[c] * points[i, c]
    return z > 0.0


@njit(cache=True)
def _switches(w, b, points, angles, slack, found):
    """Write the sorted points before which a unit switches into ``found``; return how many there are."""
    if w.shape[0] == 1:
        return _switches_on_line(w, b, points, found)
    return _switches_on_circle(w, b, points, angles, slack, found)


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
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


@njit(cache=True)
def _scan(w, b, points, first, last, found, count):
    """Append those of the points ``first .. last`` (modulo ``n``) at which the unit switches."""
    n = points.shape[0]
    for index in range(first, last + 1):
        i = index % n
        if i > 0 and _active(w, b, points, i) != _active(w, b, points, i - 1):  # what holds at 0 is the start
            found[count] = i
            count += 1
    return count


@njit(cache=True)
def schedule(w1, b1, points, angles, slack, on):
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
