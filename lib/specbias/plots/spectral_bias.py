"""Figures of the chapter on spectral bias, each from the datasets of its runs."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter

from specbias.experiments.findings import FITTED, final_errors, median_epoch
from specbias.experiments.oscillations import first_fitted, oscillation_errors
from specbias.kernels import PowerLaw
from specbias.plots import INK, LINE_STYLES, MARKERS, PALETTE, band, style
from specbias.plots.fit_panels import bounded, scrubber_panels

__all__ = [
    "activations",
    "amplitude_history",
    "amplitude_map",
    "answers",
    "changes",
    "fanning_out",
    "kinks",
    "learning_times",
    "odd_and_even",
    "replies",
    "scrubber_panels",
    "snapshots",
]


@style()
def fanning_out(run: xr.Dataset, predicted: xr.DataArray | None, frequency: float) -> Figure:
    """Where the residual is, against the epoch: measured, and predicted by the kernel; medians over networks.

    Circles stand where the error of a half oscillation of ``sin(frequency x)`` falls below one half.
    """
    maps = {"measured": run.prediction}
    if predicted is not None:
        maps["kernel at initialisation"] = predicted
    figure, axes = plt.subplots(
        1, len(maps), figsize=(3.4 * len(maps) + 0.6, 3.7), sharey=True, squeeze=False
    )
    for ax, (title, prediction) in zip(axes[0], maps.items(), strict=True):
        epochs = np.maximum(prediction.epoch.values, 0.7)  # epoch 0, on a logarithmic axis
        residual = np.median(np.abs(bounded(prediction - run.target)), axis=0)
        mesh = ax.pcolormesh(
            run.x, epochs, residual, cmap="cividis", vmin=0, vmax=1, shading="nearest", rasterized=True
        )
        one = xr.Dataset({"prediction": prediction, "target": run.target}, {"x": run.x})
        errors = oscillation_errors(one, frequency)
        first = np.median(first_fitted(errors), axis=0)  # number of an epoch; never is the number of epochs
        reached = first < len(epochs)
        ax.plot(
            errors.centre[reached], epochs[first[reached].astype(int)], "o", mfc="white", mec="black", ms=6,
            label="half oscillation fitted to 50 %",
        )  # fmt: skip
        ax.set(yscale="log", xlabel="x", title=title)
        ax.grid(False)
    axes[0, 0].set_ylabel("epoch")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center")
    figure.colorbar(mesh, ax=axes[0].tolist(), label="|residual|", extend="max")
    return figure


@style()
def kinks(places: np.ndarray, reach: float) -> Figure:
    """Where the kinks of the first layer lie at the start, against the density of PyTorch's default."""
    figure, ax = plt.subplots(figsize=(5.2, 2.9))
    edges = np.linspace(-reach, reach, 61)
    counts, _ = np.histogram(places, edges)
    density = counts / places.size / np.diff(edges)
    ax.bar(edges[:-1], density, np.diff(edges), align="edge", color=PALETTE[5], label="measured")
    x = np.linspace(-reach, reach, 601)
    closed_form = 0.25 / np.maximum(np.abs(x), 1) ** 2
    ax.plot(x, closed_form, color=PALETTE[1], ls=LINE_STYLES[0], label="closed form")
    ax.axhline(1 / (2 * reach), color=INK, ls=LINE_STYLES[1], lw=1.2, label="evenly spread")
    ax.set(xlabel="x = −b / w", ylabel="density", xlim=(-reach, reach))
    ax.legend(handlelength=1.8)
    return figure


@style()
def activations(runs: Mapping[str, xr.Dataset]) -> Figure:
    """Last prediction of every network, one panel an activation."""
    figure, axes = plt.subplots(1, len(runs), figsize=(8.2, 2.7), sharey=True, squeeze=False)
    for ax, (name, run), color in zip(axes[0], runs.items(), PALETTE, strict=False):
        last = bounded(run.prediction.isel(epoch=-1))
        ax.plot(run.x, last.T, color=color, lw=0.8, ls="-", alpha=0.7)
        ax.plot(run.x, run.target, color=INK, lw=1.2, ls=LINE_STYLES[2])
        ax.set(title=name, xlabel="x", ylim=(-1.7, 1.7))
    axes[0, 0].set_ylabel("f(x), target dotted")
    return figure


