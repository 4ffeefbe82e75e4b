"""Nudged elastic bands: the path of least resistance between two points of a landscape, many pairs at once.

A band is a chain of images, points of the landscape with fixed ends. Springs along the band keep the images
apart, the true force acts across it, and so the band slides into the valley that joins its ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from specbias._checks import check_count, check_positive, check_real
from specbias.ensembles.networks import check_data, count_parameters, loss_and_gradient
from specbias.landscape._bands import (
    Energy,
    Paths,
    Settings,
    angles,
    evaluate,
    insert_images,
    norm,
    relax_round,
)
from specbias.training.threads import share


@dataclass(frozen=True)
class Band:
    """Relaxed bands; all lengths are Euclidean distances in the space of the points.

    Attributes
    ----------
    points : numpy.ndarray
        ``(paths, images, P)``.
    energy : numpy.ndarray
        ``(paths, images)``.
    distance : numpy.ndarray
        ``(paths, images)``, arc length from the start.
    angle : numpy.ndarray
        ``(paths, images - 2)``, radians between successive difference vectors; 0 where the band is straight.
    force : numpy.ndarray
        ``(paths,)``, the largest norm over a path's images of the true force across the band (at a climbing
        image of the whole true force): what must come to ``tolerance``. Infinite where energy became so.
    steps : numpy.ndarray
        ``(paths,)``, steps made in all rounds.
    converged : numpy.ndarray
        ``(paths,)`` bool, whether ``force`` came to ``tolerance`` in the last round.
    history : numpy.ndarray
        ``(records, paths)``, ``force`` at some steps, the first and last of each round among them.
    history_steps : numpy.ndarray
        ``(records,)``, steps made until then by the path that made most.
    """

    points: np.ndarray
    energy: np.ndarray
    distance: np.ndarray
    angle: np.ndarray
    force: np.ndarray
    steps: np.ndarray
    converged: np.ndarray
    history: np.ndarray
    history_steps: np.ndarray


def elastic_band(
    start: ArrayLike, end: ArrayLike, x: ArrayLike, y: ArrayLike, *, depth: int = 5, width: int = 5,
    images: int = 30, spring: float = 0.1, steps: int = 1000, step: float = 0.05, tolerance: float = 1e-2,
    climbing: bool = False, refine: int = 0, bend: float = 0.5, change: float = 0.25, progress: bool = True,
) -> Band:  # fmt: skip
    """Bands between networks on the landscape of their mean squared error, from straight lines.

    The loss of ReLU networks has kinks at which forces jump: most bands do not converge, and say so in
    ``converged`` and ``force``. They also get long and fold (look at ``distance`` and ``angle``), the more so
    the stiffer the springs: these act along the band only, so nothing keeps it short. Between images the loss
    is not looked at.

    Parameters
    ----------
    start, end
        Parameters ``(P,)`` or ``(paths, P)``, in the order of :mod:`specbias.ensembles`.
    x, y
        The data, ``(n,)`` each.
    depth, width
        Hidden layers, and ReLU units in each.
    images
        Points of each path with its ends, at least 3.
    spring, steps, step, tolerance, climbing, refine, bend, change, progress
        As in :func:`relax`.

    Raises
    ------
    ValueError, TypeError
        For impossible shapes, counts and settings; the message names the argument and what is allowed.

    Examples
    --------
    >>> from specbias.ensembles import initial_parameters
    >>> first, last = initial_parameters(2, depth=1, width=3, seed=0)
    >>> x = np.linspace(-1, 1, 9)
    >>> band = elastic_band(first, last, x, abs(x), depth=1, width=3, images=8, steps=50, progress=False)
    >>> band.points.shape, band.energy.shape, band.angle.shape
    ((1, 8, 10), (1, 8), (1, 6))
    """
    count = count_parameters(depth, width)
    first, last = (_check_end(name, value, count) for name, value in (("start", start), ("end", end)))
    if 1 != len(first) != len(last) != 1:
        raise ValueError(f"end must have as many paths as start or one, got {len(last)} and {len(first)}")
    if check_count("images", images) < 3:
        raise ValueError(f"images must be at least 3, got {images}")
    x, y = check_data(x, y)
    way = np.linspace(0, 1, images)[:, None]
    paths = (1 - way) * first[:, None] + way * last[:, None]
    paths[:, 0], paths[:, -1] = first, last

    def loss(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, gradients = np.empty(len(points)), np.empty_like(points)

        def some(begin: int, end: int) -> None:
            part = slice(begin, end)
            found = loss_and_gradient(points[part], x, y, depth=depth, width=width)
            values[part], gradients[part] = found

        share(some, len(points), work=6 * points.size * x.size)
        return values, gradients

    return relax(
        paths, loss, spring=spring, steps=steps, step=step, tolerance=tolerance, climbing=climbing,
        refine=refine, bend=bend, change=change, progress=progress,
    )  # fmt: skip


def relax(
    paths: ArrayLike, energy: Energy, *, spring: float = 1.0, steps: int = 1000, step: float = 0.01,
    tolerance: float = 1e-3, climbing: bool = False, refine: int = 0, bend: float = 0.5, change: float = 0.25,
    progress: bool = False,
) -> Band:  # fmt: skip
    """Relax paths with fixed ends on any landscape.

    The tangent at an image points to its neighbour of higher energy, and at extrema is a mean of both
    directions weighted by energy: Henkelman & Jonsson, J. Chem. Phys. 113, 9978 (2000), eqs. 8-11; the spring
    force is their eq. 12. A climbing image (Henkelman, Uberuaga & Jonsson, J. Chem. Phys. 113, 9901 (2000),
    eq. 5) is the highest one, if it is above both ends: no spring, and the true force turned round along the
    band. A path begins to climb at ten times ``tolerance`` or after a fifth of ``steps``. The optimizer is
    FIRE (Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006)) for each path by itself, where no image moves
    farther in a step than a fifth of the mean distance between images. A path that has converged stops.

    Parameters
    ----------
    paths
        ``(paths, images, P)``, at least three images; the first and the last stay where they are.
    energy
        Function of points ``(n, P)`` that returns values ``(n,)`` and gradients ``(n, P)``.
    spring
        Force along the band for each unit by which the two distances to an image's neighbours differ.
    steps
        Steps of a round, at most.
    step
        First time step of FIRE, at unit mass; it may grow tenfold, and shrink to a thousandth.
    tolerance
        A path has converged when the largest force across it is at most this (see :class:`Band`).
    climbing
        Whether the highest image climbs to the saddle.
    refine
        Rounds of refinement, at most: images are put into the middle of gaps and the bands relaxed again. A
        gap wants one if the path bends at one of its ends by more than ``bend`` radians, or if energy changes
        in it by more than ``change`` times the path's range. All paths get as many as the one that wants
        most, each in its own worst gaps, so with ``refine`` a path depends on its company. Springs then aim
        at halved gaps there: the images stay where they were needed.
    bend, change
        See ``refine``.
    progress
        Show a bar.

    Raises
    ------
    ValueError, TypeError
        For impossible shapes and settings, and if energy is not finite at the start. If it becomes infinite
        or nan later, the path stays where it last was finite, and has not converged.

    Examples
    --------
    >>> def valley(points):  # a circle of radius 1, lower to the right
    ...     radius = np.hypot(*points.T)[:, None]
    ...     return (radius[:, 0] - 1) ** 2 - points[:, 0] / 10, 2 * (1 - 1 / radius) * points - [0.1, 0]
    >>> angles = np.linspace(-1.0, 1.0, 7)
    >>> line = np.stack([np.full(7, 0.54), np.sin(angles)], axis=1)
    >>> band = relax(line[None], valley, step=0.1)
    >>> band.converged, np.round(band.points[0, 3], 2)  # the middle has moved out to the circle
    (array([ True]), array([1.05, 0.  ]))
    """
    settings = Settings(
        check_positive("spring", spring), check_count("steps", steps), check_positive("step", step),
        check_positive("tolerance", tolerance), bool(climbing),
    )  # fmt: skip
    rounds = _check_rounds(refine)
    bend, change = check_positive("bend", bend), check_positive("change", change)
    state = Paths.start(_check_paths(paths))
    if not all(np.isfinite(part).all() for part in evaluate(energy, state.points)):
        raise ValueError("energy must be finite at all images of paths, got nan or infinity")
    with tqdm(total=settings.steps, desc="elastic bands", unit="step", disable=not progress) as bar:
        relax_round(state, energy, settings, bar)
        for _ in range(rounds):
            if not insert_images(state, bend, change):
                break
            bar.total = bar.n + settings.steps
            relax_round(state, energy, settings, bar)
    distance = np.cumsum(norm(np.diff(state.points, axis=1)), axis=1)
    return Band(
        state.points, state.energy, np.pad(distance, ((0, 0), (1, 0))), angles(state.points), state.force,
        state.steps, state.converged, np.array(state.history), np.array(state.history_steps),
    )  # fmt: skip


def _check_end(name: str, value: ArrayLike, count: int) -> np.ndarray:
    array = np.atleast_2d(check_real(name, value))
    if array.ndim != 2 or array.shape[1] != count or len(array) == 0:
        raise ValueError(f"{name} must have shape ({count},) or (paths, {count}), got {np.shape(value)}")
    return array


def _check_paths(paths: ArrayLike) -> np.ndarray:
    array = check_real("paths", paths)
    if array.ndim != 3 or array.shape[1] < 3 or 0 in array.shape:
        raise ValueError(
            f"paths must have shape (paths, images, P) with at least 3 images, got {array.shape}"
        )
    same = np.flatnonzero((array[:, 0] == array[:, -1]).all(axis=1))
    if same.size:
        raise ValueError(f"paths must have ends that differ, got the same point twice in path {same[0]}")
    return array


def _check_rounds(refine: int) -> int:
    """A whole number of at least 0."""
    if not isinstance(refine, bool) and isinstance(refine, (int, np.integer)) and refine == 0:
        return 0
    try:
        return check_count("refine", refine)
    except ValueError:
        raise ValueError(f"refine must be at least 0, got {refine}") from None
