"""Compiled gradient steps of `specbias.circle`: what a unit does on its arc, what a model does in a step.

The angles are sorted, and their cosines and sines are stored twice in a row, ``(2n,)``: an arc is then a
plain half-open range ``[start, stop)`` with ``0 <= start < n`` and ``stop - start <= n``, wherever on the
circle it lies, and no formula below needs a special case for an arc that passes the first angle.  (Negative
indices wrap as everywhere in NumPy, which walking backwards from the first angle makes use of.)
"""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True)
def _is_on(w_cos, w_sin, bias, i, cosine, sine):
    return w_cos * cosine[i] + w_sin * sine[i] + bias > 0.0


@numba.njit(cache=True)
def _find_arc(w_cos, w_sin, bias, cosine, sine):
    """The range of angles on which the unit is on, by looking at every angle."""
    n = len(cosine) // 2
    start, length = 0, 0
    for i in range(n):
        if _is_on(w_cos, w_sin, bias, i, cosine, sine):
            length += 1
            if not _is_on(w_cos, w_sin, bias, i - 1, cosine, sine):
                start = i
    return start, start + length


@numba.njit(cache=True)
def _move_arc(w_cos, w_sin, bias, start, stop, cosine, sine):
    """The same range, by walking both ends from where they were before the weights changed a little."""
    n = len(cosine) // 2
    if stop - start == 0 or stop - start == n:  # such an arc has no ends to walk from
        if bias * bias > w_cos * w_cos + w_sin * w_sin:  # the bias alone decides, everywhere
            return 0, (n if bias > 0.0 else 0)
        return _find_arc(w_cos, w_sin, bias, cosine, sine)

    if _is_on(w_cos, w_sin, bias, start, cosine, sine):
        while stop - start < n and _is_on(w_cos, w_sin, bias, start - 1, cosine, sine):
            start -= 1
    else:
        while start < stop and not _is_on(w_cos, w_sin, bias, start, cosine, sine):
            start += 1
    if _is_on(w_cos, w_sin, bias, stop - 1, cosine, sine):
        while stop - start < n and _is_on(w_cos, w_sin, bias, stop, cosine, sine):
            stop += 1
    else:
        while start < stop and not _is_on(w_cos, w_sin, bias, stop - 1, cosine, sine):
            stop -= 1

    if stop - start == 0 or stop - start == n:  # the arc jumped away from where it was, or closed on itself
        return _find_arc(w_cos, w_sin, bias, cosine, sine)
    if start < 0:
        return start + n, stop + n
    if start >= n:
        return start - n, stop - n
    return start, stop


@numba.njit(cache=True)
def _switch(jumps, w_cos, w_sin, bias, factor, start, stop):
    """Note where a unit's share of the output, a combination of (cos θ, sin θ, 1), switches on and off."""
    if start == stop:
        return
    jumps[start, 0] += factor * w_cos
    jumps[start, 1] += factor * w_sin
    jumps[start, 2] += factor * bias
    jumps[stop, 0] -= factor * w_cos
    jumps[stop, 1] -= factor * w_sin
    jumps[stop, 2] -= factor * bias


@numba.njit(cache=True)
def _residual_and_loss(jumps, cosine, sine, targets, residual):
    """Sum the jumps up to the output at each angle, and clear them for the next step."""
    n = len(residual)
    along_cosine, along_sine, constant = 0.0, 0.0, 0.0
    for i in range(
        n
    ):  # the first of two turns, so that arcs which reach into the second are on at its beginning
        along_cosine += jumps[i, 0]
        along_sine += jumps[i, 1]
        constant += jumps[i, 2]
    half_sum = 0.0
    for i in range(n):
        along_cosine += jumps[i, 0] + jumps[n + i, 0]
        along_sine += jumps[i, 1] + jumps[n + i, 1]
        constant += jumps[i, 2] + jumps[n + i, 2]
        residual[i] = along_cosine * cosine[i] + along_sine * sine[i] + constant - targets[i]
        half_sum += 0.5 * residual[i] * residual[i]
    jumps[:] = 0.0
    return half_sum


@numba.njit(cache=True)
def _prefix_sums(residual, cosine, sine, sums):
    """Over two turns, sums[i] = Σ_{l<i} residual_l (cos θ_l, sin θ_l, 1)."""
    n = len(residual)
    along_cosine, along_sine, constant = 0.0, 0.0, 0.0
    for i in range(2 * n):
        sums[i, 0] = along_cosine
        sums[i, 1] = along_sine
        sums[i, 2] = constant
        r = residual[i if i < n else i - n]
        along_cosine += r * cosine[i]
        along_sine += r * sine[i]
        constant += r


