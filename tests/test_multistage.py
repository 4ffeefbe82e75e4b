"""The parts of multistage networks: gradients by PyTorch, minimizers by textbooks, spectra by direct sums."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize as scipy_minimize

from specbias.multistage import (
    StageNetwork,
    minimize,
    scale_factor,
    self_scaled_bfgs,
)
from specbias.multistage.minimizers import LARGE, OPTIMIZERS, adam, l_bfgs
from specbias.multistage.on_device import loss_on
from specbias.multistage.quasi_newton import _update
from specbias.spectra import dominant_wavenumber, scattered_spectrum, sign_changes
from specbias.spectra.scattered import METHODS

FIRST = {"tanh": torch.tanh, "sin": torch.sin, "cos": torch.cos}
seeds = st.integers(0, 2**32 - 1)


# --- networks ---------------------------------------------------------------------------------------------


def by_torch(net: StageNetwork, row: torch.Tensor, x: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Output and values of the last hidden layer, written anew."""
    value, at = torch.tensor(x), 0
    widths = [net.inputs, *net.hidden, 1]
    for layer, (into, out) in enumerate(zip(widths, widths[1:], strict=False)):
        weights = row[at : at + into * out].reshape(out, into)
        bias = row[at + into * out : at + into * out + out]
        at += into * out + out
        last, value = value, value @ weights.T + bias
        if layer == 0:
            value = FIRST[net.first](net.scale * value)
        elif layer < len(net.hidden):
            value = torch.tanh(value)
    assert at == len(row)
    return value[:, 0], last


@pytest.mark.parametrize("hidden", [(7,), (5, 4), (6, 3, 5)])
@pytest.mark.parametrize("inputs", [1, 2, 3])
@pytest.mark.parametrize(("first", "scale"), [("tanh", 1.0), ("tanh", 3.0), ("sin", 17.5), ("cos", 6.0)])
def test_network_loss_and_gradient_equal_autograd(hidden, inputs, first, scale):
    random = np.random.default_rng(len(hidden) + 10 * inputs)
    net = StageNetwork(inputs, hidden, first, scale)
    row = random.normal(size=net.size)
    x, y = random.uniform(-1, 1, (23, inputs)), random.normal(size=23)
    kept = row.copy(), x.copy(), y.copy()

    leaf = torch.tensor(row, requires_grad=True)
    output, last = by_torch(net, leaf, x)
    loss = ((output - torch.tensor(y)) ** 2).mean() / 2
    loss.backward()

    value, gradient = net.loss_and_gradient(row, x, y)
    np.testing.assert_allclose(net.predict(row, x), output.detach(), rtol=0, atol=1e-13 * scale)
    np.testing.assert_allclose(net.basis(row, x), last.detach(), rtol=0, atol=1e-13 * scale)
    assert value == pytest.approx(loss.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, leaf.grad, rtol=0, atol=1e-13 * scale * abs(gradient).max())
    for before, after in zip(kept, (row, x, y), strict=True):
        np.testing.assert_array_equal(before, after)


def devices():
    """The devices of PyTorch here; a GPU may round otherwise."""
    missing = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    return ["cpu", pytest.param("cuda", marks=missing)]


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize(("first", "scale"), [("tanh", 1.0), ("tanh", 3.0), ("sin", 17.5), ("cos", 6.0)])
def test_a_device_computes_the_same_loss_and_gradient(device, first, scale):
    random = np.random.default_rng(1)
    net = StageNetwork(2, (6, 3, 5), first, scale)
    row, x, y = random.normal(size=net.size), random.uniform(-1, 1, (50, 2)), random.normal(size=50)
    wanted, found = net.loss_and_gradient(row, x, y), loss_on(net, x, y, device)(row)
    assert found[0] == pytest.approx(wanted[0], rel=1e-12)
    np.testing.assert_allclose(found[1], wanted[1], atol=1e-12 * np.abs(wanted[1]).max())


def test_gradient_equals_central_differences():
    net = StageNetwork(2, (6, 5), "sin", 4.0)
    random = np.random.default_rng(0)
    row, x, y = random.normal(size=net.size), random.uniform(-1, 1, (40, 2)), random.normal(size=40)
    gradient = net.loss_and_gradient(row, x, y)[1]
    step = 1e-5 * np.eye(net.size)
    found = [
        (net.loss_and_gradient(row + h, x, y)[0] - net.loss_and_gradient(row - h, x, y)[0]) / 2e-5
        for h in step
    ]
    np.testing.assert_allclose(gradient, found, atol=1e-7 * abs(gradient).max())


