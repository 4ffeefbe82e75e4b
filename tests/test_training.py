"""``fit`` against plain PyTorch (autograd, ``torch.optim``, one network at a time), SciPy, closed forms."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from specbias.models import ACTIVATIONS, MLP, Circle, Rescale, generators
from specbias.training import LOSSES, TrainingDiverged, fit, fused
from specbias.training.stack import Stack
from specbias.training.tanh import tanh_
from specbias.training.threads import share

CPU = torch.device("cpu")
X = np.linspace(-1.0, 1.5, 40)
Y = np.sin(5 * X) + X

PLAIN_LOSSES = {
    "mse": lambda r: (r**2).mean(),
    "half-mse": lambda r: 0.5 * (r**2).mean(),
    "half-sum": lambda r: 0.5 * (r**2).sum(),
}
PLAIN_OPTIMIZERS = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adadelta": torch.optim.Adadelta}


def networks(count, hidden=(9, 7), *, in_features=1, dtype=torch.float64, **settings):
    return [MLP(in_features, hidden, generator=g, dtype=dtype, **settings) for g in generators(range(count))]


def plain_training(net, x, y, optimizer, epochs, *, lr, loss="mse", snapshots=(), **options):
    """The usual loop: loss at every epoch, predictions at some, and the trained network."""
    net = copy.deepcopy(net)
    x, y = (torch.as_tensor(a, dtype=net.dtype) for a in (x, y))
    step = PLAIN_OPTIMIZERS[optimizer](net.parameters(), lr=lr, **options)
    losses, predictions = [], []
    for epoch in range(epochs + 1):
        output = net(x)[:, 0]
        value = PLAIN_LOSSES[loss](output - y)
        losses.append(value.item())
        if epoch in snapshots:
            predictions.append(output.detach().numpy())
        if epoch < epochs:
            step.zero_grad()
            value.backward()
            step.step()
    return np.array(losses), np.array(predictions), net


def assert_same_network(ours, theirs, tolerance):
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


OPTIMIZER_SETTINGS = [
    ("sgd", {"lr": 0.02}),
    ("sgd", {"lr": 0.02, "momentum": 0.9, "weight_decay": 1e-3}),
    ("sgd", {"lr": 0.01, "momentum": 0.8, "nesterov": True}),
    ("adam", {"lr": 3e-3}),
    ("adam", {"lr": 3e-3, "betas": (0.8, 0.99), "eps": 1e-6, "weight_decay": 1e-2, "amsgrad": True}),
    ("adadelta", {"lr": 1.0}),
    ("adadelta", {"lr": 0.5, "rho": 0.95, "eps": 1e-5, "weight_decay": 1e-3}),
]


@pytest.mark.parametrize("engine", ["auto", "dense"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZER_SETTINGS, ids=lambda value: str(value)[:60])
def test_many_networks_at_once_are_plain_pytorch_one_by_one(activation, optimizer, options, engine):
    random = np.random.default_rng(0)
    x, y = random.uniform(-1, 1, (3, 30)), random.normal(size=(3, 30))
    nets = networks(3, activation=activation, omega=1.5)
    result = fit(
        nets,
        x[:, :, None],
        y,
        optimizer=optimizer,
        epochs=30,
        snapshots=[0, 7, 30],
        engine=engine,
        progress=False,
        **options,
    )
    assert result.loss.shape == (3, 31)
    for index, net in enumerate(nets):
        losses, predictions, trained = plain_training(
            net, x[index], y[index], optimizer, 30, snapshots=[0, 7, 30], **options
        )
        np.testing.assert_allclose(result.loss[index], losses, rtol=1e-11)
        np.testing.assert_allclose(result.snapshots.prediction[index], predictions, rtol=0, atol=1e-11)
        assert_same_network(result.models[index], trained, 1e-11)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_adadelta_leaves_plain_pytorch_only_as_that_leaves_itself(activation):
    """With its usual step of 1, Adadelta is chaotic: a last digit of the start is a percent 200 epochs later.

    So the two computations part, as do two of PyTorch's own that differ in one last digit, and no sooner.
    """
    (net,) = networks(1, (20, 20), activation=activation)
    nudged = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in nudged.parameters():
            parameter.mul_(1 + 2.0**-52)
    plain, disturbed = (plain_training(n, X, Y, "adadelta", 200, lr=1.0)[0] for n in (net, nudged))
    ours = fit(net, X, Y, optimizer="adadelta", epochs=200, progress=False).loss
    worst_ours, worst_plain = (np.maximum.accumulate(abs(loss / plain - 1)) for loss in (ours, disturbed))
    assert (worst_ours <= 1e-13 + 1000 * worst_plain).all()


@pytest.mark.parametrize("engine", ["auto", "dense"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_float32_agrees_to_its_round_off(activation, engine):
    (net,) = networks(1, (30, 30), activation=activation, dtype=torch.float32)
    result = fit(net, X, Y, optimizer="sgd", lr=0.02, epochs=50, engine=engine, progress=False)
    losses, _, trained = plain_training(net, X, Y, "sgd", 50, lr=0.02)
    assert result.model.dtype == torch.float32
    np.testing.assert_allclose(result.loss, losses, rtol=1e-5)
    assert_same_network(result.model, trained, 1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses(loss):
    (net,) = networks(1)
    result = fit(net, X, Y, loss=loss, optimizer="sgd", lr=1e-3, epochs=5, progress=False)
    np.testing.assert_allclose(
        result.loss, plain_training(net, X, Y, "sgd", 5, lr=1e-3, loss=loss)[0], rtol=1e-12
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("hidden", "in_features", "biases"),
    [
        ((4,), 1, (True, True)),
        ((4, 3), 2, (True, False)),
        ((5, 4, 3), 3, (False, False)),
        ((1, 1), 1, (True, True)),
    ],
)
def test_gradient_is_the_difference_quotient_and_autograd(activation, hidden, in_features, biases):
    random = np.random.default_rng(1)
    bias, output_bias = biases
    nets = networks(
        2,
        hidden,
        in_features=in_features,
        activation=activation,
        omega=2.0,
        bias=bias,
        output_bias=output_bias,
    )
    x = torch.from_numpy(random.normal(size=(2, 6, in_features)))
    y = torch.from_numpy(random.normal(size=(2, 6, 1)))
    stack = Stack(nets, CPU)
    with torch.no_grad():
        stack.loss(x, y, 0.5)
        stack.gradient(0.5)
    for index, net in enumerate(nets):
        (0.5 * ((net(x[index]) - y[index]) ** 2).sum()).backward()
        expected = [p.grad.flatten() for p in net.parameters()]
        actual = [p.grad[index].flatten() for p in stack.parameters]
        torch.testing.assert_close(torch.cat(actual), torch.cat(expected), rtol=1e-12, atol=1e-13)
    for parameter, gradient in zip(stack.parameters, [p.grad.clone() for p in stack.parameters], strict=True):
        entry = (slice(None), *(0 for _ in parameter.shape[1:]))
        quotients, h = [], 1e-6
        with torch.no_grad():
            for sign in (1, -1):
                parameter[entry] += sign * h
                quotients.append(sign * stack.loss(x, y, 0.5))
                parameter[entry] -= sign * h
        torch.testing.assert_close(gradient[entry], sum(quotients) / (2 * h), rtol=1e-6, atol=1e-7)


@given(activation=st.sampled_from(list(ACTIVATIONS)), order=st.permutations(range(12)))
def test_the_order_of_points_changes_neither_loss_nor_gradient(activation, order):
    random = np.random.default_rng(2)
    x, y = (torch.from_numpy(random.normal(size=(2, 12, 1))) for _ in range(2))
    found = []
    for points in (list(range(12)), list(order)):
        stack = Stack(networks(2, activation=activation), CPU)
        with torch.no_grad():
            loss = stack.loss(x[:, points], y[:, points], 1.0)
            stack.gradient(1.0)
        found.append(torch.cat([loss, *(p.grad.flatten() for p in stack.parameters)]))
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)


def test_shapes_of_data_that_mean_the_same():
    (net,) = networks(1)
    expected = fit(net, X, Y, epochs=3, progress=False).loss
    for x, y in [
        (X[:, None], Y),
        (X, Y[:, None]),
        (X[None, :, None], Y[None]),
        (X.tolist(), torch.tensor(Y)),
    ]:
        np.testing.assert_array_equal(fit(net, x, y, epochs=3, progress=False).loss, expected)
    shared = fit([net, net], X, Y, epochs=3, progress=False)
    own = fit(
        [net, net], np.stack([X, X])[:, :, None], np.stack([Y, Y])[:, :, None], epochs=3, progress=False
    )
    for result in (shared, own):
        np.testing.assert_allclose(result.loss, np.stack([expected, expected]), rtol=1e-13)
    assert shared.snapshots.x.dims == ("point",)
    assert own.snapshots.x.dims == ("model", "point", "feature")


def test_several_inputs_and_an_embedding():
    (plane,) = networks(1, in_features=2)
    x = np.random.default_rng(0).normal(size=(20, 2))
    result = fit(plane, x, x[:, 0] * x[:, 1], epochs=5, lr=1e-2, snapshots=[5], progress=False)
    np.testing.assert_allclose(
        result.loss, plain_training(plane, x, x[:, 0] * x[:, 1], "adam", 5, lr=1e-2)[0], rtol=1e-12
    )
    assert result.snapshots.x.shape == (20, 2)
    (ring,) = networks(1, embedding=Circle(2.5))
    result = fit(ring, X, Y, epochs=5, lr=1e-2, progress=False)
    np.testing.assert_allclose(result.loss, plain_training(ring, X, Y, "adam", 5, lr=1e-2)[0], rtol=1e-12)


def test_points_far_from_zero_keep_their_digits_through_an_embedding():
    """The embedding is computed before the points are rounded to the network's dtype."""
    near = fit(networks(1, embedding=Rescale(0, 1), dtype=torch.float32)[0], X, Y, epochs=3, progress=False)
    (far_net,) = networks(1, embedding=Rescale(2**20, 2**20 + 1), dtype=torch.float32)
    far = fit(far_net, X + 2**20, Y, epochs=3, progress=False)
    np.testing.assert_allclose(far.loss, near.loss, rtol=1e-6)


