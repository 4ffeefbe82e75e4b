"""The runs by name: their parameters, small versions of each, and whether they are recorded."""

from __future__ import annotations

import copy
import inspect
import json

import numpy as np
import pytest
import torch
import xarray as xr
from scipy import stats

from specbias.experiments import REGISTRY, common, run
from specbias.experiments.sequential import sequential, variants
from specbias.experiments.thread import METHODS, thread, thread_sweep
from specbias.models import MLP
from specbias.recorded import canonical_json, results_folder

NOT_RECORDED: dict[str, str] = {}
"""Runs without a recording in ``results/``, each with the reason; at a release there are none."""

RECORDED = {
    name: results_folder() / f"{name}.nc" for name in REGISTRY if (results_folder() / f"{name}.nc").is_file()
}


def small(name: str, **changes) -> xr.Dataset:
    """The run ``name`` with some parameters changed, computed now and without a progress bar."""
    experiment = REGISTRY[f"spectral-bias/{name}"]
    return experiment.function(**{**experiment.parameters, **changes}, progress=False)


@pytest.mark.parametrize("name", REGISTRY)
def test_parameters_are_those_of_the_function(name):
    function, parameters = REGISTRY[name].function, dict(REGISTRY[name].parameters)
    inspect.signature(function).bind(**parameters)
    if function is thread_sweep:  # hands the rest on
        inspect.signature(thread).bind(**{k: v for k, v in parameters.items() if k not in ("over", "values")})
    if function is variants:
        kept = {k: v for k, v in parameters.items() if k not in ("changes", "envelopes")} | {
            "envelope": "none"
        }
        for change in parameters["changes"].values():
            inspect.signature(sequential).bind(**{**kept, **change})
    json.loads(canonical_json(parameters))


def test_snapshot_epochs():
    assert common.snapshot_epochs(0, 10) == [0]
    chosen = common.snapshot_epochs(15000, 40)
    assert (chosen[0], chosen[1], chosen[-1]) == (0, 1, 15000)
    assert chosen == sorted(set(chosen))
    ratios = np.diff(np.log(chosen[-10:]))
    np.testing.assert_allclose(ratios, np.log(15000) / 39, rtol=1e-3)


def test_first_below_counts_epochs_from_zero_and_never_is_minus_one():
    loss = np.array([[0.1, 0.5, 0.05], [1.0, np.nan, np.inf], [3.0, 0.2, np.nan]])
    assert common.first_below(loss, 0.3).tolist() == [0, -1, 1]


TINY = {"points": 60, "hidden": [8, 8], "epochs": 20, "seeds": 2}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"activation": "tanh", "optimizer": "adam", "lr": 1e-3},
        {"activation": "tanh", "optimizer": "lbfgs"},
        {"embedding": "circle", "sampling": "regular", "dtype": "float64"},
        {"embedding": "rescale", "init": "basri"},
        {"init": "spread"},
        {"hidden": [8], "momentum": 0.9, "weight_decay": 1e-5},
    ],
    ids=str,
)
def test_thread(changes):
    result = small("thread-relu", **{**TINY, **changes})
    assert result.prediction.dims == ("seed", "epoch", "point")
    assert result.loss.dims == ("seed", "loss_epoch")
    assert result.error.dims == ("seed", "epoch")
    assert result.fitted.dims == ("seed", "level")
    assert result.sizes["seed"] == result.diverged.size == 2
    assert result.level.values.tolist() == [0.3, 0.1, 0.05]
    np.testing.assert_allclose(result.target, np.sin(2 * result.x), atol=1e-12)
    residual = result.prediction - result.target
    error = np.sqrt((residual**2).mean("point") / (result.target**2).mean("point"))
    np.testing.assert_allclose(result.error, error, rtol=1e-5)


def test_spread_kinks_are_uniform_and_all_else_is_as_it_was():
    net = MLP(1, (2000, 3), activation="relu")
    before = copy.deepcopy(net)
    common.spread_kinks(net, -7.5, 7.5, seed=0)
    kinks = (-net.layers[0].bias / net.layers[0].weight[:, 0]).detach().numpy()
    assert stats.kstest(kinks, stats.uniform(-7.5, 15).cdf).pvalue > 1e-3
    net.layers[0].bias.data.copy_(before.layers[0].bias)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before.parameters(), strict=True))


