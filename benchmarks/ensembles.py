"""How fast are very many tiny ReLU networks trained (specbias.ensembles)?

    python benchmarks/ensembles.py
    python benchmarks/ensembles.py --quick --json ensembles.json
    python benchmarks/ensembles.py --json results/benchmarks/ensembles.json   (the chapter's table)
    python benchmarks/ensembles.py --threads 1

5 x 5 networks on 361 points, by gradient descent with momentum 0.9 at 0.03 on the mean square, float32, full
batch. Six sides, in one process and in turn:

ours              what specbias.ensembles.train does, all of it: checks, copies and the last loss too
PyTorch           all networks of a batch: baddbmm, autograd, the optimizer in place
PyTorch, vmap     torch.func.vmap of grad
PyTorch, compile  torch.compile of a batch's whole step (left out where it finds no C++ compiler)
JAX, vmap         vmap, jit and lax.scan over the steps
JAX               one network after another, jit and lax.scan; on each thread another network

Each peer that takes batches is timed at several sizes, and counts with its best. JAX comes with
pip install -e '.[bench]'; without it its sides are left out. The goals: 30 times the best of PyTorch,
12 times the best of JAX, 90 % of the machine's speed at large matrix products, measured in the same run. For
this, the multiplications and additions count that a step cannot do without: 2 x 3 x the multiplications of an
output, less those back through the first layer.

Before anything is timed, ten steps of every side from the same networks are compared: their losses agree to a
part in a thousand. Of each side the best block counts; medians are given too. Compilation is not counted.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from _timing import has_jax, judge, matmul_peak, parser, read_options, write_json

from specbias.ensembles import initial_parameters, predict, train
from specbias.ensembles.networks import layer_shapes, layers

DEPTH, WIDTH, SAMPLES = 5, 5, 361
LR, MOMENTUM = 0.03, 0.9
BATCHES = (16, 64, 256, 1024)
OURS, TORCH, VMAP, COMPILE = "ours", "PyTorch", "PyTorch, vmap", "PyTorch, compile"
JAX_VMAP, JAX = "JAX, vmap", "JAX"
X = np.linspace(-1, 1, SAMPLES)
Y = np.sin(2 * np.pi * X) + np.sin(6 * np.pi * X) / 2
PAUSE = 0.3  # seconds
SCAN = 20  # steps that JAX makes at a call


@dataclass
class Trainer:
    """``advance`` makes so many steps; ``parameters`` are those of now, ``(models, P)``."""

    models: int
    advance: Callable[[int], None]
    parameters: Callable[[], np.ndarray]


def ours(start: np.ndarray) -> Trainer:
    """The public call, going on where it was."""
    last = []

    def advance(steps: int) -> None:
        rows, before = (last[0].parameters, last[0]) if last else (start, None)
        last[:] = [train(rows, X, Y, steps=steps, lr=LR, momentum=MOMENTUM, continues=before, progress=False)]

    return Trainer(len(start), advance, lambda: last[0].parameters)


def torch_parts(start: np.ndarray) -> list[torch.Tensor]:
    """Weights ``(models, rows, columns)`` and biases ``(models, rows, 1)``, layer by layer."""
    split = layers(start, DEPTH, WIDTH)
    return [torch.tensor(part) for w, b in split for part in (w, b[..., None])]


def joined(parts: list[torch.Tensor]) -> np.ndarray:
    """Rows of parameters again."""
    return torch.cat([part.detach().reshape(len(part), -1) for part in parts], dim=1).numpy()


def batch_loss(parts: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Sum over the networks of their mean squares."""
    w, b = parts[:2]
    values = torch.relu(w * x + b)  # one input: no product of matrices
    for w, b in zip(parts[2:-2:2], parts[3:-2:2], strict=True):
        values = torch.relu(torch.baddbmm(b, w, values))
    outputs = torch.baddbmm(parts[-1], parts[-2], values)[:, 0]
    return ((outputs - y) ** 2).sum() / SAMPLES


