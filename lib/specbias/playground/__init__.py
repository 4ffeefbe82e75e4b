"""Training in the page: a playground that needs no kernel, and the Sphinx directive that shows it.

The scripts beside this file are joined in the order of ``WORKER`` and ``PAGE`` and stand inside the page, so
that it works from a server, from a folder, and as a single file. What trains becomes a Web Worker, made from
the text of its scripts, because a page that was opened from a folder may not load a worker from another file.

They are no part of what a chapter's run depends on, so a change here does not run chapters again
(``specbias.site.fingerprint``).
"""

from __future__ import annotations

import json
from importlib import resources

import matplotlib
import numpy as np
from docutils import nodes
from docutils.parsers.rst import Directive

from specbias.plots import PALETTE

__all__ = ["PAGE", "WORKER", "playground_html", "script", "setup"]

NUMERICS = ("products.js", "network.js", "trainer.js", "problem.js", "measures.js", "records.js")
WORKER = (*NUMERICS, "worker.js")
"""The worker's scripts; all but the last are numerics that know nothing of messages."""

PAGE = (
    "records.js", "problem.js", "settings.js", "axes.js", "views.js", "form.js", "drawing.js",
    "playground.js",
)  # fmt: skip
"""The page's scripts."""

SETUP = {"weights": "New weights", "copy": "Copy link"}
RUNNING = {"train": "▶ Train", "step": "Step", "reset": "Reset"}
TITLE = (
    "A neural network that trains in this page, with its settings, buttons and six pictures of its progress."
)


def script(names: tuple[str, ...]) -> str:
    """The text of some scripts, which share one scope.

    Examples
    --------
    >>> script(("records.js",)).splitlines()[-1]
    'const isRecorded = (epoch, now) => epoch % (windowOf(now) / MOST_RECORDS) === 0;'
    """
    return "".join(_text(name) for name in names)


def playground_html() -> str:
    """The playground: markup, style, and both scripts.

    Examples
    --------
    >>> len(playground_html()) < 100_000
    True
    """
    return (
        f'<figure class="specbias-figure specbias-playground" role="group" aria-label="{TITLE}">\n'
        f"<style>{_text('playground.css')}</style>\n"
        "<noscript><p>The network trains in the page by a script, and scripts are switched off in this"
        " browser. The chapters show recorded trainings of the same networks without any.</p></noscript>\n"
        '<div class="playground-app" hidden>\n'
        '<details><summary>Settings <span class="playground-words"></span></summary>'
        '<div class="playground-form"></div></details>\n'
        f'<div class="playground-row">{_buttons(SETUP)}<span class="playground-copied"></span>'
        '<label><input type="checkbox" class="playground-logarithmic">logarithmic amplitudes</label>'
        '<input class="playground-link" aria-label="link to these settings" readonly hidden></div>\n'
        '<p class="playground-note" role="alert"></p>\n'
        '<div class="playground-views"></div>\n'
        f'<div class="playground-row playground-bar">{_buttons(RUNNING)}'
        '<output class="playground-status" aria-live="off"></output></div>\n'
        '<p class="playground-announced" role="status"></p>\n'
        "</div>\n"
        f'<script type="application/json" class="playground-data">{_palette()}</script>\n'
        f'<script type="text/plain" class="playground-worker">"use strict";\n{script(WORKER)}</script>\n'
        f'</figure>\n<script>(() => {{ "use strict";\n{script(PAGE)}}})();</script>\n'
    )


def _buttons(labels: dict[str, str]) -> str:
    return "".join(
        f'<button type="button" name="{name}" class="playground-{name}">{label}</button>'
        for name, label in labels.items()
    )


def _text(name: str) -> str:
    return resources.files("specbias.playground").joinpath(name).read_text(encoding="utf-8")


def _palette() -> str:
    """The series' colours, and those of the book's maps as pixels, red in the lowest byte."""
    shades = np.rint(255 * matplotlib.colormaps["cividis"](np.linspace(0, 1, 256))).astype(int)
    pixels = shades @ (1, 1 << 8, 1 << 16, 1 << 24)
    return json.dumps({"palette": PALETTE, "ramp": pixels.tolist()})


class Playground(Directive):
    """``{playground}``, without content."""

    def run(self) -> list[nodes.Node]:
        """The playground as raw HTML."""
        return [nodes.raw("", playground_html(), format="html")]


def setup(app) -> dict:
    """Sphinx calls this."""
    app.add_directive("playground", Playground)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
