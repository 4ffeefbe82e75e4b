"""What several experiments share."""

from __future__ import annotations

import numpy as np
import torch

from specbias.models import MLP

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def snapshot_epochs(epochs: int, count: int) -> list[int]:
    """About ``count`` epochs from 0 to ``epochs``, evenly spread on a logarithmic scale.

    Examples
    --------
    >>> snapshot_epochs(1000, 5)
    [0, 1, 6, 32, 178, 1000]
    """
    if epochs < 1:
        return [0]
    return [0, *np.unique(np.geomspace(1, epochs, count).round().astype(int)).tolist()]


def first_below(loss: np.ndarray, threshold: float) -> np.ndarray:
    """First epoch at which each row of ``loss`` ``(S, epochs + 1)`` is below ``threshold``, or -1.

    Examples
    --------
    >>> first_below(np.array([[3.0, 1.0, 0.1], [3.0, 2.0, 2.0]]), 0.5).tolist()
    [2, -1]
    """
    below = loss < threshold
    return np.where(below.any(axis=1), below.argmax(axis=1), -1)


def spread_kinks(model: MLP, low: float, high: float, seed: int) -> None:
    """Set the first layer's biases, and no more, so that the places ``-b/w`` are uniform on the interval.

    Examples
    --------
    >>> model = MLP(1, (100,), generator=torch.Generator().manual_seed(0))
    >>> spread_kinks(model, 2.0, 3.0, seed=0)
    >>> places = -model.layers[0].bias / model.layers[0].weight[:, 0]
    >>> bool((places > 1.999).all() and (places < 3.001).all())
    True
    """
    layer = model.layers[0]
    places = np.random.default_rng(seed).uniform(low, high, layer.bias.numel())
    with torch.no_grad():
        layer.bias.copy_(-layer.weight[:, 0] * torch.from_numpy(places).to(layer.weight.dtype))