def test_output_is_the_basis_times_the_last_layer():
    net = StageNetwork(3, (5, 8), "cos", 2.0)
    row, x = net.initial(np.random.default_rng(1)) + 0.1, np.random.default_rng(2).uniform(-1, 1, (11, 3))
    np.testing.assert_allclose(net.predict(row, x), net.basis(row, x) @ row[-9:-1] + row[-1], atol=1e-14)


def test_initial_weights_are_xavier_cut_at_two_deviations():
    net = StageNetwork(2, (300, 200))
    row = net.initial(np.random.default_rng(3))
    assert row.shape == (net.size,) == (2 * 300 + 300 + 300 * 200 + 200 + 200 + 1,)
    cut = 0.8796256610342398  # standard deviation of a standard normal variable cut at 2
    for weights, bias in net.layers(row):
        deviation = (2 / sum(weights.shape)) ** 0.5
        assert abs(weights).max() <= 2 * deviation
        assert weights.std() == pytest.approx(cut * deviation, rel=5 / weights.size**0.5)
        assert not bias.any()
    np.testing.assert_array_equal(row, net.initial(np.random.default_rng(3)))
    assert (row != net.initial(np.random.default_rng(4))).any()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ((0, (3,)), "inputs"), ((1.0, (3,)), "inputs"), ((True, (3,)), "inputs"),
        ((1, ()), "hidden"), ((1, (3, 0)), "hidden"), ((1, 3), "hidden"), ((1, "33"), "hidden"),
        ((1, (2.5,)), "hidden"), ((1, (3,), "sine"), "did you mean 'sin'"), ((1, (3,), "sin", 0.0), "scale"),
        ((1, (3,), "sin", np.inf), "scale"),
    ],
)  # fmt: skip
def test_networks_that_cannot_be(settings, named):
    with pytest.raises((ValueError, TypeError), match=named):
        StageNetwork(*settings)


# --- self-scaled BFGS -------------------------------------------------------------------------------------


