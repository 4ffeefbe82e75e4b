"""Fully connected networks, their initialisations, and fixed embeddings of their input.

A network here is a plain ``torch.nn.Module`` whose layers are ``torch.nn.Linear``; nothing about it is special to
this library, so it can be compared with, or handed to, any other PyTorch code. What it adds is what the five texts
need: the initialisations they use, by name; the functions of the last hidden layer (``basis``); and an input
embedding (the circle, Fourier features, a change of scale) that is fixed, so that a trainer may compute it once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

__all__ = ["ACTIVATIONS", "INITIALIZATIONS", "MLP", "Circle", "FourierFeatures", "Rescale", "generators"]

ACTIVATIONS = ("tanh", "relu", "sigmoid", "sin")


def _uniform(tensor: torch.Tensor, bound: float, generator: torch.Generator | None) -> None:
    nn.init.uniform_(tensor, -bound, bound, generator=generator)


def _normal(tensor: torch.Tensor, std: float, generator: torch.Generator | None) -> None:
    nn.init.normal_(tensor, 0.0, std, generator=generator)


def _init_pytorch(weight, bias, *, generator, **_) -> None:
    bound = 1.0 / math.sqrt(weight.shape[1])
    _uniform(weight, bound, generator)
    if bias is not None:
        _uniform(bias, bound, generator)


def _init_with_zero_bias(std: Callable[[int, int], float]):
    """Normal weights of standard deviation ``std(fan_in, fan_out)``, biases zero."""

    def initialise(weight, bias, *, generator, **_) -> None:
        _normal(weight, std(weight.shape[1], weight.shape[0]), generator)
        if bias is not None:
            nn.init.zeros_(bias)

    return initialise


def _init_basri_random_bias(weight, bias, *, generator, **_) -> None:
    _normal(weight, math.sqrt(1.0 / (3.0 * weight.shape[1])), generator)
    if bias is not None:
        _uniform(bias, 1.0 / math.sqrt(weight.shape[1]), generator)


def _init_siren(weight, bias, *, generator, first: bool, omega: float) -> None:
    fan_in = weight.shape[1]
    _uniform(weight, 1.0 / fan_in if first else math.sqrt(6.0 / fan_in) / omega, generator)
    if bias is not None:
        _uniform(bias, 1.0 / math.sqrt(fan_in), generator)


INITIALIZATIONS: dict[str, Callable] = {
    "pytorch": _init_pytorch,  # torch.nn.Linear's default: weights and biases uniform on +-1/sqrt(fan_in)
    "xavier-normal": _init_with_zero_bias(lambda i, o: math.sqrt(2.0 / (i + o))),  # Glorot & Bengio 2010
    "lecun-normal": _init_with_zero_bias(lambda i, o: math.sqrt(1.0 / i)),
    "kaiming-normal": _init_with_zero_bias(lambda i, o: math.sqrt(2.0 / i)),  # He et al. 2015
    "basri": _init_with_zero_bias(lambda i, o: math.sqrt(1.0 / (3.0 * i))),  # kaiming_normal_(a=sqrt(5)) of Basri et al. 2019
    "basri-random-bias": _init_basri_random_bias,  # their deep runs leave the hidden biases at PyTorch's default
    "siren": _init_siren,  # Sitzmann et al. 2020
}


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One ``torch.Generator`` a seed, so that network ``i`` is the same however many are made with it.

    Examples
    --------
    >>> a, b = generators([0, 1])
    >>> a.initial_seed(), b.initial_seed()
    (0, 1)
    """
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


class Rescale(nn.Module):
    """The fixed map from the interval ``[low, high]`` to ``[-1, 1]``.

    Examples
    --------
    >>> Rescale(0.0, 10.0)(torch.tensor([[0.0], [10.0]])).flatten().tolist()
    [-1.0, 1.0]
    """

    def __init__(self, low: float, high: float, in_features: int = 1):
        super().__init__()
        if not high > low:
            raise ValueError(f"high must be larger than low={low}, got {high}")
        self.low, self.high, self.out_features = float(low), float(high), in_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (2.0 * x - (self.low + self.high)) / (self.high - self.low)


class FourierFeatures(nn.Module):
    """The fixed embedding ``x -> (cos 2 pi f_1 x, sin 2 pi f_1 x, ...)`` of a scalar input (Tancik et al. 2020).

    Parameters
    ----------
    frequencies : sequence of float
        Cycles per unit of ``x``.

    Examples
    --------
    >>> FourierFeatures([1.0, 2.0])(torch.tensor([[0.25]])).round(decimals=6).abs().tolist()
    [[0.0, 1.0, 1.0, 0.0]]
    """

    def __init__(self, frequencies: Sequence[float]):
        super().__init__()
        frequencies = np.atleast_1d(np.asarray(frequencies, dtype=float))
        if frequencies.ndim != 1 or frequencies.size == 0 or not np.all(np.isfinite(frequencies)):
            raise ValueError(f"frequencies must be a non-empty list of finite numbers, got {frequencies!r}")
        self.register_buffer("angular", torch.from_numpy(2.0 * np.pi * frequencies))
        self.out_features = 2 * frequencies.size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        angle = x.to(self.angular.dtype) * self.angular  # float64: the angle may be many turns
        return torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1).flatten(-2).to(x.dtype)  # (n, 2K)


