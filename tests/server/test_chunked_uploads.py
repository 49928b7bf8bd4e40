"""Uploads in chunked coding (RFC 9112 7.1), right and wrong."""

from __future__ import annotations

import json

import pytest
from support.raw_client import chunked, request_bytes
from support.server import Server

HEAD = request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"])


@pytest.mark.parametrize(
    ("coded", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", b"hello!"),
        (b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
        (b"5;name=value\r\nhello\r\n0;last\r\n\r\n", b"hello"),
        (b'5;name="quoted; value"\r\nhello\r\n0\r\n\r\n', b"hello"),
        (b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\nX-Other: 2\r\n\r\n", b"hello"),
        (b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    ],
    ids=[
        "empty",
        "one",
        "two",
        "zeros",
        "hex-case",
        "extension",
        "quoted-extension",
        "trailers",
        "crlf-data",
    ],
)
def test_valid_bodies(server: Server, coded: bytes, body: bytes) -> None:
    with server.connect() as connection:
        for _ in range(2):
            connection.send(HEAD + coded)
            response = connection.read_response()
            assert (response.status, response.body) == (200, body)


@pytest.mark.parametrize(
    "coded",
    [
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"g\r\nhello\r\n0\r\n\r\n",
        b"10000000000000000\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"5\rhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5;a\nb\r\nhello\r\n0\r\n\r\n",
        b"5;a\0b\r\nhello\r\n0\r\n\r\n",
        b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n",
        b"0" * 100_000 + b"5\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"X-Bomb: 1\r\n" * 100_000 + b"\r\n",
    ],
    ids=[
        *("plus", "minus", "0x", "underscore", "space", "no-size", "not-hex", "overflow", "too-long"),
        *("wrong-end", "bare-lf", "bare-cr", "lf-after-data", "lf-in-extension", "nul-in-extension"),
        *("long-extension", "many-zeros", "trailer-bomb"),
    ],
)
def test_invalid_bodies_are_rejected_and_the_connection_closed(server: Server, coded: bytes) -> None:
    with server.connect() as connection:
        connection.send(HEAD)
        try:
            connection.send(coded)
            response = connection.read_response()
        except ConnectionError:
            return
        assert response.status in {400, 413, 431}
        assert (response.get("Connection") or "").lower() == "close"
        assert connection.read_to_end() == b""


def test_trailers_do_not_become_headers(server: Server) -> None:
    with server.connect() as connection:
        connection.send(
            request_bytes("/environ", "POST", headers=["Transfer-Encoding: chunked"])
            + b"1\r\nx\r\n0\r\nX-Late: 1\r\nContent-Length: 5\r\nAuthorization: Basic x\r\n\r\n"
        )
        response = connection.read_response()
        if response.status == 200:
            environ = json.loads(response.body)["values"]
            assert not {"HTTP_X_LATE", "HTTP_AUTHORIZATION"} & set(environ)
        else:
            assert response.status == 400


@pytest.mark.parametrize("size", [1, 1000, 70_000])
def test_a_large_body_in_chunks(server: Server, size: int) -> None:
    total = min(size * 3000, 3_000_000)
    body = (bytes(range(256)) * 12000)[:total]
    with server.connect() as connection:
        connection.send(HEAD + chunked(*(body[at : at + size] for at in range(0, total, size))))
        assert connection.read_response().body == body
