"""The runs of the chapter on the energy landscape: name -> (function, the parameters of its recording)."""

from __future__ import annotations

from specbias.experiments.landscape_minima import band_settings, bands, basin, curvature
from specbias.experiments.landscape_trainings import choices, functions, many_trainings, widths

MOMENTUM = {"lr": 0.01, "momentum": 0.9}
ADADELTA = {"lr": 1.0, "rho": 0.9, "epsilon": 1e-6}
BOTH = {"momentum": MOMENTUM, "adadelta": ADADELTA}

CHOICES: dict[str, dict] = {
    **{
        f"momentum, step {lr:g}": {"optimizer": "momentum", **MOMENTUM, "lr": lr}
        for lr in (0.01, 0.003, 0.03, 0.1)
    },
    "momentum 0.5": {"optimizer": "momentum", **MOMENTUM, "momentum": 0.5},
    "momentum 0.99": {"optimizer": "momentum", **MOMENTUM, "lr": 0.003, "momentum": 0.99},
    "momentum, He": {"optimizer": "momentum", **MOMENTUM, "init": "he"},
    "momentum, Xavier": {"optimizer": "momentum", **MOMENTUM, "init": "xavier"},
    **{f"Adadelta, step {lr:g}": {"optimizer": "adadelta", **ADADELTA, "lr": lr} for lr in (1.0, 0.1, 0.01)},
    "Adadelta, ρ 0.95": {"optimizer": "adadelta", **ADADELTA, "rho": 0.95},
    "Adadelta, ε 1e-8": {"optimizer": "adadelta", **ADADELTA, "epsilon": 1e-8},
    "Adadelta, He": {"optimizer": "adadelta", **ADADELTA, "init": "he"},
    "Adadelta, Xavier": {"optimizer": "adadelta", **ADADELTA, "init": "xavier"},
    "momentum, 39 points between knots": {"optimizer": "momentum", **MOMENTUM, "points_between": 39},
    "Adadelta, 39 points between knots": {"optimizer": "adadelta", **ADADELTA, "points_between": 39},
    "Adam, step 0.001": {"optimizer": "adam", "lr": 1e-3},
    "Adam, step 0.01": {"optimizer": "adam", "lr": 1e-2},
    "L-BFGS": {"optimizer": "l-bfgs", "iterations": 5000},
    "momentum, 10 restarts": {"optimizer": "momentum", **MOMENTUM, "rounds": 10},
    "momentum, noise 0.5, 10 times": {"optimizer": "momentum", **MOMENTUM, "rounds": 10, "jitter": 0.5},
}
"""What the paper leaves open, one change at a time; then other optimizers, restarts and noise."""

MAIN = {"models": 17_000, "steps": 50_000, "init": "pytorch", "seed": 0, "kept": 100}
BASIN = {"models": 4096, "steps": 20_000, "largest": 2.0, "seed": 0}

RUNS: dict[str, tuple] = {
    **{f"main-{name}": (many_trainings, MAIN | {"optimizer": name, "settings": BOTH[name]}) for name in BOTH},
    **{f"basin-{name}": (basin, BASIN | {"optimizer": name, "settings": BOTH[name]}) for name in BOTH},
    "bands": (
        bands,
        {"count": 50, "train_steps": 50_000, "optimizers": BOTH, "seed": 0, "images": 30, "steps": 1000,
         "refine": 2},
    ),
    "band-settings": (
        band_settings,
        {"count": 5, "train_steps": 50_000, "optimizers": BOTH, "seed": 0, "springs": [0.01, 0.1, 1.0],
         "images": [20, 40, 80], "steps": 1000},
    ),
    "curvature": (curvature, {"count": 100, "train_steps": 50_000, "optimizers": BOTH, "seed": 0}),
    "choices": (choices, {"variants": CHOICES, "models": 250, "steps": 20_000, "seed": 0}),
    "widths": (
        widths,
        {"widths": [5, 6, 7, 8, 9, 10, 11, 12], "optimizers": {"adadelta": ADADELTA, "adam": {"lr": 1e-3}},
         "models": 100, "steps": 20_000, "seed": 0},
    ),
    "functions": (
        functions,
        {"counts": [2, 4, 8, 10, 12, 14, 16], "amplitudes": [0.125, 0.25], "optimizers": BOTH,
         "widths": [5, 10], "models": 100, "steps": 50_000, "seed": 0},
    ),
}  # fmt: skip
