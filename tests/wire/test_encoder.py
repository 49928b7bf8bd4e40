"""`portico.wire.ResponseEncoder`: what two other readers make of its bytes, and misuse."""

from __future__ import annotations

import http.client
import io
import itertools
import socket
from dataclasses import dataclass
from typing import Any, cast

import h11
import pytest
from portico import wire

PLAIN = [("Content-Type", "text/plain")]
BODY = [b"hello ", b"", b"world"]
LENGTH = sum(map(len, BODY))


@dataclass(frozen=True)
class Response:
    """A response as somebody else reads it."""

    status: int
    reason: str
    body: bytes
    framing: str
    is_kept: bool


def request_of(method: str = "GET", version: str = "1.1", *fields: str) -> wire.RequestHead:
    parser = wire.RequestParser()
    lines = [f"{method} / HTTP/{version}", "Host: a", *fields]
    parser.feed("\r\n".join([*lines, "", ""]).encode())
    head = parser.next_event()
    assert isinstance(head, wire.RequestHead)
    return head


def encode(encoder: wire.ResponseEncoder, status: str, **keywords: Any) -> bytes:
    """A response with `BODY`."""
    headers = [*PLAIN, *keywords.pop("headers", [])]
    blocks = [encoder.head(status, headers, **keywords), *map(encoder.block, BODY), encoder.end()]
    return b"".join(blocks)


def framing_of(headers: list[tuple[str, str]], kept: bool, body: bytes) -> str:
    names = {name.lower() for name, _ in headers}
    assert {"content-type", "date", "server"} <= names
    assert not {"content-length", "transfer-encoding"} <= names
    if "transfer-encoding" in names:
        return "chunked"
    if "content-length" in names:
        return "length"
    return "close" if body and not kept else "none"


class FakeSocket:
    """As much of a socket as `http.client` reads from."""

    def __init__(self, data: bytes) -> None:
        self.file = io.BytesIO(data)

    def makefile(self, mode: str) -> io.BytesIO:
        assert mode == "rb"
        return self.file


def read_with_http_client(data: bytes, method: str) -> Response:
    connection = FakeSocket(data)
    response = http.client.HTTPResponse(cast("socket.socket", connection), method=method)
    response.begin()
    body = response.read()
    # What was not read would be taken for the next response.
    assert connection.file.closed or connection.file.read() == b""
    framing = framing_of(response.getheaders(), not response.will_close, body)
    return Response(response.status, response.reason, body, framing, not response.will_close)


def read_with_h11(data: bytes, method: str, *fields: str) -> Response:
    connection = h11.Connection(h11.CLIENT)
    request = [("Host", "a"), *(tuple(field.split(": ", 1)) for field in fields)]
    connection.send(h11.Request(method=method, target="/", headers=request))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    head = connection.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while (event := connection.next_event()) is h11.NEED_DATA or isinstance(event, h11.Data):
        if event is h11.NEED_DATA:
            connection.receive_data(b"")
        else:
            body += bytes(event.data)
    assert isinstance(event, h11.EndOfMessage)
    assert connection.trailing_data[0] == b""
    is_kept = connection.their_state is h11.DONE and connection.our_state is h11.DONE
    headers = [(name.decode(), value.decode()) for name, value in head.headers]
    return Response(head.status_code, head.reason.decode(), body, framing_of(headers, is_kept, body), is_kept)


def expected_framing(method: str, version: str, code: int, length: str) -> str:
    """RFC 9112 6.3 for a server, told once more."""
    if code == 204:
        return "none"
    if length == "unknown":
        if method == "HEAD" or code == 304:
            return "none"
        return "chunked" if version == "1.1" else "close"
    return "none" if code == 304 and length == "known" else "length"


@pytest.mark.parametrize("fields", [(), ("Connection: close",), ("Connection: keep-alive",)], ids=str)
@pytest.mark.parametrize(
    ("method", "version", "status", "length"),
    list(
        itertools.product(
            ("GET", "HEAD", "POST"),
            ("1.1", "1.0"),
            ("200 OK", "204 No Content", "304 Not Modified", "404 Nicht da"),
            ("unknown", "known", "declared"),
        )
    ),
)
def test_other_readers_understand_each_framing(
    method: str, version: str, status: str, length: str, fields: tuple[str, ...]
) -> None:
    encoder = wire.ResponseEncoder(request_of(method, version, *fields))
    code, _, reason = status.partition(" ")
    has_body = method != "HEAD" and code not in ("204", "304")
    keywords: dict[str, Any] = {}
    if length == "known":
        keywords["body_length"] = LENGTH
    elif length == "declared":
        keywords["headers"] = [("Content-Length", str(LENGTH))]
    data = encode(encoder, status, **keywords)
    framing = expected_framing(method, version, int(code), length)
    keeps = "close" not in str(fields) if version == "1.1" else "keep-alive" in str(fields)
    is_kept = keeps and framing != "close"
    expected = Response(int(code), reason, b"".join(BODY) if has_body else b"", framing, is_kept)
    assert encoder.keep_alive == is_kept
    assert read_with_http_client(data, method) == expected
    if version == "1.1":
        assert read_with_h11(data, method, *fields) == expected


def test_a_head_has_what_the_server_adds_after_the_application_s_own() -> None:
    encoder = wire.ResponseEncoder(request_of(), keep_alive=False, server_header="mine/1")
    head = encoder.head("200 OK", [("Date", "now"), ("X", "\xe9")], body_length=0)
    assert head == (
        b"HTTP/1.1 200 OK\r\nDate: now\r\nX: \xe9\r\nContent-Length: 0\r\nConnection: close\r\n"
        b"Server: mine/1\r\n\r\n"
    )


