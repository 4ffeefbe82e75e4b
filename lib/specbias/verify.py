"""Are the recordings still right? A slice of each recorded run is computed again and compared.

Every file in ``results/`` must also say by which command it was made, so that it can be made again.
"""

from __future__ import annotations

import difflib
import fnmatch
import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from specbias.provenance import (
    RECORD,
    again,
    book_root,
    commit,
    duration,
    portable_instructions,
    untraced,
    versions,
)
from specbias.recorded import canonical_json, load_recording, results_folder, run_arguments

if TYPE_CHECKING:
    from specbias.experiments.slices import Deviation, Slice

SAME, DRIFT, NO_SLICE, NOT_RECORDED, UNREADABLE, STRAY = (
    "same", "drift", "no slice", "not recorded", "unreadable", "stray",
)  # fmt: skip

__all__ = ["Result", "as_json", "chosen", "summary", "verifications", "verify"]


@dataclass(frozen=True)
class Result:
    """What :func:`verify` found of one recorded run, or of a file that is none.

    Attributes
    ----------
    name : str
        Of the run; of a file that is no recording its path below ``results/``.
    verdict : str
        ``"same"``; ``"drift"``: a value is farther from the one computed now than is allowed, or the slice
        cannot be computed; ``"no slice"``; ``"not recorded"``; ``"unreadable"``; ``"stray"``: the file does
        not say by which command it was made, or that is none of the book's.
    seconds : float
    compared : str
        The slice, in words.
    deviations : tuple of Deviation
        The largest of each comparison (:class:`specbias.experiments.slices.Deviation`).
    reason : str
        What there is to say besides.
    origin : mapping
        Attributes of the recording: ``commit``, ``processor``, versions.
    remake : str
        The command that makes it again.
    """

    name: str
    verdict: str
    seconds: float = 0.0
    compared: str = ""
    deviations: tuple[Deviation, ...] = ()
    reason: str = ""
    origin: Mapping = field(default_factory=dict)
    remake: str = ""

    @property
    def largest(self) -> Deviation | None:
        """The largest deviation of all, as a share of what is allowed; None where nothing was compared."""
        return max(self.deviations, key=lambda one: one.share, default=None)

    @property
    def deviation(self) -> float | None:
        """How large that is; above 1 is drift."""
        return None if self.largest is None else self.largest.share

    def line(self, width: int = 0) -> str:
        """The result on one line, the name padded to ``width``.

        Examples
        --------
        >>> Result("multistage/four", "not recorded").line(20)
        'multistage/four       not recorded'
        """
        told = f"{self.name:{width}}  {self.verdict}"
        if self.largest:
            told = f"{told:{width + 14}}  {self.deviation:<8.2g} of what is allowed"
        return f"{told}  {self.seconds:6.1f} s" if self.seconds else told

    def details(self) -> list[str]:
        """What a person needs to see why it is not the same; of one that is, what there is to say besides."""
        lines = [self.reason] if self.reason else []
        if self.verdict == SAME:
            return lines
        if self.verdict == DRIFT:
            lines += [_in_words(one) for one in self.deviations if one.share > 1]
            lines.append(_then_and_now(self.origin))
        once_more = "" if self.verdict == NOT_RECORDED else " again"
        return lines + ([f"to record it{once_more}: {self.remake}"] if self.remake else [])


def verify(names: Iterable[str] | None = None) -> list[Result]:
    """Compute a slice of recorded runs again, on the CPU, and compare it with what is recorded.

    Parameters
    ----------
    names
        Names of runs, of chapters, or patterns such as ``"energy-landscape/*"``; None for every file in
        ``results/``.

    Returns
    -------
    list of Result
        By name.

    Raises
    ------
    ValueError
        For a name that neither a run nor a file has; the message says which one is nearest.

    Notes
    -----
    Compiled loops round as in the recordings only if Numba has not been imported before.

    Examples
    --------
    >>> [result.verdict for result in verify(["spectral-bias/thread-step-250"])]
    ['same']
    """
    return list(verifications(chosen(names)))


