"""Slow peers of the listeners for reverse proxies run into the same deadlines as over HTTP
(test_deadlines.py).

All wait at the same time, on one server with short deadlines: each is a function here, started by the
fixture, and each test looks at the end of one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest
from support.gateway import (
    KEEP_CONNECTION,
    PARAMS,
    STDIN,
    GatewayConnection,
    begin,
    fastcgi,
    pairs,
    record,
    scgi,
    stream,
    uwsgi,
    variables,
)
from support.gateway_server import (
    GATEWAYS,
    LISTENERS,
    PROXIED,
    PROXY_LINE,
    GatewayServer,
    read_response,
    running_gateway_server,
)
from support.memory import bounded_memory
from support.raw_client import Closed
from support.short_deadlines import REQUEST_S, SHORT_DEADLINES, STEP_S, Ended

Peer = Callable[[GatewayServer], Ended]
PEERS: dict[str, Peer] = {}


def peer(
    label: str, name: str, start: bytes, rest: bytes = b"", *, piece: int = 1, before: bytes = b""
) -> str:
    """A peer of the listener `name` that sends `start` at once and `rest` slowly, and first `before`, a whole
    request, whose response it waits for. Returns its label."""

    def run(gateway: GatewayServer) -> Ended:
        with gateway.connect(name, timeout_s=30) as connection:
            if before:
                connection.send(before)
                assert read_response(connection, name).status == 200
            began_s = time.monotonic()
            connection.send(start)
            for position in range(0, len(rest), piece):
                if not connection.is_silent(STEP_S):
                    break
                try:
                    connection.send(rest[position : position + piece])
                except ConnectionError:
                    break
            return read_to_close(connection, name, began_s)

    PEERS[label] = run
    return label


def read_to_close(connection: GatewayConnection, name: str, began_s: float) -> Ended:
    """Read responses until the server closes; what is no whole response in the protocol's form is an
    error."""
    statuses: list[int] = []
    try:
        if name.startswith("scgi"):
            statuses.append(connection.read_cgi_response().status)
        else:
            while True:
                statuses.append(read_response(connection, name).status)
    except Closed as closed:
        if closed.received:
            raise
    except ConnectionError:
        pass
    return Ended(statuses, time.monotonic() - began_s)


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    with running_gateway_server(*SHORT_DEADLINES) as running:
        yield running


@pytest.fixture(scope="module")
def ends(gateway: GatewayServer) -> Iterator[Callable[[str], Ended]]:
    """Starts all peers; gives the end of one."""
    with ThreadPoolExecutor(len(PEERS)) as pool:
        futures: dict[str, Future[Ended]] = {label: pool.submit(run, gateway) for label, run in PEERS.items()}
        yield lambda label: futures[label].result(40)


# -- before the first byte, and between requests

SILENT = [peer(f"silent-{name}", name, b"") for name in LISTENERS]
IDLE = [
    peer("idle-fastcgi", "fastcgi", b"", before=fastcgi(variables(), flags=KEEP_CONNECTION)),
    peer("idle-uwsgi", "uwsgi-kept", b"", before=uwsgi(variables())),
]


@pytest.mark.parametrize("label", [*SILENT, *IDLE])
def test_a_silent_peer_is_closed_without_a_response(ends: Callable[[str], Ended], label: str) -> None:
    end = ends(label)
    assert (end.statuses, end.is_late()) == ([], True)


# -- the PROXY header

PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x0f\x00" + bytes(0xF00)
LATE_HEADERS = [
    *(peer(f"stalled-header-{name}", name, PROXY_LINE[:20]) for name in PROXIED),
    *(peer(f"slow-header-{name}", name, b"P", PROXY_LINE[1:]) for name in PROXIED),
    *(peer(f"slow-header-v2-{name}", name, PROXY_V2[:16], PROXY_V2[16:]) for name in PROXIED),
]


@pytest.mark.parametrize("label", LATE_HEADERS)
def test_a_late_proxy_header_closes_without_a_response(ends: Callable[[str], Ended], label: str) -> None:
    """In absolute time: no byte moves the deadline."""
    end = ends(label)
    assert (end.statuses, end.is_late()) == ([], True)


# -- heads

LONG = [*variables("/slow"), ("HTTP_X_LONG", "l" * 200)]
OPEN = begin(flags=KEEP_CONNECTION)
HEADS = {"uwsgi": uwsgi(LONG), "scgi": scgi(LONG), "fastcgi": OPEN + stream(PARAMS, pairs(LONG))}
TINY = b"".join(record(PARAMS, pairs(LONG)[at : at + 1], padding=0) for at in range(len(pairs(LONG))))
LATE_HEADS = [
    *(peer(f"stalled-head-{name}", name, HEADS[name][:50]) for name in GATEWAYS),
    *(peer(f"slow-head-{name}", name, HEADS[name][:30], HEADS[name][30:]) for name in GATEWAYS),
    *(peer(f"slow-head-{name}-proxy", f"{name}-proxy", PROXY_LINE + HEADS[name][:30]) for name in GATEWAYS),
    peer("head-in-tiny-records", "fastcgi", OPEN, TINY, piece=9),
    peer("begun-and-nothing-else", "fastcgi", OPEN),
    peer(
        "second-head-fastcgi",
        "fastcgi",
        OPEN,
        TINY,
        piece=9,
        before=fastcgi(variables(), flags=KEEP_CONNECTION),
    ),
    peer(
        "second-head-uwsgi", "uwsgi-kept", HEADS["uwsgi"][:9], HEADS["uwsgi"][9:], before=uwsgi(variables())
    ),
]


@pytest.mark.parametrize("label", LATE_HEADS)
def test_a_late_head_is_408(ends: Callable[[str], Ended], label: str) -> None:
    end = ends(label)
    assert (end.statuses, end.is_late()) == ([408], True)


STRAY = [
    peer("slow-stray-records", "fastcgi", b"", record(STDIN, b"x", id=5) * 200, piece=16),
    peer("half-a-record", "fastcgi", OPEN[:5]),
]


@pytest.mark.parametrize("label", STRAY)
def test_records_of_no_request_move_no_deadline(ends: Callable[[str], Ended], label: str) -> None:
    end = ends(label)
    assert (end.statuses, end.is_late()) == ([], True)


# -- bodies

POST = variables("/?application=records-reading&key=late-body", "POST", ("CONTENT_LENGTH", "1000"))
BODY_HEADS = {"uwsgi": uwsgi(POST), "scgi": scgi(POST), "fastcgi": OPEN + stream(PARAMS, pairs(POST))}
TINY_BODY = record(STDIN, b"b", padding=0) * 500
LATE_BODIES = [
    *(peer(f"absent-body-{name}", name, BODY_HEADS[name]) for name in GATEWAYS),
    *(peer(f"stalled-body-{name}", name, BODY_HEADS[name] + b"b" * 500) for name in ("uwsgi", "scgi")),
    *(peer(f"slow-body-{name}", name, BODY_HEADS[name], b"b" * 999) for name in ("uwsgi", "scgi")),
    peer("stalled-body-fastcgi", "fastcgi", BODY_HEADS["fastcgi"] + record(STDIN, b"b" * 500)),
    peer("slow-body-fastcgi", "fastcgi", BODY_HEADS["fastcgi"], TINY_BODY, piece=9),
    peer("padding-only", "fastcgi", BODY_HEADS["fastcgi"], record(99, bytes(60_000), id=0), piece=50),
]


@pytest.mark.parametrize("label", LATE_BODIES)
def test_a_late_body_is_408(gateway: GatewayServer, ends: Callable[[str], Ended], label: str) -> None:
    """A byte now and then earns too little time, and what is not the body's earns none."""
    end = ends(label)
    assert (end.statuses, end.is_late()) == ([408], True)
    assert gateway.server.recorder.events("late-body") == []


