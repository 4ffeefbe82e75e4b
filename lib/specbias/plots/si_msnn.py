"""Figures of the chapter on spectrum-informed networks, each from the dataset of its run."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator

from specbias.experiments.si_msnn_findings import joined, made
from specbias.interactive import Line, Panel
from specbias.plots import INK, MARKERS, PALETTE, series_look, style
from specbias.plots.sequential_plane import positive

__all__ = [
    "choices",
    "convergence",
    "energies",
    "flow_images",
    "flow_panels",
    "limits",
    "on_and_between",
    "plane_errors",
    "plane_images",
    "plane_series",
    "truncation",
]

_ROUNDING = 1.1e-16  # half the gap between 1 and the next float64
_SMALLEST_ENERGY = 1e-40  # of the target's: less is nothing but rounding
_FIELD, _SPECTRUM = plt.get_cmap("RdBu_r", 32), plt.get_cmap("cividis", 32)  # few colours: small files


def _bins(run: xr.Dataset) -> np.ndarray:
    """Which bins of E(k) can be drawn: those that hold a wave vector other than zero."""
    energy = run.energy.values
    return (run.bin.values > 0.5) & (energy > _SMALLEST_ENERGY * np.nanmax(energy))


def _lefts(run: xr.Dataset, variant: str) -> np.ndarray:
    """The target and what is left of it after each stage that was made, ``(left, x, y)``."""
    values = run.residue.sel(variant=variant).transpose("left", "x", "y").values.astype(float)
    return values[np.isfinite(values).all(axis=(1, 2))]


def flow_panels(run: xr.Dataset, variant: str) -> tuple[list[Panel], list[str]]:
    """E(k) of the stages' sum and of the residue, and a cut through the residue, by stage, for a slider."""
    left, kept = _lefts(run, variant), _bins(run)
    one = run.sel(variant=variant).isel(left=slice(len(left)))
    reached = one.reached.values[:, kept].copy()
    reached[0] = np.nan  # before the first stage the sum is zero
    largest = np.abs(left).max(axis=(1, 2))
    cut = left[:, :, left.shape[2] // 2] / np.where(largest > 0, largest, 1.0)[:, None]
    logs = {"x_scale": "log", "y_scale": "log"}
    k, energy = run.bin.values[kept], run.energy.values[kept]
    panels = [
        Panel("Energy of the sum of the stages", "wavenumber k", "E(k)", k,
              [Line("target", energy, style="reference"), Line("sum of stages", reached)], **logs),
        Panel("Energy of what is left", "wavenumber k", "E(k)", k,
              [Line("target", energy, style="reference"), Line("residue", one.left_energy.values[:, kept])],
              **logs),
        Panel("Cut through the residue, by its largest", "x", "residue", run.x.values,
              [Line("residue", cut)], y_range=(-1.1, 1.1)),
    ]  # fmt: skip
    return panels, ["start", *(f"stage {stage}" for stage in range(1, len(left)))]


@style()
def flow_images(run: xr.Dataset, variant: str) -> Figure:
    """The target and what each stage leaves, each on its own scale, and their 2-D spectra (log).

    A colour scale ends where all but half a percent of the values lie: few peaks would hide the rest. In the
    spectra some neighbouring waves are pooled, so that the whole grid's fit on the page.
    """
    left = _lefts(run, variant)
    figure, axes = plt.subplots(2, len(left), figsize=(max(3.2, 1.68 * len(left)), 4.5), squeeze=False)
    step = float(run.x[1] - run.x[0])
    for number, (values, (top, bottom)) in enumerate(zip(left, axes.T, strict=True)):
        largest = made(run, variant, "largest")[number - 1] if number else np.abs(values).max()
        _image(top, values, float(run.x[0]), step, float(np.quantile(np.abs(values), 0.995)))
        title = f"after stage {number}:\n{largest:.0e}" if number else f"target:\n{largest:.2g}"
        top.set_title(title, fontsize=10)
        magnitude = run.spectrum.sel(variant=variant).values[number]
        low, high = _log_range(magnitude)
        reach = len(magnitude) / 2 * float(run.kx[1] - run.kx[0])
        look = {"cmap": _SPECTRUM, "vmin": low, "vmax": high, "origin": "lower", "interpolation": "none"}
        shown = np.log10(np.maximum(magnitude, 10.0**low)).T
        bottom.imshow(shown, extent=(-reach, reach, -reach, reach), **look)
        bottom.grid(False)
        bottom.set_title(f"1e{low} to 1e{high}", fontsize=10)
        half = int(reach / 2)
        bottom.set_xticks([-half, 0, half], [f"−{half}", "0", f"{half}"])
        bottom.set_yticks([])
    axes[0, 0].set_ylabel("field")
    axes[1, 0].set_ylabel("spectrum")
    figure.supxlabel("wavenumber", fontsize=11)
    return figure


def _image(ax: Axes, values: np.ndarray, start: float, step: float, scale: float) -> None:
    """A map of values ``(x, y)`` on a symmetric scale, x to the right and y up."""
    ends = (start, start + step * len(values))
    look = {"cmap": _FIELD, "vmin": -1, "vmax": 1, "origin": "lower", "interpolation": "none"}
    ax.imshow(np.clip(values.T / (scale or 1.0), -1, 1), extent=(*ends, *ends), **look)
    ax.grid(False)
    ax.set_xticks([])
    ax.set_yticks([])


def _log_range(magnitude: np.ndarray) -> tuple[int, int]:
    """Powers of ten between which all but the smallest hundredth of the magnitudes lie."""
    present = magnitude[magnitude > 0]
    if not present.size:
        return -1, 0
    low, high = np.floor(np.log10(np.quantile(present, 0.01))), np.ceil(np.log10(present.max()))
    return int(low), int(max(high, low + 1))


@style()
def energies(run: xr.Dataset) -> Figure:
    """E(k) of the target and of the sum of all stages of each variant."""
    figure, ax = plt.subplots(figsize=(6.0, 4.6))
    kept = _bins(run)
    k = run.bin.values[kept]
    for number, name in enumerate(run.variant.values):
        stages = len(made(run, name))
        if stages:
            reached = run.reached.sel(variant=name).values[stages, kept]
            ax.plot(k, positive(reached), label=name, **series_look(number) | {"marker": None})
    ax.plot(k, run.energy.values[kept], color=INK, linestyle="-", linewidth=0.9, label="target", zorder=3)
    ax.set(xlabel="wavenumber k", ylabel="E(k)", xscale="log", yscale="log")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@style()
def convergence(run: xr.Dataset) -> Figure:
    """Size of the residue against iterations counted through all stages; marks where stages begin."""
    figure, ax = plt.subplots(figsize=(6.0, 4.4))
    for number, name in enumerate(run.variant.values):
        at, size, begins = joined(run, name)
        ax.plot(at, positive(size), markevery=begins, label=name, **series_look(number))
    ax.set(xlabel="iterations, all stages", ylabel="residue (rms)", yscale="log")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@style()
def on_and_between(run: xr.Dataset) -> Figure:
    """Size of the residue on the grid and between its points by stage, a panel a variant; a mark a flow."""
    return _by_stage(run.rms, run.between, {"1.1e−16": _ROUNDING}, "rms on the grid", "residue (rms)")


@style()
def plane_errors(run: xr.Dataset) -> Figure:
    """Largest error on the points and between them by stage, a panel a variant: medians, and all seeds."""
    best = {"Chebyshev": float(run.chebyshev.min())}
    return _by_stage(run.largest, run.between, best, "on the points", "largest error")


def _by_stage(on: xr.DataArray, between: xr.DataArray, rule: dict, what: str, label: str) -> Figure:
    """Filled marks for values on the points, open ones between, two panels a row; lines are medians."""
    names, stages = on.variant.values, np.arange(1, on.sizes["stage"] + 1)
    rows = (len(names) + 1) // 2
    size = (7.0, 1.75 * rows + 0.9)
    figure, axes = plt.subplots(rows, 2, figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax in axes.ravel()[len(names) :]:
        ax.remove()
    for number, (ax, name) in enumerate(zip(axes.ravel(), names, strict=False)):
        look = series_look(number) | {"linestyle": "none"}
        for values, legend, fill in ((on, what, look["color"]), (between, "between", "none")):
            several = positive(values.sel(variant=name).transpose("seed", "stage").values)
            line = ":" if fill == "none" else "-"
            ax.plot(stages, _medians(several), color=look["color"], linestyle=line, linewidth=1.4)
            ring = 9 if fill == "none" else 5  # a ring around a dot where both are the same
            for seed, row in enumerate(several):
                ax.plot(stages, row, **look, mfc=fill, markersize=ring, label="_" if seed else legend)
        for legend, level in rule.items():
            ax.axhline(level, color=INK, linestyle="--", linewidth=1, label=legend)
        ax.set_title(name, fontsize=10)
        ax.set(yscale="log", xlim=(0.5, len(stages) + 0.5), xticks=stages)
        ax.yaxis.set_major_locator(LogLocator(numticks=6))
        ax.yaxis.set_minor_locator(FixedLocator([]))
        if number >= len(names) - 2:  # nothing stands below
            ax.set_xlabel("stage")
            ax.tick_params(labelbottom=True)
    figure.supylabel(label, fontsize=11)
    legend = figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    for handle, fill in zip(legend.legend_handles, (INK, "none"), strict=False):
        handle.set(color=INK, marker="o", markerfacecolor=fill)
    return figure


def _medians(values: np.ndarray) -> list[float]:
    """Median over the first axis of what is there, nan where nothing is."""
    present = [column[np.isfinite(column)] for column in values.T]
    return [np.median(column) if column.size else np.nan for column in present]


@style()
def limits(run: xr.Dataset) -> Figure:
    """What one stage leaves against what a Fourier series of its modes leaves, a panel a flow.

    Small marks: after a quarter of its iterations.
    """
    flows = run.flow.values
    size = (max(4.2, 3.5 * len(flows)), 4.2)
    figure, axes = plt.subplots(1, len(flows), figsize=size, sharey=True, squeeze=False)
    for ax, flow in zip(axes[0], flows, strict=True):
        outside = positive(run.outside.sel(flow=flow).values)
        ends = np.array([np.nanmin(outside), np.nanmax(outside)])
        same = "a Fourier series of the same modes"
        ax.plot(ends, ends, color=INK, linestyle="--", linewidth=1, label=same)
        for number, search in enumerate(run.search.values):
            left = run["size"].sel(flow=flow, search=search).transpose("part", "features", "seed").values
            how = series_look(number) | {"linestyle": "none"}
            x = np.repeat(outside, left.shape[2])
            ax.plot(x, positive(left[-1].ravel()), label=search, alpha=0.85, **how)
            ax.plot(x, positive(left[0].ravel()), markersize=2.5, alpha=0.6, **how)
        ax.set(title=flow, xlabel="outside of its modes", xscale="log", yscale="log")
        for axis, ticks in ((ax.xaxis, 5), (ax.yaxis, 8)):
            axis.set_major_locator(LogLocator(numticks=ticks))
            axis.set_minor_locator(FixedLocator([]))
    axes[0, 0].set_ylabel("residue of one stage")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@style()
def choices(run: xr.Dataset) -> Figure:
    """What one published stage leaves, with one choice changed at a time: every seed a dot."""
    names = run.variant.values
    figure, ax = plt.subplots(figsize=(6.4, 0.42 * len(names) + 1.1))
    for row, name in enumerate(names):
        size = positive(run["size"].sel(variant=name).values)
        look = {"color": PALETTE[0 if row else 1], "marker": MARKERS[0 if row else 1]}
        ax.plot(size, np.full(size.size, row), linestyle="none", markersize=6.5, alpha=0.8, **look)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="residue (rms)", xscale="log", ylim=(len(names) - 0.4, -0.6))
    return figure


@style()
def plane_images(run: xr.Dataset, names: Sequence[str]) -> Figure:
    """What each stage leaves of the plane function, of the first seed, a row a variant."""
    stages = run.sizes["left"] - 1
    size = (max(3.4, 2.2 * stages), 2.45 * len(names))
    figure, axes = plt.subplots(len(names), stages, figsize=size, squeeze=False)
    step = float(run.x[1] - run.x[0])
    for name, row in zip(names, axes, strict=True):
        left = _lefts(run, name)
        for stage, ax in enumerate(row, start=1):
            if stage >= len(left):
                ax.remove()
                continue
            largest = float(np.abs(left[stage]).max())
            _image(ax, left[stage], float(run.x[0]) - step / 2, step, largest)
            ax.set_title(f"stage {stage}: {largest:.0e}", fontsize=10)
        row[0].set_ylabel(str(name).replace(", ", ",\n"), fontsize=10)
    return figure


@style()
def plane_series(run: xr.Dataset) -> Figure:
    """Fourier series of the plane function by treatment: left on the points by modes; all modes, between."""
    figure, (by_count, between) = plt.subplots(1, 2, figsize=(7.6, 3.9), sharey=True, width_ratios=(2, 1))
    names = run.treatment.values
    for number, name in enumerate(names):
        look = series_look(number)
        by_count.plot(
            run["count"], positive(run.outside.sel(treatment=name).values), **look | {"marker": None}
        )
        between.plot(number, run.series.sel(treatment=name), **look | {"linestyle": "none"}, markersize=8)
    by_count.set(xlabel="modes", ylabel="error", xscale="log", yscale="log", ylim=(1e-8, 3))
    by_count.set_title("on the points (rms)", fontsize=10)
    between.set_title("all modes, between\n(largest)", fontsize=10)
    between.set_xticks(range(len(names)), names, rotation=60, ha="right")
    between.set_xlim(-0.6, len(names) - 0.4)
    return figure


@style()
def truncation(run: xr.Dataset) -> Figure:
    """What Fourier series leave, by their modes, and stages by all modes so far: on the grid and between."""
    figure, ax = plt.subplots(figsize=(6.0, 4.8))
    ax.plot(run["count"], positive(run.truncated.values), color=INK, linestyle="-", lw=1.2, label="Fourier")
    for number, name in enumerate(run.variant.values):
        one, look = run.sel(variant=name).isel(seed=0), series_look(number)
        modes = positive(one.modes.cumsum("stage", skipna=False).values)
        ax.plot(modes, positive(one.rms.values), label=name, **look)
        ax.plot(modes, positive(one.between.values), **look | {"linestyle": "none"}, markersize=9, mfc="none")
    ax.set(xlabel="modes, of all stages", ylabel="left (rms)", xscale="log", yscale="log")
    ax.plot([], [], color=INK, marker="o", linestyle="none", mfc="none", label="open: between the points")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
