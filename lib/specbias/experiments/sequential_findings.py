"""What the runs of the chapter on sequential fitting say of each claim: a value in words, and a verdict.

Every criterion is written in its function. Rank correlations are medians over networks; an oscillation counts
as fitted as :func:`specbias.experiments.sequential.order_measures` says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats

from specbias.experiments.findings import UNMEASURED, Finding, graded
from specbias.experiments.sequential import order_measures

STEEP = 5.0
"""How many times as steep as a straight ramp a function is that counts as a step."""


def range_in_words(values, digits: int = 2) -> str:
    """Median and range of finite values.

    Examples
    --------
    >>> range_in_words([1.0, 2.0, 4.0], 0), range_in_words([np.nan])
    ('2 (1 to 4)', 'none')
    """
    known = np.asarray(values, dtype=float).ravel()
    known = known[np.isfinite(known)]
    if not known.size:
        return "none"
    middle, low, high = (f"{v:.{digits}f}" for v in (np.median(known), known.min(), known.max()))
    return f"{middle} ({low} to {high})" if low != high else middle


def inward(run: xr.Dataset) -> Finding:
    """SF1, SF4: in either half, oscillations are fitted from the end inwards, one at a time from each end.

    Rank correlations of fitting epoch and distance from the end above 0.7 in both halves; at most three half
    oscillations in progress at one time, on average.
    """
    measures = order_measures(run)
    left, right, at_once = (_median(measures[name]) for name in ("from_left", "from_right", "at_once"))
    told = f"rank correlations {left:.2f} and {right:.2f} from the two ends; {at_once:.1f} fitted at one time"
    return Finding(told, graded(left > 0.7 and right > 0.7, at_once <= 3.0))


def right_to_left(run: xr.Dataset) -> Finding:
    """SF2: fitted from the right end to the left: a rank correlation above 0.7, two at a time at most."""
    measures = order_measures(run)
    order, at_once = _median(measures.leftward), _median(measures.at_once)
    told = f"rank correlation with the distance from the right end {range_in_words(measures.leftward)}"
    return Finding(f"{told}; {at_once:.1f} fitted at one time", graded(order > 0.7, at_once <= 2.0))


def no_progress(run: xr.Dataset) -> Finding:
    """SF3: at the end every network's relative error is above 95 %; partly: the median network's."""
    final = run.total_error.isel(epoch=-1).values
    told = f"relative error at epoch {int(run.epoch[-1])}: {range_in_words(final)}"
    return Finding(told, graded(bool((final > 0.95).all()), float(np.median(final)) > 0.95))


def one_frequency_apart(first: np.ndarray, second: np.ndarray, wavenumber: float) -> Finding:
    """SF5: the magnitudes of the two discrete Fourier transforms are equal but at the wavenumber."""
    spectra = np.abs(np.fft.rfft([first, second]))
    difference = np.abs(spectra[0] - spectra[1]) / spectra.max()
    at = np.arange(difference.size) == wavenumber
    if not at.any():
        return Finding(f"the wavenumber {wavenumber:g} is not one of the transform", UNMEASURED)
    told = (
        f"{difference[at][0]:.2f} of the largest at m = {wavenumber:g}, {difference[~at].max():.0e} elsewhere"
    )
    return Finding(told, graded(bool(difference[at][0] > 0.1 and difference[~at].max() < 1e-12)))


def monotone_share(run: xr.Dataset) -> xr.DataArray:
    """Share of what the output is made of (weight times range) that monotone functions carry.

    ``(seed, shape_epoch)``.
    """
    return (run.reach * (run.pieces == 1)).sum("any_unit") / run.reach.sum("any_unit")


def mean_pieces(run: xr.Dataset) -> xr.DataArray:
    """Mean number of monotone pieces of the functions, by weight times range, ``(seed, shape_epoch)``."""
    return (run.reach * run.pieces).sum("any_unit") / run.reach.sum("any_unit")


def steps_distance(run: xr.Dataset) -> xr.DataArray:
    """Mean distance of the steps from the nearer end, by weight times range, ``(seed, shape_epoch)``."""
    weight = run.reach * (run.steepest > STEEP)
    return (weight * np.minimum(run.place, 1 - run.place)).sum("any_unit") / weight.sum("any_unit")


def steps_from_the_ends(run: xr.Dataset) -> Finding:
    """SF6: monotone functions carry over three quarters of the output, and the first steps are at the ends.

    At the end of training; and where steps first carry a tenth, their mean distance from the nearer end is
    below 0.15 in the median network (0.25 if they were anywhere).
    """
    share = monotone_share(run).isel(shape_epoch=-1)
    weight = (run.reach * (run.steepest > STEEP)).sum("any_unit") / run.reach.sum("any_unit")
    enough = weight > 0.1
    distances = steps_distance(run).isel(shape_epoch=enough.argmax("shape_epoch"))
    distance = _median(distances.where(enough.any("shape_epoch")))
    told = (
        f"monotone functions carry {range_in_words(share)}; the first steps are {distance:.2f} from an end, "
        f"the last ones {_median(steps_distance(run).isel(shape_epoch=-1)):.2f}"
    )
    return Finding(told, graded(_median(share) > 0.75, distance < 0.15))


def siren_together(siren: xr.Dataset, tanh: xr.Dataset) -> Finding:
    """SF7: the basis oscillates, and the fit is not sequential.

    Monotone functions carry less than a quarter; and over half of the oscillations are fitted within a tenth
    of the time, with a rank correlation with the distance from the boundary below 0.5.
    """
    share = _median(monotone_share(siren).isel(shape_epoch=-1))
    measures, others = order_measures(siren), order_measures(tanh)
    burst, order = _median(measures.burst), _median(measures.inward)
    told = (
        f"monotone functions carry {share:.2f}; {burst:.0%} fitted within a tenth of the time (tanh: "
        f"{_median(others.burst):.0%}), rank correlation {order:.2f} (tanh: {_median(others.inward):.2f})"
    )
    return Finding(told, graded(share < 0.25, burst > 0.5 and order < 0.5))


def plane_epochs(run: xr.Dataset) -> xr.Dataset:
    """When the fit begins (relative error below 95 %) and when either plane wave is half there, ``(seed)``.

    ``begins``, ``first`` and ``second``; nan for never.
    """
    ordered = np.sort(_first(run.amplitude.transpose("epoch", "seed", "wave") > 0.5, run.epoch), axis=-1)
    begins = _first(run.total_error.transpose("epoch", "seed") < 0.95, run.epoch)
    return xr.Dataset(
        {"begins": ("seed", begins), "first": ("seed", ordered[:, 0]), "second": ("seed", ordered[:, 1])}
    )


def one_diagonal_first(run: xr.Dataset) -> Finding:
    """SF8: nothing but the mean for 3000 epochs; one plane wave before the other; the second near epoch 5000.

    Near is within a factor of 1.5 in the median; one before the other is by over 500 epochs.
    """
    at = plane_epochs(run)
    told = []
    for what, name in (("begins", "begins"), ("one wave", "first"), ("the other", "second")):
        never = int(at[name].isnull().sum())
        without = f" ({never} of {at.seed.size} networks: never)" if never else ""
        told.append(f"{what} at epoch {range_in_words(at[name], 0)}{without}")
    begins, second = (float(np.median(at[name].fillna(np.inf))) for name in ("begins", "second"))
    apart = float(np.median((at.second.fillna(np.inf) - at["first"]).fillna(0))) > 500  # 0: neither is there
    return Finding(", ".join(told), graded(3000 < begins < np.inf, apart, 5000 / 1.5 < second < 5000 * 1.5))


def plane_steps(run: xr.Dataset) -> Finding:
    """SF9: of the 25 functions with the largest weights, those that are steps carry over three quarters.

    A step varies along one direction (nine tenths of its gradient's energy) and is monotone along it.
    """
    largest = np.argsort(-run.reach.values, axis=1)[:, :25]
    reach, pieces, one = (
        np.take_along_axis(run[name].values, largest, axis=1) for name in ("reach", "pieces", "one_direction")
    )
    share = (reach * ((pieces == 1) & (one > 0.9))).sum(axis=1) / reach.sum(axis=1)
    return Finding(f"steps carry {range_in_words(share)} of the 25", graded(float(np.median(share)) > 0.75))


def deeper_oscillate(depths: dict[int, xr.Dataset]) -> Finding:
    """SF10: functions of the deepest networks have over 1.5 times the monotone pieces of two layers'."""
    pieces = {depth: _median(mean_pieces(run).isel(shape_epoch=-1)) for depth, run in depths.items()}
    told = "monotone pieces by depth: " + ", ".join(f"{d}: {p:.1f}" for d, p in pieces.items())
    if 2 not in pieces or len(pieces) < 2:
        return Finding(told, UNMEASURED)
    return Finding(told, graded(pieces[max(pieces)] > 1.5 * pieces[2]))


@dataclass(frozen=True)
class Regression:
    """``log10 epochs = intercept + slope * amplitude``; 95 % of ``r_squared`` is ``low`` to ``high``."""

    slope: float
    intercept: float
    r_squared: float
    low: float
    high: float


def boundary_regression(run: xr.Dataset, level: float) -> Regression:
    """How much of the epochs' variance the larger boundary amplitude explains; interval by bootstrap.

    Epochs are means of the logarithms over a target's networks; targets with a network that never got there
    are left out. All nan where fewer than ten targets remain.
    """
    reached = run.reached.sel(level=level)
    kept = (reached > 0).all("network").values
    amplitude = run.boundary.max("end").values[kept]
    epochs = np.log10(reached.values[kept]).mean(axis=1)
    if amplitude.size < 10 or np.ptp(epochs) == 0:
        return Regression(*[float("nan")] * 5)
    line = stats.linregress(amplitude, epochs)
    interval = stats.bootstrap(
        (amplitude, epochs), lambda a, e: stats.pearsonr(a, e).statistic ** 2, paired=True, vectorized=False,
        n_resamples=2000, method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Regression(line.slope, line.intercept, line.rvalue**2, interval.low, interval.high)


def repeatable(run: xr.Dataset, level: float = 0.1) -> float:
    """Share of the variance of log epochs that a second network of the same target shares; nan for one."""
    reached = run.reached.sel(level=level)
    kept = reached.values[(reached > 0).all("network").values]
    if reached.sizes["network"] < 2 or len(kept) < 3:
        return float("nan")
    return float(stats.pearsonr(*np.log10(kept[:, :2]).T).statistic)


def kernel_ranks(run: xr.Dataset, level: float = 0.1) -> float:
    """Rank correlation of the epochs, mean over networks, with the steps that the first kernel predicts."""
    reached = run.reached.sel(level=level)
    kept = (reached > 0).all("network").values
    if kept.sum() < 3:
        return float("nan")
    return float(stats.spearmanr(run.kernel_steps[kept], reached[kept].mean("network")).statistic)


def more_than_frequency(phases: xr.Dataset, shifts: xr.Dataset) -> Finding:
    """SF11: at equal magnitudes, the slowest 5 % of targets take over 1.5 times as long as the fastest 5 %.

    And a second network agrees on which (correlation above 0.5), and so it is for shifts of one target.
    """
    epochs = phases.reached.sel(level=0.1).astype(float)
    epochs = epochs.where(epochs > 0, np.inf).median("network")
    fast, slow = np.quantile(epochs, [0.05, 0.95], method="nearest")
    agree = repeatable(phases)
    moved = shifts.reached.sel(level=0.1).astype(float)
    moved = moved.where(moved > 0, np.inf).median("network").values
    if not np.isfinite([fast, slow]).all():
        return Finding("too few targets were fitted", UNMEASURED)
    told = (
        f"magnitudes equal to {float(phases.deviation):.0e}; 90 % of targets take {fast:.0f} to {slow:.0f} "
        f"epochs (correlation of two networks {agree:.2f}); one target, moved: {moved.min():.0f} to "
        f"{moved.max():.0f}"
    )
    return Finding(
        told, graded(bool(slow > 1.5 * fast and agree > 0.5), bool(moved.max() > 1.5 * moved.min()))
    )


def survives(variants: xr.Dataset) -> dict[str, int]:
    """In how many variants each of SF1 to SF4 holds, by the criteria above but "one at a time"."""
    middle = variants.median("seed")
    inward = (middle.from_left > 0.7) & (middle.from_right > 0.7)
    held = {
        "SF1": inward.sel(envelope="none"),
        "SF2": middle.leftward.sel(envelope="sqrt") > 0.7,
        "SF3": middle.final.sel(envelope="bump") > 0.95,
        "SF4": inward.sel(envelope="bowl"),
    }
    return {claim: int(holds.sum()) for claim, holds in held.items()}


def most_fitted(variants: xr.Dataset, name: str) -> str:
    """Share of half oscillations that a variant fits of its best target, in the median network; in words."""
    return f"{float(variants.share.sel(variant=name).median('seed').max('envelope')):.0%}"


def modes_at_the_start(kernel: xr.Dataset) -> str:
    """How many modes of the untrained networks' kernels are above round-off, in words."""
    return range_in_words((kernel.eigenvalue.isel(epoch=0) > 0).sum("mode"), 0)


def _median(values: xr.DataArray) -> float:
    known = values.values[np.isfinite(values.values)]
    return float(np.median(known)) if known.size else float("nan")


def _first(reached: xr.DataArray, epochs: xr.DataArray) -> np.ndarray:
    """First epoch along the leading axis at which something holds; nan if never."""
    holds = reached.values
    return np.where(holds.any(axis=0), epochs.values[holds.argmax(axis=0)].astype(float), np.nan)
