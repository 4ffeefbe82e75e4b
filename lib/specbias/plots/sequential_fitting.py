"""Figures of the chapter on sequential fitting, on an interval, each from the datasets of its runs.

Those of the square, of targets of one spectrum, of the kernel, of variants and least squares are drawn in
:mod:`specbias.plots.sequential_plane` and come along from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from specbias.experiments.sequential import order_measures
from specbias.interactive import Family, Line, Panel
from specbias.plots import INK, LINE_STYLES, MARKERS, PALETTE, band, style
from specbias.plots.fit_panels import bounded
from specbias.plots.sequential_plane import (
    boundary_regression,
    kernel_panels,
    least_squares,
    plane_amplitudes,
    plane_basis,
    plane_snapshots,
    plane_strips,
    positive,
    surrogate_times,
    variants_table,
)
from specbias.spectra import amplitudes

__all__ = [
    "basis_and_siren",
    "basis_functions",
    "boundary_regression",
    "error_maps",
    "fits",
    "fronts",
    "kernel_panels",
    "least_squares",
    "magnitudes",
    "plane_amplitudes",
    "plane_basis",
    "plane_snapshots",
    "plane_strips",
    "scrubber_panels",
    "shapes",
    "steps_over_time",
    "surrogate_times",
    "variants_table",
]

_BASIS_POINTS = 125
_FAINT = 0.02  # share of the largest weight below which a function would not be seen
_STEEP = 5.0  # times the slope of a straight ramp: from here on a function counts as a step
_CONSTANT = 1e5  # what a recording holds in place of nan, the variation of a constant, is above


def scrubber_panels(run: xr.Dataset) -> tuple[list[Panel], list[int]]:
    """Fit, residual, spectrum and basis of the first network, over the epochs at which its basis is kept."""
    frames = [int(epoch) for epoch in run.basis_frame.values]
    x, target = run.x.values, run.target.values
    fit = bounded(run.prediction.sel(frame=frames, method="nearest").values)
    of_target, of_fit = amplitudes(target), amplitudes(fit)
    kept = 2 * int(np.argmax(of_target)) + 1
    thin = _thin(x)
    panels = [
        Panel(
            "Fit", "x", "u", x, [Line("target", target, style="reference"), Line("network", fit)],
            y_range=(-1.6, 1.6),
        ),
        Panel("Residual", "x", "u − target", x, [Line("network", fit - target)], y_range=(-1.6, 1.6)),
        Panel(
            "Spectrum", "wavenumber", "amplitude", np.arange(kept),
            [
                Line("target", of_target[:kept], style="reference", kind="line"),
                Line("network", of_fit[:, :kept]),
            ],
            y_range=(0, 1.2 * float(of_target.max())), kind="stem",
        ),
        Panel(
            "Basis", "x", "basis function", x[thin],
            [Family("basis", run.basis.values[..., thin], _shares(run.weight.values))],
        ),
    ]  # fmt: skip
    return panels, frames


def _thin(x: np.ndarray) -> slice:
    return slice(None, None, max(1, x.size // _BASIS_POINTS))


def _shares(weights: np.ndarray) -> np.ndarray:
    """Size of each weight as a share of the largest in its row."""
    sizes = np.abs(weights)
    return sizes / np.maximum(sizes.max(axis=-1, keepdims=True), 1e-300)


@style()
def fits(runs: Mapping[str, xr.Dataset], epochs: Sequence[int]) -> Figure:
    """The first network's output at some epochs over the target (dotted), a row a target."""
    size = (8.4, 1.5 * len(runs) + 0.6)
    figure, axes = plt.subplots(
        len(runs), len(epochs), figsize=size, sharex=True, sharey="row", squeeze=False
    )
    for row, (name, run) in zip(axes, runs.items(), strict=True):
        height = 1.3 * float(np.abs(run.target).max())
        for ax, epoch in zip(row, epochs, strict=True):
            at = run.prediction.sel(frame=epoch, method="nearest")
            ax.plot(run.x, bounded(at), color=PALETTE[0], ls="-", lw=1.2)
            ax.plot(run.x, run.target, color=INK, ls=LINE_STYLES[2], lw=0.9)
            ax.set(xlim=(0, 1), ylim=(-height, height))
            ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        row[0].set_ylabel(name)
    for ax, epoch in zip(axes[0], epochs, strict=True):
        ax.set_title(f"epoch {int(run.frame.sel(frame=epoch, method='nearest'))}")
    for ax in axes[-1]:
        ax.set_xlabel("x")
    return figure


