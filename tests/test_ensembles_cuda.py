"""Tiny networks on a CUDA device: the kernel in Numba's simulator, against the CPU and plain PyTorch."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from specbias.ensembles import count_parameters, initial_parameters, loss_and_gradient, train
from specbias.ensembles.cuda import (
    LANES,
    TOGETHER,
    WRITTEN_OUT,
    _corrections,
    _padded,
    _steps_per_launch,
    available,
    kernel_source,
    train_on_gpu,
)
from specbias.ensembles.optimizers import Settings

SAMPLES, STEPS = 40, 3
X = np.linspace(-0.3, 1, SAMPLES)
Y = np.abs(X - 0.4)
OPTIMIZERS = {
    "momentum": (torch.optim.SGD, {"lr": 0.03, "momentum": 0.9}),
    "adadelta": (torch.optim.Adadelta, {"lr": 1.0, "rho": 0.9, "eps": 1e-6}),
    "adam": (torch.optim.Adam, {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}),
}
CASES = [(1, 1, "adam"), (3, 5, "momentum"), *((2, 3, optimizer) for optimizer in OPTIMIZERS)]

# The simulator must be asked for before Numba is imported: hence a process of its own.
CHILD = """
import sys
import numpy as np
from specbias.ensembles import cuda, initial_parameters
from specbias.ensembles.optimizers import Settings

def run(start, state, steps, first, data=None):
    x, y = (X, Y) if data is None else data
    settings = Settings(optimizer, depth, width, steps=steps, first_step=first)
    return cuda.train_on_gpu(start, state, x, y, settings)

X = np.linspace(-0.3, 1, {samples})
Y, found = np.abs(X - 0.4), {{}}
for depth, width, optimizer in {cases}:
    start = initial_parameters(2, depth=depth, width=width, seed=0, dtype="float64")
    state = np.zeros((1 if optimizer == "momentum" else 2, *start.shape))
    name = f"{{depth}}x{{width}} {{optimizer}}"
    found[name], found[name + " state"] = whole = run(start, state, {steps}, 0)
    assert not state.any() and start.tobytes() == initial_parameters(
        2, depth=depth, width=width, seed=0, dtype="float64").tobytes()
    if (depth, width) == (2, 3):
        first = run(start, state, 1, 0)
        rest = run(*first, {steps} - 1, 1)
        found[name + " continued"], found[name + " continued state"] = rest
        cuda._steps_per_launch = lambda *sizes: 2
        found[name + " sliced"] = run(start, state, {steps}, 0)[0]
        cuda._steps_per_launch = lambda *sizes: 1000

# More samples than the lanes take at once.
found["two rounds"] = run(start, state, 1, 0, (np.linspace(0, 1, 70), np.linspace(0, 1, 70) ** 2))[0]

