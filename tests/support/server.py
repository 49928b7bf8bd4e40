"""A real server process for a test: started, waited for, watched, and stopped with an assertion."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from support import processes
from support.log_file import LogFile
from support.raw_client import Connection
from support.recorder_client import RecorderClient
from support.waiting import wait_until

TESTS = Path(__file__).resolve().parent.parent
WITHOUT_UVLOOP = TESTS / "support/without_uvloop"
"""In the path of servers that are to have asyncio's own loop."""
WORKER = os.environ.get("PORTICO_WORKER", "threads")
"""The way to execute that the tests are run for."""
CALLS_AT_A_TIME = "--threads" if WORKER == "threads" else "--greenlets"
_START_DEADLINE_S = 20.0
_STOP_DEADLINE_S = 15.0
_FIRST_PORT, _PORTS_OF_A_PROCESS, _PORT_SHARES = 10_000, 2_500, 9


def command(
    application: str | None,
    bind: str,
    *,
    threads: int,
    workers: int,
    access_log: str,
    options: Sequence[str] = (),
) -> list[str]:
    """The command that starts the server under test (the one place that knows it)."""
    return [
        *(sys.executable, "-m", "portico", "run", *([application] if application else []), "-b", bind),
        *(CALLS_AT_A_TIME, str(threads), "-w", str(workers), "--access-log", access_log, *options),
    ]


def _ports() -> Iterator[int]:
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _FIRST_PORT + number % _PORT_SHARES * _PORTS_OF_A_PROCESS
    # Two runs of the tests on one machine begin at different places.
    return itertools.cycle(
        first + (os.getpid() + step) % _PORTS_OF_A_PROCESS for step in range(_PORTS_OF_A_PROCESS)
    )


_PORTS = _ports()


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nobody listens on at the moment, and no client leaves from.

    The kernel gives clients ports from 32768 on: one that is free now may be the end of a connection when the
    server binds. So it is one below, and of a share that belongs to this process of pytest.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in itertools.islice(_PORTS, _PORTS_OF_A_PROCESS):
        with socket.socket(family) as probe, suppress(OSError):
            probe.bind((host, port))
            return port
    raise AssertionError(f"no port of {host} is free")


class Server:
    """One running server; a context manager.

    `application` is what the command line takes, None where a file of `options` says what is served; tests/
    is importable in it. `bind` defaults to a free port of 127.0.0.1; with `unix:PATH`, connections go there.
    Logs are `error_log` (standard error) and `access_log`; `final_log` is all of the first after the stop.
    What is written to standard output goes to the error log, too, or to the descriptor `standard_output`.
    Leaving the context stops the server with TERM and asserts exit code 0 and no panic.
    """

    def __init__(
        self,
        application: str | None = "apps.conformance:application",
        *,
        threads: int = 1,
        workers: int = 1,
        bind: str | None = None,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        standard_output: int | None = None,
    ) -> None:
        self.threads = threads
        self.workers = workers
        self.port = 0
        if bind is None:
            self.port = free_port()
            bind = f"127.0.0.1:{self.port}"
        self.bind = bind
        self.address: tuple[str, int] | str = (
            bind[5:].partition("?")[0] if bind.startswith("unix:") else ("127.0.0.1", self.port)
        )
        self.folder = Path(tempfile.mkdtemp(prefix="portico-test-"))
        self.error_log = LogFile(self.folder / "error.log")
        self.access_log = LogFile(self.folder / "access.log")
        self.recorder = RecorderClient(self.folder)
        self._command = command(
            application,
            bind,
            threads=threads,
            workers=workers,
            access_log=str(self.access_log.path),
            options=options,
        )
        self._environment = {**os.environ, "RECORDER_FOLDER": str(self.folder), **(environment or {})}
        has_loop = not {"asyncio", "tornado"}.isdisjoint([WORKER, *options])
        python_path = [
            str(TESTS),
            *([str(WITHOUT_UVLOOP)] if has_loop else []),
            *filter(None, [self._environment.get("PYTHONPATH")]),
        ]
        self._environment["PYTHONPATH"] = os.pathsep.join(python_path)
        self._standard_output = standard_output
        self._process: subprocess.Popen[bytes] | None = None
        self.final_log = ""

    @property
    def url(self) -> str:
        """The root as a URL, without a final slash."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the supervisor."""
        assert self._process is not None
        return self._process.pid

    @property
    def worker_pids(self) -> list[int]:
        """The process ids of the living workers."""
        return processes.children(self.pid)

    def start(self) -> None:
        """Start, and wait until a connection is accepted and the workers are there."""
        with self.error_log.path.open("ab") as standard_error:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=standard_error if self._standard_output is None else self._standard_output,
                stderr=standard_error,
                env=self._environment,
                cwd=TESTS,
            )
        try:
            wait_until(self._is_ready, what="the server to accept", deadline_s=_START_DEADLINE_S)
        except BaseException:
            self.kill()
            raise

    def connect(
        self, *, timeout_s: float = 10.0, receive_buffer: int | None = None, source: str | None = None
    ) -> Connection:
        """A new raw connection; `receive_buffer` (bytes) makes the client's window small, `source` is where
        it comes from."""
        return Connection(self.address, timeout_s=timeout_s, receive_buffer=receive_buffer, source=source)

    def memory_bytes(self) -> int:
        """Proportional set size of supervisor and workers together."""
        return sum(processes.memory_bytes(pid) for pid in [self.pid, *self.worker_pids])

    def descriptor_count(self) -> int:
        """How many files and sockets the workers have open."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.worker_pids)

    def stop(self) -> None:
        """Stop gracefully; assert that it obeyed in time with exit code 0 and never panicked."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                f"still running {_STOP_DEADLINE_S} s after TERM\n{self.log_tail()}"
            ) from None
        self.final_log = self.error_log.text()
        tail = self.log_tail()
        panicked = "panicked at" in self.final_log
        shutil.rmtree(self.folder, ignore_errors=True)
        assert code == 0, f"exit code {code} after TERM\n{tail}"
        assert not panicked, tail

    def kill(self) -> None:
        """End supervisor and workers at once, whatever they do."""
        if self._process is not None and self._process.poll() is None:
            victims = [self.pid, *self.worker_pids]
            for pid in victims:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            self._process.wait()

    def log_tail(self, since: int = 0) -> str:
        """The end of the error log, for messages."""
        return self.error_log.text(since)[-6000:]

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.stop()
            return
        if hasattr(error, "add_note"):  # Python 3.11
            error.add_note(f"error log of the server:\n{self.log_tail()}")
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _is_ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"exit code {self._process.returncode} at start\n{self.log_tail()}")
        try:
            self.connect(timeout_s=1.0).close()
        except OSError:
            return False
        return len(self.worker_pids) >= self.workers
