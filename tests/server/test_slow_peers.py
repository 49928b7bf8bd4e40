"""Slow readers and slow writers hold no crew thread: with one thread, others get their responses
meanwhile."""

from __future__ import annotations

from contextlib import ExitStack

from support.raw_client import request_bytes
from support.server import Server

MANY = 12
"""More slow clients than either server has threads."""


def expect_response(server: Server) -> None:
    """Another client gets its response now."""
    with server.connect(timeout_s=5) as other:
        for _ in range(5):
            assert other.request("/function").body == b"function"
        assert other.request("/echo", method="POST", body=b"x" * 1000).body == b"x" * 1000


def test_slow_writers_of_heads(server: Server) -> None:
    head = request_bytes("/function")
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(MANY)]
        for byte in range(0, len(head), 4):
            for connection in slow:
                connection.send(head[byte : byte + 4])
            if byte % 16 == 0 and byte + 4 < len(head):
                expect_response(server)
        for connection in slow:
            assert connection.read_response().body == b"function"


def test_slow_writers_of_bodies(server: Server) -> None:
    """Both below and above what is kept in memory (the rest is spooled)."""
    piece = b"x" * 50_000
    head = request_bytes("/digest", "POST", headers=[f"Content-Length: {len(piece) * 6}"])
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(MANY)]
        for connection in slow:
            connection.send(head)
        for _ in range(6):
            expect_response(server)
            for connection in slow:
                connection.send(piece)
        for connection in slow:
            assert connection.read_response().body.split()[0] == b"300000"


def test_slow_readers_of_complete_responses(server: Server) -> None:
    """The applications are done; only the sockets are full."""
    size = 4 << 20
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect(receive_buffer=4096)) for _ in range(MANY)]
        for connection in slow:
            connection.ask("/one-block?mebibytes=4")
        for connection in slow:
            assert connection.read_head().get("Content-Length") == str(size)
        expect_response(server)
        for connection in slow:
            connection.read_exactly(10_000)
        expect_response(server)
        for connection in slow:
            assert len(connection.read_exactly(size - 10_000)) == size - 10_000
            assert connection.request("/function").body == b"function"


def test_slow_readers_of_files(server: Server) -> None:
    size = 4 << 20
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect(receive_buffer=4096)) for _ in range(MANY)]
        for connection in slow:
            connection.ask("/real-file?size=4")
        for connection in slow:
            assert connection.read_head().get("Content-Length") == str(size)
        expect_response(server)
        for connection in slow:
            connection.discard(size)
            assert connection.request("/function").body == b"function"


def test_idle_connections_hold_no_thread(server: Server) -> None:
    with ExitStack() as stack:
        idle = [stack.enter_context(server.connect()) for _ in range(200)]
        expect_response(server)
        for connection in idle[::10]:
            assert connection.request("/function").body == b"function"
        expect_response(server)


def test_a_reader_that_pauses_gets_every_byte(server: Server) -> None:
    with server.connect(receive_buffer=4096) as connection:
        connection.ask("/one-block?mebibytes=2")
        connection.read_head()
        body = b""
        while len(body) < 2 << 20:
            body += connection.read_exactly(min(99_991, (2 << 20) - len(body)))
    assert body == bytes(range(256)) * 8192
