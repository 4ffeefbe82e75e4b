"""Figures of the chapter on spectral bias, each from the datasets of its runs."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from specbias.experiments.findings import oscillation_errors
from specbias.interactive import Line, Panel
from specbias.kernels import PowerLaw
from specbias.plots import INK, LINE_STYLES, MARKERS, PALETTE, band, style
from specbias.spectra import amplitudes

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


def scrubber_panels(runs: Mapping[str, xr.Dataset], seed: int = 0) -> tuple[list[Panel], list[int]]:
    """Fit, residual and spectrum of one network of each run, over the epochs that the runs share: panels and frames.

    The spectrum is of the middle part of the interval that holds a whole number of the target's periods.
    """
    first = next(iter(runs.values()))
    frames = sorted(set.intersection(*(set(run.epoch.values.tolist()) for run in runs.values())))
    x, target = first.x.values, first.target.values
    predictions = {name: run.prediction.isel(seed=seed).sel(epoch=frames).values for name, run in runs.items()}
    cycles, of_target = _spectrum(x, target, first)
    fits = [Line(name, values) for name, values in predictions.items()]
    residuals = [Line(name, values - target) for name, values in predictions.items()]
    spectra = [Line(name, _spectrum(x, values, first)[1]) for name, values in predictions.items()]
    reference = {"style": "reference"}
    return [
        Panel("Fit", "x", "f(x)", x, [Line("target", target, **reference), *fits], y_range=(-1.6, 1.6)),
        Panel("Residual", "x", "f(x) − target", x, residuals, y_range=(-1.6, 1.6)),
        Panel("Spectrum", "angular frequency", "amplitude", cycles, [Line("target", of_target, **reference), *spectra],
              y_range=(0, 1.1)),  # fmt: skip
    ], frames


def _spectrum(x: np.ndarray, values: np.ndarray, run: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Amplitudes up to four times the target's frequency, on the longest middle part with whole periods."""
    frequency = _frequency(run)
    period = 2 * np.pi / frequency
    whole = max(1, int((x[-1] - x[0]) / period + 1e-9))
    grid = whole * period * (np.arange(512) / 512 - 0.5)
    sampled = np.apply_along_axis(lambda v: np.interp(grid, x, v), -1, np.asarray(values, dtype=float))
    kept = 4 * whole + 1
    return frequency * np.arange(kept) / whole, amplitudes(sampled)[..., :kept]


def _frequency(run: xr.Dataset) -> float:
    """The target's angular frequency, from its values: the runs keep the target and not its formula."""
    x, y = run.x.values, run.target.values
    near = np.argmin(np.abs(x))
    return float(np.arcsin(np.clip(y[near + 1], -1, 1)) - np.arcsin(np.clip(y[near], -1, 1))) / float(x[near + 1] - x[near])


@style()
def fanning_out(run: xr.Dataset, predicted: xr.DataArray | None, frequency: float) -> Figure:
    """Where the residual is, against the epoch: the median over networks, and what the kernel predicts beside it."""
    maps = [("measured", np.abs(run.prediction - run.target).median("seed"))]
    if predicted is not None:
        maps.append(("kernel at initialisation", np.abs(predicted - run.target)))
    figure, axes = plt.subplots(1, len(maps), figsize=(3.4 * len(maps) + 0.6, 3.5), sharey=True, squeeze=False)
    for ax, (title, residual) in zip(axes[0], maps, strict=True):
        epochs = np.maximum(residual.epoch.values, 0.7)
        mesh = ax.pcolormesh(run.x, epochs, residual.transpose("epoch", "point").values, cmap="cividis", vmin=0, vmax=1,
                             shading="nearest", rasterized=True)  # fmt: skip
        ax.set(yscale="log", xlabel="x", title=title)
        ax.grid(False)
    axes[0, 0].set_ylabel("epoch")
    figure.colorbar(mesh, ax=axes[0].tolist(), label="|residual|", extend="max")
    return figure


