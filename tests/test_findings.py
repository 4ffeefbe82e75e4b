"""Verdicts of the chapter on spectral bias, on datasets made for each outcome and its edges."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from specbias.claims import VERDICTS
from specbias.experiments import findings
from specbias.experiments.oscillations import fanning_out, first_fitted, oscillation_errors

FREQUENCY = 2.0
GRID = np.linspace(-7.5, 7.5, 151)
NEVER, DIVERGED = [-1, -1], [1e30, np.nan]


def thread_run(*, error=(0.5, 0.5), fitted=(-1, -1), coarse=(-1, -1), diverged=(False, False)) -> xr.Dataset:
    """Two networks with these errors at the end; `fitted` is for 10 %, `coarse` for 30 %."""
    return xr.Dataset(
        {
            "error": (("seed", "epoch"), [[1.0, value] for value in error]),
            "fitted": (("seed", "level"), np.stack([coarse, fitted, NEVER], axis=1)),
            "diverged": ("seed", list(diverged)),
        },
        {"epoch": [0, 2000], "level": [0.3, 0.1, 0.05]},
    )


def sweep_run(fitted: dict, *, error=0.05, seconds=None) -> xr.Dataset:
    """A sweep over one setting: first epochs below 10 % by value."""
    epochs = np.array(list(fitted.values()))
    return xr.Dataset(
        {
            "fitted": (("value", "seed", "level"), epochs[..., None]),
            "error": (("value", "seed", "epoch"), np.full((*epochs.shape, 1), error)),
            "seconds_per_epoch": ("value", seconds or [1.0] * len(epochs)),
        },
        {"value": list(fitted), "level": [0.1]},
    )


def learned_part(amount_by_centre, epochs=1) -> xr.Dataset:
    """One network that has learned ``amount_by_centre(centre, epoch)`` of each half oscillation of sin 2x."""
    centre = (np.floor(GRID * FREQUENCY / np.pi) + 0.5) * np.pi / FREQUENCY
    target = np.sin(FREQUENCY * GRID)
    prediction = np.stack([amount_by_centre(centre, epoch) * target for epoch in range(epochs)])[None]
    return xr.Dataset(
        {"prediction": (("seed", "epoch", "point"), prediction), "target": ("point", target)},
        {"x": ("point", GRID), "epoch": np.arange(epochs)},
    )


def outwards(centre, epoch):
    return np.where(np.abs(centre) < 1.6 * epoch, 0.95, 0.0)


def verdict(finding: findings.Finding) -> str:
    assert finding.verdict in VERDICTS
    assert finding.measured and len(finding.measured) <= 140  # a cell of a table
    return finding.verdict


# Words and measures


def test_error_of_each_half_oscillation_is_the_share_that_is_missing():
    errors = oscillation_errors(learned_part(lambda centre, _: 1 - np.abs(centre) / 8), FREQUENCY)
    np.testing.assert_allclose(errors.centre, (np.arange(-4, 4) + 0.5) * np.pi / 2)
    np.testing.assert_allclose(errors.values[0, 0], np.abs(errors.centre) / 8, atol=1e-12)


def test_half_oscillations_are_only_the_whole_and_resolved_ones():
    run = learned_part(lambda centre, _: 0 * centre)
    assert (
        oscillation_errors(run, 0.3).centre.size == 0
    )  # a half oscillation is longer than half the interval
    assert oscillation_errors(run, 50.0).centre.size == 0  # shorter than the spacing of the points
    assert oscillation_errors(run.isel(point=slice(75, None)), FREQUENCY).centre.min() > 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30, -1e38])
def test_a_diverged_prediction_has_an_infinite_error(bad):
    run = learned_part(lambda centre, _: 0 * centre).astype("float32")
    run["prediction"][:] = bad
    assert np.isposinf(oscillation_errors(run, FREQUENCY)).all()


def test_fanning_out_by_hand():
    def errors(first_epochs):
        epoch = np.arange(5)[:, None]
        values = np.where(epoch >= np.array(first_epochs), 0.4, 1.0)
        return xr.DataArray(
            values[None], dims=("seed", "epoch", "centre"), coords={"centre": [-3.0, 1.0, 2.0, 4.0]}
        )

    # ranks of |centre|: 3 1 2 4.  Spearman: 1 - 6 sum(d^2) / (4 * 15)
    assert fanning_out(errors([2, 0, 1, 3])) == pytest.approx(1)
    assert fanning_out(errors([1, 3, 2, 0])) == pytest.approx(-1)
    assert fanning_out(errors([0, 1, 2, 3])) == pytest.approx(1 - 6 * (4 + 0 + 1 + 1) / 60)
    assert fanning_out(errors([1, 0, 2, 99])) == pytest.approx(1 - 6 * (1 + 0 + 1 + 0) / 60)  # 99: never
    assert np.isnan(fanning_out(errors([9, 9, 9, 9])))
    assert first_fitted(errors([2, 0, 1, 99])).tolist() == [[2, 0, 1, 5]]


@given(st.lists(st.integers(-1, 50), min_size=1, max_size=9))
def test_the_median_epoch_is_the_middle_of_the_sorted_epochs(epochs):
    late = sorted(np.inf if epoch < 0 else epoch for epoch in epochs)
    middle = (late[(len(late) - 1) // 2] + late[len(late) // 2]) / 2
    assert findings.median_epoch(epochs) == middle
    words = findings.epochs_in_words(epochs)
    assert (words == "never") == (max(epochs) < 0)


# SB1


def test_centre_first():
    assert verdict(findings.centre_first(learned_part(outwards, 3), FREQUENCY)) == "reproduced"
    everything = learned_part(lambda centre, epoch: outwards(centre, 2 * epoch), 4)
    assert verdict(findings.centre_first(everything, FREQUENCY)) == "partly"  # fans out, and then is done
    inwards = learned_part(lambda centre, epoch: np.where(np.abs(centre) > 6 - 1.6 * epoch, 0.95, 0), 3)
    assert verdict(findings.centre_first(inwards, FREQUENCY)) == "differs"
    nothing = learned_part(lambda centre, _: 0 * centre, 3)
    assert verdict(findings.centre_first(nothing, FREQUENCY)) == "differs"


@pytest.mark.parametrize(("missing", "expected"), [(0.29, "reproduced"), (0.31, "partly")])
def test_centre_first_needs_the_centre(missing, expected):
    def amount(centre, epoch):  # half of the next ones is fitted later
        late = np.where((epoch == 2) & (np.abs(centre) < 4), 0.6, 0.0)
        return np.where((epoch >= 1) & (np.abs(centre) < 1), 1 - missing, late)

    assert verdict(findings.centre_first(learned_part(amount, 3), FREQUENCY)) == expected


@pytest.mark.parametrize(("missing", "expected"), [(0.51, "reproduced"), (0.49, "partly")])
def test_centre_first_needs_edges_that_are_not_fitted(missing, expected):
    def amount(centre, epoch):
        return np.where(np.abs(centre) < 3, outwards(centre, epoch), 1 - missing if epoch == 4 else 0)

    assert verdict(findings.centre_first(learned_part(amount, 5), FREQUENCY)) == expected


def test_centre_first_where_there_is_no_telling():
    run = learned_part(outwards, 3)
    for frequency in (0.1, 0.9, 50.0):
        assert verdict(findings.centre_first(run, frequency)) == "not yet measured"


# SB2 to SB4


@pytest.mark.parametrize(
    ("error", "fitted", "expected"),
    [
        ((0.4, 0.4), NEVER, "reproduced"),
        ((0.4, 0.4), (1500, 2000), "reproduced"),
        ((0.05, 0.05), (1000, 1000), "partly"),
        ((0.05, 0.05), (1000, 1002), "reproduced"),
        ((0.5, 0.5), NEVER, "differs"),
        ((0.4, np.nan), NEVER, "differs"),
        (DIVERGED, NEVER, "differs"),
    ],
)
def test_momentum_helps(error, fitted, expected):
    assert verdict(findings.momentum_helps(thread_run(), thread_run(error=error, fitted=fitted))) == expected


def test_momentum_does_not_win_against_a_run_that_diverged():
    asker = thread_run(error=(0.5, 0.5), diverged=(True, True))
    assert verdict(findings.momentum_helps(asker, thread_run(error=(0.4, 0.4)))) == "differs"


@pytest.mark.parametrize(
    ("fitted", "expected"),
    [((700, 900), "reproduced"), ((700, 902), "partly"), ((700, -1), "partly"), (NEVER, "differs")],
)
def test_deep_fits(fitted, expected):
    assert verdict(findings.deep_fits(thread_run(fitted=fitted))) == expected


@pytest.mark.parametrize(
    ("error", "coarse", "expected"),
    [
        ((0.9, 1.0), NEVER, "reproduced"),
        ((0.25, 0.9), (500, -1), "partly"),
        ((0.1, 0.4), (500, 900), "differs"),
        ((0.9, 1e30), NEVER, "differs"),
        (DIVERGED, NEVER, "differs"),
    ],
)
def test_deep_fails(error, coarse, expected):
    assert verdict(findings.deep_fails(thread_run(error=error, coarse=coarse))) == expected


# SB5 to SB8


@pytest.mark.parametrize(
    ("fitted", "expected"), [((90, 110), "reproduced"), ((90, 112), "differs"), ((90, -1), "differs")]
)
def test_one_oscillation(fitted, expected):
    assert verdict(findings.one_oscillation(sweep_run({1: fitted, 2: NEVER}))) == expected


@pytest.mark.parametrize(
    ("two", "three", "expected"),
    [
        ((700, 900), (801, 801), "reproduced"),
        ((700, 900), NEVER, "reproduced"),
        ((700, 900), (800, 800), "differs"),
        ((801, 801), NEVER, "differs"),
        (NEVER, NEVER, "differs"),
    ],
)
def test_most_oscillations(two, three, expected):
    assert verdict(findings.most_oscillations(sweep_run({1: (80, 80), 2: two, 3: three}))) == expected


@pytest.mark.parametrize(
    ("narrow", "wide", "clock", "expected"),
    [
        (300, 450, 9.0, "reproduced"),
        (450, 300, 9.0, "reproduced"),
        (300, 451, 9.0, "partly"),
        (300, 300, 0.5, "partly"),
        (900, 300, 9.0, "partly"),
        (901, 300, 9.0, "differs"),
        (300, -1, 9.0, "differs"),
        (-1, -1, 9.0, "differs"),
        (300, 300, np.nan, "partly"),
    ],
)
def test_width_changes_little(narrow, wide, clock, expected):
    sweep = sweep_run({"8 x 8": (narrow,) * 2, "32 x 32": (wide,) * 2}, seconds=[1.0, clock])
    assert verdict(findings.width_changes_little(sweep, "8 x 8", "32 x 32")) == expected


@pytest.mark.parametrize(
    ("many", "three", "error", "expected"),
    [
        (126, 100, 0.05, "reproduced"),
        (125, 126, 0.05, "partly"),
        (125, 125, 0.05, "differs"),
        (50, 100, 0.05, "differs"),
        (-1, 100, 0.4, "reproduced"),  # trains soundly, and never gets there
        (-1, 100, np.nan, "differs"),
        (-1, -1, 1e30, "partly"),
    ],
)
def test_more_points(many, three, error, expected):
    points = sweep_run({157: (100, 100), 2512: (many, many)}, error=error)
    oscillations = sweep_run({1: (100, 100), 2: (110, 110), 3: (three, three)})
    assert verdict(findings.more_points(points, oscillations)) == expected


# SB9 to SB11


def waves(low, high, stopped) -> xr.Dataset:
    amplitude = np.array([[[0.0, 0.0], [low, high], [1.0, 1.0]]] * 2)
    return xr.Dataset(
        {"amplitude": (("seed", "epoch", "wavenumber"), amplitude), "stopped": ("seed", stopped)},
        {"epoch": [0, 48, 20000], "wavenumber": [4, 14]},
    )


@pytest.mark.parametrize(
    ("low", "high", "stopped", "expected"),
    [
        (0.5, 0.09, [20000, 22000], "reproduced"),
        (0.5, -0.09, [14969, 14969], "reproduced"),
        (0.5, 0.11, [33677, 33677], "partly"),
        (0.5, -0.11, [20000, 22000], "partly"),
        (0.5, 0.01, [14967, 14967], "partly"),
        (0.5, 0.01, [20000, -1], "partly"),
        (0.5, 0.11, [33679, 33679], "differs"),
        (np.inf, 0.1, NEVER, "differs"),
        (np.nan, np.nan, NEVER, "differs"),
    ],
)
def test_low_wave_first(low, high, stopped, expected):
    assert verdict(findings.low_wave_first(waves(low, high, stopped))) == expected


def steps_run(frequencies, steps, runs=3) -> xr.Dataset:
    steps = np.broadcast_to(np.asarray(steps)[:, None], (len(frequencies), runs))
    return xr.Dataset({"steps": (("frequency", "run"), steps.copy())}, {"frequency": list(frequencies)})


@given(st.floats(0.5, 3.0), st.floats(1.0, 50.0))
def test_exponent_of_an_exact_power_law(exponent, prefactor):
    k = np.arange(1, 31)
    law = findings.exponent(steps_run(k, np.where(k < 8, 1e6, prefactor * k**exponent)))
    assert law.exponent == pytest.approx(exponent, abs=1e-9)
    assert law.prefactor == pytest.approx(prefactor)


def test_exponent_leaves_out_what_one_run_did_not_learn():
    k = np.arange(8, 16)
    run = steps_run(k, 7 * k**2)
    run.steps[3, 1], run.steps[5, :] = -1, -1
    assert findings.exponent(run).exponent == pytest.approx(2)
    run.steps[2:] = -1
    assert findings.exponent(run) is None


def test_quadratic_times():
    def fit(exponent):
        return findings.exponent(steps_run([8, 16, 32], 5 * np.array([8.0, 16, 32]) ** exponent))

    close, far = (fit(2.06), 1.93), (fit(2.09), 1.93)
    assert verdict(findings.quadratic_times({"a": close, "b": close})) == "reproduced"
    assert verdict(findings.quadratic_times({"a": close, "b": far})) == "partly"
    assert verdict(findings.quadratic_times({"a": far, "b": far})) == "differs"
    assert verdict(findings.quadratic_times({"a": close, "b": (None, 2.0)})) == "partly"
    assert verdict(findings.quadratic_times({"a": (None, 2.0)})) == "differs"


@pytest.mark.parametrize(
    ("odd", "even", "expected"),
    [(-1, 40, "reproduced"), (70, 40, "partly"), (70, -1, "differs"), (-1, -1, "differs")],
)
def test_odd_never(odd, even, expected):
    k = np.arange(1, 11)
    assert (
        verdict(findings.odd_never(steps_run(k, np.where(k % 2 == 0, even, np.where(k == 1, 3, odd)))))
        == expected
    )


def test_odd_never_counts_single_runs():
    k = np.arange(1, 11)
    run = steps_run(k, np.where(k % 2 == 0, 40, -1))
    run.steps[9, 0] = -1
    assert findings.odd_never(run).verdict == "partly"
    run.steps[2, 1] = 1000
    assert findings.odd_never(run) == ("odd k >= 3 learned in 1 of 12 runs, even k in 14 of 15", "differs")
