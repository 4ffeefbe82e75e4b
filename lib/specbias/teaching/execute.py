"""Execute a submission's notebook in a sandboxed kernel, cell by cell, and come to the end of it whatever it does.

A cell that runs too long or takes the kernel down costs its own part: a new kernel is started, the cells that
had run are run again, and the rest is executed.
"""

from __future__ import annotations

import json
import os
import queue
import secrets
import shutil
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec
from nbformat.v4 import new_output, output_from_msg

import specbias
from specbias.provenance import portable_instructions
from specbias.sweep.process import THREADS
from specbias.teaching.checks import SEED

BEFORE_A_CHECK = "import numpy as np\nfrom specbias.teaching import check, close, generator"


@dataclass(frozen=True)
class Limits:
    """What one submission may use; what passes a limit is stopped and said."""

    cell_seconds: float = 120.0
    seconds: float = 900.0  # for the whole notebook
    memory: int = 3 << 30  # bytes
    output: int = 1 << 20  # bytes that a cell may print
    restarts: int = 4
    threads: int = 2


@dataclass
class Execution:
    """A notebook that was executed, and what happened meanwhile."""

    notebook: nbformat.NotebookNode  # with outputs
    passed: set[str] = field(default_factory=set)  # grade ids of the checks that ran to their end
    reports: list[str] = field(default_factory=list)  # what the sandbox refused, limits that were passed
    layers: str = ""  # of the sandbox, as far as this machine has them
    seconds: float = 0.0


class _Stopped(Exception):
    """The kernel has been stopped, or has stopped by itself; the message says why."""


