"""The arc-based trainer of specbias.circle, against dense gradient descent and closed forms."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from specbias.circle import learning_times, regular_angles, train_on_circle
from specbias.kernels import circle_eigenvalues, learning_time


def dense_descent(targets, angles, weights, signs, *, learning_rate, steps, bias, scale):
    """Full-batch gradient descent on half the sum of squares, the whole (n, units) matrix by autograd."""
    features = torch.tensor(np.stack([np.cos(angles), np.sin(angles), np.ones_like(angles)], axis=1))
    weights = torch.tensor(weights, requires_grad=True)
    losses = []
    for step in range(steps + 1):
        outputs = scale * torch.relu(features @ weights.T) @ torch.tensor(signs)
        loss = 0.5 * ((outputs - torch.tensor(targets)) ** 2).sum()
        losses.append(loss.item())
        if step < steps:
            (gradient,) = torch.autograd.grad(loss, weights)
            if not bias:
                gradient[:, 2] = 0.0
            weights = (weights - learning_rate * gradient).detach().requires_grad_()
    return weights.detach().numpy(), outputs.detach().numpy(), np.array(losses)


def random_network(generator, units, bias_scale=0.0):
    weights = generator.normal(size=(units, 3))
    weights[:, 2] *= bias_scale
    return weights, generator.choice([-1.0, 1.0], units)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    points=st.integers(1, 40),
    units=st.integers(1, 30),
    bias=st.booleans(),
    regular=st.booleans(),
    bias_scale=st.sampled_from([0.3, 1.0, 3.0]),  # 3: most units start always on or always off
    learning_rate=st.sampled_from([1e-3, 1e-2, 0.3]),  # 0.3: arcs jump, vanish and close on themselves
)
def test_same_gradient_descent_as_the_dense_computation(
    seed, points, units, bias, regular, bias_scale, learning_rate
):
    generator = np.random.default_rng(seed)
    angles = regular_angles(points) + 0.1 if regular else generator.uniform(-10, 10, points)
    targets = generator.normal(size=points)
    weights, signs = random_network(generator, units, bias_scale if bias else 0.0)
    fit = train_on_circle(
        targets,
        angles=angles,
        units=units,
        bias=bias,
        initial=(weights[None], signs[None]),
        learning_rate=learning_rate,
        stop_below=0,
        max_steps=20,
        record_every=1,
        progress=False,
    )
    expected_weights, expected_outputs, expected_losses = dense_descent(
        targets, angles, weights, signs, learning_rate=learning_rate, steps=20, bias=bias, scale=units**-0.5
    )
    size = 1.0 + np.abs(expected_weights).max()
    np.testing.assert_allclose(fit.weights[0], expected_weights, rtol=0, atol=1e-11 * size)
    np.testing.assert_allclose(fit.outputs[0], expected_outputs, rtol=0, atol=1e-11 * size * units)
    np.testing.assert_allclose(fit.loss_history[:, 0], expected_losses, rtol=1e-9, atol=1e-11)
    assert fit.recorded_steps.tolist() == list(range(21))


def test_units_on_the_kink_always_on_always_off_and_zero():
    weights = np.array(
        [
            [1.0, 0.0, -1.0],  # touches 0 at the first angle only, where the derivative is taken as 0
            [0.5, 0.0, 2.0],  # on everywhere
            [0.5, 0.0, -2.0],  # off everywhere
            [0.0, 0.0, 0.0],  # nothing, with a derivative of 0
            [1.0, 0.0, 0.5],  # an arc that passes the first angle
            [-1.0, 0.0, 0.5],  # an arc that does not
        ]
    )
    signs = np.array([1.0, -1.0, 1.0, -1.0, 1.0, 1.0])
    angles, targets = regular_angles(12), np.sin(regular_angles(12))
    fit = train_on_circle(
        targets,
        units=6,
        initial=(weights[None], signs[None]),
        learning_rate=0.01,
        max_steps=1,
        progress=False,
    )
    expected, *_ = dense_descent(
        targets, angles, weights, signs, learning_rate=0.01, steps=1, bias=True, scale=6**-0.5
    )
    np.testing.assert_allclose(fit.weights[0], expected, atol=1e-14)
    np.testing.assert_array_equal(fit.weights[0, [0, 2, 3]], weights[[0, 2, 3]])
    assert fit.silent[0] == 3 / 6


def test_each_model_stops_at_its_own_step_and_does_not_depend_on_the_others():
    angles = regular_angles(101)
    targets = np.stack([np.sin(k * angles) for k in (2, 4, 8)]) / np.sqrt(101 / 2)
    settings = dict(units=300, bias=False, learning_rate=0.05, max_steps=2000, progress=False)
    fit = train_on_circle(targets, **settings)
    assert 0 < fit.steps[0] < fit.steps[1] < fit.steps[2]
    assert (fit.loss < 0.05).all()
    _, outputs, losses = dense_descent(
        targets[1],
        angles,
        *(part[0] for part in _start(settings, 1)),
        learning_rate=0.05,
        steps=int(fit.steps[1]),
        bias=False,
        scale=300**-0.5,
    )
    assert losses[-1] < 0.05 <= losses[-2]
    np.testing.assert_allclose(fit.outputs[1], outputs, atol=1e-12)


def _start(settings, model):
    """The start of one of several models, as the trainer draws it: a fit of no steps."""
    fit = train_on_circle(np.zeros((model + 1, 101)), **{**settings, "max_steps": 0})
    return fit.weights[model:], fit.signs[model:]


def test_amplitude_and_loss_are_recorded_as_defined():
    angles = regular_angles(51)
    target = np.sin(2 * angles)
    fit = train_on_circle(target, units=200, max_steps=30, stop_below=0, record_every=10, progress=False)
    assert fit.recorded_steps.tolist() == [0, 10, 20, 30]
    assert fit.amplitude_history[-1, 0] == pytest.approx(2 * np.mean(fit.outputs[0] * target))
    assert fit.loss_history[-1, 0] == pytest.approx(0.5 * np.sum((fit.outputs[0] - target) ** 2))


def test_the_number_of_threads_changes_nothing():
    settings = dict(frequencies=[2, 3], runs=3, units=100, points=51, max_steps=50)
    threads = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one = learning_times(**settings, progress=False)
    finally:
        numba.set_num_threads(threads)
    several = learning_times(**settings, progress=False)
    assert one.equals(several)


@pytest.mark.parametrize("bias", [False, True])
def test_small_steps_never_raise_the_loss(bias):
    fit = train_on_circle(
        np.sin(3 * regular_angles(101)), units=200, bias=bias, learning_rate=1e-3, max_steps=300,
        stop_below=0, record_every=1, progress=False,
    )  # fmt: skip
    assert (np.diff(fit.loss_history[:, 0]) < 0).all()


@pytest.mark.parametrize(("frequency", "learned"), [(1, True), (2, True), (3, False), (4, True), (5, False)])
def test_without_bias_odd_frequencies_from_three_on_stay_at_zero(frequency, learned):
    """relu(u) - relu(-u) = u: without bias, the odd part of the output is always linear in (cos θ, sin θ)."""
    angles = regular_angles(100)  # an even number: the grid holds the antipode of each of its points
    fit = train_on_circle(
        np.sin(frequency * angles), units=1000, bias=False, learning_rate=0.1, max_steps=300,
        stop_below=0, record_every=300, progress=False,
    )  # fmt: skip
    first, last = fit.amplitude_history[:, 0]
    if learned:
        assert last == pytest.approx(1.0, abs=0.05)
    else:
        assert abs(first) < 1e-12
        assert abs(last) < 1e-12


@pytest.mark.parametrize("bias", [False, True])
def test_wide_networks_from_zero_learn_as_fast_as_the_kernel_predicts(bias):
    frequencies = np.array([2, 4, 6])
    times = learning_times(
        frequencies=frequencies, runs=2, units=8000, points=201, sampling="regular", bias=bias, paired=True,
        learning_rate=0.02, progress=False,
    )  # fmt: skip
    predicted = learning_time(201 * circle_eigenvalues(frequencies, bias=bias), 0.02, np.sqrt(0.1))
    np.testing.assert_allclose(times.steps.mean("run"), predicted, rtol=0.06, atol=1)
    np.testing.assert_allclose(
        times.kernel_rate.mean("run"), 201 * circle_eigenvalues(frequencies, bias=bias), rtol=0.05
    )


def test_too_large_a_step_silences_units_when_there_are_biases():
    """With bias, Basri et al.'s own step size is beyond the stable limit, learning_rate · n · λ_0 < 2."""
    settings = dict(units=1000, learning_rate=0.01, max_steps=300, stop_below=0, progress=False)
    target = np.sin(4 * regular_angles(1001)) / np.sqrt(1001 / 2)
    assert 0.01 * 1001 * circle_eigenvalues([0])[0] > 2
    assert train_on_circle(target, **settings).silent[0] > 0.5
    assert train_on_circle(target, **{**settings, "learning_rate": 0.005}).silent[0] < 0.01


