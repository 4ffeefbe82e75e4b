"""Fits of the paper's first example, a function on a square that is not periodic."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import xarray as xr
from numpy.polynomial import chebyshev
from tqdm.auto import tqdm

from specbias.multistage import MultistageRegressor
from specbias.multistage.stages import rms
from specbias.multistage.transforms import find_lattice
from specbias.multistage.waves import all_modes, extend, modes_on

COUNTS = 40  # of Fourier series
FAR = 4000  # random points where errors between the points are measured
FLAT = 0.5  # where the window is 1; from there on it falls to 0 at the edge
TREATMENTS = {
    "as it is": {}, "mirrored": {"boundary": "even"}, "window": {"window": True},
    "trend of degree 3": {"trend": 3}, "trend of degree 6": {"trend": 6},
}  # fmt: skip
"""What makes a function on a square more like a periodic one: each a change of the data, and of the grid."""


def plane(points: np.ndarray) -> np.ndarray:
    """``[sin(2x + 1) - 0.5 x] (1 - y²)``, the target of the paper's Figure 1, at ``(n, 2)``."""
    x, y = points.T
    return (np.sin(2 * x + 1) - 0.5 * x) * (1 - y**2)


def grid(axis: np.ndarray) -> np.ndarray:
    """``(n², 2)``: all pairs of these values."""
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def trend(x: np.ndarray, y: np.ndarray, degree: int) -> Callable[[np.ndarray], np.ndarray]:
    """The polynomial, of so high a degree in each variable, nearest to ``y`` ``(n,)`` at ``x`` ``(n, 2)``.

    Examples
    --------
    >>> x = grid(np.linspace(-1, 1, 9))
    >>> float(np.abs(trend(x, x[:, 0] ** 3 * x[:, 1], 3)(x) - x[:, 0] ** 3 * x[:, 1]).max()) < 1e-13
    True
    """
    basis = chebyshev.chebvander2d(*x.T, [degree, degree])
    coefficients = np.linalg.lstsq(basis, y, rcond=None)[0].reshape(degree + 1, degree + 1)
    return lambda points: chebyshev.chebval2d(*points.T, coefficients)


def window(x: np.ndarray) -> np.ndarray:
    """1 in the middle quarter of the square, 0 at its edges, in between as smooth as can be, at ``(n, 2)``.

    Examples
    --------
    >>> window(np.array([[0.2, -0.5], [0.75, 0.0], [1.0, 0.3]])).tolist()
    [1.0, 0.5, 0.0]
    """
    to_edge = np.clip((1 - np.abs(x)) / (1 - FLAT), 0, 1)
    with np.errstate(divide="ignore", over="ignore"):
        return (1 / (1 + np.exp(1 / to_edge - 1 / (1 - to_edge)))).prod(axis=1)


