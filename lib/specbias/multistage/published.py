"""A stage on waves as it was published: Adam, the L10 norm, amplitudes fixed, waves trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch

from specbias.multistage.features import FeatureLayer
from specbias.multistage.minimizers import minimize
from specbias.multistage.quasi_newton import Minimum
from specbias.multistage.spectral_network import SpectralNetwork
from specbias.multistage.transforms import Lattice
from specbias.multistage.waves import WaveNetwork, modes_on
from specbias.training.threads import own_threads

POWER, ANNEALING = 10, 1e-2  # of the norm (eq. 7); the learning rate at the end, as a share [our choice]


@own_threads()
def fit_published(
    goal: np.ndarray, lattice: Lattice, hidden: tuple[int, ...], generator: np.random.Generator, *,
    features: int, max_iter: int, train: Sequence[str] = ("W", "b", "B"), power: int = POWER,
    optimizer: str = "adam", method: str = "auto", device: str = "cpu", callback: Callable | None = None,
) -> tuple[WaveNetwork, Minimum]:  # fmt: skip
    """Fit one network to ``goal``, of root mean square 1, by Algorithm 1 of Ng, Wang & Lai (2024).

    Parameters
    ----------
    goal
        ``lattice.shape``.
    features
        Cosines in the first layer: the largest modes of the goal.
    train
        Which parts of the first layer are trained; the paper has its weights, its phases ``b`` and its
        wavenumbers ``B``, and keeps the amplitudes ``A``.
    power
        Of the norm that is minimized; for 2 it is half of the mean square.
    optimizer
        One of `minimizers.OPTIMIZERS`.
    method
        Of `FeatureLayer`.

    Returns
    -------
    WaveNetwork, Minimum
        The network with its amplitudes and phases absorbed. Value and history are half of the mean square,
        or half of the square of the norm that is minimized in its place.

    Examples
    --------
    >>> lattice = Lattice((-1.0,), (0.1,), (20,), (20,))
    >>> goal = np.cos(np.pi * lattice.points()[:, 0])
    >>> net, found = fit_published(
    ...     goal, lattice, (5,), np.random.default_rng(0), features=2, max_iter=300, power=2
    ... )
    >>> bool(found.value < found.history[0])
    True
    """
    modes = modes_on(goal, lattice, features)
    layer = FeatureLayer(
        lattice.points(), modes.wavenumbers * lattice.base, modes.amplitudes, modes.phases, hidden[0],
        train=train, method=method, device=device,
        **({} if "B" in train else {"lattice": lattice, "waves": modes.wavenumbers}),
    )  # fmt: skip
    network = SpectralNetwork(layer, hidden)
    wanted = torch.from_numpy(np.ascontiguousarray(goal.ravel())).to(device)
    first = network.initial(layer.initial(generator), generator).cpu().numpy()
    found = minimize(
        network.as_function(wanted, power), first, optimizer, max_iter=max_iter, annealing=ANNEALING,
        callback=callback,
    )  # fmt: skip
    part, tail = torch.from_numpy(found.x[: layer.size]), found.x[layer.size :]
    parts = {name: values.cpu() for name, values in layer.parts(part.to(device)).items()}
    weights = parts["W"] * (parts["A"] * torch.exp(1j * parts["b"]))
    row = np.concatenate([torch.view_as_real(weights).reshape(-1).numpy(), tail])
    base = None if "B" in train else lattice.base
    history = found.history if power == 2 else 0.5 * found.history**2
    return WaveNetwork(parts["B"].numpy().copy(), tuple(hidden), base), replace(
        found, x=row, value=history[-1], history=history
    )
