"""How a multistage regressor fits one of its stages, by either of its two initializations."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from specbias.multistage.minimizers import minimize
from specbias.multistage.networks import StageNetwork
from specbias.multistage.on_device import loss_on
from specbias.multistage.published import fit_published
from specbias.multistage.stages import Progress, Stage, Watch, rms, scale_factor
from specbias.multistage.waves import fit_waves
from specbias.spectra import dominant_wavenumber


def fit_network(
    model, number: int, x: np.ndarray, left: np.ndarray, train: np.ndarray, held: np.ndarray,
    generator: np.random.Generator, seen: Callable[[int], object] | None,
) -> Stage:  # fmt: skip
    """Fit a tanh network, or one that begins at the residue's frequency, to all points but those held out."""
    began, size = time.perf_counter(), rms(left[train]) if model.normalize else 1.0
    inputs, goal = np.ascontiguousarray(x[train]), left[train] / size
    frequency = dominant_wavenumber(inputs, goal, model.frequency)
    if number == 0 or model.initialization_ == "plain":
        network = StageNetwork(x.shape[1], tuple(model.hidden))
    else:
        scale = scale_factor(frequency, inputs, model.hidden[0], bounded=model.guard)
        network = StageNetwork(x.shape[1], tuple(model.hidden), model.activation, scale)
    if model.device_ == "cpu":
        value = partial(network.loss_and_gradient, x=inputs, y=goal)
    else:
        value = loss_on(network, inputs, goal, model.device_)
    watch = Watch(network, x[held], left[held] / size, model.patience, model.max_iter, model.verbose, seen)
    with watch:
        found = minimize(
            value, network.initial(generator), model.optimizer, max_iter=model.max_iter,
            history=model.history, callback=watch,
        )  # fmt: skip
    reason = "held-out" if found.reason == "callback" else found.reason
    return Stage(
        network, watch.choose(found), size, frequency, found.iterations, found.evaluations, reason,
        found.history, time.perf_counter() - began,
    )  # fmt: skip


def fit_spectrum(
    model, number: int, left: np.ndarray, generator: np.random.Generator,
    seen: Callable[[int], object] | None,
) -> Stage:  # fmt: skip
    """Fit a network on the residue's largest modes to all points of the model's grid."""
    began, size = time.perf_counter(), rms(left) if model.normalize else 1.0
    goal = left.reshape(model._lattice.shape) / size
    features = model.features[number] if np.ndim(model.features) else model.features
    with Progress(model.max_iter, model.verbose, seen) as progress:
        settings = {"max_iter": model.max_iter, "device": model.device_, "callback": progress}
        if model.recipe == "published":
            network, found = fit_published(
                goal, model._lattice, tuple(model.hidden), generator, features=features, **settings
            )
        else:
            network, found = fit_waves(
                goal, model._lattice, tuple(model.hidden), generator, floor=model._floor / size,
                features=None if features == "auto" else features, patience=model.patience,
                tolerance=max(model.tol, model._floor) / size, **settings,
            )  # fmt: skip
    return Stage(
        network, found.x, size, float(np.linalg.norm(network.wavenumbers[0])), found.iterations,
        found.evaluations, found.reason, found.history, time.perf_counter() - began,
    )  # fmt: skip


def tell(number: int, stage: Stage, size: float, held_size: float | None) -> None:
    """Print the line of one stage, and before the first what its columns are."""
    if number == 0:
        print("stage  parameters  scale factor  iterations  ended by    residue   held out")
    scale = {"tanh": "—", "waves": "modes"}.get(stage.network.first, f"{stage.network.scale:.1f}")
    last = "" if held_size is None else f"{held_size:.1e}"
    print(
        f"{number + 1:5d}{stage.network.size:12d}{scale:>14}{stage.iterations:12d}  {stage.reason:10s}"
        f"{size:9.1e}{last:>11}", flush=True,
    )  # fmt: skip
