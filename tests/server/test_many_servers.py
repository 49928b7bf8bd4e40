"""Several servers in one process, one after the other and at the same time: everything is given back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from portico import _core, log
from portico.config.sources import resolve
from support.held import expect_let_go, held
from support.server import TESTS

TERM, INT = b"\x0f", b"\x02"

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


class EngineServer:
    """A server on a thread of this process, with a listener, a slot and a signal pipe of its own."""

    def __init__(self, application: Any) -> None:
        self._signal_fd, self._signal_write_fd = os.pipe()
        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        self.address = listening.getsockname()
        self.fd = listening.detach()
        self.protocol = "http"
        self.proxy = self.persistent = self.stderr = False
        self.display = "a test"
        self.is_connection = False
        self.listeners = [self]
        self.signal_fd, self.supervisor_fd, self.access_log_fd = self._signal_fd, -1, -1
        self.wakeup_fd, self.gate_fd, self.spans_fd, self.ready_frame = -1, -1, -1, b""
        self.access_log_colour = self.multiprocess = self.has_metrics = False
        self.errors = log.ErrorStream()
        self.wakeup_read_fd = -1
        self.application_name, self.innermost, self.has_middleware = "", None, False
        self.on_interrupt = self.on_response = self.event_loop = self.routing = None
        self._results: list[bool] = []
        self._thread = threading.Thread(target=self._serve, args=(application,))
        self._thread.start()

    def _serve(self, application: Any) -> None:
        settings = resolve({"threads": ["2"]}, {})
        self._results.append(_core.serve(application, settings, self, _core.Scoreboard(1), 0))

    def ask(self) -> bytes:
        with socket.create_connection(self.address, timeout=30) as connection:
            connection.sendall(REQUEST)
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def stop(self, signal_byte: bytes) -> bool:
        """Return whether everything was responded to."""
        os.write(self._signal_write_fd, signal_byte)
        self._thread.join(30)
        os.close(self._signal_fd)
        os.close(self._signal_write_fd)
        return self._results == [True]


def hello(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def memory_kib() -> int:
    """Return the memory that this process has written; its share of files depends on who else has them."""
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss_Dirty:"))


def live() -> None:
    server = EngineServer(hello)
    assert server.ask().endswith(b"hello")
    assert server.stop(INT)


def growth_kib() -> int:
    """Return the memory that a thousand servers in a row leave behind in a process that has had a few."""
    for _ in range(50):
        live()
    before_kib = memory_kib()
    for _ in range(1000):
        live()
    return memory_kib() - before_kib


def test_a_thousand_servers_in_a_row_leave_no_memory_behind() -> None:
    # A process of its own: the memory of one that has run other tests moves with what these have left.
    program = "from server.test_many_servers import growth_kib; print(growth_kib())"
    # One page each would be 4,000 KiB.
    assert int(subprocess.check_output([sys.executable, "-c", program], cwd=TESTS, text=True)) < 2000


def test_two_hundred_servers_in_a_row_leave_nothing_open() -> None:
    before = held()
    for _ in range(200):
        live()
    expect_let_go(before)


def test_fifty_servers_at_once_serve_and_stop_gracefully() -> None:
    before = held()
    servers = [EngineServer(hello) for _ in range(50)]
    assert all(server.ask().endswith(b"hello") for server in servers)
    assert all([server.stop(TERM) for server in servers])
    expect_let_go(before)
