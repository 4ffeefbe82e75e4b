"""The compiled loop of ``fit``, against plain PyTorch, the batched engine, extended precision and itself."""

from __future__ import annotations

import copy
import signal
import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev
from torch import nn

from specbias.models import MLP, Circle, Rescale, generators
from specbias.training import LOSSES, TrainingDiverged, fit, fitting, fused
from specbias.training.data import Data
from specbias.training.fused import ACTIVATIONS, TOLERANCES, FusedStack, FusedSteps, can_fuse
from specbias.training.fused_kernels import BLOCK, RELU, _worth_it, interpolation, nodes_needed, train_one
from specbias.training.recorder import Recorder
from specbias.training.sine import sine32, sine64
from specbias.training.threads import each

CPU = torch.device("cpu")
X = np.linspace(-1.0, 1.5, 40)
Y = np.sin(5 * X) + X
QUIET = {"progress": False}


class Plain(nn.Module):
    """The network of an ``MLP``, as one writes it with ``torch.nn``; ``omega`` is a factor of its own."""

    functions = {"tanh": nn.Tanh(), "sin": torch.sin, "sigmoid": nn.Sigmoid()}

    def __init__(self, model: MLP):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(layer.in_features, layer.out_features, layer.bias is not None, dtype=model.dtype)
            for layer in model.layers
        )
        self.load_state_dict({k: v for k, v in model.state_dict().items() if k.startswith("layers")})
        self.function, self.omega = self.functions[model.activation], model.omega

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = self.function(self.omega * layer(x))
        return self.layers[-1](x)


PLAIN_LOSSES = {
    "mse": nn.functional.mse_loss,
    "half-mse": lambda a, b: 0.5 * nn.functional.mse_loss(a, b),
    "half-sum": lambda a, b: 0.5 * nn.functional.mse_loss(a, b, reduction="sum"),
}
PLAIN_OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}


def plain_training(model, x, y, *, optimizer="adam", epochs, loss="mse", **options):
    """Losses before each step and after the last, and the trained network."""
    net = Plain(model)
    x, y = (torch.as_tensor(values, dtype=model.dtype).reshape(len(y), -1) for values in (x, y))
    step = PLAIN_OPTIMIZERS[optimizer](net.parameters(), **options)
    losses = []
    for _ in range(epochs):
        step.zero_grad()
        value = PLAIN_LOSSES[loss](net(x), y)
        value.backward()
        step.step()
        losses.append(value.item())
    return np.array([*losses, PLAIN_LOSSES[loss](net(x), y).item()]), net


def networks(count, hidden=(9, 7), *, in_features=1, dtype=torch.float64, **settings):
    return [MLP(in_features, hidden, generator=g, dtype=dtype, **settings) for g in generators(range(count))]


def flat(network):
    return torch.cat([p.detach().flatten() for p in network.parameters()]).numpy()


