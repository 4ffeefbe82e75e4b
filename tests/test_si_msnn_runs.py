"""The runs of the chapter on spectrum-informed networks, and its verdicts."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import xarray as xr

from specbias.experiments import si_msnn as settings
from specbias.experiments import si_msnn_findings as findings
from specbias.experiments import si_msnn_fits as fits
from specbias.experiments import si_msnn_flow
from specbias.experiments import si_msnn_plane as plane
from specbias.multistage import MultistageRegressor
from specbias.turbulence import decaying_turbulence, resample

FLOW = {"reynolds": 500.0, "moment": 0.5, "spectrum": "smooth", "peak": 2.0, "flow_seed": 3}
SMALL = {"hidden": (6, 6), "max_iter": 60}


@pytest.fixture(scope="module")
def flow() -> xr.Dataset:
    variants = {
        settings.OURS: SMALL | {"stages": 2},
        settings.FINER: SMALL | {"stages": 2, "oversampling": 2},
        settings.COUNTS: SMALL | {"stages": 2, "features": [10, 30], "guard": False},
        settings.SINGLE: SMALL | {"stages": 1, "features": 30},
    }
    return si_msnn_flow.flow_fits(resolution=24, **FLOW, variants=variants, seeds=2, seed=1, progress=False)


def test_a_fit_of_the_flow_tells_what_the_regressor_does(flow):
    field = decaying_turbulence(24, 500.0, 0.5, seed=3, spectrum="smooth", peak=2.0).streamfunction.values
    axis = 2 * np.pi * np.arange(24) / 24
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    model = MultistageRegressor(
        **SMALL, initialization="spectrum", stages=1, features=30, random_state=1
    ).fit(x, field.ravel())
    left = field.ravel() - model.predict(x)
    one = flow.sel(variant=settings.SINGLE).isel(seed=0)
    rms = np.sqrt(np.mean(left**2)) / field.std()
    np.testing.assert_allclose(one.rms[0], rms, rtol=1e-6)
    np.testing.assert_allclose(one.predicted, rms, rtol=1e-9)
    np.testing.assert_allclose(one.largest[0], np.abs(left).max() / field.std(), rtol=1e-6)
    error = model.predict(x + np.pi / 24) - resample(field, 48)[1::2, 1::2].ravel()
    np.testing.assert_allclose(one.between[0], np.sqrt(np.mean(error**2)) / field.std(), rtol=1e-6)
    assert one.modes[0] == 30 and one.parameters[0] == 30 * 2 * 6 + 6 + 42 + 7
    assert np.isnan(one.rms[1]) and np.isnan(one.residue[2]).all()


def test_the_table_has_a_row_for_each_stage(flow):
    table = findings.stage_table(flow)
    assert len(table) == int(np.isfinite(flow.rms.isel(seed=0)).sum())
    assert table.loc[settings.SINGLE].to_list()[:4] == [1, "576", "30", "415"]
    assert set(table.loc[[settings.FINER], "points"]) == {"2,304"}


def test_iterations_of_the_search_are_those_that_were_made(flow):
    one = flow.sel(variant=settings.COUNTS).isel(stage=0, seed=0)
    at, size = (one[key].dropna("record").values for key in ("iteration", "size"))
    assert at[0] == 0 and at[-1] == one.iterations and (np.diff(size) <= 0).all()


def test_energies_are_parsevals(flow):
    """E(k) sums to the mean square; the target's is that of its residue before any stage."""
    size = flow.attrs["target_rms"]
    np.testing.assert_allclose(flow.energy.sum(), size**2, rtol=1e-9)
    left = flow.left_energy.sel(variant=settings.COUNTS)
    np.testing.assert_allclose(left[0], flow.energy, atol=1e-18)
    np.testing.assert_allclose(
        left[1].sum(), (size * flow.rms.sel(variant=settings.COUNTS)[0, 0]) ** 2, rtol=1e-5
    )
    assert float(np.abs(flow.reached.sel(variant=settings.OURS)[0]).max()) < 1e-25


