"""Web sockets as WSGI applications do them: with the libraries that people use, and by hand."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from portico.ctl.connection import ask
from support.gateway import GatewayConnection, uwsgi, variables
from support.raw_client import Connection, request_bytes
from support.server import TESTS, Server
from support.waiting import wait_until
from support.ways import not_for
from websockets.exceptions import ConnectionClosed, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import ClientConnection, connect

# Each test names the ways that it is for.
pytestmark = not_for("gevent", "asyncio", "tornado", reason="the way is said by each test")
APPLICATION = "apps.web_sockets:application"
UPGRADE = ("Connection: keep-alive, Upgrade", "Upgrade: websocket")
THREADS = 8
WAYS = ("threads", "gevent")
"""Where a call may last as long as its client wants."""
LARGE = 3_000_000
MANY = 30_000_000
"""More than all buffers on the way take."""
FORMAT = "%(path) %(status) up %(request_bytes) down %(body_bytes) head %(head_bytes) %(response.x-by)"
HEAD_BYTES = 89
TIMEOUT_S = 1.0
PATIENCE_S = 10


@pytest.fixture(scope="module", params=WAYS)
def served(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One worker, in which no call may keep its client waiting for longer than a second."""
    options = (
        *("--timeout", str(TIMEOUT_S), "--slow-after", "0.5", "--access-log-format", FORMAT),
        *("--worker", request.param),
    )
    with Server(APPLICATION, threads=THREADS, options=options) as running:
        yield running
    for unwanted in ("panicked", "is illegal in", "RequestTimeout", "has kept its client waiting", "cannot"):
        assert unwanted not in running.final_log, running.final_log


def web_socket(server: Server, path: str) -> ClientConnection:
    return connect(f"ws://127.0.0.1:{server.port}{path}", max_size=None, open_timeout=PATIENCE_S)


def ask_for_upgrade(connection: Connection, path: str, after: bytes = b"") -> None:
    """Send a request for an upgrade, together with `after`."""
    connection.send(request_bytes(path, headers=UPGRADE) + after)


def upgrade(server: Server, path: str, after: bytes = b"") -> Connection:
    """A connection that speaks another protocol by now."""
    connection = server.connect()
    ask_for_upgrade(connection, path, after)
    head = connection.read_head()
    assert (head.status, head.get("X-By")) == (101, "hand")
    return connection


# --- Libraries


@pytest.mark.parametrize(
    "message",
    ["hello", "", "\u2603" * 1000, b"\0\xff", "x" * LARGE, b"x" * LARGE],
    ids=["text", "empty", "not-ascii", "binary", "large-text", "large-binary"],
)
def test_flask_sock_echoes(served: Server, message: str | bytes) -> None:
    with web_socket(served, "/echo") as client:
        for _ in range(3):
            client.send(message)
            assert client.recv(PATIENCE_S) == message


def test_a_view_that_returns_closes_in_peace(served: Server) -> None:
    with web_socket(served, "/echo") as client:
        client.send("bye")
        with pytest.raises(ConnectionClosedOK):
            client.recv(PATIENCE_S)


def test_a_ping_of_the_client_gets_its_pong(served: Server) -> None:
    with web_socket(served, "/echo") as client:
        assert client.ping().wait(PATIENCE_S)


def test_pings_of_the_application_keep_a_silent_web_socket(served: Server) -> None:
    """simple-websocket waits with a selector then."""
    with web_socket(served, "/pinging") as client:
        assert client.recv(PATIENCE_S) == "all pings answered"


def test_a_view_that_fails_is_the_frameworks_affair(served: Server) -> None:
    position = served.error_log.position()
    with web_socket(served, "/fails") as client:
        assert client.recv(PATIENCE_S) == "soon"
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE_S)
    served.access_log.wait_for("/fails 101")
    assert "the view has failed" in served.error_log.text(position)
    assert "the application" not in served.error_log.text(position)


def test_views_beside_are_ordinary(served: Server) -> None:
    assert httpx.get(f"{served.url}/plain").text == "plain"
    with pytest.raises(InvalidStatus, match="404"):
        web_socket(served, "/nowhere")


@pytest.fixture(scope="module", params=WAYS)
def socket_io(request: pytest.FixtureRequest) -> Iterator[Server]:
    options = ("--timeout", str(TIMEOUT_S), "--worker", request.param)
    with Server("apps.socket_io:app", threads=THREADS, options=options) as running:
        yield running
    assert "Traceback" not in running.final_log


