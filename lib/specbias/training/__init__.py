"""Full-batch training of one network, or of many at once, with snapshots of what it has learned."""

from specbias.training.fitting import fit
from specbias.training.options import LOSSES, OPTIMIZERS
from specbias.training.recorder import Fit, TrainingDiverged

__all__ = ["LOSSES", "OPTIMIZERS", "Fit", "TrainingDiverged", "fit"]
