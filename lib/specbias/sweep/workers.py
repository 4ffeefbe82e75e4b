"""Who makes the runs of a sweep: processes on this machine, or the workers of a Dask scheduler."""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial

from specbias.sweep.process import Job, Processes, Result

__all__ = [
    "SweepStopped",
    "cores",
    "default_workers",
    "read_slurm_options",
    "run_elsewhere",
    "run_here",
    "scheduler",
    "slurm",
]

INSTALL = "pip install 'specbias[cluster]'"
PATIENCE = 300  # seconds without a worker, once there were some, after which a sweep gives up
_PAUSE = 0.3  # seconds between two looks at what is done, and at which workers there are
MEMORY = 2e9  # bytes that a run should find free

Watch = Callable[[int, int, int], None]  # which run, cells done, of how many


class SweepStopped(RuntimeError):
    """The sweep cannot go on; the message is one line. What is done is kept."""


def cores() -> int:
    """Processors that this process may use, also where a container has fewer than the machine."""
    import joblib

    return joblib.cpu_count()


def default_workers(runs: int) -> int:
    """One run a core, as long as there is memory for them."""
    import psutil

    room = int(psutil.virtual_memory().available / MEMORY)
    return max(1, min(runs, cores(), room))


def run_here(jobs: Sequence[Job], workers: int, watch: Watch) -> Iterator[tuple[int, Result]]:
    """Make the runs, ``workers`` at a time; closing the iterator ends those that are not done.

    Yields
    ------
    tuple
        Index of the job, and its result, as they finish.
    """
    processes, pool = Processes(), ThreadPoolExecutor(workers)
    try:
        futures = {
            pool.submit(processes.run, job, partial(watch, index)): index for index, job in enumerate(jobs)
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        processes.stop()
        pool.shutdown(cancel_futures=True)


def run_elsewhere(
    client, jobs: Sequence[Job], at_once: int | None, watch: Watch, say: Callable[[str], None]
) -> Iterator[tuple[int, Result]]:
    """The same on the workers of a Dask client, one run on each at a time, with all threads that it has.

    A run whose worker dies is given to another one. No run is asked for before a worker is free: Dask would
    give several to one worker that has several threads, and none to a worker that comes later.
    """
    token, waiting, todo = uuid.uuid4().hex, {}, deque(enumerate(jobs))
    seen = _Workers(client, at_once, say)
    client.subscribe_topic(_topic(token), lambda event: watch(*event[1]))
    try:
        while todo or waiting:
            for _ in range(min(len(todo), seen.count() - len(waiting))):
                index, job = todo.popleft()
                key = f"specbias-{job.name}-{token[:8]}"
                waiting[client.submit(_on_worker, asdict(job), token, index, key=key, pure=False)] = index
            time.sleep(_PAUSE)
            for future in [future for future in waiting if future.done()]:
                yield waiting.pop(future), _result(future)
    finally:
        with suppress(Exception):  # the scheduler may be what is gone
            client.unsubscribe_topic(_topic(token))
            if waiting:
                client.cancel(list(waiting))
                client.run(_stop_on_worker, token)


@contextmanager
def scheduler(address: str) -> Iterator:
    """A client of the Dask scheduler at ``address``; RuntimeError without ``distributed`` or an answer."""
    try:
        from distributed import Client
    except ImportError as error:
        raise RuntimeError(f"--scheduler needs dask and distributed: {INSTALL}") from error
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise RuntimeError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
    with client:
        yield client


@contextmanager
def slurm(jobs: int, options: Mapping) -> Iterator:
    """A client of a cluster of so many Slurm jobs, which end with it.

    Raises
    ------
    RuntimeError
        If dask-jobqueue is not installed.
    ValueError
        If it does not take these options.
    """
    try:
        from dask_jobqueue import SLURMCluster
        from distributed import Client
    except ImportError as error:
        raise RuntimeError(f"--slurm needs dask-jobqueue: {INSTALL}") from error
    try:
        cluster = SLURMCluster(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"--slurm-option: {error}") from None
    with cluster, Client(cluster, set_as_default=False) as client:
        cluster.scale(jobs=jobs)
        yield client


def read_slurm_options(assignments: Sequence[str]) -> dict:
    """Options for ``dask_jobqueue.SLURMCluster``; what comes more than once is a list.

    Examples
    --------
    >>> read_slurm_options(["cores=8", "memory=16GB", "job_extra_directives=--gres=gpu:1"])
    {'cores': 8, 'memory': '16GB', 'job_extra_directives': ['--gres=gpu:1']}
    """
    options: dict = {}
    for assignment in assignments:
        name, equals, text = (part.strip() for part in assignment.partition("="))
        if not (name and equals and text):
            raise ValueError(f"--slurm-option {assignment}: allowed is KEY=VALUE")
        value = int(text) if text.isdecimal() else text
        if name in ("job_extra_directives", "job_script_prologue", "worker_extra_args"):
            options.setdefault(name, []).append(text)
        elif name in options:
            raise ValueError(f"--slurm-option {name} comes twice")
        else:
            options[name] = value
    return options


class _Workers:
    """How many runs may be under way, and what is said when no worker is there."""

    def __init__(self, client, at_once: int | None, say: Callable[[str], None]):
        self.client, self.at_once, self.say = client, at_once, say
        self.last_seen: float | None = None
        self.said = False

    def count(self) -> int:
        there = len(self.client.nthreads())
        if there:
            self.last_seen, self.said = time.monotonic(), False
        elif not self.said:
            self.say("no worker is there; waiting for one")
            self.said = True
        elif self.last_seen is not None and time.monotonic() - self.last_seen > PATIENCE:
            raise SweepStopped("all workers have ended, and none has come for five minutes")
        return min(there, self.at_once or there)


def _topic(token: str) -> str:
    return f"specbias-sweep-{token}"


def _result(future) -> Result:
    from distributed import KilledWorker

    try:
        return Result(**future.result())
    except KilledWorker:
        return Result("failed", "its workers died, one after another; often the memory or time is used up")
    except ImportError as error:
        raise SweepStopped(
            f"a worker has not this library ({error}); start workers in the same environment"
        ) from None
    except Exception as error:
        raise SweepStopped(
            f"a worker failed: {type(error).__name__}: {' '.join(str(error).split())}"
        ) from None


_one_at_a_time = threading.Lock()
_of_sweep: dict[str, Processes] = {}


def _on_worker(job: dict, token: str, index: int) -> dict:
    from distributed import get_worker

    worker = get_worker()
    processes = _of_sweep.setdefault(token, Processes())
    with _one_at_a_time:  # for a moment there may be two, after another worker's death

        def cells(done: int, of: int) -> None:
            worker.log_event(_topic(token), [index, done, of])

        return asdict(processes.run(replace(Job(**job), threads=worker.state.nthreads), cells))


def _stop_on_worker(token: str) -> None:
    _of_sweep.setdefault(token, Processes()).stop()
