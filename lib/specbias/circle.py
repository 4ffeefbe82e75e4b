"""Exact, fast training of shallow ReLU networks on the circle (Basri et al. 2019).

The network is ``f(θ) = c Σ_j a_j relu(w_j · (cos θ, sin θ) + b_j)`` with fixed signs ``a_j = ±1``; gradient
descent trains the first layer only, on half the sum of squared residuals over ``n`` angles.  A pre-activation
is one cosine in θ, so a unit is on along **one contiguous arc** of the sorted angles.  There its share of the
output is a combination of ``(cos θ, sin θ, 1)``, so the whole output is a running sum of what is switched on
and off at the arcs' ends, and every gradient is a difference of two prefix sums of the residual.  A step
costs O(n + units) instead of O(n · units) and is the same gradient descent: nothing is approximated.  Between
two steps an arc's ends move by a few angles at most, so they are found by walking from where they were, with
the sign test that a dense computation would make.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from specbias._checks import check_count, check_positive, check_real
from specbias._circle_steps import advance, begin

AUTHORS_WEIGHT_SCALE = {True: 2.5, False: 1.0}
"""Standard deviation of the first layer's weights in the authors' published code, with and without bias."""

AUTHORS_MAX_STEPS = {True: 50_000, False: 1_800}
"""Where the authors' published code gives up, with and without bias."""

_STEPS_PER_CALL = 500  # compiled code cannot be interrupted: this bounds how long Ctrl-C has to wait


@dataclass(frozen=True, eq=False)
class CircleFit:
    """What `train_on_circle` returns: one entry per model, all float64 unless said otherwise.

    Attributes
    ----------
    steps : ndarray of int64, shape (models,)
        First gradient step after which the loss was below the threshold; -1 when that never happened.
    loss : ndarray, shape (models,)
        Half the sum of squared residuals after the last step made; NaN or infinite when training diverged.
    outputs : ndarray, shape (models, n)
        The networks' values after the last step, in the order of the angles given.
    weights : ndarray, shape (models, units, 3)
        ``(w_cos, w_sin, b)`` of every unit; ``b`` stays 0 without bias.
    signs : ndarray, shape (models, units)
        The fixed output weights, +1 or -1.
    silent : ndarray, shape (models,)
        Fraction of units that are off at every angle in the end, and so will never be trained again.
    kernel_rate : ndarray, shape (models,)
        ``yᵀKy / yᵀy`` for the target y and the kernel matrix K of the final network.  One step leaves
        ``1 - learning_rate · kernel_rate`` of the residual where the target is nearly an eigenvector, as a
        Fourier mode is on regular angles.  (On random ones it is not, and its slow part learns more slowly.)
    recorded_steps : ndarray of int64, shape (records,)
        Steps at which the two histories were taken; none unless ``record_every`` was given.
    amplitude_history, loss_history : ndarray, shape (records, models)
        Amplitude of the target in the output, ``f · y / y · y`` (1 when learned), and the loss.  A model that
        has stopped keeps its last values.
    """

    steps: np.ndarray
    loss: np.ndarray
    outputs: np.ndarray
    weights: np.ndarray
    signs: np.ndarray
    silent: np.ndarray
    kernel_rate: np.ndarray
    recorded_steps: np.ndarray
    amplitude_history: np.ndarray
    loss_history: np.ndarray


