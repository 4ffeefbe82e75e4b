"""What the checks of an assignment are written with: comparisons whose messages help the student.

Only NumPy is needed. A check compares numbers, never texts that were printed, and draws its inputs from
:func:`generator`, so that another seed tests the same thing with other numbers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import numpy as np

__all__ = ["check", "close", "generator"]

SEED = "SPECBIAS_CHECK_SEED"
ARRAYS = (np.ndarray, np.matrix, np.ma.MaskedArray)
SCALARS = {bool, int, float, complex, *np.sctypeDict.values()} - {np.object_}
TEXTS = {str, bytes, dict, set, frozenset, type(None)}


def generator() -> np.random.Generator:
    """The random numbers of one check: those of the environment's ``SPECBIAS_CHECK_SEED``, or of seed 0.

    Examples
    --------
    >>> bool(generator().integers(100) == generator().integers(100))
    True
    """
    return np.random.default_rng(int(os.environ.get(SEED, "0")))


def check(condition, message: str) -> None:
    """AssertionError with ``message`` unless ``condition`` is true; arrays must be true everywhere.

    Examples
    --------
    >>> check(1 + 1 == 2, "addition is broken")
    """
    if not (bool(condition) if type(condition) in TEXTS else np.all(_plain(condition))):
        raise AssertionError(message)


def close(
    value, expected, *, name: str, rtol: float = 1e-6, atol: float = 0.0, mistakes: Mapping = {}
) -> None:
    """AssertionError unless ``value`` has the shape of ``expected`` and is equal to it but for tolerances.

    Parameters
    ----------
    value, expected : array_like
        What the student's code returned, and what is right.
    name : str
        What ``value`` is called in the message.
    rtol, atol : float
        Equal means ``|value - expected| <= atol + rtol |expected|``.
    mistakes : mapping of str to array_like
        What comes out when a typical mistake is made, keyed by the sentence that names the mistake. That
        sentence is the message when ``value`` is equal to its number and not to ``expected``.

    Examples
    --------
    >>> close([1.0, 2.0], [1.0, 2.0], name="rates")
    >>> close(4.0, 2.0, name="the mean", mistakes={"This is the sum: divide by the number of points.": 4.0})
    Traceback (most recent call last):
    ...
    AssertionError: the mean: This is the sum: divide by the number of points.
    >>> close([1.0, 2.5], [1.0, 2.0], name="rates")
    Traceback (most recent call last):
    ...
    AssertionError: rates: 1 of 2 numbers are not right; the first at index 1, off by 25%
    """
    expected = np.asarray(expected)
    found = _numbers(value, expected, name)
    right = _equal(found, expected, rtol, atol)
    if right.all():
        return
    for sentence, wrong in mistakes.items():
        wrong = np.asarray(wrong)
        if wrong.shape == found.shape and _equal(found, wrong, rtol, atol).all():
            raise AssertionError(f"{name}: {sentence}")
    raise AssertionError(f"{name}: {_difference(found, expected, right)}")


def _numbers(value, expected: np.ndarray, name: str) -> np.ndarray:
    """``value`` as an array like ``expected``; AssertionError that says what came instead."""
    if value is None:
        raise AssertionError(f"{name}: None came back; is a `return` missing?")
    try:
        found = _plain(value).astype(np.result_type(expected.dtype, np.float64))
    except (TypeError, ValueError):  # also of lists whose parts have different lengths
        raise AssertionError(f"{name}: numbers are expected, a {type(value).__name__} came") from None
    if found.shape != expected.shape:
        raise AssertionError(f"{name}: its shape is {found.shape}, expected is {expected.shape}")
    if not np.isfinite(found).all():
        raise AssertionError(f"{name}: not a number, or infinite, at {np.sum(~np.isfinite(found))} places")
    return found


def _plain(value) -> np.ndarray:
    """A copy as a plain array, of a tensor that is being differentiated too.

    TypeError for other types: an object of the student's own could look for the right answer, or give itself
    out for it, while it is converted.
    """
    for module, kind in (("torch", "Tensor"), ("torch.nn", "Parameter")):
        if module in sys.modules and type(value) is getattr(sys.modules[module], kind):
            value = value.detach().cpu().numpy()
    for module, kind in (("xarray", "DataArray"), ("pandas", "Series"), ("pandas", "DataFrame")):
        if module in sys.modules and type(value) is getattr(sys.modules[module], kind):
            value = value.values
    if not _known(value):
        raise TypeError(f"numbers are expected, a {type(value).__name__} came")
    return np.array(value, subok=False)


def _known(value) -> bool:
    """Whether converting ``value`` executes no code but Python's and NumPy's."""
    if type(value) in (list, tuple, range):
        return all(_known(part) for part in value)
    if type(value) in ARRAYS:
        return value.dtype != object
    return type(value) in SCALARS


def _equal(found: np.ndarray, expected: np.ndarray, rtol: float, atol: float) -> np.ndarray:
    return np.abs(found - expected) <= atol + rtol * np.abs(expected)


def _difference(found: np.ndarray, expected: np.ndarray, right: np.ndarray) -> str:
    """Where and by how much, without telling the right numbers."""
    place = tuple(int(i) for i in np.argwhere(~right)[0])
    size = abs(expected[place])
    error = abs(found[place] - expected[place])
    off = (
        ", where 0 is expected" if not size else f", off by {error / size:.0%}" if error < 100 * size else ""
    )
    if not found.shape:
        return f"not right{off}"
    index = place[0] if len(place) == 1 else place
    return f"{np.sum(~right)} of {right.size} numbers are not right; the first at index {index}{off}"
