"""What an elastic band does in a round: tangents, forces, steps of FIRE; and where it wants more images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from tqdm.auto import tqdm

Energy = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
LONGEST = 0.2  # how far an image may move in one step, in mean distances between images
RECORDS = 50  # about how many values of the force a round remembers
PATIENCE, GROW, SHRINK, MIXING, LESS_MIXING = 5, 1.1, 0.5, 0.1, 0.99  # of FIRE, as its authors advise
LARGEST_STEP, SMALLEST_STEP = 10.0, 1e-3  # of FIRE, in first time steps


@dataclass(frozen=True)
class Settings:
    """See :func:`specbias.landscape.elastic_band.relax`."""

    spring: float
    steps: int
    step: float
    tolerance: float
    climbing: bool


@dataclass
class Paths:
    """All that is known of paths; ``gaps (paths, images - 1)``: the relative lengths that springs aim at."""

    points: np.ndarray
    energy: np.ndarray
    gaps: np.ndarray
    force: np.ndarray
    steps: np.ndarray
    converged: np.ndarray
    history: list[np.ndarray] = field(default_factory=list)
    history_steps: list[int] = field(default_factory=list)

    @classmethod
    def start(cls, points: np.ndarray) -> Paths:
        """Nothing is known yet."""
        count, images, _ = points.shape
        return cls(
            points, np.full((count, images), np.nan), np.ones((count, images - 1)), np.full(count, np.inf),
            np.zeros(count, int), np.zeros(count, bool),
        )  # fmt: skip


@dataclass
class Moving:
    """The paths of a round that have not stopped: ``which`` says where they belong; FIRE's memory of each."""

    which: np.ndarray
    points: np.ndarray
    energy: np.ndarray
    gradient: np.ndarray
    gaps: np.ndarray
    climbs: np.ndarray
    velocity: np.ndarray
    time: np.ndarray
    mixing: np.ndarray
    downhill: np.ndarray

    def keep(self, rows: np.ndarray) -> None:
        """Let the others go."""
        if not rows.all():
            for name, value in vars(self).items():
                setattr(self, name, value[rows])


