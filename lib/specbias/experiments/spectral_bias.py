"""The runs of the chapter on spectral bias: the forum thread, and the papers that it argues with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from specbias import circle, targets
from specbias.models import MLP, Circle, Rescale, generators
from specbias.spectra import amplitude_ratio
from specbias.training import Fit, fit

DTYPES = {"float32": torch.float32, "float64": torch.float64}
PLOTTED_POINTS = 151  # the thread's own plotting grid, ten points per unit, with its right end


def snapshot_epochs(epochs: int, count: int) -> list[int]:
    """About ``count`` epochs from 0 to ``epochs``, evenly spread on a logarithmic scale.

    Examples
    --------
    >>> snapshot_epochs(1000, 5)
    [0, 1, 6, 32, 178, 1000]
    """
    if epochs < 1:
        return [0]
    return [0, *np.unique(np.geomspace(1, epochs, count).round().astype(int)).tolist()]


def thread(
    *,
    activation: str,
    embedding: str,
    sampling: str,
    hidden: Sequence[int],
    frequency: float,
    data_range: float,
    points: int,
    optimizer: str,
    lr: float,
    momentum: float,
    weight_decay: float,
    epochs: int,
    stop_at: float,
    seeds: int,
    seed: int,
    dtype: str = "float32",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """The forum's network on ``sin(frequency x)``, with any of its settings changed; every seed its own random points.

    Parameters
    ----------
    embedding : {"none", "rescale", "circle"}
        The scalar as it is, mapped to [-1, 1], or as the cosine and sine of an angle that goes once around in the
        least whole number of the target's periods that covers the data.
    stop_at : float
        Relative error (root mean square, on the training points) below which a network stops.
    epochs, lr, momentum, weight_decay, hidden, activation, optimizer
        As in :func:`specbias.training.fit` and :class:`specbias.models.MLP`.

    Returns
    -------
    xarray.Dataset
        ``prediction (seed, epoch, point)`` on a regular grid, ``loss (seed, loss_epoch)`` (mean square),
        ``fitted (seed, level)``: first epoch with a relative error below 30, 10 and 5 %, or -1;
        ``diverged (seed)``, ``seconds``.
    """
    samples = [
        targets.thread_sine(frequency, data_range, points, sampling=sampling, generator=s)
        for s in range(seed, seed + seeds)
    ]
    models = [
        MLP(1, hidden, activation=activation, embedding=_embedding(embedding, frequency, data_range), generator=g,
            dtype=DTYPES[dtype])  # fmt: skip
        for g in generators(range(seed, seed + seeds))
    ]
    grid = np.linspace(-data_range / 2, data_range / 2, PLOTTED_POINTS)
    power = float(np.mean([np.mean(s.y**2) for s in samples]))
    options = {"momentum": momentum, "weight_decay": weight_decay} if optimizer == "sgd" else {}
    result = fit(
        models,
        np.stack([s.x for s in samples]),
        np.stack([s.y for s in samples]),
        optimizer=optimizer,
        lr=lr,
        epochs=epochs,
        snapshots=snapshot_epochs(epochs, 40),
        evaluate_at=grid,
        stop_below=stop_at**2 * power,
        on_divergence="stop",
        device=device,
        progress=progress and f"sin({frequency:g}x), {seeds} networks",
        **options,
    )
    return _thread_dataset(result, samples[0].function(grid), power, seed)


def _thread_dataset(result: Fit, target: np.ndarray, power: float, seed: int) -> xr.Dataset:
    levels = [0.3, 0.1, 0.05]
    below = [first_below(result.loss, level**2 * power) for level in levels]
    chosen = snapshot_epochs(result.loss.shape[1] - 1, 200)
    return xr.Dataset(
        {
            "prediction": (("seed", "epoch", "point"), result.snapshots.prediction.values.astype("float32")),
            "loss": (("seed", "loss_epoch"), result.loss[:, chosen].astype("float32")),
            "fitted": (("seed", "level"), np.stack(below, axis=1)),
            "diverged": ("seed", result.diverged),
            "target": ("point", target),
            "seconds": result.seconds,
        },
        coords={
            "seed": np.arange(seed, seed + len(result.models)),
            "epoch": result.snapshots.epoch.values,
            "x": ("point", result.snapshots.x.values),
            "loss_epoch": chosen,
            "level": levels,
        },
        attrs={"device": result.device},
    )


def first_below(loss: np.ndarray, threshold: float) -> np.ndarray:
    """First epoch at which each row of ``loss`` ``(S, epochs + 1)`` is below ``threshold``, or -1.

    Examples
    --------
    >>> first_below(np.array([[3.0, 1.0, 0.1], [3.0, 2.0, 2.0]]), 0.5).tolist()
    [2, -1]
    """
    below = loss < threshold
    return np.where(below.any(axis=1), below.argmax(axis=1), -1)


def _embedding(name: str, frequency: float, data_range: float):
    if name == "rescale":
        return Rescale(-data_range / 2, data_range / 2)
    if name == "circle":
        period = 2 * np.pi / frequency
        return Circle(period * np.ceil(data_range / period - 1e-9))
    if name == "none":
        return None
    raise ValueError(f"embedding must be one of none, rescale, circle, got {name!r}")


def circle_waves(
    *,
    wavenumbers: Sequence[int],
    points: int,
    hidden: Sequence[int],
    lr: float,
    stop_below: float,
    epochs: int,
    seeds: int,
    seed: int,
    dtype: str = "float32",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """Basri et al. 2019, Fig. 2: a deep ReLU network on the circle learns a sum of sine waves, the slow one first.

    Half the sum of squares, plain gradient descent, hidden biases zero at the start, none on the output, as in the
    authors' code.

    Returns
    -------
    xarray.Dataset
        ``prediction (seed, epoch, angle)``, ``amplitude (seed, epoch, wavenumber)`` (1 is learned),
        ``loss (seed, loss_epoch)``, ``stopped (seed)`` (the epoch at which the loss fell below ``stop_below``, or -1).
    """
    target = targets.circle_waves(wavenumbers, points)
    models = [
        MLP(1, hidden, activation="relu", init="basri", output_bias=False, embedding=Circle(), generator=g,
            dtype=DTYPES[dtype])  # fmt: skip
        for g in generators(range(seed, seed + seeds))
    ]
    shown = [e for e in (50, 500) if e <= epochs]
    result = fit(
        models, target.x, target.y, optimizer="sgd", lr=lr, epochs=epochs, loss="half-sum", stop_below=stop_below,
        snapshots=sorted({*snapshot_epochs(epochs, 90), *shown}), device=device,
        progress=progress and f"waves {', '.join(map(str, wavenumbers))} on the circle",
    )  # fmt: skip
    prediction = result.snapshots.prediction.values
    chosen = snapshot_epochs(result.loss.shape[1] - 1, 200)
    thin = slice(None, None, max(1, points // 250))  # four points a period of wavenumber 60: enough to draw
    return xr.Dataset(
        {
            "prediction": (("seed", "epoch", "angle"), prediction[..., thin].astype("float32")),
            "amplitude": (("seed", "epoch", "wavenumber"), amplitude_ratio(prediction, target.y, list(wavenumbers))),
            "loss": (("seed", "loss_epoch"), result.loss[:, chosen]),
            "stopped": ("seed", result.stopped),
            "target": ("angle", target.y[thin]),
            "seconds": result.seconds,
        },
        coords={
            "seed": np.arange(seed, seed + seeds),
            "epoch": result.snapshots.epoch.values,
            "angle": target.x[thin, 0],
            "wavenumber": list(wavenumbers),
            "loss_epoch": chosen,
        },
        attrs={"device": result.device},
    )


def deep_learning_times(
    *,
    frequencies: Sequence[int],
    points: int,
    hidden: Sequence[int],
    lr: float,
    stop_below: float,
    epochs: int,
    seeds: int,
    seed: int,
    dtype: str = "float32",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """Epochs that a deep ReLU network needs for one wave ``sin(k theta)``, for every ``k`` (Basri et al. 2019, Fig. 5).

    All frequencies and seeds are one batch, from which each network leaves when its half sum of squares is below
    ``stop_below``.

    Returns
    -------
    xarray.Dataset
        ``steps (frequency, run)``: epochs, or -1 where the cap was reached first.
    """
    waves = [targets.circle_waves([k], points) for k in frequencies]
    models = [
        MLP(1, hidden, activation="relu", init="basri", output_bias=False, embedding=Circle(), generator=g,
            dtype=DTYPES[dtype])  # fmt: skip
        for _ in frequencies
        for g in generators(range(seed, seed + seeds))
    ]
    result = fit(
        models, waves[0].x, np.repeat([w.y for w in waves], seeds, axis=0), optimizer="sgd", lr=lr, epochs=epochs,
        loss="half-sum", stop_below=stop_below, on_divergence="stop", device=device,
        progress=progress and f"{len(frequencies)} frequencies x {seeds} deep networks",
    )  # fmt: skip
    shape = (len(frequencies), seeds)
    return xr.Dataset(
        {
            "steps": (("frequency", "run"), result.stopped.reshape(shape)),
            "diverged": (("frequency", "run"), result.diverged.reshape(shape)),
            "seconds": result.seconds,
        },
        coords={"frequency": list(frequencies), "run": np.arange(seeds)},
        attrs={"device": result.device},
    )


def rahaman(
    *,
    frequencies: Sequence[int],
    points: int,
    hidden: Sequence[int],
    lr: float,
    iterations: int,
    seeds: int,
    seed: int,
    dtype: str = "float32",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """Rahaman et al. 2019, Fig. 1: the amplitude learned of each of ten equal waves, against the iteration.

    Returns
    -------
    xarray.Dataset
        ``amplitude (seed, epoch, frequency)``: 1 is learned, in the target's phase; ``loss (seed, loss_epoch)``.
    """
    waves = [targets.rahaman_waves(frequencies, points, generator=s) for s in range(seed, seed + seeds)]
    models = [
        MLP(1, hidden, activation="relu", generator=g, dtype=DTYPES[dtype])
        for g in generators(range(seed, seed + seeds))
    ]
    result = fit(
        models, waves[0].x, np.stack([w.y for w in waves]), optimizer="adam", lr=lr, epochs=iterations,
        snapshots=snapshot_epochs(iterations, 90), device=device, progress=progress and "Rahaman's ten waves",
    )  # fmt: skip
    prediction = result.snapshots.prediction.values.astype(float)
    amplitude = np.stack(
        [amplitude_ratio(p, w.y, list(frequencies)) for p, w in zip(prediction, waves, strict=True)]
    )
    chosen = snapshot_epochs(iterations, 200)
    return xr.Dataset(
        {
            "amplitude": (("seed", "epoch", "frequency"), amplitude.astype("float32")),
            "loss": (("seed", "loss_epoch"), result.loss[:, chosen]),
            "seconds": result.seconds,
        },
        coords={
            "seed": np.arange(seed, seed + seeds),
            "epoch": result.snapshots.epoch.values,
            "frequency": list(frequencies),
            "loss_epoch": chosen,
        },
        attrs={"device": result.device},
    )


ASKER = {
    "activation": "relu", "embedding": "none", "sampling": "random", "hidden": [200, 200], "frequency": 2.0,
    "data_range": 15.0, "points": 1500, "optimizer": "sgd", "lr": 2e-3, "momentum": 0.0, "weight_decay": 0.0,
    "epochs": 15000, "stop_at": 0.05, "seeds": 8, "seed": 0,
}  # fmt: skip
"""The thread's own settings, with ReLU for the activation that its listing lost."""

