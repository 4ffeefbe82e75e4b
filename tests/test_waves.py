"""Networks on waves, and how they are fitted: by autograd, NumPy's FFT and sums that are written out here."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from torch.autograd.functional import jacobian

from specbias.multistage import MultistageRegressor, blocks, published, waves
from specbias.multistage.features import AbsorbedLayer, FeatureLayer
from specbias.multistage.gauss_newton import gauss_newton
from specbias.multistage.published import fit_published
from specbias.multistage.spectral_network import LEAST, SpectralNetwork
from specbias.multistage.transforms import DenseTransform, GridTransform, Lattice
from specbias.multistage.waves import WaveNetwork, choose_modes, extend, fit_waves, is_periodic, noise_level
from specbias.provenance import chosen_device
from specbias.training import threads
from specbias.training.threads import own_threads

HIDDEN = [(3,), (4, 3), (3, 2, 4)]
LATTICE = Lattice((-1.0, 0.5), (0.3, 0.25), (5, 7), (6, 7))
WAVES = np.array([[0, 0], [1, 0], [0, 1], [-2, 3], [3, -1]])
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=6)


@contextmanager
def small_blocks(points: int = 8):
    """More blocks of points than one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "BLOCK", points)
        yield


@contextmanager
def torch_threads(number: int):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cosines(row, points, wavenumbers, units: int):
    """First layer, absorbed: each unit's sum of waves, by its definition."""
    split = row.reshape(units, len(wavenumbers), 2)
    angle = torch.as_tensor(wavenumbers) @ torch.as_tensor(points).T
    return split[..., 0] @ torch.cos(angle) - split[..., 1] @ torch.sin(angle)


def behind(values, tail, hidden):
    """Tanh layers on what the first layer sums up; output, and the last hidden layer."""
    pieces, at = [], 0
    for into, out in pairwise((0, *hidden, 1)):
        weights = tail[at : at + into * out].reshape(out, into)
        pieces.append((weights, tail[at + into * out : at + into * out + out]))
        at += into * out + out
    assert at == len(tail)
    state = torch.tanh(values + pieces[0][1][:, None])
    for weights, bias in pieces[1:-1]:
        state = torch.tanh(weights @ state + bias[:, None])
    return (pieces[-1][0] @ state)[0] + pieces[-1][1], state


def by_hand(row, points, wavenumbers, hidden):
    row, first = torch.as_tensor(row), 2 * hidden[0] * len(wavenumbers)
    values = cosines(row[:first], points, wavenumbers, hidden[0])
    return behind(values, row[first:], hidden)[0]


def absorbed(hidden, lattice: Lattice = LATTICE, numbers: np.ndarray = WAVES) -> SpectralNetwork:
    return SpectralNetwork(AbsorbedLayer(GridTransform(lattice, numbers), hidden[0]), hidden)


def draw(network: SpectralNetwork, seed: int, spread: float = 0.4) -> tuple[torch.Tensor, torch.Tensor]:
    """A row of parameters, and values to fit."""
    generator = np.random.default_rng(seed)
    count = network.layer.values(torch.zeros(network.layer.size, dtype=torch.float64)).shape[1]
    parts = spread * generator.standard_normal(network.size), generator.standard_normal(count)
    return torch.from_numpy(parts[0]), torch.from_numpy(parts[1])


# --- the network ------------------------------------------------------------------------------------------


def featured(hidden) -> tuple[SpectralNetwork, object]:
    """On the published layer, all of it trained; and the same as a function of the row."""
    points, generator = LATTICE.points(), np.random.default_rng(1)
    m, amplitudes = len(WAVES), generator.uniform(0.5, 2, len(WAVES))
    layer = FeatureLayer(
        points, WAVES * LATTICE.base, amplitudes, np.zeros(m), hidden[0], train=("W", "b", "B")
    )

    def function(row):
        weights, phases, wavenumbers = row.split([hidden[0] * m, m, 2 * m, len(row) - (hidden[0] + 3) * m])[
            :3
        ]
        angle = wavenumbers.reshape(m, 2) @ torch.from_numpy(points).T + phases[:, None]
        values = weights.reshape(hidden[0], m) @ (torch.from_numpy(amplitudes)[:, None] * torch.cos(angle))
        return behind(values, row[(hidden[0] + 3) * m :], hidden)[0]

    return SpectralNetwork(layer, hidden), function


@few
@given(seed=seeds)
@pytest.mark.parametrize("kind", ["absorbed", "published"])
@pytest.mark.parametrize("power", [2, 10])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_loss_and_gradient_are_those_of_autograd(hidden, power, kind, seed):
    if kind == "absorbed":
        network = absorbed(hidden)

        def function(row):
            return by_hand(row, LATTICE.points(), WAVES * LATTICE.base, hidden)
    else:
        network, function = featured(hidden)
    row, goal = draw(network, seed)
    leaf = row.clone().requires_grad_()
    left = (function(leaf) - goal).abs()
    expected = (left**2).mean() / 2 if power == 2 else (left**power).mean() ** (1 / power)
    expected.backward()
    before = row.clone()
    with small_blocks():
        loss, gradient = network.loss_and_gradient(row, goal, power)
    assert loss == pytest.approx(float(expected.detach()), rel=1e-12)
    np.testing.assert_allclose(gradient, leaf.grad, rtol=0, atol=1e-11 * (1 + float(leaf.grad.abs().max())))
    assert torch.equal(row, before)


@few
@given(seed=seeds)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_outputs_residual_and_basis_are_of_one_network(hidden, seed):
    network = absorbed(hidden)
    row, goal = draw(network, seed)
    expected = by_hand(row, LATTICE.points(), WAVES * LATTICE.base, hidden)
    first = network.layer.size
    last = behind(network.layer.values(row[:first]), row[first:], hidden)[1]
    with small_blocks():
        left, states = network.residual(row, goal)
        np.testing.assert_allclose(network.predict(row), expected, atol=1e-13)
        np.testing.assert_allclose(left, expected - goal, atol=1e-13)
        np.testing.assert_allclose(network.basis(row), last, atol=1e-13)
    assert [tuple(state.shape) for state in states] == [(units, len(goal)) for units in hidden]
    np.testing.assert_allclose(states[-1], last, atol=1e-13)
    loss = network.loss_and_gradient(row, goal)[0]
    assert loss == pytest.approx(float((left**2).mean()) / 2, rel=1e-13)


