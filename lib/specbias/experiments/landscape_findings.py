"""What the runs of the chapter on the energy landscape say of each claim: a value in words, and a verdict.

Every criterion is written in its function. A network has *found* the sawtooth when its output holds more than
half of it (:func:`specbias.experiments.landscape_trainings.teeth`); a network is *constant* when no input
changes its output. The sawtooth's own variance, 1.3e-3, is the loss of a network that has learned the spline
perfectly and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.special import expit
from scipy.stats import ks_2samp

from specbias.ensembles import predict
from specbias.experiments.findings import UNMEASURED, Finding, graded
from specbias.experiments.landscape_minima import crossing
from specbias.experiments.landscape_trainings import FLAT, FOUND
from specbias.landscape import canonical, hand_built_network, random_symmetry

RETURNED = 1e-5
"""Loss below which a network is back at the global minimum: a hundredth of the sawtooth's variance."""


def exact_on_its_data() -> Finding:
    """EL1: the network's output differs from the formula of its function by round-off, 1e-14 at most."""
    built = hand_built_network()
    error = float(np.abs(predict(built.parameters[None], built.x)[0] - built.y).max())
    return Finding(f"largest error {error:.0e} on {built.x.size} points", graded(error < 1e-14))


def spline_only(runs: Mapping[str, xr.Dataset]) -> Finding:
    """EL2: none finds the sawtooth, and over half of each optimizer's networks explain 90 % of the spline."""
    parts, none, learned = [], True, True
    for name, run in runs.items():
        share = spline_learned(run)
        found = int((run.teeth > FOUND).sum())
        parts.append(f"{name}: {found} of {run.sizes['model']} find the teeth, {share:.0%} learn the spline")
        none, learned = none and found == 0, learned and share > 0.5
    return Finding("; ".join(parts), graded(none, learned))


def spline_learned(run: xr.Dataset) -> float:
    """Share of networks whose loss is below the sawtooth's variance plus a tenth of the spline's."""
    sawtooth = (run.y - run.spline).var()
    return float((run.loss < sawtooth + 0.1 * run.spline.var()).mean())


def same_losses(recorded: Mapping[str, xr.Dataset], live: Mapping[str, xr.Dataset]) -> str:
    """In words, whether other networks' losses are distributed alike (two-sample Kolmogorov-Smirnov)."""
    chances = [ks_2samp(run.loss, live[name].loss).pvalue for name, run in recorded.items()]
    return " and ".join(f"{chance:.2f} ({name})" for name, chance in zip(recorded, chances, strict=True))


def best_of_all(momentum: xr.Dataset, adadelta: xr.Dataset) -> Finding:
    """EL3: Adadelta's least loss is below momentum's; neither is below a tenth of the sawtooth's variance."""
    least = {name: float(run.loss.min()) for name, run in (("momentum", momentum), ("Adadelta", adadelta))}
    sawtooth = float((momentum.y - momentum.spline).var())
    told = "least loss: " + ", ".join(f"{name} {loss:.2e}" for name, loss in least.items())
    told += f" of {momentum.sizes['model']} and {adadelta.sizes['model']} (sawtooth: {sawtooth:.2e})"
    neither = min(least.values()) > 0.1 * sawtooth
    return Finding(told, graded(least["Adadelta"] < least["momentum"], neither))


def basin_radius(run: xr.Dataset, share: float = 1.0) -> np.ndarray:
    """Distance along each band at which the loss first reaches this share of the sawtooth's variance."""
    level = share * float(hand_built_network().sawtooth.var())
    return crossing(run.energy.values, run.distance.values, level)


def steep_then_flat(run: xr.Dataset) -> Finding:
    """EL4: a basin of radius 1 to 4, less than a third of the way; half of the minima within 9.5 to 10.5.

    The radius is where the rise ends: where the loss along the band reaches the sawtooth's variance, all that
    there is to lose with the teeth. (As first written, half of that; changed after the bands had been seen.)
    """
    length = run.distance.values[:, -1]
    shell = float(((run.apart > 9.5) & (run.apart < 10.5)).mean())
    middle, half = (float(np.nanmedian(basin_radius(run, share))) for share in (1.0, 0.5))
    low, high = float(run.apart.min()), float(run.apart.max())
    told = (
        f"radius {middle:.2f} ({half:.2f} to half of the loss) of {np.median(length):.1f} along the bands; "
        f"minima {low:.1f} to {high:.1f} away, {shell:.0%} within 9.5 to 10.5; {converged(run)}"
    )
    return Finding(told, graded(1 < middle < 4 and middle < np.median(length) / 3, shell > 0.5))


