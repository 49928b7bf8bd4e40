"""The four forms of a request target (RFC 9112 3.2)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.gateway import variables
from support.gateway_server import GatewayServer, read_response, running_gateway_server
from support.gateway_server import request as gateway_request
from support.raw_client import request_bytes
from support.server import Server


@pytest.fixture(scope="module")
def echoing() -> Iterator[GatewayServer]:
    with running_gateway_server(application="apps.echoing:application", is_strict=False) as running:
        yield running


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
    assert (values["SCRIPT_NAME"], values["PATH_INFO"], values["QUERY_STRING"]) == ("", "", "")
    assert values["REQUEST_URI"] == values["RAW_URI"] == "*"


@pytest.mark.parametrize("name", ["uwsgi", "scgi", "fastcgi"])
@pytest.mark.parametrize("path_info", ["*", None], ids=["path-info", "target-only"])
def test_asterisk_form_through_a_reverse_proxy(
    echoing: GatewayServer, name: str, path_info: str | None
) -> None:
    given = [variable for variable in variables("*", "OPTIONS") if path_info or variable[0] != "PATH_INFO"]
    with echoing.connect(name) as connection:
        connection.send(gateway_request(name, given))
        seen = json.loads(read_response(connection, name).body)
    assert (seen["method"], seen["target"], seen["script"], seen["path"]) == ("OPTIONS", "*", "", "")


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
