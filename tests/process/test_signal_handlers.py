"""The application's own signal handlers run at once, whatever its worker's threads do."""

from __future__ import annotations

import os
import signal
import socket
import threading
from pathlib import Path

import pytest
from support.processes import thread_count
from support.server import WORKER
from support.waiting import wait_until
from support.ways import not_for, of_the_default

from .conftest import Portico, Start, read_body

# Each signal leaves a line in a file: its number, and the thread that the handler ran on.
APPLICATION = """
import os, signal, threading, time
def note(number, frame):
    with open("handled", "a") as file:
        file.write(f"{number} {threading.current_thread() is threading.main_thread()}\\n")
for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD, signal.SIGHUP):
    signal.signal(number, note)
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        open(f"waiting {threading.get_ident()}", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
    if path == "/short":
        time.sleep(0.002)
    if path == "/alarm":
        signal.setitimer(signal.ITIMER_REAL, 0.05)
    if path == "/body":
        open("waiting", "w").close()
        environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [b"done"]
"""

threads = pytest.mark.parametrize("threads", ["1", "8"])
# gevent has a handler of SIGCHLD called by its hub, for children alone.
OF_CHILDREN = [] if WORKER == "gevent" else [signal.SIGCHLD]
NUMBERS = [signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, *OF_CHILDREN, signal.SIGHUP]


def handled(portico: Portico) -> list[str]:
    path = portico.folder / "handled"
    text = path.read_text() if path.exists() else ""
    # With gevent whichever greenlet has the thread, and `threading` takes each for a thread of its own.
    return (text.replace("False", "True") if WORKER == "gevent" else text).splitlines()


def send_each(portico: Portico, pid: int, *, rounds: int = 1) -> None:
    """Send signals one after the other, each when the one before is handled, for the `rounds`th time."""
    for count, number in enumerate(NUMBERS, 1 + (rounds - 1) * len(NUMBERS)):
        os.kill(pid, number)
        wait_until(
            lambda count=count: len(handled(portico)) >= count,
            what=f"{number.name} to be handled",
            deadline_s=2,
        )
    assert handled(portico) == [f"{number.value} True" for number in NUMBERS] * rounds


def wait_in_application(portico: Portico, how_many: int) -> list[socket.socket]:
    """Bring requests into the application, one after the other, and return their connections."""
    connections = []
    for _ in range(how_many):
        connections.append(portico.ask("/wait"))
        wait_until(
            lambda: len(list(Path(portico.folder).glob("waiting *"))) == len(connections),
            what="the request to reach the application",
        )
    return connections


def read_bodies(connections: list[socket.socket]) -> list[str]:
    bodies = []
    for connection in connections:
        with connection:
            bodies.append(read_body(connection))
    return bodies


@threads
def test_a_handler_runs_in_a_worker_that_has_not_had_a_request(start: Start, threads: str) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", threads)
    portico.wait_ready()
    [pid] = portico.worker_pids
    send_each(portico, pid)
    assert portico.get() == "done"


@threads
def test_a_handler_runs_in_an_idle_worker(start: Start, threads: str) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", threads)
    portico.wait_ready()
    [pid] = portico.worker_pids
    assert [portico.get() for _ in range(3)] == ["done"] * 3
    send_each(portico, pid)
    assert portico.get() == "done"


@of_the_default
def test_a_handler_runs_while_another_thread_leads(start: Start) -> None:
    """A call that waits takes the lead from the first thread, which is parked after it."""
    portico = start(APPLICATION, "-w", "1", "--threads", "8")
    portico.wait_ready()
    [pid] = portico.worker_pids
    connections = wait_in_application(portico, 1)
    wait_until(lambda: thread_count(pid) >= 3, what="a second thread of the crew")
    (portico.folder / "go on").touch()
    assert read_bodies(connections) == ["done"]
    send_each(portico, pid)
    assert portico.get() == "done"


@pytest.mark.parametrize(("threads", "calls"), [("1", 1), ("8", 1), ("8", 5), ("8", 8)])
def test_a_handler_runs_while_calls_run(start: Start, threads: str, calls: int) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", threads)
    portico.wait_ready()
    [pid] = portico.worker_pids
    connections = wait_in_application(portico, calls)
    send_each(portico, pid)
    (portico.folder / "go on").touch()
    assert read_bodies(connections) == ["done"] * calls