@style()
def changes(runs: Mapping[str, xr.Dataset], epochs: int) -> Figure:
    """Relative error at the end, and the epochs at which networks fell below 30 and 10 %; a row a change."""
    rows = np.arange(len(runs))[::-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 0.36 * len(runs) + 1.2), sharey=True)
    lowest, highest = 0.045, 1.4
    for row, run in zip(rows, runs.values(), strict=True):
        final = final_errors(run).values
        error = final[np.isfinite(final)]
        if error.size:
            lowest, highest = min(lowest, 0.8 * error.min()), max(highest, 1.2 * error.max())
            left.plot([error.min(), error.max()], [row, row], color=PALETTE[0], ls="-", lw=2.5, alpha=0.5)
            left.plot(np.median(error), row, "o", color=PALETTE[0])
        if error.size < final.size:
            words = f"{final.size - error.size} of {final.size} diverge" if error.size else "diverges"
            _note(left, row, words)
        for level, marker, color, shift in ((0.3, "o", PALETTE[0], 0.14), (0.1, "s", PALETTE[1], -0.14)):
            fitted = run.fitted.sel(level=level, method="nearest").values
            reached = fitted[fitted >= 0]
            right.plot(reached, np.full(reached.size, row + shift), marker, color=color, ms=4, alpha=0.8)
            if reached.size == 0 and level == 0.3:
                _note(right, row, "not reached")
    left.set(
        yticks=rows, yticklabels=list(runs), xlabel=f"error at the end (at most {epochs} epochs)",
        xscale="log", xlim=(lowest, highest),
    )  # fmt: skip
    left.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if highest < 100 * lowest else (1,)))
    left.xaxis.set_minor_locator(NullLocator())
    left.xaxis.set_major_formatter(PercentFormatter(1))
    right.set(xscale="log", xlabel="epoch", xlim=(min(30, epochs / 10), 1.15 * epochs))
    for marker, color, level in (("o", PALETTE[0], 30), ("s", PALETTE[1], 10)):
        right.plot([], [], marker, color=color, ms=4, label=f"error below {level} %")
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    return figure


def _note(ax: Axes, row: float, words: str) -> None:
    """Write at the right end of a row."""
    ax.text(
        0.98,
        row,
        words,
        transform=ax.get_yaxis_transform(),
        va="center",
        ha="right",
        fontsize=9,
        clip_on=True,
    )


@style()
def replies(
    deep: Mapping[str, xr.Dataset], oscillations: xr.Dataset, widths: xr.Dataset, points: xr.Dataset
) -> Figure:
    """The replies' experiments: the deep network, the numbers of oscillations, of units, and of points."""
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 5.8))
    _error_histories(axes[0, 0], deep)
    axes[0, 0].set(title="deep network", ylabel="relative error")
    by_count = {str(value): oscillations.sel(value=value) for value in oscillations.value.values}
    _error_histories(axes[0, 1], by_count)
    axes[0, 1].axvline(800, color=INK, lw=0.8)
    axes[0, 1].set(title="number of oscillations")
    _epochs_per_value(axes[1, 0], widths)
    axes[1, 0].set(
        title="size of the network", xlabel="hidden layers × units", ylabel="epochs to an error of 10 %"
    )
    _epochs_per_value(axes[1, 1], points)
    axes[1, 1].set(title="points, same interval", xlabel="points")
    return figure


def _error_histories(ax: Axes, runs: Mapping[str, xr.Dataset]) -> None:
    for (name, run), color, line in zip(runs.items(), PALETTE, LINE_STYLES, strict=False):
        error = bounded(run.error.transpose("seed", "epoch"))
        band(ax, run.epoch.values[1:], error[:, 1:], label=name, color=color, ls=line)
    ax.set(xlabel="epoch", xscale="log", ylim=(0, 1.3))
    ax.legend(fontsize=9, loc="lower left", handlelength=2.2, labelspacing=0.3)


