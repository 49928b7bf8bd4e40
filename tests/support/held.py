"""What a process holds, by identity: its threads and its descriptors; what others let go does not count."""

from __future__ import annotations

import contextlib
import os

from .waiting import wait_until


def held() -> set[str]:
    """Return the threads ("thread 4242") and descriptors ("7: socket:[123]") that this process has."""
    found = {f"thread {thread}" for thread in os.listdir("/proc/self/task")}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(f"{number}: {os.readlink(f'/proc/self/fd/{number}')}")
    return found


def expect_let_go(before: set[str]) -> None:
    """Wait until this process holds nothing but what it held `before`.

    Raises AssertionError that names what is left.
    """
    try:
        wait_until(lambda: held() <= before, what="threads and descriptors to be let go")
    except AssertionError:
        raise AssertionError(f"still held: {sorted(held() - before)}") from None
