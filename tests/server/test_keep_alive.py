"""How long a connection lives: HTTP/1.1, HTTP/1.0, close, and idleness."""

from __future__ import annotations

import time

import pytest
from support.raw_client import request_bytes
from support.server import Server


def test_http_1_1_is_kept_by_default(server: Server) -> None:
    with server.connect() as connection:
        for _ in range(20):
            response = connection.request("/function")
            assert response.version == "HTTP/1.1"
            assert (response.get("Connection") or "keep-alive").lower() == "keep-alive"


def test_http_1_1_close(server: Server) -> None:
    for value in ("close", "Close", "foo, close", "close, foo"):
        with server.connect() as connection:
            response = connection.request("/function", headers=[f"Connection: {value}"])
            assert (response.get("Connection") or "").lower() == "close"
            connection.expect_closed()


def test_http_1_0_is_closed_by_default(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/function", version="HTTP/1.0", host=False)
        assert response.body == b"function"
        connection.expect_closed()


def test_http_1_0_is_kept_when_asked_and_the_length_is_known(server: Server) -> None:
    with server.connect() as connection:
        for _ in range(3):
            response = connection.request("/function", version="HTTP/1.0", headers=["Connection: Keep-Alive"])
            assert (response.body, response.framing) == (b"function", "length")
            assert (response.get("Connection") or "").lower() == "keep-alive"


def test_http_1_0_without_a_length_ends_with_the_connection(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/generated", version="HTTP/1.0", headers=["Connection: Keep-Alive"])
        assert (response.body, response.framing) == (b"generated", "close")
        assert (response.get("Connection") or "close").lower() == "close"


def test_the_connection_survives_a_500(server: Server) -> None:
    with server.connect() as connection:
        assert connection.request("/raises/at-call").status == 500
        assert connection.request("/function").body == b"function"


def test_a_half_closed_client_still_gets_its_response(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.send(request_bytes(f"/waits?key={key}"))
        connection.half_close()
        server.recorder.wait_for(key, "inside")
        server.recorder.open_gate(key)
        assert connection.read_response().body == b"waited"
        connection.expect_closed()


@pytest.mark.parametrize("threads", [1, 8])
def test_an_idle_connection_is_closed_after_keep_alive(threads: int) -> None:
    with Server(threads=threads, options=["--keep-alive", "1"]) as short, short.connect() as connection:
        connection.request("/function")
        start = time.monotonic()
        connection.expect_closed()
        assert 0.7 < time.monotonic() - start < 3


def test_a_connection_in_use_is_not_idle(key: str) -> None:
    """The application takes longer than keep-alive; the response comes nevertheless."""
    with Server(threads=1, options=["--keep-alive", "1"]) as short, short.connect() as connection:
        connection.ask(f"/waits?key={key}")
        short.recorder.wait_for(key, "inside")
        assert connection.is_silent(1.5), "a working connection was closed"
        short.recorder.open_gate(key)
        assert connection.read_response().body == b"waited"
