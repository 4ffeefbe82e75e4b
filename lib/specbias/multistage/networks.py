"""One stage's network: tanh layers on a first layer that may be a sine, its loss and exact gradient, float64.

A network is a row of parameters, so that any optimizer can move it. All of it is written with matrix products
and two elementwise functions; with the few units that a stage has, autograd's bookkeeping would cost more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from specbias._checks import check_choice, check_count, check_positive
from specbias.training.tanh import tanh64

FIRST = ("tanh", "sin", "cos")


def check_hidden(hidden: tuple[int, ...]) -> tuple[int, ...]:
    """Return the units of one or more layers as a tuple of ints."""
    if isinstance(hidden, str) or not isinstance(hidden, (Sequence, np.ndarray)):
        raise TypeError(f"hidden must be a tuple with the units of each layer, got {hidden!r}")
    if len(hidden) == 0:
        raise ValueError("hidden must have at least one layer, got none")
    return tuple(check_count("hidden", units) for units in hidden)


@dataclass(frozen=True)
class StageNetwork:
    """``inputs -> hidden -> 1`` with the first layer ``first(scale * (W x + b))`` and tanh behind it.

    Wang & Lai (J. Comput. Phys. 504, 112865, 2024), section 3: from the second stage on the first activation
    is a sine and ``scale`` is their scale factor kappa.

    Raises
    ------
    ValueError, TypeError
        For counts that are not whole numbers from 1 on, no hidden layer, an unknown ``first`` or a ``scale``
        that is not positive.

    Examples
    --------
    >>> net = StageNetwork(1, (20, 20, 20), "sin", 40.0)
    >>> net.size
    901
    >>> row = net.initial(np.random.default_rng(0))
    >>> net.predict(row, np.zeros((5, 1))).shape
    (5,)
    """

    inputs: int
    hidden: tuple[int, ...]
    first: str = "tanh"
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_count("inputs", self.inputs)
        check_hidden(self.hidden)
        check_choice("first", self.first, FIRST)
        check_positive("scale", self.scale)

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """``(rows, columns)`` of each weight matrix."""
        return [(out, into) for into, out in pairwise((self.inputs, *self.hidden, 1))]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(rows * columns + rows for rows, columns in self.shapes)

    def initial(self, generator: np.random.Generator) -> np.ndarray:
        """Xavier's normal distribution cut at two standard deviations, biases 0: what Wang & Lai use."""
        parts = []
        for rows, columns in self.shapes:
            raw = generator.standard_normal((rows, columns))
            while (far := np.abs(raw) > 2).any():
                raw[far] = generator.standard_normal(np.count_nonzero(far))
            parts += [raw.ravel() * (2 / (rows + columns)) ** 0.5, np.zeros(rows)]
        return np.concatenate(parts)

    def layers(self, parameters: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        """Views of the weights and biases of each layer."""
        found, at = [], 0
        for rows, columns in self.shapes:
            weights = parameters[at : at + rows * columns].reshape(rows, columns)
            at += rows * columns
            found.append((weights, parameters[at : at + rows]))
            at += rows
        return found

    def predict(self, parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Outputs ``(n,)`` at ``x`` ``(n, inputs)``, in the precision of ``x``: float64 or longdouble."""
        return self._forward(self.layers(parameters), x)[0]

    def basis(self, parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
        """The functions of the last hidden layer, ``(n, units)``."""
        return self._forward(self.layers(parameters), x)[1][-1]

    def loss_and_gradient(
        self, parameters: np.ndarray, x: np.ndarray, y: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Half the mean square of output minus ``y``, and its gradient ``(P,)``."""
        split = self.layers(parameters)
        output, values, angle = self._forward(split, x)
        residual = output - y
        back = (residual / len(x))[:, None]
        parts = []
        for layer in range(len(split) - 1, -1, -1):
            entering = values[layer - 1] if layer else x
            parts += [back.sum(axis=0), (back.T @ entering).ravel()]
            if layer:
                back = (back @ split[layer][0]) * self._slope(layer - 1, values, angle)
        return 0.5 * float(np.mean(residual**2)), np.concatenate(parts[::-1])

    def _forward(self, split: list, x: np.ndarray) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        """Outputs, values of the hidden layers, and the angles of a first one that is a sine or cosine."""
        angle, values, entering = x, [], x
        for layer, (weights, bias) in enumerate(split[:-1]):
            z = entering @ weights.T + bias
            if layer == 0:
                z *= self.scale
            if layer == 0 and self.first != "tanh":
                angle = z
                entering = np.sin(z) if self.first == "sin" else np.cos(z)
            else:
                entering = z
                if entering.dtype == np.float64:
                    tanh64(entering.reshape(-1), 0, entering.size)  # in place
                else:
                    np.tanh(entering, out=entering)
            values.append(entering)
        weights, bias = split[-1]
        return entering @ weights[0] + bias, values, angle

    def _slope(self, layer: int, values: list[np.ndarray], angle: np.ndarray) -> np.ndarray:
        """Derivative of a hidden layer's values by what its units sum up."""
        if layer == 0 and self.first == "sin":
            return self.scale * np.cos(angle)
        if layer == 0 and self.first == "cos":
            return -self.scale * np.sin(angle)
        slope = 1 - values[layer] ** 2
        return self.scale * slope if layer == 0 else slope
