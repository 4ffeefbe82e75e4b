"""The runs of the chapter on sequential fitting: name -> (function, the parameters of its recording)."""

from __future__ import annotations

from specbias.experiments.sequential import sequential, variants
from specbias.experiments.sequential_plane import plane
from specbias.experiments.sequential_predictions import kernel_against_training
from specbias.experiments.sequential_surrogates import same_spectrum

TARGETS = {"none": "sin", "sqrt": "√x · sin", "bump": "4x(1−x) · sin", "bowl": "4(x−½)² · sin"}
"""The article's four targets by the name of their envelope, as figures write them."""

ENVELOPES = list(TARGETS)

NETWORK = {
    "wavenumber": 13, "points": 500, "hidden": [100, 100], "activation": "tanh", "omega": 1.0,
    "init": "pytorch", "input_range": [0, 1], "optimizer": "adam", "lr": 5e-3, "epochs": 7500, "seeds": 8,
    "seed": 0,
}  # fmt: skip
"""The article's own settings; the initialisation is PyTorch's, of which it says nothing."""

SIREN = {"activation": "sin", "omega": 2.0}

CHANGES: dict[str, dict] = {
    "as in the article": {},
    "Xavier, zero biases": {"init": "xavier-normal"},
    "Xavier, steps spread": {"init": "xavier-spread"},
    "LeCun, zero biases": {"init": "lecun-normal"},
    "LeCun, steps spread": {"init": "lecun-spread"},
    "PyTorch, steps spread": {"init": "pytorch-spread"},
    "input on [−1, 1]": {"input_range": [-1, 1]},
    "input on [−5, 5]": {"input_range": [-5, 5]},
    "float64": {"dtype": "float64"},
    "momentum, step 0.1": {"optimizer": "sgd", "lr": 0.1},
    "L-BFGS": {"optimizer": "lbfgs", "epochs": 2000, "seeds": 2},
}
"""What each variant changes."""

SPECTRUM = {
    "wavenumber": 13, "points": 500, "width": 1 / 13, "hidden": [100, 100], "lr": 5e-3, "epochs": 20000,
    "seed": 0,
}  # fmt: skip

RUNS: dict[str, tuple] = {
    **{
        f"fit-{name}": (sequential, NETWORK | {"envelope": name, "basis_frames": 31 if name == "none" else 1})
        for name in ENVELOPES
    },
    "fit-siren": (sequential, NETWORK | SIREN | {"envelope": "none", "basis_frames": 31}),
    **{
        f"depth-{depth}": (
            sequential,
            NETWORK | {"envelope": "none", "hidden": [100] * depth, "basis_frames": 1, "frames": 2},
        )
        for depth in (1, 2, 3, 4, 5)
    },
    "variants": (
        variants,
        NETWORK | {"changes": CHANGES, "envelopes": ENVELOPES, "seeds": 4, "dtype": "float32"},
    ),
    "plane": (
        plane,
        {"points_per_side": 50, "hidden": [100, 100], "activation": "tanh", "omega": 1.0, "init": "pytorch",
         "lr": 5e-3, "epochs": 10000, "frames": 9, "seeds": 8, "seed": 0},
    ),
    "phases-bump": (
        same_spectrum, SPECTRUM | {"kind": "phases", "envelope": "bump", "count": 200, "networks_each": 2},
    ),
    "shifts": (
        same_spectrum, SPECTRUM | {"kind": "shifts", "envelope": "bump", "count": 25, "networks_each": 8},
    ),
    "kernel": (
        kernel_against_training,
        {"envelopes": ENVELOPES, "wavenumber": 13, "points": 500, "hidden": [100, 100], "seeds": 2, "seed": 0,
         "lr": 5e-3, "epochs": 7500, "at": [0, 500, 1500, 3000, 7500], "level": 0.995},
    ),
}  # fmt: skip
