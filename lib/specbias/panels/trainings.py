"""What the panels train, one training a chapter: its knobs, and the calls of the library.

Each ``run(report, **knobs)`` reports ``(share, words, draw)`` as it goes: how much of it is done, one line,
and what draws the figure of that moment. Reports come often, as a training can be stopped only there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from specbias.ensembles import OPTIMIZERS as TINY_OPTIMIZERS
from specbias.ensembles import Trained, count_parameters, initial_parameters, predict, train
from specbias.experiments.landscape_trainings import teeth as share_of_teeth
from specbias.experiments.order import half_oscillation_errors
from specbias.landscape import hand_built_network
from specbias.models import MLP, Circle, generators
from specbias.multistage import MultistageRegressor
from specbias.multistage.stages import rms
from specbias.parameters import Parameter
from specbias.plots import panels as figures
from specbias.plots.fit_panels import bounded
from specbias.spectra import amplitude_ratio
from specbias.targets import circle_waves, lecture_curve, sequential_sine, wang_lai_curve, waves_curve
from specbias.training import Fit, fit
from specbias.training.options import OPTIMIZERS
from specbias.turbulence import decaying_turbulence, resample

__all__ = ["TRAININGS", "Training"]

Report = Callable[[float, str, Callable | None], None]

OPERATIONS = 1e9  # between two reports, roughly: a fraction of a second
FRAMES = 60  # reports of a training at least, as far as it has so many epochs
CURVES = {"lecture": lecture_curve, "waves": waves_curve, "Wang & Lai": wang_lai_curve}


@dataclass(frozen=True)
class Training:
    """A training that a panel offers.

    Attributes
    ----------
    run
        ``run(report, **knobs)`` returns what it has trained; a report may raise an exception to end it.
    knobs
        By name.
    shows
        What a reader watches, in words.
    without
        What to do without a kernel, as HTML.
    rates
        The usual learning rate of each choice of the knob ``optimizer``, None where there is none.
    """

    run: Callable[..., object]
    knobs: dict[str, Parameter]
    shows: str
    without: str
    rates: Mapping[str, float | None] = field(default_factory=dict)


def reported_epochs(epochs: int, points: int, parameters: int) -> list[int]:
    """Epochs at which a training reports, first and last among them: often enough to be stopped.

    Examples
    --------
    >>> reported_epochs(7, points=500, parameters=10**6)
    [0, 1, 2, 3, 4, 5, 6, 7]
    >>> reported_epochs(1501, points=200, parameters=100)[-2:]
    [1500, 1501]
    """
    each = min(epochs // FRAMES, int(OPERATIONS / (6 * points * parameters)))
    return [*range(0, epochs, max(1, each)), epochs]


def two_waves(
    report: Report, *, slow_wave: int, fast_wave: int, width: int, depth: int, activation: str,
    optimizer: str, learning_rate: float | None, epochs: int, seed: int,
) -> Fit:  # fmt: skip
    """Chapter 1: a slow and a fast wave on the circle, and how much of each the network holds."""
    target = circle_waves((slow_wave, fast_wave), points=200)
    y = target.y / target.y.std()
    net = MLP(1, (width,) * depth, activation=activation, embedding=Circle(), generator=generators([seed])[0])
    seen, losses, shares = [], [], []

    def watch(epoch: int, prediction: np.ndarray) -> None:
        now = bounded(prediction)
        seen.append(epoch)
        losses.append(np.mean((now - y) ** 2))
        shares.append(amplitude_ratio(now, y, [slow_wave, fast_wave]))
        words = f"epoch {epoch} of {epochs}, loss {losses[-1]:.1e}, learned " + " and ".join(
            f"{share:.0%} of wave {wave}"
            for wave, share in zip((slow_wave, fast_wave), shares[-1], strict=True)
        )
        curves = dict(zip((slow_wave, fast_wave), np.array(shares).T, strict=True))
        report(
            epoch / epochs, words,
            partial(figures.two_waves, target.x[:, 0], y, now, np.array(seen), np.array(losses), curves),
        )  # fmt: skip

    return fit(
        net, target.x, y, optimizer=optimizer, lr=learning_rate, epochs=epochs, progress=False,
        snapshots=reported_epochs(epochs, len(y), net.parameter_count), callback=watch,
    )  # fmt: skip


def order_of_fitting(
    report: Report, *, envelope: str, half_oscillations: int, width: int, depth: int, activation: str,
    optimizer: str, learning_rate: float | None, epochs: int, seed: int,
) -> Fit:  # fmt: skip
    """Chapter 2: a sine under an envelope, and the relative error of each half oscillation."""
    target = sequential_sine(envelope, half_oscillations / 2)
    x, frequency = target.x[:, 0], np.pi * half_oscillations
    net = MLP(
        1, (width,) * depth, activation=activation, output_bias=False, generator=generators([seed])[0]
    )  # fmt: skip
    seen, errors = [], []

    def watch(epoch: int, prediction: np.ndarray) -> None:
        now = bounded(prediction)
        error, centres = half_oscillation_errors(now, target.y, x, frequency)
        seen.append(epoch)
        errors.append(error)
        words = (
            f"epoch {epoch} of {epochs}, {np.sum(error < 0.5)} of {len(error)} half oscillations are fitted"
        )
        report(
            epoch / epochs, words,
            partial(figures.order_of_fitting, x, target.y, now, centres, np.array(seen), np.array(errors)),
        )  # fmt: skip

    return fit(
        net, target.x, target.y, optimizer=optimizer, lr=learning_rate, epochs=epochs, loss="half-mse",
        progress=False, snapshots=reported_epochs(epochs, len(x), net.parameter_count), callback=watch,
    )  # fmt: skip


def many_networks(
    report: Report, *, networks: int, width: int, depth: int, teeth: int, optimizer: str,
    learning_rate: float, steps: int, seed: int,
) -> Trained:  # fmt: skip
    """Chapter 3: many tiny networks on the hand-built function, trained some steps at a time."""
    built = hand_built_network(teeth=teeth)
    shape = {"depth": depth, "width": width}
    work = 6 * networks * built.x.size * count_parameters(**shape)
    most = max(1, min(steps // FRAMES, int(4 * OPERATIONS / work)))  # on all cores, vectorised
    rows, trained = initial_parameters(networks, **shape, seed=seed), None
    for done in range(0, steps, most):
        trained = train(
            rows, built.x, built.y, **shape, steps=min(most, steps - done), optimizer=optimizer,
            lr=learning_rate, continues=trained, device="cpu", progress=False,
        )  # fmt: skip
        rows = trained.parameters
        if not np.isfinite(trained.loss).any():
            raise FloatingPointError(
                f"no loss is finite after {trained.steps} steps: lower the learning rate"
            )
        best = predict(rows[[np.nanargmin(trained.loss)]], built.x, depth, width)[0]
        words = (
            f"step {trained.steps} of {steps}, least loss {np.nanmin(trained.loss):.1e}, "
            f"the best network has {share_of_teeth(best, built):.0%} of the teeth"
        )
        report(
            trained.steps / steps, words, partial(figures.many_networks, built, trained.loss.copy(), best)
        )  # fmt: skip
    return trained


def stage_by_stage(
    report: Report, *, target: str, width: int, layers: int, stages: int, initialization: str, optimizer: str,
    iterations: int, seed: int,
) -> MultistageRegressor:  # fmt: skip
    """Chapter 4: a smooth function in stages, and what each of them leaves."""
    data = CURVES[target](300)
    model = MultistageRegressor(
        initialization=initialization, stages=stages, hidden=(width,) * layers, optimizer=optimizer,
        max_iter=iterations, random_state=seed, device="cpu",
    )  # fmt: skip
    return _in_stages(report, model, data.x, data.y, partial(figures.stage_by_stage, data.x[:, 0]))


def flow_in_stages(
    report: Report, *, resolution: int, features: int, stages: int, width: int, iterations: int, seed: int
) -> MultistageRegressor:
    """Chapter 5: a turbulent flow in stages that are told its spectrum, and what each of them leaves."""
    report(0.0, "computing the flow", None)
    flow = decaying_turbulence(resolution, spectrum="smooth", peak=2, cutoff=20, seed=seed)
    field = flow.streamfunction.values
    axis = 2 * np.pi * np.arange(resolution) / resolution
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    model = MultistageRegressor(
        initialization="spectrum", features=features or "auto", stages=stages, hidden=(width,) * 3,
        max_iter=iterations, random_state=seed, device="cpu",
    )  # fmt: skip

    def between() -> str:
        error = model.predict(points + np.pi / resolution) - target
        return f" on the grid, {rms(error):.0e} between its points"

    target = resample(field, 2 * resolution)[1::2, 1::2].ravel()
    draw = partial(figures.flow_in_stages, field.shape)
    return _in_stages(report, model, points, field.ravel(), draw, between)


def _in_stages(
    report: Report, model: MultistageRegressor, x: np.ndarray, y: np.ndarray, draw: Callable,
    judge: Callable[[], str] = str,
) -> MultistageRegressor:  # fmt: skip
    """Fit, drawing what is left whenever a stage has ended; what ``judge`` says stands in the last line."""
    left = [y]

    def watch(_, iteration: int) -> None:
        nonlocal left
        made = len(model.stages_)
        if made >= len(left):
            left = model.staged_residues(x, y)
        done = (made + min(1.0, iteration / model.max_iter)) / model.stages
        before = f"; the stages before have left {rms(left[-1]):.0e}" if made else ""
        report(done, f"stage {made + 1}, iteration {iteration}{before}", partial(draw, left))

    model.fit(x, y, callback=watch)
    sizes = ", ".join(f"{size:.0e}" for size in model.residual_rms_[1:])
    words = f"left (rms) by the stages: {sizes}{judge()}; {model.stopped_}"
    report(1.0, words, partial(draw, model.staged_residues(x, y)))
    return model


def _training(run: Callable, shows: str, without: str, *knobs: Parameter, **more) -> Training:
    return Training(run, {knob.name: knob for knob in knobs}, shows, without, **more)


_WIDTH = Parameter("width", "int", 100, "units in each hidden layer [1..512]")
_DEPTH = Parameter("depth", "int", 2, "hidden layers [1..8]")
_ACTIVATION = Parameter("activation", "str", "tanh", "of the hidden layers [relu | tanh | sin]")
_OPTIMIZER = Parameter("optimizer", "str", "adam", f"full batch [{' | '.join(OPTIMIZERS)}]")
_RATE = Parameter("learning_rate", "float", 0.005, "step size of the optimizer [0<..10]")
_SEED = Parameter("seed", "int", 0, "of the initial weights [0..]")
_RATES = {name: optimizer.lr for name, optimizer in OPTIMIZERS.items()}
_TINY_RATES = {name: usual["lr"] for name, usual in TINY_OPTIMIZERS.items()}
_PLAYGROUND = (
    'Without a kernel <a href="playground.html#{}">the playground</a> trains such networks in your browser.'
)
_SLIDER = "The slider at the top of this chapter needs no kernel."

TRAININGS = {
    "spectral-bias": _training(
        two_waves, "the fit, the loss, and how much of either wave is learned",
        _PLAYGROUND.format(
            "target=waves&amp;slow=4&amp;fast=14&amp;range=2&amp;points=200&amp;sampling=regular&amp;"
            "inputs=circle&amp;width=64&amp;depth=3&amp;activation=relu&amp;seed=0&amp;optimizer=sgd&amp;"
            "lr=0.1&amp;momentum=0&amp;epochs=6000"
        ),
        Parameter("slow_wave", "int", 4, "waves around the circle [1..40]"),
        Parameter("fast_wave", "int", 14, "waves around the circle, of the same amplitude [1..40]"),
        replace(_WIDTH, default=64),
        _DEPTH, replace(_ACTIVATION, default="relu"), _OPTIMIZER, replace(_RATE, default=0.001),
        Parameter("epochs", "int", 3000, "steps on all 200 points [1..50000]"),
        _SEED, rates=_RATES,
    ),
    "sequential-fitting": _training(
        order_of_fitting, "the fit, and where it is fitted first",
        _PLAYGROUND.format(
            "target=envelope&amp;envelope=none&amp;halves=16&amp;range=1&amp;points=200&amp;sampling=regular"
            "&amp;inputs=plain&amp;width=50&amp;depth=2&amp;activation=tanh&amp;seed=0&amp;optimizer=adam&amp;"
            "lr=0.005&amp;epochs=3000"
        ),
        Parameter("envelope", "str", "none", "1, √x, 4x(1−x) or 4(x−½)² [none | sqrt | bump | bowl]"),
        Parameter("half_oscillations", "int", 26, "of the sine on [0, 1] [2..80]"),
        _WIDTH, _DEPTH, _ACTIVATION, _OPTIMIZER, _RATE,
        Parameter("epochs", "int", 7500, "steps on all 500 points [1..50000]"),
        _SEED, rates=_RATES,
    ),
    "energy-landscape": _training(
        many_networks, "the losses of all networks, and the best fit so far", _SLIDER,
        Parameter("networks", "int", 200, "trained at the same time [1..2000]"),
        Parameter("width", "int", 5, "units in each hidden layer [1..16]"),
        Parameter("depth", "int", 5, "hidden layers [1..16]"),
        Parameter("teeth", "int", 16, "of the sawtooth [1..16]"),
        Parameter("optimizer", "str", "momentum", f"full batch [{' | '.join(TINY_OPTIMIZERS)}]"),
        replace(_RATE, default=0.01),
        Parameter("steps", "int", 5000, "of each network [1..100000]"),
        _SEED, rates=_TINY_RATES,
    ),
    "multistage": _training(
        stage_by_stage, "what each stage leaves", _SLIDER,
        Parameter("target", "str", "lecture", "a smooth function [lecture | waves | Wang & Lai]"),
        replace(_WIDTH, default=20, help="units in each hidden layer of a stage [2..100]"),
        Parameter("layers", "int", 3, "hidden layers of a stage [1..5]"),
        Parameter("stages", "int", 3, "at most [1..6]"),
        Parameter("initialization", "str", "scale-factor", "of later stages [scale-factor | plain]"),
        Parameter(
            "optimizer", "str", "self-scaled-bfgs",
            "of each stage [self-scaled-bfgs | l-bfgs | adam | adam+l-bfgs]",
        ),
        Parameter("iterations", "int", 400, "of each stage [1..20000]"),
        _SEED,
    ),
    "si-msnn": _training(
        flow_in_stages, "what each stage leaves, and its spectrum", _SLIDER,
        Parameter("resolution", "int", 32, "points of the flow along each axis [32 | 64]"),
        Parameter("features", "int", 100, "modes in each first layer; 0: as many as needed [0..1000]"),
        Parameter("stages", "int", 3, "at most [1..6]"),
        replace(_WIDTH, default=30, help="units in each of three hidden layers [2..100]"),
        Parameter("iterations", "int", 300, "of each stage, at most [1..5000]"),
        Parameter("seed", "int", 0, "of the flow and of the initial weights [0..]"),
    ),
}  # fmt: skip
"""The training of each chapter."""
