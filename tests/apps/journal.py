"""What happens in the applications, written to files in `$JOURNAL_FOLDER`; and gates that hold them.

Like `apps.recorder`, for tests with several workers and with workers that are killed: what one has written
stays, whichever is asked.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

GATE_DEADLINE_S = 20.0
_PAUSE_S = 0.002


def write(key: str, event: str) -> None:
    """Write down that `event` happened."""
    descriptor = os.open(_folder() / f"{key}.events", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{event}\n".encode())
    finally:
        os.close(descriptor)


def is_open(key: str) -> bool:
    """Whether the test has opened the gate of `key`."""
    return (_folder() / f"{key}.gate").exists()


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; raises TimeoutError if it never does."""
    deadline_s = time.monotonic() + GATE_DEADLINE_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError("waited in vain for the test")
        time.sleep(_PAUSE_S)


def _folder() -> Path:
    return Path(os.environ["JOURNAL_FOLDER"])
