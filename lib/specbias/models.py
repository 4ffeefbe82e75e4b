"""Fully connected networks, their initialisations, and fixed embeddings of their input.

A network here is a plain ``torch.nn.Module`` whose layers are ``torch.nn.Linear``; nothing about it is
special to this library, so it can be compared with, or handed to, any other PyTorch code. What it adds is
what the five texts need: the initialisations they use, by name; the functions of the last hidden layer
(``basis``); and an input embedding (the circle, Fourier features, a change of scale) that is fixed, so that
a trainer may compute it once.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from specbias._checks import check_choice, check_count, check_positive

__all__ = ["ACTIVATIONS", "INITIALIZATIONS", "MLP", "Circle", "FourierFeatures", "Rescale", "generators"]

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "tanh": torch.tanh,
    "relu": torch.relu,
    "sigmoid": torch.sigmoid,
    "sin": torch.sin,
}
"""What ``MLP(activation=...)`` may be."""


def _normal_weights(std: Callable[[int, int], float], *, zero_bias: bool = True) -> Callable:
    """Normal weights of standard deviation ``std(fan_in, fan_out)``; biases zero, or ``nn.Linear``'s own."""

    def initialise(weight, bias, generator, **_) -> None:
        fan_out, fan_in = weight.shape
        nn.init.normal_(weight, 0.0, std(fan_in, fan_out), generator=generator)
        if bias is not None:
            nn.init.zeros_(bias) if zero_bias else _uniform(bias, 1.0 / math.sqrt(fan_in), generator)

    return initialise


def _uniform_weights(bound: Callable[..., float]) -> Callable:
    """Weights uniform on plus or minus ``bound(fan_in, first, omega)``; biases as ``nn.Linear`` has them."""

    def initialise(weight, bias, generator, *, first: bool, omega: float) -> None:
        fan_in = weight.shape[1]
        _uniform(weight, bound(fan_in, first, omega), generator)
        if bias is not None:
            _uniform(bias, 1.0 / math.sqrt(fan_in), generator)

    return initialise


def _uniform(tensor: torch.Tensor, bound: float, generator: torch.Generator | None) -> None:
    nn.init.uniform_(tensor, -bound, bound, generator=generator)


INITIALIZATIONS: dict[str, Callable] = {
    # torch.nn.Linear's default: weights and biases uniform on +-1/sqrt(fan_in)
    "pytorch": _uniform_weights(lambda fan_in, first, omega: 1.0 / math.sqrt(fan_in)),
    # Glorot & Bengio 2010
    "xavier-normal": _normal_weights(lambda fan_in, fan_out: math.sqrt(2.0 / (fan_in + fan_out))),
    "lecun-normal": _normal_weights(lambda fan_in, fan_out: math.sqrt(1.0 / fan_in)),
    # He et al. 2015
    "kaiming-normal": _normal_weights(lambda fan_in, fan_out: math.sqrt(2.0 / fan_in)),
    # Basri et al. 2019: kaiming_normal_(a=sqrt(5)), which makes the weights sqrt(6) times smaller than He's
    "basri": _normal_weights(lambda fan_in, fan_out: math.sqrt(1.0 / (3.0 * fan_in))),
    # their deep runs leave the biases at PyTorch's default
    "basri-random-bias": _normal_weights(
        lambda fan_in, fan_out: math.sqrt(1.0 / (3.0 * fan_in)), zero_bias=False
    ),
    # Sitzmann et al. 2020
    "siren": _uniform_weights(
        lambda fan_in, first, omega: 1.0 / fan_in if first else math.sqrt(6.0 / fan_in) / omega
    ),
}
"""What ``MLP(init=...)`` may be."""


def generators(seeds: Sequence[int]) -> list[torch.Generator]:
    """One ``torch.Generator`` a seed, so that network ``i`` is the same however many are made with it.

    Parameters
    ----------
    seeds : sequence of int

    Returns
    -------
    list of torch.Generator
        On the CPU.

    Examples
    --------
    >>> a, b = generators([0, 1])
    >>> a.initial_seed(), b.initial_seed()
    (0, 1)
    """
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


