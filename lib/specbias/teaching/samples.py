"""Submissions that prove an assignment: the author's, nobody's, and mistakes that students make.

``assignments/samples/ASSIGNMENT.yaml`` lists wrong solutions; each says what it gets wrong, in which answers,
which checks it must fail, and what the message must say. Three more are made for every assignment: the
author's own solution, the same with every ``seed = 0`` another number, and the untouched students' version.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml

from specbias.teaching.sources import Assignment, part_name

MARKERS = re.compile(r"^ *### (BEGIN|END) SOLUTION *\n?", re.MULTILINE)
KEYS = {"name", "mistake", "answers", "fails", "says", "reports", "deletes", "adds", "checks"}


@dataclass(frozen=True)
class Sample:
    """One submission whose marks are known beforehand."""

    name: str
    assignment: str
    mistake: str  # what it does wrong; empty for the author's
    notebook: nbformat.NotebookNode
    fails: frozenset[str]  # the checks that it must fail; it must pass all others
    says: str = ""  # part of the message of one of them
    reports: str = ""  # part of what the grader must report


def samples(assignment: Assignment, released: nbformat.NotebookNode) -> list[Sample]:
    """All samples of an assignment.

    Raises
    ------
    ValueError
        If the file of wrong solutions names answers or checks that the assignment has not.
    """
    checks = frozenset(assignment.points(read=False))
    source = assignment.notebook
    found = [
        Sample("author", assignment.name, "", _with(source, {}), frozenset()),
        Sample("author-other-seed", assignment.name, "", _other_seed(source), frozenset()),
        Sample("untouched", assignment.name, "Handed in as it was handed out.", _with(released, {}), checks),
    ]
    path = assignment.path.parent / "samples" / f"{assignment.name}.yaml"
    entries = yaml.safe_load(path.read_text()) if path.is_file() else []
    return [*found, *(_read(path, entry, assignment, checks) for entry in entries)]


def _read(path: Path, entry: Mapping, assignment: Assignment, checks: frozenset[str]) -> Sample:
    where = f"{path.name}, {entry.get('name', '(no name)')}"
    if unknown := set(entry) - KEYS:
        raise ValueError(f"{where}: {sorted(unknown)[0]!r} is unknown; allowed are {', '.join(sorted(KEYS))}")
    fails = checks if entry.get("fails") == "all" else frozenset(entry.get("fails", ()))
    names = {
        cell.metadata["nbgrader"]["grade_id"]
        for cell in assignment.notebook.cells
        if "nbgrader" in cell.metadata
    }
    for given in (
        set(entry.get("answers", {})) | set(entry.get("checks", {})) | set(entry.get("deletes", ())) | fails
    ) - names:
        raise ValueError(
            f"{where}: {assignment.name} has no part {given!r}; allowed are {', '.join(sorted(names))}"
        )
    notebook = _with(
        assignment.notebook,
        entry.get("answers", {}) | entry.get("checks", {}),
        entry.get("deletes", ()),
        entry.get("adds"),
    )
    return Sample(
        entry["name"],
        assignment.name,
        entry["mistake"],
        notebook,
        fails,
        entry.get("says", ""),
        entry.get("reports", ""),
    )


def _with(
    notebook, changed: Mapping[str, str], deleted=(), added: str | None = None
) -> nbformat.NotebookNode:
    """A copy with some parts changed or left out, and with a cell of the student's own at the start."""
    copy = nbformat.from_dict(notebook)
    for cell in copy.cells:
        name = part_name(cell)
        cell.source = changed.get(name, MARKERS.sub("", cell.source))
    copy.cells = [cell for cell in copy.cells if part_name(cell) not in deleted]
    if added is not None:
        copy.cells.insert(0, nbformat.v4.new_code_cell(added))
    return copy


def _other_seed(notebook) -> nbformat.NotebookNode:
    """The author's, as by a student who chose other seeds."""
    copy = _with(notebook, {})
    for cell in copy.cells:
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = re.sub(r"\bseed = (\d+)", lambda found: f"seed = {int(found[1]) + 17}", cell.source)
    return copy


def write_samples(folder: Path, wanted: Iterator[tuple[Assignment, nbformat.NotebookNode]]) -> list[Sample]:
    """Write every sample as if a student of its name had handed it in: ``folder/NAME/ASSIGNMENT.ipynb``."""
    written = []
    for assignment, released in wanted:
        for sample in samples(assignment, released):
            path = folder / sample.name / f"{assignment.name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(sample.notebook, path)
            written.append(sample)
    return written
