"""A server that runs in a folder of its own, with the application that events can break."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from lifecycle.servers import PEERS, Server

_APPLICATION = Path(__file__).with_name("application.py")
_START_S = 15.0
_STOP_S = 10.0
_LOOK_S = 0.005
_ASK_S = 3.0


class ServerFailed(Exception):
    """A server did not start."""


class Running:
    """A server that has responded; `ready_s` is how long that took from its command."""

    def __init__(self, server: Server, folder: Path, limit: str = "") -> None:
        self.server = server
        self.folder = folder
        self.port = _free_port()
        self._errors = folder / "errors"
        shutil.copy(_APPLICATION, folder / "site_app.py")
        self.mend_configuration()
        argv = [*server.command(self.port), *server.limits.get(limit, ())]
        if server.configuration:
            argv += server.configuration.argv
        began_s = time.monotonic()
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                argv,
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        self._wait_until_it_responds()
        self.ready_s = time.monotonic() - began_s

    # -- what an event does to it

    def signal(self, number: signal.Signals, pid: int | None = None) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid if pid is None else pid, number)

    def break_application(self) -> None:
        (self.folder / "site_app.py").write_text("1 / 0\n")

    def break_configuration(self) -> None:
        assert self.server.configuration
        (self.folder / self.server.configuration.name).write_text(self.server.configuration.bad)

    def mend_configuration(self) -> None:
        if self.server.configuration:
            (self.folder / self.server.configuration.name).write_text(self.server.configuration.good)

    # -- what it is seen to do

    def ask(self, path: str = "/?1", timeout_s: float = _ASK_S) -> int | None:
        """The pid of the worker that has responded; None if none has."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            response.read()
            return int(response.headers["X-Worker"]) if response.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def workers(self) -> set[int]:
        """The pids that respond, of those that did so to some requests in a row."""
        return {pid for pid in (self.ask() for _ in range(20)) if pid}

    def wait_for_others(self, before: set[int], within_s: float) -> bool:
        """Wait until none of `before` responds any more, and others do."""
        return self.wait_until(lambda: bool(now := self.workers()) and not now & before, within_s)

    def wait_until(self, condition: Callable[[], bool], within_s: float) -> bool:
        end_s = time.monotonic() + within_s
        while time.monotonic() < end_s:
            if condition():
                return True
            time.sleep(_LOOK_S)
        return False

    @property
    def pids(self) -> list[int]:
        """All its processes; those that it has left to others are of its session too."""
        found = []
        for entry in os.scandir("/proc"):
            with suppress(OSError, ValueError):
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self.process.pid and fields[0] != "Z":
                    found.append(int(entry.name))
        return found

    def pss_bytes(self) -> int:
        """Private memory, and each shared page divided by the processes that have it."""
        total = 0
        for pid in self.pids:
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total

    def end(self) -> None:
        """End all its processes."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(1)
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait(_STOP_S)

    def _wait_until_it_responds(self) -> None:
        if not self.wait_until(lambda: self.process.poll() is not None or self.ask() is not None, _START_S):
            self.end()
            raise ServerFailed(f"{self.server.name} has not responded in {_START_S:g} s: {self._said()}")
        if self.process.poll() is not None:
            raise ServerFailed(f"{self.server.name} ended with {self.process.returncode}: {self._said()}")

    def _said(self) -> str:
        return self._errors.read_text(errors="replace")[-600:]


@contextmanager
def running(server: Server, limit: str = "") -> Iterator[Running]:
    """Start `server`, with its options for this limit; end all its processes on leaving."""
    with TemporaryDirectory(prefix="portico-lifecycle-") as folder:
        run = Running(server, Path(folder), limit)
        try:
            yield run
        finally:
            run.end()


def _environment(folder: Path) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))
    return {
        **os.environ,
        "PATH": f"{PEERS / 'bin'}:{os.environ.get('PATH', os.defpath)}",
        "PYTHONPATH": path,
        # The peers are compiled when they are installed.
        "PYTHONDONTWRITEBYTECODE": "",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
