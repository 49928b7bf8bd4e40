"""Applications that take their time: gates between blocks, many blocks, meetings of many calls."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

from apps.recorder import key_of, parameter, pass_gate, record

_TEXT = ("Content-Type", "text/plain")
_MEETING_DEADLINE_S = 10.0

_meetings: dict[str, threading.Barrier] = {}
_meetings_lock = threading.Lock()


def gated(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """`count=` blocks, each only after its gate; records what is asked for, and the close."""
    key = key_of(environ)
    start_response("200 OK", [_TEXT])
    try:
        for number in range(int(parameter(environ, "count", "3"))):
            record(key, f"asked {number}")
            pass_gate(key, number)
            yield f"block {number}".encode()
    finally:
        record(key, "close")


def gated_writes(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The same by write()."""
    key = key_of(environ)
    write = start_response("200 OK", [_TEXT])
    for number in range(int(parameter(environ, "count", "3"))):
        pass_gate(key, number)
        write(f"block {number}".encode())
    return []


def many_blocks(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """`count=` blocks of `size=` bytes."""
    start_response("200 OK", [_TEXT])
    block = b"x" * int(parameter(environ, "size", "100"))
    for _ in range(int(parameter(environ, "count", "20"))):
        yield block


def blocks_then_gate(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """`count=` small blocks at once, then a long wait at a gate: the blocks must not wait with it."""
    key = key_of(environ)
    start_response("200 OK", [_TEXT])
    for number in range(int(parameter(environ, "count", "5"))):
        yield f"block {number};".encode()
    record(key, "waiting")
    pass_gate(key)
    yield b"end"


def stamped(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """After each gate a block that holds the monotonic time at which it was yielded."""
    key = key_of(environ)
    start_response("200 OK", [_TEXT])
    for number in range(int(parameter(environ, "count", "3"))):
        pass_gate(key, number)
        yield str(time.monotonic()).encode()


def endless(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Blocks without end (well, 4 GiB); records the first and the close."""
    key = key_of(environ)
    start_response("200 OK", [_TEXT])
    block = bytes(1 << 16)
    try:
        record(key, "started")
        for _ in range(1 << 16):
            yield block
    finally:
        record(key, "close")


def waits(environ: dict[str, Any], start_response: Any) -> Any:
    """Waits at a gate inside the call."""
    key = key_of(environ)
    record(key, "inside")
    pass_gate(key)
    start_response("200 OK", [_TEXT])
    return _Closing(key, [b"waited"])


def meets(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Goes on only when `count=` calls are inside at the same time."""
    count = int(parameter(environ, "count", "8"))
    with _meetings_lock:
        barrier = _meetings.setdefault(key_of(environ), threading.Barrier(count, timeout=_MEETING_DEADLINE_S))
    barrier.wait()
    start_response("200 OK", [_TEXT])
    return [b"met"]


_inside = 0
_most_inside = 0


def counts_inside(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Sleeps 5 ms; responds with the greatest number of calls that ever were inside together."""
    global _inside, _most_inside
    with _meetings_lock:
        _inside += 1
        _most_inside = max(_most_inside, _inside)
    time.sleep(0.005)
    with _meetings_lock:
        _inside -= 1
        response = str(_most_inside).encode()
    start_response("200 OK", [_TEXT])
    return [response]


class _Closing:
    def __init__(self, key: str, blocks: list[bytes]) -> None:
        self._key = key
        self._blocks = blocks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._blocks)

    def close(self) -> None:
        record(self._key, "close")


VALID = {
    "gated": gated,
    "gated-writes": gated_writes,
    "many-blocks": many_blocks,
    "blocks-then-gate": blocks_then_gate,
    "stamped": stamped,
    "endless": endless,
    "waits": waits,
    "meets": meets,
    "counts-inside": counts_inside,
}