REPLY = ASKER | {"hidden": [512] * 4, "lr": 1e-2, "momentum": 0.9, "weight_decay": 1e-5, "epochs": 2000, "seeds": 4}
"""The reply's best: four layers of 512, and the momentum and weight decay it had added before."""

RUNS: dict[str, tuple] = {
    "thread-tanh": (thread, ASKER | {"activation": "tanh"}),
    "thread-sigmoid": (thread, ASKER | {"activation": "sigmoid"}),
    "reply-deep": (thread, REPLY),
    "reply-deep-4x": (thread, REPLY | {"frequency": 4.0}),
    "circle-waves": (
        circle_waves,
        {"wavenumbers": [4, 14], "points": 1001, "hidden": [256] * 3, "lr": 1e-3, "stop_below": 0.01, "epochs": 40000,
         "seeds": 3, "seed": 0},
    ),
    "deep-learning-times": (
        deep_learning_times,
        {"frequencies": [1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28], "points": 1001, "hidden": [256] * 5,
         "lr": 0.05, "stop_below": 0.025, "epochs": 4000, "seeds": 3, "seed": 0},
    ),
    "rahaman": (
        rahaman,
        {"frequencies": list(range(5, 55, 5)), "points": 200, "hidden": [256] * 6, "lr": 3e-4, "iterations": 60000,
         "seeds": 3, "seed": 0},
    ),
}  # fmt: skip
