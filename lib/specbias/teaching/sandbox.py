"""Start a notebook's kernel so that what it executes can harm neither the grader nor other submissions.

``python -P -m specbias.teaching.sandbox SETTINGS.json CONNECTION`` is what :mod:`specbias.teaching.kernel`
starts. What holds is put up in layers: the operating system's (:mod:`specbias.teaching.layers`), as far as
the machine has them, and on every system an audit hook (PEP 578), which refuses the same from within Python
and *reports* it.

The report is also how the grader learns that a check ran to its end, and that nothing it was written with had
been replaced: lines that begin with a word which the executed code is not told. Python lets a program look
into everything of its own process, so a determined attacker can find that word. This is a guard against
accidents and against tricks that are easy to think of, and it leaves a trace of the rest.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FunctionType

from specbias.teaching.layers import isolate

BUILTINS = [
    "abs",
    "all",
    "any",
    "float",
    "isinstance",
    "len",
    "max",
    "min",
    "sorted",
    "sum",
    "AssertionError",
]
REPLACEABLE = {
    "specbias.teaching.checks": [
        "check",
        "close",
        "generator",
        "_numbers",
        "_plain",
        "_known",
        "_equal",
        "_difference",
    ],
    "numpy": ["all", "any", "abs", "allclose", "array", "asarray", "isclose", "max", "mean", "sqrt", "sum"],
    "numpy.random": ["default_rng"],
    "numpy.testing": ["assert_allclose", "assert_array_equal"],
    "builtins": BUILTINS,
}
LIBRARIES = ("specbias", "numpy", "scipy")
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.spawn")
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
CHANGES = {"os.remove": 1, "os.rename": 2, "os.rmdir": 1, "os.mkdir": 1, "os.truncate": 1, "os.chmod": 1,
           "os.symlink": 2, "os.link": 2, "shutil.rmtree": 1, "os.utime": 1}  # fmt: skip


def main(settings: Path, connection: str) -> None:
    """Put up the layers, then become the kernel."""
    wanted = json.loads(settings.read_text())
    settings.unlink()  # it holds the report's word
    report = os.open(wanted["report"], os.O_WRONLY | os.O_APPEND)
    layers = isolate(wanted["memory"], wanted["readable"], wanted["writable"])
    _preload()
    kernel = _kernel(connection)
    kernel.shell.ask_exit = _no_exit
    tell = _teller(report, wanted["word"])
    tell(f"layers {', '.join([*layers, 'audit hook'])}")
    sys.addaudithook(_hook(tell, wanted["readable"], wanted["writable"], _watch(kernel.shell)))
    os.chdir(wanted["writable"][0])
    sys.path.insert(0, "")
    kernel.start()


def _preload() -> None:
    """Load what would otherwise be loaded under the hook, and ask once for what starts programs."""
    import platform

    import numpy.random
    import numpy.testing  # noqa: F401

    import specbias.teaching.checks  # noqa: F401

    platform.processor()


def _kernel(connection: str):
    from ipykernel.kernelapp import IPKernelApp

    kernel = IPKernelApp.instance()
    kernel.initialize(["-f", connection, "--HistoryManager.enabled=False"])
    return kernel


def _no_exit() -> None:
    """What ``exit()`` does here: its own cell fails. The kernel would end in the midst of the next one."""
    raise RuntimeError("exit() would end the kernel; leave it out")


def _teller(report: int, word: str) -> Callable[[str], None]:
    def tell(line: str) -> None:
        os.write(report, f"{word} {line}\n".encode(errors="replace"))

    return tell


def _watch(shell) -> Callable[[Sequence[str], str], list[str]]:
    """A function that names what has been replaced since now, of what decides about a check.

    It takes the names of the functions that the check has defined, and the check's file name: by these it
    knows whether they still are the check's.
    """
    import numpy

    from specbias.teaching import checks

    given = {"np": numpy} | {name: getattr(checks, name) for name in checks.__all__}

    def seen() -> dict[str, object]:
        parts = {
            f"{module}.{name}": getattr(sys.modules[module], name, None)
            for module, names in REPLACEABLE.items()
            for name in names
        }
        code = {f"{name} (its code)": getattr(part, "__code__", None) for name, part in parts.items()}
        shadows = {
            f"{name} (by a name of the notebook)": found
            for name in REPLACEABLE["builtins"]
            if callable(found := shell.user_ns.get(name))
        }
        names = {
            f"{name} (of the notebook)": found
            for name, right in given.items()
            if (found := shell.user_ns.get(name)) is not right
        }
        return parts | code | shadows | names | _from_cells() | _shell_parts(shell)

    def replaced(functions: Sequence[str], file: str) -> list[str]:
        changed = [name for name, part in seen().items() if before.get(name) is not part]
        codes = {name: getattr(shell.user_ns.get(name), "__code__", None) for name in functions}
        others = [name for name, code in codes.items() if getattr(code, "co_filename", None) != file]
        return changed + [f"{name} (of the check)" for name in others]

    before = seen()
    return replaced


def _from_cells() -> dict[str, object]:
    """Functions of the libraries that a check may call which come from a cell of the notebook."""
    return {
        f"{module}.{name}": part
        for module, loaded in list(sys.modules.items())
        if module.partition(".")[0] in LIBRARIES and loaded is not None
        for name, part in list(vars(loaded).items())
        if type(part) is FunctionType and "ipykernel_" in part.__code__.co_filename
    }


def _shell_parts(shell) -> dict[str, object]:
    """What of IPython changes how a cell is executed; counts and names, which compare by identity."""
    hooks = (
        shell.custom_exceptions,
        shell.ast_transformers,
        shell.input_transformers_cleanup,
        shell.input_transformers_post,
    )
    listeners = [len(shell.events.callbacks[event]) for event in ("pre_execute", "pre_run_cell")]
    own = [
        name
        for name in vars(shell)
        if name in ("run_cell", "run_cell_async", "run_code", "run_ast_nodes", "showtraceback")
    ]
    return {"IPython's hooks": sys.intern(f"{[len(found) for found in hooks]} {listeners} {own}")}


def _hook(tell, readable: Sequence[str], writable: Sequence[str], replaced: Callable):
    """The audit hook: refuses and reports; answers in the report when a check has passed."""
    own = os.getpid()
    writable = tuple(os.path.realpath(path) for path in writable)
    readable = (*(os.path.realpath(path) for path in readable), *writable)

    def refuse(what: str) -> None:
        tell(f"refused {what}")
        raise PermissionError(f"not while it is graded: {what}")

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            path, mode, flags = arguments
            if isinstance(path, (str, bytes)):
                _opened(os.path.realpath(os.fsdecode(path)), mode, flags)
        elif event == "specbias.passed":
            number, functions = arguments
            changed = replaced(functions, sys._getframe(1).f_code.co_filename)
            tell(f"replaced {number} {', '.join(changed)}" if changed else f"passed {number}")
        elif event in CHANGES:
            for path in arguments[: CHANGES[event]]:
                if isinstance(path, (str, bytes)) and not _beneath(
                    os.path.realpath(os.fsdecode(path)), writable
                ):
                    refuse(f"to change {os.fsdecode(path)}")
        elif event in NETWORK:
            refuse("the network")
        elif event.startswith(PROGRAMS):
            refuse(f"another program: {arguments[0] if arguments else event}")
        elif event in ("os.kill", "os.killpg") and arguments[0] != own:
            refuse("to stop other processes")

    def _opened(path: str, mode, flags) -> None:
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if path in (os.devnull, "/dev/null") or _beneath(path, writable):
            return
        if writes:
            refuse(f"to write {path}")
        if not _beneath(path, readable):
            refuse(f"to read {path}")

    return hook


def _beneath(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip("/") + "/") for folder in folders)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
