"""What the runs of the chapter on spectral bias say of each claim: a measured value in words, and a verdict.

Every criterion is written in its function, so that a reader who disagrees can see where to change it. "Fitted" means a
relative error (root mean square, as a share of the target's) below 10 % unless said otherwise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from specbias.kernels import PowerLaw, power_law

REPRODUCED, PARTLY, DIFFERS = "reproduced", "partly", "differs"


class Finding(NamedTuple):
    """What a scoreboard reports."""

    measured: str
    verdict: str


def graded(*conditions: bool) -> str:
    """All conditions hold: reproduced; some: partly; none: differs.

    Examples
    --------
    >>> graded(True, False), graded(True), graded(False)
    ('partly', 'reproduced', 'differs')
    """
    return REPRODUCED if all(conditions) else PARTLY if any(conditions) else DIFFERS


def epochs_in_words(epochs) -> str:
    """Median and range of first epochs, -1 being never.

    Examples
    --------
    >>> epochs_in_words([10, 20, 40]), epochs_in_words([10, -1, -1]), epochs_in_words([-1, -1])
    ('20 (10 to 40)', '10 in 1 of 3', 'never')
    """
    epochs = np.asarray(epochs).ravel()
    reached = epochs[epochs >= 0]
    if reached.size == 0:
        return "never"
    if reached.size < epochs.size:
        return f"{np.median(reached):.0f} in {reached.size} of {epochs.size}"
    return f"{np.median(reached):.0f} ({reached.min()} to {reached.max()})"


def median_epoch(epochs) -> float:
    """Median first epoch, a network that never got there counting as infinitely late."""
    epochs = np.asarray(epochs, dtype=float)
    return float(np.median(np.where(epochs < 0, np.inf, epochs)))


def oscillation_errors(run: xr.Dataset, frequency: float) -> xr.DataArray:
    """Relative error of each half oscillation, over ``(seed, epoch, centre)``; ``centre`` is its middle.

    Half oscillations lie between zeros of ``sin(frequency x)``; those that the interval cuts off are left out.

    Examples
    --------
    >>> x = np.linspace(-np.pi, np.pi, 101)
    >>> run = xr.Dataset({"prediction": (("seed", "epoch", "point"), np.zeros((1, 1, 101))),
    ...                   "target": ("point", np.sin(2 * x))}, coords={"x": ("point", x)})
    >>> oscillation_errors(run, 2.0).values.round(6).tolist()
    [[[1.0, 1.0, 1.0, 1.0]]]
    """
    half = np.pi / frequency
    x = run.x.values
    first, last = int(np.ceil(x[0] / half - 1e-9)), int(np.floor(x[-1] / half + 1e-9))
    edges = half * np.arange(first, last + 1)
    rows = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = (x >= low - 1e-9) & (x <= high + 1e-9)
        residual = run.prediction.values[..., inside] - run.target.values[inside]
        rows.append(np.sqrt(np.mean(residual**2, axis=-1) / np.mean(run.target.values[inside] ** 2)))
    return xr.DataArray(
        np.stack(rows, axis=-1),
        dims=("seed", "epoch", "centre"),
        coords={"epoch": run.epoch, "centre": (edges[:-1] + edges[1:]) / 2} if "epoch" in run.coords else {},
    )


def centre_first(run: xr.Dataset, frequency: float) -> Finding:
    """SB1: at the end the two middle half oscillations have an error below 30 % and the outermost two on either side,
    taken together, one above 50 %, in the median network; and half oscillations are fitted later the farther out."""
    errors = oscillation_errors(run, frequency)
    inside_out = errors.isel(epoch=-1).values[:, np.argsort(np.abs(errors.centre.values))]
    middle, outer = (
        float(np.median(np.sqrt(np.mean(part**2, axis=1)))) for part in (inside_out[:, :2], inside_out[:, -4:])
    )
    order = fanning_out(errors)
    told = f"error {middle:.0%} in the centre, {outer:.0%} at the edges; rank correlation of fitting epoch and |x| {order:.2f}"
    return Finding(told, graded(middle < 0.3 and outer > 0.5, order > 0.5))


def fanning_out(errors: xr.DataArray, below: float = 0.5) -> float:
    """Median over networks of the rank correlation of |centre| with the first epoch at which the error is below ``below``.

    A half oscillation that never is counts as later than all others; nan if no network has fitted any.
    """
    distance = np.abs(errors.centre.values)
    correlations = []
    for one in errors.values:  # (epoch, centre)
        reached = one < below
        epoch = np.where(reached.any(axis=0), reached.argmax(axis=0), len(one))
        if np.unique(epoch).size > 1:
            correlations.append(spearmanr(distance, epoch).statistic)
    return float(np.median(correlations)) if correlations else float("nan")


def momentum_helps(asker: xr.Dataset, reply: xr.Dataset) -> Finding:
    """SB2: a lower final error than the asker's in the median, and fitted after more than 1000 epochs or not at all."""
    before, after = (float(run.error.isel(epoch=-1).median()) for run in (asker, reply))
    fitted = reply.fitted.sel(level=0.1).values
    told = f"fitted at epoch {epochs_in_words(fitted)}; error at the end {after:.0%} instead of {before:.0%}"
    return Finding(told, graded(after < before, median_epoch(fitted) > 1000))


