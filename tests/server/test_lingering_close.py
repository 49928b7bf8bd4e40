"""A final response reaches a client that goes on sending: 2 MB are unread, for every kind of error response.

Closing a socket with unread input resets the connection, and the reset eats the response (RFC 9112 9.6).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.raw_client import Connection, request_bytes
from support.server import Server
from support.waiting import wait_until

UNREAD_BYTES = 2_000_000

POST = b"POST /records-reading?key={key} HTTP/1.1\r\nHost: a\r\n"
REJECTED: dict[str, tuple[int, bytes]] = {
    "no host": (400, b"GET /records-reading?key={key} HTTP/1.1\r\n\r\n"),
    "folded header": (400, POST + b"X-A: b\r\n c\r\n\r\n"),
    "content length": (400, POST + b"Content-Length: x\r\n\r\n"),
    "both framings": (400, POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "chunk size": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n+5\r\n"),
    "chunk end": (400, POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxyz"),
    "connect": (405, b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"),
    "body": (413, POST + b"Content-Length: 9000000\r\n\r\n"),
    "chunked body": (413, POST + b"Transfer-Encoding: chunked\r\n\r\n200000\r\n"),
    "request line": (414, b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n"),
    "expectation": (417, POST + b"Content-Length: 1\r\nExpect: x\r\n\r\n"),
    "misdirected": (421, b"GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "header": (431, POST + b"X-A: " + b"x" * 20_000),
    "headers": (431, POST + b"X-A: b\r\n" * 200),
    "trailer": (431, POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: " + b"x" * 20_000),
    "coding": (501, POST + b"Transfer-Encoding: gzip\r\n\r\n"),
    "version": (505, b"GET / HTTP/3.0\r\nHost: a\r\n\r\n"),
}


@pytest.fixture(scope="module")
def rejecting() -> Iterator[Server]:
    with Server(threads=1, options=["--max-request-body", "100K"]) as running:
        yield running


@pytest.fixture(scope="module")
def spooling() -> Iterator[Server]:
    """Impatient, and with little space for bodies."""
    options = [
        *("--head-timeout", "500ms", "--body-timeout", "500ms"),
        *("--max-temporary", "512K", "--body-spool", "1M", "--body-memory", "32K"),
    ]
    with Server(threads=1, options=options) as running:
        yield running


@pytest.mark.parametrize("name", REJECTED)
def test_an_error_response_reaches_a_client_that_goes_on_sending(
    rejecting: Server, key: str, name: str
) -> None:
    status, request = REJECTED[name]
    with rejecting.connect() as connection:
        try:
            connection.send(request.replace(b"{key}", key.encode()) + b"x" * UNREAD_BYTES)
        except ConnectionError:
            pytest.fail("reset while the client was sending")
        response = connection.read_response()
        assert (response.status, response.get("Connection")) == (status, "close")
        assert connection.read_to_end() == b""
    assert "complete" not in rejecting.recorder.events(key)


def test_a_body_without_space_is_told_so(spooling: Server, key: str) -> None:
    with spooling.connect() as connection:
        request = POST + b"Content-Length: 1000000\r\n\r\n"
        connection.send(request.replace(b"{key}", key.encode()) + b"x" * UNREAD_BYTES)
        assert connection.read_response().status == 507
        assert connection.read_to_end() == b""
    assert spooling.recorder.events(key) == []
    assert spooling.access_log.wait_for(rf'"POST /records-reading\?key={key} HTTP/1\.1" (\d+) ')[1] == "507"


def test_what_follows_an_error_response_is_no_request(rejecting: Server, key: str) -> None:
    """Where the next request would begin is not known any more: a smuggled one must not be found."""
    smuggled = request_bytes(f"/ignores-input?key={key}")
    with rejecting.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\n\r\n" + smuggled * (UNREAD_BYTES // len(smuggled)))
        assert connection.read_response().status == 400
        assert connection.read_to_end() == b""
    assert rejecting.recorder.events(key) == []


def test_late_requests_are_served_before_the_close(spooling: Server) -> None:
    """408: what the client sends after all is thrown away."""
    late = {
        "head": b"GET / HTTP/1.1\r\nX-A: ",
        "body": b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\nx",
    }
    with ExitStack() as stack:
        connections = {name: stack.enter_context(spooling.connect()) for name in late}
        for name, connection in connections.items():
            connection.send(late[name])
        for connection in connections.values():
            assert not connection.is_silent(5)
            connection.send(b"x" * UNREAD_BYTES)
            assert connection.read_response().status == 408
            assert connection.read_to_end() == b""


def test_a_response_to_an_unread_body_reaches_its_client(key: str) -> None:
    """The application responds without reading a body that is streamed to it."""
    head = request_bytes(f"/ignores-input?key={key}", "POST", headers=[f"Content-Length: {UNREAD_BYTES}"])
    with Server(threads=1, options=["--body-spool", "256K"]) as server, server.connect() as connection:
        connection.send(head)
        connection.send(b"x" * UNREAD_BYTES)
        assert connection.read_response().body == b"ignored"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_response_that_closes_reaches_a_client_that_goes_on_sending(rejecting: Server, method: str) -> None:
    """The client itself asked for the close; what it sends after that is nobody's request."""
    body = b"x" * 1000 if method == "POST" else None
    request = request_bytes("/function", method, headers=["Connection: close"], body=body)
    for _ in range(5):
        with rejecting.connect() as connection:
            try:
                connection.send(request + b"x" * UNREAD_BYTES)
                assert connection.read_response().body == b"function"
            except ConnectionError:
                pytest.fail("reset before the response was read")


def test_a_client_may_read_first_and_send_on(rejecting: Server) -> None:
    with rejecting.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=["Content-Length: 9000000"]) + b"x" * 1000)
        assert connection.read_response().status == 413
        for _ in range(20):
            connection.send(b"x" * (UNREAD_BYTES // 20))
        assert connection.read_to_end() == b""


def test_linger_timeout_0_waits_for_nobody() -> None:
    with Server(options=["--linger-timeout", "0"]) as server, server.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.read_response().status == 400
        assert connection.read_to_end() == b""
        # Much sooner than by default.
        wait_until(lambda: has_ended(connection), what="the end of the connection", deadline_s=1.5)


def has_ended(connection: Connection) -> bool:
    try:
        connection.send(b"x")
    except ConnectionError:
        return True
    return False
