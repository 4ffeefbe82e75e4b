"""A small ReLU network at its samples: masks, derivatives of the output, Jacobian and Hessian of the loss.

`specbias.landscape.hessian` says how the Hessian comes about, and what is done at a kink.
"""

from __future__ import annotations

import numpy as np

from specbias.ensembles.networks import layers

_NULL = 1e-12  # singular values that are 0, relative to the largest: rounding leaves about 1e-15
_KINK = 1e-12  # values that are 0, relative to the largest of their layer


class NetworkAtSamples:
    """One network at its samples: values of every layer, masks, and the derivatives of the output by them."""

    def __init__(self, row: np.ndarray, x: np.ndarray, y: np.ndarray, depth: int, width: int):
        self.row, self.x, self.depth, self.width = row, x, depth, width
        self.weights, biases = zip(*layers(row, depth, width), strict=True)
        self.entering, self.masks = [x[:, None]], []
        for weights, bias in zip(self.weights[:-1], biases[:-1], strict=True):
            values = self.entering[-1] @ weights.T + bias
            self.masks.append(values > _KINK * np.abs(values).max())
            self.entering.append(values * self.masks[-1])
        self.residual = self.entering[-1] @ self.weights[-1][0] + biases[-1] - y
        self.leaving = [np.ones((x.size, 1))]
        for weights, mask in zip(self.weights[:0:-1], self.masks[::-1], strict=True):
            self.leaving.insert(0, self.leaving[0] @ weights * mask)

    def jacobian(self) -> np.ndarray:
        """Derivatives of the outputs, ``(n, P)``."""
        parts = []
        for entering, leaving in zip(self.entering, self.leaving, strict=True):
            parts += [(leaving[:, :, None] * entering[:, None]).reshape(len(entering), -1), leaving]
        return np.concatenate(parts, axis=1)

    def hessian(self) -> np.ndarray:
        """The Hessian of the mean squared error, ``(P, P)``."""
        jacobian, above = self.jacobian(), np.zeros((self.row.size, self.row.size))
        places = layers(np.arange(self.row.size), self.depth, self.width)
        for lower in range(self.depth):
            self._fill(above, places, lower)
        return 2 / self.x.size * (jacobian.T @ jacobian + above + above.T)

    def exchanges(self) -> np.ndarray:
        """Moves of two adjacent layers that cancel in what enters the units of the second, ``(m, P)``.

        They have to at the samples where the output depends on the unit, and to first order. Among them are
        the rescalings; whatever the units of a layer and 1, linearly dependent at the samples where a unit of
        the next is active, leave open of the row that enters it; and the row of one unit added to that of
        another that is active at the same samples. A unit at its kink is not active, as everywhere here.
        """
        places, found = layers(np.arange(self.row.size), self.depth, self.width), []
        ones = np.ones((self.x.size, 1))
        for layer in range(self.depth):
            before, after = (np.hstack([each, ones]) for each in self.entering[layer : layer + 2])
            weights, matters = self.weights[layer + 1], self.leaving[layer + 1] != 0  # q, i and n, q
            by_first = np.einsum("nq,qi,ni,nj->nqij", matters, weights, self.masks[layer], before)
            by_second = np.einsum("nq,qp,nj->nqpj", matters, np.eye(len(weights)), after)
            moves = [each.reshape(matters.size, -1) for each in (by_first, by_second)]
            null = _null_vectors(np.hstack(moves))
            at = [np.hstack([rows, bias[:, None]]).ravel() for rows, bias in places[layer : layer + 2]]
            found.append(np.zeros((len(null), self.row.size)))
            found[-1][:, np.concatenate(at)] = null
        return np.concatenate(found)

    def _fill(self, above: np.ndarray, places: list, lower: int) -> None:
        """Sums of residuals times the second derivatives of the output by a layer and each later one."""
        n, width = self.x.size, self.width
        at = np.concatenate([places[lower][0], places[lower][1][:, None]], axis=1).ravel()
        entering = np.concatenate([self.entering[lower], np.ones((n, 1))], axis=1) * self.residual[:, None]
        moves = self.masks[lower][:, None] * np.eye(width)  # what enters the upper, by the lower: n, i, q
        for upper in range(lower + 1, self.depth + 1):
            ends = (entering[:, :, None] * self.leaving[upper][:, None]).reshape(n, -1)
            block = (ends.T @ moves.reshape(n, -1)).reshape(entering.shape[1], -1, width, width)
            above[np.ix_(at, places[upper][0].ravel())] = block.transpose(2, 0, 1, 3).reshape(at.size, -1)
            if upper < self.depth:
                later = moves.reshape(-1, width) @ self.weights[upper].T
                moves = later.reshape(n, width, width) * self.masks[upper][:, None]


def _null_vectors(matrix: np.ndarray) -> np.ndarray:
    """A basis of the null space, in rows; columns are scaled first, so that no small weight is lost."""
    scale = np.linalg.norm(matrix, axis=0)
    scale[scale == 0] = 1
    _, sizes, basis = np.linalg.svd(np.linalg.qr(matrix / scale, mode="r"))
    return basis[np.count_nonzero(sizes > _NULL * sizes[0]) :] / scale
