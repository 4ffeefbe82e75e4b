"""``fit``: full-batch training with snapshots; many seeds in one batched computation."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from tqdm import tqdm

from specbias.models import MLP
from specbias.training.lbfgs import minimise_stack
from specbias.training.stack import Stack
from specbias.training.sweep import SweepStack, can_sweep

LOSSES = {"mse": lambda n: 1.0 / n, "half-mse": lambda n: 0.5 / n, "half-sum": lambda n: 0.5}

# name -> (class, its learning rate when none is given, the options it takes)
OPTIMIZERS: dict[str, tuple] = {
    "sgd": (torch.optim.SGD, 1e-2, ("momentum", "weight_decay", "nesterov", "dampening")),
    "adam": (torch.optim.Adam, 1e-3, ("betas", "eps", "weight_decay", "amsgrad")),
    "adadelta": (torch.optim.Adadelta, 1.0, ("rho", "eps", "weight_decay")),
    "lbfgs": (None, None, ("history_size", "tolerance")),
}
CHECK_EVERY = 50  # epochs between looks for a loss that is no longer finite


class TrainingDiverged(FloatingPointError):
    """The loss stopped being finite. ``epoch`` says when, ``models`` which of the networks it was."""

    def __init__(self, epoch: int, models: list[int], lr: float | None):
        self.epoch, self.models = epoch, models
        step = "" if lr is None else f"; try a learning rate below {lr:g}"
        super().__init__(f"the loss is not finite from epoch {epoch} on (network {', '.join(map(str, models))}){step}")


@dataclass(frozen=True)
class Fit:
    """What a training run leaves. Arrays have the leading dimension ``S`` only when several networks were given."""

    models: list[MLP]  # the trained networks, on the CPU; those given to fit are left as they were
    loss: np.ndarray  # (epochs + 1,) or (S, epochs + 1) float64; nan after a network has stopped
    snapshots: xr.Dataset  # prediction over ([model,] epoch, point)
    stopped: np.ndarray  # () or (S,) int: first epoch with a loss below stop_below, or -1
    diverged: np.ndarray  # () or (S,) bool
    seconds: float  # wall time
    device: str

    @property
    def model(self) -> MLP:
        """The first (or only) trained network."""
        return self.models[0]


def fit(
    model: MLP | Sequence[MLP],
    x,
    y,
    *,
    optimizer: str = "adam",
    lr: float | None = None,
    epochs: int = 1000,
    loss: str = "mse",
    snapshots: Sequence[int] = (),
    evaluate_at=None,
    stop_below: float | None = None,
    on_divergence: str = "raise",
    engine: str = "auto",
    device: str = "auto",
    progress: bool | str = True,
    **options,
) -> Fit:
    """Train one network, or several of the same shape at once, on all points at every step (full batch).

    Training several is one batched computation: each network ends with the numbers it would have had
    alone, to the round-off of its dtype, and a network that has stopped costs nothing any more.

    Parameters
    ----------
    model : MLP or sequence of MLP
        Left unchanged; the trained copies are in the result.
    x : array_like
        Inputs ``(n, d)`` or ``(n,)`` for all networks, or ``(S, n, d)``, each network's own.
    y : array_like
        Targets ``(n,)`` or ``(n, 1)``, or ``(S, n)`` or ``(S, n, 1)``.
    optimizer : {"sgd", "adam", "adadelta", "lbfgs"}
        PyTorch's definitions; ``lbfgs`` is SciPy's L-BFGS-B, an epoch being one of its iterations.
    lr : float, optional
        Learning rate; by default 1e-2 (sgd), 1e-3 (adam), 1 (adadelta). L-BFGS has none.
    epochs : int
        Number of steps, at most.
    loss : {"mse", "half-mse", "half-sum"}
        Mean square, half of it, or half the sum of squares of the residual.
    snapshots : sequence of int
        Epochs (0 is before the first step) at which the prediction is kept. After a network has
        stopped its last prediction stands.
    evaluate_at : array_like, optional
        Points of the snapshots, ``(m, d)`` or ``(m,)``; by default those of ``x``.
    stop_below : float, optional
        A network stops at the first epoch whose loss is below this.
    on_divergence : {"raise", "stop"}
        Whether a loss that is no longer finite raises, or only ends that network.
    engine : {"auto", "dense", "sweep"}
        How gradients are computed: by matrix products, or, for ReLU networks with two hidden layers on a line or
        circle, by one sweep along the points (``training.sweep``), the same to round-off and far cheaper.
        ``"auto"`` sweeps where that is possible.
    device : str
        ``"auto"`` is a CUDA device if there is one, else the CPU.
    progress : bool or str
        Show a progress bar (after two seconds); a string is its label.
    **options
        The optimizer's own: momentum, weight_decay, betas, eps, rho, history_size, ...

    Returns
    -------
    Fit

    Raises
    ------
    ValueError, TypeError
        For unknown names, shapes that do not agree, nan or infinity in the data, impossible counts.
    TrainingDiverged
        When the loss stops being finite, with the epoch.

    Examples
    --------
    >>> net = MLP(1, (20,), generator=torch.Generator().manual_seed(0))
    >>> x = np.linspace(-1, 1, 50)
    >>> result = fit(net, x, x**2, epochs=200, lr=1e-2, snapshots=[0, 200], progress=False)
    >>> result.loss.shape, bool(result.loss[-1] < 0.1 * result.loss[0])
    ((201,), True)
    >>> dict(result.snapshots.sizes)
    {'epoch': 2, 'point': 50}
    """
    models = [model] if isinstance(model, MLP) else list(model)
    _check_names(models, optimizer, loss, epochs, on_divergence, options)
    device = _device(device)
    data = _Data(models, x, y, evaluate_at, device)
    stack = _choose_engine(engine, models, data.inputs, device)(models, device)
    recorder = _Recorder(models, data, epochs, snapshots, stack)
    factor = LOSSES[loss](data.targets.shape[1])
    lr = OPTIMIZERS[optimizer][1] if lr is None else lr
    start = time.perf_counter()
    label = progress if isinstance(progress, str) else f"{optimizer}, {len(models)} network{'s'[: len(models) > 1]}"
    with tqdm(total=epochs, desc=label, unit="epoch", delay=2, disable=not progress, mininterval=0.5) as bar:
        with torch.no_grad():
            if optimizer == "lbfgs":
                minimise_stack(recorder, data, factor, epochs, stop_below, bar, **options)
            else:
                _descend(recorder, data, factor, optimizer, lr, epochs, stop_below, on_divergence, bar, options)
    return recorder.result(time.perf_counter() - start, single=isinstance(model, MLP))


def _choose_engine(engine: str, models, inputs, device) -> type[Stack]:
    if engine not in ("auto", "dense", "sweep"):
        raise ValueError(f"engine must be 'auto', 'dense' or 'sweep', got {engine!r}")
    possible = engine != "dense" and can_sweep(models, inputs, device)
    if engine == "sweep" and not possible:
        raise ValueError(
            "engine='sweep' needs ReLU networks with two hidden layers, one input or a point on the circle, "
            f"and the CPU; got {models[0].activation}, hidden={models[0].hidden}, {inputs.shape[2]} inputs, {device}"
        )
    return SweepStack if possible else Stack


def _descend(recorder, data, factor, optimizer, lr, epochs, stop_below, on_divergence, bar, options) -> None:
    stack = recorder.stack
    step = _make_optimizer(optimizer, stack.parameters, lr, options)
    for epoch in range(epochs + 1):
        loss = stack.loss(data.inputs, data.targets, factor)
        recorder.loss[epoch, recorder.active] = loss
        if epoch in recorder.wanted:
            recorder.snapshot(epoch)
        ended = torch.zeros(len(stack), dtype=torch.bool, device=loss.device)
        if stop_below is not None:
            ended = loss < stop_below
            recorder.stopped[recorder.active[ended]] = epoch
        if epoch % CHECK_EVERY == 0 or epoch == epochs:
            infinite = ~torch.isfinite(loss)
            if infinite.any():
                recorder.note_divergence(infinite, None if on_divergence == "stop" else lr)
                ended |= infinite
        if (stop_below is not None or epoch % CHECK_EVERY == 0) and ended.any():
            recorder.retire(ended)
            if not len(stack):
                break
            data.keep(~ended)
            step = _make_optimizer(optimizer, stack.parameters, lr, options, step, ~ended)
            stack.loss(data.inputs, data.targets, factor)
        if epoch < epochs:
            stack.gradient(factor)
            step.step()
            bar.update()
    recorder.retire(torch.ones(len(stack), dtype=torch.bool, device=stack.device))


def _make_optimizer(name, parameters, lr, options, previous=None, kept=None):
    """PyTorch's optimizer on the batched parameters; the state of ``previous`` goes on for the networks kept."""
    cls = OPTIMIZERS[name][0]
    fused = {"fused": True} if name in ("sgd", "adam") else {"foreach": True}
    step = cls(parameters, lr=lr, **options, **fused)
    if previous is not None:
        for new, old in zip(parameters, previous.param_groups[0]["params"], strict=True):
            step.state[new] = {
                key: value[kept].clone() if torch.is_tensor(value) and value.shape == old.shape else value
                for key, value in previous.state[old].items()
            }
    return step


