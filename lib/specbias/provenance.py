"""Where a run came from: what is written beside its numbers, and the line under a figure that says so."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np
import xarray as xr

import specbias

RECORD = "python -m specbias record"
PROVENANCE = ("origin", "started", "seeds", "device", "wall_time", "commit")

__all__ = [
    "RECORD",
    "Provenance",
    "again",
    "book_root",
    "chosen_device",
    "commit",
    "duration",
    "portable_instructions",
    "processor",
    "provenance",
    "run_attributes",
    "untraced",
    "versions",
]


class Provenance(str):
    """The line under a figure; ``files`` are those of the runs that it speaks of, below ``results/``.

    Examples
    --------
    >>> Provenance("recorded 2026-11-22", ["multistage/four.nc"]).files
    ('multistage/four.nc',)
    """

    files: tuple[str, ...]

    def __new__(cls, line: str, files: Iterable[str] = ()):
        """Text, with the same file named once."""
        made = super().__new__(cls, line)
        made.files = tuple(dict.fromkeys(files))
        return made


def provenance(dataset: xr.Dataset, *others: xr.Dataset) -> Provenance:
    """One line on where a dataset of :func:`recorded`, or several, came from, for under a figure.

    Examples
    --------
    >>> attributes = dict(origin="recorded", started="2026-11-22T10:00:00+00:00", seeds="[0,1,2,3]",
    ...                   device="cpu", wall_time=432.1, commit="abc1234")
    >>> provenance(xr.Dataset(attrs=attributes))
    'recorded 2026-11-22 · seeds 0–3 · cpu · 432 s · commit abc1234'
    """
    datasets = (dataset, *others)
    line = _provenance_of_several(datasets) if others else _provenance_of_one(dataset)
    return Provenance(line, [one.attrs["file"] for one in datasets if "file" in one.attrs])


def _provenance_of_one(dataset: xr.Dataset) -> str:
    attributes = dataset.attrs
    missing = [key for key in PROVENANCE if key not in attributes]
    if missing:
        raise ValueError(
            f"dataset: attributes {missing} are missing; it did not come from specbias.recorded.recorded"
        )
    date = f" {attributes['started'][:10]}" if attributes["origin"] == "recorded" else ""
    parts = [
        attributes["origin"] + date,
        _seeds_in_words(json.loads(attributes["seeds"])),
        attributes["device"],
        duration(attributes["wall_time"]),
        f"commit {attributes['commit']}" if attributes["commit"] != "unknown" else "",
    ]
    return " · ".join(part for part in parts if part)


def _provenance_of_several(datasets: tuple[xr.Dataset, ...]) -> str:
    """Their common parts once; what differs is counted or left out, and wall times are added up."""
    lines = [_provenance_of_one(dataset).split(" · ") for dataset in datasets]
    common = [part for part in lines[0] if all(part in line for line in lines)]
    origins = sorted({dataset.attrs["origin"] for dataset in datasets})
    total = duration(sum(dataset.attrs["wall_time"] for dataset in datasets))
    rest = [part for part in common if part.split()[0] not in (*origins, total.split()[0])]
    return " · ".join([f"{len(datasets)} runs, {' and '.join(origins)}", *rest, f"{total} in all"])


def run_attributes(
    name: str,
    dataset: xr.Dataset,
    parameters: str,
    *,
    device,
    commit: str,
    started: datetime,
    wall_time: float,
) -> dict:
    """Return the attributes of a run just made; :func:`specbias.recorded.recorded` says what they mean."""
    known = json.loads(parameters)
    return {
        "origin": "live",
        "parameters": parameters,
        "seeds": json.dumps(_seeds(known)),
        "dtype": str(known.get("dtype", _widest_float(dataset))),
        "device": dataset.attrs.get("device") or chosen_device(device)[0],
        "wall_time": wall_time,
        "started": started.isoformat(timespec="seconds"),
        "commit": commit,
        "command": os.environ.get("SPECBIAS_COMMAND", f"{RECORD} {name}"),
        **versions(),
    }


def untraced(name: str, command: str, runs: Iterable[str]) -> str:
    """Why a recording of this name cannot be traced to a command of the book; empty if it can.

    Parameters
    ----------
    name, command : str
        Of the recording: its path below ``results/``, its attribute ``command``.
    runs : iterable of str
        All that the book has.

    Examples
    --------
    >>> untraced("a/one", "python -m specbias record a/one", ["a/one", "a/two"])
    ''
    >>> untraced("a/two", "python -m specbias record a/one", ["a/one", "a/two"])
    'it says it was made by another command: python -m specbias record a/one'
    """
    words, record = command.split(), RECORD.split()
    if not words:
        return "it does not say by which command it was made"
    if name not in runs:
        return f"no run of the book has this name; it says it was made by: {command}"
    recorded = words[: len(record) + 1] == [*record, name]
    ran = words[:3] == ["specbias", "run", name.partition("/")[0]] and "--record" in words
    return "" if recorded or ran else f"it says it was made by another command: {command}"


def again(command: str) -> str:
    """The command that makes a recording although there is one.

    Examples
    --------
    >>> again("python -m specbias record a/one"), again("specbias run a --record")
    ('python -m specbias record a/one --force', 'specbias run a --record --no-recorded')
    """
    option = "--no-recorded" if command.startswith("specbias run") else "--force"
    return command if option in command.split() else f"{command} {option}"


def versions() -> dict[str, str]:
    """The versions, the processor and the instructions that numbers made here and now come from.

    Examples
    --------
    >>> list(versions())
    ['specbias', 'processor', 'instructions', 'python', 'numpy', 'xarray', 'torch']
    """
    return {
        "specbias": specbias.__version__,
        "processor": processor(),
        "instructions": os.environ.get("NUMBA_CPU_NAME", "of this processor"),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "xarray": xr.__version__,
        "torch": version("torch"),
    }


def commit() -> str:
    """The library's commit, ending in ``-dirty`` when lib/ has changes in none; "unknown" without git."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return "unknown"
    try:
        commit = _git(root, "rev-parse", "--short=7", "HEAD")
        return commit + ("-dirty" if _git(root, "status", "--porcelain", "--", "lib") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def portable_instructions() -> dict[str, str]:
    """What the environment has to say so that compiled loops round alike on every processor of a kind.

    Sums are grouped by how many numbers the processor adds at once, and a chaotic training turns the last
    digit into another one soon. Recorded runs, and what they are checked against, are therefore compiled for
    what all x86 processors since 2013 have (x86-64-v3) and not for the one at hand, which may be a third
    faster. Nothing on other processors, or with ``SPECBIAS_PORTABLE=no`` or a ``NUMBA_CPU_NAME`` of one's
    own. Numba reads this when it is imported.

    Examples
    --------
    >>> set(portable_instructions().values()) <= {"x86-64-v3", ""}
    True
    """
    wanted = switch("SPECBIAS_PORTABLE", default=True)
    if not wanted or "NUMBA_CPU_NAME" in os.environ or importlib.util.find_spec("llvmlite") is None:
        return {}
    from llvmlite.binding import get_host_cpu_features

    if not get_host_cpu_features().get("avx2"):
        return {}
    return {"NUMBA_CPU_NAME": "x86-64-v3", "NUMBA_CPU_FEATURES": ""}


def switch(variable: str, *, default: bool) -> bool:
    """Whether an environment variable says yes; ValueError for anything but yes, no and their like."""
    text = os.environ.get(variable, "").strip().lower()
    if text in ("", "yes", "1", "true", "no", "0", "false"):
        return default if not text else text in ("yes", "1", "true")
    raise ValueError(f"{variable}={text!r}: allowed: yes, no")


def chosen_device(device: str) -> tuple[str, str]:
    """What ``"auto"`` is here, and why; any other device is itself, for no reason.

    Examples
    --------
    >>> chosen_device("cpu")
    ('cpu', '')
    """
    if str(device) != "auto":
        return str(device), ""
    if importlib.util.find_spec("torch") is None:
        return "cpu", "PyTorch is not installed"
    import torch

    if torch.cuda.is_available():
        return "cuda", torch.cuda.get_device_name(0)
    return "cpu", "PyTorch finds no CUDA device" if torch.version.cuda else "PyTorch is built without CUDA"


def processor() -> str:
    """The processor's name where the system tells it, else its kind."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def book_root() -> Path | None:
    """The book's folder: the nearest one upwards from here, else the one this library is installed from."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "_toc.yml").is_file() and (folder / "lib" / "specbias").is_dir():
            return folder
    return None


def duration(seconds: float) -> str:
    """A wall time in a few characters.

    Examples
    --------
    >>> duration(0.042), duration(7.31), duration(432.1), duration(9000)
    ('42 ms', '7.3 s', '432 s', '2.5 h')
    """
    if seconds < 0.1:
        return f"{seconds * 1e3:.0f} ms"
    if seconds < 3600:
        return f"{seconds:.{1 if seconds < 10 else 0}f} s"
    return f"{seconds / 3600:.1f} h"


def _seeds(parameters: dict) -> list[int]:
    """The list ``seeds``, or ``seeds`` many from ``seed`` on, or ``seed`` alone, or none."""
    seeds, first = parameters.get("seeds"), parameters.get("seed")
    if isinstance(seeds, int):
        return list(range(first or 0, (first or 0) + seeds))
    return seeds or ([] if first is None else [first])


def _seeds_in_words(seeds: list) -> str:
    if not seeds:
        return ""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if seeds == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"seeds {seeds[0]}–{seeds[-1]}"
    return "seeds " + ", ".join(map(str, seeds)) if len(seeds) <= 8 else f"{len(seeds)} seeds"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def _widest_float(dataset: xr.Dataset) -> str:
    floats = [variable.dtype for variable in dataset.data_vars.values() if variable.dtype.kind == "f"]
    return str(np.result_type(*floats)) if floats else "none"


def version(package: str) -> str:
    """Of an installed package, or "not installed"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