@pytest.mark.parametrize("engine", ["fused", "dense"])
def test_snapshots_in_any_order_at_any_points(engine):
    (net,) = networks(1)
    grid = np.linspace(-2, 2, 13)
    settings = {"evaluate_at": grid, "engine": engine, "progress": False}
    result = fit(net, X, Y, epochs=6, snapshots=[6, 0, 3, 3], **settings)
    assert result.snapshots.epoch.values.tolist() == [0, 3, 6]
    assert dict(result.snapshots.sizes) == {"epoch": 3, "point": 13}
    np.testing.assert_array_equal(result.snapshots.x, grid)
    for epoch, prediction in zip((0, 3, 6), result.snapshots.prediction.values, strict=True):
        trained = plain_training(net, X, Y, "adam", epoch, lr=1e-3)[2]
        np.testing.assert_allclose(prediction, trained(torch.tensor(grid)).detach()[:, 0], atol=1e-13)


WATCHED = {
    "dense": {"engine": "dense"},
    "fused": {"engine": "fused"},
    "sweep": {"activation": "relu", "engine": "sweep"},
    "lbfgs": {"optimizer": "lbfgs"},
}


@pytest.mark.parametrize("how", WATCHED)
@pytest.mark.parametrize("count", [1, 2])
def test_a_callback_sees_every_snapshot_and_changes_nothing(how, count):
    settings = {"epochs": 6, "snapshots": [0, 3, 6], "progress": False} | WATCHED[how]
    nets = networks(count, activation=settings.pop("activation", "tanh"))
    nets, seen = nets if count > 1 else nets[0], []
    watched = fit(nets, X, Y, callback=lambda epoch, values: seen.append((epoch, values)), **settings)
    alone = fit(nets, X, Y, **settings)
    np.testing.assert_array_equal(watched.loss, alone.loss)
    predictions = np.moveaxis(alone.snapshots.prediction.values, -2, 0)  # (epoch, [model,] point)
    for epoch, expected in zip((0, 3, 6), predictions, strict=True):
        found = [values for at, values in seen if at == epoch]
        assert len(found) == (count if how == "lbfgs" else 1)
        np.testing.assert_array_equal(found[-1], expected)
    assert np.isnan(seen[0][1][1:]).all() or count == 1 or how != "lbfgs"