class _Data:
    """The points and targets of the networks that are still in training, on the device, and the points of snapshots."""

    def __init__(self, models, x, y, evaluate_at, device):
        first, count = models[0], len(models)
        to = {"dtype": first.dtype, "device": device}
        x = _points("x", x, first.in_features, count)
        self.points = x if evaluate_at is None else _points("evaluate_at", evaluate_at, first.in_features, count)
        y = torch.as_tensor(np.asarray(y, dtype=float))
        n = x.shape[-2]
        shared = y.shape in ((n,), (n, 1))
        if not shared and y.shape not in ((count, n), (count, n, 1)):
            raise ValueError(
                f"y must be ({n},), ({n}, 1), ({count}, {n}) or ({count}, {n}, 1) for the {n} points of x, "
                f"got shape {tuple(y.shape)}"
            )
        y = y.reshape(1 if shared else count, n, 1)
        if not torch.isfinite(y).all():
            raise ValueError("y must be finite, got nan or infinity")
        embedded = self._embed(models, x)
        self.inputs = embedded.to(**to).expand(count, -1, -1).contiguous()  # (S, n, in)
        self.targets = y.to(**to).expand(count, -1, -1).contiguous()  # (S, n, 1)
        self.evaluated = embedded if evaluate_at is None else self._embed(models, self.points)
        self.evaluated = self.evaluated.to(**to).expand(count, -1, -1).contiguous()  # (S, m, in)

    @staticmethod
    def _embed(models, x):
        """What the first layers see, once: embeddings are fixed. Computed in float64, whatever the network's dtype."""
        if models[0].embedding is None:
            return x if x.ndim == 3 else x[None]
        if x.ndim == 3:
            return torch.stack([m.embed(own) for m, own in zip(models, x, strict=True)])
        return torch.stack([m.embed(x) for m in models])

    def keep(self, chosen):
        self.inputs, self.targets, self.evaluated = (
            t[chosen].clone() for t in (self.inputs, self.targets, self.evaluated)
        )


