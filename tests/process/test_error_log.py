"""The error log: what the application writes there, and what happens when nobody reads it."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Iterator

import pytest
from support.unread_pipe import UnreadPipe
from support.waiting import wait_until
from support.ways import cannot_be_ended

from .conftest import Portico, Start

SHOP = """
import sys, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/errors":
        environ["wsgi.errors"].write("a line of its own\\nand a second\\n")
    elif path == "/much":
        for number in range(100):
            environ["wsgi.errors"].write(f"line {number} " + "x" * 900 + "\\n")
    elif path == "/raise":
        raise ArithmeticError("of the application")
    elif path == "/slow":
        time.sleep(30)
    elif path == "/logging":
        import logging
        logging.getLogger("shop").warning("as lastResort has it")
        handler = logging.StreamHandler(environ["wsgi.errors"])
        handler.setFormatter(logging.Formatter("[%(asctime)s] %(levelname)s in %(module)s: %(message)s"))
        logging.getLogger("shop").addHandler(handler)
        logging.getLogger("shop").warning("as Flask has it")
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""
LOST = re.compile(r"nobody has read the error log for too long; (\d+) of its lines are lost")


class Pipe(UnreadPipe):
    """A pipe as standard error, which nobody reads before `read`."""

    def fill(self) -> None:
        """Leave no room for anything."""
        os.set_blocking(self.writer, False)
        try:
            while True:
                os.write(self.writer, b"." * 4095 + b"\n")
        except BlockingIOError:
            os.set_blocking(self.writer, True)

    def text(self) -> str:
        """What was read."""
        return self.received.decode()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def start_and_fill(start: Start, pipe: Pipe, *options: str) -> Portico:
    """A server whose standard error takes nothing any more."""
    portico = start(SHOP, "-w", "1", *options, stderr=pipe.writer)
    wait_until(lambda: is_served(portico), what="a response")
    pipe.fill()
    return portico


def is_served(portico: Portico) -> bool:
    try:
        return portico.get() == ""
    except ConnectionError:
        return False


@pytest.mark.parametrize("level", ["trace", "info", "critical"])
def test_what_the_application_writes_is_there_at_every_level_and_as_it_wrote_it(
    start: Start, level: str
) -> None:
    portico = start(SHOP, "--log-level", level)
    wait_until(lambda: is_served(portico), what="a response")
    portico.get("/errors")
    portico.get("/logging")
    portico.stop()
    log = portico.log()
    assert "a line of its own\nand a second\n" in log
    assert re.search(r"^\[[-\d]+ [\d:,]+\] WARNING in shop: as Flask has it$", log, re.MULTILINE)
    assert re.search(r"^as lastResort has it$", log, re.MULTILINE)
    assert "[error]" not in log


@pytest.mark.parametrize("level", ["info", "critical"])
def test_the_traceback_of_the_application_is_there_at_every_level(start: Start, level: str) -> None:
    portico = start(SHOP, "--log-level", level)
    wait_until(lambda: is_served(portico), what="a response")
    portico.get("/raise")
    portico.stop()
    assert "Traceback (most recent call last):\n" in portico.log()
    assert "ArithmeticError: of the application\n" in portico.log()


def test_why_a_start_fails_is_there_at_every_level(start: Start) -> None:
    portico = start("raise ValueError('of the import')", "--log-level", "critical")
    assert portico.wait() == 3
    assert "cannot load shop" in portico.log()
    assert "ValueError: of the import" in portico.log()


@pytest.mark.parametrize("threads", [1, 4])
def test_requests_do_not_wait_for_who_reads_the_error_log(start: Start, pipe: Pipe, threads: int) -> None:
    portico = start_and_fill(start, pipe, "--threads", str(threads), "--log-level", "trace")
    # Together far more than a pipe and a worker take.
    for _ in range(10):
        assert portico.get("/much") == ""
        portico.get("/raise")
    portico.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_stop_does_not_wait_for_who_reads_the_error_log(
    start: Start, pipe: Pipe, number: signal.Signals
) -> None:
    portico = start_and_fill(start, pipe, "-w", "2")
    began_s = time.monotonic()
    portico.signal(number)
    assert portico.wait() == 0
    assert time.monotonic() - began_s < 5


@cannot_be_ended
def test_a_reload_and_a_timeout_do_not_wait_for_who_reads_the_error_log(start: Start, pipe: Pipe) -> None:
    portico = start_and_fill(start, pipe, "--timeout", "1s")
    (first,) = portico.worker_pids
    portico.signal(signal.SIGHUP)
    wait_until(lambda: first not in portico.worker_pids and is_served(portico), what="a new worker")
    (second,) = portico.worker_pids
    with portico.ask("/slow"):
        wait_until(lambda: second not in portico.worker_pids and is_served(portico), what="a third worker")
    portico.stop()


def test_a_socket_that_nobody_reads_holds_nobody_up(start: Start) -> None:
    """As under systemd, whose journal has a socket for standard error."""
    reader, writer = socket.socketpair()
    with reader, writer:
        portico = start(SHOP, stderr=writer.fileno())
        wait_until(lambda: is_served(portico), what="a response")
        for _ in range(10):
            assert portico.get("/much") == ""
        portico.stop()