def test_a_first_row_has_the_given_layer_xavier_weights_and_no_bias():
    network = absorbed((60, 50))
    first = torch.arange(network.layer.size, dtype=torch.float64)
    row = network.initial(first, np.random.default_rng(0))
    assert row.shape == (network.size,) and torch.equal(row[: len(first)], first)
    _, (bias0, weights, bias1, last, bias2) = network.split(row)
    assert not bias0.any() and not bias1.any() and not bias2.any()
    for part in (weights, last):
        assert float(part.std()) == pytest.approx((2 / sum(part.shape)) ** 0.5, rel=5 / part.numel() ** 0.5)


# --- its Jacobian -----------------------------------------------------------------------------------------


def dense_jacobian(row, hidden) -> torch.Tensor:
    return jacobian(lambda at: by_hand(at, LATTICE.points(), WAVES * LATTICE.base, hidden), row)


@few
@given(seed=seeds)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_products_with_the_jacobian_are_those_of_autograd(hidden, seed):
    network = absorbed(hidden)
    row, goal = draw(network, seed)
    dense = dense_jacobian(row, hidden)
    generator = np.random.default_rng(seed)
    change, values = (torch.from_numpy(generator.standard_normal(n)) for n in (network.size, len(goal)))
    with small_blocks():
        states = network.residual(row, goal)[1]
        double, single = (network.linearize(row, states, dtype) for dtype in (torch.float64, torch.float32))
        forward, adjoint = double.forward(change), double.adjoint(values)
        halves = single.forward(change.float()), single.adjoint(values.float())
    size = float((dense * double.scale).abs().max()) * network.size
    np.testing.assert_allclose(forward, dense @ (change * double.scale), atol=1e-13 * size)
    np.testing.assert_allclose(adjoint, (values @ dense) * double.scale, atol=1e-13 * size * len(goal))
    assert float(forward @ values) == pytest.approx(float(change @ adjoint), abs=1e-12 * size)
    assert (halves[0].dtype, halves[1].dtype) == (torch.float32, torch.float32)
    np.testing.assert_allclose(halves[0], forward, atol=1e-5 * size)
    np.testing.assert_allclose(halves[1], adjoint, atol=1e-5 * size)


def test_the_product_forward_is_a_difference_of_outputs():
    network = absorbed((4, 3))
    row, goal = draw(network, 5)
    linear = network.linearize(row, network.residual(row, goal)[1], torch.float64)
    change = torch.from_numpy(np.random.default_rng(6).standard_normal(network.size))
    step = 1e-5 * change * linear.scale
    difference = (network.predict(row + step) - network.predict(row - step)) / 2e-5
    np.testing.assert_allclose(linear.forward(change), difference, atol=1e-6 * float(difference.abs().max()))


@few
@given(seed=seeds)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_columns_are_divided_by_their_root_mean_square(hidden, seed):
    """Of one unit's waves by a common one: cos² + sin² is 1, so that the mean of a pair is known exactly."""
    network = absorbed(hidden)
    row, goal = draw(network, seed)
    squares = (dense_jacobian(row, hidden) ** 2).mean(dim=0)
    first = network.layer.size
    squares[:first] = squares[:first].reshape(-1, 2).mean(dim=1).repeat_interleave(2)
    of_units = squares[:first].reshape(hidden[0], -1)
    torch.testing.assert_close(of_units, of_units[:, :1].expand_as(of_units))
    expected = squares.clamp(min=LEAST * float(squares.max())) ** -0.5
    with small_blocks():
        scale = network.linearize(row, network.residual(row, goal)[1], torch.float64).scale
    np.testing.assert_allclose(scale, expected, rtol=1e-9)


# --- threads ----------------------------------------------------------------------------------------------


def test_nothing_depends_on_the_number_of_threads():
    lattice = Lattice((-1.0, -1.0), (0.1, 0.1), (20, 20), (20, 20))
    network = absorbed((6, 5), lattice)
    row, goal = draw(network, 3)
    found = []
    with small_blocks(37):
        for number in (1, 2):
            with torch_threads(number):
                of_both = [network.loss_and_gradient(row, goal, power) for power in (2, 10)]
                assert torch.get_num_threads() == number
                left, states = network.residual(row, goal)
                fitted = gauss_newton(network, row, goal, max_iter=30, patience=100)
                assert torch.get_num_threads() == number
                arrays = [of_both[0][1], of_both[1][1], left, *states, network.basis(row), fitted.row]
                found.append(([loss for loss, _ in of_both], arrays, fitted.history))
    assert found[0][0] == found[1][0]
    for one, two in zip(found[0][1], found[1][1], strict=True):
        assert torch.equal(one, two)
    np.testing.assert_array_equal(found[0][2], found[1][2])


def test_threads_of_pytorch_are_given_back():
    with torch_threads(2):
        with own_threads():
            assert (torch.get_num_threads(), threads.count()) == (1, 2)
            with own_threads():
                assert (torch.get_num_threads(), threads.count()) == (1, 2)
            assert (torch.get_num_threads(), threads.count()) == (1, 2)
            with pytest.raises(KeyError), own_threads():
                raise KeyError
            assert (torch.get_num_threads(), threads.count()) == (1, 2)
        assert (torch.get_num_threads(), threads.count()) == (2, 2)
        with pytest.raises(KeyError), own_threads(), own_threads():
            raise KeyError
        assert (torch.get_num_threads(), threads.count()) == (2, 2)
        network = absorbed((2,))
        row, goal = draw(network, 0)
        with pytest.raises(ValueError, match="start"):  # a decorated function, and it fails
            gauss_newton(network, row * np.nan, goal, max_iter=1)
        assert (torch.get_num_threads(), threads.count()) == (2, 2)


# --- Gauss-Newton -----------------------------------------------------------------------------------------


