"""The sweep along the points, against the dense gradient written out in NumPy and against plain PyTorch."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from specbias.models import MLP, Circle, generators
from specbias.training import fit
from specbias.training.stack import Stack
from specbias.training.sweep import SweepStack, can_sweep
from specbias.training.sweep_kernels import _active

CPU = torch.device("cpu")
QUARTERS = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0], [-1.0, -0.0]])


def on_circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def dense_gradient(parameters, x, y):
    """Loss ``sum r^2`` and its gradient, every unit at every point.

    Whether a unit is on at a point that is on its kink to round-off is a convention: the library's is taken.
    """
    w1, b1, w2, b2, w3, b3 = parameters
    z1 = x @ w1.T + b1
    on = z1 > 0
    for point, unit in zip(*np.nonzero(abs(z1) <= 1e-14 * (abs(x) @ abs(w1.T) + abs(b1))), strict=True):
        on[point, unit] = _active(w1[unit], b1[unit], x, point)
    a1 = np.where(on, z1, 0.0)
    z2 = a1 @ w2.T + b2
    a2 = np.maximum(z2, 0.0)
    residual = a2 @ w3[0] + b3[0] - y
    d3 = 2.0 * residual[:, None]
    d2 = (d3 * w3) * (z2 > 0)
    d1 = (d2 @ w2) * on
    return np.sum(residual**2), [d1.T @ x, d1.sum(0), d2.T @ a1, d2.sum(0), d3.T @ a2, d3.sum(0)]


def assert_sweep_is_dense(networks_parameters, x, y, tolerance=1e-10):
    """``networks_parameters`` one list ``w1 .. b3`` a network; ``x (S, n, 1 or 2)``, ``y (S, n)``."""
    hidden = tuple(networks_parameters[0][layer].shape[0] for layer in (0, 2))
    models = [MLP(x.shape[2], hidden, activation="relu", dtype=torch.float64) for _ in networks_parameters]
    with torch.no_grad():
        for model, parameters in zip(models, networks_parameters, strict=True):
            for parameter, values in zip(model.parameters(), parameters, strict=True):
                parameter.copy_(torch.from_numpy(values))
        stack = SweepStack(models, CPU)
        assert can_sweep(models, torch.from_numpy(x), CPU)
        losses = stack.loss(torch.from_numpy(x), torch.from_numpy(y)[:, :, None], 1.0)
        stack.gradient(1.0)
    for s, parameters in enumerate(networks_parameters):
        loss, gradients = dense_gradient(parameters, x[s], y[s])
        assert abs(losses[s].item() - loss) <= tolerance * loss
        scale = max(np.abs(g).max() for g in gradients)
        for actual, expected in zip(stack.parameters, gradients, strict=True):
            np.testing.assert_allclose(
                actual.grad[s].reshape(expected.shape), expected, rtol=0, atol=tolerance * scale
            )


def random_parameters(random, features, units, seconds):
    shapes = [(units, features), (units,), (seconds, units), (seconds,), (1, seconds), (1,)]
    return [random.normal(size=shape) for shape in shapes]


def line_points(random, kind, n):
    x = random.uniform(-2, 2, n)
    if kind == "repeated":
        x = random.choice(x[: max(1, n // 3)], n)
    elif kind == "far":
        x = x + 1e4
    elif kind == "one side":
        x = abs(x) + 50.0
    elif kind == "close":
        x = 0.5 + 1e-12 * x
    elif kind == "whole":  # many points exactly on kinks, with the whole biases below
        x = np.round(2 * x)
    return x[:, None]


def circle_points(random, kind, n):
    angles = random.uniform(-np.pi, np.pi, n)
    if kind == "regular":
        angles = np.linspace(-np.pi, np.pi, n)  # both ends of the seam
    elif kind == "repeated":
        angles = random.choice(angles[: max(1, n // 3)], n)
    elif kind == "close":
        angles = angles[0] + 1e-9 * angles
    elif kind == "seam":
        angles = np.pi + random.choice([0.0, 1e-15, -1e-15, 1e-8, -1e-8, 1.0], n)
    points = on_circle(angles)
    if kind == "quarters":
        points = QUARTERS[random.integers(5, size=n)]
    elif kind == "float32":  # off the circle by their round-off
        points = points.astype(np.float32).astype(float)
    return points


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 40),
    units=st.integers(1, 20),
    kind=st.sampled_from(["random", "repeated", "far", "one side", "close", "whole"]),
)
def test_on_a_line(seed, n, units, kind):
    random = np.random.default_rng(seed)
    networks = []
    for _ in range(2):
        parameters = random_parameters(random, 1, units, 7)
        w1, b1 = parameters[:2]
        if kind == "far":
            b1 -= 1e4 * w1[:, 0]
        elif kind == "whole":
            w1[:], b1[:] = np.sign(w1), np.round(b1)
        w1[random.random(units) < 0.1] = 0.0
        networks.append(parameters)
    x = np.stack([line_points(random, kind, n) for _ in range(2)])
    # far away, the pre-activations themselves have lost four digits in every computation
    assert_sweep_is_dense(networks, x, random.normal(size=(2, n)), 1e-7 if kind == "far" else 1e-10)


@settings(max_examples=300)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 40),
    units=st.integers(1, 20),
    kind=st.sampled_from(["random", "regular", "repeated", "close", "seam", "quarters", "float32"]),
    bias=st.sampled_from(["random", "zero", "large", "touching", "through points", "axis"]),
)
@example(seed=0, n=1, units=1, kind="seam", bias="touching")
@example(seed=1, n=40, units=20, kind="quarters", bias="axis")
def test_on_a_circle(seed, n, units, kind, bias):
    random = np.random.default_rng(seed)
    x = np.stack([circle_points(random, kind, n) for _ in range(2)])
    networks = []
    for s in range(2):
        parameters = random_parameters(random, 2, units, 7)
        w1, b1 = parameters[:2]
        if bias in ("zero", "large"):
            b1 *= 0 if bias == "zero" else 5
        elif bias == "touching":
            # on, or off, on an arc that is empty or so short that it hardly holds a point
            aim = x[s, random.integers(n, size=units)]
            w1[:] = np.where(random.random((units, 1)) < 0.5, aim * np.hypot(*w1.T)[:, None], w1)
            short = 1 + random.choice([0, 1e-16, -1e-16, 1e-12, -1e-12, 1e-7, -1e-7, -1e-3, 1e-3], units)
            b1[:] = random.choice([-1, 1], units) * np.hypot(*w1.T) * short
        elif bias == "through points":  # kinks at points, to round-off
            b1[:] = -np.sum(w1 * x[s, random.integers(n, size=units)], axis=1)
        elif bias == "axis":
            w1[:] = QUARTERS[random.integers(4, size=units)]
            b1[:] = random.choice([0.0, 0.5, 1.0, -1.0], units)
        w1[random.random(units) < 0.1] = 0.0
        networks.append(parameters)
    assert_sweep_is_dense(networks, x, random.normal(size=(2, n)))


@pytest.mark.parametrize("scale", [1e-300, 1e-250, 1e-30, 1e30])
def test_units_of_any_size(scale):
    random = np.random.default_rng(0)
    parameters = random_parameters(random, 2, 12, 5)
    parameters[0] *= scale
    parameters[1] *= scale
    x = on_circle(random.uniform(-4, 4, 25))[None]
    assert_sweep_is_dense([parameters], x, random.normal(size=(1, 25)))


def test_no_unit_is_on_between_two_stretches():
    """What remains is the bias, here zero, so off: no round-off of the units that came and went."""
    w1, b1 = np.array([[1.0], [-1.0], [-1.0]]) / 3, np.array([-1.0, -1.0, -0.9]) * 0.7
    parameters = [w1, b1, np.full((4, 3), 0.1), np.zeros(4), np.ones((1, 4)), np.ones(1)]
    assert_sweep_is_dense([parameters], np.linspace(-5, 5, 101)[None, :, None], np.ones((1, 101)))


def trained_one_by_one(nets, x, y, make_optimizer, epochs):
    """Losses and trained networks of plain PyTorch."""
    losses, trained = [], copy.deepcopy(nets)
    for net, points, values in zip(trained, x, y, strict=True):
        step = make_optimizer(net.parameters())
        losses.append([])
        for _ in range(epochs + 1):
            loss = ((net(torch.from_numpy(points)) - torch.from_numpy(values)[:, None]) ** 2).mean()
            losses[-1].append(loss.item())
            step.zero_grad()
            loss.backward()
            step.step()
    return np.array(losses)


@pytest.mark.parametrize("embedding", [None, Circle(3.0)])
@pytest.mark.parametrize("biases", [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize(
    ("optimizer", "torch_class", "options"),
    [
        ("sgd", torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "weight_decay": 1e-4}),
        ("adam", torch.optim.Adam, {"lr": 3e-3}),
    ],
)
def test_training_is_that_of_plain_pytorch(embedding, biases, optimizer, torch_class, options):
    random = np.random.default_rng(3)
    x, y = random.uniform(-2, 2, (3, 50, 1)), random.normal(size=(3, 50))  # not sorted, each network's own
    bias, output_bias = biases
    nets = [
        MLP(
            1,
            (12, 9),
            activation="relu",
            embedding=embedding,
            bias=bias,
            output_bias=output_bias,
            generator=g,
            dtype=torch.float64,
        )  # fmt: skip
        for g in generators(range(3))
    ]
    expected = trained_one_by_one(nets, x, y, lambda p: torch_class(p, **options), 40)
    result = fit(nets, x, y, optimizer=optimizer, epochs=40, engine="sweep", progress=False, **options)
    np.testing.assert_allclose(result.loss, expected, rtol=1e-9)
    dense = fit(nets, x, y, optimizer=optimizer, epochs=40, engine="dense", progress=False, **options)
    np.testing.assert_allclose(result.loss, dense.loss, rtol=1e-9)


def test_float32_networks_are_swept_in_float64():
    """So that the sweep's gradient is closer to the exact one than that of float32 matrix products."""
    nets = [
        MLP(1, (60, 60), activation="relu", embedding=Circle(3.0), generator=g) for g in generators(range(2))
    ]
    x = np.random.default_rng(0).uniform(-2, 2, (400, 1))
    inputs = torch.stack([nets[0].embed(torch.from_numpy(x)).float()] * 2)
    targets = torch.sin(5 * inputs[:, :, :1])
    gradients = []
    for models, kind, convert in [
        ([copy.deepcopy(net).double() for net in nets], Stack, torch.Tensor.double),
        (nets, SweepStack, torch.Tensor.float),
        (nets, Stack, torch.Tensor.float),
    ]:
        stack = kind(models, CPU)
        with torch.no_grad():
            stack.loss(convert(inputs), convert(targets), 1 / 400)
            stack.gradient(1 / 400)
        gradients.append(torch.cat([p.grad.double().flatten() for p in stack.parameters]))
    exact, swept, dense = gradients
    assert (swept - exact).norm() < 3e-7 * exact.norm()
    assert (swept - exact).norm() < (dense - exact).norm()


