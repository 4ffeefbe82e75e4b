"""The runs of the chapter on spectral bias: name -> (function, the parameters of its recording)."""

from __future__ import annotations

from specbias.experiments.papers import circle_waves, deep_learning_times, rahaman, shallow_learning_times
from specbias.experiments.thread import answers, thread, thread_sweep

ASKER = {
    "activation": "relu", "init": "pytorch", "embedding": "none", "sampling": "random", "hidden": [200, 200],
    "frequency": 2.0, "data_range": 15.0, "points": 1500, "optimizer": "sgd", "lr": 2e-3, "momentum": 0.0,
    "weight_decay": 0.0, "epochs": 15000, "stop_at": 0.05, "seeds": 8, "seed": 0,
}  # fmt: skip
"""The thread's own settings."""

REPLY = {"lr": 1e-2, "momentum": 0.9, "weight_decay": 1e-5}
"""What the reply's best run changed in training; it had added momentum and weight decay before."""

DEEP = ASKER | REPLY | {"hidden": [512] * 4, "epochs": 2000, "seeds": 4}

ON_THE_CIRCLE = {"embedding": "circle", "sampling": "regular"}

SWEEP = ASKER | REPLY | {"epochs": 3000, "dtype": "float32"}
TWO_OSCILLATIONS = SWEEP | {"data_range": 6.283185307179586, "points": 628}

SHALLOW = {"runs": 30, "units": 4000, "points": 1001, "learning_rate": 0.01, "seed": 0}

CHANGES: dict[str, dict] = {
    "thread-relu": {},
    "thread-tanh": {"activation": "tanh"},
    "thread-sigmoid": {"activation": "sigmoid"},
    "thread-regular": {"sampling": "regular"},
    "thread-spread": {"init": "spread"},
    "thread-rescale": {"embedding": "rescale"},
    "thread-circle": {"embedding": "circle"},
    "thread-step-5": {"lr": 1e-2},
    "thread-step-250": {"lr": 0.5},
    "thread-momentum": {"momentum": 0.9},
    "reply-momentum": {"momentum": 0.9, "weight_decay": 1e-5},
    "path-circle": ON_THE_CIRCLE,
    "path-step-50": ON_THE_CIRCLE | {"lr": 0.1},
    "path-init": ON_THE_CIRCLE | {"lr": 0.1, "init": "basri"},
    "path-step-250": ON_THE_CIRCLE | {"lr": 0.5, "init": "basri"},
}
"""What each variant changes in the thread's settings."""

RUNS: dict[str, tuple] = {
    **{name: (thread, ASKER | change) for name, change in CHANGES.items()},
    "reply-deep": (thread, DEEP),
    "reply-deep-4x": (thread, DEEP | {"frequency": 4.0}),
    "oscillations": (thread_sweep, SWEEP | {"over": "oscillations", "values": [1, 2, 3, 4, 5]}),
    "widths": (
        thread_sweep,
        TWO_OSCILLATIONS
        | {
            "over": "hidden",
            "values": [[50] * 2, [100] * 2, [200] * 2, [400] * 2, [800] * 2, [200] * 3, [200] * 4, [400] * 4],
        },
    ),
    "points": (thread_sweep, TWO_OSCILLATIONS | {"over": "points", "values": [157, 314, 628, 1256, 2512]}),
    "answers": (
        answers,
        {"frequencies": [2.0, 4.0, 8.377580409572781], "data_range": 15.0, "points": 1500,
         "hidden": [200, 200], "omega": 30.0, "fourier_scale": 2.0, "epochs": 1000, "stop_at": 0.01,
         "seeds": 4, "seed": 0},
    ),
    "circle-waves": (
        circle_waves,
        {"wavenumbers": [4, 14], "points": 1001, "hidden": [256] * 3, "lr": 1e-3, "stop_below": 0.01,
         "epochs": 40000, "seeds": 3, "seed": 0},
    ),
    "shallow-bias": (shallow_learning_times, SHALLOW | {"bias": True, "frequencies": list(range(1, 31))}),
    "shallow-no-bias": (shallow_learning_times, SHALLOW | {"bias": False, "frequencies": list(range(1, 31))}),
    "shallow-stable": (
        shallow_learning_times,
        SHALLOW
        | {"bias": True, "frequencies": list(range(1, 31)), "learning_rate": 0.005, "paired": True,
           "sampling": "regular"},
    ),
    "deep-learning-times": (
        deep_learning_times,
        {"frequencies": [2, 4, 6, 8, 10, 12, 15], "points": 1001, "hidden": [256] * 5, "lr": 0.05,
         "stop_at": 0.05, "epochs": 100000, "runs": 2, "seed": 0},
    ),
    "rahaman": (
        rahaman,
        {"frequencies": list(range(5, 55, 5)), "points": 200, "hidden": [256] * 6, "lr": 3e-4,
         "iterations": 60000, "seeds": 3, "seed": 0},
    ),
}  # fmt: skip
