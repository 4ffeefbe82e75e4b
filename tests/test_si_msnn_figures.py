"""Figures of the chapter on spectrum-informed networks: drawn from small datasets, and measured."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from specbias.experiments.si_msnn import COUNTS, FINER, OURS, SINGLE
from specbias.interactive import scrubber
from specbias.plots import show
from specbias.plots import si_msnn as figures

NAMES = (OURS, FINER, COUNTS, SINGLE)
STAGES = (2, 2, 4, 1)
PLANE = ("scale factor, Adam", "spectrum of 40, Adam", "mirrored, spectrum of all, ours")


pytestmark = pytest.mark.usefixtures("figures_without_warnings")


def flow_run(names=NAMES, stages=STAGES, side=16) -> xr.Dataset:
    """Fits of noise whose stages leave 1e-3 of what was there; stages that were not made are nan."""
    generator, tallest = np.random.default_rng(0), max(stages)
    made = np.arange(tallest) < np.array(stages)[:, None]
    sizes = np.where(made, 1e-4 ** np.arange(1, tallest + 1), np.nan)
    at = np.broadcast_to(np.linspace(0, 100, 6), (*made.shape, 6))
    record = np.where(made[..., None] & (np.arange(6) < 5), at, np.nan)
    left = np.concatenate([np.ones((len(names), 1)), sizes], axis=1)
    field = generator.standard_normal((side, side))
    residue = left[:, :, None, None] * generator.standard_normal((len(names), tallest + 1, side, side))
    residue[:, 0] = field
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(residue), axes=(2, 3))) / side**2
    waves = np.arange(side) - side // 2
    k = np.linspace(0.3, 40, 50)
    energy = np.where(np.arange(50) == 9, 0.0, k**-3.0)
    over, each = ("variant", "stage"), ("variant", "seed", "stage")
    modes = np.where(made, 10.0 ** np.arange(1, tallest + 1), np.nan)
    return xr.Dataset(
        {
            "rms": (each, sizes[:, None]), "between": (each, 3 * sizes[:, None]),
            "largest": (each, 5 * sizes[:, None]), "modes": (each, modes[:, None]),
            "iteration": ((*over, "record"), record),
            "size": ((*over, "record"), np.where(np.isfinite(record), left[:, :-1, None], np.nan)),
            "field": (("x", "y"), field), "residue": (("variant", "left", "x", "y"), residue),
            "spectrum": (("variant", "left", "kx", "ky"), spectrum), "energy": ("bin", energy),
            "reached": (("variant", "left", "bin"), left[..., None] ** 0 * energy + 0 * left[..., None]),
            "left_energy": (("variant", "left", "bin"), left[..., None] ** 2 * np.ones(50)),
            "truncated": ("count", [0.5, 1e-3, 0.0]),
        },
        {
            "variant": list(names), "x": 2 * np.pi * np.arange(side) / side,
            "y": 2 * np.pi * np.arange(side) / side, "bin": k, "count": [1, 10, 100],
            "kx": waves, "ky": waves,
        },
    )  # fmt: skip


def plane_run(names=PLANE, seeds=2, tallest=3, side=12) -> xr.Dataset:
    """Stages that leave 1e-4 of what was there; the last variant lacks its last stage, but of one."""
    over = ("variant", "seed", "stage")
    largest = np.broadcast_to(1e-4 ** np.arange(1, tallest + 1), (len(names), seeds, tallest)).copy()
    if tallest > 1:
        largest[-1, :, -1] = np.nan
    scale = np.concatenate([np.ones((len(names), 1)), largest[:, 0]], axis=1)
    image = np.sin(np.arange(side**2)).reshape(side, side)
    image /= np.abs(image).max()
    axis = np.linspace(-1, 1, side)
    return xr.Dataset(
        {
            "largest": (over, largest), "between": (over, 7 * largest),
            "residue": (("variant", "left", "x", "y"), scale[..., None, None] * image),
            "chebyshev": ("degree", [1e-5, 2e-15]),
            "outside": (("treatment", "count"), [[0.5, 1e-3, 0.0], [0.4, 1e-5, 1e-9]]),
            "series": ("treatment", [1e-2, 3e-6]),
        },
        {"variant": list(names), "x": axis, "y": axis, "degree": [4, 24], "treatment": ["as it is", "window"],
         "count": [1, 10, 100]},
    )  # fmt: skip


def limits_run(flows=("rough", "smooth"), seeds=2) -> xr.Dataset:
    outside = np.array([[1e-1, 1e-3, 0.0], [1e-2, 1e-8, 1e-17]])[: len(flows)]
    size = np.broadcast_to(0.1 * outside[:, None, :, None], (len(flows), 2, 3, seeds)).copy()
    size[0, 1, 0] = np.nan
    over = ("flow", "search", "features", "seed", "part")
    return xr.Dataset(
        {"size": (over, size[..., None] * [3, 1]), "outside": (("flow", "features"), outside)},
        {
            "part": [0.25, 1.0],
            "flow": list(flows),
            "search": ["Gauss–Newton, coherent", "L-BFGS, scattered"],
            "features": [1, 2, 3],
        },
    )


def shown(figure):
    assert "<svg" in show(figure, alt="A figure.").svg
    return figure.axes


def words(figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_scrubber():
    run = flow_run()
    panels, frames = figures.flow_panels(run, COUNTS)
    assert frames == ["start", "stage 1", "stage 2", "stage 3", "stage 4"]
    assert scrubber(panels, frames, label="after", alt="The residue falls.").frames == 5
    reached, left, cut = panels
    kept = (run.bin > 0.5) & (run.energy > 0)
    assert np.isnan(reached.lines[1].y[0]).all()
    np.testing.assert_allclose(reached.lines[1].y[2], run.energy[kept])
    np.testing.assert_allclose(left.lines[1].y[3], run.left_energy.sel(variant=COUNTS)[3, kept])
    after = run.residue.sel(variant=COUNTS)[1]
    np.testing.assert_allclose(cut.lines[0].y[1], after[:, 8] / np.abs(after).max())
    assert figures.flow_panels(run, SINGLE)[1] == ["start", "stage 1"]


def test_flow_images():
    run = flow_run()
    axes = shown(figures.flow_images(run, COUNTS))
    assert [ax.get_title() for ax in axes[:2]] == [
        f"target:\n{np.abs(run.field.values).max():.2g}", "after stage 1:\n5e-04",
    ]  # fmt: skip
    field = run.field.values
    scaled = field.T / np.quantile(np.abs(field), 0.995)
    np.testing.assert_allclose(axes[0].images[0].get_array(), np.clip(scaled, -1, 1))
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(field))) / field.size
    drawn = axes[5].images[0].get_array()
    assert drawn.argmax() == spectrum.T.argmax()
    np.testing.assert_allclose(drawn.max(), np.log10(spectrum.max()))
    assert len(shown(figures.flow_images(run, SINGLE))) == 4
    run.residue[:, 1] = 0
    shown(figures.flow_images(run, SINGLE))


def test_flow_images_are_small():
    figure = figures.flow_images(flow_run(side=128), COUNTS)
    assert len(show(figure, alt="Noise.").svg) < 600_000


def test_energies():
    run = flow_run()
    figure = figures.energies(run)
    (ax,) = shown(figure)
    assert words(figure) == [*NAMES, "target"]
    kept = (run.bin > 0.5) & (run.energy > 0)
    for line in ax.get_lines():
        np.testing.assert_allclose(line.get_ydata(), run.energy[kept])


def test_convergence():
    figure = figures.convergence(flow_run())
    (ax,) = shown(figure)
    assert words(figure) == list(NAMES)
    line = ax.get_lines()[2]
    np.testing.assert_allclose(line.get_xdata()[[0, 4, 5, -1]], [0, 80, 80, 320])
    np.testing.assert_allclose(line.get_ydata()[[0, 5, 10, 15]], [1, 1e-4, 1e-8, 1e-12])
    assert line.get_markevery() == [0, 5, 10, 15]


def test_on_and_between():
    run = flow_run()
    figure = figures.on_and_between(run)
    axes = shown(figure)
    assert [ax.get_title() for ax in axes] == list(NAMES)
    assert words(figure) == ["rms on the grid", "between", "1.1e−16"]
    _, on, _, between, rounding = axes[2].get_lines()
    np.testing.assert_allclose(on.get_ydata(), run.rms[2, 0])
    np.testing.assert_allclose(between.get_ydata(), run.between[2, 0])
    assert (on.get_markerfacecolor(), between.get_markerfacecolor()) == (on.get_color(), "none")
    np.testing.assert_allclose(rounding.get_ydata(), 1.1e-16)


def test_plane_errors():
    run = plane_run()
    axes = shown(figures.plane_errors(run))
    assert [ax.get_title() for ax in axes] == list(PLANE)
    lines = axes[0].get_lines()
    assert len(lines) == 2 * 3 + 1  # medians and two seeds, twice, and Chebyshev
    np.testing.assert_allclose(lines[0].get_ydata(), [1e-4, 1e-8, 1e-12])
    np.testing.assert_allclose(lines[4].get_ydata(), 7 * run.largest[0, 0])
    np.testing.assert_allclose(lines[-1].get_ydata(), 2e-15)


def test_plane_series():
    run = plane_run()
    left, right = shown(figures.plane_series(run))
    np.testing.assert_allclose(left.get_lines()[1].get_ydata(), run.outside[1])
    assert np.isnan(left.get_lines()[0].get_ydata()[2])  # zero has no place on a logarithmic axis
    assert [float(line.get_ydata()[0]) for line in right.get_lines()] == [1e-2, 3e-6]
    assert [label.get_text() for label in right.get_xticklabels()] == ["as it is", "window"]


def test_plane_images():
    run = plane_run()
    axes = shown(figures.plane_images(run, [PLANE[0], PLANE[2]]))
    assert [ax.get_title() for ax in axes] == [
        "stage 1: 1e-04", "stage 2: 1e-08", "stage 3: 1e-12", "stage 1: 1e-04", "stage 2: 1e-08",
    ]  # fmt: skip
    left = run.residue.sel(variant=PLANE[0])[2].values
    np.testing.assert_allclose(axes[1].images[0].get_array(), left.T / np.abs(left).max())


def test_limits():
    run = limits_run()
    figure = figures.limits(run)
    rough, smooth = shown(figure)
    assert words(figure) == ["a Fourier series of the same modes", *run.search.values]
    diagonal, coherent, quarter, *_ = smooth.get_lines()
    np.testing.assert_allclose(quarter.get_ydata(), 3 * coherent.get_ydata())
    np.testing.assert_allclose(diagonal.get_ydata(), [1e-17, 1e-2])
    np.testing.assert_allclose(coherent.get_xdata(), np.repeat([1e-2, 1e-8, 1e-17], 2))
    np.testing.assert_allclose(coherent.get_ydata(), 0.1 * coherent.get_xdata())
    assert np.isnan(rough.get_lines()[3].get_ydata()[:2]).all()


def test_choices():
    size = [[1e-3, 2e-3], [1e-5, np.nan], [1e-9, 1e-9]]
    names = ["as published", "L2 norm", "waves fixed, L2 norm, L-BFGS"]
    run = xr.Dataset({"size": (("variant", "seed"), size)}, {"variant": names})
    (ax,) = shown(figures.choices(run))
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    for line, values in zip(ax.get_lines(), size, strict=True):
        np.testing.assert_allclose(line.get_xdata(), values)


def test_truncation():
    run = flow_run()
    figure = figures.truncation(run)
    (ax,) = shown(figure)
    assert words(figure) == ["Fourier", *NAMES, "open: between the points"]
    series, *_ = ax.get_lines()
    np.testing.assert_allclose(series.get_ydata(), [0.5, 1e-3, np.nan])
    on, between = ax.get_lines()[5:7]
    np.testing.assert_allclose(on.get_xdata(), [10, 110, 1110, 11110])
    np.testing.assert_allclose(on.get_ydata(), run.rms[2, 0])
    np.testing.assert_allclose(between.get_ydata(), run.between[2, 0])


@pytest.mark.parametrize("stages", [(1,), (0,), (2, 0)])
def test_few_variants_few_stages_and_variants_without_any(stages):
    run = flow_run(NAMES[: len(stages)], stages) if any(stages) else flow_run(NAMES[:1], (1,))
    if not any(stages):  # a run that broke off
        for key in ("rms", "between", "largest", "modes", "iteration", "size"):
            run[key][:] = np.nan
        for key in ("residue", "reached", "left_energy"):
            run[key][:, 1:] = np.nan
    flow_wide = (figures.energies, figures.convergence, figures.on_and_between, figures.truncation)
    for draw in flow_wide:
        shown(draw(run))
    for name in run.variant.values:
        shown(figures.flow_images(run, name))
        scrubber(*figures.flow_panels(run, name), alt="Few stages.")


def test_one_stage_of_the_plane_and_one_flow():
    run = plane_run(PLANE[:1], seeds=1, tallest=1)
    assert len(shown(figures.plane_images(run, PLANE[:1]))) == 1
    shown(figures.plane_errors(run))
    assert len(shown(figures.limits(limits_run(("rough",), seeds=1)))) == 1
