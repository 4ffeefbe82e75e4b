"""How far does one small network get by each optimizer, and how fast are stages (specbias.multistage)?

    python benchmarks/multistage.py
    python benchmarks/multistage.py --quick --json multistage.json
    python benchmarks/multistage.py --json results/benchmarks/multistage.json   (the chapter's table)

The lecture's target, sin(2x + 1) + 0.2 exp(1.3 x), at 300 points of [-1, 1], float64.

First, one network of 3 x 20 tanh units from the same initial weights by every optimizer, each until it has
called loss and gradient 5000 times (or lowers nothing any more):

ours                 self-scaled BFGS, what specbias.multistage uses
SciPy, history 10    scipy.optimize's L-BFGS-B, on our loss and gradient; 50 and 100 likewise
PyTorch              torch.optim.LBFGS, history 50, strong Wolfe line search, with autograd

Then stages, until the goals: two stages to a loss of 1e-14 within 20 s, four to a largest error between the
points of 1e-15 within 120 s (1501 points on [-1.02, 1.02]).

Before anything is timed, our loss and gradient are compared with autograd's to 1e-10. Errors are the largest
on 8001 points of [-1, 1]; medians over random starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from _timing import parser, read_options, write_json
from scipy.optimize import minimize as scipy_minimize
from threadpoolctl import threadpool_limits

from specbias.multistage import MultistageRegressor, StageNetwork, self_scaled_bfgs
from specbias.targets import lecture_curve

CALLS = 5000
HIDDEN = (20, 20, 20)
OURS, TORCH = "ours", "PyTorch"
DENSE = np.linspace(-1, 1, 8001)[:, None]


class Enough(Exception):
    """A side has had its calls."""


class Counted:
    """Loss and gradient with a count of calls, that keeps the best point and ends after so many."""

    def __init__(self, function: Callable, calls: int):
        self.function, self.left, self.best = function, calls, (np.inf, None)

    def __call__(self, row: np.ndarray) -> tuple[float, np.ndarray]:
        if not self.left:
            raise Enough
        self.left -= 1
        value, gradient = self.function(row)
        if value < self.best[0]:
            self.best = (value, np.array(row))
        return value, gradient


def ours(counted: Counted, start: np.ndarray) -> None:
    self_scaled_bfgs(counted, start, max_iter=10**9)


def scipy_side(history: int) -> Callable:
    def run(counted: Counted, start: np.ndarray) -> None:
        most = {"maxiter": 10**9, "maxfun": 10**9, "maxcor": history, "ftol": 0, "gtol": 0}
        scipy_minimize(counted, start, jac=True, method="L-BFGS-B", options=most)

    return run


def torch_side(net: StageNetwork, x: np.ndarray, y: np.ndarray) -> Callable:
    """PyTorch's own way: autograd through its layers; the start's row is put into them."""

    def run(counted: Counted, start: np.ndarray) -> None:
        model, points, goal = torch_network(net, start), torch.tensor(x), torch.tensor(y)
        optimizer = torch.optim.LBFGS(
            model.parameters(), max_iter=10**9, max_eval=10**9, tolerance_grad=0, tolerance_change=0,
            history_size=50, line_search_fn="strong_wolfe",
        )  # fmt: skip

        def closure() -> torch.Tensor:
            if not counted.left:
                raise Enough
            counted.left -= 1
            optimizer.zero_grad()
            loss = 0.5 * ((model(points)[:, 0] - goal) ** 2).mean()
            loss.backward()
            if loss.item() < counted.best[0]:
                parts = [part.detach().numpy().ravel() for part in model.parameters()]
                counted.best = (loss.item(), np.concatenate(parts))
            return loss

        optimizer.step(closure)

    return run


def torch_network(net: StageNetwork, row: np.ndarray) -> torch.nn.Sequential:
    """The same network with PyTorch's layers."""
    sizes = (net.inputs, *net.hidden, 1)
    parts: list[torch.nn.Module] = []
    for (into, out), (weights, bias) in zip(pairwise(sizes), net.layers(row), strict=True):
        layer = torch.nn.Linear(into, out, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(weights))
            layer.bias.copy_(torch.tensor(bias))
        parts += [layer, torch.nn.Tanh()]
    return torch.nn.Sequential(*parts[:-1])


