"""Regression in stages: each network fits what those before it have left, magnified to size 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from threadpoolctl import threadpool_limits

from specbias.multistage.saving import read, write
from specbias.multistage.settings import check_parameters, find_grid, random_generator
from specbias.multistage.stage_fits import fit_network, fit_spectrum, tell
from specbias.multistage.stages import rms
from specbias.multistage.waves import extend, noise_level
from specbias.provenance import chosen_device
from specbias.spectra import sign_changes

UNRESOLVED = 0.35  # share of sign changes between neighbours from which on a residue is not resolved
WORSE = 0.9  # a stage must bring the held-out residue below so much of what it was
HELD_OUT = 0.1  # share of the points held out where "auto" holds any
NOISY = 1.2  # times the level of noise: a residue that is no larger is not fitted
ROUNDED = 3e-17  # times a value: root mean square of what its rounding to float64 has cut off
HELD_OUT_FROM = 30  # points; of fewer none are held out


class MultistageRegressor(RegressorMixin, BaseEstimator):
    """A sum of small networks, trained one after the other, down to the precision of float64.

    Each stage fits the residue of those before it, divided by its root mean square. Two ways to tell a new
    network of the residue's frequencies:

    - *spectrum*, on regular grids: its first layer consists of the residue's own largest Fourier modes (Ng,
      Wang & Lai, 2024), fitted by Gauss-Newton with FFTs;
    - *scale factor*, anywhere: from the second stage on the first layer is a sine, its weights multiplied by
      a factor that brings the untrained network near the dominant frequency of the residue (Wang & Lai, J.
      Comput. Phys. 504, 112865, 2024).

    It stops by itself where further stages would only learn noise: if the residue changes sign between
    neighbouring points about as often as noise does, if points that were held out do not improve, or, of a
    spectrum, at the level of noise in the shortest waves.

    Parameters
    ----------
    initialization
        ``"spectrum"`` or ``"scale-factor"`` as above; ``"auto"`` is spectrum for a periodic field in two or
        more dimensions on a regular grid that resolves it, else scale factor; ``"plain"``: every stage is a
        tanh network without a scale factor.
    stages
        At most so many.
    hidden
        Units in the hidden layers of each stage.
    features
        Of a spectrum, how many modes its first layer has: a number, one for each stage, or ``"auto"``, as
        many as hold all but 1e-8 of the residue.
    boundary
        Of a spectrum, how the grid goes on: ``"periodic"``; ``"even"``, mirrored at its edges; ``"auto"`` is
        periodic if the values are, else even.
    recipe
        Of a spectrum: ``"ours"``, or ``"published"``, with Adam on the L10 norm, wavenumbers trained and
        amplitudes fixed, one weight for each mode and unit; ``features`` must then be given.
    activation
        Of the first layer from the second stage on: ``"sin"`` or ``"cos"``.
    frequency
        How the dominant frequency is found: ``"spectrum"``, the peak of the Fourier transform, for up to
        three inputs; or ``"crossings"``, from the zeros between neighbours.
    optimizer
        ``"auto"`` (self-scaled BFGS for up to 6000 parameters, else L-BFGS), ``"self-scaled-bfgs"``,
        ``"l-bfgs"``, ``"adam"``, or ``"adam+l-bfgs"`` as in the paper. A spectrum has its own.
    max_iter
        Iterations of each stage; of a spectrum, those of conjugate gradients.
    history
        Steps that L-BFGS remembers.
    tol
        No further stage once the root mean square of the residue is at most this; in units of ``y``.
    validation_fraction
        Share of the points that is held out and tells when to stop; 0 for none. Fewer than 30 points are
        never split, and the two ends of one input are always fitted. A spectrum needs every point of the
        grid: with it ``"auto"`` is 0, otherwise 0.1.
    guard
        Whether to bound the scale factor by what the points resolve, and to stop when the residue changes
        sign like noise, or has reached the level of noise. Without it the stages learn the points by heart
        (``False`` is there to show that).
    normalize
        Whether to divide each residue by its root mean square. ``False`` is there as a control.
    patience
        A stage ends when the held-out residue has not become smaller for so many iterations; every tenth
        one is looked at. A spectrum's: when so many have not halved the residue.
    random_state
        Seed of initial weights and of the points held out; an int, a RandomState or None.
    device
        ``"cpu"`` or ``"cuda"``. ``"auto"`` takes a GPU, where there is one, for a spectrum; other networks
        are worth one from some hundred thousand points on.
    verbose
        Print a line for each stage, and show its progress.

    Attributes
    ----------
    stages_ : list of Stage
    residual_rms_ : numpy.ndarray
        ``(stages + 1,)``: of the residue on the training points before the first stage and after each.
    validation_rms_ : numpy.ndarray
        The same on the points held out; empty if there are none.
    initialization_, device_ : str
        Those that were used.
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
        self, *, initialization="auto", stages=4, hidden=(30, 30, 30), features="auto", boundary="auto",
        recipe="ours", activation="sin", frequency="spectrum", optimizer="auto", max_iter=3000, history=50,
        tol=0.0, validation_fraction="auto", guard=True, normalize=True, patience=200,
        random_state=None, device="auto", verbose=False,
    ):  # fmt: skip
        self.initialization = initialization
        self.stages = stages
        self.hidden = hidden
        self.features = features
        self.boundary = boundary
        self.recipe = recipe
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

    def fit(
        self, X: ArrayLike, y: ArrayLike, *, callback: Callable[[object, int], object] | None = None
    ) -> MultistageRegressor:
        """Fit to ``X`` ``(n, d)``, scattered or gridded, and ``y`` ``(n,)``; the order does not matter.

        ``callback`` is called with the regressor, whose ``stages_`` are those made so far, and the iterations
        of the stage that is being fitted, after each of its steps; an exception that it raises ends the fit.

        Raises
        ------
        ValueError, TypeError
            For data that are not finite, shapes that do not fit, and parameters out of range.
        """
        check_parameters(self)
        X, y = validate_data(self, X, y, dtype=np.float64, y_numeric=True, ensure_min_samples=2)
        order = np.lexsort((y, *X.T[::-1]))  # sums round by order: so the one given makes no difference
        X, y = X[order], y[order].astype(np.float64)
        low, high = X.min(axis=0), X.max(axis=0)
        self.center_ = low / 2 + high / 2
        self.halfwidth_ = np.where(high > low, high / 2 - low / 2, 1.0)
        generator = random_generator(self.random_state)
        self._lattice = find_grid(self, self._scaled(X, np.float64), y)
        self.initialization_ = self.initialization
        if self.initialization == "auto":
            self.initialization_ = "scale-factor" if self._lattice is None else "spectrum"
        self.device_, why = chosen_device(self.device)
        if self.device == "auto" and self.initialization_ != "spectrum":
            self.device_, why = "cpu", "networks without waves are small"
        if self.verbose and why:
            print(f"device: {self.device_} ({why})")
        train, held = self._split(X, generator)
        with threadpool_limits(1, "blas"):  # the matrices are small: a second thread would only wait
            self._fit_stages(X, y, train, held, generator, callback and partial(callback, self))
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

    def _split(self, x: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points to fit and points held out."""
        count, share = len(x), self.validation_fraction
        if share == "auto":
            share = 0.0 if self.initialization_ == "spectrum" else HELD_OUT
        held = round(share * count) if count >= HELD_OUT_FROM else 0
        order = generator.permutation(count)
        if x.shape[1] == 1:  # beyond the last point that is fitted a network extrapolates: not what is asked
            order = order[~np.isin(order, (x[:, 0].argmin(), x[:, 0].argmax()))]
        held_out = np.sort(order[:held])
        return np.setdiff1d(np.arange(count), held_out), held_out

    def _fit_stages(
        self, X: np.ndarray, y: np.ndarray, train: np.ndarray, held: np.ndarray,
        generator: np.random.Generator, seen: Callable[[int], object] | None,
    ) -> None:  # fmt: skip
        x, exact = (self._scaled(X, kind) for kind in (np.float64, np.longdouble))
        self.stages_, left = [], y.copy()
        self._floor = 0.0
        if self.initialization_ == "spectrum" and self.guard:
            size = rms(y) or 1.0
            noise = noise_level(extend(y.reshape(self._lattice.shape) / size, self._lattice))
            self._floor = max(noise, ROUNDED) * size
        sizes, held_sizes = [rms(left[train])], [rms(left[held])] if held.size else []
        self.stopped_ = f"all {self.stages} stages were made"
        for number in range(self.stages):
            if enough := self._enough(number, x[train], left[train]):
                self.stopped_ = enough
                break
            if self.initialization_ == "spectrum":
                stage = fit_spectrum(self, number, left, generator, seen)
            else:
                stage = fit_network(self, number, x, left, train, held, generator, seen)
            after = stage.taken_from(left, exact)
            if number and held.size and rms(after[held]) > WORSE * held_sizes[-1]:
                self.stopped_ = "a further stage did not improve the points held out, and was left out"
                break
            if self.initialization_ == "spectrum" and number and rms(after) >= sizes[-1]:
                self.stopped_ = "a further stage did not make the residue smaller, and was left out"
                break
            left = after
            self.stages_.append(stage)
            sizes.append(rms(left[train]))
            if held.size:
                held_sizes.append(rms(left[held]))
            if self.verbose:
                tell(number, stage, sizes[-1], held_sizes[-1] if held.size else None)
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
        if self.initialization_ == "spectrum":
            small = size <= NOISY * self._floor
            return f"the residue is at the level of noise, {self._floor:.1e}" if small else ""
        share = sign_changes(x, left)[0]
        if share <= UNRESOLVED:
            return ""
        return (
            f"the residue changes sign between {share:.0%} of neighbouring points (noise: 50%): "
            "more stages would learn what the points do not resolve"
        )
