"""More requests than the crew can take: 503 with Retry-After in time, without Python; then all is well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from support.raw_client import Connection, Response, chunked, request_bytes
from support.server import Server

QUEUE_S = 0.5
SOON_S = 6.0


@pytest.fixture(scope="module")
def impatient() -> Iterator[Server]:
    """One thread, and requests that wait half a second for it at most."""
    options = ["--queue-timeout", "500ms", "--body-memory", "20K"]
    with Server("apps.patient:application", threads=1, options=options) as running:
        yield running


@pytest.fixture
def blocked(impatient: Server, key: str) -> Iterator[Server]:
    """Its only thread is inside an application until the test ends; then all is well again."""
    with impatient.connect() as busy:
        busy.ask(f"/waits?key={key}-busy")
        impatient.recorder.wait_for(f"{key}-busy", "inside")
        yield impatient
        # It was blocked all the time.
        assert impatient.recorder.events(f"{key}-busy") == ["inside"]
        impatient.recorder.open_gate(f"{key}-busy")
        assert busy.read_response().body == b"waited"
        assert busy.request("/function").body == b"function"


def assert_shed(response: Response) -> None:
    """Too many requests: come again, on this very connection."""
    assert (response.status, response.get("Retry-After")) == (503, "1")
    assert response.get("Connection") in (None, "keep-alive")


def test_waiting_requests_get_503_while_the_thread_is_blocked(blocked: Server, key: str) -> None:
    """All forms of requests at once, each on a connection of its own."""
    target = f"/records-reading?key={key}"
    body = b"GET /records-reading HTTP/1.1\r\nHost: a\r\n\r\n" * 1000
    requests = [
        request_bytes(target),
        request_bytes(target, "POST", body=b"x" * 100),
        request_bytes(target, "POST", body=body),
        request_bytes(target, "POST", headers=["Transfer-Encoding: chunked"]) + chunked(body, body),
    ]
    with ExitStack() as stack:
        waiting = [stack.enter_context(blocked.connect()) for _ in requests]
        began_s = time.monotonic()
        for connection, request in zip(waiting, requests, strict=True):
            connection.send(request)
        for connection in waiting:
            assert_shed(connection.read_response())
        assert QUEUE_S * 0.9 < time.monotonic() - began_s < QUEUE_S + SOON_S
        head = stack.enter_context(blocked.connect())
        assert_shed(head.request(target, method="HEAD"))
        # Kept, and used again before the thread is free.
        for connection in waiting:
            connection.ask(target)
        for connection in waiting:
            assert_shed(connection.read_response())
    assert blocked.recorder.events(key) == []


def test_pipelined_requests_get_503_in_turn(blocked: Server, key: str) -> None:
    with blocked.connect() as connection:
        connection.send(request_bytes(f"/ignores-input?key={key}") * 2)
        assert_shed(connection.read_response())
        assert_shed(connection.read_response())
    assert blocked.recorder.events(key) == []


def test_a_request_that_finds_the_thread_in_time_is_served(impatient: Server, key: str) -> None:
    with impatient.connect() as busy, impatient.connect() as waiting:
        busy.ask(f"/waits?key={key}")
        impatient.recorder.wait_for(key, "inside")
        waiting.ask("/function")
        assert waiting.is_silent(QUEUE_S / 5)
        impatient.recorder.open_gate(key)
        assert busy.read_response().status == 200
        assert waiting.read_response().body == b"function"


def test_a_body_that_takes_long_to_come_has_waited_for_nothing(impatient: Server) -> None:
    """The wait counts from the last byte where the client itself was slow."""
    with impatient.connect() as connection:
        connection.send(request_bytes("/counts", "POST", headers=["Content-Length: 4"]) + b"x")
        assert connection.is_silent(QUEUE_S * 2)
        connection.send(b"xxx")
        assert connection.read_response().body == b"4"


def test_an_overload_is_logged_once(impatient: Server, blocked: Server) -> None:
    with blocked.connect() as connection:
        for _ in range(2):
            assert_shed(connection.request("/function"))
    assert impatient.error_log.text().count("overloaded") == 1


def test_a_response_of_an_overload_has_an_access_line(blocked: Server, key: str) -> None:
    with blocked.connect() as connection:
        connection.request(f"/function?key={key}", headers=["User-Agent: patient/1"])
    line = blocked.access_log.wait_for(rf"^.*{key} HTTP/1\.1.*$")[0]
    assert f'"GET /function?key={key} HTTP/1.1" 503 ' in line
    assert "patient/1" in line


# -- X-Request-Start


FORMS: dict[str, Callable[[float], str]] = {
    "seconds": lambda at_s: f"t={at_s:.3f}",
    "milliseconds": lambda at_s: f"t={at_s * 1e3:.0f}",
    "microseconds": lambda at_s: f"t={at_s * 1e6:.0f}",
    "bare milliseconds": lambda at_s: f"{at_s * 1e3:.0f}",
    "whole seconds": lambda at_s: f"t={at_s:.0f}",
}


@pytest.fixture(scope="module")
def proxied() -> Iterator[Server]:
    """An idle server that takes 127.0.0.1 for a reverse proxy, as it does by default."""
    with Server(options=["--queue-timeout", "20s"]) as running:
        yield running


def started(connection: Connection, header: str) -> int:
    return connection.request("/function", headers=[f"X-Request-Start: {header}"]).status


@pytest.mark.parametrize("form", FORMS)
def test_time_spent_before_a_trusted_peer_counts(proxied: Server, form: str) -> None:
    """Even though the thread is free: the client has given up by then, or will have."""
    with proxied.connect() as connection:
        assert started(connection, FORMS[form](time.time() - 60)) == 503
        assert started(connection, FORMS[form](time.time() - 2)) == 200
        # A clock that is ahead counts as now.
        assert started(connection, FORMS[form](time.time() + 3600)) == 200
        assert started(connection, FORMS[form](time.time() - 60)) == 503


@pytest.mark.parametrize(
    "value", ["", "t=", "t=x", "t=-1", "1e9", "t=nan", "t=" + "9" * 400, "t=1", "t=0", "0x10"]
)
def test_what_is_no_time_is_ignored(proxied: Server, value: str) -> None:
    """Neither is a time long before this request could have begun, such as 1970."""
    with proxied.connect() as connection:
        assert started(connection, value) == 200


def test_two_times_are_no_time(proxied: Server) -> None:
    old = FORMS["seconds"](time.time() - 60)
    with proxied.connect() as connection:
        response = connection.request("/function", headers=[f"X-Request-Start: {old}"] * 2)
        assert response.status in (200, 503)
        assert connection.request("/function").status == 200


def test_a_stranger_cannot_make_its_request_old_or_young() -> None:
    options = ["--queue-timeout", "20s", "--forwarded-allow-ips", "192.0.2.1"]
    with Server(options=options) as server, server.connect() as connection:
        for form in FORMS.values():
            assert started(connection, form(time.time() - 60)) == 200


# -- afterwards


def test_everything_works_after_an_overload(impatient: Server, key: str) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(impatient.connect()) for _ in range(200)]
        crowd[0].ask(f"/waits?key={key}")
        impatient.recorder.wait_for(key, "inside")
        for connection in crowd[1:]:
            connection.ask("/function")
        for connection in crowd[1:]:
            assert_shed(connection.read_response())
        impatient.recorder.open_gate(key)
        assert crowd[0].read_response().body == b"waited"
        for connection in crowd:
            connection.ask("/function")
        assert [connection.read_response().body for connection in crowd] == [b"function"] * len(crowd)
