"""``fit``: full-batch training with snapshots; many networks at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from tqdm import tqdm

from specbias._checks import check_choice
from specbias.models import MLP
from specbias.training.data import Data
from specbias.training.fused import FusedStack, can_fuse, descend_fused
from specbias.training.lbfgs import check_lbfgs, minimise_stack
from specbias.training.options import (
    LOSSES,
    OPTIMIZERS,
    check_models,
    check_schedule,
    check_snapshots,
    choose_device,
)
from specbias.training.recorder import Fit, Recorder
from specbias.training.stack import Stack
from specbias.training.sweep import SweepStack, can_sweep

CHECK_EVERY = 50  # epochs between looks for a loss that is no longer finite: looking makes a GPU wait


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
    keep_models: bool = False,
    stop_below: float | None = None,
    on_divergence: str = "raise",
    engine: str = "auto",
    device: str = "auto",
    progress: bool | str = True,
    callback: Callable[[int, np.ndarray], object] | None = None,
    **options,
) -> Fit:
    """Train one network, or several of the same shape at once, on all points at every step (full batch).

    Training several at once is far faster than one after another: each network ends with the numbers it
    would have had alone, to the round-off of its dtype, and one that has stopped costs nothing any more.

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
        Epochs (0 is before the first step) at which the prediction is kept, in any order. After a
        network has stopped its last prediction stands.
    evaluate_at : array_like, optional
        Points of the snapshots, ``(m, d)``, ``(m,)`` or ``(S, m, d)``; by default those of ``x``.
    keep_models : bool
        Keep the networks of the snapshots, too, for all that a prediction does not tell.
    stop_below : float, optional
        A network stops at the first epoch whose loss is below this.
    on_divergence : {"raise", "stop"}
        Whether a loss that is no longer finite raises, or only ends that network.
    engine : {"auto", "dense", "sweep", "fused"}
        How gradients are computed: by matrix products over all networks; for ReLU networks with two hidden
        layers on a line or circle, by one sweep along the points (``training.sweep``); for smooth activations
        under gradient descent or Adam, in one compiled loop that a network does not leave
        (``training.fused``). All are the same to round-off; the last two need the CPU and are far cheaper
        there. ``"auto"`` takes one of them where that is possible.
    device : str
        ``"auto"`` is a CUDA device if there is one, else the CPU.
    progress : bool or str
        Show a progress bar (after two seconds); a string is its label.
    callback : callable, optional
        Called with the epoch and the prediction, ``(m,)`` or ``(S, m)``, as soon as a snapshot is taken, to
        watch the training; an exception that it raises ends it. Networks that have not got there are nan
        (L-BFGS takes one after another).
    **options
        The optimizer's own: ``momentum``, ``dampening``, ``nesterov``, ``weight_decay`` (sgd); ``betas``,
        ``eps``, ``amsgrad``, ``weight_decay`` (adam); ``rho``, ``eps``, ``weight_decay`` (adadelta);
        ``history_size``, ``tolerance`` (lbfgs).

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
    >>> x = torch.linspace(-1, 1, 50)
    >>> result = fit(net, x, x**2, epochs=200, lr=1e-2, snapshots=[0, 200], progress=False)
    >>> result.loss.shape, bool(result.loss[-1] < 0.1 * result.loss[0])
    ((201,), True)
    >>> dict(result.snapshots.sizes)
    {'epoch': 2, 'point': 50}
    """
    models = [model] if isinstance(model, MLP) else list(model)
    check_models(models)
    lr = check_schedule(optimizer, lr, epochs, stop_below, options)
    if optimizer == "lbfgs":
        check_lbfgs(**options)
    check_choice("loss", loss, LOSSES)
    check_choice("on_divergence", on_divergence, ("raise", "stop"))
    snapshots = check_snapshots(snapshots, epochs)
    device = choose_device(device)
    data = Data(models, x, y, evaluate_at, device)
    stack = _choose_engine(engine, models, data.inputs, optimizer, options, device)(models, device)
    recorder = Recorder(models, data, epochs, snapshots, stack, keep_models, _told(callback, model))
    factor = LOSSES[loss](data.targets.shape[1])
    plural = "s" if len(models) > 1 else ""
    label = progress if isinstance(progress, str) else f"{optimizer}, {len(models)} network{plural}"
    start = time.perf_counter()
    with (
        torch.no_grad(),
        tqdm(total=epochs, desc=label, unit="epoch", delay=2, disable=not progress, mininterval=0.5) as bar,
    ):
        if optimizer == "lbfgs":
            minimise_stack(recorder, factor, epochs, stop_below, on_divergence, bar, **options)
        elif isinstance(stack, FusedStack):
            descend_fused(recorder, factor, optimizer, lr, options, epochs, stop_below, on_divergence, bar)
        else:
            steps = _Steps(optimizer, lr, options, stack)
            _descend(recorder, factor, steps, epochs, stop_below, on_divergence, bar)
    return recorder.result(time.perf_counter() - start, single=isinstance(model, MLP))


def _told(callback: Callable | None, model: MLP | Sequence[MLP]) -> Callable | None:
    """The callback for predictions of several networks, made of one that may be for a single network."""
    if callback is None or not isinstance(model, MLP):
        return callback
    return lambda epoch, predictions: callback(epoch, predictions[0])


def _choose_engine(
    engine: str, models: list[MLP], inputs: torch.Tensor, optimizer: str, options: dict, device: torch.device
) -> type[Stack]:
    check_choice("engine", engine, ("auto", "dense", "sweep", "fused"))
    if engine in ("auto", "sweep") and can_sweep(models, inputs, device):
        return SweepStack
    if engine in ("auto", "fused") and can_fuse(models, optimizer, options, device):
        return FusedStack
    if engine == "sweep":
        raise ValueError(
            "engine='sweep' needs ReLU networks with two hidden layers, one input or a point on the circle, "
            f"omega=1 and the CPU; got {models[0].activation}, hidden={models[0].hidden}, "
            f"{inputs.shape[2]} inputs, omega={models[0].omega:g}, {device}"
        )
    if engine == "fused":
        raise ValueError(
            "engine='fused' needs tanh, sin or sigmoid, adam (not amsgrad) or sgd, the CPU, and either one "
            f"input or as many networks as threads; got {models[0].activation}, {optimizer}, {device}, "
            f"{len(models)} networks with {inputs.shape[2]} inputs"
        )
    return Stack


def _descend(
    recorder: Recorder, factor: float, steps: _Steps, epochs: int, stop_below, on_divergence, bar
) -> None:
    """Loss, record, gradient, step, over and over; networks that have ended leave on the way."""
    stack, data = recorder.stack, recorder.data
    for epoch in range(epochs + 1):
        loss = stack.loss(data.inputs, data.targets, factor)
        recorder.record(epoch, loss)
        ended = None
        if stop_below is not None:
            ended = loss < stop_below
            recorder.mark_stopped(epoch, ended)
        if epoch % CHECK_EVERY == 0 or epoch == epochs:
            diverged = recorder.find_diverged(max(0, epoch - CHECK_EVERY), epoch)
            if on_divergence == "raise" and diverged.any():
                raise recorder.divergence(steps.lr)
            ended = diverged if ended is None else ended | diverged
        if ended is not None and ended.any():
            recorder.retire(ended)
            if not len(stack):
                return
            steps.keep(~ended)
            stack.loss(data.inputs, data.targets, factor)  # the gradient belongs to the last loss computed
        if epoch < epochs:
            stack.gradient(factor)
            steps.make_one()
            bar.update()
    recorder.retire(torch.ones(len(stack), dtype=torch.bool, device=stack.device))


class _Steps:
    """PyTorch's own optimizer, on the batched parameters, which it cannot tell from one network's."""

    def __init__(self, name: str, lr: float, options: dict, stack: Stack):
        self.lr, self.stack = lr, stack
        fast = {"foreach": True} if name == "adadelta" else {"fused": True}
        self._make = lambda: OPTIMIZERS[name].torch_class(stack.parameters, lr=lr, **options, **fast)
        self._optimizer = self._make()

    def make_one(self) -> None:
        self._optimizer.step()

    def keep(self, chosen: torch.Tensor) -> None:
        """Go on with the chosen networks: their moments move to the stack's new parameters."""
        previous, self._optimizer = self._optimizer, self._make()
        for new, old in zip(self.stack.parameters, previous.param_groups[0]["params"], strict=True):
            self._optimizer.state[new] = {
                key: value[chosen].clone() if torch.is_tensor(value) and value.shape == old.shape else value
                for key, value in previous.state[old].items()
            }
