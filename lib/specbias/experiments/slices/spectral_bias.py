"""Slices of the runs of the chapter on spectral bias."""

from __future__ import annotations

from functools import partial

from specbias.experiments.slices.compare import CROSSED, Close, Slice
from specbias.experiments.thread import METHODS, answers_by

EPOCHS = 10
FEW = {"seeds": 1, "epochs": EPOCHS}
ROUND_OFF = "in so few epochs the round-off of another processor has not grown"
AT_EPOCHS = ("epoch", "loss_epoch")
FAST = "Fourier features, Adam"  # the only remedy that has done its work within the slice


def _at_epochs(*variables: str) -> tuple[Close, ...]:
    """A share of the median besides: predictions cross zero, and a diverged run is huge in the end."""
    return tuple(Close(name, 1e-4, 1e-5, unit="median", why=ROUND_OFF) for name in variables)


def _steps(variable: str) -> tuple[Close, ...]:
    return (Close(variable, 0.02, 1.0, count=True, why=CROSSED),)


SLICES = {
    "thread": Slice(
        f"the first network up to epoch {EPOCHS}", _at_epochs("prediction", "error", "loss"),
        changes=FEW, shared=AT_EPOCHS, every_variable=True,
    ),
    "thread_sweep": Slice(
        f"the first network with the first value up to epoch {EPOCHS}", _at_epochs("error"),
        changes=lambda parameters: FEW | {"values": parameters["values"][:1]},
        shared=AT_EPOCHS, every_variable=True,
    ),
    "circle_waves": Slice(
        f"the first network up to epoch {EPOCHS}", _at_epochs("prediction", "amplitude", "loss"),
        changes=FEW, shared=AT_EPOCHS, every_variable=True,
    ),
    "rahaman": Slice(
        f"the first network up to iteration {EPOCHS}", _at_epochs("amplitude", "loss"),
        changes={"seeds": 1, "iterations": EPOCHS}, shared=AT_EPOCHS, every_variable=True,
    ),
    "shallow_learning_times": Slice(
        "the first network with frequencies 4 and 9", _steps("steps"),
        changes={"frequencies": [4, 9], "runs": 1}, every_variable=True,
    ),
    "deep_learning_times": Slice(
        "the first network with frequency 2", _steps("steps"),
        changes={"frequencies": [2], "runs": 1, "epochs": 100}, every_variable=True,
    ),
    "answers": Slice(
        "the first network with Fourier features, and least squares, at frequency 2", _steps("fitted"),
        changes={"frequencies": [2.0], "seeds": 1, "epochs": 100}, every_variable=True,
        function=partial(answers_by, {FAST: METHODS[FAST]}),
    ),
}  # fmt: skip
