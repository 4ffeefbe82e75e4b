"""One network for all that compute the same by the symmetries of ReLU layers: balanced, its units in order.

Multiplying what enters a hidden unit (weights and bias) by ``c > 0`` and dividing what leaves it by ``c``
changes no output, and neither does renumbering the units of a layer: the group is ``R+^(KN) x S_N^K``. As in
Gamst & Walker, The energy landscape of a simple neural network (arXiv 1706.07101), section 3.3, the network
of least norm is taken first and its units are sorted then.

The squared norm is a sum of exponentials of the log-factors ``s``, hence convex. It is least where, at every
unit, the energy (sum of squares) of what enters equals that of what leaves. The best ``s`` of one unit, given
its neighbours, is a quarter of the logarithm of leaving over entering energy; its derivatives are half a
weighted mean over the layer before and half one over the layer after. Updating every other layer and then
those between is therefore a contraction by ``cos(pi / (K + 1)) ** 2`` in the largest error divided by
``sin(pi l / (K + 1))`` in layer ``l``, for every network and from everywhere: 0.75 a sweep for five layers.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from specbias._checks import check_count, check_positive
from specbias.ensembles.networks import check_parameters, layers

_AT_ONCE = 4096  # networks, so that they stay in the cache
_TIE = 1e-10  # norms that differ by less, relative to the largest of the layer, are ties


def canonical(
    parameters: ArrayLike, depth: int = 5, width: int = 5, *, tolerance: float = 1e-12, max_iter: int = 10_000
) -> np.ndarray:
    """The network of least norm with the same outputs by symmetry, the units of each layer sorted.

    A unit that nothing enters (weights and bias all 0) or nothing leaves has no best factor: the infimum is
    where its other side is 0, too. That side becomes 0, which changes no output; so do the units that are
    dead for want of it. Units that merely are never active on some data stay, as they are active elsewhere.

    The units of a layer are sorted by the L2 norm of what enters them, the row ``[W b]`` with its bias (the
    paper writes it as a column), ascending. Norms closer than about 1e-10 of the largest in the layer are
    ties: these are sorted by the row's entries, first column first with the units before already in order,
    and then by the weights that leave, these sorted.

    Parameters
    ----------
    parameters
        ``(P,)`` or ``(models, P)``, rows as in :mod:`specbias.ensembles`.
    depth, width
        Hidden layers and units in each.
    tolerance
        Of the relative difference of entering and leaving energy at any unit.
    max_iter
        Most sweeps over the layers.

    Returns
    -------
    numpy.ndarray
        float64 of the same shape.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes, parameters that are not finite, a tolerance that is not positive.
    RuntimeError
        When some network is not balanced to the tolerance after ``max_iter`` sweeps.

    Examples
    --------
    >>> canonical([8.0, 0.0, 2.0, 1.0], depth=1, width=1)  # 2 relu(8 x) + 1
    array([4., 0., 4., 1.])
    """
    rows, single = as_rows(parameters, depth, width)
    check_positive("tolerance", tolerance)
    check_count("max_iter", max_iter)
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        live = _remove_dead(part, depth, width)
        factors, settled = _balance(part, live, depth, width, tolerance, max_iter)
        _rescale(part, factors, depth, width)
        settled &= np.isfinite(part).all(axis=1)
        if not settled.all():
            first = start + int(np.flatnonzero(~settled)[0])
            raise RuntimeError(
                f"{np.count_nonzero(~settled)} networks (the first is {first}) are not balanced "
                f"to {tolerance} after {max_iter} sweeps"
            )
        _sort_units(part, depth, width)
    return rows[0] if single else rows


def imbalance(parameters: ArrayLike, depth: int = 5, width: int = 5) -> np.ndarray:
    """How far networks are from least norm: the largest ``|in - out| / max(in, out)`` over their units.

    ``in`` is the energy (sum of squares) of the weights and the bias that enter a unit, ``out`` that of the
    weights that leave it. Dead units, which `canonical` sets to 0, do not count, nor do weights to and from
    them.

    Parameters
    ----------
    parameters, depth, width
        As in `canonical`.

    Returns
    -------
    numpy.ndarray
        float64 from 0 to 1, ``(models,)``, or ``()`` for a single row; 0 where no unit is live.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes and parameters that are not finite.

    Examples
    --------
    >>> float(imbalance([4.0, 0.0, 2.0, 1.0], depth=1, width=1))
    0.75
    """
    rows, single = as_rows(parameters, depth, width)
    live = _remove_dead(rows, depth, width)
    logs, found = _log_energies(rows, depth, width), np.zeros(len(rows))
    factors = np.zeros((depth + 2, width, len(rows)))
    for layer in range(depth):
        off_by = np.abs(_best_factors(logs, factors, live, layer))
        found = np.maximum(found, -np.expm1(-4 * off_by.max(axis=0)))
    return found[0] if single else found


def random_symmetry(
    parameters: ArrayLike, depth: int, width: int, generator: np.random.Generator, *, spread: float = 1.0
) -> np.ndarray:
    """The same function by other parameters: a random factor at every hidden unit, a random order in each.

    Parameters
    ----------
    parameters, depth, width
        As in `canonical`; every network gets an element of the group of its own.
    generator
        Where the random numbers come from.
    spread
        Standard deviation of the logarithms of the factors, which are normal.

    Returns
    -------
    numpy.ndarray
        float64 of the same shape.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes and parameters that are not finite.

    Examples
    --------
    >>> from specbias.ensembles import predict
    >>> other = random_symmetry([2.0, 1.0, 3.0, 0.5], 1, 1, np.random.default_rng(0))
    >>> predict(other[None], [1.0], depth=1, width=1).round(12)  # 3 relu(2 x + 1) + 0.5
    array([[9.5]])
    """
    rows, single = as_rows(parameters, depth, width)
    shape = (len(rows), depth, width)
    factors = check_positive("spread", spread) * generator.standard_normal(shape)
    orders = np.argsort(generator.random(shape), axis=-1)
    _rescale(rows, factors, depth, width)
    for layer in range(depth):
        _renumber(layers(rows, depth, width), layer, orders[:, layer])
    return rows[0] if single else rows


def as_rows(parameters: ArrayLike, depth: int, width: int) -> tuple[np.ndarray, bool]:
    """A float64 copy ``(models, P)``, and whether it was a single row ``(P,)``."""
    array = np.asarray(parameters)
    single = array.ndim == 1
    rows = check_parameters(array[None] if single else array, depth, width)
    return rows.astype(np.float64, copy=True), single


def _remove_dead(rows: np.ndarray, depth: int, width: int) -> np.ndarray:
    """Set both sides of dead units to 0, in place; returns which are live, ``(depth, width, models)``.

    One pass from the input finds those that nothing live enters, one from the output those that nothing live
    leaves; the second takes nothing from a live unit, so two are enough.
    """
    found, live = layers(rows, depth, width), np.ones((depth, width, len(rows)), bool)
    for order, side in ((range(depth), "in"), (reversed(range(depth)), "out")):
        for layer in order:
            (weights, biases), (after, _) = found[layer], found[layer + 1]
            if side == "in":
                dead = ~(weights.any(axis=-1) | (biases != 0))
            else:
                dead = ~after.any(axis=-2)
            weights[dead] = 0
            biases[dead] = 0
            after.swapaxes(-1, -2)[dead] = 0
            live[layer] &= ~dead.T
    return live


def _log_energies(rows: np.ndarray, depth: int, width: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Logarithms of the squares of weights ``(rows, columns, models)`` and biases ``(rows, 1, models)``.

    Logarithms, since squares of very small weights would vanish; the models last, to sum along short axes.
    """
    with np.errstate(divide="ignore"):
        logs = np.ascontiguousarray(2 * np.log(np.abs(rows)).T)
    found, at = [], 0
    for weights, _ in layers(rows, depth, width):
        units, columns = weights.shape[1:]
        of_weights = logs[at : at + units * columns].reshape(units, columns, -1)
        at += units * columns
        found.append((of_weights, logs[at : at + units, None]))
        at += units
    return found


