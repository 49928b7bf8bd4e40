"""Every deadline: what is late gets a 408 or is closed, what is slow but in time is served.

All clients wait at the same time, on one server with short deadlines (they are kept to within 250 ms): each
is a function here, started by the fixture, and each test looks at the end of one.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import pytest
from support.raw_client import Closed, Connection, request_bytes
from support.server import Server
from support.short_deadlines import LATE_S, REQUEST_S, SHORT_DEADLINES, SOON_S, STEP_S, Ended
from support.sockets import ServerEnd, is_held, server_end, wait_accepted
from support.waiting import wait_until
from support.ways import CALLS_FOLLOW

STALLED_BYTES = 24 << 20
"""More than the kernel's buffers take."""
_FIN_WAIT_1 = 4
"""In enum tcp_state: closed, and not all has been taken."""
KERNEL_BYTES = 512 << 10
"""Less than the kernel takes of one response while nobody reads."""

OPTIONS = [
    *SHORT_DEADLINES,
    *("--body-memory", "64K", "--body-spool", "64K", "--response-spool", "1M", "--response-memory", "64K"),
]


Client = Callable[[Server], Ended]
CLIENTS: dict[str, Client] = {}


def client(function: Client) -> Client:
    CLIENTS[function.__name__] = function
    return function


@pytest.fixture(scope="module")
def slow_server() -> Iterator[Server]:
    with Server("apps.patient:application", threads=8, options=OPTIONS) as running:
        yield running


@pytest.fixture(scope="module")
def ends(slow_server: Server) -> Iterator[Callable[[Client], Ended]]:
    """Starts all clients; gives the end of one."""
    with ThreadPoolExecutor(len(CLIENTS)) as pool:
        futures: dict[str, Future[Ended]] = {
            name: pool.submit(function, slow_server) for name, function in CLIENTS.items()
        }
        yield lambda function: futures[function.__name__].result(30)


def read_to_close(connection: Connection, began_s: float) -> Ended:
    """Read responses until the server closes."""
    statuses: list[int] = []
    with suppress(ConnectionError, Closed):
        while True:
            statuses.append(connection.read_response().status)
    return Ended(statuses, time.monotonic() - began_s)


def drip(connection: Connection, data: bytes, *, began_s: float, piece: int = 1) -> Ended:
    """Send a piece of `data` every tenth of a second until a response or the close comes."""
    for position in range(0, len(data), piece):
        if not connection.is_silent(STEP_S):
            break
        try:
            connection.send(data[position : position + piece])
        except ConnectionError:
            break
    return read_to_close(connection, began_s)


# -- before the first byte, and between requests


@client
def silent(server: Server) -> Ended:
    with server.connect() as connection:
        return read_to_close(connection, time.monotonic())


def test_a_client_that_sends_nothing_is_closed_without_a_response(ends: Callable[[Client], Ended]) -> None:
    end = ends(silent)
    assert (end.statuses, end.is_late()) == ([], True)


@client
def idle(server: Server) -> Ended:
    with server.connect() as connection:
        assert connection.request("/function").status == 200
        return read_to_close(connection, time.monotonic())


def test_an_idle_connection_is_closed_without_a_response(ends: Callable[[Client], Ended]) -> None:
    end = ends(idle)
    assert (end.statuses, end.is_late()) == ([], True)


@client
def busy_for_long(server: Server) -> Ended:
    """A request every tenth of a second for longer than any deadline."""
    with server.connect() as connection:
        began_s = time.monotonic()
        statuses = []
        while time.monotonic() - began_s < REQUEST_S + 1:
            assert connection.is_silent(STEP_S)
            statuses.append(connection.request("/function").status)
        return Ended(sorted(set(statuses)), time.monotonic() - began_s)


def test_a_connection_in_use_is_not_closed(ends: Callable[[Client], Ended]) -> None:
    assert ends(busy_for_long).statuses == [200]


# -- heads


@client
def slow_head(server: Server) -> Ended:
    with server.connect() as connection:
        return drip(connection, request_bytes("/function?" + "x" * 200), began_s=time.monotonic())


def test_a_head_that_comes_byte_by_byte_is_408(ends: Callable[[Client], Ended]) -> None:
    """In absolute time: no byte moves the deadline."""
    end = ends(slow_head)
    assert (end.statuses, end.is_late()) == ([408], True)


