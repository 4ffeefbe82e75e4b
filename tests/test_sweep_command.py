"""``specbias sweep``: what it refuses, runs, keeps, goes on with, and says at the end."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import types

import netCDF4
import psutil
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner

from browser import chromium_browser
from site_checks import page_faults
from specbias.chapters import find_chapter
from specbias.rerun import main
from specbias.site import fingerprint
from specbias.sweep.figures import scalar_plot
from specbias.sweep.process import Job, Processes, Result
from specbias.sweep.progress import Progress
from specbias.sweep.results import number, read_report
from specbias.sweep.workers import cores
from tiny_book import CHAPTER, make_tiny_book

COMMAND = [sys.executable, "-m", "specbias", "sweep", "spectral-bias"]

# Says when it is run, and where there is a file "hold" a run of two waves does not end.
OBSERVED = CHAPTER.replace(
    'print("waves:", count * rate)',
    """
import os
from pathlib import Path
with open("counter", "a") as file:
    print(count, file=file)
if count == 2 and Path("hold").exists():
    Path("waiting").write_text(str(os.getppid()))
    while Path("hold").exists():
        time.sleep(0.05)
print("waves:", count * rate)""",
)


@pytest.fixture
def book(tmp_path, monkeypatch):
    for variable in ("SPECBIAS_RECORD", "SPECBIAS_RECORDED", "SPECBIAS_RESULTS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(variable, raising=False)
    root = make_tiny_book(tmp_path / "tiny")
    (root / "book" / "spectral-bias.md").write_text(OBSERVED)
    monkeypatch.chdir(root / "book")
    return root


def sweep(*arguments):
    return CliRunner().invoke(main, ["sweep", "spectral-bias", *arguments])


def counts(book):
    """Which numbers of waves have been run, in order."""
    path = book / "book" / "counter"
    return path.read_text().split() if path.exists() else []


def held_sweep(book, *arguments):
    """A sweep of one and two waves whose second run waits; returns it and the process of that run."""
    (book / "book" / "hold").touch()
    command = [*COMMAND, "-g", "count=1,2", "--workers", "1", "--output", "out", *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    return process, waiting_run(book)


def waiting_run(book):
    """The process that runs the chapter which waits."""
    marker = book / "book" / "waiting"
    eventually(lambda: marker.exists() and marker.read_text())
    return psutil.Process(int(marker.read_text()))


def eventually(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def gone(process):
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def unfinished(folder):
    """Files that are neither a finished run nor one that failed."""
    return [path for path in folder.rglob("*") if ".part" in path.name]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "-g NAME=V1,V2 is missing"),
        (["-g", "count"], "-g count: allowed is NAME=V1,V2"),
        (["-g", "coumt=1,2"], "no parameter 'coumt'; did you mean count?"),
        (["-g", "count=1,2.5"], "count=2.5: allowed is int in 1..100"),
        (["-g", "count=1,0"], "count=0: allowed is int in 1..100"),
        (["-g", "count=1,"], "count=: allowed is int in 1..100"),
        (["-g", "rate=0.5,.5"], "-g rate=0.5,.5: the value 0.5 comes twice"),
        (["-g", "count=1", "-g", "count=2"], "-g count comes twice"),
        (["-g", "count=1,2", "-p", "count=3"], "count is set by -g and by -p"),
        (["-g", "widths=5,6"], "widths is a list; allowed is -g widths=[1,2],[3,4]"),
        (["-g", "count=1", "--preset", "qick"], "did you mean quick?"),
        (["-g", "count=1", "--workers", "0"], "--workers 0: allowed is 1 or more"),
        (["-g", "count=1", "--slurm"], "--slurm needs --workers N"),
        (["-g", "count=1", "--slurm", "--scheduler", "tcp://a:1"], "allowed is one of them"),
        (["-g", "count=1", "--slurm-option", "queue=short"], "without --slurm"),
        (["-g", "count=1", "--slurm", "--workers", "2", "--slurm-option", "short"], "allowed is KEY=VALUE"),
        (["-g", "count=1", "--output", "claims.yaml"], "is a file; allowed is a folder"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_line(book, arguments, expected):
    before = sorted(book.rglob("*"))
    result = sweep(*arguments)
    assert result.exit_code == 2
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(book.rglob("*")) == before, "nothing may be written"


def test_a_dry_run_shows_the_product_and_writes_nothing(book):
    before = sorted(book.rglob("*"))
    result = sweep("-g", "widths=[5,6],[7]", "-g", "count=1,2,3", "--preset", "quick", "--dry-run")
    assert result.exit_code == 0, result.stderr
    rows = [line.split()[:3] for line in result.stdout.splitlines()[1:]]
    assert rows == [[widths, count, "new"] for widths in ("5,6", "7") for count in "123"]
    assert "6 runs of spectral-bias (2 of widths times 3 of count)" in result.stderr
    assert sorted(book.rglob("*")) == before


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A sweep over two parameters of which half of the runs fail; its folder, result and lines."""
    root = make_tiny_book(tmp_path_factory.mktemp("sweep") / "tiny")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("SPECBIAS_RECORD", "SPECBIAS_RECORDED", "SPECBIAS_RESULTS"):
            patch.delenv(variable, raising=False)
        patch.chdir(root)
        result = sweep("-g", "mode=draw,fail", "-g", "count=3,40", "--workers", "2", "--output", "out")
    return root / "out", result


