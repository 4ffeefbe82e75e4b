"""What the neural tangent kernel of the sequential-fitting network predicts, and what least squares does.

All is for half the mean square, ``½ · mean((u - y)²)`` over ``n`` points: the network linearised about its
parameters then follows ``dr/dt = -(K/n) r`` for the residual ``r = u - y`` and the kernel matrix ``K = J Jᵀ``
(Jacot et al. 2018). Targets are rows, ``(t, n)``; a result has one row a network and one column a target.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from numpy.polynomial import chebyshev
from numpy.typing import ArrayLike
from torch.func import functional_call, grad, vmap

from specbias import targets as target_functions
from specbias._checks import check_choice, check_count, check_positive, check_real
from specbias.experiments.common import DTYPES
from specbias.models import MLP, generators
from specbias.training import fit

KEPT_MODES = 200  # of the modes of a recorded run
AT_ONCE = -1e4  # logarithm of a factor that leaves nothing in one step, where the true one may be log 0


def kernel_modes(models: MLP | Sequence[MLP], x: ArrayLike) -> xr.Dataset:
    """Eigenvalues and eigenvectors of ``K/n``, the matrix that gradient descent on the half mean square sees.

    They are the squared singular values of the Jacobian and its left singular vectors, both in float64:
    forming ``K`` first (:func:`specbias.kernels.empirical_ntk`) would square the round-off too, and of a
    smooth network's kernel leave half as many modes.

    Parameters
    ----------
    models : MLP or sequence of MLP
        As they are, in float64 whatever their dtype; they are not changed.
    x : array_like of float, shape (n,) or (n, d)
        Points.

    Returns
    -------
    xarray.Dataset
        ``eigenvalue (model, mode)``, descending, 0 where the singular value is below ``n`` times the
        machine precision of the largest; ``eigenvector (model, mode, point)`` of unit norm, an arbitrary
        basis among those with the eigenvalue 0. ``x (point)`` is a coordinate if there is one input.

    Raises
    ------
    ValueError, TypeError
        For no models, anything but an ``MLP``, or points of another shape.

    Examples
    --------
    >>> modes = kernel_modes(MLP(1, (30,), generator=torch.Generator().manual_seed(0)), np.linspace(0, 1, 9))
    >>> dict(modes.sizes), bool(modes.eigenvalue[0, 0] > 10 * modes.eigenvalue[0, 1])
    ({'model': 1, 'mode': 9, 'point': 9}, True)
    """
    models = [models] if isinstance(models, torch.nn.Module) else list(models)
    if not models or not all(isinstance(model, MLP) for model in models):
        raise TypeError(f"models must be one or more MLP, got {[type(m).__name__ for m in models]}")
    x = _points(x)
    n = len(x)
    values, vectors = np.zeros((len(models), n)), np.empty((len(models), n, n))
    for index, model in enumerate(models):
        # of J = RᵀQᵀ the singular values and left vectors are those of the far smaller Rᵀ
        factor = np.linalg.qr(_jacobian(model, x).T, mode="r")
        left, singular, _ = np.linalg.svd(factor.T)
        resolved = singular[singular > n * np.finfo(float).eps * singular[0]]
        values[index, : resolved.size] = resolved**2 / n
        vectors[index] = left.T
    return xr.Dataset(
        {"eigenvalue": (("model", "mode"), values), "eigenvector": (("model", "mode", "point"), vectors)},
        coords={"x": ("point", x[:, 0])} if x.shape[1] == 1 else None,
    )


def energy_share(modes: xr.Dataset, targets: ArrayLike) -> xr.DataArray:
    """Share of each target's energy (sum of squares over the points) that lies in each mode.

    Parameters
    ----------
    modes : xarray.Dataset
        Of :func:`kernel_modes`.
    targets : array_like of float, shape (t, n)

    Returns
    -------
    xarray.DataArray
        Over ``(model, target, mode)``, with the sum 1 over the modes.

    Raises
    ------
    ValueError
        If the targets have another shape, or one is zero everywhere.

    Examples
    --------
    >>> modes = xr.Dataset({"eigenvector": (("model", "mode", "point"), [[[0.6, 0.8], [-0.8, 0.6]]])})
    >>> energy_share(modes, [[1.0, 0.0]]).values.round(12).tolist()
    [[[0.36, 0.64]]]
    """
    targets = _targets(targets, modes.sizes["point"])
    share = _components(modes, targets[None]) ** 2 / np.sum(targets**2, axis=1)[:, None]
    return xr.DataArray(share, dims=("model", "target", "mode"))


def gradient_descent_error(
    modes: xr.Dataset, start: ArrayLike, targets: ArrayLike, steps: ArrayLike, lr: float | None = None
) -> xr.DataArray:
    """Relative error that gradient descent on the linearised network leaves after some numbers of steps.

    Parameters
    ----------
    modes : xarray.Dataset
        Of :func:`kernel_modes`.
    start : array_like of float, shape (model, n)
        The networks' outputs before the first step.
    targets : array_like of float, shape (t, n)
    steps : array_like of float, shape (s,)
        Numbers of steps, however large: each multiplies the residual along a mode by ``1 - lr λ``, and the
        power is taken of its logarithm.
    lr : float, optional
        Learning rate on the half mean square; ``1 / λ_max`` of each network unless given, the largest step
        that lets no component change its sign.

    Returns
    -------
    xarray.DataArray
        ``‖r‖ / ‖y‖`` over ``(model, target, step)``; the coordinate ``step`` holds the numbers of steps.

    Raises
    ------
    ValueError
        For other shapes, negative numbers of steps, or a rate of ``2 / λ_max`` or more, which diverges.

    Examples
    --------
    >>> modes = xr.Dataset({"eigenvalue": (("model", "mode"), [[2.0, 1.0]]),
    ...                     "eigenvector": (("model", "mode", "point"), [np.eye(2)])})
    >>> gradient_descent_error(modes, [[0.0, 0.0]], [[3.0, 4.0]], [0, 1, 2]).values.tolist()
    [[[1.0, 0.4, 0.2]]]
    """
    energy, decay = _residual_energy(modes, start, targets, lr)
    steps = check_real("steps", steps)
    if steps.ndim != 1 or (steps < 0).any():
        raise ValueError(f"steps must be one list of numbers, none negative, got {steps.tolist()}")
    left = np.exp(2 * steps[:, None] * decay[:, None, :])  # (model, step, mode)
    error = np.sqrt(np.einsum("btm,bsm->bts", energy, left))
    return xr.DataArray(error, dims=("model", "target", "step"), coords={"step": steps})


def kernel_time(
    modes: xr.Dataset, start: ArrayLike, targets: ArrayLike, level: float, lr: float | None = None
) -> xr.DataArray:
    """Steps of gradient descent on the linearised network until its relative error is below ``level``.

    Parameters
    ----------
    modes, start, targets, lr
        As in :func:`gradient_descent_error`.
    level : float
        Relative error, positive.

    Returns
    -------
    xarray.DataArray
        Over ``(model, target)``: whole numbers in float64, 0 where the start is below the level already,
        infinite where what lies in the modes with the eigenvalue 0 is above it.

    Raises
    ------
    ValueError, TypeError
        As :func:`gradient_descent_error`, or if the level is not positive.

    Examples
    --------
    >>> modes = xr.Dataset({"eigenvalue": (("model", "mode"), [[1.0, 1e-3, 0.0]]),
    ...                     "eigenvector": (("model", "mode", "point"), [np.eye(3)])})
    >>> kernel_time(modes, np.zeros((1, 3)), np.eye(3), 0.1).values.tolist()
    [[1.0, 2302.0, inf]]
    """
    energy, decay = _residual_energy(modes, start, targets, lr)
    level = check_positive("level", level)
    resolved = (decay < 0).any(axis=0)
    null = np.sum(np.where(decay[:, None, :] < 0, 0.0, energy), axis=-1)
    energy, decay = np.where(decay[:, None, :] < 0, energy, 0.0)[..., resolved], decay[:, resolved]

    def below(logarithm: np.ndarray | float) -> np.ndarray:
        """Whether the error is below the level after ``exp(logarithm)`` steps, ``(model, target)``."""
        left = np.exp(2 * np.exp(logarithm)[..., None] * decay[:, None, :])
        return np.sqrt(np.sum(energy * left, axis=-1) + null) < level

    slowest = np.min(np.abs(decay), axis=1, where=decay < 0, initial=-AT_ONCE)
    low = np.full(null.shape, np.log(0.5))  # the first step is a whole one: no need to look before
    high = np.broadcast_to(np.log(1e3 / slowest)[:, None], null.shape)  # nothing is left but the null modes
    for _ in range(80):
        middle = (low + high) / 2
        done = below(middle)
        low, high = np.where(done, low, middle), np.where(done, middle, high)
    steps = np.where(np.sqrt(null) < level, np.ceil(np.exp(high)), np.inf)
    already = np.sqrt(energy.sum(axis=-1) + null) < level
    return xr.DataArray(np.where(already, 0.0, steps), dims=("model", "target"))


def kernel_target_alignment(kernel: ArrayLike, target: ArrayLike) -> float:
    """How much of a kernel is the target's own, ``yᵀKy / (‖K‖_F ‖y‖²)``, between 0 and 1.

    Parameters
    ----------
    kernel : array_like of float, shape (n, n)
        Symmetric and positive semi-definite.
    target : array_like of float, shape (n,)

    Raises
    ------
    ValueError
        If the shapes do not agree, or the kernel or the target is zero.

    References
    ----------
    Cristianini, Shawe-Taylor, Elisseeff, Kandola (2002), On kernel-target alignment.

    Examples
    --------
    >>> kernel_target_alignment([[1.0, 0.0], [0.0, 0.0]], [3.0, 0.0])
    1.0
    """
    kernel, target = check_real("kernel", kernel), check_real("target", target)
    if target.ndim != 1 or kernel.shape != 2 * target.shape:
        raise ValueError(f"kernel and target must be (n, n) and (n,), got {kernel.shape} and {target.shape}")
    if not kernel.any() or not target.any():
        raise ValueError(f"{'target' if kernel.any() else 'kernel'} must not be zero everywhere")
    return float(target @ kernel @ target / (np.linalg.norm(kernel) * (target @ target)))


def _jacobian(model: MLP, x: np.ndarray) -> np.ndarray:
    """Gradient of the output at each point by all the parameters, ``(n, P)`` float64."""
    model = copy.deepcopy(model).double()
    trained = {name: value.detach() for name, value in model.named_parameters()}

    def output(parameters, sample):
        return functional_call(model, parameters, (sample[None],)).reshape(())

    parts = vmap(grad(output), in_dims=(None, 0))(trained, torch.from_numpy(x))
    return torch.cat([part.reshape(len(x), -1) for part in parts.values()], dim=1).numpy()


def _residual_energy(modes, start, targets, lr) -> tuple[np.ndarray, np.ndarray]:
    """Squared residual at the start, ``(model, target, mode)``, and ``log |1 - lr λ|``, ``(model, mode)``."""
    targets, start = _targets(targets, modes.sizes["point"]), check_real("start", start)
    values = modes.eigenvalue.values
    if start.shape != (len(values), targets.shape[1]):
        raise ValueError(f"start must be {(len(values), targets.shape[1])}, got the shape {start.shape}")
    largest = values.max(axis=1, keepdims=True)
    lr = 1 / largest if lr is None else check_positive("lr", lr)
    if (lr * largest >= 2).any():
        raise ValueError(f"lr must be below 2 / λ_max = {2 / largest.max():g}, where it diverges, got {lr:g}")
    with np.errstate(divide="ignore"):
        shrink = lr * values
        decay = np.where(shrink < 1, np.log1p(-np.minimum(shrink, 1)), np.log(np.abs(shrink - 1)))
    residual = start[:, None, :] - targets
    energy = _components(modes, residual) ** 2 / np.sum(targets**2, axis=1)[:, None]
    return energy, np.maximum(decay, AT_ONCE)


def _components(modes: xr.Dataset, values: np.ndarray) -> np.ndarray:
    """Components along the modes of ``values (model or 1, target, point)``, ``(model, target, mode)``."""
    return values @ np.swapaxes(modes.eigenvector.values, 1, 2)


def _points(x: ArrayLike) -> np.ndarray:
    """``(n, d)``."""
    x = check_real("x", x)
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or x.size == 0:
        raise ValueError(f"x must be (n,) or (n, d), n at least 1, got the shape {x.shape}")
    return x


def kernel_against_training(
    *,
    envelopes: Sequence[str],
    wavenumber: int,
    points: int,
    hidden: Sequence[int],
    seeds: int,
    seed: int,
    lr: float,
    epochs: int,
    at: Sequence[int],
    level: float,
    init: str = "pytorch",
    dtype: str = "float32",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """The kernel at the start against what Adam makes of it: modes, alignment, and how far it has moved.

    Every network is trained anew, from the same start, to each epoch that is looked at: Adam's moments are
    then those of one uninterrupted run.

    Parameters
    ----------
    envelopes, wavenumber, points
        As in :func:`specbias.targets.sequential_sine`.
    lr, epochs
        Learning rate and length of the training with Adam on half the mean square.
    at : sequence of int
        Epochs to look at besides 0 and the last; those after it are left out.
    level : float
        Relative error of ``kernel_steps``.
    init, hidden, dtype
        As in :class:`specbias.models.MLP`; the network has no bias on its output. The kernels are float64.

    Returns
    -------
    xarray.Dataset
        Over ``(envelope, seed, epoch)``: ``eigenvalue (.., mode)`` of ``K/n``, 0 below round-off;
        ``energy (.., mode)``, the target's share in the modes up to this one, nan where the eigenvalue is 0;
        ``alignment`` of kernel and target; ``distance``, ``‖K_t - K_0‖_F / ‖K_0‖_F``; ``error``, relative, of
        the trained network. ``kernel_steps (envelope, seed)``: steps of gradient descent with the kernel at
        the start and the rate ``1 / λ_max`` to ``level``. ``target (envelope, point)``.

    Raises
    ------
    ValueError, TypeError
        For an unknown name or an impossible number.
    """
    check_count("the number of envelopes", len(envelopes))
    check_count("seeds", seeds)
    check_positive("level", level)
    if any(epoch < 0 for epoch in at):
        raise ValueError(f"at must not hold negative epochs, got {list(at)}")
    at = sorted({0, *(epoch for epoch in at if epoch < epochs), check_count("epochs", epochs)})
    samples = [target_functions.sequential_sine(envelope, wavenumber, points) for envelope in envelopes]
    dtype = DTYPES[check_choice("dtype", dtype, DTYPES)]
    models = [
        MLP(1, hidden, init=init, output_bias=False, generator=generator, dtype=dtype)
        for generator in generators(range(seed, seed + seeds))
    ]
    rows = []
    for envelope, target in zip(envelopes, samples, strict=True):
        looks, first = [], None
        for epoch in at:
            result = fit(
                models, target.x, target.y, lr=lr, epochs=epoch, loss="half-mse", device=device,
                progress=progress and f"{envelope}, {seeds} networks to epoch {epoch}",
            )  # fmt: skip
            modes = kernel_modes(result.models, target.x)
            first = modes if first is None else first
            looks.append(_compare(modes, first, _outputs(result.models, target.x), target.y))
        steps = kernel_time(first, _outputs(models, target.x), target.y[None], level).isel(target=0)
        rows.append(xr.concat(looks, "epoch").assign(kernel_steps=steps, target=("point", target.y)))
    seed_numbers = np.arange(seed, seed + seeds)
    return (
        xr.concat(rows, "envelope")
        .rename(model="seed")
        .transpose("envelope", "seed", "epoch", "mode", "point")
        .assign_coords(envelope=list(envelopes), seed=seed_numbers, epoch=at, x=("point", target.x[:, 0]))
        .assign_attrs(device=result.device)
    )


def _outputs(models: Sequence[MLP], x: np.ndarray) -> np.ndarray:
    """Outputs in float64, ``(model, n)``."""
    with torch.no_grad():
        return np.stack([copy.deepcopy(m).double()(torch.from_numpy(x))[:, 0].numpy() for m in models])


def _compare(modes: xr.Dataset, first: xr.Dataset, outputs: np.ndarray, target: np.ndarray) -> xr.Dataset:
    """The kernels at one epoch beside those at the first, for all seeds of one target ``(n,)``."""
    kernels, start = _kernels(modes), _kernels(first)
    share = energy_share(modes, target[None]).isel(target=0)
    kept = {"mode": slice(KEPT_MODES)}
    moved = np.linalg.norm(kernels - start, axis=(1, 2)) / np.linalg.norm(start, axis=(1, 2))
    return xr.Dataset(
        {
            "eigenvalue": modes.eigenvalue[kept],
            "energy": share.cumsum("mode").where(modes.eigenvalue > 0)[kept],
            "alignment": ("model", [kernel_target_alignment(kernel, target) for kernel in kernels]),
            "distance": ("model", moved),
            "error": ("model", _relative(outputs, target)),
        }
    )


def _kernels(modes: xr.Dataset) -> np.ndarray:
    """The matrices ``K/n`` that have these modes, ``(model, n, n)``."""
    vectors = modes.eigenvector.values
    return np.swapaxes(vectors, 1, 2) @ (modes.eigenvalue.values[..., None] * vectors)


def least_squares_fits(
    x: ArrayLike,
    targets: ArrayLike,
    degrees: Sequence[int],
    domain: tuple[float, float] = (0.0, 1.0),
    *,
    x_between: ArrayLike | None = None,
    between: ArrayLike | None = None,
) -> xr.Dataset:
    """The classical fits of the same points: polynomials, and as many sines and cosines, by least squares.

    Parameters
    ----------
    x : array_like of float, shape (n,)
    targets : array_like of float, shape (t, n)
    degrees : sequence of int
        Of the polynomials, below ``n``. The Fourier fit has the first ``degree + 1`` of ``1, cos 2πs, sin
        2πs, cos 4πs, ...``, where ``s`` goes from 0 to 1 over the domain.
    domain : (float, float)
        The interval of the Chebyshev polynomials, and the period.
    x_between, between : array_like of float, shapes (m,) and (t, m), optional
        Held-out points and the targets there.

    Returns
    -------
    xarray.Dataset
        ``error (basis, degree, target)``, relative, on the points; with held-out points ``error_between``
        likewise; ``seconds (basis, degree)``, the wall time of fitting all the targets.

    Raises
    ------
    ValueError, TypeError
        For other shapes, an impossible degree or domain, or only one of the two held-out arguments.

    Examples
    --------
    >>> x = np.linspace(0, 1, 20)
    >>> fits = least_squares_fits(x, [np.sin(2 * np.pi * x), x**3], [3])
    >>> fits.error.sel(degree=3).round(3).values.tolist()
    [[0.113, 0.0], [0.0, 0.522]]
    """
    x = _scaled("x", x, domain)
    targets = _targets(targets, x.size)
    if (x_between is None) != (between is None):
        raise ValueError("x_between and between must be given both or neither")
    if between is not None:
        x_between = _scaled("x_between", x_between, domain)
        between = _targets(between, x_between.size, "between", rows=len(targets))
    degrees = [check_count("each of degrees", degree + 1) - 1 for degree in degrees]
    if not degrees or max(degrees) >= x.size:
        raise ValueError(f"degrees must be from 0 to {x.size - 1} for {x.size} points, got {degrees}")
    shape = (len(_BASES), len(degrees))
    errors = np.empty((*shape, len(targets)))
    held_out, seconds = np.empty_like(errors), np.empty(shape)
    for row, columns in enumerate(_BASES.values()):
        for column, degree in enumerate(degrees):
            clock = time.perf_counter()
            matrix = columns(x, degree)
            coefficients = np.linalg.lstsq(matrix, targets.T, rcond=None)[0]
            seconds[row, column] = time.perf_counter() - clock
            errors[row, column] = _relative((matrix @ coefficients).T, targets)
            if between is not None:
                held_out[row, column] = _relative((columns(x_between, degree) @ coefficients).T, between)
    dims = ("basis", "degree", "target")
    fits = {"error": (dims, errors), "seconds": (dims[:2], seconds)}
    if between is not None:
        fits["error_between"] = (dims, held_out)
    return xr.Dataset(fits, coords={"basis": list(_BASES), "degree": list(degrees)})


def least_degree(errors: xr.DataArray, level: float) -> xr.DataArray:
    """The first degree whose error is below ``level``, nan where none is.

    Parameters
    ----------
    errors : xarray.DataArray
        With the dimension ``degree``, such as ``least_squares_fits(...).error``.
    level : float

    Returns
    -------
    xarray.DataArray
        Without the dimension ``degree``.

    Examples
    --------
    >>> errors = xr.DataArray([[0.5, 0.1], [0.5, 0.4]], dims=("target", "degree"), coords={"degree": [3, 5]})
    >>> least_degree(errors, 0.2).values.tolist()
    [5.0, nan]
    """
    below = errors < check_positive("level", level)
    degree = xr.DataArray(errors.degree.values[below.argmax("degree")], dims=below.isel(degree=0).dims)
    return degree.where(below.any("degree")).assign_coords(errors.isel(degree=0, drop=True).coords)


def _fourier(s: np.ndarray, degree: int) -> np.ndarray:
    """``1, cos 2πs, sin 2πs, cos 4πs, ...``, ``(points, degree + 1)``."""
    index = np.arange(degree + 1)
    angle = 2 * np.pi * s[:, None] * ((index + 1) // 2)
    return np.where((index % 2 == 1) | (index == 0), np.cos(angle), np.sin(angle))


_BASES = {"Chebyshev": lambda s, degree: chebyshev.chebvander(2 * s - 1, degree), "Fourier": _fourier}


def _scaled(name: str, x: ArrayLike, domain: tuple[float, float]) -> np.ndarray:
    """``(n,)``, the domain mapped to [0, 1]."""
    x, (low, high) = check_real(name, x), domain
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"{name} must be (n,), n at least 1, got the shape {x.shape}")
    if not (np.isfinite(domain).all() and low < high):
        raise ValueError(f"domain must be two finite ends, the lower first, got {domain!r}")
    return (x - low) / (high - low)


def _relative(fitted: np.ndarray, exact: np.ndarray) -> np.ndarray:
    return np.linalg.norm(fitted - exact, axis=-1) / np.linalg.norm(exact, axis=-1)


def _targets(values: ArrayLike, points: int, name: str = "targets", rows: int | None = None) -> np.ndarray:
    """``(t, n)``, none of them zero everywhere: errors and shares are relative to their norms."""
    values = check_real(name, values)
    if values.ndim != 2 or values.shape[1] != points or rows not in (None, len(values)):
        raise ValueError(f"{name} must be ({rows or 't'}, {points}), got the shape {values.shape}")
    if not values.any(axis=1).all():
        raise ValueError(f"{name} must not hold one that is zero everywhere")
    return values