class Circle(FourierFeatures):
    """The fixed embedding ``x -> (cos, sin)(2 pi x / period)`` of Basri et al. 2019.

    Examples
    --------
    >>> Circle(4.0)(torch.tensor([[1.0]])).round(decimals=6).abs().tolist()
    [[0.0, 1.0]]
    """

    def __init__(self, period: float = 2.0 * math.pi):
        if not (math.isfinite(period) and period > 0):
            raise ValueError(f"period must be a positive number, got {period}")
        super().__init__([1.0 / period])


class MLP(nn.Module):
    """A fully connected network with one real output.

    Parameters
    ----------
    in_features : int
        Number of inputs, before ``embedding``.
    hidden : sequence of int
        Units of each hidden layer.
    activation : {"tanh", "relu", "sigmoid", "sin"}
    omega : float
        Factor inside the activation: a hidden layer is ``activation(omega * (W a + b))``.
    init : str
        A name in ``INITIALIZATIONS``.
    bias, output_bias : bool
        Whether the hidden layers, and the last one, have biases.
    embedding : torch.nn.Module, optional
        A fixed map with an attribute ``out_features``, applied to the input first.
    generator : torch.Generator, optional
        Source of the random initial weights. They are drawn in float32 whatever ``dtype`` is, so that
        the float32 and float64 networks of one seed start from the same numbers.
    dtype : torch.dtype

    Raises
    ------
    ValueError
        For an unknown activation or initialisation, or a count that is not positive.

    Examples
    --------
    >>> net = MLP(1, (100, 100), generator=torch.Generator().manual_seed(0))
    >>> x = torch.linspace(0, 1, 7)[:, None]
    >>> net(x).shape, net.basis(x).shape, net.parameter_count
    (torch.Size([7, 1]), torch.Size([7, 100]), 10401)
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        *,
        activation: str = "tanh",
        omega: float = 1.0,
        init: str = "pytorch",
        bias: bool = True,
        output_bias: bool = True,
        embedding: nn.Module | None = None,
        generator: torch.Generator | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__()
        hidden = tuple(hidden)
        if not hidden or any(int(h) != h or h < 1 for h in (in_features, *hidden)):
            raise ValueError(
                f"in_features and hidden must be positive whole numbers, got in_features={in_features}, hidden={hidden}"
            )
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        if init not in INITIALIZATIONS:
            raise ValueError(f"init must be one of {', '.join(INITIALIZATIONS)}, got {init!r}")
        self.in_features, self.hidden, self.activation, self.omega = in_features, hidden, activation, float(omega)
        self.embedding = embedding
        widths = (embedding.out_features if embedding is not None else in_features, *hidden, 1)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.layers = nn.ModuleList(
            nn.utils.skip_init(nn.Linear, i, o, bias=bias if layer < len(hidden) else output_bias)
            for layer, (i, o) in enumerate(pairs)
        )
        with torch.no_grad():
            for index, layer in enumerate(self.layers):
                INITIALIZATIONS[init](
                    layer.weight, layer.bias, generator=generator, **self._init_arguments(init, index)
                )
        self.to(dtype)

    def _init_arguments(self, init: str, index: int) -> dict:
        return {"first": index == 0, "omega": self.omega} if init == "siren" else {}

    @property
    def dtype(self) -> torch.dtype:
        return self.layers[0].weight.dtype

    @property
    def parameter_count(self) -> int:
        """Number of trainable numbers."""
        return sum(p.numel() for p in self.parameters())

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """What the first layer sees: ``(n, d) -> (n, in)``; no trainable parameter is involved."""
        x = x[:, None] if x.ndim == 1 else x
        if x.shape[-1] != self.in_features:
            raise ValueError(f"x must have {self.in_features} columns, got shape {tuple(x.shape)}")
        return x if self.embedding is None else self.embedding(x)

    def activate(self, z: torch.Tensor) -> torch.Tensor:
        z = z if self.omega == 1.0 else self.omega * z
        return {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "sin": torch.sin}[self.activation](z)

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        """The functions of the last hidden layer, of which the output is a linear combination: ``(n, H)``."""
        a = self.embed(x)
        for layer in self.layers[:-1]:
            a = self.activate(layer(a))
        return a

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers[-1](self.basis(x))  # (n, 1)