def test_of_a_linear_problem_it_finds_the_least_squares_solution():
    """Values so small that tanh is linear, output weights so large that only the waves' need to change."""
    lattice = Lattice((-1.0,), (0.05,), (40,), (40,))
    numbers = np.arange(1, 6)[:, None]
    network = absorbed((2,), lattice, numbers)
    generator = np.random.default_rng(0)
    goal = generator.standard_normal(40)
    first = torch.from_numpy(1e-9 * generator.standard_normal(network.layer.size))
    row = torch.cat([first, torch.tensor([0, 0, 1e8, -1.3e8, 0], dtype=torch.float64)])
    fitted = gauss_newton(network, row, torch.from_numpy(goal), max_iter=400)
    angle = lattice.points() @ (numbers * lattice.base).T
    basis = np.column_stack([np.cos(angle), np.sin(angle), np.ones(40)])
    best = basis @ np.linalg.lstsq(basis, goal)[0]
    np.testing.assert_allclose(network.predict(fitted.row), best, atol=1e-5)
    assert fitted.history[-1, 1] == pytest.approx(np.sqrt(np.mean((best - goal) ** 2)), rel=1e-9)


@few
@given(seed=seeds, dtype=st.sampled_from([torch.float32, torch.float64]), spread=st.floats(0.01, 3))
@pytest.mark.parametrize("hidden", HIDDEN)
def test_the_residual_never_grows(hidden, seed, dtype, spread):
    network = absorbed(hidden)
    row, goal = draw(network, seed, spread)
    seen = []
    fitted = gauss_newton(
        network, row, goal, max_iter=60, dtype=dtype, callback=lambda *at: seen.append((at[0], at[2]))
    )
    spent, sizes = fitted.history.T
    assert (np.diff(sizes) <= 0).all() and (np.diff(spent) >= 1).all()
    assert fitted.history[1:].tolist() == [list(pair) for pair in seen]
    assert (spent[0], spent[-1]) == (0, fitted.iterations) and fitted.iterations <= 60
    left = by_hand(fitted.row, LATTICE.points(), WAVES * LATTICE.base, hidden) - goal
    assert sizes[-1] == pytest.approx(float((left**2).mean() ** 0.5), rel=1e-10)


@pytest.mark.parametrize("most", [1, 2, 5, 13, 31])
@pytest.mark.parametrize("inner", [3, 100])
def test_iterations_are_as_many_as_allowed(most, inner):
    network = absorbed((4, 3))
    row, goal = draw(network, 2)
    fitted = gauss_newton(network, row, goal, max_iter=most, inner=inner, patience=10**6)
    assert (fitted.iterations, fitted.reason) == (most, "iterations")
    assert np.diff(fitted.history[:, 0]).max() <= inner