@numba.njit(cache=True)
def _step_units(weights, signs, arcs, cosine, sine, sums, jumps, output_scale, learning_rate, trains_bias):
    """One gradient step of every unit of one model; its new share of the output goes to `jumps`."""
    for j in range(len(weights)):
        factor = output_scale * signs[j]
        rate = learning_rate * factor
        start, stop = arcs[j, 0], arcs[j, 1]
        w_cos = weights[j, 0] - rate * (sums[stop, 0] - sums[start, 0])
        w_sin = weights[j, 1] - rate * (sums[stop, 1] - sums[start, 1])
        bias = weights[j, 2]
        if trains_bias:
            bias -= rate * (sums[stop, 2] - sums[start, 2])
        start, stop = _move_arc(w_cos, w_sin, bias, start, stop, cosine, sine)
        _switch(jumps, w_cos, w_sin, bias, factor, start, stop)
        weights[j, 0], weights[j, 1], weights[j, 2] = w_cos, w_sin, bias
        arcs[j, 0], arcs[j, 1] = start, stop


@numba.njit(cache=True)
def _begin_model(m, cosine, sine, targets, weights, signs, arcs, residuals, losses, steps,
                 output_scale, stop_below):  # fmt: skip
    jumps = np.zeros((cosine.shape[1], 3))
    for j in range(weights.shape[1]):
        w_cos, w_sin, bias = weights[m, j]
        start, stop = _find_arc(w_cos, w_sin, bias, cosine[m], sine[m])
        _switch(jumps, w_cos, w_sin, bias, output_scale * signs[m, j], start, stop)
        arcs[m, j, 0], arcs[m, j, 1] = start, stop
    losses[m] = _residual_and_loss(jumps, cosine[m], sine[m], targets[m], residuals[m])
    if losses[m] < stop_below:
        steps[m] = 0


@numba.njit(cache=True)
def _advance_model(m, cosine, sine, targets, weights, signs, arcs, residuals, losses, steps,
                   output_scale, stop_below, learning_rate, trains_bias, first_step, count):  # fmt: skip
    jumps = np.zeros((cosine.shape[1], 3))
    sums = np.empty((cosine.shape[1], 3))
    for step in range(first_step + 1, first_step + count + 1):
        if steps[m] >= 0 or not np.isfinite(losses[m]):
            return
        _prefix_sums(residuals[m], cosine[m], sine[m], sums)
        _step_units(weights[m], signs[m], arcs[m], cosine[m], sine[m], sums, jumps,
                    output_scale, learning_rate, trains_bias)  # fmt: skip
        losses[m] = _residual_and_loss(jumps, cosine[m], sine[m], targets[m], residuals[m])
        if losses[m] < stop_below:
            steps[m] = step


# The two functions below only spread models over threads.  They take plain arrays, not tuples of them: in a
# parallel loop, numba 0.68 can silently drop a store to an array that was unpacked from a tuple.


@numba.njit(cache=True, parallel=True)
def begin(cosine, sine, targets, weights, signs, arcs, residuals, losses, steps,
          output_scale, stop_below):  # fmt: skip
    """Find every unit's arc, and every model's residual and loss, before the first step.

    Parameters
    ----------
    cosine, sine : (models, 2n), and targets : (models, n); at sorted angles
    weights : (models, units, 3), and signs : (models, units)
    arcs : (models, units, 2) int32, residuals : (models, n), losses : (models,); are filled
    steps : (models,) int64; becomes 0 where the loss is already below `stop_below`
    """
    for m in numba.prange(len(weights)):
        _begin_model(m, cosine, sine, targets, weights, signs, arcs, residuals, losses, steps,
                     output_scale, stop_below)  # fmt: skip


@numba.njit(cache=True, parallel=True)
def advance(cosine, sine, targets, weights, signs, arcs, residuals, losses, steps,
            output_scale, stop_below, learning_rate, trains_bias, first_step, count):  # fmt: skip
    """Make up to `count` steps with every model that has neither stopped nor diverged, in place."""
    for m in numba.prange(len(weights)):
        _advance_model(m, cosine, sine, targets, weights, signs, arcs, residuals, losses, steps,
                       output_scale, stop_below, learning_rate, trains_bias, first_step, count)  # fmt: skip
