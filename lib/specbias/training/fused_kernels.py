"""The compiled loop of ``training.fused``: many epochs of one network without leaving the processor's cache.

A network is one flat vector of parameters: layer by layer, weights ``(out, in)`` before biases. A block of
points goes forwards through all layers and backwards again before the next block comes, so that nothing
larger than a block is ever written to memory. Matrix products are NumPy's (BLAS), the rest is SIMD code.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numba.extending import overload

from specbias.training.sine import sine32, sine64
from specbias.training.tanh import tanh32, tanh64

TANH, SIN, SIGMOID, RELU = 0, 1, 2, 3
SGD, ADAM = 0, 1
RUNNING, STOPPED, DIVERGED = 0, 1, 2
BLOCK = 128  # points; what two layers of a hundred units need then fits into a core's own cache

FAST = njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy")
STRICT = njit(cache=True, nogil=True, error_model="numpy")


def _tanh(z):
    """Replace ``z (n,)`` by its hyperbolic tangent."""


def _sine(z, cosine):
    """Replace ``z (n,)`` by its sine, and fill ``cosine (n,)``."""


@overload(_tanh)
def _tanh_of_dtype(z):
    kernel = tanh32 if z.dtype == types.float32 else tanh64
    return lambda z: kernel(z, 0, z.size)


@overload(_sine)
def _sine_of_dtype(z, cosine):
    kernel = sine32 if z.dtype == types.float32 else sine64
    return lambda z, cosine: kernel(z, cosine)


@STRICT
def nodes_needed(activation, steepest, tolerance):
    """Chebyshev nodes on [-1, 1] that represent ``activation(a t + c)`` for every ``|a| <= steepest``.

    Where the nearest poles of ``tanh(a t + c)``, at ``pi / 2a`` from the real line, lie on the ellipse of
    parameter ``rho``, interpolation at ``r`` nodes leaves an error of the order of ``rho ** -r`` (Trefethen,
    Approximation Theory and Approximation Practice, Theorem 8.2). For a sine, which has none, the Chebyshev
    coefficients are Bessel functions, at most ``(a / 2) ** r / r!``.
    """
    if activation == RELU or not steepest < 1e6:
        return 1 << 30
    if activation == SIN:
        nodes, term = 0, 1.0
        while term > tolerance or nodes < steepest:
            nodes += 1
            term *= 0.5 * steepest / nodes
        return nodes + 2
    slope = max(0.5 * steepest if activation == SIGMOID else steepest, 1e-3)
    pole = np.pi / (2.0 * slope)
    return int(np.ceil(-np.log(tolerance) / np.log(pole + np.hypot(1.0, pole)))) + 1


@STRICT
def interpolation(x, low, high, nodes):
    """The matrix ``(n, r)`` that takes values at Chebyshev nodes on ``[low, high]`` to the points ``x (n,)``.

    By the second barycentric formula; the nodes are returned too. Both in float64. Distances are taken on
    [-1, 1], where nodes stay apart also if the interval is hardly longer than the round-off of its ends.
    """
    angle = (2.0 * np.arange(nodes) + 1.0) * np.pi / (2.0 * nodes)
    scaled, length = np.cos(angle), high - low
    places = low + 0.5 * length * (1.0 + scaled)
    weights = np.sin(angle)
    weights[1::2] *= -1.0
    matrix = np.empty((x.size, nodes))
    for i in range(x.size):
        hit = -1
        total = 0.0
        t = 2.0 * ((x[i] - low) / length) - 1.0 if length > 0.0 else 0.0
        for q in range(nodes):
            distance = t - scaled[q]
            if distance == 0.0:
                hit = q
            else:
                matrix[i, q] = weights[q] / distance
                total += matrix[i, q]
        if hit < 0:
            matrix[i] /= total
        else:
            matrix[i] = 0.0
            matrix[i, hit] = 1.0
    return matrix, places


@FAST
def _activate(z, derivative, activation, omega):
    """``activation(omega z)`` in place, for ``z (n,)``; its derivative into ``derivative``."""
    one, factor = z.dtype.type(1.0), z.dtype.type(omega)
    if omega != 1.0:
        for i in range(z.size):
            z[i] *= factor
    if activation == TANH:
        _tanh(z)
        for i in range(z.size):
            derivative[i] = factor * (one - z[i] * z[i])
    elif activation == SIN:
        _sine(z, derivative)
        if omega != 1.0:
            for i in range(z.size):
                derivative[i] *= factor
    elif activation == SIGMOID:
        half = z.dtype.type(0.5)
        for i in range(z.size):
            z[i] *= half
        _tanh(z)
        for i in range(z.size):
            z[i] = half + half * z[i]
            derivative[i] = factor * z[i] * (one - z[i])
    else:
        for i in range(z.size):
            derivative[i] = factor if z[i] > 0 else z.dtype.type(0.0)
            z[i] = max(z[i], z.dtype.type(0.0))


@FAST
def _first_layer(x, weight, bias, z):
    """``z = x weight^T + bias`` for few inputs: ``x (m, d)``, ``weight (H, d)``, ``bias (H,)``."""
    for i in range(x.shape[0]):
        for j in range(weight.shape[0]):
            z[i, j] = bias[j]
        for c in range(x.shape[1]):
            value = x[i, c]
            for j in range(weight.shape[0]):
                z[i, j] += value * weight[j, c]


@FAST
def _first_gradient(x, delta, weight, bias):
    """Add the gradient of the first layer's ``weight (H, d)`` and ``bias (H,)``, for ``delta (m, H)``."""
    for i in range(x.shape[0]):
        for j in range(weight.shape[0]):
            bias[j] += delta[i, j]
        for c in range(x.shape[1]):
            value = x[i, c]
            for j in range(weight.shape[0]):
                weight[j, c] += value * delta[i, j]


