"""How responses begin and end over uwsgi, FastCGI and SCGI, where the application does something unusual."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from apps.finishing import ERROR_LINE, ERROR_LINES
from support.gateway import KEEP_CONNECTION, fastcgi, uwsgi, variables
from support.gateway_server import GatewayServer, read_response, request, running_gateway_server

PING, PONG = b"\x64\0\0\0", b"\x64\0\0\x01"


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    listeners = {
        "uwsgi": "uwsgi://{address}",
        "scgi": "scgi://{address}",
        "fastcgi": "fastcgi://{address}",
        "fastcgi-errors": "fastcgi://{address}?stderr=on",
        "uwsgi-kept": "uwsgi://{address}?persistent=on",
    }
    options = ["--keep-alive", "3s", "--response-memory", "4K", "--response-spool", "64M"]
    with running_gateway_server(*options, listeners=listeners, is_strict=False) as running:
        yield running


@pytest.mark.parametrize("name", ["scgi", "fastcgi"])
def test_a_status_header_is_no_second_status(gateway: GatewayServer, name: str) -> None:
    """RFC 3875 6.3.3: the server's own line says it."""
    response = gateway.ask(name, "/?application=sets-status")
    assert (response.status, response.get("Status"), response.body) == (200, None, b"whole")


def test_a_status_header_is_a_header_over_http(gateway: GatewayServer) -> None:
    assert gateway.ask("uwsgi", "/?application=sets-status").all("Status") == ["404 Gone", "500 x"]


@pytest.mark.parametrize("name", ["fastcgi", "uwsgi-kept", "http"])
def test_a_failure_behind_the_last_byte_costs_nothing(gateway: GatewayServer, name: str) -> None:
    """The client has its response, and the next request may be on its way."""
    given = variables("/?application=raises-after-length")
    with gateway.connect(name) as connection:
        connection.send(request(name, given))
        assert read_response(connection, name).body == b"whole"
        connection.send(request(name, variables("/after")))
        assert read_response(connection, name).status == 200


def test_an_error_response_takes_no_older_head_for_its_own(gateway: GatewayServer) -> None:
    """Its body is there, although the buffer has held a HEAD request."""
    assert gateway.ask("uwsgi", "/", "HEAD").body == b""
    with gateway.connect("uwsgi") as connection:
        connection.send(uwsgi([("REQUEST_METHOD", "GET"), ("PATH_INFO", "no slash")]))
        response = connection.read_response()
        assert (response.status, response.body) == (400, b"400 Bad Request\n")


def test_a_ping_does_not_keep_a_connection_for_ever(gateway: GatewayServer) -> None:
    with gateway.connect("uwsgi-kept") as connection:
        connection.send(PING)
        assert connection.read_exactly(4) == PONG
        assert connection.read_to_end() == b"", "closed after keep_alive"


def test_lines_before_the_head_do_not_part_it_from_its_body(gateway: GatewayServer, key: str) -> None:
    """More of them than a socket takes, so that the send queue begins before there is a head."""
    given = variables(f"/?application=writes-errors-first&key={key}")
    with gateway.connect("fastcgi-errors") as connection:
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        connection.send(fastcgi(given, flags=KEEP_CONNECTION))
        for number in range(ERROR_LINES):
            gateway.server.recorder.open_gate(key, number)
        gateway.server.recorder.wait_for(key, "responds")
        response = connection.read_fastcgi_response()
        assert response.response is not None
        assert (response.response.status, response.response.body) == (200, b"whole")
        # What found no room is in the error log instead.
        assert response.errors.count(b"\n") <= ERROR_LINES
        assert response.errors.replace(ERROR_LINE.encode(), b"") == b""
        connection.send(fastcgi(variables("/after"), flags=KEEP_CONNECTION))
        following = connection.read_fastcgi_response()
        assert following.response is not None
        assert following.response.status == 200
