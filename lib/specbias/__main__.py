"""``python -m specbias``: the command line; ``record`` and ``verify`` need but the numerical packages."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
import time
from pathlib import Path

from tqdm.auto import tqdm

from specbias._files import whole_file
from specbias.provenance import duration, portable_instructions, provenance
from specbias.recorded import recorded, recorded_runs
from specbias.verify import SAME, Result, as_json, chosen, summary, verifications

QUICK = 2  # seconds that nobody needs a progress bar for


def record(arguments: list[str]) -> int:
    """Make a recorded run and return the exit code."""
    os.environ.update(portable_instructions())  # before Numba is imported
    from specbias.experiments import REGISTRY

    parser = argparse.ArgumentParser(
        prog="python -m specbias record",
        description="Compute one of the book's long runs and write it, with its provenance, to "
        "results/NAME.nc. Needs PyTorch, NumPy, SciPy, Numba and xarray, but nothing of Jupyter. "
        "SPECBIAS_RESULTS names another folder.",
        epilog="example: python -m specbias record --list",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="one of those that --list shows")
    parser.add_argument(
        "--list", action="store_true", help="show the runs, their parameters and what is recorded"
    )
    parser.add_argument(
        "-p", action="append", default=[], metavar="NAME=VALUE", help="change a parameter (JSON or text)"
    )
    parser.add_argument("--device", help="auto, cpu or cuda, for the runs that take it")
    parser.add_argument(
        "--force", action="store_true", help="compute again what is recorded with these parameters"
    )
    options = parser.parse_args(arguments)
    if options.list:
        return _list(REGISTRY)
    if options.name not in REGISTRY:
        parser.error(f"{options.name!r} is no run of the book; there are: {', '.join(REGISTRY)}")
    try:
        changes = _changes(options.p, REGISTRY[options.name].parameters)
    except ValueError as error:
        parser.error(str(error))
    return _record(options.name, REGISTRY[options.name], changes, options)


def verify_recordings(arguments: list[str]) -> int:
    """Verify recorded runs and return the exit code: 0 if all are the same, else 1; 2 for unknown names."""
    parser = argparse.ArgumentParser(
        prog="python -m specbias verify",
        description="Are the recordings still right? Computes a small part of each recorded run again and "
        "compares. Needs no more than `record`, and a reader of netCDF-4 (netCDF4 or h5netcdf).",
        epilog="examples: python -m specbias verify; python -m specbias verify energy-landscape; "
        "python -m specbias verify 'spectral-bias/thread-*' --json found.json",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME",
        help="a run, a chapter or a pattern such as 'multistage/*' [default: every file in results/]",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything to this file")
    options = parser.parse_args(arguments)
    if options.json and (options.json.is_dir() or not os.access(options.json.absolute().parent, os.W_OK)):
        parser.error(f"--json {options.json}: allowed is a file in a folder that is there and writable")
    try:
        selected = chosen(options.names or None)
    except ValueError as error:
        parser.error(str(error))
    try:
        results = _verify(selected)
    except KeyboardInterrupt:
        print("specbias: interrupted", file=sys.stderr)
        return 130
    if options.json:
        with whole_file(options.json) as temporary:
            temporary.write_text(as_json(results), "utf-8")
    print(summary(results))
    return 0 if all(result.verdict == SAME for result in results) else 1


def _verify(selected: list[str]) -> list[Result]:
    """Tell each result as it comes, over a bar where that is a terminal and it takes longer than that."""
    width, results, began = max(map(len, selected), default=0), [], time.monotonic()
    with tqdm(
        total=len(selected), unit="run", delay=QUICK, leave=False, disable=not sys.stderr.isatty()
    ) as bar:
        for number, result in enumerate(verifications(selected), 1):
            results.append(result)
            lines = [result.line(width), *(f"    {detail}" for detail in result.details())]
            shown = time.monotonic() - began > QUICK
            bar.set_postfix_str("".join(selected[number : number + 1]), refresh=False)
            bar.update()
            (tqdm.write if shown else print)("\n".join(lines), file=sys.stdout)
            sys.stdout.flush()
    return results


def _record(name: str, experiment, changes: dict, options: argparse.Namespace) -> int:
    assignments = [f"-p {key}={json.dumps(value)}" for key, value in changes.items()]
    os.environ["SPECBIAS_COMMAND"] = " ".join(
        ["python -m specbias record", name, *map(shlex.quote, assignments)]
    )
    os.environ["SPECBIAS_RECORD"] = "yes"
    os.environ["SPECBIAS_RECORDED"] = "no" if options.force else "yes"
    execution = {"device": options.device} if options.device else {}
    try:
        dataset = recorded(name, experiment.function, **{**experiment.parameters, **changes, **execution})
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        print(f"specbias: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("specbias: interrupted; nothing was written", file=sys.stderr)
        return 130
    print(f"{name}: {provenance(dataset)}")
    return 0


def _list(registry) -> int:
    done = recorded_runs()
    for name, experiment in registry.items():
        state = f"recorded in {duration(done[name]['wall_time'])}" if name in done else "not recorded"
        print(f"{name}  ({state})")
        for key, value in experiment.parameters.items():
            print(f"    {key} = {value}")
    return 0


def _changes(assignments: list[str], parameters: dict) -> dict:
    """The values of ``-p NAME=VALUE``, read as JSON where they are JSON and as text otherwise."""
    changes = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        if name not in parameters:
            raise ValueError(f"-p {assignment}: allowed are {', '.join(parameters)}")
        try:
            changes[name] = json.loads(text)
        except json.JSONDecodeError:
            changes[name] = text
    return changes


COMMANDS = {"record": record, "verify": verify_recordings}

if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in COMMANDS:
        sys.exit(COMMANDS[sys.argv[1]](sys.argv[2:]))
    from specbias.rerun import main

    main(prog_name="python -m specbias")
