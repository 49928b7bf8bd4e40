"""Several requests sent before the first response is read: responses in order, nothing lost, nothing
mixed."""

from __future__ import annotations

import json
import time

import pytest
from support.raw_client import chunked, request_bytes
from support.server import Server


def test_responses_come_in_the_order_of_the_requests(server: Server) -> None:
    with server.connect() as connection:
        connection.send(b"".join(request_bytes(f"/environ/{number}") for number in range(50)))
        for number in range(50):
            environ = json.loads(connection.read_response().body)["values"]
            assert environ["PATH_INFO"]["value"] == f"/environ/{number}"


def test_requests_of_all_framings_follow_each_other(server: Server) -> None:
    chunked_head = request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"])
    with server.connect() as connection:
        connection.send(
            request_bytes("/echo", "POST", body=b"with a length")
            + request_bytes("/generated", "HEAD")
            + chunked_head
            + chunked(b"with ", b"chunks")
            + request_bytes("/without-body?status=204+No")
            + request_bytes("/echo", "POST", body=b"")
            + request_bytes("/generated")
            + request_bytes("/function", headers=["Connection: close"])
        )
        bodies = [
            connection.read_response(method).body
            for method in ("POST", "HEAD", "POST", "GET", "POST", "GET", "GET")
        ]
        connection.expect_closed()
    assert bodies == [b"with a length", b"", b"with chunks", b"", b"", b"generated", b"function"]


def test_a_slow_response_holds_back_the_later_ones(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.send(request_bytes(f"/waits?key={key}") + request_bytes("/function"))
        server.recorder.wait_for(key, "inside")
        assert connection.is_silent(0.05)
        server.recorder.open_gate(key)
        assert connection.read_response().body == b"waited"
        assert connection.read_response().body == b"function"


def test_an_unread_body_is_not_taken_for_a_request(server: Server) -> None:
    smuggled = request_bytes("/raises/at-call")
    with server.connect() as connection:
        connection.send(request_bytes("/ignores-input", "POST", body=smuggled) + request_bytes("/function"))
        assert connection.read_response().body == b"ignored"
        assert connection.read_response().body == b"function"


def test_nothing_after_connection_close_is_served(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.send(
            request_bytes("/function", headers=["Connection: close"])
            + request_bytes(f"/ignores-input?key={key}")
        )
        assert connection.read_response().body == b"function"
        connection.expect_closed()
    assert server.recorder.events(key) == []


@pytest.mark.parametrize("count", [900])
def test_a_long_pipeline_with_a_late_reader(server: Server, count: int) -> None:
    """More responses than the socket holds; the other client is served meanwhile."""
    with server.connect() as connection, server.connect() as other:
        connection.send(request_bytes("/function") * count)
        assert other.request("/function").body == b"function"
        for _ in range(count):
            assert connection.read_response().body == b"function"


def test_an_empty_line_before_a_request_is_ignored(server: Server) -> None:
    """RFC 9112 2.2."""
    with server.connect() as connection:
        connection.send(b"\r\n" + request_bytes("/function") + b"\r\n" + request_bytes("/function"))
        assert [connection.read_response().body for _ in range(2)] == [b"function"] * 2


def test_bytes_after_a_closing_request_do_not_cost_its_response(server: Server, key: str) -> None:
    """They come while it is served: closing with unread bytes would be a reset.

    The response takes a few milliseconds: behind a shorter one they come after the close as well as before.
    """
    with server.connect() as connection:
        connection.ask(f"/waits?key={key}", headers=["Connection: close"])
        server.recorder.wait_for(key, "inside")
        connection.ask("/function")
        time.sleep(0.005)
        server.recorder.open_gate(key)
        assert connection.read_response().body == b"waited"
        assert connection.read_to_end() == b""


def test_a_rejected_head_request_has_no_body(server: Server) -> None:
    """RFC 9110 9.3.2, wherever the request line was understood."""
    with server.connect() as connection:
        connection.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        head = connection.read_head()
        assert (head.status, connection.read_to_end()) == (400, b"")