def converged(run: xr.Dataset, tolerance: float = 1e-2) -> str:
    """How many bands are relaxed, in words."""
    count = int((run.force < tolerance).sum())
    return f"{count} of {run.sizes['path']} bands relaxed to a force of {tolerance:g}"


def barrier(run: xr.Dataset) -> tuple[str, str, str]:
    """In words: the bands' highest loss and how much of the way is low (medians); how many cross a constant.

    Where all units of a layer are dead the output is constant and the loss has no slope, so that a band
    stays there as it was put.
    """
    level = float(hand_built_network().sawtooth.var())
    step = np.diff(run.distance.values, axis=1)
    low = np.where(run.energy.values[:, 1:] < 2 * level, step, 0).sum(axis=1) / run.distance.values[:, -1]
    highest = float(run.energy.max("image").median()) / level
    flat = (abs(run.energy / run.y.var() - 1) < 0.01) & (run.change < FLAT)
    return f"{highest:.0f}", f"{np.median(low):.0%}", f"{float(flat.any('image').mean()):.0%}"


def radii(run: xr.Dataset) -> str:
    """In words, the range over settings of where the rise ends (medians over bands), and that of lengths."""
    parts = []
    for key in ("radius", "length"):
        middle = run[key].median("path")
        parts.append(f"{float(middle.min()):.1f} to {float(middle.max()):.1f}")
    return f"rise {parts[0]}, length {parts[1]}"


def finders(run: xr.Dataset) -> str:
    """In words, in how many settings, and in which, a network finds the sawtooth.

    Examples
    --------
    >>> both = ("variant", "model")
    >>> shares = xr.Dataset({"teeth": (both, [[0.0, 0.1], [0.7, 0.2]])}, {"variant": ["one", "other"]})
    >>> finders(shares)
    '1 has a network that finds the sawtooth (other: 1 of 2)'
    """
    found = (run.teeth > FOUND).sum("model")
    there = [
        f"{name}: {count} of {run.sizes['model']}"
        for name, count in zip(run.variant.values, found.values, strict=True)
        if count
    ]
    number = f"{len(there) or 'none'} {'have' if len(there) > 1 else 'has'}"
    return f"{number} a network that finds the sawtooth" + (f" ({'; '.join(there)})" if there else "")


def teeth_at_the_end(run: xr.Dataset) -> Finding:
    """EL5: the output holds half of the teeth only within the last third of the way, in the median."""
    share = run.distance / run.distance.isel(image=-1)
    has = run.teeth > FOUND
    within = share.where(has).max("image")
    told = f"half of the teeth only within {float(within.median()):.0%} of the way from W_f"
    return Finding(told, graded(float(within.median()) < 1 / 3))


def twists_near_the_end(run: xr.Dataset) -> Finding:
    """EL6: the mean angle in the fifth of the way next to ``W_f`` is over twice that of the rest."""
    share = (run.distance / run.distance.isel(image=-1)).values[:, 1:-1]
    near = share < 0.2
    angle = run.angle.values
    if not near.any():
        return Finding("no image near W_f", UNMEASURED)
    close, far = float(angle[near].mean()), float(angle[~near].mean())
    return Finding(f"mean angle {close:.2f} near W_f, {far:.2f} elsewhere", graded(close > 2 * far))


@dataclass(frozen=True)
class Returns:
    """Return to the global minimum against the noise's norm: share of all, and at which norm half return.

    ``slope`` is that of the logistic fit: minus infinity if all with less noise than ``half`` return and none
    with more, where no such fit has a maximum of likelihood; nan where all or none return.
    """

    share: float
    half: float
    slope: float

    def chance(self, noise: np.ndarray) -> np.ndarray:
        """Probability of returning."""
        if np.isnan(self.slope):
            return np.full(np.shape(noise), self.share)
        return (
            np.where(noise < self.half, 1.0, 0.0)
            if np.isinf(self.slope)
            else expit(self.slope * (noise - self.half))
        )


def returns(run: xr.Dataset) -> Returns:
    """Who comes back to the global minimum, by logistic regression."""
    import statsmodels.api as sm

    back, noise = (run.loss < RETURNED).values, run.noise.values
    share = float(back.mean())
    if share in (0.0, 1.0):
        return Returns(share, np.nan, np.nan)
    farthest, nearest = noise[back].max(), noise[~back].min()
    if farthest < nearest:
        return Returns(share, float(farthest + nearest) / 2, -np.inf)
    fitted = sm.Logit(back.astype(float), sm.add_constant(noise)).fit(disp=False)
    intercept, slope = (float(value) for value in fitted.params)
    return Returns(share, -intercept / slope, slope)


