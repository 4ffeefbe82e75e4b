"""The article's run on the unit square: in which direction a network fits ``sin(10 pi x1) sin(10 pi x2)``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from specbias import targets
from specbias.experiments.plane_waves import diagonal_amplitudes, strip_amplitudes
from specbias.experiments.sequential import basis_and_weights, evenly, networks, relative, small
from specbias.experiments.steps import plane_step_shape
from specbias.training import fit

LOOK_EVERY = 50  # epochs
FREQUENCY = 10 * np.pi
KEPT_FUNCTIONS = 25


def plane(
    *,
    points_per_side: int,
    hidden: Sequence[int],
    activation: str,
    omega: float,
    init: str,
    lr: float,
    epochs: int,
    frames: int,
    seeds: int,
    seed: int,
    dtype: str = "float32",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """The article's network with two inputs on :func:`specbias.targets.checkerboard`, by Adam.

    Parameters
    ----------
    frames : int
        Number of epochs, evenly spread, at which the first network's prediction is kept.
    hidden, activation, omega, init, lr, epochs
        As in :func:`specbias.experiments.sequential.sequential`.

    Returns
    -------
    xarray.Dataset
        ``total_error (seed, epoch)``, relative; ``amplitude (seed, epoch, wave)``, share of each of the two
        plane waves, and ``strip (seed, epoch, wave, number)``, the same in strips across the square
        (``specbias.experiments.plane_waves``; the mean is taken off first); ``mean (seed, epoch)`` of the
        prediction; ``prediction (frame, point)`` of the first network; its ``basis (function, point)`` of
        largest output weight at the end; of all functions of all networks at the end ``one_direction``,
        ``pieces`` and ``reach`` (seed, any_unit), see ``specbias.experiments.steps``.
    """
    target = targets.checkerboard(points_per_side)
    looks = evenly(epochs, max(2, epochs // LOOK_EVERY + 1))
    shown = [looks[i] for i in np.unique(np.linspace(0, len(looks) - 1, frames).round().astype(int))]
    models = networks(
        hidden, activation, omega, init, (0, 1), range(seed, seed + seeds), dtype, in_features=2
    )
    result = fit(
        models, target.x, target.y, lr=lr, epochs=epochs, loss="half-mse", snapshots=looks,
        on_divergence="stop", device=device, progress=progress and f"unit square, {seeds} networks",
    )  # fmt: skip
    prediction = result.snapshots.prediction.values.astype(float)
    centred = prediction - prediction.mean(axis=-1, keepdims=True)
    amplitudes = diagonal_amplitudes(prediction, target.x, FREQUENCY)
    strips, centres = strip_amplitudes(centred, target.x, FREQUENCY)
    functions, weights = zip(*(basis_and_weights(model, target.x) for model in result.models), strict=True)
    share, shape = plane_step_shape(np.array(functions, dtype="float32"), points_per_side)
    largest = np.argsort(-np.abs(weights[0]))[:KEPT_FUNCTIONS]
    return xr.Dataset(
        {
            "total_error": (("seed", "epoch"), small(relative(prediction, target.y))),
            "mean": (("seed", "epoch"), small(prediction.mean(axis=-1))),
            "amplitude": (("seed", "epoch", "wave"), small(amplitudes)),
            "strip": (("seed", "epoch", "wave", "number"), small(strips)),
            "strip_centre": (("wave", "number"), centres),
            "prediction": (("frame", "point"), small(prediction[0, [looks.index(at) for at in shown]], 3)),
            "basis": (("function", "point"), small(functions[0][largest], 3)),
            "one_direction": (("seed", "any_unit"), small(share)),
            "pieces": (("seed", "any_unit"), small(shape.pieces)),
            "reach": (("seed", "any_unit"), small(np.abs(weights) * shape.range)),
            "target": ("point", target.y),
            "seconds": result.seconds,
        },
        coords={
            "seed": list(range(seed, seed + seeds)), "epoch": looks, "frame": shown,
            "wave": ["x1 − x2", "x1 + x2"],
        },
        attrs={"device": result.device},
    )  # fmt: skip