def check(net: StageNetwork, row: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Our loss and gradient are autograd's."""
    model = torch_network(net, row)
    loss = 0.5 * ((model(torch.tensor(x))[:, 0] - torch.tensor(y)) ** 2).mean()
    loss.backward()
    gradient = np.concatenate([part.grad.numpy().ravel() for part in model.parameters()])
    value, found = net.loss_and_gradient(row, x, y)
    if abs(value - loss.item()) > 1e-10 or np.abs(found - gradient).max() > 1e-10:
        raise SystemExit("our loss or gradient is not autograd's")


def one_network(seeds: int, calls: int) -> dict[str, dict[str, float]]:
    """Largest error and seconds of every side, medians over the starts."""
    target, net = lecture_curve(300), StageNetwork(1, HIDDEN)
    exact = target.function(DENSE[:, 0])
    sides = {
        OURS: ours, "SciPy, history 10": scipy_side(10), "SciPy, history 50": scipy_side(50),
        "SciPy, history 100": scipy_side(100), TORCH: torch_side(net, target.x, target.y),
    }  # fmt: skip
    errors, seconds = {name: [] for name in sides}, {name: [] for name in sides}
    for seed in range(seeds):
        start = net.initial(np.random.default_rng(seed))
        check(net, start, target.x, target.y)
        for name, side in sides.items():
            counted = Counted(lambda row: net.loss_and_gradient(row, target.x, target.y), calls)
            began = time.perf_counter()
            try:
                side(counted, start)
            except Enough:
                pass
            seconds[name].append(time.perf_counter() - began)
            errors[name].append(np.abs(net.predict(counted.best[1], DENSE) - exact).max())
    return {
        name: {"error": float(np.median(errors[name])), "seconds": float(np.median(seconds[name]))}
        for name in sides
    }


def stages(seeds: int) -> dict[str, dict[str, float]]:
    """Loss and seconds of two stages on 300 points; largest error and seconds of up to four on 1501."""
    found = {}
    for name, points, reach, many in (("two stages", 300, 1.0, 2), ("four stages", 1501, 1.02, 4)):
        target = lecture_curve(points)
        x = reach * target.x
        y = target.function(x[:, 0])
        rows = []
        for seed in range(seeds):
            model = MultistageRegressor(
                hidden=HIDDEN, stages=many, max_iter=4000, validation_fraction=0.0, random_state=seed
            )
            began = time.perf_counter()
            model.fit(x, y)
            took = time.perf_counter() - began
            far = np.abs(model.residue(DENSE, target.function(DENSE[:, 0]))).max()
            rows.append((0.5 * model.residual_rms_[-1] ** 2, far, took, len(model.stages_)))
        loss, error, took, made = np.median(rows, axis=0)
        found[name] = {"loss": loss, "error": error, "seconds": took, "made": made}
    return found


def main() -> None:
    options, machine = read_options(parser(__doc__, rounds=5, quick=1))
    with threadpool_limits(1, "blas"):
        single = one_network(options.rounds, CALLS // (5 if options.quick else 1))
        for name, one in single.items():
            print(f"  {name:20s} largest error {one['error']:.1e} in {one['seconds']:.1f} s")
        staged = stages(options.rounds)
    for name, one in staged.items():
        print(f"  {name}: {one['made']:.0f} made, loss {one['loss']:.0e}, ", end="")
        print(f"largest error {one['error']:.1e}, {one['seconds']:.1f} s")
    for name, key, goal, limit in (("two stages", "loss", 1e-14, 20), ("four stages", "error", 1e-15, 120)):
        met = staged[name][key] <= goal and staged[name]["seconds"] <= limit
        print(f"  goal: {name} to {key} {goal:g} within {limit} s, {'met' if met else 'MISSED'}")
    columns = {
        "largest error": {name: one["error"] for name, one in single.items()},
        "seconds": {name: one["seconds"] for name, one in single.items()},
    }
    write_json(
        options.json,
        {"machine": machine, "calls": CALLS, "single": single, "stages": staged,
         "table": {"unit": f"one network, {CALLS} calls", "columns": columns}},
    )  # fmt: skip


if __name__ == "__main__":
    main()
