"""The compiled training loop of tiny ReLU networks, written out for one width.

A network of five units a layer has 136 parameters: all that a training step touches fits into a core's first
cache, and the step is worth writing so that nothing else is done than its multiplications. What the compiler
needs for that is a loop over samples whose body has no inner loop: the units of the layer before, and their
weights, stand in it one by one. So the source is written here for the width at hand, saved, and compiled by
Numba, which caches it beside the file. Wide layers are cut into groups that the registers can hold.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
from numba import types
from numba.np.numpy_support import from_dtype

from specbias._files import whole_file

__all__ = ["GROUP", "PAD", "loops", "source"]

GROUP = 8  # units of the layer before in one loop over samples: their weights stay in registers
PAD = 32  # samples are filled up to a multiple of this: four vectors of eight float32

_TEMPLATE = '''\
"""Written by specbias.ensembles.compiled for layers of {width} units. Do not edit."""

import numpy as np
from numba import njit

MATH = {{"contract", "reassoc", "nsz", "arcp"}}
OPTIONS = {{"nogil": True, "cache": True, "error_model": "numpy", "fastmath": MATH}}


@njit(**OPTIONS)
def gradient(theta, x, y, weight, hidden, delta, error, grad, zero):
    depth, samples = hidden.shape[0], x.size
    for j in range({width}):
        w, b = theta[j], theta[{width} + j]
        out = hidden[0, j]
        for s in range(samples):
            out[s] = max(w * x[s] + b, zero)
    for layer in range(1, depth):
        at = {width} * 2 + (layer - 1) * {block}
{rows_before}
        for j in range({width}):
            q = at + j * {width}
            b = theta[at + {square} + j]
            out = hidden[layer, j]
{forward}
    at = {width} * 2 + (depth - 1) * {block}
{rows_last}
    b = theta[at + {width}]
    q, out = at, error
{output}
    loss, total = zero, zero
    for s in range(samples):
        weighted = weight[s] * error[s]
        loss += weighted * error[s]
        total += weighted
        error[s] = weighted
    grad[at + {width}] = total
    side = depth % 2
    for i in range({width}):
        w, g = theta[at + i], zero
        before, out = hidden[depth - 1, i], delta[side, i]
        for s in range(samples):
            g += error[s] * before[s]
            out[s] = w * error[s] if before[s] > zero else zero
        grad[at + i] = g
    for layer in range(depth - 1, 0, -1):
        at = {width} * 2 + (layer - 1) * {block}
{rows_before}
        for j in range({width}):
            q = at + j * {width}
            here = delta[side, j]
{weights}
{rows_delta}
        for i in range({width}):
            q = at + i
            before, out = hidden[layer - 1, i], delta[1 - side, i]
{backward}
        side = 1 - side
    for j in range({width}):
        g, total = zero, zero
        here = delta[side, j]
        for s in range(samples):
            g += here[s] * x[s]
            total += here[s]
        grad[j] = g
        grad[{width} + j] = total
    return loss / 2


@njit(**OPTIONS)
def gradients(theta, x, y, weight, hidden, delta, error, zero, begin, end, grad, loss):
    for model in range(begin, end):
        loss[model] = gradient(theta[model], x, y, weight, hidden, delta, error, grad[model], zero)


@njit(**OPTIONS)
def momentum(theta, x, y, weight, hidden, delta, error, zero, begin, end, state, step, steps, rates):
    lr, decay = rates
    grad = np.empty_like(theta[0])
    for model in range(begin, end):
        here, velocity = theta[model].copy(), state[0, model].copy()  # rows share cache lines with neighbours
        for _ in range(steps):
            gradient(here, x, y, weight, hidden, delta, error, grad, zero)
            for p in range(grad.size):
                velocity[p] = decay * velocity[p] + grad[p]
                here[p] -= lr * velocity[p]
        theta[model], state[0, model] = here, velocity


@njit(**OPTIONS)
def adadelta(theta, x, y, weight, hidden, delta, error, zero, begin, end, state, step, steps, rates):
    lr, rho, epsilon, rest = rates
    grad = np.empty_like(theta[0])
    for model in range(begin, end):
        here, squares, moves = theta[model].copy(), state[0, model].copy(), state[1, model].copy()
        for _ in range(steps):
            gradient(here, x, y, weight, hidden, delta, error, grad, zero)
            for p in range(grad.size):
                squares[p] = rho * squares[p] + rest * grad[p] * grad[p]
                move = np.sqrt(moves[p] + epsilon) / np.sqrt(squares[p] + epsilon) * grad[p]
                moves[p] = rho * moves[p] + rest * move * move
                here[p] -= lr * move
        theta[model], state[0, model], state[1, model] = here, squares, moves


@njit(**OPTIONS)
def adam(theta, x, y, weight, hidden, delta, error, zero, begin, end, state, step, steps, rates):
    lr, first, second, epsilon, rest_of_first, rest_of_second = rates
    grad = np.empty_like(theta[0])
    for model in range(begin, end):
        here, mean, square = theta[model].copy(), state[0, model].copy(), state[1, model].copy()
        for done in range(steps):
            gradient(here, x, y, weight, hidden, delta, error, grad, zero)
            count = step + done + 1
            one = zero + 1
            scale = lr / (one - first**count)
            root = np.sqrt(one - second**count)
            for p in range(grad.size):
                mean[p] = first * mean[p] + rest_of_first * grad[p]
                square[p] = second * square[p] + rest_of_second * grad[p] * grad[p]
                here[p] -= scale * mean[p] / (np.sqrt(square[p]) / root + epsilon)
        theta[model], state[0, model], state[1, model] = here, mean, square
'''


def source(width: int) -> str:
    """Source of the loops for layers of ``width`` units.

    Examples
    --------
    >>> "def momentum(" in source(5)
    True
    """
    groups = _groups(width)
    return _TEMPLATE.format(
        width=width, square=width * width, block=width * width + width,
        rows_before="\n".join(f"        r{i} = hidden[layer - 1, {i}]" for i in range(width)),
        rows_last="\n".join(f"    r{i} = hidden[depth - 1, {i}]" for i in range(width)),
        rows_delta="\n".join(f"        r{i} = delta[side, {i}]" for i in range(width)),
        forward=_sum(groups, first="b", last="max(v, zero)"),
        output=_sum(groups, first="b - y[s]", last="v", indent=4), weights=_weight_gradients(groups, width),
        backward=_sum(groups, first="zero", last="v if before[s] > zero else zero", stride=width),
    )  # fmt: skip


@cache
def loops(width: int, dtype: str) -> ModuleType:
    """The compiled loops for layers of ``width`` units: ``gradients``, ``momentum``, ``adadelta``, ``adam``.

    The gradient is compiled, or loaded, before a loop that calls it. Each loop brings a copy of it, optimized
    once more, and the first one in a process serves all: without this order, a process that compiles rounds
    otherwise than one that loads.
    """
    module, real = _module(width), from_dtype(np.dtype(dtype))
    row, planes = types.Array(real, 1, "C"), types.Array(real, 3, "C")
    module.gradient.compile((row, row, row, row, planes, planes, row, row, real))
    return module


@cache
def _module(width: int) -> ModuleType:
    """What the source of `source` defines.

    It is kept in the user's cache folder (``XDG_CACHE_HOME``); Numba puts beside it what it compiles.
    """
    text = source(width)
    name = f"specbias_width_{width}_{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    path = _cache_folder() / f"{name}.py"
    if not path.exists() or path.read_text() != text:
        with whole_file(path) as temporary:
            temporary.write_text(text)
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # for Numba's cache, which looks functions up by module
    spec.loader.exec_module(module)
    return module


def _cache_folder() -> Path:
    """A folder of ours that can be written to: the user's cache, or else a temporary one."""
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    user = os.getuid() if hasattr(os, "getuid") else 0
    for parent in (usual, Path(tempfile.gettempdir()) / f"cache-{user}"):
        folder = parent / "specbias"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise RuntimeError(f"no folder for compiled code: {usual} is not writable; set XDG_CACHE_HOME")


