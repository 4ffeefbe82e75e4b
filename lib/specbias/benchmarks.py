"""What the benchmarks measured, for the tables in the chapters.

Each file of ``results/benchmarks/`` is written by the program of that name in ``benchmarks/``, by ``--json``.
"""

from __future__ import annotations

import json

import pandas as pd

from specbias.recorded import results_folder

__all__ = ["benchmark", "machine", "table"]


def benchmark(name: str) -> dict:
    """The numbers of ``results/benchmarks/<name>.json``.

    Raises
    ------
    FileNotFoundError
        Where there is no such file; the message gives the command that writes it.
    """
    folder = results_folder()
    path = None if folder is None else folder / "benchmarks" / f"{name}.json"
    if path is None or not path.exists():
        made = f"python benchmarks/{name}.py --json results/benchmarks/{name}.json"
        raise FileNotFoundError(f"name={name!r}: no recorded benchmark of this name; it is made by: {made}")
    return json.loads(path.read_text())


def table(numbers: dict) -> pd.DataFrame:
    """Sides against settings, three significant digits, as the chapters show it; the unit is its name.

    Examples
    --------
    >>> table({"table": {"unit": "µs", "columns": {"small": {"ours": 1.234, "theirs": 98765.0}}}})
            small
    µs
    ours     1.23
    theirs  98800
    """
    columns = numbers["table"]["columns"]
    frame = pd.DataFrame(columns).map(lambda value: "—" if pd.isna(value) else _three_digits(value))
    return frame.rename_axis(index=numbers["table"]["unit"])


def machine(numbers: dict) -> str:
    """In words, where the numbers were measured."""
    known = numbers["machine"]
    threads = f"{known['threads']} thread{'s' * (known['threads'] != 1)}"
    return f"{known['processor']}, {threads}, PyTorch {known['torch']}, NumPy {known['numpy']}"


def _three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):.10g}"
