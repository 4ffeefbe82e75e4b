"""Surrogates against a Fourier transform written out as a sum, and against rotated samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from specbias import targets

signals = st.lists(st.floats(-10, 10), min_size=1, max_size=24).map(np.array)


def transform(values: np.ndarray) -> np.ndarray:
    """All coefficients ``(..., n)``, by the definition."""
    j = np.arange(values.shape[-1])
    return values @ np.exp(-2j * np.pi * np.outer(j, j) / j.size)


def assert_same_magnitudes(found: np.ndarray, values: np.ndarray) -> None:
    expected = np.broadcast_to(np.abs(transform(values)), found.shape)
    scale = np.abs(values).sum() + 1e-300
    np.testing.assert_allclose(np.abs(transform(found)) / scale, expected / scale, atol=1e-13)


# Phase surrogates


@given(values=signals, seed=st.integers(0, 2**32))
def test_surrogates_have_the_magnitudes_and_the_signs_of_what_is_real(values, seed):
    found = targets.phase_surrogates(values, 3, seed=seed)
    assert found.shape == (3, values.size) and found.dtype == np.float64
    assert_same_magnitudes(found, values)
    scale = np.abs(values).sum()
    np.testing.assert_allclose(found.sum(axis=1), values.sum(), atol=1e-13 * scale)
    if values.size % 2 == 0:
        alternating = (-1.0) ** np.arange(values.size)
        np.testing.assert_allclose(found @ alternating, values @ alternating, atol=1e-13 * scale)


def test_a_surrogate_depends_on_seed_and_number_only():
    values = targets.sequential_sine("bump").y
    many, few = (targets.phase_surrogates(values, count, seed=4) for count in (7, 2))
    np.testing.assert_array_equal(many[:2], few)
    assert np.abs(np.diff(many, axis=0)).max(axis=1).min() > 0.1  # no two alike
    assert np.abs(targets.phase_surrogates(values, 2, seed=5) - few).max(axis=1).min() > 0.1


def test_phases_are_uniform_and_independent():
    values = np.zeros(50)
    values[0] = 1.0  # all magnitudes 1
    phases = np.angle(transform(targets.phase_surrogates(values, 400, seed=1)))[:, 1:25]
    assert kstest(phases.ravel(), "uniform", args=(-np.pi, 2 * np.pi)).pvalue > 0.01
    turned = np.exp(1j * phases)
    coherence = np.abs(turned.T @ turned.conj() / 400 - np.eye(24))
    assert coherence.max() < 5 / np.sqrt(400)  # pairs of wavenumbers
    assert np.abs(np.mean(turned[1:] * turned[:-1].conj(), axis=0)).max() < 5 / np.sqrt(400)  # neighbours


def test_where_the_energy_lies_is_left_to_chance():
    """The text's pair of targets is far from what their magnitudes alone give."""
    surrogates = targets.phase_surrogates(targets.sequential_sine("bump").y, 50, seed=0)
    at_the_ends = targets.boundary_amplitude(surrogates, 0.1)
    assert at_the_ends.shape == (50, 2)
    assert at_the_ends.min() < 0.5 and at_the_ends.max() > 1


# Shifts


@given(values=signals, turns=st.lists(st.floats(-20, 20), max_size=4))
def test_shifts_keep_every_magnitude(values, turns):
    found = targets.shifted(values, turns)
    assert found.shape == (len(turns), values.size)
    assert_same_magnitudes(found, values)


@given(values=signals, samples=st.lists(st.integers(-60, 60), min_size=1, max_size=4))
def test_shifts_by_whole_samples_roll_them(values, samples):
    found = targets.shifted(values, np.array(samples) / values.size)
    np.testing.assert_allclose(found, [np.roll(values, j) for j in samples], atol=1e-12)


@given(turn=st.floats(-3, 3), phase=st.floats(0, 6), n=st.integers(8, 30))
def test_shifts_move_the_wave_between_the_samples(turn, phase, n):
    def wave(x):
        return 2.0 + np.cos(2 * np.pi * x + phase) - 0.5 * np.sin(6 * np.pi * x)

    x = (np.arange(n) + 0.5) / n
    np.testing.assert_allclose(targets.shifted(wave(x), [turn])[0], wave(x - turn), atol=1e-12)


