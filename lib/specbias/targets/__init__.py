"""The functions that are fitted, each with its domain and the points it is sampled at.

Every constructor returns a :class:`Target` in float64. Regular samples are one of two kinds, and which one
matters:

- **periodic grid**: ``low + j (high - low) / n`` for ``j = 0 ... n - 1``, the end excluded, for functions on
  a circle;
- **midpoints**: ``low + (j + 1/2) (high - low) / n``, the points of the midpoint rule, for functions on an
  interval.

On both, ``specbias.spectra`` finds a component that is periodic over the domain exactly.
"""

from specbias.targets.curves import lecture_curve, wang_lai_curve, waves_curve
from specbias.targets.surrogates import boundary_amplitude, phase_surrogates, shifted
from specbias.targets.target import Target
from specbias.targets.waves import ENVELOPES as ENVELOPES
from specbias.targets.waves import checkerboard, circle_waves, rahaman_waves, sequential_sine, thread_sine

__all__ = [
    "Target",
    "boundary_amplitude",
    "checkerboard",
    "circle_waves",
    "lecture_curve",
    "phase_surrogates",
    "rahaman_waves",
    "sequential_sine",
    "shifted",
    "thread_sine",
    "wang_lai_curve",
    "waves_curve",
]
