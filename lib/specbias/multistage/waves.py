"""A stage on waves: which waves, where it begins, how it is fitted; and the fitted network, at any points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import numpy as np
import scipy.fft
import torch

from specbias._checks import check_choice
from specbias.multistage.blocks import BLOCK, cut, shapes_behind
from specbias.multistage.features import AbsorbedLayer, choose_transform
from specbias.multistage.gauss_newton import gauss_newton
from specbias.multistage.quasi_newton import Minimum
from specbias.multistage.spectral_network import SpectralNetwork
from specbias.multistage.transforms import GridTransform, Lattice, find_lattice
from specbias.spectra import Modes, largest_modes

SHARE = 1e-8  # of the residue that may lie outside of the modes, where their number is found
STRENGTHS = {"linear": 1e-6, "coherent": 0.002, "scattered": 0.4}
"""Root mean square of what the first hidden layer's units sum up, at each start."""
FLATNESS = 0.2  # noise has the same power in the shortest waves as in those a quarter longer; signals fall
STARTS = ("auto", *STRENGTHS)
SOON = 20  # iterations without progress after which a linear start is left as it is


@dataclass(frozen=True, eq=False)  # of arrays it cannot be told by == whether all are equal
class WaveNetwork:
    """Waves with complex weights, and tanh layers behind them: `SpectralNetwork` at any points.

    Attributes
    ----------
    wavenumbers : numpy.ndarray
        ``(m, d)``, angular, per unit of the scaled inputs.
    hidden : tuple of int
    base : numpy.ndarray, optional
        ``(d,)``, of which the wavenumbers are multiples: one wave in a period. On grids that fit it there are
        FFTs.
    first, scale
        As `StageNetwork` has them: ``"waves"``, and 1.

    Examples
    --------
    >>> net = WaveNetwork(np.array([[np.pi]]), (1,))
    >>> row = np.array([1e-4, 0, 0, 1e4, 0])  # weight of the cosine, minus that of the sine, bias, ...
    >>> net.predict(row, np.array([[0.0], [1.0]])).round(6).tolist()
    [1.0, -1.0]
    """

    wavenumbers: np.ndarray
    hidden: tuple[int, ...]
    base: np.ndarray | None = None
    first: str = "waves"
    scale: float = 1.0

    @property
    def inputs(self) -> int:
        """Dimension of the points."""
        return self.wavenumbers.shape[1]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return 2 * self.hidden[0] * len(self.wavenumbers) + sum(map(prod, shapes_behind(self.hidden)))

    def predict(self, parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Outputs ``(n,)`` at ``x`` ``(n, d)``; of longdouble on a grid that the waves fit, in longdouble."""
        lattice, waves = self._grid(x)
        if x.dtype == np.longdouble and lattice is not None:
            return self._extended(parameters, lattice, waves)
        plain = np.ascontiguousarray(x, dtype=np.float64)
        transform = (
            choose_transform(plain, self.wavenumbers) if lattice is None else GridTransform(lattice, waves)
        )
        network = SpectralNetwork(AbsorbedLayer(transform, self.hidden[0]), self.hidden)
        return network.predict(torch.from_numpy(parameters)).numpy()

    def _grid(self, x: np.ndarray) -> tuple[Lattice | None, np.ndarray | None]:
        """The periodic grid of which these points are a part, and the whole waves on it; or None, None."""
        found = None if self.base is None else find_lattice(np.asarray(x, dtype=np.float64))
        if found is None:
            return None, None
        sizes = 2 * np.pi / (self.base * found.step)
        whole = np.rint(sizes)
        if (np.abs(sizes - whole) > 1e-6).any() or (whole < found.shape).any() or whole.prod() > 2**26:
            return None, None
        steps = tuple(2 * np.pi / (self.base * whole))
        lattice = Lattice(found.low, steps, found.shape, tuple(whole.astype(int)))
        return lattice, np.rint(self.wavenumbers / self.base).astype(int)

    def _extended(self, parameters: np.ndarray, lattice: Lattice, waves: np.ndarray) -> np.ndarray:
        first = 2 * self.hidden[0] * len(waves)
        weights = parameters[:first].view(np.complex128).reshape(self.hidden[0], -1)
        values = _synthesize_extended(weights.astype(np.clongdouble), lattice, waves)
        bias, *tail = cut(parameters[first:].astype(np.longdouble), shapes_behind(self.hidden))
        out = np.empty(values.shape[1], np.longdouble)
        for begin in range(0, len(out), BLOCK):
            state = np.tanh(values[:, begin : begin + BLOCK] + bias[:, None])
            for weights, bias_of in zip(tail[:-2:2], tail[1:-2:2], strict=True):
                state = np.tanh(weights @ state + bias_of[:, None])
            out[begin : begin + BLOCK] = tail[-2][0] @ state + tail[-1]
        return out


def _synthesize_extended(weights: np.ndarray, lattice: Lattice, waves: np.ndarray) -> np.ndarray:
    """`GridTransform.synthesize` in longdouble."""
    turn = (
        waves * (np.array(lattice.low, np.longdouble) / np.array(lattice.step) / np.array(lattice.sizes))
    ).sum(axis=1)
    angle = 8 * np.arctan(np.longdouble(1)) * (turn - np.rint(turn))
    spectrum = weights * (np.cos(angle) + 1j * np.sin(angle))
    sizes, axes = np.array(lattice.sizes), tuple(range(len(lattice.sizes)))
    places = [np.ravel_multi_index(tuple((sign * waves % sizes).T), lattice.sizes) for sign in (1, -1)]
    values = np.empty((len(weights), int(np.prod(lattice.shape))), np.longdouble)
    for row, part in zip(values, spectrum, strict=True):  # one by one: a plane of these is large
        full = np.zeros(int(np.prod(sizes)), np.clongdouble)
        np.add.at(full, places[0], part / 2)
        np.add.at(full, places[1], part.conj() / 2)
        half = full.reshape(lattice.sizes)[..., : sizes[-1] // 2 + 1]
        field = scipy.fft.irfftn(half, lattice.sizes, axes=axes, norm="forward")
        row[:] = field[tuple(slice(n) for n in lattice.shape)].ravel()
    return values


def extend(field: np.ndarray, lattice: Lattice) -> np.ndarray:
    """Values on a whole period: the field itself, or its even extension where the lattice is half of one."""
    widths = [(0, whole - part) for part, whole in zip(field.shape, lattice.sizes, strict=True)]
    return np.pad(field, widths, mode="reflect") if any(width for _, width in widths) else field


def is_periodic(field: np.ndarray) -> bool:
    """Whether a field goes on across its edges about as smoothly as inside, along every axis.

    Examples
    --------
    >>> angle = 2 * np.pi * np.arange(20) / 20
    >>> is_periodic(np.sin(angle)), is_periodic(angle)
    (True, False)
    """
    for axis in range(field.ndim):
        inside = np.abs(np.diff(field, axis=axis)).max()
        across = np.abs(np.take(field, 0, axis) - np.take(field, -1, axis)).max()
        if across > 1.5 * inside:
            return False
    return True


def noise_level(field: np.ndarray) -> float:
    """Standard deviation of the noise in a field, from its shortest waves; 0 if these do not look like noise.

    White noise is as strong in all waves, so it is all that is left in the shortest ones of a resolved field.
    Amplitudes that still fall there are not noise.

    Examples
    --------
    >>> x = 2 * np.pi * np.arange(128) / 128
    >>> noise = 0.01 * np.random.default_rng(0).standard_normal((128, 128))
    >>> round(noise_level(np.cos(x)[:, None] * np.cos(x) + noise), 3)
    0.01
    """
    power = np.abs(np.fft.fftn(field)) ** 2
    axes = [np.abs(np.fft.fftfreq(n)) for n in field.shape]
    farthest = np.max(np.meshgrid(*axes, indexing="ij"), axis=0)
    outer, middle = (power[(farthest > low) & (farthest <= high)] for low, high in ((0.45, 0.5), (0.35, 0.4)))
    if not outer.size or not middle.size:
        return 0.0
    # of the ratio; each mode is there with its conjugate
    scatter = (2 / outer.size + 2 / middle.size) ** 0.5
    if middle.mean() > (1 + max(FLATNESS, 3 * scatter)) * outer.mean():
        return 0.0
    return float((outer.mean() / field.size) ** 0.5)


def choose_modes(field: np.ndarray, count: int | None, floor: float = 0.0) -> tuple[Modes, float]:
    """The largest modes of a field, and the share of its root mean square that lies outside of them.

    Without a ``count`` there are as many as leave `SHARE` outside: a stage soon learns what lies in its
    modes, and hardly what does not. Modes that noise of standard deviation ``floor`` may explain are left
    out.
    """
    modes, outside = all_modes(field)
    if count is None:
        count = max(1, int(np.argmax(outside <= SHARE)))
        if floor > 0:
            count = min(count, max(1, int((modes.amplitudes > 6 * floor / field.size**0.5).sum())))
    count = min(count, len(modes.amplitudes))
    return Modes(*(part[:count] for part in modes)), float(outside[count])


def all_modes(field: np.ndarray) -> tuple[Modes, np.ndarray]:
    """All modes of a field, the largest first, and what the first so many leave, by its root mean square.

    Examples
    --------
    >>> angle = 2 * np.pi * np.arange(8) / 8
    >>> all_modes(3 * np.cos(angle) + 4 * np.sin(2 * angle))[1].round(12)[:3].tolist()
    [1.0, 0.6, 0.0]
    """
    modes = largest_modes(field)
    own = ~np.any(2 * np.abs(modes.wavenumbers) % np.array(field.shape), axis=1)  # constant, or alternating
    power = modes.amplitudes**2 * np.where(own, 1.0, 0.5)
    left = np.append(np.cumsum(power[::-1])[::-1], 0.0)
    return modes, np.sqrt(left / max(np.mean(field**2), 1e-300))


def modes_on(goal: np.ndarray, lattice: Lattice, features: int | None, floor: float = 0.0) -> Modes:
    """The modes that a stage on a lattice begins with; phases are those at the origin of its coordinates."""
    modes, _ = choose_modes(extend(goal, lattice), features, floor)
    return modes._replace(phases=modes.phases - modes.wavenumbers * lattice.base @ np.array(lattice.low))


def is_resolved(field: np.ndarray) -> bool:
    """Whether at most half of the grid's modes are enough for a field; noise does not count.

    The largest of a field that is not resolved are no better founded than those that they look like.
    """
    if not np.ptp(field):
        return False
    field = field / np.abs(field).max()
    modes, _ = choose_modes(field, None, noise_level(field))
    return 4 * len(modes.amplitudes) <= field.size


def start(
    network: SpectralNetwork, modes: Modes, goal: torch.Tensor, generator: np.random.Generator, kind: str
) -> torch.Tensor:
    """Parameters to begin with.

    ``"linear"``: every unit sums up the same field, the modes as they are in the goal, in a strength of its
    own so small that tanh does not bend it, at its spikes neither; the output weights are then the
    least-squares solution. This is the truncated Fourier series, as a network. ``"coherent"``: the same, but
    strong enough for a search to make other waves. ``"scattered"``: Xavier's weights times amplitudes
    (Algorithm 1 of the paper), as strong as tanh can use: units differ from place to place, whereby the tanh
    layers make waves that are not among the modes.
    """
    weights = modes.amplitudes * np.exp(1j * modes.phases)
    shape = (network.hidden[0], len(weights) if kind == "scattered" else 1)
    weights = generator.standard_normal(shape) * weights
    strength = STRENGTHS[kind]
    weights *= strength / max(np.sqrt(np.mean(np.sum(np.abs(weights) ** 2, axis=1) / 2)), 1e-300)
    first = torch.view_as_real(torch.from_numpy(weights)).reshape(-1).to(goal.device)
    row = network.initial(first, generator)
    if kind != "scattered":
        basis = network.basis(row)
        basis = torch.cat([basis, torch.ones_like(basis[:1])])
        gram, right = (basis @ basis.T).cpu().numpy(), (basis @ goal).cpu().numpy()
        solved = np.linalg.lstsq(gram, right, rcond=1e-13)[0]
        row[-len(solved) :] = torch.from_numpy(solved).to(row.device)
    return row


def fit_waves(
    goal: np.ndarray, lattice: Lattice, hidden: tuple[int, ...], generator: np.random.Generator, *,
    features: int | None = None, kind: str = "auto", floor: float = 0.0, tolerance: float = 0.0,
    max_iter: int = 3000, patience: int = 100, device: str = "cpu", callback: Callable | None = None,
) -> tuple[WaveNetwork, Minimum]:  # fmt: skip
    """Fit one network to ``goal``, of root mean square 1, on a lattice.

    Parameters
    ----------
    goal
        ``lattice.shape``.
    features
        Number of waves, each with its cosine and sine; as many as needed unless given (`choose_modes`).
    kind
        Of `start`; ``"auto"`` is linear where there are as many modes as needed, else scattered.
    floor, tolerance
        Standard deviation of noise in the goal; root mean square of the residue that is small enough.
    max_iter, patience, callback
        Of `gauss_newton`; a linear start is given at most `SOON` iterations without progress.

    Returns
    -------
    WaveNetwork, Minimum
        The latter's iterations are those of conjugate gradients, its evaluations are steps of Gauss–Newton;
        between two of these its history, half of the mean square, stays as it was.
    """
    check_choice("kind", kind, STARTS)
    modes = modes_on(goal, lattice, features, floor)
    if kind == "auto":
        kind = "linear" if features is None else "scattered"
    if kind == "linear":  # it begins where it can end
        patience = min(patience, SOON)
    transform = GridTransform(lattice, modes.wavenumbers, device)
    network = SpectralNetwork(AbsorbedLayer(transform, hidden[0]), hidden)
    wanted = torch.from_numpy(np.ascontiguousarray(goal.ravel())).to(device)
    row = start(network, modes, wanted, generator, kind)
    found = gauss_newton(
        network, row, wanted, max_iter=max_iter, tolerance=tolerance, patience=patience, callback=callback
    )
    fitted = WaveNetwork(modes.wavenumbers * lattice.base, tuple(hidden), lattice.base)
    spent, sizes = found.history.T
    history = 0.5 * np.repeat(sizes, np.diff(np.append(spent, spent[-1] + 1)).astype(int)) ** 2
    row = found.row.cpu().numpy()
    return fitted, Minimum(row, history[-1], found.iterations, len(spent) - 1, history, found.reason)
