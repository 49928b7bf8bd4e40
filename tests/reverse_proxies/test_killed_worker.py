"""kill -9 of a worker with a request in flight: which requests are retried, and what the client can tell."""

from __future__ import annotations

import json

import pytest
from support.raw_client import Closed, Connection
from support.waiting import wait_until

from reverse_proxies.deployment import NAME, RunningDeployment
from reverse_proxies.killing import kill_worker
from reverse_proxies.pairings import Pairing

TIMES = ("x-request-start", "connection")
"""Headers in which the retry may differ."""


def send(connection: Connection, method: str, target: str) -> None:
    """A request without a body."""
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    connection.send(f"{method} {target} HTTP/1.1\r\nHost: {NAME}\r\n{length}\r\n".encode())


def kill_worker_inside(deployment: RunningDeployment, key: str) -> None:
    """Kill the worker that the request with `key` is in."""
    deployment.journal.wait_for(key, "inside")
    kill_worker(deployment.journal.worker_of(key))


def assert_lost(connection: Connection) -> None:
    """The client hears that there is no response: a status that says so, or the end of the connection."""
    try:
        assert 500 <= connection.read_response().status < 600
    except (Closed, ConnectionError):
        return


def test_a_get_is_retried(deployment: RunningDeployment, pairing: Pairing, key: str) -> None:
    with deployment.connect() as connection:
        send(connection, "GET", f"/wait?key={key}")
        kill_worker_inside(deployment, key)
        if pairing.retries:
            deployment.journal.wait_for(key, "inside", count=2)
            deployment.journal.open_gate(key)
            response = connection.read_response()
            assert (response.status, response.body) == (200, b"released")
        else:
            assert_lost(connection)
            assert deployment.journal.events(key).count("inside") == 1
    assert deployment.request("/number/7").body == b"number 7"


@pytest.mark.parametrize("target", ["/wait-at/plain", "/wait-at/a%20b/%C3%A9/%25?%41=b%20c&d=%26"])
def test_what_is_retried_is_the_same(
    deployment: RunningDeployment, pairing: Pairing, key: str, target: str
) -> None:
    if not pairing.retries:
        return
    target += f"{'&' if '?' in target else '?'}key={key}"
    with deployment.connect() as connection:
        send(connection, "GET", target)
        kill_worker_inside(deployment, key)
        deployment.journal.wait_for(key, "inside", count=2)
        deployment.journal.open_gate(key)
        retried = json.loads(connection.read_response().body)
    # The gate is open now.
    once = json.loads(deployment.request(target).body)
    for seen in (retried, once):
        seen["headers"] = {name: value for name, value in seen["headers"].items() if name not in TIMES}
    assert retried == once


@pytest.mark.parametrize("status", [500, 502, 503])
def test_an_error_of_the_application_is_its_response(
    deployment: RunningDeployment, key: str, status: int
) -> None:
    response = deployment.request(f"/own-error/{status}?key={key}")
    assert (response.status, response.body) == (status, b"the application's own")
    assert deployment.journal.events(key).count("inside") == 1


def test_a_post_is_never_retried(deployment: RunningDeployment, key: str) -> None:
    with deployment.connect() as connection:
        send(connection, "POST", f"/wait?key={key}")
        kill_worker_inside(deployment, key)
        assert_lost(connection)
    assert deployment.journal.events(key).count("inside") == 1
    assert deployment.request("/number/8", method="POST", body=b"x").body == b"number 8"


def test_an_aborted_response_does_not_look_complete(
    deployment: RunningDeployment, pairing: Pairing, key: str
) -> None:
    """Where the protocol behind the reverse proxy has no sign for the end, nobody can tell."""
    if not pairing.passes_abort:
        return
    with deployment.connect() as connection:
        send(connection, "GET", f"/aborted-stream?key={key}")
        head = connection.read_head()
        wait_until(lambda: "inside" in deployment.journal.events(key), what="the application")
        kill_worker(deployment.journal.worker_of(key))
        assert head.get("Transfer-Encoding") == "chunked"
        with pytest.raises((Closed, ConnectionError)):
            list(connection.read_chunks())