def test_why_it_ends():
    network = absorbed((4, 3))
    row, goal = draw(network, 2)
    start = gauss_newton(network, row, goal, max_iter=1).history[0, 1]
    easy = gauss_newton(network, row, goal, max_iter=500, tolerance=(share := 0.98 * start))
    assert easy.reason == "tolerance"
    assert easy.history[-1, 1] <= share < easy.history[-2, 1]
    done = gauss_newton(network, row, goal, max_iter=500, tolerance=2 * start)
    assert (done.reason, done.iterations, len(done.history)) == ("tolerance", 0, 1)
    assert torch.equal(done.row, row)
    steps = []
    asked = gauss_newton(
        network, row, goal, max_iter=500, inner=4, callback=lambda *at: steps.append(at) or len(steps) == 2
    )
    assert (asked.reason, len(asked.history)) == ("callback", 3)
    assert torch.equal(steps[-1][1], asked.row)
    one = absorbed((1,), numbers=WAVES[:2])  # cannot fit noise
    row, goal = draw(one, 2)
    slow = gauss_newton(one, row, goal, max_iter=5000, patience=20)
    assert (slow.reason, 20 <= slow.iterations < 5000) == ("slow", True)
    ended = gauss_newton(one, row, goal, max_iter=5000, patience=10**6)
    assert (ended.reason, ended.iterations < 5000) == ("round-off", True)
    exact = gauss_newton(one, row, one.predict(row), max_iter=50)
    assert (exact.reason, exact.iterations, exact.history[-1, 1]) == ("tolerance", 0, 0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_start_that_is_not_finite_is_refused(bad):
    network = absorbed((3,))
    row, goal = draw(network, 0)
    row[-1] = bad
    with pytest.raises(ValueError, match="start: the residual is not finite"):
        gauss_newton(network, row, goal, max_iter=5)


# --- which waves ------------------------------------------------------------------------------------------


@st.composite
def fields(draw) -> np.ndarray:
    """Of odd and even sizes, now and then with much of its power in the constant and alternating modes."""
    shape = draw(st.lists(st.integers(2, 9), min_size=1, max_size=2))
    field = np.random.default_rng(draw(seeds)).standard_normal(shape)
    field += draw(st.sampled_from([0.0, 3.0]))
    signs = (-1.0) ** np.indices(shape)
    return (
        field + draw(st.sampled_from([0.0, 2.0])) * signs[0] + draw(st.sampled_from([0.0, 1.0])) * signs[-1]
    )


def rest(field: np.ndarray, numbers: np.ndarray) -> float:
    """Share of the root mean square that is left when these modes are cut out of NumPy's transform."""
    spectrum = np.fft.fftn(field)
    for wave in numbers:
        spectrum[tuple(wave % field.shape)] = spectrum[tuple(-wave % field.shape)] = 0
    return float(np.sqrt(np.mean(np.fft.ifftn(spectrum).real ** 2) / np.mean(field**2)))


@given(field=fields(), count=st.integers(1, 50))
def test_what_is_outside_of_the_modes_is_what_a_truncated_inverse_fft_leaves(field, count):
    modes, outside = choose_modes(field, count)
    assert len(modes.amplitudes) <= count
    assert outside == pytest.approx(rest(field, modes.wavenumbers), abs=1e-7 if outside < 1e-7 else 1e-12)


@given(seed=seeds, shape=st.tuples(st.integers(6, 16), st.integers(6, 16)), rate=st.floats(1, 6))
def test_as_many_modes_are_chosen_as_are_needed(seed, shape, rate):
    noise = np.fft.fftn(np.random.default_rng(seed).standard_normal(shape))
    distance = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij"))
    field = np.fft.ifftn(noise * np.exp(-rate * distance)).real
    modes, outside = choose_modes(field, None)
    assert outside <= waves.SHARE
    assert rest(field, modes.wavenumbers) <= 1.01 * waves.SHARE
    if len(modes.amplitudes) > 1:
        assert rest(field, modes.wavenumbers[:-1]) > 0.99 * waves.SHARE
        with_noise, _ = choose_modes(field, None, floor=1e-3 * float(field.std()))
        assert len(with_noise.amplitudes) <= len(modes.amplitudes)


def smooth(shape: tuple[int, int]) -> np.ndarray:
    x, y = (2 * np.pi * np.arange(n) / n for n in shape)
    return np.exp(np.sin(x)[:, None] + np.cos(y))


@settings(max_examples=12)
@given(power=st.integers(-8, 0), seed=seeds, shape=st.sampled_from([(128, 128), (129, 160)]))
def test_the_level_of_noise_is_that_of_the_noise(power, seed, shape):
    size = 10.0**power
    noise = size * np.random.default_rng(seed).standard_normal(shape)
    assert noise_level(smooth(shape) + noise) == pytest.approx(size, rel=0.1)


@pytest.mark.parametrize("shape", [(32, 32), (33, 40), (128, 128)])
def test_a_smooth_field_has_the_noise_of_round_off(shape):
    assert noise_level(smooth(shape)) < 1e-15
    assert noise_level(np.zeros(shape)) == 0


def with_amplitudes(shape: tuple[int, ...], seed: int, of_distance) -> np.ndarray:
    """Each mode's amplitude is a function of its wavenumber's length; phases are drawn."""
    turns = np.fft.fftn(np.random.default_rng(seed).standard_normal(shape))
    axes = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij")
    distance = np.sqrt(sum(axis**2 for axis in axes))
    return np.fft.ifftn(turns / np.abs(turns) * of_distance(distance)).real


@settings(max_examples=12)
@given(decay=st.floats(2, 8), seed=seeds, n=st.sampled_from([48, 63, 64]))
def test_a_spectrum_that_decays_as_a_power_is_not_noise(decay, seed, n):
    assert noise_level(with_amplitudes((n, n), seed, lambda k: (1 + k) ** -decay)) == 0


def test_half_a_period_is_extended_evenly():
    field = np.random.default_rng(0).standard_normal((5, 4))
    both = Lattice((0.0, 0.0), (1.0, 1.0), (5, 4), (8, 6))
    long = np.concatenate([field, field[-2:0:-1]])
    np.testing.assert_array_equal(
        extend(field, both), np.concatenate([long, long[:, -2:0:-1]], axis=1), strict=True
    )
    np.testing.assert_array_equal(extend(field, Lattice((0, 0), (1, 1), (5, 4), (5, 4))), field)
    line = Lattice((0.0,), (1.0,), (5,), (8,))
    np.testing.assert_array_equal(extend(field[:, 0], line), long[:, 0])


def test_whether_a_field_is_periodic():
    assert is_periodic(smooth((16, 17))) and is_periodic(np.ones((8, 8)))
    angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    assert not is_periodic(np.sin(angle)[:, None] + angle)
    assert not is_periodic(np.sin(angle) + angle[:, None])


# --- start and fit ----------------------------------------------------------------------------------------


def scaled_lattice(shape: tuple[int, ...]) -> Lattice:
    return Lattice((-1.0,) * len(shape), tuple(2 / n for n in shape), shape, shape)


@pytest.mark.parametrize("hidden", [(8,), (12, 9)])
@pytest.mark.parametrize("count", [3, 20])
def test_a_coherent_start_is_the_truncated_series(hidden, count):
    goal = smooth((16, 15))
    goal /= np.sqrt(np.mean(goal**2))
    lattice, generator = scaled_lattice(goal.shape), np.random.default_rng(0)
    _, found = fit_waves(goal, lattice, hidden, generator, features=count, kind="coherent", max_iter=1)
    left = rest(goal, choose_modes(goal, count)[0].wavenumbers)
    assert left - 1e-12 <= np.sqrt(2 * found.history[0]) + 1e-3
    assert np.sqrt(2 * found.history[0]) == pytest.approx(left, rel=1e-3, abs=1e-5)


def test_a_scattered_start_has_units_of_the_given_strength():
    goal = smooth((16, 15))
    network = absorbed((40, 5), scaled_lattice(goal.shape), (modes := choose_modes(goal, 12)[0]).wavenumbers)
    wanted = torch.from_numpy(goal.ravel())
    row = waves.start(network, modes, wanted, np.random.default_rng(0), "scattered")
    values = network.layer.values(row[: network.layer.size])
    assert float((values**2).mean() ** 0.5) == pytest.approx(waves.STRENGTHS["scattered"], rel=0.3)
    assert np.linalg.matrix_rank(values.numpy(), tol=1e-3) > 5


@pytest.mark.parametrize("kind", ["auto", "coherent"])
def test_a_smooth_field_is_fitted(kind):
    goal = smooth((32, 32))
    goal /= np.sqrt(np.mean(goal**2))
    lattice = scaled_lattice(goal.shape)
    network, found = fit_waves(goal, lattice, (10, 8), np.random.default_rng(0), kind=kind, max_iter=300)
    predicted = by_hand(found.x, lattice.points(), network.wavenumbers, network.hidden).numpy()
    size = np.sqrt(np.mean((predicted - goal.ravel()) ** 2))
    assert size < 1e-7
    assert found.value == found.history[-1] == pytest.approx(size**2 / 2, rel=1e-3)
    assert len(found.history) == found.iterations + 1 and found.evaluations <= 300


def test_few_modes_and_tanh_make_the_missing_ones():
    """Fewer than a series needs: what is left must still become smaller than what the series leaves."""
    goal = smooth((32, 32))
    goal /= np.sqrt(np.mean(goal**2))
    left = rest(goal, choose_modes(goal, 5)[0].wavenumbers)
    network, found = fit_waves(
        goal, scaled_lattice(goal.shape), (16, 16), np.random.default_rng(0), features=5, max_iter=400,
        patience=400,
    )  # fmt: skip
    assert network.wavenumbers.shape == (5, 2)
    assert np.sqrt(2 * found.value) < 0.3 * left


# --- the fitted network at any points ---------------------------------------------------------------------

NUMBERS = np.array([[0, 0], [1, 0], [0, 1], [2, -3], [-1, 4], [5, 2]])


def made(hidden=(4, 3), seed: int = 0) -> tuple[WaveNetwork, np.ndarray]:
    network = WaveNetwork(NUMBERS * np.pi, hidden, np.full(2, np.pi))
    return network, 0.4 * np.random.default_rng(seed).standard_normal(network.size)


@few
@given(seed=seeds)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_predictions_are_the_same_on_a_grid_and_in_any_order(hidden, seed):
    network, row = made(hidden, seed)
    points = scaled_lattice((12, 10)).points()
    assert len(row) == network.size and network.inputs == 2
    expected = by_hand(row, points, network.wavenumbers, hidden)
    np.testing.assert_allclose(network.predict(row, points), expected, atol=1e-12)
    order = np.random.default_rng(seed).permutation(len(points))
    np.testing.assert_allclose(network.predict(row, points[order]), expected[order], atol=1e-10)


def test_predictions_by_the_nonuniform_transform(monkeypatch):
    monkeypatch.setattr("specbias.multistage.features.CROSSOVER", dict.fromkeys((1, 2, 3), 1))
    network, row = made()
    points = np.random.default_rng(0).uniform(-3, 3, (70, 2))
    expected = by_hand(row, points, network.wavenumbers, network.hidden)
    np.testing.assert_allclose(network.predict(row, points), expected, atol=1e-10)


@pytest.mark.parametrize(
    ("low", "step", "shape"),
    [
        ((-1.0, -1.0), (1 / 24, 1 / 20), (48, 40)),  # finer
        ((-0.963, 0.2), (1 / 6, 1 / 5), (12, 10)),  # offset
        ((-0.5, 0.1), (1 / 6, 1 / 5), (4, 7)),  # part of a period
        ((-1.0, -1.0), (0.5, 0.5), (4, 4)),  # too coarse for the waves
        ((-1.0, -1.0), (0.17, 0.13), (5, 6)),  # does not fit the period
        ((-1.0, -1.0), (1 / 6, 1 / 5), (13, 11)),  # more than a period
    ],
)
def test_predictions_on_other_grids_are_the_sum_of_waves(low, step, shape):
    network, row = made()
    points = Lattice(low, step, shape, shape).points()
    expected = by_hand(row, points, network.wavenumbers, network.hidden)
    np.testing.assert_allclose(network.predict(row, points), expected, atol=1e-11)
    longer = network.predict(row, points.astype(np.longdouble))
    np.testing.assert_allclose(longer.astype(float), expected, atol=1e-11)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant <= 52, reason="longdouble is float64 here")
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize(("low", "shape"), [((-1, -1), (16, 32)), ((-0.75, 0.125), (16, 32))])
def test_extended_predictions_have_the_digits_of_longdouble(hidden, low, shape):
    """On dyadic points turns are exact fractions, so that each wave is known to the last digit."""
    network, row = made(hidden)
    points = Lattice(low, (1 / 8, 1 / 16), shape, shape).points()
    pi = 4 * np.arctan(np.longdouble(1))
    half_turns = points @ NUMBERS.T % 2  # exact
    weights = row[: 2 * hidden[0] * len(NUMBERS)].reshape(hidden[0], -1, 2).astype(np.longdouble)
    cosine, sine = np.cos(pi * half_turns), np.sin(pi * half_turns)
    state = (weights[:, None, :, 0] * cosine - weights[:, None, :, 1] * sine).sum(axis=2)
    tail, at = row[weights.size :].astype(np.longdouble), hidden[0]
    state = np.tanh(state + tail[:at, None])
    for into, out in pairwise((*hidden, 1)):
        matrix, bias = tail[at : at + into * out].reshape(out, into), tail[at + into * out :][:out, None]
        state = (matrix[:, :, None] * state).sum(axis=1) + bias
        state = np.tanh(state) if at + into * out + out < len(tail) else state
        at += into * out + out
    found = network.predict(row, points.astype(np.longdouble))
    assert found.dtype == np.longdouble
    largest = float(np.abs(state).max())
    assert float(np.abs(found - state[0]).max()) < 1e-17 * largest
    assert float(np.abs(network.predict(row, points) - state[0]).max()) > 1e-17 * largest