@pytest.mark.parametrize(("turn", "sign"), [(0.06, 1), (0.07, -1), (0.13, -1), (0.19, 1), (-0.07, -1)])
def test_nyquist_takes_the_sign_of_the_nearest_sample(turn, sign):
    alternating = (-1.0) ** np.arange(8)  # samples are 1/8 = 0.125 apart
    np.testing.assert_allclose(targets.shifted(alternating, [turn])[0], sign * alternating, atol=1e-14)


def test_half_a_turn_brings_the_middle_to_the_ends():
    bump, bowl = (targets.sequential_sine(name) for name in ("bump", "bowl"))
    (moved,) = targets.shifted(bump.y, [0.5])
    assert np.all(targets.boundary_amplitude(bump.y, 0.1) < 0.4)
    x = bump.x[:, 0]
    envelope = 4 * np.abs(x - 0.5) * (1 - np.abs(x - 0.5))  # 4x(1-x) at half a period from x, either way
    np.testing.assert_allclose(np.abs(moved), envelope * np.abs(np.sin(26 * np.pi * x)), atol=1e-12)
    assert np.all(targets.boundary_amplitude(moved, 0.1) > 1)
    assert np.all(targets.boundary_amplitude(bowl.y, 0.1) > 1)


# Amplitude at the boundary


@given(n=st.integers(1, 60), share=st.floats(0.01, 0.5), data=st.data())
def test_boundary_amplitude_by_the_samples_that_are_near(n, share, data):
    values = np.array(data.draw(st.lists(st.floats(0.1, 10), min_size=n, max_size=n)))
    x = (np.arange(n) + 0.5) / n
    left, right = x <= share + 1e-12, 1 - x <= share + 1e-12
    if not left.any():
        with pytest.raises(ValueError, match="width must reach the first"):
            targets.boundary_amplitude(values, share)
        return
    expected = [np.sqrt(np.mean(values[near] ** 2) / np.mean(values**2)) for near in (left, right)]
    stacked = targets.boundary_amplitude(np.stack([values, 3 * values, values[::-1]]), share)
    np.testing.assert_allclose(stacked, [expected, expected, expected[::-1]], rtol=1e-12)


@pytest.mark.parametrize("n", [22, 23, 26, 39])
def test_a_midpoint_at_the_very_width_is_near(n):
    for j in range(n // 2):
        only = np.zeros(n)
        only[j] = 1.0  # the last sample that is near
        left, _ = targets.boundary_amplitude(only, (j + 0.5) / n)
        assert left == pytest.approx(np.sqrt(n / (j + 1)))


def test_boundary_amplitude_of_a_ramp():
    """The root mean square of x is (w³ / 3 / w)^(1/2) near 0, and that of 1 is 1/3^(1/2)."""
    x = (np.arange(100_000) + 0.5) / 100_000
    left, right = targets.boundary_amplitude(x, 0.25)
    assert left == pytest.approx(0.25, abs=1e-4)
    assert right == pytest.approx(np.sqrt((1 - 0.75**3) / 0.25), abs=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: targets.phase_surrogates([[1.0]], 1, seed=0), ValueError, "values must be one-dimensional"),
        (lambda: targets.phase_surrogates([], 1, seed=0), ValueError, "values must be one-dimensional"),
        (lambda: targets.phase_surrogates([1.0, np.nan], 1, seed=0), ValueError, "values must be finite"),
        (lambda: targets.phase_surrogates([1j], 1, seed=0), TypeError, "values must hold real numbers"),
        (lambda: targets.phase_surrogates([1.0], 0, seed=0), ValueError, "count must be at least 1"),
        (
            lambda: targets.phase_surrogates([1.0], 1, seed=-1),
            ValueError,
            "seed must not be negative, got -1",
        ),
        (lambda: targets.phase_surrogates([1.0], 1, seed=0.5), TypeError, "seed must be a whole number"),
        (lambda: targets.shifted([1.0, 2.0], 0.5), ValueError, "turns must be one-dimensional"),
        (lambda: targets.shifted([1.0, 2.0], [np.inf]), ValueError, "turns must be finite"),
        (lambda: targets.boundary_amplitude(1.0, 0.5), ValueError, "values must have at least one sample"),
        (lambda: targets.boundary_amplitude([1.0, 1.0], 0.6), ValueError, "width must be at most 0.5"),
        (lambda: targets.boundary_amplitude([1.0, 1.0], 0.0), ValueError, "width must be positive"),
        (lambda: targets.boundary_amplitude([0.0, 0.0], 0.5), ValueError, "values must not be zero"),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