@style()
def kinks(places: np.ndarray, reach: float) -> Figure:
    """Where the kinks of the first layer lie at the start, against the density of PyTorch's default initialisation."""
    figure, ax = plt.subplots(figsize=(5.2, 2.9))
    edges = np.linspace(-reach, reach, 61)
    counts, _ = np.histogram(places, edges)
    ax.bar((edges[:-1] + edges[1:]) / 2, counts / places.size / np.diff(edges), np.diff(edges), color=PALETTE[5],
           label="measured")  # fmt: skip
    t = np.linspace(-reach, reach, 601)
    ax.plot(t, np.where(np.abs(t) < 1, 0.25, 0.25 / np.maximum(np.abs(t), 1) ** 2), color=PALETTE[1], ls=LINE_STYLES[0],
            label="closed form")  # fmt: skip
    ax.axhline(1 / (2 * reach), color=INK, ls=LINE_STYLES[1], lw=1.2, label="evenly spread")
    ax.set(xlabel="x = −b / w", ylabel="density", xlim=(-reach, reach))
    ax.legend()
    return figure


@style()
def activations(runs: Mapping[str, xr.Dataset]) -> Figure:
    """Last prediction of every network, one panel an activation."""
    figure, axes = plt.subplots(1, len(runs), figsize=(8.2, 2.7), sharey=True)
    for ax, (name, run), color in zip(axes, runs.items(), PALETTE, strict=False):
        last = run.prediction.isel(epoch=-1)
        ax.plot(run.x, last.T, color=color, lw=0.8, ls="-", alpha=0.7)
        ax.plot(run.x, run.target, color=INK, lw=1.2, ls=LINE_STYLES[2])
        ax.set(title=name, xlabel="x", ylim=(-1.7, 1.7))
    axes[0].set_ylabel("f(x), target dotted")
    return figure


@style()
def changes(runs: Mapping[str, xr.Dataset], epochs: int) -> Figure:
    """Relative error at the end, and the epoch at which it fell below 30 % and below 10 %: one row a change."""
    names = list(runs)
    rows = np.arange(len(names))[::-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 0.36 * len(names) + 1.2), sharey=True)
    for row, run in zip(rows, runs.values(), strict=True):
        error = np.where(run.diverged, np.nan, run.error.isel(epoch=-1).values)
        if np.isnan(error).any():
            left.text(1.0, row, "diverges", va="center", ha="center", fontsize=9)
        else:
            left.plot([error.min(), error.max()], [row, row], color=PALETTE[0], ls="-", lw=2.5, alpha=0.5)
            left.plot(np.median(error), row, "o", color=PALETTE[0])
        for level, marker, color, shift in ((0.3, "o", PALETTE[5], 0.14), (0.1, "s", PALETTE[1], -0.14)):
            fitted = run.fitted.sel(level=level, method="nearest").values
            reached = fitted[fitted >= 0]
            right.plot(reached, np.full(reached.size, row + shift), marker, color=color, ms=4, alpha=0.8,
                       label=f"below {level:.0%}" if row == rows[0] else None)  # fmt: skip
            if reached.size == 0 and level == 0.3:
                right.text(epochs, row, "not reached", va="center", ha="right", fontsize=9)
    left.set(yticks=rows, yticklabels=names, xlabel=f"error at the end (at most {epochs} epochs)", xscale="log")
    left.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    left.xaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
    right.set(xscale="log", xlabel="epoch", xlim=(min(30, epochs / 10), 1.15 * epochs))
    right.plot([], [], "o", color=PALETTE[5], ms=4, label="error below 30 %")
    right.plot([], [], "s", color=PALETTE[1], ms=4, label="error below 10 %")
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles[-2:], labels[-2:], loc="outside upper right", ncols=2)
    return figure


