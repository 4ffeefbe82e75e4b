"""Figures of the chapter on the energy landscape, each from the datasets of its runs."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from specbias.ensembles.networks import layers
from specbias.experiments.landscape_findings import RETURNED, binomial, returns
from specbias.experiments.landscape_trainings import FOUND
from specbias.interactive import Line, Panel
from specbias.landscape import HandBuilt, hand_built_network
from specbias.plots import INK, MARKERS, PALETTE, style

__all__ = [
    "band_settings",
    "bands",
    "basins",
    "best",
    "choices",
    "functions",
    "hand_built",
    "losses",
    "path_panels",
    "spectra",
    "splines",
    "tubes",
    "widths",
]

_NAMES = {"adadelta": "Adadelta", "adam": "Adam"}
_SMALL_LOSS = 1e-9  # what a logarithmic axis shows for less


@style()
def hand_built(built: HandBuilt) -> Figure:
    """The network, an edge for each weight that is not zero, and its function with the two parts."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6), width_ratios=(1, 1.5))
    matrices = layers(built.parameters, 5, 5)
    places = [[(0, 2)], *[[(level, unit) for unit in range(5)] for level in range(1, 6)], [(6, 2)]]
    for (weights, _), below, above in zip(matrices, places[:-1], places[1:], strict=True):
        for unit, (level, across) in enumerate(above):
            for source, (from_level, from_across) in enumerate(below):
                live = weights[unit, source] != 0
                side = (
                    PALETTE[0]
                    if max(across * (level < 6), from_across * (from_level > 0)) < 2
                    else PALETTE[1]
                )
                left.plot(
                    (from_across, across), (from_level, level), color=side if live else INK,
                    linestyle="-", linewidth=2.2 if live else 0.4, alpha=1 if live else 0.15,
                    zorder=1 + live,
                )  # fmt: skip
    for level, row in enumerate(places):
        for _, across in row:
            side = INK if level in (0, 6) else PALETTE[0] if across < 2 else PALETTE[1]
            left.plot(across, level, "o", color=side, markersize=7, zorder=3)
    left.text(2.25, 0, "x", va="center")
    left.text(2.25, 6, "f(x)", va="center")
    left.set(xlim=(-0.5, 4.5), ylim=(-0.5, 6.5))
    left.set_axis_off()
    right.plot(built.x, built.y, color=INK, linestyle="-", label="f")
    right.plot(built.x, built.spline, color=PALETTE[1], linestyle="--", label="spline")
    right.plot(built.x, built.sawtooth, color=PALETTE[0], linestyle="-", label="sawtooth", linewidth=1)
    right.set(xlabel="x", ylabel="value")
    right.legend(loc="upper right", ncols=3, fontsize="small")
    right.set_ylim(-0.05, 1.45)
    return figure


@style()
def tubes(runs: Mapping[str, xr.Dataset]) -> Figure:
    """Mean and standard deviation of the outputs over all networks, and over those that are not constant."""
    figure, axes = plt.subplots(1, len(runs), figsize=(8.4, 3.3), sharey=True, squeeze=False)
    for ax, (name, run) in zip(axes[0], runs.items(), strict=True):
        low, high = run["mean"] - run.deviation, run["mean"] + run.deviation
        ax.fill_between(run.x, low, high, color=PALETTE[1], alpha=0.25, linewidth=0)
        ax.plot(run.x, run.y, color=PALETTE[0], linewidth=1, label="f")
        ax.plot(run.x, run["mean"], color=PALETTE[1], label="mean ± sd")
        ax.set(title=f"{name}, {run.sizes['model']} networks", xlabel="x")
        ax.legend(loc="lower center", ncols=2, fontsize="small")
    axes[0, 0].set_ylabel("output")
    return figure


