"""Assignments: what checks say, what of a submission counts, what a sandbox stops, what is written."""

from __future__ import annotations

import csv
import io
import os
import socket
import sys
import time
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pandas
import psutil
import pytest
import torch
import xarray
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from specbias.rerun import main
from specbias.teaching import check, close, generator
from specbias.teaching.checks import SEED
from specbias.teaching.execute import execute
from specbias.teaching.kernel import Limits
from specbias.teaching.sources import Assignment, assignments, read_source
from specbias.teaching.submissions import find_submissions, merged, read

pytest.importorskip("nbgrader", reason="assignments need requirements-teach.txt")

SOURCE = """\
---
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# Means

Write `mean` and `spread`.

```{code-cell} ipython3
import numpy as np

from specbias.teaching import check, close, generator
```

```{code-cell} ipython3
:nbgrader: {grade_id: mean}

def mean(values):
    ### BEGIN SOLUTION
    return np.sum(values) / len(values)  # the secret of the mean
    ### END SOLUTION
```

```{code-cell} ipython3
:nbgrader: {grade_id: check-mean, points: 2}

close(mean([1.0, 3.0]), 2.0, name="the mean of 1 and 3", mistakes={"This is the sum.": 4.0})
### BEGIN HIDDEN TESTS
values = generator().standard_normal(7)
mistakes = {"This is the median.": np.median(values)}
close(mean(values), values.mean(), name="the mean of 7 numbers", mistakes=mistakes)
### END HIDDEN TESTS
```

```{code-cell} ipython3
:nbgrader: {grade_id: spread}

def spread(values):
    ### BEGIN SOLUTION
    return np.ptp(values)
    ### END SOLUTION
```

```{code-cell} ipython3
:nbgrader: {grade_id: check-spread, points: 3}

values = generator().standard_normal(5)
close(spread(values), max(values) - min(values), name="the spread")
```

Say why.

+++ {"nbgrader": {"grade_id": "why", "points": 4}}

### BEGIN SOLUTION
Because of the rubric.
### END SOLUTION
"""
SAMPLES = """\
- name: sums
  mistake: Does not divide.
  answers: {mean: "def mean(values):\\n    return np.sum(values)"}
  fails: [check-mean]
  says: This is the sum
- name: medians
  mistake: Takes the median, which is the mean of two numbers, too.
  answers: {mean: "def mean(values):\\n    return np.median(values)"}
  fails: [check-mean]
  says: This is the median
- name: deleted
  mistake: Deletes a check and writes another one anew.
  deletes: [check-spread]
  checks: {check-mean: "pass"}
  answers: {mean: "def mean(values):\\n    return 0.0", spread: "spread = len"}
  fails: all
"""


@pytest.fixture
def course(tmp_path, monkeypatch) -> Path:
    """A folder that looks like the book, with one assignment."""
    root = tmp_path / "book"
    (root / "lib" / "specbias").mkdir(parents=True)
    (root / "_toc.yml").write_text("")
    (root / "assignments" / "samples").mkdir(parents=True)
    (root / "assignments" / "means.md").write_text(SOURCE)
    (root / "assignments" / "samples" / "means.yaml").write_text(SAMPLES)
    monkeypatch.chdir(root)
    return root


def run(*arguments) -> str:
    """What the command line prints; AssertionError if it fails."""
    result = CliRunner().invoke(main, list(map(str, arguments)))
    assert result.exit_code == 0, result.output
    return result.output


def rows(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def check_cell(name: str, source: str):
    about = {"grade_id": name, "points": 1.0, "grade": True, "solution": False, "locked": True}
    return new_code_cell(source, metadata={"nbgrader": about | {"schema_version": 3, "task": False}})


# What checks say.


@given(arrays(np.float64, st.integers(1, 6), elements=st.floats(-1e6, 1e6)), st.floats(1.5e-6, 1e3))
def test_what_is_equal_is_close_and_what_is_off_by_more_is_not(values, off):
    close(values.tolist(), values, name="values")
    wrong = values + off * np.maximum(np.abs(values), 1.0)
    with pytest.raises(AssertionError, match="are not right"):
        close(wrong, values, name="values")


def test_a_check_takes_tensors_that_are_differentiated():
    close(torch.ones(3, requires_grad=True), np.ones(3), name="ones")
    check(torch.tensor([True, True]), "never")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "is a `return` missing"),
        ("2.0 seconds", "a str came"),
        ([2.0, 2.0], r"its shape is \(2,\), expected is \(\)"),
        (np.nan, "not a number"),
        (4.0, "this is the square"),
        (2.5, "off by 25%"),
    ],
)
def test_a_message_names_what_came(value, says):
    with pytest.raises(AssertionError, match=says):
        close(value, 2.0, name="the answer", mistakes={"this is the square": 4.0})


