"""Processes that an application forks: only the parent responds, and a child is a process like any other."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from support.gateway_server import LISTENERS, running_gateway_server
from support.processes import children, is_alive
from support.raw_client import Closed
from support.server import Server
from support.waiting import wait_until
from support.ways import CALLS_FOLLOW, not_for

RETURNED = "a process that it has forked returned from the call, and is ended"
FAILED = r"a process that it has forked failed, and is ended\n(.*\n)*{}"
ENDS = {
    "returns": (0, RETURNED),
    "raises": (1, FAILED.format("ValueError: of the child")),
    "exits?code=0": (0, None),
    "exits?code=3": (3, None),
    "yields": (0, RETURNED),
    "ends-iteration": (0, RETURNED),
    "writes": (1, FAILED.format("RuntimeError: write was called in a forked process")),
    "closes": (0, RETURNED),
}
"""With which code a child ends, and what is logged of it."""
ENVIRONMENT = {"PORTICO_BODY_MEMORY": "16K", "PORTICO_BODY_SPOOL": "256K"}
AT_ONCE_S = 4.0
OF_RECORDER = 1
"""Sockets of the application itself."""
EPOLLS_OF_LOOP, SOCKETS_OF_LOOP = (1, 2) if CALLS_FOLLOW else (0, 0)
"""What a child has of the loop that its parent's calls are on, as of any that is open at a fork."""


