"""A reader's CSV file: what is read, what is refused, and the methods that a fit is compared with."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specbias.own_data import classical_errors, judgement, read_table, split
from specbias.plots import own_data as figures
from specbias.plots import show

ROWS = [(k / 10, k % 3, k * k / 7) for k in range(12)]


def written(folder, text):
    path = folder / "mine.csv"
    path.write_text(text)
    return path


def table(separator=",", head=("a", "b", "c"), rows=ROWS):
    return "\n".join(separator.join(map(str, row)) for row in [head, *rows]) + "\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
def test_separators_are_found_out(tmp_path, separator):
    frame = read_table(written(tmp_path, table(separator)))
    np.testing.assert_allclose(frame.to_numpy(float), ROWS)
    assert list(frame) == ["a", "b", "c"]


def test_columns_are_chosen_by_name_and_the_output_stands_last(tmp_path):
    path = written(tmp_path, table())
    assert list(read_table(path, output="a")) == ["b", "c", "a"]
    assert list(read_table(path, inputs=["c"], output="b")) == ["c", "b"]


@pytest.mark.parametrize(
    ("text", "arguments", "told"),
    [
        (table(), {"output": "d"}, "no column 'd'; there are: a, b, c"),
        (table(), {"inputs": ["c"]}, "an input beside the output 'c'"),
        (table(rows=ROWS[:5]), {}, "has 5 lines, at least 10"),
        (table(rows=[*ROWS, (1, 2, "three")]), {}, "column 'c' is not of numbers"),
        (table(rows=[*ROWS[:4], (1, "", 3), *ROWS]), {}, "line 6 has a missing"),
        (table(rows=[*ROWS[:4], (1, "inf", 3), *ROWS]), {}, "line 6 has a missing or infinite"),
    ],
)
def test_what_cannot_be_fitted_is_named(tmp_path, text, arguments, told):
    with pytest.raises(ValueError, match=told):
        read_table(written(tmp_path, text), **arguments)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no .*nothing\.csv"):
        read_table(tmp_path / "nothing.csv")


@given(st.integers(10, 200), st.floats(0.01, 0.8), st.integers(0, 9), st.booleans())
def test_lines_are_fitted_or_tested_with_and_ends_are_fitted(count, share, seed, plane):
    columns = ("x", "y", "z")[: 3 if plane else 2]
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({name: random.standard_normal(count) for name in columns})
    fit, test = split(frame, share, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([fit, test])), np.arange(count))
    assert abs(len(test) - share * count) <= 2.5
    if not plane:
        assert {frame.x.argmin(), frame.x.argmax()} <= set(fit)


def test_classical_methods_have_what_they_can_have():
    x, far = np.linspace(-1, 1, 41)[:, None], np.linspace(-0.9, 0.9, 17)[:, None]
    line = classical_errors(x, 2 * x[:, 0] + 1, far, 2 * far[:, 0] + 1)
    assert set(line) == {"straight line", "smoothing spline", "thin-plate spline"}
    assert max(line["straight line"], line["thin-plate spline"]) < 1e-12
    wave = classical_errors(x, np.sin(3 * x[:, 0]), far, np.sin(3 * far[:, 0]))
    assert wave["smoothing spline"] < 1e-3 < 0.1 < wave["straight line"]
    grid = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 8)]), axis=-1).reshape(-1, 2)
    twice = np.concatenate([grid, grid])  # points that come twice: no interpolation
    assert classical_errors(twice, twice.sum(axis=1), grid, grid.sum(axis=1)) == {
        "plane": pytest.approx(0, abs=1e-12)
    }


@pytest.mark.parametrize(("error", "told"), [(1e-3, "the network is nearer"), (3e-3, "no network is needed")])
def test_the_network_is_judged_by_the_best_of_the_others(error, told):
    rivals = {"plane": 0.5, "thin-plate spline": 2e-3, "smoothing spline": 1e-2}
    assert judgement(np.array([1e-9, error]), rivals) == ("thin-plate spline", told)


@pytest.mark.usefixtures("figures_without_warnings")
@pytest.mark.parametrize("inputs", [1, 2])
def test_figures_show_data_and_what_is_left(inputs):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.standard_normal((30, inputs + 1)), columns=["a", "b", "c"][-inputs - 1 :])
    predicted = frame.iloc[:, -1].to_numpy() - 0.25
    test = np.array([3, 8])
    figure = figures.fit_and_left(frame, predicted, test)
    _, bottom = figure.axes
    fitted, tested, _ = bottom.get_lines()
    assert len(fitted.get_xdata()) == 28
    np.testing.assert_allclose(tested.get_xdata(), frame.iloc[test, 0])
    np.testing.assert_allclose(tested.get_ydata(), 0.25)
    drawn = show(figure, alt="Data.").svg
    many = pd.concat([frame] * 200, ignore_index=True)
    show(
        figures.fit_and_left(many, np.tile(predicted, 200), np.arange(0, 6000, 3)), alt="Many."
    )  # not too large
    assert "currentColor" in drawn and "<image" not in drawn  # pixels would not change with the theme
    figure = figures.stages(np.array([1, 1e-5]), np.array([1, 1e-3]), {"plane": 0.2})
    (ax,) = figure.axes
    np.testing.assert_allclose(ax.get_lines()[1].get_ydata(), [1, 1e-3])
    assert "<svg" in show(figure, alt="Errors.").svg
