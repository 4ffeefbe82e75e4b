"""A headless Chromium for the tests that need one.

Such a test is skipped where no browser is found; ``SPECBIAS_REQUIRE_BROWSER=1`` makes that a failure.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HINT = (
    "no browser found: install one with `apt-get install chromium` or `.venv/bin/playwright install chromium`"
)


def chromium_path() -> str | None:
    """Return the system's Chromium or Chrome, else playwright's own, else None."""
    from playwright.sync_api import sync_playwright

    for name in NAMES:
        if found := shutil.which(name):
            return found
    with sync_playwright() as playwright:
        bundled = playwright.chromium.executable_path
    return bundled if Path(bundled).exists() else None


@contextmanager
def chromium_browser() -> Iterator:
    """Yield a playwright `Browser`; skip (or fail) the test where there is none."""
    playwright_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = chromium_path()
    if executable is None:
        if os.environ.get("SPECBIAS_REQUIRE_BROWSER") == "1":
            pytest.fail(HINT)
        pytest.skip(HINT)
    with playwright_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_pages(browser) -> Iterator[Callable]:
    """Yield what opens a page with its ``problems``; at the end all are closed, and none may have had any."""
    pages = []

    def new_page(width: int, **options):
        page = browser.new_page(viewport={"width": width, "height": 900}, **options)
        pages.append(page)
        page.problems = []
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        return page

    yield new_page
    problems = [problem for page in pages for problem in page.problems]
    for page in pages:
        page.close()
    assert problems == []
