"""Grade a folder of submissions without a server: execute each in a sandbox, keep points, write feedback."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import nbformat

from specbias._files import whole_file
from specbias.parts import library_digest
from specbias.teaching.course import Course, Points
from specbias.teaching.execute import Execution, execute
from specbias.teaching.kernel import USUAL, Limits
from specbias.teaching.sources import Assignment, graded, is_check
from specbias.teaching.submissions import Submission, merged, read

GRADES = ("student", "assignment", "checks", "of_checks", "words", "of_words", "total", "of", "unread")
GRADES += ("reports", "seconds", "file")
PARTS = ("student", "assignment", "part", "points", "of", "message")
MARKS = ("student", "assignment", "part", "points", "of", "comment", "answer")


@dataclass
class Graded:
    """One submission with what it got."""

    submission: Submission
    execution: Execution
    points: dict[str, Points] = field(default_factory=dict)  # by part

    @property
    def messages(self) -> dict[str, str]:
        """What the failed checks said, by part."""
        return {
            cell.metadata.nbgrader.grade_id: next(
                (o.evalue or o.ename for o in cell.outputs if o.output_type == "error"), ""
            )
            for cell in self.execution.notebook.cells
            if is_check(cell)
        }

    @property
    def answers(self) -> dict[str, str]:
        """The answers in words, by part."""
        return {
            about.grade_id: cell.source for cell, about in graded(self.execution.notebook) if about.solution
        }


def grade(
    submissions: Sequence[Submission],
    folder: Path,
    *,
    marks: Path | None = None,
    limits: Limits = USUAL,
    seed: int = 0,
    workers: int = 1,
    progress: Callable[[str], None] = lambda text: None,
) -> list[Graded]:
    """Grade ``submissions``; grades.csv, parts.csv, answers.csv and the folder feedback go to ``folder``.

    A submission that was executed with the same source, seed and limits is not executed again.

    Parameters
    ----------
    marks : Path, optional
        ``answers.csv`` of an earlier grading with points (and comments) filled in.
    seed : int
        Of the checks' random inputs.
    workers : int
        Submissions at a time.
    progress : callable
        Told the name of each submission when it is done.

    Raises
    ------
    ValueError
        If ``marks`` cannot be read, names what is not there, or has points that are not allowed.
    """
    read_marks = _read_marks(marks, submissions) if marks else []
    course = Course(folder)
    for assignment in {
        submission.assignment.name: submission.assignment for submission in submissions
    }.values():
        course.add(assignment)
    done = []
    with ThreadPoolExecutor(workers) as pool:
        waiting = {
            pool.submit(_executed, submission, folder, limits, seed): submission for submission in submissions
        }
        try:
            for future in as_completed(waiting):
                done.append(Graded(waiting[future], future.result()))
                progress(f"{waiting[future].student}, {waiting[future].assignment.name}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    done.sort(key=lambda one: (one.submission.student, one.submission.assignment.name))
    for one in done:
        course.enter(one.submission.assignment.name, one.submission.student, one.execution.notebook)
    for row in read_marks:
        course.mark(row["assignment"], row["student"], row["part"], row["points"], row["comment"])
    for one in done:
        one.points = course.points(one.submission.assignment.name, one.submission.student)
        _agree(one)
    write_tables(done, folder)
    return done


def _executed(submission: Submission, folder: Path, limits: Limits, seed: int) -> Execution:
    """The execution of a submission, or the one that is kept from before."""
    source = submission.assignment.notebook
    if (found := _kept(submission, folder, limits, seed)) is not None:
        return found
    key, kept = _key(submission, limits, seed), _place(submission, folder)
    try:
        handed_in = read(submission.path)
    except ValueError as error:
        execution = _not_readable(source, str(error))
    else:
        execution = execute(merged(source, handed_in), limits=limits, seed=seed, caches=_caches(folder))
    kept.parent.mkdir(parents=True, exist_ok=True)
    stored = asdict(replace(execution, notebook=None, passed=sorted(execution.passed)))
    with whole_file(kept) as temporary:
        temporary.write_text(json.dumps({"key": key, "notebook": execution.notebook, "execution": stored}))
    return execution


def _key(submission: Submission, limits: Limits, seed: int) -> str:
    """Changes when anything does that decides about the result: both notebooks, the library, limits, seed."""
    parts = [path.read_bytes() for path in (submission.path, submission.assignment.path)]
    parts.append(repr((library_digest(), replace(limits, threads=1), seed)).encode())
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _place(submission: Submission, folder: Path) -> Path:
    return folder / "executed" / submission.student / f"{submission.assignment.name}.json"


def to_execute(
    submissions: Iterable[Submission], folder: Path, limits: Limits, seed: int
) -> list[Submission]:
    """Those of ``submissions`` that were not executed before, or have changed since."""
    return [one for one in submissions if _kept(one, folder, limits, seed) is None]


def _kept(submission: Submission, folder: Path, limits: Limits, seed: int) -> Execution | None:
    try:
        stored = json.loads(_place(submission, folder).read_text())
        if stored["key"] != _key(submission, limits, seed):
            return None
        fields = stored["execution"] | {
            "notebook": nbformat.from_dict(stored["notebook"]),
            "passed": set(stored["execution"]["passed"]),
        }
        return Execution(**fields)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _not_readable(source: nbformat.NotebookNode, why: str) -> Execution:
    """The source without answers, every check of which has failed because of ``why``."""
    empty = merged(source, nbformat.v4.new_notebook())
    for cell in empty.cells:
        if is_check(cell):
            cell.outputs = [nbformat.v4.new_output("error", ename="NotReadable", evalue=why, traceback=[why])]
    return Execution(empty, reports=[why])


def _agree(one: Graded) -> None:
    """The gradebook must say of the checks what the sandbox has said."""
    most = one.submission.assignment.points(read=False)
    wrong = [
        part
        for part in most
        if one.points[part].points != (most[part] if part in one.execution.passed else 0.0)
    ]
    if wrong:
        raise RuntimeError(
            f"{one.submission.path}: the gradebook and the sandbox disagree about {', '.join(wrong)}"
        )


def _read_marks(path: Path, submissions: Iterable[Submission]) -> list[dict]:
    """Rows of ``path`` with points filled in."""
    known = {(one.student, one.assignment.name): one.assignment.points(read=True) for one in submissions}
    rows = []
    try:
        with path.open(newline="") as file:
            found = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from None
    for number, row in enumerate(found, start=2):
        where = f"{path.name}, line {number}"
        if missing := set(MARKS[:4]) - set(row):
            raise ValueError(
                f"{where}: the column {sorted(missing)[0]} is missing; allowed is what answers.csv has"
            )
        if not (row["points"] or "").strip():
            continue
        most = known.get((row["student"], row["assignment"]), {}).get(row["part"])
        if most is None:
            raise ValueError(f"{where}: {row['student']} has no answer {row['part']} in {row['assignment']}")
        try:
            points = float(row["points"])
        except ValueError:
            points = -1.0
        if not 0 <= points <= most:
            raise ValueError(f"{where}: points is {row['points']!r}; allowed is a number from 0 to {most:g}")
        rows.append({**row, "points": points, "comment": row.get("comment") or ""})
    return rows


def write_tables(done: Sequence[Graded], folder: Path) -> None:
    """The grades, every part of them, the answers to be read, and a page for every student."""
    from specbias.teaching.feedback import page

    _write_csv(folder / "grades.csv", GRADES, [_row(one) for one in done])
    parts, answers = [], []
    for one in done:
        who = (one.submission.student, one.submission.assignment.name)
        for _, about in graded(one.execution.notebook):
            name, got = about.grade_id, one.points[about.grade_id]
            row = (*who, name, _blank(got.points), got.most)
            parts.append((*row, one.messages.get(name, "")))
            if name in one.answers:
                answers.append((*row, got.comment, one.answers[name]))
    _write_csv(folder / "parts.csv", PARTS, parts)
    _write_csv(folder / "answers.csv", MARKS, answers)
    for one in done:
        path = folder / "feedback" / one.submission.student / f"{one.submission.assignment.name}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_text(page(one), encoding="utf-8")


def _row(one: Graded) -> tuple:
    checks, words = (one.submission.assignment.points(read=read) for read in (False, True))
    got_checks = sum(one.points[part].points for part in checks)
    got_words = sum(one.points[part].points or 0.0 for part in words)
    of_checks, of_words = sum(checks.values()), sum(words.values())
    return (
        *(one.submission.student, one.submission.assignment.name),
        *(got_checks, of_checks, got_words, of_words, got_checks + got_words, of_checks + of_words),
        sum(one.points[part].points is None for part in words),
        "; ".join(one.execution.reports),
        f"{one.execution.seconds:.1f}",
        one.submission.path.name,
    )


def _blank(points: float | None):
    return "" if points is None else points


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([[_safe(value) for value in row] for row in rows])


def _safe(value):
    """No text that a spreadsheet would execute as a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value


def _caches(folder: Path) -> Path | None:
    """Compiled functions and fonts that every submission starts with; see :func:`warm`."""
    found = folder / "caches"
    return found if found.is_dir() and any(found.iterdir()) else None


def warm(
    wanted: Iterable[Assignment], folder: Path, *, progress: Callable[[str], None] = lambda text: None
) -> None:
    """Execute the sources once, so that submissions find compiled what they need.

    Raises
    ------
    ValueError
        If a source does not pass its own checks; nothing could be graded by it.
    """
    for assignment in wanted:
        source = assignment.notebook
        caches = folder / "caches"
        caches.mkdir(parents=True, exist_ok=True)
        done = execute(source, caches=caches, keep_caches=True)
        failed = assignment.points(read=False).keys() - done.passed
        if failed:
            said = Graded(Submission("source", assignment, assignment.path), done).messages
            raise ValueError(
                f"{assignment.path.name} fails its own checks: "
                + "; ".join(f"{name}: {said[name]}" for name in sorted(failed))
            )
        progress(assignment.name)
