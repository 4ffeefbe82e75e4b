"""``tanh`` on the CPU, several times faster than PyTorch's and accurate to three units in the last place.

``tanh |x| = e / (e + 2)`` with ``e = exp(2|x|) - 1``, which loses no digits for small ``x``. Writing
``2|x| = k log 2 + r`` with a whole ``k`` leaves ``exp(r) - 1`` on ``|r| <= log(2) / 2`` for a Taylor
polynomial, and ``2^k`` is made by putting ``k`` into the exponent of a floating-point number. Without a
branch or a call, the compiler makes SIMD code of it.
"""

from __future__ import annotations

from decimal import Decimal
from math import factorial

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from specbias.training.threads import share


def tanh_(z: torch.Tensor) -> torch.Tensor:
    """Replace a contiguous float32 or float64 tensor by its hyperbolic tangent, and return it.

    Examples
    --------
    >>> tanh_(torch.tensor([0.0, -1e-30, 1.0, torch.inf, torch.nan])).tolist()
    [0.0, -1.0000000031710769e-30, 0.7615941762924194, 1.0, nan]
    """
    if z.device.type != "cpu":
        return z.tanh_()
    kernel, values = (tanh32 if z.dtype == torch.float32 else tanh64), z.view(-1).numpy()
    # four of these take as long as one of the sweep's operations, by which what is worth sharing is known
    share(lambda begin, end: kernel(values, begin, end), values.size, values.size // 4)
    return z


@intrinsic
def _as_float(typing_context, bits):
    """The floating-point number with these bits."""
    result = {types.int32: types.float32, types.int64: types.float64}[bits]

    def generate(context, builder, signature, arguments):
        to = ir.FloatType() if bits is types.int32 else ir.DoubleType()
        return builder.bitcast(arguments[0], to)

    return result(bits), generate


def _log2_in_two(real: type, digits: int):
    """``log 2`` as a number of so few binary digits that small multiples of it are exact, and the rest."""
    high = round(np.log(2.0) * 2**digits) / 2**digits
    return real(high), real(float(Decimal(2).ln() - Decimal(high)))


def _compile(real: type, integer: type, *, fraction_bits: int, terms: int, largest: float, digits: int):
    """The kernel for one dtype. Beyond ``largest`` the result is 1 to the last digit."""
    high, low = _log2_in_two(real, digits)
    taylor = tuple(real(1 / factorial(power)) for power in range(terms + 1, 1, -1))
    per_log2, half, one, two, cap = real(1 / np.log(2.0)), real(0.5), real(1.0), real(2.0), real(2 * largest)
    bits, exponent_of_one = integer(fraction_bits), integer(np.finfo(real).maxexp - 1)

    @njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
    def kernel(z, begin, end):
        part = z[begin:end]  # a loop from 0: indices that might be negative would rule out SIMD
        for i in range(part.size):
            x = part[i]
            y = two * abs(x)
            y = cap if y > cap else y  # nan stays nan
            k = np.floor(y * per_log2 + half)
            r = (y - k * high) - k * low
            tail = real(0.0)
            for coefficient in taylor:
                tail = tail * r + coefficient
            power = _as_float(integer((integer(k) + exponent_of_one) << bits))
            e = (power - one) + power * (r + r * r * tail)
            part[i] = np.copysign(e / (e + two), x)

    return kernel


tanh32 = _compile(np.float32, np.int32, fraction_bits=23, terms=7, largest=10.0, digits=16)
tanh64 = _compile(np.float64, np.int64, fraction_bits=52, terms=13, largest=20.0, digits=44)