@client
def stalled_head(server: Server) -> Ended:
    with server.connect() as connection:
        began_s = time.monotonic()
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Ha")
        return read_to_close(connection, began_s)


def test_a_head_that_stops_is_408(ends: Callable[[Client], Ended]) -> None:
    end = ends(stalled_head)
    assert (end.statuses, end.is_late()) == ([408], True)


@client
def slow_second_head(server: Server) -> Ended:
    with server.connect() as connection:
        assert connection.request("/function").status == 200
        return drip(connection, request_bytes("/function?" + "x" * 200), began_s=time.monotonic())


def test_a_later_head_has_the_same_deadline(ends: Callable[[Client], Ended]) -> None:
    end = ends(slow_second_head)
    assert (end.statuses, end.is_late()) == ([408], True)


@client
def head_after_a_pipelined_request(server: Server) -> Ended:
    """The half head came together with a whole request."""
    with server.connect() as connection:
        began_s = time.monotonic()
        connection.send(request_bytes("/function") + b"GET /half")
        return read_to_close(connection, began_s)


def test_a_head_begun_behind_another_request_is_408(ends: Callable[[Client], Ended]) -> None:
    end = ends(head_after_a_pipelined_request)
    assert (end.statuses, end.is_late()) == ([200, 408], True)


# -- bodies


def body_client(name: str, *, framing: str, start: bytes, rest: bytes, piece: int = 1) -> Client:
    """A client whose body begins with `start` and goes on slowly with `rest`."""

    def run(server: Server) -> Ended:
        with server.connect() as connection:
            began_s = time.monotonic()
            connection.send(request_bytes(f"/records-reading?key={name}", "POST", headers=[framing]) + start)
            if rest:
                return drip(connection, rest, began_s=began_s, piece=piece)
            return read_to_close(connection, began_s)

    run.__name__ = name
    return client(run)


LATE_BODIES = [
    body_client("stalled_body", framing="Content-Length: 100", start=b"x" * 50, rest=b""),
    body_client("absent_body", framing="Content-Length: 100", start=b"", rest=b""),
    body_client("stalled_chunk", framing="Transfer-Encoding: chunked", start=b"5\r\nhel", rest=b""),
    body_client("stalled_chunk_size", framing="Transfer-Encoding: chunked", start=b"5", rest=b""),
    body_client(
        "stalled_trailer", framing="Transfer-Encoding: chunked", start=b"5\r\nhello\r\n0\r\nX: ", rest=b""
    ),
    body_client("slow_body", framing="Content-Length: 1000", start=b"x", rest=b"x" * 999),
    body_client(
        "slow_chunks", framing="Transfer-Encoding: chunked", start=b"", rest=b"1\r\nx\r\n" * 200, piece=6
    ),
    body_client(
        "slow_extension", framing="Transfer-Encoding: chunked", start=b"5;", rest=b"x" * 999, piece=100
    ),
]


@pytest.mark.parametrize("late", LATE_BODIES, ids=[function.__name__ for function in LATE_BODIES])
def test_a_late_body_is_408(slow_server: Server, ends: Callable[[Client], Ended], late: Client) -> None:
    """A byte now and then earns too little time; extensions of chunks earn none."""
    end = ends(late)
    assert (end.statuses, end.is_late()) == ([408], True)
    assert slow_server.recorder.events(late.__name__) == []


@client
def steady_body(server: Server) -> Ended:
    """3000 bytes a second where 1000 are asked for, for twice as long as body_timeout."""
    with server.connect() as connection:
        began_s = time.monotonic()
        connection.send(request_bytes("/counts", "POST", headers=["Content-Length: 3000"]))
        return drip(connection, b"x" * 3000, began_s=began_s, piece=300)


def test_a_body_at_the_rate_asked_for_is_served(ends: Callable[[Client], Ended]) -> None:
    assert ends(steady_body).statuses == [200]


@client
def endless_body(server: Server) -> Ended:
    with server.connect() as connection:
        began_s = time.monotonic()
        connection.send(request_bytes("/counts", "POST", headers=["Content-Length: 60000"]))
        return drip(connection, b"x" * 60_000, began_s=began_s, piece=300)


def test_request_timeout_ends_also_a_steady_body(ends: Callable[[Client], Ended]) -> None:
    end = ends(endless_body)
    assert (end.statuses, end.is_late(REQUEST_S)) == ([408], True)


