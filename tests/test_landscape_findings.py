"""Verdicts and figures of the chapter on the energy landscape, from datasets whose answer is known."""

from __future__ import annotations

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from scipy import stats
from scipy.interpolate import LSQUnivariateSpline

from specbias.experiments import landscape_findings as findings
from specbias.experiments.energy_landscape import BOTH
from specbias.experiments.landscape_minima import band_settings, bands, curvature
from specbias.interactive import scrubber
from specbias.landscape import hand_built_network
from specbias.plots import energy_landscape as figures
from specbias.plots import show

BUILT = hand_built_network()
SAWTOOTH = float(BUILT.sawtooth.var())


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield
    plt.close("all")


def verdict(finding) -> str:
    return finding.verdict


def main_run(loss, teeth) -> xr.Dataset:
    loss, points = np.asarray(loss, float), {"x": BUILT.x, "y": BUILT.y, "spline": BUILT.spline}
    return xr.Dataset(
        {
            **{name: ("point", values) for name, values in points.items()},
            "mean": ("point", BUILT.spline), "deviation": ("point", np.full(BUILT.x.size, 0.1)),
            "loss": ("model", loss), "teeth": ("model", np.broadcast_to(teeth, loss.shape)),
            "best": (("rank", "point"), np.stack([BUILT.spline] * 3)),
        }
    )  # fmt: skip


def band_run(radius, bend_near, bend_far, teeth_until, apart=10.0) -> xr.Dataset:
    """Ten straight-line distances from 0 to 10: loss rises at ``radius``, teeth go at ``teeth_until``."""
    distance = np.linspace(0, 10, 101)
    both = ("path", "image")
    energy = np.where(distance < radius, 0, 2 * SAWTOOTH)
    angle = np.where(distance[1:-1] < 2, bend_near, bend_far)
    return xr.Dataset(
        {
            "energy": (both, [energy] * 2), "distance": (both, [distance] * 2),
            "teeth": (both, [np.where(distance < teeth_until, 1.0, 0.0)] * 2),
            "angle": (("path", "bend"), [angle] * 2), "apart": ("path", [apart] * 2),
            "change": (both, [np.zeros(101)] * 2), "y": ("point", BUILT.y),
            "force": ("path", [0.001, 0.1]), "optimizer": ("path", ["momentum", "adadelta"]),
        }
    )  # fmt: skip


def basin_run(returned) -> xr.Dataset:
    noise = np.linspace(0, 2, len(returned))
    return xr.Dataset({"noise": ("model", noise), "loss": ("model", np.where(returned, 1e-8, SAWTOOTH))})


def test_exact_and_symmetric():
    assert verdict(findings.exact_on_its_data()) == "reproduced"
    assert verdict(findings.symmetric(np.random.default_rng(0).normal(size=(3, 136)))) == "reproduced"


@pytest.mark.parametrize(
    ("loss", "teeth", "expected"),
    [([SAWTOOTH] * 4, 0.1, "reproduced"), ([1.0] * 3 + [SAWTOOTH], 0.1, "partly"),
     ([SAWTOOTH] * 4, [0, 0, 0, 0.9], "partly"), ([1.0] * 4, [0, 0, 0, 0.9], "differs")],
)  # fmt: skip
def test_spline_only(loss, teeth, expected):
    assert verdict(findings.spline_only({"momentum": main_run(loss, teeth)})) == expected


def test_best_of_all():
    good, better, found = (main_run([value], 0) for value in (0.9 * SAWTOOTH, 0.7 * SAWTOOTH, 1e-6))
    assert verdict(findings.best_of_all(good, better)) == "reproduced"
    assert verdict(findings.best_of_all(better, good)) == "partly"
    assert verdict(findings.best_of_all(found, good)) == "differs"


def test_bands():
    run = band_run(radius=2.05, bend_near=1.0, bend_far=0.2, teeth_until=1.0)
    np.testing.assert_allclose(findings.basin_radius(run), 2.025, atol=0.05)
    assert findings.barrier(run) == ("2", "20%", "0%")
    across = run.assign(energy=run.energy.where(run.distance < 9, BUILT.y.var()))
    assert findings.barrier(across)[2] == "100%"
    assert verdict(findings.steep_then_flat(run)) == "reproduced"
    assert "1 of 2 bands relaxed" in findings.steep_then_flat(run).measured
    assert (
        verdict(findings.teeth_at_the_end(run)) == verdict(findings.twists_near_the_end(run)) == "reproduced"
    )
    wide = band_run(radius=6.0, bend_near=0.2, bend_far=0.2, teeth_until=8.0, apart=20.0)
    for judge in (findings.steep_then_flat, findings.teeth_at_the_end, findings.twists_near_the_end):
        assert verdict(judge(wide)) == "differs"


