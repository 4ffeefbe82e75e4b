"""Rows of parameters: how many there are, where they start, what the networks compute, and the gradient."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from specbias._checks import check_choice, check_count, check_real
from specbias.ensembles.compiled import PAD, loops

LARGEST = 16  # units a layer, and layers

# name -> whether normal (else uniform on [-1, 1]), and by what weights and biases are multiplied
_INITIAL = {
    "pytorch": (False, lambda fan_in, fan_out: (fan_in**-0.5, fan_in**-0.5)),
    "he": (True, lambda fan_in, fan_out: ((2 / fan_in) ** 0.5, 0.0)),
    "xavier": (True, lambda fan_in, fan_out: ((2 / (fan_in + fan_out)) ** 0.5, 0.0)),
}


def count_parameters(depth: int = 5, width: int = 5) -> int:
    """How many parameters a ``depth x width`` network has.

    Examples
    --------
    >>> count_parameters(), count_parameters(2, 3)
    (136, 22)
    """
    check_shape(depth, width)
    return sum(rows * columns + rows for rows, columns in layer_shapes(depth, width))


def layer_shapes(depth: int, width: int) -> list[tuple[int, int]]:
    """``(rows, columns)`` of each weight matrix, first to last."""
    return [(width, 1), *[(width, width)] * (depth - 1), (1, width)]


def layers(parameters: np.ndarray, depth: int, width: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Views of the weights ``(..., rows, columns)`` and biases ``(..., rows)`` of each layer."""
    found, at = [], 0
    for rows, columns in layer_shapes(depth, width):
        weights = parameters[..., at : at + rows * columns]
        at += rows * columns
        biases = parameters[..., at : at + rows]
        at += rows
        found.append((weights.reshape(*parameters.shape[:-1], rows, columns), biases))
    return found


def initial_parameters(
    models: int, *, depth: int = 5, width: int = 5, seed: int, init: str = "pytorch", dtype: str = "float32"
) -> np.ndarray:
    """Untrained networks, ``(models, P)``; the first of many are the same as few.

    Parameters
    ----------
    models, depth, width
        How many networks of ``depth`` hidden layers of ``width`` units each, both at most 16.
    seed
        Of NumPy's default generator.
    init
        ``"pytorch"``: weights and biases uniform up to ``fan_in ** -0.5``, as ``torch.nn.Linear`` has them.
        ``"he"``, ``"xavier"``: normal with variance ``2 / fan_in``, ``2 / (fan_in + fan_out)``; no biases.
    dtype
        ``"float32"`` or ``"float64"``.

    Raises
    ------
    ValueError, TypeError
        For impossible counts and unknown names.

    Examples
    --------
    >>> few, many = (initial_parameters(count, seed=1) for count in (2, 5))
    >>> many.shape, bool((many[:2] == few).all())
    ((5, 136), True)
    """
    check_shape(depth, width)
    check_count("models", models)
    check_choice("init", init, _INITIAL)
    check_choice("dtype", dtype, ("float32", "float64"))
    shape, generator = (models, count_parameters(depth, width)), np.random.default_rng(seed)
    normal, scales = _INITIAL[init]
    raw = generator.standard_normal(shape) if normal else generator.uniform(-1.0, 1.0, shape)
    for (weights, biases), (rows, columns) in zip(
        layers(raw, depth, width), layer_shapes(depth, width), strict=True
    ):
        of_weights, of_biases = scales(columns, rows)
        weights *= of_weights
        biases *= of_biases
    return raw.astype(dtype)


