"""L-BFGS on a stack of networks: SciPy's L-BFGS-B, one network after another, on the stack's own gradient."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize

from specbias._checks import check_count
from specbias.training.recorder import Recorder


def check_lbfgs(*, history_size=50, tolerance=0.0) -> None:
    """Raise unless the options of L-BFGS make sense."""
    check_count("history_size", history_size)
    if not (np.isscalar(tolerance) and np.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance must be a finite number of at least 0, got {tolerance!r}")


def minimise_stack(
    recorder: Recorder, factor, epochs, stop_below, on_divergence, bar, *, history_size=50, tolerance=0.0
) -> None:
    """Minimise every network's loss; an epoch is one iteration of L-BFGS, of usually one or two gradients.

    ``tolerance`` is SciPy's ``gtol`` and, times the machine precision of float64, its ``ftol``: with 0 the
    search goes on until the line search fails, that is, until round-off ends it.
    """
    stack = recorder.stack
    bar.reset(total=epochs * len(stack))
    scipy_options = {
        "maxiter": epochs,
        "maxfun": 20 * epochs + 100,
        "maxcor": history_size,
        "gtol": tolerance,
        "ftol": tolerance * np.finfo(float).eps,
    }
    for index in range(len(stack)):
        problem = _Problem(recorder, factor, stop_below, bar, index)
        problem.iteration_done(problem.best)  # epoch 0
        if epochs and not problem.ended:
            minimize(
                problem.value_and_gradient,
                problem.best,
                jac=True,
                method="L-BFGS-B",
                options=scipy_options,
                callback=problem.iteration_done,
            )
        problem.set_parameters(problem.best)
    if on_divergence == "raise" and recorder.diverged.any():
        raise recorder.divergence(None)
    recorder.retire(torch.ones(len(stack), dtype=torch.bool, device=stack.device))


class _Problem:
    """One network of the stack as a function of a flat float64 vector, and its book-keeping."""

    def __init__(self, recorder: Recorder, factor: float, stop_below: float | None, bar, index: int):
        self.recorder, self.factor, self.stop_below = recorder, factor, stop_below
        self.bar, self.index = bar, index
        self.stack = recorder.stack.only(index)
        self.inputs, self.targets, self.evaluated = recorder.data.only(index)
        self.best = torch.cat([p.flatten() for p in self.stack.parameters]).double().cpu().numpy()
        self.epoch, self.ended = -1, False

    def set_parameters(self, theta: np.ndarray) -> None:
        position = 0
        for p in self.stack.parameters:
            p.copy_(torch.as_tensor(theta[position : position + p.numel()]).reshape(p.shape))
            position += p.numel()

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        self.set_parameters(theta)
        value = float(self.stack.loss(self.inputs, self.targets, self.factor))
        self.stack.gradient(self.factor)
        gradient = torch.cat([p.grad.flatten() for p in self.stack.parameters])
        return value, gradient.double().cpu().numpy()

    def iteration_done(self, theta: np.ndarray) -> None:
        """SciPy's callback: an epoch has ended at ``theta``."""
        recorder = self.recorder
        self.epoch += 1
        self.best = theta.copy()
        self.set_parameters(theta)
        loss = float(self.stack.loss(self.inputs, self.targets, self.factor))
        recorder.loss[self.epoch, self.index] = loss
        if self.epoch in recorder.column:
            prediction = self.stack(self.evaluated)[0, :, 0].cpu()
            column = recorder.column[self.epoch]
            recorder.predictions[self.index, column] = prediction
            if recorder.kept:
                recorder.kept[self.index][column] = self.stack.export(0, recorder.models[self.index])
            recorder.tell(self.epoch)
        if self.epoch:
            self.bar.update()
        if self.stop_below is not None and loss < self.stop_below:
            recorder.stopped[self.index], self.ended = self.epoch, True
        if not np.isfinite(loss):
            recorder.diverged[self.index] = self.ended = True
        if self.ended and self.epoch:
            raise StopIteration
