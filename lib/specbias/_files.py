"""Files that are there as a whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import errno
import glob
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows, where the rest of this works
    fcntl = None


class CannotWrite(ValueError):
    """No file can be put there, or another process is about to put one; the message says which and where."""


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; at the end it is brought to the disk and renamed.

    After an exception, an interrupt too, the temporary file is gone and ``path`` is as it was. What a killed
    process has left is removed by the next one that writes ``path`` on the same machine.

    Examples
    --------
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "words.txt") as temporary:
    ...     _ = temporary.write_text("all of them")
    >>> [file.name for file in folder.iterdir()]
    ['words.txt']
    """
    start = f".{path.name}.{platform.node()}."  # process numbers mean something on one machine only
    for left in path.parent.glob(f"{glob.escape(start)}*.part"):
        if not _runs(left.name.removeprefix(start).removesuffix(".part")):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f"{start}{os.getpid()}.part")
    try:
        with _naming(path):
            yield temporary
            finish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def sole_writer(path: Path) -> Iterator[Path]:
    """The temporary name ``NAME.part.SUFFIX`` beside ``path``, for this process alone; its folder is made.

    CannotWrite at once if nothing can be written there or another process holds the name. A killed process
    holds nothing: what it left is overwritten. Give the file its final name with :func:`finish`, else it is
    removed at the end, and so is a folder that was made for nothing.

    Examples
    --------
    >>> path = Path(tempfile.mkdtemp()) / "new" / "words.txt"
    >>> with sole_writer(path) as partial:
    ...     _ = partial.write_text("all of them")
    ...     finish(partial, path)
    >>> [file.name for file in path.parent.iterdir()]
    ['words.txt']
    """
    partial = path.with_name(f"{path.stem}.part{path.suffix}")
    created = not path.parent.exists()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = _locked(partial)
    except BlockingIOError:
        raise CannotWrite(f"another run is writing {path}; wait for it or choose another folder") from None
    except OSError as error:
        raise _cannot_write(path.parent, error) from None
    try:
        with held, _naming(path):
            try:
                yield partial
            finally:
                if _is(held, partial):  # and not the next one's, after ours got its final name
                    partial.unlink()
    finally:
        if created:
            with suppress(OSError):  # not empty
                path.parent.rmdir()


def finish(temporary: Path, path: Path) -> None:
    """Bring ``temporary`` to the disk, then give it its final name: after a power cut, too, it is whole."""
    with open(temporary, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def check_folder(folder: Path) -> None:
    """Make ``folder`` if need be; CannotWrite if a file cannot be put there.

    It is tried, since permissions tell nothing to an administrator, nor of a disk that is read-only.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _cannot_write(folder, error) from None


def _cannot_write(folder: Path, error: OSError) -> CannotWrite:
    return CannotWrite(f"nothing can be written in {folder} ({error.strerror}); choose another folder")


def _locked(path: Path) -> IO:
    """``path``, opened and held until it is closed or the process ends; BlockingIOError if another has it."""
    while True:
        file = path.open("ab")
        try:
            hold(file)
            if _is(file, path):
                return file
            file.close()  # the process that had it gave it another name, or removed it, just now
        except BlockingIOError:
            file.close()
            raise


def hold(file: IO, *, wait: bool = False) -> None:
    """Lock an open file until it is closed, or the process ends in whatever way.

    BlockingIOError if another process holds it and we do not ``wait``. Windows and some network file systems
    know no such locks: there nothing is held.
    """
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP):
            raise


def _is(file: IO, path: Path) -> bool:
    return path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat())


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """An error of writing, such as a full disk, does not say by itself which file it was."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _runs(process: str) -> bool:
    if os.name != "posix" or not process.isdecimal():  # elsewhere the signal 0 is not harmless
        return True
    try:
        os.kill(int(process), 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True
