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
    """Prediction of the asker's network at ``epochs`` if its kernel ``K`` stayed as it is at the start.

    Gradient descent on the mean square over ``n`` points then gives the residual ``(1 - 2 lr K / n)^t r_0``. The regular
    grid of the figures stands for the random points, of which there are ten times as many.

    Returns
    -------
    xarray.DataArray
        Prediction over ``(epoch, point)``, the mean over the networks.
    """
    grid = np.linspace(-data_range / 2, data_range / 2, PLOTTED_POINTS)
    target = np.sin(frequency * grid)
    inputs = torch.from_numpy(grid[:, None])
    predictions = []
    for generator in generators(range(seed, seed + seeds)):
        model = MLP(1, hidden, activation="relu", generator=generator, dtype=torch.float64)
        with torch.no_grad():
            start = model(inputs)[:, 0].numpy() - target
        values, vectors = np.linalg.eigh(np.asarray(kernels.empirical_ntk(model, inputs)))
        factors = (1 - 2 * lr * values / grid.size) ** np.asarray(epochs, dtype=float)[:, None]  # (epochs, n)
        predictions.append(target + (factors * (vectors.T @ start)) @ vectors.T)
    return xr.DataArray(
        np.mean(predictions, axis=0), dims=("epoch", "point"), coords={"epoch": list(epochs), "x": ("point", grid)}
    )


def shallow_steps(frequencies: Sequence[int], *, bias: bool, points: int, learning_rate: float) -> xr.DataArray:
    """Steps until the half sum of squares is below 0.05 of a target with 0.5: a third of the amplitude is left."""
    eigenvalues = points * kernels.circle_eigenvalues(frequencies, bias=bias)
    steps = [kernels.learning_time(value, learning_rate, np.sqrt(0.1)) for value in eigenvalues]
    return xr.DataArray(steps, dims="frequency", coords={"frequency": list(frequencies)})


def deep_steps(
    frequencies: Sequence[int], *, hidden: Sequence[int], lr: float, stop_at: float, seed: int, points: int = 96
) -> xr.DataArray:
    """The same for the deep network, from the kernel of one of them at the start, averaged over turns of the circle.

    The loss is a mean square: the step along an eigenvector of the kernel's matrix on ``points`` angles is
    ``2 lr / points`` times its eigenvalue.
    """
    angles = torch.arange(points, dtype=torch.float64)[:, None] * (2 * np.pi / points)
    model = MLP(1, hidden, activation="relu", init="basri-random-bias", output_bias=False, embedding=Circle(),
                generator=generators([seed])[0], dtype=torch.float64)  # fmt: skip
    kernel = np.asarray(kernels.empirical_ntk(model, angles))
    turned = np.stack([np.roll(kernel[i], -i) for i in range(points)]).mean(axis=0)
    spectrum = kernels.kernel_spectrum((turned + np.roll(turned[::-1], 1)) / 2)
    learnable = [k for k in frequencies if k < points // 2]
    steps = [kernels.learning_time(2 * spectrum[k] / points, lr, np.sqrt(stop_at)) for k in learnable]
    return xr.DataArray(steps, dims="frequency", coords={"frequency": learnable})
