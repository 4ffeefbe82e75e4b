"""What the operating system keeps a graded kernel from, whatever code it executes.

- limits on memory, on the size of files and on open files (``setrlimit``);
- no network: a network namespace of its own (Linux);
- own processes: a process namespace of its own (Linux), so that none outlives the kernel;
- own files only: no files but Python's, the library's and its own folder's, which alone is written (Landlock,
  Linux 5.13).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from contextlib import suppress


def isolate(memory: int, readable: Sequence[str], writable: Sequence[str]) -> list[str]:
    """The operating system's layers; the names of those that this machine has."""
    layers = []
    if _limited(memory):
        layers.append("limits")
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        layers += _namespaces(libc)
        libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: who loses its parent stays the kernel's child
        if _no_other_files(libc, readable, writable):
            layers.append("own files only")
    return layers


def _limited(memory: int) -> bool:
    import resource

    # What is allocated counts, and not addresses: PyTorch reserves many times more of these.
    kinds = {
        resource.RLIMIT_DATA: memory,
        resource.RLIMIT_FSIZE: 256 << 20,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 1024,
    }
    with suppress(ValueError, OSError):
        for kind, limit in kinds.items():
            most = resource.getrlimit(kind)[1]
            limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
            resource.setrlimit(kind, (limit, limit))
        return True
    return False


def _namespaces(libc) -> list[str]:
    """Into namespaces of its own, as an ordinary user by a user namespace; before any thread starts.

    A process namespace holds only what is started from now on. So the kernel is a child from here on, the
    first in it, and with it all others end; this process waits for it, and takes it along when killed.
    """
    new_user, new_network, new_processes = 0x10000000, 0x40000000, 0x20000000
    for user in (0, new_user):
        if libc.unshare(user | new_network | new_processes) == 0:
            if child := os.fork():
                os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
            libc.prctl(1, 9)  # PR_SET_PDEATHSIG: killed with the process that waits
            return ["no network", "own processes"]
        if libc.unshare(user | new_network) == 0:
            return ["no network"]
    return []


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("access", ctypes.c_uint64), ("folder", ctypes.c_int32)]


def _no_other_files(libc, readable: Sequence[str], writable: Sequence[str]) -> bool:
    """Landlock (man 7 landlock): from here on, for this process and all it starts, and for good."""
    create, add, restrict, no_new_privileges = 444, 445, 446, 38
    version = libc.syscall(create, None, 0, 1)
    if version < 1:
        return False
    known = (1 << {1: 13, 2: 14}.get(version, 15 if version < 5 else 16)) - 1  # rights on files it knows
    read, read_folder, execute = 1 << 2, 1 << 3, 1 << 0
    signals = 1 << 1 if version >= 6 else 0
    rules = _Ruleset(known, 0, signals)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = libc.syscall(create, ctypes.byref(rules), size, 0)
    if ruleset < 0:
        return False
    for access, folders in ((read | read_folder | execute, readable), (known, writable)):
        for folder in folders:
            with suppress(OSError):  # a folder that this machine has not
                opened = os.open(folder, os.O_PATH)
                allowed = access if os.path.isdir(folder) else access & (read | execute | 1 << 1 | 1 << 14)
                beneath = _Beneath(allowed & known, opened)
                libc.syscall(add, ruleset, 1, ctypes.byref(beneath), 0)
                os.close(opened)
    ok = libc.prctl(no_new_privileges, 1, 0, 0, 0) == 0 and libc.syscall(restrict, ruleset, 0) == 0
    os.close(ruleset)
    return ok
