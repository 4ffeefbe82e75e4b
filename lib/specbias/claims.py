"""What the five sources claim, what the chapters measured, and the tables that put both side by side.

A chapter ends with a :class:`Scoreboard`; its display carries the reports along in the notebook, where
:func:`collect` finds them for the book's scoreboard page (:func:`scoreboard_table`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from html import escape
from importlib import resources
from pathlib import Path

import yaml

from specbias.provenance import book_root

__all__ = ["CHAPTERS", "VERDICTS", "Claim", "Scoreboard", "collect", "load_claims", "scoreboard_table"]

VERDICTS = ("reproduced", "partly", "differs", "not yet measured")
CHAPTERS = {
    "spectral-bias": "Spectral bias",
    "sequential-fitting": "Sequential fitting",
    "energy-landscape": "The energy landscape",
    "multistage": "Multistage networks",
    "si-msnn": "Spectrum-informed networks",
}

REPORTS_KEY = "application/vnd.specbias.claims+json"
"""Where an output's metadata hold the reports. (As data they would be a format that Sphinx warns of.)"""

SYMBOLS = {"reproduced": "✓", "partly": "◐", "differs": "✗", "not yet measured": "…"}

# On a phone every row becomes a card, with the names of the columns inside.
_CSS = """
.specbias-scoreboard { width: 100%; border-collapse: collapse; text-align: left; }
.specbias-scoreboard :is(td, th) { padding: .4rem .5rem; text-align: left; vertical-align: top; }
.specbias-scoreboard tr { border-bottom: 1px solid rgb(128 128 128 / 40%); }
.specbias-scoreboard td:last-child { white-space: nowrap; }
@media (max-width: 40rem) {
  .specbias-scoreboard thead { display: none; }
  .specbias-scoreboard :is(tbody, tr, th, td) { display: block; padding: .1rem 0; }
  .specbias-scoreboard tr { padding: .6rem 0; }
  .specbias-scoreboard td[data-column]::before { content: attr(data-column) ": "; opacity: .8; }
}
.specbias-scoreboard tr[hidden] { display: none; }
.specbias-filter { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; align-items: center; margin: 1rem 0; }
.specbias-filter label { max-width: 100%; }
.specbias-filter select { font: inherit; min-height: 2.75rem; padding: 0 .5rem; max-width: 100%; }"""


@dataclass(frozen=True)
class Claim:
    """One claim of a source. `verdict` is the one expected at the chapter's default parameters."""

    id: str
    chapter: str
    source: str
    figure: str
    claim: str
    published: str
    verdict: str


def load_claims(path: str | Path | None = None) -> list[Claim]:
    """Read and check the list of claims.

    Parameters
    ----------
    path
        A YAML file: a list with one mapping per claim. By default `book/claims.yaml` of the book around the
        current folder, or of the one this library belongs to.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not YAML, an entry lacks a key or has one too many, a value is not text, a chapter or
        verdict is unknown, or an id comes twice. The message names the file and the entry.
    """
    path = _claims_file() if path is None else Path(path)
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(entries, list):
        raise ValueError(f"{path} must hold a list of claims, got {type(entries).__name__}")
    claims = [_claim(entry, f"{path}, entry {number}") for number, entry in enumerate(entries, start=1)]
    for claim_id, count in Counter(claim.id for claim in claims).items():
        if count > 1:
            raise ValueError(f"{path}: id {claim_id!r} comes {count} times")
    return claims


def _claims_file() -> Path:
    root = book_root()
    if root is None:
        raise FileNotFoundError(
            f"no book (a folder with _toc.yml and lib/specbias) in {Path.cwd()} or above; pass path"
        )
    return root / "book" / "claims.yaml"


def _claim(entry: object, where: str) -> Claim:
    keys = [field.name for field in fields(Claim)]
    if not isinstance(entry, dict) or set(entry) != set(keys):
        got = ", ".join(map(str, entry)) if isinstance(entry, dict) else type(entry).__name__
        raise ValueError(f"{where}: the keys must be {', '.join(keys)}, got {got}")
    for key, value in entry.items():
        if not isinstance(value, str) or not (value.strip() or key == "figure"):
            raise ValueError(
                f"{where}: {key} must be text (in quotes if YAML reads it otherwise), got {value!r}"
            )
    _one_of(f"{where}: chapter", entry["chapter"], CHAPTERS)
    _one_of(f"{where}: verdict", entry["verdict"], VERDICTS)
    return Claim(**entry)


