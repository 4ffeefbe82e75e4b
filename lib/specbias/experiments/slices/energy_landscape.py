"""Slices of the runs of the chapter on the energy landscape."""

from __future__ import annotations

import numpy as np
import xarray as xr

from specbias.ensembles import predict
from specbias.experiments.slices.compare import SAME_NUMBERS, Agrees, Close, Parameters, Slice
from specbias.landscape import canonical, hand_built_network, hessian

ROUND_OFF = "a hundred steps let another processor's round-off grow so far"
FASTER = "among so many variants are some in which another processor's round-off grows faster"
ITERATIONS = 5  # of L-BFGS


def _loss_of_minima(run: xr.Dataset, _: Parameters) -> tuple:
    outputs = predict(run.minima.values, run.x.values).astype(float)
    return run.minimum_loss, np.mean((outputs - run.y.values) ** 2, axis=1)


def _start() -> np.ndarray:
    return canonical(hand_built_network().parameters)


def _curvature_of_start(run: xr.Dataset, _: Parameters) -> tuple:
    built = hand_built_network()
    return run.eigenvalue[0], np.linalg.eigvalsh(hessian(_start(), built.x, built.y))


def _least_between(run: xr.Dataset, _: Parameters) -> tuple:
    """The barrier at the images, and that between them where it is lower: which it must not be."""
    return run.barrier, np.minimum(run.between, run.barrier)


def _few(parameters: Parameters) -> Parameters:
    few = {"models": 8, "steps": 10}
    if "variants" in parameters:
        short = {
            name: {**variant, "iterations": ITERATIONS} if "iterations" in variant else variant
            for name, variant in parameters["variants"].items()
        }
        few["variants"] = short
    return few


VARIANTS = Slice(
    "the first 8 networks of each variant after 100 steps", (Close("early", 1e-2, why=FASTER),), changes=_few
)

SLICES = {
    "many_trainings": Slice(
        "the first 8 networks after 100 steps, and the loss of the minima that are kept",
        (
            Close("early", 1e-3, why=ROUND_OFF),
            Close("early", 1e-3, computed="loss", why=ROUND_OFF),
            Agrees("minimum_loss", 1e-4, values=_loss_of_minima, why="sums of float32 outputs"),
        ),
        changes={"models": 8, "steps": 100},
    ),
    "basin": Slice(
        "all starts, and the first 8 networks after 100 steps",
        (Close("noise", 1e-12, why=SAME_NUMBERS), Close("early", 1e-3, why=ROUND_OFF)),
        changes={"steps": 1},
    ),
    "choices": VARIANTS,
    "functions": VARIANTS,
    "widths": VARIANTS,
    "bands": Slice(
        "the end of the bands that is the hand-built network",
        (
            Agrees("start_norm", 1e-6, why=SAME_NUMBERS,
                   values=lambda run, _: (run.start_norm, np.linalg.norm(_start()))),
            Agrees("energy of the first image", absolute=1e-25, why="it fits the data to round-off",
                   values=lambda run, _: (run.energy[:, 0], np.zeros(run.sizes["path"]))),
        ),
    ),
    "band_settings": Slice(
        "radii and barriers of all bands",
        (
            Agrees("whether the radius is finite", why="every band leaves the basin",
                   values=lambda run, _: (np.isfinite(run.radius), np.ones(run.radius.shape))),
            Agrees("barrier", 1e-9, why="points between the images include the images",
                   values=_least_between),
        ),
    ),
    "curvature": Slice(
        "the eigenvalues of the hand-built network",
        (
            Agrees("eigenvalue", 1e-6, 1e-9, unit="largest", values=_curvature_of_start,
                   why="small eigenvalues have the round-off of the largest"),
        ),
    ),
}  # fmt: skip
