"""TERM and HUP while requests are on their way in: what has begun is served, what is idle is closed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from support.raw_client import Connection, request_bytes
from support.server import Server
from support.waiting import wait_until

PIECES = {
    "head": [b"GET /function HTTP/1.1\r\nHost: a\r\n", b"\r\n"],
    "body": [request_bytes("/echo", "POST", headers=["Content-Length: 8"]) + b"half", b"half"],
    "chunked body": [
        request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"]) + b"4\r\nhalf\r\n",
        b"4\r\nhalf\r\n0\r\n\r\n",
    ],
}


@pytest.fixture
def leaving() -> Iterator[Server]:
    with Server(workers=1) as running:
        yield running


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP], ids=["TERM", "HUP"])
@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
def test_a_request_that_has_begun_is_served(
    leaving: Server, stop: signal.Signals, pieces: list[bytes]
) -> None:
    [worker] = leaving.worker_pids
    with leaving.connect() as slow, leaving.connect() as idle:
        assert idle.request("/function").status == 200
        slow.send(pieces[0])
        assert slow.is_silent(0.1)
        os.kill(leaving.pid, stop)
        # Idle connections are closed a moment after the stop has begun: from then on only requests count.
        idle.expect_closed()
        assert slow.is_silent(0.5)
        slow.send(pieces[1])
        response = slow.read_response()
        assert (response.status, response.get("Connection")) == (200, "close")
    wait_until(lambda: not is_alive(worker), what="the end of the old worker")


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_client_of_a_rejected_body_is_named_by_its_reverse_proxy(leaving: Server) -> None:
    headers = ["X-Forwarded-For: 192.0.2.9", "User-Agent: me", "Content-Length: 99999999999"]
    with leaving.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=headers))
        assert connection.read_response().status == 413
    assert leaving.access_log.wait_for(r'192\.0\.2\.9 .* 413 .* "me"')


def test_what_a_reverse_proxy_says_wrongly_is_logged(leaving: Server) -> None:
    with leaving.connect() as connection:
        assert rejected(connection, "X-Forwarded-Proto: gopher") == 400
    assert leaving.error_log.wait_for("X-Forwarded-Proto: gopher")


def rejected(connection: Connection, header: str) -> int:
    return connection.request("/function", headers=[header]).status
