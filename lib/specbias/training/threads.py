"""Spread a compiled loop over the cores with threads that sleep while they wait.

Numba's own ``parallel=True`` uses OpenMP, whose threads spin at the end of every loop. A training step is one
such loop, and on a machine that does anything else besides, each then waits a time slice of the system:
measured, a step a hundred times slower. Never use it for a loop that is short.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from threading import Event

import torch

WORTH_SHARING = 200_000  # operations below which waking a second thread costs more than it brings
_kept: list[int] = []  # threads of PyTorch before `own_threads` took them


def count() -> int:
    """How many threads loops are shared by: as many as PyTorch uses, or used before `own_threads`."""
    return _kept[-1] if _kept else torch.get_num_threads()


@contextmanager
def own_threads() -> Iterator[None]:
    """Leave PyTorch one thread, and the others to `share` and `each`.

    PyTorch's own threads spin at the end of each operation, too: a search that calls small operations by the
    million took fifty times as long beside another busy program.

    Examples
    --------
    >>> with own_threads():
    ...     torch.get_num_threads()
    1
    """
    before = count()
    _kept.append(before)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        _kept.pop()
        torch.set_num_threads(1 if _kept else before)


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """One pool a process: a forked one has its parent's pool, but none of the threads."""
    return ThreadPoolExecutor(threads, thread_name_prefix="specbias")


def share(loop: Callable[[int, int], None], size: int, work: int) -> None:
    """Call ``loop(begin, end)`` for all of ``range(size)``, in as many parts as PyTorch uses threads.

    Parameters
    ----------
    loop : callable
        Must release the interpreter's lock (``njit(nogil=True)``) and write nothing that another part writes.
    size : int
    work : int
        About how many operations the whole loop takes.

    Examples
    --------
    >>> seen = []
    >>> share(lambda begin, end: seen.extend(range(begin, end)), 5, work=10)
    >>> seen
    [0, 1, 2, 3, 4]
    """
    parts = min(count(), size)
    if parts <= 1 or work < WORTH_SHARING:
        loop(0, size)
        return
    bounds = [size * part // parts for part in range(parts + 1)]
    results = _pool(parts, os.getpid()).map(loop, bounds[:-1], bounds[1:])
    list(results)  # waits, and raises what a part has raised


def each(task: Callable[[int], None], times: int, stop: Event | None = None) -> None:
    """Call ``task(index)`` for all of ``range(times)``, as many at a time as PyTorch uses threads.

    Whoever is done takes the next index, so tasks may be of any length. They must release the interpreter's
    lock, and write nothing that another one writes. After an exception or an interrupt, ``stop`` is set, for
    long tasks to look at, tasks that have begun are waited for, and no other one begins.

    Examples
    --------
    >>> seen = []
    >>> each(seen.append, 5)
    >>> sorted(seen)
    [0, 1, 2, 3, 4]
    """
    threads = min(count(), times)
    if threads <= 1:
        for index in range(times):
            task(index)
        return
    results = [_pool(threads, os.getpid()).submit(task, index) for index in range(times)]
    try:
        for result in results:
            result.result()  # waits, and raises what the task has raised
    except BaseException:
        if stop:
            stop.set()
        begun = [result for result in results if not result.cancel()]
        wait(begun)
        raise
