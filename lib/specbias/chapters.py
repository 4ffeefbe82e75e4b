"""Chapters: which there are, which parameters they take, and running one.

A chapter is a ``book/*.md`` whose header names a kernel; its knobs are those of :mod:`specbias.parameters`.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import json
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from specbias._files import finish, sole_writer
from specbias.parameters import TYPES, Parameter

__all__ = [
    "Chapter",
    "ChapterFailed",
    "chapters",
    "execute",
    "file_values",
    "find_chapter",
    "preset_values",
    "stoppable",
]

# The kernel's own messages are not the chapter's, and kernels side by side would wait for one history file.
KERNEL_OPTIONS = ["--log-level=CRITICAL", "--HistoryManager.enabled=False"]


@dataclass(frozen=True)
class Chapter:
    """A chapter's source and its declared parameters."""

    path: Path  # book/<name>.md
    title: str
    parameters: dict[str, Parameter]

    @property
    def name(self) -> str:
        """What the chapter is called on the command line."""
        return self.path.stem

    def read(self, values: Mapping, source: str = "") -> dict:
        """Check names, types and values; ValueError says what came, what is allowed and the nearest name."""
        prefix = f"{source}: " if source else ""
        checked = {}
        for name, value in values.items():
            if name not in self.parameters:
                raise ValueError(f"{prefix}{self.name} has no parameter {_nearest(name, self.parameters)}")
            try:
                checked[name] = self.parameters[name].read(value)
            except ValueError as error:
                raise ValueError(f"{prefix}{error}") from None
        return checked

    def changed(self, values: Mapping) -> dict:
        """Those of ``values`` that are not the defaults."""
        return {name: value for name, value in values.items() if value != self.parameters[name].default}

    def run_id(self, values: Mapping) -> str:
        """The chapter's name and eight hexadecimal digits of its changed parameters."""
        text = json.dumps(self.changed(values), sort_keys=True)
        return f"{self.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


class ChapterFailed(Exception):
    """A cell raised an error or the kernel died; ``notebook`` is what there was until then.

    The message is one line.
    """

    def __init__(self, message: str, notebook: Path):
        super().__init__(message)
        self.notebook = notebook


def chapters(root: Path) -> list[Chapter]:
    """Every chapter of the book, by name."""
    return [_chapter(path) for path in _sources(root).values()]


def find_chapter(root: Path, name: str) -> Chapter:
    """The chapter called ``name``, or ValueError with the nearest name."""
    known = _sources(root)
    if name not in known:
        raise ValueError(f"there is no chapter {_nearest(name, known)}")
    return _chapter(known[name])


def preset_values(root: Path, chapter: Chapter, preset: str) -> dict:
    """The checked values of ``params/<preset>/<chapter>.yaml``; ValueError names the presets there are."""
    path = root / "params" / preset / f"{chapter.name}.yaml"
    if not path.is_file():
        known = sorted(other.parent.name for other in root.glob(f"params/*/{chapter.name}.yaml"))
        raise ValueError(f"{chapter.name} has no preset {_nearest(preset, known)}")
    return file_values(chapter, path)


def file_values(chapter: Chapter, path: Path) -> dict:
    """The checked values of a YAML file."""
    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(values or {}, dict):
        raise ValueError(f"{path}: allowed are lines NAME: VALUE, not a {type(values).__name__}")
    return chapter.read(values or {}, source=str(path))


