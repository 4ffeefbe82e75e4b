"""Shapes of functions in closed form."""

from __future__ import annotations

from math import cos, sin, tanh

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from specbias.experiments.steps import StepShape, plane_step_shape, step_shape, step_share

X = np.linspace(0, 1, 501)
SIDE = 50
MIDDLE = (np.arange(SIDE) + 0.5) / SIDE
X1, X2 = (grid.ravel() for grid in np.meshgrid(MIDDLE, MIDDLE, indexing="ij"))
jumps = st.lists(st.floats(0.1, 1), min_size=1, max_size=12)


@pytest.mark.parametrize("sharpness", [3.0, 20.0, -80.0])
@pytest.mark.parametrize("centre", [0.1, 0.5, 0.82])
def test_a_smooth_step(sharpness, centre):
    shape = step_shape(0.7 - 3 * np.tanh(sharpness * (X - centre)), X)
    span = 3 * abs(tanh(sharpness * (1 - centre)) + tanh(sharpness * centre))
    assert shape.pieces == 1
    assert shape.variation == pytest.approx(1)
    assert shape.range == pytest.approx(span)
    assert shape.place == pytest.approx(centre)
    spacing = 1 / 500
    slope = 3 * abs(tanh(sharpness * spacing)) / spacing  # central difference at the centre
    assert shape.steepest == pytest.approx(slope / span)


@pytest.mark.parametrize("waves", [1, 2, 5, 26])
def test_a_sine(waves):
    """``sin(m pi x)`` has m crests and troughs, so m + 1 pieces; from 2 on its range is 2."""
    x = np.linspace(0, 1, 2 * 26 * 20 * 5 + 1)  # extremes are points
    shape = step_shape(np.sin(waves * np.pi * x), x)
    span = 1 if waves == 1 else 2
    assert shape.pieces == waves + 1
    assert shape.variation == pytest.approx(2 * waves / span)
    assert shape.range == pytest.approx(span)
    assert shape.steepest == pytest.approx(waves * np.pi / span, rel=1e-3)


@given(jumps=jumps, rising=st.booleans(), tolerance=st.floats(0, 0.02), per_piece=st.integers(1, 9))
def test_a_zigzag(jumps, rising, tolerance, per_piece):
    signs = (-1.0) ** (np.arange(len(jumps)) + (not rising))
    corners = np.concatenate([[0], np.cumsum(signs * jumps)])
    assume(min(jumps) > 0.021 * np.ptp(corners))
    at = np.arange(len(corners)) / len(jumps)
    x = np.linspace(0, 1, per_piece * len(jumps) + 1)
    shape = step_shape(np.interp(x, at, corners), x, tolerance + 1e-9)
    assert shape.pieces == len(jumps)
    assert shape.variation == pytest.approx(sum(jumps) / np.ptp(corners))
    assert shape.range == pytest.approx(np.ptp(corners))


@given(
    values=st.lists(st.floats(-1, 1), min_size=3, max_size=40),
    scale=st.sampled_from([-1e3, -1.0, 1e-3, 7.0]),
    offset=st.floats(-5, 5),
)
def test_scale_offset_and_direction_change_nothing(values, scale, offset):
    values = np.array(values)
    assume(np.ptp(values) > 0.1)
    x = np.arange(len(values)) * 0.3 - 2
    straight = step_shape(values, x, 0.05)
    scaled = step_shape(offset + scale * values, x, 0.05 * (1 + 1e-9))
    mirrored = step_shape(values[::-1], x, 0.05)
    for found in (scaled, mirrored):
        np.testing.assert_allclose(found[1:3], straight[1:3], rtol=1e-6)
    assert scaled.pieces == straight.pieces
    assert scaled.range == pytest.approx(abs(scale) * straight.range, rel=1e-6)


@given(values=st.lists(st.floats(-1, 1), min_size=2, max_size=30), gaps=st.data())
def test_slopes_on_uneven_points(values, gaps):
    n = len(values)
    x = np.cumsum(gaps.draw(st.lists(st.floats(0.1, 2), min_size=n, max_size=n)))
    assume(np.ptp(values) > 1e-3)
    shape = step_shape(values, x)
    slopes = [
        abs(values[min(i + 1, n - 1)] - values[max(i - 1, 0)]) / (x[min(i + 1, n - 1)] - x[max(i - 1, 0)])
        for i in range(n)
    ]
    assert shape.steepest == pytest.approx(max(slopes) * (x[-1] - x[0]) / np.ptp(values))
    assert shape.place == x[int(np.argmax(slopes))]