def hovering(run: xr.Dataset, noise: float = 0.05) -> str:
    """In words, the median final loss of networks that were disturbed by hardly anything."""
    return f"{float(run.loss.where(run.noise < noise).median()):.0e}"


def small_basin(momentum: xr.Dataset, adadelta: xr.Dataset) -> Finding:
    """EL7: with momentum the return probability falls to a half within (0, 2); Adadelta never returns."""
    by_momentum, by_adadelta = returns(momentum), returns(adadelta)
    told = (
        f"momentum: {by_momentum.share:.1%} return, half at a noise of {by_momentum.half:.2f}; "
        f"Adadelta: {by_adadelta.share:.1%}"
    )
    return Finding(told, graded(0 < by_momentum.half < 2, by_adadelta.share == 0))


def more_data(run: xr.Dataset) -> Finding:
    """EL8: with four times the points, still none finds the sawtooth; the median loss moves by under 25 %."""
    parts, same, none = [], True, True
    for name, usual in (("momentum", "momentum, step 0.01"), ("Adadelta", "Adadelta, step 1")):
        more = run.sel(variant=f"{name}, 39 points between knots")
        before, after = (float(one.loss.median()) for one in (run.sel(variant=usual), more))
        parts.append(f"{name}: median loss {before:.1e} and {after:.1e}")
        none = none and not bool((more.teeth > FOUND).any())
        same = same and abs(after / before - 1) < 0.25
    return Finding("; ".join(parts), graded(none, same))


def symmetric(minima: np.ndarray) -> Finding:
    """EL9: canonical forms of images by random symmetries agree, with the same outputs, to 1e-9."""
    built, generator = hand_built_network(), np.random.default_rng(0)
    rows = np.vstack([built.parameters, minima]).astype(float)
    forms = canonical(rows)
    other = canonical(random_symmetry(rows, 5, 5, generator))
    apart = float(np.abs(forms - other).max())
    moved = float(np.abs(predict(forms, built.x) - predict(rows, built.x)).max())
    told = f"{len(rows)} networks: forms of two images differ by {apart:.0e}, outputs by {moved:.0e}"
    return Finding(told, graded(apart < 1e-9, moved < 1e-9))


def wider_find_it(run: xr.Dataset, others: xr.Dataset) -> Finding:
    """EL10: of 10 x 10 networks trained by Adadelta, over half find the sawtooth.

    Partly: one does; or there is a function with other teeth (``others``, see ``functions``) that over half
    of them find and no 5 x 5 network.
    """
    one = run.sel(optimizer="adadelta")
    if 10 not in one.width or {5, 10} - set(others.width.values.tolist()):
        return Finding("no networks of 10 units a layer", UNMEASURED)
    found = one.sel(width=10).teeth > FOUND
    told = f"{int(found.sum())} of {found.size} find it, least loss {float(one.sel(width=10).loss.min()):.1e}"
    share = _found_by_adadelta(others)
    easier = (share.sel(width=10) > 0.5) & (share.sel(width=5) == 0)
    told += f"; over half find {int(easier.sum())} of {easier.size} others that no 5 × 5 network finds"
    hard = share.sel(width=10).where(share.sel(width=5) <= 0.05, -1.0).stack(function=("count", "amplitude"))
    best = hard[int(np.argmax(hard.values))]
    count, amplitude = (best[name].item() for name in ("count", "amplitude"))
    by_five = float(share.sel(width=5, count=count, amplitude=amplitude))
    told += f", nearest: {count} teeth of height {amplitude:g}, {float(best):.0%} against {by_five:.0%}"
    partly = bool(found.any()) or bool(easier.any())
    return Finding(told, graded(float(found.mean()) > 0.5, float(found.mean()) > 0.5 or partly))


def _found_by_adadelta(run: xr.Dataset) -> xr.DataArray:
    """Share of networks that find the teeth, over ``(count, amplitude, width)``."""
    return (run.sel(optimizer="adadelta").teeth > FOUND).mean("model")


def by_width(run: xr.Dataset) -> str:
    """In words, how many networks of all widths find the sawtooth, by optimizer."""
    found = (run.teeth > FOUND).sum(("width", "model"))
    total = run.sizes["width"] * run.sizes["model"]
    return ", ".join(
        f"{int(found.sel(optimizer=name))} of {total} by {name.capitalize()}" for name in run.optimizer.values
    )


