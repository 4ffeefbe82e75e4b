"""The chapters' long runs by name: each a function from plain parameters to an ``xarray.Dataset``.

They stand here rather than in the chapters so that a machine without Jupyter can record them
(``python -m specbias record NAME``), and so that tests can recompute a slice of each.
"""

from specbias.experiments.registry import REGISTRY, Experiment, run

__all__ = ["REGISTRY", "Experiment", "run"]
