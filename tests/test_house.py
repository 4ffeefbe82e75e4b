"""The repository as a whole: pins, licences, chapters and their notebooks, nothing from other hosts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from specbias.chapters import chapters, preset_values

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = chapters(ROOT)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")]


def test_every_requirement_is_pinned_and_the_library_comes_last():
    assert PINS[-1] == "-e ."
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in PINS[:-1])


def test_the_pins_are_within_the_bounds_of_pyproject():
    pinned = {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower(): pin.split("==")[1] for pin in PINS[:-1]}
    extras = PROJECT["optional-dependencies"]
    for bound in map(Requirement, PROJECT["dependencies"] + extras["book"] + extras["test"]):
        version = pinned[re.sub(r"[-_.]+", "-", bound.name).lower()]
        assert bound.specifier.contains(version), f"{bound} does not allow {version}"


def test_what_assignments_need_is_pinned_beyond_the_books_pins():
    lines = (ROOT / "requirements-teach.txt").read_text().splitlines()
    first, *pins = [line for line in lines if not line.startswith("#")]
    assert first == "-r requirements.txt"
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins)
    names = {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower(): pin.split("==")[1] for pin in pins}
    assert not names.keys() & {re.sub(r"[-_.]+", "-", pin.split("==")[0]).lower() for pin in PINS[:-1]}
    for bound in map(Requirement, PROJECT["optional-dependencies"]["teach"]):
        assert bound.specifier.contains(names[bound.name])


def test_contents_name_files_that_exist():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    pages = [entry["file"] for part in contents["parts"] for entry in part["chapters"]]
    listed = [contents["root"], *pages]
    assert [page for page in listed if not (ROOT / f"{page}.md").is_file()] == []
    assert {f"book/{chapter.name}" for chapter in CHAPTERS} <= set(listed)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.name)
def test_chapter_has_parameters_presets_and_a_notebook_without_outputs(chapter):
    assert {"device", "dtype"} & set(chapter.parameters)
    assert all(parameter.description for parameter in chapter.parameters.values())
    for preset in ("quick", "paper"):
        preset_values(ROOT, chapter, preset)
    cells = json.loads(chapter.path.with_suffix(".ipynb").read_text())["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
@pytest.mark.parametrize("path", ["lib/specbias/new.py", "results/run.nc", "book/new.ipynb", "assets/new.js"])
def test_git_does_not_ignore_what_belongs_here(path):
    ignored = subprocess.run(["git", "check-ignore", "--no-index", "-q", path], cwd=ROOT, capture_output=True)
    if ignored.returncode == 128:
        pytest.skip("not a git repository")
    assert ignored.returncode == 1


def test_sources_load_nothing_from_other_hosts():
    """Links may lead anywhere; scripts, styles, images and imports may not."""
    patterns = ("assets/*", "book/*.md", "lib/**/*.js", "lib/**/*.css")
    texts = [path.read_text() for pattern in patterns for path in ROOT.glob(pattern)]
    loads = re.compile(r"""(src\s*=|url\(|@import|import\s|fetch\()\s*["'(]*(https?:)?//""")
    assert [line for text in texts for line in text.splitlines() if loads.search(line)] == []


def test_scripts_and_workflows_are_well_formed():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert {"name", "jobs"} <= set(yaml.safe_load(path.read_text()))


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_lists_its_targets_and_refuses_an_old_python(tmp_path):
    listing = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("book", "test", "serve", "bench", "lock", "clean"):
        assert f"make {target} " in listing
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    old = tmp_path / "python3.8"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.1 && exit\nexit 1\n')
    old.chmod(0o755)
    refused = subprocess.run(["make", "book", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "needs Python 3.11, 3.12 or 3.13" in refused.stdout
    assert "3.8.1" in refused.stdout
    assert not (tmp_path / ".venv").exists()
