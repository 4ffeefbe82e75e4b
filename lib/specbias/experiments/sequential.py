"""The article's runs (Rowan & Murphy-Blanchard 2026) on an interval: the order of fitting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import xarray as xr

from specbias import targets
from specbias.experiments.common import DTYPES, spread_kinks
from specbias.experiments.order import (
    boundary_distance,
    concurrency,
    first_below,
    half_oscillation_errors,
    largest_burst,
    rank_correlation,
)
from specbias.experiments.steps import step_shape
from specbias.models import MLP, generators
from specbias.training import Fit, fit

FITTED = 0.5
"""Relative error of a half oscillation below which it counts as fitted."""

HELD = 8
"""Looks for which it must stay there: the untrained network may come near a small oscillation by chance."""

VISIBLE = 0.2
"""Size of a half oscillation (root mean square, as a share of the target's) from which on it is looked at."""

ORDER_STEP = 25  # epochs between two looks at the order
SHOWN_UNITS = 32  # basis functions that are kept, those of the largest output weights
SHAPE_EPOCHS = 13  # at which the shapes of all basis functions are measured
OPTIONS = {"adam": {}, "sgd": {"momentum": 0.9}, "lbfgs": {"history_size": 10}}


def sequential(
    *,
    envelope: str,
    wavenumber: float,
    points: int,
    hidden: Sequence[int],
    activation: str,
    omega: float,
    init: str,
    input_range: Sequence[float],
    optimizer: str,
    lr: float,
    epochs: int,
    seeds: int,
    seed: int,
    frames: int = 61,
    basis_frames: int = 0,
    dtype: str = "float32",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """The article's network on ``sin(2 pi wavenumber x)`` under an envelope, on [0, 1].

    The loss is half the mean square over the midpoints, the article's integral by the midpoint rule; the
    output has no bias.

    Parameters
    ----------
    envelope, wavenumber, points
        As in :func:`specbias.targets.sequential_sine`.
    hidden, activation, omega
        As in :class:`specbias.models.MLP`.
    init : str
        As in ``MLP``, or ``"pytorch-spread"``, ``"xavier-spread"``, ``"lecun-spread"``: with these weights,
        and biases of the first layer that put the places ``-b/w`` of its steps uniformly on the interval.
    input_range : (float, float)
        What the interval [0, 1] becomes before the network sees it.
    optimizer : {"adam", "sgd", "lbfgs"}
        With ``OPTIONS``; L-BFGS has no ``lr``.
    frames, basis_frames : int
        Number of epochs, evenly spread and with the last, at which the first network's prediction and basis
        functions are kept; 0 is none, and of one network's basis then nothing is measured either.

    Returns
    -------
    xarray.Dataset
        ``error (seed, epoch, centre)`` of every half oscillation and ``total_error (seed, epoch)``, both
        relative; ``size (centre)``, root mean square of the target there as a share of the whole target's;
        ``prediction (frame, point)`` of the first network and ``last (seed, point)``; ``target``, ``x``;
        ``diverged (seed)``. With a basis: ``basis (basis_frame, unit, point)`` and ``weight (basis_frame,
        unit)`` of the first network's units of largest weight, and of all units of all networks ``pieces``,
        ``variation``, ``steepest``, ``place`` and ``reach`` (seed, shape_epoch, any_unit), as in
        :class:`specbias.experiments.steps.StepShape`; ``reach`` is ``|output weight|`` times the range.
    """
    target = targets.sequential_sine(envelope, wavenumber, points)
    x = scaled_inputs(target.x, input_range)
    models = networks(hidden, activation, omega, init, input_range, range(seed, seed + seeds), dtype)
    looks = evenly(epochs, epochs // ORDER_STEP + 1)
    shown, of_basis = evenly(epochs, frames), evenly(epochs, basis_frames)
    of_shapes = evenly(epochs, SHAPE_EPOCHS) if basis_frames else []
    with_models = sorted({*of_basis, *of_shapes})
    result = fit(
        models, x, target.y, optimizer=optimizer, lr=None if optimizer == "lbfgs" else lr, epochs=epochs,
        loss="half-mse", snapshots=sorted({*looks, *shown, *with_models}), keep_models=bool(basis_frames),
        on_divergence="stop", device=device, progress=progress and f"{envelope}, {seeds} networks",
        **OPTIONS[optimizer],
    )  # fmt: skip
    prediction = result.snapshots.prediction
    seen, frequency = prediction.sel(epoch=looks).values, 2 * np.pi * wavenumber
    errors, centres = half_oscillation_errors(seen, target.y, target.x[:, 0], frequency)
    # the error of a constant that is far larger than the target: the size of the target, upside down
    far = 1e9
    inverse, _ = half_oscillation_errors(np.full_like(target.y, far), target.y, target.x[:, 0], frequency)
    dataset = xr.Dataset(
        {
            "error": (("seed", "epoch", "centre"), small(errors)),
            "total_error": (("seed", "epoch"), small(relative(seen, target.y))),
            "size": ("centre", far / inverse / np.sqrt(np.mean(target.y**2))),
            "prediction": (("frame", "point"), small(prediction.sel(epoch=shown).values[0])),
            "last": (("seed", "point"), small(prediction.values[:, -1])),
            "target": ("point", target.y),
            "diverged": ("seed", result.diverged),
            "seconds": result.seconds,
        },
        coords={
            "seed": np.arange(seed, seed + seeds), "epoch": looks, "centre": centres,
            "frame": shown, "x": ("point", target.x[:, 0]),
        },
        attrs={"device": result.device},
    )  # fmt: skip
    if not basis_frames:
        return dataset
    return dataset.merge(_basis(result, x, of_basis, of_shapes), combine_attrs="override")


def scaled_inputs(x: np.ndarray, input_range: Sequence[float]) -> np.ndarray:
    low, high = input_range
    if not low < high:
        raise ValueError(f"input_range must be (low, high) with low < high, got {tuple(input_range)}")
    return low + (high - low) * x


def networks(hidden, activation, omega, init, input_range, seeds, dtype, in_features=1) -> list[MLP]:
    """The networks of some seeds, as :func:`sequential` describes them."""
    spread = init.endswith("-spread")
    named = {"pytorch-spread": "pytorch", "xavier-spread": "xavier-normal", "lecun-spread": "lecun-normal"}
    made = [
        MLP(
            in_features, hidden, activation=activation, omega=omega, init=named.get(init, init),
            output_bias=False, generator=g, dtype=DTYPES[dtype],
        )
        for g in generators(seeds)
    ]  # fmt: skip
    if spread:
        for network, number in zip(made, seeds, strict=True):
            spread_kinks(network, *input_range, number)
    return made


def evenly(epochs: int, count: int) -> list[int]:
    """At most ``count`` epochs from 0 to ``epochs``, the last among them."""
    if count == 1:
        return [epochs]
    return np.unique(np.linspace(0, epochs, count).round().astype(int)).tolist() if count else []


def relative(prediction: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Root mean square of the residual over the last axis, as a share of the target's."""
    squares = np.mean((prediction - target) ** 2, axis=-1, dtype=float)
    return np.sqrt(squares / np.mean(np.square(target), axis=-1))


def small(values: np.ndarray, digits: int = 4) -> np.ndarray:
    """As float32, bounded and without digits that no figure shows: files stay small."""
    return np.clip(np.nan_to_num(values, nan=1e6), -1e6, 1e6).round(digits).astype("float32")


def _basis(result: Fit, x: np.ndarray, of_basis: list[int], of_shapes: list[int]) -> xr.Dataset:
    """The first network's basis functions, and the shapes of all networks'."""
    position = {int(epoch): index for index, epoch in enumerate(result.snapshots.epoch.values)}
    first = [result.snapshot_models[0][position[epoch]] for epoch in of_basis]
    functions, weights = zip(*(basis_and_weights(model, x) for model in first), strict=True)
    share = np.abs(weights) / np.abs(weights).max(axis=1, keepdims=True)
    units = np.sort(np.argsort(share.max(axis=0))[::-1][:SHOWN_UNITS])
    shapes = [
        [shape_fields(*basis_and_weights(models[position[epoch]], x), x[:, 0]) for epoch in of_shapes]
        for models in result.snapshot_models
    ]
    of_all = ("seed", "shape_epoch", "any_unit")
    return xr.Dataset(
        {
            "basis": (("basis_frame", "unit", "point"), small(np.array(functions)[:, units], digits=3)),
            "weight": (("basis_frame", "unit"), np.array(weights)[:, units]),
            **{
                name: (of_all, small(np.array([[shape[name] for shape in network] for network in shapes])))
                for name in shapes[0][0]
            },
        },
        coords={"basis_frame": of_basis, "shape_epoch": of_shapes},
    )


def basis_and_weights(model: MLP, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The functions of the last hidden layer at ``x (n, d)``, ``(H, n)``, and the output weights ``(H,)``."""
    with torch.no_grad():
        functions = model.basis(torch.from_numpy(x).to(model.dtype)).T.double().numpy()
        return functions, model.layers[-1].weight[0].double().numpy()


def shape_fields(functions: np.ndarray, weights: np.ndarray, x: np.ndarray) -> dict[str, np.ndarray]:
    """What is kept of the shapes of basis functions ``(H, n)``; places as shares of the interval."""
    shape = step_shape(functions, x)
    place = (shape.place - x[0]) / (x[-1] - x[0])
    return {
        "pieces": shape.pieces, "variation": shape.variation, "steepest": shape.steepest, "place": place,
        "reach": np.abs(weights) * shape.range,
    }  # fmt: skip


def order_measures(run: xr.Dataset) -> xr.Dataset:
    """What the order of fitting comes to, for each network of :func:`sequential`.

    Half oscillations of a size below ``VISIBLE`` are left out: what a network holds by chance is as large.

    Returns
    -------
    xarray.Dataset
        ``fitted (seed, centre)``, first epoch from which on the relative error of a half oscillation is below
        ``FITTED`` for ``HELD`` looks (nan if never). Over ``seed``: ``inward`` and ``leftward``, rank
        correlations of that epoch with the distance from the nearer end and from the right end;
        ``from_left`` and ``from_right``, the same for either half alone and its own end; ``at_once``, how
        many half oscillations are being fitted at one time; ``burst``, the largest share of them that is
        fitted within a tenth of the time; ``share``, that are fitted at the end; ``start`` and ``finish``,
        epochs of the first and of the last (nan if not all are).
    """
    run = run.sel(centre=run["size"] >= VISIBLE)
    errors, epochs, centres = run.error.values, run.epoch.values, run.centre.values
    held = np.pad(errors, ((0, 0), (0, HELD), (0, 0)), mode="edge")
    held = np.lib.stride_tricks.sliding_window_view(held, HELD + 1, axis=1).max(axis=-1)
    fitted, left = first_below(held, epochs, FITTED), centres < 0.5
    return xr.Dataset(
        {
            "fitted": (("seed", "centre"), fitted),
            "inward": ("seed", rank_correlation(boundary_distance(centres), fitted)),
            "from_left": ("seed", rank_correlation(centres[left], fitted[:, left])),
            "from_right": ("seed", rank_correlation(1 - centres[~left], fitted[:, ~left])),
            "leftward": ("seed", rank_correlation(1 - centres, fitted)),
            "at_once": ("seed", concurrency(errors, epochs)),
            "burst": ("seed", largest_burst(fitted)),
            "share": ("seed", np.isfinite(fitted).mean(axis=1)),
            "start": ("seed", np.fmin.reduce(fitted, axis=1)),
            "finish": ("seed", fitted.max(axis=1)),
        },
        coords={"seed": run.seed, "centre": run.centre},
    )


def variants(
    *, changes: Mapping[str, Mapping], envelopes: Sequence[str], progress: bool = True, **settings
) -> xr.Dataset:
    """:func:`sequential` for each of some changes and each envelope: the order, and the error at the end.

    Parameters
    ----------
    changes : mapping
        From a variant's name to what it changes in ``settings``, those of :func:`sequential`.

    Returns
    -------
    xarray.Dataset
        Over ``(variant, envelope, seed)``: the measures of :func:`order_measures` but ``fitted``, and
        ``final``, the relative error at the end.
    """
    rows = []
    for change in changes.values():
        columns = []
        for envelope in envelopes:
            run = sequential(**{**settings, **change, "envelope": envelope, "frames": 2}, progress=progress)
            measures = order_measures(run).drop_vars(["fitted", "centre"])
            columns.append(measures.assign(final=run.total_error.isel(epoch=-1, drop=True)))
        rows.append(xr.concat(columns, xr.Variable("envelope", list(envelopes))))
    joined = xr.concat(rows, xr.Variable("variant", list(changes)))
    return joined.assign_attrs(device=run.attrs["device"])