@style()
def losses(runs: Mapping[str, xr.Dataset], live: Mapping[str, xr.Dataset]) -> Figure:
    """Share of networks up to each loss: the recorded ones, and those trained with the page."""
    figure, ax = plt.subplots(figsize=(6.4, 3.4))
    for color, (name, run) in zip(PALETTE, runs.items(), strict=False):
        for one, line in ((run, "-"), (live[name], ":")):
            loss = np.sort(one.loss.values[np.isfinite(one.loss.values)])
            share = np.arange(1, loss.size + 1) / one.sizes["model"]
            sparse = np.unique(np.linspace(0, loss.size - 1, 1000).round().astype(int))
            which = "with this page" if line == ":" else "recorded"
            label = f"{name}, {one.sizes['model']} {which}"
            ax.step(loss[sparse], share[sparse], color=color, linestyle=line, where="post", label=label)
    built = hand_built_network()
    for level, what in ((built.sawtooth.var(), "the spline learned"), (built.y.var(), "a constant")):
        ax.axvline(level, color=INK, linewidth=0.8, linestyle="--")
        ax.annotate(
            what, (level, 0.5), rotation=90, ha="right", va="center", fontsize="small", xytext=(-2, 0),
            textcoords="offset points",
        )  # fmt: skip
    ax.set(xscale="log", xlabel="loss", ylabel="share of networks up to it")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@style()
def best(runs: Mapping[str, xr.Dataset]) -> Figure:
    """The outputs of least loss."""
    figure, axes = plt.subplots(1, len(runs), figsize=(8.4, 3.3), sharey=True, squeeze=False)
    for ax, (name, run) in zip(axes[0], runs.items(), strict=True):
        ax.plot(run.x, run.y, color=PALETTE[0], linewidth=1, label="f")
        ax.plot(run.x, run.best[0], color=PALETTE[1], label=f"best, loss {float(run.loss.min()):.2e}")
        ax.set(title=name, xlabel="x")
        ax.legend(loc="lower center", fontsize="small")
    axes[0, 0].set_ylabel("output")
    return figure


@style()
def bands(run: xr.Dataset) -> Figure:
    """Loss, share of the teeth and angle against the distance from ``W_f`` along each band."""
    figure, axes = plt.subplots(3, 1, figsize=(7.2, 6.6), sharex=True)
    names = list(dict.fromkeys(run.optimizer.values.tolist()))
    for path in range(run.sizes["path"]):
        one = run.isel(path=path)
        color = PALETTE[names.index(str(one.optimizer.values))]
        line = {"color": color, "linewidth": 0.6, "alpha": 0.4, "linestyle": "-", "rasterized": True}
        axes[0].plot(one.distance, one.energy, **line)
        axes[1].plot(one.distance, one.teeth, **line)
        axes[2].plot(one.distance[1:-1], one.angle, **line)
    for name, color in zip(names, PALETTE, strict=False):
        axes[0].plot([], [], color=color, linestyle="-", label=f"to minima by {_NAMES.get(name, name)}")
    axes[0].set(ylabel="loss", yscale="log")
    axes[0].set_ylim(bottom=1e-6)
    axes[0].legend(loc="lower right", fontsize="small")
    axes[1].set_ylabel("share of the teeth")
    axes[2].set(ylabel="angle (radians)", xlabel="distance from W_f along the band")
    return figure


