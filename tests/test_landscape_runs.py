"""The runs of the chapter on the energy landscape, small."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import argrelmax

from specbias.ensembles import initial_parameters, predict
from specbias.experiments.energy_landscape import ADADELTA, BOTH, CHOICES, MOMENTUM
from specbias.experiments.landscape_minima import band_settings, bands, basin, crossing, curvature
from specbias.experiments.landscape_trainings import (
    by_l_bfgs,
    choices,
    functions,
    many_trainings,
    teeth,
    widths,
)
from specbias.landscape import hand_built_network

QUIET = {"seed": 0, "progress": False}


def test_the_hand_built_network_is_what_it_says():
    built = hand_built_network()
    np.testing.assert_allclose(predict(built.parameters[None], built.x)[0], built.y, atol=1e-15)
    slopes = np.diff(built.y) / np.diff(built.x)
    bends = built.x[1:-1][np.abs(np.diff(slopes)) > 1e-6]
    np.testing.assert_allclose(bends, built.knots[1:-1])  # it bends at its knots and nowhere else
    assert built.x.size == 9 * (built.knots.size - 1) + built.knots.size
    left = built.parameters.reshape(-1)[10:40]  # second layer: nothing connects the two sides
    weights = left[:25].reshape(5, 5)
    assert not weights[:2, 2:].any() and not weights[2:, :2].any()


@pytest.mark.parametrize("start", [(0.0, -1.0), (-2.0, 3.0)])
def test_a_spline_below_zero_is_lifted(start):
    built = hand_built_network(start=start)
    assert built.spline.min() < 0
    np.testing.assert_allclose(predict(built.parameters[None], built.x)[0], built.y, atol=1e-14)


@pytest.mark.parametrize("count", range(1, 17))
def test_any_number_of_teeth(count):
    built = hand_built_network(teeth=count, amplitude=0.25)
    np.testing.assert_allclose(predict(built.parameters[None], built.x)[0], built.y, atol=1e-14)
    assert argrelmax(built.sawtooth)[0].size == count
    assert built.sawtooth.max() == pytest.approx(0.25)
    np.testing.assert_allclose(teeth(built.y, built), 1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"kinks": ((0.5, 1.0),)}, "kinks"), ({"points_between": 0}, "points_between"),
     ({"teeth": 17}, "teeth"), ({"kinks": tuple((p, 1.0) for p in (0.5, 0.4, 0.6, 0.7, 0.8))}, "kinks")],
)  # fmt: skip
def test_the_hand_built_network_refuses(changes, named):
    with pytest.raises(ValueError, match=named):
        hand_built_network(**changes)


def test_many_trainings_are_what_single_ones_give():
    small = {"steps": 300, "optimizer": "momentum", "settings": MOMENTUM, "init": "he", "kept": 3, **QUIET}
    run, fewer = many_trainings(models=7, **small), many_trainings(models=2, **small)
    np.testing.assert_array_equal(run.loss[:2], fewer.loss)
    built = hand_built_network()
    outputs = predict(run.minima.values, built.x).astype(float)
    np.testing.assert_allclose(np.mean((outputs - built.y) ** 2, axis=1), run.minimum_loss, rtol=1e-5)
    saw = built.sawtooth - built.sawtooth.mean()
    design = np.stack([saw, np.ones_like(saw)], axis=1)
    share = np.linalg.lstsq(design, (outputs - built.spline).T, rcond=None)[0][0]
    np.testing.assert_allclose(teeth(outputs, built), share, atol=1e-9)


def test_choices_and_widths():
    variants = {
        "as it is": {"optimizer": "momentum", **MOMENTUM},
        "restarts": {"optimizer": "momentum", **MOMENTUM, "rounds": 2, "jitter": 0.1},
        "wide": {"optimizer": "adadelta", **ADADELTA, "width": 7, "points_between": 19},
    }
    run = choices(variants=variants, models=3, steps=200, **QUIET)
    assert run.loss.shape == (3, 3) and np.isfinite(run.loss).all()
    assert (run.early[0] == run.early[1]).all() and run.early.dims == ("variant", "first")
    wide = widths(widths=[5, 6], optimizers={"adam": {"lr": 1e-3}}, models=2, steps=100, **QUIET)
    assert wide.loss.dims == ("optimizer", "width", "model") and wide.early.dims[2] == "first"


def test_functions_are_choices_laid_out():
    few = {"models": 2, "steps": 50, **QUIET}
    run = functions(counts=[2, 7], amplitudes=[0.125, 0.25], optimizers=BOTH, widths=[5, 6], **few)
    assert run.loss.dims == ("count", "amplitude", "optimizer", "width", "model")
    one = {"optimizer": "adadelta", "width": 6, "teeth": 2, "amplitude": 0.25, **ADADELTA}
    single = choices(variants={"this": one}, **few)
    at = run.sel(count=2, amplitude=0.25, optimizer="adadelta", width=6)
    np.testing.assert_array_equal(at.loss, single.loss[0])
    np.testing.assert_array_equal(at.teeth, single.teeth[0])


def test_l_bfgs_goes_down_to_a_critical_point():
    built = hand_built_network(teeth=1)
    start = initial_parameters(3, seed=0)
    found = by_l_bfgs(start, built, 300, False)
    before, after = (np.mean((predict(p, built.x) - built.y) ** 2, axis=1) for p in (start, found))
    assert (after < before).all() and after.min() < 1e-2 * built.y.var()


def test_where_a_line_crosses_a_level():
    distance = np.tile(np.linspace(0, 3, 31), (2, 1))
    energy = distance**2 * [[1], [0]]
    np.testing.assert_allclose(crossing(energy, distance, 4.0), [2.0, np.nan], atol=1e-12)


def test_without_noise_the_minimum_stays():
    run = basin(models=12, steps=500, largest=1e-6, optimizer="momentum", settings=MOMENTUM, **QUIET)
    assert (run.loss < 1e-10).all()
    run = basin(models=12, steps=50, largest=2.0, optimizer="momentum", settings=MOMENTUM, **QUIET)
    assert run.start_loss[run.noise.values.argmax()] > run.start_loss[run.noise.values.argmin()]


def test_bands_and_curvature_of_few():
    few = {"count": 1, "train_steps": 500, "optimizers": BOTH, **QUIET}
    run = bands(**few, images=6, steps=20, refine=0)
    np.testing.assert_allclose(run.teeth[:, 0], 1, atol=1e-9)
    np.testing.assert_allclose(run.energy[:, 0], 0, atol=1e-25)
    assert (run.distance[:, -1] >= run.apart * (1 - 1e-12)).all()
    several = band_settings(**few, springs=[0.1, 1.0], images=[6, 7], steps=20)
    assert several.radius.dims == ("spring", "images", "path") and several.sizes["path"] == 2
    assert (several.between >= several.barrier * (1 - 1e-9)).all()
    np.testing.assert_allclose(several.length[0, 0], run.distance[:, -1])
    bent = curvature(**few)
    assert bent.sizes == {"network": 3, "mode": 136} and str(bent.name[0].values) == "W_f"
    np.testing.assert_array_equal(bent.zero, bent.symmetry + bent.idle + bent.dependent + bent.unexplained)


def test_initial_networks_of_the_variants_exist():
    for change in CHOICES.values():
        initial_parameters(1, seed=0, init=change.get("init", "pytorch"))