def test_an_object_that_is_equal_to_everything_is_not_a_number():
    class Equal:
        __eq__ = __le__ = __ge__ = lambda self, other: True
        __hash__ = None

    with pytest.raises(AssertionError, match="an? Equal came"):
        close(Equal(), 2.0, name="the answer")


class Spy:
    """Gives itself out for what it is compared with."""

    def __array__(self, *more, **named):
        frame = sys._getframe(1)
        while "expected" not in frame.f_locals:
            frame = frame.f_back
        return frame.f_locals["expected"]

    def __float__(self):
        return 2.0


SPIES = np.empty(1, object)
SPIES[0] = Spy()


@pytest.mark.parametrize("value", [Spy(), [Spy()], SPIES, (1.0, [Spy()]), type("Own", (np.ndarray,), {})(1)])
def test_an_object_cannot_look_for_the_right_answer(value):
    with pytest.raises(AssertionError, match="numbers are expected"):
        close(value, np.array([2.0]), name="the answer")


def test_tables_and_conditions_of_other_types_are_taken():
    close(pandas.Series([1.0, 2.0]), [1, 2], name="the answer")
    close(xarray.DataArray([[1.0]]), [[1]], name="the answer")
    check("text", "")
    check({1}, "")
    for condition in ("", None, {}):
        with pytest.raises(AssertionError, match="nothing came"):
            check(condition, "nothing came")


def test_the_checks_numbers_follow_the_graders_seed(monkeypatch):
    monkeypatch.setenv(SEED, "5")
    assert generator().integers(10**9) == np.random.default_rng(5).integers(10**9)


# What of a source and of a submission counts.


def test_a_source_is_what_nbgrader_wants(course):
    from nbgrader.nbgraderformat import MetadataValidator

    (assignment,) = assignments(course)
    MetadataValidator().validate_nb(assignment.notebook)
    assert assignment.title == "Means"
    assert assignment.points(read=False) == {"check-mean": 2.0, "check-spread": 3.0}
    assert assignment.points(read=True) == {"why": 4.0}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("check-spread, points: 3", "check-spread, points: 0", "points is 0"),
        ("grade_id: spread}", "grade_id: mean}", "there twice"),
        ("check-mean, points: 2", "check-mean, marks: 2", "'marks' is unknown"),
        (', "points": 4', "", "needs points"),
        (
            "    ### BEGIN SOLUTION\n    return np.ptp(values)\n    ### END SOLUTION",
            "    return 0",
            "spread: without ### BEGIN SOLUTION",
        ),
    ],
)
def test_an_ill_formed_source_is_named(course, old, new, says):
    path = course / "assignments" / "means.md"
    assert SOURCE.count(old) == 1
    path.write_text(SOURCE.replace(old, new))
    with pytest.raises(ValueError, match=says):
        read_source(path)


@given(st.data())
def test_whatever_is_handed_in_the_checks_are_the_sources(data):
    source = _source()
    cells = data.draw(st.lists(st.sampled_from(source.cells), max_size=12))
    broken = [_edited(cell, data.draw(st.sampled_from(["", "pass", cell.source]))) for cell in cells]
    handed_in = nbformat.from_dict({"cells": [*broken, new_code_cell("mine = 1")]})  # with ids there twice
    result = merged(source, handed_in)
    locked = [cell.source for cell in result.cells if not cell.metadata.get("nbgrader", {}).get("solution")]
    kept = [cell.source for cell in source.cells if not cell.metadata.get("nbgrader", {}).get("solution")]
    assert [text for text in locked if text in kept] == kept
    nbformat.validate(result)


def _edited(cell, text: str):
    copy = nbformat.from_dict(cell)
    copy.source = text
    return copy


def _source():
    import jupytext

    from specbias.teaching import sources

    notebook = jupytext.reads(SOURCE, fmt="md:myst")
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"
        if about := cell.metadata.get("nbgrader"):
            cell.metadata["nbgrader"] = sources._complete(Path("means.md"), cell, about)
    return notebook


def test_a_students_own_cells_stay_where_they_stood():
    source = _source()
    handed_in = nbformat.from_dict(source)
    handed_in.cells.insert(5, new_code_cell("helper = 1"))
    before = handed_in.cells[4].source
    found = [cell.source for cell in merged(source, handed_in).cells]
    assert found[found.index("helper = 1") - 1] == before


