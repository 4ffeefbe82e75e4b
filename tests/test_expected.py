"""How long a chapter is expected to take here, and where that is told."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from specbias import expected
from specbias.rerun import main
from tiny_book import make_tiny_book

RECORDED = {
    "spectral-bias/a": {"wall_time": 100.0},
    "spectral-bias/b": {"wall_time": 20.0},
    "other/a": {"wall_time": 7.0},
}


@pytest.fixture
def measured(tmp_path, monkeypatch):
    """A chapter was measured on a machine twice as fast as this one."""
    (tmp_path / "benchmarks").mkdir()
    known = {"pace": 0.02, "seconds": {"spectral-bias": {"defaults": 30.0, "quick": 4.0}}}
    (tmp_path / "benchmarks" / "chapters.json").write_text(json.dumps(known))
    monkeypatch.setenv("SPECBIAS_RESULTS", str(tmp_path))
    monkeypatch.setattr(expected, "pace", lambda: 0.04)


def test_times_are_those_of_the_other_machine_by_the_ratio_of_both(measured):
    found = expected.expected_seconds("spectral-bias", RECORDED)
    assert found == pytest.approx({"defaults": 60.0, "quick": 8.0, "everything": 60.0 + 240.0})
    assert expected.expected_seconds("si-msnn", RECORDED) == {}


def test_nothing_is_told_where_nothing_was_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECBIAS_RESULTS", str(tmp_path))
    assert expected.expected_seconds("spectral-bias", {}) == {}


def test_list_and_run_tell_it(measured, tmp_path, monkeypatch):
    monkeypatch.chdir(make_tiny_book(tmp_path / "tiny"))
    listing = CliRunner().invoke(main, ["list"]).output
    assert "here about 60 s; 8.0 s with --preset quick; 60 s with --no-recorded" in listing
    done = CliRunner().invoke(main, ["run", "spectral-bias", "--output", "out"])
    assert done.exit_code == 0 and "about 60 s here" in done.stderr
