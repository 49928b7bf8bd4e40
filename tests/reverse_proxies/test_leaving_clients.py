"""Clients that leave: the application hears of it as far as the reverse proxy does; no call stays behind."""

from __future__ import annotations

import re

import pytest
from support.raw_client import Connection

from reverse_proxies.pairings import Pairing
from reverse_proxies.site import NAME, Site


def leave(connection: Connection, how: str) -> None:
    """Go away in the ordinary way, or with a reset."""
    if how == "reset":
        connection.reset()
    else:
        connection.close()


def lines(site: Site, key: str) -> list[str]:
    """What the access log says of requests with `key`, up to one that is made now."""
    mark = f"{key}-mark"
    site.request(f"/number/0?{mark}")
    site.portico.access_log.wait_for(mark)
    return [line for line in site.portico.access_log.lines() if key in line and mark not in line]


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_leaves_during_the_call(site: Site, pairing: Pairing, key: str, how: str) -> None:
    connection = site.connect()
    connection.send(f"GET /wait?key={key} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    site.journal.wait_for(key, "inside")
    # A short call is not worth a look at the client before its response.
    assert connection.is_silent(0.1)
    leave(connection, how)
    if pairing.hears_abort:
        site.journal.wait_for(key, "disconnected")
        site.portico.access_log.wait_for(rf"/wait\?key={key} HTTP/1\.[01]\" 499 ")
    else:
        # The reverse proxy looks at its client again when it has a response.
        site.journal.open_gate(key)
        site.journal.wait_for(key, "released")
        site.portico.access_log.wait_for(rf"/wait\?key={key} HTTP/1\.[01]\" 200 ")
    assert site.journal.events(key).count("inside") == 1
    assert site.request("/number/5").body == b"number 5"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_leaves_a_streamed_response(site: Site, key: str, how: str) -> None:
    """The application is stopped: its iterable is closed."""
    connection = site.connect()
    connection.send(f"GET /endless-stream?key={key} HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
    connection.read_head()
    connection.read_exactly(200_000)
    leave(connection, how)
    site.journal.wait_for(key, "closed")
    assert site.request("/number/6").body == b"number 6"


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_leaves_in_its_body(site: Site, pairing: Pairing, key: str, how: str) -> None:
    """The application is never called."""
    connection = site.connect()
    head = f"POST /wait?key={key} HTTP/1.1\r\nHost: {NAME}\r\nContent-Length: 2000000\r\n\r\n"
    connection.send(head.encode() + b"x" * 1_000_000)
    assert connection.is_silent(0.1)
    leave(connection, how)
    if not pairing.buffers_bodies:
        site.portico.access_log.wait_for(rf"/wait\?key={key} HTTP/1\.[01]\" 499 ")
    said = lines(site, key)
    assert len(said) == (0 if pairing.buffers_bodies else 1)
    assert all(re.search(r'" 499 ', line) for line in said)
    assert site.journal.events(key) == []