@style()
def replies(deep: Mapping[str, xr.Dataset], oscillations: xr.Dataset, widths: xr.Dataset, points: xr.Dataset) -> Figure:
    """The replies' experiments: the deep network, the number of oscillations, the size, the number of points."""
    figure, axes = plt.subplots(2, 2, figsize=(8.4, 6.0))
    ax = axes[0, 0]
    for (name, run), color, line in zip(deep.items(), PALETTE, LINE_STYLES, strict=False):
        band(ax, run.epoch.values[1:], run.error.values[:, 1:], label=name, color=color, ls=line)
    ax.set(title="deep network", xlabel="epoch", ylabel="relative error", xscale="log", ylim=(0, 1.3))
    ax.legend()
    ax = axes[0, 1]
    for value, color, line in zip(oscillations.value.values, PALETTE, LINE_STYLES, strict=False):
        band(ax, oscillations.epoch.values[1:], oscillations.error.sel(value=value).values[:, 1:], label=f"{value}",
             color=color, ls=line)  # fmt: skip
    ax.axvline(800, color=INK, lw=0.8)
    ax.set(title="number of oscillations", xlabel="epoch", xscale="log", ylim=(0, 1.3))
    ax.legend(title="oscillations", ncols=2, fontsize=9)
    for ax, sweep, title in ((axes[1, 0], widths, "size of the network"), (axes[1, 1], points, "points, same interval")):
        _epochs_per_value(ax, sweep)
        ax.set(title=title)
    axes[1, 0].set_ylabel("epochs to an error of 10 %")
    axes[1, 1].set_xlabel("points")
    return figure


def _epochs_per_value(ax, sweep: xr.Dataset) -> None:
    fitted = sweep.fitted.sel(level=0.1)
    for position, value in enumerate(sweep.value.values):
        reached = fitted.sel(value=value).values
        reached = reached[reached >= 0]
        ax.plot(np.full(reached.size, position), reached, MARKERS[0], color=PALETTE[0], ms=4, alpha=0.6, ls="")
        if reached.size:
            ax.plot([position - 0.3, position + 0.3], [np.median(reached)] * 2, color=PALETTE[1], ls="-")
    labels = [str(v).replace(" x ", "×") for v in sweep.value.values]
    ax.set_xticks(range(len(labels)), labels, rotation=45 if max(map(len, labels)) > 5 else 0,
                  ha="right" if max(map(len, labels)) > 5 else "center")  # fmt: skip
    ax.set_ylim(bottom=0)


@style()
def amplitude_history(run: xr.Dataset, published: Mapping[int, tuple[float, ...]]) -> Figure:
    """Amplitude of each wave against the epoch; the published run's values as open markers."""
    figure, ax = plt.subplots(figsize=(5.6, 3.4))
    kept = run.epoch.values > 0
    for index, (k, color, line) in enumerate(zip(run.wavenumber.values, PALETTE, LINE_STYLES, strict=False)):
        history = run.amplitude.sel(wavenumber=k).values[:, kept]
        band(ax, run.epoch.values[kept], history, label=f"k = {k}", color=color, ls=line)
        ax.plot(list(published), [values[index] for values in published.values()], MARKERS[index], mfc="none", color=color,
                ms=8, label="authors' run" if index == 0 else None)  # fmt: skip
    ax.axhline(1, color=INK, lw=0.8)
    ax.set(xscale="log", xlabel="epoch", ylabel="amplitude / target's", ylim=(-0.05, 1.15))
    ax.legend()
    return figure


@style()
def snapshots(run: xr.Dataset, epochs: list[int]) -> Figure:
    """The network's output at some epochs, all seeds, over the target."""
    figure, axes = plt.subplots(1, len(epochs), figsize=(8.6, 2.5), sharey=True)
    for ax, epoch in zip(axes, epochs, strict=True):
        at = run.prediction.sel(epoch=epoch, method="nearest")
        ax.plot(run.angle, run.target, color=INK, lw=0.9, ls=LINE_STYLES[2])
        ax.plot(run.angle, at.T, color=PALETTE[0], lw=0.9, ls="-", alpha=0.7)
        ax.set(title=f"epoch {int(at.epoch)}", xlabel="θ", xticks=[-np.pi, 0, np.pi], xticklabels=["−π", "0", "π"],
               ylim=1.35 * np.abs(run.target.values).max() * np.array([-1, 1]))  # fmt: skip
    axes[0].set_ylabel("f, target dotted")
    return figure


