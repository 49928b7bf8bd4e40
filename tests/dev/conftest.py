"""A `portico dev` of one's own for each test, and the files it serves, saved as editors save them."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest
from support.processes import children
from support.server import free_port
from support.waiting import wait_until

_END_DEADLINE_S = 20.0
HTML = "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"


class Development:
    """One development server in `folder`; what it writes is in `log()`."""

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        *,
        port: int,
        environment: Mapping[str, str] | None = None,
        columns: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self.folder = folder
        self.port = port
        self.host = host
        self._log_path = folder / "log.txt"
        self._log_path.touch()
        self._terminal = _Terminal(self._log_path, columns) if columns else None
        with self._log_path.open("wb") as log:
            output = self._terminal.worker_fd if self._terminal else log.fileno()
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=output if self._terminal else subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**_environment(), **(environment or {})},
                start_new_session=True,
                preexec_fn=_take_terminal if self._terminal else None,
            )

    def log(self) -> str:
        """All that it has written so far."""
        return self._log_path.read_text("utf-8", "replace").replace("\r\n", "\n")

    def wait_for(self, text: str, *, times: int = 1) -> None:
        """Wait until it has written `text`."""
        try:
            wait_until(lambda: self.log().count(text) >= times, what=f"{text!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()[-4000:]}") from None

    def wait_ready(self) -> Development:
        self.wait_for("ready in ")
        return self

    def type(self, text: str) -> None:
        """Type `text` on its terminal."""
        assert self._terminal
        self._terminal.type(text)

    def echoes(self) -> bool:
        """Whether its terminal shows what is typed."""
        assert self._terminal
        return bool(termios.tcgetattr(self._terminal.worker_fd)[3] & termios.ECHO)

    def get(
        self, path: str = "/", *, accept: str = "*/*", timeout_s: float = _END_DEADLINE_S
    ) -> tuple[int, str, str]:
        """Status, type and body of one response, on a connection of its own."""
        connection = HTTPConnection(self.host, self.port, timeout=timeout_s)
        try:
            connection.request("GET", path, headers={"Accept": accept})
            response = connection.getresponse()
            return response.status, response.headers["Content-Type"] or "", response.read().decode()
        finally:
            connection.close()

    def body(self, path: str = "/") -> str:
        """The body of a response that has to be a good one."""
        status, _, body = self.get(path)
        assert status == 200, f"{body}\n{self.log()[-4000:]}"
        return body

    def wait_body(self, expected: str, path: str = "/") -> None:
        """Wait until `path` has this body; every response has to come."""
        wait_until(lambda: self.get(path)[2] == expected, what=f"{expected!r} at {path}")

    def interrupt(self) -> None:
        """What Ctrl-C does: INT to the whole group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def wait(self) -> int:
        """Wait for the end and return the exit code."""
        return self.process.wait(_END_DEADLINE_S)

    @property
    def worker_pids(self) -> list[int]:
        """Its children without the one that watches files."""
        pids = children(self.process.pid)
        return [
            pid for pid in pids if b"portico.dev.notifier" not in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]

    def close(self) -> None:
        """End all that is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self._terminal:
            self._terminal.close()


class _Terminal:
    """A terminal with `columns`, whose other side is written to a file."""

    def __init__(self, path: Path, columns: int) -> None:
        self._fd, self.worker_fd = pty.openpty()
        fcntl.ioctl(self.worker_fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._path = path
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with self._path.open("ab", buffering=0) as file:
            while True:
                try:
                    data = os.read(self._fd, 65536)
                except OSError:
                    return
                if not data:
                    return
                file.write(data)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def close(self) -> None:
        os.close(self.worker_fd)
        self._reader.join()
        os.close(self._fd)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _environment() -> dict[str, str]:
    """The environment of a server: with bytecode, which is a part of what is tested, and a plain terminal."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**environment, "TERM": "dumb"}


def save(path: Path, text: str) -> None:
    """Write a file as most editors do: beside it, then over it."""
    beside = path.with_name(path.name + "~new")
    beside.write_text(text)
    beside.replace(path)


Start = Callable[..., Development]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a development server in an own folder; `command` is what stands before the options."""
    started: list[Development] = []

    def start_one(
        *options: str,
        application: str = "shop",
        command: Sequence[str] | None = None,
        port: int | None = None,
        **others: object,
    ) -> Development:
        port = port or free_port()
        if command is None:
            command = [sys.executable, "-m", "portico", "dev", application, "-b", f"127.0.0.1:{port}"]
        started.append(Development(tmp_path, [*command, *options], port=port, **others))  # type: ignore[arg-type]
        return started[-1]

    yield start_one
    for one in started:
        one.close()
