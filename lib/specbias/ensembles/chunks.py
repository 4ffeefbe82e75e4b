"""Chunks of networks: trained one after another or on many machines, kept on disk, found again.

A chunk's file is named after everything that it depends on, so a run that was killed, or that asks for more
networks than before, finds what is there and computes the rest; nothing that belongs to other settings is
ever mistaken for it. As networks do not know of each other, the result is the same whatever the chunks and
workers.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from specbias._files import whole_file
from specbias.ensembles.networks import Padded, initial_parameters
from specbias.ensembles.optimizers import Settings
from specbias.training.threads import each

SLICE = 1e10  # operations in one compiled call: under a second, then an interrupt is heard

Rows = tuple[int, int]  # first, and one past the last
Result = tuple[np.ndarray, np.ndarray]  # parameters, state


def train_chunk(
    parameters: np.ndarray, state: np.ndarray, x: np.ndarray, y: np.ndarray, settings: Settings,
    done: Callable[[int], None] | None = None,
) -> Result:  # fmt: skip
    """Train the networks of one chunk; ``done`` is told of every finished one."""
    if settings.device == "cuda":
        from specbias.ensembles.cuda import train_on_gpu

        trained = train_on_gpu(parameters, state, x, y, settings)
        if done:
            done(len(parameters))
        return trained
    parameters, state = parameters.copy(), state.copy()  # what came over a network cannot be written to
    data = Padded(x, y, settings.depth, settings.width, parameters.dtype)
    loop, rates = settings.compiled(parameters.dtype), settings.rates(parameters.dtype)
    piece = max(1, int(SLICE / (6 * parameters.shape[1] * data.x.size)))
    mine, stop = threading.local(), threading.Event()

    def one(model: int) -> None:
        if not hasattr(mine, "arrays"):
            mine.arrays = data.arrays()
        rows = (model, model + 1, state)
        for begin in range(0, settings.steps, piece):
            if stop.is_set():
                return
            count = min(piece, settings.steps - begin)
            loop(parameters, *mine.arrays, data.zero, *rows, settings.first_step + begin, count, rates)
        if done:
            done(1)

    each(one, len(parameters), stop)
    return parameters, state


def all_chunks(
    parameters: np.ndarray, state: np.ndarray, x: np.ndarray, y: np.ndarray, settings: Settings, *,
    size: int, folder: Path | None, scheduler: str | None, done: Callable[[int], None],
) -> Result:  # fmt: skip
    """Every chunk, from its file, from here or from the workers at ``scheduler``."""
    parameters, state = parameters.copy(), state.copy()
    missing = {}
    for begin in range(0, len(parameters), size):
        end = min(begin + size, len(parameters))
        rows = slice(begin, end)
        job = (parameters[rows], state[:, rows], x, y, settings)
        path = None if folder is None else folder / _file_name(*job)
        found = _load(path)
        if found is None:
            missing[begin, end] = path
        else:
            parameters[rows], state[:, rows] = found
            done(end - begin)
    jobs = (
        ((begin, end), (parameters[begin:end], state[:, begin:end], x, y, settings)) for begin, end in missing
    )
    with closing(_here(jobs, done) if scheduler is None else _elsewhere(jobs, scheduler, done)) as produced:
        for (begin, end), result in produced:
            _save(missing[begin, end], result)
            parameters[begin:end], state[:, begin:end] = result
    return parameters, state


def estimate(
    models: int, steps: int, *, depth: int = 5, width: int = 5, samples: int = 361,
    optimizer: str = "momentum",
) -> float:  # fmt: skip
    """Seconds that so many trainings will take on this machine's processors, from a trial of some steps.

    Examples
    --------
    >>> estimate(1000, 1000) < estimate(1000, 1_000_000)
    True
    """
    parameters = initial_parameters(8, depth=depth, width=width, seed=0)
    x = np.linspace(0, 1, samples)
    trial = Settings(optimizer, depth, width, steps=20)
    state = np.zeros((trial.states, *parameters.shape), parameters.dtype)
    train_chunk(parameters, state, x, x, trial)  # compiles
    count = max(20, int(2e10 / (6 * parameters.shape[1] * samples * len(parameters))))
    began = time.perf_counter()
    train_chunk(parameters, state, x, x, Settings(optimizer, depth, width, steps=count))
    return (time.perf_counter() - began) / (count * len(parameters)) * models * steps


def _here(jobs: Iterator[tuple[Rows, tuple]], done: Callable[[int], None]) -> Iterator[tuple[Rows, Result]]:
    for rows, job in jobs:
        yield rows, train_chunk(*job, done)


def _elsewhere(
    jobs: Iterator[tuple[Rows, tuple]], scheduler: str, done: Callable[[int], None]
) -> Iterator[tuple[Rows, Result]]:
    """Chunks as the workers finish them; one whose worker dies is given to another.

    Each worker has one chunk to train and one to go on with, so neither it nor the scheduler ever holds many.
    The data travel with each chunk: scattered, they would be lost with the workers that hold them.
    """
    try:
        from distributed import Client, as_completed
    except ImportError as error:
        raise ImportError("scheduler needs dask and distributed: pip install 'specbias[cluster]'") from error
    with Client(scheduler, set_as_default=False) as client:
        waiting, finished = {}, as_completed(loop=client.loop)

        def refill() -> None:
            workers = max(1, len(client.nthreads()))
            for rows, job in islice(jobs, max(0, 2 * workers - len(waiting))):
                future = client.submit(_on_worker, *job, pure=False, retries=3)
                waiting[future] = rows
                finished.add(future)

        try:
            refill()
            for future in finished:
                result, (begin, end) = future.result(), waiting.pop(future)
                refill()
                done(end - begin)
                yield (begin, end), result
        finally:
            client.cancel(list(waiting))


def _on_worker(*job) -> Result:
    """With all threads that the worker has: Dask tells PyTorch in its workers to use one."""
    from distributed import get_worker

    torch.set_num_threads(get_worker().state.nthreads)
    return train_chunk(*job)


def _file_name(
    parameters: np.ndarray, state: np.ndarray, x: np.ndarray, y: np.ndarray, settings: Settings
) -> str:
    digest = hashlib.sha256(json.dumps(settings.computed(), sort_keys=True).encode())
    for array in (parameters, state, x, y):
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return f"{digest.hexdigest()[:24]}.npz"


def _load(path: Path | None) -> Result | None:
    if path is None or not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as found:
            return found["parameters"], found["state"]
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        reason = f"{type(error).__name__}: {error}"
        print(f"specbias: {path} cannot be read ({reason}); computed anew", file=sys.stderr, flush=True)
        return None


def _save(path: Path | None, result: Result) -> None:
    """All of it or nothing."""
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, parameters=result[0], state=result[1])
