"""Around the minima: the basin of ``W_f``, elastic bands from it to trained networks, curvature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import xarray as xr

from specbias.ensembles import initial_parameters, predict, train
from specbias.experiments.landscape_trainings import early_loss, is_constant, teeth, unit_rows
from specbias.landscape import (
    canonical,
    elastic_band,
    hand_built_network,
    hessian_spectrum,
    imbalance,
    zero_modes,
)
from specbias.recorded import checkpoint_folder

ZERO = 1e-12  # of the largest eigenvalue


def basin(
    *, models: int, steps: int, largest: float, optimizer: str, settings: Mapping[str, float], seed: int,
    device: str = "auto", progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """Add noise to the canonical ``W_f``, train again, and see whether it comes back.

    Parameters
    ----------
    largest
        Norms of the noise are uniform between 0 and this.

    Returns
    -------
    xarray.Dataset
        ``noise``, ``start_loss`` and ``loss`` over ``model``; ``early (first)``.
    """
    built, generator = hand_built_network(), np.random.default_rng(seed)
    noise = generator.uniform(0, largest, models)
    center = canonical(built.parameters)
    moved = (center + noise[:, None] * unit_rows(generator, models, center.size)).astype(np.float32)
    start = np.mean((predict(moved, built.x).astype(float) - built.y) ** 2, axis=1)
    trained = train(
        moved, built.x, built.y, steps=steps, optimizer=optimizer, device=device,
        checkpoint=checkpoint_folder(), progress=progress, **settings,
    )  # fmt: skip
    return xr.Dataset(
        {
            "noise": ("model", noise), "start_loss": ("model", start), "loss": ("model", trained.loss),
            "early": ("first", early_loss(moved, built, optimizer, settings)),
        }
    )  # fmt: skip


def trained_minima(
    count: int, steps: int, optimizers: Mapping[str, Mapping[str, float]], seed: int, progress: bool
) -> tuple[np.ndarray, list[str]]:
    """Canonical forms of the first ``count`` networks of each optimizer whose output is no constant."""
    built, found, names = hand_built_network(), [], []
    for name, settings in optimizers.items():
        start = initial_parameters(3 * count + 10, seed=seed)  # at least a third are no constants
        where = {"checkpoint": checkpoint_folder(), "progress": progress}
        rows = train(start, built.x, built.y, steps=steps, optimizer=name, **where, **settings).parameters
        rows = rows[np.isfinite(rows).all(axis=1)]
        rows = rows[~is_constant(predict(rows, built.x))][:count].astype(float)
        found.append(canonical(rows))
        names += [name] * len(rows)
    return np.concatenate(found), names


def bands(
    *, count: int, train_steps: int, optimizers: Mapping[str, Mapping[str, float]], seed: int, images: int,
    steps: int, refine: int, progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """Nudged elastic bands from the canonical ``W_f`` to ``count`` trained networks of each optimizer.

    Returns
    -------
    xarray.Dataset
        Over ``(path, image)``: ``energy``, ``distance`` from ``W_f`` along the path, ``teeth`` and ``change``
        (root mean square of output minus that of the image before); ``angle (path, bend)``; the
        ``straight_energy``
        on the straight line; ``force`` and ``apart`` (distance of the two ends) over ``path``; ``optimizer``;
        ``output (image, point)`` of the first path; ``unchanged``: the largest change of an output by
        canonical forms; ``imbalance``: how far they are from least norm.
    """
    built = hand_built_network()
    ends, names = trained_minima(count, train_steps, optimizers, seed, progress)
    start = canonical(built.parameters)
    band = elastic_band(
        start, ends, built.x, built.y, images=images, steps=steps, refine=refine, progress=progress
    )
    paths, points, size = band.points.shape
    outputs = predict(band.points.reshape(-1, size), built.x).reshape(paths, points, -1)
    change = np.sqrt(np.mean(np.diff(outputs, axis=1, prepend=outputs[:, :1]) ** 2, axis=2))
    share = np.linspace(0, 1, 60)[None, :, None]
    line = (start + share * (ends[:, None] - start)).reshape(-1, size)
    straight = np.mean((predict(line, built.x) - built.y) ** 2, axis=1).reshape(paths, -1)
    both = ("path", "image")
    moved = predict(start[None], built.x) - predict(built.parameters[None], built.x)
    return xr.Dataset(
        {
            "energy": (both, band.energy), "distance": (both, band.distance), "change": (both, change),
            "teeth": (both, teeth(outputs, built)), "angle": (("path", "bend"), band.angle),
            "straight_energy": (("path", "share"), straight), "force": ("path", band.force),
            "apart": ("path", np.linalg.norm(ends - start, axis=1)), "optimizer": ("path", names),
            "output": (("image", "point"), outputs[0]), "x": ("point", built.x), "y": ("point", built.y),
            "unchanged": ((), float(np.abs(moved).max())),
            "imbalance": ((), float(imbalance(np.vstack([ends, start])).max())),
            "norm": ("path", np.linalg.norm(ends, axis=1)), "start_norm": ((), float(np.linalg.norm(start))),
        }
    )  # fmt: skip


def crossing(energy: np.ndarray, distance: np.ndarray, level: float) -> np.ndarray:
    """Distance at which each band's loss first reaches the level: of ``(paths, images)``; nan where never.

    Examples
    --------
    >>> crossing(np.array([[0.0, 1.0, 3.0]]), np.array([[0.0, 1.0, 2.0]]), 2.0)
    array([1.5])
    """
    above = energy > level
    first, rows = np.maximum(above.argmax(axis=1), 1), np.arange(len(energy))
    low, high = energy[rows, first - 1], energy[rows, first]
    near, far = distance[rows, first - 1], distance[rows, first]
    found = near + (level - low) / np.maximum(high - low, 1e-300) * (far - near)
    return np.where(above.any(axis=1), found, np.nan)


def band_settings(
    *, count: int, train_steps: int, optimizers: Mapping[str, Mapping[str, float]], seed: int,
    springs: Sequence[float], images: Sequence[int], steps: int, progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """What of the elastic bands depends on their springs and number of images: ``bands``, a few, many times.

    Returns
    -------
    xarray.Dataset
        Over ``(spring, images, path)``: ``radius``, where the loss reaches the sawtooth's variance;
        ``length``; ``barrier``, the largest loss at an image, and ``between``, the largest at nine points
        between each two images; ``force``.
    """
    built = hand_built_network()
    ends = trained_minima(count, train_steps, optimizers, seed, progress)[0]
    start, found = canonical(built.parameters), []
    for spring, number in product(springs, images):
        band = elastic_band(
            start, ends, built.x, built.y, images=number, spring=spring, steps=steps, progress=progress
        )
        share = np.linspace(0, 1, 10, endpoint=False)[:, None]
        fine = band.points[:, :-1, None] + share * np.diff(band.points, axis=1)[:, :, None]
        outputs = predict(fine.reshape(-1, start.size), built.x)
        between = np.mean((outputs - built.y) ** 2, axis=1).reshape(len(ends), -1)
        highest = np.maximum(between.max(axis=1), band.energy[:, -1])  # the last image starts no gap
        radius = crossing(band.energy, band.distance, float(built.sawtooth.var()))
        found.append((radius, band.distance[:, -1], band.energy.max(axis=1), highest, band.force))
    shape, dims = (len(springs), len(images), -1), ("spring", "images", "path")
    names = ("radius", "length", "barrier", "between", "force")
    return xr.Dataset(
        {
            name: (dims, np.reshape(part, shape))
            for name, part in zip(names, zip(*found, strict=True), strict=True)
        },
        {"spring": list(springs), "images": list(images)},
    )


def curvature(
    *, count: int, train_steps: int, optimizers: Mapping[str, Mapping[str, float]], seed: int,
    progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """Eigenvalues of the loss's Hessian at the canonical ``W_f`` and at trained networks.

    Returns
    -------
    xarray.Dataset
        ``eigenvalue (network, mode)``, ascending; ``loss`` and ``name`` over ``network``, and what
        :class:`specbias.landscape.ZeroModes` counts.
    """
    built = hand_built_network()
    ends, names = trained_minima(count, train_steps, optimizers, seed, progress)
    rows = np.vstack([canonical(built.parameters), ends])
    counts = zero_modes(rows, built.x, built.y, tolerance=ZERO)
    return xr.Dataset(
        {
            "eigenvalue": (("network", "mode"), hessian_spectrum(rows, built.x, built.y)),
            "loss": ("network", np.mean((predict(rows, built.x) - built.y) ** 2, axis=1)),
            "name": ("network", ["W_f", *names]),
            **{
                key: ("network", [getattr(one, key) for one in counts])
                for key in ("zero", "symmetry", "idle", "dependent", "unexplained", "negative", "gradient")
            },
        }
    )
