"""What the neural tangent kernel predicts for the chapter's runs, before any of them is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr

from specbias import kernels
from specbias.experiments.thread import PLOTTED_POINTS
from specbias.models import MLP, Circle, generators


def thread_residual(
    *,
    hidden: Sequence[int],
    frequency: float,
    data_range: float,
    lr: float,
    epochs: Sequence[int],
    seeds: int,
    seed: int,
) -> xr.DataArray:
    """What the asker's network would predict at ``epochs`` if its kernel ``K`` stayed as it starts.

    Gradient descent on the mean square over ``n`` points then gives the residual ``(1 - 2 lr K / n)^t r_0``.
    The regular grid of the figures stands for the random points, of which there are ten times as many.

    Parameters
    ----------
    hidden, frequency, data_range, lr
        As in :func:`specbias.experiments.thread.thread`.
    epochs : sequence of int
        Where to predict.
    seeds, seed : int
        Number of networks, and the first one's seed.

    Returns
    -------
    xarray.DataArray
        Prediction over ``(seed, epoch, point)``, with the coordinate ``x (point)``.

    Examples
    --------
    >>> settings = {"hidden": [8, 8], "frequency": 2.0, "data_range": 15.0, "lr": 2e-3}
    >>> dict(thread_residual(**settings, epochs=[0, 10], seeds=1, seed=0).sizes)
    {'seed': 1, 'epoch': 2, 'point': 151}
    """
    grid = np.linspace(-data_range / 2, data_range / 2, PLOTTED_POINTS)
    target = np.sin(frequency * grid)
    inputs = torch.from_numpy(grid[:, None])
    steps = np.asarray(epochs, dtype=float)[:, None]
    predictions = []
    for generator in generators(range(seed, seed + seeds)):
        model = MLP(1, hidden, activation="relu", generator=generator, dtype=torch.float64)
        with torch.no_grad():
            start = model(inputs)[:, 0].numpy() - target
        values, vectors = np.linalg.eigh(kernels.empirical_ntk(model, inputs))
        with np.errstate(over="ignore"):  # too large a step: off every scale, and finite all the same
            factors = np.clip((1 - 2 * lr * values / grid.size) ** steps, -1e9, 1e9)  # (epochs, n)
        predictions.append(target + (factors * (vectors.T @ start)) @ vectors.T)
    return xr.DataArray(
        np.stack(predictions),
        dims=("seed", "epoch", "point"),
        coords={"epoch": list(epochs), "x": ("point", grid)},
    )


def shallow_steps(
    frequencies: Sequence[int], *, bias: bool, points: int, learning_rate: float
) -> xr.DataArray:
    """Steps in which the shallow network's kernel on the circle learns ``sin(k theta)``, in closed form.

    Learned means half the sum of squares below 0.05 of a target with 0.5: a third of the amplitude is left.

    Parameters
    ----------
    frequencies : sequence of int
        Wavenumbers ``k``.
    bias : bool
        Whether the hidden units have one.
    points : int
        Number of regular angles.
    learning_rate : float
        Step on half the sum of squares.

    Returns
    -------
    xarray.DataArray
        Over ``frequency``; infinite where a frequency is never learned, or the step too large for it.

    Examples
    --------
    >>> shallow_steps([4, 8, 9], bias=False, points=1000, learning_rate=0.01).values
    array([15., 69., inf])
    """
    eigenvalues = points * kernels.circle_eigenvalues(frequencies, bias=bias)
    steps = kernels.learning_time(eigenvalues, learning_rate, np.sqrt(0.1))
    return xr.DataArray(steps, dims="frequency", coords={"frequency": list(frequencies)})


def deep_steps(
    frequencies: Sequence[int],
    *,
    hidden: Sequence[int],
    lr: float,
    stop_at: float,
    seed: int,
    points: int = 96,
) -> xr.DataArray:
    """The same for the deep network, from the kernel of one such network before it is trained.

    That kernel is averaged over all turns of the circle. The loss is a mean square: the step along an
    eigenvector of the kernel's matrix on ``points`` angles is ``2 lr / points`` times its eigenvalue.

    Parameters
    ----------
    frequencies : sequence of int
        Wavenumbers; those from half of ``points`` on cannot be told from lower ones and are left out.
    hidden, lr, stop_at, seed
        As in :func:`specbias.experiments.papers.deep_learning_times`.
    points : int
        Number of regular angles.

    Returns
    -------
    xarray.DataArray
        Over ``frequency``.

    Examples
    --------
    >>> slow, slower = deep_steps([1, 4], hidden=[16, 16], lr=0.05, stop_at=0.05, seed=0, points=16).values
    >>> bool(slow < slower)
    True
    """
    angles = torch.arange(points, dtype=torch.float64)[:, None] * (2 * np.pi / points)
    model = MLP(
        1, hidden, activation="relu", init="basri-random-bias", output_bias=False, embedding=Circle(),
        generator=generators([seed])[0], dtype=torch.float64,
    )  # fmt: skip
    kernel = kernels.empirical_ntk(model, angles)
    turned = np.mean([np.roll(row, -turn) for turn, row in enumerate(kernel)], axis=0)
    spectrum = np.maximum(kernels.kernel_spectrum(turned), 0)  # no less, but for round-off
    learnable = [k for k in frequencies if k < points / 2]
    steps = kernels.learning_time(2 * spectrum[learnable] / points, lr, np.sqrt(stop_at))
    return xr.DataArray(steps, dims="frequency", coords={"frequency": learnable})
