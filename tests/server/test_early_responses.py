"""A response while the last bytes of a streamed body come: the connection is kept rightly, or closed cleanly.

Whether all has come is asked once, when the response's head is made, and more may come at that very moment.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support.raw_client import Connection, Response, chunked, request_bytes
from support.server import Server
from support.ways import bodies_in_calls

OPTIONS = ["--body-memory", "1K", "--body-spool", "4K", "--health-path", "/up"]
FIRST = b"x" * 8000
"""Enough that the application is called: the rest is streamed to it."""
LATER_US = range(0, 200, 5)
"""How much later the rest comes: sooner and later than the response."""
WAITING_BYTES = range(0, 160_000, 8_000)
"""What is left of a body: less and more than waits for an application that does not read."""


@dataclass(frozen=True)
class SplitUpload:
    """A request in two parts, and how much of its body the application reads."""

    first: bytes
    rest: bytes
    size: int

    @property
    def head(self) -> bytes:
        return f"POST /responds-early?size={self.size} HTTP/1.1\r\nHost: a\r\n".encode()


def with_length(rest: bytes, size: int) -> SplitUpload:
    length = len(FIRST) + len(rest)
    return SplitUpload(b"Content-Length: %d\r\n\r\n" % length + FIRST, rest, size)


def in_chunks(rest: bytes, size: int) -> SplitUpload:
    first = chunked(FIRST).removesuffix(b"0\r\n\r\n")
    return SplitUpload(b"Transfer-Encoding: chunked\r\n\r\n" + first, rest, size)


SMUGGLED = request_bytes("/function?smuggled")
UPLOADS = {
    "a byte": with_length(b"x", 0),
    "a byte, some read": with_length(b"x", len(FIRST)),
    "a last chunk": in_chunks(chunked(), 0),
    "a last chunk, some read": in_chunks(chunked(), len(FIRST)),
    "a request": with_length(SMUGGLED, 0),
    "a request in a chunk": in_chunks(chunked(SMUGGLED), len(FIRST)),
    "more than waits for the application": with_length(b"x" * 400_000, 0),
    "many chunks": in_chunks(chunked(*[b"x" * 30_000] * 10), len(FIRST)),
}


@pytest.fixture(scope="module", params=[1, 8], ids=["1-thread", "8-threads"])
def streaming(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(threads=request.param, options=OPTIONS) as running:
        yield running


def spin(microseconds: int) -> None:
    """Let time pass, less than sleeping would take: nothing is waited for."""
    end_s = time.perf_counter() + microseconds / 1e6
    while time.perf_counter() < end_s:
        pass


def is_kept(server: Server, upload: SplitUpload, later_us: int, *, pipelined: bool) -> bool:
    """One trial: whether the connection was kept; asserts that either is right."""
    following = request_bytes(f"/environ/{later_us}")
    with server.connect() as connection:
        connection.send(upload.head + upload.first)
        spin(later_us)
        connection.send(upload.rest + (following if pipelined else b""))
        response = connection.read_response()
        assert (response.status, response.body) == (200, b"early")
        return next_gets_response(connection, response, f"/environ/{later_us}", pipelined=pipelined)


def next_gets_response(connection: Connection, response: Response, target: str, *, pipelined: bool) -> bool:
    """Whether the connection is kept: then `target` (sent already if `pipelined`) is served next."""
    if response.get("Connection") == "close":
        # No reset either, whatever was unread.
        assert connection.read_to_end() == b""
        return False
    if not pipelined:
        connection.ask(target)
    assert target.encode() in connection.read_response().body
    assert connection.request("/function").body == b"function"
    return True


@pytest.mark.parametrize("pipelined", [False, True], ids=["alone", "pipelined"])
@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_the_next_response_is_right_or_there_is_none(
    streaming: Server, upload: SplitUpload, pipelined: bool
) -> None:
    for later_us in LATER_US:
        is_kept(streaming, upload, later_us, pipelined=pipelined)


@bodies_in_calls
@pytest.mark.parametrize("pipelined", [False, True], ids=["alone", "pipelined"])
def test_what_waits_for_an_application_that_does_not_read(
    streaming: Server, key: str, pipelined: bool
) -> None:
    """All of a body has come, or all but what nobody takes, when the application responds."""
    kept: Counter[bool] = Counter()
    for size in WAITING_BYTES:
        length = len(FIRST) + size
        head = request_bytes(f"/waits?key={key}-{size}", "POST", headers=[f"Content-Length: {length}"])
        following = request_bytes(f"/environ/{size}") if pipelined else b""
        with streaming.connect() as connection, streaming.connect() as other:
            connection.send(head + FIRST + b"x" * size + following)
            streaming.recorder.wait_for(f"{key}-{size}", "inside")
            # Served by the one that reads the body: it has read what it could.
            assert other.request("/up").body == b"ok\n"
            streaming.recorder.open_gate(f"{key}-{size}")
            response = connection.read_response()
            assert (response.status, response.body) == (200, b"waited")
            kept[next_gets_response(connection, response, f"/environ/{size}", pipelined=pipelined)] += 1
    assert kept[True]
    assert kept[False]


@bodies_in_calls
@pytest.mark.parametrize("upload", UPLOADS.values(), ids=UPLOADS)
def test_a_body_whose_rest_comes_after_the_response_costs_the_connection(
    streaming: Server, upload: SplitUpload
) -> None:
    """What comes then is thrown away, and is no request."""
    with streaming.connect() as connection:
        connection.send(upload.head + upload.first)
        response = connection.read_response()
        assert (response.status, response.body) == (200, b"early")
        assert response.get("Connection") == "close"
        connection.send(upload.rest)
        assert connection.read_to_end() == b""