def test_there_may_be_no_server_header() -> None:
    assert b"Server" not in wire.ResponseEncoder(request_of(), server_header="").head("200 OK", [])
    application_s = wire.ResponseEncoder(request_of()).head("200 OK", [("Server", "other")])
    assert application_s.count(b"Server: ") == 1


def test_chunks_are_those_of_rfc_9112() -> None:
    encoder = wire.ResponseEncoder(request_of())
    encoder.head("200 OK", [])
    assert encoder.block(b"") == b""
    assert encoder.block(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert encoder.end() == b"0\r\n\r\n"


def test_a_block_that_needs_no_framing_is_not_copied() -> None:
    encoder = wire.ResponseEncoder(request_of())
    encoder.head("200 OK", [], body_length=5)
    block = bytes(bytearray(b"hello"))
    assert encoder.block(block) is block


def test_a_response_without_a_request_closes() -> None:
    encoder = wire.ResponseEncoder()
    data = encode(encoder, "408 Request Timeout", body_length=LENGTH)
    assert not encoder.keep_alive
    assert read_with_http_client(data, "GET") == Response(
        408, "Request Timeout", b"".join(BODY), "length", False
    )


def test_the_connection_is_kept_only_after_the_end() -> None:
    encoder = wire.ResponseEncoder(request_of())
    seen = [(encoder.started, encoder.keep_alive)]
    for step in (lambda: encoder.head("200 OK", []), lambda: encoder.block(b"a"), encoder.end):
        step()
        seen.append((encoder.started, encoder.keep_alive))
    assert seen == [(False, False), (True, False), (True, False), (True, True)]


def test_a_continue_is_one_interim_response() -> None:
    assert wire.CONTINUE == b"HTTP/1.1 100 Continue\r\n\r\n"
    connection = h11.Connection(h11.CLIENT)
    fields = [("Host", "a"), ("Expect", "100-continue"), ("Content-Length", "1")]
    connection.send(h11.Request(method="PUT", target="/", headers=fields))
    connection.receive_data(wire.CONTINUE)
    assert isinstance(connection.next_event(), h11.InformationalResponse)
    assert connection.next_event() is h11.NEED_DATA


# --- Misuse


def test_a_body_has_the_declared_length() -> None:
    encoder = wire.ResponseEncoder(request_of())
    encoder.head("200 OK", [], body_length=3)
    with pytest.raises(ValueError, match="longer than its Content-Length of 3 bytes"):
        encoder.block(b"four")
    with pytest.raises(RuntimeError, match=r"block\(\): .* close the connection"):
        encoder.block(b"")
    encoder = wire.ResponseEncoder(request_of())
    encoder.head("200 OK", [("Content-Length", "3")])
    encoder.block(b"xy")
    with pytest.raises(ValueError, match="expected 3 bytes, got 2"):
        encoder.end()
    assert not encoder.keep_alive


def test_each_call_has_its_place() -> None:
    encoder = wire.ResponseEncoder(request_of())
    with pytest.raises(RuntimeError, match=r"block\(\): the response has no head yet"):
        encoder.block(b"a")
    with pytest.raises(RuntimeError, match=r"end\(\): the response has no head yet"):
        encoder.end()
    encoder.head("200 OK", [])
    with pytest.raises(RuntimeError, match=r"head\(\): the head has been encoded already"):
        encoder.head("200 OK", [])
    encoder.end()
    for call in (lambda: encoder.head("200 OK", []), lambda: encoder.block(b"a"), encoder.end):
        with pytest.raises(RuntimeError, match="the response has ended"):
            call()


@pytest.mark.parametrize(
    ("status", "headers", "error", "sentence"),
    [
        pytest.param("OK", [], ValueError, "status: expected like '200 OK'", id="status"),
        pytest.param("100 Continue", [], ValueError, "1xx responses are the server's", id="1xx"),
        pytest.param(200, [], TypeError, "status: expected a str, got int", id="status-type"),
        pytest.param("200 a\r\nb", [], ValueError, "control characters", id="reason"),
        pytest.param("200 OK", (), TypeError, "expected a list, got tuple", id="headers-type"),
        pytest.param("200 OK", [("a b", "")], ValueError, "not a token", id="name"),
        pytest.param("200 OK", [("a", "b\r\nc: d")], ValueError, "control characters", id="value"),
        pytest.param("200 OK", [("a", "\u20ac")], ValueError, "latin-1", id="not-latin-1"),
        pytest.param("200 OK", [("Content-Length", "-1")], ValueError, "one number", id="length"),
        pytest.param("200 OK", [("Connection", "close")], ValueError, "hop-by-hop", id="hop-by-hop"),
        pytest.param("200 OK", [("Transfer-Encoding", "x")], ValueError, "hop-by-hop", id="coding"),
    ],
)
def test_a_head_that_may_not_be_is_not_encoded(
    status: Any, headers: Any, error: type[Exception], sentence: str
) -> None:
    encoder = wire.ResponseEncoder(request_of())
    with pytest.raises(error, match=sentence):
        encoder.head(status, headers)
    assert not encoder.started
    assert encoder.head("500 Internal Server Error", []).startswith(b"HTTP/1.1 500 ")


def test_blocks_are_bytes() -> None:
    encoder = wire.ResponseEncoder(request_of())
    encoder.head("200 OK", [])
    for block in ("text", bytearray(b"a"), None):
        with pytest.raises(TypeError):
            encoder.block(block)  # type: ignore[arg-type]


def test_a_server_header_is_a_field_value() -> None:
    with pytest.raises(ValueError, match="server_header"):
        wire.ResponseEncoder(request_of(), server_header="a\r\nb")
