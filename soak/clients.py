"""The client processes and the probe that a run drives: wrk, the hostile ones, and one that asks and times.

All of them end in bounded time by themselves, and are ended by pid on leaving.
"""

from __future__ import annotations

import json
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import processes
from serving import SOAK

WRK_SCRIPT = SOAK.parent / "bench" / "wrk.lua"
PROBE = b"GET /fast HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PROBE_EVERY_S = 0.1
PROBE_WAITS_S = 3.0


class ClientFailed(Exception):
    """A client process did not do what it is for."""


@dataclass(frozen=True, slots=True)
class Latencies:
    """What one run of wrk reported."""

    requests_per_s: float
    p50_ms: float
    p99_ms: float
    errors: int


def check_wrk() -> None:
    """Raise ClientFailed, saying what to do, if wrk is not there."""
    if shutil.which("wrk") is None:
        raise ClientFailed("wrk is not installed: `apt-get install wrk` (as root) brings it")


def drive_wrk(port: int, seconds: int, connections: int) -> Latencies:
    """The honest client: `connections` kept connections, each sending its next request when the response is
    complete."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", f"{seconds}s", "--latency"]
    argv += ["-s", str(WRK_SCRIPT), f"http://127.0.0.1:{port}/fast", "--", "GET", "0"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 20)
    except subprocess.TimeoutExpired as error:
        raise ClientFailed("wrk did not finish") from error
    line = next((line for line in done.stdout.splitlines() if line.startswith("OUTCOME ")), None)
    if line is None:
        raise ClientFailed(f"wrk said: {(done.stdout + done.stderr).strip()[-300:]}")
    values = json.loads(line.removeprefix("OUTCOME "))
    errors = sum(values[name] for name in ("connect", "read", "write", "status", "timeout"))
    rate = values["requests"] / values["seconds"]
    return Latencies(rate, values["p50_ms"], values["p99_ms"], errors)


def drive_few(port: int, connections: int) -> None:
    """A request on each of several connections at once: whichever worker is behind, it serves some."""
    with ExitStack() as stack:
        opened = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PROBE_WAITS_S))
            for _ in range(connections)
        ]
        for connection in opened:
            connection.sendall(PROBE)
        for connection in opened:
            while connection.recv(4096):
                pass


@dataclass(slots=True)
class Hostile:
    """A running `hostile.py`; `tallies` are there once it has ended."""

    process: subprocess.Popen[str]
    was_ready: bool = False
    tallies: dict[str, dict[str, int]] = field(default_factory=dict)

    def cpu_s(self) -> float:
        return processes.cpu_s(self.process.pid)

    def wait_ready(self, deadline_s: float) -> None:
        """Wait until all connections are open; `was_ready` says whether they are."""
        output = self.process.stdout
        assert output is not None
        if select.select([output], [], [], deadline_s)[0]:
            self.was_ready = output.readline().strip() == "ready"

    def end(self) -> None:
        """Let it close its connections and tell what it saw."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            text, _ = self.process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise ClientFailed("the hostile clients did not end") from None
        line = next((line for line in text.splitlines() if line.startswith("{")), None)
        if line is None:
            raise ClientFailed("the hostile clients ended early")
        self.tallies = json.loads(line)["tallies"]


@contextmanager
def hostile(
    port: int, kinds: Sequence[str], *, seconds: float, cpu: int | None, harmless: bool = False
) -> Iterator[Hostile]:
    """Start hostile clients (`NAME` or `NAME=N`), scheduled as idle; end them on leaving.

    They go behind the honest client on the CPU that they share: what that one waited for the CPU would
    be shown as the server's latency. A high nice value does not do that: the kernel lets such a process
    use its slice up, a few milliseconds (sched(7): "SCHED_IDLE" is lower than any nice value).
    """
    argv = ["chrt", "--idle", "0", sys.executable, str(SOAK / "hostile.py"), "--port", str(port)]
    argv += ["--seconds", str(seconds), *(["--cpu", str(cpu)] if cpu is not None else [])]
    for kind in kinds:
        argv += ["--kind", kind]
    process = subprocess.Popen(
        argv + (["--harmless"] if harmless else []),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    running = Hostile(process)
    try:
        yield running
    except BaseException:
        process.kill()
        process.wait()
        raise
    running.end()


class Probe:
    """Asks on a new connection ten times a second; what wrk leaves out, responses that never come, it
    sees."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)
        self.waits_ms: list[float] = []
        self.failures = 0

    def __enter__(self) -> Probe:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask_on(self) -> None:
        while not self._over.wait(PROBE_EVERY_S):
            began_s = time.monotonic()
            if self._gets_response():
                self.waits_ms.append((time.monotonic() - began_s) * 1000)
            else:
                self.failures += 1

    def _gets_response(self) -> bool:
        with suppress(OSError), socket.create_connection(self._address, timeout=PROBE_WAITS_S) as connection:
            connection.sendall(PROBE)
            return connection.recv(12) == b"HTTP/1.1 200"
        return False
