"""L-BFGS on a stack of networks: SciPy's L-BFGS-B, one network after another, on the stack's own gradient."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize


def minimise_stack(recorder, data, factor, epochs, stop_below, bar, *, history_size=50, tolerance=0.0) -> None:
    """Minimise every network's loss; an epoch is one iteration of L-BFGS, of usually one or two gradients.

    ``tolerance`` is SciPy's ``gtol`` and, times the machine precision of float64, its ``ftol``: with 0 the
    search goes on until the line search fails, that is, until round-off ends it.
    """
    if int(history_size) != history_size or history_size < 1:
        raise ValueError(f"history_size must be a positive whole number, got {history_size!r}")
    bar.reset(total=epochs * len(recorder.stack))
    for index in range(len(recorder.stack)):
        problem = _Problem(recorder, data, factor, stop_below, bar, index)
        problem.iteration_done(problem.start)  # epoch 0
        if epochs and not problem.stopped:
            options = {"maxiter": epochs, "maxfun": 20 * epochs + 100, "maxcor": history_size}
            options |= {"gtol": tolerance, "ftol": tolerance * np.finfo(float).eps}
            minimize(problem.value_and_gradient, problem.start, jac=True, method="L-BFGS-B", options=options,
                     callback=problem.iteration_done)  # fmt: skip
        problem.set_parameters(problem.best)
    recorder.retire(torch.ones(len(recorder.stack), dtype=torch.bool, device=recorder.stack.device))


class _Problem:
    """One network of the stack as a function of a flat float64 vector, and its book-keeping."""

    def __init__(self, recorder, data, factor, stop_below, bar, index):
        self.recorder, self.factor, self.stop_below, self.bar, self.index = recorder, factor, stop_below, bar, index
        self.stack = recorder.stack.only(index)
        self.inputs, self.targets, self.evaluated = (
            t[index : index + 1] for t in (data.inputs, data.targets, data.evaluated)
        )
        self.start = torch.cat([p.flatten() for p in self.stack.parameters]).double().cpu().numpy()
        self.epoch, self.stopped, self.best = -1, False, self.start

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
        self.epoch += 1
        self.best = theta.copy()
        self.set_parameters(theta)
        loss = float(self.stack.loss(self.inputs, self.targets, self.factor))
        self.recorder.loss[self.epoch, self.index] = loss
        if self.epoch in self.recorder.wanted:
            prediction = self.stack(self.evaluated)[0, :, 0].cpu()
            self.recorder.predictions[self.index, self.recorder.wanted[self.epoch]] = prediction
        if self.epoch:
            self.bar.update()
        if self.stop_below is not None and loss < self.stop_below:
            self.recorder.stopped[self.index], self.stopped = self.epoch, True
            if self.epoch:
                raise StopIteration
