"""A portico from its start to its certain end, for the runs of this folder.

Receives options of `portico run`; hands on its supervisor's pid, its port and its logs.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import processes

SOAK = Path(__file__).resolve().parent
START_S = 20
STOP_S = 15
LARGEST_LOG_BYTES = 32 << 20
"""Beyond it a log is emptied: a run of half an hour shall not fill a disk."""
READY = re.compile(rb"worker (\d+) is ready")
PANIC = re.compile(rb"panicked at [^\n]*")


class ServerFailed(Exception):
    """The server did not start, or did not stop as it should."""


@dataclass(slots=True)
class Serving:
    """A server that accepts connections."""

    pid: int
    port: int
    access_log: Path
    error_log: Path
    process: subprocess.Popen[bytes]
    panics: int = 0

    def stop(self) -> float | None:
        """Stop gracefully: seconds until it has ended with code 0, else None."""
        began_s = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            if self.process.wait(STOP_S) == 0:
                return time.monotonic() - began_s
        return None

    def workers(self) -> list[int]:
        """The living workers, the oldest first."""
        return processes.children(self.pid)

    def trim_logs(self) -> None:
        """Empty logs that have grown large (they are appended to, so this loses no descriptor)."""
        for log in (self.access_log, self.error_log):
            if log.stat().st_size > LARGEST_LOG_BYTES:
                self.panics += self._panics_in(log)
                os.truncate(log, 0)

    def count_panics(self) -> int:
        """Panics of the engine so far: there must be none."""
        return self.panics + self._panics_in(self.error_log)

    @staticmethod
    def _panics_in(log: Path) -> int:
        return len(PANIC.findall(log.read_bytes()))


def python_environment() -> dict[str, str]:
    """The environment without variables that would change the interpreter."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@contextmanager
def serving(
    *, workers: int, threads: int, options: Sequence[str] = (), cpu: int | None = None
) -> Iterator[Serving]:
    """Start portico with `application.py` (on one CPU if `cpu` is given); on leaving, end all of it."""
    with TemporaryDirectory(prefix="portico-soak-") as folder:
        port = _free_port()
        access_log, error_log = Path(folder, "access.log"), Path(folder, "error.log")
        access_log.touch()
        argv = [
            *(sys.executable, "-m", "portico", "run", "application:application"),
            *("-b", f"127.0.0.1:{port}", "-w", str(workers), "--threads", str(threads)),
            *("--access-log", str(access_log), *options),
        ]
        if cpu is not None:
            argv = ["taskset", "-c", str(cpu), *argv]
        with error_log.open("ab") as log:
            process = subprocess.Popen(
                argv,
                cwd=SOAK,
                env=python_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        server = Serving(process.pid, port, access_log, error_log, process)
        try:
            _wait_until_ready(process, server, workers)
            yield server
        finally:
            _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], server: Serving, workers: int) -> None:
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise ServerFailed(f"ended with code {process.returncode} at its start: {_tail(server)}")
        with suppress(OSError):
            if len(server.workers()) >= workers and _responds(server.port):
                return
        time.sleep(0.02)
    raise ServerFailed(f"gave no response within {START_S} s: {_tail(server)}")


def _responds(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(b"GET /fast HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return connection.recv(12) == b"HTTP/1.1 200"


def _tail(server: Serving) -> str:
    lines = server.error_log.read_text(errors="replace").strip().splitlines()
    return " / ".join(line.strip() for line in lines[-4:])[-500:] or "it said nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    # Listed first: a supervisor that had to be killed leaves them behind.
    members = processes.children(process.pid)
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    if process.poll() is None:
        members = sorted({*members, *processes.children(process.pid)})
        process.kill()
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()
