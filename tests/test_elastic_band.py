"""Elastic bands on the surface of Müller and Brown, on others known in closed form, and between networks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import approx_fprime, root

from specbias.ensembles import initial_parameters, loss_and_gradient
from specbias.landscape.elastic_band import elastic_band, relax

# K. Müller & L. D. Brown, Theor. Chim. Acta 53, 75 (1979): four terms, their minima and saddles.
HEIGHT = np.array([-200.0, -100.0, -170.0, 15.0])
ACROSS, MIXED, UP = np.array([[-1, -1, -6.5, 0.7], [0, 0, 11, 0.6], [-10, -10, -6.5, 0.7]])
CENTRE = np.array([[1, 0, -0.5, -1], [0, 0.5, 1.5, 1]])
MINIMA = np.array([[-0.558224, 1.441726], [-0.050011, 0.466694], [0.623499, 0.028038]])
SADDLES = np.array([[-0.822, 0.624], [0.212, 0.293]])
MINIMUM_ENERGIES, SADDLE_ENERGIES = [-146.700, -80.768, -108.167], [-40.665, -72.249]
FIRM = {"spring": 1000.0, "step": 0.01, "steps": 3000}


def mueller_brown(points):
    u, v = points[:, :1] - CENTRE[0], points[:, 1:] - CENTRE[1]
    terms = HEIGHT * np.exp(ACROSS * u**2 + MIXED * u * v + UP * v**2)
    slopes = terms * (2 * ACROSS * u + MIXED * v), terms * (MIXED * u + 2 * UP * v)
    return terms.sum(axis=1), np.stack([slope.sum(axis=1) for slope in slopes], axis=1)


def arch(points):
    """A circular valley of radius 1, with its lowest place to the right."""
    radius = np.hypot(*points.T)[:, None]
    slope = 2 * (1 - 1 / radius) * points - [0.1, 0]
    return (radius[:, 0] - 1) ** 2 - points[:, 0] / 10, slope


def lines(start, end, images):
    return np.linspace(np.atleast_2d(start), np.atleast_2d(end), images, axis=1)


def stationary(guess):
    found = root(lambda point: mueller_brown(point[None])[1][0], guess, tol=1e-12)
    assert found.success
    return found.x


@pytest.fixture(scope="module")
def climbed():
    """Bands between neighbouring minima."""
    return relax(lines(MINIMA[:2], MINIMA[1:], 15), mueller_brown, climbing=True, tolerance=1e-4, **FIRM)


def test_the_surface_is_the_published_one():
    points = np.concatenate([MINIMA, SADDLES])
    energy = mueller_brown(np.array([stationary(point) for point in points]))[0]
    np.testing.assert_allclose(energy, MINIMUM_ENERGIES + SADDLE_ENERGIES, atol=1e-3)
    for point in np.random.default_rng(0).uniform([-1.2, -0.2], [0.8, 1.6], (20, 2)):
        slope = approx_fprime(point, lambda at: mueller_brown(at[None])[0][0], 1e-7)
        np.testing.assert_allclose(mueller_brown(point[None])[1][0], slope, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("path", [0, 1])
def test_the_climbing_image_finds_the_saddle(climbed, path):
    highest = climbed.energy[path].argmax()
    point, energy = climbed.points[path, highest], climbed.energy[path, highest]
    assert climbed.converged[path]
    assert climbed.force[path] <= 1e-4
    np.testing.assert_allclose(point, SADDLES[path], atol=1e-3)
    np.testing.assert_allclose(energy, SADDLE_ENERGIES[path], atol=1e-3)
    np.testing.assert_allclose(point, stationary(SADDLES[path]), atol=1e-5)


def test_two_saddles_lie_on_the_way_from_the_first_minimum_to_the_third():
    band = relax(lines(MINIMA[0], MINIMA[2], 40), mueller_brown, tolerance=1e-2, **FIRM)
    assert band.converged.all()
    for special in (*SADDLES, MINIMA[1]):
        distance = np.linalg.norm(band.points[0] - special, axis=1)
        assert distance.min() < band.distance[0, -1] / 39 / 2 * 1.1


def test_forces_at_convergence_are_along_the_band():
    """The tangent here is the central difference, not the library's: they agree as images get many."""
    angle = []
    for images in (10, 40):
        band = relax(lines(MINIMA[0], MINIMA[1], images), mueller_brown, tolerance=1e-3, **FIRM)
        assert band.converged.all()
        tangent = band.points[0, 2:] - band.points[0, :-2]
        gradient = mueller_brown(band.points[0, 1:-1])[1]
        cross = tangent[:, 0] * gradient[:, 1] - tangent[:, 1] * gradient[:, 0]
        sizes = np.linalg.norm(tangent, axis=1) * np.linalg.norm(gradient, axis=1)
        steep = np.linalg.norm(gradient, axis=1) > 20
        angle.append(abs(cross / sizes)[steep].max())
    assert angle[1] < 0.15
    assert angle[1] < angle[0] / 2