def train_on_circle(
    targets: ArrayLike,
    *,
    angles: ArrayLike | None = None,
    units: int = 4000,
    weight_scale: float | None = None,
    bias: bool = True,
    paired: bool = False,
    output_scale: float | None = None,
    learning_rate: float = 0.01,
    stop_below: float = 0.05,
    max_steps: int | None = None,
    seed: int = 0,
    initial: tuple[ArrayLike, ArrayLike] | None = None,
    record_every: int = 0,
    progress: bool = True,
) -> CircleFit:
    """Train one shallow ReLU network per row of `targets` by full-batch gradient descent, in float64.

    The defaults are the settings of Basri et al.'s published code: normal weights, zero initial biases,
    independent random signs, output scale ``1/√units``.  Two things follow from them.  The **initial output
    is not small**: it is of the order of `weight_scale` at each angle, where a target of unit norm on 1001
    angles is about 0.03; ``paired=True`` starts from exactly zero instead.  And gradient descent is stable
    only while ``learning_rate · n · λ < 2`` for the largest of `kernels.circle_eigenvalues`: with 1001 angles
    and a step of 0.01 that product is 1.25 without bias, but **3.5 with bias**.  A biased network then first
    overshoots until enough of its units have been thrown off the circle (`CircleFit.silent`), and learns with
    those that are left.

    Parameters
    ----------
    targets : array_like, shape (n,) or (models, n)
        Values to fit.
    angles : array_like, shape (n,) or (models, n), optional
        Where they are given, in any order.  Default: `regular_angles`.
    units : int
        Hidden units.
    weight_scale : float, optional
        Standard deviation of the initial weights; default `AUTHORS_WEIGHT_SCALE`.
    bias : bool
        Whether the hidden units have a trained bias, 0 at the start.
    paired : bool
        Start every second unit as a copy of the one before it with the opposite sign.  Needs an even number
        of units.
    output_scale : float, optional
        The factor ``c``; default ``1/√units``.
    learning_rate : float
        Step size on half the sum of squares.
    stop_below : float
        A model stops after the first step whose loss is below this; 0 to never stop.
    max_steps : int, optional
        Give up after so many steps; default `AUTHORS_MAX_STEPS`.
    seed : int
        Model ``i`` draws from the i-th child of this seed: its start does not depend on how many others there
        are.
    initial : (weights, signs), optional
        Start from these, of shapes ``(models, units, 3)`` and ``(models, units)``, instead of drawing.
    record_every : int
        Record the amplitude and the loss every so many steps; 0 for never.
    progress : bool
        Show a bar that counts the models that have stopped.

    Returns
    -------
    CircleFit

    Raises
    ------
    ValueError
        If an argument has an impossible shape or value, or the data are not finite.

    Notes
    -----
    As in PyTorch, the derivative of ReLU at 0 is 0.  The result does not depend on the number of threads.

    References
    ----------
    Basri, Jacobs, Kasten, Kritchman (2019), The convergence rate of neural networks for learned functions of
    different frequencies, arXiv:1906.00425.

    Examples
    --------
    >>> target = np.sin(2 * regular_angles(101))
    >>> fit = train_on_circle(target, units=500, bias=False, paired=True, learning_rate=0.05, progress=False)
    >>> bool(0 < fit.steps[0] < 200 and fit.loss[0] < 0.05)
    True
    """
    targets = np.atleast_2d(check_real("targets", targets))
    if targets.ndim != 2 or targets.size == 0:
        raise ValueError(f"targets must have shape (n,) or (models, n), got {targets.shape}")
    models, points = targets.shape
    weight_scale = AUTHORS_WEIGHT_SCALE[bool(bias)] if weight_scale is None else weight_scale
    max_steps = AUTHORS_MAX_STEPS[bool(bias)] if max_steps is None else max_steps
    _check_settings(units, paired, weight_scale, learning_rate, stop_below, max_steps, record_every)
    output_scale = units**-0.5 if output_scale is None else check_positive("output_scale", output_scale)

    angles = _angles_per_model(angles, models, points)
    order = np.argsort(angles, axis=1, kind="stable")
    angles, sorted_targets = (np.take_along_axis(part, order, axis=1) for part in (angles, targets))
    grid = (np.tile(np.cos(angles), 2), np.tile(np.sin(angles), 2), sorted_targets)

    if initial is None:
        seeds = np.random.SeedSequence(seed).spawn(models)
        weights, signs = _draw_networks(
            map(np.random.default_rng, seeds), models, units, weight_scale, paired
        )
    else:
        weights, signs = _given_networks(initial, models, units, bias)
    arcs = np.zeros((models, units, 2), dtype=np.int32)
    residuals, loss, steps = np.empty((models, points)), np.empty(models), np.full(models, -1, dtype=np.int64)
    state = (weights, signs, arcs, residuals, loss, steps)
    rule = (float(output_scale), float(stop_below), float(learning_rate), bool(bias))

    history = _train(grid, state, rule, max_steps, record_every, progress)
    outputs = np.empty_like(targets)
    np.put_along_axis(outputs, order, residuals + sorted_targets, axis=1)
    return CircleFit(
        steps=steps,
        loss=loss,
        outputs=outputs,
        weights=weights,
        signs=signs,
        silent=np.mean(arcs[:, :, 0] == arcs[:, :, 1], axis=1),
        kernel_rate=_kernel_rates(grid, arcs, output_scale, components=3 if bias else 2),
        recorded_steps=np.array([step for step, _, _ in history], dtype=np.int64),
        amplitude_history=np.array([amplitude for _, amplitude, _ in history]).reshape(-1, models),
        loss_history=np.array([loss for _, _, loss in history]).reshape(-1, models),
    )


