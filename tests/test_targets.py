"""The targets against their formulas, written again with :mod:`math`, one sample at a time."""

from __future__ import annotations

import math
from math import cos, exp, log, pi, sin, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specbias import spectra, targets

CURVES = {
    "thread": (targets.thread_sine(), lambda x: sin(2 * x)),
    "thread-4": (targets.thread_sine(4.0, 10.0, 37, sampling="regular"), lambda x: sin(4 * x)),
    "sequential": (targets.sequential_sine(), lambda x: sin(26 * pi * x)),
    "sqrt": (targets.sequential_sine("sqrt"), lambda x: sqrt(x) * sin(26 * pi * x)),
    "bump": (targets.sequential_sine("bump"), lambda x: 4 * x * (1 - x) * sin(26 * pi * x)),
    "bowl": (targets.sequential_sine("bowl", 5, 40), lambda x: 4 * (x - 0.5) ** 2 * sin(10 * pi * x)),
    "half": (targets.sequential_sine("none", 13.5), lambda x: sin(27 * pi * x)),
    "lecture": (targets.lecture_curve(), lambda x: sin(2 * x + 1) + 0.2 * exp(1.3 * x)),
    "wang-lai": (targets.wang_lai_curve(), lambda t: log(t + 2) * cos(2 * t + t * t * t)),
    "waves": (targets.waves_curve(), lambda x: exp(sin(3 * x)) + 0.1 * cos(9 * x)),
}


@pytest.mark.parametrize("name", CURVES)
def test_values_are_the_formula_at_the_points(name):
    target, formula = CURVES[name]
    assert target.x.dtype == target.y.dtype == np.float64
    assert target.x.shape == (target.y.size, 1)
    np.testing.assert_allclose(target.y, [formula(float(x)) for x in target.x[:, 0]], atol=1e-12)


EVERY = {name: target for name, (target, _) in CURVES.items()} | {
    "circle": targets.circle_waves(),
    "rahaman": targets.rahaman_waves(),
    "checkerboard": targets.checkerboard(),
}


@pytest.mark.parametrize("name", EVERY)
def test_the_function_gives_the_values_and_repeats_after_the_period(name):
    target = EVERY[name]
    coordinates = target.x.T
    np.testing.assert_array_equal(target.function(*coordinates), target.y)
    assert target.formula and "$" not in target.formula
    if target.period is not None:
        assert target.period == pytest.approx(target.domain[1] - target.domain[0])
        np.testing.assert_allclose(target.function(*(coordinates + target.period)), target.y, atol=1e-11)


class TestThreadSine:
    def test_random_points_fill_the_range_and_follow_the_seed(self):
        first, again, other = (targets.thread_sine(generator=seed).x for seed in (44, 44, 45))
        assert first[0] >= -7.5 and first[-1] <= 7.5 and np.all(np.diff(first[:, 0]) >= 0)
        assert np.histogram(first, 15, (-7.5, 7.5))[0].min() > 60  # of 100 expected in each
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other)
        generator = np.random.default_rng(44)
        np.testing.assert_array_equal(targets.thread_sine(generator=generator).x, first)
        assert not np.array_equal(targets.thread_sine(generator=generator).x, first)  # it moves on

    def test_regular_points_are_midpoints(self):
        x = targets.thread_sine(data_range=2.0, points=4, sampling="regular").x[:, 0]
        np.testing.assert_allclose(x, [-0.75, -0.25, 0.25, 0.75])

    @pytest.mark.parametrize(("data_range", "points"), [(15.0, 1500), (0.29, 29), (0.001, 1)])
    def test_a_hundred_points_per_unit_unless_given(self, data_range, points):
        assert targets.thread_sine(data_range=data_range).y.size == points

    def test_it_is_periodic_only_over_whole_oscillations(self):
        assert targets.thread_sine().period is None
        assert targets.thread_sine(data_range=5 * pi).period == pytest.approx(5 * pi)

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"frequency": 0.0}, ValueError),
            ({"frequency": "2"}, TypeError),
            ({"data_range": -1.0}, ValueError),
            ({"data_range": math.inf}, ValueError),
            ({"points": 0}, ValueError),
            ({"points": 10.0}, TypeError),
            ({"sampling": "grid"}, ValueError),
        ],
    )
    def test_bad_arguments_are_named(self, arguments, error):
        with pytest.raises(error, match=f"{next(iter(arguments))} must"):
            targets.thread_sine(**arguments)


