"""Very many trainings of small ReLU networks on the function of the hand-built network ``W_f``.

The paper (Gamst & Walker, arXiv 1706.07101) gives the number of networks, the steps and the names of
the optimizers; learning rate, momentum, rho, epsilon and initialisation are our choice, swept by `choices`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from specbias.ensembles import initial_parameters, loss_and_gradient, predict, train
from specbias.landscape import HandBuilt, hand_built_network
from specbias.multistage import minimize
from specbias.recorded import checkpoint_folder
from specbias.training.threads import each

EARLY, EARLY_STEPS = 8, 100
FOUND = 0.5  # share of the teeth from which on the sawtooth counts as found
FLAT = 1e-6  # range of outputs below which a network is a constant


def teeth(outputs: np.ndarray, built: HandBuilt) -> np.ndarray:
    """How much of the sawtooth outputs ``(..., n)`` hold: 0 for the spline alone, 1 for ``W_f``.

    The coefficient of the sawtooth in a least-squares fit of what is left without the spline; the sawtooth
    bends 31 times, so what a network misses of the spline hardly counts.

    Examples
    --------
    >>> built = hand_built_network()
    >>> teeth(np.stack([built.y, built.spline]), built).round(9).tolist()
    [1.0, 0.0]
    """
    saw = built.sawtooth - built.sawtooth.mean()
    return (outputs - built.spline) @ saw / (saw @ saw)


def is_constant(outputs: np.ndarray) -> np.ndarray:
    """Whether no input changes the output: of outputs ``(..., n)``."""
    return np.ptp(outputs, axis=-1) < FLAT


def early_loss(
    parameters: np.ndarray, built: HandBuilt, optimizer: str, settings: Mapping, **shape
) -> np.ndarray:
    """Loss of the first networks after a few steps: before round-off, which processors differ in, grows."""
    few = parameters[:EARLY]
    how = {"optimizer": optimizer, "steps": EARLY_STEPS, "device": "cpu", "progress": False}
    return train(few, built.x, built.y, **how, **shape, **settings).loss


def many_trainings(
    *, models: int, steps: int, optimizer: str, settings: Mapping[str, float], init: str, seed: int,
    kept: int, device: str = "auto", progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """The main experiment: train 5 x 5 networks from independent initial weights.

    Parameters
    ----------
    settings
        Of the optimizer.
    kept
        How many networks to keep: the first ones whose output is not constant.

    Returns
    -------
    xarray.Dataset
        Over ``point``: ``x``, ``y``, ``spline``, ``mean`` and ``deviation`` of the networks' outputs. Over
        ``model``: ``loss``, ``teeth`` and ``constant`` (no input changes the output). ``best (rank, point)``:
        the three outputs of least loss. ``minima (minimum, parameter)``, ``minimum_loss``. ``early (first)``:
        see `early_loss`.
    """
    built, start = hand_built_network(), initial_parameters(models, seed=seed, init=init)
    trained = train(
        start, built.x, built.y, steps=steps, optimizer=optimizer,
        checkpoint=checkpoint_folder(), device=device, progress=progress, **settings,
    )  # fmt: skip
    total, found = np.zeros((2, built.x.size)), []
    flat = np.empty(models, bool)
    for begin in range(0, models, 1000):
        outputs = predict(trained.parameters[begin : begin + 1000], built.x).astype(float)
        total += outputs.sum(axis=0), (outputs**2).sum(axis=0)
        found.append(teeth(outputs, built))
        flat[begin : begin + 1000] = is_constant(outputs)
    mean, squares = total / models
    order = np.argsort(trained.loss)
    kept_rows = np.flatnonzero(~flat & np.isfinite(trained.loss))[:kept]
    return xr.Dataset(
        {
            "x": ("point", built.x), "y": ("point", built.y), "spline": ("point", built.spline),
            "mean": ("point", mean), "deviation": ("point", np.sqrt(np.maximum(squares - mean**2, 0))),
            "loss": ("model", trained.loss), "teeth": ("model", np.concatenate(found).astype(np.float32)),
            "constant": ("model", flat),
            "best": (("rank", "point"), predict(trained.parameters[order[:3]], built.x)),
            "minima": (("minimum", "parameter"), trained.parameters[kept_rows]),
            "minimum_loss": ("minimum", trained.loss[kept_rows]),
            "early": ("first", early_loss(start, built, optimizer, settings)),
        },
        attrs={"device": trained.device},
    )  # fmt: skip


def choices(
    *, variants: Mapping[str, Mapping], models: int, steps: int, seed: int, device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """One change of what the paper leaves open at a time; each variant has ``optimizer`` and more.

    A variant may set ``init``, ``width``, ``depth``, ``points_between``, another function by ``teeth`` and
    ``amplitude`` (its own sawtooth is then what ``teeth`` counts), and any setting of its optimizer; besides
    those of the ensembles there is ``"l-bfgs"``, with ``iterations``, SciPy's in float64. ``rounds`` cuts the
    steps into so many, each with the optimizer's memory emptied and, with ``jitter``, Gaussian noise of that
    L2 norm added before it.

    Returns
    -------
    xarray.Dataset
        ``loss``, ``teeth`` and ``constant`` over ``(variant, model)``; ``early (variant, first)``.
    """
    found = {name: _variant(dict(v), models, steps, seed, device, progress) for name, v in variants.items()}
    loss, shares, flat, early = (np.stack([found[name][k] for name in variants]) for k in range(4))
    dims = ("variant", "model")
    return xr.Dataset(
        {"loss": (dims, loss), "teeth": (dims, shares), "constant": (dims, flat),
         "early": (("variant", "first"), early)},
        {"variant": list(variants)},
    )  # fmt: skip


def _variant(
    change: dict, models: int, steps: int, seed: int, device: str, progress: bool
) -> tuple[np.ndarray, ...]:
    init, rounds, jitter = change.pop("init", "pytorch"), change.pop("rounds", 1), change.pop("jitter", 0.0)
    shape = {"depth": change.pop("depth", 5), "width": change.pop("width", 5)}
    function = {key: change.pop(key) for key in ("teeth", "amplitude") if key in change}
    built = hand_built_network(points_between=change.pop("points_between", 9), **function)
    parameters = initial_parameters(models, seed=seed, init=init, **shape)
    usual = hand_built_network(**function)
    if change["optimizer"] == "l-bfgs":
        few = by_l_bfgs(parameters[:EARLY], built, EARLY_STEPS // 10, False, **shape)
        early = np.mean((predict(few, built.x, **shape) - built.y) ** 2, axis=1)
        found = by_l_bfgs(parameters, built, change["iterations"], progress, **shape)
        return *_outcome(found, usual, shape), early
    generator = np.random.default_rng(seed + 1)
    how = {key: value for key, value in change.items() if key != "optimizer"}
    early = early_loss(parameters, built, change["optimizer"], how, **shape)
    for _ in range(rounds):
        if jitter:
            noise = jitter * unit_rows(generator, *parameters.shape)
            parameters = parameters + noise.astype(parameters.dtype)
        parameters = train(
            parameters, built.x, built.y, steps=steps // rounds, checkpoint=checkpoint_folder(),
            device=device, progress=progress, **shape, **change,
        ).parameters  # fmt: skip
        parameters[~np.isfinite(parameters).all(axis=1)] = 0  # what diverged counts as a constant
    return *_outcome(parameters, usual, shape), early


def _outcome(
    parameters: np.ndarray, built: HandBuilt, shape: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss, share of the teeth and whether constant, of each network."""
    outputs = predict(parameters, built.x, **shape).astype(float)
    loss = np.mean((outputs - built.y) ** 2, axis=1)
    return loss.astype(np.float32), teeth(outputs, built).astype(np.float32), is_constant(outputs)


