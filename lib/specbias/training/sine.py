"""Sine and cosine of a whole array at once, for compiled loops: SIMD code where NumPy's would call ``libm``.

``z = k pi/2 + r`` with a whole ``k`` leaves both on ``|r| <= pi/4`` for Taylor polynomials; the remainder of
``k`` by 4 then says which of the two is which, and their signs. Accurate to two units of the last place of 1
for ``|z|`` up to about 1000 in float32 and 1e7 in float64; beyond, the reduction loses digits.
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial, floor

import numpy as np
from numba import njit

HALF_PI = Fraction("1.5707963267948966192313216916397514420985846996875529")


def _half_pi_in_three(real: type, digits: int):
    """``pi/2`` as a sum of three numbers, the first two of so few binary digits that multiples are exact."""
    first = Fraction(floor(HALF_PI * 2 ** (digits - 1)), 2 ** (digits - 1))
    second = Fraction(floor((HALF_PI - first) * 2 ** (2 * digits - 1)), 2 ** (2 * digits - 1))
    return real(float(first)), real(float(second)), real(float(HALF_PI - first - second))


def _compile(real: type, *, terms: int, digits: int):
    """The kernel for one dtype: replaces ``z (n,)`` by its sine, and fills ``cosine (n,)``."""
    first, second, third = _half_pi_in_three(real, digits)
    of_sine = tuple(real((-1) ** k / factorial(2 * k + 1)) for k in range(terms, 0, -1))
    of_cosine = tuple(real((-1) ** k / factorial(2 * k)) for k in range(terms + 1, 1, -1))
    per_quarter, half, quarter = real(2 / np.pi), real(0.5), real(0.25)
    one, two, four = real(1.0), real(2.0), real(4.0)

    @njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
    def kernel(z, cosine):
        for i in range(z.size):
            x = z[i]
            k = np.floor(x * per_quarter + half)
            r = ((x - k * first) - k * second) - k * third
            square = r * r
            tail = real(0.0)
            for coefficient in of_sine:
                tail = tail * square + coefficient
            s = r + r * square * tail
            tail = real(0.0)
            for coefficient in of_cosine:
                tail = tail * square + coefficient
            c = one - half * square + square * square * tail
            turn = k - four * np.floor(k * quarter)  # 0, 1, 2 or 3
            odd = turn - two * np.floor(turn * half)
            minus_sine = one - two * np.floor(turn * half)
            minus_cosine = one - two * abs(np.floor(turn * half) - odd)
            z[i] = minus_sine * (s + odd * (c - s))
            cosine[i] = minus_cosine * (c + odd * (s - c))

    return kernel


sine32 = _compile(np.float32, terms=5, digits=12)
sine64 = _compile(np.float64, terms=9, digits=30)
