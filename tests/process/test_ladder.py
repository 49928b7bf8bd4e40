"""The deadline ladder: the stack of a slow call, RequestTimeout in it at its timeout, and what follows."""

from __future__ import annotations

import re
import socket
import threading

import pytest
from support.processes import is_alive
from support.waiting import wait_until
from support.ways import cannot_be_ended

from .conftest import Portico, Start

APPLICATION = """
import ctypes, os, re, threading, time
import portico
lock = threading.Lock()
lock.acquire()
seen = []
def spin(seconds=60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
def steps():
    for _ in range(6000):
        time.sleep(0.01)
def stream(start_response):
    start_response("200 OK", [])
    yield b"first"
    spin()
def twice(start_response):
    start_response("200 OK", [])
    try:
        spin()
    except portico.RequestTimeout:
        yield b"first"
    spin()
class Closing(list):
    def close(self):
        spin()
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/spin":
        spin()
    if path == "/steps":
        try:
            steps()
        finally:
            open("cleaned up", "w").close()
    if path == "/sleep":
        time.sleep(600)
    if path == "/deadlock":
        lock.acquire()
    if path == "/holds":
        re.match("(a*)*b", "a" * 64)
    if path == "/releases":
        ctypes.CDLL(None).sleep(600)
    if path == "/stream":
        return stream(start_response)
    if path == "/twice":
        return twice(start_response)
    if path == "/closing":
        start_response("200 OK", [("Content-Length", "4")])
        return Closing([b"done"])
    if path == "/catches":
        try:
            spin()
        except portico.RequestTimeout:
            start_response("503 Too slow", [])
            return [b"my own words"]
    if path == "/ignores":
        while True:
            try:
                spin()
            except BaseException:
                pass
    if path == "/wraps":
        try:
            spin()
        except BaseException:
            raise ValueError("of it")
    if path.startswith("/extends"):
        environ["portico.extend_deadline"](float(path[8:]))
        spin(1.2)
    if path == "/keeps":
        seen.append(environ["portico.extend_deadline"])
    if path == "/late":
        try:
            seen[0](5)
        except RuntimeError as error:
            start_response("200 OK", [])
            return [str(error).encode()]
    if path.startswith("/for"):
        spin(float(path[4:]))
    if path == "/wait":
        open("waiting", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""

threads = pytest.mark.parametrize("threads", ["1", "8"])
# What does not come back to Python code by itself.
stuck = pytest.mark.parametrize("path", ["/sleep", "/deadlock", "/releases", "/holds", "/ignores"])
READS_S = 20


def response(connection: socket.socket) -> tuple[int, str]:
    """The status, 0 for none, and the body."""
    received = b""
    try:
        while data := connection.recv(65536):
            received += data
    except ConnectionResetError:
        pass
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]) if head else 0, body.decode()


def get(portico: Portico, path: str) -> tuple[int, str]:
    with portico.ask(path) as connection:
        return response(connection)


def access_lines(portico: Portico, path: str) -> list[str]:
    return [line for line in portico.log().splitlines() if re.search(rf'"GET {path}[" ].*" \d', line)]


def has_line(portico: Portico, path: str, status: int) -> None:
    wait_until(lambda: access_lines(portico, path), what="an access line")
    [line] = access_lines(portico, path)
    assert f'" {status} ' in line


def begin(start: Start, *options: str, threads: str = "4") -> Portico:
    portico = start(APPLICATION, "-w", "1", "--threads", threads, "--access-log", "-", *options)
    portico.wait_ready()
    return portico


@threads
@pytest.mark.parametrize("path", ["/spin", "/steps"])
def test_a_call_that_runs_python_code_gets_the_exception_and_its_worker_stays(
    start: Start, threads: str, path: str
) -> None:
    portico = begin(start, "--timeout", "300ms", threads=threads)
    [pid] = portico.worker_pids
    assert get(portico, path) == (504, "504 Gateway Timeout\n")
    has_line(portico, path, 504)
    assert [get(portico, "/") for _ in range(20)] == [(200, str(pid))] * 20
    log = portico.log()
    assert "longer than the timeout of 0.3 s; raising RequestTimeout in it" in log
    assert "was ended by RequestTimeout\n" in log
    assert "portico.RequestTimeout: the call has kept its client waiting" in log
    assert "replacing" not in log
    assert path != "/steps" or (portico.folder / "cleaned up").exists()


def test_the_stack_is_logged_three_times_and_the_call_goes_on(start: Start) -> None:
    portico = begin(start, "--slow-after", "200ms", "--timeout", "30s")
    assert get(portico, "/for1.8")[0] == 200
    portico.wait_for("shop:application at GET /for1.8 has ended after ")
    log = portico.log()
    records = re.findall(r"GET /for1.8 has been in the application for (\d\.\d) s; it stands at\n(.*)\n", log)
    assert len(records) == 3
    assert all("shop.py" in first for _, first in records)
    while_it_went_on, _, at_its_end = log.partition("shop:application at GET /for1.8 has ended after ")
    assert while_it_went_on.count("in spin\n") == 3
    # Those that are the same are there once.
    assert 1 <= at_its_end.count("in spin\n") <= 3
    assert "process/worker.py" not in log


def test_a_response_that_has_begun_is_aborted(start: Start) -> None:
    portico = begin(start, "--timeout", "300ms")
    [pid] = portico.worker_pids
    with portico.ask("/stream") as connection:
        received = b""
        while data := connection.recv(65536):
            received += data
    assert b"first" in received
    assert not received.endswith(b"0\r\n\r\n")
    has_line(portico, "/stream", 200)
    assert get(portico, "/") == (200, str(pid))


def test_a_body_that_was_sent_is_not_undone_by_its_close(start: Start) -> None:
    portico = begin(start, "--timeout", "300ms")
    [pid] = portico.worker_pids
    with portico.ask("/closing") as connection:
        assert connection.recv(65536).endswith(b"done")
        portico.wait_for("portico.RequestTimeout")
    has_line(portico, "/closing", 200)
    assert get(portico, "/") == (200, str(pid))


def test_an_application_may_catch_it_and_respond_itself(start: Start) -> None:
    portico = begin(start, "--timeout", "300ms")
    assert get(portico, "/catches") == (503, "my own words")
    has_line(portico, "/catches", 503)


def test_a_call_that_has_caught_it_and_goes_on_gets_it_again(start: Start) -> None:
    portico = begin(start, "--timeout", "300ms", "--timeout-grace", "10s")
    status, body = get(portico, "/twice")
    assert (status, "first" in body) == (200, True)
    assert portico.log().count("raising RequestTimeout in it") == 2


def test_what_comes_of_it_is_a_504_too(start: Start) -> None:
    portico = begin(start, "--timeout", "300ms")
    assert get(portico, "/wraps")[0] == 504
    assert "ValueError: of it" in portico.log()


@threads
@stuck
@cannot_be_ended
def test_a_call_that_does_not_yield_gets_its_504_and_costs_the_worker(
    start: Start, threads: str, path: str
) -> None:
    portico = begin(start, "--timeout", "300ms", "--timeout-grace", "300ms", threads=threads)
    [pid] = portico.worker_pids
    assert get(portico, path) == (504, "504 Gateway Timeout\n")
    has_line(portico, path, 504)
    wait_until(lambda: not is_alive(pid), what="the worker to go", deadline_s=10)
    assert get(portico, "/") == (200, str(portico.worker_pids[0]))
    log = portico.log()
    assert re.search(
        r"has not ended within 0.3 s of RequestTimeout; replacing the worker, its thread \d+ is ", log
    )
    assert 'shop.py", line' in log


@cannot_be_ended
def test_the_other_calls_finish_each_in_its_own_time(start: Start) -> None:
    options = ("--timeout", "4s", "--timeout-grace", "100ms", "--graceful-timeout", "100ms")
    portico = begin(start, *options)
    [pid] = portico.worker_pids
    with portico.ask("/sleep") as slow:
        # So that the next one's own time goes on when the first one's is over.
        assert get(portico, "/for1.5") == (200, str(pid))
        with portico.ask("/wait") as other:
            assert response(slow)[0] == 504
            portico.wait_for("is ready after")
            assert is_alive(pid)
            (portico.folder / "go on").touch()
            assert response(other) == (200, str(pid))
        wait_until(lambda: not is_alive(pid), what="the worker to go", deadline_s=10)
    assert "has finished all other calls: killed" in portico.log()


def test_a_call_may_ask_for_more_time(start: Start) -> None:
    portico = begin(start, "--timeout", "300ms")
    assert get(portico, "/extends5")[0] == 200
    assert "longer than" not in portico.log()
    assert get(portico, "/extends0.5")[0] == 504
    assert "s that it has asked for; raising RequestTimeout in it" in portico.log()
    assert get(portico, "/extends-1")[0] == 500
    assert "expected seconds from 0 to" in portico.log()
    assert get(portico, "/keeps")[0] == 200
    assert "after the call of the application had ended" in get(portico, "/late")[1]
    assert get(portico, "/for1")[0] == 504


def test_a_slow_client_is_not_the_call_s_time(start: Start) -> None:
    source = """
