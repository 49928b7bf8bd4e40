"""Workers that share a socket share its connections: who has a thread takes them, and all have as many."""

from __future__ import annotations

import json
import os
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support import processes
from support.raw_client import Connection
from support.server import Server
from support.waiting import wait_until
from support.ways import calls_at_a_time

pytestmark = pytest.mark.alone


def _server(*, workers: int, threads: int = 1, bind: str | None = None) -> Server:
    return Server("apps.occupied:application", workers=workers, threads=threads, bind=bind)


def _worker(connection: Connection) -> int:
    return int(connection.request("/").body)


def _wait_for_workers(server: Server) -> None:
    seen: set[int] = set()

    def has_seen_all() -> bool:
        with server.connect() as connection:
            seen.add(_worker(connection))
        return len(seen) == server.workers

    wait_until(has_seen_all, what="a response of each worker")


@pytest.fixture
def four_workers() -> Iterator[Server]:
    with _server(workers=4) as server:
        _wait_for_workers(server)
        yield server


@pytest.mark.parametrize("threads", [1, 3])
def test_a_saturated_worker_leaves_new_connections_to_others(threads: int, tmp_path: Path) -> None:
    """All its threads are in calls that do not end; every further connection is served at once."""
    control = str(tmp_path / "control")
    options = ["--control", control]
    with (
        Server("apps.occupied:application", workers=2, threads=threads, options=options) as server,
        ExitStack() as stack,
    ):
        _wait_for_workers(server)
        gate = tmp_path / "gate"
        stack.callback(gate.touch)
        saturated, most = None, calls_at_a_time(threads)
        calls: Counter[int] = Counter()
        while saturated is None:
            connection = stack.enter_context(server.connect())
            worker = _worker(connection)
            inside = tmp_path / f"{worker}.{calls[worker]}"
            connection.ask(f"/?gate={gate}&inside={inside}")
            wait_until(inside.exists, what="the call")
            calls[worker] += 1
            saturated = next((worker for worker, count in calls.items() if count == most), None)
        # A call may go on for a moment after its response has come: then the other has no free thread either.
        wait_until(lambda: _running(control) == calls.total(), what="the end of the other calls")
        for _ in range(40):
            with server.connect() as connection:
                assert _worker(connection) != saturated
            wait_until(lambda: _running(control) == calls.total(), what="the end of that call")


def _running(control: str) -> int:
    """How many calls there are, by the server's own word."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(control)
        connection.sendall(b'{"protocol": 1, "verb": "requests"}\n')
        return len(json.loads(connection.makefile().readline())["result"]["requests"])


def test_a_worker_whose_interpreter_is_kept_leaves_new_connections_to_others() -> None:
    """Although it has threads that are free: they would wait, too."""
    with Server("apps.holding:application", workers=2, threads=4) as server, ExitStack() as stack:
        server.error_log.wait_for("ready in")
        stack.enter_context(server.connect()).ask("/keeps")
        wait_until((server.folder / "keeps").exists, what="the interpreter to be kept")
        # As many as it takes for one to wait there.
        for _ in range(4):
            stack.enter_context(server.connect()).ask("/")
        noticed_s = time.monotonic() + 0.1
        wait_until(lambda: time.monotonic() > noticed_s, what="the wait to be long")
        # Kept, so that soon the other worker has more of them.
        for _ in range(20):
            assert stack.enter_context(server.connect()).request("/").body == b"called"
        gate = os.open(server.folder / "gate", os.O_WRONLY)
        stack.callback(os.close, gate)
        os.write(gate, b".")


@pytest.mark.parametrize("bind", ["TCP", "Unix"])
@pytest.mark.parametrize("count", [16, 64])
def test_kept_connections_are_spread_evenly(bind: str, count: int, tmp_path: Path) -> None:
    path = f"unix:{tmp_path}/socket" if bind == "Unix" else None
    with _server(workers=4, bind=path) as server, ExitStack() as stack:
        _wait_for_workers(server)
        connections = [stack.enter_context(server.connect()) for _ in range(count)]
        spread = Counter(_worker(connection) for connection in connections)
        assert max(spread.values()) <= count // 4 + 3, spread


def test_connections_that_come_at_once_are_spread_evenly(four_workers: Server) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(four_workers.connect()) for _ in range(64)]
        for connection in connections:
            connection.ask("/")
        spread = Counter(connection.read_response().body for connection in connections)
        assert max(spread.values()) <= 64 // 4 + 3, spread


def test_a_new_connection_wakes_one_worker(four_workers: Server) -> None:
    """Of four that are idle. It sleeps twice: until the connection is there, and until it has ended."""
    before = sum(processes.wake_ups(pid, "portico") for pid in four_workers.worker_pids)
    for _ in range(300):
        with four_workers.connect() as connection:
            _worker(connection)
    woken = sum(processes.wake_ups(pid, "portico") for pid in four_workers.worker_pids) - before
    assert woken <= 3 * 300, woken
