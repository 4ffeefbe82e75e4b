"""The assignments of the book: well formed, nothing told beforehand, every sample marked as it deserves.

The marks are those of ``make assignments`` and ``make grade SUBMISSIONS=_build/assignments/samples``. Where
that was not run, the tests on them are skipped, or fail under ``SPECBIAS_REQUIRE_GRADES=1``. The table of
samples in assignments/README.md is made by ``python tests/test_assignments.py --write``.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from specbias.chapters import chapters
from specbias.teaching.samples import samples
from specbias.teaching.sources import assignments, part_name
from specbias.teaching.submissions import read

ROOT = Path(__file__).resolve().parents[1]
GRADED = ROOT / "_build" / "assignments" / "graded"
ASSIGNMENTS = assignments(ROOT)
SAMPLES = [sample for one in ASSIGNMENTS for sample in samples(one, one.notebook)]
PAGE = ROOT / "assignments" / "README.md"
BEGIN, END = "<!-- samples: made by tests/test_assignments.py -->\n", "<!-- end of samples -->"
MARKED = re.compile(r"### BEGIN (SOLUTION|HIDDEN TESTS)\n(.*?)### END", re.DOTALL)

each = pytest.mark.parametrize("assignment", ASSIGNMENTS, ids=lambda one: one.name)


def test_every_chapter_with_claims_has_an_assignment_and_there_is_a_project():
    names = {chapter.name for chapter in chapters(ROOT)} - {"own-data"}
    assert {one.name for one in ASSIGNMENTS} == names | {"capstone"}


@each
def test_points_are_split(assignment):
    checks, words = assignment.points(read=False), assignment.points(read=True)
    assert len(checks) >= 5
    assert len(words) >= 2
    assert max(checks.values()) <= sum(checks.values()) / 3
    assert 15 <= sum(checks.values()) + sum(words.values()) <= 60
    assert all("SOLUTION" in cell.source for cell in assignment.notebook.cells if part_name(cell) in words)


@each
def test_wrong_solutions_are_of_several_kinds(assignment):
    wrong = [one for one in SAMPLES if one.assignment == assignment.name and one.says]
    checks = set(assignment.points(read=False))
    assert len(wrong) >= 3
    assert len({one.name for one in wrong}) == len(wrong)
    assert all(0 < len(one.fails) < len(checks) for one in wrong)


@each
def test_students_are_told_nothing(assignment, tmp_path):
    """No line of a solution or of a hidden check is handed out, unless it also stands elsewhere."""
    pytest.importorskip("nbgrader", reason="assignments need requirements-teach.txt")
    from specbias.teaching.course import Course

    handed_out = read(Course(tmp_path).add(assignment))
    given = "\n".join(MARKED.sub("", cell.source) for cell in assignment.notebook.cells)
    seen = "\n".join(cell.source for cell in handed_out.cells)
    secret = {
        line.strip()
        for cell in assignment.notebook.cells
        for _, text in MARKED.findall(cell.source)
        for line in text.splitlines()
        if len(line.strip()) > 8 and line.strip() not in given
    }
    assert len(secret) > 30
    assert [line for line in secret if line in seen] == []
    assert "BEGIN" not in seen
    assert not [cell for cell in handed_out.cells if cell.get("outputs")]


@each
def test_students_need_only_what_requirements_bring(assignment):
    pins = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in (ROOT / "requirements.txt").open()
    }
    known = packages_distributions()
    code = [cell.source for cell in assignment.notebook.cells if cell.cell_type == "code"]
    needs = {name for text in code for name in re.findall(r"^\s*(?:from|import) (\w+)", text, re.MULTILINE)}
    for name in needs - sys.stdlib_module_names - {"specbias"}:
        assert {re.sub(r"[-_.]+", "-", found).lower() for found in known[name]} & pins, name


@pytest.fixture(scope="module")
def parts() -> dict[tuple[str, str], dict[str, dict]]:
    """Rows of parts.csv by student and assignment, then by part."""
    path = GRADED / "parts.csv"
    sources = [file.stat().st_mtime for file in (ROOT / "assignments").rglob("*.*")]
    if not path.is_file() or path.stat().st_mtime < max(sources):
        lacks = (
            "no grades of today's: `make assignments && make grade SUBMISSIONS=_build/assignments/samples`"
        )
        (pytest.fail if os.environ.get("SPECBIAS_REQUIRE_GRADES") else pytest.skip)(lacks)
    found: dict[tuple[str, str], dict[str, dict]] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found.setdefault((row["student"], row["assignment"]), {})[row["part"]] = row
    return found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda one: f"{one.assignment}-{one.name}")
def test_a_sample_gets_the_marks_it_deserves(parts, sample):
    (assignment,) = (one for one in ASSIGNMENTS if one.name == sample.assignment)
    rows = parts[sample.name, sample.assignment]
    points = {part: float(rows[part]["points"]) for part in assignment.points(read=False)}
    deserved = {
        part: 0.0 if part in sample.fails else most for part, most in assignment.points(read=False).items()
    }
    messages = {part: rows[part]["message"] for part in sample.fails}
    assert points == deserved, messages
    assert sample.says in " ".join(messages.values())
    assert all(messages.values()), "a check that failed without a word"


@pytest.mark.parametrize(
    "sample", [one for one in SAMPLES if one.reports], ids=lambda one: f"{one.assignment}-{one.name}"
)
def test_harm_is_reported(parts, sample):
    assert (sample.name, sample.assignment) in parts
    kept = json.loads((GRADED / "executed" / sample.name / f"{sample.assignment}.json").read_text("utf-8"))
    assert sample.reports in "; ".join(kept["execution"]["reports"])


def table() -> str:
    """The table in assignments/README.md."""
    rows = [
        "| Assignment | Submission | What it does | Points of checks | Said or reported |",
        "|:--|:--|:--|--:|:--|",
    ]
    for one in SAMPLES:
        (assignment,) = (known for known in ASSIGNMENTS if known.name == one.assignment)
        points = assignment.points(read=False)
        got = sum(points.values()) - sum(points[part] for part in one.fails)
        what = one.mistake or (
            "As its author solves it." if one.name == "author" else "The same with other seeds."
        )
        told = "; ".join(filter(None, [one.says, one.reports]))
        cells = (one.assignment, one.name, what, f"{got:g} of {sum(points.values()):g}", told)
        rows.append(
            "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
        )
    return "\n".join(rows) + "\n"


def page_with_table() -> str:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


def test_the_table_of_samples_is_the_one_tested():
    assert PAGE.read_text("utf-8") == page_with_table(), (
        "make it anew: python tests/test_assignments.py --write"
    )


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_assignments.py --write")
    PAGE.write_text(page_with_table(), "utf-8")
