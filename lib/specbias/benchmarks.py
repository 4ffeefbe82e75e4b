"""What the benchmarks measured, for the tables in the chapters.

Each file of ``results/benchmarks/`` is written by the program of that name in ``benchmarks/``, by ``--json``.
"""

from __future__ import annotations

import json

import pandas as pd

from specbias.recorded import results_folder

__all__ = ["benchmark", "machine", "shares", "speedup", "table"]


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


def speedup(numbers: dict, side: str, peers: list[str]) -> tuple[str, str]:
    """How many times as fast a side is as the fastest of its peers in each setting, and which that is.

    In words; of times, where less is better.

    Examples
    --------
    >>> columns = {"small": {"ours": 1.0, "a": 3.0, "b": 4.0}, "large": {"ours": 2.0, "a": 9.0, "b": 5.0}}
    >>> speedup({"table": {"columns": columns}}, "ours", ["a", "b"])
    ('3.0 and 2.5', 'a and b')
    """
    columns = numbers["table"]["columns"].values()
    fastest = [min(peers, key=times.get) for times in columns]
    ratios = [times[peer] / times[side] for times, peer in zip(columns, fastest, strict=True)]
    return " and ".join(f"{ratio:.1f}" for ratio in ratios), " and ".join(dict.fromkeys(fastest))


def shares(parts: list[dict], kind: str) -> str:
    """In words, the share of the machine's speed at large products: ``"needed"`` or really ``"done"``.

    Examples
    --------
    >>> shares([{"peak": {"share_done": 0.31}}, {"peak": {"share_done": 0.4}}], "done")
    '31% and 40%'
    """
    return " and ".join(f"{part['peak'][f'share_{kind}']:.0%}" for part in parts)


def machine(numbers: dict) -> str:
    """In words, where the numbers were measured."""
    known = numbers["machine"]
    threads = f"{known['threads']} thread{'s' * (known['threads'] != 1)}"
    return f"{known['processor']}, {threads}, PyTorch {known['torch']}, NumPy {known['numpy']}"


def _three_digits(value: float) -> str:
    return f"{float(f'{value:.3g}'):.10g}"
