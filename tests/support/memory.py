"""Watching the memory of a server all the time while something goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from support.server import Server

_EVERY_S = 0.05


@contextmanager
def bounded_memory(server: Server, bound_bytes: int) -> Iterator[None]:
    """Assert that supervisor and workers together never grow by `bound_bytes` inside the block."""
    before = server.memory_bytes()
    most = before
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(_EVERY_S):
            most = max(most, server.memory_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    assert most - before < bound_bytes, f"grew by {(most - before) >> 20} MiB"
