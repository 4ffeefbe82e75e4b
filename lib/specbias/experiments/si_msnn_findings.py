"""What the runs of the chapter on spectrum-informed networks say of each claim: in words, and a verdict.

Every criterion is written in its function. Sizes of residues are root mean squares (of the flow) or largest
values (of the plane function), by those of the target; medians are over random starts.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from specbias.experiments.findings import Finding, graded
from specbias.experiments.si_msnn import COUNTS, FINER, OURS, SINGLE

SCALE_FACTOR, SPECTRUM = "scale factor", "spectrum"


def made(run: xr.Dataset, variant: str, key: str = "rms", number: int = 0) -> np.ndarray:
    """Values of one variant after each stage that was made, of the first flow or another."""
    return run[key].sel(variant=variant).isel(seed=number).dropna("stage").values


def last(run: xr.Dataset, variant: str, key: str) -> float:
    """Value after the last stage of a variant: the median over seeds."""
    return float(np.median(lasts(run, variant, key)))


def lasts(run: xr.Dataset, variant: str, key: str) -> np.ndarray:
    """The values after the last stage, one for each seed."""
    return np.array([made(run, variant, key, number)[-1] for number in range(run.sizes["seed"])])


def spread(values: np.ndarray) -> str:
    """Least and largest as ``3e-8 to 5e-8``, or the one number if they read the same.

    >>> spread(np.array([5e-8, 2.9e-8])), spread(np.array([1.0, 1.0]))
    ('3e-8 to 5e-8', '1e0')
    """
    low, high = words(values.min()), words(values.max())
    return low if low == high else f"{low} to {high}"


def words(value: float) -> str:
    """A size as ``3e-8``.

    >>> words(2.9e-8)
    '3e-8'
    """
    digits, power = f"{value:.0e}".split("e")
    return f"{digits}e{int(power)}"


def last_share(run: xr.Dataset, variant: str) -> float:
    """What the last stage of a variant leaves of what it was given."""
    sizes = np.append(1.0, made(run, variant))
    return float(sizes[-1] / sizes[-2])


def best(run: xr.Dataset, kind: str, key: str) -> tuple[str, float]:
    """Of the variants whose names begin with ``kind``, the one that ends lowest."""
    found = {name: last(run, name, key) for name in run.variant.values if name.startswith(kind)}
    name = min(found, key=found.get)
    return name, found[name]


def series(run: xr.Dataset, modes: float) -> float:
    """What a Fourier series of so many of the flow's modes leaves, between those counted by interpolation."""
    counts, left = run["count"].values, np.maximum(run.truncated.values, 1e-17)
    return float(np.exp(np.interp(np.log(modes), np.log(counts), np.log(left))))


def stage_table(run: xr.Dataset) -> pd.DataFrame:
    """Modes, parameters, iterations and residues of every stage, and its points; of the first flow."""
    rows = []
    for name in run.variant.values:
        for stage in range(len(made(run, name))):
            one = run.sel(variant=name).isel(stage=stage, seed=0)
            counts = (f"{int(one[key]):,}" for key in ("points", "modes", "parameters", "iterations"))
            sizes = (words(float(one[key])) for key in ("rms", "between"))
            rows.append((name, stage + 1, *counts, *sizes))
    columns = ("fit", "stage", "points", "modes", "parameters", "iterations", "on the points", "between")
    return pd.DataFrame(rows, columns=columns).set_index("fit")


def scale_factor(run: xr.Dataset) -> Finding:
    """SI1: three stages with the scale factor leave at most 1e-6, but more than 1e-10, on the points.

    Two conditions: by Adam; by our search.
    """
    sizes = {name: last(run, name, "largest") for name in run.variant.values if name.startswith(SCALE_FACTOR)}
    told = ", ".join(f"{name.split(', ')[1]} {words(size)}" for name, size in sizes.items())
    return Finding(f"largest residue: {told}", graded(*(1e-10 < size <= 1e-6 for size in sizes.values())))


def spectrum(run: xr.Dataset) -> Finding:
    """SI2: the spectrum leaves at most 1e-12 on the points; and less than the scale factor between them."""
    on = best(run, SPECTRUM, "largest")[1]
    between = best(run, SPECTRUM, "between")[1]
    rival = best(run, SCALE_FACTOR, "between")[1]
    told = f"on the points {words(on)}; between them {words(between)}, scale factor {words(rival)}"
    return Finding(told, graded(on <= 1e-12, between < rival))


