"""Slices of the runs of the chapter on multistage networks."""

from __future__ import annotations

import numpy as np

from specbias.experiments.slices.compare import Agrees, Close, Parameters, Slice

BEGUN = [0, 1]  # records: the start, and the first iteration
DETERMINED = "initial weights, data and optimizer give it, in float64"


def _short(parameters: Parameters) -> Parameters:
    variants = parameters["variants"]
    return {
        "variants": {name: variants[name] | {"stages": 1, "max_iter": 2} for name in variants},
        "seeds": 1,
    }


SLICES = {
    "fits": Slice(
        "loss of the first fit of each variant at the start and after one iteration",
        (
            Close("iteration", at={"record": [1]}, why="it is a count"),
            Agrees(
                "second record is of iteration 1", why="it is a count",
                values=lambda run, _: (run.iteration[:, 0, 0, 1], np.ones(run.sizes["variant"])),
            ),
            Close("loss", 1e-9, at={"record": BEGUN}, why=DETERMINED),
        ),
        changes=_short, first=("stage",),
    ),
    "classical": Slice(
        "some polynomials, and the first random features",
        tuple(
            Close(name, 1e-6, why="least squares loses a few digits")
            for name in ("chebyshev_largest", "random_largest")
        ),
        changes={"degrees": [2, 6, 10], "features": [10], "seeds": 1},
    ),
}  # fmt: skip