def test_submissions_are_found_as_platforms_pack_them(tmp_path):
    known = [Assignment(name, Path(f"{name}.md"), _source()) for name in ("means", "medians")]
    notebook = new_notebook(cells=[new_code_cell("1")])
    for place in (
        "ada/means.ipynb",
        "bob/week 3/medians (1).ipynb",
        "eve_means.ipynb",
        "Zoë Ångström/means.ipynb",
    ):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, tmp_path / place)
    notebook.metadata["specbias"] = {"assignment": "medians"}
    nbformat.write(notebook, tmp_path / "ada" / "renamed.ipynb")
    nbformat.write(notebook, tmp_path / "ada" / "renamed again.ipynb")
    os.utime(tmp_path / "ada" / "renamed.ipynb", (1, 1))
    (tmp_path / "bob" / "holiday.ipynb").write_text("{}")
    found, strange = find_submissions(tmp_path, known)
    assert {(one.student, one.assignment.name, one.path.name) for one in found} == {
        ("ada", "means", "means.ipynb"),
        ("ada", "medians", "renamed again.ipynb"),
        ("bob", "medians", "medians (1).ipynb"),
        ("eve", "means", "eve_means.ipynb"),
        ("Zoë-Ångström", "means", "means.ipynb"),
    }
    assert len(strange) == 2
    assert any("holiday.ipynb" in sentence for sentence in strange)
    assert any("is newer" in sentence for sentence in strange)


# What the sandbox stops. The last cell is a check that nothing but its own text decides about.