def torch_data() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(X, dtype=torch.float32), torch.tensor(Y, dtype=torch.float32)


def torch_batched(start: np.ndarray) -> Trainer:
    """As one writes it who knows that the optimizer should not make copies."""
    parts = [part.requires_grad_() for part in torch_parts(start)]
    velocities = [torch.zeros_like(part) for part in parts]
    x, y = torch_data()

    def advance(steps: int) -> None:
        for _ in range(steps):
            gradients = torch.autograd.grad(batch_loss(parts, x, y), parts)
            with torch.no_grad():
                torch._foreach_mul_(velocities, MOMENTUM)
                torch._foreach_add_(velocities, gradients)
                torch._foreach_add_(parts, velocities, alpha=-LR)

    return Trainer(len(start), advance, lambda: joined(parts))


def torch_vmap(start: np.ndarray) -> Trainer:
    """The gradient of one network, for all."""
    parts = torch_parts(start)
    velocities = [torch.zeros_like(part) for part in parts]
    x, y = torch_data()

    def loss(one: list[torch.Tensor]) -> torch.Tensor:
        values = x[None]
        for w, b in zip(one[:-2:2], one[1:-2:2], strict=True):
            values = torch.relu(w @ values + b)
        return ((one[-2] @ values + one[-1] - y) ** 2).mean()

    gradient = torch.func.vmap(torch.func.grad(loss))

    def advance(steps: int) -> None:
        with torch.no_grad():
            for _ in range(steps):
                torch._foreach_mul_(velocities, MOMENTUM)
                torch._foreach_add_(velocities, gradient(parts))
                torch._foreach_add_(parts, velocities, alpha=-LR)

    return Trainer(len(start), advance, lambda: joined(parts))


def torch_compiled(start: np.ndarray) -> Trainer:
    """The step of a batch in one compiled function: forward, backward and update."""
    x, y = torch_data()
    gradient = torch.func.grad(batch_loss)

    @torch.compile(dynamic=False)
    def step(parts, velocities):
        gradients = gradient(parts, x, y)
        velocities = [MOMENTUM * v + g for v, g in zip(velocities, gradients, strict=True)]
        return [p - LR * v for p, v in zip(parts, velocities, strict=True)], velocities

    parts = torch_parts(start)
    state = [parts, [torch.zeros_like(part) for part in parts]]

    def advance(steps: int) -> None:
        with torch.no_grad():
            for _ in range(steps):
                state[:] = step(*state)

    return Trainer(len(start), advance, lambda: joined(state[0]))


def jax_steps() -> Callable:
    """``(parameters, velocities), count -> the same later`` of one network, to be compiled."""
    import jax
    import jax.numpy as jnp

    x, y = jnp.asarray(X, jnp.float32)[None], jnp.asarray(Y, jnp.float32)

    def loss(parts):
        values = x
        for w, b in zip(parts[:-2:2], parts[1:-2:2], strict=True):
            values = jax.nn.relu(w @ values + b)
        return jnp.mean(((parts[-2] @ values + parts[-1])[0] - y) ** 2)

    def step(state, _):
        parts, velocities = state
        gradients = jax.grad(loss)(parts)
        velocities = [MOMENTUM * v + g for v, g in zip(velocities, gradients, strict=True)]
        return ([p - LR * v for p, v in zip(parts, velocities, strict=True)], velocities), None

    return lambda state, count: jax.lax.scan(step, state, length=count)[0]


def in_calls(advance: Callable, state: tuple, steps: int) -> tuple:
    """So many steps, at most SCAN a call: every length of a scan is compiled for itself."""
    while steps > 0:
        state = advance(state, min(steps, SCAN))
        steps -= SCAN
    return state


