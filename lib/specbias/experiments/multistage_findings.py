"""What the runs of the chapter on multistage networks say of each claim: a value in words, and a verdict.

Every criterion is written in its function. Losses are the lecture's, half the mean square; medians are over
random starts. Errors are judged on 4001 points of [-1, 1], not on those that were fitted.
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from specbias.experiments.findings import Finding, graded
from specbias.experiments.multistage import OURS, PUBLISHED


def stages_made(run: xr.Dataset) -> xr.DataArray:
    """How many, over ``(variant, seed)``."""
    return run.rms.notnull().sum("stage")


def final(run: xr.Dataset, key: str) -> xr.DataArray:
    """The value after the last stage that was made, over ``(variant, seed)``."""
    return run[key].isel(stage=(stages_made(run) - 1).clip(min=0))


def loss_at(run: xr.Dataset, variant: str, share: float) -> float:
    """Median loss of the first stage after this share of the iterations that its longest fit made."""
    one = run.sel(variant=variant).isel(stage=0)
    wanted = share * float(one.iteration.max())
    values = []
    for seed in one.seed.values:
        at, loss = (one[key].sel(seed=seed).dropna("record").values for key in ("iteration", "loss"))
        values.append(np.exp(np.interp(wanted, at, np.log(np.maximum(loss, 1e-300)))))
    return float(np.median(values))


def ends(run: xr.Dataset) -> dict[str, str]:
    """In words, the median loss at which each variant ends."""
    loss = 0.5 * (final(run, "rms") ** 2).median("seed")
    return {str(name): f"{float(loss.sel(variant=name)):.0e}" for name in run.variant.values}


def errors_by_stage(run: xr.Dataset, variant: str) -> dict[str, str]:
    """In words, the median of the largest error after one stage and after the last one."""
    one = run.sel(variant=variant)
    errors = {"first": one.largest.isel(stage=0), "last": final(one, "largest")}
    return {name: f"{float(error.median()):.0e}" for name, error in errors.items()}


def at_the_ends(run: xr.Dataset, variant: str, end: float = 0.02) -> str:
    """In words, how many times larger the error is at the ends than inside; of the first start."""
    one = run.residue.sel(variant=variant)
    last = int(np.isfinite(one).all("x").sum()) - 1
    error, outer = np.abs(one[last].values), np.abs(one.x.values) > 1 - end
    ratio = error[outer].max() / error[~outer].max()
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def best_classical(run: xr.Dataset) -> dict[str, str]:
    """In words, how accurate least squares gets, from how many functions and in how many milliseconds.

    Of Chebyshev polynomials the least degree within ten times the smallest error; of features the most.
    """
    largest = run.chebyshev_largest
    first = int(np.argmax((largest < 10 * largest.min()).values))
    random = run.isel(features=-1).median("seed")
    return {
        "degree": str(run.degree.values[first]), "chebyshev": f"{float(largest[first]):.0e}",
        "chebyshev-ms": f"{1e3 * float(run.chebyshev_seconds[first]):.1f}",
        "features": str(run.features.values[-1]), "random": f"{float(random.random_largest):.0e}",
        "random-ms": f"{1e3 * float(random.random_seconds):.1f}",
    }  # fmt: skip


def single_network(run: xr.Dataset) -> Finding:
    """MS1: from half of the iterations on, the loss falls by less than ten times, and ends at 1e-9 to 1e-6.

    Two conditions: for Adam; for every optimizer.
    """
    flat, words = [], []
    for name in run.variant.values:
        half, end = (loss_at(run, name, share) for share in (0.5, 1.0))
        flat.append(half / end < 10 and 1e-9 < end < 1e-6)
        words.append(f"{name} {end:.0e}")
    return Finding("loss: " + ", ".join(words), graded(flat[0], all(flat)))


def high_frequency_left(run: xr.Dataset) -> Finding:
    """MS2: what the first stage leaves changes sign at least five times as often as the target."""
    changes = run.changes.sel(variant=f"{PUBLISHED}, two stages").median("seed")
    before, after = float(changes[0]), float(changes[1])
    return Finding(
        f"sign changes: target {before:.0f}, error {after:.0f}", graded(after >= 5 * max(before, 1))
    )


def second_stage(run: xr.Dataset) -> Finding:
    """MS3: by Adam and L-BFGS, as published, a loss below 1e-13, and errors below 1e-6 everywhere."""
    words, conditions = [], []
    for name in (PUBLISHED, OURS):
        one = run.sel(variant=f"{name}, two stages")
        loss = 0.5 * float((final(one, "rms") ** 2).median())
        largest = float(final(one, "largest").median())
        words.append(f"{name}: loss {loss:.0e}, error {largest:.0e}")
        conditions += [loss < 1e-13, largest < 1e-6]
    return Finding("; ".join(words), graded(*conditions[:2]))


def same_plateau(run: xr.Dataset) -> Finding:
    """MS4: L-BFGS (history 10) ends within ten times Adam's loss; both together within a hundred times it."""
    end = {name: loss_at(run, name, 1.0) for name in run.variant.values}
    adam, alone, after = (end[name] for name in ("Adam", "L-BFGS, history 10", PUBLISHED))
    told = f"Adam {adam:.0e}, L-BFGS {alone:.0e}, one after the other {after:.0e}"
    return Finding(told, graded(0.1 < alone / adam < 10, after / min(adam, alone) > 0.01))


