"""Gauss–Newton for networks on waves: the least-squares step by conjugate gradients, in single precision.

A network's output at ``n`` points is nearly linear in its parameters near a good fit. Each step solves the
linear least-squares problem there (damped as by Levenberg and Marquardt) by conjugate gradients, with two
products with the Jacobian an iteration, each as cheap as a gradient; then takes the residual anew in double
precision. That is iterative refinement: the single-precision solution gives a few digits a step, and the
steps give all of them. L-BFGS sees the same products, but has to learn the curvature from differences of
gradients, over and over as it forgets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from specbias.multistage.spectral_network import Linearization, SpectralNetwork
from specbias.training.threads import own_threads

FORCING = 0.1  # a step's linear problem is solved until its residual is this share of what it was
DAMPING, LESS, MORE = 1e-4, 0.1, 5.0  # at the start; and factors after a step that did well or badly
REFUSED = 10.0, 1e-5  # factor, and least damping, after a step that made the residual larger
SHORTER = (1.0, 0.25, 1 / 16)  # of a step, until the residual is smaller
FLAT = 1e-6  # of the squared gradient at the start of a step: below it single precision has no more to say
HALF, STEPS, NOTHING = 0.5, 8, 0.995  # see `patience`


@dataclass(frozen=True)
class Fitted:
    """Where Gauss–Newton ended.

    Attributes
    ----------
    row : torch.Tensor
        ``(size,)``, the parameters.
    history : numpy.ndarray
        ``(steps + 1, 2)``: iterations of conjugate gradients so far, and root mean square of the residual.
    iterations : int
        Of conjugate gradients, in all.
    reason : str
        ``"iterations"``, ``"tolerance"``, ``"slow"``, ``"round-off"`` or ``"callback"``.
    """

    row: torch.Tensor
    history: np.ndarray
    iterations: int
    reason: str


@own_threads()
def gauss_newton(
    network: SpectralNetwork, start: torch.Tensor, goal: torch.Tensor, *, max_iter: int, inner: int = 100,
    tolerance: float = 0.0, dtype: torch.dtype = torch.float32, patience: int = 100,
    callback: Callable[[int, torch.Tensor, float], bool | None] | None = None,
) -> Fitted:  # fmt: skip
    """Bring the network's output close to ``goal`` ``(n,)``.

    Parameters
    ----------
    network
        With a layer that is linear in its parameters.
    start
        ``(size,)``, float64.
    max_iter
        Iterations of conjugate gradients in all: each takes about as long as a gradient.
    inner
        Of these, at most so many a step.
    tolerance
        Root mean square of the residual that is small enough.
    dtype
        Of the linear problems.
    patience
        The search ends when so many iterations did not halve the residual; or eight steps brought next to
        nothing, which is round-off.
    callback
        Called after each step with iterations, parameters and root mean square; True ends the search.

    Raises
    ------
    ValueError
        If the residual is not finite at the start.

    Examples
    --------
    >>> from specbias.multistage.features import AbsorbedLayer
    >>> from specbias.multistage.transforms import GridTransform, Lattice
    >>> lattice = Lattice((0.0,), (2 * np.pi / 64,), (64,), (64,))
    >>> layer = AbsorbedLayer(GridTransform(lattice, np.arange(1, 9)[:, None]), 6)
    >>> net, generator = SpectralNetwork(layer, (6, 6)), np.random.default_rng(0)
    >>> row = net.initial(torch.from_numpy(0.1 * generator.standard_normal(layer.size)), generator)
    >>> goal = torch.from_numpy(np.exp(np.sin(lattice.points()[:, 0])))
    >>> sizes = gauss_newton(net, row, goal, max_iter=400).history[:, 1]
    >>> bool(sizes[-1] < 0.01 * sizes[0])
    True
    """
    row, damping = start, DAMPING
    left, states = network.residual(row, goal)
    size = network.rms(left)
    if not np.isfinite(size):
        raise ValueError(f"start: the residual is not finite there, its root mean square is {size}")
    jacobian = network.linearize(row, states, dtype)
    del states
    history, spent, reason = [(0, size)], 0, "tolerance" if size <= tolerance else ""
    while not reason:
        change, share, taken = _solve(jacobian, left, size, damping, min(inner, max_iter - spent))
        spent += taken
        step, before = size * (change * jacobian.scale).double(), size
        for part in SHORTER:
            trial = row + part * step
            trial_left, states = network.residual(trial, goal)
            found = network.rms(trial_left)
            if found < size:
                row, left, size = trial, trial_left, found
                jacobian = network.linearize(row, states, dtype)
                break
        del states
        gain = (before**2 - found**2) / max(before**2 * (1 - share**2), 1e-300)
        if size == before:
            damping = max(damping * REFUSED[0], REFUSED[1])
        else:
            damping *= LESS if gain > 0.75 else MORE if gain < 0.25 else 1.0
        history.append((spent, size))
        if callback is not None and callback(spent, row, size):
            reason = "callback"
        else:
            reason = _ended(history, tolerance, max_iter, patience)
    return Fitted(row, np.array(history), spent, reason)


def _solve(
    jacobian: Linearization, left: torch.Tensor, size: float, damping: float, most: int
) -> tuple[torch.Tensor, float, int]:
    """Change that minimizes ``|J change + left / size|²/n + damping |change|²``, its rest, iterations."""
    rest = (-left / size).to(jacobian.dtype)
    network = jacobian.network
    count = network.count(len(rest))
    slope = jacobian.adjoint(rest) / count
    change, direction = torch.zeros_like(slope), slope.clone()
    square = first = float(slope @ slope)
    taken = 0
    while taken < most and square > FLAT * first:
        along = jacobian.forward(direction)
        bent = float(network.total(along @ along)) / count
        step = square / (bent + damping * float(direction @ direction))
        change += step * direction
        rest -= step * along
        taken += 1
        if network.rms(rest) < FORCING:
            break
        slope = jacobian.adjoint(rest) / count - damping * change
        before, square = square, float(slope @ slope)
        direction = slope + (square / before) * direction
    return change, network.rms(rest), max(taken, 1)


def _ended(history: list[tuple[int, float]], tolerance: float, max_iter: int, patience: int) -> str:
    """Why the search is to end; empty if it is not."""
    spent, size = history[-1]
    if size <= tolerance or spent >= max_iter:
        return "tolerance" if size <= tolerance else "iterations"
    earlier = [found for at, found in history if at <= spent - patience]
    if len(history) > STEPS and size > NOTHING * history[-1 - STEPS][1]:
        return "round-off"
    return "slow" if earlier and size > HALF * earlier[-1] else ""