def test_learning_times_are_the_same_whichever_frequencies_are_asked_for():
    settings = dict(runs=2, units=100, points=51, bias=False, progress=False)
    both = learning_times(frequencies=[2, 4], **settings)
    one = learning_times(frequencies=[4], **settings)
    assert both.sel(frequency=[4]).equals(one)
    assert both.steps.dims == ("frequency", "run")
    assert both.steps.dtype == np.int64


def test_diverging_training_stops_and_says_so():
    fit = train_on_circle(
        np.ones(20), units=50, bias=False, learning_rate=1e200, max_steps=100, progress=False
    )
    assert fit.steps[0] == -1
    assert not np.isfinite(fit.loss[0])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (dict(targets=np.zeros((2, 2, 2))), "targets"),
        (dict(targets=[]), "targets"),
        (dict(targets=[1.0, np.nan]), "targets"),
        (dict(targets=np.zeros(5), angles=np.zeros(4)), "angles"),
        (dict(targets=np.zeros(5), units=0), "units"),
        (dict(targets=np.zeros(5), units=5, paired=True), "units"),
        (dict(targets=np.zeros(5), learning_rate=0.0), "learning_rate"),
        (dict(targets=np.zeros(5), weight_scale=-1.0), "weight_scale"),
        (dict(targets=np.zeros(5), stop_below=-1.0), "stop_below"),
        (dict(targets=np.zeros(5), max_steps=1.5), "max_steps"),
        (dict(targets=np.zeros(5), record_every=-1), "record_every"),
        (dict(targets=np.zeros(5), output_scale=np.inf), "output_scale"),
        (dict(targets=np.zeros(5), units=2, initial=(np.zeros((1, 2, 2)), np.ones((1, 2)))), "initial"),
        (
            dict(targets=np.zeros(5), units=1, bias=False, initial=(np.ones((1, 1, 3)), np.ones((1, 1)))),
            "initial",
        ),
    ],
)
def test_bad_input_is_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        train_on_circle(**arguments, progress=False)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(dict(frequencies=[0]), "frequencies"), (dict(frequencies=[1.5]), "frequencies"),
     (dict(frequencies=[1], sampling="grid"), "sampling"), (dict(frequencies=[1], runs=0), "runs"),
     (dict(frequencies=[1], points=0), "points")],
)  # fmt: skip
def test_bad_experiments_are_named(arguments, named):
    with pytest.raises(ValueError, match=named):
        learning_times(**arguments, progress=False)
