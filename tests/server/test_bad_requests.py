"""Heads that must be rejected, and that the server goes on after them."""

from __future__ import annotations

import pytest
from support.raw_client import request_bytes
from support.server import Server

FRAMING = [
    ["Content-Length: "],
    ["Content-Length: +5"],
    ["Content-Length: -5"],
    ["Content-Length: 0x5"],
    ["Content-Length: 1_0"],
    ["Content-Length: 5, 6"],
    ["Content-Length: 5", "Content-Length: 6"],
    ["Content-Length: 18446744073709551621"],
    ["Content-Length: " + "9" * 5000],
    ["Content-Length: \xb2"],
    ["Transfer-Encoding: gzip"],
    ["Transfer-Encoding: chunked, gzip"],
    ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ["Transfer-Encoding: \x0bchunked"],
    ["Transfer-Encoding: \xa0chunked"],
    ["Transfer-Encoding: chunked\0"],
    ['Transfer-Encoding: "chunked"'],
    ["Transfer-Encoding : chunked"],
    ["Content-Length : 5"],
    ["X-A: b", " folded: c"],
    ["X\0A: b"],
    ["X A: b"],
    [": empty"],
    ["no colon"],
    ["X-A: b\0c"],
    ["X-A: b\rc"],
]


@pytest.mark.parametrize("headers", FRAMING, ids=[repr(" | ".join(lines))[:40] for lines in FRAMING])
def test_bad_framing_and_headers_are_rejected(server: Server, key: str, headers: list[str]) -> None:
    with server.connect() as connection:
        connection.send(request_bytes(f"/ignores-input?key={key}", "POST", headers=headers))
        response = connection.read_response()
        assert response.status in {400, 413, 501}
        assert (response.get("Connection") or "").lower() == "close"
        assert connection.read_to_end() == b""
    assert server.recorder.events(key) == []


@pytest.mark.parametrize("order", [1, -1], ids=["length-first", "coding-first"])
def test_both_framings_end_the_connection(server: Server, order: int) -> None:
    """RFC 9112 6.1: rejected, or read as chunked and closed; never read as of that length."""
    headers = ["Content-Length: 3", "Transfer-Encoding: chunked"][::order]
    with server.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=headers) + b"5\r\nhello\r\n0\r\n\r\n")
        response = connection.read_response()
        assert response.status == 400 or response.body == b"hello"
        assert connection.read_to_end() == b""


@pytest.mark.parametrize(
    "headers",
    [[], ["Host: a", "Host: b"], ["Host: a b"], ["Host: a/b"]],
    ids=["none", "two", "space", "slash"],
)
def test_host_must_be_there_once_and_valid(server: Server, headers: list[str]) -> None:
    """RFC 9112 3.2."""
    with server.connect() as connection:
        assert connection.request("/function", headers=headers, host=False).status == 400


@pytest.mark.parametrize(
    "junk",
    [
        b"\0" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200)),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\n\r\n\r\n\0",
        b"GET /\r\n\r\n",
        b"A" * 2_000_000,
        b"GET /" + b"a" * 2_000_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 2_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200_000 + b"\r\n",
    ],
    ids=[
        "nul",
        "tls",
        "h2",
        "proxy",
        "newlines",
        "http09",
        "no-line",
        "long-target",
        "long-header",
        "many-headers",
    ],
)
def test_foreign_and_endless_bytes_end_the_connection(server: Server, junk: bytes) -> None:
    with server.connect() as connection:
        try:
            connection.send(junk)
            connection.half_close()
            response = connection.read_to_end()
        except ConnectionError:
            response = b""
    assert response == b"" or response[:10] in {b"HTTP/1.1 4", b"HTTP/1.0 4", b"HTTP/1.1 5"}
    with server.connect() as connection:
        assert connection.request("/function").body == b"function"


def test_an_error_response_is_readable_although_the_client_goes_on_sending(server: Server) -> None:
    """Closing with unread input resets the connection and eats the response: it must linger."""
    with server.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=["Content-Length: x"]) + b"x" * 300_000)
        assert connection.read_response().status == 400