@client
def stalled_stream(server: Server) -> Ended:
    """A body beyond body_spool: the application is already reading."""
    with server.connect() as connection:
        began_s = time.monotonic()
        head = request_bytes(
            "/records-reading?method=blocks&key=stalled_stream", "POST", headers=["Content-Length: 200000"]
        )
        connection.send(head + b"x" * 150_000)
        return read_to_close(connection, began_s)


def test_a_streamed_body_that_stalls_raises_where_it_is_read(
    slow_server: Server, ends: Callable[[Client], Ended]
) -> None:
    end = ends(stalled_stream)
    assert end.is_late()
    assert end.statuses in ([408], [500])
    events = slow_server.recorder.events("stalled_stream")
    # Where bodies come before the call there was none.
    assert CALLS_FOLLOW or "raised" in events
    assert "complete" not in events


# -- responses


def deaf_client(name: str, target: str) -> Client:
    """A client that asks and reads nothing."""

    def run(server: Server) -> Ended:
        with server.connect(receive_buffer=4096) as connection:
            began_s = time.monotonic()
            connection.ask(f"{target}&key={name}")
            wait_accepted(server, connection)
            wait_until(lambda: not is_held(server, connection), what=f"the end of {name}")
            after_s = time.monotonic() - began_s
            assert server_end(server, connection) is None, "the kernel keeps what the client has not taken"
            assert received_until_reset(connection) < STALLED_BYTES
            return Ended([], after_s)

    run.__name__ = name
    return client(run)


def received_until_reset(connection: Connection) -> int:
    """How many bytes still come; their end has to be a reset, which nobody takes for the end of a
    response."""
    received = 0
    try:
        while block := connection.socket.recv(1 << 20):
            received += len(block)
    except ConnectionResetError:
        return received
    raise AssertionError("an end that looks like any other")


DEAF = [
    deaf_client("deaf_to_one_block", f"/one-block?mebibytes={STALLED_BYTES >> 20}"),
    deaf_client("deaf_to_blocks", f"/counted-blocks?count={STALLED_BYTES >> 16}"),
    deaf_client("deaf_to_chunks", f"/many-blocks?size=65536&count={STALLED_BYTES >> 16}"),
    deaf_client("deaf_to_small_chunks", f"/many-blocks?size=1000&count={STALLED_BYTES // 1000}"),
    deaf_client("deaf_to_a_file", f"/real-file?size={STALLED_BYTES >> 20}"),
]


@pytest.mark.parametrize("deaf", DEAF, ids=[function.__name__ for function in DEAF])
def test_a_client_that_takes_nothing_is_aborted(ends: Callable[[Client], Ended], deaf: Client) -> None:
    assert ends(deaf).is_late()


def test_an_application_is_closed_when_its_reader_is_aborted(
    slow_server: Server, ends: Callable[[Client], Ended]
) -> None:
    ends(DEAF[1])
    events = slow_server.recorder.wait_for("deaf_to_blocks", "close")
    assert events.count("block") < STALLED_BYTES >> 16


@client
def trickling_reader(server: Server) -> Ended:
    """Takes less than min_response_rate, but never nothing."""
    with server.connect(receive_buffer=4096) as connection:
        began_s = time.monotonic()
        connection.ask(f"/one-block?mebibytes={STALLED_BYTES >> 20}")
        wait_accepted(server, connection)
        while is_held(server, connection) and time.monotonic() - began_s < SOON_S + 2:
            connection.socket.recv(20)
            time.sleep(STEP_S / 2)
        return Ended([], time.monotonic() - began_s)


def test_a_reader_below_the_rate_is_aborted(ends: Callable[[Client], Ended]) -> None:
    end = ends(trickling_reader)
    assert LATE_S * 0.9 <= end.after_s < SOON_S


