"""More figures of the chapter on sequential fitting: the square, one spectrum, kernel, variants."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from scipy.stats import spearmanr

from specbias.experiments.sequential_fitting import TARGETS
from specbias.plots import INK, LINE_STYLES, MARKERS, PALETTE, band, style
from specbias.plots.fit_panels import bounded

__all__ = [
    "boundary_regression",
    "kernel_panels",
    "least_squares",
    "plane_amplitudes",
    "plane_basis",
    "plane_snapshots",
    "plane_strips",
    "positive",
    "surrogate_times",
    "variants_table",
]

_DONE = 0.1  # relative error
_TICKS = (-1, -0.5, 0, 0.5, 1)
_NEVER = 1e29  # steps of the kernel; a recording holds 1e30 for never
_WHAT = {0.9: "begins", 0.5: "is halfway", 0.1: "is done"}


@style()
def plane_snapshots(run: xr.Dataset) -> Figure:
    """The first network's output on the square at eight epochs, and the target."""
    figure, axes = plt.subplots(3, 3, figsize=(5.8, 6.9), sharex=True, sharey=True)
    shown = run.prediction.isel(frame=slice(-8, None))
    panels = [(f"epoch {int(at.frame)}", at.values) for at in shown] + [("target", run.target.values)]
    for ax, (title, values) in zip(axes.ravel(), panels, strict=False):
        mesh = _square(ax, values)
        ax.set_title(title)
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    for ax in axes.ravel()[len(panels) :]:
        ax.remove()
    for ax in axes[-1]:
        ax.set_xlabel("x₁")
    for ax in axes[:, 0]:
        ax.set_ylabel("x₂")
    figure.colorbar(
        mesh, ax=figure.axes, location="bottom", shrink=0.6, aspect=35, ticks=_TICKS, extend="both"
    )
    return figure


@style()
def plane_basis(run: xr.Dataset) -> Figure:
    """The first network's basis functions of largest weight at the end, on the square."""
    figure, axes = plt.subplots(5, 5, figsize=(6.4, 6.9))
    for ax in axes.ravel():
        ax.set_axis_off()
    for ax, values in zip(axes.ravel(), run.basis.values, strict=False):
        mesh = _square(ax, values)
    figure.colorbar(mesh, ax=axes, location="bottom", shrink=0.6, aspect=35, ticks=_TICKS)
    return figure


def _square(ax: Axes, values: np.ndarray) -> QuadMesh:
    """A map of values on the square, x1 to the right and x2 up."""
    side = int(np.sqrt(values.size) + 0.5)
    edges = np.linspace(0, 1, side + 1)
    ax.set_aspect("equal")
    ax.grid(False)
    return ax.pcolormesh(
        edges, edges, bounded(values).reshape(side, side).T, cmap="RdBu_r", vmin=-1, vmax=1, rasterized=True
    )


