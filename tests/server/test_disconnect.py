"""An application learns that its client has left, while it works for it and only then."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.raw_client import Connection, request_bytes
from support.server import Server
from support.waiting import wait_until
from support.ways import bodies_in_calls

LEAVE = {"reset": Connection.reset, "close": Connection.close, "half-close": Connection.half_close}
leaving = pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE)
Leave = Callable[[Connection], None]

closing = pytest.mark.parametrize("headers", [[], ["Connection: close"]], ids=["kept", "closed"])


def wait_for_disconnect_watcher(server: Server, key: str) -> None:
    """Wait until the disconnect watcher has made all calls that are due: it makes another one after them."""
    with server.connect() as connection:
        connection.ask(f"/registers?key={key}-other")
        server.recorder.wait_for(f"{key}-other", "inside")
    server.recorder.wait_for(f"{key}-other", "called 0")
    server.recorder.open_gate(f"{key}-other")


@leaving
@closing
def test_disconnected_tells_when_the_client_has_left(
    server: Server, key: str, leave: Leave, headers: list[str]
) -> None:
    with server.connect() as connection:
        connection.ask(f"/asks-disconnected?key={key}", headers=headers)
        server.recorder.wait_for(key, "inside False")
        leave(connection)
        assert server.recorder.wait_for(key, "outside True") == ["inside False", "outside True"]


@leaving
@closing
def test_a_callback_is_called_while_the_application_waits(
    server: Server, key: str, leave: Leave, headers: list[str]
) -> None:
    with server.connect() as connection:
        connection.ask(f"/registers?key={key}", headers=headers)
        server.recorder.wait_for(key, "inside")
        leave(connection)
        server.recorder.wait_for(key, "called 0")
        server.recorder.open_gate(key)
        assert server.recorder.wait_for(key, "responds") == ["inside", "called 0", "responds"]


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(request_bytes("/function"), id="second"),
        pytest.param(request_bytes("/echo", "POST", body=b"x" * 300_000), id="after-a-long-body"),
        pytest.param(b"", id="first"),
    ],
)
@pytest.mark.parametrize(
    "after", [b"", request_bytes("/function"), b"GET /fun"], ids=["alone", "pipelined", "part"]
)
def test_a_callback_belongs_to_its_own_request(server: Server, key: str, before: bytes, after: bytes) -> None:
    with server.connect() as connection:
        if before:
            connection.send(before)
            assert connection.read_response().status == 200
        connection.send(request_bytes(f"/registers?key={key}") + after)
        server.recorder.wait_for(key, "inside")
        assert server.recorder.events(key) == ["inside"]
    server.recorder.wait_for(key, "called 0")
    server.recorder.open_gate(key)
    assert server.recorder.wait_for(key, "responds") == ["inside", "called 0", "responds"]


@bodies_in_calls
def test_a_callback_is_called_while_a_streamed_body_is_read(key: str) -> None:
    """The client leaves in the middle of a body that the application waits for."""
    options = ["--body-memory", "1K", "--body-spool", "10K"]
    with Server(options=options) as server, server.connect() as connection:
        connection.send(request_bytes(f"/registers?key={key}", "POST", headers=["Content-Length: 99999"]))
        connection.send(b"x" * 20_000)
        server.recorder.wait_for(key, "inside")
        connection.close()
        server.recorder.wait_for(key, "called 0")
        server.recorder.open_gate(key)


@pytest.mark.parametrize("leave", [Connection.reset, Connection.close], ids=["reset", "close"])
def test_a_callback_is_called_while_blocks_are_sent(server: Server, key: str, leave: Leave) -> None:
    """Even where a write finds out first that nobody is there any more."""
    for number in range(10):
        with server.connect() as connection:
            connection.ask(f"/registers-and-streams?key={key}-{number}")
            assert connection.read_head().status == 200
            leave(connection)
        assert server.recorder.wait_for(f"{key}-{number}", "called 0") == ["called 0"]


def test_each_callback_is_called_once_in_order(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/registers?count=5&key={key}")
        server.recorder.wait_for(key, "inside")
    server.recorder.wait_for(key, "called 4")
    server.recorder.open_gate(key)
    server.recorder.wait_for(key, "responds")
    wait_for_disconnect_watcher(server, key)
    assert server.recorder.events(key) == ["inside", *(f"called {number}" for number in range(5)), "responds"]


@pytest.mark.parametrize("twice", ["", "1"], ids=["first", "second"])
def test_a_callback_is_called_at_once_when_the_client_is_gone(server: Server, key: str, twice: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/registers-late?twice={twice}&key={key}")
        server.recorder.wait_for(key, "inside")
    events = server.recorder.wait_for(key, "called late")
    assert events == ["inside", *(["called 0"] if twice else []), "called late"]
    server.recorder.open_gate(key)


def test_a_callback_may_use_both_callables(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/registers-while-called?key={key}")
        server.recorder.wait_for(key, "inside")
    assert server.recorder.wait_for(key, "second") == ["inside", "first True", "second"]
    server.recorder.open_gate(key)


def test_a_callback_that_raises_is_logged_and_the_next_is_called(server: Server, key: str) -> None:
    position = server.error_log.position()
    with server.connect() as connection:
        connection.ask(f"/raises-when-called?key={key}")
        server.recorder.wait_for(key, "inside")
    server.recorder.wait_for(key, "called 0")
    server.recorder.open_gate(key)
    server.error_log.wait_for(f"ArithmeticError: raised for {key}", since=position)
    log = server.error_log.text(position)
    assert "a portico.on_disconnect callback of the application apps.conformance:application failed" in log
    assert "Traceback" in log


@pytest.mark.parametrize("how", ["list", "iterator", "write", "blocks"])
@closing
def test_nothing_is_called_when_the_client_leaves_with_its_response(
    server: Server, key: str, how: str, headers: list[str]
) -> None:
    """Clients go away as soon as they have all; some applications still have something to do then."""
    keys = [f"{key}-{number}" for number in range(20 if how in {"list", "iterator"} else 3)]
    for each in keys:
        with server.connect() as connection:
            connection.ask(f"/registers-and-responds?how={how}&key={each}", headers=headers)
            response = connection.read_response() if how != "blocks" else None
            if response is None:
                assert connection.read_head().get("Content-Length") == "9"
                assert connection.read_exactly(9) == b"responded"
            else:
                assert response.body == b"responded"
        server.recorder.open_gate(each)
        if how in {"write", "blocks"}:
            server.recorder.wait_for(each, "end")
    wait_for_disconnect_watcher(server, key)
    expected = ["end"] if how in {"write", "blocks"} else []
    assert [server.recorder.events(each) for each in keys] == [expected] * len(keys)


def test_after_the_request_the_callables_know_nothing(server: Server, key: str) -> None:
    with server.connect() as connection:
        for _ in range(3):
            assert connection.request(f"/keeps-callables?key={key}").status == 200
            disconnected, error, is_own, own = json.loads(
                connection.request(f"/uses-kept-callables?key={key}").body
            )
            assert (disconnected, is_own, own) == (False, True, False)
            assert error == "portico.on_disconnect was called after the response was complete"
    wait_for_disconnect_watcher(server, key)
    assert server.recorder.events(key) == []


def test_what_cannot_be_called_is_rejected(server: Server) -> None:
    with server.connect() as connection:
        responses = json.loads(connection.request("/registers-nothing").body)
    assert responses == [
        f"portico.on_disconnect: expected a callable, got {name}" for name in ("NoneType", "int", "str")
    ]


@pytest.mark.parametrize("threads", [1, 8])
@leaving
def test_on_a_unix_socket(tmp_path: Path, key: str, threads: int, leave: Leave) -> None:
    with Server(threads=threads, bind=f"unix:{tmp_path / 'portico.sock'}") as server:
        with server.connect() as connection:
            connection.ask(f"/asks-disconnected?key={key}")
            server.recorder.wait_for(key, "inside False")
            leave(connection)
            server.recorder.wait_for(key, "outside True")
        with server.connect() as connection:
            connection.ask(f"/registers?key={key}")
            server.recorder.wait_for(key, "inside")
            leave(connection)
            server.recorder.wait_for(key, "called 0")
        server.recorder.open_gate(key)


def test_many_clients_that_leave(server: Server, key: str) -> None:
    """No descriptor stays behind, and every callback is called."""
    wait_for_disconnect_watcher(server, key)
    before = server.descriptor_count()
    for number in range(100):
        with server.connect() as connection:
            connection.ask(f"/registers?key={key}-{number}")
            server.recorder.wait_for(f"{key}-{number}", "inside")
        server.recorder.wait_for(f"{key}-{number}", "called 0")
        server.recorder.open_gate(f"{key}-{number}")
    wait_until(lambda: server.descriptor_count() <= before, what="the descriptors to be closed")


@pytest.mark.parametrize("threads", [1, 8])
def test_a_client_leaves_while_its_worker_stops(key: str, threads: int) -> None:
    with Server(threads=threads) as server, server.connect() as connection:
        connection.ask(f"/registers?key={key}")
        server.recorder.wait_for(key, "inside")
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: is_refused(server), what="the server to take no more connections")
        connection.close()
        server.recorder.wait_for(key, "called 0")
        server.recorder.open_gate(key)


def is_refused(server: Server) -> bool:
    try:
        server.connect().close()
    except ConnectionError as error:
        # A reset is a connection that nobody has accepted before the socket was closed.
        return isinstance(error, ConnectionRefusedError)
    return False


@pytest.mark.parametrize("threads", [1, 8])
def test_a_worker_stops_although_a_callback_hangs(key: str, threads: int) -> None:
    with Server(threads=threads) as server:
        with server.connect() as connection:
            connection.ask(f"/waits-when-called?key={key}")
            server.recorder.wait_for(key, "inside")
        server.recorder.wait_for(key, "called")
        server.recorder.open_gate(key)
    assert "Fatal" not in server.final_log


def test_a_callback_that_hangs_holds_nobody_else(server: Server, key: str) -> None:
    """Others are served meanwhile; only further callbacks wait."""
    with server.connect() as connection:
        connection.ask(f"/waits-when-called?key={key}")
        server.recorder.wait_for(key, "inside")
    server.recorder.wait_for(key, "called")
    server.recorder.open_gate(key)
    with server.connect() as connection:
        for _ in range(5):
            assert connection.request("/function").body == b"function"
    server.recorder.open_gate(key, 1)
    wait_for_disconnect_watcher(server, key)


# -- while the application sends


SENT_BYTES = 8 << 20
"""More than the kernel takes while nobody reads."""


@pytest.fixture(scope="module", params=[1, 8], ids=["1-thread", "8-threads"])
def sending(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Keeps little for slow readers: the application waits for them."""
    options = ["--response-memory", "64K", "--response-spool", "64K"]
    with Server(threads=request.param, options=options) as running:
        yield running


