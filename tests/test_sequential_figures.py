"""Figures of the chapter on sequential fitting: drawn from small datasets, and measured."""

from __future__ import annotations

import types

import numpy as np
import pytest
import xarray as xr

from specbias.interactive import scrubber
from specbias.plots import sequential_fitting as figures
from specbias.plots import show

POINTS, WAVES, SEEDS = 240, 3, 3
X = (np.arange(POINTS) + 0.5) / POINTS
EPOCHS = np.arange(0, 101, 10)
CENTRES = (np.arange(2 * WAVES) + 0.5) / (2 * WAVES)
FITTED_AT = np.array([10, 30, 50, 60, 40, 20])


pytestmark = pytest.mark.usefixtures("figures_without_warnings")


def interval_run(never=False) -> xr.Dataset:
    """Networks that fit their half oscillations at ``FITTED_AT``, from both ends inwards, or never."""
    target = np.sin(2 * np.pi * WAVES * X)
    error = np.where((EPOCHS[:, None] >= FITTED_AT) & (not never), 0.1, 1.0)
    generator = np.random.default_rng(0)
    of_all = ("seed", "shape_epoch", "any_unit")
    steepest = np.broadcast_to([1.0, 10.0, 20.0, 1e6], (SEEDS, 3, 4))
    return xr.Dataset(
        {
            "error": (("seed", "epoch", "centre"), np.broadcast_to(error, (SEEDS, *error.shape))),
            "size": ("centre", np.ones(CENTRES.size)),
            "prediction": (("frame", "point"), np.outer(EPOCHS / 100, target)),
            "target": ("point", target),
            "basis": (("basis_frame", "unit", "point"), generator.uniform(-1, 1, (3, 4, POINTS))),
            "weight": (("basis_frame", "unit"), np.broadcast_to([4.0, -2.0, 1.0, 0.0], (3, 4))),
            "pieces": (of_all, np.broadcast_to([1.0, 3.0, 1.0, 1.0], (SEEDS, 3, 4))),
            "variation": (of_all, np.broadcast_to([1.0, 2.0, 1.0, 1e6], (SEEDS, 3, 4))),
            "steepest": (of_all, steepest),
            "place": (of_all, np.broadcast_to([0.5, 0.9, 0.9, 0.0], (SEEDS, 3, 4))),
            "reach": (of_all, np.broadcast_to([1.0, 1.0, 2.0, 1.0], (SEEDS, 3, 4))),
        },
        {
            "epoch": EPOCHS, "centre": CENTRES, "frame": EPOCHS, "x": ("point", X),
            "basis_frame": [0, 50, 100], "shape_epoch": [0, 50, 100],
        },
    )  # fmt: skip


def plane_run(side=10) -> xr.Dataset:
    generator = np.random.default_rng(0)
    x1 = np.repeat(np.linspace(0, 1, side), side)
    rise = np.clip((EPOCHS[:, None] - [0, 50]) / 50, 0, 1)  # the first wave, then the second
    amplitude = np.stack([rise, rise[:, ::-1]])
    return xr.Dataset(
        {
            "total_error": (("seed", "epoch"), np.ones((2, EPOCHS.size))),
            "amplitude": (("seed", "epoch", "wave"), amplitude),
            "strip": (("seed", "epoch", "wave", "number"), np.repeat(amplitude[..., None], 4, axis=-1)),
            "strip_centre": (("wave", "number"), [[-0.75, -0.25, 0.25, 0.75], [0.25, 0.75, 1.25, 1.75]]),
            "prediction": (("frame", "point"), np.tile(x1, (9, 1))),
            "basis": (("function", "point"), generator.uniform(-1, 1, (25, side**2))),
            "target": ("point", x1),
        },
        {"epoch": EPOCHS, "frame": np.arange(9), "wave": ["x1 − x2", "x1 + x2"]},
    )


def surrogates(never=0) -> xr.Dataset:
    reached = np.array([100, 200, 1000])[:, None, None] + np.arange(20)[:, None] + np.zeros(2, int)
    reached[:, :never] = -1
    boundary = np.linspace(0, 1, 20)[:, None] * [0.5, 1]
    return xr.Dataset(
        {
            "reached": (("level", "target", "network"), reached),
            "boundary": (("target", "end"), boundary),
            "kernel_steps": ("target", np.r_[np.geomspace(1e3, 1e9, 19), 1e30]),
            "shift": ("target", np.arange(20) / 20),
        },
        {"level": [0.9, 0.5, 0.1], "end": ["left", "right"]},
    )


def shown(figure):
    assert "<svg" in show(figure, alt="A figure.").svg
    return figure.axes


def longest(ax) -> np.ndarray:
    return max((line.get_ydata() for line in ax.get_lines()), key=len)


def test_scrubber():
    run = interval_run()
    panels, frames = figures.scrubber_panels(run)
    assert frames == [0, 50, 100]
    assert scrubber(panels, frames, alt="A network.").frames == 3
    fit, residual, spectrum, basis = panels
    np.testing.assert_allclose(fit.lines[1].y[1], 0.5 * run.target)
    np.testing.assert_allclose(residual.lines[0].y[-1], 0, atol=1e-12)
    assert spectrum.x.size == 2 * WAVES + 1
    assert np.argmax(spectrum.lines[1].y[-1]) == WAVES
    np.testing.assert_allclose(basis.lines[0].opacity[0], [1, 0.5, 0.25, 0])


def test_fits():
    axes = shown(figures.fits({"one": interval_run(), "two": interval_run()}, [0, 50, 100]))
    assert [ax.get_title() for ax in axes[:3]] == ["epoch 0", "epoch 50", "epoch 100"]
    np.testing.assert_allclose(axes[1].get_lines()[0].get_ydata(), 0.5 * interval_run().target)


