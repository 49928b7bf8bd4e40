"""All ends of a request in one life of a server: each has one line of the access log."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections import Counter

from support.waiting import wait_until
from support.ways import cannot_be_ended

from .conftest import Portico, Start

APPLICATION = """
import os, time
def application(environ, start_response):
    name, path = environ["QUERY_STRING"], environ["PATH_INFO"]
    open("in-" + name, "w").close()
    if path == "/sleep":
        time.sleep(60)
    while path == "/steps" or (path == "/until" and not os.path.exists("go-" + name)):
        time.sleep(0.01)
    if path == "/abort":
        os.abort()
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]
"""
LINE = re.compile(
    r'127\.0\.0\.1 - - \[[^]]+\] "GET \S+\?(?P<name>\S+) HTTP/1\.1" (?P<status>\d{3}) \d+ "-" "-" '
    r"\d+\.\d{6}(?: (?P<cause>\S+))?"
)
Ends = Counter[tuple[str, str, str | None]]


class Clients:
    """Requests by name, each on a connection of its own, and how each should be told of."""

    def __init__(self, portico: Portico) -> None:
        self._portico = portico
        self._connections: list[socket.socket] = []
        self._workers = 0
        self.expected: Ends = Counter()

    def send(self, path: str, name: str, status: str, cause: str | None = None) -> socket.socket:
        connection = self._portico.ask(f"{path}?{name}")
        self._connections.append(connection)
        self.expected[name, status, cause] += 1
        return connection

    def call(self, path: str, name: str, status: str, cause: str | None = None) -> socket.socket:
        """As `send`, and wait until the application is called."""
        connection = self.send(path, name, status, cause)
        wait_until((self._portico.folder / f"in-{name}").exists, what=f"the call of {name}")
        return connection

    def go_on(self, *names: str) -> None:
        for name in names:
            (self._portico.folder / f"go-{name}").touch()

    def wait_next_worker(self) -> None:
        self._workers += 1
        self._portico.wait_for("is ready after", times=self._workers)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


def status_of(connection: socket.socket) -> int:
    """The status, or 0 if there is no response."""
    try:
        received = connection.recv(1000)
    except ConnectionResetError:
        return 0
    return int(received.split(b" ")[1]) if received else 0


def ends(portico: Portico) -> Ends:
    found = [LINE.fullmatch(line) for line in (portico.folder / "access.log").read_text().splitlines()]
    assert all(found)
    return Counter(line.group("name", "status", "cause") for line in found if line)


@cannot_be_ended
def test_a_request_has_one_line_however_it_ends(start: Start) -> None:
    portico = start(
        *(APPLICATION, "-w", "1", "--threads", "3", "--max-in-flight", "5", "--access-log", "access.log"),
        *("--timeout", "1", "--timeout-grace", "200ms", "--route-timeout", "/until=60", "--slow-after", "0"),
        *("--graceful-timeout", "1"),
    )
    portico.wait_ready()
    clients = Clients(portico)

    # Served; rejected; ended by RequestTimeout.
    assert status_of(clients.call("/", "served", "200")) == 200
    with portico.connect() as rejected:
        clients.expected["rejected", "400", None] += 1
        rejected.sendall(b"GET /?rejected HTTP/1.1\r\n\r\n")
        assert status_of(rejected) == 400
    assert status_of(clients.call("/steps", "interrupted", "504")) == 504

    # Shed, while as many are in flight as may be; one of those is left by its client.
    running = [clients.call("/until", name, "200") for name in ("first", "second")]
    left = clients.call("/until", "left", "499")
    queued = [clients.send("/", name, "200") for name in ("queued-1", "queued-2")]
    # They are sent one after the other, and counted by one thread.
    assert status_of(clients.send("/", "shed", "503")) == 503
    left.close()
    clients.go_on("first", "second", "left")
    assert [status_of(each) for each in (*running, *queued)] == [200] * 4

    # Responded to in the place of a call that does not end; another call of that worker ends by itself.
    beside = clients.call("/until", "beside", "200")
    assert status_of(clients.call("/sleep", "overdue", "504", "timeout")) == 504
    clients.wait_next_worker()
    clients.go_on("beside")
    assert status_of(beside) == 200
    portico.wait_for("has finished all other calls")

    # Killed with their worker: by somebody, by one of them.
    lost = [clients.call("/until", name, "000", "killed:SIGKILL") for name in ("killed-1", "killed-2")]
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    clients.wait_next_worker()
    lost.append(clients.call("/until", "innocent", "000", "killed:SIGABRT"))
    lost.append(clients.call("/abort", "guilty", "000", "killed:SIGABRT"))
    clients.wait_next_worker()
    assert [status_of(each) for each in lost] == [0] * 4

    # At the stop: finished in time; aborted, also one that waited; never begun.
    drained = clients.call("/until", "drained", "200")
    aborted = [clients.call("/until", f"aborted-{n}", "000", "killed:graceful_timeout") for n in (1, 2)]
    waiting = clients.send("/until", "waiting", "000", "killed:graceful_timeout")
    given_up = clients.send("/", "given-up", "503")
    portico.signal(signal.SIGTERM)
    portico.wait_for("stopping after the requests in flight")
    clients.go_on("drained")
    assert status_of(drained) == 200
    assert [status_of(each) for each in (*aborted, waiting)] == [0] * 3
    assert status_of(given_up) == 503
    assert portico.wait() == 0
    clients.close()
    assert ends(portico) == clients.expected
    assert set(ends(portico).values()) == {1}