def _points(name: str, x, features: int, count: int) -> torch.Tensor:
    x = torch.as_tensor(np.asarray(x, dtype=float))
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim not in (2, 3) or x.shape[-1] != features or x.shape[-2] == 0 or (x.ndim == 3 and x.shape[0] != count):
        raise ValueError(
            f"{name} must be (n, {features}) or ({count}, n, {features}), got shape {tuple(x.shape)}"
        )
    if not torch.isfinite(x).all():
        raise ValueError(f"{name} must be finite, got nan or infinity")
    return x


class _Recorder:
    """Keeps losses and snapshots of all networks while ``stack`` shrinks to those still in training."""

    def __init__(self, models, data, epochs, snapshots, stack):
        self.models, self.data, self.stack = models, data, stack
        self.wanted = {int(e): i for i, e in enumerate(sorted(set(snapshots)))}
        for epoch in self.wanted:
            if not 0 <= epoch <= epochs:
                raise ValueError(f"snapshots must lie between 0 and epochs={epochs}, got {epoch}")
        count, points = len(models), data.evaluated.shape[1]
        self.active = torch.arange(count, device=stack.device)  # which network each row of the stack is
        self.loss = torch.full((epochs + 1, count), torch.nan, dtype=torch.float64, device=stack.device)
        self.stopped = torch.full((count,), -1, device=stack.device)
        self.diverged = torch.zeros(count, dtype=torch.bool, device=stack.device)
        self.predictions = torch.full((count, len(self.wanted), points), torch.nan, dtype=stack.dtype)
        self.trained: list[MLP | None] = [None] * count

    def snapshot(self, epoch: int) -> None:
        prediction = self.stack(self.data.evaluated)[:, :, 0].cpu()
        self.predictions[self.active.cpu(), self.wanted[epoch]] = prediction

    def note_divergence(self, infinite: torch.Tensor, lr: float | None) -> None:
        which = self.active[infinite]
        history = self.loss[:, which]
        first = int((~torch.isfinite(history)).any(dim=1).int().argmax())
        if lr is not None:
            raise TrainingDiverged(first, which.tolist(), lr)
        self.diverged[which] = True

    def retire(self, ended: torch.Tensor) -> None:
        """Take the networks that have ended out of the stack; their last prediction fills the later snapshots."""
        if not ended.any():
            return
        prediction = self.stack(self.data.evaluated)[:, :, 0].cpu()
        for row in torch.nonzero(ended).flatten().tolist():
            index = int(self.active[row])
            self.trained[index] = self.stack.export(row, self.models[index])
            later = torch.isnan(self.predictions[index]).all(dim=1)
            self.predictions[index, later] = prediction[row]
        self.stack.keep(~ended)
        self.active = self.active[~ended]

    def result(self, seconds: float, single: bool) -> Fit:
        loss = self.loss.cpu().numpy()
        used = np.flatnonzero(np.isfinite(loss).any(axis=1))
        loss = loss[: used[-1] + 1 if used.size else 1].T  # (S, epochs + 1)
        points = self.data.points.numpy()
        dims = ("model", "epoch", "point")
        snapshots = xr.Dataset(
            {"prediction": (dims, self.predictions.numpy())},
            coords={"epoch": list(self.wanted)},
        )
        if points.shape[-1] == 1 and points.ndim == 2:
            snapshots = snapshots.assign_coords(x=("point", points[:, 0]))
        else:
            names = ("point", "feature") if points.ndim == 2 else ("model", "point", "feature")
            snapshots = snapshots.assign_coords(x=(names, points))
        arrays = (loss, self.stopped.cpu().numpy(), self.diverged.cpu().numpy())
        if single:
            snapshots, arrays = snapshots.isel(model=0), tuple(a[0] for a in arrays)
        loss, stopped, diverged = arrays
        return Fit(self.trained, loss, snapshots, stopped, diverged, seconds, str(self.stack.device))


def _check_names(models, optimizer, loss, epochs, on_divergence, options) -> None:
    if not models or not all(isinstance(m, MLP) for m in models):
        raise TypeError(f"model must be an MLP or a non-empty sequence of MLP, got {type(models[0] if models else models)}")
    if optimizer not in OPTIMIZERS:
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, got {optimizer!r}")
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(LOSSES)}, got {loss!r}")
    if on_divergence not in ("raise", "stop"):
        raise ValueError(f"on_divergence must be 'raise' or 'stop', got {on_divergence!r}")
    if int(epochs) != epochs or epochs < 0:
        raise ValueError(f"epochs must be a whole number of at least 0, got {epochs!r}")
    allowed = OPTIMIZERS[optimizer][2]
    for name in options:
        if name not in allowed:
            raise TypeError(f"{optimizer} takes no option {name!r}; allowed: {', '.join(allowed)}")


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is 'cuda', but this machine or this build of PyTorch has none; use 'auto' or 'cpu'")
    return device