def test_returns_against_the_likelihood_itself():
    generator = np.random.default_rng(1)
    noise = np.linspace(0, 2, 400)
    run = basin_run(generator.uniform(size=400) < 1 / (1 + np.exp(8 * (noise - 0.7))))
    fitted, back = findings.returns(run), (run.loss < findings.RETURNED).values

    def unlikely(at):
        chance = findings.Returns(0.5, *at).chance(noise)
        return -np.sum(np.where(back, np.log(chance), np.log(1 - chance)))

    least = unlikely((fitted.half, fitted.slope))
    for change in ((0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)):
        assert unlikely(np.add((fitted.half, fitted.slope), change)) > least
    assert fitted.half == pytest.approx(0.7, abs=0.1) and fitted.share == back.mean()
    apart = findings.returns(basin_run(np.arange(41) < 20))  # at steps of 0.05
    assert apart.half == pytest.approx(0.975) and apart.chance(np.array([0.97, 0.98])).tolist() == [1, 0]
    never = basin_run(np.zeros(400, bool))
    assert findings.hovering(never) == f"{SAWTOOTH:.0e}" and findings.hovering(run) == "1e-08"
    assert verdict(findings.small_basin(run, never)) == "reproduced"
    assert verdict(findings.small_basin(run, run)) == "partly"
    assert verdict(findings.small_basin(never, run)) == "differs"


@pytest.mark.parametrize(
    ("after", "teeth", "expected"), [(1.1, 0, "reproduced"), (2, 0, "partly"), (2, 0.9, "differs")]
)
def test_more_data(after, teeth, expected):
    names = ["momentum, step 0.01", "Adadelta, step 1"]
    names += [f"{name}, 39 points between knots" for name in ("momentum", "Adadelta")]
    data = {"loss": [[1.0] * 3] * 2 + [[after] * 3] * 2, "teeth": [[0.0] * 3] * 2 + [[0, 0, teeth]] * 2}
    both = ("variant", "model")
    run = xr.Dataset({key: (both, value) for key, value in data.items()}, {"variant": names})
    assert verdict(findings.more_data(run)) == expected


def width_run(found: int) -> xr.Dataset:
    teeth = np.zeros((2, 2, 10))
    teeth[0, 1, :found] = 0.9
    dims = ("optimizer", "width", "model")
    return xr.Dataset(
        {"teeth": (dims, teeth), "loss": (dims, np.ones_like(teeth))},
        {"optimizer": ["adadelta", "adam"], "width": [5, 10]},
    )


def function_run(by_five: int, by_ten: int) -> xr.Dataset:
    teeth = np.zeros((2, 2, 2, 2, 10))
    teeth[0, 1, 1, 0, :by_five], teeth[0, 1, 1, 1, :by_ten] = 0.9, 0.9
    coordinates = {
        "count": [2, 3], "amplitude": [0.1, 0.2], "optimizer": ["momentum", "adadelta"], "width": [5, 10]
    }  # fmt: skip
    return xr.Dataset({"teeth": ((*coordinates, "model"), teeth)}, coordinates)


def test_widths():
    expected = {0: "differs", 3: "partly", 8: "reproduced"}
    none = function_run(0, 0)
    assert {n: verdict(findings.wider_find_it(width_run(n), none)) for n in expected} == expected
    assert verdict(findings.wider_find_it(width_run(3).sel(width=[5]), none)) == "not yet measured"
    easier = findings.wider_find_it(width_run(0), function_run(0, 6))
    assert easier.verdict == "partly" and "1 of 4 others" in easier.measured
    assert verdict(findings.wider_find_it(width_run(0), function_run(1, 6))) == "differs"
    assert findings.by_width(width_run(3)) == "3 of 20 by Adadelta, 0 of 20 by Adam"
    words = findings.by_teeth(function_run(1, 6))
    assert (words["middle-count"], words["middle-height"]) == ("2", "0.2")
    assert (words["middle-five"], words["middle-ten"], words["many-ten"]) == ("10%", "60%", "0%")
    share, low, high = findings.binomial(np.arange(10) < 3)
    interval = stats.binomtest(3, 10).proportion_ci(method="wilson")
    np.testing.assert_allclose((share, low, high), (0.3, *interval), rtol=1e-9)
    figure = figures.widths(width_run(3))
    assert figure.axes[0].lines[0].get_ydata().tolist() == [0.0, 0.3]