def test_a_start_does_not_wait_for_who_reads_the_error_log(start: Start, pipe: Pipe) -> None:
    pipe.fill()
    portico = start(
        SHOP,
        # More connections than there can be descriptors: something to say before the supervisor is there.
        *("-w", "1", "--max-connections", "1000000"),
        stderr=pipe.writer,
        environment={"PORTICO_NO_SETTING": "1"},
    )
    wait_until(lambda: is_served(portico), what="a response")
    portico.stop()


def test_a_start_that_fails_does_not_wait_for_who_reads_the_error_log(start: Start, pipe: Pipe) -> None:
    pipe.fill()
    assert start(SHOP, "--queue-timeout", "soon", stderr=pipe.writer).wait() == 2
    assert start("", stderr=pipe.writer, application="nothing").wait() == 3


def test_lost_lines_are_counted_and_told_when_somebody_reads_again(start: Start, pipe: Pipe) -> None:
    portico = start_and_fill(start, pipe)
    rounds = 10
    for _ in range(rounds):
        portico.get("/much")
    pipe.read()
    # Without anything more to say.
    wait_until(lambda: LOST.search(pipe.text()), what="how many lines are lost")
    portico.get("/errors")
    wait_until(lambda: "a line of its own\n" in pipe.text(), what="the next line")
    portico.stop()
    lines = re.findall(r"^line (\d+) x{900}$", pipe.text(), re.MULTILINE)
    lost = [int(number) for number in LOST.findall(pipe.text())]
    assert len(lines) + sum(lost) == rounds * 100
    # First those that were kept, then how many are missing.
    assert lines[:200] == [str(number % 100) for number in range(200)]
    assert pipe.text().index("are lost") > pipe.text().rindex("xxx\n")


def test_the_supervisor_tells_its_lost_lines_too(start: Start, pipe: Pipe) -> None:
    portico = start_and_fill(start, pipe)
    for _ in range(5000):
        os.kill(portico.process.pid, signal.SIGTTOU)
    pipe.read()
    wait_until(lambda: "the number of workers stays at 1" in pipe.text(), what="what the supervisor kept")
    portico.stop()


def test_kept_lines_are_written_before_the_end(start: Start, pipe: Pipe) -> None:
    portico = start_and_fill(start, pipe)
    portico.get("/errors")
    portico.signal(signal.SIGTERM)
    pipe.read()
    assert portico.wait() == 0
    wait_until(lambda: "a line of its own\nand a second\n" in pipe.text(), what="the line")


def test_a_forked_child_writes_nothing_that_its_parent_has_kept(start: Start, pipe: Pipe) -> None:
    source = (
        SHOP
        + """
import os
inner = application
def application(environ, start_response):
    if environ["PATH_INFO"] == "/fork":
        pid = os.fork()
        if pid == 0:
            environ["wsgi.errors"].write("of the child\\n")
            os._exit(0)
    return inner(environ, start_response)
"""
    )
    portico = start(source, "-w", "1", stderr=pipe.writer)
    wait_until(lambda: is_served(portico), what="a response")
    pipe.fill()
    portico.get("/errors")
    with portico.ask("/fork") as connection:
        # Not to its end: the child has it too.
        connection.recv(65536)
    pipe.read()
    wait_until(lambda: "of the child" in pipe.text(), what="the child's line")
    portico.stop()
    assert pipe.text().count("a line of its own") == 1


def test_goes_to_a_file_which_a_reload_opens_anew(start: Start) -> None:
    portico = start(SHOP, "--error-log", "logs/error.log", "-w", "1")
    assert portico.wait() == 2, "the folder is not there yet"
    assert '--error-log on the command line: cannot write "' in portico.log()
    (portico.folder / "logs").mkdir()
    portico = start(SHOP, "--error-log", "logs/error.log", "-w", "1")
    path = portico.folder / "logs/error.log"
    wait_until(lambda: path.exists() and "ready in " in path.read_text(), what="the start in the file")
    portico.get("/raise")
    wait_until(
        lambda: "ArithmeticError: of the application" in path.read_text(), what="the traceback in the file"
    )
    old = path.rename(path.with_name("error.log.1"))
    length = len(old.read_text())
    portico.signal(signal.SIGHUP)
    wait_until(lambda: path.exists() and "reloading" in path.read_text(), what="the reload in a new file")
    wait_until(lambda: "is ready after" in path.read_text(), what="the new worker")
    portico.get("/errors")
    wait_until(lambda: "and a second" in path.read_text(), what="the new worker's lines in the new file")
    portico.stop()
    assert "reloading" not in old.read_text()[length:]
    assert "ready in " not in portico.log()


def test_the_error_log_can_go_to_standard_output_whatever_that_is(start: Start) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(10)
        # A socket, as the journal's, cannot be opened by its name.
        portico = start(
            SHOP, "--error-log", "/dev/stdout", application="shop:application", stdout=theirs.fileno()
        )
        received = b""
        while b"ready in " not in received:
            received += ours.recv(65536)
        portico.signal(signal.SIGHUP)
        while b"is ready after " not in received:
            received += ours.recv(65536)
        portico.stop()
        assert portico.log() == ""