STUBBORN = """
while True:
    try:
        __import__("time").sleep(1)
    except BaseException:
        pass
"""
HOSTILE = {
    "endless": (["while True: pass"], "did not end"),
    "stubborn": ([STUBBORN], "did not end"),
    "exit": (["import os; os._exit(0)"], "ended the kernel"),
    "quit": (["exit()", "1 / 0"], ""),
    "print": (["while True: print('x' * 10_000, flush=True)"], "printed without end"),
    "print more than there is memory for": (["while True: print('x' * 10_000)"], ""),
    "memory": (["bytearray(10**12)"], "more memory than there is"),
    "hoard": (["kept = [0]\nwhile True: kept.append(bytearray(1 << 26))"], "more memory than there is"),
    "program": (["import subprocess; subprocess.run(['ls'])"], "refused another program"),
    "kill": (["import os; os.kill(os.getppid(), 9)"], "refused to stop other processes"),
    "network": (["import socket; socket.create_connection(('127.0.0.1', PORT), 2)"], "refused the network"),
    "read": (["open('SECRET').read()"], "refused to read"),
    "delete": (["import os; os.remove('SECRET')"], "refused to change"),
    "overwrite": (["open('SECRET', 'w')"], "refused to write"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_code_costs_its_own_part_and_harms_nothing(name, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden")
    with socket.create_server(("127.0.0.1", 0)) as server:
        sources, reported = HOSTILE[name]
        sources = [
            text.replace("SECRET", str(secret)).replace("PORT", str(server.getsockname()[1]))
            for text in sources
        ]
        cells = [
            new_code_cell("kept = 3"),
            *map(new_code_cell, sources),
            check_cell("later", "check(kept == 3, 'lost')"),
        ]
        done = execute(
            new_notebook(cells=cells), limits=Limits(cell_seconds=6, memory=1 << 30, output=1 << 14)
        )
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()
    assert done.passed == {"later"}
    assert any(output.output_type == "error" for output in done.notebook.cells[1].outputs)
    assert "audit hook" in done.layers
    assert any(reported in line for line in done.reports) or not reported
    assert secret.read_text() == "hidden"
    running = [" ".join(process.cmdline()) for process in psutil.Process().children(recursive=True)]
    assert not [line for line in running if "specbias.teaching.sandbox" in line]


CODE = """
from specbias.teaching import checks
checks.check.__code__ = (lambda condition, message: None).__code__
"""
CELLS = """
import ast
class Nothing(ast.NodeTransformer):
    def visit_Call(self, node):
        return ast.Constant(0)
get_ipython().ast_transformers.append(Nothing())
"""
IS_RIGHT = """
def is_right():
    check(answer() == 42, 'it is not 42')

answer()
is_right()
"""
CHEATS = {
    "replaces NumPy": "import numpy; numpy.all = lambda *parts: True",
    "replaces the code": CODE,
    "shadows": "isinstance = all = len = check = lambda *parts: True",
    "swallows errors": "get_ipython().set_custom_exc((Exception,), lambda *parts, **named: None)",
    "changes cells": CELLS,
    "leaves early": "def answer():\n    raise SystemExit",
    "prints": "print('passed')\ndef answer(): return None",
    "answers no audit": "import sys; sys.audit = lambda *parts: None",
    "replaces the library's": "import specbias.spectra\nspecbias.spectra.largest_modes = lambda *parts: None",
    "replaces close meanwhile": "def answer(): globals()['check'] = lambda *parts: None",
    "replaces the check's functions": "def answer(): globals()['is_right'] = lambda: None",
    "another builtin": "import builtins; builtins.AssertionError = type('Quiet', (Exception,), {})",
}  # fmt: skip


@pytest.mark.parametrize("name", CHEATS)
def test_a_check_cannot_be_made_to_pass_by_tricks(name):
    cells = [
        new_code_cell("def answer(): return 41"),
        new_code_cell(CHEATS[name]),
        check_cell("answer", IS_RIGHT),
    ]
    done = execute(new_notebook(cells=cells))
    assert done.passed == set()
    assert any(output.output_type == "error" for output in done.notebook.cells[2].outputs)


def test_a_look_inside_is_reported_and_costs_nothing():
    cells = [new_code_cell("import sys\nframe = sys._getframe(0)"), check_cell("later", "check(True, '')")]
    done = execute(new_notebook(cells=cells))
    assert done.passed == {"later"}
    assert "have a look at it, it has _getframe" in " ".join(done.reports)


def test_a_check_is_not_in_the_notebooks_history():
    cells = [
        new_code_cell("def answer(): return In"),
        check_cell("later", "assert 'later' not in str(answer())"),
    ]
    assert execute(new_notebook(cells=cells)).passed == {"later"}


def test_where_linux_has_it_not_even_c_code_reads_another_file(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden")
    code = f"import ctypes\nprint(ctypes.CDLL(None).open({str(secret)!r}.encode(), 0))"
    done = execute(new_notebook(cells=[new_code_cell(code)]))
    if "own files only" not in done.layers:
        pytest.skip("this machine has no Landlock")
    assert done.notebook.cells[0].outputs[0].text.strip() == "-1"


OUTLIVE = """
import ctypes, sys
libc = ctypes.CDLL(None)
command = (ctypes.c_char_p * 4)(sys.executable.encode(), b"-c", b"import time; time.sleep(59.25)", None)
for _ in range(COUNT):
    if libc.fork() == 0:
        libc.setsid()
        libc.execve(command[0], command, (ctypes.c_char_p * 1)(None))
        libc._exit(1)
__import__("time").sleep(2)
"""


@pytest.mark.parametrize(("count", "reported"), [(2, ""), (20, "more than 8 processes")])
def test_no_process_outlives_the_kernel(count, reported):
    cells = [new_code_cell("kept = 3"), new_code_cell(OUTLIVE.replace("COUNT", str(count)))]
    done = execute(new_notebook(cells=[*cells, check_cell("later", "check(kept == 3, 'lost')")]))
    if "own processes" not in done.layers:
        pytest.skip("this machine has no process namespaces")
    assert done.passed == {"later"}
    assert reported in " ".join(done.reports)
    assert not any("59.25" in " ".join(one.info["cmdline"] or ()) for one in psutil.process_iter(["cmdline"]))


def test_lost_kernels_are_replaced_only_so_often():
    cells = [new_code_cell("import os; os._exit(0)") for _ in range(4)]
    started = time.monotonic()
    done = execute(
        new_notebook(cells=[*cells, check_cell("last", "check(True, '')")]), limits=Limits(restarts=1)
    )
    assert done.passed == set()
    assert "lost 2 times" in " ".join(done.reports)
    assert time.monotonic() - started < 60


# What is written about it.


def test_the_students_version_has_no_solution_and_no_hidden_check(course):
    assert "5 points by checks, 4 for answers in words" in run("assignments")
    with zipfile.ZipFile(course / "_build" / "assignments" / "means.zip") as archive:
        assert sorted(archive.namelist()) == ["means/README.txt", "means/means.ipynb"]
        text = archive.read("means/means.ipynb").decode()
        handed_out = nbformat.read(io.StringIO(text), as_version=4)
    for secret in ("secret of the mean", "ptp", "rubric", "7 numbers", "BEGIN", "HIDDEN"):
        assert secret not in text
    assert "the mean of 1 and 3" in text
    assert sum("your answer goes here" in cell.source.lower() for cell in handed_out.cells) == 3


def test_samples_get_the_marks_they_deserve(course):
    run("assignments")
    samples = course / "_build" / "assignments" / "samples"
    (samples / "broken").mkdir()
    (samples / "broken" / "means.ipynb").write_text('{"cells": [')
    evil = nbformat.read(samples / "author" / "means.ipynb", as_version=4)
    for cell in evil.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "why":
            cell.source = "=HYPERLINK('x') <script>alert(1)</script>"
    (samples / "eve").mkdir()
    nbformat.write(evil, samples / "eve" / "means.ipynb")
    said = run("grade", samples, "--seed", 3)
    graded = course / "_build" / "assignments" / "graded"
    marks = {row["student"]: float(row["checks"]) for row in rows(graded / "grades.csv")}
    full = dict.fromkeys(("author", "author-other-seed", "eve"), 5)
    assert marks == {**full, "untouched": 0, "sums": 3, "medians": 3, "deleted": 0, "broken": 0}
    messages = {(row["student"], row["part"]): row["message"] for row in rows(graded / "parts.csv")}
    assert "This is the sum" in messages["sums", "check-mean"]
    assert "This is the median" in messages["medians", "check-mean"]
    assert "is not a notebook that can be read" in messages["broken", "check-mean"]
    assert "your answer goes here" in messages["untouched", "check-mean"]
    assert "answers are to be read" in said
    (answer,) = [row["answer"] for row in rows(graded / "answers.csv") if row["student"] == "eve"]
    assert answer.startswith("'=")
    page = (graded / "feedback" / "eve" / "means.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "7 numbers" not in page


def test_marks_of_a_reader_are_added_and_nothing_is_executed_twice(course):
    run("assignments")
    run("grade", course / "_build" / "assignments" / "samples")
    graded = course / "_build" / "assignments" / "graded"
    executed = {path: path.stat().st_mtime_ns for path in (graded / "executed").rglob("*.json")}
    table = rows(graded / "answers.csv")
    for row in table:
        row.update({"points": "3.5", "comment": "well said"} if row["student"] == "author" else {})
    marks = course / "marks.csv"
    with marks.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    said = run("grade", course / "_build" / "assignments" / "samples", "--marks", marks)
    assert "submissions, 0 of them to be executed\n" in said
    author = {row["student"]: row for row in rows(graded / "grades.csv")}["author"]
    assert (float(author["total"]), float(author["of"]), author["unread"]) == (8.5, 9, "0")
    assert "well said" in (graded / "feedback" / "author" / "means.html").read_text()
    assert {path: path.stat().st_mtime_ns for path in executed} == executed


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("author,means,why,5,4,,", "allowed is a number from 0 to 4"),
        ("author,means,why,much,4,,", "'much'"),
        ("nobody,means,why,1,4,,", "nobody has no answer why"),
    ],
)
def test_marks_that_are_not_allowed_are_named_before_anything_is_executed(course, line, says):
    run("assignments")
    marks = course / "marks.csv"
    marks.write_text(f"student,assignment,part,points,of,comment,answer\n{line}\n")
    samples = course / "_build" / "assignments" / "samples"
    result = CliRunner().invoke(main, ["grade", str(samples), "--marks", str(marks)])
    assert result.exit_code == 2
    assert says in result.output
    assert "line 2" in result.output
    assert not (course / "_build" / "assignments" / "graded" / "grades.csv").exists()


def test_a_source_that_fails_its_own_checks_grades_nobody(course):
    path = course / "assignments" / "means.md"
    run("assignments")
    path.write_text(SOURCE.replace("np.ptp(values)", "0.0"))
    result = CliRunner().invoke(main, ["grade", str(course / "_build" / "assignments" / "samples")])
    assert result.exit_code == 2
    assert "means.md fails its own checks: check-spread: the spread" in result.output


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["assignments", "modes"], "there is no assignment 'modes'; there are means"),
        (["grade", "nowhere"], "nowhere is not a folder"),
        (["grade", "lib"], "has no notebooks"),
        (["grade", "strange"], "nothing in strange could be graded"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(course, arguments, says):
    (course / "strange").mkdir()
    (course / "strange" / "holiday.ipynb").write_text("{}")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    lines = [
        line for line in result.output.strip().splitlines() if "holiday.ipynb: no assignment" not in line
    ]
    assert len(lines) == 1
    assert says in lines[0]


def test_a_notebook_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("specbias.teaching.submissions.LARGEST", 100)
    nbformat.write(new_notebook(cells=[new_markdown_cell("x" * 200)]), tmp_path / "large.ipynb")
    with pytest.raises(ValueError, match="without outputs"):
        read(tmp_path / "large.ipynb")
