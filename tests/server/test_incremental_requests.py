"""Requests that come in pieces: every piece size gives the same response."""

from __future__ import annotations

import json

import pytest
from support.raw_client import chunked, request_bytes
from support.server import Server

LENGTH = request_bytes("/echo?q=%20", "POST", headers=["X-A: b", "Cookie: c=d"], body=b"body\r\n\r\nbody")
CHUNKED = request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"]) + chunked(
    b"body\r\n\r\n", b"body"
)


@pytest.mark.parametrize("request_", [LENGTH, CHUNKED], ids=["length", "chunked"])
def test_byte_by_byte(server: Server, request_: bytes) -> None:
    with server.connect() as connection:
        for _ in range(2):
            connection.send_bytewise(request_)
            assert connection.read_response().body == b"body\r\n\r\nbody"


@pytest.mark.parametrize("size", [2, 3, 7, 16, 61, 100])
def test_in_pieces(server: Server, size: int) -> None:
    """Pieces split across the borders of pipelined requests."""
    stream = (LENGTH + CHUNKED) * 3
    with server.connect() as connection:
        for at in range(0, len(stream), size):
            connection.send(stream[at : at + size])
        for _ in range(6):
            assert connection.read_response().body == b"body\r\n\r\nbody"


def test_head_byte_by_byte_keeps_every_header(server: Server) -> None:
    head = request_bytes("/environ/%2F?x=y", headers=["X-One: 1", "X-Two:2", "X-One:  3  "])
    with server.connect() as connection:
        connection.send_bytewise(head)
        environ = json.loads(connection.read_response().body)["values"]
    assert environ["HTTP_X_ONE"]["value"] == "1, 3"
    assert environ["HTTP_X_TWO"]["value"] == "2"
    assert environ["PATH_INFO"]["value"] == "/environ//"


@pytest.mark.parametrize("split", range(1, len(CHUNKED), 3))
def test_two_pieces_split_anywhere(server: Server, split: int) -> None:
    with server.connect() as connection:
        connection.send(CHUNKED[:split])
        with server.connect() as other:
            assert other.request("/function").body == b"function"
        connection.send(CHUNKED[split:])
        assert connection.read_response().body == b"body\r\n\r\nbody"
