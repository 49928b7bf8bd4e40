"""Hostile and mistaken peers of the listeners for reverse proxies: each is rejected in the protocol's own
form, with a log line that says why, and leaves nothing behind; all others go on.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from support.gateway import PING, PONG, GatewayConnection, fastcgi, scgi, uwsgi, variables
from support.gateway_server import (
    GATEWAYS,
    KEPT,
    LISTENERS,
    PROXIED,
    PROXY_LINE,
    GatewayServer,
    protocol_of,
    read_response,
    request,
    running_gateway_server,
)
from support.memory import bounded_memory
from support.raw_client import request_bytes

MEBIBYTE = 1 << 20

PROXY_V2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\2\x9c\x40\1\xbb"
FOREIGN = {
    "http": request_bytes("/foreign"),
    "tls": bytes.fromhex("16030100f8010000f40303") + bytes(range(256))[: 0xF8 - 6],
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "proxy-v1": PROXY_LINE,
    "proxy-v2": PROXY_V2,
    "uwsgi": uwsgi(variables("/foreign")),
    "scgi": scgi(variables("/foreign")),
    "fastcgi": fastcgi(variables("/foreign")),
    "nuls": bytes(64),
    "ones": b"\xff" * 64,
    "text": b"hello?\r\n\r\n",
}


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    options = ["--keep-alive", "120s", "--handshake-timeout", "120s", "--max-requests-per-connection", "0"]
    with running_gateway_server(*options, kept=KEPT) as running:
        yield running


@pytest.fixture(autouse=True)
def others_go_on(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "gateway" in request.fixturenames:
        request.getfixturevalue("gateway").serves_everybody()


def send(connection: GatewayConnection, data: bytes) -> None:
    """Send all, unless the server has heard enough."""
    with suppress(ConnectionError):
        connection.send(data)


def pairs_of_foreign() -> list[tuple[str, str]]:
    own = {"http": "http", "uwsgi-kept": "uwsgi"}
    return [
        (name, what)
        for name in ("http", *LISTENERS)
        for what in FOREIGN
        if what != own.get(name, name) and not (name.endswith("-proxy") and what.startswith("proxy-"))
    ]


# -- foreign bytes


@pytest.mark.parametrize(("name", "what"), pairs_of_foreign())
def test_foreign_bytes_are_rejected(gateway: GatewayServer, name: str, what: str) -> None:
    """What only another protocol would begin with."""
    position = gateway.server.error_log.position()
    with gateway.connect(name) as connection:
        # HTTP waits for the end of a line before it says anything.
        send(connection, FOREIGN[what] + b"\r\n\r\n" * (name == "http"))
        if name.endswith("-proxy") or protocol_of(name) == "fastcgi":
            assert read_all(connection) == b""
        elif protocol_of(name) == "scgi":
            assert connection.read_cgi_response().status == 400
        else:
            assert connection.read_response().status in (400, 501, 505)
            connection.expect_closed()
    if name == "http":
        gateway.server.error_log.wait_for(r"\[debug\] rejected with \d+: ", since=position)
    elif name in ("uwsgi", "uwsgi-kept") and what != "nuls":
        gateway.wait_for_line(name, f"rejected a packet with modifier1 {FOREIGN[what][0]}, ", since=position)
    else:
        # The rule, and how the bytes begin.
        gateway.wait_for_line(name, ' ("', since=position)


def read_all(connection: GatewayConnection) -> bytes:
    """All that comes; a reset ends it too."""
    received = b""
    with suppress(ConnectionError):
        while block := connection.socket.recv(65536):
            received += block
    return received


@pytest.mark.parametrize(
    ("name", "what"), [(name, what) for name in PROXIED for what in FOREIGN if what != protocol_of(name)]
)
def test_foreign_bytes_behind_a_proxy_header_are_rejected(
    gateway: GatewayServer, name: str, what: str
) -> None:
    """A second header among them: there is one."""
    with gateway.connect(name) as connection:
        send(connection, PROXY_LINE + FOREIGN[what] + b"\r\n\r\n")
        if protocol_of(name) == "fastcgi":
            assert read_all(connection) == b""
        elif protocol_of(name) == "scgi":
            assert connection.read_cgi_response().status == 400
        else:
            assert connection.read_response().status in (400, 501, 505)
            connection.expect_closed()


# -- who may speak


@pytest.fixture(scope="module")
def closed_gateway() -> Iterator[GatewayServer]:
    """Only 127.0.0.1 may speak."""
    names = ("uwsgi", "fastcgi", "scgi", "proxy")
    with running_gateway_server(
        *(part for name in names for part in (f"--{name}-allow-from", "127.0.0.1"))
    ) as running:
        yield running


@pytest.mark.parametrize("name", [name for name in LISTENERS if name != "uwsgi-kept"])
def test_a_peer_that_is_not_listed_is_kept_out(closed_gateway: GatewayServer, name: str) -> None:
    position = closed_gateway.server.error_log.position()
    setting = "proxy_allow_from" if name in PROXIED else f"{name}_allow_from"
    with closed_gateway.connect(name, source="127.0.0.2") as connection:
        send(connection, request(name, variables()))
        assert read_all(connection) == b""
    what = f"closed the connection, which {setting} does not allow"
    closed_gateway.server.error_log.wait_for(rf"\[debug\] \S+: 127\.0\.0\.2: {what}", since=position)
    assert closed_gateway.ask(name).status == 200


def test_plain_http_is_for_everybody(closed_gateway: GatewayServer) -> None:
    with closed_gateway.connect("http", source="127.0.0.2") as connection:
        connection.send(request_bytes("/open"))
        assert connection.read_response().status == 200


# -- the PROXY protocol over time


def crc32c(data: bytes) -> int:
    """Castagnoli's, bit by bit."""
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


