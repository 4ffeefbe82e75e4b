"""Loss and gradient of a stage's network on a GPU: the lines of `StageNetwork` with PyTorch's arrays.

Worth it for some hundred thousand points. With fewer a call takes longer to start than to run, which is why
``device="auto"`` leaves these networks on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from specbias.multistage.networks import StageNetwork

__all__ = ["loss_on"]


def loss_on(
    network: StageNetwork, x: np.ndarray, y: np.ndarray, device: str
) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
    """`StageNetwork.loss_and_gradient` at fixed points, computed on a device of PyTorch, in float64.

    Parameters
    ----------
    network
        The network.
    x, y
        ``(n, inputs)`` and ``(n,)``: they stay on the device.
    device
        ``"cuda"``, or ``"cpu"``.

    Returns
    -------
    callable
        From parameters ``(P,)`` to half the mean square of the residual and its gradient ``(P,)``.

    Examples
    --------
    >>> net, x = StageNetwork(1, (8,)), np.linspace(-1, 1, 9)[:, None]
    >>> row = net.initial(np.random.default_rng(0))
    >>> here, there = net.loss_and_gradient(row, x, x[:, 0]), loss_on(net, x, x[:, 0], "cpu")(row)
    >>> bool(abs(here[0] - there[0]) < 1e-15 and np.abs(here[1] - there[1]).max() < 1e-15)
    True
    """
    points, goal = (torch.as_tensor(part, dtype=torch.float64, device=device) for part in (x, y))

    def value(row: np.ndarray) -> tuple[float, np.ndarray]:
        split = network.layers(torch.as_tensor(row, dtype=torch.float64, device=device))
        entering, slopes = [points], []
        for layer, (weights, bias) in enumerate(split[:-1]):
            z = torch.addmm(bias, entering[-1], weights.T)
            out, slope = _bend(
                z, network.first if layer == 0 else "tanh", network.scale if layer == 0 else 1.0
            )
            entering.append(out)
            slopes.append(slope)
        residual = entering[-1] @ split[-1][0][0] + split[-1][1] - goal
        back, parts = (residual / len(goal))[:, None], []
        for layer in range(len(split) - 1, -1, -1):
            parts += [back.sum(dim=0), (back.T @ entering[layer]).reshape(-1)]
            if layer:
                back = (back @ split[layer][0]) * slopes[layer - 1]
        return 0.5 * float(residual @ residual) / len(goal), torch.cat(parts[::-1]).cpu().numpy()

    return value


def _bend(z: torch.Tensor, kind: str, scale: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Values of a hidden layer, and their derivative by what its units sum up."""
    if kind == "tanh":
        out = torch.tanh(scale * z)
        return out, scale * (1 - out**2)
    sine, cosine = torch.sin(scale * z), torch.cos(scale * z)
    return (sine, scale * cosine) if kind == "sin" else (cosine, -scale * sine)
