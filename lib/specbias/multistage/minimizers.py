"""The optimizers that a stage may use, behind one call: a start, a function, and what a stage ends with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize as scipy_minimize

from specbias._checks import check_choice
from specbias.multistage.quasi_newton import Function, Minimum, check_start, self_scaled_bfgs

OPTIMIZERS = ("auto", "self-scaled-bfgs", "l-bfgs", "adam", "adam+l-bfgs")
LARGE = 6000  # parameters from which a full inverse Hessian takes more than 300 MB
ADAM_RATE, ADAM_SHARE = 1e-3, 0.3  # of the iterations of "adam+l-bfgs"; Wang & Lai have 3000 of 13,000
LOWER = 1e-6  # share of the value by which a restart of L-BFGS must lower it

Callback = Callable[[int, np.ndarray, float], bool | None]


def minimize(
    function: Function, start: np.ndarray, optimizer: str, *, max_iter: int, history: int = 50,
    learning_rate: float = ADAM_RATE, annealing: float = 1.0, callback: Callback | None = None,
) -> Minimum:  # fmt: skip
    """Minimize by one of `OPTIMIZERS`.

    Parameters
    ----------
    function, start, callback
        As in :func:`self_scaled_bfgs`.
    optimizer
        ``"auto"`` is self-scaled BFGS for up to 6000 parameters and L-BFGS beyond.
    max_iter
        Iterations at most.
    history
        Steps that L-BFGS remembers.
    learning_rate, annealing
        Of Adam, at the start; and what share of it is left at the end, to which it falls geometrically.

    Returns
    -------
    Minimum

    Raises
    ------
    ValueError
        For an unknown optimizer, or if value or gradient are not finite at the start.

    Examples
    --------
    >>> bowl = lambda p: (float(p @ p) / 2, p)
    >>> [minimize(bowl, np.ones(3), name, max_iter=50).value < 1e-3 for name in ("auto", "l-bfgs")]
    [True, True]
    """
    check_choice("optimizer", optimizer, OPTIMIZERS)
    if optimizer == "auto":
        optimizer = "self-scaled-bfgs" if np.size(start) <= LARGE else "l-bfgs"
    if optimizer == "self-scaled-bfgs":
        return self_scaled_bfgs(function, start, max_iter=max_iter, callback=callback)
    if optimizer == "l-bfgs":
        return l_bfgs(function, start, max_iter=max_iter, history=history, callback=callback)
    if optimizer == "adam":
        return adam(
            function, start, max_iter=max_iter, learning_rate=learning_rate, annealing=annealing,
            callback=callback,
        )  # fmt: skip
    first = adam(
        function, start, max_iter=round(ADAM_SHARE * max_iter), learning_rate=learning_rate,
        annealing=annealing, callback=callback,
    )  # fmt: skip
    if first.reason == "callback":
        return first
    second = l_bfgs(
        function, first.x, max_iter=max_iter - first.iterations, history=history,
        callback=callback and (lambda step, *at: callback(first.iterations + step, *at)),
    )  # fmt: skip
    return Minimum(
        second.x, second.value, first.iterations + second.iterations, first.evaluations + second.evaluations,
        np.concatenate([first.history, second.history[1:]]), second.reason,
    )  # fmt: skip


@np.errstate(over="ignore", invalid="ignore")  # a line search may try far too large a step
def l_bfgs(
    function: Function, start: np.ndarray, *, max_iter: int, history: int = 50,
    callback: Callback | None = None,
) -> Minimum:  # fmt: skip
    """SciPy's L-BFGS-B, which is to go on as long as it finds something lower.

    Its tests on the size of value and gradient are absolute or relative to 1, so they are switched off, and
    the function is multiplied so that it is 1 at the start of each restart: the line search compares values
    with round-off of that size. It starts again from where it stopped until that lowers nothing.
    """
    point = np.array(start, dtype=float)
    value, gradient = function(point)
    check_start(value, gradient)
    values, evaluations, reason, scale = [value], 1, "iterations", 1.0

    def scaled(at: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal evaluations
        evaluations += 1
        found, gradient = function(at)
        return scale * found, scale * gradient

    def after(intermediate_result) -> None:  # SciPy goes by this name, and allows no further argument
        nonlocal point, value, reason
        point, value = np.array(intermediate_result.x), float(intermediate_result.fun) / scale
        values.append(value)
        if callback is not None and callback(len(values) - 1, point, value):
            reason = "callback"
            raise StopIteration

    while reason == "iterations" and len(values) <= max_iter:
        before, scale = value, 1 / max(abs(value), 1e-300)
        most = {
            "maxiter": max_iter + 1 - len(values), "maxfun": 10**9, "maxcor": history, "ftol": 0, "gtol": 0
        }  # fmt: skip
        scipy_minimize(scaled, point, jac=True, method="L-BFGS-B", callback=after, options=most)
        better = before - value > LOWER * abs(before)
        if reason == "iterations" and len(values) <= max_iter and not better:
            reason = "round-off"
    return Minimum(point, value, len(values) - 1, evaluations, np.array(values), reason)


def adam(
    function: Function, start: np.ndarray, *, max_iter: int, learning_rate: float = ADAM_RATE,
    annealing: float = 1.0, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8,
    callback: Callback | None = None,
) -> Minimum:  # fmt: skip
    """Adam (Kingma & Ba, 2015) by the definition of PyTorch; the learning rate may fall geometrically."""
    point = np.array(start, dtype=float)
    first, second = np.zeros((2, point.size))
    value, gradient = function(point)
    check_start(value, gradient)
    values, reason, taken = [value], "iterations", 0
    for taken in range(1, max_iter + 1):
        first += (1 - beta1) * (gradient - first)
        second += (1 - beta2) * (gradient**2 - second)
        root = np.sqrt(second / (1 - beta2**taken)) + epsilon
        rate = learning_rate * annealing ** ((taken - 1) / max_iter)
        point = point - rate / (1 - beta1**taken) * first / root
        value, gradient = function(point)
        values.append(value)
        if callback is not None and callback(taken, point, value):
            reason = "callback"
            break
    return Minimum(point, value, taken, taken + 1, np.array(values), reason)