STEADY = variables("/?application=counts", "POST", ("CONTENT_LENGTH", "60000"))
ENDLESS = [
    peer("endless-uwsgi", "uwsgi", uwsgi(STEADY), b"b" * 59_999, piece=300),
    peer("endless-scgi", "scgi", scgi(STEADY), b"b" * 59_999, piece=300),
    peer(
        "endless-fastcgi",
        "fastcgi",
        OPEN + stream(PARAMS, pairs(STEADY)),
        record(STDIN, b"b" * 292) * 199,
        piece=304,
    ),
]


@pytest.mark.parametrize("label", ENDLESS)
def test_request_timeout_ends_also_a_steady_body(ends: Callable[[str], Ended], label: str) -> None:
    end = ends(label)
    assert (end.statuses, end.is_late(REQUEST_S)) == ([408], True)


# -- peers that do not read


def test_a_peer_that_reads_no_replies_is_aborted_and_takes_no_memory(gateway: GatewayServer) -> None:
    """Each query gets a reply, and nobody takes the replies: 16 bytes for 8, for ever."""
    block = record(99, id=0) * 10_000
    with gateway.connect("fastcgi", timeout_s=30) as connection, bounded_memory(gateway.server, 16 << 20):
        began_s = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began_s < 30:
                connection.send(block)
        assert time.monotonic() - began_s < 30, "still taken"
    gateway.serves_everybody()


def test_others_are_served_all_the_time(gateway: GatewayServer, ends: Callable[[str], Ended]) -> None:
    assert ends(ENDLESS[0]).statuses == [408]
    gateway.serves_everybody()
