"""Find what students have handed in, and put their answers into the source again.

Only a student's answers are taken from what was handed in; checks and given code always are the source's. So
it does not matter what a submission has changed, deleted or copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from specbias.teaching.sources import Assignment, part_name

LARGEST = 20 << 20  # bytes of a notebook


@dataclass(frozen=True)
class Submission:
    """One notebook that was handed in."""

    student: str
    assignment: Assignment
    path: Path


def find_submissions(folder: Path, known: Iterable[Assignment]) -> tuple[list[Submission], list[str]]:
    """Submissions below ``folder``, and sentences about the files that cannot be placed.

    The student is the first folder below ``folder``, or, for a notebook that lies in it directly, what its
    name has beside the assignment's: ``ada/multistage.ipynb`` and ``ada_multistage.ipynb`` are both Ada's.
    The assignment is what the notebook says, or else what its name says. Of several notebooks of one student
    for one assignment the newest counts.

    Raises
    ------
    ValueError
        If ``folder`` is not a folder or has no notebook.
    """
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not a folder; allowed is a folder with notebooks (.ipynb) that were handed in"
        )
    known = {assignment.name: assignment for assignment in known}
    found: dict[tuple[str, str], Submission] = {}
    strange = []
    for path in sorted(folder.rglob("*.ipynb"), key=_modified):
        inside = path.relative_to(folder)
        if any(part.startswith(".") for part in inside.parts) or path.is_symlink():
            continue
        name = _assignment(path, known)
        if name is None:
            strange.append(f"{inside}: no assignment is known by this notebook or its name")
            continue
        student = _student(inside, name)
        if (student, name) in found:
            strange.append(
                f"{found[student, name].path.relative_to(folder)}: {inside} is newer and was graded instead"
            )
        found[student, name] = Submission(student, known[name], path)
    if not found and not strange:
        allowed = "STUDENT/ASSIGNMENT.ipynb or STUDENT_ASSIGNMENT.ipynb"
        raise ValueError(f"{folder} has no notebooks (.ipynb); allowed are {allowed}")
    return [found[key] for key in sorted(found)], strange


def _modified(path: Path) -> tuple[float, Path]:
    return path.stat().st_mtime, path


def _assignment(path: Path, known: dict[str, Assignment]) -> str | None:
    try:
        name = read(path).metadata["specbias"]["assignment"]
        if name in known:
            return name
    except (ValueError, KeyError, TypeError):
        pass
    return max((name for name in known if name in path.stem), key=len, default=None)


def _student(inside: Path, assignment: str) -> str:
    """A name that can be a folder's."""
    name = inside.parts[0] if len(inside.parts) > 1 else inside.stem.replace(assignment, "")
    return re.sub(r"[^\w.@-]+", "-", name).strip("-_.") or "unknown"


def read(path: Path) -> nbformat.NotebookNode:
    """A notebook in the format of today; ValueError says why it cannot be read."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} has more than {LARGEST >> 20} MB; hand it in without outputs")
    try:
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if not isinstance(cell.source, str) or cell.cell_type not in ("code", "markdown", "raw"):
                raise ValueError("a cell is neither code nor text")
    except Exception as error:  # what a broken file raises depends on where it is broken
        raise ValueError(f"{path.name} is not a notebook that can be read ({type(error).__name__})") from None
    return notebook


def merged(source: nbformat.NotebookNode, handed_in: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The source with the answers of ``handed_in``, and with its additional cells where they stood.

    An answer that is not there is empty. Of cells that claim to be the same answer the first counts.
    """
    answers, extra = _sorted_out(source, handed_in.cells)
    result = nbformat.from_dict(source)
    cells = list(extra.get(None, ()))
    for cell in result.cells:
        name = part_name(cell)
        if cell.metadata.get("nbgrader", {}).get("solution"):
            cell.source = answers.get(name, "")
        cells.append(cell)
        cells += extra.get(cell.id, ())
    result.cells = cells
    for number, cell in enumerate(result.cells):
        cell["id"] = f"cell-{number}"
    return result


def _sorted_out(source: nbformat.NotebookNode, cells: Sequence) -> tuple[dict[str, str], dict]:
    """Answers by grade id, and additional code by the id of the source's cell that it follows."""
    places = {
        cell.metadata["nbgrader"]["grade_id"]: cell for cell in source.cells if "nbgrader" in cell.metadata
    }
    given = {cell.source.strip(): cell for cell in source.cells if "nbgrader" not in cell.metadata}
    answers: dict[str, str] = {}
    extra: dict[str | None, list] = {}
    last = None
    for cell in cells:
        about = cell.metadata.get("nbgrader")
        name = about.get("grade_id") if isinstance(about, dict) else None
        place = places.get(name) if isinstance(name, str) else None
        if place is None:
            place = given.get(cell.source.strip())
        elif place.metadata["nbgrader"]["solution"] and name not in answers:
            answers[name] = cell.source
        if place is not None:
            last = place.id
        elif cell.cell_type == "code" and cell.source.strip():
            extra.setdefault(last, []).append(nbformat.v4.new_code_cell(cell.source))
    return answers, extra