def _one_of(what: str, value: str, allowed: Iterable[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {value!r}")


class Scoreboard:
    """The claims of one chapter with what was measured. As the last line of a cell it shows a table.

    Parameters
    ----------
    chapter
        One of :data:`CHAPTERS`.
    claims
        All claims; by default those of :func:`load_claims`.

    Examples
    --------
    >>> claim = Claim("SB1", "spectral-bias", "Forum thread", "", "It is slow.", "15000 epochs", "partly")
    >>> board = Scoreboard("spectral-bias", [claim])
    >>> board.report("SB1", measured="14200 epochs", verdict="partly")
    >>> board.missing
    []
    """

    def __init__(self, chapter: str, claims: Sequence[Claim] | None = None):
        _one_of("chapter", chapter, CHAPTERS)
        self.chapter = chapter
        self.claims = {c.id: c for c in (load_claims() if claims is None else claims) if c.chapter == chapter}
        self.reports: dict[str, dict[str, str]] = {}

    @property
    def missing(self) -> list[str]:
        """Ids of the chapter's claims that nothing was reported for."""
        return [claim_id for claim_id in self.claims if claim_id not in self.reports]

    def report(self, claim_id: str, measured: str, verdict: str, figure: str = "") -> None:
        """Say what was measured for a claim.

        Parameters
        ----------
        claim_id
            A claim of this chapter.
        measured
            Our value, in a few words.
        verdict
            One of :data:`VERDICTS`.
        figure
            Name of the figure that shows it, such as "fig-loss".

        Raises
        ------
        ValueError
            If the id is not one of this chapter's or was reported before, `measured` is empty, or the
            verdict is unknown.
        """
        if claim_id not in self.claims:
            allowed = ", ".join(self.claims) or "none"
            raise ValueError(f"claim_id {claim_id!r} is not a claim of {self.chapter}, which has: {allowed}")
        if claim_id in self.reports:
            raise ValueError(
                f"claim_id {claim_id!r} was reported before: {self.reports[claim_id]['measured']!r}"
            )
        if not isinstance(measured, str) or not measured.strip():
            raise ValueError(f"measured for {claim_id} must be a text that is not empty, got {measured!r}")
        _one_of(f"verdict for {claim_id}", verdict, VERDICTS)
        published = self.claims[claim_id].published
        self.reports[claim_id] = {
            "id": claim_id,
            "published": published,
            "measured": measured,
            "verdict": verdict,
            "figure": figure,
        }

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        counts = _counts(report["verdict"] for report in self.reports.values())
        text = f"{self.chapter}: {counts or 'nothing reported'}"
        html = _table(_row(claim, self.reports.get(claim.id), "") for claim in self.claims.values())
        if self.missing:
            note = f"Nothing was reported for {', '.join(self.missing)}."
            text = f"{text}. {note}"
            html = f'<p role="alert"><strong>⚠ {escape(note)}</strong></p>\n{html}'
        ordered = [self.reports[claim_id] for claim_id in self.claims if claim_id in self.reports]
        return {"text/plain": text, "text/html": html}, {REPORTS_KEY: ordered}


def collect(notebook_path: str | Path) -> list[dict]:
    """Return every report that the scoreboards of an executed notebook carry, in order.

    Returns
    -------
    list of dict
        Each with `id`, `published`, `measured`, `verdict` and `figure`.
    """
    notebook = json.loads(Path(notebook_path).read_text(encoding="utf-8"))
    outputs = (output for cell in notebook["cells"] for output in cell.get("outputs", []))
    return [report for output in outputs for report in output.get("metadata", {}).get(REPORTS_KEY, [])]


def scoreboard_table(claims: Sequence[Claim], reports: Sequence[dict]) -> str:
    """Return the book's scoreboard as HTML that can stand in a Markdown page.

    Parameters
    ----------
    claims
        What :func:`load_claims` returned.
    reports
        What :func:`collect` found in all chapters. Claims without a report show as not yet measured; of two
        reports of one claim the later one shows.

    Raises
    ------
    ValueError
        If a report names a claim that does not exist.
    """
    by_id = {report["id"]: report for report in reports}
    if unknown := sorted(set(by_id) - {claim.id for claim in claims}):
        raise ValueError(f"reports name claims that do not exist: {', '.join(unknown)}")
    verdicts = [by_id[claim.id]["verdict"] if claim.id in by_id else VERDICTS[-1] for claim in claims]
    rows = []
    for chapter, title in CHAPTERS.items():
        members = [claim for claim in claims if claim.chapter == chapter]
        page = f"{chapter}.html" if any(claim.id in by_id for claim in members) else ""
        if members:
            heading = f'<a href="{page}">{escape(title)}</a>' if page else escape(title)
            rows.append(f'<tr><th colspan="5" scope="rowgroup">{heading}</th></tr>')
        rows.extend(_row(claim, by_id.get(claim.id), page) for claim in members)
    script = "\n".join(line for line in _script().splitlines() if line)  # an empty line would end the HTML
    table = _table(rows).replace('<table class="', '<table data-filter class="')
    return f"<p>{len(claims)} claims: {_counts(verdicts)}.</p>\n{table}\n<script>\n{script}\n</script>"


def _script() -> str:
    return resources.files("specbias").joinpath("scoreboard.js").read_text("utf-8")


def _counts(verdicts: Iterable[str]) -> str:
    counts = Counter(verdicts)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])


def _row(claim: Claim, report: dict | None, page: str) -> str:
    """Return a table row; figures are links within `page`, or within the page around if that is empty."""
    measured = escape(report["measured"]) if report else "–"
    if report and report["figure"]:
        measured += f' (<a href="{page}#{escape(report["figure"])}">figure</a>)'
    verdict = report["verdict"] if report else VERDICTS[-1]
    source = escape(", ".join(filter(None, (claim.source, claim.figure))))
    return (
        f'<tr id="claim-{escape(claim.id)}" data-source="{escape(claim.source)}" data-verdict="{verdict}">'
        f'<th scope="row">{escape(claim.id)}</th>'
        f"<td>{escape(claim.claim)} <small>({source})</small></td>"
        f'<td data-column="Source">{escape(claim.published)}</td><td data-column="Here">{measured}</td>'
        f'<td data-column="Verdict">{SYMBOLS[verdict]} {verdict}</td></tr>'
    )


def _table(rows: Iterable[str]) -> str:
    # No empty line in here: in Markdown it would end the HTML.
    head = "".join(f'<th scope="col">{title}</th>' for title in ("Id", "Claim", "Source", "Here", "Verdict"))
    body = "\n".join(rows)
    return (
        f'<style>{_CSS}</style>\n<table class="specbias-scoreboard">\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    )