def predict(parameters: ArrayLike, x: ArrayLike, depth: int = 5, width: int = 5) -> np.ndarray:
    """Outputs ``(models, n)`` at ``x`` ``(n,)``, in the parameters' dtype.

    Examples
    --------
    >>> predict(np.ones((1, 4)), [1.0, 2.0], depth=1, width=1)  # relu(x + 1) + 1
    array([[3., 4.]])
    """
    parameters = check_parameters(parameters, depth, width)
    x = check_points("x", x).astype(parameters.dtype)
    found = np.empty((len(parameters), x.size), parameters.dtype)
    at_once = max(1, 2_000_000 // (width * x.size))
    for start in range(0, len(parameters), at_once):
        *hidden, last = layers(parameters[start : start + at_once], depth, width)
        values = x[None, None, :]
        for weights, biases in hidden:
            values = np.maximum(weights @ values + biases[:, :, None], 0)
        found[start : start + at_once] = (last[0] @ values + last[1][:, :, None])[:, 0]
    return found


def loss_and_gradient(
    parameters: ArrayLike, x: ArrayLike, y: ArrayLike, *, depth: int = 5, width: int = 5
) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared error ``(models,)`` of each network and its gradient ``(models, P)``, compiled.

    At a kink of ReLU the derivative is 0, as PyTorch has it.

    Examples
    --------
    >>> loss, gradient = loss_and_gradient(np.ones((1, 4)), [1.0], [0.0], depth=1, width=1)
    >>> loss, gradient  # of (w2 relu(w1 x + b1) + b2) ** 2
    (array([9.]), array([[ 6.,  6., 12.,  6.]]))
    """
    parameters = check_parameters(parameters, depth, width)
    data = Padded(x, y, depth, width, parameters.dtype)
    loss, gradient = np.empty(len(parameters), parameters.dtype), np.empty_like(parameters)
    loops(width, data.dtype.name).gradients(
        parameters, *data.arrays(), data.zero, 0, len(parameters), gradient, loss
    )
    return loss, gradient


class Padded:
    """Samples filled up with others of weight 0, and scratch memory, all aligned to cache lines."""

    def __init__(self, x: ArrayLike, y: ArrayLike, depth: int, width: int, dtype: np.dtype):
        x, y = check_data(x, y)
        self.dtype, self.zero = np.dtype(dtype), np.dtype(dtype).type(0)
        self.samples, self.depth, self.width = x.size, depth, width
        size = -(-x.size // PAD) * PAD
        self.x, self.y, self.weight = (aligned((size,), self.dtype) for _ in range(3))
        self.x[: x.size], self.y[: x.size], self.weight[: x.size] = x, y, 2 / x.size

    def arrays(self) -> tuple[np.ndarray, ...]:
        """``x, y, weight`` and scratch memory of their own for one thread."""
        size = self.x.size
        shapes = ((self.depth, self.width, size), (2, self.width, size), (size,))
        return self.x, self.y, self.weight, *(aligned(shape, self.dtype) for shape in shapes)


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros that begin at a cache line: vectors that straddle two cost the loops a quarter of their speed."""
    count, size = int(np.prod(shape)), np.dtype(dtype).itemsize
    raw = np.zeros(count + 64 // size, dtype)
    offset = (-raw.ctypes.data % 64) // size
    return raw[offset : offset + count].reshape(shape)


def check_shape(depth: int, width: int) -> None:
    """Both from 1 to 16."""
    for name, value in (("depth", depth), ("width", width)):
        if check_count(name, value) > LARGEST:
            raise ValueError(f"{name} must be at most {LARGEST}, got {value}")


def check_points(name: str, values: ArrayLike) -> np.ndarray:
    """Finite numbers along one axis, at least one."""
    array = check_real(name, values)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must have shape (n,), got {array.shape}")
    return array


def check_data(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """As many finite values ``y`` as points ``x``."""
    x, y = check_points("x", x), check_points("y", y)
    if x.size != y.size:
        raise ValueError(f"y must have as many values as x, got {y.size} and {x.size}")
    return x, y


def check_parameters(parameters: ArrayLike, depth: int, width: int) -> np.ndarray:
    """Rows of the right length, contiguous, float32 or float64 (anything else becomes float64)."""
    check_shape(depth, width)
    array = np.asarray(parameters)
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(float)
    count = count_parameters(depth, width)
    if array.ndim != 2 or array.shape[1] != count or len(array) == 0:
        raise ValueError(
            f"parameters must have shape (models, {count}) for {depth} x {width} networks, got {array.shape}"
        )
    if not np.isfinite(array).all():
        raise ValueError("parameters must be finite, got NaN or infinity")
    return np.ascontiguousarray(array)
