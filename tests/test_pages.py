"""Pages beside the chapters: what they get from the runs, and the scoreboard's filter in a browser."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from bs4 import BeautifulSoup

from browser import chromium_browser
from specbias.claims import REPORTS_KEY, VERDICTS, Claim, scoreboard_table
from specbias.pages import (
    fill_pages,
    points_table,
    recordings_table,
    status_table,
    story,
    times_table,
    verdict_bar,
)
from specbias.plots.story import two_halves

ROOT = Path(__file__).resolve().parents[1]
CLAIMS = [
    Claim("SB1", "spectral-bias", "A forum", "", "It is slow.", "15,000", "reproduced"),
    Claim("SB2", "spectral-bias", "A paper", "Fig. 2", "It is <slower>.", "twice", "differs"),
    Claim("MS1", "multistage", "A lecture", "", "It falls.", "1e-15", "reproduced"),
]


def report(name, verdict):
    return {"id": name, "published": "", "measured": "ours", "verdict": verdict, "figure": ""}


REPORTS = [report("SB1", "reproduced"), report("SB2", "partly")]


def executed(folder, name="spectral-bias", seconds=12.0):
    """A chapter's run with a scoreboard in it."""
    notebook = folder / f"{name}.ipynb"
    cells = [{"outputs": [{"metadata": {REPORTS_KEY: REPORTS}}]}]
    notebook.write_text(json.dumps({"cells": cells}))
    return SimpleNamespace(chapter=SimpleNamespace(name=name), notebook=notebook, seconds=seconds)


def test_comments_are_replaced_wherever_they_stand(tmp_path):
    book = tmp_path / "book"
    book.mkdir()
    (book / "index.md").write_text("# One\n\n<!-- verdicts -->\n\nAfter.\n")
    (book / "scoreboard.md").write_text("# Two\n\n<!-- scoreboard -->\n")
    (book / "other.md").write_text("# Three\n\n<!-- a comment -->\n")
    fill_pages(book, [executed(tmp_path)], CLAIMS)
    assert "1 reproduced" in (book / "index.md").read_text().split("After.")[0]
    assert "<table" in (book / "scoreboard.md").read_text()
    assert (book / "other.md").read_text() == "# Three\n\n<!-- a comment -->\n"


def test_the_bar_counts_every_claim_once():
    bar = BeautifulSoup(verdict_bar(CLAIMS, REPORTS), "html.parser")
    told = [part.get_text() for part in bar.select(".bar span")]
    assert [text.split(" ", 1)[1] for text in told] == ["1 reproduced", "1 partly", "1 not yet measured"]
    assert "3 claims" in bar.get_text() and bar.a["href"] == "scoreboard.html"


def test_status_adds_up_the_recorded_runs(tmp_path):
    recorded = {
        "spectral-bias/a": {"wall_time": 100.0, "started": "2026-11-22T10:00:00", "device": "cpu"},
        "spectral-bias/b": {"wall_time": 20.5, "started": "2026-11-24T10:00:00", "device": "cuda"},
        "multistage/a": {"wall_time": 9.0, "started": "2026-11-24T10:00:00", "device": "cpu"},
    }
    runs = [executed(tmp_path, "multistage", 3.0), executed(tmp_path), executed(tmp_path, "si-msnn")]
    own = executed(tmp_path, "own-data", 40.0)
    own.chapter.title = "Your own data"
    runs.insert(0, own)
    table = BeautifulSoup(status_table(runs, recorded), "html.parser")
    rows = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in table.select("tbody tr")]
    assert rows == [
        ["Spectral bias", "12 s", "2", "120 s", "2026-11-22 to 2026-11-24", "cpu, cuda"],
        ["Multistage networks", "3.0 s", "1", "9.0 s", "2026-11-24", "cpu"],
        ["Spectrum-informed networks", "12 s", "0", "–", "–", "–"],
        ["Your own data", "40 s", "0", "–", "–", "–"],
    ]
    assert f"numpy {np.__version__}" in table.p.get_text()


def test_times_of_chapters_are_those_that_were_measured():
    measured = json.loads((ROOT / "results" / "benchmarks" / "chapters.json").read_text())["seconds"]
    lines = [line for line in times_table().splitlines() if "{doc}" in line]
    told = {line.split("`")[1]: [float(cell.strip(" s")) for cell in line.split("|")[2:4]] for line in lines}
    assert set(told) == set(measured)
    for name, seconds in measured.items():
        np.testing.assert_allclose(told[name], [seconds["defaults"], seconds["quick"]], atol=0.5)


