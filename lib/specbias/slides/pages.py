"""Each chapter's slides as one HTML file that opens without a network."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path

import yaml

from specbias._files import whole_file
from specbias.chapters import chapters
from specbias.singlepage import inline
from specbias.site import Executed, jupyter_book, stage
from specbias.slides.deck import slides_html

__all__ = ["reveal_folder", "write_slides"]

STYLES = ("reveal.css", "slides.css")
SCRIPTS = ("reveal.js", "notes.js", "zoom.js", "slides.js")  # in the order in which they run
# Formulas bring their glyphs along, each by itself: the speaker's window shows some without the others.
MATHJAX = {"svg": {"fontCache": "local"}, "options": {"enableMenu": False}}


def reveal_folder() -> Path:
    """Where sphinx-revealjs keeps reveal.js; ValueError if it is not installed."""
    found = importlib.util.find_spec("sphinx_revealjs")
    if found is None:
        raise ValueError("slides need sphinx-revealjs: python -m pip install -r requirements.txt")
    return Path(found.origin).parent / "_static" / "revealjs"


def write_slides(root: Path, runs: Sequence[Executed], folder: Path) -> list[Path]:
    """Write ``<chapter>.html`` into ``folder`` for each run, and return the files.

    The whole book is staged in a temporary folder, so that sections and figures have their numbers in the
    site; other chapters stand there as they were executed last, or not at all.
    """
    contents = yaml.safe_load((root / "_toc.yml").read_text("utf-8"))
    config = {"mathjax_path": "mathjax/tex-svg-full.js"}  # brings its glyphs along
    with tempfile.TemporaryDirectory(prefix="specbias-") as temporary:
        staged = Path(temporary) / "site"
        stage(root, staged, [*runs, *_others(root, runs)], config, contents)
        site = jupyter_book(staged, "html", strict=False, show_warnings=False)
        scripts = site / "_static" / "slides"
        scripts.mkdir()
        for name in ("dist/reveal.css", "dist/reveal.js", "plugin/notes/notes.js", "plugin/zoom/zoom.js"):
            shutil.copy(reveal_folder() / name, scripts)
        for name in ("slides.css", "slides.js"):
            shutil.copy(Path(__file__).with_name(name), scripts)
        return [_write(site, run, folder / f"{run.chapter.name}.html") for run in runs]


def _others(root: Path, runs: Sequence[Executed]) -> list[Executed]:
    """The last runs of the other chapters, whose figures a reference may name."""
    names = {run.chapter.name for run in runs}
    found = [(each, root / "_build" / "executed" / f"{each.name}.ipynb") for each in chapters(root)]
    return [Executed(each, path, 0) for each, path in found if each.name not in names and path.is_file()]


def _write(site: Path, run: Executed, output: Path) -> Path:
    """The file of one chapter, made beside its page, which its pictures' addresses are meant for."""
    page, references = (site / "book" / f"{name}.html" for name in (run.chapter.name, "references"))
    cited = references.read_text("utf-8") if references.is_file() else ""
    slides = slides_html(page.read_text("utf-8"), cited)
    styles = [f'<link rel="stylesheet" href="../_static/slides/{name}">' for name in STYLES]
    scripts = [f'<script src="../_static/slides/{name}"></script>' for name in SCRIPTS]
    page.write_text(
        '<!doctype html>\n<html lang="en" data-theme="light"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(run.chapter.title)}</title>"
        f'<link rel="stylesheet" href="../_static/pygments.css">{"".join(styles)}'
        f"<script>MathJax = {json.dumps(MATHJAX)}</script></head>\n"
        f'<body><div class="reveal"><main class="slides">\n{slides}\n</main></div>\n'
        f'<script src="../_static/mathjax/tex-svg-full.js"></script>{"".join(scripts)}</body></html>\n',
        "utf-8",
    )
    with whole_file(output) as temporary:
        temporary.write_text(inline(page, site), "utf-8")
    return output
