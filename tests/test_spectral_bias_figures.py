"""Figures of the chapter on spectral bias: drawn from small and odd datasets, and measured."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from specbias.experiments import findings
from specbias.interactive import scrubber
from specbias.plots import show, style
from specbias.plots import spectral_bias as figures

GRID = np.linspace(-7.5, 7.5, 151)
EPOCHS = [0, 1, 10, 100, 1000, 15000]
NOTHING, ALL = "nothing fitted", "all diverged"
CASES = ["usual", "one seed", NOTHING, ALL]


pytestmark = pytest.mark.usefixtures("figures_without_warnings")


def random(*shape) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 1.5, shape)


def thread_run(case="usual", *, frequency=2.0) -> xr.Dataset:
    """Networks that learn ``sin(frequency x)`` at a rate of their own, or as `case` says."""
    seeds = 1 if case == "one seed" else 3
    target = np.sin(frequency * GRID)
    share = 1 - np.exp(-np.array(EPOCHS) * random(seeds, 1) / 300)
    if case == NOTHING:
        share = 0 * share
    prediction = share[..., None] * target
    error = 1 - 0.95 * share
    fitted = np.array([[400, 900, 1200]] * seeds) + np.arange(seeds)[:, None]
    if case in (NOTHING, ALL):
        fitted = np.full_like(fitted, -1)
    if case == ALL:
        prediction[:, 3:], error[:, 3:] = [[[np.nan]], [[1e38]], [[-np.inf]]], 1e30
    return xr.Dataset(
        {
            "prediction": (("seed", "epoch", "point"), prediction.astype("float32")),
            "error": (("seed", "epoch"), error),
            "fitted": (("seed", "level"), fitted),
            "diverged": ("seed", np.full(seeds, case == ALL)),
            "target": ("point", target),
        },
        {"epoch": EPOCHS, "x": ("point", GRID), "level": [0.3, 0.1, 0.05]},
    )


def sweep_run(values, case="usual") -> xr.Dataset:
    rows = [thread_run(case)[["fitted", "error"]] for _ in values]
    return xr.concat(rows, xr.Variable("value", values))


def times_run(frequencies, case="usual") -> xr.Dataset:
    k, runs = np.asarray(frequencies), 1 if case == "one seed" else 4
    steps = (5 * k[:, None] ** 2 * random(k.size, runs)).astype(int) + 1
    steps = np.full_like(steps, -1) if case in (NOTHING, ALL) else steps
    return xr.Dataset({"steps": (("frequency", "run"), steps)}, {"frequency": k})


def waves_run(case="usual") -> xr.Dataset:
    seeds, angle = 1 if case == "one seed" else 3, np.linspace(-np.pi, np.pi, 101)
    share = 1 - np.exp(-np.array(EPOCHS)[:, None] / [30, 3000])
    share = share * (0 if case == NOTHING else np.nan if case == ALL else 1)
    parts = np.sin([[4], [14]] * angle)
    return xr.Dataset(
        {
            "amplitude": (("seed", "epoch", "wavenumber"), np.stack([share] * seeds)),
            "prediction": (("seed", "epoch", "angle"), np.stack([share @ parts] * seeds)),
            "target": ("angle", parts.sum(axis=0)),
        },
        {"epoch": EPOCHS, "angle": angle, "wavenumber": [4, 14]},
    )


def remedies_run(case="usual") -> xr.Dataset:
    names, frequencies = (
        [f"remedy number {i}" for i in range(7)],
        [2.0] if case == "one seed" else [2.0, 4.0, 8.0],
    )
    shape = (len(names), len(frequencies), 1 if case == "one seed" else 4)
    error = np.full(shape, np.nan) if case == ALL else 10.0 ** -np.arange(7)[:, None, None] * random(*shape)
    dims = ("remedy", "frequency", "seed")
    data = {"seconds": (dims, random(*shape)), "error": (dims, error)}
    return xr.Dataset(data, {"remedy": names, "frequency": frequencies})


def times_figure(case: str) -> Figure:
    runs = {
        "shallow, no bias (even k)": times_run(range(2, 31, 2), case),
        "five layers": times_run([2, 4, 6], case),
    }
    fits = {name: findings.exponent(run) for name, run in runs.items()}
    predicted = xr.DataArray([2e5, np.inf, 9e5], dims="frequency", coords={"frequency": [2, 3, 4]})
    return figures.learning_times(runs, fits, {"five layers": predicted})


def odd_and_even(case: str) -> Figure:
    run = times_run(range(1, 13), case)
    run.steps[2::2] = -1
    return figures.odd_and_even(run, 1800)


def fanning_out(case: str) -> Figure:
    run = thread_run(case)
    return figures.fanning_out(run, None if case == "one seed" else run.prediction[:2], 2.0)


ROWS = ["as asked", "tanh", "input scaled to [−1, 1]", "momentum, weight decay", " + step 0.1"]
SIZES = ["50 x 50", *(" x ".join(["400"] * n) for n in (2, 3, 4)), "800 x 800", "8 x 9", "100 x 100", "7 x 7"]
DRAW = {
    "activations": lambda case: figures.activations(dict.fromkeys(["ReLU", "tanh"], thread_run(case))),
    "one activation": lambda case: figures.activations({"ReLU": thread_run(case)}),
    "amplitude_history": lambda case: figures.amplitude_history(
        waves_run(case), {50: (0.5, 0.0), 500: (1, 0.2)}
    ),
    "amplitude_map": lambda case: figures.amplitude_map(waves_run(case).rename(wavenumber="frequency")),
    "answers": lambda case: figures.answers(
        remedies_run(case), {2.0: "sin 2x", 4.0: "sin 4x", 8.0: "sin 8x"}
    ),
    "changes": lambda case: figures.changes(
        {**dict.fromkeys(ROWS, thread_run(case)), "fine": thread_run()}, 15000
    ),
    "changes, all alike": lambda case: figures.changes({"as asked": thread_run(case)}, 200),
    "fanning_out": fanning_out,
    "kinks": lambda case: figures.kinks(random(1 if case == NOTHING else 500) - 1, 7.5),
    "learning_times": times_figure,
    "odd_and_even": odd_and_even,
    "replies": lambda case: figures.replies(
        {"sin 2x": thread_run(case)},
        sweep_run([1, 2, 3, 4, 5], case),
        sweep_run(SIZES, case),
        sweep_run([157, 2512], case),
    ),
    "snapshots": lambda case: figures.snapshots(waves_run(case), [0, 50, 500, 15000]),
}
HAVE_A_LEGEND = set(DRAW) - {"activations", "one activation", "amplitude_map", "snapshots"}


def overlaps(boxes) -> bool:
    return any(a.padded(-0.5).overlaps(b.padded(-0.5)) for a, b in itertools.combinations(boxes, 2))


def visible(texts, renderer):
    boxes = [
        text.get_window_extent(renderer) for text in texts if text.get_visible() and text.get_text().strip()
    ]
    return [box for box in boxes if box.width > 0]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", DRAW)
def test_every_figure_draws_and_reads_well(name, case):
    figure = DRAW[name](case)
    with style():
        figure.canvas.draw()
        renderer = figure.canvas.get_renderer()
        for ax in figure.axes:
            for axis in (ax.xaxis, ax.yaxis):
                low, high = sorted(axis.get_view_interval())
                ticks = [t for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
                assert not overlaps(visible([t.label1 for t in ticks] + [axis.label], renderer)), axis
            assert not overlaps(visible([*ax.texts, ax.title], renderer))
            assert ax.get_xlabel() or ax.get_ylabel()
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    assert bool(legends) == (name in HAVE_A_LEGEND)
    for legend in legends:
        labels = [text.get_text() for text in legend.get_texts()]
        assert labels and len(set(labels)) == len(labels)
    if case == "usual":
        assert len(show(figure, alt="A figure.").svg) < 300_000  # `show` allows 600 kB; these data are small


def test_the_legend_covers_no_data():
    for name in ("amplitude_history", "learning_times"):
        figure = DRAW[name]("usual")
        with style():
            figure.canvas.draw()
        (ax,) = figure.axes
        box = ax.get_legend().get_window_extent()
        for line in ax.get_lines():
            points = ax.transData.transform(line.get_xydata()) if line.get_transform() == ax.transData else []
            assert not any(box.contains(*point) for point in points), name


def test_fanning_out_marks_where_a_half_oscillation_is_half_fitted():
    run = thread_run("one seed")
    centres = (np.arange(-4, 4) + 0.5) * np.pi / 2
    learned = np.abs(GRID) < np.array(EPOCHS)[:, None] / 1000 * np.pi  # at 1000 the middle four, at 15000 all
    run["prediction"] = (("seed", "epoch", "point"), (learned * run.target.values)[None])
    (circles,) = [
        line for line in figures.fanning_out(run, None, 2.0).axes[0].get_lines() if line.get_marker() == "o"
    ]
    np.testing.assert_allclose(circles.get_xdata(), centres)
    np.testing.assert_array_equal(circles.get_ydata(), [15000] * 2 + [1000] * 4 + [15000] * 2)


def test_changes_says_what_diverged_and_what_was_not_reached():
    some = thread_run()
    some["diverged"][0] = True
    figure = figures.changes(
        {"a": thread_run(), "b": thread_run(NOTHING), "c": thread_run(ALL), "d": some}, 15000
    )
    left, right = ([(t.get_position()[1], t.get_text()) for t in ax.texts] for ax in figure.axes)
    assert left == [(1, "diverges"), (0, "1 of 3 diverge")]
    assert right == [(2, "not reached"), (1, "not reached")]


def test_epochs_per_value_count_networks_that_never_get_there():
    sweep = sweep_run(["2 x 2", "2 x 2 x 2", "2 x 3"])
    sweep.fitted[0, 0, 1] = -1  # 901 and 902 are left: the median is the later one
    sweep.fitted[1, :2, 1] = -1
    ax = figures.replies({"a": thread_run()}, sweep, sweep, sweep).axes[2]
    medians = [
        line.get_ydata()[0]
        for line in ax.get_lines()
        if len(line.get_xdata()) == 2 and line.get_marker() == "None"
    ]
    assert medians == [902, 901]
    assert [text.get_text() for text in ax.texts] == ["2/3", "1/3"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["2 ×\n2", "3 ×\n2", "2 x 3"]


def test_kinks_integrate_to_the_share_inside_and_follow_the_density():
    places = np.random.default_rng(1).uniform(-1, 1, (2, 200_000))
    ax = figures.kinks(-places[0] / places[1], 7.5).axes[0]
    heights = np.array([bar.get_height() for bar in ax.patches])
    (curve,) = [line for line in ax.get_lines() if line.get_label() == "closed form"]
    middles = [bar.get_x() + bar.get_width() / 2 for bar in ax.patches]
    np.testing.assert_allclose(heights, np.interp(middles, *curve.get_data()), atol=0.02)
    assert heights.sum() * 0.25 == pytest.approx(
        1 - 0.5 / 7.5, abs=0.005
    )  # the tails beyond hold 2 · 1/(4 · 7.5)


@pytest.mark.parametrize("frequency", [0.3, 2.0, 8.377580409572781, 25.0])
def test_the_scrubber_finds_the_target_in_its_spectrum(frequency):
    runs = {"one": thread_run(frequency=frequency), "two": thread_run(NOTHING, frequency=frequency)}
    panels, frames = figures.scrubber_panels({**runs, "two": runs["two"].isel(epoch=[0, 2, 4])}, seed=1)
    assert frames == [0, 10, 1000]
    fit, residual, spectrum = panels
    np.testing.assert_allclose(residual.lines[1].y, -np.sin(frequency * GRID) * np.ones((3, 1)), atol=1e-6)
    np.testing.assert_allclose(fit.lines[1].y[-1], runs["one"].prediction[1, 4])
    if frequency > 0.5:  # one whole period is on the interval
        target = np.asarray(spectrum.lines[0].y)
        assert np.asarray(spectrum.x)[target.argmax()] == pytest.approx(frequency, rel=1e-6)
        if frequency < 5:  # higher ones lose amplitude between the points of the grid
            assert target.max() == pytest.approx(1, abs=0.01)
            assert np.delete(target, target.argmax()).max() < 0.01


@pytest.mark.parametrize("case", CASES)
def test_the_scrubber_draws(case):
    panels, frames = figures.scrubber_panels(
        {"one": thread_run(case), "two": thread_run(case, frequency=2.0)}
    )
    assert all(np.isfinite(line.y).all() for panel in panels for line in panel.lines)
    assert scrubber(panels, frames, alt="A fit.").frames == len(EPOCHS)
