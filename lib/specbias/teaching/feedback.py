"""The page that a student gets back: points, what each check said, comments. One file, no network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from specbias.teaching.sources import graded

if TYPE_CHECKING:
    from specbias.teaching.grade import Graded

STYLE = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .6rem; border-bottom: 1px solid #8885; }
td.points { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: .3rem 0; }
tr { border-left: .3rem solid #6b6b6b; }
tr.full { border-left-color: #0a7f5a; }
tr.none { border-left-color: #b3430f; }
"""


def page(one: Graded) -> str:
    """HTML of the feedback on one graded submission; whatever a student wrote is text in it, never markup."""
    title = f"{one.submission.assignment.title}: {one.submission.student}"
    got = sum(part.points or 0.0 for part in one.points.values())
    most = sum(part.most for part in one.points.values())
    unread = any(part.points is None for part in one.points.values())
    pending = " What is to be read by a person is still missing in it." if unread else ""
    rows = "\n".join(_row(one, about.grade_id) for _, about in graded(one.execution.notebook))
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head>
<body><main><h1>{escape(title)}</h1>
<p><strong>{got:g} of {most:g} points.</strong>{pending}</p>
<table>
<thead><tr><th scope="col">Part</th><th scope="col">Points</th><th scope="col">What was said</th></tr></thead>
<tbody>
{rows}
</tbody></table>
{_reports(one)}
</main></body></html>
"""


def _row(one: Graded, part: str) -> str:
    points = one.points[part]
    kind = "open" if points.points is None else "full" if points.points == points.most else "none"
    number = "to be read" if points.points is None else f"{points.points:g} of {points.most:g}"
    said = one.messages.get(part) or ("" if part in one.answers else "passed")
    text = "".join(
        f"<pre>{escape(line)}</pre>" for line in (said, one.answers.get(part, ""), points.comment) if line
    )
    cells = f'<th scope="row">{escape(part)}</th><td class="points">{number}</td><td>{text}</td>'
    return f'<tr class="{kind}">{cells}</tr>'


def _reports(one: Graded) -> str:
    if not one.execution.reports:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for line in one.execution.reports)
    return f"<h2>While it was executed</h2><ul>{items}</ul>"
