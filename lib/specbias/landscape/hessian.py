"""Second derivatives of the loss of small ReLU networks, their spectrum, and where its zeros come from.

The output of a ReLU network is, as long as no unit switches on or off at a sample, a polynomial in the
parameters that is linear in each layer. The Hessian of the mean squared error ``mean(r ** 2)`` is thus
``2 / n (J^T J + sum_k r_k d2f(x_k))`` with the masks of the units fixed. The second derivative of ``f``
has no blocks on the diagonal; between layers ``l < m`` it is (what enters ``l``) times (how layer ``m - 1``
moves with ``l``) times (how the output moves with ``m``). This is exact wherever no unit is just at its
kink. There the derivative of ReLU is taken as 0, as in PyTorch; and a unit is there when its value is 0 but
for rounding, so that the last digit of a weight, and with it the processor, does not decide: a network that
was built by hand has many samples on its kinks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from specbias._checks import check_positive
from specbias.ensembles.networks import check_data, layers
from specbias.landscape.canonical import as_rows
from specbias.landscape.derivatives import NetworkAtSamples

_INDEPENDENT = 1e-8  # the same for unit vectors, which come with errors of their own


@dataclass(frozen=True)
class ZeroModes:
    """Where the zero eigenvalues of one network's Hessian come from; ``zero`` is the sum of the next four.

    Attributes
    ----------
    zero : int
        Eigenvalues of at most ``tolerance`` times the largest, in absolute value.
    symmetry : int
        As many the rescaling of hidden units demands at a critical point: the rank of `symmetry_directions`.
    idle : int
        As many more come from parameters without influence on the data: the derivative of the output by them
        is 0 at every sample and their row of the Hessian is 0. Those of units that are never active are.
    dependent : int
        As many more come from two adjacent layers, where one can move and the next make up for it at every
        sample, because units are linear in each other on the data that matter: as when a unit is active at
        all samples or two have their kinks between the same. To first order the outputs stay; with residuals
        of 0 all such directions are null vectors, else those count that are.
    unexplained : int
        The rest. Positive where it takes three layers or more, or units that cancel in the output alone.
        Negative where the gradient is not small enough for the symmetries to be null vectors.
    negative : int
        Eigenvalues below zero by more than the tolerance: at a critical point, of a saddle.
    gradient : float
        Largest component of the gradient: how far from critical the point is.
    """

    zero: int
    symmetry: int
    idle: int
    dependent: int
    unexplained: int
    negative: int
    gradient: float


def hessian(parameters: ArrayLike, x: ArrayLike, y: ArrayLike, depth: int = 5, width: int = 5) -> np.ndarray:
    """Exact Hessian of a network's mean squared error.

    Parameters
    ----------
    parameters
        ``(P,)``, one row as in :mod:`specbias.ensembles`.
    x, y
        ``(n,)``, the samples.
    depth, width
        Hidden layers and units in each.

    Returns
    -------
    numpy.ndarray
        ``(P, P)`` float64, symmetric.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes and numbers that are not finite.

    Examples
    --------
    >>> hessian([1.0, 1.0, 1.0, 1.0], [1.0], [3.0], depth=1, width=1)  # of (w2 relu(w1 x + b1) + b2 - 3) ** 2
    array([[2., 2., 4., 2.],
           [2., 2., 4., 2.],
           [4., 4., 8., 4.],
           [2., 2., 4., 2.]])
    """
    return NetworkAtSamples(_one_row(parameters, depth, width), *check_data(x, y), depth, width).hessian()


def hessian_spectrum(
    parameters: ArrayLike, x: ArrayLike, y: ArrayLike, depth: int = 5, width: int = 5
) -> np.ndarray:
    """Eigenvalues of the Hessian of the mean squared error, ascending.

    Parameters
    ----------
    parameters
        ``(P,)`` or ``(models, P)``.
    x, y, depth, width
        As in `hessian`.

    Returns
    -------
    numpy.ndarray
        float64 of the shape of ``parameters``.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes and numbers that are not finite.

    Examples
    --------
    >>> hessian_spectrum([1.0, 1.0, 1.0, 1.0], [1.0], [3.0], depth=1, width=1).round(9) + 0.0
    array([ 0.,  0.,  0., 14.])
    """
    rows, single = as_rows(parameters, depth, width)
    data = check_data(x, y)
    found = np.stack(
        [np.linalg.eigvalsh(NetworkAtSamples(row, *data, depth, width).hessian()) for row in rows]
    )
    return found[0] if single else found


def symmetry_directions(parameters: ArrayLike, depth: int = 5, width: int = 5) -> np.ndarray:
    """Tangents ``t`` of the rescalings of every hidden unit: what enters it grows, what leaves it shrinks.

    Let ``A`` be the diagonal matrix with 1 at the weights and the bias that enter the unit, -1 at those that
    leave it and 0 elsewhere. The loss is the same at ``exp(s A) theta`` for all ``s``, so its gradient ``g``
    has ``exp(s A) g(exp(s A) theta) = g(theta)``. With ``t = A theta`` the derivatives at ``s = 0`` are
    ``g . t = 0`` and ``H t = -A g``. Hence ``H t = 0`` at a critical point.

    Parameters
    ----------
    parameters
        ``(P,)``.
    depth, width
        Hidden layers and units in each.

    Returns
    -------
    numpy.ndarray
        ``(depth * width, P)`` float64, first layer first; 0 for units that nothing enters and nothing leaves.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes and numbers that are not finite.

    Examples
    --------
    >>> symmetry_directions([2.0, 3.0, 5.0, 7.0], depth=1, width=1)
    array([[ 2.,  3., -5.,  0.]])
    """
    row = _one_row(parameters, depth, width)
    found = np.zeros((depth * width, row.size))
    source, targets = layers(row, depth, width), layers(found, depth, width)
    for layer in range(depth):
        for unit in range(width):
            at = layer * width + unit
            targets[layer][0][at, unit] = source[layer][0][unit]
            targets[layer][1][at, unit] = source[layer][1][unit]
            targets[layer + 1][0][at, :, unit] = -source[layer + 1][0][:, unit]
    return found


def zero_modes(
    parameters: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    depth: int = 5,
    width: int = 5,
    *,
    tolerance: float = 1e-9,
) -> ZeroModes | list[ZeroModes]:
    """Count the zero eigenvalues of the Hessian and what accounts for them.

    Parameters
    ----------
    parameters
        ``(P,)`` or ``(models, P)``.
    x, y, depth, width
        As in `hessian`.
    tolerance
        What counts as zero, relative to the largest eigenvalue.

    Returns
    -------
    ZeroModes or list of ZeroModes
        One, or one for each row.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes, numbers that are not finite, a tolerance that is not positive.

    Examples
    --------
    >>> modes = zero_modes([1.0, 1.0, 1.0, 1.0], [1.0, 2.0], [3.0, 4.0], depth=1, width=1)
    >>> modes.zero, modes.symmetry, modes.idle, modes.dependent, modes.unexplained
    (2, 1, 0, 1, 0)

    The unit is active at both samples, so its bias does what the output's does.
    """
    rows, single = as_rows(parameters, depth, width)
    data = check_data(x, y)
    check_positive("tolerance", tolerance)
    found = [_zero_modes(NetworkAtSamples(row, *data, depth, width), tolerance) for row in rows]
    return found[0] if single else found


def _zero_modes(network: NetworkAtSamples, tolerance: float) -> ZeroModes:
    matrix = network.hessian()
    values = np.linalg.eigvalsh(matrix)
    bound = tolerance * np.abs(values).max()
    jacobian = network.jacobian()
    idle = ~jacobian.any(axis=0) & (np.abs(matrix).max(axis=0) <= bound)
    used = network.row != 0
    symmetry = _rank(used, network)
    more = np.count_nonzero(idle) + _rank(used & ~idle, network) - symmetry
    known = [symmetry_directions(network.row, network.depth, network.width), np.eye(idle.size)[idle]]
    dependent = _count_null(matrix, [*known, network.exchanges()], bound) - _count_null(matrix, known, bound)
    zero = np.count_nonzero(np.abs(values) <= bound)
    gradient = 2 / network.x.size * np.abs(jacobian.T @ network.residual).max()
    return ZeroModes(
        int(zero), symmetry, int(more), dependent, int(zero - symmetry - more - dependent),
        int(np.count_nonzero(values < -bound)), float(gradient),
    )  # fmt: skip


def _rank(used: np.ndarray, network: NetworkAtSamples) -> int:
    """Rank of the symmetry directions in the given parameters; of signs, so that no small weight is lost."""
    signs = symmetry_directions(used.astype(float), network.depth, network.width)
    return int(np.linalg.matrix_rank(signs))


def _count_null(matrix: np.ndarray, directions: list[np.ndarray], bound: float) -> int:
    """How many dimensions of the span of all directions, each ``(m, P)``, the matrix takes to 0."""
    rows = np.concatenate(directions)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = rows / np.where(norms > 0, norms, np.inf)  # of nothing, or as good as that: 0
    _, sizes, basis = np.linalg.svd(rows, full_matrices=False)
    images = matrix @ basis[sizes > _INDEPENDENT].T
    return int(np.count_nonzero(np.linalg.svd(images, compute_uv=False) <= bound))


def _one_row(parameters: ArrayLike, depth: int, width: int) -> np.ndarray:
    rows, single = as_rows(parameters, depth, width)
    if not single:
        raise ValueError(f"parameters must be one row (P,), got shape {rows.shape}")
    return rows[0]
