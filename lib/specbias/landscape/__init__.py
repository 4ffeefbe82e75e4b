"""The loss of small ReLU networks as a landscape: a hand-built minimum, symmetry, paths, curvature."""

from specbias.landscape.canonical import canonical, imbalance, random_symmetry
from specbias.landscape.elastic_band import Band, elastic_band, relax
from specbias.landscape.hand_built import HandBuilt, hand_built_network
from specbias.landscape.hessian import ZeroModes, hessian, hessian_spectrum, symmetry_directions, zero_modes

__all__ = [
    "Band",
    "HandBuilt",
    "ZeroModes",
    "canonical",
    "elastic_band",
    "hand_built_network",
    "hessian",
    "hessian_spectrum",
    "imbalance",
    "random_symmetry",
    "relax",
    "symmetry_directions",
    "zero_modes",
]