@pytest.mark.parametrize(("size", "monotone"), [(0.019, True), (0.1, False)])
def test_noise_below_the_tolerance_makes_no_pieces(size, monotone):
    """Uniform noise of peak-to-peak ``size`` on a step from -1 to 1 turns back by less than ``size``."""
    rng = np.random.default_rng(0)
    noisy = np.tanh(9 * (X - 0.5)) + 2 * size * rng.uniform(-0.5, 0.5, (20, 501))
    shape = step_shape(noisy, X)
    assert np.all((shape.pieces == 1) == monotone)
    assert np.all(shape.variation > 1.5)  # which counts every wiggle


def test_the_tolerance_is_where_a_turn_begins_to_count():
    dip = np.array([0.0, 0.6, 0.5, 1.0])  # back by a tenth of the range
    x = np.arange(4.0)
    assert [int(step_shape(dip, x, tolerance).pieces) for tolerance in (0, 0.09, 0.11)] == [3, 3, 1]
    slow = np.concatenate([np.linspace(0, 1, 50), np.linspace(1, 0.7, 200)[1:]])
    assert step_shape(slow, np.arange(249.0)).pieces == 2  # each step back is small, all together are not


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_constant_is_one_piece_of_no_slope(dtype):
    ulp = np.finfo(dtype).eps
    functions = np.ones((3, 500), dtype)
    functions[1] += ulp * np.random.default_rng(1).integers(0, 3, 500).astype(dtype)  # a saturated unit
    functions[2] += np.linspace(0, 100 * ulp, 500, dtype=dtype)  # and one that is not
    functions[0] *= 0
    shape = step_shape(functions, np.arange(500))
    assert shape.pieces.dtype.kind == "i" and shape.pieces[:2].tolist() == [1, 1]
    for measure in (shape.variation, shape.steepest, shape.place):
        assert np.isnan(measure[:2]).all() and np.isfinite(measure[2])
    assert shape.range[:2].tolist() == [0, 0] and shape.range[2] > 0


def test_leading_axes_are_kept():
    functions = np.tanh(np.random.default_rng(3).normal(size=(2, 3, 4, 1)) * (X - 0.3))
    shape = step_shape(functions, X)
    one = step_shape(functions[1, 2, 3], X)
    for measure, single in zip(shape, one, strict=True):
        assert measure.shape == (2, 3, 4) and single.shape == ()
        assert measure[1, 2, 3] == single


def test_share_of_steps():
    shape = StepShape(
        np.array([[1, 3, 1], [4, 2, 2], [1, 1, 1]]),
        *np.ones((3, 3, 3)),
        np.array([[1, 2, 0], [1, 1, 1], [0, 0, 0]]),
    )
    found = step_share(shape, [[-3.0, 0.5, 9.0], [1, 1, 1], [1, 1, 1]])
    np.testing.assert_allclose(found, [0.75, 0, np.nan])


# Planes


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 4, 1.2, np.pi / 2, -0.7])
def test_a_ramp_in_any_direction_is_straight(angle):
    share, shape = plane_step_shape(3 + 2 * (cos(angle) * X1 + sin(angle) * X2), SIDE)
    assert share == pytest.approx(1)
    assert shape.pieces == 1 and shape.variation == pytest.approx(1) and shape.steepest == pytest.approx(1)
    assert shape.range == pytest.approx(2 * (abs(cos(angle)) + abs(sin(angle))), rel=0.03)


@pytest.mark.parametrize("angle", [0.0, 0.3, np.pi / 4, 1.2, np.pi / 2, -0.7])
@pytest.mark.parametrize("place", [-0.3, 0.0, 0.25])
def test_a_step_in_any_direction(angle, place):
    middle = (np.arange(200) + 0.5) / 200 - 0.5
    along = np.add.outer(cos(angle) * middle, sin(angle) * middle).ravel()
    share, shape = plane_step_shape(np.tanh(8 * (along - place)), 200)
    assert share == pytest.approx(1, abs=1e-3)
    assert shape.pieces == 1 and shape.variation == pytest.approx(1, abs=1e-6)
    assert shape.place == pytest.approx(place, abs=1.4 / 200)  # the widest bins
    reach = (abs(cos(angle)) + abs(sin(angle))) / 2
    span = tanh(8 * (reach - place)) + tanh(8 * (reach + place))
    assert shape.steepest == pytest.approx(8 * 2 * reach / span, rel=0.02)


