"""max-chunk-extension, max-trailer: served at the limit, rejected one byte above."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.raw_client import request_bytes
from support.server import Server

EXTENSION, TRAILER = 20, 40


@pytest.fixture(scope="module")
def limited() -> Iterator[Server]:
    options = ["--max-chunk-extension", str(EXTENSION), "--max-trailer", str(TRAILER)]
    with Server(options=options) as running:
        yield running


def extension(length: int) -> bytes:
    """Everything between a chunk's size and its CRLF, `length` bytes of it."""
    return b";" + b"x" * (length - 1)


def trailer(length: int) -> bytes:
    """A trailer line of `length` bytes, its CRLF included."""
    return b"X: " + b"x" * (length - 5) + b"\r\n"


FITTING = {
    "extension": b"5" + extension(EXTENSION) + b"\r\nhello\r\n0\r\n\r\n",
    "extensions of two chunks": b"2"
    + extension(7)
    + b"\r\nhe\r\n3"
    + extension(13)
    + b"\r\nllo\r\n0\r\n\r\n",
    "extension of the last chunk": b"5\r\nhello\r\n0" + extension(EXTENSION) + b"\r\n\r\n",
    "trailer": b"5\r\nhello\r\n0\r\n" + trailer(TRAILER) + b"\r\n",
    "two trailers": b"5\r\nhello\r\n0\r\n" + trailer(10) + trailer(TRAILER - 10) + b"\r\n",
}

TOO_MUCH = {
    "extension": (400, b"5" + extension(EXTENSION + 1) + b"\r\nhello\r\n0\r\n\r\n"),
    "extensions of two chunks": (
        400,
        b"2" + extension(7) + b"\r\nhe\r\n3" + extension(14) + b"\r\nllo\r\n0\r\n\r\n",
    ),
    "extension of the last chunk": (400, b"5\r\nhello\r\n0" + extension(EXTENSION + 1) + b"\r\n\r\n"),
    "trailer": (431, b"5\r\nhello\r\n0\r\n" + trailer(TRAILER + 1) + b"\r\n"),
    "two trailers": (431, b"5\r\nhello\r\n0\r\n" + trailer(10) + trailer(TRAILER - 9) + b"\r\n"),
}

ENDLESS = {
    "extension": (400, b"5" + extension(EXTENSION + 2)),
    "trailer": (431, b"5\r\nhello\r\n0\r\n" + trailer(TRAILER + 1)[:-2] + b"xx"),
}


def post(key: str) -> bytes:
    return request_bytes(f"/records-reading?key={key}", "POST", headers=["Transfer-Encoding: chunked"])


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", FITTING)
def test_at_the_limit_a_body_is_read(limited: Server, name: str, bytewise: bool) -> None:
    """Twice on one connection: each body has a limit of its own."""
    with limited.connect() as connection:
        for _ in range(2):
            connection.send(request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"]))
            connection.send_bytewise(FITTING[name]) if bytewise else connection.send(FITTING[name])
            response = connection.read_response()
            assert (response.status, response.body) == (200, b"hello")


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", TOO_MUCH)
def test_above_the_limit_a_body_is_rejected(limited: Server, key: str, name: str, bytewise: bool) -> None:
    status, body = TOO_MUCH[name]
    with limited.connect() as connection:
        connection.send(post(key))
        connection.send_bytewise(body) if bytewise else connection.send(body)
        response = connection.read_response()
        assert (response.status, response.get("Connection")) == (status, "close")
        assert connection.read_to_end() == b""
    assert limited.recorder.events(key) == []


@pytest.mark.parametrize("name", ENDLESS)
def test_what_cannot_fit_any_more_is_rejected_without_its_end(limited: Server, key: str, name: str) -> None:
    status, body = ENDLESS[name]
    with limited.connect(timeout_s=5) as connection:
        connection.send(post(key) + body)
        assert connection.read_response().status == status
    assert limited.recorder.events(key) == []


def test_nothing_is_allowed_where_the_limit_is_0(key: str) -> None:
    with Server(options=["--max-chunk-extension", "0", "--max-trailer", "0"]) as server:
        for body, status in (
            (b"5\r\nhello\r\n0\r\n\r\n", 200),
            (b"5;\r\nhello\r\n0\r\n\r\n", 400),
            (b"5\r\nhello\r\n0\r\nX:\r\n\r\n", 431),
        ):
            with server.connect() as connection:
                connection.send(post(key) + body)
                assert connection.read_response().status == status
        assert server.recorder.events(key) == ["called", "complete"]
