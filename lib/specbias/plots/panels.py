"""The figures of the panels in a live notebook, each of one moment of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from specbias.landscape import HandBuilt
from specbias.multistage.stages import rms
from specbias.plots import INK, LINE_STYLES, PALETTE, series_look, style
from specbias.plots.sequential_plane import positive
from specbias.spectra import power_spectrum_radial

__all__ = ["flow_in_stages", "many_networks", "order_of_fitting", "stage_by_stage", "two_waves"]

_FIELD = plt.get_cmap("RdBu_r", 32)  # few colours: small files
_MOST = 120  # epochs of a map, and values of a curve, that are drawn
_SMALLEST = 1e-9  # loss that a histogram shows for less


def _fit(ax: Axes, x: np.ndarray, target: np.ndarray, prediction: np.ndarray) -> None:
    """The network over its target, on axes that stay as they are while it trains."""
    ax.plot(x, target, color=INK, linestyle=LINE_STYLES[2], linewidth=0.9, label="target")
    ax.plot(x, prediction, color=PALETTE[0], linewidth=1.3, label="network")
    height = 1.4 * float(np.abs(target).max())
    ax.set(xlim=(x[0], x[-1]), ylim=(-height, height), xlabel="x")
    ax.legend(loc="upper right", ncols=2, fontsize="small")


def _thinned(count: int) -> np.ndarray:
    """At most so many of ``count`` moments, the last one among them."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST)).round().astype(int))


@style()
def two_waves(
    x: np.ndarray, target: np.ndarray, prediction: np.ndarray, epochs: np.ndarray, losses: np.ndarray,
    shares: Mapping[int, np.ndarray],
) -> Figure:  # fmt: skip
    """Fit, loss, and share of each wave that is learned, up to now.

    Parameters
    ----------
    x, target, prediction
        ``(n,)``.
    epochs, losses
        ``(k,)``.
    shares
        From the waves around the circle to ``(k,)``.
    """
    figure, axes = plt.subplot_mosaic([["fit", "fit"], ["loss", "share"]], figsize=(8.4, 4.8))
    _fit(axes["fit"], x, target, prediction)
    axes["fit"].set_xlabel("angle")
    kept = _thinned(len(epochs))
    axes["loss"].plot(epochs[kept], positive(losses[kept]), color=PALETTE[0])
    axes["loss"].set(xlabel="epoch", ylabel="loss", yscale="log")
    for number, (wave, share) in enumerate(shares.items()):
        look = series_look(number) | {"marker": ""}
        axes["share"].plot(epochs[kept], share[kept], label=f"{wave} waves", **look)
    axes["share"].set(xlabel="epoch", ylabel="share learned", ylim=(-0.1, 1.3))
    axes["share"].legend(loc="upper left", ncols=2, fontsize="small")
    return figure


@style()
def order_of_fitting(
    x: np.ndarray, target: np.ndarray, prediction: np.ndarray, centres: np.ndarray, epochs: np.ndarray,
    errors: np.ndarray,
) -> Figure:  # fmt: skip
    """The fit, and below it the relative error of each half oscillation against the epoch, up to now.

    Parameters
    ----------
    x, target, prediction
        ``(n,)``.
    centres
        ``(c,)``, of the half oscillations.
    epochs, errors
        ``(k,)`` and ``(k, c)``.
    """
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(8.4, 5.2), sharex=True)
    _fit(top, x, target, prediction)
    top.set_xlabel("")
    kept = _thinned(len(epochs))
    if len(kept) > 1:
        mesh = bottom.pcolormesh(
            centres, epochs[kept], errors[kept], cmap="cividis", vmin=0, vmax=1, shading="nearest",
            rasterized=True,
        )  # fmt: skip
        figure.colorbar(mesh, ax=bottom, label="relative error", extend="max")
    bottom.grid(False)
    bottom.set(xlabel="place x", ylabel="epoch")
    return figure


