"""SIGSTOP and SIGCONT, as a debugger, a frozen control group or a paused virtual machine has them."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterable

import pytest
from support.waiting import wait_until

from .conftest import Portico, Start

APPLICATION = """
import os, time
while os.path.exists("loading"):
    time.sleep(0.01)
def application(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        open("waiting", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


def stop_for(pids: Iterable[int], seconds: float) -> None:
    """Stop these processes for so long; time that passes is what this is about."""
    pids = list(pids)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in reversed(pids):
        os.kill(pid, signal.SIGCONT)


def serve(start: Start, *options: str) -> Portico:
    portico = start(APPLICATION, "-w", "1", *options)
    portico.wait_ready()
    return portico


def ask_and_wait(portico: Portico) -> socket.socket:
    connection = portico.ask("/wait")
    wait_until((portico.folder / "waiting").exists, what="the call")
    return connection


def go_on(portico: Portico) -> None:
    (portico.folder / "go on").touch()


def body_of(connection: socket.socket) -> str:
    received = b""
    while b"\r\n\r\n" not in received or received.endswith(b"\r\n\r\n"):
        data = connection.recv(65536)
        assert data, f"lost after {received!r}"
        received += data
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    return body.decode()


def test_a_worker_that_was_stopped_serves_what_has_come_meanwhile(start: Start) -> None:
    # Longer than a connection is kept: the request has come in time all the same.
    portico = serve(start, "--keep-alive", "1")
    (pid,) = portico.worker_pids
    with portico.connect() as kept, portico.connect() as new:
        kept.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert body_of(kept) == str(pid)
        os.kill(pid, signal.SIGSTOP)
        for connection in (kept, new):
            connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(2.5)
        os.kill(pid, signal.SIGCONT)
        assert [body_of(kept), body_of(new)] == [str(pid)] * 2
    portico.stop()


def test_a_worker_that_was_stopped_for_less_than_its_timeout_stays(start: Start) -> None:
    portico = serve(start, "--timeout", "4", "--slow-after", "0")
    (pid,) = portico.worker_pids
    with ask_and_wait(portico) as connection:
        stop_for([pid], 2.0)
        go_on(portico)
        assert body_of(connection) == str(pid)
    assert "timeout" not in portico.log()
    portico.stop()


@pytest.mark.parametrize("is_all", [True, False], ids=["all", "supervisor"])
def test_a_stop_of_the_supervisor_makes_no_call_overdue(start: Start, is_all: bool) -> None:
    portico = serve(start, "--timeout", "2", "--timeout-grace", "200ms")
    (pid,) = portico.worker_pids
    with ask_and_wait(portico) as connection:
        stop_for([portico.process.pid, *([pid] if is_all else [])], 4.0)
        # Long enough for looks at the call.
        time.sleep(0.8)
        go_on(portico)
        assert body_of(connection) == str(pid)
    assert "RequestTimeout" not in portico.log()
    assert portico.worker_pids == [pid]
    portico.stop()


def test_a_call_that_goes_on_after_that_has_its_timeout_again(start: Start) -> None:
    portico = serve(start, "--timeout", "1", "--timeout-grace", "30")
    with ask_and_wait(portico) as connection:
        stop_for([portico.process.pid], 3.0)
        began_s = time.monotonic()
        assert connection.recv(1000).startswith(b"HTTP/1.1 504 ")
        assert time.monotonic() - began_s > 0.8
    portico.stop()


def test_a_drain_goes_on_where_it_was_stopped(start: Start) -> None:
    portico = serve(start, "--graceful-timeout", "2")
    (pid,) = portico.worker_pids
    with ask_and_wait(portico) as connection:
        portico.signal(signal.SIGTERM)
        portico.wait_for("stopping after the requests in flight")
        stop_for([portico.process.pid, pid], 4.5)
        time.sleep(0.3)
        go_on(portico)
        assert body_of(connection) == str(pid)
    assert portico.wait() == 0
    assert "aborted" not in portico.log()


def test_an_import_goes_on_where_it_was_stopped(start: Start) -> None:
    portico = start(APPLICATION, "-w", "1", "--boot-timeout", "2")
    portico.wait_ready()
    (portico.folder / "loading").touch()
    portico.signal(signal.SIGHUP)
    wait_until(lambda: len(portico.worker_pids) == 2, what="the new worker")
    stop_for([portico.process.pid, *portico.worker_pids], 4.0)
    time.sleep(0.3)
    (portico.folder / "loading").unlink()
    portico.wait_for("is ready after")
    assert "boot_timeout" not in portico.log()
    portico.stop()
