"""Regression in stages: each network fits what those before it have left, magnified to size 1."""

from __future__ import annotations

import numbers
import time
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from specbias._checks import check_choice, check_count
from specbias.multistage.minimizers import OPTIMIZERS, minimize
from specbias.multistage.networks import FIRST, StageNetwork, check_hidden
from specbias.multistage.saving import read, write
from specbias.multistage.stages import Stage, Watch, rms, scale_factor
from specbias.spectra import dominant_wavenumber, sign_changes
from specbias.spectra.scattered import METHODS

INITIALIZATIONS = ("scale-factor", "plain")
UNRESOLVED = 0.35  # share of sign changes between neighbours from which on a residue is not resolved
WORSE = 0.9  # a stage must bring the held-out residue below so much of what it was
HELD_OUT_FROM = 30  # points; of fewer none are held out


class MultistageRegressor(RegressorMixin, BaseEstimator):
    """A sum of small networks, trained one after the other, down to the precision of float64.

    Each stage fits the residue of those before it, divided by its root mean square; from the second stage on
    the first layer is a sine, its weights multiplied by a scale factor that brings the untrained network near
    the dominant frequency of the residue (Wang & Lai, J. Comput. Phys. 504, 112865, 2024).

    It stops by itself where further stages would only learn noise: if the residue changes sign between
    neighbouring points about as often as noise does, or if points that were held out do not improve.

    Parameters
    ----------
    initialization
        ``"scale-factor"`` as above; ``"plain"``: every stage is a tanh network without a scale factor.
    stages
        At most so many.
    hidden
        Units in the hidden layers of each stage.
    activation
        Of the first layer from the second stage on: ``"sin"`` or ``"cos"``.
    frequency
        How the dominant frequency is found: ``"spectrum"``, the peak of the Fourier transform, for up to
        three inputs; or ``"crossings"``, from the zeros between neighbours.
    optimizer
        ``"auto"`` (self-scaled BFGS for up to 6000 parameters, else L-BFGS), ``"self-scaled-bfgs"``,
        ``"l-bfgs"``, ``"adam"``, or ``"adam+l-bfgs"`` as in the paper.
    max_iter
        Iterations of each stage.
    history
        Steps that L-BFGS remembers.
    tol
        No further stage once the root mean square of the residue is at most this; in units of ``y``.
    validation_fraction
        Share of the points that is held out and tells when to stop; 0 for none. Fewer than 30 points are
        never split, and the two ends of one input are always fitted.
    guard
        Whether to bound the scale factor by what the points resolve, and to stop when the residue changes
        sign like noise. Without it the stages learn the points by heart (``False`` is there to show that).
    normalize
        Whether to divide each residue by its root mean square. ``False`` is there as a control.
    patience
        A stage ends when the held-out residue has not become smaller for so many iterations; every tenth
        one is looked at.
    random_state
        Seed of initial weights and of the points held out; an int, a RandomState or None.
    device
        ``"auto"`` or ``"cpu"``.
    verbose
        Print a line for each stage, and show its progress.

    Attributes
    ----------
    stages_ : list of Stage
    residual_rms_ : numpy.ndarray
        ``(stages + 1,)``: of the residue on the training points before the first stage and after each.
    validation_rms_ : numpy.ndarray
        The same on the points held out; empty if there are none.
    stopped_ : str
        Why there is no further stage, in words.
    n_iter_ : int
        Largest number of iterations of a stage.
    n_features_in_ : int
    center_, halfwidth_ : numpy.ndarray
        Inputs are shifted and scaled to [-1, 1] by these.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 400)[:, None]
    >>> model = MultistageRegressor(stages=2, hidden=(10, 10), max_iter=300, random_state=0)
    >>> bool(model.fit(x, np.sin(3 * x[:, 0])).residual_rms_[-1] < 1e-6)
    True
    """

    def __init__(
        self, *, initialization="scale-factor", stages=4, hidden=(30, 30, 30), activation="sin",
        frequency="spectrum", optimizer="auto", max_iter=3000, history=50, tol=0.0, validation_fraction=0.1,
        guard=True, normalize=True, patience=200, random_state=None, device="auto", verbose=False,
    ):  # fmt: skip
        self.initialization = initialization
        self.stages = stages
        self.hidden = hidden
        self.activation = activation
        self.frequency = frequency
        self.optimizer = optimizer
        self.max_iter = max_iter
        self.history = history
        self.tol = tol
        self.validation_fraction = validation_fraction
        self.guard = guard
        self.normalize = normalize
        self.patience = patience
        self.random_state = random_state
        self.device = device
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: ArrayLike) -> MultistageRegressor:
        """Fit to ``X`` ``(n, d)``, scattered or gridded, and ``y`` ``(n,)``; the order does not matter.

        Raises
        ------
        ValueError, TypeError
            For data that are not finite, shapes that do not fit, and parameters out of range.
        """
        self._check_parameters()
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        order = np.lexsort((y, *X.T[::-1]))  # sums round by order: so the one given makes no difference
        X, y = X[order], y[order].astype(np.float64)
        low, high = X.min(axis=0), X.max(axis=0)
        self.center_ = low / 2 + high / 2
        self.halfwidth_ = np.where(high > low, high / 2 - low / 2, 1.0)
        generator = _generator(self.random_state)
        train, held = self._split(X, generator)
        with threadpool_limits(1, "blas"):  # the matrices are small: a second thread would only wait
            self._fit_stages(X, y, train, held, generator)
        return self

    def predict(self, X: ArrayLike, *, extended: bool = False) -> np.ndarray:
        """Values ``(n,)``: the stages are added from the smallest to the largest, so that none is lost.

        A network's own sums round by some units of the last digit, which is noise from point to point. With
        ``extended`` they are computed in ``numpy.longdouble``, which has 64 binary digits on x86 processors,
        and rounded at the end: some ten times slower.
        """
        check_is_fitted(self, "stages_")
        X = validate_data(self, X, dtype=np.float64, reset=False)
        scaled = self._scaled(X, np.longdouble if extended else np.float64)
        total = np.zeros(len(X), scaled.dtype)
        for stage in reversed(self.stages_):
            total += stage.size * stage.network.predict(stage.parameters, scaled)
        return total.astype(np.float64)

    def residue(self, X: ArrayLike, y: ArrayLike) -> np.ndarray:
        """What is left of ``y``, ``(n,)``: stage after stage is taken from it, in extended precision.

        Each of these subtractions is of numbers ever closer to each other, hence exact or nearly so; what
        ``y - predict(X)`` loses by rounding the sum to the size of ``y`` is kept.
        """
        return self.staged_residues(X, y)[-1]

    def staged_residues(self, X: ArrayLike, y: ArrayLike) -> list[np.ndarray]:
        """``y`` and what each stage leaves of it, ``(n,)`` each; see `residue`."""
        check_is_fitted(self, "stages_")
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, reset=False)
        scaled, left = self._scaled(X, np.longdouble), [y.astype(np.float64)]
        for stage in self.stages_:
            left.append(stage.taken_from(left[-1], scaled))
        return left

    def _scaled(self, X: np.ndarray, kind: type) -> np.ndarray:
        return (X.astype(kind) - self.center_) / self.halfwidth_

    def save(self, path: str | PathLike) -> None:
        """Write parameters and stages to an ``.npz`` file, without pickle."""
        check_is_fitted(self, "stages_")
        write(self, path)

    @classmethod
    def load(cls, path: str | PathLike) -> MultistageRegressor:
        """Read what `save` has written; nothing in the file is executed.

        Raises
        ------
        ValueError
            If the file is not such a file, or is damaged.
        OSError
            If it cannot be opened.
        """
        return read(cls, path)

    def _check_parameters(self) -> None:
        check_choice("initialization", self.initialization, INITIALIZATIONS)
        check_choice("activation", self.activation, FIRST[1:])
        check_choice("frequency", self.frequency, METHODS)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("device", self.device, ("auto", "cpu"))
        for name in ("guard", "normalize"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise TypeError(f"{name} must be True or False, got {getattr(self, name)!r}")
        for name in ("stages", "max_iter", "history", "patience"):
            check_count(name, getattr(self, name))
        check_hidden(self.hidden)
        _check_number("validation_fraction", self.validation_fraction)
        if not 0 <= self.validation_fraction < 0.9:
            raise ValueError(f"validation_fraction must be in [0, 0.9), got {self.validation_fraction}")
        _check_number("tol", self.tol)
        if not self.tol >= 0:
            raise ValueError(f"tol must be at least 0, got {self.tol}")

    def _split(self, x: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points to fit and points held out."""
        count = len(x)
        held = round(self.validation_fraction * count) if count >= HELD_OUT_FROM else 0
        order = generator.permutation(count)
        if x.shape[1] == 1:  # beyond the last point that is fitted a network extrapolates: not what is asked
            order = order[~np.isin(order, (x[:, 0].argmin(), x[:, 0].argmax()))]
        held_out = np.sort(order[:held])
        return np.setdiff1d(np.arange(count), held_out), held_out

    def _fit_stages(
        self, X: np.ndarray, y: np.ndarray, train: np.ndarray, held: np.ndarray,
        generator: np.random.Generator,
    ) -> None:  # fmt: skip
        x, exact = (self._scaled(X, kind) for kind in (np.float64, np.longdouble))
        self.stages_, left = [], y.copy()
        sizes, held_sizes = [rms(left[train])], [rms(left[held])] if held.size else []
        self.stopped_ = f"all {self.stages} stages were made"
        for number in range(self.stages):
            if enough := self._enough(number, x[train], left[train]):
                self.stopped_ = enough
                break
            stage = self._fit_one(number, x, left, train, held, generator)
            after = stage.taken_from(left, exact)
            if number and held.size and rms(after[held]) > WORSE * held_sizes[-1]:
                self.stopped_ = "a further stage did not improve the points held out, and was left out"
                break
            left = after
            self.stages_.append(stage)
            sizes.append(rms(left[train]))
            if held.size:
                held_sizes.append(rms(left[held]))
            if self.verbose:
                self._tell(number, sizes[-1], held_sizes[-1] if held.size else None)
        self.n_iter_ = max((stage.iterations for stage in self.stages_), default=0)
        self.residual_rms_, self.validation_rms_ = np.array(sizes), np.array(held_sizes)
        if self.verbose:
            print(f"stopped: {self.stopped_}", flush=True)

    def _enough(self, number: int, x: np.ndarray, left: np.ndarray) -> str:
        """Why there is to be no further stage, in words; empty if there is to be one."""
        if (size := rms(left)) <= max(self.tol, np.finfo(float).tiny):
            return f"the residue {size:.1e} is at most tol"
        if not number or not self.guard:  # the first stage always has its chance
            return ""
        share = sign_changes(x, left)[0]
        if share <= UNRESOLVED:
            return ""
        return (
            f"the residue changes sign between {share:.0%} of neighbouring points (noise: 50%): "
            "more stages would learn what the points do not resolve"
        )

    def _fit_one(
        self, number: int, x: np.ndarray, left: np.ndarray, train: np.ndarray, held: np.ndarray,
        generator: np.random.Generator,
    ) -> Stage:  # fmt: skip
        began, size = time.perf_counter(), rms(left[train]) if self.normalize else 1.0
        inputs, goal = np.ascontiguousarray(x[train]), left[train] / size
        frequency = dominant_wavenumber(inputs, goal, self.frequency)
        if number == 0 or self.initialization == "plain":
            network = StageNetwork(x.shape[1], tuple(self.hidden))
        else:
            scale = scale_factor(frequency, inputs, self.hidden[0], bounded=self.guard)
            network = StageNetwork(x.shape[1], tuple(self.hidden), self.activation, scale)
        watch = Watch(network, x[held], left[held] / size, self.patience, self.max_iter, self.verbose)
        with watch:
            found = minimize(
                lambda row: network.loss_and_gradient(row, inputs, goal), network.initial(generator),
                self.optimizer, max_iter=self.max_iter, history=self.history, callback=watch,
            )  # fmt: skip
        reason = "held-out" if found.reason == "callback" else found.reason
        return Stage(
            network, watch.choose(found), size, frequency, found.iterations, found.evaluations, reason,
            found.history, time.perf_counter() - began,
        )  # fmt: skip

    def _tell(self, number: int, size: float, held_size: float | None) -> None:
        if number == 0:
            print("stage  parameters  scale factor  iterations  ended by    residue   held out")
        stage = self.stages_[-1]
        scale = "—" if stage.network.first == "tanh" else f"{stage.network.scale:.1f}"
        last = "" if held_size is None else f"{held_size:.1e}"
        print(
            f"{number + 1:5d}{stage.network.size:12d}{scale:>14}{stage.iterations:12d}  {stage.reason:10s}"
            f"{size:9.1e}{last:>11}", flush=True,
        )  # fmt: skip


def _check_number(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")


def _generator(random_state: int | np.random.RandomState | None) -> np.random.Generator:
    try:
        random = check_random_state(random_state)
    except ValueError as error:
        raise ValueError(f"random_state: {error}") from error
    return np.random.default_rng(random.randint(2**31))
