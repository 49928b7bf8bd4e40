"""How many connections, of how many clients, and how many requests on each: at the limit and one above."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.raw_client import Connection, request_bytes
from support.server import Server
from support.waiting import wait_until

ROW = 5
"""How many requests one connection may bring, and how many in a row without waiting."""
MANY = 6
"""How many connections may be open."""


class ConnectionFrom(Connection):
    """A connection whose client has one of the many addresses of this machine."""

    def __init__(self, address: tuple[str, int] | str, source: str) -> None:
        assert isinstance(address, tuple)
        self.socket = socket.create_connection(address, 10.0, source_address=(source, 0))
        self._buffer = bytearray()


def is_served(connection: Connection) -> bool:
    return connection.request("/function").body == b"function"


# -- requests of one connection


@pytest.fixture(scope="module")
def few_requests() -> Iterator[Server]:
    with Server(options=["--max-requests-per-connection", str(ROW)]) as running:
        yield running


@pytest.mark.parametrize("pipelined", [False, True], ids=["one by one", "pipelined"])
def test_the_last_request_of_a_connection_is_served_with_close(
    few_requests: Server, key: str, pipelined: bool
) -> None:
    with few_requests.connect() as connection:
        if pipelined:
            connection.send(request_bytes(f"/ignores-input?key={key}") * (ROW + 1))
        said = []
        for _ in range(ROW):
            if not pipelined:
                connection.ask(f"/ignores-input?key={key}")
            said.append(connection.read_response().get("Connection"))
        assert [value for value in said if value] == ["close"]
        assert said[-1] == "close"
        connection.expect_closed()
    assert few_requests.recorder.events(key) == ["called"] * ROW


def test_health_checks_count_as_requests_of_a_connection() -> None:
    """Else a client could keep one connection for ever."""
    options = ["--max-requests-per-connection", str(ROW), "--health-path", "/healthz"]
    with Server(options=options) as server, server.connect() as connection:
        said = [connection.request("/healthz").get("Connection") for _ in range(ROW)]
        assert [value == "close" for value in said] == [False] * (ROW - 1) + [True]
        connection.expect_closed()


@pytest.fixture(scope="module")
def short_pipeline() -> Iterator[Server]:
    with Server(options=["--max-pipelined", str(ROW)]) as running:
        yield running


def test_a_row_of_pipelined_requests_ends_with_close(short_pipeline: Server, key: str) -> None:
    with short_pipeline.connect() as connection:
        connection.send(request_bytes(f"/ignores-input?key={key}") * (ROW + 1))
        said = [connection.read_response().get("Connection") for _ in range(ROW)]
        assert [value == "close" for value in said] == [False] * (ROW - 1) + [True]
        connection.expect_closed()
    assert short_pipeline.recorder.events(key) == ["called"] * ROW


def test_rows_begin_anew_when_the_client_waits(short_pipeline: Server) -> None:
    with short_pipeline.connect() as connection:
        for _ in range(4):
            connection.send(request_bytes("/function") * (ROW - 1))
            for _ in range(ROW - 1):
                assert connection.read_response().get("Connection") in (None, "keep-alive")
        assert is_served(connection)


def test_requests_that_wait_for_the_response_before_are_no_row(short_pipeline: Server) -> None:
    with short_pipeline.connect() as connection:
        for _ in range(ROW * 4):
            assert connection.request("/function").get("Connection") in (None, "keep-alive")


def test_0_is_no_limit() -> None:
    options = ["--max-pipelined", "0", "--max-requests-per-connection", "0"]
    with Server(options=options) as server, server.connect() as connection:
        connection.send(request_bytes("/function") * 1500)
        for _ in range(1500):
            assert connection.read_response().get("Connection") in (None, "keep-alive")


# -- connections of one worker


@pytest.fixture
def few_connections() -> Iterator[Server]:
    with Server(options=["--max-connections", str(MANY), "--health-path", "/healthz"]) as running:
        yield running


def test_the_connection_that_is_idle_the_longest_makes_room_for_a_new_one(few_connections: Server) -> None:
    """It is the one nearest to its deadline."""
    with ExitStack() as stack:
        crowd = [stack.enter_context(few_connections.connect()) for _ in range(MANY)]
        assert all(is_served(connection) for connection in crowd)
        # At the limit nothing is closed; the others are used again a little later than the first.
        assert crowd[0].is_silent(0.1)
        assert all(is_served(connection) for connection in crowd[1:])
        newcomer = stack.enter_context(few_connections.connect())
        assert is_served(newcomer)
        crowd[0].expect_closed()
        assert all(is_served(connection) for connection in [*crowd[1:], newcomer])


def test_a_new_connection_waits_where_all_others_are_busy(few_connections: Server, key: str) -> None:
    with ExitStack() as stack:
        busy = [stack.enter_context(few_connections.connect()) for _ in range(MANY)]
        for connection in busy:
            connection.ask(f"/waits?key={key}")
        few_connections.recorder.wait_for(key, "inside")
        newcomer = stack.enter_context(few_connections.connect())
        # It would be served without a thread, if it were let in.
        newcomer.ask("/healthz")
        assert newcomer.is_silent(0.4)
        few_connections.recorder.open_gate(key)
        assert [connection.read_response().body for connection in busy] == [b"waited"] * MANY
        assert newcomer.read_response().body == b"ok\n"


def test_many_more_than_the_limit_are_served_in_the_end(few_connections: Server) -> None:
    with ExitStack() as stack:
        crowd = [stack.enter_context(few_connections.connect()) for _ in range(MANY * 5)]
        for connection in crowd:
            connection.send(request_bytes("/function", headers=["Connection: close"]))
        assert [connection.read_response().body for connection in crowd] == [b"function"] * len(crowd)
    assert few_connections.error_log.text().count("max_connections is reached") <= 1


# -- connections of one client


@pytest.mark.parametrize("per_address", [1, 3])
def test_one_address_has_its_own_limit(per_address: int) -> None:
    options = ["--max-connections-per-address", str(per_address), "--forwarded-allow-ips", "192.0.2.1"]
    with Server(options=options) as server, ExitStack() as stack:

        def connect(source: str) -> Connection:
            return stack.enter_context(ConnectionFrom(server.address, source))

        mine = [connect("127.0.0.2") for _ in range(per_address)]
        assert all(is_served(connection) for connection in mine)
        assert not serving(connect("127.0.0.2"))
        assert is_served(connect("127.0.0.3"))
        # One that ends makes room for another.
        mine.pop().close()
        replacement = wait_until(lambda: serving(connect("127.0.0.2")), what="a place of that address")
        assert replacement
        mine.append(replacement)
        assert not serving(connect("127.0.0.2"))
        assert all(is_served(connection) for connection in mine)


def serving(connection: Connection) -> Connection | None:
    """The connection if it is served, None if it was closed at once."""
    try:
        return connection if is_served(connection) else None
    except (AssertionError, ConnectionError):
        return None


def test_trusted_peers_and_unix_sockets_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "portico.sock"
    options = [
        *("--max-connections-per-address", "1", "-b", f"unix:{path}"),
        *("--forwarded-allow-ips", "127.0.0.4", "--forwarded-allow-ips", "127.1.0.0/16"),
    ]
    with Server(options=options) as server, ExitStack() as stack:
        for source in ["127.0.0.4", "127.1.2.3"]:
            trusted = [stack.enter_context(ConnectionFrom(server.address, source)) for _ in range(4)]
            assert all(is_served(connection) for connection in trusted)
        local = [stack.enter_context(Connection(str(path))) for _ in range(4)]
        assert all(is_served(connection) for connection in local)
        stranger = [stack.enter_context(ConnectionFrom(server.address, "127.0.0.5")) for _ in range(2)]
        assert is_served(stranger[0])
        assert not serving(stranger[1])