@style()
def many_networks(built: HandBuilt, losses: np.ndarray, best: np.ndarray) -> Figure:
    """How many networks have which loss, and the output of the best.

    Parameters
    ----------
    built
        The function that is fitted.
    losses
        ``(models,)``, nan where a training has diverged.
    best
        ``(n,)``, at the points of ``built``.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
    finite = np.maximum(losses[np.isfinite(losses)], _SMALLEST)
    marks = {"the spline learned": built.sawtooth.var(), "a constant": built.y.var()}
    low, high = min(finite.min(), *marks.values()) / 1.5, max(finite.max(), *marks.values()) * 1.5
    left.hist(finite, bins=np.geomspace(low, high, 40), color=PALETTE[0], histtype="stepfilled")
    for (words, loss), line in zip(marks.items(), ("--", ":"), strict=True):
        left.axvline(loss, color=PALETTE[1], linestyle=line, label=words)
    left.set(xscale="log", xlabel="loss", ylabel="networks")
    left.legend(loc="upper left", fontsize="small")
    right.plot(built.x, built.y, color=INK, linestyle=LINE_STYLES[2], linewidth=0.9, label="f")
    right.plot(built.x, best, color=PALETTE[0], label="best network")
    right.set(xlabel="x", ylim=(0.2, 1.6))
    right.legend(loc="upper right", ncols=2, fontsize="small")
    return figure


@style()
def stage_by_stage(x: np.ndarray, left: Sequence[np.ndarray]) -> Figure:
    """The target and what each stage leaves of it, each on an axis of its own.

    Parameters
    ----------
    x
        ``(n,)``.
    left
        ``(n,)`` each.
    """
    size = (8.4, 1.4 * len(left) + 0.6)
    figure, axes = plt.subplots(len(left), 1, figsize=size, sharex=True, squeeze=False)
    for number, (ax, values) in enumerate(zip(axes[:, 0], left, strict=True)):
        ax.plot(x, values, color=PALETTE[min(number, 1)], linewidth=1)
        what = f"left by stage {number}" if number else "target"
        ax.set_title(f"{what}, rms {rms(values):.0e}", fontsize="small")
        reach = 1.15 * float(np.abs(values).max()) or 1.0
        ax.set_ylim(-reach, reach)
    axes[-1, 0].set_xlabel("x")
    return figure


@style()
def flow_in_stages(shape: tuple[int, int], left: Sequence[np.ndarray]) -> Figure:
    """The flow and what each stage leaves, as maps of their own scales, and the energy at each wavenumber.

    Parameters
    ----------
    shape
        Of the grid.
    left
        ``(n,)`` each, in the order of the grid's points.
    """
    figure = plt.figure(figsize=(8.4, 5.2))
    maps, spectra = figure.subfigures(2, 1, height_ratios=(1, 1.4))
    bins = shape[0] // 2
    ax = spectra.subplots()
    for number, (values, above) in enumerate(
        zip(left, maps.subplots(1, max(4, len(left)), squeeze=False)[0], strict=False)
    ):
        what = f"left by stage {number}" if number else "flow"
        scale = float(np.abs(values).max()) or 1.0
        look = {"cmap": _FIELD, "vmin": -1, "vmax": 1, "origin": "lower", "interpolation": "none"}
        above.imshow(values.reshape(shape).T / scale, **look)
        above.set_title(f"{what}:\n{scale:.0e}", fontsize="small")
        k, energy = power_spectrum_radial(values.reshape(shape), bins)
        ax.plot(k[1:], positive(energy[1:]), label=what, **(series_look(number) | {"marker": ""}))
    for one in maps.axes:
        one.set(xticks=[], yticks=[])
        one.grid(False)
        one.set_visible(bool(one.images))
    ax.set(xlabel="wavenumber", ylabel="energy", yscale="log")
    ax.legend(fontsize="small")
    return figure
