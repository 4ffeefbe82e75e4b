"""specbias.kernels against quadrature, Monte Carlo, finite differences and exact arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from specbias.kernels import (
    circle_eigenvalues,
    empirical_ntk,
    kernel_spectrum,
    learning_time,
    power_law,
    relu_ntk,
    two_layer_kernel,
)


def on_circle(angles):
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("frequency", [0, 1, 2, 3, 4, 5, 8, 9, 30])
def test_closed_form_eigenvalues_are_the_integrals_of_the_kernel(frequency, bias):
    integral, _ = integrate.quad(
        lambda angle: two_layer_kernel(np.cos(angle), bias=bias), 0, np.pi, weight="cos", wvar=frequency
    )
    assert circle_eigenvalues([frequency], bias=bias)[0] == pytest.approx(integral / np.pi, abs=1e-12)


def test_odd_frequencies_from_three_on_vanish_without_bias_only():
    odd = np.arange(3, 30, 2)
    assert (circle_eigenvalues(odd, bias=False) == 0).all()
    np.testing.assert_allclose(circle_eigenvalues(odd), 1 / (np.pi * odd) ** 2, rtol=1e-15)


@pytest.mark.parametrize("bias", [False, True])
def test_two_layer_kernel_is_the_mean_product_of_gradients(bias):
    """Monte Carlo over hidden units: ∂f/∂(w, b) = a 1(w·x > 0) (x, 1) / √m."""
    angles = np.array([0.0, 0.4, 1.7, np.pi])
    x = on_circle(angles)
    on = (np.random.default_rng(0).normal(size=(200_000, 2)) @ x.T > 0).astype(float)
    expected = (x @ x.T + bias) * (on.T @ on) / len(on)
    np.testing.assert_allclose(two_layer_kernel(x @ x.T, bias=bias), expected, atol=0.01)


def test_kernel_spectrum_holds_the_eigenvalues_of_the_matrix():
    angles = 2 * np.pi * np.arange(50) / 50
    kernel = two_layer_kernel(np.cos(angles[:, None] - angles))
    spectrum = kernel_spectrum(kernel[0])
    once, twice = spectrum[[0, 25]], spectrum[1:25]  # every other frequency has a cosine and a sine
    expected = np.sort(np.concatenate([once, twice, twice]))
    np.testing.assert_allclose(np.linalg.eigvalsh(kernel), expected, atol=1e-12)
    for frequency in (1, 2, 3):
        mode = np.sin(frequency * angles)
        np.testing.assert_allclose(kernel @ mode, spectrum[frequency] * mode, atol=1e-12)


def test_kernel_spectrum_of_a_fine_grid_tends_to_the_closed_form():
    angles = 2 * np.pi * np.arange(4096) / 4096
    spectrum = kernel_spectrum(two_layer_kernel(np.cos(angles))) / 4096
    np.testing.assert_allclose(spectrum[:31], circle_eigenvalues(np.arange(31)), atol=1e-7)


class NTKNetwork(torch.nn.Module):
    """The network of `relu_ntk`'s docstring, at a finite width."""

    def __init__(self, features, width, hidden_layers, weight_variance, bias_variance, seed):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        sizes = [features] + hidden_layers * [width] + [1]
        shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
        draw = {"generator": generator, "dtype": torch.float64}
        self.weights = torch.nn.ParameterList(torch.randn(*shape, **draw) for shape in shapes)
        self.biases = torch.nn.ParameterList(torch.randn(out, **draw) for out, _ in shapes)
        self.weight_variance, self.bias_variance = weight_variance, bias_variance

    def forward(self, x):
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            scale = (self.weight_variance / weight.shape[1]) ** 0.5
            x = scale * (torch.relu(x) if layer else x) @ weight.T + self.bias_variance**0.5 * bias
        return x


