"""The assignments' sources: notebooks as text, with solutions, checks and what nbgrader must know of cells.

A source says of a cell only what matters, and the rest follows:

========================  ==========================================  =======================================
cell                      metadata                                    it is
========================  ==========================================  =======================================
code                      ``nbgrader: {grade_id: rates}``             the student's own code
code                      ``nbgrader: {grade_id: ..., points: 2}``    a check, all of its points or none
text                      ``nbgrader: {grade_id: ..., points: 4}``    an answer in words, read by a person
========================  ==========================================  =======================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

FOLDER = "assignments"


@dataclass(frozen=True)
class Assignment:
    """One assignment: its name, where its source is, and the notebook with solutions."""

    name: str
    path: Path
    notebook: nbformat.NotebookNode

    @property
    def title(self) -> str:
        """The first heading."""
        return next(
            line[2:]
            for cell in self.notebook.cells
            for line in cell.source.splitlines()
            if line.startswith("# ")
        )

    def points(self, *, read: bool) -> dict[str, float]:
        """Points by grade id, of what a person must read or of what checks itself."""
        return {about.grade_id: about.points for _, about in graded(self.notebook) if about.solution == read}


def assignments(root: Path) -> list[Assignment]:
    """All assignments of the book in ``root``, chapters first, in the order of their file names' chapters.

    Raises
    ------
    ValueError
        If there is none, or a source is not well formed; says where and why.
    """
    paths = [path for path in sorted((root / FOLDER).glob("*.md")) if path.name != "README.md"]
    if not paths:
        raise ValueError(f"{root / FOLDER} has no assignments (.md)")
    return [Assignment(path.stem, path, read_source(path)) for path in paths]


def read_source(path: Path) -> nbformat.NotebookNode:
    """The notebook of a source, nbgrader's metadata complete; ValueError names a cell that is ill formed."""
    import jupytext

    notebook = jupytext.read(path)
    seen: set[str] = set()
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader")
        if about is None:
            continue
        name = about.get("grade_id")
        if not name or name in seen:
            raise ValueError(f"{path.name}: grade_id {name!r} is missing or there twice")
        seen.add(name)
        cell.metadata["nbgrader"] = _complete(path, cell, about)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "specbias": {"assignment": path.stem},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{path.stem}-{number}"
    return notebook


def _complete(path: Path, cell, about: dict) -> nbformat.NotebookNode:
    """All the keys that nbgrader wants, from the two that are written."""
    where = f"{path.name}, {about['grade_id']}"
    if unknown := set(about) - {"grade_id", "points"}:
        raise ValueError(f"{where}: {sorted(unknown)[0]!r} is unknown; allowed are grade_id, points")
    points = about.get("points")
    if points is None and cell.cell_type != "code":
        raise ValueError(f"{where}: an answer in words needs points")
    if points is not None and not points > 0:
        raise ValueError(f"{where}: points is {points}; allowed is a number above 0")
    if points is None and "### BEGIN SOLUTION" not in cell.source:
        raise ValueError(f"{where}: without ### BEGIN SOLUTION students would get nothing of this cell")
    solution = points is None or cell.cell_type != "code"
    complete = {"grade_id": about["grade_id"], "schema_version": 3, "task": False}
    complete |= {"solution": solution, "locked": not solution, "grade": points is not None}
    return nbformat.from_dict(complete | ({} if points is None else {"points": float(points)}))


def part_name(cell) -> str | None:
    """By which a part of an assignment is known; None for other cells."""
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def is_check(cell) -> bool:
    """Whether a cell is an automatic check of an assignment."""
    about = cell.metadata.get("nbgrader", {})
    return cell.cell_type == "code" and about.get("grade", False) and not about.get("solution", False)


def graded(notebook: nbformat.NotebookNode) -> Iterator[tuple]:
    """Cells that give points, each with what nbgrader knows of it."""
    for cell in notebook.cells:
        about = cell.metadata.get("nbgrader")
        if about and about.grade:
            yield cell, about
