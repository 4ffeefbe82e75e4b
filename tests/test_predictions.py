"""What the kernel predicts, against gradient descent on linear models written out step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from specbias.experiments import predictions
from specbias.kernels import two_layer_kernel
from specbias.models import MLP, Circle, generators

THREAD = {"hidden": [12, 9], "frequency": 2.0, "data_range": 15.0, "lr": 2e-3}
DEEP = {"hidden": [24, 24], "lr": 0.05, "stop_at": 0.05, "seed": 3}


def jacobian(model: torch.nn.Module, x: torch.Tensor) -> np.ndarray:
    """Gradient of every output by every parameter, one backward pass each."""
    rows = []
    for output in model(x)[:, 0]:
        gradient = torch.autograd.grad(output, list(model.parameters()), retain_graph=True)
        rows.append(torch.cat([part.flatten() for part in gradient]))
    return torch.stack(rows).numpy()


def test_thread_residual_is_gradient_descent_on_the_linearised_network():
    predicted = predictions.thread_residual(**THREAD, epochs=[0, 1, 40], seeds=2, seed=5)
    x = torch.from_numpy(predicted.x.values[:, None])
    target = np.sin(2 * predicted.x.values)
    for index, generator in enumerate(generators([5, 6])):
        model = MLP(1, THREAD["hidden"], activation="relu", generator=generator, dtype=torch.float64)
        slope, start = jacobian(model, x), model(x)[:, 0].detach().numpy()
        change, at = np.zeros(slope.shape[1]), {}
        for epoch in range(41):
            at[epoch] = start + slope @ change
            change -= THREAD["lr"] * 2 / target.size * slope.T @ (at[epoch] - target)
        for epoch in (0, 1, 40):
            np.testing.assert_allclose(predicted.sel(epoch=epoch)[index], at[epoch], atol=1e-9)


def test_thread_residual_stays_finite_where_the_step_is_too_large():
    predicted = predictions.thread_residual(**THREAD | {"lr": 1.0}, epochs=[0, 15000], seeds=1, seed=0)
    assert np.isfinite(predicted).all() and np.abs(predicted.sel(epoch=15000)).max() > 1e6


@pytest.mark.parametrize("bias", [True, False])
def test_shallow_steps_are_those_of_an_explicit_iteration(bias):
    points, learning_rate = 400, 2e-3
    angles = 2 * np.pi * np.arange(points) / points
    step = learning_rate * two_layer_kernel(np.cos(angles[:, None] - angles), bias=bias)
    frequencies = [2, 4, 5, 10] if bias else [2, 4, 10]
    predicted = predictions.shallow_steps(frequencies, bias=bias, points=points, learning_rate=learning_rate)
    for k in frequencies:
        residual = np.sin(k * angles) / np.sqrt(points / 2)  # half the sum of squares is 0.5
        count = 0
        while np.sum(residual**2) / 2 >= 0.05:
            residual = residual - step @ residual
            count += 1
        assert int(predicted.sel(frequency=k)) == pytest.approx(count, rel=0.01, abs=1)


def test_shallow_steps_of_what_is_never_learned():
    steps = predictions.shallow_steps([1, 3, 5], bias=False, points=100, learning_rate=0.01)
    assert np.isfinite(steps[0]) and np.isposinf(steps[1:]).all()
    assert np.isposinf(
        predictions.shallow_steps([1], bias=True, points=1001, learning_rate=1.0)
    ).all()  # unstable


def test_deep_steps_follow_the_kernel_averaged_over_turns():
    points, frequencies = 32, [1, 2, 5, 9, 16, 40]
    predicted = predictions.deep_steps(frequencies, **DEEP, points=points)
    assert predicted.frequency.values.tolist() == [1, 2, 5, 9]  # from 16 on, 32 points do not tell
    angles = 2 * np.pi * np.arange(points) / points
    model = MLP(
        1, DEEP["hidden"], activation="relu", init="basri-random-bias", output_bias=False, embedding=Circle(),
        generator=generators([3])[0], dtype=torch.float64,
    )  # fmt: skip
    slope = jacobian(model, torch.from_numpy(angles[:, None]))
    turned = np.zeros((points, points))
    for turn in range(points):
        moved = np.roll(slope, turn, axis=0)
        turned += moved @ moved.T / points
    np.testing.assert_allclose(turned, np.roll(turned, (1, 1), axis=(0, 1)), rtol=1e-10)  # circulant
    for k in predicted.frequency.values:
        residual, count = np.cos(k * angles), 0
        power = np.mean(residual**2)
        while np.mean(residual**2) >= DEEP["stop_at"] * power:
            residual = residual - DEEP["lr"] * 2 / points * turned @ residual
            count += 1
        assert int(predicted.sel(frequency=k)) == pytest.approx(count, abs=1)