def _log_sum(values: np.ndarray, axis: int) -> np.ndarray:
    """``log(sum(exp(values)))`` along an axis; of nothing but ``-inf`` it is ``-inf``."""
    highest = values.max(axis=axis, keepdims=True)
    highest[np.isneginf(highest)] = 0
    with np.errstate(divide="ignore"):
        return np.log(np.exp(values - highest).sum(axis=axis)) + highest.squeeze(axis)


def _best_factors(logs: list, factors: np.ndarray, live: np.ndarray, layer: int) -> np.ndarray:
    """The best log-factors of one layer, its neighbours fixed, ``(width, models)``; 0 for dead units.

    ``factors`` has a layer of zeros at either end, for input and output.
    """
    (weights, biases), (after, _) = logs[layer], logs[layer + 1]
    before = factors[layer, : weights.shape[1]]
    entering = _log_sum(np.concatenate([weights - 2 * before, biases], axis=1), axis=1)
    leaving = _log_sum(after + 2 * factors[layer + 2, : len(after), None], axis=0)
    with np.errstate(invalid="ignore"):
        return np.where(live[layer], (leaving - entering) / 4, 0)


def _balance(
    rows: np.ndarray, live: np.ndarray, depth: int, width: int, tolerance: float, max_iter: int
) -> tuple[np.ndarray, np.ndarray]:
    """Log-factors ``(models, depth, width)`` of least norm, and which networks are within the tolerance."""
    factors = np.zeros((depth + 2, width, len(rows)))
    logs, busy, settled = _log_energies(rows, depth, width), np.arange(len(rows)), np.zeros(len(rows), bool)
    current, alive = factors.copy(), live
    for _ in range(max_iter):
        previous = current.copy()
        for layer in [*range(0, depth, 2), *range(1, depth, 2)]:
            current[layer + 1] = _best_factors(logs, current, alive, layer)
        moving = 4 * np.abs(current - previous).max(axis=(0, 1)) > tolerance / 2
        current = np.where(moving, current, previous)  # who has settled stays, whoever else is in the batch
        factors[..., busy] = current
        settled[busy[~moving]] = True
        if not moving.any():
            break
        if np.count_nonzero(moving) < 0.7 * moving.size:  # go on with these alone
            busy, current, alive = busy[moving], current[..., moving], alive[..., moving]
            logs = [tuple(values[..., moving] for values in pair) for pair in logs]
    return factors[1:-1].transpose(2, 0, 1), settled