def plane_fits(
    *, points: int, variants: Mapping[str, Mapping], seeds: int, seed: int, progress: bool = True
) -> xr.Dataset:
    """Fit the paper's Figure 1 in stages, in several ways.

    Parameters
    ----------
    points
        Along each axis of [-1, 1]², the edges included.
    variants
        Name -> parameters of :class:`specbias.multistage.MultistageRegressor`, and ``trend``, the degree of
        a polynomial that is taken from the function first, or ``window=True``: the function times `window`
        is fitted, and errors are those in the middle quarter, where the window is 1.

    Returns
    -------
    xarray.Dataset
        ``largest``, ``rms`` on the points and ``between`` (largest error at 4000 random points), ``seconds``
        and ``parameters`` over ``(variant, seed, stage)``; ``residue (variant, left, x, y)`` of the first
        seed; ``chebyshev (degree)``: largest error of tensor-product polynomials, between the points.
        Of Fourier series, without any network: ``outside (treatment, count)``, what the largest so many
        modes leave on the points (rms), and ``series (treatment)``, the largest error of all of them between.
    """
    x, names = grid(np.linspace(-1, 1, points)), list(variants)
    far = far_points()
    tallest = max(dict(variant).get("stages", 3) for variant in variants.values())
    keys = ("largest", "rms", "between", "seconds", "parameters")
    data = {key: np.full((len(names), seeds, tallest), np.nan) for key in keys}
    residues = np.full((len(names), tallest + 1, points, points), np.nan, np.float32)
    with tqdm(total=len(names) * seeds, unit="fit", disable=not progress) as bar:
        for row, name in enumerate(names):
            for number in range(seeds):
                variant = {"stages": 3, **variants[name]}
                goal, kept = treated(x, variant)
                model = MultistageRegressor(**variant, random_state=seed + number).fit(x, goal(x))
                left, further = model.staged_residues(x, goal(x)), model.staged_residues(far, goal(far))
                for stage, one in enumerate(model.stages_):
                    after, between = left[stage + 1][kept(x)], further[stage + 1][kept(far)]
                    told = (np.abs(after).max(), rms(after), np.abs(between).max(), one.seconds)
                    for key, value in zip(keys, (*told, one.network.size), strict=True):
                        data[key][row, number, stage] = value
                if number == 0:
                    for stage, values in enumerate(left):
                        residues[row, stage] = values.reshape(points, points)
                bar.update()
    degrees = np.arange(4, 25, 2)
    axis = np.linspace(-1, 1, points)
    counts, outside, series = fourier_series(points, far)
    return xr.Dataset(
        {key: (("variant", "seed", "stage"), values) for key, values in data.items()}
        | {
            "residue": (("variant", "left", "x", "y"), residues),
            "chebyshev": ("degree", [chebyshev_error(degree, far) for degree in degrees]),
            "outside": (("treatment", "count"), outside),
            "series": ("treatment", series),
        },
        {"variant": names, "seed": np.arange(seed, seed + seeds), "x": axis, "y": axis, "degree": degrees,
         "treatment": list(TREATMENTS), "count": counts},
    )  # fmt: skip


def treated(x: np.ndarray, variant: dict) -> tuple[Callable, Callable]:
    """The function that a variant fits, and where its errors count; takes what says so out of the variant."""
    degree, windowed = variant.pop("trend", None), variant.pop("window", False)
    base = trend(x, plane(x), degree) if degree else lambda points: 0.0
    if not windowed:
        return lambda points: plane(points) - base(points), lambda points: np.ones(len(points), bool)
    return lambda points: plane(points) * window(points), lambda points: window(points) == 1


def fourier_series(points: int, far: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, and of each treatment what a series of so many modes leaves, and all of them between points."""
    x = grid(np.linspace(-1, 1, points))
    counts = np.unique(np.geomspace(1, points**2 // 2, COUNTS).round().astype(int))
    outside, series = np.full((len(TREATMENTS), len(counts)), np.nan), []
    for row, treatment in enumerate(TREATMENTS.values()):
        treatment = dict(treatment)
        period = 2 * points - 2 if treatment.pop("boundary", "") == "even" else points
        lattice = replace(find_lattice(x), sizes=(period, period))
        goal, kept = treated(x, treatment)
        values = goal(x).reshape(points, points)
        outside[row] = all_modes(extend(values, lattice))[1][counts]
        modes = modes_on(values, lattice, period**2)
        sums = np.cos(far @ (modes.wavenumbers * lattice.base).T + modes.phases) @ modes.amplitudes
        series.append(np.abs(goal(far) - sums)[kept(far)].max())
    return counts, outside, np.array(series)


def far_points() -> np.ndarray:
    """``(FAR, 2)``: random points of the square, where fits are judged."""
    return np.random.default_rng(12345).uniform(-1, 1, (FAR, 2))


def chebyshev_error(degree: int, far: np.ndarray) -> float:
    """Largest error at ``far`` of the polynomial through (degree + 1)² Chebyshev points."""
    nodes = np.cos(np.pi * (np.arange(degree + 1) + 0.5) / (degree + 1))
    values = plane(grid(nodes))
    basis = np.linalg.inv(chebyshev.chebvander(nodes, degree))
    coefficients = basis @ values.reshape(degree + 1, -1) @ basis.T
    return float(np.abs(chebyshev.chebval2d(far[:, 0], far[:, 1], coefficients) - plane(far)).max())
