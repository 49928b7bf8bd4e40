"""What the servers serve: the number that a request brings, and whatever can happen to an application.

A copy of this file is served, so that events can break it.
"""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

kept: list[bytearray] = []
LEAKED_BYTES = 1 << 20


def leak() -> None:
    """Keep a mebibyte for ever, all of it touched."""
    kept.append(bytearray(b"x") * LEAKED_BYTES)


def sleep() -> None:
    time.sleep(1000)


def hold() -> None:
    """Wait in C, with the interpreter held."""
    ctypes.PyDLL(None).sleep(1000)


def deadlock() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def segfault() -> None:
    ctypes.string_at(8)


EVENTS: dict[str, Callable[[], None]] = {
    "/leak": leak,
    "/sleep": sleep,
    "/hold": hold,
    "/deadlock": deadlock,
    "/segfault": segfault,
}


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path in EVENTS:
        EVENTS[path]()
    body = environ["QUERY_STRING"].encode()
    fields = [
        ("Content-Type", "text/plain"),
        ("Content-Length", str(len(body))),
        ("X-Worker", str(os.getpid())),
    ]
    start_response("200 OK", fields)
    return [body]