@pytest.mark.parametrize("how", WATCHED)
def test_a_callbacks_exception_ends_the_training(how):
    settings = {"activation": "tanh"} | WATCHED[how]
    (net,) = networks(1, activation=settings.pop("activation"))
    seen = []

    def callback(epoch, _):
        seen.append(epoch)
        if epoch == 4:
            raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        fit(net, X, Y, epochs=50, snapshots=range(0, 51, 2), callback=callback, progress=False, **settings)
    assert seen == [0, 2, 4]


def test_no_epochs():
    (net,) = networks(1)
    for optimizer in ("adam", "lbfgs"):
        result = fit(net, X, Y, optimizer=optimizer, epochs=0, snapshots=[0], progress=False)
        assert result.loss.shape == (1,)
        assert_same_network(result.model, net, 0)
        np.testing.assert_allclose(
            result.snapshots.prediction[0], net(torch.tensor(X)).detach()[:, 0], atol=1e-14
        )


# what either engine does at every epoch: the fused one, if its calls are that short
EVERY_EPOCH = {"dense": (Stack, "gradient"), "fused": (fused.FusedSteps, "advance")}


@pytest.mark.parametrize("engine", EVERY_EPOCH)
def test_given_networks_stay_as_they_are_also_when_interrupted(engine, monkeypatch):
    nets = networks(2)
    before = copy.deepcopy(nets)
    settings = {"epochs": 5, "lr": 0.1, "engine": engine, "progress": False}
    expected = fit(nets, X, Y, **settings).loss
    owner, name = EVERY_EPOCH[engine]
    original, calls = getattr(owner, name), []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(owner, name, interrupted)
    monkeypatch.setattr(fused, "NANOSECONDS_PER_CALL", 1)
    with pytest.raises(KeyboardInterrupt):
        fit(nets, X, Y, **settings)
    monkeypatch.undo()
    for a, b in zip(nets, before, strict=True):
        assert_same_network(a, b, 0)
    np.testing.assert_array_equal(fit(nets, X, Y, **settings).loss, expected)


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [("adam", {"lr": 1e-2}), ("sgd", {"lr": 0.02, "momentum": 0.9}), ("adadelta", {"lr": 1.0})],
)
@pytest.mark.parametrize(
    ("activation", "engine"), [("tanh", "auto"), ("tanh", "dense"), ("relu", "auto")]
)  # auto: by the compiled loop, except Adadelta, and by the sweep
def test_a_network_that_stops_leaves_the_others_alone(optimizer, options, activation, engine):
    nets = networks(4, activation=activation)
    losses = [plain_training(net, X, Y, optimizer, 40, **options)[0] for net in nets]
    goal = sorted(loss.min() for loss in losses)[1] * 1.02  # two of them reach it, at two epochs
    result = fit(
        nets,
        X,
        Y,
        optimizer=optimizer,
        epochs=40,
        stop_below=goal,
        snapshots=[0, 39, 40],
        engine=engine,
        progress=False,
        **options,
    )
    reached = [int(np.argmax(loss < goal)) if (loss < goal).any() else -1 for loss in losses]
    assert result.stopped.tolist() == reached
    assert sum(epoch >= 0 for epoch in reached) >= 2
    assert not result.diverged.any()
    for index, (loss, epoch) in enumerate(zip(losses, reached, strict=True)):
        made = 41 if epoch < 0 else epoch + 1
        np.testing.assert_allclose(result.loss[index, :made], loss[:made], rtol=1e-9)
        assert np.isnan(result.loss[index, made:]).all()
        assert result.final_loss[index] == result.loss[index, made - 1]
        trained = plain_training(nets[index], X, Y, optimizer, made - 1, **options)[2]
        assert_same_network(result.models[index], trained, 1e-9)
        last = trained(torch.tensor(X)).detach()[:, 0]
        np.testing.assert_allclose(result.snapshots.prediction[index, -1], last, atol=1e-9)


