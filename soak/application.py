"""What the soak and the pressure runs serve: fast, slow, streamed, uploaded, large and failing responses.

Every response tells its worker (`X-Worker`), so that a client knows whose connection it has. What is sent
depends on the request alone, so that `honest.py` can compare every byte.
"""

from __future__ import annotations

import hashlib
import os
import time
from functools import cache
from urllib.parse import parse_qs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    Environ = dict[str, Any]
    StartResponse = Callable[[str, list[tuple[str, str]]], Any]

FAST = b"Hello, World!"
MISSING = b"there is nothing here\n"
READ_BYTES = 64 * 1024


class Intended(Exception):
    """What /raise raises: its traceback in the error log is no defect."""


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Dispatch by path; the query carries the numbers."""
    query = {name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", "")).items()}
    path = environ["PATH_INFO"]
    if path == "/fast":
        return _respond(start_response, "200 OK", FAST)
    if path == "/slow":
        time.sleep(min(int(query["ms"]), 1000) / 1000)
        return _respond(start_response, "200 OK", query["ms"].encode())
    if path == "/stream":
        start_response("200 OK", _headers())
        return blocks(int(query["seed"]), int(query["blocks"]), int(query["bytes"]))
    if path == "/digest":
        return _respond(start_response, "200 OK", _digest(environ["wsgi.input"]))
    if path == "/large":
        return _respond(start_response, "200 OK", large(int(query["seed"]) % 4, int(query["kibibytes"])))
    if path == "/raise":
        raise Intended("asked for")
    return _respond(start_response, "404 Not Found", MISSING)


def blocks(seed: int, count: int, size: int) -> Iterator[bytes]:
    """`count` blocks of `size` bytes, each another one."""
    for number in range(count):
        yield pattern(seed + number, size)


@cache
def large(seed: int, kibibytes: int) -> bytes:
    """A body made once: however many slow clients ask for it, it is in memory once."""
    return pattern(seed, kibibytes * 1024)


def pattern(seed: int, size: int) -> bytes:
    """`size` bytes that tell the seed and do not repeat at any power of two."""
    unit = b"%08x portico soak " % (seed & 0xFFFFFFFF) + bytes(range(32, 109))
    return (unit * (size // len(unit) + 1))[:size]


def _digest(body: Any) -> bytes:
    digest = hashlib.sha256()
    length = 0
    while block := body.read(READ_BYTES):
        digest.update(block)
        length += len(block)
    return f"{length} {digest.hexdigest()}".encode()


def _respond(start_response: StartResponse, status: str, body: bytes) -> Iterable[bytes]:
    start_response(status, [*_headers(), ("Content-Length", str(len(body)))])
    return [body]


def _headers() -> list[tuple[str, str]]:
    return [("Content-Type", "application/octet-stream"), ("X-Worker", str(os.getpid()))]