def jax_vmap(start: np.ndarray) -> Trainer:
    """A batch: vmap of the steps of one network."""
    import jax
    import jax.numpy as jnp

    one = jax_steps()
    together = jax.jit(lambda state, count: jax.vmap(lambda mine: one(mine, count))(state), static_argnums=1)
    parts = [jnp.asarray(part.numpy()) for part in torch_parts(start)]
    state = [(parts, [jnp.zeros_like(part) for part in parts])]

    def advance(steps: int) -> None:
        state[0] = jax.block_until_ready(in_calls(together, state[0], steps))

    return Trainer(len(start), advance, lambda: joined([torch.tensor(np.asarray(p)) for p in state[0][0]]))


def jax_one_by_one(start: np.ndarray) -> Trainer:
    """One network after another; every thread has its own."""
    import jax
    import jax.numpy as jnp

    compiled = jax.jit(jax_steps(), static_argnums=1)
    parts = [jnp.asarray(part.numpy()) for part in torch_parts(start)]
    states = [([p[k] for p in parts], [jnp.zeros_like(p[k]) for p in parts]) for k in range(len(start))]
    pool = ThreadPoolExecutor(torch.get_num_threads())

    def advance(steps: int) -> None:
        def one(state):
            return jax.block_until_ready(in_calls(compiled, state, steps))

        states[:] = pool.map(one, states)

    def parameters() -> np.ndarray:
        rows = [[np.asarray(part).ravel() for part in mine] for mine, _ in states]
        return np.stack([np.concatenate(row) for row in rows])

    return Trainer(len(start), advance, parameters)


def losses(parameters: np.ndarray) -> np.ndarray:
    """Of all sides by one function, in double precision."""
    return np.mean((predict(parameters.astype(float), X) - Y) ** 2, axis=1)


def checked(name: str, make: Callable[[np.ndarray], Trainer], start: np.ndarray) -> Trainer:
    """A trainer that has made ten steps, which are those of PyTorch in double precision, one by one."""
    trainer = make(start)
    trainer.advance(10)
    found, expected = losses(trainer.parameters()), reference_losses(start[:16])
    if not np.allclose(found[: len(expected)], expected[: len(found)], rtol=1e-3):
        raise SystemExit(f"{name} has losses {found[:4]} after 10 steps, expected are {expected[:4]}")
    return trainer


def reference_losses(start: np.ndarray) -> np.ndarray:
    """After ten steps in float64 by autograd, written once more, network by network."""
    found = []
    for row in start.astype(float):
        parts = [torch.tensor(p, requires_grad=True) for w, b in layers(row, DEPTH, WIDTH) for p in (w, b)]
        optimizer = torch.optim.SGD(parts, lr=LR, momentum=MOMENTUM)
        for step in range(11):
            values = torch.tensor(X)[:, None]
            for w, b in zip(parts[:-2:2], parts[1:-2:2], strict=True):
                values = torch.relu(torch.nn.functional.linear(values, w, b))
            outputs = torch.nn.functional.linear(values, *parts[-2:])[:, 0]
            loss = ((outputs - torch.tensor(Y)) ** 2).mean()
            if step < 10:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        found.append(loss.item())
    return np.array(found)


def block(trainer: Trainer, seconds: float) -> int:
    """Steps that take about so long, a multiple of SCAN; compiles what SCAN steps need."""
    trainer.advance(SCAN)
    began = time.perf_counter()
    trainer.advance(SCAN)
    took = time.perf_counter() - began
    return SCAN * max(1, round(seconds / took))


def rate(trainer: Trainer, steps: int) -> float:
    """Model-steps a second in one block, when the threads of the one before have stopped spinning."""
    time.sleep(PAUSE)
    began = time.perf_counter()
    trainer.advance(steps)
    return trainer.models * steps / (time.perf_counter() - began)


