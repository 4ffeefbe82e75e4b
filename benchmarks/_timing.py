"""What the benchmarks of training share: the sides that are timed, timing them in turn, the machine.

A side is a function that makes some epochs and returns the losses before the last of them, one a network. All
sides of a comparison begin at the same ``Start``, so their losses must be the same.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from specbias.models import MLP
from specbias.provenance import processor
from specbias.training.data import Data
from specbias.training.fitting import _Steps
from specbias.training.fused import ACTIVATIONS, FusedStack, FusedSteps
from specbias.training.fused_kernels import _worth_it, nodes_needed
from specbias.training.recorder import Recorder
from specbias.training.stack import Stack

Advance = Callable[[int], list[float]]
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Start:
    """Networks and their data, at some moment of a training, the same for every side.

    Attributes
    ----------
    nets : list of MLP
    x : numpy.ndarray
        ``(n,)`` points of all networks.
    y : numpy.ndarray
        ``(S, n)`` targets.
    optimizer : {"adam", "sgd"}
    lr : float
    share : float
        Of the mean square, the loss: 1, or 1/2.
    step : int
        Steps that have been made.
    moments : torch.Tensor, optional
        Adam's, after these steps: ``(2, S, P)``, parameters in the order of ``nets[0].parameters()``.
    """

    nets: list[MLP]
    x: np.ndarray
    y: np.ndarray
    optimizer: str
    lr: float
    share: float = 1.0
    step: int = 0
    moments: torch.Tensor | None = None

    @property
    def factor(self) -> float:
        """The loss is this times the sum of squares."""
        return self.share / len(self.x)

    def first(self, count: int) -> Start:
        """The first few networks."""
        moments = None if self.moments is None else self.moments[:, :count]
        return replace(self, nets=self.nets[:count], y=self.y[:count], moments=moments)

    def moments_by_parameter(self) -> list[torch.Tensor]:
        """``(2, S, *shape)`` a parameter."""
        shapes = [p.shape for p in self.nets[0].parameters()]
        moments = (
            torch.zeros(2, len(self.nets), sum(map(np.prod, shapes)))
            if self.moments is None
            else self.moments
        )
        parts = moments.split([int(np.prod(shape)) for shape in shapes], dim=2)
        return [part.reshape(2, len(self.nets), *shape) for part, shape in zip(parts, shapes, strict=True)]

    def adam_state(self, parameter: int, network: int | slice) -> dict[str, torch.Tensor]:
        """As ``torch.optim.Adam`` keeps it."""
        first, second = self.moments_by_parameter()[parameter][:, network].clone()
        return {"step": torch.tensor(float(self.step)), "exp_avg": first, "exp_avg_sq": second}


class Fused:
    """The loop inside ``fit``, compiled (``training.fused``)."""

    def __init__(self, start: Start):
        self.start, self.step = start, start.step
        data, self.stack = Data(start.nets, start.x, start.y, None, CPU), FusedStack(start.nets, CPU)
        self.recorder = Recorder(start.nets, data, 1, [], self.stack)
        self.steps = FusedSteps(self.recorder, start.optimizer, start.lr, {}, start.factor)
        if start.moments is not None:
            self.stack.moments.copy_(start.moments)

    def __call__(self, epochs: int) -> list[float]:
        self.recorder.loss = torch.empty(self.step + epochs, len(self.stack), dtype=torch.float64)
        with threadpool_limits(1, user_api="blas"):
            self.steps.advance(self.step, epochs, None)
        self.step += epochs
        return self.recorder.loss[-1].tolist()

    def here(self) -> Start:
        """Where the training has come to."""
        nets = [self.stack.export(row, net) for row, net in enumerate(self.start.nets)]
        return replace(self.start, nets=nets, step=self.step, moments=self.stack.moments.clone())

    def nodes(self) -> np.ndarray:
        """At how many nodes each network's first layer is computed, ``(S,)``; 0 for at all points."""
        x, sizes, found = self.start.x, self.steps.sizes, []
        for weight in self.stack.weights[0]:
            slope = self.stack.omega * 0.5 * np.ptp(x) * float(weight.abs().max())
            needed = nodes_needed(ACTIVATIONS[self.stack.activation], slope, self.steps.tolerance)
            needed = (needed + 7) // 8 * 8
            found.append(needed if _worth_it(needed, len(x), sizes) else 0)
        return np.array(found)