@style()
def fronts(runs: Mapping[str, xr.Dataset]) -> Figure:
    """Epoch at which each half oscillation is fitted against its place: each network, and the median."""
    figure, axes = _panels(len(runs))
    for ax, (name, run) in zip(axes, runs.items(), strict=True):
        fitted = order_measures(run).fitted.reindex(centre=run.centre)  # a gap where the target is small
        if np.isnan(fitted).all():
            ax.text(0.5, 0.5, "none is fitted", transform=ax.transAxes, ha="center", va="center")
        for times in fitted.values:
            ax.plot(fitted.centre, times, ".-", color=PALETTE[5], lw=0.7, ms=3, alpha=0.6)
        _median(ax, fitted, color=PALETTE[1], marker="o", ls="-", lw=2, ms=5)
        ax.set(title=name, xlim=(0, 1), ylim=(0, 1.03 * float(run.epoch[-1])))
    _outer_labels(axes, "place x", "epoch when fitted")
    axes[0].plot([], [], ".-", color=PALETTE[5], lw=0.7, ms=3, label="one network")
    axes[0].plot([], [], "o-", color=PALETTE[1], lw=2, ms=5, label="median of the networks")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@style()
def error_maps(runs: Mapping[str, xr.Dataset]) -> Figure:
    """Error of each half oscillation against the epoch, median over networks; circles: it is fitted."""
    figure, axes = _panels(len(runs))
    for ax, (name, run) in zip(axes, runs.items(), strict=True):
        error = np.median(run.error, axis=0)
        mesh = ax.pcolormesh(
            run.centre, run.epoch, error, cmap="cividis", vmin=0, vmax=1, shading="nearest", rasterized=True
        )
        _median(ax, order_measures(run).fitted, color="black", marker="o", mfc="white", ls="", ms=4.5)
        ax.set(title=name)
        ax.grid(False)
    _outer_labels(axes, "place x", "epoch")
    axes[0].plot([], [], "o", color=INK, mfc="none", ms=4.5, label="fitted to 50 %")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center")
    figure.colorbar(mesh, ax=axes, label="relative error", extend="max")
    return figure


def _panels(count: int) -> tuple[Figure, list[Axes]]:
    """Panels of shared axes, at most two in a row; a single one has the width of a page."""
    columns, rows = min(count, 2), -(-count // 2)
    size = (3.3 * columns + 0.8, 2.6 * rows + 0.7)
    figure, grid = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for spare in grid.ravel()[count:]:
        spare.remove()
    return figure, list(grid.ravel()[:count])


def _outer_labels(axes: list[Axes], x_label: str, y_label: str) -> None:
    columns = min(len(axes), 2)
    for index, ax in enumerate(axes):
        if index % columns == 0:
            ax.set_ylabel(y_label)
        if index + columns >= len(axes):
            ax.set_xlabel(x_label)
            ax.tick_params(labelbottom=True)


def _median(ax: Axes, fitted: xr.DataArray, **look) -> None:
    """Median fitting epochs over the networks, but those that half of the networks do not reach."""
    median = np.median(np.where(np.isnan(fitted), np.inf, fitted), axis=0)
    ax.plot(fitted.centre, np.where(np.isfinite(median), median, np.nan), **look)


@style()
def magnitudes(first: np.ndarray, second: np.ndarray, names: tuple[str, str]) -> Figure:
    """Magnitudes of the discrete Fourier transforms of two targets, and by how much they differ."""
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(5.6, 5.0), sharex=True, height_ratios=(1.4, 1))
    m = np.arange(min(41, len(first) // 2 + 1))
    both = [np.abs(np.fft.rfft(values))[m] for values in (first, second)]
    for values, name, color, marker, size in zip(both, names, PALETTE, MARKERS, (8, 4), strict=False):
        fill = "none" if size == 8 else color
        top.plot(m, positive(values), marker, mfc=fill, ms=size, color=color, ls="", label=name)
    seen = np.concatenate(both)
    seen = seen[seen > 1e-9 * seen.max()]  # the rest is round-off
    top.set(yscale="log", ylabel="|F[m]|", ylim=(0.4 * seen.min(), 2.5 * seen.max()))
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper center", ncols=2)
    bottom.plot(m, positive(np.abs(both[0] - both[1])), MARKERS[2], color=PALETTE[2], ls="", ms=4)
    bottom.set(yscale="log", xlabel="wavenumber m", ylabel="difference")
    return figure


@style()
def basis_functions(run: xr.Dataset, epochs: Sequence[int]) -> Figure:
    """The first network's basis functions at some epochs, each as strong as its output weight."""
    columns = 2 if len(epochs) in (2, 4) else min(len(epochs), 3)
    rows = -(-len(epochs) // columns)
    size = (2.8 * columns + 0.2, 2.2 * rows + 0.3)
    figure, axes = plt.subplots(rows, columns, figsize=size, sharex=True, sharey=True, squeeze=False)
    for ax, epoch in zip(axes.ravel(), epochs, strict=False):
        at = run.sel(basis_frame=epoch, method="nearest")
        _basis(ax, at)
        ax.set_title(f"epoch {int(at.basis_frame)}")
    for spare in axes.ravel()[len(epochs) :]:
        spare.remove()
    for ax in axes[:, 0]:
        ax.set_ylabel("basis function")
    for ax in axes.ravel()[: len(epochs)][-columns:]:
        ax.set_xlabel("x")
        ax.tick_params(labelbottom=True)
    return figure


@style()
def basis_and_siren(tanh_run: xr.Dataset, siren_run: xr.Dataset) -> Figure:
    """Basis functions at the end of a network with tanh, and of one with sines."""
    figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.9), sharey=True)
    for ax, name, run in zip(axes, ("tanh", "sine (SIREN)"), (tanh_run, siren_run), strict=True):
        _basis(ax, run.isel(basis_frame=-1))
        ax.set(title=name, xlabel="x")
    axes[0].set_ylabel("basis function")
    return figure


def _basis(ax: Axes, at: xr.Dataset) -> None:
    thin = _thin(at.x.values)
    for function, share in zip(at.basis.values, _shares(at.weight.values), strict=True):
        if share >= _FAINT:
            ax.plot(at.x[thin], function[thin], color=PALETTE[0], ls="-", lw=1.1, alpha=float(share))
    ax.set(xlim=(0, 1), ylim=(-1.08, 1.08))
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])


