"""Passing the tanh layers behind a layer of waves: shapes of their parameters, and blocks of points."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod

import torch

from specbias.training.tanh import tanh32, tanh64
from specbias.training.threads import each

BLOCK = 4096  # points that pass the tanh layers together on the CPU: 30 units of float64 are 1 MB


def shapes_behind(hidden: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Shapes of ``bias, weights, bias, ..., weights, bias`` behind the sums of a first layer."""
    shapes: list[tuple[int, ...]] = [(hidden[0],)]
    for into, out in pairwise((*hidden, 1)):
        shapes += [(out, into), (out,)]
    return shapes


def cut(row, shapes: list[tuple[int, ...]]) -> list:
    """Views of a row, a tensor or an array, in these shapes."""
    found, at = [], 0
    for shape in shapes:
        count = prod(shape)
        found.append(row[at : at + count].reshape(shape))
        at += count
    return found


def in_blocks(task: Callable[[slice], object], values: torch.Tensor) -> list:
    """What ``task`` returns for each block of the columns of ``values``, in order; on the CPU by all threads.

    The blocks do not depend on the number of threads, and so neither do sums over what they return.
    """
    count = values.shape[1]
    if values.device.type != "cpu":
        return [task(slice(0, count))]
    blocks = [slice(begin, min(begin + BLOCK, count)) for begin in range(0, count, BLOCK)]
    found = [None] * len(blocks)

    def one(index: int) -> None:
        torch.set_num_threads(1)  # of this thread of the pool
        found[index] = task(blocks[index])

    if len(blocks) == 1:
        return [task(blocks[0])]
    each(one, len(blocks))
    return found


def summed(parts: list[list[torch.Tensor]]) -> list[torch.Tensor]:
    """Sum over blocks of each tensor, flat."""
    return [torch.stack(of_all).sum(dim=0).reshape(-1) for of_all in zip(*parts, strict=True)]


def tanh_in_place(values: torch.Tensor) -> torch.Tensor:
    """In place, on the thread that calls; the pool's must not wait for the pool."""
    if values.device.type != "cpu":
        return values.tanh_()
    kernel = tanh32 if values.dtype == torch.float32 else tanh64
    kernel(values.view(-1).numpy(), 0, values.numel())
    return values
