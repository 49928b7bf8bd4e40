"""`timeout`: what it counts from, and how a worker goes whose call, or interpreter, does not end by it.

What happens in the call itself is in test_ladder.py.
"""

from __future__ import annotations

import re
import resource
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.processes import is_alive
from support.server import WORKER
from support.waiting import wait_until
from support.ways import beside_each_other, cannot_be_ended

from .conftest import Portico, Start, read_body

APPLICATION = """
import ctypes, os, re, threading, time
def wait_for(name):
    # Whatever is raised in it.
    while not os.path.exists(name):
        try:
            time.sleep(0.01)
        except BaseException:
            pass
def stream(start_response, pause_s, count):
    start_response("200 OK", [])
    for _ in range(count):
        time.sleep(pause_s)
        yield b"data: x\\n\\n"
def written(start_response, pause_s, count):
    write = start_response("200 OK", [])
    for _ in range(count):
        time.sleep(pause_s)
        write(b"data: x\\n\\n")
    return []
def hold_by_sleep():
    ctypes.PyDLL(None).sleep(600)
def hold_by_expression():
    re.match("(a*)*b", "a" * 64)
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/stream":
        return stream(start_response, 0.1, 15)
    if path == "/endless":
        return stream(start_response, 0.1, 10000)
    if path == "/written":
        return written(start_response, 0.1, 15)
    if path == "/stalls":
        return stalling(start_response)
    if path.startswith("/wait"):
        open("waiting" + path[5:], "w").close()
        wait_for("go on" + path[5:])
    if path == "/hold_by_sleep":
        threading.Timer(0.05, hold_by_sleep).start()
    if path == "/hold_by_expression":
        threading.Timer(0.05, hold_by_expression).start()
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
def stalling(start_response):
    start_response("200 OK", [])
    yield b"first"
    wait_for("go on")
"""

threads = pytest.mark.parametrize("threads", ["1", "8"])


def is_there(portico: Portico, name: str) -> None:
    wait_until((portico.folder / name).exists, what=f"the file {name!r}")


@threads
@pytest.mark.parametrize("path", ["/stream", "/written"])
def test_a_call_that_keeps_sending_is_not_overdue(start: Start, threads: str, path: str) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", threads, "--timeout", "500ms")
    portico.wait_ready()
    [pid] = portico.worker_pids
    assert portico.get(path).count("data") == 15
    assert portico.worker_pids == [pid]
    assert "longer than the timeout" not in portico.log()


@cannot_be_ended
@threads
def test_a_call_that_stops_sending_is_overdue_from_its_last_block(start: Start, threads: str) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", threads, "--timeout", "300ms")
    portico.wait_ready()
    [pid] = portico.worker_pids
    with portico.ask("/stalls") as connection:
        portico.wait_for("longer than the timeout of 0.3 s; raising RequestTimeout in it")
        portico.wait_for("has not ended within 1 s of RequestTimeout; replacing the worker")
        wait_until(lambda: not is_alive(pid), what="the worker to go")
        assert "first" in connection.recv(65536).decode()
    assert re.search(r"GET /stalls has (kept its client waiting|been in the application) for", portico.log())


@beside_each_other
@cannot_be_ended
def test_the_others_finish_and_nobody_new_comes_before_the_end(start: Start) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", "8", "--timeout", "1s", "--graceful-timeout", "30s")
    portico.wait_ready()
    [pid] = portico.worker_pids
    with portico.ask("/wait-for-ever"):
        is_there(portico, "waiting-for-ever")
        wait_until(lambda: _age_s(portico, "waiting-for-ever") > 0.6, what="the call to be nearly overdue")
        with portico.ask("/wait-a-little") as other:
            is_there(portico, "waiting-a-little")
            portico.wait_for("replacing the worker")
            portico.wait_for("is ready after")
            # While the old one is there, new requests are the new one's.
            served_by = {portico.get() for _ in range(5)}
            assert str(pid) not in served_by
            assert is_alive(pid)
            (portico.folder / "go on-a-little").touch()
            assert read_body(other) == str(pid)
        wait_until(lambda: not is_alive(pid), what="the worker to go", deadline_s=3)
    log = portico.log()
    assert f"worker {pid} has finished all other calls: killed, in flight: GET /wait-for-ever" in log
    assert "Fatal Python error" not in log