def by_teeth(run: xr.Dataset) -> dict[str, str]:
    """In words, Adadelta's shares at fewest and most teeth, and where 5 and 10 units are furthest apart."""
    share = _found_by_adadelta(run)
    apart = (share.sel(width=10) - share.sel(width=5)).stack(function=("count", "amplitude"))
    middle = apart[int(np.argmax(apart.values))]
    places = {
        "few": (int(run["count"].min()), float(run.amplitude.min())),
        "many": (int(run["count"].max()), float(run.amplitude.max())),
        "middle": (middle["count"].item(), middle.amplitude.item()),
    }
    words = {}
    for name, (count, amplitude) in places.items():
        at = share.sel(count=count, amplitude=amplitude)
        words |= {f"{name}-count": str(count), f"{name}-height": f"{amplitude:g}"}
        words |= {
            f"{name}-five": f"{float(at.sel(width=5)):.0%}",
            f"{name}-ten": f"{float(at.sel(width=10)):.0%}",
        }
    return words


def narrow_against_flat(run: xr.Dataset) -> Finding:
    """EL11: the largest eigenvalue and the trace at ``W_f`` are over ten times the median minimum's."""
    largest, trace = run.eigenvalue.max("mode"), run.eigenvalue.sum("mode")
    ratios = [float(v[0] / v[1:].median()) for v in (largest, trace)]
    told = (
        f"largest eigenvalue {float(largest[0]):.0f} at W_f, {float(largest[1:].median()):.1f} at the median "
        f"minimum; trace {ratios[1]:.1f} times"
    )
    return Finding(told, graded(ratios[0] > 10, ratios[1] > 10))


def zeros(run: xr.Dataset) -> dict[str, str]:
    """In words, the zero eigenvalues at ``W_f`` by cause, and medians over the trained networks."""
    built, trained = run.isel(network=0), run.isel(network=slice(1, None))
    words = {key: str(int(built[key])) for key in ("zero", "symmetry", "idle", "dependent", "unexplained")}
    words["networks"] = str(trained.sizes["network"])
    least = trained.eigenvalue.min("mode") / trained.eigenvalue.max("mode")
    return words | {
        "negative": f"{float(trained.negative.median()):.0f}",
        "least": f"{float(least.median()):.0e}", "gradient": f"{float(trained.gradient.median()):.0e}",
    }  # fmt: skip


def binomial(found: np.ndarray) -> tuple[float, float, float]:
    """Share of True and its 95 % interval by Wilson."""
    from statsmodels.stats.proportion import proportion_confint

    count, total = int(np.sum(found)), int(np.size(found))
    low, high = proportion_confint(count, total, method="wilson")
    return count / total, float(low), float(high)


def greedy_spline(knots: int) -> tuple[np.ndarray, float]:
    """A linear spline by a classical method: three times the knots, each where it lowers the error most,
    then all but so many taken out, each where it raises it least (Friedman's MARS, Ann. Statist. 19, 1991).

    Returns the values and the mean squared error on the data of ``W_f``, among whose points the knots lie.

    Examples
    --------
    >>> greedy_spline(36)[1] < 1e-20  # as many as the function has
    True
    """
    built = hand_built_network()
    fixed = np.stack([np.ones_like(built.x), built.x], axis=1)
    hinges = np.maximum(built.x[:, None] - built.x[None, 1:-1], 0)
    chosen: list[int] = []
    for _ in range(min(3 * knots, hinges.shape[1])):
        basis = np.linalg.qr(np.hstack([fixed, hinges[:, chosen]]))[0]
        rest = built.y - basis @ (basis.T @ built.y)
        across = hinges - basis @ (basis.T @ hinges)
        norms = np.linalg.norm(across, axis=0)
        chosen.append(
            int(np.where(norms > 1e-6, np.abs(across.T @ rest) / np.maximum(norms, 1e-9), 0).argmax())
        )
    while True:
        design = np.hstack([fixed, hinges[:, chosen]])
        upper = np.linalg.qr(design, mode="r")
        weights = np.linalg.lstsq(design, built.y, rcond=None)[0]
        if len(chosen) == knots:
            break
        inverse = np.linalg.inv(upper)
        cost = weights**2 / (inverse**2).sum(axis=1)  # how much the squared error grows without the column
        chosen.pop(int(cost[2:].argmin()))
    values = design @ weights
    return values, float(np.mean((values - built.y) ** 2))
