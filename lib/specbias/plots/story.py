"""The book's picture: what is learned first, and how the rest can be learned."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from specbias.plots import INK, LINE_STYLES, PALETTE, band, series_look, style
from specbias.plots.sequential_plane import positive

__all__ = ["two_halves"]

_ROUNDING = 1.1e-16  # half the gap between 1 and the next float64


@style()
def two_halves(waves: xr.Dataset, line: xr.Dataset, flow: xr.Dataset) -> Figure:
    """Left: amplitudes of two waves by epoch. Right: what is left after each stage, on a line and in a plane.

    Parameters
    ----------
    waves, line, flow
        Recorded runs: spectral-bias/circle-waves, multistage/four, si-msnn/flow.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 3.7))
    kept = waves.epoch.values > 0
    for number, k in enumerate(waves.wavenumber.values):
        history = waves.amplitude.sel(wavenumber=k).values[:, kept]
        look = {"color": PALETTE[number], "ls": LINE_STYLES[number]}
        band(left, waves.epoch.values[kept], history, label=f"{k} oscillations", **look)
    left.axhline(1, color=INK, lw=0.8)
    left.set(xscale="log", xlabel="epoch", ylabel="share that is learned", ylim=(-0.08, 1.2))
    left.set_title("Low frequencies first ...", fontsize=11)
    left.legend(loc="upper left", bbox_to_anchor=(0, 0.86))
    for number, (label, sizes) in enumerate(_stages(line, flow).items()):
        right.plot(np.arange(len(sizes)), positive(np.array(sizes)), label=label, **series_look(number))
    right.axhline(_ROUNDING, color=INK, ls="--", lw=1)
    right.annotate("where float64 ends", (0.05, _ROUNDING), (0, 4), textcoords="offset points", fontsize=9)
    right.set(
        yscale="log", xlabel="networks added, each on what is left", ylabel="left (rms)", xticks=range(5)
    )
    right.set_title("... and the rest, stage by stage", fontsize=11)
    right.legend(loc="upper right", fontsize=9)
    return figure


def _stages(line: xr.Dataset, flow: xr.Dataset) -> dict[str, list[float]]:
    """What is left before and after each stage, by the target: medians on the line; of the first flow."""
    found = {}
    variants = {"a function, by Adam": "lecture, as published", "by our optimizer": "lecture, ours"}
    for label, variant in variants.items():
        sizes = line.rms.sel(variant=variant).median("seed").dropna("stage").values
        target = float(np.sqrt(np.mean(line.residue.sel(variant=variant).values[0] ** 2)))
        found[label] = [1.0, *(sizes / target)]
    ours = flow.rms.sel(variant="ours").isel(seed=0).dropna("stage").values
    return found | {"turbulence on 512² points": [1.0, *ours]}