@pytest.mark.parametrize(("hidden_layers", "bias_variance"), [(1, 0.0), (1, 0.5), (3, 0.1)])
def test_relu_ntk_is_the_limit_of_wide_networks(hidden_layers, bias_variance):
    x = np.concatenate([on_circle(np.array([0.0, 0.7, 2.0, np.pi])), [[2.0, -1.0]]])
    networks = [NTKNetwork(2, 400, hidden_layers, 2.0, bias_variance, seed) for seed in range(12)]
    expected = np.mean([empirical_ntk(network, x) for network in networks], axis=0)
    kernel = relu_ntk(x, x, hidden_layers=hidden_layers, bias_variance=bias_variance)
    np.testing.assert_allclose(kernel, expected, rtol=0.08, atol=0.08)


def test_relu_ntk_of_one_hidden_layer_is_two_gaussian_means():
    """One mean for each layer's weights, by quadrature over the direction of the first layer's."""
    x1, x2 = np.array([1.0, 0.0]), 2.0 * np.array([np.cos(0.9), np.sin(0.9)])

    def mean_over_directions(function):  # of unit vectors; a Gaussian weight has a mean squared length of 2
        return integrate.quad(function, 0, 2 * np.pi, points=[np.pi / 2, 0.9 + np.pi / 2])[0] / (2 * np.pi)

    def pre_activations(angle):
        w = np.array([np.cos(angle), np.sin(angle)])
        return w @ x1, w @ x2

    both_on = mean_over_directions(lambda angle: float(min(pre_activations(angle)) > 0))
    product = mean_over_directions(lambda angle: np.prod(np.maximum(pre_activations(angle), 0.0)))
    variance = 3.0
    expected = variance * (variance / 2 * x1 @ x2 * both_on) + variance * (variance / 2 * 2 * product)
    kernel = relu_ntk(x1[None], x2[None], weight_variance=variance)
    assert kernel[0, 0] == pytest.approx(expected, rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 12),
    hidden_layers=st.integers(1, 5),
    bias_variance=st.sampled_from([0.0, 0.3]),
)
def test_relu_ntk_is_symmetric_and_positive_semidefinite(seed, count, hidden_layers, bias_variance):
    x = np.random.default_rng(seed).normal(size=(count, 3))
    x[0] = 0.0
    kernel = relu_ntk(x, x, hidden_layers=hidden_layers, bias_variance=bias_variance)
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-12 * np.abs(kernel).max())
    assert np.linalg.eigvalsh(kernel).min() >= -1e-9 * max(np.abs(kernel).max(), 1.0)


def test_empirical_ntk_is_the_product_of_finite_difference_jacobians():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))  # float32
    before = [parameter.clone() for parameter in model.parameters()]
    x = torch.randn(4, 2)
    kernel = empirical_ntk(model, x)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))

    double = model.double()
    vector = torch.nn.utils.parameters_to_vector(double.parameters()).detach()
    columns = []
    for i in range(len(vector)):
        shifted = []
        for sign in (1, -1):
            change = torch.zeros_like(vector)
            change[i] = sign * 1e-5
            torch.nn.utils.vector_to_parameters(vector + change, double.parameters())
            shifted.append(double(x.double())[:, 0].detach().numpy())
        columns.append((shifted[0] - shifted[1]) / 2e-5)
    jacobian = np.stack(columns, axis=1)
    np.testing.assert_allclose(kernel, jacobian @ jacobian.T, rtol=1e-7)


def test_empirical_ntk_counts_trained_parameters_only():
    model = torch.nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    np.testing.assert_allclose(empirical_ntk(model, [[1.0, 2.0], [3.0, 0.0]]), [[5.0, 3.0], [3.0, 9.0]])


@settings(max_examples=60, deadline=None)
@given(step=st.floats(1e-4, 1.999), remaining=st.floats(0.01, 0.99))
def test_learning_time_is_the_first_step_below(step, remaining):
    time = float(learning_time(step, 1.0, remaining))
    left = abs(1 - step)
    assert left**time <= remaining * (1 + 1e-9)
    assert time == 1 or left ** (time - 1) > remaining * (1 - 1e-9)