def learning_times(
    *,
    frequencies: ArrayLike,
    runs: int = 30,
    units: int = 4000,
    points: int = 1001,
    sampling: str = "random",
    weight_scale: float | None = None,
    bias: bool = True,
    paired: bool = False,
    learning_rate: float = 0.01,
    stop_below: float = 0.05,
    max_steps: int | None = None,
    seed: int = 0,
    progress: bool = True,
) -> xr.Dataset:
    """Steps of gradient descent that a shallow network needs to learn sin(kθ), per frequency k and run.

    The target is ``sin(kθ)`` divided by its Euclidean norm over the points: half its sum of squares is 1/2
    whatever the frequency, and a loss of 0.05 means that √0.1, a third of the amplitude, is still missing.
    Each run draws its own points and weights from ``(seed, k, run)``, so neither depends on which other
    frequencies are asked for.

    Parameters
    ----------
    frequencies : array_like of int, shape (frequencies,)
        Positive wavenumbers k.
    runs : int
        Independent networks per frequency.
    points : int
        Number of angles.
    sampling : {"random", "regular"}
        Angles drawn uniformly on [0, 2π), as in the authors' published code, or `regular_angles`.
    units, weight_scale, bias, paired, learning_rate, stop_below, max_steps, seed, progress
        As in `train_on_circle`.

    Returns
    -------
    xarray.Dataset
        ``steps`` (int64, -1 for never), ``final_loss``, ``silent`` and ``kernel_rate`` (float64, see
        `CircleFit`) over ``(frequency, run)``.

    Raises
    ------
    ValueError
        If an argument has an impossible value.

    Examples
    --------
    >>> times = learning_times(frequencies=[2, 4], runs=2, units=400, points=101, bias=False, paired=True,
    ...                        learning_rate=0.1, progress=False)
    >>> mean = times.steps.mean("run")
    >>> bool(mean.sel(frequency=4) > mean.sel(frequency=2))
    True
    """
    frequencies = np.asarray(frequencies)
    if frequencies.ndim != 1 or frequencies.dtype.kind not in "iu" or not (frequencies >= 1).all():
        raise ValueError(f"frequencies must be a list of positive integers, got {frequencies.tolist()}")
    if sampling not in ("random", "regular"):
        raise ValueError(f"sampling must be 'random' or 'regular', got {sampling!r}")
    check_count("runs", runs)
    weight_scale = AUTHORS_WEIGHT_SCALE[bool(bias)] if weight_scale is None else weight_scale
    max_steps = AUTHORS_MAX_STEPS[bool(bias)] if max_steps is None else max_steps
    _check_settings(units, paired, weight_scale, learning_rate, stop_below, max_steps, record_every=0)

    names = {"steps": "steps", "final_loss": "loss", "silent": "silent", "kernel_rate": "kernel_rate"}
    rows = {name: [] for name in names}
    for frequency in tqdm(frequencies, disable=not progress, desc="frequencies"):
        seeds = [np.random.SeedSequence(seed, spawn_key=(int(frequency), run)) for run in range(runs)]
        generators = [np.random.default_rng(child) for child in seeds]
        angles = np.tile(regular_angles(points), (runs, 1))
        if sampling == "random":
            angles = np.stack([generator.uniform(0.0, 2 * np.pi, points) for generator in generators])
        targets = np.sin(frequency * angles)
        fit = train_on_circle(
            targets / np.linalg.norm(targets, axis=1, keepdims=True),
            angles=angles,
            units=units,
            bias=bias,
            learning_rate=learning_rate,
            stop_below=stop_below,
            max_steps=max_steps,
            initial=_draw_networks(generators, runs, units, weight_scale, paired),
            progress=False,
        )
        for name, attribute in names.items():
            rows[name].append(getattr(fit, attribute))
    return xr.Dataset(
        {name: (("frequency", "run"), np.reshape(values, (-1, runs))) for name, values in rows.items()},
        coords={"frequency": frequencies, "run": np.arange(runs)},
    )


