"""Figures of the chapter on multistage networks, each from the datasets of its runs."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from specbias.experiments.multistage_findings import final, stages_made, sweep
from specbias.interactive import Line, Panel
from specbias.plots import INK, LINE_STYLES, MARKERS, PALETTE, style
from specbias.spectra import amplitudes

__all__ = ["all_methods", "losses", "magnitudes", "noise", "residues", "sampling", "sizes", "stage_panels"]


@style()
def losses(run: xr.Dataset) -> Figure:
    """Loss of the first start's fit against iterations, stage after stage, one line a variant.

    Thin lines are the other starts.
    """
    figure, ax = plt.subplots(figsize=(7.2, 3.8))
    for number, name in enumerate(run.variant.values):
        color, line = PALETTE[number % len(PALETTE)], LINE_STYLES[number % len(LINE_STYLES)]
        for seed in run.seed.values:
            at, loss = _joined(run.sel(variant=name, seed=seed))
            first = seed == run.seed.values[0]
            how = {"linewidth": 1.8, "label": name} if first else {"linewidth": 0.5, "alpha": 0.4}
            ax.plot(at, loss, color=color, linestyle=line if first else "-", **how)
    ax.set(xlabel="iteration", ylabel="loss, half the mean square", xscale="log", yscale="log")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _joined(one: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Iterations counted through all stages, and the loss."""
    at, loss, offset = [], [], 1.0
    for stage in range(one.sizes["stage"]):
        steps = one.iteration.isel(stage=stage).dropna("record").values
        if steps.size:
            at.append(steps + offset)
            loss.append(one.loss.isel(stage=stage).dropna("record").values)
            offset += steps[-1]
    return np.concatenate(at), np.maximum(np.concatenate(loss), 1e-40)


@style()
def residues(run: xr.Dataset, variant: str) -> Figure:
    """What is left of the target before the first stage and after each, with its size on the axis."""
    one = run.residue.sel(variant=variant)
    rows = [k for k in range(one.sizes["left"]) if np.isfinite(one[k]).all()]
    figure, axes = plt.subplots(len(rows), 1, figsize=(7.2, 1.5 * len(rows)), sharex=True, squeeze=False)
    for ax, row in zip(axes[:, 0], rows, strict=True):
        size = float(np.abs(one[row]).max())
        ax.plot(one.x, one[row] / size, color=PALETTE[min(row, 1)], linewidth=0.9, linestyle="-")
        what = "target" if row == 0 else f"error after stage {row}"
        ax.set_title(f"{what}, largest {size:.1e}", fontsize="small")
        ax.set_yticks([-1, 0, 1])
    axes[-1, 0].set_xlabel("x")
    return figure


@style()
def sizes(runs: Mapping[str, xr.Dataset]) -> Figure:
    """Error against units, layers and points: geometric mean and standard deviation over the starts."""
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.3), sharey=True)
    labels = {"units": "units in each of 3 layers", "layers": "layers of 20 units", "points": "points"}
    for ax, (kind, label) in zip(axes, labels.items(), strict=True):
        for number, (name, run) in enumerate(runs.items()):
            values, errors = sweep(run, kind)
            logs = np.log10(errors)
            middle, spread = logs.mean(axis=1), logs.std(axis=1)
            low, high = 10**middle - 10 ** (middle - spread), 10 ** (middle + spread) - 10**middle
            ax.errorbar(
                values, 10**middle, yerr=(low, high), color=PALETTE[number], marker=MARKERS[number],
                linestyle=LINE_STYLES[number], capsize=2, label=name,
            )  # fmt: skip
        ax.set(xlabel=label, yscale="log")
        if kind == "points":
            ax.set_xscale("log")
    axes[0].set_ylabel("error between the points (rms)")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@style()
def magnitudes(run: xr.Dataset) -> Figure:
    """Relative error against the size of the target, with and without normalising."""
    figure, ax = plt.subplots(figsize=(6.0, 3.4))
    for number, kind in enumerate(("normalised", "as it is")):
        names = [name for name in run.variant.values if name.startswith(kind)]
        scale = 10.0 ** np.array([int(name.split()[-1]) for name in names])
        errors = final(run, "between").sel(variant=names).values / scale[:, None]
        middle = np.median(errors, axis=1)
        around = (middle - errors.min(axis=1), errors.max(axis=1) - middle)
        ax.errorbar(
            scale, middle, yerr=around, color=PALETTE[number], marker=MARKERS[number],
            linestyle=LINE_STYLES[number], capsize=2, label=kind,
        )  # fmt: skip
    ax.set(xlabel="factor of the target", ylabel="relative error (rms)", xscale="log", yscale="log")
    ax.legend()
    return figure


