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
from specbias.landscape.derivatives import NetworkAtSamples
from specbias.landscape.hand_built import hand_built_network
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
    assert modes.zero == modes.symmetry + modes.idle + modes.dependent + modes.unexplained
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
    assert parts(modes) == (2, 2, 0, 0, 0) and modes.negative == 0


def one_layer(weights, biases, after, last):
    return np.array([*weights, *biases, *after, last])


def parts(modes):
    return modes.zero, modes.symmetry, modes.idle, modes.dependent, modes.unexplained


def counts(row, depth, width):
    """Of data that the network fits exactly."""
    return parts(zero_modes(row, X, predict(row[None], X, depth, width)[0], depth, width))


def test_zeros_of_networks_made_by_hand():
    proper = one_layer([1, 2, -1], [0.5, 0.1, 0.3], [1, -1, 2], 0.2)  # kinks within the data, all different
    assert counts(proper, 1, 3) == (3, 3, 0, 0, 0)
    never = one_layer([1, 2, -1], [0.5, -9, 0.3], [1, -1, 2], 0.2)  # one unit never active: 3 parameters idle
    assert counts(never, 1, 3) == (5, 3, 2, 0, 0)
    dead = one_layer([1, 0, -1], [0.5, 0, 0.3], [1, 0, 2], 0.2)  # all of a unit is 0: no symmetry of its own
    assert counts(dead, 1, 3) == (5, 2, 3, 0, 0)
    always = one_layer([1, 2], [0.5, 5], [1, -1], 0.2)  # a line: its bias does what the output's does
    assert counts(always, 1, 2) == (3, 2, 0, 1, 0)
    twins = one_layer([1, 2], [0.2, 0.42], [1, -1], 0.2)  # kinks between the same samples: one more for each
    assert counts(twins, 1, 2) == (4, 2, 0, 2, 0)


def two_layers(*, weights, biases, after, last, out, end):
    return np.concatenate([weights, biases, np.ravel(after), last, out, [end]])


def test_zeros_of_deeper_networks_made_by_hand():
    """Three kinks after a first layer that is linear: 10 - 3 of 22 parameters count."""
    row = two_layers(
        weights=[1, 2, -1], biases=[3, 4, 5], after=[[1, 0, 0.2], [0, 1, 0.1], [0.2, 0.1, -1]],
        last=[-3.5, -4.9, 4.3], out=[1, -2, 3], end=0.5,
    )  # fmt: skip
    assert counts(row, 2, 3) == (15, 6, 0, 9, 0)


def test_what_cancels_in_the_output_alone_is_not_explained():
    """Two parallel units with one kink, then two always active: 3 of 13 parameters count.

    The kink can be moved by what the second layer, with one bent function only, cannot take back.
    """
    row = two_layers(
        weights=[1, 2], biases=[0.2, 0.4], after=[[1, -0.5], [0.3, 1]], last=[9, 9], out=[1, 2], end=0.5
    )
    assert counts(row, 2, 2) == (10, 4, 0, 5, 1)


def test_the_network_built_by_hand_is_explained():
    built = hand_built_network()
    modes = zero_modes(canonical(built.parameters), built.x, built.y, tolerance=1e-12)
    assert parts(modes) == (88, 24, 9, 55, 0)
    # Its own parameters are multiples of powers of two, so that it is computed without rounding there, and
    # rescaling keeps the rank. In the canonical form rounding leaves 1e-16 where units are at their kinks.
    assert zero_modes(built.parameters, built.x, built.y, tolerance=1e-12).zero == 88


def test_the_last_digit_does_not_decide_at_a_kink():
    built = hand_built_network()
    start, draw = canonical(built.parameters), np.random.default_rng(0)
    largest = [
        np.linalg.eigvalsh(hessian(start * (1 + 1e-15 * draw.standard_normal(start.size)), built.x, built.y))[
            -1
        ]
        for _ in range(5)
    ]
    np.testing.assert_allclose(largest, np.linalg.eigvalsh(hessian(start, built.x, built.y))[-1], rtol=1e-11)


@given(shapes)
def test_exchanges_change_nothing_to_first_order_and_are_null_vectors_at_an_exact_minimum(shape):
    row, sizes, step = network(**shape), (shape["depth"], shape["width"]), 1e-6
    assume(distance_from_kinks(row, *sizes) > 1e-3)
    y = predict(row[None], X, *sizes)[0]
    found = exchanges(row, *sizes)
    change = (predict(row + step * found, X, *sizes) - predict(row - step * found, X, *sizes)) / (2 * step)
    np.testing.assert_allclose(change, 0, atol=1e-6 * max(1, np.abs(y).max()))
    matrix = hessian(row, X, y, *sizes)
    np.testing.assert_allclose(found @ matrix, 0, atol=1e-11 * np.abs(matrix).max())
    both = np.vstack([found, symmetry_directions(row, *sizes)])  # which are among them
    assert np.linalg.matrix_rank(both, tol=1e-8) == np.linalg.matrix_rank(found, tol=1e-8)


def exchanges(row, depth, width):
    found = NetworkAtSamples(row, X, Y, depth, width).exchanges()
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 2))
def test_families_with_the_same_outputs_go_in_the_directions_of_exchanges(seed, by):
    """The first layer has units 0 and 1 active at the same samples and units 2 and 3 at all."""
    row = network(seed, 2, 4)
    (weights, biases), (after, last), _ = layers(row, 2, 4)
    weights[:, 0], biases[:] = [1, 2, 0.5, -0.7], [0.2, 0.42, 3, 2]
    basis, before = exchanges(row, 2, 4), predict(row[None], X, 2, 4)

    def check(moved):
        np.testing.assert_allclose(predict(moved[None], X, 2, 4), before, atol=1e-10 * np.abs(row).max() ** 2)
        move = (moved - row) / np.linalg.norm(moved - row)
        np.testing.assert_allclose(basis.T @ np.linalg.lstsq(basis.T, move, rcond=1e-10)[0], move, atol=1e-9)

    for unit, other in [(0, 1), (1, 0), (2, 3), (3, 2)]:  # (d) the row of one added to that of another
        moved = row.copy()
        (w, b), (v, _), _ = layers(moved, 2, 4)
        w[unit] += by * w[other]
        b[unit] += by * b[other]
        v[:, other] -= by * v[:, unit]
        check(moved)
    moved = row.copy()
    (_, b), (v, c), _ = layers(moved, 2, 4)
    b[2] += by  # (d) with the constant 1
    c -= by * v[:, 2]
    check(moved)
    for unit in range(4):  # (c) 0.7 (0.5 x + 3) + 0.5 (-0.7 x + 2) - 3.1 = 0
        moved = row.copy()
        _, (v, c), _ = layers(moved, 2, 4)
        v[unit, 2:] += [0.7 * by, 0.5 * by]
        c[unit] -= 3.1 * by
        check(moved)


def test_a_unit_whose_output_is_not_used_is_idle_only_where_the_residual_does_not_ask_for_it():
    row = one_layer([1, -1], [0.5, 0.3], [1, 0], 0.2)
    assert counts(row, 1, 2) == (3, 2, 1, 0, 0)
    modes = zero_modes(row, X, Y, 1, 2)
    assert modes.idle == 0
    assert modes.dependent == 1  # one way to move its row keeps its output at right angles to the residual


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
    assert parts(first) == parts(second)


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
