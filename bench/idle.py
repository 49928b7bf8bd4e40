"""Opens thousands of keep-alive connections, each with one completed request, and weighs the server."""

from __future__ import annotations

import resource
import select
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import measure
from running import Running, ServerFailed
from servers import IDLE_CONNECTIONS

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
SPARE_DESCRIPTORS = 200
PER_SOURCE_ADDRESS = 20_000
"""Below the range of ephemeral ports; beyond it, connections leave from 127.0.0.2 and so on."""
CONNECT_S = 60
HOLD_S = 0.5
IP_BIND_ADDRESS_NO_PORT = 24
"""Of <linux/in.h>; the socket module has no name for it."""


@contextmanager
def descriptors() -> Iterator[None]:
    """Allow this process, and the server it starts, the descriptors needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = IDLE_CONNECTIONS + SPARE_DESCRIPTORS
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise ServerFailed(f"needs {wanted} descriptors and `ulimit -Hn` allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def measured(running: Running) -> dict[str, float]:
    """PSS per open connection in KB, and how many of them the server kept."""
    before = measure.pss_bytes(running.pid)
    with ExitStack() as stack:
        connections = []
        deadline = time.monotonic() + CONNECT_S
        for number in range(IDLE_CONNECTIONS):
            if time.monotonic() > deadline:
                raise ServerFailed(f"took only {number} connections in {CONNECT_S} s")
            connection = stack.enter_context(socket.socket())
            # Ended by a reset: no port is left waiting, so that the next server can be asked at once.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            _ask(connection, running.port, f"127.0.0.{1 + number // PER_SOURCE_ADDRESS}")
            connections.append(connection)
        time.sleep(HOLD_S)
        poll = select.poll()
        for connection in connections:
            poll.register(connection, select.POLLIN)
        # Nothing was asked: whatever can be read now is the end of the connection.
        kept = IDLE_CONNECTIONS - len(poll.poll(0))
        after = measure.pss_bytes(running.pid)
    if kept == 0:
        raise ServerFailed("kept no connection")
    return {"kb_per_connection": (after - before) / 1e3 / kept, "kept": kept}


def _ask(connection: socket.socket, port: int, source: str) -> None:
    connection.settimeout(5)
    try:
        # The port is chosen on connecting: two connections may share one if their peers differ.
        connection.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        connection.bind((source, 0))
        connection.connect(("127.0.0.1", port))
        connection.sendall(REQUEST)
        body = b""
        while not body.endswith(b"Hello, World!"):
            block = connection.recv(4096)
            if not block:
                raise ServerFailed("closed a connection before its response was complete")
            body += block
    except OSError as error:
        raise ServerFailed(f"did not take so many connections: {error!r}") from error