@style()
def band_settings(run: xr.Dataset) -> Figure:
    """Radius, length and highest loss of the bands (median and range) against the number of images."""
    figure, axes = plt.subplots(1, 3, figsize=(8.4, 3.2))
    shown = {"radius": "end of the rise", "length": "length", "between": "highest loss on the way"}
    for ax, (key, title) in zip(axes, shown.items(), strict=True):
        for number, spring in enumerate(run.spring.values):
            values = run[key].sel(spring=spring)
            low, middle, high = values.quantile((0, 0.5, 1), "path").values
            x = run.images * 1.05 ** (number - 1)
            ax.errorbar(
                x, middle, yerr=(middle - low, high - middle), color=PALETTE[number], marker=MARKERS[number],
                capsize=2, label=f"spring {spring:g}",
            )  # fmt: skip
        ax.set(title=title, xlabel="images", xscale="log", xticks=run.images.values)
        ax.set_xticks([], minor=True)
        ax.set_xticklabels([str(count) for count in run.images.values])
    axes[0].set_ylabel("distance from W_f")
    axes[1].set_ylabel("distance")
    axes[2].set(ylabel="loss", yscale="log")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def path_panels(run: xr.Dataset) -> tuple[list[Panel], list[int]]:
    """Output, loss and angle of the first band, image by image from its minimum to ``W_f``."""
    one = run.isel(path=0)
    order = slice(None, None, -1)
    distance, energy = one.distance.values[order], np.maximum(one.energy.values[order], 1e-6)
    angle = np.concatenate([[np.nan], one.angle.values, [np.nan]])[order]
    panels = [
        Panel("Output", "x", "f", run.x.values,
              [Line("f", run.y.values, style="reference"), Line("network", run.output.values[order])],
              y_range=(0.3, 1.5)),
        Panel("Loss", "distance from W_f", "loss", distance,
              [Line("along the band", energy)], y_scale="log", cursor=distance),
        Panel("Angle", "distance from W_f", "radians", distance,
              [Line("along the band", angle)], y_range=(0, 3.2), cursor=distance),
    ]  # fmt: skip
    return panels, list(range(distance.size))


@style()
def basins(runs: Mapping[str, xr.Dataset]) -> Figure:
    """Final loss against the noise's norm, with lowess, and the probability of coming back."""
    from statsmodels.nonparametric.smoothers_lowess import lowess

    figure, axes = plt.subplots(1, len(runs), figsize=(8.4, 3.6), squeeze=False)
    for ax, (name, run) in zip(axes[0], runs.items(), strict=True):
        loss = np.maximum(run.loss.values.astype(float), _SMALL_LOSS)
        ax.plot(run.noise, loss, ".", color="0.5", markersize=2, alpha=0.5, rasterized=True)
        smooth = lowess(np.log10(loss), run.noise.values, frac=0.1, delta=0.01)
        ax.plot(smooth[:, 0], 10 ** smooth[:, 1], color=PALETTE[1], label="lowess (of the logarithm)")
        ax.axhline(RETURNED, color=INK, linewidth=0.8, linestyle=":")
        ax.set(title=name, xlabel="norm of the noise", yscale="log")
        chance = ax.twinx()
        grid = np.linspace(0, float(run.noise.max()), 200)
        chance.plot(
            grid,
            returns(run).chance(grid),
            color=PALETTE[0],
            linestyle="--",
            label="logistic fit (right scale)",
        )
        chance.set_ylim(-0.05, 1.05)
    chance.set_ylabel("probability of coming back")
    axes[0, 0].set_ylabel("final loss")
    handles = [*ax.get_legend_handles_labels()[0], *chance.get_legend_handles_labels()[0]]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@style()
def choices(run: xr.Dataset) -> Figure:
    """Quantiles of the loss of networks that are not constant, and the largest share of the teeth."""
    names = run.variant.values.tolist()
    figure, (left, right) = plt.subplots(
        1, 2, figsize=(8.4, 0.28 * len(names) + 1.0), sharey=True, width_ratios=(2, 1)
    )
    for row, name in enumerate(names):
        one = run.sel(variant=name)
        loss = one.loss.values[~one.constant.values & np.isfinite(one.loss.values)]
        if loss.size:
            low, middle, high = np.quantile(loss, (0.1, 0.5, 0.9))
            left.plot((low, high), (row, row), color=PALETTE[0], linestyle="-")
            left.plot(middle, row, "o", color=PALETTE[0])
            left.plot(loss.min(), row, "|", color=PALETTE[1], markersize=9)
        right.plot(float(one.teeth.max()), row, "s", color=PALETTE[1])
    left.axvline(hand_built_network().sawtooth.var(), color=INK, linestyle=":", linewidth=0.8)
    right.axvline(FOUND, color=INK, linestyle=":", linewidth=0.8)
    left.set(xscale="log", xlabel="loss: 10 % to 90 %, median, least", yticks=range(len(names)))
    left.set_yticklabels(names, fontsize="small")
    left.invert_yaxis()
    right.set(xlabel="most of the teeth", xlim=(-0.05, 1.1))
    return figure


