"""Slices of the recorded runs: what is computed again of each, and how closely it must be what is recorded.

They are data for :func:`specbias.verify.verify`. Tolerances are what separates processors, and no more.
"""

from __future__ import annotations

from specbias.experiments.registry import REGISTRY
from specbias.experiments.slices import (
    energy_landscape,
    multistage,
    sequential_fitting,
    si_msnn,
    spectral_bias,
)
from specbias.experiments.slices.compare import Agrees, Close, Comparison, Deviation, Mismatch, Slice

__all__ = ["SLICES", "Agrees", "Close", "Comparison", "Deviation", "Mismatch", "Slice", "slice_of"]

SLICES: dict[str, Slice] = {
    **spectral_bias.SLICES,
    **sequential_fitting.SLICES,
    **energy_landscape.SLICES,
    **multistage.SLICES,
    **si_msnn.SLICES,
}
"""From the name of an experiment's function, or of a run that needs one of its own, to the slice."""


def slice_of(name: str) -> Slice | None:
    """The slice of the run ``name``: its own if there is one, else that of its function; None without one.

    Examples
    --------
    >>> slice_of("spectral-bias/thread-relu").what
    'the first network up to epoch 10'
    """
    if name in SLICES:
        return SLICES[name]
    return SLICES.get(REGISTRY[name].function.__name__) if name in REGISTRY else None