def test_searches_begin_where_the_stage_before_ended(flow):
    for name in (settings.OURS, settings.COUNTS):
        one = flow.sel(variant=name).isel(seed=0)
        if np.isnan(one.rms[1]):
            continue
        first = one["size"][0].dropna("record").values
        # Ours ends where float64 rounds the target; what a stage has left is taken in extended precision.
        rounding = np.finfo(float).eps / 2 if name == settings.OURS else 0
        np.testing.assert_allclose(first[-1], one.rms[0], rtol=1e-5, atol=rounding)


def test_truncation_is_what_numpy_leaves_out():
    field = np.random.default_rng(0).standard_normal((9, 9))
    field -= field.mean()
    counts, outside = si_msnn_flow.truncation(field)
    spectrum = np.fft.fft2(field)
    order = np.argsort(-np.abs(spectrum).ravel())
    for count, left in zip(counts[:-1], outside[:-1], strict=True):
        kept = spectrum.ravel().copy()
        kept[order[2 * count :]] = 0  # a mode and its conjugate; the mean is 0
        error = field - np.fft.ifft2(kept.reshape(9, 9)).real
        np.testing.assert_allclose(left, error.std() / field.std(), rtol=1e-9)


def test_every_variant_is_one_that_the_regressor_takes():
    for variants in (settings.flow_variants(128, 3), settings.plane_variants()):
        for variant in variants.values():
            of_the_data = ("oversampling", "trend", "window")
            MultistageRegressor(**{k: v for k, v in variant.items() if k not in of_the_data})


def test_counts_follow_the_grid():
    assert settings.counts_for(512) == list(settings.PAPER_COUNTS)
    assert settings.counts_for(128) == [85, 625, 625, 625]


def staged(**sizes) -> xr.Dataset:
    """A run of which only what is left after each stage is known."""
    names = [settings.OURS, settings.FINER, settings.COUNTS, settings.SINGLE]
    rows = np.full((4, 3), np.nan)
    for name, values in sizes.items():
        rows[["ours", "finer", "counts", "single"].index(name), : len(values)] = values
    over = ("variant", "seed", "stage")
    return xr.Dataset({"rms": (over, rows[:, None]), "between": (over, rows[:, None])}, {"variant": names})


def test_verdicts_on_machine_precision():
    several = xr.concat(
        [staged(ours=[1e-16], finer=[1e-16], counts=[last], single=[1e-3]) for last in (9e-16, 2e-15)], "seed"
    )
    assert findings.machine_precision(several).verdict == "partly"  # one flow misses
    assert "9e-16 to 2e-15" in findings.machine_precision(several).measured
    both = staged(ours=[1e-9, 1e-16], finer=[1e-16], counts=[1e-3, 1e-9, 9e-16], single=[1e-3])
    assert findings.machine_precision(both).verdict == "reproduced"
    one = staged(ours=[1e-9, 1e-16], finer=[1e-16], counts=[1e-3, 1e-9], single=[1e-3])
    assert findings.machine_precision(one).verdict == "partly"


def test_rates_and_convergence():
    run = staged(ours=[1e-16], finer=[1e-16], counts=[1e-4, 1e-8], single=[1e-5])
    iteration, size = (np.full((4, 3, 101), np.nan) for _ in range(2))
    steps = np.linspace(0, 100, 101)
    for stage in range(2):  # a steady factor of ten every 25 iterations
        iteration[2, stage], size[2, stage] = steps, 10.0 ** (-4 * stage - steps / 25)
    iteration[3, 0], size[3, 0] = steps, 10.0 ** -np.minimum(steps / 5, 5 + steps / 1e4)
    run = run.assign(
        iteration=(("variant", "stage", "record"), iteration), size=(("variant", "stage", "record"), size)
    )
    np.testing.assert_allclose(findings.rates(run, settings.COUNTS), (2, 2), atol=1e-9)
    assert findings.convergence(run).verdict == "reproduced"


