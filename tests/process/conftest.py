"""A portico of one's own for each test: any application's source, any signal, any end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.processes import children
from support.server import CALLS_AT_A_TIME, free_port
from support.waiting import wait_until

_END_DEADLINE_S = 20.0


class Portico:
    """One `python -m portico run` in `folder`, where `site.py`-like modules may be written and rewritten.

    Without an `application` it is left to be found. `reads_file`: these and
    the address are in a portico.toml.
    """

    def __init__(
        self,
        folder: Path,
        application: str,
        options: Sequence[str],
        *,
        port: int,
        stdout: int | None = None,
        stderr: int | None = None,
        environment: Mapping[str, str] | None = None,
        before_exec: Callable[[], None] | None = None,
        program: Sequence[str] = (sys.executable, "-m", "portico"),
        own_group: bool = False,
        reads_file: bool = False,
    ) -> None:
        self.folder = folder
        self.port = port
        self.error_path = folder / "error.log"
        if "--worker" not in options:
            # For which way the tests are run, says PORTICO_WORKER.
            options = [CALLS_AT_A_TIME if option == "--threads" else option for option in options]
        with self.error_path.open("wb") as error_log:
            self.process = subprocess.Popen(
                [
                    *(*program, "run"),
                    *([] if reads_file else [*filter(None, [application]), "-b", f"127.0.0.1:{port}"]),
                    *("--access-log", "off", *options),
                ],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=error_log if stdout is None else stdout,
                stderr=error_log if stderr is None else stderr,
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
                preexec_fn=before_exec,
                start_new_session=own_group,
            )

    @property
    def worker_pids(self) -> list[int]:
        return children(self.process.pid)

    def log(self) -> str:
        """All of the error log so far."""
        return self.error_path.read_text()

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Wait until the error log holds `text`."""
        wait_until(lambda: self.log().count(text) >= times, what=f"{text!r} in the error log")

    def wait_ready(self) -> None:
        self.wait_for("ready in ")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def signal_worker(self, pid: int, number: signal.Signals) -> None:
        """Send a signal to one of the workers, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(_END_DEADLINE_S)

    def stop(self) -> None:
        """End it with TERM; asserts that all went well."""
        self.signal(signal.SIGTERM)
        assert self.wait() == 0, self.log()

    def kill(self) -> None:
        """End it at once, and its workers, which may not see that it has gone."""
        pids = self.worker_pids
        self.process.kill()
        self.process.wait()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def get(self, path: str = "/") -> str:
        """Return the body of one response, on a connection of its own."""
        with self.ask(path) as connection:
            return read_body(connection)

    def ask(self, path: str = "/") -> socket.socket:
        """Send a request and return its connection, without waiting for the response."""
        connection = self.connect()
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
        return connection

    def connect(self) -> socket.socket:
        """A new connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_END_DEADLINE_S)


def read_body(connection: socket.socket) -> str:
    """Read a response to its end and return its body."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received.partition(b"\r\n\r\n")[2].decode()


Start = Callable[..., Portico]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start portico on `source` (the module `shop`); whatever still runs at the end of the test is killed."""
    started: list[Portico] = []

    def start_one(
        source: str, *options: str, application: str = "shop", port: int | None = None, **others: Any
    ) -> Portico:
        (tmp_path / "shop.py").write_text(source)
        portico = Portico(tmp_path, application, options, port=port or free_port(), **others)
        started.append(portico)
        return portico

    yield start_one
    for portico in started:
        portico.kill()