@client
def steady_reader(server: Server) -> Ended:
    """Slow, yet above the rate, for longer than write_timeout."""
    with server.connect(receive_buffer=65536) as connection:
        began_s = time.monotonic()
        connection.ask(f"/one-block?mebibytes={STALLED_BYTES >> 20}")
        status = connection.read_head().status
        for _ in range(24):
            time.sleep(STEP_S)
            connection.read_exactly(STALLED_BYTES // 24)
        return Ended([status], time.monotonic() - began_s)


def test_a_reader_above_the_rate_gets_everything(ends: Callable[[Client], Ended]) -> None:
    assert ends(steady_reader).statuses == [200]


# -- slow applications are nobody's fault


def gated_client(name: str, request: bytes, gates: int, ended: tuple[int, bytes]) -> Client:
    """A client whose application waits `gates` times, each longer than any deadline of the client's."""

    def run(server: Server) -> Ended:
        with server.connect() as connection:
            began_s = time.monotonic()
            connection.send(request)
            for number in range(gates):
                time.sleep(LATE_S * 2)
                server.recorder.open_gate(name, number)
            response = connection.read_response()
            assert (response.status, response.body) == ended
            return Ended([response.status], time.monotonic() - began_s)

    run.__name__ = name
    return client(run)


STREAMED = b"x" * 1_000_000
GATED = [
    gated_client("long_call", request_bytes("/waits?key=long_call"), 1, (200, b"waited")),
    gated_client("slow_blocks", request_bytes("/gated?key=slow_blocks&count=2"), 2, (200, b"block 0block 1")),
    gated_client(
        "slow_to_read",
        request_bytes("/digest-after-gate?key=slow_to_read", "POST", body=STREAMED),
        1,
        (200, f"{len(STREAMED)} {hashlib.sha1(STREAMED, usedforsecurity=False).hexdigest()}".encode()),
    ),
]


@pytest.mark.parametrize("gated", GATED, ids=[function.__name__ for function in GATED])
def test_a_slow_application_makes_no_client_late(ends: Callable[[Client], Ended], gated: Client) -> None:
    """A long call, long pauses between blocks, and a streamed body that is not read for long."""
    assert ends(gated).statuses == [200]


# -- after the last response


def lingering_client(name: str, request: bytes, status: int) -> Client:
    """Gets a last response, and neither closes nor stops sending."""

    def run(server: Server) -> Ended:
        with server.connect() as connection:
            connection.send(request)
            began_s = time.monotonic()
            assert connection.read_response().status == status
            assert connection.read_to_end() == b""
            while is_held(server, connection):
                with suppress(ConnectionError):
                    connection.send(b"x")
                time.sleep(STEP_S / 2)
                assert time.monotonic() - began_s < LATE_S + SOON_S
            return Ended([status], time.monotonic() - began_s)

    run.__name__ = name
    return client(run)


LINGERING = [
    lingering_client("lingers_after_close", request_bytes("/function", headers=["Connection: close"]), 200),
    lingering_client("lingers_after_error_response", b"GET / HTTP/1.1\r\n\r\n", 400),
    lingering_client(
        "lingers_after_413", request_bytes("/echo", "POST", headers=["Content-Length: 99999999999"]), 413
    ),
]


@pytest.mark.parametrize("lingering", LINGERING, ids=[function.__name__ for function in LINGERING])
def test_a_client_that_does_not_leave_is_aborted(ends: Callable[[Client], Ended], lingering: Client) -> None:
    end = ends(lingering)
    assert end.after_s < LATE_S + SOON_S


@client
def vanished(server: Server) -> Ended:
    """Asks for a response that the kernel takes whole, for the close after it, and reads nothing."""
    with server.connect(receive_buffer=4096) as connection:
        began_s = time.monotonic()
        target = f"/many-blocks?size={KERNEL_BYTES // 8}&count=8"
        connection.ask(target, headers=["Connection: close"])
        closed = ServerEnd(_FIN_WAIT_1, is_held=False)
        wait_until(lambda: server_end(server, connection) == closed, what="the server to close")
        wait_until(lambda: server_end(server, connection) is None, what="the kernel to give up")
        return Ended([], time.monotonic() - began_s)


def test_what_a_vanished_client_has_not_taken_is_given_up_after_the_close(
    ends: Callable[[Client], Ended],
) -> None:
    """The kernel alone would try for minutes, and nobody is left to tell it (TCP_USER_TIMEOUT)."""
    assert ends(vanished).is_late()


def test_others_are_served_all_the_time(slow_server: Server, ends: Callable[[Client], Ended]) -> None:
    assert ends(busy_for_long).after_s < REQUEST_S + 2
    with slow_server.connect() as connection:
        assert connection.request("/function").body == b"function"
