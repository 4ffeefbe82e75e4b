"""The names that ``fit`` knows, and the checks of what it is given besides the data."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from specbias._checks import check_choice, check_count, check_positive
from specbias.models import MLP

LOSSES = {"mse": lambda n: 1.0 / n, "half-mse": lambda n: 0.5 / n, "half-sum": lambda n: 0.5}
"""Loss by name: the factor before the sum of squares over ``n`` points."""


class Optimizer(NamedTuple):
    """A method of descent: PyTorch's class (none for L-BFGS), its usual step, and the options it takes."""

    torch_class: type[torch.optim.Optimizer] | None
    lr: float | None
    options: tuple[str, ...]


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer(torch.optim.SGD, 1e-2, ("momentum", "weight_decay", "nesterov", "dampening")),
    "adam": Optimizer(torch.optim.Adam, 1e-3, ("betas", "eps", "weight_decay", "amsgrad")),
    "adadelta": Optimizer(torch.optim.Adadelta, 1.0, ("rho", "eps", "weight_decay")),
    "lbfgs": Optimizer(None, None, ("history_size", "tolerance")),
}
"""What ``fit(optimizer=...)`` may be."""


def check_models(models: Sequence[MLP]) -> None:
    """At least one network, all of one shape, so that they fit in one batch."""
    if not models or not all(isinstance(m, MLP) for m in models):
        kinds = ", ".join(sorted({type(m).__name__ for m in models})) or "an empty sequence"
        raise TypeError(f"model must be an MLP or a non-empty sequence of MLP, got {kinds}")
    first = _shape(models[0])
    for model in models[1:]:
        if _shape(model) != first:
            raise ValueError(
                f"models trained together must have the same shape, got {first} and {_shape(model)}"
            )


def _shape(model: MLP) -> dict:
    """What networks must have in common to be trained together."""
    return {
        "inputs": (model.in_features, model.layers[0].in_features),
        "hidden": model.hidden,
        "biases": [layer.bias is not None for layer in model.layers],
        "activation": (model.activation, model.omega),
        "dtype": model.dtype,
    }


def check_schedule(optimizer: str, lr, epochs, stop_below, options: dict) -> float | None:
    """Whether the optimizer takes all this; returns its learning rate."""
    known = OPTIMIZERS[check_choice("optimizer", optimizer, OPTIMIZERS)]
    for name in options:
        if name not in known.options:
            near = difflib.get_close_matches(name, known.options, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(
                f"{optimizer} takes no option {name!r}; allowed: {', '.join(known.options)}{hint}"
            )
    if epochs != 0:
        check_count("epochs", epochs)
    if stop_below is not None:
        check_positive("stop_below", stop_below)
    if known.lr is None and lr is not None:
        raise ValueError(f"{optimizer} searches along a line and has no lr, got {lr!r}; leave it out")
    return known.lr if lr is None else check_positive("lr", lr)


def check_snapshots(snapshots: Sequence[int], epochs: int) -> list[int]:
    """The wanted epochs, ascending, each once."""
    if np.ndim(snapshots) != 1:
        raise TypeError(f"snapshots must be a sequence of whole numbers, got {snapshots!r}")
    for epoch in snapshots:
        if isinstance(epoch, bool) or not isinstance(epoch, (int, np.integer)):
            raise TypeError(f"snapshots must be whole numbers, got {epoch!r}")
        if not 0 <= epoch <= epochs:
            raise ValueError(f"snapshots must lie between 0 and epochs={epochs}, got {epoch}")
    return sorted({int(epoch) for epoch in snapshots})


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``"auto"`` is a CUDA device if there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    check_choice("device", str(name).split(":")[0], ("auto", "cpu", "cuda"))
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            "device is 'cuda', but this machine or this build of PyTorch has none; use 'auto' or 'cpu'"
        )
    return device
