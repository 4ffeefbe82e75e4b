"""Every recorded run against a slice computed now, and the command that does so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import xarray as xr
from click.testing import CliRunner

from specbias import rerun
from specbias.__main__ import verify_recordings
from specbias.experiments import REGISTRY
from specbias.experiments.slices import SLICES, Agrees, Comparison, Mismatch, Slice, slice_of
from specbias.experiments.slices.compare import Close
from specbias.provenance import again, untraced
from specbias.recorded import results_folder
from specbias.verify import chosen, verify

THREAD, CLASSICAL, SHIFTS = (
    "spectral-bias/thread-step-250",
    "multistage/classical",
    "sequential-fitting/shifts",
)
BOOK = results_folder()  # before a test sets another one


@pytest.mark.parametrize("name", chosen())
def test_the_recording_is_what_the_code_computes(name):
    (result,) = verify([name])
    assert result.verdict == "same", "\n".join([result.line(), *result.details()])


def test_every_function_has_a_slice():
    functions = {experiment.function.__name__ for experiment in REGISTRY.values()}
    assert functions <= set(SLICES)
    assert set(SLICES) <= functions | set(REGISTRY), "these are of no run"
    assert all(slice_of(name).compared for name in REGISTRY)
    modules = {(one.function.__module__, one.function.__name__) for one in REGISTRY.values()}
    assert len(modules) == len(functions), "two functions of one name cannot each have a slice"


def test_every_slice_says_what_it_is_and_why_it_is_compared_so_closely():
    for piece in SLICES.values():
        assert piece.what and all(one.variable and one.why for one in piece.compared)
        assert piece.changes is not None or all(isinstance(one, Agrees) for one in piece.compared)


# Comparing


@pytest.mark.parametrize(
    ("recorded", "computed", "share"),
    [
        ([1.0, 2.0], [1.0, 2.2], 1.0),
        ([1.0, -2.0], [1.0, -2.4], 2.0),
        ([np.nan, np.inf, 1.0], [np.nan, np.inf, 1.0], 0.0),
        ([np.nan, 1.0], [1.0, 1.0], np.inf),
        ([1.0, 1.0], [np.nan, 1.0], np.inf),
        ([np.inf, 1.0], [-np.inf, 1.0], np.inf),
        ([np.inf, 1.0], [1e300, 1.0], np.inf),
        ([0.0], [1e-300], np.inf),
    ],
)
def test_a_deviation_is_a_share_of_what_is_allowed(recorded, computed, share):
    found = Comparison("x", 0.1, why="a test").deviation(recorded, computed)
    assert found.share == pytest.approx(share)


def test_units_and_logarithms_of_deviations():
    before = np.array([1.0, 3.0, 100.0, np.inf])
    now = before + [0.0, 0.3, 0.0, 0.0]
    assert Comparison("x", 0, 0.1, unit="median", why="").deviation(before, now).share == pytest.approx(1)
    assert Comparison("x", 0, 0.1, unit="largest", why="").deviation(before, now).share == pytest.approx(0.03)
    doubled = Comparison("x", 0, np.log(4), logarithm=True, why="").deviation(before, 2 * before)
    assert doubled.share == pytest.approx(0.5) and doubled.computed == 2 * doubled.recorded


def line(epochs, seeds=(0, 1), *, slope=1.0) -> xr.Dataset:
    values = slope * np.outer(np.add(seeds, 1), epochs)
    return xr.Dataset(
        {"error": (("seed", "epoch"), values), "kept": (("seed", "unit"), values[:, :2])},
        {"seed": list(seeds), "epoch": list(epochs)},
    )


def few(*compared, **changed) -> Slice:
    usual = {"changes": {"seeds": (1,)}, "shared": ("epoch",)}
    return Slice("a slice", compared or (Close("error", 0.01, why=""),), **{**usual, **changed})


def test_a_slice_is_found_by_its_labels():
    recording = line([0, 1, 2, 4, 8, 16])
    (found,) = few().deviations(line, {"epochs": [1, 2, 3, 4, 8], "seeds": (0, 1)}, recording)
    assert found.share == 0
    recording.error[1, 4] *= 2
    (found,) = few().deviations(line, {"epochs": [1, 2, 3, 4, 8], "seeds": (0, 1)}, recording)
    assert (found.where, found.recorded, found.computed) == ("seed 1, epoch 8", 32, 16)


@pytest.mark.parametrize(
    ("piece", "epochs", "said"),
    [
        (few(), [1, 2, 4], "3 labels of epoch in common"),
        (few(shared=()), [1, 2, 3, 4], "epoch 3 is not in the recording"),
        (few(changes={"seeds": (7,)}), [1, 2, 4, 8], "seed 7 is not in the recording"),
        (few(Close("size", why="")), [1, 2, 4, 8], "no variable size, only error, kept"),
        (few(Close("kept", computed="error", why="")), [1, 2, 4, 8], "kept has 2 values over unit"),
        (few(function=lambda **_: line([1, 2, 4, 8]).transpose()), [], "is over"),
        (few(every_variable=True, function=lambda **_: line([1, 2])[["error"]]), [], "no variable kept"),
        (few(Agrees("a", values=lambda run, _: (run.error, [1.0]), why="")), [1, 2, 4, 8], "of shape"),
    ],
)  # fmt: skip
def test_what_cannot_be_laid_side_by_side_is_named(piece, epochs, said):
    with pytest.raises(Mismatch, match=said):
        piece.deviations(line, {"epochs": epochs}, line([0, 1, 2, 4, 8, 16]))


# The command


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder with copies of three small recordings."""
    folder = tmp_path / "results"
    for name in (THREAD, CLASSICAL, SHIFTS):
        path = folder / f"{name}.nc"
        path.parent.mkdir(parents=True)
        shutil.copy(BOOK / f"{name}.nc", path)
    monkeypatch.setenv("SPECBIAS_RESULTS", str(folder))
    return folder