@pytest.mark.parametrize(("factor", "expected"), [(20, "reproduced"), (2, "differs")])
def test_curvature(factor, expected):
    values = np.outer([factor, 1, 1, 1], [0.0, 1.0, 5.0])
    run = xr.Dataset({"eigenvalue": (("network", "mode"), values)})
    assert verdict(findings.narrow_against_flat(run)) == expected


def test_greedy_spline_is_the_least_squares_spline_of_its_knots():
    values, error = findings.greedy_spline(6)
    slopes = np.diff(values) / np.diff(BUILT.x)
    knots = BUILT.x[1:-1][np.abs(np.diff(slopes)) > 1e-6]
    spline = LSQUnivariateSpline(BUILT.x, BUILT.y, knots, k=1)
    np.testing.assert_allclose(values, spline(BUILT.x), atol=1e-9)
    assert knots.size <= 6 and error == pytest.approx(np.mean((spline(BUILT.x) - BUILT.y) ** 2))


def test_figures_from_runs():
    main = {name: main_run([0.9 * SAWTOOTH, 1.0], 0.1) for name in ("momentum", "Adadelta")}
    drawn = figures.tubes(main)
    assert drawn.axes[0].get_title() == "momentum, 2 networks"
    np.testing.assert_array_equal(drawn.axes[1].lines[1].get_ydata(), BUILT.spline)
    few = {"count": 1, "train_steps": 500, "optimizers": BOTH, "seed": 0, "progress": False}
    run = bands(**few, images=6, steps=20, refine=0)
    basins = {"momentum": basin_run(np.arange(50) < 20), "Adadelta": basin_run(np.zeros(50, bool))}
    choice = xr.Dataset(
        {"loss": (("variant", "model"), [[1e-3, np.nan, 1.0]] * 2),
         "teeth": (("variant", "model"), [[0.1, 0.2, 0.3]] * 2),
         "constant": (("variant", "model"), [[False, False, True], [True] * 3])},
        {"variant": ["one", "all constant"]},
    )  # fmt: skip
    settings = band_settings(**few, springs=[0.1, 1.0], images=[6, 7], steps=5)
    assert findings.radii(settings).startswith("rise ")
    shares = figures.functions(function_run(2, 6))
    drawn_shares = [container[0].get_ydata()[0] for container in shares.axes[1].containers]
    assert drawn_shares == [0.0, 0.0, 0.2, 0.6]
    bent = curvature(**few)
    words = findings.zeros(bent)
    parts = ("symmetry", "idle", "dependent", "unexplained")
    assert sum(int(words[part]) for part in parts) == int(words["zero"]) == int(bent.zero[0])
    words = findings.same_losses({"momentum": main["momentum"]}, {"momentum": main["momentum"]})
    assert words == "1.00 (momentum)"
    for number, figure in enumerate(
        [drawn, shares, figures.band_settings(settings), figures.losses(main, main),
         figures.hand_built(BUILT), figures.best(main), figures.bands(run), figures.basins(basins),
         figures.choices(choice), figures.spectra(bent),
         figures.splines([2, 5], [1e-3, 1e-4], 1e-3)]
    ):  # fmt: skip
        assert "<svg" in show(figure, alt=f"figure {number}")._repr_html_()
    panels, frames = figures.path_panels(run)
    assert len(frames) == run.sizes["image"] and len(panels) == 3
    np.testing.assert_allclose(panels[0].lines[1].y[-1], BUILT.y, atol=1e-9)  # it ends at W_f
    assert "data-" in scrubber(panels, frames, label="image", alt="a band")._repr_html_()


def test_bold_edges_are_the_weights():
    figure = figures.hand_built(BUILT)
    bold = [line for line in figure.axes[0].lines if line.get_linewidth() > 2 and len(line.get_xdata()) == 2]
    weights = sum(int(np.count_nonzero(w)) for w in _weights(BUILT.parameters))
    assert len(bold) == weights


def _weights(row):
    """By hand: 5, then four times 25, then 5 weights, each followed by its biases."""
    at = 0
    for rows, columns in [(5, 1), *[(5, 5)] * 4, (1, 5)]:
        yield row[at : at + rows * columns]
        at += rows * columns + rows