def with_checksum(wrong: int = 0) -> bytes:
    """A header of version 2 with its checksum, or one that is wrong by so much."""
    addresses = PROXY_V2[16:]
    start = PROXY_V2[:14] + struct.pack(">H", len(addresses) + 7) + addresses + b"\3\0\4"
    return start + struct.pack(">I", crc32c(start + bytes(4)) ^ wrong)


HEADERS = {"v1": PROXY_LINE, "v2": PROXY_V2, "checksum": with_checksum()}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("name", PROXIED)
def test_a_proxy_header_may_come_byte_by_byte(gateway: GatewayServer, name: str, header: bytes) -> None:
    data = request(name, variables("/bytewise")).removeprefix(PROXY_LINE)
    with gateway.connect(name) as connection:
        connection.send_bytewise(header)
        # The first byte of the request is in the same segment as the last one of the header, or not.
        connection.send(data)
        assert read_response(connection, name).status == 200


@pytest.mark.parametrize("name", PROXIED)
def test_a_wrong_checksum_ends_the_connection(gateway: GatewayServer, name: str) -> None:
    data = request(name, variables("/checksum")).removeprefix(PROXY_LINE)
    position = gateway.server.error_log.position()
    # Another checksum that many know is wrong too.
    zlib_checksum = with_checksum()[:-4] + struct.pack(">I", zlib.crc32(with_checksum()[:-4] + bytes(4)))
    for header in (with_checksum(1), with_checksum(1 << 31), zlib_checksum):
        with gateway.connect(name) as connection:
            send(connection, header + data)
            assert read_all(connection) == b""
    gateway.wait_for_line(name, "the checksum of the PROXY header is wrong", since=position)


def test_a_header_holds_for_its_connection(gateway: GatewayServer) -> None:
    """Later requests have none; another header is no request."""
    with gateway.connect("http-proxy") as connection:
        for number in range(3):
            connection.send(PROXY_LINE * (number == 0) + request_bytes(f"/{number}"))
            environ = json.loads(connection.read_response().body)["environ"]
            assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.9", "41000")
            assert environ["portico.proxy"] == {"destination": "198.51.100.1:443"}
        connection.send(PROXY_LINE + request_bytes("/again"))
        assert connection.read_response().status == 400
        connection.expect_closed()


def test_what_the_variables_say_goes_before_the_header(gateway: GatewayServer) -> None:
    """A reverse proxy behind a load balancer: it knows its own client."""
    with gateway.connect("uwsgi-proxy") as connection:
        connection.send(request("uwsgi-proxy", variables("/both")))
        environ = json.loads(connection.read_response().body)["environ"]
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.7", "50000")