def dense(start: Start, kind: type[Stack] = Stack) -> Advance:
    """The loop inside ``fit`` by matrix products over all networks, or by another stack's gradient."""
    data, stack = Data(start.nets, start.x, start.y, None, CPU), kind(start.nets, CPU)
    steps = _Steps(start.optimizer, start.lr, {}, stack)
    if start.moments is not None:
        for index, parameter in enumerate(stack.parameters):
            state = start.adam_state(index, slice(None))
            steps._optimizer.state[parameter] = {
                key: value if key == "step" else value.view_as(parameter) for key, value in state.items()
            }

    def advance(epochs: int) -> list[float]:
        with torch.no_grad():
            for _ in range(epochs):
                loss = stack.loss(data.inputs, data.targets, start.factor)
                stack.gradient(start.factor)
                steps.make_one()
        return loss.tolist()

    return advance


def plain_pytorch(start: Start) -> Advance:
    """What one writes without this library, once for each network."""
    activation = {"tanh": nn.Tanh, "relu": nn.ReLU}[start.nets[0].activation]
    inputs = torch.tensor(start.x, dtype=torch.float32)[:, None]
    targets = torch.tensor(start.y, dtype=torch.float32)[:, :, None]
    runs = []
    for network, net in enumerate(start.nets):
        layers = [nn.Linear(a.in_features, a.out_features, a.bias is not None) for a in net.layers]
        for ours, layer in zip(net.layers, layers, strict=True):
            layer.load_state_dict(ours.state_dict())
        model = nn.Sequential(*(part for layer in layers for part in (layer, activation())))[:-1]
        step = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[start.optimizer](
            model.parameters(), lr=start.lr
        )
        if start.moments is not None:
            for index, parameter in enumerate(model.parameters()):
                step.state[parameter] = start.adam_state(index, network)
        runs.append((model, step))

    def advance(epochs: int) -> list[float]:
        losses = []
        for (model, step), target in zip(runs, targets, strict=True):
            for _ in range(epochs):
                step.zero_grad()
                loss = start.share * ((model(inputs) - target) ** 2).mean()
                loss.backward()
                step.step()
            losses.append(loss.item())
        return losses

    return advance


@dataclass
class Side:
    """What is timed: ``epochs`` of ``networks`` a block."""

    advance: Advance
    networks: int
    epochs: int


def microseconds(sides: Mapping[str, Side], *, rounds: int, check: int, tolerance: float = 1e-3) -> dict:
    """Best and median time of a network's epoch on each side, after a check that all have the same losses.

    The check, of so many epochs, also compiles what is compiled at the first call; a block that is not timed
    follows it.
    """
    losses = {name: side.advance(check) for name, side in sides.items()}
    name_of_first, first = next(iter(losses.items()))
    for name, values in losses.items():
        if not np.allclose(values, first[: len(values)], rtol=tolerance):
            raise SystemExit(f"{name} has losses {values[:4]}, {name_of_first} has {first[:4]}")
    print(f"  losses after {check} epochs agree to {tolerance:g}")
    for side in sides.values():
        side.advance(side.epochs)
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            began = time.perf_counter()
            side.advance(side.epochs)
            times[name].append(1e6 * (time.perf_counter() - began) / (side.epochs * side.networks))
    return {name: {"best": min(t), "median": statistics.median(t)} for name, t in times.items()}


def report(times: Mapping[str, dict]) -> dict[str, float]:
    """Print the times and how many times faster the first side is than each of the others."""
    reference = next(iter(times))
    for name, time_of in times.items():
        print(f"  {name:36s}{time_of['best']:9.1f} µs a network and epoch   (median {time_of['median']:.1f})")
    ratios = {name: times[name]["best"] / times[reference]["best"] for name in times if name != reference}
    for name, ratio in ratios.items():
        print(f"  {reference} is {ratio:.1f} times faster than {name}")
    return ratios


