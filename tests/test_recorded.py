"""Recorded runs: what is loaded, what is computed, what is written, and what a broken file does."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import netCDF4
import numpy as np
import pytest
import xarray as xr

from specbias.provenance import duration
from specbias.recorded import canonical_json, provenance, recorded, recorded_runs


class Waves:
    """A run that counts how often it was really computed."""

    def __init__(self):
        self.calls = []

    def __call__(self, frequencies, *, phase=0.0, seed=0, device="auto", progress=True) -> xr.Dataset:
        self.calls.append({"device": device, "progress": progress})
        t = np.linspace(0.0, 1.0, 50)
        waves = np.sin(2 * np.pi * np.outer(frequencies, t) + phase)
        names = [f"k={k}" for k in frequencies]
        return xr.Dataset(
            {"wave": (("k", "t"), waves), "big": ("k", waves.max(1) > 0.5)}, {"k": names, "t": t}
        )


@pytest.fixture
def waves():
    return Waves()


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECBIAS_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("SPECBIAS_RECORD", "yes")
    monkeypatch.delenv("SPECBIAS_RECORDED", raising=False)
    return tmp_path / "results"


def test_equal_parameters_load_the_same_numbers_and_attributes(waves, results):
    live = recorded("a/waves", waves, frequencies=[1, 2])
    again = recorded("a/waves", waves, frequencies=np.array([1.0, 2.0]), phase=0, seed=0)
    assert len(waves.calls) == 1
    xr.testing.assert_equal(live, again)
    assert live.attrs | {"origin": "recorded"} == again.attrs | {"origin": "recorded"}
    assert (live.origin, again.origin) == ("live", "recorded")


def test_file_is_compressed_netcdf4_with_provenance_for_any_reader(waves, results):
    recorded("waves", waves, frequencies=[1, 2], seed=7, device="cpu")
    with netCDF4.Dataset(results / "waves.nc") as file:
        assert file.data_model == "NETCDF4" and file["wave"].filters()["zlib"]
        np.testing.assert_allclose(file["wave"][0], np.sin(2 * np.pi * np.linspace(0, 1, 50)))
        assert json.loads(file.parameters) == {"frequencies": [1, 2], "phase": 0, "seed": 7}
        assert (file.device, file.dtype, json.loads(file.seeds)) == ("cpu", "float64", [7])
        needed = {
            "wall_time",
            "started",
            "commit",
            "command",
            "processor",
            "instructions",
            "specbias",
            "python",
            "numpy",
            "xarray",
            "torch",
        }
        assert needed <= set(file.ncattrs())
    assert [path.name for path in results.iterdir()] == ["waves.nc"]  # no temporary file left


def test_other_parameters_compute_and_say_what_differs(waves, results, monkeypatch, capsys):
    recorded("waves", waves, frequencies=[1, 2])
    before = (results / "waves.nc").read_bytes()
    monkeypatch.delenv("SPECBIAS_RECORD")
    assert recorded("waves", waves, frequencies=[1, 2], phase=0.5).origin == "live"
    message = capsys.readouterr().err.splitlines()[-1]
    assert "phase=0.5 (recorded: 0)" in message and "frequencies" not in message and "took" in message
    assert (results / "waves.nc").read_bytes() == before, "only SPECBIAS_RECORD=yes may write"


def test_a_changed_default_is_another_run(waves, results):
    recorded("waves", waves, frequencies=[1])

    def later(frequencies, *, phase=0.1, seed=0):
        return waves(frequencies, phase=phase, seed=seed)

    assert recorded("waves", later, frequencies=[1]).origin == "live"


def test_execution_arguments_are_passed_on_but_not_compared(waves, results):
    recorded("waves", waves, frequencies=[1], device="cpu", progress=False)
    assert waves.calls == [{"device": "cpu", "progress": False}]
    assert recorded("waves", waves, frequencies=[1], device="cuda").origin == "recorded"

    def plain(count):  # takes neither device nor progress
        return xr.Dataset({"n": ("i", np.arange(count))})

    assert recorded("plain", plain, count=3, device="cpu", progress=True).parameters == '{"count":3}'


@pytest.mark.parametrize(
    ("built", "found", "reason"),
    [(None, False, "cpu (device=auto: PyTorch is built without CUDA)"),
     ("12.4", False, "cpu (device=auto: PyTorch finds no CUDA device)"),
     ("12.4", True, "cuda (device=auto: Some GPU)")],
)  # fmt: skip
def test_a_run_says_which_device_auto_is_and_why(waves, results, monkeypatch, capsys, built, found, reason):
    monkeypatch.setattr("torch.version.cuda", built)
    monkeypatch.setattr("torch.cuda.is_available", lambda: found)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda _: "Some GPU")
    made = recorded("waves", waves, frequencies=[1])
    assert f"computing waves on {reason}" in capsys.readouterr().err
    assert made.attrs["device"] == reason.split()[0]
    recorded("waves", waves, frequencies=[2], device="cpu")
    assert "device=auto" not in capsys.readouterr().err


def test_recorded_no_never_loads(waves, results, monkeypatch):
    recorded("waves", waves, frequencies=[1])
    monkeypatch.setenv("SPECBIAS_RECORDED", "no")
    (results / "waves.nc").write_bytes(b"not even read")
    monkeypatch.delenv("SPECBIAS_RECORD")
    assert recorded("waves", waves, frequencies=[1]).origin == "live"


@pytest.mark.parametrize(
    "damage", [lambda content: content[:200], lambda content: b"", lambda content: b"\0" * 4000]
)
def test_broken_file_is_named(waves, results, damage):
    recorded("waves", waves, frequencies=[1])
    path = results / "waves.nc"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RuntimeError, match=r"waves\.nc cannot be read"):
        recorded("waves", waves, frequencies=[1])


def test_netcdf_without_parameters_is_named(waves, results):
    results.mkdir()
    xr.Dataset({"x": ("i", [1.0])}).to_netcdf(results / "waves.nc")
    with pytest.raises(RuntimeError, match=r"waves\.nc cannot be read"):
        recorded("waves", waves, frequencies=[1])


def test_failing_write_keeps_the_old_file(waves, results, monkeypatch):
    recorded("waves", waves, frequencies=[1])
    before = (results / "waves.nc").read_bytes()
    monkeypatch.setattr("os.replace", lambda *paths: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        recorded("waves", waves, frequencies=[2])
    assert (results / "waves.nc").read_bytes() == before
    assert [path.name for path in results.iterdir()] == ["waves.nc"]


def test_without_netcdf4_the_run_still_comes_home(waves, results, monkeypatch):
    find_spec = __import__("importlib.util").util.find_spec
    absent = {"netCDF4", "h5netcdf"}
    with monkeypatch.context() as bare:
        bare.setattr("importlib.util.find_spec", lambda name: None if name in absent else find_spec(name))
        with pytest.warns(UserWarning, match="netCDF-3"):
            live = recorded("waves", waves, frequencies=[1, 2])
        assert recorded("waves", waves, frequencies=[1, 2]).origin == "recorded"
    loaded = recorded("waves", waves, frequencies=[1, 2])
    assert loaded.origin == "recorded"
    np.testing.assert_array_equal(live.wave, loaded.wave)


def test_without_netcdf4_a_netcdf4_file_is_computed_anew_and_said_so(waves, results, monkeypatch, capsys):
    recorded("waves", waves, frequencies=[1])
    for module in ("recorded", "_netcdf"):
        monkeypatch.setattr(f"specbias.{module}.engine", lambda: "scipy")
    monkeypatch.delenv("SPECBIAS_RECORD")
    assert recorded("waves", waves, frequencies=[1]).origin == "live"
    assert "waves.nc cannot be read without netCDF4" in capsys.readouterr().err
    assert recorded_runs() == {}


@pytest.mark.parametrize("name", ["", "../escape", "/absolute", "a//b", "a b", ".hidden"])
def test_name_must_be_a_plain_path(waves, name):
    with pytest.raises(ValueError, match="name="):
        recorded(name, waves, frequencies=[1])


def test_parameters_that_cannot_be_recorded_are_named_before_computing(waves, results):
    with pytest.raises(TypeError, match="frequencies"):
        recorded("waves", waves, frequencies=object())
    with pytest.raises(ValueError, match="phase"):
        recorded("waves", waves, frequencies=[1], phase=float("nan"))
    with pytest.raises(TypeError, match="wavelength"):
        recorded("waves", waves, frequencies=[1], wavelength=2)
    assert not waves.calls


@pytest.mark.parametrize("values", [np.array([1j]), np.array([object()])])
def test_results_that_netcdf_cannot_hold_are_named(results, values):
    with pytest.raises(TypeError, match="'amplitude'"):
        recorded("bad", lambda: xr.Dataset({"amplitude": ("i", values)}))
    assert not list(results.rglob("*.nc"))


def test_bad_switch_is_named(waves, results, monkeypatch):
    monkeypatch.setenv("SPECBIAS_RECORD", "perhaps")
    with pytest.raises(ValueError, match="SPECBIAS_RECORD='perhaps'"):
        recorded("waves", waves, frequencies=[1])


def test_recorded_runs_lists_what_is_there(waves, results):
    assert recorded_runs() == {}
    recorded("b/two", waves, frequencies=[2])
    recorded("a/one", waves, frequencies=[1])
    runs = recorded_runs()
    assert list(runs) == ["a/one", "b/two"] and runs["b/two"]["wall_time"] > 0


def test_commit_is_the_one_of_a_clean_or_dirty_library(monkeypatch, tmp_path):
    import specbias.provenance as module

    def git(*arguments):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    source = tmp_path / "lib" / "specbias" / "provenance.py"
    source.parent.mkdir(parents=True)
    source.write_text("# one\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "one")
    monkeypatch.setattr(module, "__file__", str(source))
    assert module.commit() == git("rev-parse", "HEAD")[:7]
    (tmp_path / "results.nc").write_text("a new recording does not make the code dirty")
    assert not module.commit().endswith("-dirty")
    source.write_text("# two\n")
    assert module.commit() == git("rev-parse", "HEAD")[:7] + "-dirty"


def test_provenance_line(waves, results):
    assert provenance(recorded("waves", waves, frequencies=[1], seed=3, device="cpu")).startswith(
        "live · seed 3 · cpu"
    )
    line = provenance(recorded("waves", waves, frequencies=[1], seed=3))
    assert line.startswith("recorded 20") and " · seed 3 · cpu · " in line
    with pytest.raises(ValueError, match="origin"):
        provenance(xr.Dataset())


numbers = (
    st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.none()
)
values = st.recursive(numbers | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=8)


@hypothesis.given(st.dictionaries(st.text("abc", min_size=1), values, max_size=4))
def test_canonical_json_survives_a_round_trip_and_any_order(parameters):
    text = canonical_json(parameters)
    assert json.loads(text) == parameters
    assert canonical_json(json.loads(text)) == text
    assert canonical_json(dict(reversed(parameters.items()))) == text


def test_canonical_json_tells_true_from_one():
    assert canonical_json({"a": True}) != canonical_json({"a": 1})


def test_duration_near_its_borders():
    assert (
        duration(0.0999) == "100 ms"
        and duration(0.1) == "0.1 s"
        and duration(3599) == "3599 s"
        and duration(3600) == "1.0 h"
    )


def test_the_books_runs_need_no_jupyter(tmp_path):
    """A bare server has PyTorch, NumPy, SciPy, xarray, Numba and tqdm, but no Jupyter and no netCDF4."""
    absent = ["click", "papermill", "jupytext", "nbformat", "IPython", "netCDF4", "yaml", "matplotlib", "bs4"]
    code = f"import sys; sys.modules.update(dict.fromkeys({absent})); import specbias.__main__ as program; "
    code += "sys.exit(program.record(['--list']))"
    listed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "spectral-bias/" in listed.stdout


@pytest.mark.parametrize("start", ["specbias.__main__", "specbias.rerun"])
def test_recording_compiles_for_any_processor_of_the_kind(start):
    from llvmlite.binding import get_host_cpu_features

    code = (
        f"import sys, {start}; from specbias.__main__ import record; print('numba' in sys.modules);"
        "record(['--list']); from numba import config; print(config.CPU_NAME)"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_CPU")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    words = done.stdout.split()
    assert words[0] == "False", f"Numba is imported before {start} can tell it what to compile for"
    assert words[-1] == ("x86-64-v3" if get_host_cpu_features().get("avx2") else "None")
    for other, name in ({"NUMBA_CPU_NAME": "haswell"}, "haswell"), ({"SPECBIAS_PORTABLE": "no"}, "None"):
        own = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=environment | other
        )
        assert own.stdout.split()[-1] == name
