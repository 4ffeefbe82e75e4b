"""The runs of the chapter on spectrum-informed networks: name -> (function, parameters of its recording)."""

from __future__ import annotations

from collections.abc import Sequence

from specbias.experiments.si_msnn_fits import ablations, stage_limits
from specbias.experiments.si_msnn_flow import flow_fits
from specbias.experiments.si_msnn_plane import TREATMENTS, plane_fits

Variants = dict[str, dict]

OURS, FINER, COUNTS, SINGLE = "ours", "ours, grid twice as fine", "the paper's counts", "a single stage"
PAPER_COUNTS = (1359, 10_000, 10_000, 10_000)
PAPER_RESOLUTION = 512
FLOW = {"reynolds": 2000.0, "moment": 1.25, "spectrum": "mcwilliams", "peak": 6.0, "flow_seed": 0}
SMOOTH = {"spectrum": "smooth", "peak": 2.0}
ROUGH, RESOLVED = "not resolved", "resolved"


def counts_for(resolution: int) -> list[int]:
    """The paper's numbers of features, in proportion to the points of a smaller grid."""
    return [max(8, round(count * (resolution / PAPER_RESOLUTION) ** 2)) for count in PAPER_COUNTS]


def flow_variants(
    resolution: int = 512, stages: int = 4, limited_iterations: int = 1000, finer_iterations: int = 400
) -> Variants:
    """Ours, ours on a grid twice as fine, the paper's counts, and a single stage of its largest count."""
    counts = counts_for(resolution)
    limited = {"max_iter": limited_iterations, "patience": limited_iterations}
    wanted = [*counts, *[counts[-1]] * stages][:stages]
    return {
        OURS: {"stages": stages},
        FINER: {"stages": stages, "oversampling": 2, "max_iter": finer_iterations},
        COUNTS: {"stages": stages, "features": wanted, **limited},
        SINGLE: {"stages": 1, "features": counts[-1], **limited},
    }


def limit_flows(resolution: int = 128) -> Variants:
    """The paper's kind of flow, which its grid does not hold, and a smoother one that a finer grid does."""
    return {
        ROUGH: {"spectrum": "mcwilliams", "peak": 6.0, "resolution": resolution},
        RESOLVED: SMOOTH | {"time": 0.5, "resolution": 2 * resolution},
    }


def searches(gauss_newton: int = 200, l_bfgs: int = 150) -> Variants:
    """Searches and starts whose limits are compared; an iteration of either takes two transforms or so."""
    return {
        "Gauss–Newton, coherent": {"optimizer": "gauss-newton", "kind": "coherent", "max_iter": gauss_newton},
        "Gauss–Newton, scattered": {
            "optimizer": "gauss-newton",
            "kind": "scattered",
            "max_iter": gauss_newton,
        },
        "L-BFGS, scattered": {"optimizer": "l-bfgs", "kind": "scattered", "max_iter": l_bfgs},
    }


def choices(iterations: int = 1500) -> Variants:
    """The published stage, and one change at a time."""
    base = {"train": ["W", "b", "B"], "power": 10, "optimizer": "adam", "max_iter": iterations}
    return {
        "as published": base,
        "L2 norm": base | {"power": 2},
        "amplitudes trained": base | {"train": ["W", "A", "b", "B"]},
        "waves fixed": base | {"train": ["W", "b"]},
        "waves and phases fixed": base | {"train": ["W"]},
        "waves fixed, L2 norm": base | {"train": ["W", "b"], "power": 2},
        "waves fixed, L2 norm, L-BFGS": base | {"train": ["W", "b"], "power": 2, "optimizer": "l-bfgs"},
    }


def choice_flow(resolution: int = 64) -> dict:
    """Where they are compared: a smooth flow that the grid holds."""
    return SMOOTH | {"cutoff": min(20, (resolution - 1) // 3)}


def plane_variants(
    iterations: int = 3000, our_iterations: int = 1500, features: Sequence[int] = (40, 200)
) -> Variants:
    """The scale factor against the spectrum, as published and by our searches."""
    base = {"stages": 3, "validation_fraction": 0}
    few, many = features
    spectrum = {"initialization": "spectrum", "boundary": "periodic"}
    adam = {"optimizer": "adam", "max_iter": iterations}
    published = base | spectrum | {"recipe": "published", "max_iter": iterations}
    return {
        "scale factor, Adam": base | {"initialization": "scale-factor"} | adam,
        f"spectrum of {few}, Adam": published | {"features": few},
        f"spectrum of {many}, Adam": published | {"features": many},
        "scale factor, ours": base | {"initialization": "scale-factor", "max_iter": our_iterations},
        f"spectrum of {few}, ours": base | spectrum | {"features": few, "max_iter": our_iterations},
        "spectrum of all, ours": base | spectrum | {"max_iter": our_iterations},
        **{
            f"{treatment}, spectrum of all, ours": base | spectrum | {"max_iter": our_iterations} | change
            for treatment, change in TREATMENTS.items() if change
        },
    }  # fmt: skip


RUNS: dict[str, tuple] = {
    "flow": (
        flow_fits,
        {"resolution": PAPER_RESOLUTION, **FLOW, "variants": flow_variants(), "seeds": 2, "seed": 0},
    ),
    "limits": (
        stage_limits,
        {"flows": limit_flows(), "features": [100, 300, 600, 1000, 2000, 3000, 4000, 6000],
         "searches": searches(), "seeds": 2, "seed": 0},
    ),
    "ablations": (
        ablations,
        {"resolution": 64, "flow": choice_flow(), "features": 150, "variants": choices(),
         "seeds": 3, "seed": 0},
    ),
    "plane": (plane_fits, {"points": 40, "variants": plane_variants(), "seeds": 3, "seed": 0}),
}  # fmt: skip
