"""Multistage networks: small networks that fit, one after the other, what those before them have left.

>>> from specbias.multistage import MultistageRegressor
>>> MultistageRegressor(stages=2).stages
2
"""

from specbias.multistage.minimizers import minimize
from specbias.multistage.networks import StageNetwork
from specbias.multistage.quasi_newton import Minimum, self_scaled_bfgs
from specbias.multistage.regressor import MultistageRegressor
from specbias.multistage.stages import Stage, scale_factor
from specbias.multistage.waves import WaveNetwork

__all__ = [
    "Minimum",
    "MultistageRegressor",
    "Stage",
    "StageNetwork",
    "WaveNetwork",
    "minimize",
    "scale_factor",
    "self_scaled_bfgs",
]
