"""Figures of the page on a reader's own data."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from specbias.plots import INK, MARKERS, PALETTE, style
from specbias.plots.sequential_plane import positive

__all__ = ["fit_and_left", "stages"]

_DOTS = {"linestyle": "none", "markersize": 3}  # not as pixels: these could not change with the theme
_MANY = 1000  # points that are drawn, at most


@style()
def fit_and_left(frame: pd.DataFrame, predicted: np.ndarray, test: np.ndarray) -> Figure:
    """The data and the fit, and what is left, against the first input; points to test with stand out.

    Parameters
    ----------
    frame
        Inputs, and the output last.
    predicted
        ``(n,)``, of every line.
    test
        Numbers of the lines that were not fitted.
    """
    x, y = frame.iloc[:, 0].to_numpy(float), frame.iloc[:, -1].to_numpy(float)
    order = np.argsort(x, kind="stable")[:: -(-len(x) // _MANY)]
    figure, (top, bottom) = plt.subplots(2, 1, figsize=(7.2, 5.0), sharex=True, height_ratios=(3, 2))
    top.plot(x[order], y[order], "o", color=INK, alpha=0.6, label="data", **_DOTS)
    if frame.shape[1] == 2:
        top.plot(x[order], predicted[order], color=PALETTE[0], linewidth=1.4, label="fit")
    else:
        top.plot(x[order], predicted[order], "x", color=PALETTE[0], label="fit", **_DOTS)
    fitted, test = np.setdiff1d(order, test), np.intersect1d(order, test)
    left = y - predicted
    bottom.plot(x[fitted], left[fitted], "o", color=PALETTE[0], label="fitted", **_DOTS)
    bottom.plot(x[test], left[test], MARKERS[1], color=PALETTE[1], label="tested with", **_DOTS)
    bottom.axhline(0, color=INK, linewidth=0.8)
    top.set_ylabel(str(frame.columns[-1]))
    bottom.set(xlabel=str(frame.columns[0]), ylabel="left")
    top.legend(loc="best")
    bottom.legend(loc="best", ncols=2)
    return figure


@style()
def stages(fitted: np.ndarray, tested: np.ndarray, rivals: dict[str, float]) -> Figure:
    """What is left after each stage, on the points fitted and on those tested with; lines for other methods.

    Parameters
    ----------
    fitted, tested
        ``(stages + 1,)``, root mean squares.
    rivals
        Error of each at the points tested with.
    """
    figure, ax = plt.subplots(figsize=(6.2, 3.9))
    steps = np.arange(len(fitted))
    ax.plot(steps, positive(fitted), color=PALETTE[0], marker=MARKERS[0], label="on the points fitted")
    ax.plot(steps, positive(tested), color=PALETTE[1], marker=MARKERS[1], label="on those tested with")
    for number, (name, error) in enumerate(rivals.items()):
        ax.axhline(error, color=INK, linestyle=("--", ":", "-.")[number % 3], linewidth=1, label=name)
    ax.set(xlabel="stages", ylabel="left (rms)", yscale="log", xticks=steps)
    figure.legend(loc="outside lower center", ncols=2)
    return figure