def deep_fits(run: xr.Dataset, epoch: int = 800) -> Finding:
    """SB3: the median network is fitted by epoch 800; partly if later than that."""
    fitted = run.fitted.sel(level=0.1).values
    told = f"fitted at epoch {epochs_in_words(fitted)}"
    return Finding(told, graded(median_epoch(fitted) <= epoch, bool((fitted >= 0).any())))


def deep_fails(run: xr.Dataset) -> Finding:
    """SB4: no network comes below a relative error of 30 % with the frequency doubled."""
    final = run.error.isel(epoch=-1)
    told = f"error at epoch {int(run.epoch[-1])}: {float(final.median()):.0%} ({float(final.min()):.0%} to {float(final.max()):.0%})"
    return Finding(told, graded(bool((run.fitted.sel(level=0.3) < 0).all()), float(final.median()) > 0.3))


def one_oscillation(sweep: xr.Dataset, within: int = 100) -> Finding:
    """SB5: one oscillation is fitted within 100 epochs in the median."""
    fitted = sweep.fitted.sel(value=1, level=0.1).values
    told = f"fitted at epoch {epochs_in_words(fitted)}"
    return Finding(told, graded(median_epoch(fitted) <= within))


def most_oscillations(sweep: xr.Dataset, by: int = 800) -> Finding:
    """SB6: two oscillations are fitted by epoch 800 in the median, three are not."""
    fitted = sweep.fitted.sel(level=0.1)
    late = {int(v): median_epoch(fitted.sel(value=v)) for v in fitted.value.values}
    counts = [value for value, epoch in late.items() if epoch <= by]
    most = max(counts, default=0)
    told = f"{most} fitted by epoch {by}; 2 at epoch {epochs_in_words(fitted.sel(value=2))}, 3: {epochs_in_words(fitted.sel(value=3))}"
    return Finding(told, graded(most == 2))


def width_changes_little(sweep: xr.Dataset, narrow: str, wide: str) -> Finding:
    """SB7: the much wider network needs between half and all of the epochs (the same epoch to within a factor of 1.5
    is "reproduced", of 3 "partly"), and each epoch takes longer."""
    fitted = sweep.fitted.sel(level=0.1)
    ratio = median_epoch(fitted.sel(value=narrow)) / median_epoch(fitted.sel(value=wide))
    clock = float(sweep.seconds_per_epoch.sel(value=wide) / sweep.seconds_per_epoch.sel(value=narrow))
    told = (
        f"{narrow}: epoch {epochs_in_words(fitted.sel(value=narrow))}; {wide}: {epochs_in_words(fitted.sel(value=wide))}, "
        f"{clock:.0f} times the time per epoch"
    )
    same = np.isfinite(ratio) and 1 / 1.5 <= ratio <= 1.5
    close = np.isfinite(ratio) and 1 / 3 <= ratio <= 3
    return Finding(told, REPRODUCED if same and clock > 1 else PARTLY if close else DIFFERS)


