"""``python -m specbias``: the command line; its ``record`` needs nothing but the numerical packages."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys

from specbias.provenance import duration, portable_instructions, provenance
from specbias.recorded import recorded, recorded_runs


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


if __name__ == "__main__":
    if sys.argv[1:2] == ["record"]:
        sys.exit(record(sys.argv[2:]))
    from specbias.rerun import main

    main(prog_name="python -m specbias")