LATE = "portico.on_disconnect was called after the response was complete"

sends = pytest.mark.parametrize(
    "how", [f"how={how}&count={count}" for how in ("blocks", "write") for count in (1, 128)]
)


def hold_up(server: Server, connection: Connection, key: str, how: str) -> None:
    """Let the application send to a client that does not read, and its other thread register a callback."""
    size = SENT_BYTES // int(how.rpartition("=")[2])
    connection.ask(f"/asks-while-sending?key={key}&{how}&size={size}")
    assert connection.read_head().status == 200
    server.recorder.open_gate(key, 0)
    assert server.recorder.wait_for(key, "registered") == ["asked False", "registered"]


@pytest.mark.parametrize("leave", [Connection.reset, Connection.half_close], ids=["reset", "half-close"])
@sends
def test_another_thread_hears_of_a_client_that_leaves_during_a_send(
    sending: Server, key: str, how: str, leave: Leave
) -> None:
    with sending.connect(receive_buffer=4096) as connection:
        hold_up(sending, connection, key, how)
        leave(connection)
        sending.recorder.wait_for(key, "called")
        if leave is Connection.half_close:
            # It still holds the other thread up, and may yet read all.
            sending.recorder.open_gate(key, 1)
            sending.recorder.wait_for(key, "asked once more True")
            assert sum(map(len, connection.read_chunks())) == SENT_BYTES
    # The last that is done for a request is its line.
    sending.access_log.wait_for(key)
    sending.recorder.open_gate(key, 1)
    sending.recorder.open_gate(key, 2)
    events = sending.recorder.wait_for(key, LATE)
    assert events.count("called") == 1
    assert "called late" not in events


@sends
def test_another_thread_is_too_late_after_the_response(sending: Server, key: str, how: str) -> None:
    """The client has read all, and stays."""
    with sending.connect(receive_buffer=65536) as connection:
        hold_up(sending, connection, key, how)
        assert sum(map(len, connection.read_chunks())) == SENT_BYTES
        sending.recorder.open_gate(key, 1)
        sending.recorder.open_gate(key, 2)
        sending.recorder.wait_for(key, LATE)
    wait_for_disconnect_watcher(sending, key)
    assert sending.recorder.events(key) == [
        "asked False",
        "registered",
        "close",
        "asked once more False",
        LATE,
    ]
