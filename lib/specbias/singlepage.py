"""A chapter, or the whole book, as one HTML file that opens anywhere: no other file, no network."""

from __future__ import annotations

import base64
import mimetypes
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urldefrag

from specbias._files import whole_file
from specbias.site import Executed, SiteFailed, jupyter_book, stage

__all__ = ["as_pdf", "inline", "single_page", "whole_book"]

# Pages that a chapter's links and citations lead to.
COMPANIONS = ("playground", "notation", "glossary", "references")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SEARCH = ("searchtools.js", "language_data.js", "searchindex.js")
OUTSIDE = (  # parts of the site around a page: searching, launching, going to other pages
    ".search-button, .search-button-field, .dropdown-launch-buttons, .dropdown-download-buttons, .skip-link, "
    ".bd-sidebar-primary, .primary-toggle, .prev-next-area"
)


def single_page(root: Path, run: Executed, output: Path) -> None:
    """Write ``run``, followed by notation, glossary and references, to the one file ``output``."""
    pages = [f"book/{name}" for name in COMPANIONS if (root / "book" / f"{name}.md").is_file()]
    toc = {
        "format": "jb-book",
        "root": f"book/{run.chapter.name}",
        "chapters": [{"file": page} for page in pages],
    }
    _write_one(root, [run], run.chapter.name, output, toc)


def whole_book(root: Path, runs: Sequence[Executed], output: Path) -> None:
    """Write all pages of the book, chapters as they were run, to the one file ``output``."""
    _write_one(root, runs, "index", output, None)


def as_pdf(page: Path, output: Path) -> None:
    """Print an HTML file to a PDF file with the Chromium or Chrome that is installed.

    Raises
    ------
    SiteFailed
        If there is none, or it fails.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise SiteFailed(f"no browser makes a PDF here; install one of: {', '.join(BROWSERS)}")
    with whole_file(output) as temporary:
        # Time that only passes where nothing is left to do: until all formulas are set.
        options = ["--headless", "--no-sandbox", "--no-pdf-header-footer", "--virtual-time-budget=600000"]
        command = [found, *options, f"--print-to-pdf={temporary.resolve()}", page.resolve().as_uri()]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode or not temporary.exists():
            last = done.stderr.strip().splitlines()[-1:]
            raise SiteFailed(f"{Path(found).name} made no PDF of {page}: {' '.join(last)}")


def _write_one(root: Path, runs: Sequence[Executed], first: str, output: Path, toc: Mapping | None) -> None:
    config = {"mathjax_path": "mathjax/tex-svg-full.js"}  # brings its glyphs and all TeX extensions along
    with tempfile.TemporaryDirectory(prefix="specbias-") as folder:
        staged = Path(folder) / "site"
        stage(root, staged, runs, config, toc)
        # Links to pages that are not in this file are expected to lead nowhere, so warnings are not shown.
        built = jupyter_book(staged, "singlehtml", strict=False, show_warnings=False)
        page = built / f"{first}.html"  # its addresses are meant to be read from here
        (built / "book" / page.name).replace(page)
        text = inline(page, built)
    with whole_file(output) as temporary:
        temporary.write_text(text, "utf-8")


def inline(page: Path, site: Path) -> str:
    """Return the HTML of ``page`` with the styles, scripts, fonts and images of ``site`` inside it."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(page.read_text("utf-8"), "html.parser")

    def local(address: str | None) -> Path | None:
        if not address or re.match(r"[a-z][a-z0-9+.-]*:|//|#", address):
            return None
        path = (page.parent / unquote(urldefrag(address)[0].split("?")[0])).resolve()
        return path if path.is_file() and path.is_relative_to(site.resolve()) else None

    for link in soup.find_all("link", href=True):
        path = local(link["href"])
        if path and "stylesheet" in link.get("rel", []):
            style = soup.new_tag("style")
            style.string = _style(path)
            link.replace_with(style)
        elif path and "icon" in link.get("rel", []):
            link["href"] = data_uri(path)
        else:
            link.decompose()  # preloads, search, neighbours
    for script in soup.find_all("script", src=True):
        path = local(script["src"])
        if path is None or path.name in SEARCH:
            script.decompose()
        else:
            del script["src"]
            script.attrs.pop("defer", None)
            script.string = (
                path.read_text("utf-8").replace("</script", "<\\/script").replace("<!--", "<\\!--")
            )
    for image in soup.find_all("img", src=True):
        if path := local(image["src"]):
            image["src"] = data_uri(path)
    for element in soup.select(OUTSIDE):
        element.decompose()
    for anchor in soup.find_all("a", href=True):
        file, fragment = urldefrag(anchor["href"])
        if local(anchor["href"]) == page.resolve() and fragment:
            anchor["href"] = f"#{fragment}"
        elif file == "playground.html" and soup.select_one(".specbias-playground"):
            anchor["href"] = f"#{fragment}"  # settings, which the playground further down reads from there
        elif file and not re.match(r"[a-z][a-z0-9+.-]*:", file):
            del anchor["href"]  # leads to a page that is not in this file
    return str(soup)


def data_uri(path: Path) -> str:
    """The file as an address that holds it."""
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _style(path: Path) -> str:
    """A style sheet with its imports, fonts and images inside."""

    def replace(match: re.Match) -> str:
        file = path.parent / unquote(match[1].split("?")[0].split("#")[0])
        return f"url({data_uri(file)})" if file.is_file() else match[0]

    text = path.read_text("utf-8")
    text = re.sub(r"""@import\s+(?:url\()?["']([^"']+)["']\)?;""", lambda m: _style(path.parent / m[1]), text)
    return re.sub(r"""url\(\s*["']?(?!data:|#)([^"')]+)["']?\s*\)""", replace, text)
