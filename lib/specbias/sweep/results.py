"""What the runs of a sweep report: read from their notebooks, written as a table and as an array.

Both files name things alike. A number ``x`` that a chapter glues into its text is ``x`` where it can be read
as a number, and ``x_text`` as the chapter has it; a claim ``C1`` is ``C1_measured`` and ``C1_verdict``.
"""

from __future__ import annotations

import ast
import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import xarray as xr

from specbias._command import as_text
from specbias._files import whole_file
from specbias.claims import collect

__all__ = ["Drawn", "Report", "Run", "dataset", "number", "read_report", "scalar_names", "table", "write_csv"]

OWN = ("state", "seconds", "message", "notebook")  # columns of every table
_GLUED = "application/papermill.record/"  # what myst-nb puts before the kind of what is not displayed
_NUMBER = r"[-+−]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+−]?\d+)?"


@dataclass(frozen=True)
class Drawn:
    """A figure as a notebook has it."""

    html: str
    caption: str


@dataclass(frozen=True)
class Report:
    """What one executed chapter says."""

    glued: dict[str, str] = field(default_factory=dict)
    claims: dict[str, dict] = field(default_factory=dict)
    figures: dict[str, Drawn] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One run of a sweep."""

    point: dict  # the swept parameters
    state: str = "failed"
    seconds: float = math.nan
    message: str = ""
    notebook: str = ""  # within the sweep's folder
    report: Report = field(default_factory=Report)


def number(text: str) -> float:
    """The number that a text is, be it in percent or with its range behind it; nan if it is none.

    Examples
    --------
    >>> number("131,074"), number("64%"), number("4e-18"), number("1.8 (1.5 to 2.3)")
    (131074.0, 0.64, 4e-18, 1.8)
    >>> number("10 in 1 of 3"), number("never")
    (nan, nan)
    """
    pattern = rf"({_NUMBER}|[-+−]?inf)\s*(%?)(?: \({_NUMBER}%? to {_NUMBER}%?\))?"
    match = re.fullmatch(pattern, text.strip())
    if not match:
        return math.nan
    value = float(match[1].replace(",", "").replace("−", "-"))
    return value / 100 if match[2] else value


def read_report(notebook: Path) -> Report:
    """Collect what the executed notebook glues, its claims and its figures."""
    report = Report(claims={claim["id"]: claim for claim in collect(notebook)})
    for place, cell in enumerate(json.loads(notebook.read_text("utf-8"))["cells"]):
        shown = cell["metadata"].get("mystnb", {}).get("figure", {})
        for output in cell.get("outputs", []):
            name = output.get("metadata", {}).get("scrapbook", {}).get("name")
            text = _scalar(output.get("data", {})) if name else None
            if text is not None:
                report.glued[name] = text
            elif html := _figure(output.get("data", {})):
                key = shown.get("name", f"figure in cell {place + 1}")
                count = sum(other == key or other.startswith(f"{key} (") for other in report.figures)
                key += f" ({count + 1})" if count else ""
                report.figures[key] = Drawn(html, " ".join(shown.get("caption", "").split()))
    return report


def scalar_names(runs: Sequence[Run]) -> list[str]:
    """Names of all that is glued in any run, in the chapter's order."""
    return list(dict.fromkeys(name for run in runs for name in run.report.glued))


def claim_names(runs: Sequence[Run]) -> list[str]:
    """Ids of all claims that any run reports, in the chapter's order."""
    return list(dict.fromkeys(name for run in runs for name in run.report.claims))


def numbers(runs: Sequence[Run], name: str) -> list[float]:
    """Of each run, nan where there is none."""
    return [number(run.report.glued.get(name, "")) for run in runs]


def table(runs: Sequence[Run]) -> list[dict]:
    """One row a run: its parameters, what became of it, every scalar and every claim."""
    taken = {*OWN, *runs[0].point}
    rows = [
        {name: as_text(value) for name, value in run.point.items()}
        | {name: getattr(run, name) for name in OWN}
        for run in runs
    ]
    for name in scalar_names(runs):
        values = numbers(runs, name)
        column = _free(name, taken)
        for row, run, value in zip(rows, runs, values, strict=True):
            if not all(map(math.isnan, values)):
                row[column] = value
            row[f"{column}_text"] = run.report.glued.get(name, "")
    for name in claim_names(runs):
        column = _free(name, taken)
        for row, run in zip(rows, runs, strict=True):
            claim = run.report.claims.get(name, {})
            row[f"{column}_measured"] = claim.get("measured", "")
            row[f"{column}_verdict"] = claim.get("verdict", "")
    return rows


def write_csv(path: Path, rows: Sequence[Mapping]) -> None:
    """Write the table; nan is left empty."""
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            missing = {name for name, value in row.items() if isinstance(value, float) and math.isnan(value)}
            writer.writerow({name: "" if name in missing else value for name, value in row.items()})


def dataset(runs: Sequence[Run], grid: Mapping[str, list], attributes: Mapping) -> xr.Dataset:
    """The table over the grid's dimensions.

    Parameters
    ----------
    runs
        One for each point, the last name of the grid varying fastest.
    grid
        The values of each swept parameter; lists become text such as ``"5,6"``.
    attributes
        Of the dataset.

    Returns
    -------
    xarray.Dataset
        Numbers as float64, nan where missing; everything else as text.
    """
    rows = table(runs)
    shape = [len(values) for values in grid.values()]
    coordinates = {
        name: np.array(
            [as_text(value) if isinstance(value, (list, bool, str)) else value for value in values]
        )
        for name, values in grid.items()
    }
    variables = {}
    for name in rows[0]:
        if name not in grid:
            column = [row[name] for row in rows]
            kind = float if all(isinstance(value, float) for value in column) else object
            label = name.replace("/", "-")  # netCDF keeps it for groups
            variables[label] = (list(grid), np.array(column, dtype=kind).reshape(shape))
    return xr.Dataset(variables, coordinates, dict(attributes))


def write_netcdf(path: Path, data: xr.Dataset) -> None:
    """Write all of it or nothing."""
    with whole_file(path) as temporary:
        data.to_netcdf(temporary, engine="netcdf4")


def _free(name: str, taken: set[str]) -> str:
    """A column's name that no parameter has."""
    return f"{name} (reported)" if name in taken else name


def _scalar(data: Mapping) -> str | None:
    """What was glued, if it is a number or a text."""
    kinds = {kind.removeprefix(_GLUED): "".join(value) for kind, value in data.items()}
    if list(kinds) != ["text/plain"]:
        return None
    text = re.sub(r"^np\.\w+\((.*)\)$", r"\1", kinds["text/plain"])
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return text if not math.isnan(number(text)) or text == "nan" else None
    return str(value) if isinstance(value, (str, int, float)) else None


def _figure(data: Mapping) -> str:
    """The HTML of a figure of the book, or of a plain picture; empty if it is something else."""
    html = "".join(data.get("text/html", ""))
    if "specbias-figure" in html:
        return html
    svg = "".join(data.get("image/svg+xml", ""))
    if svg:
        return svg[svg.index("<svg") :]
    picture = "".join(data.get("image/png", "")).replace("\n", "")
    return f'<img src="data:image/png;base64,{picture}" alt="A figure of the chapter">' if picture else ""
