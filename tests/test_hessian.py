"""The Hessian of small networks against other ways to it, and the counts of its zeros."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from specbias.ensembles import count_parameters, initial_parameters, loss_and_gradient, predict
from specbias.ensembles.networks import layers
from specbias.landscape.canonical import canonical, random_symmetry
from specbias.landscape.hessian import hessian, hessian_spectrum, symmetry_directions, zero_modes

X = np.linspace(-1, 1, 40)
Y = np.sin(3 * X) + 0.3

shapes = st.fixed_dictionaries(
    {"seed": st.integers(0, 2**32 - 1), "depth": st.integers(1, 4), "width": st.integers(1, 4)}
)


def network(seed, depth, width):
    return np.random.default_rng(seed).normal(size=count_parameters(depth, width))


def gradient(rows, depth, width, y=Y):
    return loss_and_gradient(rows, X, y, depth=depth, width=width)[1]


def distance_from_kinks(row, depth, width):
    values, nearest = X[None], np.inf
    for weights, biases in layers(row, depth, width)[:-1]:
        values = weights @ values + biases[:, None]
        nearest = min(nearest, np.abs(values).min())
        values = np.maximum(values, 0)
    return nearest


def torch_hessian(row, depth, width):
    x, y, ends = torch.tensor(X), torch.tensor(Y), np.cumsum([0, *layer_sizes(depth, width)])

    def loss(parameters):
        values = x[None]
        parts = [parameters[start:end] for start, end in zip(ends[:-1], ends[1:], strict=True)]
        for at in range(0, len(parts), 2):
            weights, biases = parts[at].reshape(len(parts[at + 1]), -1), parts[at + 1]
            values = weights @ (values if at == 0 else torch.relu(values)) + biases[:, None]
        return ((values[0] - y) ** 2).mean()

    return torch.autograd.functional.hessian(loss, torch.tensor(row)).numpy()


def layer_sizes(depth, width):
    places = layers(np.arange(count_parameters(depth, width)), depth, width)
    return [part.size for pair in places for part in pair]


@given(shapes)
def test_same_as_automatic_differentiation(shape):
    row, sizes = network(**shape), (shape["depth"], shape["width"])
    found, expected = hessian(row, X, Y, *sizes), torch_hessian(row, *sizes)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12 * max(1, np.abs(expected).max()))


@given(shapes)
def test_same_as_differences_of_the_gradient(shape):
    row, sizes, step = network(**shape), (shape["depth"], shape["width"]), 1e-6
    assume(distance_from_kinks(row, *sizes) > 1e-3)
    moves = step * np.eye(row.size)
    expected = (gradient(row + moves, *sizes) - gradient(row - moves, *sizes)) / (2 * step)
    scale = max(1, np.abs(expected).max())
    np.testing.assert_allclose(hessian(row, X, Y, *sizes), expected, rtol=0, atol=1e-6 * scale)


@given(shapes)
def test_symmetry_directions_are_tangents_and_the_hessian_on_them_follows_from_the_gradient(shape):
    row, depth, width = network(**shape), shape["depth"], shape["width"]
    tangents, slope = symmetry_directions(row, depth, width), gradient(row[None], depth, width)[0]
    scale = max(1, np.abs(slope).max())
    np.testing.assert_allclose(tangents @ slope, 0, atol=1e-12 * scale * np.abs(row).max())
    signs = symmetry_directions(np.ones_like(row), depth, width)
    matrix = hessian(row, X, Y, depth, width)
    tolerance = 1e-12 * max(1, np.abs(matrix).max()) * max(1, np.abs(row).max())
    np.testing.assert_allclose(tangents @ matrix, -signs * slope, atol=tolerance)


def test_symmetry_directions_are_derivatives_of_rescaling():
    row, step = network(1, 3, 2), 1e-6
    tangents = symmetry_directions(row, 3, 2)
    assert tangents.shape == (6, row.size)
    for at, tangent in enumerate(tangents):
        moved = row * np.exp(step * symmetry_directions(np.ones_like(row), 3, 2)[at])
        np.testing.assert_allclose((moved - row) / step, tangent, atol=1e-5)
        np.testing.assert_allclose(predict(moved[None], X, 3, 2), predict(row[None], X, 3, 2), atol=1e-12)


@given(shapes, st.booleans())
def test_at_an_exact_minimum_the_symmetries_are_null_vectors_and_the_counts_add_up(shape, move):
    row, depth, width = network(**shape), shape["depth"], shape["width"]
    y = predict(row[None], X, depth, width)[0]
    if move:
        row = random_symmetry(row, depth, width, np.random.default_rng(0), spread=0.3)
    matrix, tangents = hessian(row, X, y, depth, width), symmetry_directions(row, depth, width)
    assert np.abs(tangents @ matrix).max() <= 1e-11 * np.abs(matrix).max() * np.abs(row).max()
    modes = zero_modes(row, X, y, depth, width)
    assert modes.zero == modes.symmetry + modes.idle + modes.unexplained
    assert modes.symmetry == depth * width
    assert modes.negative == 0 and modes.unexplained >= 0 and modes.gradient < 1e-10 * np.abs(matrix).max()


def test_a_minimum_found_by_newtons_method_has_the_symmetries_as_null_vectors():
    """Data the network cannot fit, so that the residuals are not 0 there."""
    row = np.array([1.0, -1.0, 0.3, 0.2, 1.0, 1.2, -0.4])  # relu(x + 0.3), relu(0.2 - x)
    y = np.abs(X) ** 1.5
    for _ in range(60):
        values, vectors = np.linalg.eigh(hessian(row, X, y, 1, 2))
        slope = vectors.T @ gradient(row[None], 1, 2, y)[0]
        step = vectors @ np.where(np.abs(values) > 1e-7, slope / np.abs(values), 0)
        row = row - step * min(1, 0.1 / np.linalg.norm(step))
    modes = zero_modes(row, X, y, 1, 2)
    assert modes.gradient < 1e-12
    assert np.mean((predict(row[None], X, 1, 2)[0] - y) ** 2) > 1e-6
    assert np.abs(symmetry_directions(row, 1, 2) @ hessian(row, X, y, 1, 2)).max() < 1e-11
    assert (modes.zero, modes.symmetry, modes.idle, modes.unexplained, modes.negative) == (2, 2, 0, 0, 0)


def one_layer(weights, biases, after, last):
    return np.array([*weights, *biases, *after, last])


def test_zeros_of_networks_made_by_hand():
    def counts(row, width):
        y = predict(row[None], X, 1, width)[0]
        modes = zero_modes(row, X, y, 1, width)
        return modes.zero, modes.symmetry, modes.idle, modes.unexplained

    proper = one_layer([1, 2, -1], [0.5, 0.1, 0.3], [1, -1, 2], 0.2)  # kinks within the data, all different
    assert counts(proper, 3) == (3, 3, 0, 0)
    never = one_layer([1, 2, -1], [0.5, -9, 0.3], [1, -1, 2], 0.2)  # one unit never active: 3 parameters idle
    assert counts(never, 3) == (5, 3, 2, 0)
    dead = one_layer([1, 0, -1], [0.5, 0, 0.3], [1, 0, 2], 0.2)  # all of a unit is 0: no symmetry of its own
    assert counts(dead, 3) == (5, 2, 3, 0)
    always = one_layer([1, 2], [0.5, 5], [1, -1], 0.2)  # a line: its bias does what the output's does
    assert counts(always, 2) == (3, 2, 0, 1)


def test_a_unit_whose_output_is_not_used_is_idle_only_where_the_residual_does_not_ask_for_it():
    row = one_layer([1, -1], [0.5, 0.3], [1, 0], 0.2)
    exact = predict(row[None], X, 1, 2)[0]
    modes = zero_modes(row, X, exact, 1, 2)
    assert (modes.zero, modes.symmetry, modes.idle, modes.unexplained) == (3, 2, 1, 0)
    assert zero_modes(row, X, Y, 1, 2).idle == 0


def test_spectrum_is_that_of_the_hessian_for_one_and_for_many():
    rows = initial_parameters(3, seed=0)
    found = hessian_spectrum(rows, X, Y)
    assert found.shape == rows.shape and (np.diff(found) >= 0).all()
    np.testing.assert_array_equal(found[1], hessian_spectrum(rows[1], X, Y))
    assert found.sum(axis=1) == pytest.approx([np.trace(hessian(row, X, Y)) for row in rows], rel=1e-12)
    assert zero_modes(rows, X, Y)[2] == zero_modes(rows[2], X, Y)


def test_the_signature_is_the_same_for_the_canonical_network():
    """Rescaling changes eigenvalues but, by Sylvester's law at a critical point, not their signs."""
    row = network(5, 2, 3)
    y = predict(row[None], X, 2, 3)[0]
    first, second = (zero_modes(each, X, y, 2, 3, tolerance=1e-11) for each in (row, canonical(row, 2, 3)))
    assert (first.zero, first.symmetry, first.idle) == (second.zero, second.symmetry, second.idle)


def test_wrong_input():
    row = np.ones(136)
    for function in (hessian, hessian_spectrum, zero_modes):
        with pytest.raises(ValueError, match=r"shape \(models, 136\)"):
            function(row[:-1], X, Y)
        with pytest.raises(ValueError, match="y must have as many values as x"):
            function(row, X, Y[:-1])
        with pytest.raises(ValueError, match="finite"):
            function(row, X, np.full_like(Y, np.inf))
    with pytest.raises(ValueError, match="one row"):
        hessian(row[None], X, Y)
    with pytest.raises(ValueError, match="one row"):
        symmetry_directions(row[None])
    with pytest.raises(ValueError, match="tolerance"):
        zero_modes(row, X, Y, tolerance=-1.0)