class Rescale(nn.Module):
    """The fixed map from the interval ``[low, high]`` to ``[-1, 1]``, the same for each of the inputs.

    Parameters
    ----------
    low, high : float
        Ends of the interval.
    in_features : int
        Number of inputs.

    Raises
    ------
    ValueError
        If ``high`` is not above ``low``, or either is not finite.

    Examples
    --------
    >>> Rescale(0.0, 10.0)(torch.tensor([[0.0], [10.0]])).flatten().tolist()
    [-1.0, 1.0]
    """

    def __init__(self, low: float, high: float, in_features: int = 1):
        super().__init__()
        if not (math.isfinite(low) and math.isfinite(high) and high > low):
            raise ValueError(f"low and high must be finite and high above low, got low={low}, high={high}")
        self.low, self.high, self.out_features = (
            float(low),
            float(high),
            check_count("in_features", in_features),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(n, d) -> (n, d)``."""
        return (2.0 * x - (self.low + self.high)) / (self.high - self.low)


class FourierFeatures(nn.Module):
    """The fixed embedding ``x -> (cos 2 pi f_1 x, sin 2 pi f_1 x, ...)`` of a scalar (Tancik et al. 2020).

    The angle is computed in the dtype of the module: float64, unless it has become part of a float32 network.

    Parameters
    ----------
    frequencies : sequence of float
        Cycles per unit of ``x``.

    Raises
    ------
    ValueError
        If there are none, or one is not finite.

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
        """``(n, 1) -> (n, 2 K)`` for ``K`` frequencies, in the dtype of ``x``."""
        angle = x.to(self.angular.dtype) * self.angular
        return torch.stack((torch.cos(angle), torch.sin(angle)), dim=-1).flatten(-2).to(x.dtype)


class Circle(FourierFeatures):
    """The fixed embedding ``x -> (cos, sin)(2 pi x / period)`` of Basri et al. 2019.

    Parameters
    ----------
    period : float
        How much of ``x`` is once around.

    Raises
    ------
    ValueError, TypeError
        If ``period`` is not a positive number.

    Examples
    --------
    >>> Circle(4.0)(torch.tensor([[1.0]])).round(decimals=6).abs().tolist()
    [[0.0, 1.0]]
    """

    def __init__(self, period: float = 2.0 * math.pi):
        super().__init__([1.0 / check_positive("period", period)])


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
        A fixed map with an attribute ``out_features``, applied to the input first. The network keeps a copy,
        in its own dtype.
    generator : torch.Generator, optional
        Source of the random initial weights. They are drawn in float32 whatever ``dtype`` is, so that
        the float32 and float64 networks of one seed start from the same numbers.
    dtype : {torch.float32, torch.float64}

    Attributes
    ----------
    layers : torch.nn.ModuleList
        The ``torch.nn.Linear`` layers, the output's last.

    Raises
    ------
    ValueError, TypeError
        For an unknown activation, initialisation or dtype, or a count that is not positive.

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
        self.in_features = check_count("in_features", in_features)
        self.hidden = _check_hidden(hidden)
        self.activation = check_choice("activation", activation, ACTIVATIONS)
        self.omega = check_positive("omega", omega)
        initialise = INITIALIZATIONS[check_choice("init", init, INITIALIZATIONS)]
        if dtype not in (torch.float32, torch.float64):
            raise TypeError(f"dtype must be torch.float32 or torch.float64, got {dtype!r}")
        # a copy: the dtype of one network must not become that of another one's embedding
        self.embedding = copy.deepcopy(embedding)
        widths = (in_features if embedding is None else embedding.out_features, *self.hidden, 1)
        self.layers = nn.ModuleList()
        for index, (fan_in, fan_out) in enumerate(zip(widths[:-1], widths[1:], strict=True)):
            has_bias = bias if index < len(self.hidden) else output_bias
            layer = nn.utils.skip_init(nn.Linear, fan_in, fan_out, bias=has_bias, dtype=torch.float32)
            initialise(layer.weight, layer.bias, generator, first=index == 0, omega=self.omega)
            self.layers.append(layer)
        self.to(dtype)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the weights."""
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
        """``activation(omega z)``, of any shape."""
        return ACTIVATIONS[self.activation](z if self.omega == 1.0 else self.omega * z)

    def basis(self, x: torch.Tensor) -> torch.Tensor:
        """The functions of the last hidden layer, of which the output is a linear combination: ``(n, H)``."""
        a = self.embed(x)
        for layer in self.layers[:-1]:
            a = self.activate(layer(a))
        return a

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The output, ``(n, d) -> (n, 1)``."""
        return self.layers[-1](self.basis(x))


def _check_hidden(hidden: Sequence[int]) -> tuple[int, ...]:
    if np.ndim(hidden) != 1 or len(hidden) == 0:
        raise ValueError(f"hidden must be a non-empty sequence of layer widths, got {hidden!r}")
    return tuple(check_count("each width in hidden", width) for width in hidden)