def test_socket_io(socket_io: Server) -> None:
    with web_socket(socket_io, "/socket.io/?EIO=4&transport=websocket") as client:
        assert json.loads(str(client.recv(PATIENCE_S))[1:])["upgrades"] == []
        converse(client)


def test_socket_io_begins_with_polling(socket_io: Server) -> None:
    """As its clients do: a request or two, and then a web socket of the same session."""
    polling = httpx.get(f"{socket_io.url}/socket.io/?EIO=4&transport=polling").text
    session = json.loads(polling[1:])
    assert session["upgrades"] == ["websocket"]
    path = f"/socket.io/?EIO=4&transport=websocket&sid={session['sid']}"
    with web_socket(socket_io, path) as client:
        client.send("2probe")
        assert client.recv(PATIENCE_S) == "3probe"
        client.send("5")
        assert client.recv(PATIENCE_S) == "6"
        converse(client)


def converse(client: ClientConnection) -> None:
    client.send("40")
    assert str(client.recv(PATIENCE_S)).startswith("40{")
    for number in range(3):
        client.send(f'42["message","{number}"]')
        assert client.recv(PATIENCE_S) == f'42["message","{number}"]'


@pytest.mark.parametrize("way", WAYS)
def test_the_example(way: str) -> None:
    environment = {"PYTHONPATH": str(TESTS.parent / "examples")}
    options = ("--graceful-timeout", "10", "--worker", way)
    server = Server("web_socket:app", threads=4, options=options, environment=environment)
    with server, web_socket(server, "/talk") as client:
        assert 'new WebSocket(location.href.replace(/^http/, "ws") + "talk")' in httpx.get(server.url).text
        assert json.loads(client.recv(PATIENCE_S))["heard"] is None
        client.send("hello")
        assert json.loads(client.recv(PATIENCE_S))["heard"] == "hello"
        os.kill(server.pid, signal.SIGTERM)
        with pytest.raises(ConnectionClosedOK):
            list(iter(lambda: client.recv(PATIENCE_S), None))
    assert "aborted" not in server.final_log


# --- The socket


def test_it_is_a_socket_as_the_way_to_execute_has_it(served: Server, request: pytest.FixtureRequest) -> None:
    with upgrade(served, "/kinds") as connection:
        said = connection.read_to_end().decode()
    module = "gevent._socket3" if request.node.callspec.params["served"] == "gevent" else "socket"
    assert said == repr(("socket", module, "AF_UNIX", None, True))


@pytest.mark.parametrize(
    ("headers", "version", "keys"),
    [
        (UPGRADE, "HTTP/1.1", b"gunicorn.socket,werkzeug.socket"),
        (("Connection: upgrade", "Upgrade: h2c, WebSocket"), "HTTP/1.1", b"gunicorn.socket,werkzeug.socket"),
        ((*UPGRADE, "Content-Length: 0"), "HTTP/1.1", b"gunicorn.socket,werkzeug.socket"),
        ((), "HTTP/1.1", b""),
        (UPGRADE[1:], "HTTP/1.1", b""),
        (UPGRADE[:1], "HTTP/1.1", b""),
        (("Connection: Upgrade", "Upgrade: h2c"), "HTTP/1.1", b""),
        (("Connection: Upgrade, close", "Upgrade: websocket"), "HTTP/1.1", b""),
        (UPGRADE, "HTTP/1.0", b""),
    ],
    ids=[
        *("asked", "among-others", "length-0", "plain", "no-connection", "no-upgrade", "h2c"),
        *("and-close", "http-1.0"),
    ],
)
def test_who_has_it(served: Server, headers: tuple[str, ...], version: str, keys: bytes) -> None:
    with served.connect() as connection:
        assert connection.request("/keys", headers=headers, version=version).body == keys


def test_a_request_with_a_body_has_none(served: Server) -> None:
    with served.connect() as connection:
        for method in ("GET", "POST"):
            response = connection.request("/keys", method=method, headers=UPGRADE, body=b"a body")
            assert response.body == b""
        assert connection.request("/keys", method="POST", headers=UPGRADE).body == b""