@pytest.mark.parametrize("optimizer", ["sgd", "lbfgs"])
def test_all_may_stop_before_the_first_step(optimizer):
    nets = networks(3)
    result = fit(
        nets, X, Y, optimizer=optimizer, epochs=9, stop_below=100.0, snapshots=[0, 9], progress=False
    )
    assert result.stopped.tolist() == [0, 0, 0]
    assert result.loss.shape == (3, 1)
    for index, net in enumerate(nets):
        assert_same_network(result.models[index], net, 0)
        for prediction in result.snapshots.prediction.values[index]:
            np.testing.assert_allclose(prediction, net(torch.tensor(X)).detach()[:, 0], atol=1e-14)


@pytest.mark.parametrize("engine", ["dense", "sweep"])
def test_divergence_is_reported_with_its_first_epoch(engine):
    nets = networks(3, (40, 40), activation="relu")
    y = Y * np.array([[1e6], [1e3], [1e3]])
    settings = {"optimizer": "sgd", "lr": 0.05, "epochs": 120}
    losses = [plain_training(net, X, own, **settings)[0] for net, own in zip(nets, y, strict=True)]
    first = [int(np.argmax(~np.isfinite(loss))) for loss in losses]
    assert len(set(first)) == 3
    with pytest.raises(TrainingDiverged, match="from epoch 3 on .*try a learning rate below 0.05") as caught:
        fit(nets, X, y, engine=engine, progress=False, **settings)
    assert caught.value.epoch == min(first) == 3
    assert caught.value.models == [0, 1, 2]
    stopped = fit(nets, X, y, engine=engine, on_divergence="stop", progress=False, **settings)
    assert stopped.diverged.all()
    assert (stopped.stopped == -1).all()
    for loss, plain, epoch, final in zip(stopped.loss, losses, first, stopped.final_loss, strict=True):
        np.testing.assert_allclose(loss[:epoch], plain[:epoch], rtol=1e-9)
        assert not np.isfinite(loss[epoch:]).any()
        assert final == loss[epoch - 1]