def test_learning_time_never_for_frozen_and_diverging_modes():
    np.testing.assert_array_equal(learning_time([0.0, 2.0, 3.0], 1.0, 0.5), np.inf)
    np.testing.assert_array_equal(learning_time([4.0, 4.0], 0.25, 0.5), 1.0)


@settings(max_examples=30, deadline=None)
@given(exponent=st.floats(-3, 3), prefactor=st.floats(0.1, 100))
def test_power_law_recovers_an_exact_one(exponent, prefactor):
    frequencies = np.arange(1, 20)
    law = power_law(frequencies, prefactor * frequencies**exponent)
    assert law.exponent == pytest.approx(exponent, abs=1e-9)
    assert law.prefactor == pytest.approx(prefactor, rel=1e-9)
    assert law.low == pytest.approx(law.high, abs=1e-9)


def test_power_law_agrees_with_linear_regression_of_the_logarithms():
    frequencies = np.array([2.0, 3.0, 5.0, 8.0])
    times = np.random.default_rng(0).uniform(1, 100, (3, 4))
    law = power_law(frequencies, times, confidence=0.95)
    line = stats.linregress(np.log(np.tile(frequencies, 3)), np.log(times.ravel()))
    assert law.exponent == pytest.approx(line.slope)
    assert law.prefactor == pytest.approx(np.exp(line.intercept))
    assert law.high - law.exponent == pytest.approx(
        2.2281389 * line.stderr
    )  # a table's t for 10 degrees, 95 %


def test_power_law_interval_covers_the_truth_as_often_as_it_says():
    generator, frequencies = np.random.default_rng(0), np.arange(2, 12)
    covered = 0
    for _ in range(400):
        times = 5 * frequencies**2.0 * np.exp(0.2 * generator.normal(size=(3, 10)))
        law = power_law(frequencies, times, confidence=0.9)
        covered += law.low <= 2.0 <= law.high
    assert covered == pytest.approx(360, abs=24)  # four standard deviations of a binomial


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: circle_eigenvalues([-1]), "frequencies"),
        (lambda: circle_eigenvalues([1.5]), "frequencies"),
        (lambda: two_layer_kernel([1.1]), "cosine"),
        (lambda: relu_ntk(np.zeros((2, 2)), np.zeros((2, 3))), "x1 and x2"),
        (lambda: relu_ntk(np.zeros((2, 2)), np.zeros((2, 2)), hidden_layers=0), "hidden_layers"),
        (lambda: relu_ntk(np.zeros((2, 2)), np.zeros((2, 2)), weight_variance=0.0), "weight_variance"),
        (lambda: relu_ntk(np.zeros((2, 2)), np.zeros((2, 2)), bias_variance=-1.0), "bias_variance"),
        (lambda: kernel_spectrum([1.0, 2.0, 3.0]), "row"),
        (lambda: empirical_ntk(torch.nn.Linear(2, 2), np.zeros((3, 2))), "one output"),
        (lambda: empirical_ntk(torch.nn.ReLU(), np.zeros((3, 1))), "requires a gradient"),
        (lambda: learning_time(-1.0, 0.1, 0.5), "eigenvalue"),
        (lambda: learning_time(1.0, 0.0, 0.5), "learning_rate"),
        (lambda: learning_time(1.0, 0.1, 1.0), "remaining"),
        (lambda: power_law([1, 2, 3], [1.0, 2.0]), "times"),
        (lambda: power_law([1, 2, 3], [1.0, -1.0, 2.0]), "times"),
        (lambda: power_law([1, 2], [1.0, 2.0]), "times"),
        (lambda: power_law([1, 2, 3], [1.0, 2.0, 3.0], confidence=1.0), "confidence"),
    ],
)
def test_bad_input_is_named(call, named):
    with pytest.raises(ValueError, match=named):
        call()