@pytest.mark.parametrize("name", PROXIED)
def test_a_peer_that_only_looks_whether_somebody_is_there_is_no_news(
    gateway: GatewayServer, name: str
) -> None:
    """A health check that closes without a header, and one with LOCAL: no warning, no access line."""
    position = gateway.server.error_log.position()
    gateway.connect(name).close()
    with gateway.connect(name) as connection:
        connection.send(b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0")
        connection.half_close()
        assert read_all(connection) == b""
    assert gateway.ask(name).status == 200
    assert gateway.binds[name] not in gateway.server.error_log.text(position)


# -- uwsgi's own


def test_a_ping_gets_a_pong_and_closes(gateway: GatewayServer) -> None:
    with gateway.connect("uwsgi") as connection:
        connection.send(PING + uwsgi(variables()))
        assert connection.read_to_end() == PONG


def test_a_kept_connection_serves_pings_and_packets_in_turn(gateway: GatewayServer) -> None:
    body = b"b" * 70_000
    with gateway.connect("uwsgi-kept") as connection:
        for number in range(3):
            packet = uwsgi(variables(f"/{number}", "POST", ("CONTENT_LENGTH", str(len(body)))), body)
            connection.send(PING + packet + uwsgi(variables(f"/{number}-next")) + PING)
            assert connection.read_exactly(4) == PONG
            first = json.loads(connection.read_response().body)
            assert (first["environ"]["REQUEST_URI"], len(first["body"])) == (f"/{number}", len(body))
            second = json.loads(connection.read_response().body)
            assert second["environ"]["REQUEST_URI"] == f"/{number}-next"
            assert "CONTENT_LENGTH" not in second["environ"]
            assert connection.read_exactly(4) == PONG
        connection.send(uwsgi(variables("/head", "HEAD")))
        assert connection.read_response("HEAD").framing == "none"
        connection.send(PING)
        assert connection.read_exactly(4) == PONG


def test_a_kept_connection_closes_after_a_response_without_a_length(gateway: GatewayServer) -> None:
    """Only the close tells its end."""
    with gateway.connect("uwsgi-kept") as connection:
        connection.send(uwsgi(variables("/?application=many-blocks&size=100&count=3")) * 2)
        response = connection.read_response()
        assert (response.status, response.framing, len(response.body)) == (200, "close", 300)


def test_a_connection_that_is_not_kept_serves_one_packet(gateway: GatewayServer) -> None:
    with gateway.connect("uwsgi") as connection:
        connection.send(uwsgi(variables("/1")) * 2)
        reported = json.loads(connection.read_response().body)
        assert reported["environ"]["REQUEST_URI"] == "/1"
        connection.expect_closed()


@pytest.mark.parametrize("modifier1", [m for m in range(256) if m not in (0, 30, 100)])
def test_no_other_modifier_is_served(gateway: GatewayServer, modifier1: int) -> None:
    """Whatever it would do in uWSGI; also on a connection that is kept."""
    position = gateway.server.error_log.position()
    with gateway.connect("uwsgi-kept") as connection:
        connection.send(PING)
        assert connection.read_exactly(4) == PONG
        send(connection, uwsgi(variables(), modifier1=modifier1) + PING)
        assert connection.read_response().status == 501
        connection.expect_closed()
    gateway.wait_for_line(
        "uwsgi-kept", f"rejected a packet with modifier1 {modifier1}, modifier2 0", since=position
    )


# -- limits


@pytest.fixture(scope="module")
def small_gateway() -> Iterator[GatewayServer]:
    limits = ["--max-variables", "30", "--max-variables-size", "2000", "--max-request-body", "1000"]
    with running_gateway_server(*limits) as running:
        yield running


LENGTH_BYTES = {"uwsgi": 2, "scgi": 1, "fastcgi": 1}
"""What each name or value of a short variable takes beside itself: a length, or a NUL."""


def filled(name: str, *, count: int = 0, size: int = 0) -> bytes:
    """A request with so many variables, or of so many bytes."""
    given = variables("/limit")
    own = [("CONTENT_LENGTH", "0"), ("SCGI", "1")] if name == "scgi" else []
    given += [(f"A{number}", "") for number in range(count - len(given) - len(own))]
    if size:
        used = sum(2 * LENGTH_BYTES[name] + len(key) + len(value) for key, value in [*own, *given, ("F", "")])
        # Over FastCGI the length of a long value takes four bytes, not one.
        used += 3 if name == "fastcgi" else 0
        given.append(("F", "f" * (size - used)))
    return request(name, given)


def check_bound(gateway: GatewayServer, name: str, data: bytes, status: int, why: str) -> None:
    """Assert the status of the response to `data`, and that the log says `why` it is 431."""
    position = gateway.server.error_log.position()
    with gateway.connect(name) as connection:
        send(connection, data)
        assert read_response(connection, name).status == status
    if status == 431:
        gateway.wait_for_line(name, why, since=position)


@pytest.mark.parametrize("name", GATEWAYS)
@pytest.mark.parametrize(("count", "status"), [(30, 200), (31, 431)], ids=["at", "above"])
def test_the_number_of_variables_is_bounded(
    small_gateway: GatewayServer, name: str, count: int, status: int
) -> None:
    check_bound(small_gateway, name, filled(name, count=count), status, "there are too many variables")


@pytest.mark.parametrize("name", GATEWAYS)
@pytest.mark.parametrize(("size", "status"), [(2000, 200), (2001, 431)], ids=["at", "above"])
def test_the_size_of_variables_is_bounded(
    small_gateway: GatewayServer, name: str, size: int, status: int
) -> None:
    check_bound(small_gateway, name, filled(name, size=size), status, "the variables are too large")


@pytest.mark.parametrize("name", GATEWAYS)
@pytest.mark.parametrize(("size", "status"), [(1000, 200), (1001, 413)], ids=["at", "above"])
def test_the_size_of_a_body_is_bounded(
    small_gateway: GatewayServer, name: str, size: int, status: int
) -> None:
    with small_gateway.connect(name) as connection:
        send(connection, request(name, variables("/body", "POST"), b"b" * size))
        assert read_response(connection, name).status == status


@pytest.mark.parametrize("name", GATEWAYS)
@pytest.mark.parametrize("length", [1001, 1 << 40, (1 << 64) - 1])
def test_a_body_that_is_announced_too_large_is_rejected_at_once(
    small_gateway: GatewayServer, name: str, length: int
) -> None:
    given = variables("/announced", "POST", ("CONTENT_LENGTH", str(length)))
    data = request(name, given)
    with small_gateway.connect(name) as connection:
        # Without the end of the body, which over FastCGI has a record of its own.
        connection.send(data[:-8] if name == "fastcgi" else data)
        assert read_response(connection, name).status == 413


@pytest.mark.parametrize("name", GATEWAYS)
def test_an_error_response_reaches_a_peer_that_goes_on_sending(
    small_gateway: GatewayServer, name: str
) -> None:
    """As reverse proxies do: they send all of a request before they look for a response."""
    given = variables("/large", "POST", ("CONTENT_LENGTH", str(3 * MEBIBYTE)), ("F", "f" * 40_000))
    data = request(name, given, b"b" * 3 * MEBIBYTE)
    with small_gateway.connect(name) as connection:
        for start in range(0, len(data), 30_000):
            connection.send(data[start : start + 30_000])
        assert read_response(connection, name).status == 431


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_body_that_is_truncated_never_reaches_the_application(
    gateway: GatewayServer, key: str, name: str
) -> None:
    position = gateway.server.access_log.position()
    given = variables(f"/?application=records-reading&key={key}", "POST", ("CONTENT_LENGTH", "100"))
    data = request(name, given, b"b" * 100)
    with gateway.connect(name) as connection:
        connection.send(data[:-50])
    line = gateway.server.access_log.wait_for(rf"key={key} HTTP/1\.1\" (\d+) ", since=position)
    assert line[1] == "499"
    assert gateway.server.recorder.events(key) == []


# -- many at a time


def test_a_crowd_of_hostile_connections_takes_little_memory(gateway: GatewayServer) -> None:
    """Hundreds of connections begin something large on each listener, and some break the rules."""
    begun = {
        "uwsgi": struct.pack("<BHB", 0, 0xFFFF, 0) + b"\xff" * 1000,
        "scgi": b"65000:" + b"\xff" * 1000,
        "fastcgi": fastcgi(variables())[:16]
        + struct.pack(">BBHHBB", 1, 4, 1, 0xFFFF, 255, 0)
        + b"\xff" * 1000,
        "http-proxy": PROXY_V2[:14] + b"\x0f\x00" + bytes(1000),
    }
    with ExitStack() as stack, bounded_memory(gateway.server, 32 * MEBIBYTE):
        crowd = []
        for number in range(600):
            name = list(begun)[number % len(begun)]
            connection = stack.enter_context(gateway.connect(name))
            connection.send(begun[name])
            crowd.append(connection)
        gateway.serves_everybody()
        for name in GATEWAYS:
            for _ in range(100):
                with gateway.connect(name) as connection:
                    send(connection, b"\xff" * 64)
        assert all(connection.is_silent(0) for connection in crowd)


# -- Unix sockets


@pytest.mark.parametrize("is_abstract", [False, True], ids=["path", "abstract"])
@pytest.mark.parametrize("name", ["http", *GATEWAYS])
def test_an_application_knows_who_speaks_over_a_unix_socket(
    tmp_path: Path, name: str, is_abstract: bool
) -> None:
    """`portico.peer`, which no variable can forge."""
    address = f"\0portico-{os.getpid()}-{name}" if is_abstract else str(tmp_path / name)
    bind = f"{name}+unix:{address.replace(chr(0), '@')}"
    given = [*variables("/unix"), ("portico.peer", "0"), ("HTTP_PORTICO.PEER", "0")]
    with running_gateway_server("-b", bind, listeners={}), GatewayConnection(address) as connection:
        connection.send(request(name, given))
        environ = json.loads(read_response(connection, name).body)["environ"]
    assert environ["portico.peer"] == [os.getpid(), os.getuid(), os.getgid()]
    assert environ["REMOTE_ADDR"] == ("" if name == "http" else "192.0.2.7")