@style()
def plane_amplitudes(run: xr.Dataset) -> Figure:
    """Share of the plane wave that each network fits first and of the other, and the total error."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.5))
    amplitude = bounded(run.amplitude.transpose("seed", "epoch", "wave").values)
    order = _first_wave(amplitude)
    sorted_waves = np.take_along_axis(amplitude, order[:, None, :], axis=-1)
    for wave, name in enumerate(("first wave", "second wave")):
        look = {"color": PALETTE[wave], "ls": LINE_STYLES[wave]}
        for history in sorted_waves[..., wave]:
            left.plot(run.epoch, history, lw=0.8, alpha=0.5, **look)
        left.plot(run.epoch, np.median(sorted_waves[..., wave], axis=0), lw=2.2, label=name, **look)
    left.set(title="share of each wave", xlabel="epoch", ylim=(-0.15, 1.35))
    left.legend(loc="upper left", ncols=2, fontsize=9, handlelength=1.8, columnspacing=1)
    for history in bounded(run.total_error.values):
        right.plot(run.epoch, history, color=PALETTE[2], ls="-", lw=0.8, alpha=0.6)
    right.plot(run.epoch, np.median(bounded(run.total_error), axis=0), color=PALETTE[2], ls="-", lw=2.2)
    right.set(title="relative error", xlabel="epoch", ylim=(0, 1.2))
    return figure


def _first_wave(amplitude: np.ndarray) -> np.ndarray:
    """Order of the waves ``(seed, wave)``: by the epoch at which they are half there, then by mean share."""
    above = amplitude >= 0.5
    half = np.where(above.any(axis=1), above.argmax(axis=1), amplitude.shape[1])
    return np.lexsort((-amplitude.mean(axis=1), half), axis=-1)


@style()
def plane_strips(run: xr.Dataset) -> Figure:
    """Share of each plane wave of the first network, in strips across the square, against the epoch."""
    figure, axes = plt.subplots(1, run.wave.size, figsize=(7.2, 3.6), sharey=True, squeeze=False)
    for wave, ax in enumerate(axes[0]):
        strips = run.strip.transpose("seed", "epoch", "wave", "number")[0, :, wave]
        mesh = ax.pcolormesh(
            run.strip_centre[wave], run.epoch, bounded(strips), cmap="cividis", vmin=0, vmax=1,
            shading="nearest", rasterized=True,
        )  # fmt: skip
        name = str(run.wave.values[wave]).replace("x1", "x₁").replace("x2", "x₂")
        ax.set(title=f"wave along {name}", xlabel=name)
        ax.grid(False)
    axes[0, 0].set_ylabel("epoch")
    figure.colorbar(mesh, ax=axes, label="share of the wave", extend="both")
    return figure


def _epochs(run: xr.Dataset, level: float) -> np.ndarray:
    """Epochs to a relative error ``(target, network)``, infinite where it is never reached."""
    reached = run.reached.sel(level=level, method="nearest").transpose("target", "network").values
    return np.where(reached < 0, np.inf, reached.astype(float))


@style()
def surrogate_times(phases: Mapping[str, xr.Dataset], shifts: xr.Dataset) -> Figure:
    """Epochs to an error of 10 %: of targets with random phases, and of one target moved around."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.0, 3.7))
    for (name, run), color, line in zip(phases.items(), PALETTE, LINE_STYLES, strict=False):
        epochs = np.sort(np.median(_epochs(run, _DONE), axis=1))
        share = np.arange(1, epochs.size + 1) / epochs.size
        done = np.isfinite(epochs)
        left.step(epochs[done], share[done], where="post", color=color, ls=line, label=name)
    left.set(xlabel="epochs to 10 %", ylabel="share of the targets", ylim=(0, 1.02))
    left.set_title("random phases")
    left.legend(loc="lower right" if len(phases) < 3 else "best", fontsize=9)
    epochs = _epochs(shifts, _DONE)
    shift = np.broadcast_to(shifts["shift"].values[:, None], epochs.shape)
    done = np.isfinite(epochs)
    right.plot(shift[done], epochs[done], MARKERS[0], color=PALETTE[0], ls="", ms=3.5, alpha=0.6)
    right.set(title="moved around", xlabel="shift, share of the interval", ylabel="epochs to 10 %")
    right.set(xlim=(-0.03, 1.03))
    left.xaxis.set_major_locator(MaxNLocator(4))
    if not done.all():
        low, high = right.get_ylim()
        right.set_ylim(low, high + 0.12 * (high - low))
        top, never = right.get_xaxis_transform(), shift[~done]
        look = {"marker": "x", "ls": "", "color": PALETTE[1], "ms": 5}
        right.plot(never, np.full(never.size, 0.96), transform=top, label="never (stopped)", **look)
        figure.legend(*right.get_legend_handles_labels(), loc="outside lower right")
    return figure


@style()
def boundary_regression(run: xr.Dataset, fits: Mapping[float, object]) -> Figure:
    """Epochs until the fit begins and is done against the larger boundary amplitude, and the regression."""
    figure, axes = plt.subplots(1, len(fits), figsize=(7.6, 3.5), squeeze=False)
    amplitude = run.boundary.max("end").values
    for ax, (level, fit), color in zip(axes[0], fits.items(), PALETTE, strict=False):
        epochs = _epochs(run, level).mean(axis=1)
        done = np.isfinite(epochs) & (epochs > 0)
        ax.plot(amplitude[done], np.log10(epochs[done]), MARKERS[0], color=color, ls="", ms=4, alpha=0.6)
        ends = np.array([amplitude.min(), amplitude.max()])
        ax.plot(ends, fit.intercept + fit.slope * ends, color=INK, ls="-", lw=1.6)
        what = _WHAT.get(level, f"is at {100 * level:g} %")
        ax.set(title=f"fit {what}, R² = {fit.r_squared:.2f}", xlabel="larger boundary amplitude")
    axes[0, 0].set_ylabel("log₁₀ epochs")
    return figure


