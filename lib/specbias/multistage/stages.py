"""One stage of a multistage regressor: its record, the scale of its first layer, and what ends its search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from specbias.multistage.networks import StageNetwork
from specbias.multistage.quasi_newton import Minimum
from specbias.spectra.scattered import spacing

CHECK_EVERY = 10  # iterations between two looks at the held-out points


@dataclass(frozen=True)
class Stage:
    """One fitted stage: ``size * network(parameters)``.

    Attributes
    ----------
    network : StageNetwork or WaveNetwork
    parameters : numpy.ndarray
        ``(P,)``.
    size : float
        Root mean square of the residue that it was fitted to.
    frequency : float
        Dominant angular wavenumber of that residue, per unit of the scaled inputs.
    iterations, evaluations : int
        Of its optimizer.
    reason : str
        Why its optimizer ended: ``"iterations"``, ``"round-off"`` or ``"held-out"`` (points that were held
        out did not improve any more; the best parameters were kept).
    history : numpy.ndarray
        ``(iterations + 1,)``, half the mean square of the normalised residue.
    seconds : float
        What the stage took.
    """

    network: StageNetwork
    parameters: np.ndarray
    size: float
    frequency: float
    iterations: int
    evaluations: int
    reason: str
    history: np.ndarray
    seconds: float

    def taken_from(self, left: np.ndarray, x: np.ndarray) -> np.ndarray:
        """What the stage leaves of ``left`` ``(n,)`` at scaled inputs ``x``, in whose precision it computes.

        With numbers of longdouble the next stage does not have to learn this one's rounding errors.
        """
        return (left - self.size * self.network.predict(self.parameters, x)).astype(np.float64)


class Progress:
    """A bar over the iterations of a search; called with how many there were so far, it tells ``seen``."""

    def __init__(self, total: int, shown: bool, seen: Callable[[int], object] | None = None):
        self.seen = seen
        self.bar = tqdm(total=total, unit="iteration", leave=False, disable=not shown)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()

    def __call__(self, iteration: int, parameters: object, value: float) -> None:
        self.bar.update(iteration - self.bar.n)
        self.bar.set_postfix_str(f"{value:.1e}", refresh=False)
        if self.seen:
            self.seen(iteration)


class Watch:
    """Looks at the points held out: keeps the best parameters, and ends the search when they stay behind."""

    def __init__(
        self, network: StageNetwork, x: np.ndarray, y: np.ndarray, patience: int, total: int, shown: bool,
        seen: Callable[[int], object] | None = None,
    ):  # fmt: skip
        self.network, self.x, self.y, self.patience, self.seen = network, x, y, patience, seen
        self.least, self.best, self.at = np.inf, None, 0
        self.bar = tqdm(total=total, unit="iteration", leave=False, disable=not shown)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_) -> None:
        self.bar.close()

    def __call__(self, iteration: int, parameters: np.ndarray, value: float) -> bool:
        self.bar.update()
        if self.seen:
            self.seen(iteration)
        if not len(self.y) or iteration % CHECK_EVERY:
            return False
        self._look(iteration, parameters)
        return iteration - self.at >= self.patience

    def choose(self, found: Minimum) -> np.ndarray:
        """The best parameters seen; those that the search ended with are looked at in any case."""
        if len(self.y):
            self._look(found.iterations, found.x)
        return found.x if self.best is None else self.best

    def _look(self, iteration: int, parameters: np.ndarray) -> None:
        error = rms(self.network.predict(parameters, self.x) - self.y)
        if error < self.least:
            self.least, self.best, self.at = error, parameters.copy(), iteration


def scale_factor(frequency: float, points: np.ndarray, units: int, *, bounded: bool = True) -> float:
    """The factor that brings a fresh first layer near an angular wavenumber that the points resolve.

    ``frequency / (2 * standard deviation of a weight)``: Wang & Lai's ``pi f_d / sqrt(Var)``, with their
    initial weights. Waves shorter than four mean distances of the points are not asked for: between the
    points a network is then free to do what it likes. With ``bounded=False`` they are.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 201)[:, None]
    >>> round(scale_factor(30.0, x, 20), 1), round(scale_factor(3000.0, x, 20), 1)
    (48.6, 254.5)
    """
    resolved = np.pi / (2 * spacing(points)) if bounded else np.inf
    deviation = (2 / (points.shape[1] + units)) ** 0.5
    return float(max(1.0, min(frequency, resolved) / (2 * deviation)))


def rms(values: np.ndarray) -> float:
    """Root mean square, also of numbers whose squares are too small or too large for float64."""
    largest = np.abs(values).max(initial=0.0)
    return float(largest * np.sqrt(np.mean((values / largest) ** 2))) if largest > 0 else 0.0