# --- as published -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("power", [2, 10])
@pytest.mark.parametrize("hidden", [(5,), (4, 3)])
@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("train", [("W", "b", "B"), ("W", "b")])
def test_the_published_stage_is_adam_of_pytorch(power, hidden, even, train):
    shape, most, count = (8, 9), 20, 6
    goal = np.random.default_rng(3).standard_normal(shape)  # no symmetry: Adam would break it by round-off
    goal /= np.sqrt(np.mean(goal**2))
    lattice = Lattice((-1.0, -1.0), (0.25, 0.2), shape, (14, 16) if even else shape)
    network, found = fit_published(
        goal, lattice, hidden, np.random.default_rng(7), features=count, max_iter=most, train=train,
        power=power,
    )  # fmt: skip

    generator = np.random.default_rng(7)  # the same numbers in the same order
    draws = [generator.standard_normal(hidden[0] * count) * (2 / (hidden[0] + count)) ** 0.5]
    for into, out in pairwise((0, *hidden, 1)):
        draws.append(generator.standard_normal(into * out) * (2 / (into + out)) ** 0.5)
        draws.append(0.0 * generator.standard_normal(out))
    modes, _ = choose_modes(extend(goal, lattice), count)
    wavenumbers = modes.wavenumbers * (2 * np.pi / (np.array(lattice.sizes) * np.array(lattice.step)))
    phases = modes.phases + wavenumbers @ [1.0, 1.0]  # the first point is at (-1, -1)
    weights, phases, wavenumbers, tail = (
        torch.tensor(part, requires_grad=True)
        for part in (draws[0].reshape(hidden[0], count), phases, wavenumbers, np.concatenate(draws[1:]))
    )
    amplitudes = torch.tensor(modes.amplitudes)

    def output(points):
        angle = wavenumbers @ torch.tensor(points).T + phases[:, None]
        return behind(weights @ (amplitudes[:, None] * torch.cos(angle)), tail, hidden)[0]

    trained = [weights, phases, tail] + ([wavenumbers] if "B" in train else [])
    adam, losses = torch.optim.Adam(trained, lr=1e-3), []
    for step in range(most + 1):
        left = (output(lattice.points()) - torch.tensor(goal.ravel())).abs()
        loss = (left**2).mean() / 2 if power == 2 else (left**power).mean() ** (1 / power)
        losses.append(float(loss.detach()))
        if step < most:
            adam.zero_grad()
            loss.backward()
            adam.param_groups[0]["lr"] = 1e-3 * published.ANNEALING ** (step / most)
            adam.step()
    assert losses[-1] < losses[0]
    expected = np.array(losses) if power == 2 else 0.5 * np.array(losses) ** 2
    np.testing.assert_allclose(found.history, expected, rtol=1e-9)
    elsewhere = np.random.default_rng(1).uniform(-1, 1, (30, 2))
    for points in (lattice.points(), elsewhere):
        np.testing.assert_allclose(network.predict(found.x, points), output(points).detach(), atol=1e-8)
    np.testing.assert_allclose(network.wavenumbers, wavenumbers.detach(), rtol=1e-9, atol=1e-9)
    assert (found.iterations, found.reason, len(found.x)) == (most, "iterations", network.size)


