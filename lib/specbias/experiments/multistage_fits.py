"""Fits in stages under many settings, and the classical controls beside them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.polynomial import chebyshev
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from specbias.multistage import MultistageRegressor
from specbias.multistage.stages import Stage
from specbias.spectra import zero_crossings
from specbias.targets import lecture_curve, wang_lai_curve, waves_curve
from specbias.training.threads import each

RECORDS = 80  # of each stage's loss, more densely at the start
DENSE = 4001  # points of [-1, 1] where fits are judged; nearly all lie between those that are fitted


TARGETS = {"lecture": lecture_curve, "wang-lai": wang_lai_curve, "waves": waves_curve}


def fits(*, variants: Mapping[str, Mapping], seeds: int, seed: int, progress: bool = True) -> xr.Dataset:
    """Fit each variant from several random starts.

    Parameters
    ----------
    variants
        Name -> ``target`` (``"lecture"``, ``"wang-lai"``, ``"waves"``), ``points`` from ``-reach`` to
        ``reach``, ``noise`` (standard deviation), ``amplitude`` (of the target), and any parameter of
        :class:`specbias.multistage.MultistageRegressor`.
    seeds, seed
        How many starts, and the first one's seed; noise is the same for all.

    Returns
    -------
    xarray.Dataset
        Over ``(variant, seed, stage)``, nan where a fit has fewer stages: ``rms`` of the residue on the
        points, ``between`` and ``largest`` (root mean square and maximum of the error against the function
        itself on 4001 points of [-1, 1]), ``seconds``, ``iterations``, ``evaluations``, ``parameters``,
        ``scale`` (the scale factor) and ``changes`` (sign changes of the residue before the stage).
        Over ``(variant, seed, stage, record)``: ``iteration`` and ``loss``, half the mean square of the
        residue. ``residue (variant, left, x)``: of the first start, before the first stage and after each.
    """
    names, tallest = list(variants), max(dict(v).get("stages", 4) for v in variants.values())
    jobs = [(name, number) for name in names for number in range(seeds)]
    found: dict[tuple[str, int], dict] = {}

    def one(index: int) -> None:
        name, number = jobs[index]
        found[jobs[index]] = _fit(dict(variants[name]), seed + number)
        bar.update()

    with tqdm(total=len(jobs), unit="fit", disable=not progress) as bar, threadpool_limits(1, "blas"):
        each(one, len(jobs))
    return _collect(found, names, seeds, seed, tallest)


def _fit(variant: dict, seed: int) -> dict:
    """One fit: what `fits` tells of it, by stage."""
    make, points = TARGETS[variant.pop("target", "lecture")], variant.pop("points", 300)
    noise, amplitude, reach = (
        variant.pop(k, v) for k, v in (("noise", 0.0), ("amplitude", 1.0), ("reach", 1.0))
    )
    target = make(points)
    x = reach * target.x / np.abs(target.x).max()
    y = amplitude * target.function(x[:, 0])
    y = y + noise * np.random.default_rng(12345).standard_normal(len(y))
    model = MultistageRegressor(**{"stages": 4, **variant}, random_state=seed).fit(x, y)
    dense = np.linspace(-1, 1, DENSE)[:, None]
    left = model.staged_residues(x, y)
    far = model.staged_residues(dense, amplitude * target.function(dense[:, 0]))
    told = [_of_stage(*of_one) for of_one in zip(model.stages_, left[:-1], left[1:], far[1:], strict=True)]
    return {"stages": told, "residues": far}


def _of_stage(stage: Stage, before: np.ndarray, left: np.ndarray, far: np.ndarray) -> dict:
    steps = np.unique(np.geomspace(1, len(stage.history), RECORDS).round().astype(int) - 1)
    return {
        "rms": np.sqrt(np.mean(left**2)), "between": np.sqrt(np.mean(far**2)), "largest": np.abs(far).max(),
        "seconds": stage.seconds, "iterations": stage.iterations, "evaluations": stage.evaluations,
        "parameters": stage.network.size, "scale": stage.network.scale, "changes": zero_crossings(before),
        "iteration": steps, "loss": stage.history[steps] * stage.size**2,
    }  # fmt: skip


def _collect(found: Mapping, names: list[str], seeds: int, seed: int, tallest: int) -> xr.Dataset:
    """Datasets of single fits laid out side by side, nan where there is nothing."""
    shape = (len(names), seeds, tallest)
    scalars = (
        "rms",
        "between",
        "largest",
        "seconds",
        "iterations",
        "evaluations",
        "parameters",
        "scale",
        "changes",
    )
    data = {key: np.full(shape, np.nan) for key in scalars}
    data |= {key: np.full((*shape, RECORDS), np.nan) for key in ("iteration", "loss")}
    residues = np.full((len(names), tallest + 1, DENSE), np.nan)
    for (name, number), fit in found.items():
        row = names.index(name)
        for stage, told in enumerate(fit["stages"]):
            for key in scalars:
                data[key][row, number, stage] = told[key]
            for key in ("iteration", "loss"):
                data[key][row, number, stage, : len(told[key])] = told[key]
        if number == 0:
            residues[row, : len(fit["residues"])] = fit["residues"]
    dims = ("variant", "seed", "stage", "record")
    return xr.Dataset(
        {key: (dims[: values.ndim], values) for key, values in data.items()}
        | {"residue": (("variant", "left", "x"), residues.astype(np.float32))},
        {"variant": names, "seed": np.arange(seed, seed + seeds), "x": np.linspace(-1, 1, DENSE)},
    )


def classical(
    *,
    degrees: Sequence[int],
    features: Sequence[int],
    points: int,
    seeds: int,
    seed: int,
    spread: float = 5.0,
) -> xr.Dataset:
    """Least squares on the lecture's points: Chebyshev polynomials, and random tanh features.

    Returns
    -------
    xarray.Dataset
        ``largest``, the maximal error on 4001 points of [-1, 1], and ``seconds`` over ``degree`` (of
        ``chebyshev_...``) and over ``(features, seed)`` (of ``random_...``); of five
        calls the fastest counts.
    """
    target = lecture_curve(points)
    x, y, dense = target.x[:, 0], target.y, np.linspace(-1, 1, DENSE)
    exact = target.function(dense)
    polynomial, random = np.full((2, len(degrees)), np.nan), np.full((2, len(features), seeds), np.nan)
    for row, degree in enumerate(degrees):
        polynomial[1, row], series = _timed(chebyshev.Chebyshev.fit, x, y, degree, domain=[-1, 1])
        polynomial[0, row] = np.abs(series(dense) - exact).max()
    for row, count in enumerate(features):
        for number in range(seeds):
            generator = np.random.default_rng(seed + number)
            shape = spread * generator.standard_normal(count), generator.uniform(-1, 1, count)
            random[1, row, number], fitted = _timed(_random_features, x, y, *shape)
            random[0, row, number] = np.abs(_units(dense, *shape) @ fitted - exact).max()
    return xr.Dataset(
        {
            "chebyshev_largest": ("degree", polynomial[0]), "chebyshev_seconds": ("degree", polynomial[1]),
            "random_largest": (("features", "seed"), random[0]),
            "random_seconds": (("features", "seed"), random[1]),
        },
        {"degree": list(degrees), "features": list(features), "seed": np.arange(seed, seed + seeds)},
    )  # fmt: skip


def _units(x: np.ndarray, weights: np.ndarray, kinks: np.ndarray) -> np.ndarray:
    return np.tanh(weights * (x[:, None] - kinks))


def _random_features(x: np.ndarray, y: np.ndarray, weights: np.ndarray, kinks: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(_units(x, weights, kinks), y, rcond=None)[0]


def _timed(function: Callable, *arguments, **options) -> tuple[float, object]:
    """Seconds of the fastest of five calls, and what it returns."""
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        found = function(*arguments, **options)
        seconds.append(time.perf_counter() - began)
    return min(seconds), found
