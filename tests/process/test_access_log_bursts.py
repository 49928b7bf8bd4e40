"""Many requests at once, whose lines are long: none is missing from an access log that takes them."""

from __future__ import annotations

import os
import re
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.waiting import wait_until

from .conftest import Portico, Start, read_body

SHOP = """
import os, time
def application(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        while not os.path.exists("go on"):
            time.sleep(0.01)
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""
MANY = 200
TEXT = "x" * 60_000
"""Thrice in a line: few lines are as much as a worker keeps."""
LONG_HEADS = ("--max-request-line", "64K", "--max-header", "64K", "--max-head", "256K")


def ask_at_once(portico: Portico, threads: int) -> None:
    """Have `MANY` requests wait for a thread, and then let all go."""
    head = f"Host: t\r\nReferer: {TEXT}\r\nUser-Agent: {TEXT}\r\nConnection: close\r\n\r\n"
    with ExitStack() as stack:
        waiting = [stack.enter_context(portico.ask("/wait")) for _ in range(threads)]
        others = []
        for number in range(MANY):
            connection = stack.enter_context(portico.connect())
            connection.sendall(f"GET /?n={number}&{TEXT} HTTP/1.1\r\n{head}".encode())
            others.append(connection)
        assert portico.get("/healthz") == "ok\n"
        (portico.folder / "go on").touch()
        for connection in waiting + others:
            read_body(connection)


def numbers(log: bytes) -> list[int]:
    return sorted(int(number) for number in re.findall(rb'"GET /\?n=(\d+)&x', log))


@pytest.mark.parametrize("threads", [1, 4])
def test_a_file_gets_every_line_of_a_burst(start: Start, tmp_path: Path, threads: int) -> None:
    portico = start(
        SHOP,
        *("--threads", str(threads), "--access-log", "access.log", "--health-path", "/healthz"),
        *LONG_HEADS,
    )
    portico.wait_ready()
    ask_at_once(portico, threads)
    log = tmp_path / "access.log"
    wait_until(lambda: numbers(log.read_bytes()) == list(range(MANY)), what="every line")
    assert "lines are lost" not in portico.log()


def test_a_file_gets_every_line_of_requests_that_waited_too_long(start: Start, tmp_path: Path) -> None:
    portico = start(
        SHOP,
        *("--threads", "1", "--access-log", "access.log", "--health-path", "/healthz"),
        *("--queue-timeout", "1s", *LONG_HEADS),
    )
    portico.wait_ready()
    log = tmp_path / "access.log"
    head = f"Host: t\r\nReferer: {TEXT}\r\nUser-Agent: {TEXT}\r\nConnection: close\r\n\r\n"
    with ExitStack() as stack:
        stack.enter_context(portico.ask("/wait"))
        for number in range(MANY):
            connection = stack.enter_context(portico.connect())
            connection.sendall(f"GET /?n={number}&{TEXT} HTTP/1.1\r\n{head}".encode())
        wait_until(lambda: numbers(log.read_bytes()) == list(range(MANY)), what="every line")
        (portico.folder / "go on").touch()
    assert "lines are lost" not in portico.log()


@pytest.mark.parametrize("threads", [1, 4])
def test_a_pipe_that_is_read_gets_every_line_of_a_burst(start: Start, threads: int) -> None:
    reader, writer = os.pipe()
    received = bytearray()

    def read() -> None:
        while data := os.read(reader, 1 << 20):
            received.extend(data)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        portico = start(
            SHOP,
            *("--threads", str(threads), "--access-log", "-", "--health-path", "/healthz"),
            *LONG_HEADS,
            stdout=writer,
        )
    finally:
        os.close(writer)
    portico.wait_ready()
    ask_at_once(portico, threads)
    portico.stop()
    thread.join()
    os.close(reader)
    # What one line has more than a pipe takes at once is cut out of its texts, not out of the log.
    assert len(re.findall(rb'"GET /\?n=', received)) == MANY
    assert "lines are lost" not in portico.log()
