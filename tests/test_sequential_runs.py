"""The runs of the chapter on sequential fitting, small."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from specbias.experiments import REGISTRY
from specbias.experiments.sequential import HELD, networks, order_measures, sequential
from specbias.experiments.sequential_surrogates import same_spectrum

RUNS = {name: one for name, one in REGISTRY.items() if name.startswith("sequential-fitting/")}
TINY = {"hidden": [6, 5], "epochs": 60, "seeds": 2, "points": 130, "progress": False}


def again(name: str, **changes) -> xr.Dataset:
    experiment = RUNS[name]
    return experiment.function(**{**experiment.parameters, **changes, "progress": False})


@pytest.fixture(scope="module")
def tiny() -> xr.Dataset:
    return again(
        "sequential-fitting/fit-bowl", **{k: v for k, v in TINY.items() if k != "progress"}, basis_frames=2
    )


def test_errors_and_sizes_are_those_of_the_predictions(tiny):
    square = np.mean((tiny["last"] - tiny.target) ** 2, axis=1) / np.mean(tiny.target**2)
    np.testing.assert_allclose(tiny.total_error.isel(epoch=-1), np.sqrt(square), atol=2e-4)
    half = np.floor(tiny.x.values * 26 + 1e-9).astype(int)
    sizes = [np.sqrt(np.mean(tiny.target.values[half == k] ** 2)) for k in range(26)]
    np.testing.assert_allclose(tiny["size"], sizes / np.sqrt(np.mean(tiny.target.values**2)), rtol=1e-6)


def test_the_output_is_the_weighted_sum_of_the_basis(tiny):
    assert tiny.sizes["unit"] == 5
    output = (tiny.basis * tiny.weight).sum("unit")
    np.testing.assert_allclose(output, tiny.prediction.sel(frame=tiny.basis_frame.values), atol=3e-3)
    assert tiny.pieces.dims == ("seed", "shape_epoch", "any_unit")
    assert (tiny.pieces >= 1).all()


def test_the_input_range_must_ascend():
    with pytest.raises(ValueError, match="input_range must be"):
        sequential(**{**RUNS["sequential-fitting/fit-none"].parameters, **TINY, "input_range": [1, 0]})


def test_spread_steps_lie_on_the_interval_and_change_no_weight():
    spread, plain = (networks([50, 4], "tanh", 1.0, init, (-1, 2), [3], "float64")[0] for init in
                     ("lecun-spread", "lecun-normal"))  # fmt: skip
    places = (-spread.layers[0].bias / spread.layers[0].weight[:, 0]).detach().numpy()
    assert places.min() > -1.001 and places.max() < 2.001 and np.ptp(places) > 2
    for one, other in zip(spread.layers, plain.layers, strict=True):
        assert (one.weight == other.weight).all()


@pytest.mark.parametrize("init", ["pytorch", "xavier-normal", "lecun-normal"])
def test_spread_changes_no_bias_behind_the_first_layer(init):
    named = init.removesuffix("-normal") + "-spread"
    spread, plain = (networks([50, 4], "tanh", 1.0, i, (0, 1), [3], "float64")[0] for i in (named, init))
    before, after = (dict(network.named_parameters()) for network in (plain, spread))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert len(changed) == 1 and spread.layers[0].bias is after[changed.pop()]


def test_an_input_range_is_training_on_other_inputs():
    """Against Adam of PyTorch, step by step, on inputs that are scaled by hand."""
    changes = {"input_range": [-5, 5], "dtype": "float64", "seeds": 1, "hidden": [6, 5], "points": 130}
    run = again("sequential-fitting/fit-none", **changes, epochs=50, basis_frames=0)
    (model,) = networks([6, 5], "tanh", 1.0, "pytorch", (-5, 5), [0], "float64")
    assert model.layers[-1].bias is None
    x, y = torch.from_numpy(10 * run.x.values - 5)[:, None], torch.from_numpy(run.target.values)
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(50):
        adam.zero_grad()
        (0.5 * torch.mean((model(x).squeeze(-1) - y) ** 2)).backward()
        adam.step()
    np.testing.assert_allclose(run["last"][0], model(x).detach().numpy().squeeze(-1), atol=1e-4)


def test_a_small_square():
    sine = {"activation": "sin", "omega": 30.0, "lr": 0.02}  # has something of either wave from the start
    changes = {"points_per_side": 20, "hidden": [20, 5], "epochs": 100, "seeds": 2, "frames": 2}
    run = again("sequential-fitting/plane", **changes, **sine)
    assert abs(np.diff(run.amplitude[0, 0])) > 0.02
    assert run.total_error.dims == run["mean"].dims == ("seed", "epoch")
    assert run.epoch.values.tolist() == [0, 50, 100] and run.frame.values.tolist() == [0, 100]
    assert run.basis.shape == (5, 400) and run.reach.shape == (2, 5)
    square = ((run.prediction - run.target) ** 2).mean("point") / (run.target**2).mean()
    np.testing.assert_allclose(run.total_error[0, [0, 2]], np.sqrt(square), atol=2e-3)
    np.testing.assert_allclose(run["mean"][0, [0, 2]], run.prediction.mean("point"), atol=1e-3)
    side = (np.arange(20) + 0.5) / 20
    first, second = (grid.ravel() for grid in np.meshgrid(side, side, indexing="ij"))
    for wave, phase in zip(run.wave.values, (first - second, first + second), strict=True):
        cosine = np.cos(10 * np.pi * phase)
        share = (run.prediction @ xr.DataArray(cosine, dims="point")) / float(run.target.values @ cosine)
        np.testing.assert_allclose(run.amplitude.sel(wave=wave)[0, [0, 2]], share, atol=2e-3)


def test_small_variants_are_the_runs_themselves():
    changes = {"slow": {"lr": 1e-3}, "wide": {"hidden": [9]}}
    tiny = {"hidden": [6, 5], "epochs": 300, "seeds": 2, "points": 130}
    both = again("sequential-fitting/variants", changes=changes, envelopes=["bowl", "none"], **tiny)
    assert both.final.dims == both.share.dims == ("variant", "envelope", "seed")
    assert both.variant.values.tolist() == ["slow", "wide"] and "fitted" not in both
    alone = again("sequential-fitting/fit-none", **{**tiny, "hidden": [9]}, basis_frames=0, frames=2)
    one = both.sel(variant="wide", envelope="none")
    np.testing.assert_allclose(one.final, alone.total_error.isel(epoch=-1), atol=1e-3)
    np.testing.assert_allclose(one.share, order_measures(alone).share)


@pytest.mark.parametrize("kind", ["phases", "shifts"])
def test_small_surrogates(kind):
    tiny = {"count": 3, "networks_each": 2, "hidden": [30], "epochs": 400, "points": 130, "wavenumber": 2}
    run = again("sequential-fitting/shifts", **tiny, kind=kind, width=0.25, envelope="none", lr=0.02)
    assert run.reached.shape == (3, 3, 2) and run.reached.dims == ("level", "target", "network")
    assert run.kernel_steps.shape == (3,) and (run.kernel_steps > 0).all()
    assert run.deviation < 1e-12
    np.testing.assert_allclose(run["shift"], [0, 1 / 3, 2 / 3])
    begun, halfway = (run.reached.sel(level=level).values for level in (0.9, 0.5))
    assert (begun > 0).any()
    assert ((halfway == -1) | ((begun <= halfway) & (begun > 0))).all()


def test_unknown_kind_of_surrogates():
    parameters = RUNS["sequential-fitting/shifts"].parameters
    with pytest.raises(ValueError, match="kind must be phases or shifts"):
        same_spectrum(**{**parameters, "kind": "turns"})


# The order


def fitted_at(epochs, *, size=None) -> xr.Dataset:
    """A run whose half oscillation ``c`` is fitted at the epoch ``epochs[c]``, within 25 epochs."""
    epochs = np.asarray(epochs, float)
    looks = np.arange(0, 3001, 25)
    error = np.clip(1 - (looks[:, None] - epochs) / 50, 0.1, 1.0)[None]
    c = len(epochs)
    return xr.Dataset(
        {
            "error": (("seed", "epoch", "centre"), error),
            "size": ("centre", np.ones(c) if size is None else size),
        },
        {"seed": [0], "epoch": looks, "centre": (np.arange(c) + 0.5) / c},
    )


def test_two_fronts():
    outer = np.minimum(np.arange(12), np.arange(12)[::-1])
    measures = order_measures(fitted_at(200 + 100 * outer))
    assert measures.from_left == 1 and measures.from_right == 1 and measures.inward == 1
    assert measures.at_once == 2 and measures.share == 1


def test_one_front_and_all_at_once():
    one = order_measures(fitted_at(200 + 100 * np.arange(12)[::-1]))
    assert one.leftward == 1 and one.at_once == 1
    together = order_measures(fitted_at(np.full(12, 500.0)))
    assert together.burst == 1 and together.at_once == 12


@pytest.mark.parametrize(("looks", "first"), [(HELD, 700), (HELD + 1, 25)])
def test_a_fit_must_last(looks, first):
    run = fitted_at(np.full(12, 700.0))
    run.error[0, 1 : 1 + looks, 5] = 0.2
    assert order_measures(run).fitted[0, 5] == pytest.approx(first, abs=50)


def test_nothing_is_fitted():
    measures = order_measures(fitted_at(np.full(12, 1e6)))
    assert measures.share == 0
    assert all(np.isnan(measures[name]).all() for name in ("inward", "at_once", "burst", "start", "finish"))


def test_a_dip_is_no_fit_and_small_oscillations_are_left_out():
    run = fitted_at(200 + 100 * np.arange(12), size=np.r_[0.1, np.ones(11)])
    run.error[0, 1 : HELD // 2, 5] = 0.2
    measures = order_measures(run)
    assert measures.sizes["centre"] == 11
    fitted = measures.fitted.values[0]
    assert (np.diff(fitted) > 0).all()