@style()
def kernel_panels(kernel_run: xr.Dataset, phases: xr.Dataset) -> Figure:
    """How far the kernel moves, how it turns to the target, and whether its times are those of training."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(9.4, 3.6))
    looks = zip(kernel_run.envelope.values, PALETTE, LINE_STYLES, MARKERS, strict=False)
    for envelope, color, line, marker in looks:
        one = kernel_run.sel(envelope=envelope).transpose("seed", "epoch", ...)
        look = {"color": color, "ls": line, "marker": marker, "ms": 4}
        band(left, one.epoch, one.distance, label=TARGETS[str(envelope)], **look)
        band(middle, one.epoch, one.alignment, label=TARGETS[str(envelope)], **look)
    left.set(title="distance from the start", xlabel="epoch", ylim=(0, None))
    middle.set(title="alignment with target", xlabel="epoch", ylim=(0, None))
    epochs = np.median(_epochs(phases, _DONE), axis=1)
    steps = phases.kernel_steps.values
    done = np.isfinite(epochs) & (epochs > 0) & (steps > 0)
    rho = spearmanr(steps[done], epochs[done]).statistic if done.sum() > 2 else np.nan
    shown = done & (steps < _NEVER)
    right.plot(steps[shown], epochs[shown], MARKERS[0], color=PALETTE[3], ls="", ms=4, alpha=0.6)
    never = epochs[done & ~shown]
    right.plot(
        np.full(never.size, 0.98), never, ">", color=PALETTE[3], ms=5, transform=right.get_yaxis_transform()
    )
    title = f"rank correlation {rho:.2f}".replace("-", "−")
    scale = "log" if shown.any() else "linear"  # a logarithmic axis cannot be empty
    right.set(xscale=scale, yscale=scale, title=title, xlabel="kernel's steps", ylabel="epochs to 10 %")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@style()
def variants_table(run: xr.Dataset) -> Figure:
    """Share of the half oscillations that each variant fits, and how well the order is kept; medians."""
    rows, columns = run.variant.size, run.envelope.size
    figure, ax = plt.subplots(figsize=(1.25 * columns + 2.6, 0.52 * rows + 0.9))
    share = run.share.median("seed").transpose("variant", "envelope").values  # a variant may have fewer seeds
    mesh = ax.pcolormesh(
        np.arange(columns), np.arange(rows), share, cmap="cividis", vmin=0, vmax=1, shading="nearest",
        rasterized=True,
    )  # fmt: skip
    for (row, column), value in np.ndenumerate(share):
        one = run.isel(variant=row, envelope=column)
        order = (one.leftward if str(one.envelope.values) == "sqrt" else one.inward).values
        order = order[np.isfinite(order)]
        words = f"{100 * value:.0f} %"
        if value > 0.5 and order.size:
            words += f"\n{np.median(order):.2f}".replace("-", "−")
        color = "white" if value < 0.55 else "black"
        ax.text(column, row, words, ha="center", va="center", fontsize=9, color=color, linespacing=1.05)
    ax.set_xticks(range(columns), [TARGETS[str(name)] for name in run.envelope.values])
    ax.set_yticks(range(rows), [str(name) for name in run.variant.values])
    ax.invert_yaxis()
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(False)
    figure.colorbar(mesh, ax=ax, label="share fitted", location="bottom", shrink=0.7, aspect=30)
    return figure


@style()
def least_squares(errors: xr.DataArray) -> Figure:
    """Relative error of fits by least squares against the degree, a panel a basis and a line a target."""
    errors = errors.transpose("basis", "degree", "target")
    figure, axes = plt.subplots(1, errors.basis.size, figsize=(7.6, 3.5), sharey=True, squeeze=False)
    for ax, basis in zip(axes[0], errors.basis.values, strict=True):
        for index, target in enumerate(errors.target.values):
            look = {"color": PALETTE[index], "ls": LINE_STYLES[index], "label": str(target)}
            ax.plot(errors.degree, positive(errors.sel(basis=basis, target=target).values), **look)
        ax.set(yscale="log", title=str(basis), xlabel="degree")
    axes[0, 0].set_ylabel("relative error")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def positive(values: np.ndarray) -> np.ndarray:
    """The values, nan where a logarithmic axis has no place for them."""
    return np.where(values > 0, values, np.nan)