@pytest.mark.parametrize("name", ["oscillations", "widths", "points"])
def test_thread_sweeps(name):
    values = REGISTRY[f"spectral-bias/{name}"].parameters["values"][:2]
    tiny = {"epochs": 5, "seeds": 2, "hidden": [6, 6], "points": 40}
    changed = {"over": "hidden", "values": [[4], [5, 5]]} if name == "widths" else {"values": values}
    result = small(name, **{**tiny, **changed})
    assert result.fitted.dims == ("value", "seed", "level")
    assert result.error.dims == ("value", "seed", "epoch")
    assert result.seconds_per_epoch.dims == ("value",)
    expected = ["4", "5 x 5"] if name == "widths" else values
    assert result["value"].values.tolist() == expected


def test_answers():
    result = small("answers", frequencies=[0.5], points=150, hidden=[8, 8], epochs=30, seeds=2)
    assert result.fitted.dims == result.seconds.dims == result.error.dims == ("remedy", "frequency", "seed")
    assert result.remedy.values.tolist() == [*METHODS, "least squares"]
    assert (result.error.sel(remedy="least squares") < 1e-9).all()
    assert (result.fitted.sel(remedy="least squares") == 1).all()
    assert (result.seconds > 0).all()


def test_circle_waves():
    result = small("circle-waves", points=101, hidden=[10, 10, 10], epochs=60, seeds=2)
    assert result.prediction.dims == ("seed", "epoch", "angle")
    assert result.amplitude.dims == ("seed", "epoch", "wavenumber")
    assert {0, 50, 60} <= set(result.epoch.values.tolist())
    assert result.stopped.values.tolist() == [-1, -1]
    # the amplitude is the projection on the target's wave, 1 where it is learned
    angle, target = result.angle.values, result.target.values
    for k in (4, 14):
        wave = np.sin(k * angle)
        projection = (result.prediction @ xr.DataArray(wave, dims="angle")) / (target @ wave)
        np.testing.assert_allclose(result.amplitude.sel(wavenumber=k), projection, atol=0.03)


def test_deep_learning_times():
    tiny = {"points": 60, "hidden": [30, 30], "epochs": 400, "lr": 0.1, "stop_at": 0.5}
    result = small("deep-learning-times", frequencies=[1, 2], **tiny)
    assert result.steps.dims == result.diverged.dims == ("frequency", "run")
    assert (result.steps.sel(frequency=1) > 0).all()
    alone = small("deep-learning-times", frequencies=[1], **{**tiny, "runs": 1})
    assert (
        abs(alone.steps.item() - result.steps.sel(frequency=1, run=0).item()) <= 1
    )  # its own, whatever else is run


def test_shallow_learning_times():
    result = small("shallow-bias", frequencies=[1, 3], runs=2, units=50, points=31)
    assert result.steps.dims == ("frequency", "run")
    assert result.attrs["device"] == "cpu"


def test_rahaman():
    result = small("rahaman", frequencies=[2, 5], points=50, hidden=[8, 8], iterations=5, seeds=2)
    assert result.amplitude.dims == ("seed", "epoch", "frequency")
    assert result.sizes["seed"] == 2


def test_every_run_is_recorded():
    missing = set(REGISTRY) - set(RECORDED)
    assert missing - set(NOT_RECORDED) == set(), "record them, or say in NOT_RECORDED why not"
    assert set(NOT_RECORDED) - missing == set(), "these are recorded: take them out of NOT_RECORDED"


@pytest.mark.parametrize("name", RECORDED)
def test_the_recording_has_the_parameters_of_the_run(name, monkeypatch):
    def refuse(*_):
        raise AssertionError("the recording has other parameters")

    monkeypatch.setattr("specbias.recorded._compute", refuse)
    assert run(name).origin == "recorded"
