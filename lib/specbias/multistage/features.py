"""The first layer of a spectrum-informed network: waves, and in each unit a weighted sum of all of them.

Ng, Wang & Lai (Spectrum-informed multistage neural networks, 2024), Algorithm 1: a point ``x`` has features
``A_j cos(B_j . x + b_j)``, of which a matrix ``W`` makes the values of the units. These are ``sum_j Re(V_ij
exp(i B_j . x))`` with ``V_ij = W_ij A_j exp(i b_j)``: what `specbias.multistage.transforms` sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import ArrayLike

from specbias._checks import check_choice, check_count, check_real
from specbias.multistage.transforms import WHOLE, DenseTransform, GridTransform, Lattice, NonuniformTransform

PARTS = ("W", "A", "b", "B")
Transform = DenseTransform | GridTransform | NonuniformTransform

# By dimension, n m / (n + m) of n points and m features up to which matrix products are faster than finufft:
# one `values` and `gradient` by all, new B, one thread, 20 units, waves that the points resolve.
CROSSOVER = {1: 100, 2: 450, 3: 5000}
LARGEST = 10**7  # points of finufft's own grid; for more, or for NaN, of which it crashes, there are products


def choose_transform(
    points: ArrayLike, wavenumbers: ArrayLike, *, lattice: Lattice | None = None,
    waves: ArrayLike | None = None, device: str = "cpu",
) -> Transform:  # fmt: skip
    """The transform that takes the least time: of whole waves on a lattice the FFT, else by size.

    Parameters
    ----------
    points, wavenumbers : array_like, shapes (n, d) and (m, d), angular
    lattice, waves, device : Lattice, array_like of int, shape (m, d), and str, optional
        The grid of which these are the points; the wavenumbers in waves in its period, found if not given. On
        any device but the CPU there are matrix products in place of finufft.

    Raises
    ------
    ValueError, TypeError
        For arrays that are not finite, of the wrong shape or do not belong together.

    Examples
    --------
    >>> lattice = Lattice((0.0,), (np.pi / 4,), (8,), (8,))
    >>> type(choose_transform(lattice.points(), [[1.0], [3.0]], lattice=lattice)).__name__
    'GridTransform'
    """
    points, wavenumbers = _check_pair(points, wavenumbers)
    waves = _check_waves(points, wavenumbers, lattice, waves)
    if waves is not None:
        return GridTransform(lattice, waves, device)
    (n, d), m = points.shape, len(wavenumbers)
    if torch.device(device).type != "cpu" or d not in CROSSOVER or n * m <= CROSSOVER[d] * (n + m):
        return DenseTransform(points, wavenumbers, device)
    return _nonuniform(points, wavenumbers)


class AbsorbedLayer:
    """Sums of waves with amplitudes and phases absorbed into the trained weights: linear in its parameters.

    In each unit each wave has a weight of its cosine and one of its sine: ``V_ij``'s real part and minus the
    imaginary one. That preconditions the search. Attributes: ``units``, ``features``, ``size`` (parameters).

    Raises
    ------
    ValueError, TypeError
        If ``units`` is not a whole number from 1 on.

    Examples
    --------
    >>> layer = AbsorbedLayer(DenseTransform(np.array([[0.0], [0.5]]), np.array([[np.pi]])), 1)
    >>> layer.values(torch.tensor([2.0, -3.0], dtype=torch.float64)).numpy().round(12).tolist()
    [[2.0, 3.0]]
    """

    def __init__(self, transform: Transform, units: int):
        self.transform, self.units, self.features = transform, check_count("units", units), transform.features
        self.size = 2 * self.units * self.features

    def values(self, row: torch.Tensor) -> torch.Tensor:
        """What each unit sums up at each point, ``(h, n)``, of parameters ``(size,)``."""
        return self.transform.synthesize(torch.view_as_complex(row.reshape(self.units, self.features, 2)))

    def gradient(self, row: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        """Gradient ``(size,)`` of a loss whose gradient by the values is ``back`` ``(h, n)``."""
        return torch.view_as_real(self.transform.analyze(back).resolve_conj()).reshape(-1)


class FeatureLayer:
    """The published layer of ``units`` sums ``sum_j W_ij A_j cos(B_j . x + b_j)``, its waves trained or not.

    Parameters
    ----------
    points : array_like, shape (n, d)
    wavenumbers, amplitudes, phases : array_like, shapes (m, d), (m,) and (m,)
        ``B`` (angular), ``A`` and ``b`` at the start.
    train : sequence of str
        Which of ``"A"``, ``"b"`` and ``"B"`` are parameters, too, behind ``"W"``, in this order.
    method, lattice, waves, device
        How to sum. ``"auto"`` is `choose_transform`, without the lattice if ``B`` is trained.

    Attributes: ``units``, ``features``, ``size`` (number of parameters), ``train`` (their names, in order).

    Raises
    ------
    ValueError, TypeError
        As `choose_transform`; for unknown names; ``"fft"`` with ``B`` trained, no lattice or waves not whole;
        ``"nufft"`` in more than three dimensions or not on the CPU.

    Examples
    --------
    >>> layer = FeatureLayer([[0.0], [0.5]], [[np.pi]], [2.0], [0.0], 1, train=("W", "b"))
    >>> layer.values(torch.tensor([3.0, np.pi / 2], dtype=torch.float64)).numpy().round(12).tolist()
    [[0.0, -6.0]]
    """

    def __init__(
        self, points: ArrayLike, wavenumbers: ArrayLike, amplitudes: ArrayLike, phases: ArrayLike, units: int,
        *, train: Sequence[str] = ("W", "b", "B"), method: str = "auto", lattice: Lattice | None = None,
        waves: ArrayLike | None = None, device: str = "cpu",
    ):  # fmt: skip
        points, wavenumbers = _check_pair(points, wavenumbers)
        self.units, self.features = check_count("units", units), len(wavenumbers)
        start = {"A": check_real("amplitudes", amplitudes), "b": check_real("phases", phases)}
        if not start["A"].shape == start["b"].shape == (self.features,):
            raise ValueError(f"amplitudes and phases must have shape ({self.features},), one of each wave")
        self.train = tuple(sorted({"W", *(check_choice("train", p, PARTS) for p in train)}, key=PARTS.index))
        waves = _check_waves(points, wavenumbers, lattice, waves)
        grid = {} if waves is None or "B" in self.train else {"lattice": lattice, "waves": waves}
        if check_choice("method", method, ("auto", "dense", "fft", "nufft")) == "fft" and not grid:
            raise ValueError("method 'fft' needs B not trained, a lattice, and whole waves in its period")
        if method == "nufft" and torch.device(device).type != "cpu":
            raise ValueError("method 'nufft' is for the CPU")
        start["B"], self._points = wavenumbers, torch.as_tensor(points, device=device)
        self._start = {name: torch.as_tensor(values, device=device) for name, values in start.items()}
        self._shapes = [(self.units, self.features), *(start[name].shape for name in self.train[1:])]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        self.size = sum(self._sizes)
        dense, auto = partial(DenseTransform, device=device), partial(choose_transform, device=device, **grid)
        make = {"dense": dense, "nufft": _nonuniform}.get(method, auto)
        self._found = self._start["B"], make(points, wavenumbers)
        self._again = _nonuniform if "nufft" in (method, self.transform_name) else dense

    @property
    def transform_name(self) -> str:
        """Which transform is in use: ``"dense"``, ``"fft"`` or ``"nufft"``."""
        return {DenseTransform: "dense", GridTransform: "fft"}.get(type(self._found[1]), "nufft")

    def initial(self, generator: np.random.Generator) -> torch.Tensor:
        """A row ``(size,)``: ``W`` by Xavier's normal distribution, the rest at the values given."""
        weights = generator.standard_normal(self._sizes[0]) * (2 / (self.units + self.features)) ** 0.5
        rest = (self._start[name].reshape(-1) for name in self.train[1:])
        return torch.cat([self._points.new_tensor(weights), *rest])

    def parts(self, row: torch.Tensor) -> dict[str, torch.Tensor]:
        """``W`` ``(h, m)``, ``A`` and ``b`` ``(m,)``, ``B`` ``(m, d)``; those trained are views."""
        views = map(torch.Tensor.view, row.split(self._sizes), self._shapes)
        return {**self._start, **dict(zip(self.train, views, strict=True))}

    def values(self, row: torch.Tensor) -> torch.Tensor:
        """What each unit sums up at each point, ``(h, n)``, of parameters ``(size,)``."""
        part = self.parts(row)
        return self._transform(part["B"]).synthesize(part["W"] * (part["A"] * torch.exp(1j * part["b"])))

    def gradient(self, row: torch.Tensor, back: torch.Tensor) -> torch.Tensor:
        """Gradient ``(size,)`` of a loss whose gradient by the values is ``back`` ``(h, n)``."""
        part = self.parts(row)
        moments = self._points.T if "B" in self.train else []  # of a wave the slope by B is x times that by b
        found = self._transform(part["B"]).analyze(torch.cat([back, *(back * x for x in moments)]))
        turned = found.reshape(-1, self.units, self.features).conj() * torch.exp(1j * part["b"])
        by_phase = -(turned.imag * part["W"]).sum(dim=1) * part["A"]
        slopes = {"W": turned[0].real * part["A"], "b": by_phase[0], "B": by_phase[1:].T}
        slopes["A"] = (turned[0].real * part["W"]).sum(dim=0)
        return torch.cat([slopes[name].reshape(-1) for name in self.train])

    def _transform(self, wavenumbers: torch.Tensor) -> Transform:
        """The transform at these wavenumbers, made anew when they have changed."""
        if not torch.equal(self._found[0], wavenumbers):
            kept = wavenumbers.detach().clone()  # the row may be changed in place
            self._found = kept, self._again(self._points.cpu().numpy(), kept.cpu().numpy())
        return self._found[1]


