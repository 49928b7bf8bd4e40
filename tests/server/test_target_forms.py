"""The four forms of a request target (RFC 9112 3.2)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.raw_client import request_bytes
from support.server import Server


def environ(server: Server, request: bytes) -> dict[str, Any]:
    with server.connect() as connection:
        connection.send(request)
        response = connection.read_response()
    assert response.status == 200, response
    return {key: entry["value"] for key, entry in json.loads(response.body)["values"].items()}


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("http://example.com/environ", "/environ", ""),
        ("http://example.com/environ/%20?a=%20", "/environ/ ", "a=%20"),
        ("HTTP://Example.com:8080/environ", "/environ", ""),
        ("http://example.com", "/", ""),
        ("http://example.com?q=1", "/", "q=1"),
    ],
)
def test_absolute_form(server: Server, target: str, path: str, query: str) -> None:
    """The authority of the target wins over Host (RFC 9112 3.2.2)."""
    values = environ(server, request_bytes(target, headers=["Host: other.example"], host=False))
    assert (values["PATH_INFO"] or "/", values["QUERY_STRING"]) == (path, query)
    assert values["HTTP_HOST"].lower().startswith("example.com")
    assert values["wsgi.url_scheme"] == "http"
    assert values["REQUEST_URI"] == values["RAW_URI"] == target


def test_asterisk_form(server: Server) -> None:
    values = environ(server, request_bytes("*", "OPTIONS"))
    assert values["REQUEST_METHOD"] == "OPTIONS"
    assert values["PATH_INFO"] in {"", "*"}
    assert (values["SCRIPT_NAME"], values["QUERY_STRING"], values["RAW_URI"]) == ("", "", "*")


def test_authority_form_has_a_response_and_no_tunnel(server: Server) -> None:
    """An origin server may reject CONNECT; what follows must not be taken for a tunnel's bytes."""
    with server.connect() as connection:
        connection.send(request_bytes("example.com:443", "CONNECT", headers=["Connection: close"]))
        response = connection.read_response()
        assert response.status == 405
        connection.expect_closed()


@pytest.mark.parametrize(
    "line",
    [
        b"GET * HTTP/1.1",
        b"GET example.com:443 HTTP/1.1",
        b"GET relative HTTP/1.1",
        b"GET  /two-spaces HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b"GET /nul\0 HTTP/1.1",
        b"GET /environ HTTP/2.0",
        b"GET /environ HTTP/1.11",
        b"GET /environ http/1.1",
        b"GET /environ",
        b"GET\t/environ\tHTTP/1.1",
        b"G@T /environ HTTP/1.1",
        b" GET /environ HTTP/1.1",
        b"GET /environ HTTP/1.1\rX: y",
    ],
)
def test_bad_request_lines_are_rejected(server: Server, line: bytes) -> None:
    with server.connect() as connection:
        connection.send(line + b"\r\nHost: localhost\r\n\r\n")
        connection.half_close()
        response = connection.read_response()
        assert response.status in {400, 405, 501, 505}
        assert connection.read_to_end() == b""