def best_batch(
    name: str, make: Callable, start: np.ndarray, seconds: float, sizes: tuple[int, ...]
) -> tuple[Trainer, dict]:
    """The trainer of the size that is fastest in a short trial, and the rates of all sizes."""
    found = {}
    for size in sizes:
        trainer = checked(name, make, start[:size])
        steps = block(trainer, seconds)
        found[size] = (max(rate(trainer, steps) for _ in range(2)), trainer)
    best = max(found, key=lambda size: found[size][0])
    tried = ", ".join(f"{size}: {value:.3g}" for size, (value, _) in found.items())
    print(f"  {name}: batches {tried}", flush=True)
    return found[best][1], {str(size): value for size, (value, _) in found.items()}


def useful_flops() -> int:
    """Of a sample and step: forward, weight gradients, and back through all layers but the first."""
    sizes = [rows * columns for rows, columns in layer_shapes(DEPTH, WIDTH)]
    return 2 * (2 * sum(sizes) + sum(sizes[1:]))


def main() -> None:
    made = parser(__doc__, rounds=15, quick=2)
    made.add_argument(
        "--networks", type=int, default=1024, metavar="COUNT", help="of our side (default: 1024)"
    )
    options, machine = read_options(made)
    if options.networks < 1:
        made.error("--networks must be at least 1")
    seconds, sizes = (0.1, (64, 256)) if options.quick else (0.5, BATCHES)
    start = initial_parameters(max(BATCHES + (options.networks,)), seed=0)
    print(f"\n{DEPTH} x {WIDTH} networks on {SAMPLES} points, float32; model-steps a second")
    trainers = {OURS: checked(OURS, ours, start[: options.networks])}
    batches = {}
    peers = {TORCH: torch_batched, VMAP: torch_vmap, COMPILE: torch_compiled}
    if has_jax(options.threads):
        peers[JAX_VMAP] = jax_vmap
        trainers[JAX] = checked(JAX, jax_one_by_one, start[:4])
    for name, make in peers.items():
        try:
            trainers[name], batches[name] = best_batch(name, make, start, seconds, sizes)
        except RuntimeError as error:  # torch.compile's errors are of this kind
            if name != COMPILE:
                raise
            print(f"  {name}: left out, {type(error).__name__}: {str(error).splitlines()[0]}")
    print("  losses after 10 steps agree to a part in a thousand")
    blocks = {name: block(trainer, seconds) for name, trainer in trainers.items()}
    rates: dict[str, list[float]] = {name: [] for name in trainers}
    peak = 0.0
    for _ in range(options.rounds):
        for name, trainer in trainers.items():
            rates[name].append(rate(trainer, blocks[name]))
        peak = max(peak, matmul_peak(rounds=2))  # between the sides: the same machine at the same hour
    best = {name: max(found) for name, found in rates.items()}
    for name, found in rates.items():
        print(f"  {name:18s}{best[name]:12.0f} model-steps/s   (median {statistics.median(found):.0f})")
    ratios = {name: best[OURS] / value for name, value in best.items() if name != OURS}
    for kind, names, goal in (("PyTorch", (TORCH, VMAP, COMPILE), 30), ("JAX", (JAX_VMAP, JAX), 12)):
        there = [name for name in names if name in ratios]
        if there:
            nearest = min(there, key=ratios.get)
            judge(f"the best of {kind} ({nearest})", ratios[nearest], goal)
    flops = useful_flops() * SAMPLES
    share = best[OURS] * flops / 1e9 / peak
    print(f"  peak: {peak:.0f} Gflop/s on large products; a step needs {flops} operations")
    judge("that speed", share, 0.9)
    numbers = {
        "machine": machine, "networks": options.networks, "best": best,
        "median": {name: statistics.median(found) for name, found in rates.items()}, "batches": batches,
        "ratio": ratios, "peak": {"gigaflops": peak, "flops_a_step": flops, "share": share},
    }  # fmt: skip
    title = f"{DEPTH} x {WIDTH}, {SAMPLES} points"
    numbers["table"] = {"unit": "model-steps/s", "columns": {title: best}}
    write_json(options.json, numbers)


if __name__ == "__main__":
    main()
