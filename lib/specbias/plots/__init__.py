"""Figures for the book: inline SVG that reads well on a phone, in print, in light and in dark mode.

Draw with matplotlib inside :func:`style`, then hand the figure to :func:`show`::

    with style():
        figure, ax = plt.subplots()
        band(ax, epochs, losses_per_seed, label="Adam")
        ax.legend()
    show(figure, alt="Loss against epoch: Adam falls to 1e-6.", provenance="live · seeds 0–7")

Text, axes and grid take the colour of the surrounding page. The series colours hold a contrast of at
least 3 against white and against #121212, and every series has its own line style or marker besides.
"""

from __future__ import annotations

import hashlib
import io
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

__all__ = [
    "INK",
    "LINE_STYLES",
    "MARKERS",
    "PALETTE",
    "InlineFigure",
    "band",
    "provenance_html",
    "show",
    "style",
]

PALETTE = ("#0072B2", "#D87D00", "#00805C", "#CC79A7", "#8B5B25", "#3A97CF")
"""Series colours: Okabe and Ito's, moved where needed until they show on white and on near-black."""

LINE_STYLES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (8, 3)), (0, (3, 1, 1, 1, 1, 1)))
"""Dash pattern of each series: the second channel, for readers who do not tell the colours apart."""

MARKERS = ("o", "s", "^", "D", "v", "P")
"""Marker of each series, where points are drawn."""

INK = "#010203"
"""Stands for the page's text colour. It all but is black, so exported files print as they should."""

MAX_SVG_BYTES = 600_000
_PIXELS_PER_POINT = 4 / 3
# On a phone a figure shrinks to this share of its width, then scrolls: text stays legible.
_SMALLEST_SCALE = 0.62
# Metadata that keep the time of day out of a file: the same figure is the same file.
_UNDATED = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": None}

_STYLE = {
    "figure.figsize": (5.2, 3.3),
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "axes.facecolor": "none",
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.labelsize": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": matplotlib.cycler(color=PALETTE, linestyle=LINE_STYLES),
    "font.size": 11,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "hatch.color": INK,
    "legend.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "savefig.facecolor": "none",
    "svg.fonttype": "path",  # letters as outlines: the same on every machine, whatever fonts it has
    "svg.hashsalt": "specbias",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
}


def series_look(number: int) -> dict:
    """Colour, dashes and marker of the series of this number, for ``Axes.plot``.

    Examples
    --------
    >>> series_look(0)["marker"] == series_look(len(MARKERS))["marker"]
    True
    """
    return {
        "color": PALETTE[number % len(PALETTE)], "marker": MARKERS[number % len(MARKERS)],
        "linestyle": LINE_STYLES[number % len(LINE_STYLES)],
    }  # fmt: skip


def style() -> AbstractContextManager[None]:
    """Return the context (or decorator) in which the book's figures are drawn.

    Examples
    --------
    >>> with style():
    ...     figure, ax = plt.subplots()
    >>> plt.close(figure)
    """
    return matplotlib.rc_context(_STYLE)


@dataclass(frozen=True)
class InlineFigure:
    """A finished figure. A notebook shows its SVG; :meth:`save` exports it."""

    svg: str = field(repr=False)
    alt: str
    figure: Figure = field(repr=False, compare=False)
    provenance: str = ""
    name: str = ""

    def _repr_html_(self) -> str:
        return (
            '<figure class="specbias-figure" role="group" style="margin:0">'
            f'<div style="overflow-x:auto">{self.svg}</div>{provenance_html(self.provenance)}</figure>'
        )

    def save(self, path: str | Path, *, dpi: float = 200) -> Path:
        """Export the figure on white; the suffix chooses the format (.svg, .pdf, .png).

        Parameters
        ----------
        path
            Where to write. Its folder must exist.
        dpi
            Dots per inch of a PNG.

        Raises
        ------
        ValueError
            If the suffix is none of the three.
        """
        path = Path(path)
        if path.suffix not in _UNDATED:
            raise ValueError(f"path must end in {', '.join(_UNDATED)}, got {str(path)!r}")
        with style():
            self.figure.savefig(path, facecolor="white", dpi=dpi, metadata=_UNDATED[path.suffix])
        return path


def show(figure: Figure, *, alt: str, provenance: str = "", name: str = "") -> InlineFigure:
    """Turn a matplotlib figure into inline SVG, and close it.

    Parameters
    ----------
    figure
        Drawn inside :func:`style`.
    alt
        What a reader who cannot see the figure should learn from it.
    provenance
        Where the data come from: live or recorded, seeds, device, wall time, commit.
    name
        Sets apart two figures that are otherwise alike.

    Returns
    -------
    InlineFigure
        Its value as the last line of a cell is the figure.

    Raises
    ------
    ValueError
        If `alt` is empty, or the SVG would be larger than 600 kB.

    Examples
    --------
    >>> with style():
    ...     figure, ax = plt.subplots()
    ...     _ = ax.plot([0, 1], [0, 1])
    >>> shown = show(figure, alt="A rising line.")
    >>> "currentColor" in shown.svg
    True
    """
    if not isinstance(figure, Figure):
        raise TypeError(f"figure must be a matplotlib Figure, got {type(figure).__name__}")
    if not alt.strip():
        raise ValueError("alt is empty: say in words what the figure shows")
    buffer = io.StringIO()
    with style():
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    svg = _inline(buffer.getvalue(), alt, name)
    if len(svg) > MAX_SVG_BYTES:
        raise ValueError(
            f"the SVG is {len(svg) / 1000:.0f} kB, at most {MAX_SVG_BYTES / 1000:.0f} kB are allowed:"
            " thin the data, or draw the heavy part with rasterized=True"
        )
    return InlineFigure(svg, alt, figure, provenance, name)


