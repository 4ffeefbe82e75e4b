"""A network built by hand that computes a sawtooth on a spline: the minimum that training never finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specbias._checks import check_count
from specbias.ensembles.networks import count_parameters, layers

DEPTH, WIDTH = 5, 5
AMPLITUDE = 1 / 8
START = (1 / 2, 2.0)
KINKS = ((21 / 64, -3.0), (41 / 64, -1.0), (47 / 64, 1.0), (53 / 64, 1.5), (59 / 64, 1.5))
POINTS_BETWEEN = 9
TEETH = 2 ** (DEPTH - 1)


@dataclass(frozen=True)
class HandBuilt:
    """The network and its data.

    Attributes
    ----------
    parameters : numpy.ndarray
        ``(136,)`` float64, a row as :mod:`specbias.ensembles` has it.
    x, y : numpy.ndarray
        ``(n,)``: every knot of the function and nine points between each two, and the values there, computed
        from the formula of the function and not by the network.
    spline, sawtooth : numpy.ndarray
        ``(n,)``: the two parts that ``y`` is the sum of.
    knots : numpy.ndarray
        Where the function bends, with the ends of the interval.
    """

    parameters: np.ndarray
    x: np.ndarray
    y: np.ndarray
    spline: np.ndarray
    sawtooth: np.ndarray
    knots: np.ndarray


def hand_built_network(
    amplitude: float = AMPLITUDE, start: tuple[float, float] = START,
    kinks: tuple[tuple[float, float], ...] = KINKS, points_between: int = POINTS_BETWEEN, teeth: int = TEETH,
) -> HandBuilt:  # fmt: skip
    """The network ``W_f`` of Gamst & Walker, section 2: two columns of units a sawtooth, three a spline.

    The sawtooth is the tent map applied five times, 16 teeth: two units a layer, ``relu(t)`` and
    ``relu(t - 1/2)``, make the tent ``2 relu(t) - 4 relu(t - 1/2)`` of what the layer before made. For fewer
    teeth the first layer takes ``teeth / 16 * x``, or, where fewer tents will do, the last ones pass on what
    they get. The spline
    is a line with five kinks, one a layer: of its three units one carries ``x``, one is the layer's kink
    ``relu(x - k)``, one gathers what the layers before have made, lifted so that it stays positive. Nothing
    connects the two sides but the output, their sum.

    The paper does not give its numbers; these are ours, dyadic, so that no operation rounds at dyadic ``x``.

    Parameters
    ----------
    amplitude
        Height of the teeth.
    start
        Value and slope of the spline at 0.
    kinks
        Five pairs of place, in (0, 1) and increasing, and change of slope there.
    points_between
        Data points between each two knots; the paper has 9.
    teeth
        How many, 1 to 16.

    Raises
    ------
    ValueError
        For other than five increasing places in (0, 1), or more than 16 teeth.

    Examples
    --------
    >>> from specbias.ensembles import predict
    >>> built = hand_built_network()
    >>> built.parameters.shape, built.x.size, built.knots.size
    ((136,), 371, 38)
    >>> float(abs(predict(built.parameters[None], built.x)[0] - built.y).max()) < 1e-15
    True
    """
    places = np.array([place for place, _ in kinks], dtype=float)
    if places.size != DEPTH or not (np.diff(places, prepend=0.0, append=1.0) > 0).all():
        raise ValueError(f"kinks must be {DEPTH} increasing places in (0, 1), got {places.tolist()}")
    if check_count("teeth", teeth) > TEETH:
        raise ValueError(f"teeth must be at most {TEETH}, got {teeth}")
    knots = np.union1d(np.arange(2 * teeth + 1) / (2 * teeth), places)
    pieces = check_count("points_between", points_between) + 1
    x = np.interp(np.arange((knots.size - 1) * pieces + 1) / pieces, range(knots.size), knots)
    spline = start[0] + start[1] * x + sum(change * np.maximum(x - place, 0) for place, change in kinks)
    sawtooth = amplitude * (1 - np.abs(1 - 2 * (x * teeth % 1)))
    return HandBuilt(_weights(amplitude, start, kinks, teeth), x, spline + sawtooth, spline, sawtooth, knots)


def _weights(
    amplitude: float, start: tuple[float, float], kinks: tuple[tuple[float, float], ...], teeth: int
) -> np.ndarray:
    """Units 0 and 1: the tent (0 alone: what the tents made); 2: ``x``; 3: the kink; 4: the rest, lifted."""
    parameters = np.zeros(count_parameters(DEPTH, WIDTH))
    matrices = layers(parameters, DEPTH, WIDTH)
    lift, tents = _lift(start, kinks), int(teeth - 1).bit_length() + 1
    for layer, ((weights, biases), (place, _)) in enumerate(zip(matrices[:-1], kinks, strict=True)):
        biases[1], biases[3] = -0.5 if layer < tents else 0, -place
        if layer == 0:
            weights[:2, 0], weights[2:4, 0] = teeth / 2 ** (tents - 1), 1
            weights[4, 0], biases[4] = start[1], start[0] + lift
            continue
        if layer <= tents:
            weights[: 2 if layer < tents else 1, :2] = 2, -4  # the tent of the layer before
        else:
            weights[0, 0] = 1
        weights[2:4, 2] = 1
        weights[4, 4], weights[4, 3] = 1, kinks[layer - 1][1]
    weights, biases = matrices[-1]
    weights[0, :2] = amplitude * np.array((2, -4) if tents == DEPTH else (1, 0))
    weights[0, 2:] = 0, kinks[-1][1], 1
    biases[0] = -lift
    return parameters


def _lift(start: tuple[float, float], kinks: tuple[tuple[float, float], ...]) -> float:
    """How far below 0 the spline with its first kinks only, none to all but one, falls on the interval."""
    at = np.array([0.0, *(place for place, _ in kinks), 1.0])
    changes = [change * np.maximum(at - place, 0) for place, change in kinks[:-1]]
    partial = np.cumsum([start[0] + start[1] * at, *changes], axis=0)
    return max(0.0, -float(partial.min()))