@pytest.fixture(scope="module", params=[1, 4], ids=["1-thread", "4-threads"])
def forking(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server("apps.forking:application", threads=request.param, environment=ENVIRONMENT) as running:
        yield running


def is_served(server: Server) -> None:
    """Many connections at once, so that one that goes to a child would be missed."""
    connections = [server.connect() for _ in range(20)]
    for connection in connections:
        connection.ask("/plain")
    for connection in connections:
        assert connection.read_response().body == b"plain"
        assert connection.request("/plain").body == b"plain"
        connection.close()


@pytest.mark.parametrize("connection_header", [(), ("Connection: close",)], ids=["kept", "closed"])
@pytest.mark.parametrize("end", ENDS)
def test_a_child_that_comes_back_is_ended(
    forking: Server, key: str, end: str, connection_header: tuple[str, ...]
) -> None:
    code, line = ENDS[end]
    [worker] = forking.worker_pids
    since = forking.error_log.position()
    path, _, query = end.partition("?")
    with forking.connect() as connection:
        response = connection.request(f"/{path}?key={key}&{query}", headers=connection_header)
        assert (response.status, response.body) == (200, b"parent")
        assert forking.recorder.wait_for(key, f"child ended: {code}")
        if connection_header:
            assert connection.read_to_end() == b""
        else:
            assert connection.request("/plain").body == b"plain"
            assert connection.is_silent(0.05)
    if line:
        forking.error_log.wait_for(line, since=since)
    is_served(forking)
    assert forking.worker_pids == [worker]
    assert children(worker) == []


@pytest.mark.parametrize("name", ["uwsgi", "scgi", "fastcgi"])
def test_a_child_does_not_respond_to_a_reverse_proxy(key: str, name: str) -> None:
    with running_gateway_server(
        listeners={name: LISTENERS[name]}, application="apps.forking:application", is_strict=False
    ) as gateway:
        for end in ("returns", "raises", "yields", "writes"):
            assert gateway.ask(name, f"/{end}?key={key}").body == b"parent"
        gateway.server.recorder.wait_for(key, "child ended: 0", count=2)
        gateway.server.recorder.wait_for(key, "child ended: 1", count=2)


@pytest.mark.parametrize(
    ("size", "code"), [(5_000, 0), (100_000, 0), (2_000_000, 3)], ids=["memory", "temporary file", "streamed"]
)
def test_a_child_that_reads_takes_nothing_from_its_parent(
    forking: Server, key: str, size: int, code: int
) -> None:
    body = b"".join(b"%9d\n" % number for number in range(size // 10))
    with forking.connect() as connection:
        response = connection.request(f"/reads?key={key}", method="POST", body=body)
    assert response.body == body
    # Where bodies come before the call none is streamed.
    assert forking.recorder.events(key) == [f"child ended: {0 if CALLS_FOLLOW else code}"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_a_signal_ends_a_child_and_not_the_worker(forking: Server, number: signal.Signals) -> None:
    [worker] = forking.worker_pids
    with forking.connect() as connection:
        body = connection.request(f"/terminates?signal={number.value}").body
        assert body == repr([-number.value] * 10).encode()
        assert connection.request("/plain").body == b"plain"
    is_served(forking)
    assert forking.worker_pids == [worker]


@not_for("gevent", reason="a Pool of multiprocessing waits in pipes, which the hub knows nothing of")
def test_programs_and_pools_run(forking: Server) -> None:
    with forking.connect() as connection:
        body = connection.request("/starts-programs").body
    assert body == repr([[0, 1, 4, 9, 16], b"one\n", (b"two\n", -15), "three\n"]).encode()
    is_served(forking)


@contextmanager
def living_child(server: Server, *headers: str, version: str = "HTTP/1.1") -> Iterator[int]:
    """A child that lives as long as the block."""
    with server.connect() as connection:
        response = connection.request("/leaves-a-child", headers=list(headers), version=version)
        if headers or version == "HTTP/1.0":
            assert connection.read_to_end() == b""
    pid = int(response.body)
    try:
        yield pid
        assert is_alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_a_response_ends_although_a_child_lives(forking: Server, version: str) -> None:
    """With HTTP/1.0 the end of the connection is the end of the body."""
    began = time.monotonic()
    with living_child(forking, "Connection: close", version=version):
        with forking.connect() as connection:
            assert (
                connection.request("/plain", version=version, headers=["Connection: close"]).body == b"plain"
            )
            assert connection.read_to_end() == b""
        is_served(forking)
    assert time.monotonic() - began < AT_ONCE_S


def test_a_connection_that_was_open_ends_although_a_child_lives(forking: Server) -> None:
    with forking.connect() as open_before, forking.connect() as half_sent:
        assert open_before.request("/plain").body == b"plain"
        half_sent.send(b"GET /plain HTTP/1.1\r\nHost: a\r\n")
        with living_child(forking):
            half_sent.send(b"Connection: close\r\n\r\n")
            assert half_sent.read_response().body == b"plain"
            assert half_sent.read_to_end() == b""
            response = open_before.request("/plain", headers=["Connection: close"])
            assert (response.body, open_before.read_to_end()) == (b"plain", b"")


@not_for("gevent", reason="a child has a hub of its own, which gevent makes at the fork")
def test_a_child_has_nothing_of_the_server(forking: Server) -> None:
    [worker] = forking.worker_pids
    with forking.connect() as other:
        assert other.request("/plain").body == b"plain"
        with living_child(forking) as pid:
            assert epolls(worker) > EPOLLS_OF_LOOP
            wait_until(lambda: epolls(pid) == EPOLLS_OF_LOOP, what="no epoll")
            listening = {f"socket:[{inode}]" for inode in listening_inodes(forking.port)}
            assert listening & set(descriptors(worker))
            assert not listening & set(descriptors(pid))
            assert sockets(pid) <= OF_RECORDER + SOCKETS_OF_LOOP
            status = Path(f"/proc/{pid}/status").read_text()
            of_worker = Path(f"/proc/{worker}/status").read_text()
            assert mask(status, "SigBlk") == mask(of_worker, "SigBlk") == 0
            caught = mask(status, "SigCgt")
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
                assert not caught & 1 << number - 1, number.name


def descriptors(pid: int) -> list[str]:
    """What a process has open."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            found.append(os.readlink(entry))
    return found


def epolls(pid: int) -> int:
    return sum("eventpoll" in link for link in descriptors(pid))


def sockets(pid: int) -> int:
    return sum(link.startswith("socket:") for link in descriptors(pid))


def listening_inodes(port: int) -> list[str]:
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    wanted = f":{port:04X}"
    return [line.split()[9] for line in lines if line.split()[1].endswith(wanted) and line.split()[3] == "0A"]


def mask(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\w+)$", status, re.MULTILINE)
    assert found
    return int(found[1], 16)


@not_for("gevent", reason="a child has a hub of its own, which gevent makes at the fork")
def test_a_connection_of_a_unix_socket_ends_although_a_child_lives(tmp_path: Path) -> None:
    with (
        Server("apps.forking:application", bind=f"unix:{tmp_path / 'socket'}") as server,
        server.connect() as other,
        living_child(server, "Connection: close", version="HTTP/1.0") as pid,
    ):
        wait_until(lambda: epolls(pid) == EPOLLS_OF_LOOP, what="no epoll")
        assert other.request("/plain", headers=["Connection: close"]).body == b"plain"
        assert other.read_to_end() == b""
        is_served(server)
        assert sockets(pid) <= OF_RECORDER + SOCKETS_OF_LOOP


def test_a_server_stops_and_frees_its_port_although_a_child_lives() -> None:
    with Server("apps.forking:application") as server:
        with server.connect() as connection:
            pid = int(connection.request("/leaves-a-child").body)
        began = time.monotonic()
    try:
        assert time.monotonic() - began < AT_ONCE_S
        assert is_alive(pid)
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", server.port))
            listener.listen()
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_killed_worker_is_replaced_although_a_child_lives() -> None:
    with Server("apps.forking:application") as server, server.connect() as connection:
        pid = int(connection.request("/leaves-a-child").body)
        [worker] = server.worker_pids
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: server.worker_pids not in ([], [worker]), what="another worker")
        with pytest.raises((Closed, ConnectionError)):
            connection.request("/plain")
        is_served(server)
        os.kill(pid, signal.SIGKILL)