def matmul_peak(*, rounds: int, size: int = 1024) -> float:
    """Gigaflops of the best of some large float32 products, by PyTorch's library or NumPy's."""
    a, b, c = (torch.randn(size, size) for _ in range(3))
    products = [lambda: torch.mm(a, b, out=c), lambda: np.matmul(a.numpy(), b.numpy(), out=c.numpy())]
    best = float("inf")
    with threadpool_limits(torch.get_num_threads(), user_api="blas"):
        for product in products * rounds:
            began = time.perf_counter()
            product()
            best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9


def dense_flops(net: MLP, points: int) -> float:
    """Of an epoch's matrix products: forward, weight gradients, back through all layers but the first."""
    sizes = [layer.in_features * layer.out_features for layer in net.layers]
    return 2.0 * points * (2 * sum(sizes) + sum(sizes[1:]))


def fused_flops(net: MLP, points: int, nodes: int) -> float:
    """Of the products that are made with a first layer at so many nodes, for two hidden layers."""
    if nodes == 0:
        return dense_flops(net, points)
    first, second = net.hidden
    at_nodes = nodes * (3 * first * second + 2 * first)
    return 2.0 * (at_nodes + 2 * points * nodes * second + 3 * points * second)


def report_peak(name: str, fused: Fused, time_of_fused: float, *, rounds: int) -> dict[str, float]:
    """Print what share of the machine's speed at large matrix products the compiled loop reaches."""
    net, points, nodes = fused.start.nets[0], len(fused.start.x), fused.nodes()
    peak = matmul_peak(rounds=rounds)
    needed = dense_flops(net, points) / 1e9
    done = float(np.mean([fused_flops(net, points, count) for count in nodes])) / 1e9
    share = {
        kind: flops / peak / (1e-6 * time_of_fused) for kind, flops in (("needed", needed), ("done", done))
    }
    print(f"  peak: {peak:.0f} Gflop/s on large products")
    print(
        f"  dense products are {1e3 * needed:.1f} Mflop an epoch: in the time of {name}, "
        f"{100 * share['needed']:.0f} % of the peak"
    )
    print(
        f"  at {nodes.min()} to {nodes.max()} nodes, {1e3 * done:.1f} Mflop of products are made: "
        f"{100 * share['done']:.0f} % of the peak"
    )
    return {
        "gigaflops": peak, "gigaflop_needed": needed, "gigaflop_done": done, "share_needed": share["needed"],
        "share_done": share["done"], "nodes_least": int(nodes.min()), "nodes_most": int(nodes.max()),
    }  # fmt: skip


def parser(description: str, *, rounds: int, quick: int) -> argparse.ArgumentParser:
    """The options that every benchmark of training has."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="fewer blocks: sooner, less to be trusted")
    made.add_argument(
        "--rounds", type=int, help=f"blocks of each side (default: {rounds}, quick: {quick})", metavar="COUNT"
    )
    made.add_argument(
        "--threads", type=int, help="threads of every side (default: PyTorch's own choice)", metavar="COUNT"
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there as well")
    made.set_defaults(usual_rounds=rounds, quick_rounds=quick)
    return made


def read_options(made: argparse.ArgumentParser) -> tuple[argparse.Namespace, dict]:
    """The options, with ``rounds`` filled in and the threads set; and the machine, which is printed."""
    options = made.parse_args()
    if any(count is not None and count < 1 for count in (options.rounds, options.threads)):
        made.error("--rounds and --threads must be at least 1")
    options.rounds = options.rounds or (options.quick_rounds if options.quick else options.usual_rounds)
    if options.threads:
        torch.set_num_threads(options.threads)
    machine = {
        "processor": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
        "python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None, "rounds": options.rounds,
    }  # fmt: skip
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    return options, machine


def write_json(path: Path | None, numbers: dict) -> None:
    """Write the numbers if a file is named."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(numbers, indent=2) + "\n")


def has_jax(threads: int | None) -> bool:
    """Whether JAX is there. If threads are asked for, it gets so many cores, before it starts its own."""
    if threads and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    try:
        import jax
    except ImportError:
        print("JAX is not installed (pip install -e '.[bench]'): its sides are left out")
        return False
    where = "" if threads else "; it uses all cores"
    print(f"JAX {jax.__version__}{where}")
    return True


def judge(peer: str, ratio: float, goal: float) -> None:
    """Say whether a goal is met."""
    print(f"  goal: at least {goal:g} times {peer}: {ratio:.2f}, {'met' if ratio >= goal else 'MISSED'}")