@pytest.mark.parametrize("engine", ["dense", "sweep"])
def test_one_diverges_the_others_go_on(engine):
    nets = networks(3, (40, 40), activation="relu")
    y = np.stack([Y, 1e6 * Y, Y])  # a target for which the step that suits the others is too large
    settings = {"optimizer": "sgd", "lr": 0.05, "epochs": 120, "engine": engine, "progress": False}
    result = fit(nets, X, y, on_divergence="stop", snapshots=[0, 120], **settings)
    assert result.diverged.tolist() == [False, True, False]
    for index in (0, 2):
        alone = fit(nets[index], X, Y, snapshots=[120], **settings)
        np.testing.assert_allclose(result.loss[index], alone.loss, rtol=1e-9)
        last = result.snapshots.prediction[index, -1]
        np.testing.assert_allclose(last, alone.snapshots.prediction[0], atol=1e-9)
    with pytest.raises(TrainingDiverged, match="network 1") as caught:
        fit(nets, X, y, **settings)
    assert caught.value.models == [1]


def scipys_lbfgs(net, *, epochs, history_size):
    """Losses of SciPy's L-BFGS-B on autograd's gradient, before the first iteration and after each."""
    net = copy.deepcopy(net)

    def value_and_gradient(theta):
        torch.nn.utils.vector_to_parameters(torch.tensor(theta), net.parameters())
        net.zero_grad()
        value = ((net(torch.tensor(X))[:, 0] - torch.tensor(Y)) ** 2).mean()
        value.backward()
        return value.item(), torch.cat([p.grad.flatten() for p in net.parameters()]).numpy()

    def after_each(intermediate_result):
        losses.append(intermediate_result.fun)

    start = torch.nn.utils.parameters_to_vector(net.parameters()).detach().numpy()
    losses = [value_and_gradient(start)[0]]
    options = {"maxiter": epochs, "maxcor": history_size, "maxfun": 10_000, "ftol": 0.0, "gtol": 0.0}
    minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options, callback=after_each)
    return np.array(losses)


def test_lbfgs_is_scipy_on_autograds_gradient():
    nets = networks(2, (8,))
    settings = {"optimizer": "lbfgs", "epochs": 60, "history_size": 10, "progress": False}
    result = fit(nets, X, Y, snapshots=[0, 20, 60], **settings)
    for index, net in enumerate(nets):
        expected = scipys_lbfgs(net, epochs=60, history_size=10)
        np.testing.assert_allclose(result.loss[index, :15], expected[:15], rtol=1e-6)  # round-off grows later
        assert result.final_loss[index] < 2 * expected[-1]
        residual = result.snapshots.prediction.values[index, -1] - Y
        assert np.mean(residual**2) == pytest.approx(result.loss[index, 60])
        np.testing.assert_allclose(result.loss[index], fit(net, X, Y, **settings).loss, rtol=1e-12)


