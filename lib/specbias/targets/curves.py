"""Smooth functions that multistage networks are tried on."""

from __future__ import annotations

import numpy as np

from specbias._checks import check_count, check_positive
from specbias.targets.target import Target, curve


def lecture_curve(points: int = 300) -> Target:
    """``sin(2x + 1) + 0.2 exp(1.3 x)``, the multistage lecture's target, on a grid of [-1, 1] with both ends.

    Examples
    --------
    >>> lecture_curve().x[[0, -1], 0].tolist()
    [-1.0, 1.0]
    """
    return curve(
        lambda x: np.sin(2 * x + 1) + 0.2 * np.exp(1.3 * x),
        np.linspace(-1.0, 1.0, check_count("points", points)),
        domain=(-1.0, 1.0),
        period=None,
        formula=r"\sin(2x+1)+0.2e^{1.3x}",
        frequencies=(2.0,),
    )


def wang_lai_curve(points: int = 1501, reach: float = 1.02) -> Target:
    """``log(t + 2) cos(2t + t³)``: the second target of Wang & Lai 2024.

    Parameters
    ----------
    points : int
        Samples from ``-reach`` to ``reach``, both included.
    reach : float
        A little more than 1, so that the ends of the domain [-1, 1] are not the ends of the data; below 2,
        where the logarithm ends.

    Examples
    --------
    >>> target = wang_lai_curve()
    >>> target.x[[0, -1], 0].tolist(), target.domain
    ([-1.02, 1.02], (-1.0, 1.0))
    """
    reach = check_positive("reach", reach)
    if reach >= 2:
        raise ValueError(f"reach must be below 2, where log(t + 2) ends, got {reach}")
    return curve(
        lambda t: np.log(t + 2) * np.cos(2 * t + t**3),
        np.linspace(-reach, reach, check_count("points", points)),
        domain=(-1.0, 1.0),
        period=None,
        formula=r"\log(t+2)\cos(2t+t^3)",
        frequencies=(),
    )


def waves_curve(points: int = 1501, reach: float = 1.02) -> Target:
    """``exp(sin 3x) + 0.1 cos 9x``, of several scales, on a grid of ``[-reach, reach]`` with both ends.

    Examples
    --------
    >>> round(float(waves_curve(3).y[1]), 12)
    1.1
    """
    reach = check_positive("reach", reach)
    return curve(
        lambda x: np.exp(np.sin(3 * x)) + 0.1 * np.cos(9 * x),
        np.linspace(-reach, reach, check_count("points", points)),
        domain=(-1.0, 1.0),
        period=None,
        formula=r"e^{\sin 3x}+0.1\cos 9x",
        frequencies=(),
    )
