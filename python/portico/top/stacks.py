"""The stacks of a worker: it writes them to the error log, and they are read there where that is a file.

The server is asked as by `portico ctl stacks`. A worker's standard error is the error log, whatever that is.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable

from portico.ctl.connection import ask
from portico.top.sample import PATIENCE_S

_MOST_BYTES = 256 * 1024
# For the worker to write, and between two looks.
_WRITES_WITHIN_S = 2.0
_PAUSE_S = 0.05
_FIRST = ("Thread 0x", "Current thread 0x")
_OTHERS = ("  File ", "  ...", "  <")
# Greenlets that wait are one record of the log: its head, without what each has, and its lines.
_GREENLETS = re.compile(r"(?!\{).*?(\d+ greenlets have given the thread up.*)")
_OF_GREENLETS = re.compile(r"  (?:  |\d+ at)")


def take_stacks(path: str, pid: int, *, pause: Callable[[float], None] = time.sleep) -> str:
    """Have the worker `pid` write its stacks; return them, or where they are. Raises OperatorError."""
    fd = _open_log(pid)
    try:
        start = os.fstat(fd).st_size if fd is not None else 0
        written_to = ask(path, "stacks", timeout_s=PATIENCE_S, pid=pid)["written_to"]
        until_s = time.monotonic() + _WRITES_WITHIN_S
        found = ""
        while fd is not None and time.monotonic() < until_s:
            pause(_PAUSE_S)
            before, found = found, _stacks_in(os.pread(fd, _MOST_BYTES, start))
            if found and found == before:
                return found
        where = "its standard error" if written_to == "-" else written_to
        return found or f"worker {pid} writes its stacks to the error log, {where}"
    finally:
        if fd is not None:
            os.close(fd)


def _open_log(pid: int) -> int | None:
    """Open the file that the worker's standard error is; None if it is none, or another user's."""
    try:
        # A pipe would be read from those whom it is for.
        if not stat.S_ISREG(os.stat(f"/proc/{pid}/fd/2").st_mode):
            return None
        return os.open(f"/proc/{pid}/fd/2", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None


def _stacks_in(data: bytes) -> str:
    """Return what was written of greenlets, then of threads, without lines of the log around it."""
    of_greenlets: list[str] = []
    of_threads: list[str] = []
    for line in data.decode("utf-8", "replace").splitlines():
        if head := _GREENLETS.match(line):
            of_greenlets.append(head[1])
        elif of_greenlets and _OF_GREENLETS.match(line):
            of_greenlets.append(line)
        # What stands before the first is of something else.
        elif line.startswith(_FIRST) or (of_threads and line.startswith(_OTHERS)):
            of_threads.append(line)
    return "\n".join(of_greenlets + of_threads)
