"""Names of the recorded runs, and the one call that chapters make to get them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import xarray as xr

from specbias.experiments import energy_landscape, multistage, sequential_fitting, si_msnn, spectral_bias
from specbias.recorded import recorded


@dataclass(frozen=True)
class Experiment:
    """A function and the parameters of its recorded run: the source's own wherever it gives them."""

    function: Callable[..., xr.Dataset]
    parameters: Mapping


REGISTRY: dict[str, Experiment] = {
    f"{chapter}/{name}": Experiment(function, parameters)
    for chapter, runs in {
        "spectral-bias": spectral_bias.RUNS,
        "sequential-fitting": sequential_fitting.RUNS,
        "energy-landscape": energy_landscape.RUNS,
        "multistage": multistage.RUNS,
        "si-msnn": si_msnn.RUNS,
    }.items()
    for name, (function, parameters) in runs.items()
}


def run(name: str, **changes) -> xr.Dataset:
    """The run ``name`` with some parameters changed: recorded if there is such a recording, else made now.

    Raises
    ------
    ValueError
        For an unknown name.

    Examples
    --------
    >>> run("spectral-bias/thread-rely")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: name must be one of ... did you mean spectral-bias/thread-relu?
    """
    if name not in REGISTRY:
        near = difflib.get_close_matches(name, REGISTRY, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"name must be one of {', '.join(sorted(REGISTRY))}, got {name!r}{hint}")
    experiment = REGISTRY[name]
    return recorded(name, experiment.function, **{**experiment.parameters, **changes})
