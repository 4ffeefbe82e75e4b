"""Fits of the paper's first example, a function on a square that is not periodic."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from numpy.polynomial import chebyshev
from tqdm.auto import tqdm

from specbias.multistage import MultistageRegressor
from specbias.multistage.stages import rms


def plane(points: np.ndarray) -> np.ndarray:
    """``[sin(2x + 1) - 0.5 x] (1 - y²)``, the target of the paper's Figure 1, at ``(n, 2)``."""
    x, y = points.T
    return (np.sin(2 * x + 1) - 0.5 * x) * (1 - y**2)


def grid(axis: np.ndarray) -> np.ndarray:
    """``(n², 2)``: all pairs of these values."""
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def plane_fits(
    *, points: int, variants: Mapping[str, Mapping], seeds: int, seed: int, progress: bool = True
) -> xr.Dataset:
    """Fit the paper's Figure 1 in stages, in several ways.

    Parameters
    ----------
    points
        Along each axis of [-1, 1]², the edges included.
    variants
        Name -> parameters of :class:`specbias.multistage.MultistageRegressor`.

    Returns
    -------
    xarray.Dataset
        ``largest``, ``rms`` on the points and ``between`` (largest error at 4000 random points), ``seconds``
        and ``parameters`` over ``(variant, seed, stage)``; ``residue (variant, left, x, y)`` of the first
        seed; ``chebyshev (degree)``: largest error of tensor-product polynomials, between the points.
    """
    x, names = grid(np.linspace(-1, 1, points)), list(variants)
    y, far = plane(x), np.random.default_rng(12345).uniform(-1, 1, (4000, 2))
    tallest = max(dict(variant).get("stages", 3) for variant in variants.values())
    keys = ("largest", "rms", "between", "seconds", "parameters")
    data = {key: np.full((len(names), seeds, tallest), np.nan) for key in keys}
    residues = np.full((len(names), tallest + 1, points, points), np.nan, np.float32)
    with tqdm(total=len(names) * seeds, unit="fit", disable=not progress) as bar:
        for row, name in enumerate(names):
            for number in range(seeds):
                model = MultistageRegressor(**{"stages": 3, **variants[name]}, random_state=seed + number)
                model.fit(x, y)
                left, further = model.staged_residues(x, y), model.staged_residues(far, plane(far))
                for stage, one in enumerate(model.stages_):
                    after, between = left[stage + 1], further[stage + 1]
                    told = (np.abs(after).max(), rms(after), np.abs(between).max(), one.seconds)
                    for key, value in zip(keys, (*told, one.network.size), strict=True):
                        data[key][row, number, stage] = value
                if number == 0:
                    for stage, values in enumerate(left):
                        residues[row, stage] = values.reshape(points, points)
                bar.update()
    degrees = np.arange(4, 25, 2)
    axis = np.linspace(-1, 1, points)
    return xr.Dataset(
        {key: (("variant", "seed", "stage"), values) for key, values in data.items()}
        | {
            "residue": (("variant", "left", "x", "y"), residues),
            "chebyshev": ("degree", [_chebyshev(degree, far) for degree in degrees]),
        },
        {"variant": names, "seed": np.arange(seed, seed + seeds), "x": axis, "y": axis, "degree": degrees},
    )


def _chebyshev(degree: int, far: np.ndarray) -> float:
    """Largest error at ``far`` of the polynomial through (degree + 1)² Chebyshev points."""
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    values = plane(grid(nodes))
    basis = np.linalg.inv(chebyshev.chebvander(nodes, degree))
    coefficients = basis @ values.reshape(degree + 1, -1) @ basis.T
    return float(np.abs(chebyshev.chebval2d(far[:, 0], far[:, 1], coefficients) - plane(far)).max())
