"""A stop that load balancers see coming: announced, then closed to who is new, then over."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.server import free_port
from support.waiting import wait_until

from .conftest import Portico, Start, read_body

SHOP = """
import os, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        open("waiting", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
    elif path == "/events":
        return events(environ["portico.draining"], start_response)
    elif path == "/upload":
        size = len(environ["wsgi.input"].read())
        start_response("200 OK", [])
        return [str(size).encode()]
    start_response("200 OK", [])
    return [str(environ["portico.draining"]()).encode()]

def events(is_draining, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield b"data: hello\\n\\n"
    while not is_draining():
        time.sleep(0.01)
    yield b"data: bye\\n\\n"
"""
# One worker, unless a test wants more: who is told then, a health check can tell.
OPTIONS = ("--health-path", "/healthz", "-w", "1")
SOON = "health checks fail from now on, requests are served"


def start_shop(start: Start, *options: str) -> Portico:
    portico = start(SHOP, *OPTIONS, *options)
    portico.wait_ready()
    return portico


def announce(portico: Portico) -> None:
    """TERM, and wait until every worker has been told."""
    portico.signal(signal.SIGTERM)
    portico.wait_for(SOON)
    wait_until(lambda: {status_of(portico) for _ in range(8)} == {503}, what="health checks that fail")


def status_of(portico: Portico) -> int:
    """The status of a health check on a new connection."""
    with portico.ask("/healthz") as connection:
        return int(connection.recv(65536).split()[1])


def title(portico: Portico) -> str:
    return Path(f"/proc/{portico.process.pid}/cmdline").read_bytes().rstrip(b"\0").decode()


class Load:
    """Clients that send one request after the other until told not to, and know what became of each."""

    def __init__(self, portico: Portico, clients: int, client: Callable[[Load], None]) -> None:
        self.portico = portico
        self.outcomes: Counter[str] = Counter()
        self.is_over = False
        self._threads = [threading.Thread(target=self._run, args=(client,)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, client: Callable[[Load], None]) -> None:
        while not self.is_over:
            try:
                client(self)
            except OSError as error:
                self.outcomes[type(error).__name__] += 1

    def wait_for(self, count: int) -> None:
        """Wait until `count` more requests have had their response."""
        before = self.outcomes["served"]
        wait_until(lambda: self.outcomes["served"] >= before + count, what=f"{count} requests")

    def end(self) -> Counter[str]:
        self.is_over = True
        for thread in self._threads:
            thread.join()
        return self.outcomes


def on_a_kept_connection(load: Load) -> None:
    """As many requests as the server allows on one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", load.portico.port, timeout=10)
    connection.connect()
    with contextlib.closing(connection):
        while not load.is_over:
            connection.request("GET", "/")
            response = connection.getresponse()
            response.read()
            load.outcomes["served" if response.status == 200 else str(response.status)] += 1
            if response.will_close:
                load.outcomes["closes"] += 1
                return


def on_a_new_connection(load: Load) -> None:
    with load.portico.ask() as connection:
        load.outcomes["served" if read_body(connection) in ("True", "False") else "short"] += 1


def pipelined(load: Load) -> None:
    """Ten in one piece; the server takes all, or says after which it takes none."""
    with load.portico.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n" * 10)
        received = b""
        while received.count(b"HTTP/1.1 200") < 10 or not received.endswith((b"True", b"False")):
            data = connection.recv(65536)
            if not data:
                break
            received += data
        load.outcomes["served" if received.count(b"HTTP/1.1 200") == 10 else "short"] += 1


CLIENTS = {"kept": on_a_kept_connection, "new": on_a_new_connection, "pipelined": pipelined}


@pytest.mark.parametrize(
    ("client", "way"),
    [
        *((client, "threads") for client in CLIENTS),
        # The thread that calls is another one than that which reads.
        ("pipelined", "gevent"),
    ],
)
def test_nothing_is_lost_while_a_stop_is_announced(start: Start, client: str, way: str) -> None:
    portico = start_shop(start, "-w", "2", "--drain-delay", "2s", "--worker", way)
    load = Load(portico, 4, CLIENTS[client])
    load.wait_for(200)
    announce(portico)
    load.wait_for(200)
    outcomes = load.end()
    assert set(outcomes) <= {"served", "closes"}, outcomes
    assert portico.wait() == 0


def test_a_stop_is_announced_to_health_checks_and_clients_and_begins_later(start: Start) -> None:
    portico = start_shop(start, "-w", "2", "--drain-delay", "1s")
    kept = [portico.connect() for _ in range(4)]
    assert status_of(portico) == 200
    began_s = time.monotonic()
    announce(portico)
    assert "(stops soon)" in title(portico)
    for connection in (*kept, portico.connect()):
        with connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            received = b""
            while data := connection.recv(65536):
                received += data
            assert b"\r\nConnection: close\r\n" in received
            assert received.endswith(b"True")
    assert portico.wait() == 0
    assert time.monotonic() - began_s >= 1
    assert "stopping after the requests in flight" in portico.log()


def test_a_second_term_ends_the_delay_and_waits_for_what_is_in_flight(start: Start) -> None:
    portico = start_shop(start, "--drain-delay", "1h")
    with portico.ask("/wait") as connection:
        wait_until(lambda: (portico.folder / "waiting").exists(), what="the call")
        announce(portico)
        portico.signal(signal.SIGTERM)
        portico.wait_for("stopping after the requests in flight")
        (portico.folder / "go on").touch()
        assert read_body(connection) == "True"
    assert portico.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_int_and_quit_end_the_delay(start: Start, number: signal.Signals) -> None:
    portico = start_shop(start, "--drain-delay", "1h")
    announce(portico)
    assert portico.get() == "True"
    portico.signal(number)
    assert portico.wait() == 0
    assert "stopping\n" in portico.log()


def test_an_upload_and_a_stream_go_on_through_a_stop(start: Start) -> None:
    portico = start_shop(start, "--drain-delay", "200ms")
    size = 1_000_000
    with portico.connect() as upload, portico.ask("/events") as stream:
        upload.sendall(b"POST /upload HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n" % size)
        upload.sendall(b"x" * (size // 2))
        received = stream.recv(65536)
        while b"hello" not in received:
            received += stream.recv(65536)
        portico.signal(signal.SIGTERM)
        # It is told before the door closes.
        assert "bye" in read_body_from(received, stream)
        portico.wait_for("stopping after the requests in flight")
        upload.sendall(b"x" * (size - size // 2))
        assert read_body(upload) == str(size)
    assert portico.wait() == 0


def read_body_from(received: bytes, connection: socket.socket) -> str:
    while data := connection.recv(65536):
        received += data
    return received.decode()


def test_a_worker_that_dies_while_a_stop_is_announced_has_a_successor_that_is_told(start: Start) -> None:
    portico = start_shop(start, "--drain-delay", "1h")
    announce(portico)
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    portico.wait_for("is ready after")
    assert status_of(portico) == 503
    assert portico.get() == "True"
    portico.stop()


def test_a_term_that_all_processes_get_loses_nothing(start: Start) -> None:
    """As some process managers send it: workers leave, and their successors serve until the end."""
    portico = start(SHOP, *OPTIONS, "--drain-delay", "1h", "-w", "2", own_group=True)
    portico.wait_ready()
    load = Load(portico, 4, on_a_new_connection)
    load.wait_for(100)
    os.killpg(portico.process.pid, signal.SIGTERM)
    portico.wait_for("is ready after", times=2)
    load.wait_for(100)
    outcomes = load.end()
    assert set(outcomes) == {"served"}, outcomes
    portico.stop()


def test_a_reload_has_no_delay(start: Start) -> None:
    portico = start_shop(start, "--drain-delay", "1h")
    pids = portico.worker_pids
    portico.signal(signal.SIGHUP)
    wait_until(lambda: not set(pids) & set(portico.worker_pids), what="the end of the old worker")
    assert status_of(portico) == 200
    announce(portico)
    portico.stop()


def test_a_start_that_is_not_ready_is_not_announced(start: Start) -> None:
    portico = start("import time\nopen('loading', 'w').close()\ntime.sleep(1000)\n", "--drain-delay", "1h")
    wait_until(lambda: (portico.folder / "loading").exists(), what="the load")
    portico.stop()


STUCK = """
import os, time
def application(environ, start_response):
    write = start_response("200 OK", [])
    if environ["PATH_INFO"] == "/begun":
        write(b"12345")
    serve(environ["QUERY_STRING"])
    return []

def serve(name):
    open(f"waiting-{name}", "w").close()
    time.sleep(1000)
"""


def test_what_is_aborted_is_told_with_its_request_and_stack_and_has_its_access_line(start: Start) -> None:
    portico = start(STUCK, "--graceful-timeout", "500ms", "--access-log", "access.log")
    portico.wait_ready()
    connections = [portico.ask("/stuck?a"), portico.ask("/begun?b")]
    for name in ("a", "b"):
        wait_until(lambda name=name: (portico.folder / f"waiting-{name}").exists(), what="the call")
    portico.signal(signal.SIGTERM)
    assert portico.wait() == 0
    for connection in connections:
        connection.close()
    log = portico.log()
    for path in ("/stuck", "/begun"):
        (record,) = re.findall(
            rf"aborted GET {path} after [\d.]+ s in the application, (.*\n.*\n(?:  .*\n)*)", log
        )
        assert record.startswith("since graceful_timeout is 0.5 s; it stood at\n")
        assert "in serve\n    time.sleep(1000)\n" in record
    lines = (portico.folder / "access.log").read_text().splitlines()
    found = sorted(
        re.findall(
            r'^127\.0\.0\.1 - - \[.*\] "(.*)" (\d+) (\d+) "-" "-" \d\.\d+ killed:graceful_timeout$',
            "\n".join(lines),
            re.M,
        )
    )
    assert found == [
        ("GET /begun?b HTTP/1.1", "200", "5"),
        ("GET /stuck?a HTTP/1.1", "000", "0"),
    ]
    assert len(lines) == 2


def test_what_still_waits_for_a_thread_in_the_end_gets_a_503(start: Start) -> None:
    portico = start(
        STUCK, "--graceful-timeout", "500ms", "-w", "1", "--threads", "1", "--access-log", "access.log"
    )
    portico.wait_ready()
    with portico.ask("/stuck?a"):
        wait_until(lambda: (portico.folder / "waiting-a").exists(), what="the call")
        with portico.ask("/queued?b") as queued:
            portico.signal(signal.SIGTERM)
            assert queued.recv(65536).startswith(b"HTTP/1.1 503 ")
        assert portico.wait() == 0
    assert "aborted GET /queued before the application was called, since" in portico.log()
    lines = (portico.folder / "access.log").read_text()
    assert [line.split('"')[1] for line in lines.splitlines()] == [
        "GET /queued?b HTTP/1.1",
        "GET /stuck?a HTTP/1.1",
    ]


IN_C = """
import ctypes
def application(environ, start_response):
    open("waiting", "w").close()
    # Without giving the interpreter back.
    ctypes.PyDLL(None).sleep(1000)
"""


def test_what_is_aborted_in_a_call_that_keeps_the_interpreter_is_told_without_its_stack(start: Start) -> None:
    portico = start(IN_C, "--graceful-timeout", "300ms", "--access-log", "access.log")
    portico.wait_ready()
    with portico.ask("/stuck"):
        wait_until(lambda: (portico.folder / "waiting").exists(), what="the call")
        portico.signal(signal.SIGTERM)
        assert portico.wait() == 0
    assert re.search(r"aborted GET /stuck after .*; its stack could not be had", portico.log())
    assert '"GET /stuck HTTP/1.1" 000 0' in (portico.folder / "access.log").read_text()


def test_winch_lets_the_workers_leave_and_hup_brings_them_back(start: Start) -> None:
    portico = start_shop(start, "-w", "2")
    pids = portico.worker_pids
    with portico.ask("/wait") as in_flight:
        wait_until(lambda: (portico.folder / "waiting").exists(), what="the call")
        portico.signal(signal.SIGWINCH)
        portico.wait_for("resting: the workers finish and leave")
        assert "(rests)" in title(portico)
        (portico.folder / "go on").touch()
        assert read_body(in_flight) in ("True", "False")
    wait_until(lambda: not portico.worker_pids, what="the end of the workers")
    with portico.ask() as waiting:
        portico.signal(signal.SIGHUP)
        assert read_body(waiting) == "False"
    assert len(portico.worker_pids) == 2
    assert not set(pids) & set(portico.worker_pids)
    assert "(rests)" not in title(portico)
    portico.stop()


def test_hup_brings_workers_back_also_if_the_configuration_is_not_taken(start: Start, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "portico.toml").write_text(
        f'[[app]]\napp = "shop"\n[listening]\nbind = ["127.0.0.1:{port}"]\n'
    )
    portico = start(SHOP, port=port, reads_file=True)
    portico.wait_ready()
    portico.signal(signal.SIGWINCH)
    wait_until(lambda: not portico.worker_pids, what="the end of the workers")
    (tmp_path / "portico.toml").write_text("[listening\n")
    portico.signal(signal.SIGHUP)
    portico.wait_for("the configuration was not taken")
    assert portico.get() == "False"
    portico.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_supervisor_that_rests_can_be_stopped(start: Start, number: signal.Signals) -> None:
    portico = start_shop(start, "--drain-delay", "1h")
    portico.signal(signal.SIGWINCH)
    wait_until(lambda: not portico.worker_pids, what="the end of the workers")
    portico.signal(number)
    assert portico.wait() == 0


def test_a_terminal_that_changes_its_size_is_not_a_word_to_rest(start: Start) -> None:
    with terminal() as (_, theirs):

        def take_terminal() -> None:
            os.setsid()
            # The first terminal that the leader of a session opens is its own.
            os.close(os.open(os.ttyname(theirs), os.O_RDWR))

        portico = start(SHOP, "--log-level", "debug", before_exec=take_terminal)
        portico.wait_ready()
        pids = portico.worker_pids
        portico.signal(signal.SIGWINCH)
        portico.wait_for("the size of the terminal has changed")
        assert portico.get() == "False"
        assert portico.worker_pids == pids
        portico.stop()


@contextlib.contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = os.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)
