"""The plots of a comparison: each number that varies against the swept parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from specbias._command import as_text
from specbias.plots import InlineFigure, series_look, show, style
from specbias.sweep.grid import in_words

__all__ = ["scalar_plot", "spans_decades", "varies"]

_DECADES = 100  # largest by smallest, from which an axis is logarithmic
_NAMED = 12  # curves beyond which a legend would be longer than the plot
_TICKS = 8  # values beyond which not each of them has a tick
_TOLD = 24  # values that the alternative text has


def varies(values: Sequence[float]) -> bool:
    """Whether there are two different numbers.

    Examples
    --------
    >>> varies([1.0, 2.0]), varies([1.0, 1.0]), varies([1.0, float("nan")])
    (True, False, False)
    """
    return len({value for value in values if math.isfinite(value)}) > 1


def spans_decades(values: Sequence[float]) -> bool:
    """Whether a logarithmic axis shows more: all positive, and the largest 100 times the smallest.

    Examples
    --------
    >>> spans_decades([1e-8, 1e-3]), spans_decades([1, 20]), spans_decades([0, 1e-8, 1])
    (True, False, False)
    """
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) >= _DECADES


@style()
def scalar_plot(
    name: str, grid: Mapping[str, list], points: Sequence[Mapping], values: Sequence[float]
) -> InlineFigure:
    """Draw one number of all runs.

    Parameters
    ----------
    name
        What it is called.
    grid
        Values of each swept parameter.
    points, values
        Of each run; nan where it has no number.

    Returns
    -------
    InlineFigure
        Against the swept parameter that has the most values (numbers first); a curve for each combination
        of the others.
    """
    across = _across(grid)
    curves: dict[str, list[tuple[int, float]]] = {}
    for point, value in zip(points, values, strict=True):
        label = in_words({other: point[other] for other in grid if other != across})
        curves.setdefault(label, []).append((grid[across].index(point[across]), value))
    figure, ax = plt.subplots(figsize=(3.6, 2.6))
    x = _axis(ax, across, grid[across])
    for number, (label, curve) in enumerate(curves.items()):
        places, heights = zip(*sorted(curve, key=lambda pair: x[pair[0]]), strict=True)
        ax.plot([x[place] for place in places], heights, label=label, **series_look(number))
    if spans_decades(values):
        ax.set_yscale("log")
    ax.set_title(name)
    if 1 < len(curves) <= _NAMED:
        ax.legend(fontsize=8)
    return show(figure, alt=_alt(name, across, points, values), name=name)


def _across(grid: Mapping[str, list]) -> str:
    return max(grid, key=lambda name: (_are_numbers(grid[name]), len(grid[name])))


def _are_numbers(values: Sequence) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _axis(ax: Axes, name: str, values: list) -> np.ndarray:
    """Label the x axis and return where each value stands on it."""
    numeric = _are_numbers(values)
    x = np.array(values, dtype=float) if numeric else np.arange(len(values), dtype=float)
    if numeric and spans_decades(values):
        ax.set_xscale("log")
    if len(values) <= _TICKS or not numeric:
        ax.set_xticks(x, labels=[as_text(value) for value in values])
        ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(name)
    return x


def _alt(name: str, across: str, points: Sequence[Mapping], values: Sequence[float]) -> str:
    told = [f"{in_words(point)}: {value:.3g}" for point, value in zip(points, values, strict=True)]
    more = "; and so on, as in the table" if len(told) > _TOLD else ""
    return f"{name} against {across}. {'; '.join(told[:_TOLD])}{more}."