def by_l_bfgs(
    parameters: np.ndarray, built: HandBuilt, iterations: int, progress: bool, **shape: int
) -> np.ndarray:
    """Networks after L-BFGS (history 50, float64), each by itself: parameters ``(models, P)``."""
    found = parameters.astype(float)

    def one(index: int) -> None:
        def loss(row: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = loss_and_gradient(row[None], built.x, built.y, **shape)
            return value[0], gradient[0]

        found[index] = minimize(loss, found[index], "l-bfgs", max_iter=iterations).x
        bar.update()

    with tqdm(total=len(found), unit="network", disable=not progress) as bar:
        each(one, len(found))
    return found


def unit_rows(generator: np.random.Generator, rows: int, count: int) -> np.ndarray:
    """Random directions, each of L2 norm 1."""
    raw = generator.standard_normal((rows, count))
    return raw / np.linalg.norm(raw, axis=1, keepdims=True)


def widths(
    *, widths: Sequence[int], optimizers: Mapping[str, Mapping[str, float]], models: int, steps: int,
    seed: int, device: str = "auto", progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """Networks of five layers of more units on the same function.

    Returns
    -------
    xarray.Dataset
        ``loss``, ``teeth`` and ``constant`` over ``(optimizer, width, model)``.
    """
    variants = {
        f"{name} {width}": {"optimizer": name, "width": width, **settings}
        for name, settings in optimizers.items()
        for width in widths
    }
    run = choices(variants=variants, models=models, steps=steps, seed=seed, device=device, progress=progress)
    return _unstack(run, {"optimizer": list(optimizers), "width": list(widths)})


def functions(
    *, counts: Sequence[int], amplitudes: Sequence[float], optimizers: Mapping[str, Mapping[str, float]],
    widths: Sequence[int], models: int, steps: int, seed: int, device: str = "auto", progress: bool = True,
) -> xr.Dataset:  # fmt: skip
    """Hand-built networks with fewer or higher teeth, so many: who finds those?

    Returns
    -------
    xarray.Dataset
        ``loss``, ``teeth`` and ``constant`` over ``(count, amplitude, optimizer, width, model)``.
    """
    coordinates = {"count": list(counts), "amplitude": list(amplitudes), "optimizer": list(optimizers)}
    coordinates["width"] = list(widths)
    variants = {
        " ".join(map(str, at)): {"teeth": at[0], "amplitude": at[1], "optimizer": at[2], "width": at[3]}
        | dict(optimizers[at[2]])
        for at in product(*coordinates.values())
    }
    run = choices(variants=variants, models=models, steps=steps, seed=seed, device=device, progress=progress)
    return _unstack(run, coordinates)


def _unstack(run: xr.Dataset, coordinates: Mapping[str, list]) -> xr.Dataset:
    """Variants that are all combinations of the coordinates, laid out along these."""
    shape = [len(values) for values in coordinates.values()]
    return xr.Dataset(
        {key: ((*coordinates, run[key].dims[1]), run[key].values.reshape(*shape, -1)) for key in run},
        coordinates,
    )