def test_springs_make_distances_equal(climbed):
    band = relax(lines(MINIMA[1], MINIMA[2], 12), mueller_brown, tolerance=1e-6, **FIRM)
    gaps = np.diff(band.distance[0])
    np.testing.assert_allclose(gaps, gaps.mean(), rtol=1e-3)
    assert (np.diff(climbed.distance, axis=1) > 0).all()


def test_what_a_band_tells_is_about_its_points(climbed):
    assert climbed.points.shape == (2, 15, 2)
    np.testing.assert_array_equal(climbed.points[:, [0, -1]], np.stack([MINIMA[:2], MINIMA[1:]], axis=1))
    np.testing.assert_allclose(climbed.energy, [mueller_brown(path)[0] for path in climbed.points])
    steps = np.diff(climbed.points, axis=1)
    np.testing.assert_allclose(np.diff(climbed.distance, axis=1), np.linalg.norm(steps, axis=2))
    heading = np.unwrap(np.arctan2(steps[..., 1], steps[..., 0]))
    np.testing.assert_allclose(climbed.angle, abs(np.diff(heading, axis=1)), atol=1e-12)
    assert climbed.history.shape == (len(climbed.history_steps), 2)
    assert climbed.history_steps[-1] == climbed.steps.max()
    np.testing.assert_array_equal(climbed.history[-1], climbed.force)


def test_paths_together_are_what_they_are_alone():
    paths = lines(MINIMA[[0, 1, 0]], MINIMA[[1, 2, 2]], 11)
    together = relax(paths, mueller_brown, climbing=True, tolerance=1e-3, **FIRM)
    for index, path in enumerate(paths):
        alone = relax(path[None], mueller_brown, climbing=True, tolerance=1e-3, **FIRM)
        assert alone.steps[0] == together.steps[index]
        np.testing.assert_allclose(alone.points[0], together.points[index], atol=1e-10)
        np.testing.assert_allclose(alone.force[0], together.force[index], rtol=1e-6)


def test_a_line_through_the_bottom_of_a_bowl_stays():
    paths = lines([[1.0, 2.0, -1.0]], [[-2.0, -4.0, 2.0]], 9)
    band = relax(paths, lambda points: ((points**2).sum(axis=1), 2 * points), step=0.1)
    assert band.converged.all() and band.steps[0] == 0
    np.testing.assert_allclose(band.points, paths, atol=1e-14)


def test_a_band_rests_on_flat_ground_and_becomes_even_on_a_slope():
    uneven = np.array([0, 0.05, 0.2, 1.0])[None, :, None] * [3.0, 4.0]
    flat = relax(uneven, lambda points: (0 * points[:, 0], 0 * points))
    np.testing.assert_array_equal(flat.points, uneven)  # no force across it
    slope = np.array([0.0, 1e-3])
    options = {"tolerance": 1e-12, "step": 0.1}
    drawn = relax(uneven, lambda points: (points @ slope, 0 * points + slope), **options)
    gaps = np.diff(drawn.distance[0])  # and it has slid down, between its ends
    np.testing.assert_allclose(gaps, gaps.mean(), rtol=1e-2)


