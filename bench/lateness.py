"""How late a block of a streamed response reaches the client.

The path /paced of the application `stream` writes into each block the monotonic time at which it
yields it; the clock is the same in both processes, so the age of a block on arrival is its lateness
(plus the time the kernel needs to wake this client). A server that coalesces the whole response shows
the sum of the pauses.
"""

from __future__ import annotations

import re
import socket
import statistics
import time

from running import ServerFailed

REQUEST = b"GET /paced HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
RESPONSES = 15
BLOCKS = 20
STAMP = re.compile(rb"(\d{99})\n")


def measured(port: int) -> dict[str, float]:
    """Milliseconds: the latest block of a response (median of several responses), and the worst of all."""
    try:
        latest = [_latest_ms(port) for _ in range(RESPONSES)]
    except OSError as error:
        raise ServerFailed(f"did not finish a paced response: {error!r}") from error
    return {"late_ms": statistics.median(latest), "latest_ms": max(latest)}


def _latest_ms(port: int) -> float:
    ages_ns: list[int] = []
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(REQUEST)
        rest = b""
        while block := connection.recv(65536):
            now = time.monotonic_ns()
            rest += block
            end = 0
            for match in STAMP.finditer(rest):
                ages_ns.append(now - int(match[1]))
                end = match.end()
            rest = rest[end:]
    if len(ages_ns) != BLOCKS:
        raise ServerFailed(f"delivered {len(ages_ns)} of {BLOCKS} paced blocks")
    return max(ages_ns) / 1e6
