"""One kernel for one submission: in a folder and a sandbox of its own, watched, and gone without a trace."""

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
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec
from nbformat.v4 import new_output, output_from_msg

import specbias
from specbias.provenance import portable_instructions
from specbias.sweep.process import THREADS
from specbias.teaching.checks import SEED

READABLE = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/dev", "/proc", "/sys", "/System", "/Library")
MARK = "SPECBIAS_GRADED"


@dataclass(frozen=True)
class Limits:
    """What one submission may use; what passes a limit is stopped and said."""

    cell_seconds: float = 60.0
    seconds: float = 480.0  # for the whole notebook
    memory: int = 3 << 30  # bytes
    output: int = 1 << 20  # bytes that a cell may print
    restarts: int = 4
    processes: int = 8  # beside the kernel; where processes cannot be refused
    threads: int = 2


USUAL = Limits()


class Stopped(Exception):
    """The kernel has been stopped, or has stopped by itself; the message says why."""


class Kernel:
    """One sandboxed kernel in a folder of its own, which is gone with it."""

    def __init__(self, limits: Limits, seed: int, caches: Path | None, keep: bool) -> None:
        self.limits, self.caches, self.keep, self.word = limits, caches, keep, secrets.token_hex(16)
        self.folder = Path(tempfile.mkdtemp(prefix="grade-"))
        self.work, self.report = self.folder / "work", self.folder / "report"
        self.report.touch()
        for folder in (self.work / ".caches", self.folder / "socket"):
            folder.mkdir(parents=True)
        if caches is not None:
            shutil.copytree(caches, self.work / ".caches", dirs_exist_ok=True)
        self._write_settings()
        self.manager = _Manager(self.folder)
        with (self.folder / "log").open("wb") as log:  # what is written past Python
            self.manager.start_kernel(env=self._environment(seed), cwd=self.folder, stdout=log, stderr=log)
        self.client = self.manager.client()
        self.client.start_channels()
        try:
            self.client.wait_for_ready(timeout=60)
        except RuntimeError as error:
            said = (self.folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
            self.close()
            raise RuntimeError(
                f"no kernel could be started to grade with: {error} {' '.join(said)}"
            ) from None

    def _write_settings(self) -> None:
        library = Path(specbias.__file__).parents[1]
        python = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), *filter(None, sys.path)}
        readable = {*READABLE, *python, str(library)} - {os.getcwd()}
        settings = {
            "word": self.word,
            "report": str(self.report),
            "memory": self.limits.memory,
            "readable": sorted(path for path in readable if Path(path).exists()),
            "writable": [str(self.work), str(self.folder / "socket"), "/dev/null"],
        }
        (self.folder / "settings.json").write_text(json.dumps(settings))

    def _environment(self, seed: int) -> dict[str, str]:
        """The grader's, but a home, caches and a mark of its own."""
        caches = self.work / ".caches"
        ours = ("SPECBIAS_", "NBGRADER")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return {
            **kept,
            **portable_instructions(),
            **dict.fromkeys(THREADS, str(self.limits.threads)),
            **dict.fromkeys(("HOME", "TMPDIR"), str(self.work)),
            "IPYTHONDIR": str(self.work / ".ipython"),
            "MPLCONFIGDIR": str(caches / "matplotlib"),
            "NUMBA_CACHE_DIR": str(caches / "numba"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONUNBUFFERED": "1",
            MARK: self.word[:8],
            SEED: str(seed),
        }

    def run(self, source: str, seconds: float, *, history: bool = True) -> list:
        """The outputs of ``source``; Stopped when it did not end, ended the kernel or took much memory."""
        asked = self.client.execute(source, store_history=history, allow_stdin=False, stop_on_error=False)
        deadline = time.monotonic() + seconds
        outputs: list = []
        size, watched = 0, 0.0
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                message = None
            if time.monotonic() > deadline:
                raise Stopped(f"it did not end within {seconds:.0f} seconds")
            if message is None and not self.manager.is_alive():
                raise Stopped("it ended the kernel, by exit() or by a crash")
            if time.monotonic() > watched + 0.3:
                watched = time.monotonic()
                self._check_processes()
            if message is None or message["parent_header"].get("msg_id") != asked:
                continue
            kind = message["msg_type"]
            if kind == "status" and message["content"]["execution_state"] == "idle":
                return outputs + self._unsaid(asked, outputs)
            if kind in ("stream", "display_data", "execute_result", "error"):
                size += len(str(message["content"]))
                if size <= self.limits.output or kind == "error":
                    _add(outputs, message)
                elif size > 20 * self.limits.output:
                    raise Stopped("it printed without end")

    def _unsaid(self, asked: str, outputs: list) -> list:
        """The error of a cell that could not show it, as when there was no memory left to do so."""
        try:
            while (reply := self.client.get_shell_msg(timeout=5))["parent_header"].get("msg_id") != asked:
                pass
        except queue.Empty:
            return []
        content = reply["content"]
        if content["status"] == "ok" or any(output.output_type == "error" for output in outputs):
            return []
        name, text = content.get("ename", "Stopped"), content.get("evalue", "")
        return [new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])]

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
        for _ in range(3):  # one that is being started meanwhile, too
            for process in self._processes():
                with suppress(psutil.Error):  # it has ended meanwhile
                    process.kill()
        self.manager.shutdown_kernel(now=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        return said

    def _processes(self) -> list[psutil.Process]:
        """The kernel and whatever descends from it, also what has left its group or forgotten its mark."""
        found = []
        with suppress(psutil.Error):
            found += psutil.Process(self.manager.provisioner.pid).children(recursive=True)
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.word[:8]:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def _check_processes(self) -> None:
        """Stopped if there are too many processes or they hold too much, also without the system's limits."""
        try:
            kernel = psutil.Process(self.manager.provisioner.pid)
            processes = [kernel, *kernel.children(recursive=True)]
            held = sum(process.memory_info().rss for process in processes)
        except psutil.Error:
            return
        if len(processes) > self.limits.processes + 2:  # the kernel, and the one that waits for it
            raise Stopped(f"it started more than {self.limits.processes} processes")
        if held > self.limits.memory:
            raise Stopped(f"it took more than {self.limits.memory / 2**30:.3g} GiB of memory")


class _Manager(KernelManager):
    """Starts the sandbox instead of an installed kernel, over files instead of ports."""

    def __init__(self, folder: Path) -> None:
        super().__init__(transport="ipc", connection_file=str(folder / "socket" / "kernel.json"))
        sandbox = [sys.executable, "-P", "-m", "specbias.teaching.sandbox"]
        argv = [*sandbox, str(folder / "settings.json"), "{connection_file}"]
        self._kernel_spec = KernelSpec(argv=argv, display_name="Python 3", language="python")


def _add(outputs: list, message: dict) -> None:
    """Append what a message shows; text of one stream is put together."""
    output = output_from_msg(message)
    if output.output_type == "stream" and outputs and outputs[-1].get("name") == output.name:
        outputs[-1].text += output.text
    else:
        outputs.append(output)
