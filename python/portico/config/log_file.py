"""Opening the file of a log: a module of its own, since workers have it."""

from __future__ import annotations

import os
import stat


def open_log_file(path: str) -> int:
    """Return a descriptor that appends to the file at `path`, made if it is not there; raises OSError.

    Nobody has to read a FIFO: opened for both directions it neither waits for its readers nor ends with them.
    """
    how = os.O_WRONLY
    try:
        if stat.S_ISFIFO(os.stat(path).st_mode):
            how = os.O_RDWR
    except FileNotFoundError:
        pass
    return os.open(path, how | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
