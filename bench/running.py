"""One server, from its start to its certain end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import measure
import reverse_proxy
from cases import Case, Row
from servers import CACHE, LIMIT, PEERS, ROOT, Launch

START_S = 15
STOP_S = 5
LOOK_S = 0.002
"""Between two looks whether it listens."""
MEMORY_FOLDER = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None


class ServerFailed(Exception):
    """A server did not start, or sent wrong responses."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that accepts connections."""

    pid: int
    port: int
    access_log: Path | None
    started_at_s: float
    """When its command was run, on the monotonic clock."""
    folder: Path
    """Its own; `errors` there is what it has written to standard error."""


@contextmanager
def running(case: Case, row: Row, cpus: int | str) -> Iterator[Running]:
    """Start a row's server on one CPU, or on a list of them; on leaving, end every process it made."""
    with TemporaryDirectory(prefix="portico-bench-", dir=MEMORY_FOLDER) as folder:
        access_log = Path(folder, "access.log") if row.access_log else None
        launch = Launch(
            app=case.app,
            port=_free_port(),
            folder=Path(folder),
            limit_reply=case.limit_reply or "13",
            threads=row.threads,
            workers=case.workers,
            access_log=access_log,
            idle=case.kind.value == "idle",
            speaks=case.proxy or "http",
            watcher=row.watcher,
            files=_files(case) if case.file else None,
            upstream=_free_port() if case.passes_on else 0,
            applications=row.applications,
            admin_port=_free_port() if row.is_observed else 0,
        )
        command = row.server.command(launch)
        errors = Path(folder, "errors")
        stdout = command.stdout or errors
        with stdout.open("ab") as out, errors.open("ab") as err:
            try:
                started_at_s = time.monotonic()
                process = subprocess.Popen(
                    ["taskset", "-c", str(cpus), *command.argv],
                    cwd=ROOT,
                    env=_environment() | command.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
            except OSError as error:
                raise ServerFailed(str(error)) from error
        try:
            _wait_until_open(process, launch.port, errors)
            with ExitStack() as stack:
                port = launch.port
                if launch.upstream:
                    stack.enter_context(_limit(launch.upstream, launch.limit_reply))
                if case.proxy:
                    port = _free_port()
                    stack.enter_context(
                        reverse_proxy.nginx(case.proxy, port, launch.port, Path(folder, "nginx"))
                    )
                yield Running(process.pid, port, access_log, started_at_s, Path(folder))
        except reverse_proxy.ProxyFailed as failure:
            raise ServerFailed(str(failure)) from None
        finally:
            _end(process)


def _files(case: Case) -> Path:
    # On a disk, as files are: what is in memory alone is read in other ways.
    files = CACHE / "files"
    files.mkdir(exist_ok=True)
    (files / case.file).write_bytes(case.expected)
    return files


@contextmanager
def _limit(port: int, reply: str) -> Iterator[None]:
    process = subprocess.Popen([LIMIT, str(port), reply], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_until_open(process, port, Path(os.devnull))
        yield
    finally:
        _end(process)


def _environment() -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PATH"] = f"{PEERS / 'bin'}:{environment.get('PATH', os.defpath)}"
    return environment


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_open(process: subprocess.Popen[bytes], port: int, errors: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ServerFailed(f"ended with code {process.returncode} at its start: {_tail(errors)}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(LOOK_S)
    raise ServerFailed(f"accepted no connection within {START_S} s: {_tail(errors)}")


def _tail(errors: Path) -> str:
    lines = errors.read_text(errors="replace").strip().splitlines()
    return " / ".join(line.strip() for line in lines[-3:])[-300:] or "it said nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    # Listed first: once the root has ended, only the session would tell who belonged to it.
    members = {stat.pid for stat in measure.tree(process.pid)}
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_S)
    for pid in {stat.pid for stat in measure.tree(process.pid)} | members - {process.pid}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
