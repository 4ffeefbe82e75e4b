"""Every page of the built site, in a real browser without a network; its links and its downloads."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
import xarray as xr
from bs4 import BeautifulSoup

from browser import chromium_browser
from site_checks import APART, accessibility_faults, link_faults, page_faults, served, slider_faults

ROOT = Path(__file__).resolve().parents[1]
SITE = ROOT / "_build" / "html"
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if not APART & set(path.relative_to(SITE).parts)
)


@pytest.fixture(scope="module")
def browser():
    with chromium_browser() as browser:
        yield browser


CHAPTERS = sorted(path.stem for path in (SITE / "_sources" / "book").glob("*.ipynb"))
built = pytest.mark.skipif(not PAGES, reason="no site to look at: run `make book` first")


@built
@pytest.mark.parametrize("page", PAGES)
def test_page(browser, page):
    with served(SITE) as own:
        assert page_faults(browser, own + page, own) == []


@built
@pytest.mark.parametrize("page", [page for page in PAGES if "specbias-scrubber" in (SITE / page).read_text()])
def test_every_slider_moves_its_figure(browser, page):
    with served(SITE) as own:
        assert slider_faults(browser, own + page) == []


@built
def test_every_figure_offers_its_numbers():
    without = []
    for page in PAGES:
        figures = BeautifulSoup((SITE / page).read_text(), "html.parser").select("figure:has(.provenance)")
        without += [f"{page}: {one.get('id')}" for one in figures if not one.select("a[download]")]
    assert without == []


@built
def test_every_link_leads_somewhere():
    assert link_faults(SITE) == []


@built
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_is_offered_as_run_and_as_written(chapter):
    page = BeautifulSoup((SITE / "book" / f"{chapter}.html").read_text(), "html.parser")
    links = [link["href"] for link in page.select("h1 + .specbias-downloads a[download]")]
    notebook, source = ((SITE / "book" / link).read_text() for link in links)
    assert source == (ROOT / "book" / f"{chapter}.md").read_text()
    nbformat.validate(nbformat.reads(notebook, 4))
    cells = [cell for cell in json.loads(notebook)["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells)
    assert "error" not in {output["output_type"] for cell in cells for output in cell["outputs"]}
    assert str(ROOT) not in notebook


@built
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_data_of_a_figure_are_of_the_run_that_its_line_names(chapter):
    page = BeautifulSoup((SITE / "book" / f"{chapter}.html").read_text(), "html.parser")
    lines = page.select("p.provenance")
    for line in lines:
        told, details = line.get_text(), line.find_next_sibling("details", class_="provenance-data")
        links = [link["href"] for part in (line, details) if part for link in part.find_all("a")]
        assert links, told
        if not ("commit" in told or " runs, " in told):
            continue  # computed at hand
        runs = [xr.load_dataset(SITE / "book" / link).attrs for link in links]
        if len(runs) == 1:
            assert f" · commit {runs[0]['commit']} · " in told
        elif runs:
            assert told.startswith(f"{len(runs)} runs, ")


@built
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_accessibility(browser, page, theme):
    """No violation of WCAG 2.1, levels A and AA, that axe-core knows of."""
    with served(SITE) as own:
        assert accessibility_faults(browser, own + page, theme) == []


@pytest.mark.parametrize("fault", ["color-contrast", "select-name", "document-title"])
def test_a_planted_barrier_is_found(browser, tmp_path, fault):
    planted = {
        "color-contrast": '<p style="color: #aaa; background: #fff">pale</p>',
        "select-name": "<select><option>one</option></select>",
    }
    title = "" if fault == "document-title" else "<title>t</title>"
    text = f'<!doctype html><html lang="en">{title}<main>{planted.get(fault, "<p>text</p>")}</main></html>'
    (tmp_path / "page.html").write_text(text)
    with served(tmp_path) as own:
        assert [
            found.split(":")[0] for found in accessibility_faults(browser, f"{own}page.html", "light")
        ] == [fault]


PLANTED_LINKS = {
    "no such file": '<a href="missing.html">x</a>',
    "no such anchor": '<a href="page.html#there">x</a>',
    "no address": '<a href="">x</a>',
    "nothing to click on": '<a href="#here"> </a>',
    "not https": '<a href="http://example.org">x</a>',
    "ill-formed address": '<a href="https://doi.org/11.1/x">x</a>',
    "settings for no playground": '<a href="page.html#width=3">x</a>',
    "id twice": '<p id="here"></p>',
}
SOUND_LINKS = (
    '<p id="here"><a href="#here">a</a><a href="page.html#here">b</a><a href="https://arxiv.org/abs/1806.08734">c'
    '</a><a href="https://doi.org/10.1016/j.cma.2020.1">d</a><a href="https://github.com/specbias/specbias">e</a>'
)


@pytest.mark.parametrize("fault", ["", *PLANTED_LINKS])
def test_a_planted_link_is_found(tmp_path, fault):
    text = f"<!doctype html><title>t</title><main>{SOUND_LINKS}{PLANTED_LINKS.get(fault, '')}</main>"
    (tmp_path / "page.html").write_text(text)
    assert [found.split(": ")[1] for found in link_faults(tmp_path)] == ([fault] if fault else [])


NO_MATHJAX = "MathJax = {startup: {promise: Promise.resolve()}}"
NARROW, WIDE = "display: inline-block; width: 9px; overflow: hidden", "display: inline-block; width: 90px"
PLANTED = {
    "asks another host": '<img alt="a" src="https://example.org/a.png">',
    "404": '<img alt="b" src="missing.png">',
    "script error": "<script>undefinedFunction()</script>",
    "console": "<script>console.error('oh')</script>",
    "error output": '<div class="cell_output"><pre class="traceback">ValueError</pre></div>',
    "empty output": '<div class="cell_output"><div class="output"> </div></div>',
    "image without alt text": '<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">',
    "figure without aria-label": '<figure class="specbias-figure"><svg width="9" height="9"></svg></figure>',
    "maths not rendered": f'<span class="math">x</span><script>{NO_MATHJAX}</script>',
    "wider than a phone": '<div style="width: 500px">wide</div>',
    "formula cut off": f'<span class="math" style="{NARROW}"><mjx-container><mjx-math style="{WIDE}">x'
    f"</mjx-math></mjx-container></span><script>{NO_MATHJAX}</script>",
    "code cut off in print": f'<pre style="overflow: auto">{"x" * 200}</pre>',
    "folded in print": '<details class="sd-dropdown"><summary>Hint</summary><p>Think.</p></details>',
    "MB; allowed are 3": '<script src="big.js"></script>',
}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_fault_is_found(browser, tmp_path, fault):
    (tmp_path / "big.js").write_text("//" + "x" * 3_100_000)
    (tmp_path / "page.html").write_text(f"<!doctype html><title>t</title><main>{PLANTED[fault]}</main>")
    with served(tmp_path) as own:
        faults = page_faults(browser, f"{own}page.html", own)
    assert any(fault in found for found in faults)


def test_a_sound_page_has_no_faults(browser, tmp_path):
    drawing = '<svg role="img" aria-label="a dot" width="9" height="9"></svg>'
    cell = f'<div class="cell_output"><figure class="specbias-figure">{drawing}</figure></div>'
    (tmp_path / "page.html").write_text(f"<!doctype html><title>t</title><main>{cell}</main>")
    with served(tmp_path) as own:
        assert page_faults(browser, f"{own}page.html", own) == []