# Loops that are not written out.
cuda.WRITTEN_OUT = 0
cuda._kernel.cache_clear()
found["in loops"] = run(start, state, {steps}, 0)[0]
found["available"] = cuda.available()
np.savez(sys.argv[1], **found)
"""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """What the simulator computes of every case."""
    path = tmp_path_factory.mktemp("simulated") / "found.npz"
    code = CHILD.format(samples=SAMPLES, cases=CASES, steps=STEPS)
    environment = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run([sys.executable, "-c", code, path], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(path) as found:
        return dict(found)


def on_cpu(depth: int, width: int, optimizer: str):
    start = initial_parameters(2, depth=depth, width=width, seed=0, dtype="float64")
    more = {"steps": STEPS, "optimizer": optimizer, "device": "cpu", "progress": False}
    return train(start, X, Y, depth=depth, width=width, **more)


def by_torch(depth: int, width: int, optimizer: str) -> np.ndarray:
    """One network after another, by PyTorch."""
    rows = []
    for row in initial_parameters(2, depth=depth, width=width, seed=0, dtype="float64"):
        sizes = [1, *[width] * depth]
        hidden = [m for i, o in zip(sizes, sizes[1:], strict=False) for m in (nn.Linear(i, o), nn.ReLU())]
        model = nn.Sequential(*hidden, nn.Linear(width, 1)).double()
        nn.utils.vector_to_parameters(torch.from_numpy(row), model.parameters())
        kind, settings = OPTIMIZERS[optimizer]
        steps = kind(model.parameters(), **settings)
        for _ in range(STEPS):
            steps.zero_grad()
            nn.functional.mse_loss(model(torch.from_numpy(X)[:, None])[:, 0], torch.from_numpy(Y)).backward()
            steps.step()
        rows.append(nn.utils.parameters_to_vector(model.parameters()).detach().numpy())
    return np.array(rows)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernel_is_the_cpu_and_pytorch(simulated, case):
    depth, width, optimizer = case
    name = f"{depth}x{width} {optimizer}"
    trained = on_cpu(*case)
    assert (
        np.abs(
            trained.parameters - initial_parameters(2, depth=depth, width=width, seed=0, dtype="float64")
        ).max()
        > 1e-3
    )
    assert simulated[name] == pytest.approx(trained.parameters, rel=0, abs=1e-12)
    assert simulated[name + " state"] == pytest.approx(trained.state, rel=0, abs=1e-12)
    assert simulated[name] == pytest.approx(by_torch(*case), rel=0, abs=1e-12)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_going_on_is_the_same_digit_by_digit(simulated, optimizer):
    name = f"2x3 {optimizer}"
    assert (simulated[name + " continued"] == simulated[name]).all()
    assert (simulated[name + " continued state"] == simulated[name + " state"]).all()
    assert (simulated[name + " sliced"] == simulated[name]).all()


def test_loops_that_are_not_written_out_compute_the_same(simulated):
    assert (simulated["in loops"] == simulated["2x3 adam"]).all()


def test_more_samples_than_lanes_take_at_once(simulated):
    x = np.linspace(0, 1, 70)
    start = initial_parameters(2, depth=2, width=3, seed=0, dtype="float64")
    more = {"depth": 2, "width": 3, "steps": 1, "optimizer": "adam", "device": "cpu", "progress": False}
    assert simulated["two rounds"] == pytest.approx(
        train(start, x, x**2, **more).parameters, rel=0, abs=1e-12
    )


def test_simulator_is_no_device(simulated):
    assert not simulated["available"]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_small_networks_are_written_out_and_large_ones_are_not(optimizer):
    small, large = kernel_source(5, 5, optimizer), kernel_source(16, 16, optimizer)
    for source in (small, large):
        compile(source, "kernel", "exec")
    loops = [line.strip() for line in small.splitlines() if line.strip().startswith("for ")]
    assert all("first" in line or "lane" in line for line in loops)  # steps, samples, and rows of the tile
    assert count_parameters(5, 5) <= WRITTEN_OUT < count_parameters(16, 16)
    assert len(large.splitlines()) < 150


def test_samples_are_filled_up_with_weight_zero():
    x, y, weight = _padded(X, Y, np.dtype("float32"))
    assert {array.dtype.name for array in (x, y, weight)} == {"float32"}
    assert x.size == y.size == weight.size == LANES * TOGETHER
    assert weight.sum() == pytest.approx(2) and not weight[SAMPLES:].any()
    with pytest.raises(ValueError, match="y must have as many values as x"):
        _padded(X, Y[1:], np.dtype("float32"))


def test_adams_corrections_count_earlier_steps():
    all_of_them = _corrections(Settings("adam", steps=7), np.dtype("float64"))
    later = _corrections(Settings("adam", steps=3, first_step=4), np.dtype("float64"))
    assert (all_of_them[4:] == later).all()
    assert all_of_them[0] == pytest.approx([1e-3 / 0.1, 0.001**0.5], rel=1e-12)


def test_launches_are_short_and_make_a_step_at_least():
    assert _steps_per_launch(160_000, 136, 384) == 39
    assert _steps_per_launch(1, 136, 384) == _steps_per_launch(1000, 136, 384) > 1000
    assert _steps_per_launch(10**9, 4129, 10**6) == 1


def test_wrong_arrays_are_named():
    start, settings = initial_parameters(2, seed=0), Settings()
    with pytest.raises(ValueError, match=r"state must have shape \(1, 2, 136\), got \(2, 2, 136\)"):
        train_on_gpu(start, np.zeros((2, 2, 136)), X, Y, settings)
    with pytest.raises(ValueError, match=r"parameters must have shape \(models, 22\)"):
        train_on_gpu(start, np.zeros((1, 2, 136)), X, Y, dataclasses.replace(settings, depth=2, width=3))


@pytest.mark.skipif(not available(), reason="needs a CUDA device")
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("shape", [(5, 5), (2, 16)], ids=str)
@pytest.mark.parametrize("dtype, error", [("float32", 1e-3), ("float64", 1e-9)])
def test_device_is_the_cpu(dtype, error, shape, optimizer):
    """A hundred steps, where ReLU has not yet made chaos of round-off."""
    depth, width = shape
    x = np.linspace(0, 1, 361)
    start = initial_parameters(64, depth=depth, width=width, seed=0, dtype=dtype)
    more = {"depth": depth, "width": width, "steps": 100, "optimizer": optimizer, "progress": False}
    here, there = (train(start, x, abs(x - 0.4), device=device, **more) for device in ("cpu", "cuda"))
    assert there.parameters.dtype == dtype
    assert np.median(abs(here.parameters - there.parameters).max(axis=1)) < error
    before = loss_and_gradient(start, x, abs(x - 0.4), depth=depth, width=width)[0].mean()
    assert abs(here.loss - there.loss).mean() < error * before
