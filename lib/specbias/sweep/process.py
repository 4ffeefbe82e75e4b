"""One run in a process of its own, which ends when the process that asked for it does.

``python -m specbias.sweep.process`` reads a :class:`Job` from its input, one line of JSON, and writes lines
of JSON: ``[cells done, cells]`` after each cell, and at last a :class:`Result`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from specbias._files import hold

__all__ = ["THREADS", "Job", "Processes", "Result", "locked"]

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
Cells = Callable[[int, int], None]

_ATTEMPTS = 3
_LAST_WAIT = 20  # seconds that a run has for ending its kernel


@dataclass(frozen=True)
class Job:
    """A run to be made: of which chapter, with which values, where."""

    root: str
    chapter: str
    values: dict
    folder: str  # of the sweep
    name: str  # of the run's folder in it
    fingerprint: str  # of the chapter and the library as they were when the sweep began
    environment: dict = field(default_factory=dict)
    threads: int = 1

    @property
    def notebook(self) -> Path:
        """Where the executed chapter is put."""
        return Path(self.folder) / self.name / f"{self.chapter}.ipynb"


@dataclass(frozen=True)
class Result:
    """What became of a job.

    ``state`` is ``done``, ``failed``, ``stopped``, or, where nothing was begun because the book is another
    one or not there, ``unfit``.
    """

    state: str
    message: str = ""
    seconds: float = float("nan")
    host: str = field(default_factory=socket.gethostname)


class Processes:
    """Runs jobs, each in its own process, and stops all of them."""

    def __init__(self):
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen] = set()
        self._stopped = False

    def run(self, job: Job, cells: Cells) -> Result:
        """Make one run and wait for it; ``cells`` hears how many cells are done, and of how many."""
        environment = os.environ | job.environment | dict.fromkeys(THREADS, str(job.threads))
        with tempfile.TemporaryFile() as errors:
            with self._lock:
                if self._stopped:
                    return Result("stopped")
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "specbias.sweep.process"], stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE, stderr=errors, encoding="utf-8", env=environment,
                    start_new_session=True,  # Ctrl-C is for the sweep, which tells its runs
                )  # fmt: skip
                self._running.add(process)
            try:
                result = _listen(process, job, cells)
                code = process.wait()
            finally:
                process.stdin.close()  # ends it, if it is not at its end
                with self._lock:
                    self._running.remove(process)
            return result or _without_result(code, self._stopped, errors)

    def stop(self) -> None:
        """End all runs; none begins any more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.terminate()


@contextmanager
def locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock that the system gives up when this process ends, however it ends.

    Raises
    ------
    BlockingIOError
        If another one has it, and ``wait`` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        hold(file, wait=wait)
        yield


def _listen(process: subprocess.Popen, job: Job, cells: Cells) -> Result | None:
    with suppress(BrokenPipeError):
        process.stdin.write(json.dumps(asdict(job)) + "\n")
        process.stdin.flush()
    result = None
    for line in process.stdout:
        said = json.loads(line)
        if isinstance(said, list):
            cells(*said)
        else:
            result = Result(**said)
    return result


def _without_result(code: int, stopped: bool, errors) -> Result:
    if stopped:
        return Result("stopped")
    if code < 0:
        name = signal.Signals(-code).name
        return Result("failed", f"its process was killed ({name}); often the memory is used up")
    errors.seek(0)
    last = errors.read().decode("utf-8", "replace").strip().splitlines()[-1:]
    return Result("failed", f"its process ended with code {code}: {' '.join(last)}")


def main() -> None:
    """Make the run that the input names."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints is not an answer

    def tell(said: list | dict) -> None:
        with suppress(OSError):
            answers.write(json.dumps(said) + "\n")
            answers.flush()

    job = Job(**json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_the_sweep, daemon=True).start()
    try:
        result = _run(job, lambda done, of: tell([done, of]))
    except KeyboardInterrupt:
        result = Result("stopped")
    except Exception as error:
        result = Result("failed", _one_line(error))
    tell(asdict(result))


def _end_with_the_sweep() -> None:
    """The input ends when the sweep does, also when it is killed."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LAST_WAIT)
    os._exit(1)


def _run(job: Job, cells: Cells) -> Result:
    from specbias._command import switches
    from specbias.chapters import ChapterFailed, find_chapter
    from specbias.site import fingerprint

    root, environment = Path(job.root), switches(None)
    if not (root / "book" / f"{job.chapter}.md").is_file():
        return Result("unfit", "absent")
    chapter = find_chapter(root, job.chapter)
    if fingerprint(root, chapter, job.values, environment) != job.fingerprint:
        return Result("unfit", "differs")
    try:
        # A run whose sweep was killed may be at its last breath, or going on where only that machine knows.
        with locked(Path(job.folder) / ".locks" / job.name, wait=True):
            return _execute(job, root, chapter, environment, cells)
    except ChapterFailed as error:
        return Result("failed", str(error).removeprefix(f"{job.chapter}: "))


def _execute(job: Job, root: Path, chapter, environment: dict, cells: Cells) -> Result:
    from specbias.chapters import ChapterFailed
    from specbias.site import execute_if_changed

    begun = threading.Event()

    def progress(done: int, of: int) -> None:
        begun.set()
        cells(done, of)

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            done = execute_if_changed(
                root, chapter, job.values, environment, output=job.notebook, progress=progress
            )
            return Result("done", seconds=done.seconds)
        except ChapterFailed:
            # Kernels that start in the same moment may pick the same port, and one of them does not start.
            if begun.is_set() or attempt == _ATTEMPTS:
                raise
    raise AssertionError  # the loop returns


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


if __name__ == "__main__":
    main()
