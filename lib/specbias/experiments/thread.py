"""The runs of the forum thread: the asker's network, one change at a time, the replies, the remedies."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.polynomial import Chebyshev

from specbias import targets
from specbias.experiments.common import DTYPES, first_below, snapshot_epochs, spread_kinks
from specbias.models import MLP, Circle, FourierFeatures, Rescale, generators
from specbias.training import Fit, fit

PLOTTED_POINTS = 151  # the thread's own plotting grid, ten points per unit, with its right end


def thread(
    *,
    activation: str,
    init: str,
    embedding: str,
    sampling: str,
    hidden: Sequence[int],
    frequency: float,
    data_range: float,
    points: int,
    optimizer: str,
    lr: float,
    momentum: float,
    weight_decay: float,
    epochs: int,
    stop_at: float,
    seeds: int,
    seed: int,
    dtype: str = "float32",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """The forum's network on ``sin(frequency x)``, any of its settings changed; every seed its own points.

    Parameters
    ----------
    embedding : {"none", "rescale", "circle"}
        The scalar as it is, mapped to [-1, 1], or as the cosine and sine of an angle that goes once around in
        the least whole number of the target's periods that covers the data.
    stop_at : float
        Relative error (root mean square, on the training points) below which a network stops.
    init : str
        As in :class:`specbias.models.MLP`, or ``"spread"``: PyTorch's, with the kinks of the first layer
        uniform on the interval.
    epochs, lr, momentum, weight_decay, hidden, activation, optimizer
        As in :func:`specbias.training.fit` and :class:`specbias.models.MLP`; only "sgd" has momentum and
        weight decay, and "lbfgs" no ``lr``.

    Returns
    -------
    xarray.Dataset
        ``prediction (seed, epoch, point)`` on a regular grid, ``loss (seed, loss_epoch)`` (mean square),
        ``error (seed, epoch)`` (relative, on that grid), ``fitted (seed, level)``: first epoch with a
        relative error on the training points below 30, 10 and 5 %, or -1; ``diverged (seed)``, ``seconds``.
    """
    samples = [
        targets.thread_sine(frequency, data_range, points, sampling=sampling, generator=s)
        for s in range(seed, seed + seeds)
    ]
    models = [
        MLP(
            1, hidden, activation=activation, init="pytorch" if init == "spread" else init,
            embedding=_embedding(embedding, frequency, data_range), generator=g, dtype=DTYPES[dtype],
        )
        for g in generators(range(seed, seed + seeds))
    ]  # fmt: skip
    if init == "spread":
        for index, model in enumerate(models):
            spread_kinks(model, -data_range / 2, data_range / 2, seed + index)
    grid = np.linspace(-data_range / 2, data_range / 2, PLOTTED_POINTS)
    power = float(np.mean([np.mean(s.y**2) for s in samples]))
    options = {"momentum": momentum, "weight_decay": weight_decay} if optimizer == "sgd" else {}
    result = fit(
        models,
        np.stack([s.x for s in samples]),
        np.stack([s.y for s in samples]),
        optimizer=optimizer,
        lr=None if optimizer == "lbfgs" else lr,
        epochs=epochs,
        snapshots=snapshot_epochs(epochs, 40),
        evaluate_at=grid,
        stop_below=stop_at**2 * power,
        on_divergence="stop",
        device=device,
        progress=progress and f"sin({frequency:g}x), {seeds} networks",
        **options,
    )
    return _thread_dataset(result, samples[0].function(grid), power, seed)


def _thread_dataset(result: Fit, target: np.ndarray, power: float, seed: int) -> xr.Dataset:
    levels = [0.3, 0.1, 0.05]
    below = [first_below(result.loss, level**2 * power) for level in levels]
    chosen = snapshot_epochs(result.loss.shape[1] - 1, 200)
    prediction = result.snapshots.prediction.values.astype(float)
    error = np.sqrt(np.mean((prediction - target) ** 2, axis=-1) / np.mean(target**2))
    return xr.Dataset(
        {
            "prediction": (("seed", "epoch", "point"), prediction.astype("float32")),
            "error": (("seed", "epoch"), np.minimum(error, 1e30)),
            "loss": (("seed", "loss_epoch"), np.minimum(result.loss[:, chosen], 1e30).astype("float32")),
            "fitted": (("seed", "level"), np.stack(below, axis=1)),
            "diverged": ("seed", result.diverged),
            "target": ("point", target),
            "seconds": result.seconds,
        },
        coords={
            "seed": np.arange(seed, seed + len(result.models)),
            "epoch": result.snapshots.epoch.values,
            "x": ("point", result.snapshots.x.values),
            "loss_epoch": chosen,
            "level": levels,
        },
        attrs={"device": result.device},
    )


def _embedding(name: str, frequency: float, data_range: float):
    if name == "rescale":
        return Rescale(-data_range / 2, data_range / 2)
    if name == "circle":
        period = 2 * np.pi / frequency
        return Circle(period * np.ceil(data_range / period - 1e-9))
    if name == "none":
        return None
    raise ValueError(f"embedding must be one of none, rescale, circle, got {name!r}")


def thread_sweep(*, over: str, values: Sequence, progress: bool = True, **settings) -> xr.Dataset:
    """:func:`thread` once for each value of one setting.

    Parameters
    ----------
    over : {"oscillations", "hidden", "points"}
        ``oscillations`` sets the data range to that many periods, with 100 points per unit as in the thread.
    values : sequence
        Values of that setting; for ``hidden`` a list of layer widths each.

    Returns
    -------
    xarray.Dataset
        ``fitted (value, seed, level)`` and ``error (value, seed, epoch)`` as in :func:`thread`, and
        ``seconds_per_epoch (value)``, of all seeds together.
    """
    period = 2 * np.pi / settings["frequency"]
    rows = []
    for value in values:
        changed = {over: value}
        if over == "oscillations":
            changed = {"data_range": value * period, "points": round(100 * value * period)}
        run = thread(**{**settings, **changed}, progress=progress)
        last = int(run.loss_epoch[-1])
        kept = run[["fitted", "error"]]
        rows.append(kept.assign(seconds_per_epoch=run.seconds / max(last, 1)))
    labels = [" x ".join(map(str, v)) if isinstance(v, (list, tuple)) else v for v in values]
    value = xr.Variable("value", labels)
    joined = xr.concat(rows, value, join="exact", coords="minimal", compat="override")
    return joined.assign_attrs(device=run.attrs["device"])


METHODS = {
    "momentum": {"optimizer": "sgd", "lr": 2e-3, "momentum": 0.9},
    "rescaled input, Adam": {"optimizer": "adam", "lr": 1e-3, "embedding": "rescale"},
    "circle input, larger step": {"optimizer": "sgd", "lr": 0.1, "embedding": "circle"},
    "Fourier features, Adam": {"optimizer": "adam", "lr": 1e-3, "embedding": "fourier"},
    "sin activation, Adam": {"optimizer": "adam", "lr": 1e-3, "embedding": "rescale", "activation": "sin"},
    "tanh, L-BFGS": {"optimizer": "lbfgs", "embedding": "rescale", "activation": "tanh"},
}
"""Ways to fit the thread's sine: what differs from the thread's own settings."""


def answers(
    *,
    frequencies: Sequence[float],
    data_range: float,
    points: int,
    hidden: Sequence[int],
    omega: float,
    fourier_scale: float,
    epochs: int,
    stop_at: float,
    seeds: int,
    seed: int,
    dtype: str = "float64",
    device: str = "auto",
    progress: bool = True,
) -> xr.Dataset:
    """How fast each of ``METHODS`` learns ``sin(frequency x)``, and the least-squares fit beside them.

    Parameters
    ----------
    omega : float
        Factor in the sine activation, with Sitzmann et al.'s initialisation.
    fourier_scale : float
        The Fourier features are the harmonics ``1, 2, ..`` of twice the data range, up to ``fourier_scale``
        cycles per unit: none of them is the target's frequency.

    Returns
    -------
    xarray.Dataset
        ``fitted (remedy, frequency, seed)``: epochs to a relative error of ``stop_at`` on the training
        points, or -1; ``seconds`` (to that epoch, per network) and ``error`` (relative, on a grid between
        the points) likewise.
        The remedy "least squares" has one step; its degree is the least that reaches 1e-12 on the points.
    """
    return answers_by(METHODS, **locals())


def answers_by(
    methods: Mapping[str, Mapping], *, frequencies, data_range, points, hidden, omega, fourier_scale, epochs,
    stop_at, seeds, seed, dtype="float64", device="auto", progress=True,
) -> xr.Dataset:  # fmt: skip
    """:func:`answers` by some of ``METHODS`` only, and least squares."""
    names = [*methods, "least squares"]
    shape = (len(names), len(frequencies), seeds)
    fitted, seconds, error = np.full(shape, -1), np.full(shape, np.nan), np.full(shape, np.nan)
    for column, frequency in enumerate(frequencies):
        samples = [
            targets.thread_sine(frequency, data_range, points, generator=s) for s in range(seed, seed + seeds)
        ]
        grid = np.linspace(-data_range / 2, data_range / 2, 2001)
        exact = samples[0].function(grid)
        for row, (name, settings) in enumerate(methods.items()):
            models = _method_models(
                settings, hidden, frequency, data_range, omega, fourier_scale, seed, seeds, dtype
            )
            options = {k: v for k, v in settings.items() if k in ("optimizer", "lr", "momentum")}
            x, y = np.stack([s.x for s in samples]), np.stack([s.y for s in samples])
            fit(models, x, y, epochs=1, device=device, progress=False, **options)  # compile: not to be timed
            result = fit(
                models, x, y, epochs=epochs,
                snapshots=[epochs], evaluate_at=grid, stop_below=stop_at**2 * np.mean(samples[0].y ** 2),
                on_divergence="stop", device=device, progress=progress and f"{name}, sin({frequency:.3g}x)",
                **options,
            )  # fmt: skip
            fitted[row, column] = result.stopped
            steps = np.isfinite(result.loss).sum(axis=1)
            seconds[row, column] = result.seconds * steps / steps.sum()
            error[row, column] = _relative(result.snapshots.prediction.values[:, -1], exact)
        for index, sample in enumerate(samples):
            clock = time.perf_counter()
            polynomial, degree = _least_squares(sample)
            seconds[-1, column, index] = time.perf_counter() - clock
            fitted[-1, column, index] = 1
            error[-1, column, index] = _relative(polynomial(grid)[None], exact)[0]
    dims = ("remedy", "frequency", "seed")
    return xr.Dataset(
        {"fitted": (dims, fitted), "seconds": (dims, seconds), "error": (dims, error)},
        coords={"remedy": names, "frequency": list(frequencies), "seed": np.arange(seed, seed + seeds)},
        attrs={"device": result.device},
    )


def _method_models(
    settings, hidden, frequency, data_range, omega, fourier_scale, seed, seeds, dtype
) -> list[MLP]:
    activation, embedding = settings.get("activation", "relu"), settings.get("embedding", "none")
    special = {"init": "siren", "omega": omega} if activation == "sin" else {}
    if embedding == "fourier":
        count = int(np.ceil(fourier_scale * 2 * data_range))
        embedding = FourierFeatures(np.arange(1, count + 1) / (2 * data_range))
    else:
        embedding = _embedding(embedding, frequency, data_range)
    return [
        MLP(
            1, hidden, activation=activation, embedding=embedding, generator=g, dtype=DTYPES[dtype], **special
        )
        for g in generators(range(seed, seed + seeds))
    ]


def _least_squares(sample: targets.Target) -> tuple[Chebyshev, int]:
    """The Chebyshev series of least degree (in tens) with a relative error on the points below 1e-12."""
    x, y = sample.x[:, 0], sample.y
    for degree in range(10, min(400, y.size // 3), 10):
        polynomial = Chebyshev.fit(x, y, degree, domain=sample.domain)
        if _relative(polynomial(x)[None], y)[0] < 1e-12:
            break
    return polynomial, degree


def _relative(prediction: np.ndarray, exact: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean((prediction - exact) ** 2, axis=-1) / np.mean(exact**2))