def test_a_failed_run_does_not_end_the_others(finished):
    folder, result = finished
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    lines = [line for line in result.stderr.splitlines() if " of 4 " in line]
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert sum("failed: mode=fail, count=" in line and "told to fail" in line for line in lines) == 2
    assert sum("done: mode=draw, count=" in line for line in lines) == 2
    names = sorted(path.name for path in folder.glob("*/*.ipynb"))
    assert names == ["spectral-bias.failed.ipynb"] * 2 + ["spectral-bias.ipynb"] * 2
    table = result.stdout.splitlines()
    assert table[0].split() == ["mode", "count", "state", "seconds", "SB1_verdict", "message"]
    assert table[3].split()[:3] == ["fail", "3", "failed"]
    assert unfinished(folder) == []


def test_the_table_has_every_number_word_and_verdict(finished):
    folder, _ = finished
    with open(folder / "sweep.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["mode"], row["count"], row["state"]) for row in rows] == [
        ("draw", "3", "done"), ("draw", "40", "done"), ("fail", "3", "failed"), ("fail", "40", "failed"),
    ]  # fmt: skip
    first, second, failed, _ = rows
    assert (float(first["total"]), first["total_text"]) == (1.5, "1.5")
    assert (float(second["share"]), second["share_text"]) == (0.4, "40% (1% to 40%)")
    assert (first["words_text"], "words" in first) == ("3 waves", False)
    assert second["count (reported)_text"] == "40", "a number that is called like a parameter"
    assert (first["SB1_measured"], first["SB1_verdict"], second["SB1_verdict"]) == (
        "3",
        "reproduced",
        "differs",
    )
    assert (failed["total"], failed["total_text"], failed["SB1_verdict"]) == ("", "", "")
    assert failed["message"] == "ArithmeticError: told to fail"
    assert (folder / failed["notebook"]).name == "spectral-bias.failed.ipynb"
    assert float(first["seconds"]) > 0
    assert failed["seconds"] == ""


def test_the_array_has_the_same_over_the_grid(finished):
    folder, _ = finished
    with netCDF4.Dataset(folder / "sweep.nc") as data:
        assert data["total"].dimensions == ("mode", "count")
        assert list(data["mode"][:]) == ["draw", "fail"]
        assert data["count"][:].tolist() == [3, 40]
        total = data["total"][:].filled(float("nan"))
        assert total[0].tolist() == [1.5, 20.0]
        assert (total[1] != total[1]).all(), "nan where the run failed"
        assert data["SB1_verdict"][:].tolist() == [["reproduced", "differs"], ["", ""]]
        assert data["state"][:].tolist() == [["done", "done"], ["failed", "failed"]]
        assert data.chapter == "spectral-bias"