def test_points_of_assignments_are_those_of_their_cells():
    told = {line.split("|")[1].strip(): line.split("|")[2:4] for line in points_table().splitlines()[2:]}
    sources = [path for path in (ROOT / "assignments").glob("*.md") if path.name != "README.md"]
    assert len(told) == len(sources)
    for path in sources:
        text = path.read_text()
        title = re.search(r"^# (.+)$", text, re.MULTILINE)[1]
        checks = re.findall(r"^:nbgrader:.*points: ([\d.]+)", text, re.MULTILINE)
        words = re.findall(r'^\+\+\+ .*"points": ([\d.]+)', text, re.MULTILINE)
        assert [float(cell) for cell in told[title]] == [sum(map(float, found)) for found in (checks, words)]


def test_no_table_of_times_where_none_were_measured(monkeypatch, tmp_path):
    monkeypatch.setenv("SPECBIAS_RESULTS", str(tmp_path))
    assert times_table() == ""


def test_recorded_runs_are_told_and_linked():
    known = {
        "wall_time": 61.0, "started": "2026-11-22T10:00:00", "device": "cpu", "commit": "abc1234",
        "parameters": '{"a":"<1>"}', "command": "python -m specbias record spectral-bias/a",
    }  # fmt: skip
    table = BeautifulSoup(recordings_table({"spectral-bias/a": known}), "html.parser")
    assert table.a["href"] == "../_static/results/spectral-bias/a.nc"
    assert [cell.get_text() for cell in table.select("tbody td")] == ["2026-11-22", "61 s", "cpu", "abc1234"]
    unfolded = table.details.get_text()
    assert known["command"] in unfolded and known["parameters"] in unfolded and "processor" not in unfolded


def story_runs():
    epoch, amplitude = [0, 1, 10, 100], np.linspace(0, 1, 24).reshape(3, 4, 2)
    waves = xr.Dataset(
        {"amplitude": (("seed", "epoch", "wavenumber"), amplitude)}, {"epoch": epoch, "wavenumber": [4, 14]}
    )
    sizes = np.broadcast_to([2e-5, 2e-10, np.nan], (2, 3, 3))
    line = xr.Dataset(
        {"rms": (("variant", "seed", "stage"), sizes),
         "residue": (("variant", "left", "x"), np.full((2, 4, 5), 2.0))},
        {"variant": ["lecture, as published", "lecture, ours"]},
    )  # fmt: skip
    flow = xr.Dataset({"rms": (("variant", "seed", "stage"), [[[1e-9, 1e-17]]])}, {"variant": ["ours"]})
    return waves, line, flow


def test_the_story_shows_waves_and_stages():
    left, right = two_halves(*story_runs()).axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == [
        "4 oscillations",
        "14 oscillations",
    ]
    published, ours, flow, _ = right.get_lines()
    np.testing.assert_allclose(published.get_ydata(), [1, 1e-5, 1e-10])  # the target's size is 2
    np.testing.assert_allclose(flow.get_ydata(), [1, 1e-9, 1e-17])


def test_no_story_without_its_recordings(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECBIAS_RESULTS", str(tmp_path))
    assert story() == ""


@pytest.fixture(scope="module")
def page():
    with chromium_browser() as browser:
        tab = browser.new_page()
        tab.set_content(scoreboard_table(CLAIMS, REPORTS))
        yield tab


def shown(page):
    rows = page.locator("tbody tr:visible th").all_inner_texts()
    return rows, page.locator("output").inner_text()


def test_the_filter_hides_what_was_not_chosen_and_empty_chapters(page):
    everything = ["Spectral bias", "SB1", "SB2", "Multistage networks", "MS1"]
    assert shown(page) == (everything, "3 of 3 claims")
    page.get_by_label("Verdict").select_option("partly")
    assert shown(page) == (["Spectral bias", "SB2"], "1 of 3 claims")
    page.get_by_label("Source").select_option("A forum")
    assert shown(page) == ([], "0 of 3 claims")
    page.get_by_label("Verdict").select_option("all")
    assert shown(page) == (["Spectral bias", "SB1"], "1 of 3 claims")
    page.get_by_label("Source").select_option("all")
    assert shown(page)[0] == everything


def test_the_filter_offers_what_there_is(page):
    offered = page.get_by_label("Verdict").locator("option").all_inner_texts()
    assert set(offered) == {"all", "reproduced", "partly", VERDICTS[-1]}
    assert page.get_by_label("Source").locator("option").all_inner_texts()[1:] == [c.source for c in CLAIMS]