def execute(
    notebook: nbformat.NotebookNode,
    *,
    limits: Limits = Limits(),
    seed: int = 0,
    caches: Path | None = None,
    keep_caches: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> Execution:
    """Execute a copy of ``notebook``; nothing that its cells do raises here.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        With nbgrader's metadata: cells with ``grade`` and without ``solution`` are checks.
    seed : int
        Of the checks' random inputs (:func:`specbias.teaching.checks.generator`).
    caches : Path, optional
        A folder of compiled functions, copied for the submission and never written by it.
    keep_caches : bool
        Keep in ``caches`` what this execution compiles: only for code that is trusted.
    progress : callable
        Told what is being executed.
    """
    done = Execution(nbformat.from_dict(notebook))
    started = time.monotonic()
    runner = _Runner(limits, seed, caches, keep_caches, done)
    try:
        for number, cell in enumerate(done.notebook.cells):
            if cell.cell_type == "code":
                progress(f"cell {number + 1} of {len(done.notebook.cells)}")
                cell.outputs, cell.execution_count = runner.run(cell), number + 1
    finally:
        runner.close()
    done.seconds = time.monotonic() - started
    return done


def is_check(cell) -> bool:
    """Whether a cell is an automatic check of an assignment."""
    about = cell.metadata.get("nbgrader", {})
    return cell.cell_type == "code" and about.get("grade", False) and not about.get("solution", False)


class _Runner:
    """The kernel of one submission, and the next one when it is gone."""

    def __init__(self, limits: Limits, seed: int, caches: Path | None, keep: bool, done: Execution) -> None:
        self.limits, self.seed, self.caches, self.keep, self.done = limits, seed, caches, keep, done
        self.deadline = time.monotonic() + limits.seconds
        self.history: list[str] = []  # what is run again in a new kernel
        self.starts = 0
        self.kernel: _Kernel | None = None

    def run(self, cell) -> list:
        """The outputs of a cell."""
        checks = is_check(cell)
        try:
            self._ready()
            if checks:
                self._kernel_run(BEFORE_A_CHECK)
                number = secrets.token_hex(8)
                outputs = self._kernel_run(
                    f'{cell.source}\n__import__("sys").audit("specbias.passed", "{number}")'
                )
                return self._judged(cell, outputs, number)
            outputs = self._kernel_run(cell.source)
        except _Stopped as why:
            self.close()
            self.done.reports.append(f"{_name(cell)}: {why}")
            return [_error("Stopped", f"{why}; the part gets no points")]
        if not any(output.output_type == "error" for output in outputs):
            self.history.append(cell.source)
        return outputs

    def _kernel_run(self, source: str) -> list:
        assert self.kernel is not None
        seconds = min(self.limits.cell_seconds, self.deadline - time.monotonic())
        return self.kernel.run(source, seconds)

    def _ready(self) -> None:
        """Have a kernel that has executed what was executed."""
        if time.monotonic() > self.deadline:
            raise _Stopped(f"the notebook took longer than {self.limits.seconds:.0f} seconds in all")
        if self.kernel is None:
            if self.starts > self.limits.restarts:
                raise _Stopped(f"the kernel was lost {self.starts} times")
            self.starts += 1
            self.kernel = _Kernel(self.limits, self.seed, self.caches, self.keep)
            for source in self.history:
                self._kernel_run(source)

    def _judged(self, cell, outputs: list, number: str) -> list:
        """The outputs of a check; an error among them unless it ran to its end with nothing replaced."""
        said = self.kernel.said()
        replaced = [line.removeprefix("replaced ") for line in said if line.startswith("replaced ")]
        failed = any(output.output_type == "error" for output in outputs)
        if f"passed {number}" in said and not failed:
            self.done.passed.add(cell.metadata.nbgrader.grade_id)
            return [output for output in outputs if not _speaks_to_nbgrader(output)]
        if replaced:
            self.done.reports.append(f"{_name(cell)}: what checks use was replaced: {replaced[-1]}")
            return [
                *outputs,
                _error("Replaced", f"this submission replaces what the check uses: {replaced[-1]}"),
            ]
        if not failed:
            self.done.reports.append(f"{_name(cell)}: did not run to its end")
            return [*outputs, _error("NotFinished", "this check did not run to its end")]
        return outputs

    def close(self) -> None:
        """Stop the kernel, and keep what it reported."""
        if self.kernel is not None:
            said = self.kernel.close()
            self.done.layers = next(
                (line[7:] for line in said if line.startswith("layers ")), self.done.layers
            )
            refused = dict.fromkeys(line for line in said if line.startswith("refused "))
            self.done.reports += [line for line in refused if line not in self.done.reports]
            self.kernel = None


class _Kernel:
    """One sandboxed kernel in a folder of its own, which is gone with it."""

    def __init__(self, limits: Limits, seed: int, caches: Path | None, keep: bool) -> None:
        self.limits, self.caches, self.keep, self.word = limits, caches, keep, secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(prefix="grade-"))
        self.report = self.folder / "report"
        self.report.touch()
        for name in ("work", "socket"):
            (self.folder / name).mkdir()
        if caches is None:
            (self.folder / "work" / ".caches").mkdir()
        else:
            shutil.copytree(caches, self.folder / "work" / ".caches")
        self._write_settings()
        self.manager = _Manager(self.folder)
        with (self.folder / "log").open("wb") as log:  # what is written past Python
            self.manager.start_kernel(
                env=self._environment(seed), cwd=str(self.folder), stdout=log, stderr=log
            )
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=60)
        except RuntimeError as error:
            self.close()
            raise RuntimeError(f"no kernel could be started to grade with: {error}") from None

    def _write_settings(self) -> None:
        library = Path(specbias.__file__).parents[1]
        readable = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), str(library), "/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc",
                    "/dev", "/proc", "/sys", "/run", "/opt", "/System", "/Library", *filter(None, sys.path)}  # fmt: skip
        settings = {
            "word": self.word,
            "report": str(self.report),
            "memory": self.limits.memory,
            "readable": sorted(path for path in readable if Path(path).exists()),
            "writable": [str(self.folder / "work"), str(self.folder / "socket"), "/dev/null", "/dev/shm"],
        }
        (self.folder / "settings.json").write_text(json.dumps(settings))

    def _environment(self, seed: int) -> dict[str, str]:
        """The grader's, but a home, caches and a mark of its own."""
        work = self.folder / "work"
        threads = dict.fromkeys(THREADS, str(self.limits.threads))
        keep = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SPECBIAS_", "NBGRADER"))
        }
        own = {"HOME": work, "TMPDIR": work, "IPYTHONDIR": work / ".ipython", "MPLCONFIGDIR": work / ".caches" / "matplotlib",
               "NUMBA_CACHE_DIR": work / ".caches" / "numba", "SPECBIAS_GRADED": self.word[:8]}  # fmt: skip
        fixed = {
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            SEED: str(seed),
        }
        return (
            keep
            | threads
            | portable_instructions()
            | {name: str(value) for name, value in own.items()}
            | fixed
        )

    def run(self, source: str, seconds: float) -> list:
        """The outputs of ``source``; _Stopped when it did not end, ended the kernel or took too much memory."""
        asked = self.client.execute(source, allow_stdin=False, stop_on_error=False)
        deadline = time.monotonic() + seconds
        outputs: list = []
        size, watched = 0, 0.0
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                message = None
            now = time.monotonic()
            if now > deadline:
                raise _Stopped(f"it did not end within {seconds:.0f} seconds")
            if message is None and not self.manager.is_alive():
                raise _Stopped("it ended the kernel, by exit() or by a crash")
            if now > watched + 0.3:
                watched = now
                if self._memory() > self.limits.memory:
                    raise _Stopped(f"it took more than {self.limits.memory >> 30} GiB of memory")
            if message is None or message["parent_header"].get("msg_id") != asked:
                continue
            kind = message["msg_type"]
            if kind == "status" and message["content"]["execution_state"] == "idle":
                return outputs
            if kind in ("stream", "display_data", "execute_result", "error"):
                size += len(str(message["content"]))
                if size <= self.limits.output or kind == "error":
                    _add(outputs, message)
                elif size > 20 * self.limits.output:
                    raise _Stopped("it printed without end")

    def said(self) -> list[str]:
        """What the sandbox has reported, without the word."""
        lines = self.report.read_text(errors="replace").splitlines()
        return [line.removeprefix(self.word + " ") for line in lines if line.startswith(self.word + " ")]

    def close(self) -> list[str]:
        """End the kernel and all it has started; returns what was reported."""
        said = self.said()
        self.client.stop_channels()
        made = self.folder / "work" / ".caches"
        if self.keep and self.caches is not None and made.exists():
            shutil.copytree(made, self.caches, dirs_exist_ok=True)
        for process in self._processes():
            process.kill()
        self.manager.shutdown_kernel(now=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        return said

    def _processes(self) -> list[psutil.Process]:
        """The kernel and whatever descends from it, also what has left its group."""
        mark = self.word[:8]
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SPECBIAS_GRADED") == mark:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def _memory(self) -> int:
        """Bytes of memory that the kernel and its children hold."""
        try:
            kernel = psutil.Process(self.manager.provisioner.pid)
            return sum(process.memory_info().rss for process in (kernel, *kernel.children(recursive=True)))
        except psutil.Error:
            return 0


class _Manager(KernelManager):
    """Starts the sandbox instead of an installed kernel, over files instead of ports."""

    def __init__(self, folder: Path) -> None:
        super().__init__(transport="ipc", connection_file=str(folder / "socket" / "kernel.json"))
        argv = [
            sys.executable,
            "-P",
            "-m",
            "specbias.teaching.sandbox",
            str(folder / "settings.json"),
            "{connection_file}",
        ]
        self._kernel_spec = KernelSpec(argv=argv, display_name="Python 3", language="python")


def _add(outputs: list, message: dict) -> None:
    """Append what a message shows; text of one stream is put together."""
    output = output_from_msg(message)
    if output.output_type == "stream" and outputs and outputs[-1].get("name") == output.name:
        outputs[-1].text += output.text
    else:
        outputs.append(output)


def _speaks_to_nbgrader(output) -> bool:
    """Whether nbgrader would take an output for points: a warning for a failure, a number for partial credit."""
    return output.output_type == "execute_result" or output.get("name") == "stderr"


def _error(name: str, text: str):
    return new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def _name(cell) -> str:
    about = cell.metadata.get("nbgrader", {})
    return about.get("grade_id") or "a cell of the submission's own"
