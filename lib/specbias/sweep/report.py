"""The page of a sweep: its runs, what they report, and every figure side by side, in one file."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path

from specbias._files import whole_file
from specbias.chapters import Chapter
from specbias.claims import SYMBOLS
from specbias.provenance import duration
from specbias.sweep.figures import scalar_plot, varies
from specbias.sweep.grid import in_words, points, value_in_words
from specbias.sweep.results import Run, claim_names, numbers, scalar_names

__all__ = ["write_page"]


def write_page(
    path: Path, chapter: Chapter, grid: Mapping[str, list], base: Mapping, runs: Sequence[Run]
) -> None:
    """Write the comparison of the runs to one HTML file, which asks for no other.

    Parameters
    ----------
    path
        Where to.
    chapter
        Whose runs they are.
    grid
        Values of each swept parameter.
    base
        Values that all runs share.
    runs
        One for each point of the grid, the last name varying fastest.
    """
    css = resources.files("specbias.sweep").joinpath("comparison.css").read_text("utf-8")
    title = f"{chapter.title}: {len(runs)} runs"
    parts = {
        "Runs": _runs_table(grid, runs),
        "Numbers that vary": _plots(grid, runs),
        "All that the chapter reports": _reported(runs),
        "Figures": _figures(grid, runs),
    }
    parts = {name: html for name, html in parts.items() if html}
    links = "".join(f'<li><a href="#{_anchor(name)}">{name}</a></li>' for name in parts)
    sections = "\n".join(
        f'<section id="{_anchor(name)}"><h2>{name}</h2>\n{html}</section>' for name, html in parts.items()
    )
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>{css}</style></head>\n'
        f"<body><main><h1>{escape(title)}</h1>\n{_about(chapter, grid, base)}"
        f'<nav aria-label="Parts of this page"><ul>{links}</ul></nav>\n{sections}\n</main></body></html>\n'
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, "utf-8")


def _about(chapter: Chapter, grid: Mapping[str, list], base: Mapping) -> str:
    swept = "; ".join(f"{name} = {', '.join(map(value_in_words, values))}" for name, values in grid.items())
    changed = in_words(chapter.changed(base))
    rest = f"In all runs {escape(changed)}; the" if changed else "The"
    return f"<p>Swept: {escape(swept)}. {rest} other parameters are at the chapter's defaults.</p>\n"


def _runs_table(grid: Mapping[str, list], runs: Sequence[Run]) -> str:
    claims = claim_names(runs)
    failed = any(run.message for run in runs)
    head = [*grid, "state", "time", *claims, *(["message"] if failed else []), "notebook"]
    rows = []
    for run in runs:
        seconds = "–" if math.isnan(run.seconds) else duration(run.seconds)
        cells = [f'<td class="{run.state}">{run.state}</td>', f"<td>{seconds}</td>"]
        cells += [f"<td>{_verdict(run, claim)}</td>" for claim in claims]
        cells += [f'<td class="message">{escape(run.message)}</td>'] if failed else []
        link = f'<a href="{escape(run.notebook)}">notebook</a>' if run.notebook else "–"
        values = map(value_in_words, run.point.values())
        names = "".join(f'<th scope="row">{escape(value)}</th>' for value in values)
        rows.append(f"<tr>{names}{''.join(cells)}<td>{link}</td></tr>")
    return _table("runs", "Every run, with its verdict on each claim.", head, rows)


def _plots(grid: Mapping[str, list], runs: Sequence[Run]) -> str:
    columns = {name: numbers(runs, name) for name in scalar_names(runs)}
    columns["wall time in seconds"] = [run.seconds for run in runs]
    where = [run.point for run in runs]
    plots = [
        scalar_plot(name, grid, where, values)._repr_html_()
        for name, values in columns.items()
        if varies(values)
    ]
    return f'<ul class="plots">{"".join(f"<li>{plot}</li>" for plot in plots)}</ul>' if plots else ""


def _reported(runs: Sequence[Run]) -> str:
    """Glued numbers and words, and what was measured for each claim: what varies, then what does not."""
    done = [run for run in runs if run.state == "done"]
    said = {name: [run.report.glued.get(name, "–") for run in done] for name in scalar_names(done)}
    for name in claim_names(done):
        said[name] = [run.report.claims.get(name, {}).get("measured", "–") for run in done]
    varying = {name: texts for name, texts in said.items() if len(set(texts)) > 1}
    same = {name: texts[0] for name, texts in said.items() if name not in varying}
    html = ""
    if varying:
        head = ["name", *(in_words(run.point) for run in done)]
        rows = [_row(name, texts) for name, texts in varying.items()]
        html += _table("numbers", "What differs between the runs.", head, rows)
    if same:
        rows = [_row(name, [text]) for name, text in same.items()]
        inside = _table("numbers", "What all runs report alike.", ["name", "in all runs"], rows)
        html += f"<details><summary>{len(same)} that are the same in all runs</summary>{inside}</details>"
    return html


def _figures(grid: Mapping[str, list], runs: Sequence[Run]) -> str:
    names = dict.fromkeys(name for run in runs for name in run.report.figures)
    return "\n".join(_figure(name, grid, runs) for name in names)


def _figure(name: str, grid: Mapping[str, list], runs: Sequence[Run]) -> str:
    """The same figure of all runs."""
    drawn = [run.report.figures.get(name) for run in runs]
    first = next(figure for figure in drawn if figure)
    heading = f'<h3 id="{escape(_anchor(name))}">{_caption(first.caption) or escape(name)}</h3>'
    if len({_without_provenance(figure.html) for figure in drawn if figure}) == 1:
        note = "The same in all runs" if all(drawn) else "The same in all runs that have it"
        return f"{heading}<details><summary>{note}</summary>{first.html}</details>"
    cells = [_cell(run, name, number) for number, run in enumerate(runs)]
    if len(grid) == 1:
        titles = [in_words(run.point) for run in runs]
        items = [
            f"<li><h4>{escape(title)}</h4>{cell}</li>" for title, cell in zip(titles, cells, strict=True)
        ]
        return f'{heading}<ul class="side">{"".join(items)}</ul>'
    *above, across = grid
    head = [", ".join(above), *(f"{across}={value_in_words(value)}" for value in grid[across])]
    rows = []
    for number, point in enumerate(points({other: grid[other] for other in above})):
        row = cells[number * len(grid[across]) : (number + 1) * len(grid[across])]
        shown = "".join(
            f'<td data-column="{escape(column)}">{cell}</td>'  # a phone shows no head
            for column, cell in zip(head[1:], row, strict=True)
        )
        rows.append(f'<tr><th scope="row">{escape(in_words(point))}</th>{shown}</tr>')
    width = f"{8 + 22 * len(grid[across])}rem"
    return heading + _table("multiples", f"{name} over {', '.join(grid)}", head, rows, width)


def _cell(run: Run, name: str, number: int) -> str:
    figure = run.report.figures.get(name)
    if figure is None:
        return f'<p class="{run.state}">{run.state}{": " if run.message else ""}{escape(run.message)}</p>'
    if "<script" in figure.html:
        return figure.html
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>r{number}-", figure.html)  # ids of a page must differ


def _table(kind: str, caption: str, head: Iterable[str], rows: Iterable[str], width: str = "") -> str:
    columns = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    style = f' style="min-width:{width}"' if width else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
        f'<table class="{kind}"{style}><caption>{escape(caption)}</caption>\n'
        f"<thead><tr>{columns}</tr></thead>\n"
        f"<tbody>\n{chr(10).join(rows)}\n</tbody></table></div>\n"
    )


def _row(name: str, texts: Sequence[str]) -> str:
    wide = ' class="words"' if max(map(len, texts)) > 24 else ""
    cells = "".join(f"<td{wide}>{escape(text)}</td>" for text in texts)
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'


def _verdict(run: Run, claim: str) -> str:
    verdict = run.report.claims.get(claim, {}).get("verdict", "")
    return f"{SYMBOLS.get(verdict, '')} {escape(verdict)}" if verdict else "–"


def _caption(markdown: str) -> str:
    text = escape(markdown, quote=False).replace("$", "")
    return re.sub(r"\*\*(.+?)\*\*", r"\1", text)


def _without_provenance(html: str) -> str:
    return re.sub(r'<p class="provenance".*?</p>', "", html, flags=re.DOTALL)


def _anchor(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
