"""Discrete Fourier transforms, with their conventions in one place.

For ``n`` samples ``x_j`` of a real signal the coefficients are ``X_m = sum_j x_j exp(-2 pi i j m / n)``. What
this module returns is scaled so that it can be read without knowing ``n``: a component ``a cos(m theta +
phi)`` has amplitude ``a`` and phase ``phi``. A component and its complex conjugate are one real mode; the
constant and, on an even number of samples, the alternating component (Nyquist) are their own conjugates, so
they are never doubled.
"""

from specbias.spectra.fields import Modes, largest_modes, power_spectrum_radial
from specbias.spectra.scattered import dominant_wavenumber, scattered_spectrum, sign_changes
from specbias.spectra.signals import amplitude_ratio, amplitudes, dominant_frequency, project, zero_crossings

__all__ = [
    "Modes",
    "amplitude_ratio",
    "amplitudes",
    "dominant_frequency",
    "dominant_wavenumber",
    "largest_modes",
    "power_spectrum_radial",
    "project",
    "scattered_spectrum",
    "sign_changes",
    "zero_crossings",
]
