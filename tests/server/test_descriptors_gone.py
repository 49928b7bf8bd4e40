"""No descriptor is left: accept rests, nothing spins, one warning, and then it goes on."""

from __future__ import annotations

import os
import resource
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.processes import cpu_s
from support.raw_client import Connection
from support.server import Server
from support.ways import not_for

CLIENTS = 20
MEASURED_S = 1.0


def leave_descriptors(server: Server, count: int) -> None:
    """Let the worker, once it serves, open only `count` more."""
    with server.connect() as connection:
        assert connection.request("/function").status == 200
    [pid] = server.worker_pids
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    free = [number for number in range(len(taken) + count + 1) if number not in taken]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free[count], hard))


def test_accept_rests_without_spinning_and_goes_on(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    with Server("apps.patient:application", threads=1) as server, ExitStack() as stack:
        leave_descriptors(server, 4)
        crowd = [stack.enter_context(server.connect()) for _ in range(CLIENTS)]
        for connection in crowd:
            connection.ask(f"/waits-for-file?path={gate}")
        server.error_log.wait_for("cannot accept connections")
        [worker] = server.worker_pids
        before_s = cpu_s(worker)
        # An interval that is measured, not a wait for something.
        time.sleep(MEASURED_S)
        assert cpu_s(worker) - before_s < 0.25 * MEASURED_S
        gate.touch()
        assert served(crowd) == [b"waited"] * CLIENTS
        assert server.error_log.text().count("cannot accept connections") == 1
        assert server.worker_pids == [worker]


def served(crowd: list[Connection]) -> list[bytes]:
    """The responses; each client leaves with its own, which is what makes room for the next."""
    bodies = []
    for connection in crowd:
        bodies.append(connection.read_response().body)
        connection.close()
    return bodies


def test_idle_connections_make_room_where_descriptors_are_gone() -> None:
    """Nobody closes, and yet everybody is served."""
    with Server("apps.patient:application", threads=1) as server, ExitStack() as stack:
        leave_descriptors(server, 4)
        for _ in range(CLIENTS):
            connection = stack.enter_context(server.connect())
            assert connection.request("/function").body == b"function"


@not_for("gevent", "asyncio", "tornado", reason="it counts descriptors, of which the loop has its own")
def test_a_body_that_finds_no_descriptor_for_its_file_is_507() -> None:
    with (
        Server("apps.patient:application", threads=1, options=["--body-memory", "20K"]) as server,
        server.connect() as connection,
        server.connect() as other,
    ):
        for ready in (connection, other):
            assert ready.request("/function").status == 200
        leave_descriptors(server, 0)
        assert connection.request("/digest", method="POST", body=bytes(60_000)).status == 507
        assert other.request("/function").body == b"function"


@pytest.mark.parametrize("limit", [64, 256])
def test_a_small_limit_is_logged_at_the_start_and_kept_to(limit: int) -> None:
    """`ulimit -n` below what max_connections needs: one sentence, and far more clients than descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = Server("apps.patient:application", threads=1, options=["--max-connections", "1000"])
    server._command = ["prlimit", f"--nofile={limit}:{limit}", *server._command]
    with server, ExitStack() as stack:
        for _ in range(limit * 2):
            connection = stack.enter_context(server.connect())
            assert connection.request("/function").body == b"function"
        assert server.error_log.text().count(f"but a process may only have {limit} descriptors") == 1
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)