def test_refinement_lowers_angles_and_stays_on_the_path():
    paths = lines(MINIMA[0], MINIMA[1], 8)
    options = {"bend": 0.2, "change": 0.2, "tolerance": 1e-3, **FIRM}
    coarse, fine = (relax(paths, mueller_brown, refine=rounds, **options) for rounds in (0, 4))
    assert fine.points.shape[1] > coarse.points.shape[1]
    assert fine.converged.all()
    assert fine.angle.max() < coarse.angle.max()
    assert abs(np.diff(fine.energy)).max() < abs(np.diff(coarse.energy)).max()
    dense = relax(lines(MINIMA[0], MINIMA[1], 100), mueller_brown, tolerance=1e-2, **FIRM).points[0]
    nearest = np.linalg.norm(fine.points[0][:, None] - dense, axis=2).min(axis=1)
    assert nearest.max() < 0.03
    again = relax(fine.points, mueller_brown, refine=1, bend=3.0, change=1.0, **FIRM)
    assert again.points.shape == fine.points.shape


def test_every_path_gets_as_many_images():
    paths = np.concatenate([lines(MINIMA[0], MINIMA[1], 8), lines(MINIMA[1], MINIMA[2], 8)])
    band = relax(paths, mueller_brown, refine=2, bend=0.2, tolerance=1e-2, **FIRM)
    assert band.points.shape[1] > 8
    assert (np.diff(band.distance, axis=1) > 0).all()
    np.testing.assert_array_equal(band.points[:, [0, -1]], paths[:, [0, -1]])


@st.composite
def ends(draw):
    angle = st.floats(0.4, 1.3)
    first, last = -draw(angle), draw(angle)
    radius = 1 + draw(st.floats(-0.1, 0.1))
    return radius * np.array([[np.cos(first), np.sin(first)], [np.cos(last), np.sin(last)]])


@settings(max_examples=8)
@given(ends(), st.booleans())
def test_reversed_ends_reverse_the_band(pair, climbing):
    options = {"step": 0.1, "tolerance": 1e-8, "steps": 3000, "climbing": climbing}
    there = relax(lines(pair[0], pair[1], 9), arch, **options)
    back = relax(lines(pair[1], pair[0], 9), arch, **options)
    assert (there.converged & back.converged).all()
    np.testing.assert_allclose(back.points[:, ::-1], there.points, atol=1e-4)
    np.testing.assert_allclose(back.angle[:, ::-1], there.angle, atol=1e-3)


@settings(max_examples=8)
@given(st.floats(0, 2 * np.pi), st.booleans())
def test_a_rotation_of_the_landscape_rotates_the_band(angle, mirror):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn @ np.diag([1, -1 if mirror else 1])

    def turned(points):
        values, gradients = mueller_brown(points @ turn)
        return values, gradients @ turn.T

    paths = lines(MINIMA[1], MINIMA[2], 9)
    options = {"climbing": True, "tolerance": 1e-6, **FIRM}
    here, there = relax(paths, mueller_brown, **options), relax(paths @ turn.T, turned, **options)
    np.testing.assert_allclose(there.points, here.points @ turn.T, atol=1e-5)
    np.testing.assert_allclose(there.energy, here.energy, atol=1e-4)


def test_kinks_do_not_blow_up():
    """A steep V-shaped valley: force across it never becomes small, and the band says so."""

    def valley(points):
        slope = [1 + 0 * points[:, 0], 100 * np.sign(points[:, 1])]
        return 100 * abs(points[:, 1]) + points[:, 0], np.stack(slope, axis=1)

    paths = lines([0.0, 0.0], [1.0, 0.0], 7)
    paths[0, 1:-1, 1] = 0.3
    band = relax(paths, valley, steps=500)
    assert not band.converged[0]
    assert band.force[0] > 1
    assert abs(band.points[0, :, 1]).max() < 0.05


