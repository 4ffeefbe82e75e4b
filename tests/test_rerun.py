"""The command line: what it lists, refuses, executes and builds; faults are in test_faults.py."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner

from browser import chromium_browser
from site_checks import page_faults, served
from specbias.chapters import find_chapter, preset_values
from specbias.rerun import main
from tiny_book import CHAPTER, make_tiny_book


@pytest.fixture
def book(tmp_path, monkeypatch):
    for variable in ("SPECBIAS_RECORD", "SPECBIAS_RECORDED", "SPECBIAS_RESULTS"):
        monkeypatch.delenv(variable, raising=False)
    root = make_tiny_book(tmp_path / "tiny")
    monkeypatch.chdir(root / "book")  # any folder of the book will do
    return root


def specbias(*arguments):
    return CliRunner().invoke(main, arguments)


def outputs(notebook):
    cells = json.loads(notebook.read_text())["cells"]
    return "".join("".join(output.get("text", [])) for cell in cells for output in cell.get("outputs", []))


def test_list_shows_parameters_limits_and_presets(book):
    listing = specbias("list").output
    for expected in ("Waves", "count: int = 3", "1..100", "how many", "auto | cpu", "presets: quick"):
        assert expected in listing
    assert specbias("list", "--names").output == "spectral-bias\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-p", "zzz=3"], "no parameter 'zzz'; there are: count, rate, device, mode"),
        (["-p", "rate=0"], "rate=0: allowed is float in 0<.."),
        (["-p", "device=gpu"], "device='gpu': allowed is str, one of auto, cpu"),
        (["-p", "count"], "-p count: allowed is NAME=VALUE"),
        (["--device", "gpu"], "device='gpu': allowed is str, one of auto, cpu"),
        (["--preset", "qick"], "no preset 'qick'; did you mean quick?"),
        (["-f", "missing.yaml"], "missing.yaml cannot be read"),
        (["-f", "claims.yaml"], "claims.yaml: allowed are lines NAME: VALUE, not a list"),
    ],
)
def test_what_is_not_allowed_is_refused_in_one_line(book, arguments, expected):
    before = sorted(book.rglob("*"))
    result = specbias("run", "spectral-bias", *arguments, "--output", str(book / "new"))
    assert result.exit_code == 2
    assert expected in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert sorted(book.rglob("*")) == before, "nothing may be written"


def test_a_damaged_notebook_of_an_earlier_run_is_passed_over(book):
    for folder in ("executed", "runs/spectral-bias-12345678"):
        path = book / "_build" / folder / "spectral-bias.ipynb"
        path.parent.mkdir(parents=True)
        path.write_text('{"metadata": {"papermill"')
    listing = specbias("list")
    assert (listing.exit_code, listing.stderr) == (0, "")
    assert "the last run took" not in listing.output


def test_unknown_chapter_and_no_book(book, tmp_path, monkeypatch):
    result = specbias("run", "spectral-bais")
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "did you mean spectral-bias?" in result.stderr
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("specbias.provenance.__file__", str(tmp_path / "a" / "b" / "c.py"))
    result = specbias("list")
    assert result.exit_code == 2
    assert "not inside the book" in result.stderr


@pytest.mark.parametrize("default", ["0", "1.5", "range(3)"])
def test_a_default_that_breaks_its_own_declaration_is_named(book, default):
    (book / "book" / "spectral-bias.md").write_text(
        CHAPTER.replace("count: int = 3", f"count: int = {default}")
    )
    result = specbias("list")
    assert result.exit_code == 2
    assert "count" in result.stderr
    assert "spectral-bias.md" in result.stderr


def test_preset_is_overridden_by_file_and_file_by_option(book):
    (book / "mine.yaml").write_text("rate: 2\nmode: draw\n")
    result = specbias("run", "spectral-bias", "--preset", "quick", "-f", "../mine.yaml", "-p", "count=7")
    assert result.exit_code == 0, result.stderr
    (notebook,) = (book / "_build" / "runs").rglob("*.ipynb")
    assert notebook.name == "spectral-bias.ipynb"
    assert "waves: 14.0" in outputs(notebook)  # 7 of the option times 2.0 of the file
    assert str(notebook) in result.stdout
    assert "count=7, rate=2.0" in result.stderr


def test_one_html_file_works_without_network_and_shows_the_run(book):
    assert specbias("run", "spectral-bias", "-p", "count=9", "--html", "--output", "out").exit_code == 0
    page = book / "book" / "out" / "spectral-bias.html"
    text = page.read_text()
    assert "This run" in text
    with chromium_browser() as browser:
        faults = page_faults(browser, page.as_uri(), own=page.as_uri())
        tab = browser.new_page()
        tab.goto(page.as_uri())
        shown = tab.locator(".this-run").inner_text()
    assert [fault for fault in faults if "MB; allowed" not in fault] == []
    assert {"count", "9", "3"} <= set(shown.split())
    assert "rate" not in shown, "only what was changed"


def test_the_whole_book_is_one_file_and_a_pdf(book):
    done = specbias("print", "--output", "out")
    assert done.exit_code == 0, done.stderr
    page = book / "book" / "out" / "book.html"
    text = BeautifulSoup(page.read_text(), "html.parser").get_text()
    for part in ("waves: 1.5", "Tiny book", "There are three waves"):  # the chapter, a page, the scoreboard
        assert part in text, part
    with chromium_browser() as browser:
        faults = page_faults(browser, page.as_uri(), own=page.as_uri())
    assert [fault for fault in faults if "MB; allowed" not in fault] == []
    done = specbias("print", "--pdf", "--output", "out")
    assert done.exit_code == 0, done.stderr
    pdf = page.with_suffix(".pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and pdf.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 5, "each page of the book begins a new one"


def test_a_pdf_without_a_browser_says_what_to_install(book, monkeypatch):
    monkeypatch.setattr("specbias.singlepage.shutil.which", lambda name: None)
    done = specbias("print", "--pdf", "--output", "out")
    assert done.exit_code == 1
    assert "install one of: chromium" in done.stderr and len(done.stderr.splitlines()) == 2


def test_build_makes_the_site_and_repeats_only_what_changed(book):
    first = specbias("build", "--strict")
    assert first.exit_code == 0, first.stderr
    site = book / "_build" / "html"
    assert str(site / "index.html") in first.stdout
    assert "claim-SB1" in (site / "book" / "scoreboard.html").read_text()
    assert "✓ reproduced" in (site / "book" / "scoreboard.html").read_text()
    with served(site) as own, chromium_browser() as browser:
        assert page_faults(browser, f"{own}book/spectral-bias.html", own) == []

    notebook = book / "_build" / "executed" / "spectral-bias.ipynb"
    before = notebook.stat().st_mtime_ns
    assert "unchanged" in specbias("build").stdout
    assert notebook.stat().st_mtime_ns == before
    (book / "lib" / "specbias" / "models.py").write_text("# a change of the library\n")
    assert "unchanged" not in specbias("build").stdout
    assert notebook.stat().st_mtime_ns > before

    chapter = book / "book" / "spectral-bias.md"
    chapter.write_text(CHAPTER.replace('"draw"  #', '"fail"  #'))
    old = (site / "index.html").stat().st_mtime_ns
    failed = specbias("build")
    assert failed.exit_code == 1
    assert "told to fail" in failed.stderr
    assert (site / "index.html").stat().st_mtime_ns == old, "the old site stays until a new one is complete"


def test_strict_build_minds_verdicts_and_warnings(book):
    (book / "book" / "spectral-bias.md").write_text(CHAPTER.replace("count: int = 3", "count: int = 4"))
    lenient, strict = specbias("build"), specbias("build", "--strict")
    assert (lenient.exit_code, strict.exit_code) == (0, 1)
    expected = "SB1 came out as 'differs'; book/claims.yaml says 'reproduced'"
    assert expected in lenient.stderr
    assert expected in strict.stderr
    (book / "book" / "spectral-bias.md").write_text(CHAPTER + "\n{ref}`nowhere`\n")
    strict = specbias("build", "--strict")
    assert strict.exit_code == 1
    assert "undefined label" in strict.stderr


def test_record_needs_no_jupyter_and_no_click(tmp_path):
    """A bare server: torch, NumPy, SciPy, xarray and Numba, but nothing of Jupyter, no click, no netCDF4."""
    absent = [
        "click",
        "papermill",
        "jupytext",
        "nbformat",
        "IPython",
        "netCDF4",
        "h5netcdf",
        "yaml",
        "matplotlib",
        "dask",
    ]
    script = f"""
        import sys, types, importlib.util
        sys.modules.update(dict.fromkeys({absent!r}))
        find_spec = importlib.util.find_spec
        importlib.util.find_spec = lambda name, *a: None if name in {absent!r} else find_spec(name, *a)
        import numpy, xarray
        def squares(count, device="auto"):
            return xarray.Dataset({{"square": ("n", numpy.arange(count) ** 2.0)}})
        registry = types.ModuleType("specbias.experiments")
        registry.REGISTRY = {{"squares": types.SimpleNamespace(function=squares, parameters={{"count": 5}})}}
        sys.modules["specbias.experiments"] = registry
        from specbias.__main__ import record
        sys.exit(record(sys.argv[1:]))
    """

    def record(*arguments):
        environment = os.environ | {"SPECBIAS_RESULTS": str(tmp_path)}
        command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(script), *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    assert "not recorded" in record("--list").stdout
    done = record("squares", "-p", "count=3", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "squares: live" in done.stdout
    assert (tmp_path / "squares.nc").exists()
    assert "squares: recorded" in record("squares", "-p", "count=3").stdout
    assert "squares: live" in record("squares", "-p", "count=3", "--force").stdout
    wrong = record("cubes")
    assert wrong.returncode == 2
    assert "there are: squares" in wrong.stderr
    assert record("squares", "-p", "cuont=3").returncode == 2


def test_presets_are_checked_like_everything_else(book):
    chapter = find_chapter(book, "spectral-bias")
    assert preset_values(book, chapter, "quick") == {"count": 4, "rate": 0.1}
    (book / "params" / "quick" / "spectral-bias.yaml").write_text("coumt: 4\n")
    with pytest.raises(ValueError, match=r"quick/spectral-bias\.yaml: .*did you mean count"):
        preset_values(book, chapter, "quick")