@pytest.mark.parametrize("path", ["/", "/short"])
@threads
def test_a_handler_runs_under_load(start: Start, threads: str, path: str) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", threads)
    portico.wait_ready()
    [pid] = portico.worker_pids
    over = threading.Event()
    served: list[str] = []

    def load() -> None:
        while not over.is_set():
            served.append(portico.get(path))

    clients = [threading.Thread(target=load) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        wait_until(lambda: len(served) > 50, what="the load")
        for round_ in range(1, 11):
            before = len(served)
            send_each(portico, pid, rounds=round_)
            wait_until(lambda before=before: len(served) > before, what="a request to be served")
    finally:
        over.set()
        for client in clients:
            client.join()
    assert set(served) == {"done"}


@threads
def test_a_timer_of_a_call_fires_after_the_call(start: Start, threads: str) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", threads)
    portico.wait_ready()
    assert portico.get("/alarm") == "done"
    wait_until(lambda: handled(portico) == [f"{signal.SIGALRM.value} True"], what="the timer", deadline_s=2)


@threads
def test_a_handler_runs_while_a_body_is_waited_for(start: Start, threads: str) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", threads, "--body-spool", "1K", "--body-memory", "1K")
    portico.wait_ready()
    [pid] = portico.worker_pids
    with socket.create_connection(("127.0.0.1", portico.port), timeout=20) as connection:
        head = b"POST /body HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head + bytes(50_000))
        wait_until((portico.folder / "waiting").exists, what="the request to reach the application")
        send_each(portico, pid)
        connection.sendall(bytes(50_000))
        assert read_body(connection) == "done"


@threads
@not_for("gevent", reason="what a handler raises is the hub's")
def test_a_handler_may_end_the_wait_for_a_body(start: Start, threads: str) -> None:
    source = """
import signal
def application(environ, start_response):
    def give_up(number, frame):
        raise TimeoutError
    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        environ["wsgi.input"].read()
    except TimeoutError:
        start_response("408 Request Timeout", [])
        return [b"given up"]
"""
    portico = start(source, "-w", "1", "--threads", threads, "--body-spool", "1K", "--body-memory", "1K")
    portico.wait_ready()
    with socket.create_connection(("127.0.0.1", portico.port), timeout=20) as connection:
        head = b"POST /body HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
        connection.sendall(head + bytes(50_000))
        assert read_body(connection) == "given up"


@threads
def test_a_handler_runs_while_a_slow_reader_is_waited_for(start: Start, threads: str) -> None:
    source = (
        APPLICATION
        + """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", str(100 << 20))])
    for index in range(100):
        if index == 20:
            open("waiting", "w").close()
        yield bytes(1 << 20)
"""
    )
    options = ("--response-spool", "0", "--response-memory", "0")
    portico = start(source, "-w", "1", "--threads", threads, *options)
    portico.wait_ready()
    [pid] = portico.worker_pids
    with portico.ask() as connection:
        connection.recv(1)
        send_each(portico, pid)
        assert not (portico.folder / "waiting").exists()
        assert read_length(connection) > 100 << 20


def read_length(connection: socket.socket) -> int:
    length = 1
    while data := connection.recv(1 << 20):
        length += len(data)
    return length


@threads
def test_a_handler_that_raises_costs_nothing_but_a_line(start: Start, threads: str) -> None:
    source = APPLICATION + "signal.signal(signal.SIGUSR1, lambda number, frame: 1 / 0)\n"
    portico = start(source, "-w", "1", "--threads", threads)
    portico.wait_ready()
    [pid] = portico.worker_pids
    os.kill(pid, signal.SIGUSR1)
    portico.wait_for("a signal handler of the application failed\nTraceback")
    assert "ZeroDivisionError" in portico.log()
    assert portico.get() == "done"
    assert portico.worker_pids == [pid]


# How an application may hear of signals in the server's place, or keep the server from hearing of them.
LISTENERS = {
    "a wakeup descriptor": """
pipe = os.pipe()
os.set_blocking(pipe[1], False)
signal.set_wakeup_fd(pipe[1])
""",
    "none": "signal.set_wakeup_fd(-1)\n",
    "a loop": """
import asyncio
loop = asyncio.new_event_loop()
loop.add_signal_handler(signal.SIGPROF, lambda: None)
""",
    "a loop that has ended": """
import asyncio
loop = asyncio.new_event_loop()
loop.add_signal_handler(signal.SIGPROF, lambda: None)
loop.close()
""",
}


@pytest.mark.parametrize("listener", LISTENERS.values(), ids=LISTENERS.keys())
@threads
def test_a_handler_runs_whoever_hears_of_signals(start: Start, listener: str, threads: str) -> None:
    portico = start(APPLICATION + listener, "-w", "1", "--threads", threads)
    portico.wait_ready()
    [pid] = portico.worker_pids
    send_each(portico, pid)
    os.kill(pid, signal.SIGTERM)
    portico.wait_for(f"worker {pid} leaves because of a signal")


def test_a_handler_runs_after_a_call_has_used_a_loop(start: Start) -> None:
    source = (
        APPLICATION
        + """
import asyncio
def application(environ, start_response):
    async def work():
        asyncio.get_running_loop().add_signal_handler(signal.SIGPROF, lambda: None)
        await asyncio.sleep(0.01)
        return b"done"
    start_response("200 OK", [])
    return [asyncio.run(work())]
"""
    )
    portico = start(source, "-w", "1", "--threads", "1")
    portico.wait_ready()
    [pid] = portico.worker_pids
    assert portico.get() == "done"
    send_each(portico, pid)


def test_a_slow_handler_does_not_hold_up_requests(start: Start) -> None:
    source = (
        APPLICATION
        + """
def hold(number, frame):
    open("waiting", "w").close()
    while not os.path.exists("go on"):
        time.sleep(0.01)
signal.signal(signal.SIGUSR1, hold)
"""
    )
    portico = start(source, "-w", "1", "--threads", "2")
    portico.wait_ready()
    [pid] = portico.worker_pids
    os.kill(pid, signal.SIGUSR1)
    wait_until((portico.folder / "waiting").exists, what="the handler to begin")
    assert portico.get() == "done"
    (portico.folder / "go on").touch()
    assert portico.get() == "done"
