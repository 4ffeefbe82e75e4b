"""Canonical networks: same outputs, one for a whole orbit, of least norm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from specbias.ensembles import initial_parameters, predict
from specbias.ensembles.networks import count_parameters, layers
from specbias.landscape.canonical import canonical, imbalance, random_symmetry

X = np.linspace(-2, 2, 23)

networks = st.fixed_dictionaries(
    {"seed": st.integers(0, 2**32 - 1), "depth": st.integers(1, 5), "width": st.integers(1, 5)}
)


def generic(seed, depth, width, models=3):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(models, count_parameters(depth, width)))


def sparse(seed, depth, width, models=3, kept=0.5):
    """Many zeros, so that units are dead by themselves and through each other."""
    rows = generic(seed, depth, width, models)
    return rows * (np.random.default_rng(seed + 1).random(rows.shape) < kept)


def assert_same_outputs(found, expected, depth, width):
    scale = predict(np.abs(expected), np.abs(X), depth, width).max()
    np.testing.assert_allclose(
        predict(found, X, depth, width), predict(expected, X, depth, width), rtol=0, atol=1e-12 * scale
    )


def energies(row, layer, depth, width):
    """Of what enters and what leaves each unit of a layer."""
    (weights, biases), (after, _) = layers(row, depth, width)[layer : layer + 2]
    return (weights**2).sum(axis=1) + biases**2, (after**2).sum(axis=0)


@given(networks, st.sampled_from([0.2, 0.5, 0.8, 1.0]))
def test_outputs_stay_and_the_norm_never_grows(shape, kept):
    rows = sparse(**shape, kept=kept)
    found = canonical(rows, shape["depth"], shape["width"])
    assert found.shape == rows.shape and found.dtype == np.float64
    assert_same_outputs(found, rows, shape["depth"], shape["width"])
    assert (np.linalg.norm(found, axis=1) <= np.linalg.norm(rows, axis=1) * (1 + 1e-14)).all()


@given(networks, st.floats(0.1, 3))
def test_one_network_for_the_whole_orbit(shape, spread):
    rows, sizes = generic(**shape), (shape["depth"], shape["width"])
    moved = random_symmetry(rows, *sizes, np.random.default_rng(shape["seed"]), spread=spread)
    assert_same_outputs(moved, rows, *sizes)
    assert not np.allclose(moved, rows)
    np.testing.assert_allclose(canonical(moved, *sizes), canonical(rows, *sizes), rtol=0, atol=1e-9)


@given(networks, st.sampled_from([0.3, 1.0]))
def test_every_unit_is_balanced_or_zero_and_sorted(shape, kept):
    depth, width = shape["depth"], shape["width"]
    found = canonical(sparse(**shape, kept=kept), depth, width)
    assert imbalance(found, depth, width).max() < 1e-12
    for row in found:
        for layer in range(depth):
            entering, leaving = energies(row, layer, depth, width)
            np.testing.assert_allclose(entering, leaving, rtol=1e-11, atol=0)
            norm = np.sqrt(entering)
            assert (np.diff(norm) >= -1.1e-10 * norm.max()).all()


@given(networks, st.sampled_from([0.4, 1.0]))
def test_doing_it_twice_changes_nothing(shape, kept):
    once = canonical(sparse(**shape, kept=kept), shape["depth"], shape["width"])
    np.testing.assert_allclose(canonical(once, shape["depth"], shape["width"]), once, rtol=0, atol=1e-11)


@pytest.mark.parametrize(("depth", "width"), [(1, 3), (2, 2), (3, 3), (5, 2)])
def test_least_norm_agrees_with_a_general_minimiser(depth, width):
    row = generic(7, depth, width, models=1)[0]

    def energy(logs):
        moved = [(weights.copy(), biases.copy()) for weights, biases in layers(row, depth, width)]
        for layer, scale in enumerate(np.exp(logs.reshape(depth, width))):
            moved[layer][0][...] *= scale[:, None]
            moved[layer][1][...] *= scale
            moved[layer + 1][0][...] /= scale
        return sum((weights**2).sum() + (biases**2).sum() for weights, biases in moved)

    least = minimize(energy, np.zeros(depth * width), tol=1e-12).fun
    assert (canonical(row, depth, width) ** 2).sum() == pytest.approx(least, rel=1e-8)


def test_dead_units_vanish_with_all_that_hangs_on_them():
    row = generic(3, 3, 2, models=1)[0]
    found = layers(row, 3, 2)
    found[2][0][0] = 0  # nothing enters the first unit of the last hidden layer
    found[2][1][0] = 0
    found[2][0][1, 1] = 0  # so that nothing live leaves the second unit of the layer before
    left = layers(canonical(row, 3, 2), 3, 2)
    assert [np.count_nonzero(weights) for weights, _ in left] == [2, 2, 1, 1]
    assert [np.count_nonzero(biases) for _, biases in left] == [2, 1, 1, 1]
    assert_same_outputs(canonical(row, 3, 2)[None], row[None], 3, 2)


def test_a_network_without_live_units_keeps_its_last_bias_alone():
    row = generic(3, 2, 2, models=1)[0]
    layers(row, 2, 2)[2][0][...] = 0
    found = canonical(row, 2, 2)
    assert found[-1] == row[-1] and not found[:-1].any()
    assert imbalance(found, 2, 2) == 0


def test_a_unit_that_is_merely_never_active_stays():
    found = canonical([1.0, -100.0, 1.0, 0.0], 1, 1)
    assert (found != 0).tolist() == [True, True, True, False]


def test_mirrored_units_with_equal_norms_are_ordered_by_their_entries():
    first, second = [1.0, -1.0, 0.5, 0.5, 1.0, 2.0, 0.0], [-1.0, 1.0, 0.5, 0.5, 2.0, 1.0, 0.0]
    np.testing.assert_allclose(canonical(first, 1, 2), canonical(second, 1, 2), rtol=1e-14)
    equal, swapped = [1.0, -1.0, 0.5, 0.5, 2.0, 2.0, 0.0], [-1.0, 1.0, 0.5, 0.5, 2.0, 2.0, 0.0]
    np.testing.assert_array_equal(canonical(equal, 1, 2), canonical(swapped, 1, 2))


def test_very_uneven_weights_and_many_networks():
    rows = initial_parameters(5000, seed=0)
    found = canonical(rows)
    assert found.dtype == np.float64 and imbalance(found).max() < 1e-12
    np.testing.assert_allclose(found[4321], canonical(rows[4321]), rtol=0, atol=1e-15)
    uneven = generic(0, 5, 5) * 10 ** np.random.default_rng(1).uniform(-100, 100, (3, 136))
    assert imbalance(canonical(uneven)).max() < 1e-11


def test_imbalance_of_a_row_and_of_rows():
    assert imbalance([1.0, 2.0, 1.0, 9.0], 1, 1) == pytest.approx(0.8)
    assert imbalance([[1.0, 2.0, 1.0, 9.0], [0.0, 0.0, 1.0, 9.0]], 1, 1) == pytest.approx([0.8, 0])


@pytest.mark.parametrize("function", [canonical, imbalance])
def test_wrong_input(function):
    with pytest.raises(ValueError, match=r"shape \(models, 136\)"):
        function(np.ones(135))
    with pytest.raises(ValueError, match="shape"):
        function(np.ones((1, 1, 136)))
    with pytest.raises(ValueError, match="finite"):
        function(np.full(136, np.nan))
    with pytest.raises(ValueError, match="depth must be at least 1"):
        function(np.ones(136), 0, 5)


def test_wrong_options():
    row = generic(0, 5, 5, models=1)[0]
    with pytest.raises(ValueError, match="tolerance"):
        canonical(row, tolerance=0.0)
    with pytest.raises(TypeError, match="max_iter"):
        canonical(row, max_iter=1.5)
    with pytest.raises(RuntimeError, match=r"2 networks \(the first is 0\) are not balanced"):
        canonical([row, row], max_iter=2)
    with pytest.raises(ValueError, match="spread"):
        random_symmetry(row, 5, 5, np.random.default_rng(0), spread=-1.0)
