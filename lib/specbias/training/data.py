"""The points that a stack of networks is trained on, checked, embedded, and on the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from specbias._checks import check_real
from specbias.models import MLP


class Data:
    """Points and targets of the networks that are still in training, and the points of snapshots.

    Attributes
    ----------
    points : torch.Tensor
        Where snapshots are taken, as given: ``(m, d)`` or ``(S, m, d)`` float64 on the CPU.
    inputs, evaluated : torch.Tensor
        What the first layers see at the training points, ``(S, n, in)``, and at those, ``(S, m, in)``.
    targets : torch.Tensor
        ``(S, n, 1)``.
    """

    def __init__(self, models: Sequence[MLP], x, y, evaluate_at, device: torch.device):
        x = _points("x", x, models)
        self.points = x if evaluate_at is None else _points("evaluate_at", evaluate_at, models)
        self.inputs = _embed("x", models, x, device)
        self.evaluated = (
            self.inputs if evaluate_at is None else _embed("evaluate_at", models, self.points, device)
        )
        self.targets = _batch("y", _targets(y, len(models), x.shape[-2]), models, device)

    def keep(self, chosen: torch.Tensor) -> None:
        """Drop the networks that are not chosen (a boolean ``(S,)``)."""
        self.inputs, self.targets, self.evaluated = (
            t[chosen].clone() for t in (self.inputs, self.targets, self.evaluated)
        )

    def only(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Inputs, targets and snapshot inputs of one network, still with the leading dimension."""
        return tuple(t[index : index + 1] for t in (self.inputs, self.targets, self.evaluated))


def _points(name: str, x, models: Sequence[MLP]) -> torch.Tensor:
    """``(n, d)`` for all networks, or ``(S, n, d)``, float64."""
    features, count = models[0].in_features, len(models)
    x = _float64(name, x)
    x = x[:, None] if x.ndim == 1 else x
    right = x.ndim in (2, 3) and x.shape[-1] == features and x.shape[-2] > 0
    if not right or (x.ndim == 3 and len(x) != count):
        flat = "(n,), " if features == 1 else ""
        raise ValueError(
            f"{name} must be {flat}(n, {features}) or ({count}, n, {features}), n at least 1, "
            f"got shape {tuple(x.shape)}"
        )
    return x


def _targets(y, count: int, n: int) -> torch.Tensor:
    """``(1 or S, n, 1)`` float64."""
    y = _float64("y", y)
    if y.shape in ((n,), (n, 1)):
        return y.reshape(1, n, 1)
    if y.shape in ((count, n), (count, n, 1)):
        return y.reshape(count, n, 1)
    raise ValueError(
        f"y must be ({n},), ({n}, 1), ({count}, {n}) or ({count}, {n}, 1) for the {n} points of x, "
        f"got shape {tuple(y.shape)}"
    )


def _float64(name: str, values) -> torch.Tensor:
    if torch.is_tensor(values):
        values = values.detach().cpu()
    return torch.from_numpy(check_real(name, values))


def _embed(name: str, models: Sequence[MLP], x: torch.Tensor, device: torch.device) -> torch.Tensor:
    """What the first layers see, once for all epochs, since embeddings are fixed."""
    if models[0].embedding is None:
        return _batch(name, x if x.ndim == 3 else x[None], models, device)
    own = x if x.ndim == 3 else x.expand(len(models), -1, -1)
    embedded = torch.stack([model.embed(points) for model, points in zip(models, own, strict=True)])
    return _batch(name, embedded, models, device)


def _batch(name: str, values: torch.Tensor, models: Sequence[MLP], device: torch.device) -> torch.Tensor:
    """In the networks' dtype, on the device, one for each network."""
    values = values.to(dtype=models[0].dtype, device=device).expand(len(models), -1, -1).contiguous()
    if not torch.isfinite(values).all():
        raise ValueError(f"{name} has values that are too large for the networks' {models[0].dtype}")
    return values
