"""Recorded runs as netCDF files: what they can hold, reading them, and writing all of one or nothing."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import warnings
from pathlib import Path

import xarray as xr

from specbias._files import whole_file

__all__ = ["check_variables", "engine", "load_recording", "readable", "write_recording"]


def check_variables(name: str, dataset: xr.Dataset) -> None:
    """TypeError for what netCDF cannot hold, by its name."""
    for label, variable in dataset.variables.items():
        if variable.dtype.kind == "c":
            raise TypeError(
                f"function: {name}: {label!r} is complex; netCDF wants real and imaginary part apart"
            )
        if variable.dtype.kind not in "fiubUST" and not _all_strings(variable):
            raise TypeError(
                f"function: {name}: {label!r} has dtype {variable.dtype}; allowed: numbers, bool, str"
            )


def _all_strings(variable: xr.Variable) -> bool:
    return all(isinstance(value, str) for value in variable.values.ravel())


def readable(path: Path) -> bool:
    """Whether there is a file that what is installed can read: on a bare server, SciPy and only netCDF-3."""
    if not path.exists():
        return False
    if engine() == "scipy" and path.read_bytes()[:4] == b"\x89HDF":
        print(f"specbias: {path} cannot be read without netCDF4 or h5netcdf", file=sys.stderr)
        return False
    return True


def load_recording(path: Path) -> xr.Dataset:
    """The recorded run in a file.

    Raises
    ------
    RuntimeError
        If it cannot be read, or is no recorded run; the message names the file.
    """
    try:
        dataset = xr.load_dataset(path)
        json.loads(dataset.attrs["parameters"])
    except Exception as error:  # the readers raise OSError, ValueError, RuntimeError, KeyError, their own ...
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        advice = "restore it, delete it, or set SPECBIAS_RECORDED=no to compute instead"
        raise RuntimeError(f"the recorded run {path} cannot be read ({reason}); {advice}") from error
    return dataset


def write_recording(dataset: xr.Dataset, path: Path) -> None:
    """Write all of it or nothing."""
    chosen = engine()
    encoding = {}
    if chosen == "scipy":
        warnings.warn(
            f"{path.name}: netCDF4 is not installed; written uncompressed as netCDF-3", stacklevel=3
        )
    else:
        packed = {"zlib": True, "complevel": 5, "shuffle": True}
        encoding = {
            key: packed
            for key, array in dataset.variables.items()
            if array.ndim and array.dtype.kind in "fiub"
        }
    free = shutil.disk_usage(path.parent).free
    try:
        with whole_file(path) as temporary:
            dataset.drop_encoding().to_netcdf(temporary, engine=chosen, encoding=encoding)
    except (OSError, RuntimeError) as error:  # of a full disk netCDF says "HDF error"
        sizes = f"{free / 1e6:.1f} MB were free there, up to {dataset.nbytes / 1e6:.1f} MB are needed"
        raise RuntimeError(f"the recorded run {path} cannot be written ({error}): {sizes}") from error


def engine() -> str:
    """The best installed package that writes netCDF, as xarray calls it; SciPy's is netCDF-3 only."""
    for name, module in {"netcdf4": "netCDF4", "h5netcdf": "h5netcdf", "scipy": "scipy"}.items():
        if importlib.util.find_spec(module):
            return name
    raise RuntimeError("recorded runs need one of the packages netCDF4, h5netcdf, scipy")