def test_lbfgs_finds_the_least_squares_line():
    """One unit that is on at all points is a line; its best loss is polyfit's."""
    net = MLP(1, (1,), activation="relu", dtype=torch.float64)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1.0)
    x, y = X + 1.5, 3 + 2 * X + 0.3 * np.cos(7 * X)
    result = fit(net, x, y, optimizer="lbfgs", epochs=200, snapshots=[0, 150, 200], progress=False)
    line = np.polyval(np.polyfit(x, y, 1), x)
    assert result.final_loss == pytest.approx(np.mean((line - y) ** 2), rel=1e-12)
    assert len(result.loss) < 150  # it ended by itself, and the last prediction stands
    np.testing.assert_allclose(result.snapshots.prediction.values[1:], [line, line], atol=1e-6)
    trained = result.model(torch.tensor(x)).detach().numpy()[:, 0]
    assert np.mean((trained - y) ** 2) == pytest.approx(result.final_loss, rel=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_lbfgs_stops_at_the_goal(activation):
    nets = networks(3, (10, 10), activation=activation)
    result = fit(nets, X, Y, optimizer="lbfgs", epochs=200, stop_below=0.05, snapshots=[200], progress=False)
    for index in range(3):
        epoch = result.stopped[index]
        assert epoch > 0
        assert result.loss[index, epoch] < 0.05 <= result.loss[index, epoch - 1]
        assert np.isnan(result.loss[index, epoch + 1 :]).all()
        residual = result.models[index](torch.tensor(X)).detach().numpy()[:, 0] - Y
        assert np.mean(residual**2) == pytest.approx(result.final_loss[index], rel=1e-12)
        np.testing.assert_allclose(result.snapshots.prediction[index, 0], residual + Y, atol=1e-13)


@pytest.mark.parametrize(("dtype", "ulps"), [(np.float32, 3), (np.float64, 3)])
def test_tanh_is_accurate_to_the_last_digits(dtype, ulps):
    random = np.random.default_rng(0)
    x = np.concatenate([random.normal(size=50_000) * scale for scale in (1e-6, 0.01, 0.5, 3, 30)]).astype(
        dtype
    )
    x = np.concatenate([x, np.linspace(-25, 25, 100_001).astype(dtype)])
    ours = tanh_(torch.from_numpy(x.copy())).numpy()
    exact = np.tanh(x.astype(np.longdouble))
    assert np.max(abs(ours - exact) / np.spacing(abs(exact).astype(dtype))) < ulps
    special = tanh_(
        torch.tensor([0.0, -0.0, np.inf, -np.inf, np.nan], dtype=torch.from_numpy(x).dtype)
    ).numpy()
    np.testing.assert_array_equal(special, np.array([0.0, -0.0, 1.0, -1.0, np.nan], dtype))
    assert np.signbit(special[:2]).tolist() == [False, True]


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_loops_are_shared_without_gap_or_overlap():
    for size in (1, 2, 7):
        seen = []
        share(lambda begin, end, seen=seen: seen.extend(range(begin, end)), size, work=10**9)
        assert sorted(seen) == list(range(size))
    with pytest.raises(ZeroDivisionError):
        share(lambda begin, end: 1 / 0, 2, work=10**9)
    z = torch.linspace(-4, 4, 1_000_001)
    shared = tanh_(z.clone())
    torch.set_num_threads(1)
    assert torch.equal(shared, tanh_(z.clone()))


NET = networks(1)[0]
BAD_CALLS = [
    ({"optimizer": "adma"}, ValueError, "optimizer must be one of sgd, adam.*did you mean 'adam'"),
    ({"optimizer": "sgd", "momentun": 0.9}, TypeError, "no option 'momentun'; allowed: momentum.*'momentum'"),
    ({"optimizer": "adam", "momentum": 0.9}, TypeError, "adam takes no option 'momentum'"),
    ({"optimizer": "sgd", "momentum": -1.0}, ValueError, "momentum"),
    ({"lr": 0.0}, ValueError, "lr must be positive"),
    ({"lr": np.nan}, ValueError, "lr must be positive"),
    ({"lr": "fast"}, TypeError, "lr must be a number"),
    ({"optimizer": "lbfgs", "lr": 0.1}, ValueError, "lbfgs .* no lr"),
    ({"optimizer": "lbfgs", "history_size": 0}, ValueError, "history_size"),
    ({"optimizer": "lbfgs", "history_size": 2.5}, TypeError, "history_size"),
    ({"optimizer": "lbfgs", "tolerance": -1.0}, ValueError, "tolerance"),
    ({"epochs": -1}, ValueError, "epochs"),
    ({"epochs": 2.5}, TypeError, "epochs"),
    ({"loss": "mae"}, ValueError, "loss"),
    ({"stop_below": 0.0}, ValueError, "stop_below"),
    ({"stop_below": np.inf}, ValueError, "stop_below"),
    ({"snapshots": [5]}, ValueError, "snapshots must lie between 0 and epochs=4, got 5"),
    ({"snapshots": [1.5]}, TypeError, "snapshots must be whole numbers, got 1.5"),
    ({"snapshots": 3}, TypeError, "snapshots must be a sequence"),
    ({"on_divergence": "ignore"}, ValueError, "on_divergence"),
    ({"engine": "sweep"}, ValueError, "engine='sweep' needs ReLU.*got tanh"),
    ({"engine": "fast"}, ValueError, "engine"),
    ({"device": "gpu"}, ValueError, "device"),
    ({"model": []}, TypeError, "model"),
    ({"model": [NET, torch.nn.Linear(1, 1)]}, TypeError, "model .* got Linear, MLP"),
    ({"model": [NET, MLP(1, (9, 7))]}, ValueError, "same shape"),
    ({"x": np.where(X > 1, np.nan, X)}, ValueError, "x must be finite"),
    ({"y": np.where(X > 1, np.inf, Y)}, ValueError, "y must be finite"),
    ({"x": np.array(["a"] * 40)}, TypeError, "x must hold real numbers"),
    ({"x": np.zeros((40, 2))}, ValueError, r"x must be .*got shape \(40, 2\)"),
    ({"x": np.zeros((2, 40, 1))}, ValueError, r"x must be .*\(1, n, 1\)"),
    ({"x": np.zeros(0)}, ValueError, "n at least 1"),
    ({"y": Y[:5]}, ValueError, r"y must be \(40,\).*got shape \(5,\)"),
    ({"evaluate_at": np.zeros((3, 2))}, ValueError, "evaluate_at must be"),
    ({"model": MLP(1, (3,)), "y": 1e300 * Y}, ValueError, "y has values that are too large for .*float32"),
]


@pytest.mark.parametrize(("changes", "error", "words"), BAD_CALLS, ids=lambda value: str(value)[:30])
def test_bad_arguments_are_named(changes, error, words):
    arguments = {"model": NET, "x": X, "y": Y, "epochs": 4, "progress": False} | changes
    with pytest.raises(error, match=words):
        fit(**arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is there")
def test_a_missing_gpu_is_said():
    with pytest.raises(ValueError, match="device is 'cuda', but this machine"):
        fit(NET, X, Y, device="cuda", progress=False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_gpu_computes_the_same(activation):
    nets = networks(2, activation=activation)
    cpu, gpu = (
        fit(nets, X, Y, epochs=30, snapshots=[0, 30], device=device, progress=False)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(gpu.loss, cpu.loss, rtol=1e-9)
    np.testing.assert_allclose(gpu.snapshots.prediction, cpu.snapshots.prediction, atol=1e-9)


@settings(max_examples=10)
@given(seed=st.integers(0, 100))
def test_the_progress_bar_changes_nothing(seed):
    (net,) = networks(1)
    x = np.random.default_rng(seed).normal(size=5)
    losses = [fit(net, x, x, epochs=2, progress=p).loss for p in (False, True, "a label")]
    assert np.array_equal(losses[0], losses[1])
    assert np.array_equal(losses[0], losses[2])