@FAST
def _add_rows(z, row):
    for i in range(z.shape[0]):
        for j in range(row.size):
            z[i, j] += row[j]


@FAST
def _sum_rows(delta, out):
    for i in range(delta.shape[0]):
        for j in range(out.size):
            out[j] += delta[i, j]


@FAST
def _add(out, values):
    for i in range(out.size):
        out[i] += values[i]


@FAST
def _multiply(out, values):
    for i in range(out.size):
        out[i] *= values[i]


@FAST
def _output(a, derivative, weight, bias, y, factor, delta, g_weight, wants_gradient):
    """The output layer at some points: sum of squares; its gradient, and into ``delta`` what goes back.

    ``delta`` is the gradient with respect to the last hidden layer's pre-activations, ``(m, H)``.
    Returns the sum of squares and the sum of the gradient over the points (the output bias's).
    """
    squares, total = 0.0, 0.0
    for i in range(a.shape[0]):
        u = bias
        for j in range(weight.size):
            u += weight[j] * a[i, j]
        residual = u - y[i]
        squares += float(residual) * float(residual)
        if wants_gradient:
            back = y.dtype.type(2.0 * factor) * residual
            total += back
            for j in range(weight.size):
                g_weight[j] += back * a[i, j]
                delta[i, j] = back * weight[j] * derivative[i, j]
    return squares, total


@FAST
def _adam(theta, gradient, first, second, step, lr, beta1, beta2, epsilon, decay):
    """One step of Adam (Kingma & Ba 2015), as PyTorch defines it."""
    real = theta.dtype.type
    size = real(lr / (1.0 - beta1**step))
    scale, small = real(1.0 / np.sqrt(1.0 - beta2**step)), real(epsilon)
    keep1, new1, keep2, new2 = real(beta1), real(1.0 - beta1), real(beta2), real(1.0 - beta2)
    for i in range(theta.size):
        g = gradient[i] + real(decay) * theta[i]
        first[i] = keep1 * first[i] + new1 * g
        second[i] = keep2 * second[i] + new2 * g * g
        theta[i] -= size * first[i] / (np.sqrt(second[i]) * scale + small)


@FAST
def _descend(theta, gradient, velocity, step, lr, momentum, dampening, nesterov, decay):
    """One step of gradient descent with momentum, as PyTorch defines it."""
    real = theta.dtype.type
    keep = real(momentum)
    new = real(1.0 if step == 1 or momentum == 0.0 else 1.0 - dampening)
    for i in range(theta.size):
        g = gradient[i] + real(decay) * theta[i]
        velocity[i] = keep * velocity[i] + new * g
        theta[i] -= real(lr) * (g + keep * velocity[i] if nesterov else velocity[i])