def test_variables_of_a_reverse_proxy_have_none(tmp_path: Path) -> None:
    path = str(tmp_path / "u.sock")
    with Server(APPLICATION, options=["-b", f"uwsgi+unix:{path}"]), GatewayConnection(path) as connection:
        upgrading = [("HTTP_CONNECTION", "Upgrade"), ("HTTP_UPGRADE", "websocket")]
        connection.send(uwsgi([*variables("/keys"), *upgrading]))
        assert connection.read_response().body == b""


@pytest.mark.parametrize("after", [b"", b"early"], ids=["alone", "with-bytes"])
def test_bytes_sent_together_with_the_head_are_there(served: Server, after: bytes) -> None:
    with upgrade(served, "/upper", after) as connection:
        assert connection.read_exactly(len(after)) == after.upper()
        connection.send(b"late")
        assert connection.read_exactly(4) == b"LATE"


def test_much_goes_both_ways_at_the_same_time(served: Server) -> None:
    with upgrade(served, f"/both-ways?{MANY}", b"y" * 10) as connection, ThreadPoolExecutor(1) as pool:
        sending = pool.submit(connection.send, b"y" * (MANY - 10))
        assert connection.read_exactly(MANY) == b"x" * MANY
        assert int(connection.read_exactly(20)) == MANY
        sending.result()
        assert connection.read_to_end() == b""


def test_a_request_behind_another_has_it(served: Server) -> None:
    with served.connect() as connection:
        connection.send(request_bytes("/plain") * 3)
        ask_for_upgrade(connection, "/upper", b"a")
        assert [connection.read_response().body for _ in range(3)] == [b"plain"] * 3
        assert connection.read_head().status == 101
        assert connection.read_exactly(1) == b"A"


def test_a_client_that_closes_its_side_has_all(served: Server) -> None:
    with upgrade(served, "/upper", b"all") as connection:
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read_to_end() == b"ALL"


# --- What comes of it


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/raises?stop", b"raised"),
        ("/raises?error", b"raised"),
        ("/responds-too", b"own"),
        ("/returns-none", b"none"),
        ("/generates", b"generated"),
    ],
)
def test_what_an_application_says_after_it_is_no_response(served: Server, path: str, sent: bytes) -> None:
    position = served.error_log.position()
    with upgrade(served, path) as connection:
        assert connection.read_to_end() == sent
    served.access_log.wait_for(f"{path.partition('?')[0]} 101 up 0 down {len(sent)} head {HEAD_BYTES} hand")
    assert served.error_log.text(position) == ""


def test_what_it_fails_of_is_logged(served: Server) -> None:
    position = served.error_log.position()
    with upgrade(served, "/raises?value") as connection:
        assert connection.read_to_end() == b"raised"
    served.error_log.wait_for("ValueError", since=position)
    served.access_log.wait_for("/raises 101")
    assert "/raises failed" in served.error_log.text(position)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/never", b"not taken"), ("/closes-only", b"closed only"), ("/too-late", b"firstBrokenPipeError")],
)
def test_who_does_not_take_it_responds(served: Server, path: str, body: bytes) -> None:
    with served.connect() as connection:
        for _ in range(3):
            ask_for_upgrade(connection, path)
            assert connection.read_response().body == body
        # What was read ahead is the next request.
        ask_for_upgrade(connection, path, request_bytes("/plain"))
        assert [connection.read_response().body for _ in range(2)] == [body, b"plain"]


def test_its_own_status_is_logged(served: Server) -> None:
    with served.connect() as connection:
        ask_for_upgrade(connection, "/forbids")
        assert connection.read_response().status == 403
        connection.expect_closed()
    served.access_log.wait_for("/forbids 403 up 0 down 0")


def test_the_access_line_has_the_bytes_both_ways(served: Server) -> None:
    with upgrade(served, "/upper?line", b"four") as connection:
        assert connection.read_exactly(4) == b"FOUR"
    served.access_log.wait_for(f"/upper 101 up 4 down 4 head {HEAD_BYTES} hand")


def test_an_application_may_go_on_after_it(served: Server, key: str) -> None:
    with upgrade(served, f"/stays?key={key}") as connection:
        assert connection.read_to_end() == b"closed"
        served.recorder.wait_for(key, "inside")
    served.recorder.open_gate(key)
    served.access_log.wait_for("/stays 101")


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_that_vanishes(served: Server, leave: str) -> None:
    position = served.access_log.position()
    descriptors = served.descriptor_count()
    for path in ("/echo", "/upper"):
        for _ in range(THREADS):
            connection = served.connect()
            if path == "/echo":
                keys = ("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13")
                connection.ask(path, headers=(*UPGRADE, *keys))
                assert connection.read_head().status == 101
            else:
                ask_for_upgrade(connection, path)
                assert connection.read_head().status == 101
            getattr(connection, leave)()
    wait_until(
        lambda: len(re.findall(r"/(?:echo|upper) 101", served.access_log.text(position))) == 2 * THREADS,
        what="all lines",
    )
    wait_until(lambda: served.descriptor_count() <= descriptors, what="descriptors as before")