def machine_precision(run: xr.Dataset) -> Finding:
    """SI3: on every flow the residue on the grid is at most 1e-15, with modes as needed; with the paper's."""
    sizes = {name: lasts(run, name, "rms") for name in (OURS, COUNTS)}
    told = ", ".join(f"{name} {spread(size)}" for name, size in sizes.items())
    finer = spread(lasts(run, FINER, "between"))
    return Finding(
        f"rms on the grid: {told}; between the points of a finer grid {finer}",
        graded(*((size <= 1e-15).all() for size in sizes.values())),
    )


def every_stage(run: xr.Dataset) -> Finding:
    """SI4: each stage leaves less than a fifth of what was there; at higher wavenumbers than the target's.

    With the paper's counts; a wavenumber is the mean of a residue's, by its power. Of the first flow; the
    first condition must hold of the others, too.
    """
    every = [np.append(1.0, made(run, COUNTS, "rms", number)) for number in range(run.sizes["seed"])]
    sizes, falls = every[0], all((each[1:] < each[:-1] / 5).all() for each in every)
    power = run.left_energy.sel(variant=COUNTS).values[: len(sizes)]
    means = (power * run.bin.values).sum(axis=1) / power.sum(axis=1)
    told = " → ".join(f"{words(size)} (k {mean:.0f})" for size, mean in zip(sizes, means, strict=True))
    return Finding(told, graded(falls, (means[1:] > 2 * means[0]).all()))


def matched(run: xr.Dataset, variant: str) -> float:
    """Largest wavenumber up to which the stages' sum has E(k) within a tenth of the target's."""
    stages = len(made(run, variant))
    reached = run.reached.sel(variant=variant).values[stages]
    present = run.energy.values > 1e-30 * run.energy.values.max()
    wrong = present & (np.abs(reached - run.energy.values) > 0.1 * run.energy.values)
    return float(run.bin.values[wrong.argmax()] if wrong.any() else run.bin.values[present][-1])


def power_spectrum(run: xr.Dataset) -> Finding:
    """SI5: stages match E(k) to higher wavenumbers than a single one with as many modes in its layer."""
    one, several = matched(run, SINGLE), matched(run, COUNTS)
    ours = matched(run, OURS)
    told = f"E(k) within 10 % up to k = {one:.0f} by one stage, {several:.0f} by stages, {ours:.0f} ours"
    return Finding(told, graded(several > one))


def rates(run: xr.Dataset, variant: str) -> tuple[float, float]:
    """Powers of ten that a fit falls in the first and in the last quarter of its iterations."""
    at, size, _ = joined(run, variant)
    logs = np.log10(np.minimum.accumulate(size))  # a stage begins higher than the one before has ended
    quarters = np.interp(np.linspace(0, at[-1], 5), at, logs)
    return float(quarters[0] - quarters[1]), float(quarters[3] - quarters[4])


def joined(run: xr.Dataset, variant: str) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Iterations counted through all stages, size of the residue, and at which records stages begin."""
    at, size, begins = [], [], []
    for stage in range(len(made(run, variant))):
        one = run.sel(variant=variant).isel(stage=stage)
        begins.append(len(at))
        at.extend(one.iteration.dropna("record").values + (at[-1] if at else 0.0))
        size.extend(one["size"].dropna("record").values)
    return np.array(at), np.array(size), begins


def convergence(run: xr.Dataset) -> Finding:
    """SI6: a single stage falls in its last quarter by less than a fifth of the powers of ten of its first;
    stages by more than a fifth, and end lower.
    """
    (first, end), (early, late) = rates(run, SINGLE), rates(run, COUNTS)
    lower = (lasts(run, COUNTS, "rms") < lasts(run, SINGLE, "rms")).all()
    told = (
        f"powers of ten in the first and last quarter: one stage {first:.1f} and {end:.1f}, "
        f"stages {early:.1f} and {late:.1f}"
    )
    return Finding(told, graded(end < first / 5, late > early / 5 and lower))


def times(gain: float) -> str:
    """How many times less, or more.

    >>> times(2.94), times(0.01), times(1.004)
    ('2.9 times less', '100 times more', 'no less')
    """
    ratio = float(f"{max(gain, 1 / gain):.2g}")
    if ratio == 1:
        return "no less"
    return f"{ratio:g} times {'less' if gain >= 1 else 'more'}"


def gain_over_series(run: xr.Dataset, flow: str, search: str, part: float = 1.0) -> float:
    """How many times less than the share outside of its modes a stage leaves: the median, where any is.

    After all its iterations, or a part of them.
    """
    ratio = run["size"].sel(flow=flow, search=search, part=part).median("seed") / run.outside.sel(flow=flow)
    return float(1 / ratio.where(run.outside.sel(flow=flow) > 1e-12).median())
