"""How much faster is the trainer of specbias.circle than dense PyTorch, on the same gradient descent?

    python benchmarks/circle.py
    python benchmarks/circle.py --units 1000 --steps 50 --no-bias

Both train the same shallow ReLU network in float64 on one thread, from the same start; the largest difference
between their final weights is printed beside the ratio of their times.
"""

from __future__ import annotations

import argparse
import time

import numba
import numpy as np
import torch

from specbias.circle import regular_angles, train_on_circle


def dense_torch(target, angles, weights, signs, *, steps, bias, learning_rate):
    """The usual way: the whole (points, units) matrix, by autograd."""
    features = torch.tensor(np.stack([np.cos(angles), np.sin(angles), np.ones_like(angles)], axis=1))
    features = features if bias else features[:, :2]
    weights = torch.tensor(weights[:, : features.shape[1]], requires_grad=True)
    target, signs = torch.tensor(target), torch.tensor(signs)
    optimizer = torch.optim.SGD([weights], lr=learning_rate)
    for _ in range(steps):
        optimizer.zero_grad()
        outputs = torch.relu(features @ weights.T) @ signs / len(signs) ** 0.5
        (0.5 * ((outputs - target) ** 2).sum()).backward()
        optimizer.step()
    return weights.detach().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--units", type=int, default=4000, help="hidden units (default: 4000)")
    parser.add_argument("--points", type=int, default=1001, help="angles on the circle (default: 1001)")
    parser.add_argument("--steps", type=int, default=100, help="gradient steps (default: 100)")
    parser.add_argument("--frequency", type=int, default=8, help="frequency of the target (default: 8)")
    parser.add_argument("--no-bias", action="store_true", help="hidden units without bias")
    options = parser.parse_args()

    bias = not options.no_bias
    numba.set_num_threads(1)
    torch.set_num_threads(1)
    angles = regular_angles(options.points)
    target = np.sin(options.frequency * angles)
    target /= np.linalg.norm(target)
    settings = dict(units=options.units, bias=bias, learning_rate=0.005, stop_below=0, progress=False)
    start = train_on_circle(target, **settings, max_steps=0)
    train_on_circle(target, **settings, max_steps=1)  # compiles, or loads what was compiled before

    began = time.perf_counter()
    fast = train_on_circle(
        target, **settings, max_steps=options.steps, initial=(start.weights, start.signs)
    ).weights[0]
    fast_seconds = time.perf_counter() - began
    began = time.perf_counter()
    dense = dense_torch(
        target,
        angles,
        start.weights[0],
        start.signs[0],
        steps=options.steps,
        bias=bias,
        learning_rate=settings["learning_rate"],
    )
    dense_seconds = time.perf_counter() - began

    difference = np.abs(fast[:, : dense.shape[1]] - dense).max()
    print(
        f"{options.units} units, {options.points} points, {options.steps} steps, {'' if bias else 'no '}bias"
    )
    print(f"dense PyTorch    {1e6 * dense_seconds / options.steps:10.1f} µs per step")
    print(f"specbias.circle  {1e6 * fast_seconds / options.steps:10.1f} µs per step")
    print(f"ratio            {dense_seconds / fast_seconds:10.1f}")
    print(f"largest difference of the weights {difference:.1e}")


if __name__ == "__main__":
    main()
