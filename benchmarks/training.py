"""How much faster is specbias.training.fit than training the same networks one by one in plain PyTorch?

    python benchmarks/training.py
    python benchmarks/training.py --quick --json training.json
    OMP_NUM_THREADS=1 python benchmarks/training.py

Three questions, all in float32, full batch:

adam   Eight seeds of a 1-100-100-1 tanh network on 500 points by Adam: one call of fit against eight plain
       runs, one after another in this process. PyTorch's time goes into many small operations; one batched
       computation has an eighth of them.
peak   Of that call's time, how much would the matrix products alone take, at the speed that this machine
       reaches on large ones? The rest is the most that any further work on it could save.
sweep  Eight seeds of the forum thread's 1-200-200-1 ReLU network on 1500 points by gradient descent: the
       sweep along the points (training.sweep) against matrix products and against plain PyTorch.

Before anything is timed, the losses of both sides are compared. Times are of short blocks of epochs, the
sides in turn. Of each side the best block counts: on a machine that does other things besides, the mean
says how busy that was. The medians are given too. What fit does once (checks, copies, snapshots) is not
part of a block.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from specbias.models import MLP, generators
from specbias.training.data import Data
from specbias.training.fitting import _Steps
from specbias.training.stack import Stack
from specbias.training.sweep import SweepStack

SEEDS = 8
Advance = Callable[[int], list[float]]  # makes so many epochs, returns the losses before the last of them


def plain_pytorch(nets: list[MLP], x: np.ndarray, y: np.ndarray, optimizer: str, lr: float) -> Advance:
    """What one writes without this library, once for each network."""
    activation = {"tanh": nn.Tanh, "relu": nn.ReLU}[nets[0].activation]
    inputs, targets = (torch.tensor(values, dtype=torch.float32)[:, None] for values in (x, y))
    runs = []
    for net in nets:
        layers = [nn.Linear(layer.in_features, layer.out_features) for layer in net.layers]
        for ours, layer in zip(net.layers, layers, strict=True):
            layer.load_state_dict(ours.state_dict())
        model = nn.Sequential(*(part for layer in layers for part in (layer, activation())))[:-1]
        step = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer](model.parameters(), lr=lr)
        runs.append((model, step))

    def advance(epochs: int) -> list[float]:
        losses = []
        for model, step in runs:
            for _ in range(epochs):
                step.zero_grad()
                loss = ((model(inputs) - targets) ** 2).mean()
                loss.backward()
                step.step()
            losses.append(loss.item())
        return losses

    return advance


def ours(
    kind: type[Stack], nets: list[MLP], x: np.ndarray, y: np.ndarray, optimizer: str, lr: float
) -> Advance:
    """The loop inside fit."""
    cpu = torch.device("cpu")
    data, stack = Data(nets, x, y, None, cpu), kind(nets, cpu)
    steps = _Steps(optimizer, lr, {}, stack)

    def advance(epochs: int) -> list[float]:
        with torch.no_grad():
            for _ in range(epochs):
                loss = stack.loss(data.inputs, data.targets, 1 / len(x))
                stack.gradient(1 / len(x))
                steps.make_one()
        return loss.tolist()

    return advance


def milliseconds_per_epoch(sides: Mapping[str, Advance], *, rounds: int, epochs: int) -> dict[str, dict]:
    """Best and median time an epoch of each side, after checking that all have the same losses."""
    losses = {name: advance(epochs) for name, advance in sides.items()}
    first = next(iter(losses.values()))
    for name, values in losses.items():
        if not np.allclose(values, first, rtol=1e-3):
            raise SystemExit(f"{name} does not compute the same: losses {values} instead of {first}")
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, advance in sides.items():
            began = time.perf_counter()
            advance(epochs)
            times[name].append(1e3 * (time.perf_counter() - began) / epochs)
    return {name: {"best": min(t), "median": statistics.median(t)} for name, t in times.items()}


def matmul_peak(*, rounds: int, size: int = 1024) -> float:
    """Gigaflops of the best of some large float32 products."""
    a, b, c = (torch.randn(size, size) for _ in range(3))
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        torch.mm(a, b, out=c)
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def matmul_gigaflops_per_epoch(net: MLP, points: int) -> float:
    """Operations of an epoch's matrix products: forward, weight gradients, back through all but the first."""
    sizes = [layer.in_features * layer.out_features for layer in net.layers]
    return SEEDS * 2 * points * (2 * sum(sizes) + sum(sizes[1:])) / 1e9