def _groups(width: int) -> list[range]:
    """The units in parts of at most GROUP, as equal as can be."""
    parts = -(-width // GROUP)
    bounds = [width * part // parts for part in range(parts + 1)]
    return [range(low, high) for low, high in zip(bounds[:-1], bounds[1:], strict=True)]


def _sum(groups: list[range], *, first: str, last: str, stride: int = 1, indent: int = 12) -> str:
    """``out[s] = last`` of ``v = first + sum of w * r[s]``, one loop over samples a group."""
    space, lines = " " * indent, []
    for number, group in enumerate(groups):
        start, end = first if number == 0 else "out[s]", last if number == len(groups) - 1 else "v"
        lines += [f"{space}w{i} = theta[q + {i * stride}]" for i in group]
        lines += [
            f"{space}for s in range(samples):",
            f"{space}    v = {start} + " + " + ".join(f"w{i} * r{i}[s]" for i in group),
            f"{space}    out[s] = {end}",
        ]
    return "\n".join(lines)


def _weight_gradients(groups: list[range], width: int) -> str:
    """Of the weights into unit j and of its bias: sums over samples, kept in registers."""
    indent, lines = " " * 12, []
    for number, group in enumerate(groups):
        lines += [
            f"{indent}{', '.join(f'g{i}' for i in group)}, total = {', '.join('zero' for _ in group)}, zero"
        ]
        lines += [f"{indent}for s in range(samples):", f"{indent}    h = here[s]"]
        lines += [f"{indent}    g{i} += h * r{i}[s]" for i in group]
        lines += [f"{indent}    total += h"] if number == 0 else []
        lines += [f"{indent}grad[q + {i}] = g{i}" for i in group]
        lines += [f"{indent}grad[at + {width * width} + j] = total"] if number == 0 else []
    return "\n".join(lines)
