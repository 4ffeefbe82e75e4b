"""The runs of the chapter on multistage networks, its verdicts and its figures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from numpy.polynomial import chebyshev

from specbias.experiments import REGISTRY
from specbias.experiments import multistage as settings
from specbias.experiments import multistage_findings as findings
from specbias.experiments.multistage_fits import classical, fits
from specbias.interactive import scrubber
from specbias.multistage import MultistageRegressor
from specbias.plots import multistage as figures
from specbias.plots import show
from specbias.targets import lecture_curve

RUNS = {name: one for name, one in REGISTRY.items() if name.startswith("multistage/")}
SMALL = {"hidden": [5, 5], "points": 40, "max_iter": 30, "stages": 2, "validation_fraction": 0.0}
QUIET = {"seeds": 2, "seed": 0, "progress": False}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_fits_tell_what_the_regressor_does():
    run = fits(variants={"one": SMALL, "other": SMALL | {"stages": 1}}, **QUIET)
    assert run.rms.dims == ("variant", "seed", "stage") and run.sizes["stage"] == 2
    assert np.isnan(run.rms.sel(variant="other")[:, 1]).all()
    target = lecture_curve(40)
    how = {key: value for key, value in SMALL.items() if key != "points"}
    model = MultistageRegressor(**how, random_state=1).fit(target.x, target.y)
    np.testing.assert_allclose(run.rms.sel(variant="one", seed=1), model.residual_rms_[1:], rtol=1e-9)
    dense = np.linspace(-1, 1, run.sizes["x"])
    far = model.predict(dense[:, None]) - target.function(dense)
    np.testing.assert_allclose(run.largest.sel(variant="one", seed=1)[1], np.abs(far).max(), rtol=1e-6)
    np.testing.assert_allclose(run.between.sel(variant="one", seed=1)[1], np.sqrt(np.mean(far**2)), rtol=1e-6)
    loss = run.loss.sel(variant="one", seed=1).isel(stage=1).dropna("record")
    np.testing.assert_allclose(loss[-1], 0.5 * model.residual_rms_[2] ** 2, rtol=1e-6)
    np.testing.assert_allclose(run.residue.sel(variant="one")[0], target.function(dense), rtol=1e-6)


def test_the_error_at_the_ends():
    x = np.linspace(-1, 1, 101)
    residue = np.array([[np.ones(101), np.where(np.abs(x) > 0.98, -6.0, 2.0), np.full(101, np.nan)]])
    run = xr.Dataset({"residue": (("variant", "left", "x"), residue)}, {"variant": ["one"], "x": x})
    assert findings.at_the_ends(run, "one") == "3"


def test_amplitude_and_noise():
    tenfold = fits(variants={"ten": SMALL | {"amplitude": 10.0}, "one": SMALL}, **QUIET)
    np.testing.assert_allclose(
        tenfold.rms.sel(variant="ten")[:, 0], 10 * tenfold.rms.sel(variant="one")[:, 0], rtol=0.2
    )
    noisy = fits(variants={"noisy": SMALL | {"noise": 0.1, "points": 400}}, **QUIET)
    assert 0.05 < float(noisy.rms.min()) < 0.2


def test_classical_fits_against_numpy_and_least_squares():
    run = classical(degrees=[3, 20], features=[5, 40], points=300, seeds=2, seed=0)
    target, dense = lecture_curve(300), np.linspace(-1, 1, 4001)
    coefficients = chebyshev.chebfit(target.x[:, 0], target.y, 3)
    expected = np.abs(chebyshev.chebval(dense, coefficients) - target.function(dense)).max()
    np.testing.assert_allclose(run.chebyshev_largest[0], expected, rtol=1e-6)
    assert run.chebyshev_largest[1] < 1e-13
    words = findings.best_classical(run)
    assert (words["degree"], words["features"]) == ("20", "40")
    assert float(words["random"]) == pytest.approx(np.median(run.random_largest[1]), rel=0.5)
    assert (run.random_largest[1] < run.random_largest[0]).all()


def test_every_variant_is_one_that_the_regressor_takes():
    own = {"target", "points", "reach", "noise", "amplitude"}
    for run in RUNS.values():
        for variant in run.parameters.get("variants", {}).values():
            MultistageRegressor(**{key: value for key, value in variant.items() if key not in own})
    assert settings.way("self-scaled BFGS", (1, 2))["max_iter"] == 2
    assert settings.stages([20] * 3)["Adam, then L-BFGS, one wider"]["hidden"] == [30] * 3


def losses_run(curves: dict) -> xr.Dataset:
    """Two starts alike, one stage: loss as given at iterations 0 to 100."""
    steps = np.arange(101.0)
    shape = (len(curves), 2, 1)
    loss = np.array([curve(steps) for curve in curves.values()])[:, None, None].repeat(2, axis=1)
    dims = ("variant", "seed", "stage", "record")
    end = np.sqrt(2 * loss[..., -1])
    scalars = {key: (dims[:3], end) for key in ("rms", "between", "largest")}
    scalars |= {key: (dims[:3], np.ones(shape)) for key in ("parameters", "seconds", "changes")}
    return xr.Dataset(
        scalars | {"iteration": (dims, np.broadcast_to(steps, loss.shape)), "loss": (dims, loss)},
        {"variant": list(curves), "seed": [0, 1]},
    )


def test_one_network():
    plateau, falling = (lambda k: 1e-7 + np.exp(-k)), (lambda k: 10.0 ** (-k / 5))
    names = ["Adam", "L-BFGS, history 10", "L-BFGS, history 50", "Adam, then L-BFGS", "self-scaled BFGS"]
    all_flat = losses_run(dict.fromkeys(names, plateau))
    assert (
        findings.single_network(all_flat).verdict == findings.same_plateau(all_flat).verdict == "reproduced"
    )
    one_falls = losses_run(dict.fromkeys(names, plateau) | {"self-scaled BFGS": falling})
    assert findings.single_network(one_falls).verdict == "partly"
    assert findings.ends(one_falls)["self-scaled BFGS"] == "1e-20"
    both_fall = losses_run(dict.fromkeys(names, falling) | {"Adam": plateau})
    assert findings.same_plateau(both_fall).verdict == "partly"  # no plateau in common; together no better


def stage_run(values: dict, changes=(1, 10)) -> xr.Dataset:
    """Residues after stages, the same on the points, between them and at most; two starts."""
    tall = max(len(v) for v in values.values())
    data = np.full((len(values), 2, tall), np.nan)
    for row, sizes in enumerate(values.values()):
        data[row, :, : len(sizes)] = sizes
    dims = ("variant", "seed", "stage")
    parts = {key: (dims, data) for key in ("rms", "between", "largest")}
    counted = np.broadcast_to(np.resize(changes, tall), data.shape)
    return xr.Dataset(parts | {"changes": (dims, counted)}, {"variant": list(values), "seed": [0, 1]})


def test_two_stages():
    names = ("two stages", "no scale factor", "one wider")
    good = stage_run(
        {f"{way}, {n}": [1e-4, 1e-8][: 2 if n == "two stages" else 1] for way in settings.WAYS for n in names}
    )
    assert findings.second_stage(good).verdict == findings.high_frequency_left(good).verdict == "reproduced"
    assert findings.two_small_beat_one(good).verdict == "reproduced"
    bad = stage_run({f"{way}, {n}": [1e-4, 1e-4] for way in settings.WAYS for n in names}, changes=(3, 4))
    for judge in (findings.second_stage, findings.high_frequency_left, findings.two_small_beat_one):
        assert judge(bad).verdict == "differs"


def test_sizes_magnitudes_and_precision():
    sizes = stage_run(
        {f"units {n}": [1e-4] for n in (10, 20, 30)}
        | {f"layers {n}": [1e-4] for n in (3, 4)}
        | {"points 300": [1e-4], "points 600": [1e-6]}
    )
    assert findings.larger_is_no_better(sizes).verdict == "partly"  # two starts alike have no spread
    assert findings.levels_apart(sizes, stage_run({"units 20": [1e-7]})) == "1,000"
    flat = {f"as it is {power}": [10.0**power * 1e-4] for power in (-4, 0, 2)}
    assert findings.magnitude(stage_run(flat)).verdict == "differs"
    assert findings.magnitude(stage_run(flat | {"as it is -4": [1e-5]})).verdict == "partly"
    precise = {"lecture, as published": [1e-4, 1e-12], "lecture, ours": [1e-9, 1e-16]}
    assert findings.machine_precision(stage_run(precise)).verdict == "partly"


def test_figures_from_small_runs():
    hidden = [4, 4]
    single = fits(variants=settings.optimizers(hidden, 40, 20), **QUIET)
    stages = fits(variants=settings.stages(hidden, 40, (20, 20)), **QUIET)
    sizes = fits(variants=settings.sizes("self-scaled BFGS", (4, 20), (1, 3), (40, 300), (5, 5)), **QUIET)
    size = fits(variants=settings.magnitudes((-2, 0, 2), (20, 20)), **QUIET)
    four = fits(variants=settings.four(60, (20, 20)), **QUIET)
    sampled = fits(variants=settings.sampling((40, 60), 10), **QUIET)
    noisy = fits(variants=settings.noise((0.1, 0.01), 10), **QUIET)
    least = classical(degrees=[2, 4], features=[5, 10], points=40, seeds=2, seed=0)
    drawn = figures.losses(single)
    first = drawn.axes[0].lines[0]
    np.testing.assert_allclose(first.get_ydata(), single.loss[0, 0, 0].dropna("record"))
    for figure in (
        drawn, figures.losses(stages), figures.residues(stages, "Adam, then L-BFGS, two stages"),
        figures.sizes({"ours": sizes}), figures.magnitudes(size), figures.all_methods(single, stages, least),
        figures.sampling(sampled), figures.noise(noisy),
    ):  # fmt: skip
        assert "<svg" in show(figure, alt="a figure")._repr_html_()
    panels, frames = figures.stage_panels(four, "lecture, ours")
    assert len(frames) >= 2 and "data-" in scrubber(panels, frames, label="stage", alt="x")._repr_html_()
