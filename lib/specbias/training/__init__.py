"""Full-batch training of one network, or of many at once, with snapshots of what it has learned."""

from specbias.training.fitting import LOSSES, OPTIMIZERS, Fit, TrainingDiverged, fit

__all__ = ["LOSSES", "OPTIMIZERS", "Fit", "TrainingDiverged", "fit"]