# --- the regressor ----------------------------------------------------------------------------------------

SMALL = {"hidden": (8, 8), "max_iter": 300, "random_state": 0}


def plane(n: int, m: int) -> np.ndarray:
    axes = (2 * np.pi * np.arange(size) / size for size in (n, m))
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)


def flow(x: np.ndarray) -> np.ndarray:
    """Like a vorticity: of mean zero, waves in all directions."""
    a, b = x.T
    return np.sin(a + np.cos(b)) * np.cos(b) + 0.3 * np.cos(2 * a - b) + 0.2 * np.sin(a - 3 * b + 1)


def relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - wanted) ** 2) / np.mean(wanted**2)))


X = plane(32, 32)
Y = flow(X)


@pytest.fixture(scope="module")
def fitted() -> MultistageRegressor:
    return MultistageRegressor(**SMALL).fit(X, Y)


def test_on_a_periodic_grid_auto_is_a_spectrum_down_to_round_off():
    model = MultistageRegressor(random_state=0).fit(X, Y)
    assert model.initialization_ == "spectrum"
    assert relative(model.predict(X), Y) < 1e-12
    assert model.residual_rms_[-1] < 1e-15 * model.residual_rms_[0]
    assert model.validation_rms_.size == 0
    assert {stage.network.first for stage in model.stages_} == {"waves"}
    finer = plane(50, 41) + [0.01, 0.3]  # between the points, too
    assert relative(model.predict(finer), flow(finer)) < 1e-10


@pytest.mark.parametrize("kind", ["scattered", "one input", "hole", "rough", "not periodic", "held out"])
def test_elsewhere_auto_is_the_scale_factor(kind):
    x = plane(12, 12)
    how = {"stages": 1, "hidden": (3,), "max_iter": 3, "random_state": 0}
    if kind == "scattered":
        x = np.random.default_rng(0).uniform(0, 6, (60, 2))
    elif kind == "one input":
        x = np.column_stack([np.linspace(0, 6, 60)])
    elif kind == "hole":
        x = np.delete(x, 50, axis=0)
    elif kind == "held out":
        how["validation_fraction"] = 0.2
    y = np.sin(x.sum(axis=1)) + (x[:, 0] if kind == "not periodic" else 0)
    if kind == "rough":  # more than half of the modes are needed
        y = with_amplitudes((12, 12), 0, lambda k: np.exp(-k)).ravel()
    model = MultistageRegressor(**how).fit(x, y)
    assert (model.initialization_, model.stages_[0].network.first) == ("scale-factor", "tanh")


def test_a_spectrum_of_one_input_and_of_half_a_period():
    x = plane(32, 8)[::8, :1]
    model = MultistageRegressor(initialization="spectrum", **SMALL).fit(x, np.exp(np.sin(x[:, 0])))
    assert relative(model.predict(x), np.exp(np.sin(x[:, 0]))) < 1e-12
    axis = np.linspace(0, np.pi, 17)
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    y = np.exp(np.cos(x[:, 0])) * np.cos(3 * x[:, 1]) + np.cos(x[:, 1])
    model = MultistageRegressor(initialization="spectrum", boundary="even", **SMALL).fit(x, y)
    assert relative(model.predict(x), y) < 1e-12
    finer = np.random.default_rng(0).uniform(0, np.pi, (100, 2))
    between = np.exp(np.cos(finer[:, 0])) * np.cos(3 * finer[:, 1]) + np.cos(finer[:, 1])
    assert relative(model.predict(finer), between) < 1e-6


def test_the_order_of_the_points_does_not_matter(fitted):
    order = np.random.default_rng(1).permutation(len(X))
    other = MultistageRegressor(**SMALL).fit(X[order], Y[order])
    np.testing.assert_array_equal(other.predict(X), fitted.predict(X))
    np.testing.assert_array_equal(other.residual_rms_, fitted.residual_rms_)
    assert relative(fitted.predict(X[order]), Y[order]) < 1e-12


def test_staged_residues_are_what_the_stages_leave(fitted):
    left = fitted.staged_residues(X, Y)
    assert len(left) == len(fitted.stages_) + 1 >= 3
    np.testing.assert_array_equal(left[0], Y)
    sizes = [np.sqrt(np.mean(one**2)) for one in left]
    np.testing.assert_allclose(sizes, fitted.residual_rms_, rtol=1e-12)
    np.testing.assert_array_equal(fitted.residue(X, Y), left[-1])
    scaled, total = (X - fitted.center_) / fitted.halfwidth_, np.zeros(len(X))
    for stage, after in zip(fitted.stages_, left[1:], strict=True):
        total += stage.size * stage.network.predict(stage.parameters, scaled)
        np.testing.assert_allclose(Y - total, after, atol=2e-13)
        assert stage.size == pytest.approx(sizes.pop(0))
    np.testing.assert_allclose(Y - fitted.predict(X), left[-1], atol=1e-13)
    if np.finfo(np.longdouble).nmant > 52:  # rounded once, at the end
        assert np.abs(Y - fitted.predict(X, extended=True)).max() <= np.spacing(np.abs(Y).max())


