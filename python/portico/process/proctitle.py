"""What `ps`, `top` and `htop` call a process: "portico: worker 3 shop.wsgi" in place of its command line.

The supervisor and each worker call this once, at their start. Linux only: elsewhere, and where /proc is not
there or may not be written, a process keeps the names that it has.
"""

from __future__ import annotations

import os

# Of /proc/self/stat: the fields 48 and 49 (proc_pid_stat(5)), counted from the third, after the name.
_ARG_START, _ARG_END = 48 - 3, 49 - 3


def name_process(name: str, title: str) -> None:
    """Call this process `title` where command lines are shown, and `name` where there is room for less.

    The kernel keeps 15 bytes of `name` (prctl(2), PR_SET_NAME), for `top` and `ps -o comm`; of `title` there
    remain as many as the command line had, several hundred after the exec of `launch`.
    """
    try:
        _write("/proc/self/comm", name.encode("ascii"))
        start, end = _arguments()
        if end > start:
            # What is shown is this memory (proc_pid_cmdline(5)). Nobody else reads it any more, since the
            # interpreter has copied the arguments (`sys.orig_argv`). The kernel writes for us, so it takes no
            # pointer and no unsafe code, and what it does not allow is an error. An exec with a first
            # argument of our own would not do: by that Python finds itself, and a forked worker has no exec.
            title_bytes = os.fsencode(title)[: end - start - 1]
            _write("/proc/self/mem", title_bytes.ljust(end - start, b"\0"), start)
    except (OSError, ValueError, IndexError):
        return


def _arguments() -> tuple[int, int]:
    """Return where the arguments of this process begin and end in memory; 0 and 0 where that is secret."""
    fd = os.open("/proc/self/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # The name is in parentheses and may itself hold any of them.
        fields = os.read(fd, 4096).rpartition(b")")[2].split()
    finally:
        os.close(fd)
    return int(fields[_ARG_START]), int(fields[_ARG_END])


def _write(path: str, data: bytes, offset: int = 0) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        if offset:
            os.lseek(fd, offset, os.SEEK_SET)
        os.write(fd, data)
    finally:
        os.close(fd)