def execute(
    chapter: Chapter, values: Mapping, output: Path, environment: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> float:  # fmt: skip
    """Run ``chapter`` with ``values`` into the notebook ``output`` and return the wall time in seconds.

    ``output`` appears, complete, only when every cell has run. A cell that fails or a kernel that dies raises
    ChapterFailed and leaves ``<name>.failed.ipynb`` beside it; an interrupt raises KeyboardInterrupt and a
    full disk OSError, and both leave nothing. CannotWrite, before anything is computed, if the folder cannot
    be written to or another run is writing ``output``.
    ``progress`` is called with the number of cells done and of all; without it a terminal shows a bar.
    """
    import jupytext
    import papermill

    failed = output.with_suffix(".failed.ipynb")
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # it would say in its own words what we say
    with sole_writer(output) as partial, _kernel_environment(environment or {}):
        text = jupytext.read(chapter.path)
        jupytext.write(text, partial)
        total = len(text.cells) + bool(values)  # papermill adds a cell with the values
        try:
            with stoppable():
                notebook = papermill.execute_notebook(
                    partial,  # read once, at the beginning
                    partial,
                    parameters=dict(values),
                    kernel_name="python3",
                    cwd=chapter.path.parent,
                    progress_bar=progress is None and sys.stderr.isatty(),
                    start_timeout=120,
                    extra_arguments=KERNEL_OPTIONS,
                    on_cell_executed=_counting(progress, total),
                )
            finish(partial, output)
        except papermill.PapermillExecutionError as error:
            if error.ename == "KeyboardInterrupt":
                raise KeyboardInterrupt from None
            finish(partial, failed)
            reason = " ".join(str(error.evalue).split())
            raise ChapterFailed(f"{chapter.name}: {error.ename}: {reason}", failed) from None
        except RuntimeError as error:  # the kernel's death, or it did not start
            finish(partial, failed)
            reason = " ".join(str(error).split())
            raise ChapterFailed(f"{chapter.name}: {reason}; usually the memory is used up", failed) from None
    failed.unlink(missing_ok=True)
    return notebook.metadata.papermill.duration


@contextmanager
def _kernel_environment(environment: Mapping[str, str]) -> Iterator[None]:
    """What a kernel inherits: this environment's kernel, not one of the user's, and our switches."""
    before = dict(os.environ)
    own = {"JUPYTER_PREFER_ENV_PATH": "1", "JUPYTER_PATH": f"{sys.prefix}/share/jupyter", "PYTHONUTF8": "1"}
    own["SPECBIAS_PANELS"] = "no"  # nobody is there to press a button, nor will be in the executed copy
    os.environ.update(own, **environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _counting(progress: Callable[[int, int], None] | None, total: int) -> Callable | None:
    """What nbclient is to call after a cell of code."""
    return progress and (lambda cell, cell_index, execute_reply: progress(cell_index + 1, total))


@contextmanager
def stoppable() -> Iterator[None]:
    """Ctrl-C and a polite kill both raise KeyboardInterrupt, whatever the error they cause further down."""
    stopped = []

    def stop(*_):
        stopped.append(True)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Exception:
        if stopped:
            raise KeyboardInterrupt from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sources(root: Path) -> dict[str, Path]:
    """Chapters' texts by name."""
    pages = sorted((root / "book").glob("*.md"))
    header = re.compile(r"---\n(?:.*\n)*?kernelspec:")
    return {path.stem: path for path in pages if header.match(path.read_text("utf-8"))}


def _chapter(path: Path) -> Chapter:
    import jupytext
    import papermill

    found = papermill.inspect_notebook(jupytext.read(path))
    title = re.search(r"^# (.+)$", path.read_text("utf-8"), re.MULTILINE)
    parameters = {name: _parameter(path.name, **entry) for name, entry in found.items()}
    return Chapter(path, title.group(1).strip() if title else path.stem, parameters)


def _parameter(chapter: str, name: str, inferred_type_name: str, default: str, help: str) -> Parameter:
    """What papermill read from the parameters cell; the default must obey its own declaration."""
    try:
        value = ast.literal_eval(default)
    except (SyntaxError, ValueError):
        raise ValueError(
            f"{chapter}: the default {default} of {name} is not a plain value on one line"
        ) from None
    kind = inferred_type_name.replace(" ", "")
    if kind not in TYPES:
        raise ValueError(f"{chapter}: {name} has type {kind or 'none'}; allowed: {', '.join(TYPES)}")
    parameter = Parameter(name, kind, value, help.strip())
    try:
        return Parameter(name, kind, parameter.read(value), help.strip())
    except ValueError as error:
        raise ValueError(f"{chapter}: the default {error}") from None


def _nearest(name: str, known) -> str:
    """``'epoch'; did you mean epochs?`` or what there is."""
    nearest = difflib.get_close_matches(str(name), list(known), n=1)
    listing = ", ".join(known) if known else "none"
    return f"{name!r}; did you mean {nearest[0]}?" if nearest else f"{name!r}; there are: {listing}"
