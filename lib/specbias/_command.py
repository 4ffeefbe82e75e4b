"""What the commands share: the book's folder, values from options, switches, and how a command ends."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from specbias._files import CannotWrite
from specbias.chapters import Chapter, ChapterFailed, file_values, preset_values
from specbias.expected import expected_seconds
from specbias.provenance import book_root, duration, portable_instructions


def root_folder() -> Path:
    """The book's folder; ValueError if there is none."""
    root = book_root()
    if root is None:
        raise ValueError(
            "this is not inside the book: no folder from here upwards has _toc.yml and lib/specbias"
        )
    return root


def chosen_values(
    root: Path, chapter: Chapter, preset: str | None, files: Sequence[Path], assignments: Sequence[str]
) -> dict:
    """Checked values: of the preset, over them those of the files, over them those of ``-p``."""
    values = preset_values(root, chapter, preset) if preset else {}
    for path in files:
        values |= file_values(chapter, path)
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ValueError(f"-p {assignment}: allowed is NAME=VALUE")
        values |= chapter.read({name.strip(): text})
    return values


def switches(recorded: bool | None, record: bool = False) -> dict[str, str]:
    """Environment variables that a chapter's kernel is told what to do by; None leaves what is set."""
    loading = {} if recorded is None else {"SPECBIAS_RECORDED": "yes" if recorded else "no"}
    return portable_instructions() | loading | ({"SPECBIAS_RECORD": "yes"} if record else {})


def build_switches(root: Path, recorded: bool | None) -> dict[str, str]:
    """The same for runs that the site shows: the data of live ones are kept, for readers to download."""
    return switches(recorded) | {"SPECBIAS_LIVE": str(root / "_build" / "executed")}


def as_text(value) -> str:
    """A value as it is written on the command line.

    Examples
    --------
    >>> as_text(True), as_text([5, 6]), as_text(0.5)
    ('true', '5,6', '0.5')
    """
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def announce(root: Path, chapter: Chapter, values: dict) -> None:
    """Say what is about to be run, and how long it took before or on the machine of the recordings."""
    from specbias.site import last_duration

    changed = ", ".join(f"{name}={as_text(value)}" for name, value in chapter.changed(values).items())
    before = last_duration(root, chapter, values)
    took = f"; the last run took {duration(before)}" if before else ""
    if not before and not changed and (here := expected_seconds(chapter.name, {})):
        took = f"; about {duration(here['defaults'])} here"
    click.echo(f"{chapter.name}: {changed or 'default parameters'}{took}", err=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What was asked for is wrong: one line that says what is allowed, exit code 2."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        click.echo(f"specbias: {' '.join(str(error).split())}", err=True)
        sys.exit(2)


@contextmanager
def interruptible(kept: str = "nothing unfinished was kept") -> Iterator[None]:
    """Ctrl-C ends the command with one line on what is left, exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        for name in ("asyncio", "distributed"):  # would tell of a kernel that died, of connections cut
            logging.getLogger(name).disabled = True
        click.echo(f"specbias: interrupted; {kept}", err=True)
        sys.exit(130)


@contextmanager
def clean_ending() -> Iterator[None]:
    """What was asked for went wrong, 1, was interrupted, 130, or proved to be impossible at once, 2."""
    from specbias.site import SiteFailed

    try:
        with interruptible():
            yield
    except ChapterFailed as error:
        click.echo(f"specbias: {error}\nspecbias: the notebook up to the error is {error.notebook}", err=True)
        sys.exit(1)
    except (SiteFailed, OSError, CannotWrite) as error:
        click.echo(f"specbias: {error}", err=True)
        sys.exit(2 if isinstance(error, CannotWrite) else 1)
