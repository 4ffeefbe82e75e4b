"""Train many tiny networks on the same data: the one call that chapters and readers make."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from specbias._checks import check_count
from specbias.ensembles.chunks import all_chunks, estimate
from specbias.ensembles.networks import check_data, check_parameters, predict
from specbias.ensembles.optimizers import OPTIMIZERS, Settings
from specbias.provenance import duration

__all__ = ["OPTIMIZERS", "Trained", "train"]


CHUNK = {"cpu": 250, "cuda": 16_000}


@dataclass(frozen=True)
class Trained:
    """Networks after training.

    Attributes
    ----------
    parameters : numpy.ndarray
        ``(models, P)``.
    loss : numpy.ndarray
        ``(models,)``, the mean squared error of these parameters, in their dtype; nan where training
        diverged.
    state : numpy.ndarray
        ``(1 or 2, models, P)``, what the optimizer remembers: pass it to go on.
    steps : int
        Steps made since the optimizer's memory was empty.
    optimizer, device : str
        What was used: ``device`` is ``"cpu"`` or ``"cuda"``.
    """

    parameters: np.ndarray
    loss: np.ndarray
    state: np.ndarray
    steps: int
    optimizer: str
    device: str


def train(
    parameters: ArrayLike, x: ArrayLike, y: ArrayLike, *, depth: int = 5, width: int = 5, steps: int,
    optimizer: str = "momentum", continues: Trained | None = None, device: str = "auto",
    progress: bool = True, chunk: int | None = None, checkpoint: str | PathLike | None = None,
    scheduler: str | None = None, **settings: float,
) -> Trained:  # fmt: skip
    """Train every network by full-batch steps on the mean squared error.

    Parameters
    ----------
    parameters
        ``(models, P)``, float32 or float64: see :func:`initial_parameters`. Training has their precision.
    x, y
        The data, ``(n,)`` each.
    depth, width
        Hidden layers, and ReLU units in each; both at most 16.
    steps
        Steps of each network.
    optimizer
        ``"momentum"``, ``"adadelta"`` or ``"adam"``, by PyTorch's definitions.
    **settings
        Of the optimizer: ``lr`` and ``momentum``; ``lr``, ``rho`` and ``epsilon``; ``lr``, ``beta1``,
        ``beta2`` and ``epsilon``. Defaults in :data:`OPTIMIZERS`.
    continues
        What an earlier call returned, to go on with its optimizer's memory (``parameters`` may differ).
    device
        ``"cpu"``, ``"cuda"``, or ``"auto"``: a CUDA device if numba.cuda finds one.
    progress
        Show a bar with networks, steps a second and time left, after an estimate if it will take over 10 s.
    chunk
        Networks in one chunk: what is lost at most by a kill, and what a worker gets at a time. By default
        250, on a CUDA device 16,000, as it is idle with few.
    checkpoint
        Folder for finished chunks. A later call with the same networks, data and settings finds them there.
    scheduler
        Address of a Dask scheduler, such as ``"tcp://10.0.0.1:8786"``, whose workers train the chunks.

    Returns
    -------
    Trained

    Raises
    ------
    ValueError, TypeError
        For impossible shapes, counts and settings; the message names the argument and what is allowed.
    ImportError
        If ``scheduler`` is given without ``distributed``.

    Notes
    -----
    A network's result does not depend on what it is trained beside, on the number of threads or workers, nor
    on chunks: each is one sequential computation.

    Examples
    --------
    >>> import numpy as np
    >>> from specbias.ensembles import initial_parameters
    >>> x = np.linspace(0, 1, 21)
    >>> start = initial_parameters(4, depth=2, width=6, seed=0)
    >>> trained = train(start, x, abs(x - 0.5), depth=2, width=6, steps=2000, progress=False)
    >>> bool(trained.loss.min() < 1e-3)
    True
    """
    parameters = check_parameters(parameters, depth, width)
    x, y = check_data(x, y)
    used = _device(device)
    size = check_count("chunk", CHUNK[used] if chunk is None else chunk)
    made = 0 if continues is None else continues.steps
    plan = Settings.checked(optimizer, depth, width, steps, settings, first_step=made, device=used)
    state = _state(continues, plan, parameters)
    folder = None if checkpoint is None else Path(checkpoint)
    if progress and used == "cpu" and scheduler is None and len(parameters) * steps > 1_000_000:
        _announce(len(parameters), steps, plan, x.size)
    with tqdm(total=len(parameters), unit="network", disable=not progress) as bar:
        done = _reporter(bar, steps)
        end, state = all_chunks(
            parameters, state, x, y, plan, size=size, folder=folder, scheduler=scheduler, done=done
        )
    return Trained(end, _loss(end, x, y, plan), state, made + steps, optimizer, used)


def _reporter(bar: tqdm, steps: int):
    """Count networks; beside the bar's networks a second stand steps a second."""
    began, lock = time.perf_counter(), threading.Lock()

    def done(networks: int) -> None:
        with lock:  # each thread reports its own networks
            bar.update(networks)
            rate = bar.n * steps / max(time.perf_counter() - began, 1e-9)
            bar.set_postfix_str(f"{rate:.3g} steps/s", refresh=False)

    return done


def _announce(models: int, steps: int, plan: Settings, samples: int) -> None:
    seconds = estimate(
        models, steps, depth=plan.depth, width=plan.width, samples=samples, optimizer=plan.optimizer
    )
    if seconds > 10:
        told = f"specbias: {models} networks, {steps} steps each: about {duration(seconds)}"
        print(told, file=sys.stderr, flush=True)


def _loss(parameters: np.ndarray, x: np.ndarray, y: np.ndarray, plan: Settings) -> np.ndarray:
    """In float64 from the outputs; nan where a parameter, or the loss, is not finite."""
    loss = np.full(len(parameters), np.nan)
    sound = np.isfinite(parameters).all(axis=1)
    with np.errstate(over="ignore", invalid="ignore"):
        if sound.any():
            outputs = predict(parameters[sound], x, plan.depth, plan.width)
            loss[sound] = np.mean((outputs.astype(float) - y) ** 2, axis=1)
        loss = loss.astype(parameters.dtype)
    return np.where(np.isfinite(loss), loss, np.nan).astype(loss.dtype)


def _state(continues: Trained | None, plan: Settings, parameters: np.ndarray) -> np.ndarray:
    shape = (plan.states, *parameters.shape)
    if continues is None:
        return np.zeros(shape, parameters.dtype)
    if continues.optimizer != plan.optimizer:
        raise ValueError(f"continues was trained by {continues.optimizer}, this training is {plan.optimizer}")
    if continues.state.shape != shape:
        had = continues.state.shape
        raise ValueError(f"continues has an optimizer's memory of shape {had}, this training needs {shape}")
    return continues.state.astype(parameters.dtype)


def _device(device: str) -> str:
    """``"cpu"`` or ``"cuda"``."""
    from specbias.ensembles.cuda import available

    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device must be one of auto, cpu, cuda, got {device!r}")
    if device == "cuda" and not available():
        raise ValueError("device is 'cuda', but numba.cuda finds none here; use 'auto' or 'cpu'")
    return "cuda" if device != "cpu" and available() else "cpu"