@given(st.lists(st.floats(-1, 1), min_size=8, max_size=8))
def test_along_an_axis_the_profile_is_the_function(values):
    assume(np.ptp(values) > 1e-3)
    values, x = np.array(values), (np.arange(8) + 0.5) / 8 - 0.5
    expected = step_shape(values, x)
    fields = np.stack([np.repeat(values, 8), np.tile(values, 8)])
    share, shape = plane_step_shape(fields, 8)
    np.testing.assert_allclose(share, 1)
    for measure, single in zip(shape, expected, strict=True):
        np.testing.assert_allclose(measure, single, rtol=1e-9, atol=1e-9)


@given(st.lists(st.floats(-1, 1), min_size=15, max_size=15))
def test_along_a_diagonal_points_on_the_edges_of_bins_stay_together(values):
    """A function of ``c = i + j + 1`` alone, on 8 bins of two values of c each, the lower edge included."""
    assume(np.ptp(values) > 0.1)
    i, j = np.divmod(np.arange(64), 8)
    field = np.array(values)[i + j]
    held = [(i + j + 1) // 2 == number for number in range(8)]
    places = [np.mean((i + j + 1)[points] - 8) / 8 / np.sqrt(2) for points in held]
    share, shape = plane_step_shape(field, 8)
    assume(share > 1 - 1e-12)  # but for zigzags that vanish between four points
    expected = step_shape([np.mean(field[points]) for points in held], places)
    for measure, single in zip(shape, expected, strict=True):
        np.testing.assert_allclose(measure, single, atol=1e-9)


def test_round_off_does_not_turn_the_direction_around():
    for slope in (-1e-9, 0.0, 1e-9):
        _, shape = plane_step_shape(np.tanh(8 * (X2 - 0.7)) + slope * X1, SIDE)
        assert shape.place == pytest.approx(0.2, abs=0.011)


def test_share_of_the_gradient():
    """``a cos(2 pi x1) + b cos(2 pi x2)``: gradients along the axes, uncorrelated, of energies a² and b²."""
    fields = [a * np.cos(2 * np.pi * X1) + b * np.cos(2 * np.pi * X2) for a, b in ((1, 0), (2, 1), (1, 3))]
    share, shape = plane_step_shape(fields, SIDE)
    np.testing.assert_allclose(share, [1, 4 / 5, 9 / 10], atol=1e-9)
    np.testing.assert_allclose(shape.range, np.array([1, 2, 3]) * 2 * np.cos(np.pi / SIDE), rtol=1e-9)
    assert shape.pieces.tolist() == [2, 2, 2]


def test_no_direction_and_no_function():
    saturated = 1 - np.random.default_rng(0).integers(0, 3, SIDE**2) * np.finfo(float).eps
    fields = np.stack([np.sin(10 * np.pi * X1) * np.sin(10 * np.pi * X2), 0 * X1 + 3, saturated])
    share, shape = plane_step_shape(fields.reshape(3, 1, -1), SIDE)
    assert share.shape == shape.pieces.shape == (3, 1)
    assert share[0, 0] == pytest.approx(0.5)
    assert np.isnan(share[1:]).all() and np.isnan(shape.steepest[1:]).all()
    assert shape.pieces[1:, 0].tolist() == [1, 1]


def test_an_oscillation_along_a_diagonal_has_many_pieces():
    share, shape = plane_step_shape(np.cos(10 * np.pi * (X1 - X2)), SIDE)
    assert share == pytest.approx(1)
    assert shape.pieces == 20  # x1 - x2 from -1 to 1 is ten periods, from crest to crest


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: step_shape(X, X[:9]), ValueError, r"functions .* must match"),
        (lambda: step_shape([1.0], [1.0]), ValueError, r"functions .* must match"),
        (lambda: step_shape(X, X[::-1]), ValueError, "x must ascend"),
        (lambda: step_shape([0.0, np.nan], [0, 1]), ValueError, "functions must be finite"),
        (lambda: step_shape(["a", "b"], [0, 1]), TypeError, "functions must hold real"),
        (lambda: step_shape(X, X, 1.0), ValueError, "tolerance must be a number from 0"),
        (lambda: step_shape(X, X, -0.1), ValueError, "tolerance must be a number from 0"),
        (lambda: step_share(step_shape([X, X], X), [1.0]), ValueError, "weights must be one for each"),
        (lambda: step_share(step_shape(X, X), 1.0), ValueError, "weights must be one for each"),
        (lambda: plane_step_shape(X1, 49), ValueError, "functions must have shape"),
        (lambda: plane_step_shape([1.0], 1), ValueError, "functions must have shape"),
        (lambda: plane_step_shape(X1, 50.0), TypeError, "side must be a whole number"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
