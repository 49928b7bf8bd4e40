"""What the Flask and the Django application behind reverse proxies have in common.

They differ in how they see a request. Their responses are made here: plain values and iterators of bytes.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from apps import journal

COOKIES = {"colour": "blue", "size": "7"}
LARGE_HEADERS = {f"X-Large-{number}": str(number) * 7000 for number in range(8)}
"""56 KB in lines below Apache's limit of 8190 bytes each."""
STREAM_BLOCKS = 300
_BLOCK_BYTES = 65536


class Readable(Protocol):
    """A request body."""

    def read(self, size: int, /) -> bytes: ...


def digest(body: Readable) -> dict[str, Any]:
    """Length and digest of all of a body, read in blocks."""
    hashed = hashlib.sha256()
    length = 0
    while block := body.read(_BLOCK_BYTES):
        hashed.update(block)
        length += len(block)
    return {"length": length, "sha256": hashed.hexdigest()}


def stream() -> Iterator[bytes]:
    """Blocks whose number is told to nobody in advance."""
    for number in range(STREAM_BLOCKS):
        yield b"%d " % number * (number + 1)


def gated_stream(key: str) -> Iterator[bytes]:
    """A block, and another one when the test has opened the gate."""
    yield b"first "
    journal.wait_for(lambda: journal.is_open(key))
    yield b"second"


def endless_stream(key: str) -> Iterator[bytes]:
    """Blocks until somebody stops it."""
    enter(key)
    try:
        while True:
            yield b"x" * _BLOCK_BYTES
    finally:
        journal.write(key, "closed")


def aborted_stream(key: str) -> Iterator[bytes]:
    """A block, and then the worker is held until it is killed."""
    enter(key)
    yield b"first "
    journal.wait_for(lambda: journal.is_open(key))


def wait(key: str, disconnected: Callable[[], bool]) -> str:
    """Wait until the client has left or the gate is open; say which."""
    enter(key)
    journal.wait_for(lambda: disconnected() or journal.is_open(key))
    outcome = "disconnected" if disconnected() else "released"
    journal.write(key, outcome)
    return outcome


def number(number: int, pause_ms: int) -> str:
    """A response that belongs to one request only, after a call that takes its time."""
    if pause_ms:
        time.sleep(pause_ms / 1000)
    return f"number {number}"


def enter(key: str) -> None:
    """Write down that a worker is inside."""
    journal.write(key, f"worker {os.getpid()}")
    journal.write(key, "inside")