def test_the_page_compares_all_runs_and_needs_nothing_else(finished):
    page = finished[0] / "comparison.html"
    soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")
    runs = soup.select_one("#runs table")
    assert [cell.text for cell in runs.select("thead th[scope=col]")] == [
        "mode", "count", "state", "time", "SB1", "message", "notebook",
    ]  # fmt: skip
    assert [cell.text for cell in runs.select("tbody td:nth-of-type(1)")] == [
        "done",
        "done",
        "failed",
        "failed",
    ]
    assert "told to fail" in runs.text
    assert "✓ reproduced" in runs.text
    multiples = soup.select_one("#figures table")
    assert [cell.text for cell in multiples.select("thead th")] == ["mode", "count=3", "count=40"]
    assert [cell.text for cell in multiples.select("tbody th")] == ["mode=draw", "mode=fail"]
    assert len(multiples.select("tbody tr:nth-of-type(1) svg")) == 2
    assert multiples.select("tbody tr:nth-of-type(2) svg") == []
    plots = [figure["aria-label"] for figure in soup.select("#numbers-that-vary svg[role=img]")]
    assert any(label.startswith("total against count. mode=draw, count=3: 1.5;") for label in plots)
    names = [element["id"] for element in soup.select("[id]")]
    assert len(names) == len(set(names))
    for row in soup.select("#all-that-the-chapter-reports tbody tr"):
        assert row.th["scope"] == "row"
    with chromium_browser() as browser:
        assert page_faults(browser, page.as_uri(), own=page.as_uri()) == []


def test_runs_share_the_threads_and_have_the_switches(book, monkeypatch):
    show = """
from specbias.training.threads import count as threads
for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
    print(library, os.environ[library + "_NUM_THREADS"])
print("threads", threads(), "recorded", os.environ["SPECBIAS_RECORDED"])
"""
    text = OBSERVED.replace('print("waves:"', f'{show}print("waves:"')
    (book / "book" / "spectral-bias.md").write_text(text)
    monkeypatch.setattr("specbias.sweep.plan.cores", lambda: 2)
    result = sweep("-g", "count=1,2", "--workers", "2", "--no-recorded", "--output", "out")
    assert result.exit_code == 0, result.stderr
    assert "2 at a time with 1 thread each" in result.stderr
    for notebook in (book / "book" / "out").glob("*/*.ipynb"):
        cells = json.loads(notebook.read_text())["cells"]
        printed = "".join("".join(o.get("text", [])) for cell in cells for o in cell.get("outputs", []))
        expected = "OMP 1\nMKL 1\nOPENBLAS 1\nNUMBA 1\nthreads 1 recorded no\n"
        assert expected in printed


def test_threads_are_never_more_than_processors_or_than_asked_for(book, monkeypatch):
    monkeypatch.setattr("specbias.sweep.plan.cores", lambda: 8)
    assert "3 at a time with 2 threads" in sweep("-g", "count=1,2,3", "--workers", "3", "--dry-run").stderr
    assert "2 at a time with 4 threads" in sweep("-g", "count=1,2", "--workers", "3", "--dry-run").stderr
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert "1 at a time with 1 thread each" in sweep("-g", "count=1,2", "--workers", "1", "--dry-run").stderr
    assert cores() >= 1


def test_after_a_kill_it_goes_on_where_it_was(book):
    process, run = held_sweep(book)
    second = sweep("-g", "count=1,2", "--output", "out")
    assert second.exit_code == 2
    assert "another sweep is writing into" in second.stderr
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    eventually(lambda: gone(run))
    assert counts(book) == ["1", "2"]
    (book / "book" / "hold").unlink()
    (done,) = (book / "book" / "out").glob("*/spectral-bias.ipynb")
    before = done.stat().st_mtime_ns

    again = sweep("-g", "count=1,2", "--output", "out")
    assert again.exit_code == 0, again.stderr
    assert counts(book) == ["1", "2", "2"]
    assert done.stat().st_mtime_ns == before
    assert "1 of them are done already" in again.stderr
    assert "2 of 2 done: count=2" in again.stderr
    assert unfinished(book / "book" / "out") == []

    larger = sweep("-g", "count=1,2,5", "--output", "out", "--dry-run")
    assert [line.split()[1] for line in larger.stdout.splitlines()[1:]] == ["stands", "stands", "new"]
    (book / "lib" / "specbias" / "models.py").write_text("# a change of the library\n")
    changed = sweep("-g", "count=1,2", "--output", "out", "--dry-run")
    assert [line.split()[1] for line in changed.stdout.splitlines()[1:]] == ["again", "again"]
    assert "2 of them made again: chapter, library" in changed.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_runs_and_keeps_what_is_done(book, number):
    process, run = held_sweep(book)
    kernels = run.children(recursive=True)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "the same command goes on" in stderr
    assert "Traceback" not in stderr
    eventually(lambda: all(map(gone, [run, *kernels])))
    folder = book / "book" / "out"
    assert len(list(folder.glob("*/*.ipynb"))) == 1
    assert unfinished(folder) == []