def change(folder, name, change=lambda run: run, to=None):
    """Write a recording again, changed, in place or under another name."""
    path = folder / f"{to or name}.nc"
    path.parent.mkdir(parents=True, exist_ok=True)
    changed = change(xr.load_dataset(folder / f"{name}.nc")).drop_encoding()
    path.unlink(missing_ok=True)
    changed.to_netcdf(path)


def one_larger(run):
    run["chebyshev_largest"].loc[{"degree": 6}] *= 1.00001
    return run


def test_all_the_same(results, capsys):
    assert verify_recordings([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [words.split()[0] for words in lines[:3]] == [CLASSICAL, SHIFTS, THREAD]
    assert all(" same " in words and "of what is allowed" in words for words in lines[:3])
    assert lines[3].startswith("3 same; ") and len(lines) == 4


def test_drift_is_found_and_named(results, capsys):
    change(results, CLASSICAL, one_larger)
    change(
        results, CLASSICAL, lambda run: run.assign_attrs(commit="abc1234", processor="abacus", numpy="0.1")
    )
    assert verify_recordings([]) == 1
    told = capsys.readouterr().out
    found = {result.name: result for result in verify()}
    assert [found[name].verdict for name in (CLASSICAL, SHIFTS, THREAD)] == ["drift", "same", "same"]
    largest = found[CLASSICAL].largest
    assert (largest.variable, largest.where) == ("chebyshev_largest", "degree 6")
    assert largest.recorded == pytest.approx(1.00001 * largest.computed, rel=1e-9)
    assert found[CLASSICAL].deviation == pytest.approx(10, rel=1e-3)
    for words in (
        "chebyshev_largest at degree 6: recorded 0.", "computed 0.", "10 times the difference allowed",
        "commit abc1234 (here ", "processor abacus (here ", "numpy 0.1 (here ", "as here: ",
        f"python -m specbias record {CLASSICAL} --force", f"2 same, 1 drift ({CLASSICAL}); ",
    ):  # fmt: skip
        assert words in told, words


def test_an_older_recording_names_no_processor(results):
    def older(run):
        run.attrs.pop("processor", None)
        return one_larger(run)

    change(results, CLASSICAL, older)
    (result,) = verify([CLASSICAL])
    assert "processor not noted (here " in "\n".join(result.details())


@pytest.mark.parametrize(
    "damage", [lambda content: content[:9000], lambda content: b"", lambda _: b"\0" * 99]
)
def test_a_corrupt_file_is_named_and_the_others_are_verified(results, damage, capsys):
    path = results / f"{CLASSICAL}.nc"
    path.write_bytes(damage(path.read_bytes()))
    assert verify_recordings([CLASSICAL, SHIFTS]) == 1
    told = capsys.readouterr().out
    assert [words.split()[:2] for words in told.splitlines() if words[0] != " "][:2] == [
        [CLASSICAL, "unreadable"],
        [SHIFTS, "same"],
    ]
    assert "classical.nc cannot be read" in told and f"1 same, 1 unreadable ({CLASSICAL})" in told


def test_files_that_no_run_of_the_book_makes_are_stray(results, capsys):
    change(results, CLASSICAL, to="multistage/mine")
    change(results, SHIFTS, lambda run: run.assign_attrs(command=""))
    change(results, THREAD, lambda run: run.assign_attrs(command="specbias run multistage --record"))
    (results / "notes.txt").write_text("to do")
    (results / "benchmarks").mkdir()
    for name in ("multistage", "unknown"):  # of the one there is such a program
        (results / "benchmarks" / f"{name}.json").write_text("{}")
    (results / ".chunks").mkdir()
    (results / ".chunks" / "part.npz").write_text("")
    assert verify_recordings([]) == 1
    told = capsys.readouterr().out
    found = {result.name: result for result in verify()}
    stray = {name for name, result in found.items() if result.verdict == "stray"}
    assert stray == {"multistage/mine", SHIFTS, THREAD, "notes.txt", "benchmarks/unknown.json"}
    assert set(found) - stray == {CLASSICAL}
    assert "no run of the book has this name" in found["multistage/mine"].reason
    assert "does not say by which command" in found[SHIFTS].reason and found[SHIFTS].deviation < 1
    assert "another command: specbias run multistage --record" in found[THREAD].reason
    assert "1 same, 5 stray (" in told


def test_commands_that_recordings_are_traced_to():
    assert not untraced(THREAD, f"python -m specbias record {THREAD} -p epochs=3", REGISTRY)
    assert not untraced(THREAD, "specbias run spectral-bias -p epochs=3 --record", REGISTRY)
    assert untraced(THREAD, "specbias run spectral-bias -p epochs=3", REGISTRY)
    assert again("specbias run a --record --no-recorded") == "specbias run a --record --no-recorded"


def test_other_parameters_than_the_books(results):
    """What can be compared is; what cannot is no drift."""

    def with_parameters(**changed):
        return lambda run: run.assign_attrs(
            parameters=json.dumps(json.loads(run.attrs["parameters"]) | changed)
        )

    change(results, CLASSICAL, with_parameters(seeds=9))  # not of the first one
    (result,) = verify([CLASSICAL])
    assert result.verdict == "same" and result.details() == ["recorded with other parameters than the book's"]
    change(results, CLASSICAL, with_parameters(spread=5.5))
    (result,) = verify([CLASSICAL])
    assert result.verdict == "drift" and result.largest.variable == "random_largest"
    assert "other parameters" in result.details()[0]
    change(results, CLASSICAL, with_parameters(spread="wide"))
    (result,) = verify([CLASSICAL])
    assert result.verdict == "no slice" and "other parameters" in result.reason


def test_a_run_that_cannot_be_computed_any_more_has_drifted(results):
    change(results, CLASSICAL, lambda run: run.drop_vars("chebyshev_largest"))
    (result,) = verify([CLASSICAL])
    assert result.verdict == "drift" and "no variable chebyshev_largest" in result.details()[0]


def test_names_chapters_and_patterns(results):
    assert chosen() == [CLASSICAL, SHIFTS, THREAD]
    assert chosen([CLASSICAL, "multistage/class*"]) == chosen(CLASSICAL) == [CLASSICAL]
    assert chosen(["si-msnn"]) == chosen(["si-msnn/*"]) == [n for n in sorted(REGISTRY) if "si-msnn" in n]
    assert chosen(["*/widths"]) == ["energy-landscape/widths", "spectral-bias/widths"]
    (missing,) = verify(["multistage/four"])
    assert (missing.verdict, missing.deviation) == ("not recorded", None)
    assert missing.details() == ["to record it: python -m specbias record multistage/four"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["multistage/clasical"], "did you mean multistage/classical?"),
        (["multistge"], "did you mean multistage?"),
        ([SHIFTS, "si-msnn/x*"], "name='si-msnn/x*'"),
        ([SHIFTS, "--json", "no/such/folder.json"], "--json no/such/folder.json"),
        (["--jsn", "x"], "--jsn"),
    ],
)
def test_wrong_arguments_are_named_before_anything_is_computed(results, arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        verify_recordings(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr()
    assert said in told.err and not told.out


def test_without_a_book_and_without_recordings(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SPECBIAS_RESULTS", str(tmp_path / "none"))
    assert verify_recordings([]) == 0
    assert "nothing is recorded" in capsys.readouterr().out
    monkeypatch.delenv("SPECBIAS_RESULTS")
    monkeypatch.setattr("specbias.recorded.book_root", lambda: None)
    with pytest.raises(ValueError, match="no recordings here"):
        verify()


def test_json_holds_everything(results, tmp_path):
    change(results, CLASSICAL, lambda run: one_larger(run).assign(random_largest=run.random_largest * np.nan))
    path = tmp_path / "found.json"
    assert verify_recordings([CLASSICAL, SHIFTS, "--json", str(path)]) == 1
    told = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert {"commit", "processor", "numpy", "runs"} <= set(told)
    drift, same = told["runs"]
    assert (drift["name"], drift["verdict"], same["verdict"]) == (CLASSICAL, "drift", "same")
    assert [one["variable"] for one in drift["deviations"]] == ["chebyshev_largest", "random_largest"]
    assert drift["deviations"][0]["share"] == pytest.approx(10, rel=1e-3)
    assert (
        drift["deviations"][1]["share"] is drift["deviation"] is None
    )  # NaN is infinitely far from a number
    assert drift["origin"]["command"] and drift["remake"] and same["seconds"] > 0


def test_an_interrupt_leaves_nothing(results, tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("specbias.experiments.slices.Slice.deviations", interrupted)
    assert verify_recordings([SHIFTS, "--json", str(tmp_path / "found.json")]) == 130
    assert "interrupted" in capsys.readouterr().err and not (tmp_path / "found.json").exists()


def test_specbias_verify_is_the_same(results):
    done = CliRunner().invoke(rerun.main, ["verify", SHIFTS])
    assert done.exit_code == 0 and f"{SHIFTS}  same" in done.output
    assert CliRunner().invoke(rerun.main, ["verify", "plain"]).exit_code == 2
    assert "--json FILE" in CliRunner().invoke(rerun.main, ["verify", "--help"]).output


def test_verifying_needs_no_jupyter_and_compiles_for_any_processor_of_the_kind(results):
    from llvmlite.binding import get_host_cpu_features

    absent = ["click", "papermill", "jupytext", "nbformat", "IPython", "yaml", "matplotlib", "bs4", "dask"]
    code = f"""
        import runpy, sys
        sys.modules.update(dict.fromkeys({absent}))
        sys.argv = ["specbias", "verify", {SHIFTS!r}]
        try:
            runpy.run_module("specbias", run_name="__main__")
        except SystemExit as ended:
            from numba import config
            print(config.CPU_NAME)
            sys.exit(ended.code)
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NUMBA_CPU")}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert f"{SHIFTS}  same" in done.stdout
    assert done.stdout.split()[-1] == ("x86-64-v3" if get_host_cpu_features().get("avx2") else "None")
