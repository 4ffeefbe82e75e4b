"""Every page of the built site, in a real browser without a network."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser import chromium_browser
from site_checks import accessibility_faults, page_faults, served

SITE = Path(__file__).resolve().parents[1] / "_build" / "html"
APART = {"_static", "_sources"}  # parts of pages, and copies of the sources
PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if not APART & set(path.relative_to(SITE).parts)
)


@pytest.fixture(scope="module")
def browser():
    with chromium_browser() as browser:
        yield browser


@pytest.mark.skipif(not PAGES, reason="no site to look at: run `make book` first")
@pytest.mark.parametrize("page", PAGES)
def test_page(browser, page):
    with served(SITE) as own:
        assert page_faults(browser, own + page, own) == []


@pytest.mark.skipif(not PAGES, reason="no site to look at: run `make book` first")
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


NO_MATHJAX = "MathJax = {startup: {promise: Promise.resolve()}}"
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