def _epochs_per_value(ax: Axes, sweep: xr.Dataset) -> None:
    fitted = sweep.fitted.sel(level=FITTED)
    for position, value in enumerate(sweep.value.values):
        all_networks = fitted.sel(value=value).values
        reached = all_networks[all_networks >= 0]
        ax.plot(
            np.full(reached.size, position), reached, MARKERS[0], color=PALETTE[0], ms=4, alpha=0.6, ls=""
        )
        middle = median_epoch(all_networks)
        if np.isfinite(middle):
            ax.plot([position - 0.3, position + 0.3], [middle, middle], color=PALETTE[1], ls="-")
        if reached.size < all_networks.size:
            words = f"{reached.size}/{all_networks.size}"
            ax.text(position, 0.02, words, transform=ax.get_xaxis_transform(), ha="center", fontsize=8)
    ax.set_xticks(
        range(sweep.value.size), [_size_in_short(value) for value in sweep.value.values], fontsize=9
    )
    ax.set_ylim(bottom=0)


def _size_in_short(value: object) -> str:
    """``200 x 200 x 200`` as three times 200, on two lines; anything else as it is."""
    widths = str(value).split(" x ")
    return f"{len(widths)} ×\n{widths[0]}" if len(widths) > 1 and len(set(widths)) == 1 else str(value)


@style()
def amplitude_history(run: xr.Dataset, published: Mapping[int, tuple[float, ...]]) -> Figure:
    """Amplitude of each wave against the epoch; the published run's values as open markers."""
    figure, ax = plt.subplots(figsize=(5.6, 3.4))
    kept = run.epoch.values > 0
    waves = zip(run.wavenumber.values, PALETTE, LINE_STYLES, MARKERS, strict=False)
    for index, (k, color, line, marker) in enumerate(waves):
        history = bounded(run.amplitude.sel(wavenumber=k))[:, kept]
        band(ax, run.epoch.values[kept], history, label=f"k = {k}", color=color, ls=line)
        values = [amplitudes[index] for amplitudes in published.values()]
        ax.plot(list(published), values, marker, mfc="none", color=color, ms=8)
    ax.plot([], [], "o", mfc="none", color=INK, ms=8, label="authors' run")
    ax.axhline(1, color=INK, lw=0.8)
    ax.set(xscale="log", xlabel="epoch", ylabel="amplitude / target's", ylim=(-0.1, 1.15))
    ax.legend(loc="upper left", bbox_to_anchor=(0, 0.88))
    return figure


@style()
def snapshots(run: xr.Dataset, epochs: list[int]) -> Figure:
    """The network's output at some epochs, all seeds, over the target."""
    figure, axes = plt.subplots(1, len(epochs), figsize=(8.6, 2.5), sharey=True, squeeze=False)
    height = 1.35 * np.abs(run.target.values).max()
    for ax, epoch in zip(axes[0], epochs, strict=True):
        at = run.prediction.sel(epoch=epoch, method="nearest")
        title = (
            "end" if at.epoch == run.epoch[-1] else f"epoch {int(at.epoch)}"
        )  # they stop when they are done
        ax.plot(run.angle, run.target, color=INK, lw=0.9, ls=LINE_STYLES[2])
        ax.plot(run.angle, bounded(at).T, color=PALETTE[0], lw=0.9, ls="-", alpha=0.7)
        ax.set(title=title, xlabel="θ", ylim=(-height, height))
        ax.set_xticks([-np.pi, 0, np.pi], ["−π", "0", "π"])
    axes[0, 0].set_ylabel("f, target dotted")
    return figure


