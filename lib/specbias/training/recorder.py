"""What a training run leaves: ``Fit``, and the recorder that fills it while networks end one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from specbias.models import MLP
from specbias.training.data import Data
from specbias.training.stack import Stack


class TrainingDiverged(FloatingPointError):
    """The loss stopped being finite.

    Attributes
    ----------
    epoch : int
        The first epoch whose loss is not finite.
    models : list of int
        Which of the networks it was.
    """

    def __init__(self, epoch: int, models: list[int], lr: float | None):
        self.epoch, self.models = epoch, models
        which = ", ".join(map(str, models))
        advice = "" if lr is None else f"; try a learning rate below {lr:g}"
        super().__init__(f"the loss is not finite from epoch {epoch} on (network {which}){advice}")


@dataclass(frozen=True, eq=False)
class Fit:
    """What a training run leaves; the leading dimension ``S`` is there only when several networks were given.

    Attributes
    ----------
    models : list of MLP
        The trained networks, on the CPU; those given to ``fit`` are left as they were.
    loss : numpy.ndarray
        ``(epochs made + 1,)`` or ``(S, epochs made + 1)`` float64: before the first step, and after each.
        As long as the network that ran longest; nan after a network has stopped.
    snapshots : xarray.Dataset
        ``prediction`` over ``([model,] epoch, point)`` in the networks' dtype; the points are its
        coordinate ``x``.
    stopped : numpy.ndarray
        ``()`` or ``(S,)`` int: first epoch with a loss below ``stop_below``, or -1.
    diverged : numpy.ndarray
        ``()`` or ``(S,)`` bool: whether the loss stopped being finite.
    seconds : float
        Wall time of the training.
    device : str
    snapshot_models : list
        With ``keep_models``, the networks at the epochs of the snapshots, ``[model][epoch]`` (``[epoch]`` if
        only one network was given); else empty.
    """

    models: list[MLP]
    loss: np.ndarray
    snapshots: xr.Dataset
    stopped: np.ndarray
    diverged: np.ndarray
    seconds: float
    device: str
    snapshot_models: list

    @property
    def model(self) -> MLP:
        """The first (or only) trained network."""
        return self.models[0]

    @property
    def final_loss(self) -> np.ndarray:
        """The last finite loss of each network, ``()`` or ``(S,)``.

        It is the loss of the trained network, unless that has diverged.
        """
        from_the_end = np.isfinite(self.loss[..., ::-1]).argmax(axis=-1)
        last = self.loss.shape[-1] - 1 - from_the_end
        return np.take_along_axis(self.loss, last[..., None], axis=-1)[..., 0]


class Recorder:
    """Keeps losses and snapshots of all networks while ``stack`` shrinks to those still in training."""

    def __init__(
        self,
        models: Sequence[MLP],
        data: Data,
        epochs: int,
        snapshots: Sequence[int],
        stack: Stack,
        keep_models: bool = False,
        callback: Callable[[int, np.ndarray], object] | None = None,
    ):
        self.models, self.data, self.stack, self.callback = models, data, stack, callback
        self.column = {epoch: column for column, epoch in enumerate(snapshots)}
        count, points, device = len(models), data.evaluated.shape[1], stack.device
        self.active = torch.arange(count, device=device)  # which network each row of the stack is
        self.loss = torch.full((epochs + 1, count), torch.nan, dtype=torch.float64, device=device)
        self.stopped = torch.full((count,), -1, device=device)
        self.diverged = torch.zeros(count, dtype=torch.bool, device=device)
        self.predictions = torch.full((count, len(snapshots), points), torch.nan, dtype=stack.dtype)
        self.trained: list[MLP | None] = [None] * count
        self.kept: list[list[MLP | None]] = [[None] * len(snapshots) for _ in models] if keep_models else []

    def record(self, epoch: int, loss: torch.Tensor) -> None:
        """The losses of the networks in training, and their predictions if these are wanted."""
        self.loss[epoch, self.active] = loss
        self.predict(epoch)

    def predict(self, epoch: int) -> None:
        """The predictions of the networks in training, if they are wanted at this epoch."""
        if epoch in self.column:
            prediction = self.stack(self.data.evaluated)[:, :, 0].cpu()
            self.predictions[self.active.cpu(), self.column[epoch]] = prediction
            for row, index in enumerate(self.active.tolist() if self.kept else []):
                self.kept[index][self.column[epoch]] = self.stack.export(row, self.models[index])
            self.tell(epoch)

    def tell(self, epoch: int) -> None:
        """Hand the predictions of a snapshot to whoever watches."""
        if self.callback:
            self.callback(epoch, self.predictions[:, self.column[epoch]].numpy().copy())

    def mark_stopped(self, epoch: int, below: torch.Tensor) -> None:
        """Note the epoch for those rows of the stack that have reached their goal."""
        self.stopped[self.active[below]] = epoch

    def find_diverged(self, since: int, epoch: int) -> torch.Tensor:
        """Which rows of the stack had a loss that is not finite between the two epochs, both counted."""
        finite = torch.isfinite(self.loss[since : epoch + 1, self.active]).all(dim=0)
        self.diverged[self.active[~finite]] = True
        return ~finite

    def divergence(self, lr: float | None) -> TrainingDiverged:
        """The error that says which networks have diverged, and when the first of them did."""
        which = torch.nonzero(self.diverged).flatten()
        first = (~torch.isfinite(self.loss[:, which])).int().argmax(dim=0).min()
        return TrainingDiverged(int(first), which.tolist(), lr)

    def retire(self, ended: torch.Tensor) -> None:
        """Take ended networks out of the stack; their last prediction fills the later snapshots."""
        if not ended.any():
            return
        prediction = self.stack(self.data.evaluated)[:, :, 0].cpu()
        for row in torch.nonzero(ended).flatten().tolist():
            index = int(self.active[row])
            self.trained[index] = self.stack.export(row, self.models[index])
            later = torch.isnan(self.predictions[index]).all(dim=1)
            self.predictions[index, later] = prediction[row]
            if self.kept:
                self.kept[index] = [model or self.trained[index] for model in self.kept[index]]
        self.stack.keep(~ended)
        self.data.keep(~ended)
        self.active = self.active[~ended]

    def result(self, seconds: float, single: bool) -> Fit:
        """Everything as the ``Fit`` that the caller gets."""
        loss = self.loss.cpu().numpy()
        made = np.flatnonzero(np.isfinite(loss).any(axis=1))
        loss = loss[: made[-1] + 1 if made.size else 1].T  # (S, epochs made + 1)
        snapshots, stopped, diverged = (
            self._snapshots(),
            self.stopped.cpu().numpy(),
            self.diverged.cpu().numpy(),
        )
        if single:
            snapshots = snapshots.isel(model=0)
            loss, stopped, diverged = loss[0], stopped[0], diverged[0]
        device, kept = str(self.stack.device), self.kept[0] if single and self.kept else self.kept
        return Fit(self.trained, loss, snapshots, stopped, diverged, seconds, device, kept)

    def _snapshots(self) -> xr.Dataset:
        prediction = (("model", "epoch", "point"), self.predictions.numpy())
        points = self.data.points.numpy()
        if points.ndim == 3:
            x = (("model", "point", "feature"), points)
        elif points.shape[1] == 1:
            x = ("point", points[:, 0])
        else:
            x = (("point", "feature"), points)
        return xr.Dataset({"prediction": prediction}, coords={"epoch": list(self.column), "x": x})