def test_what_a_library_is_not_called_counts_for_the_fingerprint(book):
    """The command's own files do not make a chapter out of date; a file elsewhere with such a name does."""

    def mark():
        return fingerprint(book, find_chapter(book, "spectral-bias"), {}, {})

    before, library = mark(), book / "lib" / "specbias"
    for folder, name in (("sweep", "report.py"), (".", "rerun.py")):
        (library / folder).mkdir(exist_ok=True)
        (library / folder / name).write_text("# a change\n")
    assert mark() == before
    (library / "training").mkdir()
    (library / "training" / "sweep.py").write_text("# a change\n")
    assert mark() != before


def test_a_book_that_differs_or_is_not_there_is_not_run(book):
    chapter = find_chapter(book, "spectral-bias")
    mark = fingerprint(book, chapter, {"count": 1}, {})
    place = ({"count": 1}, str(book / "out"), "run")
    other = Job(str(book), chapter.name, *place, mark[::-1])
    absent = Job(str(book / "elsewhere"), chapter.name, *place, mark)
    results = [Processes().run(job, lambda *_: None) for job in (other, absent)]
    assert [(result.state, result.message) for result in results] == [
        ("unfit", "differs"),
        ("unfit", "absent"),
    ]
    assert not (book / "out").exists()


def test_a_change_while_it_runs_ends_the_sweep(book, monkeypatch):
    monkeypatch.setattr("specbias.sweep.command.run_here", lambda *_: iter([(0, Result("unfit", "differs"))]))
    result = sweep("-g", "count=1", "--output", "out")
    assert result.exit_code == 2
    assert "has changed since the sweep began" in result.stderr


def test_a_run_whose_worker_is_killed_is_done_elsewhere(book):
    distributed = pytest.importorskip("distributed")
    (book / "book" / "hold").touch()
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        command = [*COMMAND, "-g", "count=1,2", "--scheduler", cluster.scheduler_address, "--output", "out"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        run = waiting_run(book)
        run.parent().kill()
        eventually(lambda: gone(run))
        (book / "book" / "hold").unlink()
        _, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stderr
    assert sorted(counts(book)) == ["1", "2", "2"]
    assert "2 of 2 done" in stderr
    assert len(list((book / "book" / "out").glob("*/spectral-bias.ipynb"))) == 2


def test_slurm_jobs_are_asked_for_as_the_options_say(book, monkeypatch):
    distributed = pytest.importorskip("distributed")
    asked = {}

    class SLURMCluster(distributed.LocalCluster):
        def __init__(self, **options):
            if "cores" not in options:
                raise ValueError("You must specify how much cores to use per job like ``cores=8``")
            asked.update(options)
            super().__init__(n_workers=0, processes=False, threads_per_worker=2, dashboard_address=":0")

        def scale(self, n=None, jobs=None):
            if jobs is not None:  # the base class calls this, too
                asked["jobs"] = jobs
            super().scale(n if jobs is None else 1)

    monkeypatch.setitem(sys.modules, "dask_jobqueue", types.SimpleNamespace(SLURMCluster=SLURMCluster))
    options = ["-g", "count=3", "--slurm", "--workers", "4", "--output", "out"]
    refused = sweep(*options)
    assert refused.exit_code == 2
    assert "--slurm-option: You must specify how much cores" in refused.stderr
    for option in ("cores=2", "memory=4GB", "walltime=00:30:00", "job_extra_directives=--gres=gpu:1"):
        options += ["--slurm-option", option]
    result = sweep(*options)
    assert result.exit_code == 0, result.stderr
    assert "1 of 1 done: count=3" in result.stderr
    assert asked.pop("job_extra_directives") == ["--gres=gpu:1"]
    assert asked == {"cores": 2, "memory": "4GB", "walltime": "00:30:00", "jobs": 4}


@pytest.mark.parametrize(
    ("module", "arguments"),
    [("dask_jobqueue", ["--slurm", "--workers", "2"]), ("distributed", ["--scheduler", "tcp://127.0.0.1:1"])],
)
def test_without_the_extra_it_says_what_to_install(book, monkeypatch, module, arguments):
    monkeypatch.setitem(sys.modules, module, None)
    result = sweep("-g", "count=1", *arguments, "--output", "out")
    assert result.exit_code == 2
    assert "pip install 'specbias[cluster]'" in result.stderr


def test_a_scheduler_that_does_not_answer_is_named(book, monkeypatch):
    distributed = pytest.importorskip("distributed")

    def refuse(*_, **__):
        raise OSError("Timed out")

    monkeypatch.setattr(distributed, "Client", refuse)
    result = sweep("-g", "count=1", "--scheduler", "tcp://127.0.0.1:1", "--output", "out")
    assert result.exit_code == 2
    assert "--scheduler tcp://127.0.0.1:1: no Dask scheduler answers there" in result.stderr


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_shows_bars_and_a_file_gets_lines(monkeypatch, terminal):
    shown = io.StringIO()
    shown.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", shown)
    progress = Progress(["stages=1", "stages=2"], total=3, done=1)
    progress.cells(0, 3, 12)
    progress.cells(1, 6, 12)
    progress.finished(1, Result("done", seconds=12.3))
    progress.finished(0, Result("failed", "ValueError: no"))
    progress.cells(0, 4, 12)  # comes late from another machine
    progress.close()
    text = shown.getvalue()
    assert ("stages=1:  25%" in text and "3/12" in text) == terminal
    assert ("stages=2:  50%" in text) == terminal
    lines = [line.split("\r")[-1].strip() for line in text.split("\n")]
    assert "2 of 3 done: stages=2 (12 s)" in lines
    assert "3 of 3 failed: stages=1 (ValueError: no)" in lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3", 3), ("-1.00", -1), ("−2", -2), ("131,074", 131074), ("4e-18", 4e-18), ("64%", 0.64), (".5", 0.5),
     ("988 (775 to 1225)", 988), ("7% (1% to 9%)", 0.07), ("inf", float("inf"))],
)  # fmt: skip
def test_numbers_are_read_as_chapters_write_them(text, expected):
    assert number(text) == expected