def quadratic(size: int, seed: int = 0, condition: float = 100.0):
    """``(p - c).A (p - c) / 2`` and the place of its minimum, by a linear solve."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.normal(size=(size, size)))[0]
    matrix = turn @ np.diag(np.geomspace(1, condition, size)) @ turn.T
    right = random.normal(size=size)
    place = np.linalg.solve(matrix, right)

    def function(p):
        return 0.5 * (p - place) @ matrix @ (p - place), matrix @ p - right

    return function, place


def rosenbrock(p):
    a, b = p[:-1], p[1:]
    gradient = np.zeros_like(p)
    gradient[:-1] += -2 * (1 - a) - 400 * a * (b - a * a)
    gradient[1:] += 200 * (b - a * a)
    return float(np.sum((1 - a) ** 2 + 100 * (b - a * a) ** 2)), gradient


@pytest.mark.parametrize("size", [1, 2, 5, 20, 40])
def test_bfgs_finds_the_minimum_of_a_quadratic(size):
    function, place = quadratic(size)
    found = self_scaled_bfgs(function, np.zeros(size), max_iter=1000)
    assert found.reason == "round-off"
    np.testing.assert_allclose(found.x, place, atol=1e-8 * abs(place).max())
    near = np.flatnonzero(found.history <= 1e-8 * found.history[0])[0]
    assert near <= 2 * size + 12  # a quasi-Newton method that learned nothing would need 100 times as many


def test_bfgs_on_a_quadratic_of_small_and_of_huge_values():
    for power in (-20, 130):
        function, place = quadratic(4)

        def sized(p, function=function, power=power):
            value, gradient = function(p)
            return 10.0**power * value, 10.0**power * gradient

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = self_scaled_bfgs(sized, np.zeros(4), max_iter=300)
        assert found.value < 1e-12 * found.history[0]


def test_bfgs_at_a_minimum_or_with_negative_values():
    def bowl(p):
        return float(p @ p) / 2 - 5, p

    assert self_scaled_bfgs(bowl, np.zeros(3), max_iter=9).reason == "round-off"
    assert self_scaled_bfgs(bowl, np.ones(3), max_iter=99).value == pytest.approx(-5)
    assert l_bfgs(bowl, np.ones(3), max_iter=99).value == pytest.approx(-5)


@pytest.mark.parametrize("search", [self_scaled_bfgs, l_bfgs])
@pytest.mark.parametrize("size", [2, 10])
def test_rosenbrock(search, size):
    start = np.where(np.arange(size) % 2, 1.0, -1.2)
    kept, calls = start.copy(), []

    def counted(p):
        calls.append(1)
        return rosenbrock(p)

    found = search(counted, start, max_iter=2000)
    np.testing.assert_allclose(found.x, 1, atol=1e-6)
    np.testing.assert_array_equal(start, kept)
    assert found.evaluations == len(calls)
    assert found.value == pytest.approx(rosenbrock(found.x)[0], rel=1e-9, abs=1e-300)
    assert len(found.history) == found.iterations + 1
    assert found.history[0] == rosenbrock(start)[0]
    assert found.reason == "round-off"


@given(seeds, st.integers(1, 12))
def test_bfgs_never_climbs(seed, size):
    random = np.random.default_rng(seed)
    rows, shift = random.normal(size=(2 * size, size)), random.normal(size=2 * size)

    def function(p):
        bent = np.tanh(rows @ p) - shift
        return 0.5 * float(bent @ bent), rows.T @ (bent * (1 - np.tanh(rows @ p) ** 2))

    found = self_scaled_bfgs(function, random.normal(size=size), max_iter=60)
    assert (np.diff(found.history) < 0).all()
    assert found.value == found.history[-1] == function(found.x)[0]
    assert found.iterations == len(found.history) - 1 <= 60


def test_bfgs_tolerance():
    function, _ = quadratic(20)
    loose = self_scaled_bfgs(function, np.zeros(20), max_iter=1000, tolerance=1e-3)
    assert loose.reason == "tolerance"
    assert loose.history[-1] <= 1e-3 < loose.history[-2]
    assert self_scaled_bfgs(function, loose.x, max_iter=1000, tolerance=1e-3).iterations == 0
    exact = self_scaled_bfgs(function, np.zeros(20), max_iter=loose.iterations, tolerance=1e-3)
    assert exact.reason == "tolerance"  # also if the last step that is allowed reaches it


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "auto"])
@pytest.mark.parametrize("broken", ["value", "gradient"])
def test_start_that_is_not_finite_is_refused(name, broken):
    def function(p):
        value, gradient = rosenbrock(p)
        return (np.nan, gradient) if broken == "value" else (value, np.full_like(p, np.inf))

    with pytest.raises(ValueError, match="start"):
        minimize(function, np.zeros(2), name, max_iter=10)


@pytest.mark.parametrize("outside", [np.inf, np.nan])
@pytest.mark.parametrize("gradient_too", [True, False])
def test_bfgs_survives_values_that_are_not_finite(outside, gradient_too):
    """``p - log p`` is defined for positive p only; its minimum is at 1."""

    def barrier(p):
        if (p <= 0).any():
            return outside, np.full_like(p, np.nan if gradient_too else 1.0)
        return float(np.sum(p - np.log(p))), 1 - 1 / p

    found = self_scaled_bfgs(barrier, np.array([30.0, 1e-3, 4.0]), max_iter=200)
    np.testing.assert_allclose(found.x, 1, atol=1e-6)


def test_bfgs_survives_a_finite_value_whose_gradient_is_not():
    """The steps to the minimum at 45 double, and the first that is too long is lower than the start."""

    def distance(p):
        away = np.hypot(p - 45, 1)
        return float(away[0]), np.where(p > 50, np.nan, (p - 45) / away)

    assert self_scaled_bfgs(distance, np.array([0.0]), max_iter=200).x == pytest.approx(45, abs=1e-6)


def test_bfgs_is_silent_where_a_search_overflows():
    def steep(p):
        return float(np.exp(np.exp(p[0])) - np.exp(p[0])), np.exp(p) * np.exp(np.exp(p)) - np.exp(p)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = self_scaled_bfgs(lambda p: steep(p), np.array([1.5]), max_iter=50)
    assert found.value < found.history[0]


@given(seeds, st.integers(1, 9), st.floats(1, 50))
def test_update_is_the_textbook_formula(seed, size, factor):
    random = np.random.default_rng(seed)
    root = random.normal(size=(size, size))
    inverse = root @ root.T + np.eye(size)
    move, change = random.normal(size=(2, size))
    if move @ change < 0:
        change = -change
    change = change + 0.3 * move * np.linalg.norm(change) / np.linalg.norm(move)  # well away from 0
    curvature = move @ change
    left = np.eye(size) - np.outer(move, change) / curvature
    expected = left @ (factor * inverse) @ left.T + np.outer(move, move) / curvature

    turned, found = inverse @ change, inverse.copy()
    _update(found, move, turned, curvature, change @ turned, factor)
    tight = 1e-11 * abs(expected).max() * max(1, np.linalg.norm(change) ** 2 / curvature)
    np.testing.assert_allclose(found, expected, atol=tight)
    np.testing.assert_allclose(found, found.T, atol=tight)
    np.testing.assert_allclose(found @ change, move, atol=tight * np.linalg.norm(change) * size)
    assert np.linalg.eigvalsh(found).min() > 0


def test_steps_are_those_of_the_self_scaled_formula():
    """The path anew, with matrices: every step that the search takes is along the textbook direction."""
    path = [np.array([-1.2, 1.0, 0.7])]
    self_scaled_bfgs(rosenbrock, path[0], max_iter=15, callback=lambda step, p, value: path.append(p))
    inverse = None
    for before, here, after in zip(path, path[1:], path[2:], strict=False):
        move, gradient = here - before, rosenbrock(before)[1]
        change = rosenbrock(here)[1] - gradient
        curvature = move @ change
        if inverse is None:
            inverse, factor = curvature / (change @ change) * np.eye(3), 1.0
        else:
            factor = max(1.0, move @ np.linalg.solve(inverse, move) / curvature)
        left = np.eye(3) - np.outer(move, change) / curvature
        inverse = left @ (factor * inverse) @ left.T + np.outer(move, move) / curvature
        direction, taken = -inverse @ rosenbrock(here)[1], after - here
        assert direction @ taken == pytest.approx(np.linalg.norm(direction) * np.linalg.norm(taken), rel=1e-9)


# --- minimizers -------------------------------------------------------------------------------------------


def test_adam_equals_torch():
    random = np.random.default_rng(5)
    rows, right = random.normal(size=(30, 8)), random.normal(size=30)

    def function(p):
        left = np.sin(rows @ p) - right
        return 0.5 * float(left @ left), rows.T @ (left * np.cos(rows @ p))

    leaf = torch.tensor(np.linspace(-1, 1, 8), requires_grad=True)
    theirs = torch.optim.Adam([leaf], lr=3e-2)
    path, losses = [], []
    for _ in range(50):
        theirs.zero_grad()
        loss = ((torch.sin(torch.tensor(rows) @ leaf) - torch.tensor(right)) ** 2).sum() / 2
        loss.backward()
        losses.append(loss.item())
        theirs.step()
        path.append(leaf.detach().numpy().copy())
    mine = []
    found = adam(
        function, np.linspace(-1, 1, 8), max_iter=50, learning_rate=3e-2,
        callback=lambda step, p, value: mine.append(p),
    )  # fmt: skip
    np.testing.assert_allclose(mine, path, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.history[:-1], losses, rtol=1e-12)
    assert (found.iterations, found.evaluations, found.reason) == (50, 51, "iterations")


def test_l_bfgs_equals_scipy_on_an_ordinary_problem():
    start = np.array([-1.2, 1.0, -0.5, 0.3])
    path, theirs = [], []
    for steps in (1, 5, 20):
        ours = l_bfgs(rosenbrock, start, max_iter=steps, history=7)
        path.append(ours.x)
        value = rosenbrock(start)[0]
        options = {"maxiter": steps, "maxcor": 7, "ftol": 0, "gtol": 0}
        found = scipy_minimize(
            lambda p, scale=1 / value: tuple(scale * part for part in rosenbrock(p)), start, jac=True,
            method="L-BFGS-B", options=options,
        )  # fmt: skip
        theirs.append(found.x)
        assert ours.iterations == steps
        assert ours.reason == "iterations"
        assert ours.evaluations == 1 + found.nfev
    np.testing.assert_allclose(path, theirs, rtol=0, atol=1e-12)


def test_l_bfgs_goes_on_to_round_off_where_scipy_stops():
    function, place = quadratic(10, condition=1e4)

    def tiny(p):
        value, gradient = function(p)
        return 1e-20 * value, 1e-20 * gradient

    stopped = scipy_minimize(tiny, np.zeros(10), jac=True, method="L-BFGS-B")
    found = l_bfgs(tiny, np.zeros(10), max_iter=3000)
    assert found.reason == "round-off"
    assert abs(found.x - place).max() < 1e-9 < abs(stopped.x - place).max()
    assert found.value < 1e-18 * tiny(np.zeros(10))[0]
    assert found.evaluations > found.iterations


def test_adam_and_l_bfgs_counts():
    seen = []
    found = minimize(
        rosenbrock, np.array([-1.2, 1.0]), "adam+l-bfgs", max_iter=40,
        callback=lambda step, p, value: seen.append((step, value)) and None,
    )  # fmt: skip
    assert [step for step, _ in seen] == list(range(1, found.iterations + 1))
    assert found.iterations == 40
    np.testing.assert_array_equal(found.history, [rosenbrock(np.array([-1.2, 1.0]))[0], *dict(seen).values()])
    alone = adam(rosenbrock, np.array([-1.2, 1.0]), max_iter=12)
    np.testing.assert_array_equal(found.history[:13], alone.history)
    then = l_bfgs(rosenbrock, alone.x, max_iter=28)
    np.testing.assert_array_equal(found.x, then.x)
    assert found.evaluations == alone.evaluations + then.evaluations


@pytest.mark.parametrize("most", [1, 2, 3])
def test_adam_and_l_bfgs_with_few_iterations(most):
    assert minimize(rosenbrock, np.array([-1.2, 1.0]), "adam+l-bfgs", max_iter=most).iterations == most


def test_auto_is_bfgs_for_few_parameters_and_l_bfgs_for_many():
    function, _ = quadratic(6)
    auto, named = (minimize(function, [0.0] * 6, name, max_iter=9) for name in ("auto", "self-scaled-bfgs"))
    np.testing.assert_array_equal(auto.x, named.x)

    def wide(p):
        return float(p @ (p * np.arange(1, p.size + 1))) / p.size, 2 * p * np.arange(1, p.size + 1) / p.size

    auto, named = (minimize(wide, np.ones(LARGE + 1), name, max_iter=5) for name in ("auto", "l-bfgs"))
    np.testing.assert_array_equal(auto.x, named.x)


def test_unknown_optimizer_is_refused_with_a_hint():
    with pytest.raises(ValueError, match="optimizer must be one of .*did you mean 'l-bfgs'"):
        minimize(rosenbrock, np.zeros(2), "lbfgs", max_iter=1)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("end", [1, 4, 9])
def test_callback_ends_the_search_and_sees_every_step(name, end):
    seen = []

    def callback(step, p, value):
        seen.append((step, p, value))
        return step == end

    found = minimize(rosenbrock, np.array([-1.2, 1.0]), name, max_iter=20, callback=callback)
    assert [step for step, _, _ in seen] == list(range(1, end + 1))
    assert (found.reason, found.iterations) == ("callback", end)
    np.testing.assert_array_equal(found.x, seen[-1][1])
    for _, p, value in seen:  # the points are not overwritten afterwards
        assert value == pytest.approx(rosenbrock(p)[0], rel=1e-12)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("most", [0, 1, 7])
def test_max_iter_is_respected(name, most):
    found = minimize(rosenbrock, np.array([-1.2, 1.0]), name, max_iter=most)
    assert (found.iterations, found.reason, len(found.history)) == (most, "iterations", most + 1)


# --- frequency --------------------------------------------------------------------------------------------


def periodic(side: int, dimensions: int) -> np.ndarray:
    axis = -1 + 2 * np.arange(side) / side
    return np.stack(np.meshgrid(*[axis] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)


def test_spectrum_equals_the_fft_on_a_periodic_grid():
    x = periodic(64, 1)
    values = np.random.default_rng(0).normal(size=64)
    wavenumbers, magnitudes = scattered_spectrum(x, values)
    np.testing.assert_array_equal(wavenumbers[:, 0], np.arange(17))
    np.testing.assert_allclose(magnitudes, 2 / 64 * abs(np.fft.rfft(values))[:17], atol=1e-11)


def test_spectrum_gives_amplitudes():
    x = periodic(64, 1)[:, 0]
    values = 3 * np.cos(5 * np.pi * x + 1) + 0.25 * np.sin(11 * np.pi * x) + 2
    magnitudes = scattered_spectrum(x[:, None], values)[1]
    expected = np.zeros(17)
    expected[[0, 5, 11]] = 4, 3, 0.25  # of the mean 2 twice as much
    np.testing.assert_allclose(magnitudes, expected, atol=1e-11)


def test_spectrum_in_two_dimensions():
    x, y = periodic(24, 2).T
    values = 1.5 * np.cos(np.pi * (3 * x - 2 * y) + 0.4) + 0.5 * np.sin(np.pi * 5 * y)
    wavenumbers, magnitudes = scattered_spectrum(np.column_stack([x, y]), values)
    found = {
        tuple(int(k) for k in pair): round(float(size), 9)
        for pair, size in zip(wavenumbers, magnitudes, strict=True) if size > 1e-9
    }  # fmt: skip
    assert found == {(3, -2): 1.5, (0, 5): 0.5}
    pairs = {tuple(pair) for pair in wavenumbers.tolist()}
    assert len(pairs) == (13**2 + 1) // 2  # -6..6 on both axes, one of each pair
    assert not any((-a, -b) in pairs for a, b in pairs - {(0, 0)})
    table = 2 / 24**2 * abs(np.fft.fft2(values.reshape(24, 24)))
    np.testing.assert_allclose(magnitudes, [table[a, b] for a, b in wavenumbers], atol=1e-11)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_spectrum_of_scattered_points_is_the_direct_sum(dimensions):
    random = np.random.default_rng(dimensions)
    points, residue = random.uniform(-1, 1, (700, dimensions)), random.normal(size=700)
    wavenumbers, magnitudes = scattered_spectrum(points, residue)
    direct = 2 / 700 * abs(np.exp(-1j * np.pi * wavenumbers @ points.T) @ residue)
    np.testing.assert_allclose(magnitudes, direct, atol=1e-10)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
@pytest.mark.parametrize("side", [4, 8, 12, 16])
def test_spectrum_reaches_half_of_what_a_grid_resolves(dimensions, side):
    """A quarter wave per point; the root of 512 points is 8 also in floating point."""
    points = periodic(side, dimensions)
    assert scattered_spectrum(points, np.ones(len(points)))[0].max() == side // 4


def test_spectrum_has_at_most_three_dimensions():
    with pytest.raises(ValueError, match="points must have at most 3 dimensions"):
        scattered_spectrum(np.zeros((9, 4)), np.zeros(9))


@pytest.mark.parametrize(
    ("waves", "count"), [((17,), 500), ((4, 7), 4000), ((7, -3), 4000), ((3, -2, 4), 20_000)]
)
def test_dominant_frequency_of_a_plane_wave(waves, count):
    waves = np.array(waves)
    points = np.random.default_rng(0).uniform(-1, 1, (count, len(waves)))
    wave = np.sin(np.pi * points @ waves + 0.3) + 0.7
    true = np.pi * np.linalg.norm(waves)
    assert dominant_wavenumber(points, wave) == pytest.approx(true, rel=1e-12)
    # a line crosses a plane wave less often than an isotropic field of that wavenumber
    assert 0.75 * true < dominant_wavenumber(points, wave - 0.7, "crossings") < 1.1 * true


def test_dominant_frequency_in_five_dimensions_counts_crossings():
    direction = np.array([1.0, -2, 0.5, 1, 1])
    points = np.random.default_rng(0).uniform(-1, 1, (20_000, 5))
    wave = np.sin(points @ direction)
    found = dominant_wavenumber(points, wave)
    assert found == dominant_wavenumber(points, wave, "crossings")
    assert found == pytest.approx(np.linalg.norm(direction), rel=0.3)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_crossings_are_right_for_an_isotropic_field(dimensions):
    """Rice's formula: the wavenumber that counts is the root mean square along the field's spectrum."""
    random = np.random.default_rng(7)
    directions = random.normal(size=(300, dimensions))
    directions *= 8 / np.linalg.norm(directions, axis=1, keepdims=True)
    points = random.uniform(-1, 1, (30_000, dimensions))
    field = sum(np.cos(points @ k + random.uniform(0, 7)) for k in directions)
    assert dominant_wavenumber(points, field, "crossings") == pytest.approx(8, rel=0.12)


def test_unknown_method_is_refused():
    with pytest.raises(ValueError, match="did you mean 'spectrum'"):
        dominant_wavenumber(np.zeros((3, 1)), np.zeros(3), "spectra")


@pytest.mark.parametrize("gridded", [True, False])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_sign_changes_of_noise_and_of_smooth_functions(dimensions, gridded):
    random = np.random.default_rng(0)
    points = periodic(round(4096 ** (1 / dimensions)), dimensions)
    if not gridded:
        points = random.uniform(-1, 1, points.shape)
    noise = sign_changes(points, random.normal(size=len(points)))[0]
    assert noise == pytest.approx(0.5, abs=0.04)
    for axis in range(dimensions):  # whichever way the waves run
        share, rate = sign_changes(points, np.sin(9 * points[:, axis] + 0.2))
        assert 0 < share < 0.15
        met = 1 / dimensions if gridded else (1, 2 / np.pi, 1 / 2)[dimensions - 1]  # mean of |cos|
        assert rate == pytest.approx(5 / 2 * met, rel=0.25)  # five zeros on a line of length 2


def test_noise_along_one_axis_of_a_grid_is_noticed_whichever_it_is():
    points = periodic(40, 2)
    rows = np.random.default_rng(1).normal(size=40)
    along = [
        sign_changes(points, rows[np.round((points[:, axis] + 1) * 20).astype(int)])[0] for axis in (0, 1)
    ]
    assert along[0] == pytest.approx(along[1], abs=0.03)
    assert along[0] == pytest.approx(0.25, abs=0.1)


def test_zeros_are_counted_per_length():
    x = np.linspace(-1, 1, 1000)
    assert sign_changes(x[:, None], np.where(x > 0.3, 1.0, -1.0)) == pytest.approx((1 / 999, 1 / 2))
    zeros = np.where(np.arange(1000) % 2, 0.0, -0.0)
    assert sign_changes(x[:, None], zeros) == (0, 0)  # both are zero


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_points_that_all_coincide(dimensions):
    points, residue = np.zeros((12, dimensions)), np.random.default_rng(0).normal(size=12)
    assert sign_changes(points, residue) == (0, 0)
    assert dominant_wavenumber(points, residue, "crossings") == 0
    assert np.isfinite(dominant_wavenumber(points, residue))


def test_points_given_twice_count_once():
    random = np.random.default_rng(2)
    points = random.uniform(-1, 1, (200, 2))
    residue = np.sin(9 * points.sum(axis=1))
    assert sign_changes(np.tile(points, (3, 1)), np.tile(residue, 3)) == sign_changes(points, residue)


@given(seeds, st.integers(1, 4), st.booleans(), st.booleans())
def test_order_of_the_points_does_not_matter(seed, dimensions, gridded, repeated):
    random = np.random.default_rng(seed)
    points = periodic(3, dimensions) if gridded else random.uniform(-1, 1, (60, dimensions))
    if repeated:
        points = np.concatenate([points, points[::2], points[::3]])
    residue = np.sin(5 * points.sum(axis=1)) + random.normal(size=len(points))
    order = random.permutation(len(points))
    assert sign_changes(points, residue) == sign_changes(points[order], residue[order])
    for method in METHODS:
        found = dominant_wavenumber(points[order], residue[order], method)
        assert found == pytest.approx(dominant_wavenumber(points, residue, method), rel=1e-12)


# --- scale factor -----------------------------------------------------------------------------------------


@given(st.floats(0, 1e6), st.integers(2, 5000), st.integers(1, 3), st.integers(1, 200))
def test_scale_factor(frequency, count, dimensions, units):
    points = np.zeros((count, dimensions))
    deviation = np.sqrt(2 / (dimensions + units))
    found = scale_factor(frequency, points, units)
    distance = 2 / max(count ** (1 / dimensions) - 1, 1)
    shortest = 2 * np.pi / (4 * distance)  # four points per wave
    assert found == pytest.approx(max(1, min(frequency, shortest) / (2 * deviation)))
    assert isinstance(found, float)
    assert found <= max(1, scale_factor(1e300, points, units))