def regular_angles(points: int) -> np.ndarray:
    """The regular grid ``2π i / points``, end point excluded, as float64 of shape ``(points,)``.

    Examples
    --------
    >>> regular_angles(4) / np.pi
    array([0. , 0.5, 1. , 1.5])
    """
    check_count("points", points)
    return 2 * np.pi * np.arange(points) / points


def _train(grid, state, rule, max_steps, record_every, progress):
    """Train in place until every model has stopped; return (step, amplitudes, losses) as recorded."""
    *_, targets = grid
    *_, residuals, loss, steps = state
    history = []
    step = 0
    begin(*grid, *state, *rule[:2])
    with tqdm(total=len(loss), disable=not progress, desc="circle", unit="model") as bar:
        while True:
            if record_every and step % record_every == 0:
                history.append((step, _amplitudes(residuals + targets, targets), loss.copy()))
            stopped = (steps >= 0) | ~np.isfinite(loss)
            bar.update(int(np.count_nonzero(stopped)) - bar.n)
            if step >= max_steps or stopped.all():
                return history
            count = min(_STEPS_PER_CALL, max_steps - step)
            if record_every:
                count = min(count, record_every - step % record_every)
            advance(*grid, *state, *rule, step, count)
            step += count


def _amplitudes(outputs, targets):
    """Least-squares amplitude of each target in its output; NaN for a target that is zero."""
    with np.errstate(all="ignore"):
        return np.einsum("mi,mi->m", outputs, targets) / np.einsum("mi,mi->m", targets, targets)


def _kernel_rates(grid, arcs, output_scale, components):
    """Rayleigh quotients of the final kernels: the squared length of the target's gradient over its own."""
    cosine, sine, targets = grid
    rates = np.empty(len(targets))
    for m, target in enumerate(targets):
        along = np.tile(target, 2) * np.stack([cosine[m], sine[m], np.ones_like(cosine[m])])[:components]
        sums = np.concatenate([np.zeros((components, 1)), np.cumsum(along, axis=1)], axis=1)
        gradient = output_scale * (sums[:, arcs[m, :, 1]] - sums[:, arcs[m, :, 0]])
        with np.errstate(invalid="ignore"):
            rates[m] = np.sum(gradient**2) / np.sum(target**2)
    return rates


def _draw_networks(generators, models, units, weight_scale, paired):
    """One network per generator: weights (models, units, 3) with zero biases, and signs (models, units)."""
    weights, signs = np.zeros((models, units, 3)), np.empty((models, units))
    for network, sign, generator in zip(weights, signs, generators, strict=True):
        if paired:
            network[0::2, :2] = network[1::2, :2] = generator.normal(0.0, weight_scale, (units // 2, 2))
            sign[0::2], sign[1::2] = 1.0, -1.0
        else:
            network[:, :2] = generator.normal(0.0, weight_scale, (units, 2))
            sign[:] = generator.choice([-1.0, 1.0], units)
    return weights, signs


def _given_networks(initial, models, units, bias):
    weights, signs = (check_real("initial", part) for part in initial)
    if weights.shape != (models, units, 3) or signs.shape != (models, units):
        allowed = f"{(models, units, 3)} and {(models, units)}"
        raise ValueError(f"initial must have shapes {allowed}, got {weights.shape} and {signs.shape}")
    if not bias and weights[:, :, 2].any():
        raise ValueError("initial must have zero biases when bias=False")
    return weights, signs


def _angles_per_model(angles, models, points):
    angles = regular_angles(points) if angles is None else check_real("angles", angles)
    if angles.shape not in ((points,), (models, points)):
        raise ValueError(f"angles must have shape {(points,)} or {(models, points)}, got {angles.shape}")
    return np.broadcast_to(np.mod(angles, 2 * np.pi), (models, points))


def _check_settings(units, paired, weight_scale, learning_rate, stop_below, max_steps, record_every):
    check_count("units", units)
    if paired and units % 2:
        raise ValueError(f"units must be even when paired=True, got {units}")
    check_positive("weight_scale", weight_scale)
    check_positive("learning_rate", learning_rate)
    if not stop_below >= 0:
        raise ValueError(f"stop_below must be 0 or more, got {stop_below!r}")
    for name, value in (("max_steps", max_steps), ("record_every", record_every)):
        if not isinstance(value, (int, np.integer)) or value < 0:
            raise ValueError(f"{name} must be a whole number, 0 or more, got {value!r}")
