"""What the pages beside the chapters get from the chapters' runs, in place of comments such as these:

``<!-- scoreboard -->``
    every claim, and what was measured;
``<!-- verdicts -->``
    how many came out how, as a bar;
``<!-- story -->``
    the book's picture, from recorded runs;
``<!-- status -->``
    how long each chapter took, where, and with which versions;
``<!-- chapter times -->``
    how long each chapter took where that was last measured, at its defaults and at params/quick;
``<!-- points -->``
    what each assignment gives points for: checks, and answers in words;
``<!-- recordings -->``
    every recorded run, how it was made, and its file;
``<!-- citation -->``
    how to cite the book, from CITATION.cff.
"""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import yaml

from specbias.benchmarks import benchmark
from specbias.claims import CHAPTERS, SYMBOLS, VERDICTS, Claim, collect, scoreboard_table
from specbias.provenance import book_root, commit, duration, processor, provenance, version
from specbias.recorded import load_recording, recorded_runs, results_folder

__all__ = ["fill_pages"]

PACKAGES = ("numpy", "scipy", "torch", "numba", "xarray", "finufft", "scikit-learn", "jupyter-book")
STORY = ("spectral-bias/circle-waves", "multistage/four", "si-msnn/flow")
_BAR = {"reproduced": "#1b7f4b", "partly": "#8a6d00", "differs": "#b3402a", "not yet measured": "#6b6b6b"}


def fill_pages(book: Path, runs: Sequence, claims: Sequence[Claim]) -> None:
    """Replace the comments in the pages of a staged ``book/``; a page without any stays as it is.

    ``runs`` are :class:`specbias.site.Executed`.
    """
    reports = [report for run in runs for report in collect(run.notebook)]
    made: dict[str, Callable[[], str]] = {
        "scoreboard": lambda: scoreboard_table(claims, reports),
        "verdicts": lambda: verdict_bar(claims, reports),
        "story": story,
        "status": lambda: status_table(runs, recorded_runs()),
        "chapter times": times_table,
        "points": points_table,
        "recordings": lambda: recordings_table(recorded_runs()),
        "citation": citation,
    }
    for page in sorted(book.glob("*.md")):
        text = page.read_text("utf-8")
        for name, make in made.items():
            if (mark := f"<!-- {name} -->") in text:
                text = text.replace(mark, make())
        page.write_text(text, "utf-8")


def verdict_bar(claims: Sequence[Claim], reports: Sequence[dict]) -> str:
    """How many claims came out how: a bar with its numbers in words, a link to the scoreboard."""
    by_id = {report["id"]: report["verdict"] for report in reports}
    counts = Counter(by_id.get(claim.id, VERDICTS[-1]) for claim in claims)
    found = [(verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict]]
    parts = "".join(
        f'<span style="flex-grow:{count};background:{_BAR[verdict]}">'
        f"{SYMBOLS[verdict]} {count} {verdict}</span>"
        for verdict, count in found
    )
    return (
        f'<p class="specbias-verdicts"><a href="scoreboard.html">{len(claims)} claims of five texts'
        f'<span class="bar">{parts}</span></a></p>'
    )


def story() -> str:
    """The book in one figure; nothing where the runs that it is drawn from are not recorded."""
    from specbias.plots import show
    from specbias.plots.story import two_halves

    folder = results_folder()
    files = [f"{name}.nc" for name in STORY]
    if folder is None or not all((folder / file).is_file() for file in files):
        return ""
    waves, line, flow = (load_recording(folder / file).assign_attrs(file=file) for file in files)
    shown = show(
        two_halves(waves, line, flow), provenance=provenance(waves, line, flow),
        alt="Left, of two waves in one target the slow one is learned long before the fast one. "
        "Right, with each further network, fitted to what those before it have left, the error falls, with a "
        "better optimizer to the last digit of float64 after two or three.",
    )  # fmt: skip
    return "\n".join(line for line in shown._repr_html_().splitlines() if line.strip())