def assert_same_result(ours, theirs):
    """The same to the last digit, nan where nan is."""
    for name in ("loss", "stopped", "diverged"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_array_equal(ours.snapshots.prediction, theirs.snapshots.prediction)
    for a, b in zip(ours.models, theirs.models, strict=True):
        np.testing.assert_array_equal(flat(a), flat(b))


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def one_epoch_a_call(monkeypatch):
    monkeypatch.setattr(fused, "NANOSECONDS_PER_CALL", 1)


# --- the numbers are those of plain PyTorch ---


@settings(max_examples=120)
@given(
    activation=st.sampled_from([("tanh", 1.0), ("tanh", 2.0), ("sin", 1.0), ("sin", 2.0), ("sigmoid", 1.5)]),
    hidden=st.lists(st.integers(1, 40), min_size=1, max_size=4),
    inputs=st.integers(1, 3),
    n=st.sampled_from([1, 2, 40, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 300]),
    biases=st.tuples(st.booleans(), st.booleans()),
    method=st.sampled_from([("sgd", {"lr": 0.01}), ("adam", {"lr": 3e-3})]),
    seed=st.integers(0, 2**32 - 1),
)
@example(("tanh", 1.0), [100, 100], 1, 500, (True, False), ("adam", {"lr": 5e-3}), 0)
def test_any_shape_is_plain_pytorch(activation, hidden, inputs, n, biases, method, seed):
    random = np.random.default_rng(seed)
    x, y = random.uniform(-1, 1, (2, n, inputs)), random.normal(size=(2, n))
    shape = {"activation": activation[0], "omega": activation[1], "bias": biases[0], "output_bias": biases[1]}
    nets = networks(2, hidden, in_features=inputs, **shape)
    optimizer, options = method
    result = fit(nets, x, y, optimizer=optimizer, epochs=20, engine="fused", **options, **QUIET)
    for index, net in enumerate(nets):
        losses, trained = plain_training(net, x[index], y[index], optimizer=optimizer, epochs=20, **options)
        np.testing.assert_allclose(result.loss[index], losses, rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(flat(result.models[index]), flat(trained), rtol=0, atol=1e-11)


@pytest.mark.parametrize("hidden", [(30, 20), (8,)], ids=["interpolated", "at every point"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        ("sgd", {"lr": 1e-3}),
        ("sgd", {"lr": 1e-3, "momentum": 0.9}),
        ("sgd", {"lr": 1e-3, "momentum": 0.9, "dampening": 0.4, "weight_decay": 1e-2}),
        ("sgd", {"lr": 1e-3, "dampening": 0.4}),  # which means nothing without momentum
        ("sgd", {"lr": 1e-3, "momentum": 0.8, "nesterov": True, "weight_decay": 1e-2}),
        ("adam", {"lr": 3e-3}),
        ("adam", {"lr": 3e-3, "betas": (0.8, 0.99), "eps": 1e-4}),
        ("adam", {"lr": 3e-3, "betas": (0.5, 0.9), "weight_decay": 0.1}),
    ],
    ids=str,
)
def test_optimizers_and_losses_are_pytorchs(hidden, loss, optimizer, options):
    x = np.linspace(-1.0, 1.0, 150)
    y = np.cos(4 * x)
    (net,) = networks(1, hidden)
    settings = {"optimizer": optimizer, "loss": loss, "epochs": 25, **options}
    result = fit(net, x, y, engine="fused", **settings, **QUIET)
    losses, trained = plain_training(net, x, y, **settings)
    np.testing.assert_allclose(result.loss, losses, rtol=1e-12)
    np.testing.assert_allclose(flat(result.model), flat(trained), rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ["tanh", "sin", "sigmoid"])
def test_float32_is_as_close_to_float64_as_matrix_products_are(activation, optimizer):
    x = (np.arange(500) + 0.5) / 500
    y = np.sin(8 * np.pi * x)
    settings = {"optimizer": optimizer, "lr": 2e-3, "epochs": 40, "snapshots": [40], **QUIET}
    single = networks(12, (60, 60), activation=activation, dtype=torch.float32)
    double = [copy.deepcopy(net).double() for net in single]
    exact = fit(double, x, y, engine="dense", **settings)
    ours, theirs = (fit(single, x, y, engine=engine, **settings) for engine in ("fused", "dense"))
    errors = [
        np.sqrt(np.mean((result.snapshots.prediction.values - exact.snapshots.prediction.values) ** 2))
        for result in (ours, theirs)
    ]
    assert ours.snapshots.prediction.dtype == np.float32
    np.testing.assert_allclose(ours.loss, exact.loss, rtol=2e-5)
    assert 0 < errors[0] <= 3 * errors[1]


def test_embeddings():
    for embedding in (Rescale(-1.0, 1.5), Circle(4.0)):
        nets = networks(2, embedding=embedding)
        results = [fit(nets, X, Y, epochs=20, engine=engine, **QUIET) for engine in ("fused", "dense")]
        np.testing.assert_allclose(results[0].loss, results[1].loss, rtol=1e-12)


@pytest.mark.parametrize("which", range(6))
def test_a_weight_that_is_nan_reaches_the_loss(which):
    (net,) = networks(1)
    with torch.no_grad():
        list(net.parameters())[which][..., 0] = torch.nan
    result = fit(net, X, Y, epochs=3, engine="fused", on_divergence="stop", **QUIET)
    assert result.diverged
    assert np.isnan(result.loss).tolist() == [True]


def test_kernels_are_compiled_once_a_dtype():
    for dtype in (torch.float32, torch.float64):
        for n in (1, 7, 200):
            x = np.linspace(0, 1, n)
            for net in networks(1, dtype=dtype) + networks(1, (4,), activation="sin", omega=2, dtype=dtype):
                fit(net, x, x, epochs=1, lr=1, stop_below=1, engine="fused", **QUIET)
                fit(net, x, x, epochs=1, optimizer="sgd", momentum=0, engine="fused", **QUIET)
        (plane,) = networks(1, in_features=2, dtype=dtype)
        fit(plane, np.ones((5, 2)), np.ones(5), epochs=1, engine="fused", **QUIET)
    assert len(train_one.signatures) == 2


# --- the interpolated first layer ---


def in_extended_precision(activation, z):
    z = np.asarray(z, np.longdouble)
    return {"tanh": np.tanh, "sin": np.sin, "sigmoid": lambda z: 1 / (1 + np.exp(-z))}[activation](z)


def interpolated_in_extended_precision(function, nodes, t):
    """The polynomial through the Chebyshev nodes, by the barycentric formula in extended precision."""
    pi = np.longdouble("3.14159265358979323846264338327950288")
    angles = (2 * np.arange(nodes, dtype=np.longdouble) + 1) * pi / (2 * nodes)
    weights = np.sin(angles) * (-1) ** np.arange(nodes)
    parts = weights / (t[:, None] - np.cos(angles))
    return parts @ function(np.cos(angles)) / parts.sum(axis=1)


extended = pytest.mark.skipif(
    np.finfo(np.longdouble).eps > 2e-19, reason="no extended precision on this machine"
)


@extended
@settings(max_examples=300)
@given(
    activation=st.sampled_from(list(ACTIVATIONS)),
    dtype=st.sampled_from(list(TOLERANCES)),
    slope=st.floats(-5, np.log2(40)).map(lambda power: 2.0**power),
    place=st.floats(-1.5, 1.5),
    share=st.sampled_from([1.0, 0.7, -1.0]),
    seed=st.integers(0, 1000),
)
@example("tanh", torch.float32, 40.0, 0.0, 1.0, 0)
def test_nodes_needed_are_enough(activation, dtype, slope, place, share, seed):
    """Measured over many: an error of up to 2.3 tolerances (tanh, the steepest); 5 are allowed."""
    tolerance = TOLERANCES[dtype]
    nodes = nodes_needed(ACTIVATIONS[activation], slope, tolerance)

    def unit(t):
        return in_extended_precision(activation, share * slope * (t - np.longdouble(place)))

    t = np.random.default_rng(seed).uniform(-1, 1, 60).astype(np.longdouble)
    error = abs(interpolated_in_extended_precision(unit, nodes, t) - unit(t)).max()
    assert error <= 5 * tolerance + 1e-17 * (dtype == torch.float64)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_what_interpolation_may_leave_is_far_below_round_off(dtype):
    assert TOLERANCES[dtype] < 0.1 * torch.finfo(dtype).eps


def test_nodes_needed_grow_with_the_slope_and_have_no_end():
    for activation in ACTIVATIONS.values():
        counts = [nodes_needed(activation, slope, 1e-8) for slope in np.linspace(0, 50, 101)]
        assert counts == sorted(counts)
        assert counts[0] < 12
        for hopeless in (np.nan, np.inf, 1e7):
            assert nodes_needed(activation, hopeless, 1e-8) > 1e9
    assert nodes_needed(RELU, 1.0, 1e-8) > 1e9


DIGIT = 2.0**-52
ENDS = [(-1.0, 1.0), (0.0, 1.0), (-5.0, 5.0), (1e3, 1e3 + 1.0)]
ENDS += [(0.5, 0.5), (1 + DIGIT, 1 + 2 * DIGIT), (1.0, 1 + 52 * DIGIT)]  # nothing but round-off apart


@settings(max_examples=200)
@given(
    nodes=st.integers(1, 300),
    ends=st.sampled_from(ENDS),
    seed=st.integers(0, 1000),
)
def test_the_matrix_interpolates(nodes, ends, seed):
    """Rows that sum to 1, never large; polynomials as they are; what its nodes hold at the nodes."""
    low, high = ends
    random = np.random.default_rng(seed)
    x = np.concatenate([random.uniform(low, high, 40), ends])
    matrix, places = interpolation(x, low, high, nodes)
    assert matrix.shape == (42, nodes)
    assert ((places >= low) & (places <= high)).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1.0, rtol=0, atol=1e-13)
    assert abs(matrix).sum(axis=1).max() < 2 / np.pi * np.log(nodes) + 1.1  # the constant of Chebyshev nodes
    if high - low < 1e-6:
        return  # where points and nodes are one but for round-off
    round_off = DIGIT * (1 + max(map(abs, ends)) / (high - low))
    t, at = ((2 * values - low - high) / (high - low) for values in (x, places))
    for degree in {0, 1, nodes // 2, nodes - 1}:
        polynomial = chebyshev.Chebyshev.basis(min(degree, nodes - 1))
        slope = 1 + degree**2  # its steepest
        np.testing.assert_allclose(
            matrix @ polynomial(at), polynomial(t), rtol=0, atol=20 * slope * round_off
        )
    on_nodes, _ = interpolation(places, low, high, nodes)
    np.testing.assert_allclose(on_nodes, np.eye(nodes), rtol=0, atol=20 * nodes**2 * round_off)


def test_a_point_that_is_a_node_to_the_last_digit_takes_its_value():
    hits = 0
    for nodes in range(1, 40):
        places = interpolation(np.zeros(1), -1.0, 1.0, nodes)[1]
        matrix, _ = interpolation(places, -1.0, 1.0, nodes)
        assert np.isfinite(matrix).all()
        hits += int((matrix == np.eye(nodes)).all(axis=1).sum())
    assert hits > 100


def assert_engines_agree(nets, x, y, *, epochs=20, rtol=1e-12, **settings):
    ours, theirs = (
        fit(nets, x, y, epochs=epochs, engine=engine, **settings, **QUIET) for engine in ("fused", "dense")
    )
    np.testing.assert_allclose(ours.loss, theirs.loss, rtol=rtol)
    return ours


LAYOUTS = {
    "regular": np.linspace(-1, 1, 60),
    "wide": np.linspace(-5, 5, 200),
    "unsorted": np.random.default_rng(1).permutation(np.linspace(-1, 1, 60)),
    "repeated": np.repeat([0.1, -0.4, 0.9], 20),
    "all equal": np.full(60, 0.3),
    "zero": np.zeros(60),
    "one digit long": np.where(np.arange(60) % 2, 1 + 2.0**-52, 1 + 2.0**-51),
    "far": 1e3 + np.linspace(0, 1, 60),
    "two": np.array([0.2, 0.7]),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_points_anywhere(layout, activation):
    x = LAYOUTS[layout]
    assert_engines_agree(networks(2, (30, 30), activation=activation), x, np.cos(np.arange(len(x))))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_omega_makes_networks_steeper(activation):
    nets = networks(2, (60, 60), activation=activation, omega=5.0)
    assert_engines_agree(nets, np.linspace(-1, 1, 300), np.cos(np.arange(300) / 20), lr=1e-4)


def test_a_single_point():
    assert_engines_agree(networks(2), np.array([0.5]), np.array([1.0]), optimizer="sgd", lr=1e-3)


def test_each_network_has_points_of_its_own():
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (3, 70, 1)) * np.array([1.0, 10.0, 0.0])[:, None, None]
    y = random.normal(size=(3, 70))
    nets = networks(3, (30, 30))
    result = assert_engines_agree(nets, x, y)
    for index, net in enumerate(nets):
        losses = plain_training(net, x[index], y[index], epochs=20, lr=1e-3)[0]
        np.testing.assert_allclose(result.loss[index], losses, rtol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("scale", [30.0, 300.0, 1e8])
def test_steep_networks_are_computed_at_every_point(activation, scale):
    nets = networks(2, (30, 30), activation=activation)
    with torch.no_grad():
        for net in nets:
            net.layers[0].weight *= scale
    slope = max(abs(net.layers[0].weight).max().item() for net in nets)
    nodes = nodes_needed(ACTIVATIONS[activation], slope, 1e-17)
    assert not _worth_it(nodes, 60, np.array([1, 30, 30, 1]))
    # the sine of a large number holds fewer digits in any computation
    rtol = 1e-12 if scale < 1e3 or activation != "sin" else 1e-6
    assert_engines_agree(nets, LAYOUTS["regular"], np.cos(np.arange(60)), lr=1e-4, rtol=rtol)


def test_it_pays_where_it_takes_fewer_operations():
    sizes = np.array([1, 100, 100, 1])
    assert _worth_it(40, 500, sizes)
    assert not _worth_it(200, 500, sizes)
    assert not _worth_it(40, 39, sizes)  # never more nodes than points
    assert not _worth_it(24, 500, np.array([1, 8, 8, 1]))


def test_the_first_layer_is_interpolated_and_as_exactly_as_asked(monkeypatch):
    x = np.linspace(-1, 1, 200)
    nets = networks(2, (40, 40))
    settings = {"lr": 1e-3, "epochs": 10, **QUIET}
    exact = fit(nets, x, np.sin(9 * x), engine="dense", **settings).loss
    errors = []
    for tolerance in (1e-1, 1e-4, 1e-7, 1e-17, 0.0):
        monkeypatch.setitem(TOLERANCES, torch.float64, tolerance)
        errors.append(abs(fit(nets, x, np.sin(9 * x), engine="fused", **settings).loss - exact).max())
    for tolerance, error in zip((1e-1, 1e-4, 1e-7), errors, strict=False):
        assert 1e-14 < error < 5 * tolerance
    assert max(errors[3:]) < 1e-14


@pytest.mark.parametrize(
    ("scale", "settings"),
    [
        (1.0, {"optimizer": "adam", "lr": 0.05}),  # steeper and steeper
        (10.0, {"optimizer": "sgd", "lr": 0.02, "weight_decay": 1.0}),  # flatter and flatter
    ],
    ids=["steeper", "flatter"],
)
def test_nodes_follow_the_weights(scale, settings):
    x, epochs = np.linspace(-1, 1, 300), 60
    nets = networks(2, (40, 40))
    with torch.no_grad():
        for net in nets:
            net.layers[0].weight *= scale
    result = assert_engines_agree(
        nets,
        x,
        np.sin(9 * x),
        epochs=epochs,
        snapshots=range(epochs + 1),
        keep_models=True,
        rtol=1e-9,
        **settings,
    )
    for kept in result.snapshot_models:
        slopes = [abs(net.layers[0].weight).max().item() for net in kept]
        nodes = np.array([nodes_needed(ACTIVATIONS["tanh"], slope, 1e-17) for slope in slopes])
        assert (nodes < 250).all()  # it was interpolated all the time
        assert nodes[-1] - nodes[0] > 8 if scale == 1 else nodes[0] - nodes[-1] > 100


# --- neither threads nor company nor pauses change a digit ---


def study(nets, x, y, **settings):
    return fit(nets, x, y, epochs=12, lr=1e-2, snapshots=[0, 5, 12], engine="fused", **settings, **QUIET)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("hidden", [(100, 100), (33, 20, 7), (30,)], ids=str)
def test_threads_and_company_change_no_digit(dtype, hidden):
    nets = networks(5, hidden, dtype=dtype)
    x = np.linspace(-1, 1, 333)
    y = np.random.default_rng(0).normal(size=(5, 333))
    both = study(nets, x, y)
    torch.set_num_threads(1)
    assert_same_result(study(nets, x, y), both)
    for index in range(5):
        alone = study([nets[index]], x, y[index])
        np.testing.assert_array_equal(alone.loss[0], both.loss[index])
        np.testing.assert_array_equal(alone.snapshots.prediction[0], both.snapshots.prediction[index])
        np.testing.assert_array_equal(flat(alone.model), flat(both.models[index]))


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_pauses_change_no_digit(optimizer, monkeypatch):
    """Every snapshot ends a call of the compiled loop, and so does its length; the moments go on."""
    x = np.linspace(-1, 1, 300)
    nets = networks(2, (40, 40))
    settings = {"optimizer": optimizer, "lr": 0.02, "epochs": 60, "engine": "fused", **QUIET}
    settings |= {"momentum": 0.9, "dampening": 0.1} if optimizer == "sgd" else {}
    whole = fit(nets, x, np.sin(9 * x), snapshots=[60], **settings)
    in_parts = fit(nets, x, np.sin(9 * x), snapshots=range(61), **settings)
    monkeypatch.setattr(fused, "NANOSECONDS_PER_CALL", 1)
    one_by_one = fit(nets, x, np.sin(9 * x), snapshots=[60], **settings)
    assert_same_result(one_by_one, whole)
    np.testing.assert_array_equal(in_parts.loss, whole.loss)
    np.testing.assert_array_equal(in_parts.snapshots.prediction[:, -1], whole.snapshots.prediction[:, 0])


# --- when networks stop, diverge, are recorded ---


def test_snapshots_are_predictions_of_plain_pytorch():
    (net,) = networks(1)
    grid = np.linspace(-2, 2, 13)
    result = fit(net, X, Y, epochs=9, lr=1e-3, snapshots=[9, 0, 4], evaluate_at=grid, engine="fused", **QUIET)
    assert result.snapshots.epoch.values.tolist() == [0, 4, 9]
    for epoch, prediction in zip((0, 4, 9), result.snapshots.prediction.values, strict=True):
        trained = plain_training(net, X, Y, epochs=epoch, lr=1e-3)[1]
        np.testing.assert_allclose(
            prediction, trained(torch.tensor(grid)[:, None]).detach()[:, 0], atol=1e-13
        )


@pytest.mark.parametrize("snapshots", [[], [0]])
def test_no_epochs(snapshots):
    nets = networks(2)
    ours, theirs = (
        fit(nets, X, Y, epochs=0, snapshots=snapshots, engine=engine, **QUIET)
        for engine in ("fused", "dense")
    )
    assert ours.loss.shape == theirs.loss.shape == (2, 1)
    np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-14)
    np.testing.assert_allclose(ours.snapshots.prediction, theirs.snapshots.prediction, atol=1e-14)
    for net, model in zip(nets, ours.models, strict=True):
        np.testing.assert_array_equal(flat(model), flat(net))


def networks_of_which_two_reach_a_goal(epochs):
    """Four, the goal, and the epochs at which the first two, unlike the others, come below it."""
    nets = networks(4)
    losses = [plain_training(net, X, Y, epochs=epochs, lr=1e-2)[0] for net in nets]
    order = np.argsort([loss.min() for loss in losses])
    nets, losses = ([values[index] for index in order] for values in (nets, losses))
    goal = losses[1].min() * 1.02
    reached = [int(np.argmax(loss < goal)) if (loss < goal).any() else -1 for loss in losses]
    assert reached[2:] == [-1, -1]
    assert 0 < reached[0] != reached[1] > 0
    return nets, goal, reached


@pytest.mark.parametrize("snapshots", [[], [0, 20, 40], range(41)], ids=["none", "some", "all"])
def test_networks_stop_when_those_of_the_other_engine_do(snapshots):
    nets, goal, reached = networks_of_which_two_reach_a_goal(40)
    ours, theirs = (
        fit(nets, X, Y, epochs=40, lr=1e-2, stop_below=goal, snapshots=snapshots, engine=engine, **QUIET)
        for engine in ("fused", "dense")
    )
    assert ours.stopped.tolist() == theirs.stopped.tolist() == reached
    assert not ours.diverged.any()
    np.testing.assert_array_equal(np.isnan(ours.loss), np.isnan(theirs.loss))
    np.testing.assert_allclose(ours.loss, theirs.loss, rtol=1e-11)
    np.testing.assert_allclose(ours.final_loss, theirs.final_loss, rtol=1e-11)
    np.testing.assert_allclose(ours.snapshots.prediction, theirs.snapshots.prediction, atol=1e-11)
    for a, b in zip(ours.models, theirs.models, strict=True):
        np.testing.assert_allclose(flat(a), flat(b), rtol=0, atol=1e-11)


@pytest.mark.usefixtures("one_epoch_a_call")
def test_a_network_that_goes_on_alone_keeps_its_moments():
    nets, goal, reached = networks_of_which_two_reach_a_goal(40)
    result = fit(nets, X, Y, epochs=40, lr=1e-2, stop_below=goal, engine="fused", **QUIET)
    assert result.stopped.tolist() == reached
    for index in (2, 3):
        alone = fit(nets[index], X, Y, epochs=40, lr=1e-2, engine="fused", **QUIET)
        np.testing.assert_array_equal(result.loss[index], alone.loss)


def test_stopping_at_the_very_end():
    """The loss after the last step is below the goal, the one before is not."""
    for net in networks(3):
        losses, trained = plain_training(net, X, Y, epochs=5, lr=1e-2)
        assert losses[5] < losses[4]
        goal = losses[4:].mean()
        result = fit(net, X, Y, epochs=5, lr=1e-2, stop_below=goal, snapshots=[5], engine="fused", **QUIET)
        assert result.stopped == 5
        np.testing.assert_allclose(result.loss, losses, rtol=1e-12)
        np.testing.assert_allclose(flat(result.model), flat(trained), rtol=0, atol=1e-13)


def test_all_may_stop_before_the_first_step():
    nets = networks(3)
    result = fit(nets, X, Y, epochs=5, stop_below=100.0, snapshots=[0, 5], engine="fused", **QUIET)
    assert result.stopped.tolist() == [0, 0, 0]
    assert result.loss.shape == (3, 1)
    np.testing.assert_array_equal(*result.snapshots.prediction.transpose("epoch", ...).values)
    for net, model in zip(nets, result.models, strict=True):
        np.testing.assert_array_equal(flat(model), flat(net))


DIVERGING = {"optimizer": "sgd", "lr": 0.1, "epochs": 150}
LARGE = np.array([[1e100], [1.0], [1e60]])  # targets for which that step is too large, except the middle one


def test_divergence_is_reported_with_its_first_epoch():
    nets = networks(3, (40, 40))
    losses = [plain_training(net, X, y, **DIVERGING)[0] for net, y in zip(nets, Y * LARGE, strict=True)]
    first = [int(np.argmax(~np.isfinite(loss))) for loss in losses]
    assert first[1] == 0 < first[0] < first[2] < 150
    words = f"from epoch {first[0]} on .*try a learning rate below 0.1"
    with pytest.raises(TrainingDiverged, match=words) as caught:
        fit(nets, X, Y * LARGE, engine="fused", **DIVERGING, **QUIET)
    assert caught.value.epoch == first[0]
    assert 0 in caught.value.models
    assert 1 not in caught.value.models


@pytest.mark.parametrize("call", [1, 50_000_000], ids=["one epoch a call", "many"])
def test_those_that_diverge_end_and_the_others_go_on(call, monkeypatch):
    monkeypatch.setattr(fused, "NANOSECONDS_PER_CALL", call)
    nets = networks(3, (40, 40))
    result = fit(
        nets, X, Y * LARGE, engine="fused", on_divergence="stop", snapshots=[0, 20, 150], **DIVERGING, **QUIET
    )
    assert result.diverged.tolist() == [True, False, True]
    assert (result.stopped == -1).all()
    assert result.loss.shape == (3, 151)
    for index, net in enumerate(nets):
        losses = plain_training(net, X, Y * LARGE[index], **DIVERGING)[0]
        ended = int(np.argmax(~np.isfinite(losses))) or 151
        np.testing.assert_allclose(result.loss[index, :ended], losses[:ended], rtol=1e-9)
        assert not np.isfinite(result.loss[index, ended:]).any()
        assert result.final_loss[index] == result.loss[index, ended - 1]
        assert np.isfinite(result.snapshots.prediction[index, :2]).all()
    alone = fit(nets[1], X, Y, engine="fused", **DIVERGING, **QUIET)
    np.testing.assert_array_equal(result.loss[1], alone.loss)


def test_a_loss_that_is_not_finite_only_at_the_very_end():
    nets = networks(3, (40, 40))
    losses = plain_training(nets[0], X, Y * LARGE[0], **DIVERGING)[0]
    settings = DIVERGING | {"epochs": int(np.argmax(~np.isfinite(losses)))}
    with pytest.raises(TrainingDiverged) as caught:
        fit(nets[0], X, Y * LARGE[0], engine="fused", **settings, **QUIET)
    assert caught.value.epoch == settings["epochs"]
    result = fit(nets, X, Y * LARGE, engine="fused", on_divergence="stop", **settings, **QUIET)
    assert result.diverged.tolist() == [True, False, False]
    assert result.final_loss[0] == result.loss[0, -2]


class Bar:
    """What ``fit`` does to its progress bar."""

    made: list[Bar] = []

    def __init__(self, *, total, desc, disable, **_):
        self.total, self.label, self.hidden, self.updates = total, desc, disable, []
        Bar.made.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def update(self, count=1):
        self.updates.append(count)


@pytest.mark.parametrize(
    ("engine", "call", "updates"), [("fused", 1, 7), ("fused", 50_000_000, 2), ("dense", 1, 7)]
)
def test_the_progress_bar_counts_every_epoch(engine, call, updates, monkeypatch):
    monkeypatch.setattr(fused, "NANOSECONDS_PER_CALL", call)
    monkeypatch.setattr(fitting, "tqdm", Bar)
    for progress in (True, "a label", False):
        fit(networks(2), X, Y, epochs=7, snapshots=[0, 3], engine=engine, progress=progress)
        bar = Bar.made.pop()
        assert (bar.total, bar.hidden) == (7, not progress)
        assert (sum(bar.updates), len(bar.updates)) == (7, updates)
        assert bar.label == (progress if isinstance(progress, str) else "adam, 2 networks")


@pytest.mark.parametrize(("hidden", "n"), [((1,), 1), ((100, 100), 500), ((500, 500), 5000)])
def test_a_call_is_neither_long_nor_very_short(hidden, n):
    """Long, a bar stands still and an interrupt waits; very short, calling takes longer than training."""
    nets, x = networks(1, hidden), np.linspace(-1, 1, n)
    recorder = Recorder(nets, Data(nets, x, x, None, CPU), 10, [], FusedStack(nets, CPU))
    epochs = FusedSteps(recorder, "adam", 1e-3, {}, 1.0).epochs_per_call()
    multiplications = epochs * n * sum(layer.weight.numel() for layer in nets[0].layers)
    assert epochs == 1 or multiplications < 1e9
    assert epochs <= 50_000
    assert epochs >= 10_000 or multiplications > 1e6


def trained(optimizer, engine, activation, **settings):
    nets = networks(3, activation=activation)
    settings = {"epochs": 30, "snapshots": [0, 11, 30], "keep_models": True} | settings
    return nets, fit(nets, X, Y, optimizer=optimizer, engine=engine, **settings, **QUIET)


ENGINES = [
    ("adam", "dense", "tanh"),
    ("adam", "fused", "tanh"),
    ("sgd", "sweep", "relu"),
    ("lbfgs", "auto", "tanh"),
]


@pytest.mark.parametrize("case", ENGINES, ids=str)
def test_kept_networks_make_the_predictions_of_the_snapshots(case):
    nets, result = trained(*case)
    assert [len(kept) for kept in result.snapshot_models] == [3, 3, 3]
    for index, kept in enumerate(result.snapshot_models):
        np.testing.assert_array_equal(flat(kept[0]), flat(nets[index]))
        assert abs(flat(kept[1]) - flat(nets[index])).max() > 1e-3
        np.testing.assert_array_equal(flat(kept[2]), flat(result.models[index]))
        for model, prediction in zip(kept, result.snapshots.prediction.values[index], strict=True):
            expected = model(torch.tensor(X)).detach()[:, 0]
            np.testing.assert_allclose(prediction, expected, rtol=0, atol=1e-13)
    single = fit(
        nets[0], X, Y, optimizer=case[0], engine=case[1], epochs=30, snapshots=[11], keep_models=True, **QUIET
    )
    (model,) = single.snapshot_models
    tolerance = 1e-6 if case[0] == "lbfgs" else 1e-11  # what a line search makes of round-off
    np.testing.assert_allclose(flat(model), flat(result.snapshot_models[0][1]), rtol=0, atol=tolerance)


@pytest.mark.parametrize("case", ENGINES, ids=str)
def test_the_last_network_stands_after_a_stop(case):
    _, whole = trained(*case)
    goal = 1.0001 * np.sort(whole.loss[:, 5])[1]
    _, result = trained(*case, stop_below=goal, snapshots=[0, 29, 30])
    assert (result.stopped >= 0).sum() >= 2
    for index in np.flatnonzero((result.stopped >= 0) & (result.stopped < 29)):
        for model in result.snapshot_models[index][1:]:
            np.testing.assert_array_equal(flat(model), flat(result.models[index]))


def test_no_networks_are_kept_unless_asked_for():
    assert trained("adam", "fused", "tanh", keep_models=False)[1].snapshot_models == []
    (net,) = networks(1)
    assert fit(net, X, Y, epochs=2, snapshots=[1], **QUIET).snapshot_models == []


# --- which networks it takes ---


def test_what_can_be_fused():
    def possible(optimizer="adam", device=CPU, count=1, options=None, **network):
        inputs = network.pop("in_features", 1)
        nets = networks(count, in_features=inputs, **network)
        return can_fuse(nets, optimizer, options or {}, device)

    for activation in ("tanh", "sin", "sigmoid"):
        assert possible(activation=activation)
        assert possible("sgd", activation=activation, omega=3.0)
    assert possible(embedding=Rescale(0, 1))
    assert not possible(activation="relu")
    assert not possible("adadelta")
    assert not possible("lbfgs")
    assert not possible(options={"amsgrad": True})
    assert possible(options={"amsgrad": False})
    assert not possible(device=torch.device("meta"))


@pytest.mark.usefixtures("two_threads")
def test_one_network_without_an_interpolated_layer_would_leave_a_core_idle():
    for shape in ({"in_features": 2}, {"embedding": Circle()}, {"hidden": (9,)}):
        assert not can_fuse(networks(1, **shape), "adam", {}, CPU)
        assert can_fuse(networks(2, **shape), "adam", {}, CPU)


REFUSED = [
    ({"activation": "relu"}, {}),
    ({}, {"optimizer": "adadelta"}),
    ({}, {"optimizer": "lbfgs"}),
    ({}, {"optimizer": "adam", "amsgrad": True}),
]


@pytest.mark.parametrize(("network", "settings"), REFUSED, ids=str)
def test_other_networks_go_to_other_engines(network, settings):
    (net,) = networks(1, **network)
    with pytest.raises(ValueError, match="engine='fused' needs tanh, sin or sigmoid, adam .*got"):
        fit(net, X, Y, epochs=2, engine="fused", **settings, **QUIET)
    results = [fit(net, X, Y, epochs=2, engine=engine, **settings, **QUIET) for engine in ("auto", "dense")]
    np.testing.assert_allclose(results[0].loss, results[1].loss, rtol=1e-12)


@pytest.mark.parametrize(
    ("optimizer", "options", "words"),
    [
        ("sgd", {"momentum": -1.0}, "momentum"),
        ("sgd", {"nesterov": True}, "Nesterov"),
        ("sgd", {"weight_decay": -1.0}, "weight_decay"),
        ("adam", {"betas": (0.9, 1.0)}, "beta"),
        ("adam", {"eps": -1.0}, "epsilon"),
    ],
)
def test_options_that_pytorch_refuses_are_refused(optimizer, options, words):
    (net,) = networks(1)
    with pytest.raises(ValueError, match=words):
        fit(net, X, Y, epochs=2, optimizer=optimizer, engine="fused", **options, **QUIET)


# --- tasks on several cores ---


@pytest.mark.usefixtures("two_threads")
def test_every_task_is_done_once_and_two_at_a_time():
    seen, both = [], threading.Barrier(2, timeout=20)

    def task(index):
        if index < 2:
            both.wait()  # would time out if one waited for the other
        seen.append(index)

    each(task, 9)
    assert sorted(seen) == list(range(9))


class Tasks:
    """Tasks of a hundredth of a second, one of which does something else; it notes who begins and ends."""

    def __init__(self, special: int, action):
        self.special, self.action, self.begun, self.ended = special, action, [], []

    def __call__(self, index):
        self.begun.append(index)
        if index == self.special:
            self.action()
        time.sleep(0.01)
        self.ended.append(index)

    def assert_no_more_begin(self):
        """To be called at once: what has begun has ended, but for one that has raised."""
        begun, ended = sorted(self.begun), sorted(self.ended)
        assert len(begun) < 30
        assert ended in (begun, [index for index in begun if index != self.special])
        time.sleep(0.1)
        assert sorted(self.begun) == begun


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("threads", [1, 2])
def test_an_exception_of_a_task_reaches_the_caller_and_ends_the_others(threads):
    torch.set_num_threads(threads)
    tasks = Tasks(3, lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        each(tasks, 300)
    tasks.assert_no_more_begin()
    each(tasks.ended.append, 5)  # the pool is as it was


@pytest.mark.usefixtures("two_threads")
@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="no signals between threads here")
def test_an_interrupt_ends_the_tasks():
    main = threading.main_thread().ident
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    tasks = Tasks(5, lambda: signal.pthread_kill(main, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        each(tasks, 300)
    signal.signal(signal.SIGINT, before)
    tasks.assert_no_more_begin()


# --- sine and cosine ---

SINES = [(np.float32, sine32, 1000.0), (np.float64, sine64, 1e6)]


@pytest.mark.parametrize(("dtype", "kernel", "largest"), SINES, ids=["float32", "float64"])
def test_sine_and_cosine_are_accurate_to_the_last_digits_of_one(dtype, kernel, largest):
    random = np.random.default_rng(0)
    scales = [1e-30, 1e-6, 0.01, 1.0, 10.0, 0.5 * largest]
    quarters = np.arange(-600, 601) * np.pi / 2  # where one of them is zero, and the reduction changes sides
    z = np.concatenate(
        [*(random.uniform(-2, 2, 40_000) * scale for scale in scales), quarters, quarters + np.pi / 4, [0.0]]
    ).astype(dtype)
    sine, cosine = z.copy(), np.empty_like(z)
    kernel(sine, cosine)
    exact = z.astype(np.longdouble)
    unit = np.finfo(dtype).eps
    assert abs(sine - np.sin(exact)).max() < 1.5 * unit
    assert abs(cosine - np.cos(exact)).max() < 1.5 * unit
    assert abs(sine.astype(exact.dtype) ** 2 + cosine.astype(exact.dtype) ** 2 - 1).max() < 3 * unit
    small = abs(z) < 1e-3
    np.testing.assert_allclose(
        sine[small], np.sin(z[small].astype(np.longdouble)).astype(dtype), rtol=2 * unit
    )
    assert (sine[-1], cosine[-1]) == (0.0, 1.0)


@pytest.mark.parametrize(("dtype", "kernel", "largest"), SINES, ids=["float32", "float64"])
def test_sine_is_odd_cosine_even_and_what_is_no_number_stays_none(dtype, kernel, largest):
    z = np.random.default_rng(1).uniform(0, largest, 1000).astype(dtype)
    results = []
    for values in (z, -z):
        sine, cosine = values.copy(), np.empty_like(z)
        kernel(sine, cosine)
        results.append((sine, cosine))
    unit = np.finfo(dtype).eps
    np.testing.assert_allclose(results[0][0], -results[1][0], rtol=0, atol=unit)
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=0, atol=unit)
    sine, cosine = np.array([np.nan, np.inf, -np.inf], dtype), np.zeros(3, dtype)
    kernel(sine, cosine)
    assert np.isnan(sine).all()
    assert np.isnan(cosine).all()
