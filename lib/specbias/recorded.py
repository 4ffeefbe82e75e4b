"""Recorded runs: load a long computation from ``results/``, or make it and say where it came from.

A run is a function of JSON-like parameters that returns an :class:`xarray.Dataset`. Its recording is the
netCDF file ``results/<name>.nc`` with everything needed to judge and repeat it among its attributes. Two
environment variables decide what happens, so that no chapter has to:

``SPECBIAS_RECORDED`` (``yes`` unless set)
    ``no``: never load, compute everything anew.
``SPECBIAS_RECORD`` (``no`` unless set)
    ``yes``: write what had to be computed.

``SPECBIAS_RESULTS`` names another folder in place of ``results/``. ``SPECBIAS_LIVE`` names one in which runs
that had to be computed leave their numbers for readers of the site; they are never loaded from there.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr

from specbias._files import CannotWrite, check_folder
from specbias._netcdf import check_variables, engine, load_recording, readable, write_recording
from specbias.provenance import (
    book_root,
    chosen_device,
    commit,
    duration,
    provenance,
    run_attributes,
    switch,
)

__all__ = [
    "canonical_json",
    "checkpoint_folder",
    "keep_live",
    "load_recording",
    "provenance",
    "recorded",
    "recorded_runs",
    "results_folder",
    "run_arguments",
]

EXECUTION = ("device", "progress")  # say how a run is executed, not what it computes: never compared


def recorded(name: str, function: Callable[..., xr.Dataset], /, **parameters) -> xr.Dataset:
    """Load the recorded run ``name`` if its parameters equal these, else compute it.

    Parameters
    ----------
    name
        Path below ``results/`` without ``.nc``, such as ``"spectral-bias/learning-times"``.
    function
        Called as ``function(**parameters)``; returns a Dataset of real numbers, booleans or strings.
    **parameters
        What the run depends on: numbers, strings, booleans, None, and lists, mappings and arrays of them.
        Arguments left to ``function``'s defaults count too, so a changed default is noticed. ``2`` and
        ``2.0`` are equal. ``seed`` and ``seeds`` (a list, or how many from ``seed`` on) are named in the
        provenance. ``device`` and ``progress`` are passed on if ``function`` takes them, and are
        never compared.

    Returns
    -------
    xarray.Dataset
        Loaded or live, with the same attributes: ``origin`` ("recorded" or "live"), ``parameters`` and
        ``seeds`` (JSON), ``dtype``, ``device`` (the one the function reports in its own attribute ``device``,
        else the one asked for), ``wall_time`` (seconds), ``started`` (UTC), ``commit`` (ending in ``-dirty``
        when the library had uncommitted changes), ``command``, and the versions of specbias, Python, NumPy,
        xarray and torch. If the numbers are in a file, ``file`` is its path below ``results/`` or
        ``SPECBIAS_LIVE``.

    Raises
    ------
    ValueError
        For a name that is no plain path, or a parameter that is NaN or infinite.
    TypeError
        For a parameter that is not JSON-like, arguments that ``function`` does not take, or a result that a
        netCDF file cannot hold.
    RuntimeError
        If the recorded file cannot be read, or a new one cannot be written; the message names it.

    Examples
    --------
    >>> import xarray
    >>> def powers(exponent, count):
    ...     return xarray.Dataset({"power": ("n", [float(n) ** exponent for n in range(count)])})
    >>> squares = recorded("doctest/powers", powers, exponent=2, count=4)
    >>> squares.power.values
    array([0., 1., 4., 9.])
    >>> squares.origin, squares.parameters
    ('live', '{"count":4,"exponent":2}')
    """
    arguments, compared = run_arguments(function, parameters)
    wanted = canonical_json(compared)
    path = _path(name)
    found = None
    if path is not None and switch("SPECBIAS_RECORDED", default=True) and readable(path):
        found = load_recording(path)
        if canonical_json(json.loads(found.attrs["parameters"])) == wanted:
            return found.assign_attrs(origin="recorded", file=f"{name}.nc")
    write = switch("SPECBIAS_RECORD", default=False)
    if write:
        path = _writable(name)
    device = arguments.get("device", _default_device(function))
    told = f"computing {name}{_where(device)}{_why(found, compared)}"
    print(f"specbias: {told}", file=sys.stderr, flush=True)
    dataset = _compute(name, function, arguments, wanted, device)
    if write:
        write_recording(dataset.assign_attrs(origin="recorded"), path)
        print(f"specbias: recorded {path} ({path.stat().st_size / 1e3:.0f} kB)", file=sys.stderr, flush=True)
        return dataset.assign_attrs(file=f"{name}.nc")
    return keep_live(name, dataset, wanted)


def recorded_runs() -> dict[str, dict]:
    """Name and attributes of the recorded runs, sorted by name; a file that cannot be read is only named.

    Without netCDF4 those are left out that SciPy cannot read.
    """
    folder = results_folder()
    if folder is None:
        return {}
    runs = {}
    for path in filter(readable, sorted(folder.rglob("*.nc"))):
        try:
            runs[path.relative_to(folder).with_suffix("").as_posix()] = load_recording(path).attrs
        except RuntimeError as error:
            print(f"specbias: {error}", file=sys.stderr)
    return runs


def results_folder() -> Path | None:
    """``SPECBIAS_RESULTS`` if set, else ``results/`` of the book; None where there is no book."""
    override = os.environ.get("SPECBIAS_RESULTS")
    if override:
        return Path(override)
    root = book_root()
    return None if root is None else root / "results"


def checkpoint_folder() -> Path | None:
    """Where a run that is being recorded keeps its finished parts (``results/.chunks``); else None.

    Examples
    --------
    >>> checkpoint_folder() is None  # unless SPECBIAS_RECORD=yes
    True
    """
    folder = results_folder()
    return folder / ".chunks" if folder is not None and switch("SPECBIAS_RECORD", default=False) else None


def canonical_json(parameters: Mapping) -> str:
    """JSON that is the same text for equal parameters: sorted keys, no spaces, ``2.0`` as ``2``.

    Examples
    --------
    >>> canonical_json({"rate": 1e-2, "depths": (1, 2.0), "bias": True})
    '{"bias":true,"depths":[1,2],"rate":0.01}'
    """
    plain = {str(key): _plain(value, str(key)) for key, value in parameters.items()}
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def _plain(value, argument: str):
    """Arrays, ranges, tuples and NumPy scalars as the lists and numbers that JSON knows."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple, range)):
        return [_plain(item, argument) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item, argument) for key, item in value.items()}
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{argument}={value!r}: a run's parameters must be finite")
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, (bool, int, str)):
        return value
    allowed = "numbers, strings, booleans, None, and lists, mappings or arrays of them"
    raise TypeError(
        f"{argument}: a {type(value).__name__} cannot be recorded as a parameter; allowed: {allowed}"
    )


