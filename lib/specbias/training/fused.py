"""Many epochs of many small networks in one compiled loop each: what a step touches stays in a core's cache.

Two things make it fast. **Nothing leaves the cache**: forwards, backwards and the optimizer's step are one
loop (``fused_kernels``), each core with a network of its own, so that not even hundreds of networks at once
stream through memory. And **the first layer is smooth**: on an interval, the functions ``tanh(w x + b)`` of
all its units lie, to round-off, in the span of a few Chebyshev polynomials, as many as the steepest of them
needs. With the matrix ``P (n, r)`` that interpolates from ``r`` nodes to the ``n`` points, the second layer's
``tanh(x w1 + b1) W2^T`` is ``P (tanh(nodes w1 + b1) W2^T)``, and backwards ``P^T`` comes first. So the two
largest of the three matrix products that an epoch has between its hidden layers take ``r`` where they took
``H``, the third nearly nothing. ``r`` follows from the poles of the activation (``nodes_needed``), anew at
every step: 16 to 56 for the networks of the second chapter. This is a rearrangement up to the round-off of
the networks' dtype, not an approximation to be tuned; where it would not pay, all points are computed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  what Numba calls; loaded here, so that it can be told to use one thread
import torch
from threadpoolctl import threadpool_limits

from specbias.models import MLP
from specbias.training.fused_kernels import (
    ADAM,
    DIVERGED,
    SGD,
    SIGMOID,
    SIN,
    STOPPED,
    TANH,
    train_one,
)
from specbias.training.options import OPTIMIZERS
from specbias.training.recorder import Recorder
from specbias.training.stack import Stack
from specbias.training.threads import each

ACTIVATIONS = {"tanh": TANH, "sin": SIN, "sigmoid": SIGMOID}
TOLERANCES = {torch.float32: 1e-8, torch.float64: 1e-17}
"""Allowed error of the interpolated first layer."""

NANOSECONDS_PER_CALL = 50_000_000  # of one network, roughly: how often a bar moves and an interrupt is heard


def can_fuse(models: Sequence[MLP], optimizer: str, options: dict, device: torch.device) -> bool:
    """Whether the compiled loop can train these networks, and keeps every core busy with them."""
    first = models[0]
    known = optimizer in ("adam", "sgd") and not options.get("amsgrad")
    interpolates = first.layers[0].in_features == 1 and len(first.hidden) > 1
    busy = interpolates or len(models) >= torch.get_num_threads()
    return known and busy and first.activation in ACTIVATIONS and device.type == "cpu"


class FusedStack(Stack):
    """A ``Stack`` whose parameters, one row a network, are one matrix ``(S, P)``."""

    def __init__(self, models: Sequence[MLP], device: torch.device):
        super().__init__(models, device)
        rows = [
            torch.cat([p.reshape(-1) for p in network])
            for network in zip(*(p.unbind() for p in self.parameters), strict=True)
        ]
        self.moments = None
        self._hold(torch.stack(rows))

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """As a ``Stack``'s, one network after another, each copied: no digit depends on the others.

        (PyTorch's matrix products depend, in the last digit, on how many there are and where in memory.)
        """
        outputs = []
        for s in range(len(self)):
            one = self.only(s)
            one.weights = [w.clone() for w in one.weights]
            one.biases = [None if b is None else b.clone() for b in one.biases]
            outputs.append(Stack.__call__(one, inputs[s : s + 1].clone()))
        return torch.cat(outputs)

    def keep(self, chosen: torch.Tensor) -> None:
        """Drop the networks that are not chosen (a boolean ``(S,)``), with their moments."""
        if self.moments is not None:
            self.moments = self.moments[:, chosen].clone()
        self._hold(self.theta[chosen].clone())

    def _hold(self, theta: torch.Tensor) -> None:
        """Make weights and biases views of ``theta``."""
        self.theta, self.offsets, begin = theta, [], 0
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            self.offsets.append([begin, -1])
            out, inputs = weight.shape[1:]
            self.weights[layer] = theta[:, begin : begin + out * inputs].view(-1, out, inputs)
            begin += out * inputs
            if bias is not None:
                self.offsets[layer][1] = begin
                self.biases[layer] = theta[:, None, begin : begin + out]
                begin += out
        self._buffers = {}

    def _forget(self) -> None:
        self._buffers = {}  # the gradients live in the compiled loop


class FusedSteps:
    """Advances every network of a recorder's stack, each core one network at a time."""

    def __init__(self, recorder: Recorder, optimizer: str, lr: float, options: dict, factor: float):
        self.recorder, self.factor = recorder, factor
        self.stack: FusedStack = recorder.stack
        self.stack.moments = torch.zeros(2, *self.stack.theta.shape, dtype=self.stack.dtype)
        self.optimizer, self.settings = _settings(optimizer, lr, options)
        layers = [self.stack.weights[0].shape[2], *(w.shape[1] for w in self.stack.weights)]
        self.sizes = np.array(layers)
        self.offsets = np.array(self.stack.offsets)
        one_input = self.sizes[0] == 1 and len(layers) > 3
        self.tolerance = TOLERANCES[self.stack.dtype] if one_input else 0.0

    def advance(self, epoch: int, count: int, stop_below: float | None) -> np.ndarray:
        """Make ``count`` steps from ``epoch`` on; the state of each network afterwards, ``(S,)``.

        A network that stops or diverges does so before the step of the epoch that its last loss is of.
        """
        stack, data = self.stack, self.recorder.data
        losses = np.full((len(stack), count), np.nan)
        state = np.zeros(len(stack), int)
        theta, (first, second) = stack.theta.numpy(), stack.moments.numpy()
        x, y = data.inputs.numpy(), data.targets.numpy()[:, :, 0]

        def train(s: int) -> None:
            state[s] = train_one(
                theta[s], first[s], second[s], x[s], y[s], self.sizes, self.offsets,
                ACTIVATIONS[stack.activation], stack.omega, self.tolerance, self.optimizer, self.settings,
                epoch, count, self.factor, -1.0 if stop_below is None else float(stop_below), losses[s],
            )  # fmt: skip

        each(train, len(stack))
        self.recorder.loss[epoch : epoch + count, self.recorder.active] = torch.from_numpy(losses.T)
        return state

    def evaluate(self, epoch: int, stop_below: float | None) -> np.ndarray:
        """As ``advance`` by one step, which is not made; nothing can be made after this."""
        before = self.stack.theta.clone()
        state = self.advance(epoch, 1, stop_below)
        self.stack.theta.copy_(before)
        return state

    def epochs_per_call(self) -> int:
        """So many that one network takes some hundredths of a second, however small or large it is."""
        points = self.recorder.data.inputs.shape[1]
        products = float((self.sizes[1:] * self.sizes[:-1]).sum()) * points
        nanoseconds = 2000.0 + 3.0 * float(self.sizes.sum()) * points + 0.06 * products
        return int(max(1, NANOSECONDS_PER_CALL / nanoseconds))


def _settings(optimizer: str, lr: float, options: dict) -> tuple[int, tuple[float, ...]]:
    """The optimizer's code and five numbers, checked and completed by PyTorch's own class."""
    nothing = [torch.zeros(())]
    known = OPTIMIZERS[optimizer].torch_class(nothing, lr=lr, **options).defaults
    if optimizer == "adam":
        numbers = (lr, *known["betas"], known["eps"], known["weight_decay"])
        return ADAM, tuple(map(float, numbers))
    numbers = (lr, known["momentum"], known["dampening"], known["nesterov"], known["weight_decay"])
    return SGD, tuple(map(float, numbers))


def descend_fused(
    recorder: Recorder, factor: float, optimizer, lr, options, epochs: int, stop_below, on_divergence, bar
) -> None:
    """As ``fitting._descend``: from snapshot to snapshot, networks that have ended leaving on the way."""
    stack = recorder.stack
    steps = FusedSteps(recorder, optimizer, lr, options, factor)
    most = steps.epochs_per_call()
    marks = sorted({0, *recorder.column, epochs})
    with threadpool_limits(1, user_api="blas"):
        for mark, following in zip(marks, [*marks[1:], epochs], strict=True):
            recorder.predict(mark)
            for epoch in range(mark, following, most):
                count = min(most, following - epoch)
                state = torch.from_numpy(steps.advance(epoch, count, stop_below))
                _retire(recorder, state, epoch, count, on_divergence, lr)
                bar.update(count)
                if not len(stack):
                    return
        state = torch.from_numpy(steps.evaluate(epochs, stop_below))
        _retire(recorder, state, epochs, 1, on_divergence, lr)
        recorder.retire(torch.ones(len(stack), dtype=torch.bool))


def _retire(recorder: Recorder, state: torch.Tensor, epoch: int, count: int, on_divergence: str, lr) -> None:
    """Note what has stopped or diverged in these epochs, and let it leave."""
    diverged, stopped = state == DIVERGED, state == STOPPED
    recorder.diverged[recorder.active[diverged]] = True
    if on_divergence == "raise" and diverged.any():
        raise recorder.divergence(lr)
    losses = recorder.loss[epoch : epoch + count, recorder.active]
    last = torch.isfinite(losses).sum(dim=0) - 1
    for row in torch.nonzero(stopped).flatten().tolist():
        recorder.stopped[recorder.active[row]] = epoch + last[row]
    recorder.retire(diverged | stopped)