def relax_round(paths: Paths, energy: Energy, settings: Settings, bar: tqdm) -> None:
    """Up to ``settings.steps`` steps of every path."""
    moving = _at_rest(paths, energy, settings.step)
    longest = LONGEST * norm(np.diff(paths.points, axis=1)).mean(axis=1)
    before = paths.steps.max()
    paths.converged[:] = False
    for made in range(settings.steps + 1):
        force, across = forces(moving, settings.spring)
        paths.force[moving.which] = across
        done = across <= settings.tolerance
        if settings.climbing:
            done &= moving.climbs
            moving.climbs |= (across <= 10 * settings.tolerance) | (made >= settings.steps // 5)
        paths.converged[moving.which] = done
        last = made == settings.steps or bool(done.all())
        if last or made % max(1, settings.steps // RECORDS) == 0:
            paths.history.append(paths.force.copy())
            paths.history_steps.append(int(before + made))
        if last:
            break
        moving.keep(~done)
        _fire(moving, force[~done], settings.step, longest[moving.which])
        paths.steps[moving.which] += 1
        moving.keep(_step(paths, moving, energy))
        bar.update()
        bar.set_postfix_str(f"{len(paths.force) - len(moving.which)} paths stopped", refresh=False)


def _at_rest(paths: Paths, energy: Energy, step: float) -> Moving:
    """All paths whose energy is finite, at the beginning of a round."""
    count = len(paths.points)
    paths.energy, gradient = evaluate(energy, paths.points)
    velocity = np.zeros_like(gradient[:, 1:-1])
    moving = Moving(
        np.arange(count), paths.points.copy(), paths.energy.copy(), gradient[:, 1:-1], paths.gaps,
        np.zeros(count, bool), velocity, np.full(count, step), np.full(count, MIXING), np.zeros(count, int),
    )  # fmt: skip
    sound = _finite(paths.energy, gradient)
    paths.force[~sound] = np.inf
    moving.keep(sound)
    return moving


def _step(paths: Paths, moving: Moving, energy: Energy) -> np.ndarray:
    """Move by velocity times time; a path that met nan or infinity stays where it was. Whether it did not."""
    points = moving.points.copy()
    points[:, 1:-1] += moving.time[:, None, None] * moving.velocity
    values, gradient = evaluate(energy, points[:, 1:-1])
    sound = _finite(values, gradient)
    paths.force[moving.which[~sound]] = np.inf
    moving.points[sound], moving.gradient = points[sound], gradient
    moving.energy[sound, 1:-1] = values[sound]
    paths.points[moving.which], paths.energy[moving.which] = moving.points, moving.energy
    return sound


def evaluate(energy: Energy, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Energies and gradients of ``(paths, images, P)`` in one call."""
    flat = np.ascontiguousarray(points).reshape(-1, points.shape[2])
    values, gradients = (np.asarray(part, dtype=float) for part in energy(flat))
    if values.shape != flat.shape[:1] or gradients.shape != flat.shape:
        raise ValueError(
            f"energy must return values {flat.shape[:1]} and gradients {flat.shape} for points {flat.shape}, "
            f"got {values.shape} and {gradients.shape}"
        )
    return values.reshape(points.shape[:2]), gradients.reshape(points.shape)


def _finite(values: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    return np.isfinite(values).all(axis=1) & np.isfinite(gradients).all(axis=(1, 2))


def forces(moving: Moving, spring: float) -> tuple[np.ndarray, np.ndarray]:
    """Forces on the inner images, and the largest norm ``(paths,)`` of what must vanish."""
    differences = np.diff(moving.points, axis=1)
    tangent = tangents(differences, moving.energy)
    along = np.vecdot(moving.gradient, tangent)[:, :, None] * tangent
    force = along - moving.gradient
    across = norm(force)
    highest = 1 + np.argmax(moving.energy[:, 1:-1], axis=1)
    above = np.take_along_axis(moving.energy, highest[:, None], axis=1)[:, 0]
    climbers = np.flatnonzero(moving.climbs & (above > moving.energy[:, [0, -1]].max(axis=1)))
    at = climbers, highest[climbers] - 1
    across[at] = norm(moving.gradient[at])
    pull = spring * _stretch(norm(differences), moving.gaps)
    pull[at] = 0
    force += pull[:, :, None] * tangent
    force[at] += along[at]
    return force, across.max(axis=1)


def tangents(differences: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Unit vectors ``(paths, images - 2, P)`` along bands (Henkelman & Jonsson 2000, eqs. 8 to 11).

    Where three energies are equal, the sum of both differences; 0 where that is 0.
    """
    rise = np.diff(energy, axis=1)
    before, after = rise[:, :-1], rise[:, 1:]
    up, down, higher = (before > 0) & (after > 0), (before < 0) & (after < 0), before + after > 0
    larger = np.maximum(abs(before), abs(after))
    ratio = np.where(larger > 0, np.minimum(abs(before), abs(after)) / np.where(larger > 0, larger, 1), 1)
    forward = np.select([up, down, higher], [1, 0, 1], ratio)
    backward = np.select([up, down, higher], [0, 1, ratio], 1)
    tangent = forward[:, :, None] * differences[:, 1:]
    tangent += backward[:, :, None] * differences[:, :-1]
    return _unit(tangent)


def _stretch(length: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """How much longer the gap after an image is than the one before, relative to what they should be."""
    before, after = gaps[:, :-1], gaps[:, 1:]
    return 2 * (length[:, 1:] * before - length[:, :-1] * after) / (before + after)


def _fire(moving: Moving, force: np.ndarray, step: float, longest: np.ndarray) -> None:
    """New velocities, cut where a move would pass ``longest``, and time steps (Bitzek et al. 2006)."""
    velocity = moving.velocity
    power = np.vecdot(force, velocity).sum(axis=1)
    speed, strength = (np.sqrt(np.vecdot(part, part).sum(axis=1)) for part in (velocity, force))
    falls = power > 0
    moving.downhill = np.where(falls, moving.downhill + 1, 0)
    faster, uphill = (
        moving.downhill > PATIENCE,
        ~falls & (speed > 0),
    )  # at rest, before the first step, neither
    factor = np.select([faster, uphill], [GROW, SHRINK], 1.0)
    moving.time = np.clip(moving.time * factor, SMALLEST_STEP * step, LARGEST_STEP * step)
    turned = np.where(falls, moving.mixing * speed / np.where(strength > 0, strength, 1), 0)
    velocity *= np.where(falls, 1 - moving.mixing, 0)[:, None, None]
    velocity += (turned + moving.time)[:, None, None] * force
    moving.mixing = np.where(falls, np.where(faster, moving.mixing * LESS_MIXING, moving.mixing), MIXING)
    reach = moving.time[:, None] * norm(velocity)
    velocity *= np.minimum(1, longest[:, None] / np.where(reach > 0, reach, 1))[:, :, None]


def insert_images(paths: Paths, bend: float, change: float) -> bool:
    """Put as many images into every path as the one wants that wants most; False if none wants any."""
    worst = _need(paths.points, paths.energy, bend, change)
    count = int((worst > 1).sum(axis=1).max())
    if count == 0:
        return False
    gap = np.argsort(-worst, axis=1, kind="stable")[:, :count]
    rows = np.arange(len(gap))[:, None]
    middle = (paths.points[rows, gap] + paths.points[rows, gap + 1]) / 2
    paths.gaps[rows, gap] /= 2
    paths.points = _between(paths.points, middle, gap)
    paths.gaps = _between(paths.gaps, paths.gaps[rows, gap], gap)
    return True


def _need(points: np.ndarray, energy: np.ndarray, bend: float, change: float) -> np.ndarray:
    """How badly each gap ``(paths, images - 1)`` wants an image in its middle: it does above 1."""
    angle = np.pad(angles(points), ((0, 0), (1, 1)))
    jump, span = abs(np.diff(energy, axis=1)), np.ptp(energy, axis=1, keepdims=True)
    jump = np.where(np.isfinite(span) & (span > 0), jump / np.where(span > 0, span, 1), 0)
    return np.maximum(np.maximum(angle[:, :-1], angle[:, 1:]) / bend, jump / change)


def _between(old: np.ndarray, new: np.ndarray, after: np.ndarray) -> np.ndarray:
    """``new`` values of each row, each right behind the old one that ``after`` names."""
    places = np.broadcast_to(np.arange(old.shape[1]), old.shape[:2])
    order = np.argsort(np.concatenate([places, after + 0.5], axis=1), axis=1)
    return np.concatenate([old, new], axis=1)[np.arange(len(old))[:, None], order]


def angles(points: np.ndarray) -> np.ndarray:
    """Radians between successive differences, exact if small (Kahan's formula); 0 where one vanishes."""
    difference = _unit(np.diff(points, axis=1))
    before, after = difference[:, :-1], difference[:, 1:]
    both = before.any(axis=2) & after.any(axis=2)
    return np.where(both, 2 * np.arctan2(norm(after - before), norm(after + before)), 0)


def norm(vectors: np.ndarray) -> np.ndarray:
    """Euclidean, along the last axis."""
    return np.sqrt(np.vecdot(vectors, vectors))


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = norm(vectors)[..., None]
    return vectors / np.where(length > 0, length, 1)