@pytest.mark.parametrize("way", ["threads", "asyncio"])
def test_what_waits_behind_such_a_call_gets_a_503_and_has_its_access_line(start: Start, way: str) -> None:
    """Nobody will ever call the application for it, so its client is told, and whoever counts requests."""
    portico = start(
        APPLICATION,
        *("-w", "1", "--worker", way, "--timeout", "500ms", "--timeout-grace", "500ms"),
        *("--access-log", "access.log", *(("--threads", "1") if way == "threads" else ())),
    )
    portico.wait_ready()
    with portico.connect() as first, portico.connect() as second:
        # So that they are this worker's, and not left to its successor.
        for number, waiting in enumerate((first, second)):
            waiting.sendall(b"GET /before?%d HTTP/1.1\r\nHost: test\r\n\r\n" % number)
            assert waiting.recv(65536).startswith(b"HTTP/1.1 200 ")
        with portico.ask("/wait-for-ever"):
            is_there(portico, "waiting-for-ever")
            for number, waiting in enumerate((first, second)):
                waiting.sendall(b"GET /behind-it?%d HTTP/1.1\r\nHost: test\r\n\r\n" % number)
            portico.wait_for("replacing the worker")
            given_up_s = time.monotonic()
            for waiting in (first, second):
                assert waiting.recv(65536).startswith(b"HTTP/1.1 503 ")
            if way == "threads":
                # As soon as it is clear that no thread will come free, and not at the end of the worker.
                assert time.monotonic() - given_up_s < 1.5
        portico.wait_for("in flight: GET /wait-for-ever", times=2)
        portico.stop()
    assert portico.log().count("aborted GET /behind-it before the application was called") == 2
    lines = (portico.folder / "access.log").read_text()
    assert sorted(re.findall(r'"GET (\S+) HTTP/1.1" (\d+) ', lines)) == [
        *(("/before?0", "200"), ("/before?1", "200")),
        *(("/behind-it?0", "503"), ("/behind-it?1", "503")),
        ("/wait-for-ever", "504"),
    ]


def _age_s(portico: Portico, name: str) -> float:
    return time.time() - (portico.folder / name).stat().st_mtime


@cannot_be_ended
def test_the_others_have_no_longer_than_their_own_time(start: Start) -> None:
    options = ("--timeout", "1s", "--graceful-timeout", "500ms")
    portico = start(APPLICATION, "-w", "1", "--threads", "8", *options)
    portico.wait_ready()
    [pid] = portico.worker_pids
    with portico.ask("/wait-1"):
        is_there(portico, "waiting-1")
        wait_until(lambda: _age_s(portico, "waiting-1") > 0.6, what="the call to be nearly overdue")
        with portico.ask("/wait-2"):
            portico.wait_for("replacing the worker")
            wait_until(lambda: not is_alive(pid), what="the worker to go", deadline_s=5)


@beside_each_other
@cannot_be_ended
def test_what_sends_for_ever_is_aborted_at_the_end_of_a_replaced_worker(start: Start) -> None:
    """By the time that others have there, and not by `graceful_timeout`, as log and line say."""
    portico = start(
        APPLICATION,
        *("-w", "1", "--threads", "8", "--timeout", "1s", "--graceful-timeout", "30s"),
        *("--access-log", "access.log"),
    )
    portico.wait_ready()
    with portico.ask("/endless") as endless, portico.ask("/wait-for-ever"):
        assert endless.recv(65536)
        portico.wait_for("replacing the worker")
        portico.wait_for("aborted GET /endless after")
        portico.wait_for("s in the application, since the 2 s are over that others have in a worker which is")
    portico.stop()
    assert "graceful_timeout" not in portico.log()
    [line] = [line for line in (portico.folder / "access.log").read_text().splitlines() if "/endless" in line]
    assert line.endswith(" killed:timeout")


