"""Order of fitting, on predictions and histories whose order is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from specbias import spectra
from specbias.experiments import order
from specbias.experiments.plane_waves import diagonal_amplitudes, strip_amplitudes
from specbias.targets import checkerboard, sequential_sine

X = (np.arange(500) + 0.5) / 500
FREQUENCY = 26 * np.pi
CENTRES = (np.arange(26) + 0.5) / 26
PLANE = checkerboard()
WAVES = (  # written again, in the order of the shares
    0.5 * np.cos(10 * np.pi * (PLANE.x[:, 0] - PLANE.x[:, 1])),
    -0.5 * np.cos(10 * np.pi * (PLANE.x[:, 0] + PLANE.x[:, 1])),
)


# Half oscillations


@pytest.mark.parametrize("envelope", ["none", "sqrt", "bump", "bowl"])
def test_the_error_is_the_missing_share_of_all_26_half_oscillations(envelope):
    target = sequential_sine(envelope)
    learned = np.random.default_rng(0).uniform(-0.5, 1.5, (2, 3, 26))
    prediction = np.repeat(learned, 20, axis=-1)[..., np.floor(X * 26).astype(int) * 20] * target.y
    errors, centres = order.half_oscillation_errors(prediction, target.y, X, FREQUENCY)
    np.testing.assert_allclose(centres, CENTRES)
    np.testing.assert_allclose(errors, np.abs(1 - learned), atol=1e-12)


@given(frequency=st.floats(1, 400), low=st.floats(-3, 3), length=st.floats(0.1, 5))
def test_half_oscillations_are_whole_and_resolved(frequency, low, length):
    x = low + length * (np.arange(100) + 0.5) / 100
    errors, centres = order.half_oscillation_errors(0 * x, 1 + x**2, x, frequency, domain=(low, low + length))
    half, spacing = np.pi / frequency, length / 100
    assert errors.shape == centres.shape
    assert np.all(centres - half / 2 >= low - 1e-6) and np.all(centres + half / 2 <= low + length + 1e-6)
    np.testing.assert_allclose(np.cos(frequency * centres), 0, atol=1e-9)  # crests and troughs
    np.testing.assert_allclose(errors, 1)
    if half > 4 * spacing:  # none is left out
        assert centres.size >= np.floor(length / half) - 1
        np.testing.assert_allclose(np.diff(centres), half)
    if half < 2 * spacing:
        assert centres.size == 0


@pytest.mark.parametrize("first", range(0, 26, 5))
def test_a_domain_from_zero_to_zero_loses_nothing_to_round_off(first):
    for last in range(first + 1, 27):
        domain = (first / 26, last / 26)
        x = np.linspace(*domain, 500)
        _, centres = order.half_oscillation_errors(0 * x, np.sin(FREQUENCY * x), x, FREQUENCY, domain)
        np.testing.assert_allclose(centres, CENTRES[first:last])


def test_a_noise_of_known_size_in_one_half_oscillation():
    target = np.sin(FREQUENCY * X)
    noise = np.where((X > 5 / 26) & (X < 6 / 26), np.random.default_rng(1).normal(size=500), 0)
    errors, _ = order.half_oscillation_errors(target + noise, target, X, FREQUENCY)
    within = noise != 0
    expected = np.zeros(26)
    expected[5] = np.linalg.norm(noise[within]) / np.linalg.norm(target[within])
    np.testing.assert_allclose(errors, expected, atol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200])
def test_a_diverged_prediction_is_infinitely_wrong(bad):
    target = np.sin(FREQUENCY * X)
    prediction = np.where(X < 0.5, target, bad)
    errors, _ = order.half_oscillation_errors(prediction, target, X, FREQUENCY)
    np.testing.assert_array_equal(errors[:13], 0)
    assert np.isposinf(errors[13:]).all()


# Epochs


def reached(epochs, fitted, low=0.1, high=1.0):
    """Errors ``(1, epoch, c)`` that drop from high to low at these epochs."""
    return np.where(np.array(epochs)[:, None] >= np.array(fitted), low, high)[None]


@given(
    fitted=st.lists(st.integers(0, 120), min_size=1, max_size=6),
    epochs=st.sets(st.integers(0, 100), min_size=1, max_size=9).map(sorted),
)
def test_first_below_is_the_next_recorded_epoch(fitted, epochs):
    expected = [min((e for e in epochs if e >= time), default=np.nan) for time in fitted]
    np.testing.assert_array_equal(order.first_below(reached(epochs, fitted), epochs, 0.5), [expected])


def test_first_below_is_strict_and_passes_over_nan():
    errors = np.array([[[np.nan], [0.5], [0.4], [0.9]], [[np.inf], [np.nan], [np.nan], [np.nan]]])
    assert order.first_below(errors, [0, 1, 5, 9], 0.5)[:, 0].tolist() == pytest.approx(
        [5, np.nan], nan_ok=True
    )


@given(
    rows=st.lists(
        st.lists(st.sampled_from([0, 3, 7, 50, np.nan]), min_size=5, max_size=5), min_size=1, max_size=4
    ),
    positions=st.permutations([0.1, 0.1, 0.4, 0.6, 0.9]),
)
def test_rank_correlation_is_the_correlation_of_ranks(rows, positions):
    found = order.rank_correlation(positions, rows)
    for row, correlation in zip(np.array(rows), found, strict=True):
        late = np.where(np.isnan(row), 1e9, row)
        if len(set(late)) < 2:
            assert np.isnan(correlation)
        else:
            expected = np.corrcoef(rankdata(positions), rankdata(late))[0, 1]
            assert correlation == pytest.approx(expected)


def test_rank_correlation_needs_two_positions():
    assert np.isnan(order.rank_correlation([0.5, 0.5], [[1, 2]])).all()


def test_both_ends_inward():
    distance = order.boundary_distance(CENTRES)
    np.testing.assert_allclose(distance[:13], CENTRES[:13])
    np.testing.assert_array_equal(distance, distance[::-1])  # ties, not almost
    inward = np.round(1000 * distance)
    rightwards = np.round(1000 * CENTRES)
    epochs = np.array([inward, rightwards, np.where(distance > 0.3, np.nan, inward)])
    along_distance, along_x = (order.rank_correlation(p, epochs) for p in (distance, CENTRES))
    assert along_distance[0] == pytest.approx(1) and along_x[1] == pytest.approx(1)
    assert abs(along_x[0]) < 1e-12 and abs(along_distance[1]) < 1e-12
    assert 0.9 < along_distance[2] < 1  # the ties


def test_boundary_distance_on_another_domain():
    np.testing.assert_allclose(order.boundary_distance([[-6.0], [1.0]], (-7.5, 7.5)), [[1.5], [6.5]])


# Concurrency


def ramps(epochs, starts, durations):
    """Errors that fall from 0.8 at the start to 0.4 after the duration, on and on."""
    epochs = np.asarray(epochs, float)[:, None]
    return np.maximum(0.8 - 0.4 * (epochs - starts + 0.5) / durations, 0.0)[None]


@pytest.mark.parametrize("count", [1, 2, 7])
def test_all_at_once_and_one_after_another(count):
    epochs = np.arange(0, 10 * count + 20)
    together = ramps(epochs, np.full(count, 10), 8)
    in_turn = ramps(epochs, 10 + 10 * np.arange(count), 10)
    with_gaps = ramps(epochs, 10 + 10 * np.arange(count), 4)
    found = order.concurrency(np.concatenate([together, in_turn, with_gaps]), epochs)
    np.testing.assert_allclose(found, [count, 1, 1])


@given(
    starts=st.lists(st.integers(0, 80), min_size=1, max_size=6),
    duration=st.integers(1, 40),
    length=st.integers(50, 150),
)
def test_concurrency_is_work_over_busy_time(starts, duration, length):
    """At every epoch recorded, it is the sum of the durations over the length of their union."""
    work = [{e for e in range(start, start + duration) if e < length} for start in starts]
    union = set().union(*work)
    (found,) = order.concurrency(ramps(range(length), np.array(starts), duration), np.arange(length))
    expected = sum(map(len, work)) / len(union) if union else np.nan
    assert found == pytest.approx(expected, nan_ok=True)


def test_epochs_count_by_their_spacing():
    """Two at once for 100 epochs, then one for 900, recorded ten times as often in the beginning."""
    epochs = np.concatenate([np.arange(0, 300, 5), np.arange(300, 1500, 50)])
    (found,) = order.concurrency(ramps(epochs, np.array([100, 100]), np.array([100, 1000])), epochs)
    assert found == pytest.approx((100 + 1000) / 1000, rel=0.03)
    both, busy = ((epochs >= 100) & (epochs < end) for end in (200, 1100))
    assert 1 + both.sum() / busy.sum() > 1.3  # what counting records would give


def test_concurrency_at_the_edges():
    epochs = [0, 1, 2, 3]
    never = np.ones((4, 2))
    unfinished = np.array([[1, 1], [0.7, 1], [0.6, 1], [0.6, 0.7]])  # two in progress only at the end
    jump = np.array([[1, 1], [0.1, 0.1], [0, 0], [0, 0]])
    back = np.array([[1, 1], [0.7, 1], [0.9, 1], [0.3, 1]])  # falls back, and is done at a stroke
    found = order.concurrency(np.stack([never, unfinished, jump, back]), epochs)
    np.testing.assert_allclose(found, [np.nan, 4 / 3, 2, 1])
    assert order.concurrency([[[0.5, 0.5]]], [0]).tolist() == [2.0]


def test_a_dip_that_comes_to_nothing_is_no_progress():
    """The first dips early and is fitted after the second: never both at once."""
    errors = np.array([[1, 1], [0.7, 0.7], [0.9, 0.6], [0.6, 0.3], [0.5, 0.1], [0.3, 0.1]])
    assert order.concurrency(errors[None], range(6)).tolist() == [1.0]


@given(st.lists(st.integers(1, 100), min_size=1, max_size=12), st.integers(0, 3))
def test_the_largest_burst_is_the_fullest_window(fitted, never):
    (found,) = order.largest_burst([[*fitted, *[np.nan] * never]], window=0.3)
    length = 0.3 * max(fitted)
    fullest = max(sum(begin <= epoch <= begin + length for epoch in fitted) for begin in fitted)
    assert found == pytest.approx(fullest / (len(fitted) + never))


# Plane waves


@given(first=st.floats(-2, 2), second=st.floats(-2, 2))
def test_shares_of_two_plane_waves(first, second):
    prediction = first * WAVES[0] + second * WAVES[1]
    found = diagonal_amplitudes(np.stack([PLANE.y, prediction]), PLANE.x)
    np.testing.assert_allclose(found, [[1, 1], [first, second]], atol=1e-12)
    strips, _ = strip_amplitudes(np.stack([PLANE.y, prediction]), PLANE.x, 10 * np.pi)
    np.testing.assert_allclose(strips[0], np.ones((2, 10)), atol=1e-9)
    np.testing.assert_allclose(strips[1], np.outer([first, second], np.ones(10)), atol=1e-9)


def test_shares_of_any_prediction():
    """Against the amplitudes of :func:`specbias.spectra.project`, and against lstsq, strip by strip."""
    rng = np.random.default_rng(2)
    prediction = rng.normal(size=(2, 3, 2500))
    amplitudes = spectra.project(prediction, PLANE.x, PLANE.frequencies)
    # project fits sines as well; on these points they are orthogonal to the cosines
    np.testing.assert_allclose(
        diagonal_amplitudes(prediction, PLANE.x), amplitudes.real * [2, -2], atol=1e-10
    )
    shuffled = rng.permutation(2500)
    points, values = PLANE.x[shuffled], prediction[1, 2][shuffled]
    strips, centres = strip_amplitudes(values, points, 10 * np.pi, 5)
    np.testing.assert_allclose(centres, [[-0.8, -0.4, 0, 0.4, 0.8], [0.2, 0.6, 1, 1.4, 1.8]], atol=1e-15)
    basis = np.stack(WAVES, axis=1)[shuffled]
    for row, along in enumerate((points[:, 0] - points[:, 1], points[:, 0] + points[:, 1])):
        for number, centre in enumerate(centres[row]):
            inside = (along > centre - 0.2 - 1e-6) & (along < centre + 0.2 - 1e-6)
            fitted = np.linalg.lstsq(basis[inside], values[inside], rcond=None)[0]
            assert strips[row, number] == pytest.approx(fitted[row])


@pytest.mark.parametrize("row", [0, 1])
def test_a_front_is_seen_by_the_strips(row):
    along = PLANE.x @ [[1, 1], [-1, 1]]  # x1 - x2 and x1 + x2
    passed = along[:, row] < (0.2 - 1e-9, 0.6 - 1e-9)[row]
    strips, centres = strip_amplitudes(np.where(passed, PLANE.y, 0), PLANE.x, 10 * np.pi)
    np.testing.assert_allclose(strips[row], centres[row] < (0.2, 0.6)[row], atol=1e-12)
    total = diagonal_amplitudes(np.where(passed, PLANE.y, 0), PLANE.x)
    assert np.all(total > 0.1) and np.all(total < 0.9)


def test_nothing_and_a_constant():
    nothing = np.zeros((2, 2500))
    assert not diagonal_amplitudes(nothing, PLANE.x).any()
    assert not strip_amplitudes(nothing, PLANE.x, 10 * np.pi)[0].any()
    np.testing.assert_allclose(diagonal_amplitudes(nothing + 3.0, PLANE.x), 0, atol=1e-12)


# Arguments


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: order.half_oscillation_errors(X, X, X, 0.0), ValueError, "frequency must be positive"),
        (lambda: order.half_oscillation_errors(X, X, X[:9], 1.0), ValueError, r"x \(n,\) must match, got"),
        (lambda: order.half_oscillation_errors(X, X, X, 9.0, (1, 0)), ValueError, "domain must be two"),
        (lambda: order.half_oscillation_errors(X, 0 * X, X, 9.0), ValueError, "target must not be zero"),
        (lambda: order.half_oscillation_errors(X + 1j, X, X, 9.0), TypeError, "prediction must hold real"),
        (lambda: order.first_below(np.ones((2, 3)), [0, 1, 2], 1), ValueError, "errors must have shape"),
        (lambda: order.first_below(np.ones((1, 2, 3)), [0, 1, 2], 1), ValueError, "errors must have shape"),
        (lambda: order.first_below(np.ones((1, 2, 3)), [1, 1], 1), ValueError, "epochs must ascend"),
        (lambda: order.first_below(np.ones((1, 2, 3)), [0, 1], 0), ValueError, "level must be positive"),
        (lambda: order.rank_correlation([1, 2], [[1, 2, 3]]), ValueError, "epochs must have shape"),
        (lambda: order.rank_correlation([1, 2], [[1, np.inf]]), ValueError, "epochs must be finite"),
        (lambda: order.boundary_distance([1.1]), ValueError, "centres must lie in the domain"),
        (lambda: order.concurrency(np.ones((1, 1, 1)), [0], 0.4, 0.4), ValueError, "done must be below"),
        (lambda: diagonal_amplitudes(X, PLANE.x), ValueError, "points .* must match"),
        (
            lambda: diagonal_amplitudes(PLANE.y, 2 * PLANE.x),
            ValueError,
            "points must lie in the unit",
        ),
        (
            lambda: diagonal_amplitudes([1.0], [[0.1, 0.2]]),
            ValueError,
            "points must leave enough",
        ),
        (
            lambda: strip_amplitudes(PLANE.y, PLANE.x, 9.0, 99),
            ValueError,
            "strips must leave enough",
        ),
        (
            lambda: strip_amplitudes(PLANE.y, PLANE.x, 9.0, 2.0),
            TypeError,
            "strips must be a whole",
        ),
    ],
)
def test_bad_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
