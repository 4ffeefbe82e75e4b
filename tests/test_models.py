"""Networks, initialisations and embeddings, against NumPy, SciPy's distributions and PyTorch's own layers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from specbias.models import ACTIVATIONS, INITIALIZATIONS, MLP, Circle, FourierFeatures, Rescale, generators

NUMPY_ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0.0),
    "sigmoid": lambda z: 1.0 / (1.0 + np.exp(-z)),
    "sin": np.sin,
}


def network(*arguments, seed=0, **settings) -> MLP:
    return MLP(*arguments, generator=generators([seed])[0], **settings)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("omega", [1.0, 3.5])
@pytest.mark.parametrize("biases", [(True, True), (True, False), (False, False)])
def test_output_is_the_formula(activation, omega, biases):
    bias, output_bias = biases
    net = network(
        2, (5, 4), activation=activation, omega=omega, bias=bias, output_bias=output_bias, dtype=torch.float64
    )
    x = np.random.default_rng(0).normal(size=(9, 2))
    a = x
    for layer in net.layers[:-1]:
        b = 0.0 if layer.bias is None else layer.bias.detach().numpy()
        a = NUMPY_ACTIVATIONS[activation](omega * (a @ layer.weight.detach().numpy().T + b))
    last = net.layers[-1]
    assert (net.layers[0].bias is not None, last.bias is not None) == biases
    output = a @ last.weight.detach().numpy().T + (last.bias.item() if output_bias else 0.0)
    np.testing.assert_allclose(net.basis(torch.from_numpy(x)).detach(), a, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(net(torch.from_numpy(x)).detach(), output, rtol=1e-13, atol=1e-15)


def test_parameter_count_counts_every_weight_and_bias():
    assert network(1, (100, 100), output_bias=False).parameter_count == 100 + 100 + 100 * 100 + 100 + 100
    assert network(3, (7,), bias=False).parameter_count == 3 * 7 + 7 + 1


@given(seed=st.integers(0, 1000), activation=st.sampled_from(list(ACTIVATIONS)), data=st.data())
def test_the_order_of_hidden_units_does_not_matter(seed, activation, data):
    net = network(1, (6, 5), seed=seed, activation=activation, dtype=torch.float64)
    x = torch.linspace(-2, 2, 11, dtype=torch.float64)
    before = net(x)
    with torch.no_grad():
        for layer, following in zip(net.layers[:-1], net.layers[1:], strict=True):
            order = torch.tensor(data.draw(st.permutations(range(layer.out_features))))
            layer.weight.copy_(layer.weight[order].clone())
            layer.bias.copy_(layer.bias[order].clone())
            following.weight.copy_(following.weight[:, order].clone())
    torch.testing.assert_close(net(x), before, rtol=1e-13, atol=1e-14)


def uniform(bound):
    return stats.uniform(-bound, 2 * bound)


# name -> distributions of a layer's weights and biases (None: zero), from fan-in, fan-out, first or not
FORMULAS = {
    "pytorch": lambda i, o, first: (uniform(i**-0.5), uniform(i**-0.5)),
    "xavier-normal": lambda i, o, first: (stats.norm(scale=(2 / (i + o)) ** 0.5), None),
    "lecun-normal": lambda i, o, first: (stats.norm(scale=i**-0.5), None),
    "kaiming-normal": lambda i, o, first: (stats.norm(scale=(2 / i) ** 0.5), None),
    "basri": lambda i, o, first: (stats.norm(scale=(2 / ((1 + 5) * i)) ** 0.5), None),
    "basri-random-bias": lambda i, o, first: (stats.norm(scale=(2 / (6 * i)) ** 0.5), uniform(i**-0.5)),
    "siren": lambda i, o, first: (uniform(1 / i if first else (6 / i) ** 0.5 / 30), uniform(i**-0.5)),
}


@pytest.mark.parametrize("init", INITIALIZATIONS)
def test_initial_values_have_the_distribution_of_the_formula(init):
    net = network(40, (300, 250), init=init, omega=30.0 if init == "siren" else 1.0)
    for index, layer in enumerate(net.layers[:-1]):
        weights, biases = FORMULAS[init](layer.in_features, layer.out_features, index == 0)
        assert stats.kstest(layer.weight.detach().numpy().ravel(), weights.cdf).pvalue > 1e-3
        if biases is None:
            assert not layer.bias.any()
        else:
            assert stats.kstest(layer.bias.detach().numpy(), biases.cdf).pvalue > 1e-3


def test_pytorch_initialisation_is_that_of_nn_linear():
    torch.manual_seed(0)
    ours, theirs = network(60, (400,)).layers[0], torch.nn.Linear(60, 400)
    for name in ("weight", "bias"):
        a, b = (getattr(layer, name).detach().numpy().ravel() for layer in (ours, theirs))
        assert stats.ks_2samp(a, b).pvalue > 1e-3
    assert abs(ours.weight).max().item() == pytest.approx(60**-0.5, rel=1e-3)


def test_a_network_depends_on_its_seed_only():
    one_of_many = [MLP(1, (8, 8), generator=g) for g in generators([3, 4, 5])][1]
    alone = network(1, (8, 8), seed=4)
    double = network(1, (8, 8), seed=4, dtype=torch.float64)
    other = network(1, (8, 8), seed=5)
    for a, b, c, d in zip(*(m.parameters() for m in (one_of_many, alone, double, other)), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a.double(), c)
        assert not torch.equal(a, d)


def test_embeddings_are_their_closed_forms():
    x = np.random.default_rng(0).uniform(-20, 20, (50, 1))
    points = torch.from_numpy(x)
    frequencies = np.array([0.25, 1.5, 7.0])
    expected = np.stack([np.cos(2 * np.pi * x * frequencies), np.sin(2 * np.pi * x * frequencies)], axis=-1)
    np.testing.assert_allclose(FourierFeatures(frequencies)(points), expected.reshape(50, 6), atol=1e-12)
    circle = np.hstack([np.cos(x * 2 * np.pi / 3.0), np.sin(x * 2 * np.pi / 3.0)])
    np.testing.assert_allclose(Circle(3.0)(points), circle, atol=1e-13)
    np.testing.assert_allclose(Circle()(points), np.hstack([np.cos(x), np.sin(x)]), atol=1e-13)
    np.testing.assert_allclose(Rescale(-20, 30)(points), -1 + 2 * (x + 20) / 50, atol=1e-15)


@pytest.mark.parametrize(("embedding", "inputs"), [(None, 1), (Circle(), 2), (FourierFeatures([1, 2, 3]), 6)])
def test_the_first_layer_sees_the_embedding(embedding, inputs):
    net = network(1, (5,), embedding=embedding, dtype=torch.float64)
    x = torch.linspace(0, 3, 7, dtype=torch.float64)
    assert net.layers[0].in_features == inputs
    first = net.layers[0](x[:, None] if embedding is None else embedding(x[:, None]))
    torch.testing.assert_close(net(x), net.layers[1](torch.tanh(first)))


def test_networks_of_two_dtypes_can_share_an_embedding():
    embedding = FourierFeatures([1 / 3])
    network(1, (4,), embedding=embedding, dtype=torch.float32)
    assert embedding.angular.dtype == torch.float64
    double = network(1, (4,), embedding=embedding, dtype=torch.float64)
    assert double.embedding.angular.item() == 2 * math.pi / 3


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: MLP(1, (5,), activation="rleu"), ValueError, "activation.*did you mean 'relu'"),
        (lambda: MLP(1, (5,), init="pytroch"), ValueError, "init.*did you mean 'pytorch'"),
        (lambda: MLP(0, (5,)), ValueError, "in_features must be at least 1, got 0"),
        (lambda: MLP(1, ()), ValueError, "hidden"),
        (lambda: MLP(1, 5), ValueError, "hidden"),
        (lambda: MLP(1, (5, 0)), ValueError, "hidden must be at least 1, got 0"),
        (lambda: MLP(1, (5, 2.5)), TypeError, "hidden must be a whole number, got 2.5"),
        (lambda: MLP(1, (5,), omega=0.0), ValueError, "omega"),
        (lambda: MLP(1, (5,), dtype=torch.float16), TypeError, "dtype"),
        (lambda: network(2, (5,))(torch.zeros(3, 1)), ValueError, "x must have 2 columns"),
        (lambda: Rescale(1.0, 1.0), ValueError, "high"),
        (lambda: Rescale(0.0, math.inf), ValueError, "high"),
        (lambda: FourierFeatures([]), ValueError, "frequencies"),
        (lambda: FourierFeatures([math.nan]), ValueError, "frequencies"),
        (lambda: Circle(-1.0), ValueError, "period"),
    ],
)
def test_bad_arguments_are_named(make, error, words):
    with pytest.raises(error, match=words):
        make()
