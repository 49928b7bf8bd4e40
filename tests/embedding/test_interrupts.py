"""Signals in a program that serves on its main thread: they are the program's, as everywhere in Python."""

from __future__ import annotations

import contextlib
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.raw_client import Connection
from support.server import free_port
from support.waiting import wait_until

from .embedded import ENVIRONMENT

BEGIN = """
import os, signal, sys, threading
import portico
from portico.simple_server import WSGIServer, make_server

class Quiet(WSGIServer):
    portico_settings = {"access_log": "off"}

called = threading.Event()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/waits":
        print("waits", flush=True)
        called.wait(30)
    start_response("200 OK", [])
    return [b"hello"]

port = int(sys.argv[1])
"""
SERVE_FOREVER = "with make_server('127.0.0.1', port, app, Quiet) as httpd: httpd.serve_forever()"
SERVE = "portico.serve(app, port=port, access_log='off', threads=2)"


class Program:
    """A program of its own process, and where it serves."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.address = ("127.0.0.1", port)

    def connect(self) -> Connection:
        return Connection(self.address)

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self) -> tuple[int, str]:
        """Wait for its end; return the exit code and what it has written to standard error."""
        _, errors = self.process.communicate(timeout=20)
        return self.process.returncode, errors


@contextlib.contextmanager
def program(code: str, folder: Path) -> Iterator[Program]:
    """Run `code` after the beginning, and wait until somebody listens."""
    port = free_port()
    path = folder / "program.py"
    path.write_text(BEGIN + code)
    with subprocess.Popen(
        [sys.executable, str(path), str(port)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        running = Program(process, port)
        try:
            wait_for_listener(running)
            yield running
        finally:
            process.kill()


def wait_for_listener(running: Program) -> None:
    def listens() -> bool:
        assert running.process.poll() is None, running.end()
        with contextlib.suppress(ConnectionRefusedError), running.connect() as connection:
            return connection.request("/").status == 200
        return False

    wait_until(listens, what="a server that listens")


def test_interrupt_ends_serve_forever_with_keyboard_interrupt(tmp_path: Path) -> None:
    with program(SERVE_FOREVER, tmp_path) as running:
        running.process.send_signal(signal.SIGINT)
        code, errors = running.end()
    assert (code, errors.splitlines()[-1]) == (-signal.SIGINT, "KeyboardInterrupt")


def test_interrupt_ends_serve_quietly(tmp_path: Path) -> None:
    with program(SERVE + "\nprint('goes on')", tmp_path) as running:
        running.process.send_signal(signal.SIGINT)
        assert running.line() == "goes on\n"
        code, errors = running.end()
    assert (code, "Traceback" in errors) == (0, False)


@pytest.mark.parametrize("serve", [SERVE_FOREVER, SERVE], ids=["serve_forever", "serve"])
def test_interrupt_of_a_call_ends_the_server_too(tmp_path: Path, serve: str) -> None:
    with program(serve, tmp_path) as running, running.connect() as client:
        client.ask("/waits")
        assert running.line() == "waits\n"
        running.process.send_signal(signal.SIGINT)
        code, errors = running.end()
    assert code == (0 if serve == SERVE else -signal.SIGINT)
    assert "failed" not in errors


def test_handler_of_the_program_is_called_and_the_server_goes_on(tmp_path: Path) -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: print('asked to end', flush=True))\n"
    with program(handler + SERVE_FOREVER, tmp_path) as running:
        running.process.send_signal(signal.SIGTERM)
        assert running.line() == "asked to end\n"
        with running.connect() as client:
            assert client.request("/").body == b"hello"


def test_what_a_handler_raises_passes_through(tmp_path: Path) -> None:
    handler = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
    with program(handler + SERVE, tmp_path) as running:
        running.process.send_signal(signal.SIGTERM)
        assert running.end()[0] == 7


def test_interrupt_ends_a_handle_request_that_waits_for_the_rest_of_a_request(tmp_path: Path) -> None:
    code = """
httpd = make_server("127.0.0.1", port, app, Quiet)
try:
    httpd.handle_request()
    print("once", flush=True)
    httpd.handle_request()
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    with program(code, tmp_path) as running, running.connect() as client:
        assert running.line() == "once\n"
        client.send(b"GET / HT")
        running.process.send_signal(signal.SIGINT)
        assert running.line() == "interrupted\n"
        assert running.end()[0] == 0


# Handlers of signals run when Python code does, and when str() or repr() of an object begins. These come with
# nothing of the application's own running: when its name is asked for, and when the log gets its traceback.
AT_THE_START = """
import _thread
class Application(int):
    __module__ = property(_thread.interrupt_main)
    def __call__(self, environ, start_response):
        raise AssertionError("interrupted before")
serve(Application(signal.SIGINT))
"""
IN_A_TRACEBACK = """
import _thread
def app(environ, start_response):
    start_response("200 OK", [])
    return map(_thread.interrupt_main, [signal.SIGINT])
client = threading.Thread(target=os.system, args=(f"sleep 0.1; curl -s -m 9 localhost:{port}",))
client.start()
serve(app)
"""
SERVES = {
    "serve": "def serve(app): portico.serve(app, port=port, access_log='off'); raise KeyboardInterrupt",
    "make_server": "def serve(app): make_server('127.0.0.1', port, app, Quiet).serve_forever()",
}


