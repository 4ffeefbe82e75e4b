"""Verdicts of the chapter on sequential fitting, on datasets made for each outcome."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from specbias.claims import VERDICTS
from specbias.experiments import sequential_findings as findings
from specbias.targets import sequential_sine

C = 12
OUTER = np.minimum(np.arange(C), np.arange(C)[::-1])


def fitted_at(*networks) -> xr.Dataset:
    """Networks that fit half oscillation ``c`` at the epoch ``network[c]``, within 25 epochs."""
    looks = np.arange(0, 3001, 25)
    error = np.stack([np.clip(1 - (looks[:, None] - np.asarray(n, float)) / 50, 0.1, 1.0) for n in networks])
    return xr.Dataset(
        {"error": (("seed", "epoch", "centre"), error), "size": ("centre", np.ones(C))},
        {"seed": np.arange(len(networks)), "epoch": looks, "centre": (np.arange(C) + 0.5) / C},
    )


def verdict(finding: findings.Finding) -> str:
    assert finding.verdict in VERDICTS
    assert finding.measured and len(finding.measured) <= 170  # a cell of a table
    return finding.verdict


def test_inward():
    assert verdict(findings.inward(fitted_at(200 + 100 * OUTER))) == "reproduced"
    assert verdict(findings.inward(fitted_at(2000 - 100 * OUTER))) == "partly"  # one at a time, but outwards
    assert verdict(findings.inward(fitted_at(np.full(C, 500)))) == "differs"


def test_right_to_left():
    assert verdict(findings.right_to_left(fitted_at(2000 - 100 * np.arange(C)))) == "reproduced"
    assert verdict(findings.right_to_left(fitted_at(200 + 100 * np.arange(C)))) == "partly"
    assert verdict(findings.right_to_left(fitted_at(np.full(C, 500)))) == "differs"


@pytest.mark.parametrize(
    ("final", "expected"), [((1, 0.97), "reproduced"), ((1, 1, 0.2), "partly"), ((0.2, 0.1), "differs")]
)
def test_no_progress(final, expected):
    run = xr.Dataset(
        {"total_error": (("seed", "epoch"), [[1.0, value] for value in final])}, {"epoch": [0, 9]}
    )
    assert verdict(findings.no_progress(run)) == expected


def test_one_frequency_apart():
    bump, bowl, root = (sequential_sine(name).y for name in ("bump", "bowl", "sqrt"))
    assert verdict(findings.one_frequency_apart(bump, bowl, 13)) == "reproduced"
    assert verdict(findings.one_frequency_apart(bump, root, 13)) == "differs"
    assert verdict(findings.one_frequency_apart(bump, bowl, 13.5)) == "not yet measured"


def with_basis(pieces, place=(0.02, 0.3), steepest=(20.0, 20.0), fitted=200 + 100 * OUTER) -> xr.Dataset:
    """One network, two shape epochs; ``place`` is where all its steps stand at either."""
    of_all, units = ("seed", "shape_epoch", "any_unit"), len(pieces)
    spread = np.ones((1, 2, units))
    return fitted_at(fitted).assign(
        pieces=(of_all, spread * np.asarray(pieces, float)),
        reach=(of_all, spread),
        place=(of_all, spread * np.reshape(place, (1, 2, 1))),
        steepest=(of_all, spread * np.reshape(steepest, (1, 2, 1))),
    )


def test_steps_from_the_ends():
    assert verdict(findings.steps_from_the_ends(with_basis([1, 1, 1, 1, 2]))) == "reproduced"
    assert verdict(findings.steps_from_the_ends(with_basis([1] * 5, place=(0.4, 0.4)))) == "partly"
    assert verdict(findings.steps_from_the_ends(with_basis([3] * 5, place=(0.6, 0.6)))) == "differs"
    late = with_basis([1] * 5, place=(0.5, 0.9), steepest=(1.0, 20.0))  # no step but at the end, near one
    assert verdict(findings.steps_from_the_ends(late)) == "reproduced"


def test_siren_together():
    tanh = with_basis([1] * 4)
    mixed = np.random.default_rng(0).permutation(np.r_[np.full(C - 3, 500), 600, 900, 2000])
    assert verdict(findings.siren_together(with_basis([5] * 4, fitted=mixed), tanh)) == "reproduced"
    assert verdict(findings.siren_together(with_basis([5] * 4), tanh)) == "partly"
    assert verdict(findings.siren_together(tanh, tanh)) == "differs"


def on_the_square(begins, first, second) -> xr.Dataset:
    epochs = np.arange(0, 10001, 50)
    waves = np.stack([epochs >= second, epochs >= first], axis=-1)[None].astype(float)
    return xr.Dataset(
        {
            "total_error": (("seed", "epoch"), np.where(epochs >= begins, 0.9, 1.0)[None]),
            "amplitude": (("seed", "epoch", "wave"), waves),
        },
        {"epoch": epochs},
    )


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [((3100, 3500, 5000), "reproduced"), ((3100, 3500, 9000), "partly"), ((100, 300, 400), "differs"),
     ((20000, 20000, 20000), "differs")],
)  # fmt: skip
def test_one_diagonal_first(epochs, expected):
    assert verdict(findings.one_diagonal_first(on_the_square(*epochs))) == expected


def test_plane_steps():
    steps = {"pieces": np.ones((2, 30)), "one_direction": np.ones((2, 30)), "reach": np.ones((2, 30))}
    make = lambda **changes: xr.Dataset({k: (("seed", "unit"), v) for k, v in (steps | changes).items()})  # noqa: E731
    assert verdict(findings.plane_steps(make())) == "reproduced"
    assert verdict(findings.plane_steps(make(one_direction=np.full((2, 30), 0.6)))) == "differs"
    assert verdict(findings.plane_steps(make(pieces=np.full((2, 30), 3.0)))) == "differs"


def test_deeper_oscillate():
    flat, wavy = with_basis([1, 1]), with_basis([2, 4])
    assert verdict(findings.deeper_oscillate({2: flat, 5: wavy})) == "reproduced"
    assert verdict(findings.deeper_oscillate({2: flat, 5: flat})) == "differs"
    assert verdict(findings.deeper_oscillate({2: flat})) == "not yet measured"


def surrogates(epochs, amplitude=None) -> xr.Dataset:
    epochs = np.asarray(epochs, float)
    amplitude = np.ones(len(epochs)) if amplitude is None else amplitude
    return xr.Dataset(
        {
            "reached": (("level", "target", "network"), np.stack([epochs, epochs])),
            "boundary": (("target", "end"), np.stack([amplitude, amplitude / 2], axis=1)),
            "deviation": 1e-16,
        },
        {"level": [0.9, 0.1]},
    )


def test_more_than_frequency():
    one = np.linspace(1000, 4000, 40)
    agreeing, quarrelling = np.stack([one, 1.1 * one], axis=1), np.stack([one, one[::-1]], axis=1)
    moved, still = surrogates([[1000], [3000]]), surrogates([[1000], [1100]])
    assert verdict(findings.more_than_frequency(surrogates(agreeing), moved)) == "reproduced"
    assert verdict(findings.more_than_frequency(surrogates(agreeing), still)) == "partly"
    assert verdict(findings.more_than_frequency(surrogates(quarrelling), still)) == "differs"
    assert verdict(findings.more_than_frequency(surrogates(-np.ones((40, 2))), still)) == "not yet measured"
    late = agreeing.copy()
    late[-8:, 1] = -1  # a network that never gets there is no fast one
    assert verdict(findings.more_than_frequency(surrogates(late), still)) == "not yet measured"


def test_regression_on_the_boundary():
    random = np.random.default_rng(1)
    amplitude = random.uniform(0.5, 1.5, 100)
    epochs = 10 ** (4 - 0.5 * amplitude + 0.1 * random.normal(size=100))
    found = findings.boundary_regression(surrogates(epochs[:, None], amplitude), 0.1)
    slope, intercept = np.polyfit(amplitude, np.log10(epochs), 1)
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept))
    assert found.r_squared == pytest.approx(np.corrcoef(amplitude, np.log10(epochs))[0, 1] ** 2)
    assert found.low < found.r_squared < found.high
    assert np.isnan(findings.boundary_regression(surrogates(-np.ones((20, 1))), 0.1).slope)
    few = surrogates(np.where(np.arange(100) < 9, epochs, -1)[:, None], amplitude)
    assert np.isnan(findings.boundary_regression(few, 0.1).r_squared)
    ten = surrogates(np.where(np.arange(100) < 10, epochs, -1)[:, None], amplitude)
    slope = np.polyfit(amplitude[:10], np.log10(epochs[:10]), 1)[0]
    assert findings.boundary_regression(ten, 0.1).slope == pytest.approx(slope)


def test_two_networks_agree():
    epochs = 10.0 ** np.random.default_rng(2).normal(3, 0.2, (50, 2))
    expected = np.corrcoef(np.log10(epochs).T)[0, 1]
    assert findings.repeatable(surrogates(epochs)) == pytest.approx(expected)
    assert np.isnan(findings.repeatable(surrogates(epochs[:, :1])))


def test_the_kernel_ranks_targets():
    run = surrogates(np.array([[100], [300], [200], [-1]]))
    run["kernel_steps"] = ("target", [1.0, 1e30, 1e5, 0.0])
    assert findings.kernel_ranks(run) == pytest.approx(1)
    assert np.isnan(findings.kernel_ranks(run.isel(target=[0, 3])))


def test_which_variants_keep_the_claims():
    values = {"from_left": 0.9, "from_right": 0.9, "leftward": 0.1, "final": 0.99}
    shape, dims = (2, 4, 3), ("variant", "envelope", "seed")
    variants = xr.Dataset(
        {name: (dims, np.full(shape, value)) for name, value in values.items()},
        {"envelope": ["none", "sqrt", "bump", "bowl"]},
    )
    variants.from_left[1] = 0.2
    assert findings.survives(variants) == {"SF1": 1, "SF2": 0, "SF3": 2, "SF4": 1}