def application(environ, start_response):
    start_response("200 OK", [])
    yield b"x" * 30_000_000
    yield b"end"
"""
    portico = start(
        source, *("-w", "1", "--timeout", "300ms", "--response-memory", "64K", "--response-spool", "64K")
    )
    portico.wait_ready()
    with portico.connect() as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        received = len(connection.recv(1000))
        threading.Event().wait(1.0)
        last = b""
        while data := connection.recv(1 << 20):
            received += len(data)
            last = data
    assert last.endswith(b"end")
    assert "longer than" not in portico.log()


def test_the_next_call_of_the_thread_is_never_hit(start: Start) -> None:
    """Calls end at the moment at which they are interrupted; those after them are short, and never fail."""
    portico = begin(start, "--timeout", "100ms", "--timeout-grace", "5s", threads="1")
    [pid] = portico.worker_pids
    statuses: list[int] = []
    for number in range(120):
        with portico.ask(f"/for{0.1 + number % 30 / 1000:.3f}") as first, portico.ask("/") as second:
            statuses.append(response(first)[0])
            assert response(second) == (200, str(pid))
    assert set(statuses) == {200, 504}
    assert portico.worker_pids == [pid]
    assert "GET / failed" not in portico.log()


def test_middleware_lets_it_pass(start: Start) -> None:
    source = """
import time
from portico.middleware import ProxyFix
def endless(environ, start_response):
    while True:
        time.sleep(0.001)
def catching(app):
    def middleware(environ, start_response):
        try:
            return app(environ, start_response)
        except Exception:
            start_response("500 Internal Server Error", [])
            return [b"caught"]
    return middleware
application = catching(ProxyFix(catching(endless)))
"""
    portico = start(source, "-w", "1", "--timeout", "300ms")
    portico.wait_ready()
    assert get(portico, "/") == (504, "504 Gateway Timeout\n")
