"""Applications that fill the server's end of their own connection, and then go on with small blocks."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import Any

from apps.recorder import key_of, parameter, pass_gate, record

SMALL_BLOCK = 4 << 10
"""The largest block that is coalesced."""
LARGE_BLOCK = SMALL_BLOCK + 1
"""The smallest one that is not."""
LAST_BLOCK = 300_000
"""More than the socket takes."""
SEND_BUFFER = 32 << 10

_SO_MEMINFO, _SEND_BUFFER_SIZE, _SEND_BUFFER_USED = 55, 3, 5
"""socket(7); the places in its reply (enum of SK_MEMINFO_VARS in linux/sock_diag.h)."""
_OBSERVED_S = 0.01
"""Several ticks of the watchdog, which sends what was coalesced."""


def numbered(size: int) -> bytes:
    """`size` bytes in which no part of some length stands twice."""
    return b"".join(b"%08x" % number for number in range(size // 8 + 1))[:size]


_BODY = numbered(1 << 20)


def fills_socket(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Large blocks until at most `room=` bytes are left in the socket, `count=` small ones, one large one.

    Before the last block it waits for `pause=` microseconds; or, without them, records how full the socket
    is and how many bytes were written (`wrote N`), and waits at a gate.
    """
    key, room, count = key_of(environ), int(parameter(environ, "room")), int(parameter(environ, "count"))
    pause = parameter(environ, "pause")
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    position = 0

    def write_next(size: int) -> None:
        nonlocal position
        write(_BODY[position : position + size])
        position += size

    with _own_socket(environ) as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        # Of different size for different rooms, which else would differ by whole blocks only.
        write_next(LARGE_BLOCK + room)
        while _room_in(own) > room:
            write_next(LARGE_BLOCK)
        was_full = _room_in(own) <= 0
        for _ in range(count):
            write_next(SMALL_BLOCK)
        if pause:
            _spin(int(pause) / 1e6)
        else:
            record(key, "was full" if was_full else "became full" if _becomes_full(own) else "has room")
            record(key, f"wrote {position}")
            record(key, "waiting")
            pass_gate(key)
    record(key, "ends")
    return [_BODY[position : position + LAST_BLOCK]]


def _own_socket(environ: dict[str, Any]) -> socket.socket:
    """The server's end of this request's connection, by a descriptor of the application's own."""
    client = (environ["REMOTE_ADDR"], int(environ["REMOTE_PORT"]))
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=int(name)) as candidate:
                try:
                    if candidate.getpeername() == client:
                        # Not its dup(), which makes the server's descriptor one that waits, too.
                        return socket.socket(fileno=os.dup(int(name)))
                finally:
                    candidate.detach()
        except OSError:
            continue  # closed meanwhile, or not a connection
    raise LookupError(f"no connection to {client}")


def _room_in(own: socket.socket) -> int:
    """Bytes that the send buffer has left; the kernel's own structures count, too."""
    values = struct.unpack("9I", own.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36))
    return int(values[_SEND_BUFFER_SIZE]) - int(values[_SEND_BUFFER_USED])


def _becomes_full(own: socket.socket) -> bool:
    """Whether the send buffer is full within a few ticks of the watchdog."""
    end_s = time.monotonic() + _OBSERVED_S
    while time.monotonic() < end_s:
        if _room_in(own) <= 0:
            return True
        time.sleep(0.0005)
    return False


def _spin(seconds: float) -> None:
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        pass


FILLING = {"fills-socket": fills_socket}
"""They keep to PEP 3333, but look for their own socket."""