def test_no_deadline_of_a_call_holds(served: Server) -> None:
    """`timeout` and `slow_after` are shorter than these web sockets live; the fixture reads the log."""
    with web_socket(served, "/echo") as client, upgrade(served, "/upper") as connection:
        time.sleep(2 * TIMEOUT_S + 1)
        client.send("still there")
        assert client.recv(PATIENCE_S) == "still there"
        connection.send(b"too")
        assert connection.read_exactly(3) == b"TOO"
    assert len(served.worker_pids) == 1


# --- What the server says of them


def test_they_are_requests_in_flight(tmp_path: Path) -> None:
    control = str(tmp_path / "c.sock")
    with (
        Server(APPLICATION, threads=2, options=["--control", control]) as server,
        upgrade(server, "/upper") as connection,
    ):
        [said] = ask(control, "requests", timeout_s=PATIENCE_S)["requests"]
        assert (said["method"], said["path"], said["web_socket"]) == ("GET", "/upper", True)
        status = ask(control, "status", timeout_s=PATIENCE_S)
        assert (status["running"], status["connections"]) == (1, 1)
        connection.close()
        wait_until(lambda: not ask(control, "requests", timeout_s=PATIENCE_S)["requests"], what="its end")


def test_they_count_as_connections() -> None:
    with (
        Server(APPLICATION, threads=4, options=["--max-connections", "2"]) as server,
        upgrade(server, "/upper") as first,
        upgrade(server, "/upper") as second,
        server.connect() as third,
    ):
        third.ask("/plain")
        assert third.is_silent(0.3)
        first.close()
        assert third.read_response().body == b"plain"
        second.send(b"a")
        assert second.read_exactly(1) == b"A"


def test_each_holds_a_thread_and_the_log_says_so_of_the_last() -> None:
    with Server(APPLICATION, threads=2) as server, upgrade(server, "/upper") as first:
        position = server.error_log.position()
        with upgrade(server, "/upper"), server.connect() as other:
            server.error_log.wait_for(r"web sockets hold all threads of this worker \(2\)", since=position)
            other.ask("/plain")
            assert other.is_silent(0.3)
            first.close()
            assert other.read_response().body == b"plain"


# --- The end of the server


def test_a_server_that_drains_tells_them() -> None:
    server = Server(APPLICATION, threads=2, options=["--graceful-timeout", "10"])
    with server, web_socket(server, "/until-draining") as client:
        assert client.recv(PATIENCE_S) == "hello"
        os.kill(server.pid, signal.SIGTERM)
        assert client.recv(PATIENCE_S) == "going"
        with pytest.raises(ConnectionClosedOK):
            client.recv(PATIENCE_S)
    assert "aborted" not in server.final_log


@pytest.mark.parametrize("path", ["/echo", "/upper"])
def test_they_end_at_the_graceful_timeout(path: str) -> None:
    """Who does not ask whether the server drains is closed, and its call ends by itself."""
    server = Server(APPLICATION, threads=2, options=["--graceful-timeout", "1.5"])
    with server, ExitStack() as stack:
        if path == "/echo":
            client = stack.enter_context(web_socket(server, path))
            os.kill(server.pid, signal.SIGTERM)
            began_s = time.monotonic()
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE_S)
        else:
            connection = stack.enter_context(upgrade(server, path))
            os.kill(server.pid, signal.SIGTERM)
            began_s = time.monotonic()
            connection.send(b"a")
            assert connection.read_exactly(1) == b"A"
            assert connection.read_to_end() == b""
        assert 0.9 < time.monotonic() - began_s < 3
    assert "aborted" not in server.final_log
    assert "stopped with" not in server.final_log


def test_they_end_at_once_where_nobody_waits() -> None:
    server = Server(APPLICATION, threads=2)
    with server, upgrade(server, "/upper") as connection:
        os.kill(server.pid, signal.SIGINT)
        assert connection.read_to_end() == b""
    assert "aborted" not in server.final_log