def chosen(names: Iterable[str] | None = None) -> list[str]:
    """Names of the runs, and of files that are none, that ``names`` select; see :func:`verify`."""
    registry, files = _registry(), _files()
    if names is None:
        return sorted(files)
    known, found = sorted({*registry, *files}), set()
    for name in [names] if isinstance(names, str) else names:
        selected = fnmatch.filter(known, name) + fnmatch.filter(known, f"{name.rstrip('/')}/*")
        if not selected:
            chapters = sorted({run.partition("/")[0] for run in known})
            near = difflib.get_close_matches(name, known + chapters, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(
                f"name={name!r}: no such run; allowed are names of runs, chapters ({', '.join(chapters)}) "
                f"and patterns such as 'CHAPTER/*'{hint}"
            )
        found.update(selected)
    return sorted(found)


def verifications(selected: Iterable[str]) -> Iterator[Result]:
    """The results of :func:`verify` one by one, as they come; ``selected`` is what :func:`chosen` returns."""
    files = _files()
    for name in selected:
        began, path = time.perf_counter(), files.get(name)
        if path is None:
            yield Result(name, NOT_RECORDED, remake=f"{RECORD} {name}")
        elif path.suffix == ".nc":
            told = _judged(name, path)
            yield Result(**{**told, "name": name, "seconds": time.perf_counter() - began})
        else:
            yield Result(name, STRAY, reason="no run of the book writes such a file")


def summary(results: Iterable[Result]) -> str:
    """How many runs came to which verdict, those that are not the same by name, and the time.

    Examples
    --------
    >>> print(summary([Result("a/one", "same", 2.0), Result("a/two", "drift", 1.0)]))
    1 same, 1 drift (a/two); 3.0 s
    """
    results, told = list(results), []
    for verdict in (SAME, DRIFT, UNREADABLE, STRAY, NO_SLICE, NOT_RECORDED):
        names = [one.name for one in results if one.verdict == verdict]
        named = "" if verdict == SAME else f" ({', '.join(names)})"
        told += [f"{len(names)} {verdict}{named}"] * (len(names) > 0)
    return f"{', '.join(told) or 'nothing is recorded'}; {duration(sum(one.seconds for one in results))}"


def as_json(results: Iterable[Result]) -> str:
    """All that :func:`verify` returned, and what it was compared with; JSON knows no infinity: null.

    Examples
    --------
    >>> json.loads(as_json([Result("multistage/four", "not recorded")]))["runs"][0]["verdict"]
    'not recorded'
    """
    runs = [asdict(one) | {"deviation": one.deviation} for one in results]
    return json.dumps(_finite({"commit": commit(), **versions(), "runs": runs}), indent=1) + "\n"


def _registry() -> Mapping:
    os.environ.update(portable_instructions())  # before Numba is imported
    from specbias.experiments import REGISTRY

    return REGISTRY


def _files() -> dict[str, Path]:
    """What lies in ``results/`` by name of the run, or by path; not what the benchmarks wrote there."""
    folder, root = results_folder(), book_root()
    if folder is None:
        raise ValueError("there are no recordings here: no book, and SPECBIAS_RESULTS names no folder")
    found = {}
    for path in sorted(folder.rglob("*")):
        below = path.relative_to(folder)
        program = root / "benchmarks" / f"{path.stem}.py" if root else None
        written = below.match("benchmarks/*.json") and program is not None and program.is_file()
        if path.is_file() and not written and not any(part.startswith(".") for part in below.parts):
            found[(below.with_suffix("") if path.suffix == ".nc" else below).as_posix()] = path
    return found


def _judged(name: str, path: Path) -> dict:
    """What a file comes to: the fields of its result."""
    from specbias.experiments.slices import slice_of

    try:
        recording = load_recording(path)
    except RuntimeError as error:
        remake = f"{RECORD} {name} --force" if name in _registry() else ""
        return {"verdict": UNREADABLE, "reason": " ".join(str(error).split()), "remake": remake}
    told = {"origin": {key: str(recording.attrs[key]) for key in _ORIGIN if key in recording.attrs}}
    command, piece = recording.attrs.get("command", ""), slice_of(name)
    doubt = untraced(name, command, _registry())
    if piece is None:
        return told | {"verdict": STRAY if doubt else NO_SLICE, "reason": doubt or "there is no slice for it"}
    told |= _compared(name, piece, recording)
    told["remake"] = f"{RECORD} {name} --force" if doubt else again(command)
    if doubt:
        told["reason"] = "; ".join(filter(None, [doubt, told.get("reason")]))
        told["verdict"] = STRAY if told["verdict"] == SAME else told["verdict"]
    return told


_ORIGIN = ("commit", "specbias", "processor", "instructions", "python", "numpy", "xarray", "torch", "device",
           "command", "started")  # fmt: skip


def _compared(name: str, piece: Slice, recording: xr.Dataset) -> dict:
    experiment = _registry()[name]
    parameters, usual = experiment.parameters, True
    recorded = json.loads(recording.attrs["parameters"])
    if canonical_json(run_arguments(experiment.function, parameters)[1]) != canonical_json(recorded):
        parameters, usual = recorded, False
    told = {"compared": piece.what}
    try:
        with _one_thread():
            deviations = tuple(piece.deviations(experiment.function, parameters, recording))
    except Exception as error:  # a run's function may raise anything once it has changed
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if usual:
            return told | {"verdict": DRIFT, "reason": f"cannot be compared: {reason}"}
        return told | {
            "verdict": NO_SLICE,
            "reason": f"recorded with other parameters than the book's: {reason}",
        }
    verdict = DRIFT if any(one.share > 1 for one in deviations) else SAME
    note = "" if usual else "recorded with other parameters than the book's"
    return told | {"verdict": verdict, "deviations": deviations, "reason": note}


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread for PyTorch and our own loops, so that sums are grouped alike on any number of cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _in_words(one: Deviation) -> str:
    where = f" at {one.where}" if one.where else ""
    return (
        f"{one.variable}{where}: recorded {one.recorded:.9g}, computed {one.computed:.9g}, "
        f"{one.share:.2g} times the difference allowed, which is {one.allowed} ({one.why})"
    )


def _then_and_now(origin: Mapping) -> str:
    """What of commit, processor and versions is not as it was when the run was recorded."""
    now = {"commit": commit(), **versions()}
    changed = [f"{key} {origin.get(key, 'not noted')} (here {value})" for key, value in now.items()
               if origin.get(key) != value]  # fmt: skip
    same = [key for key, value in now.items() if origin.get(key) == value]
    there = "; ".join([f"recorded on {origin.get('started', 'an unknown day')[:10]}", *changed])
    return there + (f"; as here: {', '.join(same)}" if same else "")


def _finite(value):
    """JSON-like values with None for what is not finite."""
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