class TestCircleWaves:
    def test_the_papers_target(self):
        target = targets.circle_waves()
        theta = [-pi + 2 * pi * j / 1001 for j in range(1001)]
        raw = [sin(4 * t) + sin(14 * t) for t in theta]
        norm = sqrt(math.fsum(value * value for value in raw))
        np.testing.assert_allclose(target.x[:, 0], theta, atol=1e-14)
        np.testing.assert_allclose(target.y, np.array(raw) / norm, atol=1e-14)
        assert round(np.abs(target.y).max(), 4) == 0.0625  # the source's largest amplitude
        assert target.frequencies == (4, 14)

    @given(
        amplitudes=st.dictionaries(st.integers(1, 14), st.floats(0.1, 10), min_size=1, max_size=5),
        points=st.integers(29, 60),
    )
    def test_has_unit_norm_and_the_amplitudes_asked_for(self, amplitudes, points):
        target = targets.circle_waves(amplitudes.keys(), points, amplitudes.values())
        assert np.linalg.norm(target.y) == pytest.approx(1)
        # sine waves are orthogonal on the grid, each of squared norm n/2
        norm = sqrt(points / 2 * sum(a * a for a in amplitudes.values()))
        found = spectra.project(target.y, target.x, target.frequencies)
        np.testing.assert_allclose(found, [-1j * a / norm for a in amplitudes.values()], atol=1e-12)

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"wavenumbers": (4, 4)}, ValueError),
            ({"wavenumbers": ()}, ValueError),
            ({"wavenumbers": (0, 4)}, ValueError),
            ({"wavenumbers": (4.5,)}, TypeError),
            ({"wavenumbers": (4,), "points": 8}, ValueError),  # Nyquist: sin 4 theta is zero on 8 points
            ({"amplitudes": (1.0, 2.0, 3.0)}, ValueError),
            ({"amplitudes": (1.0, math.nan)}, ValueError),
            ({"amplitudes": 0.0}, ValueError),
            ({"points": -3}, ValueError),
        ],
    )
    def test_bad_arguments_are_named(self, arguments, error):
        with pytest.raises(error, match=f"{next(iter(arguments))} must"):
            targets.circle_waves(**arguments)


class TestRahamanWaves:
    def test_ten_waves_of_equal_amplitude_and_random_phase(self):
        target = targets.rahaman_waves(generator=7)
        np.testing.assert_allclose(target.x[:, 0], [j / 200 for j in range(200)], atol=1e-15)
        expected = np.zeros(101)
        expected[5:51:5] = 1.0
        np.testing.assert_allclose(np.abs(np.fft.rfft(target.y)) / 100, expected, atol=1e-12)
        other = targets.rahaman_waves(generator=8)
        assert not np.allclose(other.y, target.y)

    def test_the_phases_are_those_of_the_generator(self):
        phases = np.random.default_rng(3).uniform(0, 2 * pi, 2)
        target = targets.rahaman_waves((2, 9), 40, (1.0, 0.5), generator=3)
        expected = [
            sin(2 * pi * 2 * x + phases[0]) + 0.5 * sin(2 * pi * 9 * x + phases[1]) for x in target.x[:, 0]
        ]
        np.testing.assert_allclose(target.y, expected, atol=1e-13)

    def test_frequencies_beyond_the_sampling_are_refused(self):
        with pytest.raises(
            ValueError, match="frequencies must be below half the number of points, 100, got 50"
        ):
            targets.rahaman_waves(points=100)


class TestSequentialSine:
    def test_points_are_midpoints(self):
        x = targets.sequential_sine(points=500).x[:, 0]
        np.testing.assert_allclose(x, [(2 * j + 1) / 1000 for j in range(500)], atol=1e-15)

    @pytest.mark.parametrize("wavenumber", [0.5, 1, 13.5, 20.0, 249.5, np.int64(3), np.float32(2.5)])
    def test_whole_and_half_wavenumbers(self, wavenumber):
        target = targets.sequential_sine("none", wavenumber)
        assert target.formula == rf"\sin({round(2 * wavenumber)}\pi x)"
        assert target.frequencies == (pytest.approx(2 * pi * wavenumber),)
        assert target.period == (1.0 if wavenumber in (1, 20, 3) else None)
        assert targets.sequential_sine("sqrt", wavenumber).period is None

    def test_magnitudes_of_bump_and_bowl_differ_only_at_13(self):
        """What the text says of its Fig. 6; it follows from bump + bowl = 1, as 4x(1-x) + 4(x-1/2)² = 1."""
        bump, bowl = (spectra.amplitudes(targets.sequential_sine(name).y) for name in ("bump", "bowl"))
        assert np.flatnonzero(np.abs(bump - bowl) > 1e-12).tolist() == [13]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("ramp",), "envelope must be one of none, sqrt, bump, bowl"),
            (("none", 0), "wavenumber must be positive"),
            (("none", 13.25), "wavenumber must be a whole number or a half, got 13.25"),
            (("none", 250), "wavenumber must be below half the number of points, 500, got 250"),
            (("none", 2.5, 5), "wavenumber must be below half the number of points, 5, got 2.5"),
        ],
    )
    def test_bad_arguments_are_named(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            targets.sequential_sine(*arguments)

    def test_a_wavenumber_is_a_number(self):
        with pytest.raises(TypeError, match="wavenumber must be a number, got '13'"):
            targets.sequential_sine("none", "13")


class TestCheckerboard:
    def test_values_and_order_of_points(self):
        target = targets.checkerboard(50)
        middle = [(2 * i + 1) / 100 for i in range(50)]
        expected = [[sin(10 * pi * first) * sin(10 * pi * second) for second in middle] for first in middle]
        np.testing.assert_allclose(target.y.reshape(50, 50), expected, atol=1e-12)
        np.testing.assert_allclose(target.x[1] - target.x[0], [0, 0.02], atol=1e-15)

    def test_it_is_two_plane_waves(self):
        target = targets.checkerboard(24)
        np.testing.assert_allclose(
            spectra.project(target.y, target.x, target.frequencies), [0.5, -0.5], atol=1e-12
        )


def test_the_ends_of_the_curves():
    lecture, wang_lai = targets.lecture_curve(5), targets.wang_lai_curve(3, reach=1.5)
    np.testing.assert_allclose(lecture.x[:, 0], [-1, -0.5, 0, 0.5, 1])
    np.testing.assert_allclose(wang_lai.x[:, 0], [-1.5, 0, 1.5])
    with pytest.raises(ValueError, match="reach must be below 2"):
        targets.wang_lai_curve(reach=2.0)
