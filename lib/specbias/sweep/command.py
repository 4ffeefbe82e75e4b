"""The command ``specbias sweep``."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import click

import specbias
from specbias._command import as_text, interruptible, one_line_errors
from specbias.chapters import stoppable
from specbias.provenance import commit, duration
from specbias.site import last_duration
from specbias.sweep.grid import in_words
from specbias.sweep.plan import Makers, Plan, all_jobs, planned, shares, standing_runs
from specbias.sweep.process import Job, Result, locked
from specbias.sweep.progress import Progress
from specbias.sweep.results import Run, dataset, read_report, table, write_csv, write_netcdf
from specbias.sweep.workers import SweepStopped, run_elsewhere, run_here, scheduler, slurm

KEPT = "the runs that are done are kept, and the same command goes on with the others"

EXAMPLES = """\b
Examples:
  specbias sweep si-msnn --preset quick -g stages=1,2,3        three runs
  specbias sweep si-msnn -g stages=1,2 -g seed=0,1,2 -p resolution=64
                                                               six runs, at 64 x 64 points
  specbias sweep si-msnn -g plane_features=[10,30],[40,200]    a parameter that is a list
  specbias sweep si-msnn -g seed=0,1,2,3 --dry-run             only show what would be run
\b
The same command goes on where the last one was stopped, even by a power cut: runs
that are done are not made again unless the chapter, the library or a recorded run
has changed. With the --output of an earlier sweep a larger grid uses its runs, too.
\b
On more than one machine (these need: pip install 'specbias[cluster]', and the
book's folder under the same path on all machines, as a shared file system has it):
  specbias sweep si-msnn -g seed=0,1,2,3 --scheduler tcp://10.0.0.1:8786
  specbias sweep si-msnn -g seed=0,1,2,3 --slurm --workers 4 \\
      --slurm-option queue=short --slurm-option cores=8 \\
      --slurm-option memory=16GB --slurm-option walltime=02:00:00
"""


@click.command(short_help="Execute one chapter for every combination of parameters.", epilog=EXAMPLES)
@click.argument("chapter")
@click.option(
    "-g", "grid", multiple=True, metavar="NAME=V1,V2", help="Values to sweep; repeat for the product."
)
@click.option(
    "-p", "assignments", multiple=True, metavar="NAME=VALUE", help="Set a parameter in all runs; repeatable."
)
@click.option(
    "-f", "files", multiple=True, type=Path, metavar="FILE.yaml", help="Read parameters for all runs."
)
@click.option("--preset", metavar="quick|paper", help="Start from params/PRESET/CHAPTER.yaml.")
@click.option("--workers", type=int, metavar="N", help="Runs at a time [default: one a core, 2 GB each].")
@click.option(
    "--output", type=Path, metavar="DIR", help="Where to put it all [default: _build/sweeps/CHAPTER-HASH]."
)
@click.option(
    "--recorded/--no-recorded", default=None, help="Load recorded runs [default], or compute everything."
)
@click.option("--dry-run", is_flag=True, help="Show the table of runs and stop.")
@click.option("--scheduler", metavar="ADDRESS", help="Make the runs on the workers of this Dask scheduler.")
@click.option("--slurm", is_flag=True, help="Make the runs in --workers Slurm jobs.")
@click.option(
    "--slurm-option", "slurm_options", multiple=True, metavar="KEY=VALUE",
    help="For the jobs: queue, cores, memory, walltime, account ... (dask_jobqueue.SLURMCluster).",
)  # fmt: skip
def sweep(
    chapter,
    grid,
    assignments,
    files,
    preset,
    workers,
    output,
    recorded,
    dry_run,
    scheduler,
    slurm,
    slurm_options,
) -> None:
    """Execute CHAPTER for every combination of the values that -g gives, several at a time.

    Every run is kept as a notebook, and the sweep ends with a table of all numbers and verdicts (sweep.csv),
    the same over the grid (sweep.nc) and one page that puts all figures side by side (comparison.html).
    -g overrides -f and --preset. A run that fails does not end the others.
    """
    with interruptible(KEPT), stoppable(), ExitStack() as stack:
        with one_line_errors():
            plan = planned(chapter, grid, assignments, files, preset, output, recorded)
            makers = Makers.checked(workers, scheduler, slurm, slurm_options)
            if not dry_run:
                stack.enter_context(_only_one(plan.folder))
            jobs = all_jobs(plan)
            standing = standing_runs(jobs)
        _announce(plan, jobs, standing, makers)
        if dry_run:
            _show_runs(plan, jobs, standing)
            return
        with one_line_errors():
            results = _make(plan, jobs, standing, makers)
        _report(plan, jobs, results)
    sys.exit(any(result.state == "failed" for result in results))


def _announce(plan: Plan, jobs: Sequence[Job], standing: dict[int, Result], makers: Makers) -> None:
    todo = [job for index, job in enumerate(jobs) if index not in standing]
    outdated = sum(job.notebook.exists() for job in todo)
    product = " times ".join(f"{len(values)} of {name}" for name, values in plan.grid.items())
    _say(f"{len(jobs)} {'run' if len(jobs) == 1 else 'runs'} of {plan.chapter.name} ({product})")
    if standing:
        _say(f"{len(standing)} of them are done already and stand")
    if outdated:
        _say(f"{outdated} of them made again: chapter, library, recorded runs or packages have changed since")
    if todo and makers.here:
        workers, threads = shares(len(todo), makers)
        before = last_duration(plan.root, plan.chapter, todo[0].values)
        rounds = -(-len(todo) // workers)
        took = (
            f"; about {duration(before * rounds)}, as the last run took {duration(before)}" if before else ""
        )
        _say(f"{workers} at a time with {threads} {'thread' if threads == 1 else 'threads'} each{took}")
    elif todo:
        _say("one at a time on each worker, with all threads that it has")


def _make(plan: Plan, jobs: list[Job], standing: dict[int, Result], makers: Makers) -> list[Result]:
    """The result of every run; SweepStopped where the sweep cannot go on."""
    todo = [index for index in range(len(jobs)) if index not in standing]
    labels = [in_words({name: jobs[index].values[name] for name in plan.grid}) for index in todo]
    progress = Progress(labels, len(jobs), len(standing))
    results = dict(standing)
    with closing(progress), closing(_runs([jobs[index] for index in todo], makers, progress)) as made:
        for number, result in made:
            if result.state == "unfit":
                raise SweepStopped(_unfit(plan, result, makers))
            results[todo[number]] = result
            progress.finished(number, result)
    return [results[index] for index in range(len(jobs))]


def _runs(jobs: list[Job], makers: Makers, progress: Progress) -> Iterator[tuple[int, Result]]:
    if not jobs:
        return
    if makers.here:
        workers, threads = shares(len(jobs), makers)
        yield from run_here([replace(job, threads=threads) for job in jobs], workers, progress.cells)
        return
    connected = scheduler(makers.scheduler) if makers.scheduler else slurm(makers.workers, makers.slurm)
    with connected as client:
        yield from run_elsewhere(client, jobs, makers.workers, progress.cells, progress.say)


def _unfit(plan: Plan, result: Result, makers: Makers) -> str:
    if makers.here:
        return "the chapter or the library has changed since the sweep began; the same command goes on"
    if result.message == "absent":
        reason = "is not there; workers need the book's folder on a shared file system"
    else:
        reason = "is not the one here: its text, library, recorded runs or versions of packages differ"
    return f"on {result.host} the book in {plan.root} {reason}"


def _report(plan: Plan, jobs: Sequence[Job], results: Sequence[Result]) -> None:
    """Write the three files, and say what became of each run."""
    from specbias.sweep.report import write_page

    runs = [_run(plan, job, result) for job, result in zip(jobs, results, strict=True)]
    rows = table(runs)
    attributes = {
        "chapter": plan.chapter.name, "parameters": json.dumps(plan.base, sort_keys=True), "commit": commit(),
        "specbias": specbias.__version__,
    }  # fmt: skip
    write_csv(plan.folder / "sweep.csv", rows)
    write_netcdf(plan.folder / "sweep.nc", dataset(runs, plan.grid, attributes))
    page = plan.folder / "comparison.html"
    write_page(page, plan.chapter, plan.grid, plan.base, runs)
    shown = [
        *plan.grid,
        "state",
        "seconds",
        *(name for name in rows[0] if name.endswith("_verdict")),
        "message",
    ]
    _show_table(shown, [[_cell(row[name]) for name in shown] for row in rows])
    click.echo(f"{plan.folder / 'sweep.csv'}  ({len(rows)} runs, {len(rows[0])} columns)")
    click.echo(f"{plan.folder / 'sweep.nc'}")
    click.echo(f"{page}  ({page.stat().st_size / 1e6:.1f} MB)")


def _run(plan: Plan, job: Job, result: Result) -> Run:
    point = {name: job.values[name] for name in plan.grid}
    if result.state == "done":
        notebook = job.notebook
        report = {"report": read_report(notebook)}
    else:
        notebook, report = job.notebook.with_suffix(".failed.ipynb"), {}
    name = notebook.relative_to(plan.folder).as_posix() if notebook.exists() else ""
    return Run(point, result.state, result.seconds, result.message, name, **report)


def _show_runs(plan: Plan, jobs: Sequence[Job], standing: dict[int, Result]) -> None:
    rows = []
    for index, job in enumerate(jobs):
        state = "stands" if index in standing else "again" if job.notebook.exists() else "new"
        rows.append([*(as_text(job.values[name]) for name in plan.grid), state, str(job.notebook)])
    _show_table([*plan.grid, "state", "notebook"], rows)


def _show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    columns = [index for index in range(len(head)) if any(row[index] for row in rows)]
    widths = {column: max(len(row[column]) for row in [head, *rows]) for column in columns}
    for row in [head, *rows]:
        click.echo("  ".join(f"{row[column]:{widths[column]}}" for column in columns).rstrip())


def _cell(value) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.1f}"
    return str(value)


def _say(text: str) -> None:
    click.echo(f"specbias: {text}", err=True)


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """The folder is this sweep's until this process ends; what a killed one left half-written goes."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder / ".lock", wait=False))
        except BlockingIOError:
            raise ValueError(
                f"another sweep is writing into {folder}; wait for its end, or name another --output"
            ) from None
        for leftover in folder.glob(".*.part"):
            leftover.unlink(missing_ok=True)
        yield