def test_saving_and_loading_waves(tmp_path, fitted):
    model = clone(fitted).set_params(features=(40, np.int64(90)), stages=2).fit(X, Y)
    for one in (fitted, model):
        one.save(tmp_path / "model")
        loaded = MultistageRegressor.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict(X), one.predict(X))
        np.testing.assert_array_equal(loaded.residue(X, Y), one.residue(X, Y))
        assert loaded.initialization_ == "spectrum" and loaded.stopped_ == one.stopped_
        np.testing.assert_array_equal(loaded.residual_rms_, one.residual_rms_)
        assert {**loaded.get_params(), "features": None} == {**one.get_params(), "features": None}
        for mine, theirs in zip(loaded.stages_, one.stages_, strict=True):
            np.testing.assert_array_equal(mine.network.wavenumbers, theirs.network.wavenumbers)
            np.testing.assert_array_equal(mine.history, theirs.history)
            assert (mine.reason, mine.size) == (theirs.reason, theirs.size)
    assert list(loaded.features) == [40, 90]
    loaded.set_params(max_iter=5).fit(X, Y)


@pytest.mark.parametrize("change", ["fewer waves", "other inputs", "no waves", "byte"])
def test_a_damaged_file_of_waves_is_refused(tmp_path, fitted, change):
    path = tmp_path / "model"
    fitted.save(path)
    with np.load(path) as file:
        arrays = dict(file)
    if change == "byte":
        raw = bytearray(path.read_bytes())
        raw[raw.index(arrays["waves0"].tobytes()) + 3] ^= 1
        path.write_bytes(raw)
    else:
        found = arrays.pop("waves0")
        if change != "no waves":
            arrays["waves0"] = found[:-1] if change == "fewer waves" else found[:, :1]
        with open(path, "wb") as file:
            np.savez(file, **arrays)
    with pytest.raises(ValueError, match="path: .*model holds no MultistageRegressor"):
        MultistageRegressor.load(path)


@pytest.mark.parametrize("size", [1e-2, 1e-4])
def test_it_stops_at_the_level_of_noise(size):
    x = plane(64, 64)
    clean = flow(x)
    noise = size * np.sqrt(np.mean(clean**2)) * np.random.default_rng(0).standard_normal(len(x))
    model = MultistageRegressor(**SMALL).fit(x, clean + noise)
    assert model.initialization_ == "spectrum"
    assert "level of noise" in model.stopped_
    assert len(model.stages_) < model.stages
    assert relative(model.predict(x), clean) < 0.5 * size
    free = MultistageRegressor(**SMALL | {"guard": False, "stages": 2}).fit(x, clean + noise)
    assert free.residual_rms_[-1] < model.residual_rms_[-1]  # it has learned noise


@pytest.mark.parametrize("features", [12, [12, 20, 30], np.array([12, 20])])
def test_features_are_one_number_or_one_for_each_stage(features):
    model = MultistageRegressor(**SMALL | {"features": features, "stages": 2, "max_iter": 20}).fit(X, Y)
    expected = [12, 20] if np.ndim(features) else [12, 12]
    counts = [len(stage.network.wavenumbers) for stage in model.stages_]
    assert counts == expected[: len(counts)] and counts
    repeated = clone(model).fit(X, Y)
    np.testing.assert_array_equal(repeated.predict(X), model.predict(X))


@pytest.mark.parametrize(
    ("how", "error", "match"),
    [
        ({"features": [5, 6]}, ValueError, "features must be one for each of 4 stages, got 2"),
        ({"features": "many"}, ValueError, "features must be one of auto"),
        ({"features": 0}, ValueError, "features must be at least 1"),
        ({"features": 2.5}, TypeError, "features must be a whole number"),
        ({"features": [3, 3, 3, None]}, TypeError, "features must be a whole number"),
        ({"features": None}, TypeError, "features must be a whole number"),
        ({"validation_fraction": 0.2}, ValueError, "validation_fraction must be 0 or 'auto'"),
        ({"recipe": "published"}, ValueError, "features must be given"),
        ({"recipe": "theirs"}, ValueError, "recipe must be one of"),
        ({"boundary": "odd"}, ValueError, "boundary must be one of"),
        ({"device": "tpu"}, ValueError, "device must be one of"),
    ],
)
def test_bad_settings_of_a_spectrum_are_refused_by_name(how, error, match):
    with pytest.raises(error, match=match):
        MultistageRegressor(initialization="spectrum", **how).fit(X, Y)


@pytest.mark.parametrize("kind", ["scattered", "hole", "too small"])
def test_a_spectrum_needs_a_grid(kind):
    x = plane(7, 9) if kind == "too small" else plane(10, 9)
    if kind == "hole":
        x = np.delete(x, 3, axis=0)
    elif kind == "scattered":
        x = x + 0.01 * np.random.default_rng(0).standard_normal(x.shape)
    with pytest.raises(ValueError, match="initialization='spectrum' needs points that fill a regular grid"):
        MultistageRegressor(initialization="spectrum").fit(x, x.sum(axis=1))


def test_shifted_and_scaled_inputs_give_the_same_fit(fitted):
    """Powers of two are multiplied without rounding; other numbers round the grid a little."""
    moved = MultistageRegressor(**SMALL).fit(X * 2.0**20, Y * 2.0**-60)
    np.testing.assert_array_equal(moved.predict(X * 2.0**20), fitted.predict(X) * 2.0**-60)
    other = X * [3.0, 1e-3] + [100.0, -7.0]
    shifted = MultistageRegressor(**SMALL).fit(other, Y)
    assert shifted.initialization_ == "spectrum"
    assert relative(shifted.predict(other), Y) < 1e-12
    np.testing.assert_allclose(shifted.predict(other), fitted.predict(X), atol=1e-12)


