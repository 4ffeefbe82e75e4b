"""How much faster is specbias.training.fit than training the same networks one by one in plain PyTorch?

    python benchmarks/training.py
    python benchmarks/training.py --quick --json training.json
    python benchmarks/training.py --threads 1

Three questions, all in float32, full batch:

adam   Eight seeds of a 1-100-100-1 tanh network on 500 points by Adam: one call of fit, in its compiled loop
       (training.fused), against the same by matrix products over all eight (engine="dense") and against
       eight plain runs, one after another in this process.
peak   What share of the speed that this machine reaches on large matrix products is that? Counted are the
       products that an epoch has without the compiled loop's rearrangement, which may be more than the
       machine could make in that time, and those that are made.
sweep  Eight seeds of the forum thread's 1-200-200-1 ReLU network on 1500 points by gradient descent: the
       sweep along the points (training.sweep) against matrix products and against plain PyTorch.

Before anything is timed, the losses of all sides are compared. Times are of short blocks of epochs, the
sides in turn. Of each side the best block counts: on a machine that does other things besides, the mean
says how busy that was. The medians are given too. What fit does once (checks, copies, snapshots) is not
part of a block, nor is compilation.
"""

from __future__ import annotations

import numpy as np
from _timing import (
    Fused,
    Side,
    Start,
    dense,
    microseconds,
    parser,
    plain_pytorch,
    read_options,
    report,
    report_peak,
    write_json,
)

from specbias.models import MLP, generators
from specbias.training.sweep import SweepStack

SEEDS = 8


def networks(hidden: int, activation: str) -> list[MLP]:
    """Eight seeds of a network with two hidden layers."""
    return [MLP(1, (hidden, hidden), activation=activation, generator=g) for g in generators(range(SEEDS))]


def adam_and_peak(rounds: int) -> tuple[dict, dict]:
    """The first two questions."""
    print("\nadam: 8 x 1-100-100-1, tanh, 500 points")
    x = (np.arange(500) + 0.5) / 500
    y = np.tile(np.sin(26 * np.pi * x), (SEEDS, 1))
    start = Start(networks(100, "tanh"), x, y, "adam", 5e-3)
    ours = Fused(start)
    sides = {
        "fit": Side(ours, SEEDS, 25),
        "fit, dense": Side(dense(start), SEEDS, 5),
        "plain PyTorch, one by one": Side(plain_pytorch(start), SEEDS, 5),
    }
    times = microseconds(sides, rounds=rounds, check=5)
    ratios = report(times)
    return {"microseconds": times, "ratio": ratios}, report_peak(
        "fit", ours, times["fit"]["best"], rounds=rounds
    )


def sweep(rounds: int) -> dict:
    """The third question."""
    print("\nsweep: 8 x 1-200-200-1, ReLU, 1500 points")
    x = np.random.default_rng(0).uniform(-7.5, 7.5, 1500)
    start = Start(networks(200, "relu"), x, np.tile(np.sin(2 * x), (SEEDS, 1)), "sgd", 2e-3)
    sides = {
        "fit": Side(dense(start, SweepStack), SEEDS, 3),
        "fit, dense": Side(dense(start), SEEDS, 3),
        "plain PyTorch, one by one": Side(plain_pytorch(start), SEEDS, 3),
    }
    times = microseconds(sides, rounds=rounds, check=3)
    return {"microseconds": times, "ratio": report(times)}


def main() -> None:
    options, machine = read_options(parser(__doc__, rounds=60, quick=10))
    adam, peak = adam_and_peak(options.rounds)
    numbers = {"machine": machine, "adam": adam, "peak": peak, "sweep": sweep(max(1, options.rounds // 3))}
    write_json(options.json, numbers)


if __name__ == "__main__":
    main()
