"""Every property is checked against sums written out here, closed forms, or SciPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from specbias import spectra

finite = st.floats(-10, 10, allow_subnormal=False)
angle = st.floats(-math.pi, math.pi)
shapes = st.one_of(
    st.tuples(st.integers(1, 17)),
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4)),
)


def circle(n: int) -> np.ndarray:
    return 2 * np.pi * np.arange(n) / n


def sum_of_modes(shape, modes, low=0.0, high=2 * np.pi) -> np.ndarray:
    """The definition in the docstring of ``largest_modes``, one sample and one mode at a time."""
    field = np.zeros(shape)
    for index in itertools.product(*map(range, shape)):
        x = [low + j * (high - low) / n for j, n in zip(index, shape, strict=True)]
        for m, a, phi in zip(*modes, strict=True):
            field[index] += a * math.cos(2 * math.pi / (high - low) * float(np.dot(m, x)) + phi)
    return field


class TestAmplitudes:
    @given(n=st.integers(3, 60), data=st.data(), a=st.floats(0.1, 10), phi=angle)
    def test_a_cosine_has_its_own_amplitude_at_its_wavenumber_only(self, n, data, a, phi):
        m = data.draw(st.integers(1, (n - 1) // 2))
        expected = np.zeros(n // 2 + 1)
        expected[m] = a
        np.testing.assert_allclose(spectra.amplitudes(a * np.cos(m * circle(n) + phi)), expected, atol=1e-12)

    @pytest.mark.parametrize("n", [2, 8])
    def test_constant_and_nyquist_are_not_doubled(self, n):
        values = 3.0 - 5.0 * (-1.0) ** np.arange(n)
        expected = np.zeros(n // 2 + 1)
        expected[0], expected[-1] = 3.0, 5.0
        np.testing.assert_allclose(spectra.amplitudes(values), expected, atol=1e-14)

    def test_other_axes_are_kept_and_the_transformed_one_comes_last(self):
        theta = circle(9)
        values = np.stack([np.cos(theta), 4 * np.sin(3 * theta)])  # (2, 9)
        for array, axis in ((values, -1), (values.T, 0)):
            found = spectra.amplitudes(array, axis=axis)
            assert found.shape == (2, 5)
            np.testing.assert_allclose(found, [[0, 1, 0, 0, 0], [0, 0, 0, 4, 0]], atol=1e-14)

    @pytest.mark.parametrize(
        ("values", "axis", "error"),
        [
            ([1.0, np.nan], -1, ValueError),
            ([1.0, np.inf], -1, ValueError),
            ([], -1, ValueError),
            (1.0, -1, ValueError),
            ([1.0, 2.0], 1, ValueError),
            ([1j, 2j], -1, TypeError),
            (["a"], -1, TypeError),
        ],
    )
    def test_bad_input_is_named(self, values, axis, error):
        with pytest.raises(error, match="values must"):
            spectra.amplitudes(values, axis)


class TestAmplitudeRatio:
    @given(n=st.integers(16, 50), phi=angle, share=st.floats(-2, 2), a=st.floats(0.1, 10), other=finite)
    def test_is_the_inner_product_with_the_targets_own_wave(self, n, phi, share, a, other):
        theta = circle(n)
        wave = np.sin(3 * theta + phi)
        quarter_turn = np.cos(3 * theta + phi)
        prediction = share * a * wave + other * (quarter_turn + np.cos(2 * theta) + 1)
        ratio = spectra.amplitude_ratio(prediction, a * wave, 3)
        np.testing.assert_allclose(ratio, [prediction @ wave * 2 / n / a], atol=1e-10)
        np.testing.assert_allclose(ratio, [share], atol=1e-9 / a)

    def test_many_predictions_and_wavenumbers_at_once_on_either_axis(self):
        theta = circle(20)
        target = np.sin(theta) + 2 * np.cos(4 * theta + 1) + 0.5
        learned = np.array([[0.0, 0.0, 0.0], [1.0, 0.9, 0.1], [1.0, 1.0, 1.0]])  # at 0, 1, 4
        parts = np.stack([0.5 * np.ones(20), np.sin(theta), 2 * np.cos(4 * theta + 1)])
        predictions = (learned @ parts).reshape(3, 1, 20)
        found = spectra.amplitude_ratio(predictions, target, (0, 1, 4))
        assert found.shape == (3, 1, 3)
        np.testing.assert_allclose(found[:, 0], learned, atol=1e-13)
        by_column = spectra.amplitude_ratio(predictions[:, 0].T, target[:, None], [4], axis=0)
        np.testing.assert_allclose(by_column, learned[:, 2:], atol=1e-13)

    def test_float32_round_off_is_not_a_component(self):
        target = np.sin(circle(64)).astype(np.float32)
        assert spectra.amplitudes(target)[2:].max() > 0
        with pytest.raises(ValueError, match=r"no component \[2, 3\]"):
            spectra.amplitude_ratio(target, target, [1, 2, 3])

    @pytest.mark.parametrize("wavenumbers", [-1, 6, 1.0, [], [[1]]])
    def test_bad_wavenumbers_are_named(self, wavenumbers):
        with pytest.raises(ValueError, match="wavenumbers must"):
            spectra.amplitude_ratio(np.ones(10), np.ones(10), wavenumbers)

    @pytest.mark.parametrize("shape", [(9,), (3, 10)])
    def test_a_target_of_another_shape_is_named(self, shape):
        with pytest.raises(ValueError, match="target must"):
            spectra.amplitude_ratio(np.ones((2, 10)), np.ones(shape), 0)


class TestProject:
    @given(seed=st.integers(0, 2**32 - 1), phi=angle, a=st.floats(0.1, 10), constant=finite)
    def test_waves_are_found_on_scattered_points(self, seed, phi, a, constant):
        x = np.random.default_rng(seed).uniform(-7.5, 7.5, 60)
        values = a * np.cos(2 * x + phi) - 0.5 * np.sin(4.7 * x) + constant
        found = spectra.project(values, x, [2.0, 4.7, 0.0])
        np.testing.assert_allclose(found, [a * np.exp(1j * phi), 0.5j, constant], atol=1e-9)

    def test_on_a_regular_grid_it_is_the_fourier_sum(self):
        values = np.random.default_rng(0).normal(size=(4, 15))
        theta = circle(15)
        direct = [2 / 15 * np.sum(values * np.exp(-1j * m * theta), axis=1) for m in (1, 3, 7)]
        np.testing.assert_allclose(
            spectra.project(values, theta, [1, 3, 7]), np.transpose(direct), atol=1e-13
        )

    def test_wave_vectors_in_two_dimensions(self):
        x = np.random.default_rng(1).uniform(size=(80, 2))
        values = np.sin(5 * x[:, 0]) * np.sin(3 * x[:, 1])  # half cos(5x - 3y) minus half cos(5x + 3y)
        np.testing.assert_allclose(spectra.project(values, x, [[5, -3], [5, 3]]), [0.5, -0.5], atol=1e-12)

    @pytest.mark.parametrize("frequencies", [[2.0, 2.0], [2.0, -2.0], [2.0, 2.0 + 1e-11], list(range(1, 9))])
    def test_waves_that_cannot_be_told_apart_are_refused(self, frequencies):
        with pytest.raises(ValueError, match="frequencies cannot be told apart"):
            spectra.project(np.ones(12), np.linspace(0, 1, 12), frequencies)

    def test_shapes_that_do_not_match_are_named(self):
        with pytest.raises(ValueError, match="positions must"):
            spectra.project(np.ones(5), np.arange(4.0), [1.0])
        with pytest.raises(ValueError, match="frequencies must"):
            spectra.project(np.ones(5), np.ones((5, 2)), [1.0])


class TestDominantFrequency:
    @given(
        cycles=st.floats(4, 90), phi=angle, a=st.floats(1e-9, 1e9), offset=finite, length=st.floats(0.01, 100)
    )
    def test_finds_frequencies_between_the_bins(self, cycles, phi, a, offset, length):
        n = 200
        x = np.arange(n) * (length / n)
        values = a * (np.cos(2 * np.pi * cycles / length * x + phi) + offset)
        found = spectra.dominant_frequency(values, spacing=length / n)
        assert abs(found * length - cycles) < 0.02

    def test_agrees_with_the_periodogram_of_scipy_to_its_bin(self):
        values = np.random.default_rng(2).normal(size=512)
        frequencies, power = scipy.signal.periodogram(values, fs=10.0, window="hann", nfft=2048)
        found = spectra.dominant_frequency(values, spacing=0.1)
        assert abs(found - frequencies[power.argmax()]) <= frequencies[1]

    def test_takes_the_largest_of_several(self):
        x = np.linspace(0, 1, 300)
        values = np.sin(2 * np.pi * 11.4 * x) + 0.6 * np.sin(2 * np.pi * 40 * x)
        assert spectra.dominant_frequency(values, x[1]) == pytest.approx(11.4, abs=0.02)

    @pytest.mark.parametrize("values", [[1.0] * 9, [1.0, 2.0], np.ones((3, 3)), [0.0, 1.0, np.nan, 2.0]])
    def test_bad_values_are_named(self, values):
        with pytest.raises(ValueError, match="values must"):
            spectra.dominant_frequency(values)

    @pytest.mark.parametrize("spacing", [0.0, -1.0, np.inf])
    def test_bad_spacing_is_named(self, spacing):
        with pytest.raises(ValueError, match="spacing must"):
            spectra.dominant_frequency(np.arange(9.0), spacing)


class TestZeroCrossings:
    @given(half_periods=st.integers(0, 40))
    def test_a_cosine_crosses_once_per_half_period(self, half_periods):
        assert spectra.zero_crossings(np.cos(np.pi * half_periods * np.linspace(0, 1, 1001))) == half_periods

    @pytest.mark.parametrize(
        ("values", "crossings"), [([0, 0], 0), ([1, 0, 1], 0), ([1, 0, 0, -1], 1), ([5], 0)]
    )
    def test_zeros_are_passed_over(self, values, crossings):
        assert spectra.zero_crossings(values) == crossings


class TestPowerSpectrumRadial:
    @given(
        field=st.tuples(st.integers(1, 9), st.integers(2, 9)).flatmap(
            lambda shape: arrays(float, shape, elements=finite)
        ),
        bins=st.integers(1, 30),
        length=st.floats(0.1, 10),
    )
    def test_sums_to_the_mean_square(self, field, bins, length):
        wavenumbers, power = spectra.power_spectrum_radial(field, bins, length=length)
        assert wavenumbers.shape == power.shape == (bins,)
        assert power.sum() == pytest.approx(np.mean(field**2), abs=1e-12)

    def test_each_wave_is_in_the_bin_of_its_length(self):
        x, y = np.meshgrid(circle(32), circle(32), indexing="ij")
        field = 2 * np.cos(3 * x - 4 * y + 1) + 6 * np.sin(9 * y)  # lengths 5 and 9
        wavenumbers, power = spectra.power_spectrum_radial(field, bins=40)
        width = wavenumbers[1] - wavenumbers[0]
        assert wavenumbers[0] == pytest.approx(width / 2) and 40 * width == pytest.approx(16 * math.sqrt(2))
        expected = np.zeros(40)
        expected[np.abs(wavenumbers - 5).argmin()] = 2.0  # a²/2
        expected[np.abs(wavenumbers - 9).argmin()] = 18.0
        np.testing.assert_allclose(power, expected, atol=1e-12)
        shorter, _ = spectra.power_spectrum_radial(field, bins=40, length=np.pi)
        np.testing.assert_allclose(shorter, 2 * wavenumbers)

    @pytest.mark.parametrize("field", [np.ones(4), np.ones((1, 1)), np.ones((2, 2, 2)), [[1.0, np.nan]]])
    def test_bad_fields_are_named(self, field):
        with pytest.raises(ValueError, match="field must"):
            spectra.power_spectrum_radial(field)


class TestLargestModes:
    @settings(max_examples=80)
    @given(
        field=shapes.flatmap(lambda shape: arrays(float, shape, elements=finite)),
        low=finite,
        side=st.floats(0.1, 10),
    )
    def test_all_modes_sum_to_the_field(self, field, low, side):
        high = low + side
        modes = spectra.largest_modes(field, domain=(low, high))
        np.testing.assert_allclose(sum_of_modes(field.shape, modes, low, high), field, atol=1e-10)

    @given(shape=shapes)
    def test_each_real_mode_is_listed_once(self, shape):
        wavenumbers = spectra.largest_modes(np.zeros(shape)).wavenumbers
        listed = [tuple(m % shape) for m in wavenumbers]
        negatives = [tuple(-m % shape) for m in wavenumbers]
        assert len(set(listed)) == len(listed)
        assert set(listed) | set(negatives) == set(itertools.product(*map(range, shape)))
        assert all(m == minus for m, minus in zip(listed, negatives, strict=True) if minus in set(listed))

    @given(field=shapes.flatmap(lambda shape: arrays(float, shape, elements=finite)), data=st.data())
    def test_a_smaller_count_is_the_beginning_of_all_and_amplitudes_fall(self, field, data):
        modes = spectra.largest_modes(field)
        count = data.draw(st.integers(1, modes.amplitudes.size))
        for some, every in zip(spectra.largest_modes(field, count), modes, strict=True):
            np.testing.assert_array_equal(some, every[:count])
        assert np.all(modes.amplitudes[1:] <= modes.amplitudes[:-1] * (1 + 1e-10))

    @pytest.mark.parametrize("shape", [(16, 12), (15, 13)])
    def test_known_waves_in_two_dimensions(self, shape):
        x, y = np.meshgrid(*map(circle, shape), indexing="ij")
        field = 5 * np.cos(2 * x - 3 * y + 0.3) + 4 * np.cos(-4 * y - 1) - 3 + 2 * np.cos(-6 * x + 2)
        wavenumbers, amplitudes, phases = spectra.largest_modes(field, 4)
        assert wavenumbers.tolist() == [[2, -3], [0, 4], [0, 0], [6, 0]]
        np.testing.assert_allclose(amplitudes, [5, 4, 3, 2])
        np.testing.assert_allclose(
            np.exp(1j * phases), np.exp(1j * np.array([0.3, 1, np.pi, -2])), atol=1e-12
        )

    def test_nyquist_is_doubled_only_beside_another_component(self):
        x, y = np.meshgrid(circle(8), circle(8), indexing="ij")
        field = 5 * np.cos(4 * x + 4 * y) + 3 * np.cos(4 * x) + 2 * np.cos(4 * x + 3 * y + 0.7)
        wavenumbers, amplitudes, phases = spectra.largest_modes(field, 3)
        assert wavenumbers.tolist() == [[4, 4], [4, 0], [4, 3]]
        np.testing.assert_allclose(amplitudes, [5, 3, 2])
        np.testing.assert_allclose(phases, [0, 0, 0.7], atol=1e-12)

    def test_on_another_domain_the_phase_belongs_to_the_position(self):
        x = -1 + 2 * np.arange(11) / 11
        wavenumbers, amplitudes, phases = spectra.largest_modes(
            2 * np.cos(3 * np.pi * x + 0.4), 1, domain=(-1, 1)
        )
        assert wavenumbers.tolist() == [[3]]
        np.testing.assert_allclose([amplitudes[0], phases[0]], [2, 0.4])

    def test_equal_amplitudes_come_in_order_of_the_wave_vector_despite_round_off(self):
        x, y = np.meshgrid(circle(12), circle(12), indexing="ij")
        waves = [(0, 1), (1, 0), (1, -2), (1, 2), (2, -1), (2, 1), (0, 5)]
        field = sum(np.cos(m * x + n * y + 0.1 * m - n) for m, n in waves)
        jitter = 1 + 1e-14 * np.random.default_rng(3).normal(size=field.shape)
        for disturbed in (field, field * jitter, field / 3):
            assert [tuple(m) for m in spectra.largest_modes(disturbed, 7).wavenumbers] == waves

    def test_modes_left_out_hold_the_rest_of_the_mean_square(self):
        field = np.random.default_rng(4).normal(size=(9, 9))
        modes = spectra.largest_modes(field, 12)
        rest = field - sum_of_modes(field.shape, modes)
        left_out = spectra.largest_modes(field).amplitudes[12:]
        constant = np.abs(rest.mean())
        assert np.mean(rest**2) == pytest.approx((np.sum(left_out**2) + constant**2) / 2)

    @pytest.mark.parametrize(
        ("count", "error"), [(0, ValueError), (6, ValueError), (2.0, TypeError), (True, TypeError)]
    )
    def test_impossible_counts_are_named(self, count, error):
        with pytest.raises(error, match="count must"):
            spectra.largest_modes(np.ones(8), count)

    @pytest.mark.parametrize("domain", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf), (0.0,), (0.0, 1.0, 2.0)])
    def test_impossible_domains_are_named(self, domain):
        with pytest.raises(ValueError, match="domain must"):
            spectra.largest_modes(np.ones(8), 1, domain=domain)

    @pytest.mark.parametrize("field", [3.0, np.ones((3, 0)), [1.0, np.nan]])
    def test_bad_fields_are_named(self, field):
        with pytest.raises(ValueError, match="field must"):
            spectra.largest_modes(field, 1)
