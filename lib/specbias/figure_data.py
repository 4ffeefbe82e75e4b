"""The numbers of a figure that was drawn from arrays at hand and not from a run."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

from specbias.provenance import Provenance
from specbias.recorded import keep_live

__all__ = ["drawn_from"]


def drawn_from(name: str, line: str, variables: Mapping, coordinates: Mapping | None = None) -> Provenance:
    """The line under a figure, with a file of the numbers that it shows where the site offers it.

    Parameters
    ----------
    name
        Of the file, such as ``"spectral-bias/kinks"``.
    line
        What the line says.
    variables, coordinates
        The numbers, as :class:`xarray.Dataset` takes them.

    Examples
    --------
    >>> drawn_from("an-example/squares", "computed", {"square": ("root", [1, 4])}, {"root": [1, 2]})
    'computed'
    """
    dataset = keep_live(name, xr.Dataset(dict(variables), dict(coordinates or {})), line)
    return Provenance(line, [dataset.attrs["file"]] if "file" in dataset.attrs else [])