@style()
def shapes(runs: Mapping[str, xr.Dataset]) -> Figure:
    """Monotone pieces of the basis functions at the end, and the share with one; weighted means."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.3))
    for position, run in enumerate(runs.values()):
        last = run.isel(shape_epoch=-1)
        reach = _of_shapes(last)
        for ax, values in ((left, last.pieces), (right, last.pieces == 1)):
            mean = _weighted_mean(values.values, reach)
            spread = position + np.linspace(-0.15, 0.15, mean.size)
            ax.plot(spread, mean, MARKERS[0], color=PALETTE[0], ls="", ms=4, alpha=0.7)
            middle = np.median(mean)
            ax.plot([position - 0.32, position + 0.32], [middle, middle], color=PALETTE[1], ls="-")
    left.set(title="monotone pieces, mean", ylim=(0, None))
    right.set(title="share that is monotone", ylim=(-0.03, 1.03))
    for ax in (left, right):
        ax.set_xticks(range(len(runs)), list(runs), fontsize=9, rotation=30, ha="right")
    return figure


def _of_shapes(run: xr.Dataset) -> np.ndarray:
    """Weights of the basis functions, 0 for constants."""
    return np.where(np.nan_to_num(run.variation, nan=np.inf) < _CONSTANT, run.reach, 0.0)


def _weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Over the last axis; where nothing has a weight, nan."""
    values = np.where(weights > 0, values, 0.0)
    total = weights.sum(axis=-1)
    return np.divide(
        (values * weights).sum(axis=-1), total, out=np.full(total.shape, np.nan), where=total > 0
    )


@style()
def steps_over_time(run: xr.Dataset) -> Figure:
    """Distance of the steep steps from the nearer end against the epoch, and how steep all functions are."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.6, 3.2))
    levels, epochs, reach = (0.1, 0.5, 0.9), run.shape_epoch.values, _of_shapes(run)
    steep = np.where(run.steepest > _STEEP, reach, 0.0)
    distance = np.minimum(run.place, 1 - run.place).values
    quantiles = np.array([_quantiles(distance[:, e], steep[:, e], levels) for e in range(epochs.size)]).T
    left.plot(epochs, quantiles[1], MARKERS[0] + "-", color=PALETTE[0], ms=4)
    left.fill_between(epochs, quantiles[0], quantiles[2], color=PALETTE[0], alpha=0.2, linewidth=0)
    left.set(title="distance from the nearer end", xlabel="epoch", ylim=(0, 0.5))
    steepness = _weighted_mean(np.where(reach > 0, run.steepest, 0.0), reach)
    band(right, epochs, steepness, label="", color=PALETTE[2], marker=MARKERS[2], ms=4)
    right.set(title="steepness, mean", xlabel="epoch", ylim=(0, None))
    return figure


def _quantiles(values: np.ndarray, weights: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Of values with weights, where the share of the weight below reaches each level; nan without weight."""
    values, weights = values[weights > 0], weights[weights > 0]
    if values.size == 0:
        return np.full(len(levels), np.nan)
    order = np.argsort(values)
    share = np.cumsum(weights[order]) / weights.sum()
    return values[order][np.searchsorted(share, levels).clip(max=values.size - 1)]
