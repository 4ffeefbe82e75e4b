"""How fast are 200 tanh networks on 200 targets trained (chapter 2)?

    python benchmarks/surrogates.py
    python benchmarks/surrogates.py --quick --json surrogates.json
    python benchmarks/surrogates.py --json results/benchmarks/surrogates.json   (the chapter's table)
    python benchmarks/surrogates.py --threads 1

200 networks 1-100-100-1 without output bias on 500 points, each with a phase surrogate of its own as target,
by Adam at 5e-3 on half the mean square, float32, full batch. Five sides, in one process and in turn:

fit           what specbias.training.fit does, all 200 in its compiled loop (training.fused)
fit, dense    the same by matrix products over all 200 (engine="dense")
PyTorch       one network after another, as one writes it
JAX           one network after another: jit, and lax.scan over the epochs
JAX, batched  all 200: vmap, jit and lax.scan

Of the one-by-one sides a few networks are timed. JAX comes with pip install -e '.[bench]'; without it its
sides are left out. The goals: three times as fast as the faster of the one-by-one sides, and at least as fast
as batched JAX. Against the machine's speed at large matrix products stand both the products that an epoch has
without the compiled loop's rearrangement, which may be more than it could make in that time, and those made.

The compiled loop computes the first layer at the more nodes the steeper the networks have become. So all this
is measured twice: from the start, and after --warm epochs, made by our loop; from there every side begins
with the same weights and the same moments of Adam.

Before anything is timed, the losses of all sides are compared, to a part in a thousand. Of each side the best
block counts: on a machine that does other things besides, the mean says how busy that was. The medians are
given too. What fit does once (checks, copies, snapshots) is not part of a block, nor is compilation.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from _timing import (
    Advance,
    Fused,
    Side,
    Start,
    dense,
    has_jax,
    judge,
    microseconds,
    parser,
    plain_pytorch,
    read_options,
    report,
    report_peak,
    write_json,
)

from specbias.models import MLP, generators
from specbias.targets import phase_surrogates, sequential_sine

NETWORKS = 200
SAMPLE = 3  # networks of the one-by-one sides
OURS, DENSE, TORCH, JAX, BATCHED = "fit", "fit, dense", "PyTorch", "JAX", "JAX, batched"
BETAS, EPSILON = (0.9, 0.999), 1e-8


def chapter_two(count: int) -> Start:
    """The networks and targets, untrained."""
    target = sequential_sine("bump")
    nets = [MLP(1, (100, 100), output_bias=False, generator=g) for g in generators(range(count))]
    x = (np.arange(500) + 0.5) / 500
    return Start(nets, x, phase_surrogates(target.y, count, seed=0), "adam", 5e-3, share=0.5)


def jax_epochs(start: Start) -> Callable:
    """``(parameters, moments, step), y, epochs -> the same later, losses`` of one network, to be compiled."""
    import jax
    import jax.numpy as jnp

    x = jnp.asarray(start.x, jnp.float32)[:, None]

    def loss(parameters, y):
        w1, b1, w2, b2, w3 = parameters
        hidden = jnp.tanh(jnp.tanh(x @ w1.T + b1) @ w2.T + b2)
        return start.share * jnp.mean(((hidden @ w3.T)[:, 0] - y) ** 2)

    def epoch(state, y):
        parameters, firsts, seconds, step = state
        value, gradients = jax.value_and_grad(loss)(parameters, y)
        step += 1
        size = start.lr / (1 - BETAS[0] ** step)
        scale = 1 / jnp.sqrt(1 - BETAS[1] ** step)
        pairs = list(zip(gradients, firsts, seconds, parameters, strict=True))
        firsts = [BETAS[0] * m + (1 - BETAS[0]) * g for g, m, _, _ in pairs]
        seconds = [BETAS[1] * v + (1 - BETAS[1]) * g * g for g, _, v, _ in pairs]
        moved = [
            p - size * m / (jnp.sqrt(v) * scale + EPSILON)
            for p, m, v in zip(parameters, firsts, seconds, strict=True)
        ]
        return (moved, firsts, seconds, step), value

    def epochs(state, y, count):
        return jax.lax.scan(lambda state, _: epoch(state, y), state, length=count)

    return epochs


def jax_state(start: Start, network: int | slice) -> tuple:
    """Parameters, both moments and the steps made, of one network or, with a leading dimension, of all."""
    import jax.numpy as jnp

    parameters = [torch.stack(same) for same in zip(*(net.parameters() for net in start.nets), strict=True)]
    moments = start.moments_by_parameter()
    steps = jnp.full(len(start.nets), start.step, jnp.float32)[network]
    return (
        [jnp.asarray(p.detach()[network].numpy()) for p in parameters],
        [jnp.asarray(m[0, network].numpy()) for m in moments],
        [jnp.asarray(m[1, network].numpy()) for m in moments],
        steps,
    )


def jax_one_by_one(start: Start) -> Advance:
    """As a user of JAX would write it: everything compiled, one network after another."""
    import jax
    import jax.numpy as jnp

    advance_one = jax.jit(jax_epochs(start), static_argnums=2)
    targets = jnp.asarray(start.y, jnp.float32)
    states = [jax_state(start, network) for network in range(len(start.nets))]

    def advance(epochs: int) -> list[float]:
        losses = []
        for network, y in enumerate(targets):
            states[network], values = advance_one(states[network], y, epochs)
            losses.append(float(values[-1]))
        return losses

    return advance


def jax_batched(start: Start) -> Advance:
    """All networks at once: vmap of the same."""
    import jax
    import jax.numpy as jnp

    one = jax_epochs(start)
    together = jax.jit(
        lambda state, y, count: jax.vmap(lambda s, t: one(s, t, count))(state, y), static_argnums=2
    )
    targets, state = jnp.asarray(start.y, jnp.float32), [jax_state(start, slice(None))]

    def advance(epochs: int) -> list[float]:
        state[0], values = together(state[0], targets, epochs)
        return np.asarray(values)[:, -1].tolist()

    return advance


def compare(title: str, start: Start, *, rounds: int, with_jax: bool) -> dict:
    """Time all sides from this start, and print what comes out."""
    print(f"\n{title}")
    ours, count, few = Fused(start), len(start.nets), start.first(SAMPLE)
    sides = {
        OURS: Side(ours, count, 10),
        DENSE: Side(dense(start), count, 3),
        TORCH: Side(plain_pytorch(few), len(few.nets), 100),
    }
    if with_jax:
        sides[JAX] = Side(jax_one_by_one(few), len(few.nets), 100)
        sides[BATCHED] = Side(jax_batched(start), count, 3)
    times = microseconds(sides, rounds=rounds, check=10)
    ratios = report(times)
    one_by_one = min((name for name in (TORCH, JAX) if name in ratios), key=ratios.get)
    judge(f"one by one ({one_by_one})", ratios[one_by_one], 3)
    if BATCHED in ratios:
        judge(BATCHED, ratios[BATCHED], 1)
    peak = report_peak(OURS, ours, times[OURS]["best"], rounds=20)
    return {"microseconds": times, "ratio": ratios, "peak": peak}


def main() -> None:
    made = parser(__doc__, rounds=15, quick=2)
    made.add_argument(
        "--warm", type=int, metavar="EPOCHS", help="epochs before the second part (default: 3000, quick: 100)"
    )
    made.add_argument("--networks", type=int, default=NETWORKS, metavar="COUNT", help="(default: 200)")
    options, machine = read_options(made)
    warm = options.warm if options.warm is not None else (100 if options.quick else 3000)
    if warm < 1 or options.networks < 1:
        made.error("--warm and --networks must be at least 1")
    with_jax = has_jax(options.threads)
    start = chapter_two(options.networks)
    numbers = {"machine": machine, "networks": options.networks, "warm": warm}
    settings = {"rounds": options.rounds, "with_jax": with_jax}
    shape = f"{options.networks} x 1-100-100-1, tanh, 500 points"
    numbers["start"] = compare(f"{shape}, from the start", start, **settings)
    trained = Fused(start)
    trained(warm)
    numbers["warm"] = compare(f"{shape}, after {warm} epochs", trained.here(), **settings)
    columns = {"from the start": numbers["start"], f"after {warm} epochs": numbers["warm"]}
    best = {
        title: {side: time_of["best"] for side, time_of in part["microseconds"].items()}
        for title, part in columns.items()
    }
    numbers["table"] = {"unit": "µs a network and epoch", "columns": best}
    write_json(options.json, numbers)


if __name__ == "__main__":
    main()
