"""Train very many tiny ReLU networks at once: 320,000 of them in a night on two cores.

A ``K x N`` network has one input, ``K`` hidden layers of ``N`` ReLU units and one linear output. Its
parameters are one row, in PyTorch's order: weights (a row per unit) and biases of each layer, first to last.

>>> from specbias.ensembles import initial_parameters, train
>>> x = [k / 20 for k in range(21)]
>>> trained = train(initial_parameters(3, seed=0), x, [abs(v - 0.5) for v in x], steps=200, progress=False)
>>> trained.parameters.shape, trained.loss.shape
((3, 136), (3,))
"""

from specbias.ensembles.chunks import estimate
from specbias.ensembles.networks import count_parameters, initial_parameters, loss_and_gradient, predict
from specbias.ensembles.training import OPTIMIZERS, Trained, train

__all__ = [
    "OPTIMIZERS",
    "Trained",
    "count_parameters",
    "estimate",
    "initial_parameters",
    "loss_and_gradient",
    "predict",
    "train",
]