@STRICT
def _view(vector, offset, rows, columns):
    return vector[offset : offset + rows * columns].reshape(rows, columns)


@STRICT
def train_one(
    theta, first, second, x, y, sizes, offsets, activation, omega, tolerance, optimizer, settings,
    steps, epochs, factor, stop_below, losses,
):  # fmt: skip
    """Train one network for ``epochs`` steps, or until it stops.

    Parameters
    ----------
    theta, first, second : numpy.ndarray
        ``(P,)`` parameters and the optimizer's moments, written.
    x, y : numpy.ndarray
        ``(n, d)`` and ``(n,)`` in the same dtype.
    sizes : numpy.ndarray
        ``(layers + 1,)`` widths, the input's first, the output's (1) last.
    offsets : numpy.ndarray
        ``(layers, 2)``: where each layer's weights and biases begin in ``theta``; -1 for no bias.
    tolerance : float
        Error allowed in interpolating the first layer; 0 to compute it at every point.
    settings : tuple of float
        lr, two numbers of the optimizer, epsilon or nesterov, weight decay.
    steps : int
        Steps of the optimizer made before.
    losses : numpy.ndarray
        ``(epochs,)`` float64, written: the loss before each step.

    Returns
    -------
    int
        RUNNING; or STOPPED or DIVERGED after the last finite entry of ``losses``, whose step was not made.
    """
    n = x.shape[0]
    gradient = np.empty_like(theta)
    w1 = _view(theta, offsets[0, 0], sizes[1], sizes[0])
    low, high = np.float64(x.min()), np.float64(x.max())
    nodes, matrix, places = 0, np.empty((0, 0), theta.dtype), np.empty((0, 1), theta.dtype)
    for epoch in range(epochs):
        if tolerance > 0.0:
            steepest = omega * 0.5 * (high - low) * np.abs(w1).max()
            needed = (nodes_needed(activation, steepest, tolerance) + 7) // 8 * 8
            needed = needed if _worth_it(needed, n, sizes) else 0
            if needed != nodes:  # only the weights decide, so in how many calls one trains changes no digit
                nodes = needed
                exact, at = interpolation(x[:, 0].astype(np.float64), low, high, nodes)
                matrix, places = exact.astype(theta.dtype), at.astype(theta.dtype).reshape(-1, 1)
        gradient[:] = 0
        loss = factor * _loss_and_gradient(
            theta, gradient, x, y, sizes, offsets, activation, omega, factor, matrix, places
        )
        losses[epoch] = loss
        if not np.isfinite(loss):
            return DIVERGED
        if loss < stop_below:
            return STOPPED
        step, (lr, one, two, three, decay) = steps + epoch + 1, settings
        if optimizer == ADAM:
            _adam(theta, gradient, first, second, step, lr, one, two, three, decay)
        else:
            _descend(theta, gradient, first, step, lr, one, two, three != 0.0, decay)
    return RUNNING


@STRICT
def _worth_it(nodes, n, sizes):
    """Whether interpolating at ``nodes`` takes fewer operations than the second layer's products do."""
    if nodes > n:
        return False
    return nodes * (2.0 * n * sizes[2] + 3.0 * sizes[1] * sizes[2]) < 2.7 * n * sizes[1] * sizes[2]