@pytest.mark.parametrize(
    "text", ["", "never", "3 s", "1 to 2", "10 in 1 of 3", "1,2", "32 × 32", "e5", "%", "."]
)
def test_words_are_no_numbers(text):
    assert number(text) != number(text)


def test_what_is_glued_is_read_whatever_its_type(tmp_path):
    glued = {
        "text": "'12'",
        "float": "0.25",
        "numpy": "np.float64(0.25)",
        "truth": "True",
        "array": "array([1])",
    }
    kind = "application/papermill.record/text/plain"
    outputs = [
        {"data": {kind: text}, "metadata": {"scrapbook": {"name": name}}} for name, text in glued.items()
    ]
    picture = {"data": {"image/png": "AAAA", "text/plain": "<Figure>"}, "metadata": {}}
    notebook = {"cells": [{"metadata": {}, "outputs": [*outputs, picture, picture]}]}
    (tmp_path / "run.ipynb").write_text(json.dumps(notebook))
    report = read_report(tmp_path / "run.ipynb")
    assert report.glued == {"text": "12", "float": "0.25", "numpy": "0.25", "truth": "True"}
    assert list(report.figures) == ["figure in cell 1", "figure in cell 1 (2)"]


def test_axes_are_logarithmic_where_values_span_decades(figures_without_warnings):
    grid = {"resolution": [32, 512, 8192], "seed": [0, 1], "device": ["cpu", "auto"]}
    points = [
        {"resolution": r, "seed": s, "device": d}
        for r in grid["resolution"]
        for s in (0, 1)
        for d in ("cpu", "auto")
    ]
    small = scalar_plot("error", grid, points, [float("nan"), *(10.0**-power for power in range(11))])
    ax = small.figure.axes[0]
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_xlabel()) == ("log", "log", "resolution")
    assert len(ax.get_lines()) == 4
    signed = scalar_plot("share", grid, points, [-1.0, *range(11)])
    assert signed.figure.axes[0].get_yscale() == "linear"
    assert "resolution=32, seed=0, device=cpu: -1" in signed.alt