def test_series_between_the_counts():
    run = xr.Dataset({"truncated": ("count", [1e-1, 1e-3, 0.0])}, {"count": [10, 1000, 10_000]})
    np.testing.assert_allclose(findings.series(run, 100), 1e-2)
    assert findings.series(run, 10_000) == pytest.approx(1e-17)


def test_limits_and_choices_of_small_stages():
    run = fits.stage_limits(
        flows={"smooth": settings.SMOOTH | {"time": 0.2, "resolution": 16}}, features=[5, 40],
        searches=settings.searches(10, 10), seeds=1, seed=0, progress=False,
    )  # fmt: skip
    assert np.isfinite(run["size"]).all() and (run.outside.values[0, 0] > run.outside.values[0, 1])
    assert (run["size"].diff("part") <= 1e-12).all() and run.part[-1] == 1  # no search ends higher
    coherent = run["size"].sel(search="Gauss–Newton, coherent", features=5, part=1).values
    assert (coherent <= 1.05 * run.outside.sel(features=5).values[:, None]).all()  # it begins at the series
    tried = fits.ablations(
        resolution=16, flow=settings.SMOOTH | {"time": 0.2}, features=10, variants=settings.choices(5),
        seeds=1, seed=0, progress=False,
    )  # fmt: skip
    assert (tried["size"] <= tried.largest).all() and np.isfinite(tried.largest).all()


def test_the_plane_and_chebyshev():
    run = plane.plane_fits(
        points=12, variants=settings.plane_variants(5, 5, (4, 9)), seeds=1, seed=0, progress=False
    )
    assert run.chebyshev.min() < 1e-14 < run.chebyshev.max()
    assert np.isfinite(run.largest.isel(stage=0)).all()
    x, y = run.x.values[3], run.y.values[7]
    value = (np.sin(2 * x + 1) - 0.5 * x) * (1 - y**2)
    np.testing.assert_allclose(run.residue[0, 0].sel(x=x, y=y), value, rtol=1e-6)
    assert (run.outside[:, 0] < 1).all() and float(run.outside.sel(treatment="as it is")[-1]) < 1e-14


def test_series_between_the_points_are_those_of_trigonometric_interpolation():
    """At the middles of cells SciPy's interpolation by zero-padding has the same series."""
    n = 9
    step = 2 / (n - 1)
    middles = plane.grid(-1 + step / 2 + step * np.arange(n - 1))
    values = plane.plane(plane.grid(np.linspace(-1, 1, n))).reshape(n, n)
    for axis in (0, 1):
        values = scipy.signal.resample(values, 2 * n, axis=axis)
    wanted = np.abs(values[1:-1:2, 1:-1:2].ravel() - plane.plane(middles)).max()
    found = plane.fourier_series(n, middles)[2][0]
    np.testing.assert_allclose(found, wanted, rtol=1e-10)


def test_a_trend_is_taken_out_and_a_window_ends_flat():
    x = plane.grid(np.linspace(-1, 1, 30))
    goal, kept = plane.treated(x, {"trend": 4})
    design = np.polynomial.polynomial.polyvander2d(*x.T, [4, 4])
    np.testing.assert_allclose(design.T @ goal(x), 0, atol=1e-10)  # nothing of the polynomials is left
    assert kept(x).all()
    goal, kept = plane.treated(x, {"window": True})
    edge = np.abs(x).max(axis=1) == 1
    assert not goal(x)[edge].any()
    np.testing.assert_array_equal(goal(x)[kept(x)], plane.plane(x)[kept(x)])
    np.testing.assert_array_equal(kept(x), np.abs(x).max(axis=1) <= plane.FLAT)
    np.testing.assert_allclose(plane.window(x), plane.window(-x))