@STRICT
def _loss_and_gradient(theta, gradient, x, y, sizes, offsets, activation, omega, factor, matrix, places):
    """Sum of squares over all points, and the gradient of ``factor`` times that, added into ``gradient``."""
    n, hidden, nodes = x.shape[0], sizes.size - 2, places.shape[0]
    real = theta.dtype
    rows = min(BLOCK, n)
    start = 1 if nodes else 0  # the first layer that is computed at every point
    w1 = _view(theta, offsets[0, 0], sizes[1], sizes[0])
    b1 = theta[offsets[0, 1] : offsets[0, 1] + sizes[1]] if offsets[0, 1] >= 0 else np.zeros(sizes[1], real)
    g1, gb1 = _view(gradient, offsets[0, 0], sizes[1], sizes[0]), np.zeros(sizes[1], real)
    a = [np.empty((rows, sizes[layer + 1]), real) for layer in range(hidden)]
    d = [np.empty((rows, sizes[layer + 1]), real) for layer in range(hidden)]
    back = [np.empty((rows, sizes[layer + 1]), real) for layer in range(hidden)]
    product = np.empty(sizes[1:-1].max() ** 2, real)
    second = sizes[2] if nodes else 1
    at_nodes, slopes = np.empty((nodes, sizes[1]), real), np.empty((nodes, sizes[1]), real)
    folded, pulled, part = (
        np.empty((nodes, second), real), np.zeros((nodes, second), real), np.empty((nodes, second), real)
    )  # fmt: skip
    if nodes:
        _first_layer(places, w1, b1, at_nodes)
        _activate(at_nodes.reshape(-1), slopes.reshape(-1), activation, omega)
        np.dot(at_nodes, _view(theta, offsets[1, 0], sizes[2], sizes[1]).T, folded)
        if offsets[1, 1] >= 0:  # the rows of ``matrix`` sum to one
            _add_rows(folded, theta[offsets[1, 1] : offsets[1, 1] + sizes[2]])
    w_out = theta[offsets[hidden, 0] : offsets[hidden, 0] + sizes[hidden]]
    g_out = gradient[offsets[hidden, 0] : offsets[hidden, 0] + sizes[hidden]]
    b_out = theta[offsets[hidden, 1]] if offsets[hidden, 1] >= 0 else real.type(0.0)
    squares, total = 0.0, 0.0
    for begin in range(0, n, BLOCK):
        m = min(BLOCK, n - begin)
        for layer in range(start, hidden):
            z = a[layer][:m]
            if layer == 0:
                _first_layer(x[begin : begin + m], w1, b1, z)
            elif layer == 1 and nodes:
                np.dot(matrix[begin : begin + m], folded, z)
            else:
                w = _view(theta, offsets[layer, 0], sizes[layer + 1], sizes[layer])
                np.dot(a[layer - 1][:m], w.T, z)
                if offsets[layer, 1] >= 0:
                    _add_rows(z, theta[offsets[layer, 1] : offsets[layer, 1] + sizes[layer + 1]])
            _activate(z.reshape(-1), d[layer][:m].reshape(-1), activation, omega)
        last = hidden - 1
        found, summed = _output(
            a[last][:m], d[last][:m], w_out, b_out, y[begin : begin + m], factor, back[last][:m], g_out, True
        )
        squares += found
        total += summed
        for layer in range(last, 0, -1):
            delta = back[layer][:m]
            if offsets[layer, 1] >= 0:
                _sum_rows(delta, gradient[offsets[layer, 1] : offsets[layer, 1] + sizes[layer + 1]])
            if layer == 1 and nodes:
                np.dot(matrix[begin : begin + m].T, delta, part)
                _add(pulled.reshape(-1), part.reshape(-1))
                break
            w = _view(theta, offsets[layer, 0], sizes[layer + 1], sizes[layer])
            size = sizes[layer + 1] * sizes[layer]
            np.dot(delta.T, a[layer - 1][:m], product[:size].reshape(sizes[layer + 1], sizes[layer]))
            _add(gradient[offsets[layer, 0] : offsets[layer, 0] + size], product[:size])
            np.dot(delta, w, back[layer - 1][:m])
            _multiply(back[layer - 1][:m].reshape(-1), d[layer - 1][:m].reshape(-1))
        if not nodes:
            _first_gradient(x[begin : begin + m], back[0][:m], g1, gb1)
    if nodes:
        size = sizes[2] * sizes[1]
        w2 = _view(theta, offsets[1, 0], sizes[2], sizes[1])
        np.dot(pulled.T, at_nodes, _view(gradient, offsets[1, 0], sizes[2], sizes[1]))
        at_nodes[:] = np.dot(pulled, w2)
        _multiply(at_nodes.reshape(-1), slopes.reshape(-1))
        _first_gradient(places, at_nodes, g1, gb1)
    if offsets[0, 1] >= 0:
        gradient[offsets[0, 1] : offsets[0, 1] + sizes[1]] = gb1
    if offsets[hidden, 1] >= 0:
        gradient[offsets[hidden, 1]] = total
    return squares
