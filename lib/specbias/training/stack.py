"""Many networks of one shape as one batched network, with its gradient written out.

``S`` networks are held as tensors with a leading dimension ``S``, so that a layer of all of them is one
batched matrix product. The gradient is the chain rule by hand rather than autograd: no graph is built, and
what a step needs is written to the same memory each time.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch

from specbias.models import MLP
from specbias.training.tanh import tanh_

aten = torch.ops.aten


class Stack:
    """``S`` networks of the same shape, trained side by side.

    Parameters
    ----------
    models : sequence of MLP
        Copied.
    device : torch.device

    Attributes
    ----------
    weights : list of torch.Tensor
        One ``(S, out, in)`` tensor a layer.
    biases : list of torch.Tensor or None
        One ``(S, 1, out)`` tensor a layer, ``None`` where the layer has no bias.
    """

    def __init__(self, models: Sequence[MLP], device: torch.device):
        first = models[0]
        self.activation, self.omega, self.dtype = first.activation, first.omega, first.dtype
        self.device = device
        self.weights, self.biases = [], []
        with torch.no_grad():
            for same in zip(*(model.layers for model in models), strict=True):
                self.weights.append(torch.stack([layer.weight for layer in same]).to(device))
                has_bias = same[0].bias is not None
                bias = torch.stack([layer.bias for layer in same])[:, None].to(device) if has_bias else None
                self.biases.append(bias)
        self._forget()

    @property
    def parameters(self) -> list[torch.Tensor]:
        """Weights and biases, layer by layer."""
        return [p for pair in zip(self.weights, self.biases, strict=True) for p in pair if p is not None]

    def __len__(self) -> int:
        return self.weights[0].shape[0]

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        """Outputs ``(S, m, 1)`` at embedded ``inputs`` ``(S, m, in)``."""
        a, last = inputs, len(self.weights) - 1
        for index in range(last):
            a = self._activate(self._linear(a, index))
        return self._linear(a, last)

    def loss(self, inputs: torch.Tensor, targets: torch.Tensor, factor: float) -> torch.Tensor:
        """``factor`` times the sum of squares, ``(S,)`` float64; keeps what ``gradient`` needs."""
        self._activations, self._cosines, last = [inputs], [], len(self.weights) - 1
        for index in range(last):
            z = self._linear(self._activations[-1], index, self._buffer("z", index, inputs.shape[1]))
            self._activations.append(self._activate(z, index))
        output = self._linear(self._activations[-1], last, self._buffer("z", last, inputs.shape[1]))
        self._residual = output.sub_(targets)
        return factor * torch.linalg.vector_norm(self._residual, dim=(1, 2), dtype=torch.float64).square()

    def gradient(self, factor: float) -> None:
        """Fill ``.grad`` of every parameter; call after ``loss``, once."""
        delta = self._residual.mul_(2.0 * factor)  # (S, n, 1)
        for index in reversed(range(len(self.weights))):
            weight, bias, a = self.weights[index], self.biases[index], self._activations[index]
            self._weight_gradient(delta, a, weight.grad)
            if bias is not None:
                torch.sum(delta, dim=1, keepdim=True, out=bias.grad)
            if index > 0:
                back = self._buffer("delta", index - 1, a.shape[1])
                if weight.shape[1] == 1:
                    torch.mul(
                        delta, weight, out=back
                    )  # an outer product: several times faster than a thin bmm
                else:
                    torch.bmm(delta, weight, out=back)
                delta = self._differentiate(back, a, index - 1)

    def keep(self, chosen: torch.Tensor) -> None:
        """Drop the networks that are not chosen (a boolean ``(S,)``)."""
        self.weights = [w[chosen].clone() for w in self.weights]
        self.biases = [None if b is None else b[chosen].clone() for b in self.biases]
        self._forget()

    def only(self, index: int) -> Stack:
        """Network ``index`` as a stack of one that shares this one's memory."""
        view = copy.copy(self)
        view.weights = [w[index : index + 1] for w in self.weights]
        view.biases = [None if b is None else b[index : index + 1] for b in self.biases]
        view._forget()
        return view

    def export(self, index: int, like: MLP) -> MLP:
        """Network ``index`` as a new ``MLP`` on the CPU."""
        model = copy.deepcopy(like)
        with torch.no_grad():
            for layer, weight, bias in zip(model.layers, self.weights, self.biases, strict=True):
                layer.weight.copy_(weight[index])
                if bias is not None:
                    layer.bias.copy_(bias[index, 0])
        return model

    def _forget(self) -> None:
        """Start with gradients of zero and no buffers, as the parameters' shapes may have changed."""
        self._buffers: dict[tuple[str, int], torch.Tensor] = {}
        for parameter in self.parameters:
            parameter.grad = torch.zeros_like(parameter)

    def _buffer(self, kind: str, layer: int, points: int) -> torch.Tensor:
        """Memory for one number a network, point and unit of a layer, the same at every step."""
        shape = (len(self), points, self.weights[layer].shape[1])
        buffer = self._buffers.get((kind, layer))
        if buffer is None or buffer.shape != shape:
            buffer = torch.empty(shape, dtype=self.dtype, device=self.device)
            self._buffers[kind, layer] = buffer
        return buffer

    def _linear(self, a: torch.Tensor, layer: int, out: torch.Tensor | None = None) -> torch.Tensor:
        weight, bias = self.weights[layer].mT, self.biases[layer]
        if a.shape[2] == 1:  # an outer product, for which a matrix product takes six times as long
            return torch.mul(a, weight, out=out) if bias is None else torch.addcmul(bias, a, weight, out=out)
        return torch.bmm(a, weight, out=out) if bias is None else torch.baddbmm(bias, a, weight, out=out)

    def _activate(self, z: torch.Tensor, layer: int | None = None) -> torch.Tensor:
        """The activation in place; with a ``layer``, what its derivative needs besides the result is kept."""
        if self.omega != 1.0:
            z.mul_(self.omega)
        if self.activation == "tanh":
            return tanh_(z)
        if self.activation == "sin" and layer is not None:  # its derivative is no function of its value
            cosine = torch.cos(z, out=self._buffer("cosine", layer, z.shape[1]))
            self._cosines.append(cosine)
        return {"relu": torch.relu_, "sigmoid": torch.sigmoid_, "sin": torch.sin_}[self.activation](z)

    def _differentiate(self, delta: torch.Tensor, a: torch.Tensor, layer: int) -> torch.Tensor:
        """Multiply ``delta`` by the derivative of the activation, whose value is ``a``, in place."""
        if self.activation == "sin":
            delta.mul_(self._cosines[layer])
        elif self.activation == "relu":
            aten.threshold_backward.grad_input(delta, a, 0.0, grad_input=delta)
        elif self.activation == "tanh":
            aten.tanh_backward.grad_input(delta, a, grad_input=delta)
        else:
            aten.sigmoid_backward.grad_input(delta, a, grad_input=delta)
        return delta if self.omega == 1.0 else delta.mul_(self.omega)

    @staticmethod
    def _weight_gradient(delta: torch.Tensor, a: torch.Tensor, out: torch.Tensor) -> None:
        """``delta^T a``, in the orientation in which rows are long: 20 times faster for one input."""
        if a.shape[2] < delta.shape[2]:
            out.copy_(torch.bmm(a.mT, delta).mT)
        else:
            torch.bmm(delta.mT, a, out=out)
