"""The commands ``specbias assignments`` and ``specbias grade``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from specbias._command import interruptible, one_line_errors, root_folder
from specbias._files import check_folder
from specbias.provenance import duration
from specbias.sweep.workers import cores

FOLDER = Path("_build") / "assignments"

ASSIGNMENTS_EXAMPLES = """\b
Examples:
  specbias assignments                         all of them, into _build/assignments
  specbias assignments multistage si-msnn      two of them
\b
For each: release/NAME/NAME.ipynb for the students, NAME.zip for a learning platform,
source/NAME/NAME.ipynb with the solutions, and samples/ to try the grading with:
  specbias grade _build/assignments/samples
"""

GRADE_EXAMPLES = """\b
Examples:
  specbias grade handed-in                     every notebook below handed-in/
  specbias grade handed-in --seed 7            the same checks with other numbers
  specbias grade handed-in --marks answers.csv with points for what you have read
\b
A submission lies at STUDENT/ASSIGNMENT.ipynb or is called STUDENT_ASSIGNMENT.ipynb.
Into --output go grades.csv, parts.csv, answers.csv (fill in points and comments, and
hand it to --marks), a page of feedback for each student, and gradebook.db for
nbgrader's own form grader. What was graded before and has not changed is not executed
again. Each submission runs in a process of its own with limits on time and memory,
without network, and on Linux without any file but its own: see assignments/README.md.
"""


@click.command(short_help="Make the students' versions of the assignments.", epilog=ASSIGNMENTS_EXAMPLES)
@click.argument("names", nargs=-1)
@click.option("--output", type=Path, metavar="DIR", help="Where to put them [default: _build/assignments].")
def assignments(names, output) -> None:
    """Derive students' notebooks and archives from the sources in assignments/."""
    with interruptible(), one_line_errors():
        _need_nbgrader()
        root, wanted = _wanted(names)
        folder = output or root / FOLDER
        check_folder(folder)
        from specbias.teaching.course import release
        from specbias.teaching.samples import write_samples
        from specbias.teaching.submissions import read

        for assignment, path in zip(wanted, release(folder, wanted), strict=True):
            click.echo(f"{path}  ({_points(assignment)})")
        shutil.rmtree(folder / "samples", ignore_errors=True)
        pairs = ((one, read(folder / "release" / one.name / f"{one.name}.ipynb")) for one in wanted)
        written = write_samples(folder / "samples", pairs)
        click.echo(f"{folder / 'samples'}  ({len(written)} submissions to try the grading with)")


@click.command(short_help="Grade a folder of submissions.", epilog=GRADE_EXAMPLES)
@click.argument("submissions", type=Path)
@click.option(
    "--output", type=Path, metavar="DIR", help="Where to put it [default: _build/assignments/graded]."
)
@click.option(
    "--marks", type=Path, metavar="FILE.csv", help="Points for answers in words: answers.csv, filled in."
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the checks' numbers.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    metavar="N",
    help="Submissions at a time [default: one for each core].",
)
@click.option(
    "--cell-seconds",
    type=click.FloatRange(1),
    default=60,
    show_default=True,
    help="Longest time for a cell.",
)
@click.option(
    "--memory", type=click.FloatRange(0.5), default=3, show_default=True, help="GiB for a submission."
)
def grade(submissions, output, marks, seed, workers, cell_seconds, memory) -> None:
    """Execute and grade every notebook below SUBMISSIONS, without a server."""
    with interruptible("what was graded is kept, and the same command goes on"), one_line_errors():
        _need_nbgrader()
        if sys.platform == "win32":
            raise ValueError("grading needs Linux or macOS; on Windows use WSL")
        from tqdm import tqdm

        from specbias.teaching import grade as grading
        from specbias.teaching.kernel import Limits
        from specbias.teaching.submissions import find_submissions

        root, known = _wanted(())
        folder = output or root / FOLDER / "graded"
        check_folder(folder)
        found, strange = find_submissions(submissions, known)
        for sentence in strange:
            click.echo(f"specbias: {sentence}", err=True)
        if not found:
            raise ValueError(f"nothing in {submissions} could be graded")
        workers = min(workers or cores(), len(found))
        limits = Limits(
            cell_seconds=cell_seconds,
            seconds=8 * cell_seconds,
            memory=int(memory * 2**30),
            threads=max(1, cores() // workers),
        )
        new = grading.to_execute(found, folder, limits, seed)
        used = {one.assignment.name: one.assignment for one in new}.values()
        first = f"; first the {len(used)} sources, which compiles what they use" if used else ""
        click.echo(f"{len(found)} submissions, {len(new)} of them to be executed{first}")
        with tqdm(total=len(used) + len(found), unit="notebook", disable=None) as bar:

            def done(name: str) -> None:
                bar.set_postfix_str(name)
                bar.update()

            grading.warm(used, folder, progress=done)
            graded = grading.grade(
                found, folder, marks=marks, limits=limits, seed=seed, workers=workers, progress=done
            )
        _summary(graded, folder)


def _summary(graded, folder: Path) -> None:
    """What was graded, whom to look at, and where it all is."""
    reported = [one for one in graded if one.execution.reports]
    unread = sum(points.points is None for one in graded for points in one.points.values())
    seconds = sum(one.execution.seconds for one in graded)
    click.echo(f"{len(graded)} submissions graded ({duration(seconds)} of execution)")
    click.echo(f"{len(reported)} of them have something to report{':' if reported else ''}")
    for one in reported:
        click.echo(
            f"  {one.submission.student}, {one.submission.assignment.name}: {one.execution.reports[0]}"
        )
    if unread:
        click.echo(
            f"{unread} answers are to be read: fill in a copy of {folder / 'answers.csv'}, pass it as --marks"
        )
    layers = {one.execution.layers for one in graded} - {""}
    click.echo(f"sandbox: {'; '.join(sorted(layers)) or 'nothing was executed'}")
    click.echo(folder / "grades.csv")


def _wanted(names):
    """The book's folder, and the assignments that are named, or all."""
    from specbias.teaching.sources import assignments as all_assignments

    root = root_folder()
    found = {one.name: one for one in all_assignments(root)}
    for name in names:
        if name not in found:
            raise ValueError(f"there is no assignment {name!r}; there are {', '.join(found)}")
    return root, [found[name] for name in names or found]


def _points(assignment) -> str:
    checks, words = (sum(assignment.points(read=read).values()) for read in (False, True))
    return f"{checks:g} points by checks, {words:g} for answers in words"


def _need_nbgrader() -> None:
    try:
        import nbgrader  # noqa: F401
    except ImportError:
        raise ValueError(
            "assignments need nbgrader: python -m pip install -r requirements-teach.txt"
        ) from None
