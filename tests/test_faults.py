"""Faults of re-execution: what is seen of each, how the command ends, and what it leaves. One test each.

The tests expect what ``FAULTS`` says, and the table in book/re-run.md is made from it:
``python tests/test_faults.py --write``.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from tiny_book import HEADER, ROOT, make_tiny_book

PAGE = ROOT / "book" / "re-run.md"
BEGIN, END = "<!-- faults: made by tests/test_faults.py -->", "<!-- end of faults -->"
# What varies in a message:
CAPITALS = re.compile(r"\b(ALLOWED|FILE|FOLDER|NAME|NEAREST|NOTEBOOK|REASON|SIZE|VALUE)\b")
UNTIL_THEN = "specbias: the notebook up to the error is NOTEBOOK"


@dataclass(frozen=True)
class Fault:
    """A row of the table."""

    fault: str
    seen: tuple[str, ...]  # the lines on stderr, with CAPITALS for what varies
    code: int  # negative: the signal that ended it
    left: str


FAULTS = {  # test_NAME shows each
    "unknown_parameter": Fault(
        "A parameter's name is unknown or misspelled",
        ("specbias: spectral-bias has no parameter 'NAME'; did you mean NEAREST?",),
        2,
        "Nothing new.",
    ),
    "value_of_another_type": Fault(
        "A value is of another type",
        ("specbias: NAME=VALUE: allowed is ALLOWED",),
        2,
        "Nothing new.",
    ),
    "value_out_of_range": Fault(
        "A value is out of range",
        ("specbias: NAME=VALUE: allowed is ALLOWED",),
        2,
        "Nothing new.",
    ),
    "unwritable_folder": Fault(
        "The output folder cannot be made or written to",
        ("specbias: nothing can be written in FOLDER (REASON); choose another folder",),
        2,
        "Nothing new. It is said before anything is computed.",
    ),
    "folder_in_use": Fault(
        "Another run is writing to the same folder",
        ("specbias: another run is writing FILE; wait for it or choose another folder",),
        2,
        "Nothing new. The other run is not disturbed.",
    ),
    "failing_cell": Fault(
        "A cell of the chapter fails",
        ("specbias: spectral-bias: REASON", UNTIL_THEN),
        1,
        "The notebook up to the error as `CHAPTER.failed.ipynb`, until a run succeeds; "
        "an earlier notebook as it was.",
    ),
    "dying_kernel": Fault(
        "The kernel dies",
        ("specbias: spectral-bias: Kernel died; usually the memory is used up", UNTIL_THEN),
        1,
        "The same.",
    ),
    "interrupt": Fault(
        "Ctrl-C, or a polite `kill`",
        ("specbias: interrupted; nothing unfinished was kept",),
        130,
        "An earlier notebook as it was; nothing of this run. The kernel is ended too.",
    ),
    "killed_run": Fault(
        "`kill -9`, or the machine's memory is used up",
        (),
        -signal.SIGKILL,
        "An earlier notebook as it was, and `CHAPTER.part.ipynb`, which the next run to the same folder "
        "replaces. The kernel ends by itself within seconds.",
    ),
    "full_disk": Fault(
        "The disk is full when the notebook is written",
        ("specbias: [Errno VALUE] REASON: 'FILE'",),
        1,
        "An earlier notebook as it was; nothing of this run.",
    ),
    "full_disk_under_a_recording": Fault(
        "The disk is full when a recorded run is written",
        (
            "specbias: spectral-bias: RuntimeError: the recorded run FILE cannot be written (REASON): "
            "SIZE MB were free there, up to SIZE MB are needed",
            UNTIL_THEN,
        ),
        1,
        "An earlier recording as it was; finished parts of a long run in `results/.chunks`.",
    ),
    "unwritable_results": Fault(
        "`results/` cannot be written to",
        (
            "specbias: spectral-bias: RuntimeError: NAME cannot be recorded: "
            "nothing can be written in FOLDER (REASON); choose another folder",
            UNTIL_THEN,
        ),
        1,
        "Nothing in `results/`. It is said before the run to be recorded is computed; "
        "`SPECBIAS_RESULTS` names another folder.",
    ),
    "killed_recording": Fault(
        "`kill -9` while a recorded run is written",
        ("specbias: spectral-bias: Kernel died; usually the memory is used up", UNTIL_THEN),
        1,
        "An earlier recording as it was, and a hidden file `.NAME.nc.….part`, "
        "which the next recording of the same run removes.",
    ),
    "damaged_recording": Fault(
        "A file in `results/` is truncated or damaged",
        (
            "specbias: spectral-bias: RuntimeError: the recorded run FILE cannot be read (REASON); "
            "restore it, delete it, or set SPECBIAS_RECORDED=no to compute instead",
            UNTIL_THEN,
        ),
        1,
        "The file as it is; it is never replaced unasked. `specbias list` names it and lists the others.",
    ),
    "damaged_chunk": Fault(
        "A file in `results/.chunks` is truncated or damaged",
        ("specbias: FILE cannot be read (REASON); computed anew",),
        0,
        "The whole result; that part was computed again.",
    ),
    "two_recordings": Fault(
        "Two runs record the same result at once",
        (),
        0,
        "Both end well. The file is whole: that of the run that wrote last.",
    ),
}

CHAPTER = (
    HEADER
    + """\

