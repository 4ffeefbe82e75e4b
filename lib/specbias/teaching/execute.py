"""Execute a submission's notebook, cell by cell, and come to the end of it whatever it does.

A cell that runs too long or takes the kernel down costs its own part: a new kernel is started, the cells that
had run are run again, and the rest is executed.
"""

from __future__ import annotations

import ast
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat.v4 import new_output

from specbias.teaching.kernel import USUAL, Kernel, Limits, Stopped
from specbias.teaching.sources import is_check, part_name

BEFORE_A_CHECK = "import numpy as np\nfrom specbias.teaching import check, close, generator"

LOOKS_INSIDE = re.compile(
    r"\b(__builtins__|__closure__|__code__|_getframe|addaudithook|ctypes|currentframe|f_back|f_globals|f_locals"
    r"|get_objects|get_referrers|linecache|SPECBIAS_\w+|HIDDEN TESTS)\b"
)
MEMORY = ("MemoryError", "_ArrayMemoryError")


@dataclass
class Execution:
    """A notebook that was executed, and what happened meanwhile."""

    notebook: nbformat.NotebookNode  # with outputs
    passed: set[str] = field(default_factory=set)  # grade ids of the checks that ran to their end
    reports: list[str] = field(default_factory=list)  # what the sandbox refused, limits that were passed
    layers: str = ""  # of the sandbox, as far as this machine has them
    seconds: float = 0.0


def execute(
    notebook: nbformat.NotebookNode,
    *,
    limits: Limits = USUAL,
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


class _Runner:
    """The kernel of one submission, and the next one when it is gone."""

    def __init__(self, limits: Limits, seed: int, caches: Path | None, keep: bool, done: Execution) -> None:
        self.limits, self.seed, self.caches, self.keep, self.done = limits, seed, caches, keep, done
        self.deadline = time.monotonic() + limits.seconds
        self.history: list[str] = []  # what is run again in a new kernel
        self.starts = 0
        self.kernel: Kernel | None = None

    def run(self, cell) -> list:
        """The outputs of a cell."""
        checks = is_check(cell)
        if not checks and (words := dict.fromkeys(LOOKS_INSIDE.findall(cell.source))):
            self.done.reports.append(f"{_name(cell)}: have a look at it, it has {', '.join(words)}")
        try:
            self._ready()
            if checks:
                self._kernel_run(BEFORE_A_CHECK)
                number = secrets.token_hex(8)
                passed = f'__import__("sys").audit("specbias.passed", "{number}", {_functions(cell.source)})'
                outputs = self._kernel_run(f"{cell.source}\n{passed}", history=False)
                outputs = self._judged(cell, outputs, number)
            else:
                outputs = self._kernel_run(cell.source)
        except Stopped as why:
            self.close()
            self.done.reports.append(f"{_name(cell)}: {why}")
            return [_error("Stopped", f"{why}; the part gets no points")]
        if any(output.get("ename") in MEMORY for output in outputs):  # whatever holds it, others need it
            self.close()
            self.done.reports.append(f"{_name(cell)}: it needs more memory than there is")
        elif not checks and not any(output.output_type == "error" for output in outputs):
            self.history.append(cell.source)
        return outputs

    def _kernel_run(self, source: str, *, history: bool = True) -> list:
        assert self.kernel is not None
        seconds = min(self.limits.cell_seconds, self.deadline - time.monotonic())
        return self.kernel.run(source, seconds, history=history)

    def _ready(self) -> None:
        """Have a kernel that has executed what was executed."""
        if time.monotonic() > self.deadline:
            raise Stopped(f"the notebook took longer than {self.limits.seconds:.0f} seconds in all")
        if self.kernel is None:
            if self.starts > self.limits.restarts:
                raise Stopped(f"the kernel was lost {self.starts} times")
            self.starts += 1
            self.kernel = Kernel(self.limits, self.seed, self.caches, self.keep)
            for source in self.history:
                self._kernel_run(source)

    def _judged(self, cell, outputs: list, number: str) -> list:
        """The outputs of a check; an error among them unless it ran to its end with nothing replaced."""
        said = self.kernel.said()
        start = f"replaced {number} "
        replaced = [line.removeprefix(start) for line in said if line.startswith(start)]
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
            self.done.layers = ", ".join(line[7:] for line in said if line.startswith("layers "))
            refused = dict.fromkeys(line for line in said if line.startswith("refused "))
            self.done.reports += [line for line in refused if line not in self.done.reports]
            self.kernel = None


def _functions(source: str) -> list[str]:
    """Names of the functions that a check defines for its own use."""
    return [part.name for part in ast.parse(source).body if isinstance(part, ast.FunctionDef)]


def _speaks_to_nbgrader(output) -> bool:
    """Whether nbgrader would read points from it: a warning is a failure there, a number partial credit."""
    return output.output_type == "execute_result" or output.get("name") == "stderr"


def _error(name: str, text: str):
    return new_output("error", ename=name, evalue=text, traceback=[f"{name}: {text}"])


def _name(cell) -> str:
    return part_name(cell) or "a cell of the submission's own"
