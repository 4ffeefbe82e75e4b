"""The runs of the chapter on multistage networks: name -> (function, the parameters of its recording).

The variants of each run are made by a function, so that the chapter can make them with its own parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

from specbias.experiments.multistage_fits import classical, fits

Variants = dict[str, dict]

LECTURE = (20, 20, 20)
PUBLISHED, OURS = "Adam, then L-BFGS", "self-scaled BFGS"
TOGETHER = {"optimizer": "adam+l-bfgs", "history": 10}
SCALED = {"optimizer": "self-scaled-bfgs"}
WAYS = {PUBLISHED: (TOGETHER, 10_000), OURS: (SCALED, 5_000)}
"""The published optimizer and ours, with the iterations that a network gets."""
WIDEST = {OURS: 30}  # of 3 x 40 units its matrix has 90 MB, and a step takes ten times as long


def way(name: str, iterations: Sequence[int] | None) -> dict:
    """One of `WAYS` with its iterations, or those given (published, ours)."""
    how, usual = WAYS[name]
    return how | {"max_iter": usual if iterations is None else iterations[list(WAYS).index(name)]}


def optimizers(hidden: Sequence[int] = LECTURE, points: int = 300, iterations: int = 10_000) -> Variants:
    """One network by each optimizer."""
    one = {"hidden": list(hidden), "points": points, "stages": 1, "validation_fraction": 0.0}
    return {
        name: one | how | {"max_iter": iterations}
        for name, how in {
            "Adam": {"optimizer": "adam"},
            "L-BFGS, history 10": {"optimizer": "l-bfgs", "history": 10},
            "L-BFGS, history 50": {"optimizer": "l-bfgs", "history": 50},
            PUBLISHED: TOGETHER,
            OURS: SCALED,
        }.items()
    }


def stages(
    hidden: Sequence[int] = LECTURE, points: int = 300, iterations: Sequence[int] | None = None
) -> Variants:
    """Two stages and their controls; the single network is half as wide again and has as many iterations."""
    base = {"points": points, "validation_fraction": 0.0}
    wide = [3 * units // 2 for units in hidden]
    found = {}
    for name in WAYS:
        how = base | way(name, iterations)
        two = how | {"hidden": list(hidden), "stages": 2}
        found[f"{name}, two stages"] = two
        found[f"{name}, no scale factor"] = two | {"initialization": "plain"}
        found[f"{name}, one wider"] = how | {"hidden": wide, "stages": 1, "max_iter": 2 * how["max_iter"]}
    return found


def sizes(
    name: str, units: Sequence[int] = (10, 15, 20, 30, 40), layers: Sequence[int] = (1, 2, 3, 4, 5),
    counts: Sequence[int] = (50, 100, 200, 300, 600, 1200), iterations: Sequence[int] | None = None,
) -> Variants:  # fmt: skip
    """The lecture's Figure 2: one change of the 3 x 20 network on 300 points at a time."""
    one = {"stages": 1, "validation_fraction": 0.0, "hidden": list(LECTURE)} | way(name, iterations)
    return {
        **{
            f"units {count}": one | {"hidden": [count] * 3}
            for count in units
            if count <= WIDEST.get(name, count)
        },
        **{f"layers {count}": one | {"hidden": [20] * count} for count in layers},
        **{f"points {count}": one | {"points": count} for count in counts},
    }


def magnitudes(
    exponents: Sequence[int] = (-8, -6, -4, -2, 0, 2, 4), iterations: Sequence[int] | None = None
) -> Variants:
    """The lecture's Figure 3: the target times a power of ten, with and without dividing by its size."""
    one = {"stages": 1, "validation_fraction": 0.0, "hidden": list(LECTURE)}
    one |= way(PUBLISHED, iterations)
    return {
        f"{kind} {power}": one | {"amplitude": 10.0**power, "normalize": kind == "normalised"}
        for kind in ("normalised", "as it is")
        for power in exponents
    }


def four(points: int = 1501, iterations: Sequence[int] = (25_000, 4_000)) -> Variants:
    """As many stages as it takes, on points that reach a little beyond the interval."""
    base = {"reach": 1.02, "points": points, "hidden": list(LECTURE), "stages": 4, "validation_fraction": 0.0}
    return {
        f"{target}, {name}": base | {"target": target} | way(how, iterations)
        for target in ("lecture", "wang-lai")
        for name, how in {"as published": PUBLISHED, "ours": OURS}.items()
    }


def sampling(counts: Sequence[int] = (200, 400, 800, 1600), iterations: int = 2_000) -> Variants:
    """What four stages do where the points do not resolve what is left, with and without the guard."""
    base = {"target": "waves", "reach": 1.02, "hidden": list(LECTURE), "validation_fraction": 0.0, **SCALED}
    return {
        f"{count} points, {name}": base | {"points": count, "max_iter": iterations, "guard": guard}
        for count in counts
        for name, guard in {"stops by itself": True, "four stages": False}.items()
    }


def noise(levels: Sequence[float] = (1e-2, 1e-4, 1e-6), iterations: int = 2_000) -> Variants:
    """Where the stages must stop when the data are noisy, by each criterion."""
    base = {"points": 600, "hidden": list(LECTURE), "max_iter": iterations, **SCALED}
    ways = {
        "points held out": {},
        "none held out": {"validation_fraction": 0.0},
        "four stages": {"validation_fraction": 0.0, "guard": False},
    }
    return {
        f"noise {level:g}, {name}": base | {"noise": level} | more
        for level in levels
        for name, more in ways.items()
    }


RUNS: dict[str, tuple] = {
    "optimizers": (fits, {"variants": optimizers(), "seeds": 8, "seed": 0}),
    "stages": (fits, {"variants": stages(), "seeds": 8, "seed": 0}),
    "sizes": (fits, {"variants": sizes(PUBLISHED), "seeds": 8, "seed": 0}),
    "sizes-ours": (fits, {"variants": sizes(OURS), "seeds": 4, "seed": 0}),
    "magnitudes": (fits, {"variants": magnitudes(), "seeds": 4, "seed": 0}),
    "four": (fits, {"variants": four(), "seeds": 2, "seed": 0}),
    "sampling": (fits, {"variants": sampling(), "seeds": 2, "seed": 0}),
    "noise": (fits, {"variants": noise(), "seeds": 4, "seed": 0}),
    "classical": (
        classical,
        {"degrees": list(range(2, 31, 2)), "features": [10, 20, 50, 100, 200, 300], "points": 300,
         "seeds": 8, "seed": 0},
    ),
}  # fmt: skip