def test_the_published_recipe_on_a_grid():
    how = {"initialization": "spectrum", "recipe": "published", "features": 9, "stages": 2}
    x = plane(8, 8)
    model = MultistageRegressor(**SMALL | how | {"max_iter": 40}).fit(x, np.sin(x[:, 0]) + np.cos(x[:, 1]))
    assert len(model.stages_) >= 1 and len(model.stages_[0].network.wavenumbers) == 9
    assert (np.diff(model.residual_rms_) < 0).all()
    assert [stage.iterations for stage in model.stages_] == [40] * len(model.stages_)


def test_a_linear_start_is_the_series_also_of_a_residue_with_spikes():
    """What a stage has left may be a few sharp spikes, hundreds of times the root mean square."""
    generator, size = np.random.default_rng(0), 512
    goal = 1e-3 * generator.standard_normal((size, size))
    goal[tuple(generator.integers(0, size, (2, 20)))] += 1
    goal /= np.sqrt(np.mean(goal**2))
    assert np.abs(goal).max() > 100
    modes, _ = choose_modes(goal, None)
    transform = GridTransform(Lattice.square(size), modes.wavenumbers)
    network = SpectralNetwork(AbsorbedLayer(transform, 30), (30, 30, 30))
    wanted = torch.from_numpy(goal.ravel())
    row = waves.start(network, modes, wanted, np.random.default_rng(1), "linear")
    assert float((network.predict(row) - wanted).pow(2).mean() ** 0.5) < 3e-8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_computes_the_same_loss_gradient_and_products():
    """To 1e-11 of the largest in float64, to 1e-4 in the float32 of Gauss-Newton's products."""
    found = {}
    for device in ("cpu", "cuda"):
        generator = np.random.default_rng(0)
        transform = GridTransform(LATTICE, WAVES, device)
        network = SpectralNetwork(AbsorbedLayer(transform, 4), (4, 3))
        first = torch.from_numpy(generator.standard_normal(network.layer.size)).to(device)
        row = network.initial(first, generator)
        goal = torch.from_numpy(generator.standard_normal(transform.size)).to(device)
        loss, gradient = network.loss_and_gradient(row, goal)
        product = network.linearize(row, network.residual(row, goal)[1], torch.float32)
        change = torch.from_numpy(generator.standard_normal(network.size)).float().to(device)
        found[device] = [np.array(loss), gradient.cpu().numpy(), product.forward(change).cpu().numpy()]
    for here, there, share in zip(found["cpu"], found["cuda"], (1e-11, 1e-11, 1e-4), strict=True):
        np.testing.assert_allclose(there, here, rtol=0, atol=share * np.abs(here).max())


def test_the_device_that_was_chosen_is_told(capsys):
    x = np.stack(np.meshgrid(*2 * [np.arange(8.0)], indexing="ij"), axis=-1).reshape(-1, 2)
    y = np.cos(2 * np.pi * x[:, 0] / 8)
    model = MultistageRegressor(initialization="spectrum", stages=1, max_iter=2, verbose=True).fit(x, y)
    chosen, why = chosen_device("auto")
    assert model.device_ == chosen and f"device: {chosen} ({why})" in capsys.readouterr().out
    assert MultistageRegressor(stages=1, max_iter=2).fit(x[:, :1], y).device_ == "cpu"  # no waves, no GPU


def test_clones_have_the_same_settings_and_the_same_fit(fitted):
    again = clone(fitted)
    assert again.get_params() == fitted.get_params() and not hasattr(again, "stages_")
    np.testing.assert_array_equal(again.fit(X, Y).predict(X), fitted.predict(X))


@pytest.mark.parametrize("size", [1e-160, 1e-30, 1e30])
def test_targets_of_any_size(size, fitted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = MultistageRegressor(**SMALL).fit(X, size * Y)
    assert model.initialization_ == "spectrum"
    assert relative(model.predict(X) / size, Y) < 1e-12


def test_the_transform_of_a_fitted_grid_is_the_sum_of_its_waves(fitted):
    """A stage's network on the training grid, by the FFT, against matrix products."""
    stage = fitted.stages_[0]
    points = (X - fitted.center_) / fitted.halfwidth_
    layer = AbsorbedLayer(DenseTransform(points, stage.network.wavenumbers), stage.network.hidden[0])
    dense = SpectralNetwork(layer, stage.network.hidden).predict(torch.from_numpy(stage.parameters))
    np.testing.assert_allclose(stage.network.predict(stage.parameters, points), dense, atol=1e-10)


@pytest.mark.parametrize("size", [1e-160, 1e160, 1e300])
def test_the_size_of_the_values_makes_no_difference(size):
    axis = 2 * np.pi * np.arange(16) / 16
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    y = np.exp(np.sin(x[:, 0]) + np.cos(x[:, 1]))
    model = MultistageRegressor(initialization="spectrum", stages=2, hidden=(8, 8), random_state=0)
    left = model.fit(x, size * y).residual_rms_
    assert left[-1] < 1e-9 * left[0]


def test_axes_without_waves_and_long_periods_stay_on_the_grid():
    axis = 2 * np.pi * np.arange(32) / 32
    x = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    for y in (np.exp(np.sin(x[:, 0])), np.cos(9 * x[:, 0] + x[:, 1]), np.sin(2 * x[:, 0])):
        model = MultistageRegressor(initialization="spectrum", stages=1, hidden=(5,), random_state=0)
        network = model.fit(x, y).stages_[0].network
        lattice, waves = network._grid(model._scaled(x, np.float64))
        assert lattice.sizes == (32, 32)
        np.testing.assert_allclose(waves * lattice.base, network.wavenumbers, rtol=1e-12)


def test_a_published_recipe_needs_features_with_auto_too():
    with pytest.raises(ValueError, match="features"):
        MultistageRegressor(recipe="published").fit(np.zeros((9, 2)), np.zeros(9))
    with pytest.raises(TypeError, match="stages"):
        MultistageRegressor(features=3, stages="2").fit(np.zeros((9, 2)), np.zeros(9))
