"""Uploads in chunked coding (RFC 9112 7.1), right and wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.gateway import fastcgi, variables
from support.gateway_server import GatewayServer, read_response, running_gateway_server
from support.raw_client import chunked, request_bytes
from support.server import Server
from support.ways import CALLS_FOLLOW

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


LISTENERS = {"fastcgi": "fastcgi://{address}"}
SPOOL_BYTES = 4096
ANNOUNCED = {"HTTP_TRANSFER_ENCODING": "chunked"}


@pytest.fixture(params=[1, 4], ids=["1-thread", "4-threads"])
def spooling(request: pytest.FixtureRequest) -> Iterator[GatewayServer]:
    """One that streams bodies beyond `SPOOL_BYTES`."""
    with running_gateway_server(
        *("--body-memory", "1K", "--body-spool", str(SPOOL_BYTES)),
        listeners=LISTENERS,
        application="apps.echoing:application",
        threads=request.param,
        is_strict=False,
    ) as running:
        yield running


def framing_seen(spooling: GatewayServer, name: str, length: int, *, has_length: bool) -> dict[str, str]:
    """What a POST of `length` bytes, whose client says how many or not, is to the application."""
    body = bytes(range(256)) * (length // 256)
    with spooling.connect(name) as connection:
        if name == "fastcgi":
            given = [("CONTENT_LENGTH", str(length))] if has_length else []
            connection.send(fastcgi(variables("/", "POST", *given), body))
        elif has_length:
            connection.send(request_bytes("/", "POST", body=body))
        else:
            coded = chunked(body[:100], body[100:])
            connection.send(request_bytes("/", "POST", headers=["Transfer-Encoding: chunked"]) + coded)
        seen: dict[str, Any] = json.loads(read_response(connection, name).body)
    assert seen["body"] == body.decode("latin-1")
    framing = {"CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}
    return {name: value for name, value in seen["headers"].items() if name in framing}


@pytest.mark.parametrize("name", ["http", "fastcgi"])
def test_a_body_without_a_length_beyond_the_spool_is_announced(spooling: GatewayServer, name: str) -> None:
    """Others have a length, also those that came without one: they are whole before the call, as all are in a
    loop."""
    for length in (256, SPOOL_BYTES):
        for has_length in (True, False):
            seen = framing_seen(spooling, name, length, has_length=has_length)
            assert seen == {"CONTENT_LENGTH": str(length)}
    length = 64 * SPOOL_BYTES
    assert framing_seen(spooling, name, length, has_length=True) == {"CONTENT_LENGTH": str(length)}
    assert "Content-Length" not in spooling.server.error_log.text()
    without = {"CONTENT_LENGTH": str(length)} if CALLS_FOLLOW else ANNOUNCED
    for _ in range(3):
        assert framing_seen(spooling, name, length, has_length=False) == without
    lines = [line for line in spooling.server.error_log.lines() if "[warning]" in line]
    if CALLS_FOLLOW:
        assert lines == []
        return
    assert len(lines) == 1
    assert "the body of POST / has no Content-Length and is larger than body_spool (4096 bytes)" in lines[0]