@style()
def all_methods(single: xr.Dataset, stages: xr.Dataset, classical: xr.Dataset) -> Figure:
    """Largest error between the points against seconds and against parameters, every method."""
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 4.2), sharey=True)
    points, markers = {}, (*MARKERS, "X", "*", "<", ">", "h")
    for run in (single, stages):
        for name in run.variant.values:
            one = run.sel(variant=name)
            largest, used = final(one, "largest"), one.parameters.sum("stage")
            points[name] = (one.seconds.sum("stage").values, used.values, largest.values)
    for number, (name, (seconds, parameters, largest)) in enumerate(points.items()):
        how = {
            "color": PALETTE[number % len(PALETTE)], "marker": markers[number % len(markers)],
            "linestyle": "none", "markersize": 5,
        }  # fmt: skip
        axes[0].plot(np.median(seconds), np.median(largest), label=name, **how)
        axes[1].plot(np.median(parameters), np.median(largest), **how)
    for ax, x in ((axes[0], classical.chebyshev_seconds), (axes[1], classical.degree + 1)):
        ax.plot(x, classical.chebyshev_largest, color=INK, linestyle="-", linewidth=1, label="Chebyshev")
    middle = classical.random_largest.median("seed")
    for ax, x in ((axes[0], classical.random_seconds.median("seed")), (axes[1], classical.features)):
        ax.plot(x, middle, color=INK, linestyle=":", linewidth=1.5, label="random tanh features")
    axes[0].set(xlabel="seconds", ylabel="largest error on [−1, 1]", xscale="log", yscale="log")
    axes[1].set(xlabel="parameters", xscale="log")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize="small")
    return figure


@style()
def sampling(run: xr.Dataset) -> Figure:
    """Error on the points and between them after each stage: one panel a number of points."""
    counts = list(dict.fromkeys(name.split()[0] for name in run.variant.values))
    figure, axes = plt.subplots(1, len(counts), figsize=(8.4, 3.2), sharey=True, squeeze=False)
    for ax, count in zip(axes[0], counts, strict=True):
        for number, way in enumerate(("four stages", "stops by itself")):
            one = run.sel(variant=f"{count} points, {way}")
            for key, label, line in (("rms", "on the points", ":"), ("largest", "largest between", "-")):
                middle = one[key].median("seed")
                ax.plot(
                    np.arange(1, middle.size + 1), middle, color=PALETTE[number], linestyle=line,
                    marker=MARKERS[number], markersize=4, label=f"{way}, {label}",
                )  # fmt: skip
        ax.set(title=f"{count} points", xlabel="stage", yscale="log", ylim=(1e-20, None))
        ax.set_xticks(range(1, run.sizes["stage"] + 1))
    axes[0, 0].set_ylabel("error")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@style()
def noise(run: xr.Dataset) -> Figure:
    """Error against the clean function, and how many stages were made, for each level of noise."""
    levels = list(dict.fromkeys(name.split(",")[0] for name in run.variant.values))
    ways = list(dict.fromkeys(name.split(", ")[1] for name in run.variant.values))
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2))
    x = np.array([float(level.split()[1]) for level in levels])
    for number, way in enumerate(ways):
        names = [f"{level}, {way}" for level in levels]
        error = final(run, "between").sel(variant=names)
        made = stages_made(run).sel(variant=names)
        how = {"color": PALETTE[number], "marker": MARKERS[number], "linestyle": LINE_STYLES[number]}
        left.plot(x, error.median("seed"), label=way, **how)
        right.plot(x, made.median("seed"), **how)
    left.plot(x, x, color=INK, linestyle=":", linewidth=1, label="the noise itself")
    left.set(xlabel="noise", ylabel="error (rms)", xscale="log", yscale="log")
    right.set(xlabel="noise", ylabel="stages made", xscale="log", ylim=(0, 4.3))
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def stage_panels(run: xr.Dataset, variant: str) -> tuple[list[Panel], list[str]]:
    """Residue, its spectrum and the fit, stage by stage, for a slider; of the first start."""
    one = run.residue.sel(variant=variant)
    rows = [k for k in range(one.sizes["left"]) if np.isfinite(one[k]).all()]
    left, x = one.values[rows].astype(float), one.x.values
    sparse = slice(None, None, 8)
    largest = np.abs(left).max(axis=1, keepdims=True)
    magnitudes = amplitudes(left[:, :-1])[:, : len(x) // 8]  # without the last point a regular, periodic grid
    panels = [
        Panel("Sum of the stages", "x", "u", x[sparse],
              [Line("target", left[0][sparse], style="reference"),
               Line("network", (left[0] - left)[:, sparse])]),
        Panel("What is left, divided by its largest", "x", "residue", x[sparse],
              [Line("residue", (left / largest)[:, sparse])], y_range=(-1.1, 1.1)),
        Panel("Spectrum of what is left", "wavenumber on [−1, 1]", "amplitude",
              np.arange(magnitudes.shape[1]), [Line("residue", np.maximum(magnitudes, 1e-22))],
              y_scale="log"),
    ]  # fmt: skip
    return panels, [f"{row} ({size:.0e})" for row, size in zip(rows, largest[:, 0], strict=True)]