def band(
    ax: Axes,
    x: ArrayLike,
    samples: ArrayLike,
    *,
    label: str,
    color: str | None = None,
    quantiles: tuple[float, float] = (0.0, 1.0),
    **line,
) -> None:
    """Draw the median over seeds as a line, and their spread as a band.

    Long runs are thinned to at most 600 points, dense at the start, so that they read on linear and log axes.

    Parameters
    ----------
    ax
        Where to draw.
    x
        Shape `(n,)`.
    samples
        One row per seed, shape `(seeds, n)`.
    label
        Name of the series in the legend.
    color
        The axes' next colour if not given.
    quantiles
        Lower and upper edge of the band; the default spans all seeds.
    **line
        Passed on to `ax.plot`.

    Raises
    ------
    ValueError
        If the shapes do not fit or `quantiles` are not 0 <= low <= high <= 1.

    Examples
    --------
    >>> with style():
    ...     figure, ax = plt.subplots()
    ...     band(ax, [1, 2], [[1, 2], [3, 4], [8, 9]], label="three seeds")
    >>> ax.get_lines()[0].get_ydata()
    array([3., 4.])
    >>> plt.close(figure)
    """
    x, samples = np.asarray(x), np.asarray(samples, dtype=float)
    if samples.ndim != 2 or samples.shape[1:] != x.shape or samples.shape[0] == 0:
        raise ValueError(f"samples must have shape (seeds, {x.size}) to go with x, got {samples.shape}")
    low, high = quantiles
    if not 0 <= low <= high <= 1:
        raise ValueError(f"quantiles must be 0 <= low <= high <= 1, got {quantiles}")
    if color is not None:
        line["color"] = color
    keep = _thinned(x.size)
    x, samples = x[keep], samples[:, keep]
    (median,) = ax.plot(x, np.median(samples, axis=0), label=label, **line)
    edges = np.quantile(samples, [low, high], axis=0)
    ax.fill_between(x, *edges, color=median.get_color(), alpha=0.2, linewidth=0)


def _thinned(count: int, limit: int = 600) -> np.ndarray:
    """Return at most `limit` indices out of `count`: half of them evenly spaced, half geometrically."""
    if count <= limit:
        return np.arange(count)
    spaced = np.r_[np.linspace(0, count - 1, limit // 2), np.geomspace(1, count, limit // 2) - 1]
    return np.unique(spaced.round().astype(int))


def provenance_html(text: str) -> str:
    """Return the small line under a figure that says where its data come from.

    Files of a :class:`specbias.provenance.Provenance` are only named, unseen: where they can be downloaded
    is known to the site (:mod:`specbias.downloads`) and not to a notebook.

    Examples
    --------
    >>> provenance_html("live · seed 0")
    '<p class="provenance" style="font-size:.85em;margin:.2em 0 0">live · seed 0</p>'
    """
    if not text:
        return ""
    files = " ".join(getattr(text, "files", ()))
    named = f' data-files="{escape(files)}"' if files else ""
    return f'<p class="provenance"{named} style="font-size:.85em;margin:.2em 0 0">{escape(text)}</p>'


def _inline(svg: str, alt: str, name: str) -> str:
    """Make matplotlib's SVG file fit to stand inside a page, among others like it."""
    width, height = (float(v) for v in re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg).groups())
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    # matplotlib styles "*", which in a page means all of the page; the root carries the same instead.
    body = re.sub(r"<style.*?</style>", "", body, flags=re.DOTALL)
    body = body.replace("xlink:href", "href").replace(INK, "currentColor")
    body = re.sub(r"\s*\n\s*", " ", _rounded(body)).replace("> <", "><").strip()
    prefix = "f" + hashlib.sha256((name + alt + body).encode()).hexdigest()[:8] + "-"
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", body)
    pixels = width * _PIXELS_PER_POINT
    return (
        f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {width:g} {height:g}" width="100%"'
        f' stroke-linejoin="round" stroke-linecap="butt" style="display:block;margin:auto;height:auto;'
        f'max-width:{pixels:.0f}px;min-width:{_SMALLEST_SCALE * pixels:.0f}px">{body}'
    )


def _rounded(svg: str) -> str:
    """Round coordinates to a hundredth of a point; scales stay as they are."""
    number = re.compile(r"-?\d+\.\d{3,}")

    def shorten(attribute: re.Match) -> str:
        return number.sub(lambda m: f"{float(m[0]):.2f}".rstrip("0").rstrip("."), attribute[0])

    return re.sub(r'\b(?:d|x|y|points)="[^"]*"|translate\([^)]*\)', shorten, svg)