@pytest.mark.parametrize("code", [AT_THE_START, IN_A_TRACEBACK], ids=["at the start", "in a traceback"])
@pytest.mark.parametrize("serve", SERVES)
def test_an_interrupt_that_comes_while_something_is_only_shown_is_not_lost(
    code: str, serve: str, tmp_path: Path
) -> None:
    path = tmp_path / "program.py"
    path.write_text("\n".join([BEGIN, SERVES[serve], code]))
    ended = subprocess.run(
        [sys.executable, str(path), str(free_port())],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert "Exception ignored" not in ended.stderr
    assert ended.stderr.splitlines()[-1] == "KeyboardInterrupt"


def test_serve_says_where_and_writes_the_access_log(tmp_path: Path) -> None:
    with program("portico.serve(app, port=port)", tmp_path) as running:
        line = running.line()
        running.process.send_signal(signal.SIGINT)
        _, errors = running.end()
    assert re.match(r'127\.0\.0\.1 - - \[.*\] "GET / HTTP/1\.1" 200 5 ', line)
    assert f"serves on http://127.0.0.1:{running.address[1]}" in errors


TIMED = """
import time
def say_when(*_):
    print(time.monotonic(), flush=True)
signal.signal(signal.SIGTERM, say_when)
try:
    {serve}
except KeyboardInterrupt:
    pass
say_when()
"""
AT_ONCE_S = 0.02
BOTH = pytest.mark.parametrize("serve", [SERVE_FOREVER, SERVE], ids=["serve_forever", "serve"])


def delay_s(running: Program, number: signal.Signals) -> float:
    """Send a signal; how long it takes until the program says that it has had it."""
    before = time.monotonic()
    running.process.send_signal(number)
    return float(running.line()) - before


@pytest.mark.alone
@BOTH
def test_a_handler_runs_at_once_while_nothing_happens(tmp_path: Path, serve: str) -> None:
    with program(TIMED.format(serve=serve), tmp_path) as running:
        assert statistics.median(delay_s(running, signal.SIGTERM) for _ in range(15)) < AT_ONCE_S


@pytest.mark.alone
def test_a_handler_runs_at_once_while_another_thread_is_in_a_call(tmp_path: Path) -> None:
    with program(TIMED.format(serve=SERVE), tmp_path) as running, running.connect() as client:
        client.ask("/waits")
        assert running.line() == "waits\n"
        # By now a second thread waits for requests, or the first one: both have to hear of it.
        assert statistics.median(delay_s(running, signal.SIGTERM) for _ in range(15)) < AT_ONCE_S


@pytest.mark.alone
@BOTH
def test_interrupt_ends_the_server_at_once(tmp_path: Path, serve: str) -> None:
    delays_s = []
    for _ in range(5):
        with program(TIMED.format(serve=serve), tmp_path) as running:
            delays_s.append(delay_s(running, signal.SIGINT))
            assert running.end()[0] == 0
    assert statistics.median(delays_s) < AT_ONCE_S


@BOTH
def test_what_hears_of_signals_is_the_programs_again_afterwards(tmp_path: Path, serve: str) -> None:
    code = TIMED.format(serve=serve) + "print(signal.set_wakeup_fd(-1), flush=True)"
    with program(code, tmp_path) as running:
        delay_s(running, signal.SIGINT)
        assert running.line() == "-1\n"


@BOTH
def test_what_the_program_hears_of_signals_by_stays(tmp_path: Path, serve: str) -> None:
    code = """
read_fd, write_fd = os.pipe()
os.set_blocking(write_fd, False)
signal.set_wakeup_fd(write_fd)
"""
    after = "print(list(os.read(read_fd, 9)), signal.set_wakeup_fd(-1) == write_fd, flush=True)"
    with program(code + TIMED.format(serve=serve) + after, tmp_path) as running:
        delay_s(running, signal.SIGTERM)
        delay_s(running, signal.SIGINT)
        assert running.line() == f"{[signal.SIGTERM.value, signal.SIGINT.value]} True\n"


def test_what_a_call_sets_to_hear_of_signals_stays(tmp_path: Path) -> None:
    code = """
read_fd, write_fd = os.pipe()
os.set_blocking(write_fd, False)
def app(environ, start_response):
    signal.set_wakeup_fd(write_fd)
    start_response("200 OK", [])
    return [b"hello"]
"""
    after = "print(list(os.read(read_fd, 9)), signal.set_wakeup_fd(-1) == write_fd, flush=True)"
    with program(code + TIMED.format(serve=SERVE_FOREVER) + after, tmp_path) as running:
        delay_s(running, signal.SIGINT)
        assert running.line() == f"[{signal.SIGINT.value}] True\n"