def run_arguments(function: Callable, parameters: Mapping) -> tuple[dict, dict]:
    """What to call ``function`` with, and what of it (defaults included) makes two runs the same.

    Raises
    ------
    TypeError
        For arguments that ``function`` does not take, other than ``device`` and ``progress``.

    Examples
    --------
    >>> def line(length, slope=1.0, progress=True): ...
    >>> run_arguments(line, {"length": 3, "device": "cpu", "progress": False})
    ({'length': 3, 'progress': False}, {'length': 3, 'slope': 1.0})
    """
    signature = inspect.signature(function)
    kinds = {name: parameter.kind for name, parameter in signature.parameters.items()}
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds.values()
    arguments = {
        key: value for key, value in parameters.items() if key not in EXECUTION or takes_any or key in kinds
    }
    bound = signature.bind(**arguments)  # TypeError here, before anything is computed
    bound.apply_defaults()
    compared = {}
    for key, value in bound.arguments.items():
        compared.update(value if kinds[key] is inspect.Parameter.VAR_KEYWORD else {key: value})
    return arguments, {key: value for key, value in compared.items() if key not in EXECUTION}


def _default_device(function: Callable) -> str:
    """Where a function trains that is not told where."""
    parameter = inspect.signature(function).parameters.get("device")
    return "cpu" if parameter is None or parameter.default is parameter.empty else parameter.default


def _where(device: str) -> str:
    """What "auto" has chosen and why, in words."""
    chosen, reason = chosen_device(device)
    return f" on {chosen} (device=auto: {reason})" if reason else ""


def _compute(name: str, function: Callable, arguments: dict, parameters: str, device: str) -> xr.Dataset:
    started, at_commit = (
        datetime.now(UTC),
        commit(),
    )  # the code that starts now, whatever is committed meanwhile
    clock = time.perf_counter()
    dataset = function(**arguments)
    wall_time = time.perf_counter() - clock
    if not isinstance(dataset, xr.Dataset):
        raise TypeError(f"function: {name} must return an xarray.Dataset, got {type(dataset).__name__}")
    check_variables(name, dataset)
    origin = {"device": device, "commit": at_commit, "started": started, "wall_time": wall_time}
    return dataset.assign_attrs(run_attributes(name, dataset, parameters, **origin))


def keep_live(name: str, dataset: xr.Dataset, parameters: str) -> xr.Dataset:
    """The live run, its numbers also in a file where ``SPECBIAS_LIVE`` asks for that."""
    folder = os.environ.get("SPECBIAS_LIVE")
    if not folder:
        return dataset
    mark = hashlib.sha256(parameters.encode()).hexdigest()[:8]  # a chapter may make a run in several ways
    file = f"live/{name}-{mark}.nc"
    path = Path(folder) / file
    path.parent.mkdir(parents=True, exist_ok=True)
    write_recording(dataset, path)
    return dataset.assign_attrs(file=file)


def _path(name: str) -> Path | None:
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", name):
        raise ValueError(
            f"name={name!r}: allowed are letters, digits, '-', '_' and '.', with '/' between folders"
        )
    folder = results_folder()
    return None if folder is None else folder / f"{name}.nc"


def _writable(name: str) -> Path:
    """Where the run will be written; what is wrong with that is said before the run and not after it."""
    engine()
    path = _path(name)
    if path is None:
        raise RuntimeError(
            f"{name} cannot be recorded: no book here; set SPECBIAS_RESULTS to a folder for the file"
        )
    try:
        check_folder(path.parent)
    except CannotWrite as error:
        raise RuntimeError(f"{name} cannot be recorded: {error}") from None
    return path


def _why(found: xr.Dataset | None, compared: dict) -> str:
    """What keeps the recorded run from being used, in words."""
    if found is None:
        return ""
    there = json.loads(found.attrs["parameters"])
    here = json.loads(canonical_json(compared))
    changed = [key for key in sorted(there | here) if there.get(key, "—") != here.get(key, "—")]
    words = ", ".join(
        f"{key}={_short(here.get(key, '—'))} (recorded: {_short(there.get(key, '—'))})" for key in changed
    )
    return f" with {words}; the recorded run took {duration(found.attrs['wall_time'])}"


def _short(value) -> str:
    text = json.dumps(value, ensure_ascii=False).strip('"')
    return text if len(text) <= 40 else text[:37] + "..."