def _rescale(rows: np.ndarray, factors: np.ndarray, depth: int, width: int) -> None:
    """Apply log-factors ``(models, depth, width)`` in place."""
    found = layers(rows, depth, width)
    for layer in range(depth):
        scale = np.exp(factors[:, layer])
        weights, biases = found[layer]
        weights *= scale[:, :, None]
        biases *= scale
        found[layer + 1][0][...] /= scale[:, None, :]


def _sort_units(rows: np.ndarray, depth: int, width: int) -> None:
    """Sort the units of each layer by the norm of what enters them, first layer first, in place."""
    found = layers(rows, depth, width)
    for layer in range(depth):
        weights, biases = found[layer]
        entering = np.concatenate([weights, biases[:, :, None]], axis=2)
        leaving = np.sort(found[layer + 1][0], axis=1).swapaxes(1, 2)
        norm = np.linalg.norm(entering, axis=2, keepdims=True)
        keys = np.concatenate([norm, entering, leaving], axis=2)
        largest = norm.max(axis=1, keepdims=True)
        keys = np.round(keys / np.where(largest > 0, largest, 1) / _TIE)
        _renumber(found, layer, np.lexsort(np.moveaxis(keys, 2, 0)[::-1], axis=-1))


def _renumber(found: list, layer: int, order: np.ndarray) -> None:
    """Put the units of a layer in the given order ``(models, width)``, in place."""
    (weights, biases), (after, _) = found[layer], found[layer + 1]
    weights[...] = np.take_along_axis(weights, order[:, :, None], axis=1)
    biases[...] = np.take_along_axis(biases, order, axis=1)
    after[...] = np.take_along_axis(after, order[:, None, :], axis=2)
