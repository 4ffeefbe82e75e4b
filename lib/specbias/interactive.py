"""A slider over epochs that works in the static page and in a live notebook, without a kernel.

The data travel inside the output and a small script of our own draws them; nothing is fetched. ::

    scrubber(
        [Panel("Fit", "x", "u", x, [Line("target", target, style="reference"), Line("network", fits)])],
        epochs,
        alt="The network follows the slow wave first, and the fast one after epoch 500.",
    )

A network's basis is a :class:`Family`: many thin lines, each as strong as its output weight. ::

    Panel("Basis", "x", "unit", x, [Family("basis", units, np.abs(weights) / np.abs(weights).max())])
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources

from specbias._scrubber_data import Family, Line, Panel, encode_panel
from specbias.plots import provenance_html

__all__ = ["Family", "Line", "Panel", "Scrubber", "scrubber"]

MAX_HTML_BYTES = 1_000_000


@dataclass(frozen=True)
class Scrubber:
    """A finished scrubber; a notebook shows it."""

    html: str = field(repr=False)
    alt: str
    frames: int

    def _repr_html_(self) -> str:
        return self.html


def scrubber(
    panels: Sequence[Panel],
    frames: Sequence[object],
    *,
    label: str = "epoch",
    alt: str,
    provenance: str = "",
    start: int = -1,
) -> Scrubber:
    """Draw panels side by side under one slider.

    Parameters
    ----------
    panels
        At least one.
    frames
        What the slider says at each of its positions, such as the epochs.
    label
        What the slider counts.
    alt
        What a reader who cannot see the figure should learn from it.
    provenance
        Where the data come from.
    start
        Position shown first; negative ones count from the end.

    Returns
    -------
    Scrubber
        Its value as the last line of a cell is the figure.

    Raises
    ------
    ValueError
        If shapes do not fit, a name is unknown, `alt` is empty, nothing finite is left to draw, or the whole
        would be larger than 1 MB.

    Examples
    --------
    >>> panel = Panel("Decay", "time", "amplitude", [0, 1, 2], [Line("model", [[1, 1, 1], [1, 0.5, 0.2]])])
    >>> scrubber([panel], [0, 100], alt="The amplitude falls.").frames
    2
    """
    labels = [str(frame) for frame in frames]
    if not labels or not panels:
        raise ValueError(
            f"panels and frames must not be empty, got {len(panels)} panels and {len(labels)} frames"
        )
    if not alt.strip():
        raise ValueError("alt is empty: say in words what the figure shows")
    if not -len(labels) <= start < len(labels):
        raise ValueError(f"start must lie in -{len(labels)}..{len(labels) - 1}, got {start}")
    start %= len(labels)
    names = list(
        dict.fromkeys(line.name for panel in panels for line in panel.lines if line.style != "reference")
    )
    data = {
        "label": label,
        "frames": labels,
        "panels": [encode_panel(p, len(labels), names) for p in panels],
    }
    html = _html(data, label, labels, start, alt, provenance)
    if len(html) > MAX_HTML_BYTES:
        raise ValueError(
            f"the scrubber is {len(html) / 1000:.0f} kB, at most {MAX_HTML_BYTES / 1000:.0f} kB are allowed:"
            " take fewer frames or fewer points"
        )
    return Scrubber(html=html, alt=alt, frames=len(labels))


def _html(data: dict, label: str, labels: list[str], start: int, alt: str, provenance: str) -> str:
    here = resources.files("specbias")
    script = here.joinpath("scrubber.js").read_text(encoding="utf-8")
    css = here.joinpath("scrubber.css").read_text(encoding="utf-8")
    # "<" inside the data could end the script element
    payload = json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
    label, alt = escape(label), escape(alt)
    widest = max(map(len, labels))
    return (
        f'<figure class="specbias-figure specbias-scrubber" role="group" aria-label="{alt}">\n'
        f"<style>{css}</style>\n"
        '<div class="scrubber-controls"><button type="button">▶ Play</button>'
        f'<label><span>{label}</span><input type="range" min="0" max="{len(labels) - 1}" step="1"'
        f' value="{start}" autocomplete="off" aria-valuetext="{label} {escape(labels[start])}"></label>'
        f'<output aria-live="polite" style="min-width:{widest}ch">{escape(labels[start])}</output></div>\n'
        '<ul class="scrubber-legend"></ul><div class="scrubber-panels"></div>\n'
        "<noscript><p>This figure has a slider, which needs JavaScript."
        f" What it shows: {alt}</p></noscript>\n"
        f"{provenance_html(provenance)}"
        f'<script type="application/json">{payload}</script></figure>\n'
        f"<script>{script}</script>"
    )