def more_points(points: xr.Dataset, oscillations: xr.Dataset) -> Finding:
    """SB8: more points on the same interval need over 1.25 times the epochs (then "reproduced"); "partly" if only more
    points that come with a longer interval, as in the thread's listing, do."""
    fitted, longer = points.fitted.sel(level=0.1), oscillations.fitted.sel(level=0.1)
    few, many = fitted.isel(value=0), fitted.isel(value=-1)
    ratio = median_epoch(many) / median_epoch(few)
    told = (
        f"same interval, {few.value.item()} points: epoch {epochs_in_words(few)}, {many.value.item()} points: "
        f"{epochs_in_words(many)}; interval and points tripled: {epochs_in_words(longer.sel(value=3))}"
    )
    lengthens = median_epoch(longer.sel(value=3)) > 1.25 * median_epoch(longer.sel(value=1))
    return Finding(told, REPRODUCED if ratio > 1.25 else PARTLY if lengthens else DIFFERS)


def low_wave_first(run: xr.Dataset, early: int = 50, published: int = 22452) -> Finding:
    """SB9: at epoch 50 the low wave's amplitude is over five times the high one's; the loss threshold is reached within
    a factor of 1.5 of the published epoch in the median."""
    at = run.amplitude.sel(epoch=early, method="nearest").median("seed").values
    end = median_epoch(run.stopped)
    told = f"amplitudes {at[0]:.2f} and {at[-1]:.2f} at epoch {early}; all of it at epoch {epochs_in_words(run.stopped)}"
    return Finding(told, graded(at[0] > 5 * abs(at[-1]), published / 1.5 < end < 1.5 * published))


def exponent(run: xr.Dataset, *, least: int = 8, even: bool = False) -> PowerLaw | None:
    """Exponent of learning time against frequency, as the authors fit it: over the mean of the runs, from k = 8 on.

    None where fewer than three frequencies were learned by all runs.
    """
    chosen = (run.frequency >= least) & (run.steps >= 0).all("run")
    if even:
        chosen &= run.frequency % 2 == 0
    mean = run.steps.where(run.steps >= 0).mean("run").where(chosen, drop=True)
    return power_law(mean.frequency.values, mean.values) if mean.size >= 3 else None


def quadratic_times(fits: dict[str, tuple[PowerLaw | None, float]]) -> Finding:
    """SB10: every measured exponent is within 0.15 of the published one. ``fits`` maps a name to (fit, published)."""
    told, agree = [], []
    for name, (fit, published) in fits.items():
        if fit is None:
            told.append(f"{name}: not measured")
            agree.append(False)
        else:
            told.append(f"{name}: {fit.exponent:.2f} [{fit.low:.2f}, {fit.high:.2f}]")
            agree.append(abs(fit.exponent - published) <= 0.15)
    return Finding("; ".join(told), graded(*agree))


def odd_never(run: xr.Dataset) -> Finding:
    """SB11: without bias no run learns an odd k >= 3 before the authors' cap on steps, and all runs learn every even k."""
    odd = (run.frequency % 2 == 1) & (run.frequency >= 3)
    even = run.frequency % 2 == 0
    learned = run.steps >= 0
    odd_learned, even_learned = learned.where(odd, drop=True), learned.where(even, drop=True)
    told = (
        f"odd k >= 3 learned in {int(odd_learned.sum())} of {odd_learned.size} runs, "
        f"even k in {int(even_learned.sum())} of {even_learned.size}"
    )
    return Finding(told, graded(int(odd_learned.sum()) == 0, int(even_learned.sum()) == even_learned.size))
