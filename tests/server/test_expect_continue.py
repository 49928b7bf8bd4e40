"""`Expect: 100-continue` (RFC 9110 10.1.1)."""

from __future__ import annotations

import pytest
from support.raw_client import chunked, request_bytes
from support.server import Server

EXPECT = ["Expect: 100-continue"]


def test_chunked_upload_after_100(server: Server) -> None:
    with server.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked", *EXPECT]))
        assert connection.read_head().status == 100
        connection.send(chunked(b"chunks ", b"after 100"))
        assert connection.read_response().body == b"chunks after 100"


def test_the_case_of_the_value_does_not_matter(server: Server) -> None:
    with server.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=["Content-Length: 1", "expect: 100-CONTINUE"]))
        assert connection.read_head().status == 100
        connection.send(b"x")
        assert connection.read_response().body == b"x"


def test_a_client_that_does_not_wait(server: Server) -> None:
    """The body is there already: 100 may be sent or not; the response follows."""
    with server.connect() as connection:
        for _ in range(2):
            connection.send(request_bytes("/echo", "POST", headers=EXPECT, body=b"at once"))
            response = connection.read_response()
            if response.status == 100:
                response = connection.read_response()
            assert response.body == b"at once"


def test_several_on_one_connection(server: Server) -> None:
    with server.connect() as connection:
        for number in range(3):
            connection.send(request_bytes("/echo", "POST", headers=["Content-Length: 1", *EXPECT]))
            assert connection.read_head().status == 100
            connection.send(b"%d" % number)
            assert connection.read_response().body == b"%d" % number


@pytest.mark.parametrize("headers", [["Content-Length: 0"], []], ids=["length-0", "no-length"])
def test_no_100_without_a_body(server: Server, headers: list[str]) -> None:
    with server.connect() as connection:
        assert connection.request("/echo", method="POST", headers=[*headers, *EXPECT]).status == 200


def test_a_waiting_uploader_holds_no_thread(server: Server) -> None:
    with server.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=["Content-Length: 5", *EXPECT]))
        assert connection.read_head().status == 100
        with server.connect() as other:
            assert other.request("/function").body == b"function"
        connection.send(b"12345")
        assert connection.read_response().body == b"12345"


def test_an_unknown_expectation_is_417_or_ignored(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/function", headers=["Expect: something-else"])
    assert response.status in {200, 417}


def test_100_waits_for_the_response_before_it(server: Server, key: str) -> None:
    """A pipelined request: 100 must not come in the middle of another response."""
    with server.connect() as connection:
        connection.ask(f"/waits?key={key}")
        server.recorder.wait_for(key, "inside")
        connection.send(request_bytes("/echo", "POST", headers=["Content-Length: 5", *EXPECT]))
        assert connection.is_silent(0.2)
        server.recorder.open_gate(key)
        assert connection.read_response().body == b"waited"
        assert connection.read_head().status == 100
        connection.send(b"12345")
        assert connection.read_response().body == b"12345"


@pytest.mark.parametrize(("target", "status"), [("/elsewhere", 404), ("/app/echo", 503)], ids=["404", "503"])
def test_no_100_where_nobody_will_read_the_body(key: str, target: str, status: int) -> None:
    """RFC 9110 10.1.1: the final response instead, and the end, since a body may come or not."""
    options = ["--script-name", "/app", "--max-in-flight", "1"]
    with (
        Server(threads=2, options=options) as server,
        server.connect() as busy,
        server.connect() as connection,
    ):
        busy.ask(f"/app/waits?key={key}")
        server.recorder.wait_for(key, "inside")
        connection.send(request_bytes(target, "POST", headers=["Content-Length: 5", *EXPECT]))
        response = connection.read_response()
        assert (response.status, response.get("Connection")) == (status, "close")
        connection.send(b"12345")
        assert connection.read_to_end() == b""
        server.recorder.open_gate(key)
        assert busy.read_response().body == b"waited"