def test_a_path_that_meets_infinity_stops_where_it_was():
    def cliff(points):
        values, gradients = (points**2).sum(axis=1), 2 * points
        values[points[:, 1] < 0.5] = np.nan
        return values, gradients

    paths = np.concatenate([lines([-1.0, 0.6], [1.0, 0.6], 7), lines([0.0, 0.6], [0.0, 2.0], 7)])
    paths[0, 1:-1, 1] = 1.0
    band = relax(paths, cliff, step=0.1, refine=1)
    np.testing.assert_array_equal(band.converged, [False, True])
    assert band.force[0] == np.inf == band.history[-1, 0]
    assert np.isfinite(band.points).all()
    with pytest.raises(ValueError, match="energy must be finite at all images"):
        relax(lines([0.0, 0.0], [1.0, 1.0], 4), cliff)


def test_networks_go_round_the_barrier():
    """Not worse than the straight line, with the ends where they were, and one start for many ends."""
    x = np.linspace(-1, 1, 41)
    y = np.sin(3 * x)
    first, *rest = initial_parameters(4, depth=2, width=4, seed=3, dtype="float64")
    shape = {"depth": 2, "width": 4, "images": 12, "progress": False}
    band = elastic_band(first, rest, x, y, steps=300, climbing=True, **shape)
    straight = elastic_band(first, rest, x, y, steps=1, step=1e-9, **shape)
    assert band.points.shape == (3, 12, len(first))
    assert (band.points[:, 0] == first).all()
    assert (band.points[:, -1] == np.array(rest)).all()
    np.testing.assert_allclose(straight.points[1], np.linspace(first, rest[1], 12), atol=1e-6)
    assert (band.energy.max(axis=1) <= straight.energy.max(axis=1) + 1e-9).all()
    assert band.energy.mean() < straight.energy.mean()
    loss, _ = loss_and_gradient(band.points[2], x, y, depth=2, width=4)
    np.testing.assert_allclose(band.energy[2], loss, rtol=1e-12)


PATHS = lines([0.0, 1.0], [1.0, 2.0], 5)


@pytest.mark.parametrize(
    "error, message, change",
    [
        (ValueError, "paths must have shape", {"paths": PATHS[0]}),
        (ValueError, "at least 3 images, got", {"paths": PATHS[:, :2]}),
        (ValueError, "paths must be finite", {"paths": PATHS * np.nan}),
        (TypeError, "paths must hold real numbers", {"paths": PATHS * 1j}),
        (ValueError, "paths must have ends that differ", {"paths": 0 * PATHS}),
        (ValueError, "energy must return values", {"energy": lambda points: (points, points)}),
        (ValueError, "spring must be positive", {"spring": 0}),
        (ValueError, "steps must be at least 1", {"steps": 0}),
        (TypeError, "steps must be a whole number", {"steps": 1.5}),
        (ValueError, "step must be positive", {"step": -1}),
        (ValueError, "tolerance must be positive", {"tolerance": np.inf}),
        (ValueError, "refine must be at least 0, got -1", {"refine": -1}),
        (TypeError, "refine must be a whole number", {"refine": 0.0}),
        (ValueError, "bend must be positive", {"bend": 0}),
        (TypeError, "change must be a number", {"change": "much"}),
    ],
)
def test_relax_refuses(error, message, change):
    arguments = {"paths": PATHS, "energy": arch} | change
    with pytest.raises(error, match=message):
        relax(**arguments)


@pytest.mark.parametrize(
    "error, message, change",
    [
        (ValueError, r"start must have shape \(10,\) or \(paths, 10\)", {"start": np.ones(11)}),
        (ValueError, "end must be finite", {"end": np.full(10, np.inf)}),
        (ValueError, "end must have as many", {"start": np.ones((2, 10)), "end": np.zeros((3, 10))}),
        (ValueError, "images must be at least 3", {"images": 2}),
        (ValueError, "depth must be at least 1", {"depth": 0}),
        (ValueError, "y must have as many values as x", {"y": [1.0]}),
        (ValueError, "ends that differ", {"start": np.zeros(10)}),
    ],
)
def test_elastic_band_refuses(error, message, change):
    arguments = {"start": np.ones(10), "end": np.zeros(10), "x": [0.0, 1.0], "y": [1.0, 0.0]} | change
    with pytest.raises(error, match=message):
        elastic_band(**{"depth": 1, "width": 3, "progress": False} | arguments)
