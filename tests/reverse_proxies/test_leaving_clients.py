"""Clients that leave: the application hears of it as far as the reverse proxy does; no call stays behind."""

from __future__ import annotations

import re

import pytest
from support.raw_client import Connection

from reverse_proxies.deployment import NAME, RunningDeployment
from reverse_proxies.pairings import Pairing


def leave(connection: Connection, how: str) -> None:
    """Go away in the ordinary way, or with a reset."""
    if how == "reset":
        connection.reset()
    else:
        connection.close()


def lines(deployment: RunningDeployment, key: str) -> list[str]:
    """What the access log says of requests with `key`, up to one that is made now."""
    mark = f"{key}-mark"
    deployment.request(f"/number/0?{mark}")
    deployment.portico.access_log.wait_for(mark)
    return [line for line in deployment.portico.access_log.lines() if key in line and mark not in line]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_leaves_during_the_call(
    deployment: RunningDeployment, pairing: Pairing, key: str, how: str
) -> None:
    connection = deployment.connect()
    connection.send(f"GET /wait?key={key} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    deployment.journal.wait_for(key, "inside")
    # A short call is not worth a look at the client before its response.
    assert connection.is_silent(0.1)
    leave(connection, how)
    if pairing.notices_abort:
        deployment.journal.wait_for(key, "disconnected")
        deployment.portico.access_log.wait_for(rf"/wait\?key={key} HTTP/1\.[01]\" 499 ")
    else:
        # The reverse proxy looks at its client again when it has a response.
        deployment.journal.open_gate(key)
        deployment.journal.wait_for(key, "released")
        deployment.portico.access_log.wait_for(rf"/wait\?key={key} HTTP/1\.[01]\" 200 ")
    assert deployment.journal.events(key).count("inside") == 1
    assert deployment.request("/number/5").body == b"number 5"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_leaves_a_streamed_response(deployment: RunningDeployment, key: str, how: str) -> None:
    """The application is stopped: its iterable is closed."""
    connection = deployment.connect()
    connection.send(f"GET /endless-stream?key={key} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    connection.read_head()
    connection.read_exactly(200_000)
    leave(connection, how)
    deployment.journal.wait_for(key, "closed")
    assert deployment.request("/number/6").body == b"number 6"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_leaves_in_its_body(
    deployment: RunningDeployment, pairing: Pairing, key: str, how: str
) -> None:
    """The application is never called."""
    connection = deployment.connect()
    head = f"POST /wait?key={key} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 2000000\r\n\r\n"
    connection.send(head.encode() + b"x" * 1_000_000)
    assert connection.is_silent(0.1)
    leave(connection, how)
    if not pairing.buffers_bodies:
        deployment.portico.access_log.wait_for(rf"/wait\?key={key} HTTP/1\.[01]\" 499 ")
    said = lines(deployment, key)
    assert len(said) == (0 if pairing.buffers_bodies else 1)
    assert all(re.search(r'" 499 ', line) for line in said)
    assert deployment.journal.events(key) == []
