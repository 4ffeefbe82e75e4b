"""What a slice of a recorded run is: what is computed again, and how closely it must be what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from specbias.recorded import run_arguments

Parameters = Mapping[str, object]
SAME_NUMBERS = "no training is in it"
CROSSED = "another processor rounds otherwise, and a threshold is crossed a little earlier or later"
LEAST_IN_COMMON = 4  # labels of a shared dimension: fewer would compare next to nothing
HERE = {"device": "cpu", "progress": False}


class Mismatch(ValueError):
    """Recorded and computed values that cannot be laid side by side, and why not."""


@dataclass(frozen=True)
class Deviation:
    """How far a recorded variable is from what is computed, where that is farthest.

    Attributes
    ----------
    variable : str
    share : float
        Difference there as a share of what is allowed; above 1 is too far.
    where : str
        Labels, or positions where a dimension has none.
    recorded, computed : float
        The values there.
    allowed, why : str
        In words.
    """

    variable: str
    share: float
    where: str
    recorded: float
    computed: float
    allowed: str
    why: str


@dataclass(frozen=True)
class Comparison:
    """How far values may be apart: ``absolute + relative * |recorded|``, each of them.

    Parameters
    ----------
    variable : str
        What is compared.
    relative, absolute : float
        Both 0 for equal values. NaN must be where NaN is, and infinity where infinity of the same sign is.
    why : str
        Why as closely as that.
    unit : {"1", "median", "largest"}
        ``absolute`` counts in this, of the magnitudes of the recorded finite values.
    logarithm : bool
        Whether it is the natural logarithms that are compared.
    count : bool
        Whether negative values stand for "never": they must then be equal, however much is allowed.

    Examples
    --------
    >>> steps = Comparison("steps", 0.02, 1.0, why="round-off", count=True)
    >>> told = steps.deviation(xr.DataArray([100, -1], dims="run"), xr.DataArray([106, -1], dims="run"))
    >>> told.share, told.where, told.recorded, told.computed
    (2.0, 'run 0', 100.0, 106.0)
    >>> steps.deviation(xr.DataArray([-1.0]), xr.DataArray([0.0])).share
    inf
    """

    variable: str
    relative: float = 0.0
    absolute: float = 0.0
    _: KW_ONLY
    why: str
    unit: str = "1"
    logarithm: bool = False
    count: bool = False

    def deviation(self, recorded: ArrayLike, computed: ArrayLike) -> Deviation:
        """The largest deviation of computed values from recorded ones of the same shape.

        Raises
        ------
        Mismatch
            If the shapes differ, or there are no values.
        """
        recorded = xr.DataArray(recorded)
        before, now = recorded.values.astype(float), np.asarray(computed, dtype=float)
        if before.shape != now.shape or before.size == 0:
            raise Mismatch(f"{self.variable} has shape {before.shape}, computed is one of shape {now.shape}")
        share = self._shares(before, now)
        at = np.unravel_index(np.argmax(share), share.shape)
        where = ", ".join(map(_label, recorded.dims, at, [recorded] * len(at)))
        ends = float(share[at]), where, float(before[at]), float(now[at])
        return Deviation(self.variable, *ends, self._in_words(), self.why)

    def _shares(self, before: np.ndarray, now: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # NaN and infinity are judged below
            if self.logarithm:
                before, now = np.log(before), np.log(now)
            allowed = self.absolute * self._unit(before) + self.relative * np.abs(before)
            if self.count:
                allowed = np.where(before < 0, 0.0, allowed)
            share = np.abs(now - before) / allowed
        same = (now == before) | (np.isnan(now) & np.isnan(before))
        return np.where(same, 0.0, np.nan_to_num(share, nan=np.inf, posinf=np.inf))

    def _unit(self, before: np.ndarray) -> float:
        finite = np.abs(before[np.isfinite(before)])
        if self.unit == "1" or finite.size == 0:
            return 1.0
        return float({"median": np.median, "largest": np.max}[self.unit](finite))

    def _in_words(self) -> str:
        of = "" if self.unit == "1" else f" of the {self.unit}"
        parts = [f"{self.relative:g} of it"] if self.relative else []
        parts += [f"{self.absolute:g}{of}"] if self.absolute else []
        kind = " in the logarithm" if self.logarithm else ""
        return " and ".join(parts) + kind if parts else "nothing"


@dataclass(frozen=True)
class Close(Comparison):
    """A variable of the recording and of what is computed.

    Parameters
    ----------
    computed : str, optional
        Its name in what is computed, if another; dimensions are then matched in order.
    at : mapping, optional
        From a dimension to the labels that are compared, or positions where it has none.
    """

    computed: str = ""
    at: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Agrees(Comparison):
    """What a recording alone must agree with: its own other variables, or what is known without the run.

    Parameters
    ----------
    values : callable
        From recording and parameters of the run to the recorded values, and those they must be.
    """

    values: Callable[[xr.Dataset, Parameters], tuple[ArrayLike, ArrayLike]] | None = None


@dataclass(frozen=True)
class Slice:
    """A part of a recorded run that is quick to compute again.

    Parameters
    ----------
    what : str
        The part, in words.
    compared : tuple of Comparison
    changes : mapping, or a function from the run's parameters to one; optional
        What is changed in the parameters, so that little is computed. None: the run is not called at all, and
        `compared` are things that the recording alone must agree with.
    shared : tuple of str
        Dimensions of which recording and slice have some labels in common, and those are compared. Of all
        others, every computed label must be in the recording.
    first : tuple of str
        Dimensions without labels of which the slice computes the first; all others must be equally long.
    every_variable : bool
        Whether all variables of the recording must be among what is computed, over the same dimensions.
    function : callable, optional
        What is called in place of the run's function, where that would do too much.
    """

    what: str
    compared: tuple[Comparison, ...]
    _: KW_ONLY
    changes: Parameters | Callable[[Parameters], Parameters] | None = None
    shared: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    every_variable: bool = False
    function: Callable[..., xr.Dataset] | None = None

    def deviations(
        self, function: Callable, parameters: Parameters, recording: xr.Dataset
    ) -> list[Deviation]:
        """Compute the slice of a run, on the CPU, and compare: one deviation a comparison.

        Raises
        ------
        Mismatch
            If values cannot be laid side by side. Besides, whatever the run's function raises.
        """
        computed = None if self.changes is None else self._compute(self.function or function, parameters)
        if self.every_variable:
            _check_variables(recording, computed)
        found = []
        for one in self.compared:
            if isinstance(one, Agrees):
                pair = one.values(recording, parameters)
            else:
                pair = self._pair(one, recording, computed)
            found.append(one.deviation(*pair))
        return found

    def _compute(self, function: Callable, parameters: Parameters) -> xr.Dataset:
        changes = self.changes(parameters) if callable(self.changes) else self.changes
        return function(**run_arguments(function, {**parameters, **changes, **HERE})[0])

    def _pair(self, one: Close, recording: xr.Dataset, computed: xr.Dataset) -> tuple:
        before, now = _variable(recording, one.variable), _variable(computed, one.computed or one.variable)
        if one.computed and now.ndim == before.ndim:
            now = now.rename(dict(zip(now.dims, before.dims, strict=True)))
        if now.dims != before.dims:
            raise Mismatch(f"{one.variable} is over {before.dims}, computed is one over {now.dims}")
        before, now = before.sel(one.at), now.sel(one.at)
        for dimension in before.dims:
            there, here = self._positions(dimension, before, now)
            before, now = before.isel({dimension: there}), now.isel({dimension: here})
        return before, now

    def _positions(self, dimension: str, before: xr.DataArray, now: xr.DataArray) -> tuple:
        """Where along a dimension lie the values that are to be compared: in the recording, in the slice."""
        size, every = before.sizes[dimension], np.arange(now.sizes[dimension])
        if dimension not in before.coords or dimension not in now.coords:
            if size < every.size or (size > every.size and dimension not in self.first):
                raise Mismatch(f"{before.name} has {size} values over {dimension}, computed are {every.size}")
            return every, every
        labels, wanted = before[dimension].values, now[dimension].values
        if labels.dtype.kind == "f" and labels.shape == wanted.shape:  # made anew, they may differ by an ulp
            if not np.allclose(labels, wanted, rtol=1e-9, atol=1e-12):
                raise Mismatch(f"{dimension} of {before.name} has other labels than are computed")
            return every, every
        found = pd.Index(labels).get_indexer(wanted)
        here = np.flatnonzero(found >= 0)
        if dimension not in self.shared and here.size < every.size:
            raise Mismatch(f"{dimension} {wanted[found < 0][0]} is not in the recording")
        if dimension in self.shared and here.size < LEAST_IN_COMMON:
            raise Mismatch(f"recording and slice have {here.size} labels of {dimension} in common")
        return found[here], here


def _variable(dataset: xr.Dataset, name: str) -> xr.DataArray:
    if name not in dataset:
        raise Mismatch(f"there is no variable {name}, only {', '.join(map(str, dataset.data_vars))}")
    return dataset[name]


def _check_variables(recording: xr.Dataset, computed: xr.Dataset) -> None:
    for name, variable in recording.data_vars.items():
        now = _variable(computed, name)
        if now.dims != variable.dims:
            raise Mismatch(f"{name} is over {variable.dims}, computed is one over {now.dims}")


def _label(dimension: str, position: int, values: xr.DataArray) -> str:
    if dimension in values.coords:
        return f"{dimension} {values[dimension].values[position]}"
    return f"{dimension} {position}"
