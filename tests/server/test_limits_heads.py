"""max-request-line, max-headers, max-header, max-head: served at the limit, rejected just above it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support.raw_client import Connection
from support.server import Server

LINE, HEADERS, HEADER, HEAD = 200, 10, 300, 1000


@pytest.fixture(scope="module")
def limited() -> Iterator[Server]:
    options = [
        *("--max-request-line", str(LINE), "--max-headers", str(HEADERS)),
        *("--max-header", str(HEADER), "--max-head", str(HEAD)),
    ]
    with Server(options=options) as running:
        yield running


def line_of(length: int, key: str) -> bytes:
    """A request line of `length` bytes."""
    start = f"GET /ignores-input?key={key}&fill=".encode()
    return start + b"x" * (length - len(start) - len(b" HTTP/1.1")) + b" HTTP/1.1"


def header_of(length: int) -> bytes:
    """A field line of `length` bytes."""
    return b"X-Long: " + b"x" * (length - len(b"X-Long: "))


def head(key: str, *lines: bytes, request_line: bytes = b"") -> bytes:
    """A request whose head has these field lines after Host."""
    return b"\r\n".join([request_line or line_of(100, key), b"Host: a", *lines, b"", b""])


def head_of(length: int, key: str) -> bytes:
    """A head of `length` bytes in all."""
    long = [header_of(250)] * 3
    return head(key, *long, header_of(20 + length - len(head(key, *long, header_of(20)))))


AT_THE_LIMIT: dict[str, Callable[[str], bytes]] = {
    "request line": lambda key: head(key, request_line=line_of(LINE, key)),
    "headers": lambda key: head(key, *[b"X-A: b"] * (HEADERS - 1)),
    "header": lambda key: head(key, header_of(HEADER)),
    "head": lambda key: head_of(HEAD, key),
}

ABOVE: dict[str, tuple[int, Callable[[str], bytes]]] = {
    "request line": (414, lambda key: head(key, request_line=line_of(LINE + 1, key))),
    "headers": (431, lambda key: head(key, *[b"X-A: b"] * HEADERS)),
    "header": (431, lambda key: head(key, header_of(HEADER + 1))),
    "head": (431, lambda key: head_of(HEAD + 1, key)),
}

ENDLESS: dict[str, tuple[int, Callable[[str], bytes]]] = {
    "request line": (414, lambda key: b"GET /" + b"x" * LINE),
    "method": (414, lambda key: b"G" * (LINE + 3)),
    "headers": (431, lambda key: head(key, *[b"X-A: b"] * HEADERS)[:-2]),
    "header": (431, lambda key: head(key, header_of(HEADER + 2))[:-4]),
    "head": (431, lambda key: head(key, *[header_of(280)] * 4)[: HEAD + 1]),
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", AT_THE_LIMIT)
def test_at_the_limit_a_head_is_served(limited: Server, key: str, name: str, bytewise: bool) -> None:
    request = AT_THE_LIMIT[name](key)
    with limited.connect() as connection:
        for _ in range(2):
            connection.send_bytewise(request) if bytewise else connection.send(request)
            assert connection.read_response().status == 200
    assert limited.recorder.events(key) == ["called"] * 2


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", ABOVE)
def test_above_the_limit_a_head_is_rejected(limited: Server, key: str, name: str, bytewise: bool) -> None:
    status, make = ABOVE[name]
    with limited.connect() as connection:
        try:
            connection.send_bytewise(make(key)) if bytewise else connection.send(make(key))
        except ConnectionError:
            pytest.fail("reset before the response could be read")
        assert_rejected(connection, status)
    assert limited.recorder.events(key) == []


@pytest.mark.parametrize("name", ENDLESS)
def test_what_cannot_fit_any_more_is_rejected_without_its_end(limited: Server, key: str, name: str) -> None:
    """The client goes on for ever; the limit is what ends it, not a deadline."""
    status, make = ENDLESS[name]
    with limited.connect(timeout_s=5) as connection:
        connection.send(make(key))
        assert_rejected(connection, status)


def test_the_first_of_two_requests_does_not_count_for_the_second(limited: Server, key: str) -> None:
    with limited.connect() as connection:
        connection.send(head_of(HEAD, key) + head(key, *[b"X-A: b"] * (HEADERS - 1)) + head_of(HEAD + 1, key))
        assert [connection.read_response().status for _ in range(2)] == [200, 200]
        assert_rejected(connection, 431)
    assert limited.recorder.events(key) == ["called"] * 2


def assert_rejected(connection: Connection, status: int) -> None:
    """A response with `status` that says close, and the close."""
    response = connection.read_response()
    assert (response.status, response.get("Connection")) == (status, "close")
    assert connection.read_to_end() == b""
