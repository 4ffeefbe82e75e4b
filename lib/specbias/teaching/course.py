"""nbgrader's course folder: derive what students get, keep points in its gradebook.

nbgrader takes solutions and hidden checks out of a source, and its gradebook opens in its own form grader. It
does not execute anything here: :mod:`specbias.teaching.execute` has done so.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import nbformat

from specbias._files import whole_file
from specbias.teaching.sources import Assignment

READ_ME = """{title}

1. Install what the notebook needs, once (Python 3.11, 3.12 or 3.13), in the folder of the book:
       python -m pip install -r requirements.txt
   and something to open notebooks with, such as
       python -m pip install jupyterlab
2. Open {name}.ipynb, and write your answers where it says so. You may add cells.
3. Before you hand it in: Kernel, Restart Kernel and Run All Cells. Checks that you can see say what is wrong;
   others run when it is graded, with other numbers.
4. Hand in {name}.ipynb. Do not rename it.
"""


@dataclass(frozen=True)
class Points:
    """What a part of one submission got; None stands for not read yet."""

    points: float | None
    most: float
    comment: str = ""


class Course:
    """A folder that nbgrader understands.

    Parameters
    ----------
    folder : Path
        Where ``source``, ``release``, ``submitted``, ``autograded`` and ``gradebook.db`` are.
    """

    def __init__(self, folder: Path) -> None:
        from nbgrader.apps.api import NbGraderAPI
        from traitlets.config import Config

        self.folder = folder.resolve()
        (self.folder / "exchange").mkdir(parents=True, exist_ok=True)  # not used, but looked for
        config = Config()
        config.CourseDirectory.root = str(self.folder)
        config.CourseDirectory.course_id = "specbias"
        config.Exchange.root = str(self.folder / "exchange")
        config.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("your answer goes here")'}
        config.ClearSolutions.text_stub = "*Your answer goes here.*"
        config.Execute.enabled = config.ClearOutput.enabled = False
        # nbgrader starts alembic by its name; it is where this Python is, which need not be in the path.
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        logging.getLogger("traitlets").setLevel(logging.ERROR)
        self._api = NbGraderAPI(config=config)

    def add(self, assignment: Assignment) -> Path:
        """Derive the students' version of ``assignment``; its path."""
        name = assignment.name
        self._write(self.folder / "source" / name / f"{name}.ipynb", assignment.notebook)
        self._do(self._api.generate_assignment(name, force=True, create=True), name)
        released = self.folder / "release" / name / f"{name}.ipynb"
        notebook = nbformat.read(released, as_version=4)
        for cell in notebook.cells:  # they would tell which check a hidden one belongs to
            cell.get("outputs", []).clear()
        self._write(released, notebook)
        return released

    def enter(self, assignment: str, student: str, executed: nbformat.NotebookNode) -> None:
        """Put an executed submission into the gradebook."""
        self._write(self.folder / "submitted" / student / assignment / f"{assignment}.ipynb", executed)
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "Object of type", module="nbgrader"
            )  # SQLAlchemy's, of nbgrader's own
            self._do(
                self._api.autograde(assignment, student, force=True, create=True), f"{student}, {assignment}"
            )

    def points(self, assignment: str, student: str) -> dict[str, Points]:
        """What the gradebook has for a submission, by part."""
        with self._api.gradebook as book:
            submitted = book.find_submission_notebook(assignment, assignment, student)
            comments = {comment.name: comment.comment or "" for comment in submitted.comments}
            return {
                grade.name: Points(
                    None if grade.needs_manual_grade else grade.score,
                    grade.max_score,
                    comments.get(grade.name, ""),
                )
                for grade in submitted.grades
            }

    def mark(self, assignment: str, student: str, part: str, points: float, comment: str) -> None:
        """Enter what a person gave for an answer in words."""
        with self._api.gradebook as book:
            grade = book.find_grade(part, assignment, assignment, student)
            grade.manual_score, grade.needs_manual_grade = points, False
            book.find_comment(part, assignment, assignment, student).manual_comment = comment or None
            book.db.commit()

    def _write(self, path: Path, notebook: nbformat.NotebookNode) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            nbformat.write(notebook, temporary)

    def _do(self, done: dict, what: str) -> None:
        if not done["success"]:
            lines = [line.strip() for line in str(done.get("log") or done.get("error")).splitlines()]
            why = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)] or lines[-1:]
            raise ValueError(f"{what}: nbgrader refused it: {why[0]}")


def write_zip(path: Path, name: str, title: str, released: Path) -> None:
    """What a learning platform hands out: the students' notebook and how to begin."""
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(released, f"{name}/{name}.ipynb")
        archive.writestr(f"{name}/README.txt", READ_ME.format(name=name, title=title))


def release(folder: Path, wanted: Iterable[Assignment]) -> list[Path]:
    """Derive students' versions and archives of ``wanted`` into ``folder``; the archives' paths."""
    course = Course(folder)
    archives = []
    for assignment in wanted:
        released = course.add(assignment)
        archives.append(folder / f"{assignment.name}.zip")
        write_zip(archives[-1], assignment.name, assignment.title, released)
    return archives
