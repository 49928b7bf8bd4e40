"""Whether a server calls `close()` of an iterable that is not its own iterator.

PEP 3333 wants it called for every iterable that has one. Django's response is such an iterable, and its
`close()` ends the request: connections to databases go back, temporary files are removed. A server that asks
only the iterator for a `close()` never calls it, and is cheaper for that.
"""

from __future__ import annotations

import http.client

from cases import Case, Row
from running import ServerFailed, running

CASE = Case("closing", "", "bench.apps:closing")
RESPONSES = 3
TIMEOUT_S = 5


def problems(row: Row, cpu: int) -> list[str]:
    """What is to be said beside the figures of this row: nothing where every response was closed."""
    try:
        with running(CASE, row, cpu) as server:
            for _ in range(RESPONSES):
                _asked(server.port, "/")
            closed = int(_asked(server.port, "/closed"))
    except (OSError, ValueError, http.client.HTTPException, ServerFailed) as failure:
        return [f"whether it calls close() could not be seen: {failure}"]
    return [] if closed == RESPONSES else [f"calls close() of {closed} of {RESPONSES} responses"]


def _asked(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