@style()
def learning_times(
    runs: Mapping[str, xr.Dataset], fits: Mapping[str, PowerLaw | None], predictions: Mapping[str, xr.DataArray]
) -> Figure:
    """Learning time against frequency, with the fitted power laws (lines) and what the kernel predicts (thin dashes)."""
    figure, ax = plt.subplots(figsize=(6.2, 4.3))
    for (name, run), color, marker in zip(runs.items(), PALETTE, MARKERS, strict=False):
        steps = run.steps.where(run.steps >= 0)
        learned = steps.notnull().all("run")
        mean = steps.mean("run").where(learned, drop=True)
        low, high = steps.min("run").where(learned, drop=True), steps.max("run").where(learned, drop=True)
        fit = fits.get(name)
        label = name if fit is None else f"{name}: $k^{{{fit.exponent:.2f}}}$"
        ax.errorbar(mean.frequency, mean, [mean - low, high - mean], fmt=marker, color=color, ms=4.5, lw=1, label=label)
        if fit is not None:
            k = np.array([8.0, float(mean.frequency.max())])
            ax.plot(k, fit.prefactor * k**fit.exponent, color=color, ls="-", lw=1.5)
        if name in predictions:
            expected = predictions[name]
            ax.plot(expected.frequency, expected, color=color, ls=LINE_STYLES[1], lw=1)
    ax.set(xscale="log", yscale="log", xlabel="wavenumber k", ylabel="steps of gradient descent")
    ax.set_xticks([1, 2, 3, 5, 8, 12, 20, 30], ["1", "2", "3", "5", "8", "12", "20", "30"], minor=False)
    ax.minorticks_off()
    ax.legend()
    return figure


@style()
def odd_and_even(run: xr.Dataset, cap: int) -> Figure:
    """Steps without bias: even wavenumbers are learned, odd ones from 3 on stop at the cap."""
    figure, ax = plt.subplots(figsize=(5.6, 3.2))
    for parity, name in ((0, "even k"), (1, "odd k")):
        part = run.steps.sel(frequency=run.frequency % 2 == parity)
        learned = part.where(part >= 0)
        mean = learned.mean("run")
        ax.plot(mean.frequency, mean, MARKERS[parity], color=PALETTE[parity], ls="", label=name)
        never = (part < 0).all("run")
        ax.plot(part.frequency[never], np.full(int(never.sum()), cap), "x", color=PALETTE[parity], ms=7,
                label="never (stopped)" if bool(never.any()) else None)  # fmt: skip
    ax.set(xlabel="wavenumber k", ylabel="steps", ylim=(0, 1.12 * cap))
    ax.legend()
    return figure


@style()
def amplitude_map(run: xr.Dataset) -> Figure:
    """Rahaman's picture: amplitude learned of each frequency, against the iteration; median over seeds."""
    figure, ax = plt.subplots(figsize=(5.8, 3.4))
    amplitude = run.amplitude.median("seed").sel(epoch=run.epoch > 0)
    mesh = ax.pcolormesh(np.arange(run.frequency.size), amplitude.epoch, amplitude, cmap="cividis", vmin=0, vmax=1,
                         shading="nearest", rasterized=True)  # fmt: skip
    ax.set(yscale="log", xlabel="frequency (cycles)", ylabel="iteration")
    ax.set_xticks(range(run.frequency.size), [str(k) for k in run.frequency.values])
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
            ax.plot(one.seconds, one.error, MARKERS[index % len(MARKERS)], color=PALETTE[index % len(PALETTE)],
                    mfc="none" if index >= len(PALETTE) else None, ms=6, ls="", label=str(remedy))  # fmt: skip
        ax.set(xscale="log", yscale="log", title=names[float(frequency)], xlabel="seconds per network")
    axes[0, 0].set_ylabel("relative error between the points")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)
    return figure
