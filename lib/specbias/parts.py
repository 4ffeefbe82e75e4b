"""Finished parts of a run that is being recorded: a kill loses at most the part that was being computed."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import xarray as xr

import specbias
from specbias._netcdf import engine, write_recording
from specbias.recorded import canonical_json, checkpoint_folder

__all__ = ["library_digest", "part"]


def part(name: str, compute: Callable[[], xr.Dataset], /, **parameters) -> xr.Dataset:
    """``compute()``, or what it returned before the run was killed.

    Parts are kept only while a run is recorded, in ``results/.chunks``. A part's file is named after its
    name, its parameters and the library's source, so it is never mistaken for another's.

    Parameters
    ----------
    name
        What the part is.
    compute
        Makes it, of nothing but the parameters.
    parameters
        All that the part depends on, as JSON can hold it.

    Examples
    --------
    >>> part("an example", lambda: xr.Dataset({"square": 4.0}), root=2).square.item()
    4.0
    """
    folder = checkpoint_folder()
    if folder is None:
        return compute()
    text = "\n".join([name, canonical_json(parameters), library_digest()])
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.nc"
    if path.exists():
        try:
            return xr.load_dataset(path, engine=engine())
        except Exception as error:  # the readers raise errors of many kinds
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"specbias: {path} cannot be read ({reason}); computed anew", file=sys.stderr, flush=True)
    result = compute()
    folder.mkdir(parents=True, exist_ok=True)
    write_recording(result, path)
    return result


@cache
def library_digest() -> str:
    """Changes whenever the library's source does.

    Examples
    --------
    >>> len(library_digest())
    64
    """
    sources = sorted(Path(specbias.__file__).parent.rglob("*.py"))
    return hashlib.sha256(
        b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sources)
    ).hexdigest()