def test_the_number_of_threads_changes_no_digit():
    nets = [MLP(1, (64, 64), activation="relu", generator=g) for g in generators(range(5))]
    x = np.linspace(-1, 1, 1000)
    before, losses = torch.get_num_threads(), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        losses.append(fit(nets, x, np.sin(9 * x), optimizer="sgd", lr=0.1, epochs=5, progress=False).loss)
    torch.set_num_threads(before)
    np.testing.assert_array_equal(*losses)


def test_what_can_be_swept():
    line, circle = torch.zeros(1, 5, 1), torch.from_numpy(on_circle(np.arange(5.0)))[None]
    relu = {"activation": "relu"}
    assert can_sweep([MLP(1, (3, 3), **relu)], line, CPU)
    assert can_sweep([MLP(2, (3, 3), **relu)], circle, CPU)
    assert not can_sweep([MLP(2, (3, 3), **relu)], 1.001 * circle, CPU)
    assert not can_sweep([MLP(1, (3, 3))], line, CPU)
    assert not can_sweep([MLP(1, (3,), **relu)], line, CPU)
    assert not can_sweep([MLP(1, (3, 3, 3), **relu)], line, CPU)
    assert not can_sweep([MLP(1, (3, 3), omega=2.0, **relu)], line, CPU)
    assert not can_sweep([MLP(3, (3, 3), **relu)], torch.zeros(1, 5, 3), CPU)
    assert not can_sweep([MLP(1, (3, 3), **relu)], line, torch.device("meta"))


@pytest.mark.parametrize("embedding", [None, Circle(3.0)])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("which", range(6))
def test_a_weight_that_is_not_finite_reaches_the_loss(embedding, bad, which):
    net = MLP(1, (5, 6), activation="relu", embedding=embedding, generator=generators([0])[0])
    x = torch.linspace(-1, 1, 30)[:, None]
    with torch.no_grad():
        list(net.parameters())[which].fill_(bad)
        loss = SweepStack([net], CPU).loss(net.embed(x)[None].contiguous(), torch.sin(x)[None], 1.0)
    assert not torch.isfinite(loss).any()