# What may go wrong

```{code-cell} ipython3
:tags: [parameters]

count: int = 3  # how many [1..100]
mode: str = "draw"  # what to do [draw | fail | die | much | wait | record | meet | killed]
seed: int = 1  # of the recorded run [0..]
```

```{code-cell} ipython3
import os
import time
from pathlib import Path

def tell(name):
    Path(f"{name}.soon").write_text(str(os.getpid()))
    os.rename(f"{name}.soon", name)

def wait_for(name):
    deadline = time.monotonic() + 120
    while not Path(name).exists() and time.monotonic() < deadline:
        time.sleep(0.05)

print("waves:", count)
if mode == "fail":
    raise ArithmeticError("told to fail")
if mode == "die":
    os.kill(os.getpid(), 9)
if mode == "much":
    print("x" * 3_000_000)
if mode == "wait":
    tell("waiting")
    wait_for("go")
```

```{code-cell} ipython3
if mode in ("record", "meet", "killed"):
    import numpy
    import xarray
    from specbias.recorded import recorded

    def noise(seed, numbers=200_000):
        if mode == "meet":
            tell(f"here-{seed}")
            wait_for(f"here-{3 - seed}")
        return xarray.Dataset({"noise": ("n", numpy.random.default_rng(seed).random(numbers))})

    if mode == "killed":
        os.replace = lambda *paths: os.kill(os.getpid(), 9)
    recorded("noise", noise, seed=seed)
```
"""
)
EARLIER = "an earlier notebook"


@pytest.fixture
def book(tmp_path, monkeypatch):
    for variable in ("SPECBIAS_RECORD", "SPECBIAS_RECORDED", "SPECBIAS_RESULTS"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))  # its history is no part of this
    root = make_tiny_book(tmp_path / "tiny")
    (root / "book" / "spectral-bias.md").write_text(CHAPTER)
    monkeypatch.chdir(root / "book")
    return root


@pytest.fixture
def notebook(book):
    """What an earlier run has left in the folder ``out``."""
    path = book / "book" / "out" / "spectral-bias.ipynb"
    path.parent.mkdir()
    path.write_text(EARLIER)
    return path


@pytest.fixture
def recording(book):
    """An earlier recording of the run ``noise``, with another seed."""
    path = book / "results" / "noise.nc"
    path.parent.mkdir()
    attributes = {"parameters": '{"seed":0}', "wall_time": 1.0, "device": "cpu", "commit": "unknown"}
    attributes["started"] = "2026-01-01T00:00:00+00:00"
    xr.Dataset({"noise": ("n", np.arange(3.0))}, attrs=attributes).to_netcdf(path)
    return path


def command(*arguments):
    return [sys.executable, "-m", "specbias", *arguments]


def run_command(*arguments):
    return command("run", "spectral-bias", "--output", "out", *arguments)


def start(line, **options):
    return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def end(process):
    said = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, *said)


def do(line, **options):
    return end(start(line, **options))


def wait_for(path, process):
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, end(process).stderr
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        time.sleep(0.05)


def expect(name, done, **given):
    """The process ended as the table says: the exit code, and these lines on stderr and no others."""
    fault = FAULTS[name]
    pattern = CAPITALS.sub(
        lambda match: re.escape(str(given[match[0]])) if match[0] in given else ".+",
        re.escape("\n".join(fault.seen)),
    )
    without_bar = re.sub(r"(?m)^.*\[.*network/s.*?\]", "", done.stderr)
    progress = ("spectral-bias: ", "specbias: computing ", "specbias: recorded ")
    said = "\n".join(line for line in without_bar.splitlines() if line and not line.startswith(progress))
    assert re.fullmatch(pattern, said), f"expected:\n{pattern}\nsaid:\n{done.stderr}"
    assert done.returncode == fault.code


def names(folder):
    return sorted(path.name for path in folder.iterdir())


SMALL_DISK = """
mount -t tmpfs -o size=64k tmpfs "$DISK" && cp -a "$KEPT"/. "$DISK" || exit 99
"$@"
code=$?
rm -r "$KEPT" && cp -a "$DISK" "$KEPT"
exit $code
"""


def on_a_full_disk(way, folder, line, kept):
    """Run ``line`` and return what it did and where to see what it left.

    ``limit``: the system refuses files larger than 1 MB. ``disk``: ``folder`` is a disk of 64 kB, which the
    process alone sees; what is on it at the end is copied to ``kept``.
    """
    if way == "limit":
        limits = (1_000_000, 1_000_000)
        return do(line, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)), folder
    if not shutil.which("unshare"):
        pytest.skip("this system has no disks for a single process")
    shutil.copytree(folder, kept)
    environment = os.environ | {"DISK": str(folder), "KEPT": str(kept)}
    done = do(["unshare", "-Urm", "sh", "-c", SMALL_DISK, "sh", *line], env=environment)
    if done.returncode == 99 or done.stderr.startswith("unshare:"):
        pytest.skip("this system lets only an administrator mount a disk")
    return done, kept


FULL = pytest.mark.parametrize("way", ["limit", "disk"])


def test_unknown_parameter(book):
    before = sorted(book.rglob("*"))
    expect("unknown_parameter", do(run_command("-p", "coumt=3")), NAME="coumt", NEAREST="count")
    assert sorted(book.rglob("*")) == before


def test_value_of_another_type(book):
    before = sorted(book.rglob("*"))
    done = do(run_command("-p", "count=2.5"))
    expect("value_of_another_type", done, NAME="count", VALUE="2.5", ALLOWED="int in 1..100")
    assert sorted(book.rglob("*")) == before


def test_value_out_of_range(book):
    before = sorted(book.rglob("*"))
    done = do(run_command("-p", "count=0"))
    expect("value_out_of_range", done, NAME="count", VALUE="0", ALLOWED="int in 1..100")
    assert sorted(book.rglob("*")) == before


@pytest.mark.parametrize("folder", ["index.md/mine", "/proc"])  # neither is open to an administrator
def test_unwritable_folder(book, folder):
    if not Path(folder).parent.exists():
        pytest.skip(f"there is no {folder} here")
    before = sorted(book.rglob("*"))
    done = do(command("run", "spectral-bias", "--output", folder))
    expect("unwritable_folder", done, FOLDER=folder)
    assert len(done.stderr.splitlines()) == 1, "it is said before the run is announced"
    assert sorted(book.rglob("*")) == before


def test_folder_in_use(book):
    first = start(run_command("-p", "mode=wait"))
    wait_for(book / "book" / "waiting", first)
    second = do(run_command("-p", "count=7"))
    expect("folder_in_use", second, FILE="out/spectral-bias.ipynb")
    Path("go").touch()
    assert end(first).returncode == 0, first.stderr
    assert names(book / "book" / "out") == ["spectral-bias.ipynb"]
    assert "waves: 3" in Path("out/spectral-bias.ipynb").read_text()


def test_failing_cell(book, notebook):
    failed = notebook.with_suffix(".failed.ipynb")
    done = do(run_command("-p", "mode=fail"))
    expect("failing_cell", done, REASON="ArithmeticError: told to fail", NOTEBOOK=f"out/{failed.name}")
    assert notebook.read_text() == EARLIER
    assert "waves: 3" in failed.read_text()
    assert names(notebook.parent) == [failed.name, notebook.name]
    assert do(run_command()).returncode == 0
    assert names(notebook.parent) == [notebook.name], "a run that succeeds ends the failed one's memory"
    assert "waves: 3" in notebook.read_text()


def test_dying_kernel(book, notebook):
    failed = notebook.with_suffix(".failed.ipynb")
    expect("dying_kernel", do(run_command("-p", "mode=die")), NOTEBOOK=f"out/{failed.name}")
    assert notebook.read_text() == EARLIER
    assert json.loads(failed.read_text())["cells"]
    assert names(notebook.parent) == [failed.name, notebook.name]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt(book, notebook, number):
    process = start(run_command("-p", "mode=wait"), start_new_session=True)
    wait_for(book / "book" / "waiting", process)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    expect("interrupt", end(process))
    assert ended(int(Path("waiting").read_text()))
    assert notebook.read_text() == EARLIER
    assert names(notebook.parent) == [notebook.name]


def ended(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{process}/stat")  # one that nobody has waited for is a zombie, "Z"
    return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_killed_run(book, notebook):
    process = start(run_command("-p", "mode=wait"))
    wait_for(book / "book" / "waiting", process)
    kernel = int(Path("waiting").read_text())
    process.kill()
    expect("killed_run", end(process))
    deadline = time.monotonic() + 60
    while not ended(kernel):
        assert time.monotonic() < deadline, "the kernel goes on alone"
        time.sleep(0.1)
    assert notebook.read_text() == EARLIER
    assert names(notebook.parent) == [notebook.name, "spectral-bias.part.ipynb"]
    assert do(run_command()).returncode == 0
    assert names(notebook.parent) == [notebook.name]
    assert "waves: 3" in notebook.read_text()


@FULL
def test_full_disk(book, notebook, way, tmp_path):
    line = run_command("-p", "mode=much")
    done, left = on_a_full_disk(way, notebook.parent, line, tmp_path / "kept")
    expect("full_disk", done, FILE="out/spectral-bias.ipynb")
    assert names(left) == [notebook.name]
    assert (left / notebook.name).read_text() == EARLIER


@FULL
def test_full_disk_under_a_recording(book, recording, way, tmp_path):
    before = recording.read_bytes()
    line = run_command("-p", "mode=record", "--record")
    done, left = on_a_full_disk(way, recording.parent, line, tmp_path / "kept")
    expect("full_disk_under_a_recording", done, FILE=recording)
    assert names(left) == ["noise.nc"]
    assert (left / "noise.nc").read_bytes() == before


def test_unwritable_results(book):
    (book / "results").write_text("a file where a folder should be")
    done = do(run_command("-p", "mode=record", "--record"))
    expect("unwritable_results", done, NAME="noise", FOLDER=book / "results")


def test_killed_recording(book, recording):
    before = recording.read_bytes()
    expect("killed_recording", do(run_command("-p", "mode=killed", "--record")))
    assert recording.read_bytes() == before
    part, whole = names(recording.parent)
    assert (part[:10], part[-5:], whole) == (".noise.nc.", ".part", "noise.nc")
    assert do(run_command("-p", "mode=record", "--record")).returncode == 0
    assert names(recording.parent) == ["noise.nc"]
    assert xr.load_dataset(recording).noise.size == 200_000


def test_damaged_recording(book, recording):
    whole = recording.read_bytes()
    recording.write_bytes(whole[: len(whole) // 2])
    recording.with_name("other.nc").write_bytes(whole)
    done = do(run_command("-p", "mode=record", "--record"))
    expect("damaged_recording", done, FILE=recording)
    assert recording.read_bytes() == whole[: len(whole) // 2]
    listed = do(command("list"))
    assert (listed.returncode, len(listed.stderr.splitlines())) == (0, 1)
    assert f"the recorded run {recording} cannot be read" in listed.stderr
    assert "  other  " in listed.stdout


def test_damaged_chunk(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECBIAS_RESULTS", str(tmp_path))
    small = ["-p", "models=8", "-p", "steps=2", "-p", "kept=2", "--device", "cpu", "--force"]
    line = command("record", "energy-landscape/main-momentum", *small)
    assert do(line).returncode == 0
    path = tmp_path / "energy-landscape" / "main-momentum.nc"
    (chunk,) = (tmp_path / ".chunks").iterdir()
    before, whole = xr.load_dataset(path), chunk.read_bytes()
    chunk.write_bytes(whole[:1000])
    expect("damaged_chunk", do(line), FILE=chunk)
    assert chunk.stat().st_size == len(whole), "mended"
    xr.testing.assert_equal(xr.load_dataset(path), before)


def test_two_recordings(book, recording):
    options = ["-p", "mode=meet", "--record"]
    runs = []
    for seed in (1, 2):  # kernels that start in the same moment may pick the same port
        runs.append(start(command("run", "spectral-bias", "-p", f"seed={seed}", *options)))
        wait_for(book / "book" / f"here-{seed}", runs[-1])
    for each in runs:
        expect("two_recordings", end(each))
    found = xr.load_dataset(recording)
    seed = json.loads(found.attrs["parameters"])["seed"]
    assert seed in (1, 2)
    np.testing.assert_array_equal(found.noise, np.random.default_rng(seed).random(200_000))
    assert names(recording.parent) == ["noise.nc"]


def test_every_fault_has_its_test():
    assert [name for name in FAULTS if f"test_{name}" not in globals()] == []


def table():
    """The table in book/re-run.md."""
    rows = ["| What happens | What you see | Exit code | What is left |", "|:--|:--|:--|:--|"]
    for fault in FAULTS.values():
        lines = [line.removeprefix("specbias: ") for line in fault.seen]  # the page says it once
        seen = "<br>".join(f"`{line}`" for line in lines) or "nothing"
        code = 128 - fault.code if fault.code < 0 else fault.code  # as shells tell it
        rows.append(f"| {fault.fault} | {seen} | {code} | {fault.left} |")
    return "\n".join(["", "", *rows, "", ""])


def page_with_table():
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}{table()}{END}{rest.partition(END)[2]}"


def test_the_table_in_the_book_is_the_one_tested():
    assert PAGE.read_text("utf-8") == page_with_table(), "make it anew: python tests/test_faults.py --write"


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/test_faults.py --write")
    PAGE.write_text(page_with_table(), "utf-8")