@beside_each_other
def test_a_call_that_ends_after_all_gets_its_response_out(start: Start) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", "2", "--timeout", "300ms", "--timeout-grace", "20s")
    portico.wait_ready()
    [pid] = portico.worker_pids
    with portico.ask("/wait-1") as first, portico.ask("/wait-2") as second:
        portico.wait_for("raising RequestTimeout in it", times=2)
        for number in (1, 2):
            (portico.folder / f"go on-{number}").touch()
        assert [read_body(first), read_body(second)] == [str(pid)] * 2


@cannot_be_ended
def test_the_stacks_are_logged_and_no_core_is_left(start: Start) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        portico = start(APPLICATION, "-w", "1", "--threads", "4", "--timeout", "200ms")
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)
    portico.wait_ready()
    [pid] = portico.worker_pids
    with portico.ask("/wait"):
        wait_until(lambda: not is_alive(pid), what="the worker to go")
    assert re.search(r'shop\.py", line \d+ in wait_for\n.*line \d+ in application', portico.log())
    portico.wait_for("is ready after")
    assert not [path.name for path in portico.folder.iterdir() if "core" in path.name]
    assert "SIGABRT" not in portico.log()


holds = pytest.mark.parametrize("hold", ["hold_by_sleep", "hold_by_expression"])


@holds
@threads
def test_a_worker_whose_interpreter_does_not_come_free_is_replaced(
    start: Start, hold: str, threads: str
) -> None:
    portico = start(APPLICATION, "-w", "1", "--threads", threads, "--timeout", "500ms")
    with stuck_worker(portico, hold) as pid:
        portico.wait_for("replacing the worker")
        wait_until(lambda: not is_alive(pid), what="the worker to go", deadline_s=5)
        assert portico.get() != str(pid)
    who = (
        "a thread has waited for the interpreter for"
        if WORKER == "threads"
        else "the event loop has not turned for"
    )
    assert who in portico.log()
    assert hold in portico.log()


@holds
def test_term_ends_a_worker_whose_interpreter_does_not_come_free(start: Start, hold: str) -> None:
    portico = start(
        APPLICATION, "-w", "1", "--threads", "2", "--graceful-timeout", "500ms", "--timeout", "1h"
    )
    with stuck_worker(portico, hold):
        portico.signal(signal.SIGTERM)
        assert portico.wait() == 0
    assert "killed, waiting for the interpreter for" in portico.log()


@contextmanager
def stuck_worker(portico: Portico, hold: str) -> Iterator[int]:
    """The pid of the only worker, which serves nothing any more because `hold` has the interpreter."""
    portico.wait_ready()
    [pid] = portico.worker_pids
    assert portico.get("/" + hold) == str(pid)
    connections: list[socket.socket] = []
    try:
        wait_until(lambda: is_stuck(portico, connections), what="a request that is not served")
        yield pid
    finally:
        for connection in connections:
            connection.close()


def is_stuck(portico: Portico, connections: list[socket.socket]) -> bool:
    """Send a request; true if there is no response to it in a second."""
    connections.append(portico.ask())
    connections[-1].settimeout(1)
    try:
        return not connections[-1].recv(65536)
    except TimeoutError:
        return True


def test_a_worker_that_computes_is_not_taken_for_stuck(start: Start) -> None:
    """Threads that take turns wait for the interpreter, each for a short time."""
    source = """
import threading
def application(environ, start_response):
    total = 0
    for number in range(3_000_000):
        total += number
    start_response("200 OK", [])
    return [b"done"]
"""
    portico = start(source, "-w", "1", "--threads", "4", "--timeout", "20s")
    portico.wait_ready()
    connections = [portico.ask() for _ in range(8)]
    for connection in connections:
        with connection:
            assert read_body(connection) == "done"
    assert "waited for the interpreter" not in portico.log()


def test_idle_workers_are_not_overdue(start: Start) -> None:
    portico = start(APPLICATION, "-w", "2", "--timeout", "100ms")
    portico.wait_ready()
    before = portico.worker_pids
    assert [portico.get().isdigit() for _ in range(5)] == [True] * 5
    time.sleep(1)
    assert portico.worker_pids == before
    assert "longer than the timeout" not in portico.log()