def sweep(run: xr.Dataset, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Sizes of one kind (units, layers or points), and rms errors between points ``(size, seed)``."""
    names = [name for name in run.variant.values if name.startswith(f"{kind} ")]
    return np.array([int(name.split()[1]) for name in names]), final(run, "between").sel(variant=names).values


def larger_is_no_better(run: xr.Dataset) -> Finding:
    """MS5: no size above the lecture's (20 units, 3 layers, 300 points) is better beyond the spread.

    The spread is the standard deviation of the logarithm over the starts, of both sizes together. A condition
    for each of units, layers and points.
    """
    words, conditions = [], []
    for kind, base in (("units", 20), ("layers", 3), ("points", 300)):
        values, errors = sweep(run, kind)
        logs = np.log10(errors)
        usual = logs[values == base][0]
        gains = [usual.mean() - logs[i].mean() for i in np.flatnonzero(values > base)]
        spreads = [np.hypot(usual.std(), logs[i].std()) for i in np.flatnonzero(values > base)]
        best = int(np.argmax(gains)) if gains else 0
        conditions.append(all(gain <= spread for gain, spread in zip(gains, spreads, strict=True)))
        factor, spread = (10 ** max(part, default=0.0) for part in (gains, spreads[best : best + 1]))
        words.append(f"{kind}: error {factor:.1f} times smaller at best, spread {spread:.1f} times")
    return Finding("; ".join(words), graded(*conditions))


def levels_apart(run: xr.Dataset, better: xr.Dataset) -> str:
    """In words, the ratio of two sweeps' median errors, over all sizes."""
    ratio = float(final(run, "between").median() / final(better, "between").median())
    return f"{float(f'{ratio:.1g}'):,.0f}"


def magnitude(run: xr.Dataset) -> Finding:
    """MS6: not normalised, relative errors at 1e-4 and below and at 100 and above are ten times larger."""
    exponents = sorted({int(name.split()[-1]) for name in run.variant.values})
    error = {
        power: float(final(run, "between").sel(variant=f"as it is {power}").median()) / 10.0**power
        for power in exponents
    }
    small = max(error[power] for power in exponents if power <= -4)
    large = max(error[power] for power in exponents if power >= 2)
    told = (
        f"relative error {error[0]:.0e} at 1, up to {small:.0e} for small targets, {large:.0e} for large ones"
    )
    return Finding(told, graded(small > 10 * error[0], large > 10 * error[0]))


def two_small_beat_one(run: xr.Dataset) -> Finding:
    """MS7: two stages of 3 x 20 end with a smaller error than one of 3 x 30 with as many iterations."""
    words, conditions = [], []
    for name in (PUBLISHED, OURS):
        two, one = (
            float(final(run, "largest").sel(variant=f"{name}, {which}").median())
            for which in ("two stages", "one wider")
        )
        words.append(f"{name}: {two:.0e} against {one:.0e}")
        conditions.append(two < one)
    return Finding("; ".join(words), graded(*conditions))


def machine_precision(run: xr.Dataset) -> Finding:
    """MS8: the lecture's target to a root mean square error of 1e-15 between the points, by either recipe."""
    words, conditions = [], []
    for name in ("as published", "ours"):
        one = run.sel(variant=f"lecture, {name}")
        error, largest = (float(final(one, key).median()) for key in ("between", "largest"))
        words.append(f"{name}: {error:.0e}, largest {largest:.0e}")
        conditions.append(error < 1e-15)
    return Finding("; ".join(words), graded(any(conditions), all(conditions)))
