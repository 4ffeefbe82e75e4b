"""Slices of the runs of the chapter on spectrum-informed networks."""

from __future__ import annotations

import numpy as np
import xarray as xr

from specbias.experiments.si_msnn import COUNTS, ROUGH
from specbias.experiments.si_msnn_flow import truncation
from specbias.experiments.si_msnn_plane import chebyshev_error, far_points, grid, plane
from specbias.experiments.slices.compare import SAME_NUMBERS, Agrees, Close, Parameters, Slice
from specbias.turbulence import decaying_turbulence

SEARCH = "waves fixed, L2 norm, L-BFGS"
MODES = 600


def _energy(run: xr.Dataset, _: Parameters) -> tuple:
    """Mean square by Parseval's theorem, and as it was measured."""
    return run.energy.sum(), run.attrs["target_rms"] ** 2


def _left(run: xr.Dataset, _: Parameters) -> tuple:
    """What the first stage leaves of the first flow by its points, and by its spectrum."""
    one = run.sel(variant=COUNTS)
    return one.rms[0, 0], one.left_energy[1].sum() ** 0.5 / run.attrs["target_rms"]


def _series(run: xr.Dataset, parameters: Parameters) -> tuple:
    """What a series leaves by the modes that were chosen for a stage, and between counts of a series."""
    one = decaying_turbulence(**parameters["flows"][ROUGH]).streamfunction
    counts, outside = truncation(one.values)
    left = np.exp(np.interp(MODES, counts[:-1], np.log(outside[:-1])))  # all modes leave nothing
    return run.outside.sel(flow=ROUGH, features=MODES), left


def _target(run: xr.Dataset, parameters: Parameters) -> tuple:
    points = parameters["points"]
    return run.residue[0, 0], plane(grid(np.linspace(-1, 1, points))).reshape(points, points)


SLICES = {
    "flow_fits": Slice(
        "energies of the flow and of what the first stage leaves, by their spectra",
        (
            Agrees("energy", 1e-9, values=_energy, why="Parseval's theorem"),
            Agrees("rms", 1e-3, values=_left, why="Parseval's theorem, of a small difference"),
        ),
    ),
    "stage_limits": Slice(
        f"what {MODES} modes of the flow that is {ROUGH} leave",
        (
            Agrees("outside", 1e-7, 0.2, logarithm=True, values=_series,
                   why="interpolated between numbers of modes that are far apart"),
        ),
    ),
    "ablations": Slice(
        f"the first fit with {SEARCH}",
        (
            Close("size", absolute=float(np.log(2)), logarithm=True,
                  why="the same search, though round-off may lead it elsewhere"),
        ),
        changes=lambda parameters: {"variants": {SEARCH: parameters["variants"][SEARCH]}, "seeds": 1},
    ),
    "plane_fits": Slice(
        "the target, and the error of the polynomial of degree 4",
        (
            Agrees("chebyshev", 1e-6, why=SAME_NUMBERS,
                   values=lambda run, _: (run.chebyshev[0], chebyshev_error(4, far_points()))),
            Agrees("residue", 1e-6, values=_target, why=f"{SAME_NUMBERS}; kept as float32"),
        ),
    ),
}  # fmt: skip