def status_table(runs: Sequence, recorded: dict[str, dict]) -> str:
    """One row a chapter: what its page took, and the recorded runs behind it; then machine and versions."""
    rows, order = [], list(CHAPTERS)
    for run in sorted(runs, key=lambda run: (*order, run.chapter.name).index(run.chapter.name)):
        name = run.chapter.name
        title = CHAPTERS.get(name) or run.chapter.title
        mine = [attributes for key, attributes in recorded.items() if key.startswith(f"{name}/")]
        total = duration(sum(float(attributes["wall_time"]) for attributes in mine)) if mine else "–"
        days = sorted({attributes["started"][:10] for attributes in mine})
        span = " to ".join(dict.fromkeys((days[0], days[-1]))) if days else "–"
        devices = ", ".join(sorted({str(attributes["device"]) for attributes in mine})) or "–"
        cells = (duration(run.seconds), str(len(mine)), total, span, devices)
        rows.append(
            f'<tr><th scope="row"><a href="{name}.html">{escape(title)}</a></th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
        )  # fmt: skip
    heads = ("Chapter", "Page", "Recorded runs", "They took", "Recorded", "Device")
    head = "".join(f'<th scope="col">{title}</th>' for title in heads)
    body = "\n".join(rows)
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return (
        f'<table class="table"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table>\n"
        f"<p>Built on {escape(processor())}, {os.cpu_count()} cores, from commit {escape(commit())}, with "
        f"Python {platform.python_version()}, {escape(versions)}.</p>"
    )


def times_table() -> str:
    """Seconds of each chapter, as ``benchmarks/chapters.py`` has measured them; nothing where it has not."""
    try:
        known = benchmark("chapters")
    except FileNotFoundError:
        return ""
    rows = ["| Chapter | At its defaults | With the quick preset |", "|:--|--:|--:|"]
    order = list(CHAPTERS)
    for name in sorted(known["seconds"], key=lambda name: (*order, name).index(name)):
        took = known["seconds"][name]
        rows.append(f"| {{doc}}`{name}` | {took['defaults']:.0f} s | {took['quick']:.0f} s |")
    machine = known["machine"]
    return "\n".join(rows) + f"\n\nMeasured on {machine['processor']}, {machine['cores']} cores.\n"


def points_table() -> str:
    """Points of each assignment; nothing where the book has none."""
    from specbias.teaching.sources import FOLDER, assignments

    root = book_root()
    if root is None or not (root / FOLDER).is_dir():
        return ""
    rows = ["| Assignment | Points by checks | Points for words |", "|:--|--:|--:|"]
    order = [*CHAPTERS, "capstone"]
    for one in sorted(assignments(root), key=lambda one: (*order, one.name).index(one.name)):
        checks, words = (sum(one.points(read=read).values()) for read in (False, True))
        rows.append(f"| {one.title} | {checks:g} | {words:g} |")
    return "\n".join(rows) + "\n"


def recordings_table(recorded: dict[str, dict]) -> str:
    """One row a recorded run: a link to its file, when and how it was made; its parameters unfold."""
    rows = []
    for name, known in recorded.items():
        made = (known["started"][:10], duration(float(known["wall_time"])), known["device"], known["commit"])
        unfolded = "<br>".join(
            f"<strong>{escape(key)}</strong> {escape(str(known[key]))}"
            for key in ("parameters", "seeds", "dtype", "command", "processor", "numpy", "torch", "xarray")
            if known.get(key)
        )
        rows.append(
            f'<tr><th scope="row"><a href="../_static/results/{escape(name)}.nc" download>{escape(name)}</a>'
            f"<details><summary>parameters</summary>{unfolded}</details></th>"
            + "".join(f"<td>{escape(str(cell))}</td>" for cell in made)
            + "</tr>"
        )
    head = "".join(f'<th scope="col">{title}</th>' for title in ("Run", "Made", "Took", "Device", "Commit"))
    body = "\n".join(rows)
    return (
        f'<table class="table specbias-recordings"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table>"
    )


def citation() -> str:
    """The book's own entry in a list of references, in words and for BibTeX; nothing without CITATION.cff."""
    root = book_root()
    path = None if root is None else root / "CITATION.cff"
    if path is None or not path.is_file():
        return ""
    about = yaml.safe_load(path.read_text("utf-8"))
    authors = [_author(author) for author in about["authors"]]
    at = commit()
    version_of_it = f"Version {about['version']}" + (f", commit {at}" if at != "unknown" else "")
    year, address = str(about.get("date-released", ""))[:4], about.get("repository-code", "")
    link = f"<{address}>" if address else ""
    words = ". ".join(filter(None, [" and ".join(authors), f"*{about['title']}*", version_of_it, year, link]))
    fields = {
        "author": " and ".join(f"{{{author}}}" for author in authors),  # braces: not to be split into names
        "title": about["title"], "year": year, "note": version_of_it, "url": address,
    }  # fmt: skip
    entry = ",\n".join(f"  {key} = {{{value}}}" for key, value in fields.items() if value)
    return f"{words}.\n\n```bibtex\n@misc{{specbias,\n{entry}\n}}\n```"


def _author(author: dict) -> str:
    """A person or a group, as CITATION.cff has them."""
    return author.get("name") or f"{author['given-names']} {author['family-names']}"