@style()
def learning_times(
    runs: Mapping[str, xr.Dataset],
    fits: Mapping[str, PowerLaw | None],
    predictions: Mapping[str, xr.DataArray],
) -> Figure:
    """Learning time against frequency, with fitted power laws (lines) and the kernel's times (dashes)."""
    figure, ax = plt.subplots(figsize=(6.2, 4.4))
    for (name, run), color, marker in zip(runs.items(), PALETTE, MARKERS, strict=False):
        steps = run.steps.sel(frequency=(run.steps >= 0).all("run"))
        mean = steps.mean("run").values
        ends = [mean - steps.min("run").values, steps.max("run").values - mean]
        fit, expected = fits.get(name), predictions.get(name)
        label = name if fit is None else f"{name}: $k^{{{fit.exponent:.2f}}}$"
        ax.errorbar(steps.frequency, mean, ends, fmt=marker, color=color, ms=4.5, lw=1, label=label)
        if fit is not None:
            k = np.array([8.0, float(steps.frequency.max())])
            ax.plot(k, fit.prefactor * k**fit.exponent, color=color, ls="-", lw=1.5)
        if expected is not None:
            finite = np.isfinite(expected.values)
            ax.plot(expected.frequency[finite], expected[finite], color=color, ls=LINE_STYLES[1], lw=1)
    ax.plot([], [], color=INK, ls=LINE_STYLES[1], lw=1, label="kernel's prediction")
    highest = max(int(run.frequency.max()) for run in runs.values())
    ticks = [k for k in (1, 2, 3, 5, 8, 12, 20, 30, 50, 80) if k <= highest]
    ax.set(xscale="log", yscale="log", xlabel="wavenumber k", ylabel="steps of gradient descent")
    ax.set_xlim(0.85, 1.2 * highest)
    ax.set_xticks(ticks, [str(k) for k in ticks])
    ax.minorticks_off()
    ax.legend(loc="upper left", fontsize=9)
    ax.set_ylim(top=ax.get_ylim()[1] * 30)  # room for the legend
    return figure


@style()
def odd_and_even(run: xr.Dataset, cap: int) -> Figure:
    """Steps without bias: even wavenumbers are learned, odd ones from 3 on stop at the cap."""
    figure, ax = plt.subplots(figsize=(5.6, 3.2))
    for parity, name in ((0, "even k"), (1, "odd k")):
        part = run.steps.sel(frequency=run.frequency % 2 == parity)
        mean = part.where(part >= 0).mean("run")
        ax.plot(mean.frequency, mean, MARKERS[parity], color=PALETTE[parity], ls="", label=name)
        never = part.frequency[(part < 0).all("run")]
        if never.size:
            label = f"{name}, never (stopped)"
            ax.plot(never, np.full(never.size, cap), "x", color=PALETTE[parity], ms=7, label=label)
    ax.set(xlabel="wavenumber k", ylabel="steps", ylim=(-0.03 * cap, 1.12 * cap))
    ax.legend()
    return figure


@style()
def amplitude_map(run: xr.Dataset) -> Figure:
    """Rahaman's picture: amplitude learned of each frequency, against the iteration; median over seeds."""
    figure, ax = plt.subplots(figsize=(5.8, 3.4))
    kept = run.epoch.values > 0
    amplitude = np.median(bounded(run.amplitude), axis=0)[kept]
    columns = np.arange(run.frequency.size)
    mesh = ax.pcolormesh(
        columns, run.epoch.values[kept], amplitude, cmap="cividis", vmin=0, vmax=1, shading="nearest",
        rasterized=True,
    )  # fmt: skip
    ax.set(yscale="log", xlabel="frequency (cycles)", ylabel="iteration")
    ax.set_xticks(columns, [str(k) for k in run.frequency.values])
    ax.grid(False)
    figure.colorbar(mesh, ax=ax, label="amplitude / target's", extend="both")
    return figure


@style()
def answers(run: xr.Dataset, names: Mapping[float, str]) -> Figure:
    """Relative error between the points against seconds per network, one panel a target."""
    figure, axes = plt.subplots(1, run.frequency.size, figsize=(8.8, 4.0), sharey=True, squeeze=False)
    for ax, frequency in zip(axes[0], run.frequency.values, strict=True):
        for index, remedy in enumerate(run.remedy.values):
            one = run.sel(remedy=remedy, frequency=frequency)
            round_again, number = divmod(index, len(PALETTE))
            ax.plot(
                one.seconds, bounded(one.error), MARKERS[number], color=PALETTE[number],
                mfc="none" if round_again else None, ms=6, ls="", label=str(remedy),
            )  # fmt: skip
        ax.set(xscale="log", yscale="log", title=names[float(frequency)], xlabel="seconds per network")
    axes[0, 0].set_ylabel("relative error between the points")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
