"""The runs that repeat Basri et al. 2019 and Rahaman et al. 2019 at their own settings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from specbias import circle, targets
from specbias.experiments.common import DTYPES, snapshot_epochs
from specbias.models import MLP, Circle, generators
from specbias.spectra import amplitude_ratio
from specbias.training import fit


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
    """Basri et al. 2019, Fig. 2: a deep ReLU network on the circle learns two waves, the slow one first.

    Half the sum of squares, plain gradient descent, hidden biases zero at the start, none on the output, as
    in the authors' code.

    Returns
    -------
    xarray.Dataset
        ``prediction (seed, epoch, angle)``, ``amplitude (seed, epoch, wavenumber)`` (1 is learned),
        ``loss (seed, loss_epoch)``, ``stopped (seed)`` (the epoch at which the loss fell below
        ``stop_below``, or -1).
    """
    target = targets.circle_waves(wavenumbers, points)
    models = [
        MLP(
            1, hidden, activation="relu", init="basri", output_bias=False, embedding=Circle(), generator=g,
            dtype=DTYPES[dtype],
        )
        for g in generators(range(seed, seed + seeds))
    ]  # fmt: skip
    shown = [e for e in (50, 500) if e <= epochs]
    result = fit(
        models, target.x, target.y, optimizer="sgd", lr=lr, epochs=epochs, loss="half-sum",
        stop_below=stop_below, snapshots=sorted({*snapshot_epochs(epochs, 90), *shown}), device=device,
        progress=progress and f"waves {', '.join(map(str, wavenumbers))} on the circle",
    )  # fmt: skip
    prediction = result.snapshots.prediction.values
    amplitude = amplitude_ratio(prediction, target.y, list(wavenumbers))
    chosen = snapshot_epochs(result.loss.shape[1] - 1, 200)
    thin = slice(None, None, max(1, points // 250))  # four points a period of wavenumber 60: enough to draw
    return xr.Dataset(
        {
            "prediction": (("seed", "epoch", "angle"), prediction[..., thin].astype("float32")),
            "amplitude": (("seed", "epoch", "wavenumber"), amplitude),
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
    stop_at: float,
    epochs: int,
    runs: int,
    seed: int,
    dtype: str = "float32",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """Epochs that a deep ReLU network needs for one wave ``sin(k theta + phase)`` (Basri et al. 2019).

    As in the authors' code, every run draws its own angles and phase, the loss is the mean square, and a run
    ends when that is below ``stop_at`` of the target's. All runs are one batch that shrinks as they end.

    Returns
    -------
    xarray.Dataset
        ``steps (frequency, run)``: epochs, or -1 where the cap was reached first;
        ``diverged (frequency, run)``.
    """
    angles, waves, models = [], [], []
    for frequency in frequencies:
        for run in range(runs):
            random = np.random.default_rng([seed, frequency, run])
            angle = random.uniform(-np.pi, np.pi, points)
            wave = np.sin(frequency * (angle + random.uniform(-np.pi, np.pi)))
            angles.append(angle[:, None])
            waves.append(wave / np.sqrt(np.mean(wave**2)))  # unit mean square: one threshold serves all
            generator = torch.Generator().manual_seed(int(random.integers(2**31)))
            models.append(MLP(1, hidden, activation="relu", init="basri-random-bias", output_bias=False,
                              embedding=Circle(), generator=generator, dtype=DTYPES[dtype]))  # fmt: skip
    result = fit(
        models, np.stack(angles), np.stack(waves), optimizer="sgd", lr=lr, epochs=epochs, stop_below=stop_at,
        on_divergence="stop", device=device,
        progress=progress and f"{len(models)} deep networks on the circle",
    )  # fmt: skip
    shape = (len(frequencies), runs)
    return xr.Dataset(
        {
            "steps": (("frequency", "run"), result.stopped.reshape(shape)),
            "diverged": (("frequency", "run"), result.diverged.reshape(shape)),
            "seconds": result.seconds,
        },
        coords={"frequency": list(frequencies), "run": np.arange(runs)},
        attrs={"device": result.device},
    )


def shallow_learning_times(
    *,
    frequencies: Sequence[int],
    runs: int,
    units: int,
    points: int,
    bias: bool,
    learning_rate: float,
    paired: bool = False,
    sampling: str = "random",
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Steps that a shallow ReLU network needs per frequency (:func:`specbias.circle.learning_times`).

    ``weight_scale``, the cap on steps and the threshold are the authors'.
    """
    return circle.learning_times(
        frequencies=list(frequencies), runs=runs, units=units, points=points, bias=bias, paired=paired,
        sampling=sampling, learning_rate=learning_rate, seed=seed, progress=progress,
    ).assign_attrs(device="cpu")  # fmt: skip


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
        ``amplitude (seed, epoch, frequency)``: 1 is learned, in the target's phase;
        ``loss (seed, loss_epoch)``.
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
