"""health-path: the worker itself responds, whatever the application does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.raw_client import Response, request_bytes
from support.server import Server

OPTIONS = ["--health-path", "/healthz", "--health-path", "/ready/now", "--max-in-flight", "2"]


@pytest.fixture(scope="module")
def healthy() -> Iterator[Server]:
    with Server(threads=1, options=OPTIONS) as running:
        yield running


@pytest.mark.parametrize("path", ["/healthz", "/ready/now"])
def test_a_health_path_is_served_while_the_only_thread_is_blocked(
    healthy: Server, key: str, path: str
) -> None:
    with ExitStack() as stack:
        # One request runs, one waits: there is no room for a third.
        crowd = [stack.enter_context(healthy.connect()) for _ in range(2)]
        crowd[0].ask(f"/waits?key={key}")
        healthy.recorder.wait_for(key, "inside")
        crowd[1].ask("/function")
        prober = stack.enter_context(healthy.connect())
        for _ in range(3):
            response = prober.request(path)
            assert (response.status, response.body) == (200, b"ok\n")
            head = prober.request(path, method="HEAD")
            assert (head.status, head.get("Content-Length")) == (200, "3")
        with healthy.connect() as last:
            last.send(request_bytes(path, headers=["Connection: close"]))
            assert last.read_response().status == 200
            assert last.read_to_end() == b""
        with healthy.connect() as old:
            assert old.request(path, version="HTTP/1.0").body == b"ok\n"
            assert old.read_to_end() == b""
        healthy.recorder.open_gate(key)
        assert crowd[0].read_response().body == b"waited"
        assert crowd[1].read_response().body == b"function"


def test_health_checks_take_their_turn_in_a_pipeline(healthy: Server) -> None:
    with healthy.connect() as connection:
        connection.send(
            request_bytes("/function") + request_bytes("/healthz") * 2 + request_bytes("/function")
        )
        bodies = [connection.read_response().body for _ in range(4)]
        assert bodies == [b"function", b"ok\n", b"ok\n", b"function"]


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/healthz/", "GET"),
        ("/healthzz", "GET"),
        ("/HEALTHZ", "GET"),
        ("/%68ealthz", "GET"),
        ("/ready", "GET"),
        ("/healthz", "POST"),
        ("/healthz", "OPTIONS"),
    ],
)
def test_anything_else_is_the_applications(healthy: Server, path: str, method: str) -> None:
    with healthy.connect() as connection:
        assert connection.request(path, method=method).body == b"no such application"


def test_no_access_line_is_written(healthy: Server, key: str) -> None:
    position = healthy.access_log.position()
    with healthy.connect() as connection:
        for path in ["/healthz", "/ready/now"]:
            assert connection.request(path, headers=[f"User-Agent: {key}"]).status == 200
        connection.request(f"/function?key={key}")
    healthy.access_log.wait_for(rf"/function\?key={key}", since=position)
    lines = healthy.access_log.lines(position)
    assert [line for line in lines if key in line and "/function" not in line] == []


def test_a_bad_request_for_a_health_path_is_rejected(healthy: Server) -> None:
    with healthy.connect() as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\n\r\n")
        assert connection.read_response().status == 400


def test_nothing_is_special_without_the_setting(server: Server) -> None:
    with server.connect() as connection:
        assert connection.request("/healthz").status == 404


def test_a_draining_worker_says_so(key: str) -> None:
    with Server(threads=1, options=OPTIONS) as server, server.connect() as busy, server.connect() as prober:
        busy.ask(f"/waits?key={key}")
        server.recorder.wait_for(key, "inside")
        assert prober.request("/healthz").status == 200
        os.kill(server.pid, signal.SIGTERM)
        response: Response | None = None
        while response is None or response.status == 200:
            response = prober.request("/healthz")
        assert (response.status, response.body, response.get("Connection")) == (503, b"draining\n", "close")
        assert prober.read_to_end() == b""
        server.recorder.open_gate(key)
        assert busy.read_response().body == b"waited"
