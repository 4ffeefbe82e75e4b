"""The same run gives the same numbers: in another process exactly, with another number of threads nearly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

SMALL_NET = {"points": 100, "hidden": [10, 10], "max_iter": 120}
SMALL = {
    "spectral-bias/thread-relu": {"hidden": [200, 200], "points": 1500, "epochs": 60, "seeds": 2},
    "spectral-bias/circle-waves": {"hidden": [64, 64, 64], "epochs": 200, "seeds": 2},
    "spectral-bias/shallow-bias": {"units": 400, "points": 201, "frequencies": [2, 4], "runs": 2},
    "sequential-fitting/fit-none": {"epochs": 200, "seeds": 3},
    "energy-landscape/main-adadelta": {"models": 520, "steps": 200, "kept": 4},
    "multistage/optimizers": {
        "variants": {
            "ours": SMALL_NET | {"stages": 2},
            "L-BFGS": SMALL_NET | {"stages": 1, "optimizer": "l-bfgs"},
        },
        "seeds": 2,
    },
    "si-msnn/flow": {
        "resolution": 48, "seeds": 1, "moment": 0.1,  # with all modes the search would be for rounding itself
        "variants": {"few modes": {"stages": 2, "features": 60, "max_iter": 30}},
    },
}  # fmt: skip
"""One run for each trainer: large enough that threads share it, and long enough for round-off to show."""

EXACT = ("spectral-bias/shallow-bias", "energy-landscape/main-adadelta", "multistage/optimizers")
ROUNDING = 1e-15  # of residues, which are relative to their target

TOLERANCE = {name: 0 if name in EXACT else 1e-4 for name in SMALL}
"""Of one thread against two, relative to the largest value of each variable; PyTorch may sum otherwise."""

CODE = """
import json, sys, torch
from pathlib import Path
threads, folder, runs = int(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
torch.set_num_threads(threads)
from specbias.experiments import REGISTRY
for name, changes in runs.items():
    one = REGISTRY[name]
    run = one.function(**{**one.parameters, **changes}, progress=False)
    run.to_netcdf(folder / (name.replace("/", "-") + ".nc"))
"""


def made(threads: int, folder: Path) -> Path:
    """All small runs, made in a process of their own."""
    folder.mkdir()
    command = [sys.executable, "-c", CODE, str(threads), str(folder), json.dumps(SMALL)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> list[Path]:
    """Two processes with two threads, and one with one."""
    folder = tmp_path_factory.mktemp("runs")
    return [made(2, folder / "first"), made(2, folder / "again"), made(1, folder / "one thread")]


def compared(name: str, folders: list[Path], tolerance: float) -> None:
    a, b = (xr.load_dataset(folder / (name.replace("/", "-") + ".nc")) for folder in folders)
    for variable in set(a.data_vars) - {"seconds"}:
        before, now = a[variable].values, b[variable].values
        if tolerance == 0 or before.dtype.kind not in "f":
            np.testing.assert_array_equal(before, now, err_msg=variable)
        else:
            scale = np.nanmax(np.abs(before)) if np.isfinite(before).any() else 0.0
            floor = max(tolerance * scale, ROUNDING)
            np.testing.assert_allclose(now, before, rtol=0, atol=floor, err_msg=variable)


@pytest.mark.parametrize("name", SMALL)
def test_another_process_gives_the_same_numbers(name, runs):
    compared(name, runs[:2], 0)


@pytest.mark.parametrize("name", SMALL)
def test_another_number_of_threads_gives_nearly_the_same(name, runs):
    compared(name, [runs[0], runs[2]], TOLERANCE[name])
