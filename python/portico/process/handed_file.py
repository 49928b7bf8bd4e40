"""A file without a name that the next interpreter of this process reads: a plan, or all of a supervisor.

Used by the command line before it becomes the supervisor, and by a supervisor that upgrades.
"""

from __future__ import annotations

import os

from portico.errors import OperatorError


def write_file(data: bytes) -> int:
    """Return a descriptor to read `data` from, which the next interpreter inherits."""
    fd = _file_in_memory()
    if fd < 0:
        fd = _unlinked_file()
    if fd < 0:
        return _pipe_with(data)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    os.set_inheritable(fd, True)
    return fd


def _file_in_memory() -> int:
    """Return a descriptor, or -1: other systems have none, and a sandbox may not allow it."""
    try:
        return os.memfd_create("portico-plan")
    except (AttributeError, OSError):
        return -1


def _unlinked_file() -> int:
    """Return a descriptor, or -1: there may be no folder to write in."""
    import tempfile

    try:
        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())
    except OSError:
        return -1


def _pipe_with(data: bytes) -> int:
    """Return the read end of a pipe that has all of `data`: nobody would read while it is written."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(write_fd, False)
    try:
        written = os.write(write_fd, data)
    finally:
        os.close(write_fd)
    if written < len(data):
        raise OperatorError(
            "cannot hand on the settings to the supervisor: there is no memory file (memfd_create) and no "
            "folder for temporary files; let TMPDIR name one"
        )
    os.set_inheritable(read_fd, True)
    return read_fd