def report(title: str, times: dict[str, dict]) -> dict[str, float]:
    """Print the times and how many times faster our first side is than each of the others."""
    print(f"\n{title}")
    reference = next(iter(times))
    for name, time_of in times.items():
        print(f"  {name:36s}{time_of['best']:9.3f} ms per epoch   (median {time_of['median']:.3f})")
    ratios = {name: times[name]["best"] / times[reference]["best"] for name in times if name != reference}
    for name, ratio in ratios.items():
        print(f"  {reference} is {ratio:.1f} times faster than {name}")
    return ratios


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="a few seconds: fewer blocks, less to be trusted"
    )
    parser.add_argument("--rounds", type=int, help="blocks of each side (default: 60, quick: 10)")
    parser.add_argument("--threads", type=int, help="PyTorch's threads (default: PyTorch's own choice)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there as well")
    options = parser.parse_args()
    if any(count is not None and count < 1 for count in (options.rounds, options.threads)):
        parser.error("--rounds and --threads must be at least 1")
    rounds = options.rounds or (10 if options.quick else 60)
    if options.threads:
        torch.set_num_threads(options.threads)
    machine = {
        "processor": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None, "rounds": rounds,
    }  # fmt: skip
    print(", ".join(f"{key} {value}" for key, value in machine.items()))

    x = (np.arange(500) + 0.5) / 500
    nets = [MLP(1, (100, 100), generator=g) for g in generators(range(SEEDS))]
    settings = (nets, x, np.sin(26 * np.pi * x), "adam", 5e-3)
    sides = {
        "fit, all at once": ours(Stack, *settings),
        "plain PyTorch, one by one": plain_pytorch(*settings),
    }
    adam = milliseconds_per_epoch(sides, rounds=rounds, epochs=5)
    adam_ratios = report("adam: 8 x 1-100-100-1, tanh, 500 points", adam)

    peak = matmul_peak(rounds=rounds)
    needed = matmul_gigaflops_per_epoch(nets[0], len(x))
    share = needed / peak / (1e-3 * adam["fit, all at once"]["best"])
    print(f"\npeak: {peak:.0f} Gflop/s on large products; an epoch's products are {needed:.3f} Gflop")
    print(f"  fit runs at {100 * share:.0f} % of that peak, everything that is no matrix product counted in")

    x = np.random.default_rng(0).uniform(-7.5, 7.5, 1500)
    nets = [MLP(1, (200, 200), activation="relu", generator=g) for g in generators(range(SEEDS))]
    settings = (nets, x, np.sin(2 * x), "sgd", 2e-3)
    sides = {
        "sweep": ours(SweepStack, *settings),
        "matrix products, all at once": ours(Stack, *settings),
        "plain PyTorch, one by one": plain_pytorch(*settings),
    }
    sweep = milliseconds_per_epoch(sides, rounds=max(1, rounds // 3), epochs=3)
    sweep_ratios = report("sweep: 8 x 1-200-200-1, ReLU, 1500 points", sweep)

    if options.json:
        numbers = {
            "machine": machine,
            "adam": {"milliseconds_per_epoch": adam, "ratio": adam_ratios},
            "peak": {"gigaflops": peak, "gigaflop_per_epoch": needed, "share": share},
            "sweep": {"milliseconds_per_epoch": sweep, "ratio": sweep_ratios},
        }
        options.json.write_text(json.dumps(numbers, indent=2) + "\n")


def processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