@style()
def widths(run: xr.Dataset) -> Figure:
    """Share of networks that find the sawtooth against the units a layer, with 95 % intervals."""
    figure, ax = plt.subplots(figsize=(5.6, 3.4))
    for number, name in enumerate(run.optimizer.values.tolist()):
        found = run.teeth.sel(optimizer=name) > FOUND
        shares = np.array([binomial(found.sel(width=w)) for w in run.width.values])
        errors = np.abs(shares[:, 1:].T - shares[:, 0])
        ax.errorbar(
            run.width + 0.1 * number, shares[:, 0], yerr=errors, color=PALETTE[number],
            marker=MARKERS[number],
            capsize=2, label=_NAMES.get(name, name),
        )  # fmt: skip
    ax.set(xlabel="units in each of five layers", ylabel="share that find the sawtooth", ylim=(-0.02, 1.02))
    ax.legend(fontsize="small")
    return figure


@style()
def functions(run: xr.Dataset) -> Figure:
    """Share of networks that find the teeth against how many there are, with 95 % intervals."""
    figure, axes = plt.subplots(1, run.sizes["amplitude"], figsize=(8.4, 3.4), sharey=True, squeeze=False)
    found = run.teeth > FOUND
    for ax, amplitude in zip(axes[0], run.amplitude.values, strict=True):
        for color, name in zip(PALETTE, run.optimizer.values.tolist(), strict=False):
            for number, width in enumerate(run.width.values.tolist()):
                one = found.sel(amplitude=amplitude, optimizer=name, width=width)
                shares = np.array([binomial(one.sel(count=count)) for count in run["count"].values])
                ax.errorbar(
                    run["count"] + 0.15 * number, shares[:, 0],
                    yerr=np.abs(shares[:, 1:].T - shares[:, 0]), color=color, marker=MARKERS[number],
                    linestyle=("-", "--", ":")[number % 3], capsize=2,
                    label=f"{_NAMES.get(name, name)}, {width} units",
                )  # fmt: skip
        teeth = run["count"].values
        ax.set(title=f"teeth of height {amplitude:g}", xlabel="teeth", xticks=teeth)
    axes[0, 0].set(ylabel="share that find them", ylim=(-0.03, 1.03))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


@style()
def spectra(run: xr.Dataset) -> Figure:
    """Positive eigenvalues of the Hessian, largest first: every minimum (thin), and ``W_f``."""
    figure, ax = plt.subplots(figsize=(5.6, 3.4))
    names = list(dict.fromkeys(run.name.values.tolist()))
    for network in reversed(range(run.sizes["network"])):
        values = run.eigenvalue.values[network][::-1]
        which = names.index(str(run.name.values[network]))
        thick = {"linewidth": 2.2} if which == 0 else {"linewidth": 0.5, "alpha": 0.3, "rasterized": True}
        color = INK if which == 0 else PALETTE[which - 1]
        shown = np.where(values > 1e-12, values, np.nan)
        ax.plot(np.arange(1, values.size + 1), shown, color=color, linestyle="-", **thick)
    for which, name in enumerate(names):
        ax.plot(
            [],
            [],
            color=INK if which == 0 else PALETTE[which - 1],
            linestyle="-",
            label=_NAMES.get(name, name),
        )
    ax.set(xlabel="number of the eigenvalue", ylabel="eigenvalue", yscale="log", ylim=(1e-9, None))
    ax.legend(fontsize="small")
    return figure


@style()
def splines(knots: list[int], errors: list[float], reached: float) -> Figure:
    """Error of a classical linear spline against its knots."""
    figure, ax = plt.subplots(figsize=(5.6, 3.2))
    ax.plot(knots, np.maximum(errors, 1e-32), color=PALETTE[0], marker="o", label="greedy linear spline")
    ax.axhline(reached, color=PALETTE[1], linestyle="--", label="best trained 5 × 5 network")
    ax.set(xlabel="knots", ylabel="mean squared error", yscale="log")
    ax.legend(fontsize="small")
    return figure
