"""What a sweep is to do: checked options, a job for every point, and what is done already."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from specbias._command import chosen_values, root_folder, switches
from specbias.chapters import Chapter, find_chapter
from specbias.site import fingerprint, stored_run
from specbias.sweep.grid import points, read_grid
from specbias.sweep.process import Job, Result
from specbias.sweep.workers import cores, default_workers, read_slurm_options

__all__ = ["Makers", "Plan", "all_jobs", "planned", "shares", "standing_runs"]


@dataclass(frozen=True)
class Makers:
    """Who makes the runs: this machine, unless there is a scheduler or there are options of Slurm jobs."""

    workers: int | None
    scheduler: str | None = None
    slurm: dict | None = None

    @classmethod
    def checked(cls, workers, scheduler, slurm, slurm_options) -> Makers:
        """What the options say, or ValueError."""
        if workers is not None and workers < 1:
            raise ValueError(f"--workers {workers}: allowed is 1 or more")
        if scheduler and slurm:
            raise ValueError("--scheduler and --slurm: allowed is one of them")
        if slurm_options and not slurm:
            raise ValueError("--slurm-option is given without --slurm")
        if slurm and workers is None:
            raise ValueError("--slurm needs --workers N: how many jobs to ask for")
        return cls(workers, scheduler, read_slurm_options(slurm_options) if slurm else None)

    @property
    def here(self) -> bool:
        """Whether it is this machine."""
        return self.scheduler is None and self.slurm is None


@dataclass(frozen=True)
class Plan:
    """A sweep that has been checked."""

    root: Path
    chapter: Chapter
    grid: dict[str, list]
    base: dict  # values that all runs share
    folder: Path
    environment: dict[str, str]


def planned(
    chapter: str, grid: Sequence[str], assignments: Sequence[str], files: Sequence[Path], preset: str | None,
    output: Path | None, recorded: bool | None,
) -> Plan:  # fmt: skip
    """Check what the options ask for; ValueError names what is not allowed."""
    root = root_folder()
    found = find_chapter(root, chapter)
    values = chosen_values(root, found, preset, files, assignments)
    assigned = {assignment.partition("=")[0].strip() for assignment in assignments}
    swept = read_grid(found, grid, assigned)
    base = {name: value for name, value in values.items() if name not in swept}
    text = json.dumps([found.changed(base), swept])
    folder = (
        output or root / "_build" / "sweeps" / f"{found.name}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    )
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output {folder} is a file; allowed is a folder")
    inherited = {
        name: os.environ[name] for name in ("SPECBIAS_RECORDED", "SPECBIAS_RESULTS") if name in os.environ
    }
    told = {name: value for name, value in switches(recorded).items() if name.startswith("SPECBIAS_")}
    # Runs side by side would record into the same files, and change what the others are compared with.
    environment = inherited | told | {"SPECBIAS_RECORD": "no"}
    return Plan(root, found, swept, base, folder.resolve(), environment)


def all_jobs(plan: Plan) -> list[Job]:
    """A job for every point of the grid, the last name varying fastest."""
    jobs = []
    for point in points(plan.grid):
        values = plan.base | point
        mark = fingerprint(plan.root, plan.chapter, values, plan.environment)
        name = plan.chapter.run_id(values)
        shared = (str(plan.folder), name, mark, plan.environment)
        jobs.append(Job(str(plan.root), plan.chapter.name, values, *shared))
    return jobs


def standing_runs(jobs: Sequence[Job]) -> dict[int, Result]:
    """Runs that are done already, and whose chapter, library, recordings and values are the same."""
    found = {index: stored_run(job.notebook) for index, job in enumerate(jobs)}
    return {
        index: Result("done", seconds=stored["seconds"])
        for index, stored in found.items()
        if stored.get("fingerprint") == jobs[index].fingerprint
    }


def shares(runs: int, makers: Makers) -> tuple[int, int]:
    """Runs at a time, and threads of each: together no more than there are processors."""
    workers = min(makers.workers or default_workers(runs), runs)
    limit = os.environ.get("OMP_NUM_THREADS", "")
    threads = max(1, cores() // workers)
    return workers, min(threads, int(limit)) if limit.isdecimal() and int(limit) else threads