def _check_pair(points: ArrayLike, wavenumbers: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    points, wavenumbers = check_real("points", points), check_real("wavenumbers", wavenumbers)
    if points.ndim != 2 or 0 in points.shape:
        raise ValueError(f"points must have shape (n, d), got {points.shape}")
    if wavenumbers.ndim != 2 or len(wavenumbers) == 0 or wavenumbers.shape[1] != points.shape[1]:
        raise ValueError(f"wavenumbers must have shape (m, {points.shape[1]}), got {wavenumbers.shape}")
    return points, wavenumbers


def _nonuniform(points: np.ndarray, wavenumbers: np.ndarray) -> NonuniformTransform | DenseTransform:
    with np.errstate(all="ignore"):
        grid = np.prod(np.ptp(points, axis=0) * np.ptp(wavenumbers, axis=0) / np.pi + 16)
    made = NonuniformTransform(points, wavenumbers)
    return made if grid <= LARGEST else DenseTransform(points, wavenumbers)


def _check_waves(points, wavenumbers, lattice: Lattice | None, waves: ArrayLike | None) -> np.ndarray | None:
    """Whole waves in a period of the lattice; None without one, or where those not given are not whole."""
    if lattice is None and waves is not None:
        raise ValueError("waves need the lattice that they are of")
    if lattice is None:
        return None
    grid = lattice.points()
    if grid.shape != points.shape or (np.abs(grid - points) > WHOLE * np.array(lattice.step)).any():
        raise ValueError("points must be those of the lattice, in its order")
    exact = wavenumbers / lattice.base
    whole = np.rint(exact) if waves is None else check_real("waves", waves)
    agree = whole.shape == exact.shape and (whole % 1 == 0).all() and (np.abs(exact - whole) <= WHOLE).all()
    if waves is not None and not agree:
        raise ValueError("waves must be whole, and the wavenumbers in a period of the lattice")
    return whole.astype(np.int64) if agree else None