@pytest.mark.parametrize("draw", [figures.fronts, figures.error_maps])
def test_fronts_and_error_maps(draw):
    axes = shown(draw({"a": interval_run(), "b": interval_run(), "never": interval_run(never=True)}))
    np.testing.assert_array_equal(longest(axes[0]), FITTED_AT)
    assert not np.isfinite(longest(axes[2])).any()


def test_magnitudes():
    wave = np.sin(2 * np.pi * WAVES * X)
    top, bottom = shown(figures.magnitudes(wave, 0.25 * wave, ("one", "quarter")))
    peaks = [line.get_ydata()[WAVES] for line in (*top.get_lines(), *bottom.get_lines())]
    np.testing.assert_allclose(peaks, [POINTS / 2, POINTS / 8, 3 * POINTS / 8])


def test_basis_functions():
    axes = shown(figures.basis_functions(interval_run(), [0, 40, 100, 100]))
    assert [ax.get_title() for ax in axes] == ["epoch 0", "epoch 50", "epoch 100", "epoch 100"]
    assert [line.get_alpha() for line in axes[0].get_lines()] == [1, 0.5, 0.25]
    assert len(shown(figures.basis_and_siren(interval_run(), interval_run()))) == 2


def test_shapes():
    pieces, share = shown(figures.shapes({"depth 1": interval_run(), "SIREN": interval_run()}))
    assert len(pieces.get_lines()) == 4
    np.testing.assert_allclose(pieces.get_lines()[0].get_ydata(), (1 + 3 + 2) / 4)
    np.testing.assert_allclose(share.get_lines()[1].get_ydata(), 3 / 4)


def test_steps_over_time():
    places, steepness = shown(figures.steps_over_time(interval_run()))
    np.testing.assert_allclose(places.get_lines()[0].get_ydata(), 0.1)
    np.testing.assert_allclose(steepness.get_lines()[0].get_ydata(), (1 + 10 + 40) / 4)


def test_plane():
    run = plane_run()
    *panels, _ = shown(figures.plane_snapshots(run))
    assert [ax.get_title() for ax in panels] == [*(f"epoch {e}" for e in range(1, 9)), "target"]
    drawn = panels[-1].collections[0].get_array().reshape(10, 10)
    np.testing.assert_allclose(drawn[0], np.linspace(0, 1, 10))  # x1 to the right
    assert sum(bool(ax.collections) for ax in shown(figures.plane_basis(run))[:25]) == 25
    left, _ = shown(figures.plane_amplitudes(run))
    np.testing.assert_allclose(left.get_lines()[0].get_ydata(), left.get_lines()[1].get_ydata())
    assert len(shown(figures.plane_strips(run))) == 3


def test_surrogate_times():
    left, right = shown(figures.surrogate_times({"bump": surrogates(never=5)}, surrogates(never=1)))
    assert left.get_lines()[0].get_ydata()[-1] == 0.75
    dots, never = right.get_lines()
    assert (len(dots.get_xdata()), len(never.get_xdata())) == (38, 2)


def test_boundary_regression():
    fit = types.SimpleNamespace(slope=1.0, intercept=2.0, r_squared=0.5)
    begins, done = shown(figures.boundary_regression(surrogates(), {0.9: fit, 0.1: fit}))
    assert (begins.get_title(), done.get_title()) == ("fit begins, R² = 0.50", "fit is done, R² = 0.50")
    np.testing.assert_allclose(begins.get_lines()[0].get_ydata(), np.log10(100 + np.arange(20)))
    np.testing.assert_allclose(begins.get_lines()[1].get_ydata(), [2, 3])


def test_kernel_panels():
    distance = np.broadcast_to([0.0, 1.0, 3.0], (2, 2, 3))
    dims = ("envelope", "seed", "epoch")
    kernel = xr.Dataset(
        {"distance": (dims, distance), "alignment": (dims, 0.1 * distance)},
        {"envelope": ["none", "bump"], "epoch": [0, 500, 7500]},
    )
    left, middle, right = shown(figures.kernel_panels(kernel, surrogates()))
    np.testing.assert_allclose(left.get_lines()[1].get_ydata(), [0, 1, 3])
    np.testing.assert_allclose(middle.get_lines()[1].get_ydata(), [0, 0.1, 0.3])
    assert [len(line.get_xdata()) for line in right.get_lines()] == [19, 1]
    assert right.get_title() == "rank correlation 1.00"


def test_variants_table():
    dims, shape = ("variant", "envelope", "seed"), (2, 2, 3)
    share = np.broadcast_to(np.array([[1.0, 0.2], [0.8, 0.9]])[..., None], shape)
    inward, leftward = np.full(shape, 0.7), np.full(shape, -0.3)
    run = xr.Dataset(
        {"share": (dims, share), "inward": (dims, inward), "leftward": (dims, leftward)},
        {"variant": ["a", "b"], "envelope": ["none", "sqrt"]},
    )
    ax, _ = shown(figures.variants_table(run))
    words = [text.get_text() for text in ax.texts]
    assert words == ["100 %\n0.70", "20 %", "80 %\n0.70", "90 %\n−0.30"]


def test_least_squares():
    values = np.array([[[1.0, 0.5], [0.1, 0.0]]] * 2)
    coords = {"basis": ["Chebyshev", "Fourier"], "degree": [3, 5], "target": ["none", "bump"]}
    left, right = shown(figures.least_squares(xr.DataArray(values, coords, ("basis", "degree", "target"))))
    assert len(left.get_lines()) == len(right.get_lines()) == 2
    np.testing.assert_allclose(left.get_lines()[0].get_ydata(), [1, 0.1])
