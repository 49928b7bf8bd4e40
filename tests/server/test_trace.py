"""`--log-level trace` follows a request by the number of its connection."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from support.raw_client import Connection
from support.server import Server

STEP = re.compile(r"\[trace\] connection (\d+): (.*)$")


@pytest.fixture(scope="module")
def traced() -> Iterator[Server]:
    with Server(options=["--log-level", "trace"]) as running:
        yield running


def number_of(server: Server, connection: Connection) -> str:
    """The number by which a connection is followed."""
    host, port = connection.socket.getsockname()[:2]
    return server.error_log.wait_for(rf"connection (\d+): accepted from {host}:{port} on http://")[1]


def steps_of(server: Server, connection: Connection) -> list[str]:
    """Close a connection and return its steps."""
    number = number_of(server, connection)
    connection.close()
    server.error_log.wait_for(rf"connection {number}: closed$")
    steps = (STEP.search(line) for line in server.error_log.lines())
    return [step[2].split(" from ")[0] for step in steps if step and step[1] == number]


def test_two_requests_on_a_kept_connection_are_followed_step_by_step(traced: Server) -> None:
    with traced.connect() as connection:
        assert connection.request("/function").status == 200
        # A client may ask again before the thread that has responded says so.
        traced.error_log.wait_for(f"connection {number_of(traced, connection)}: done, the connection is kept")
        connection.send(b"GET /function?last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert connection.read_response().status == 200
        connection.read_to_end()
        steps = steps_of(traced, connection)
    assert [re.sub(r"^head: \d+", "head: N", step) for step in steps] == [
        "accepted",
        "head: N bytes",
        "queued: GET /function HTTP/1.1",
        "called on thread 0",
        "head sent: 200",
        "done, the connection is kept",
        "head: N bytes",
        "queued: GET /function?last HTTP/1.1",
        "called on thread 0",
        "head sent: 200",
        "done, the connection is not kept",
        "closed",
    ]


def test_a_rejected_request_is_followed_too(traced: Server) -> None:
    with traced.connect() as connection:
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert connection.read_response().status == 400
        connection.read_to_end()
        steps = steps_of(traced, connection)
    assert steps == ["accepted", "rejected: 400", "closed"]


def test_nothing_is_traced_below_the_level() -> None:
    with Server(options=["--log-level", "debug"]) as server:
        with server.connect() as connection:
            assert connection.request("/function").status == 200
        assert "[trace]" not in server.error_log.text()
