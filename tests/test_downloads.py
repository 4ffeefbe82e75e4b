"""What readers can take along: the files are there, are whole, and hold the numbers that were drawn."""

from __future__ import annotations

import json
import re

import nbformat
import netCDF4
import numpy as np
import pytest
import yaml
from bs4 import BeautifulSoup
from click.testing import CliRunner

from specbias.downloads import figure_links
from specbias.pages import citation
from specbias.plots import provenance_html
from specbias.provenance import Provenance
from specbias.rerun import main
from tiny_book import CHAPTER, ROOT, make_tiny_book

FIGURE = """
```{code-cell} ipython3
import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from specbias.plots import show, style
from specbias.recorded import provenance, recorded

def line(points):
    return xr.Dataset({"height": ("place", np.cos(np.arange(points) ** 1.5))}, {"place": np.arange(points)})

run = recorded("spectral-bias/line", line, points=40)
with style():
    figure, ax = plt.subplots()
    ax.plot(run.place, run.height, gid="drawn")
show(figure, alt="A jagged line.", provenance=provenance(run))
```
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = make_tiny_book(tmp_path_factory.mktemp("book") / "tiny")
    (root / "book" / "spectral-bias.md").write_text(CHAPTER + FIGURE)
    index = root / "book" / "index.md"
    index.write_text(index.read_text() + "\n(how-to-cite)=\n## How to cite\n\n<!-- citation -->\n")
    (root / "CITATION.cff").write_text((ROOT / "CITATION.cff").read_text())
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("SPECBIAS_RECORD", "SPECBIAS_RECORDED", "SPECBIAS_RESULTS"):
            patch.delenv(variable, raising=False)
        patch.chdir(root)
        done = CliRunner().invoke(main, ["build", "--strict"])
    assert done.exit_code == 0, done.stderr
    return root / "_build" / "html"


@pytest.fixture(scope="module")
def page(site):
    return BeautifulSoup((site / "book" / "spectral-bias.html").read_text(), "html.parser")


def test_a_figure_links_to_the_numbers_that_it_draws(site, page):
    figure = page.select_one("figure:has(a[download])")
    link = figure.select_one(".provenance a[download]")
    with netCDF4.Dataset(site / "book" / link["href"]) as file:
        place, height = np.array(file["place"][:]), np.array(file["height"][:])
        assert json.loads(file.parameters) == {"points": 40}
    path = figure.select_one('[id$="-drawn"] path')["d"]
    drawn = np.array(re.findall(r"[ML] (-?[\d.]+) (-?[\d.]+)", path), dtype=float)
    for numbers, pixels in zip((place, height), drawn.T, strict=True):
        fitted = np.polyval(np.polyfit(numbers, pixels, 1), numbers)
        np.testing.assert_allclose(pixels, fitted, atol=0.02)  # coordinates are rounded to 0.01


def test_the_chapter_is_offered_as_run_and_as_written(site, page):
    line = page.select_one("h1 + .specbias-downloads")
    notebook, source, cite = [site / "book" / link["href"].split("#")[0] for link in line.find_all("a")]
    assert source.read_text() == CHAPTER + FIGURE
    assert cite.resolve() == site / "book" / "index.html"
    text = notebook.read_text()
    nbformat.validate(nbformat.reads(text, 4))
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert all(cell["execution_count"] for cell in cells) and len(outputs) >= 3
    assert "error" not in {output["output_type"] for output in outputs}
    assert str(site.parents[1]) not in text, "where it was made is nobody's business"


def test_only_chapters_are_offered(site):
    for name in ("index", "notation", "references"):
        assert "specbias-downloads" not in (site / "book" / f"{name}.html").read_text()


def test_the_citation_is_that_of_the_file(site):
    about = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    page = BeautifulSoup((site / "book" / "index.html").read_text(), "html.parser")
    words = page.select_one("#how-to-cite").get_text(" ", strip=True)
    for expected in (about["title"], about["authors"][0]["name"], f"Version {about['version']}"):
        assert words.count(expected) == 2, expected  # in words and for BibTeX
    assert "title = {" + about["title"] + "}" in page.select_one("#how-to-cite pre").get_text()


def test_people_and_groups_are_cited(tmp_path, monkeypatch):
    about = {
        "title": "A Book", "version": "2", "date-released": "2026-12-01",
        "authors": [{"given-names": "Ada", "family-names": "Lovelace"}, {"name": "A Group"}],
    }  # fmt: skip
    (tmp_path / "CITATION.cff").write_text(yaml.safe_dump(about))
    monkeypatch.setattr("specbias.pages.book_root", lambda: tmp_path)
    text = citation()
    assert text.startswith("Ada Lovelace and A Group. *A Book*. Version 2")
    assert "author = {{Ada Lovelace} and {A Group}}" in text and "year = {2026}" in text
    (tmp_path / "CITATION.cff").unlink()
    assert citation() == ""


def linked(files, there):
    line = provenance_html(Provenance("3 runs", files))
    body = figure_links(line, there.__contains__, lambda file: f"../{file}")
    return BeautifulSoup(body, "html.parser")


def test_many_files_unfold_and_missing_ones_are_not_linked():
    files = [f"a/{name}.nc" for name in "xyz"]
    few = linked(files, files[:2])
    assert [link["href"] for link in few.select("p a")] == ["../a/x.nc", "../a/y.nc"]
    many = linked(files, files)
    assert [link.get_text() for link in many.select("details a")] == ["x.nc", "y.nc", "z.nc"]
    assert many.p.get_text() == "3 runs" and "3 files" in many.summary.get_text()
    none = linked(files, [])
    assert not none.select("a, details") and none.p.get_text() == "3 runs"
