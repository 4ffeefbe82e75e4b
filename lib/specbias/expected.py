"""How long a chapter takes on this machine, before it was ever run here.

``results/benchmarks/chapters.json`` has the seconds that each chapter took on one machine, at its defaults
and at ``params/quick``, and how long a small computation took there. The same computation here gives the
ratio of the two machines. The long runs have their wall times in their recordings.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache

import numpy as np

from specbias.benchmarks import benchmark

__all__ = ["expected_seconds", "pace"]

SIDE, ROUNDS = 192, 5


@cache
def pace() -> float:
    """Seconds of a small computation here, of matrix products and tanh: the fastest of five.

    Examples
    --------
    >>> 0 < pace() < 10
    True
    """
    weights = np.cos(np.arange(SIDE * SIDE, dtype=float)).reshape(SIDE, SIDE)
    took = []
    for _ in range(ROUNDS):
        began, values = time.perf_counter(), weights
        for _ in range(20):
            values = np.tanh(weights @ values)
        took.append(time.perf_counter() - began)
    return min(took)


def expected_seconds(chapter: str, recorded: Mapping[str, Mapping]) -> dict[str, float]:
    """About how long a chapter takes here, in seconds; empty where nothing was measured of it.

    At its ``"defaults"``, with ``"quick"`` parameters, and to compute ``"everything"`` at the defaults.

    Parameters
    ----------
    chapter
        Its name.
    recorded
        Attributes of the recorded runs by name, as of :func:`specbias.recorded.recorded_runs`.
    """
    try:
        known = benchmark("chapters")
    except FileNotFoundError:
        return {}
    if chapter not in known["seconds"]:
        return {}
    ratio = pace() / known["pace"]
    found = {name: ratio * seconds for name, seconds in known["seconds"][chapter].items()}
    long = sum(run["wall_time"] for name, run in recorded.items() if name.startswith(f"{chapter}/"))
    return found | {"everything": found["defaults"] + ratio * float(long)}
