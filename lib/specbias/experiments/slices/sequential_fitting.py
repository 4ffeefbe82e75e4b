"""Slices of the runs of the chapter on sequential fitting."""

from __future__ import annotations

import numpy as np
import xarray as xr

from specbias import targets
from specbias.experiments.slices.compare import CROSSED, SAME_NUMBERS, Agrees, Close, Parameters, Slice

ARTICLE = "as in the article"
ROUND_OFF = "a hundred epochs let another processor's round-off grow so far"
EIGENVALUES = "it is extrapolated from eigenvalues, which other libraries round otherwise"
EPOCHS = 5000  # by then the first surrogate is being fitted


def _begins_within(run: xr.Dataset, _: Parameters) -> tuple:
    """The epoch at which the fit of the first surrogate begins, and the nearest one within the slice."""
    begins = run.reached.sel(level=0.9)[0, 0]
    return begins, begins.clip(1, EPOCHS - 1)


def _shifted_boundaries(run: xr.Dataset, parameters: Parameters) -> tuple:
    """The boundary amplitudes of the base, rolled point by point."""
    base = targets.sequential_sine(parameters["envelope"], parameters["wavenumber"], parameters["points"])
    count, step = parameters["count"], parameters["points"] // parameters["count"]
    rolled = np.stack([np.roll(base.y, step * number) for number in range(count)])
    return run.boundary, targets.boundary_amplitude(rolled, parameters["width"])


SLICES = {
    "sequential": Slice(
        "the first network up to epoch 100",
        (
            Close("error", 2e-3, 2e-3, why=ROUND_OFF),
            Close("total_error", 2e-3, 2e-3, why=ROUND_OFF),
            Close("size", 1e-6, why=SAME_NUMBERS),
        ),
        changes={"seeds": 1, "epochs": 100, "basis_frames": 0, "frames": 2},
    ),
    "plane": Slice(
        "the first network up to epoch 200",
        tuple(Close(name, 1e-7, 2e-3, why=ROUND_OFF) for name in ("total_error", "mean", "amplitude")),
        changes={"seeds": 1, "epochs": 200},
    ),
    "same_spectrum": Slice(
        "the first target with its first network",
        (
            Close("boundary", 1e-9, why=SAME_NUMBERS),
            Close("kernel_steps", 0.02, why=EIGENVALUES),
            Close("reached", 0.05, at={"level": [0.9]}, why=CROSSED),
            Agrees("reached within the slice", values=_begins_within, why="else nothing would be compared"),
        ),
        changes={"count": 1, "networks_each": 1, "epochs": EPOCHS}, first=("target", "network"),
    ),
    "sequential-fitting/shifts": Slice(
        "boundary amplitudes of all targets",
        (Agrees("boundary", 1e-9, values=_shifted_boundaries, why=SAME_NUMBERS),),
    ),
    "variants": Slice(
        f"the first network {ARTICLE}, up to epoch 2500",
        (Close("start", 0.1, why=CROSSED),),
        changes=lambda parameters: {
            "changes": {ARTICLE: parameters["changes"][ARTICLE]},
            "envelopes": ["none"], "seeds": 1, "epochs": 2500,
        },
    ),
    "kernel_against_training": Slice(
        "the first network at epochs 0 and 500",
        tuple(Close(name, 0.02, 1e-6, why=ROUND_OFF) for name in ("error", "distance")),
        changes={"envelopes": ["none"], "seeds": 1, "epochs": 500},
    ),
}  # fmt: skip
