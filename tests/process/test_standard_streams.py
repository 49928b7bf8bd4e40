"""Standard output of the application, and starts without one of the standard streams."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.processes import children
from support.waiting import wait_until

from .conftest import Start

SHOP = """
import os, sys
print("of the import")
def application(environ, start_response):
    print("of a request")
    if environ["PATH_INFO"] == "/partial":
        print("without an end", end="")
    if environ["PATH_INFO"] == "/kill":
        os.kill(os.getpid(), 9)
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


@pytest.fixture(params=["pipe", "file"])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, Callable[[], str]]:
    """Where to print, and what was printed."""
    if request.param == "file":
        path = tmp_path / "output"
        return os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND), path.read_text
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    received = bytearray()

    def read() -> str:
        try:
            while data := os.read(reader, 65536):
                received.extend(data)
        except BlockingIOError:
            pass
        return received.decode()

    return writer, read


def test_what_is_printed_shows_at_once_and_is_not_lost_at_a_kill(
    start: Start, output: tuple[int, Callable[[], str]]
) -> None:
    writer, text = output
    portico = start(SHOP, "-w", "1", stdout=writer)
    wait_until(lambda: "of the import\n" in text(), what="what the import printed")
    portico.wait_ready()
    portico.get()
    assert text() == "of the import\nof a request\n"
    portico.ask("/kill").close()
    wait_until(lambda: text().count("of a request\n") == 2, what="what a killed worker printed")
    portico.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_an_unfinished_line_is_printed_at_the_end(
    start: Start, output: tuple[int, Callable[[], str]], number: signal.Signals
) -> None:
    writer, text = output
    portico = start(SHOP, "-w", "1", stdout=writer)
    portico.wait_ready()
    portico.get("/partial")
    portico.signal(number)
    assert portico.wait() == 0
    assert text() == "of the import\nof a request\nwithout an end"


STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}


@pytest.mark.parametrize(
    "closed",
    [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)],
    ids=lambda closed: " and ".join(STREAMS[fd] for fd in closed),
)
def test_serves_without_standard_streams(tmp_path: Path, closed: tuple[int, ...]) -> None:
    (tmp_path / "shop.py").write_text("""
import os, sys
def application(environ, start_response):
    print("printed")
    print("printed", file=sys.stderr)
    environ["wsgi.errors"].write("written\\n")
    sys.stdin.read()
    start_response("200 OK", [])
    return [b"served"]
""")
    socket_path = tmp_path / "socket"
    command = [sys.executable, "-m", "portico", "run", "shop", "-w", "1", "-b", f"unix:{socket_path}"]
    redirections = " ".join(f"{fd}{'<' if fd == 0 else '>'}&-" for fd in closed)
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *command],
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        curl = ["curl", "-s", "--max-time", "5", "--unix-socket", str(socket_path), "http://t/"]
        wait_until(
            lambda: (
                process.poll() is not None
                or subprocess.run(curl, stdout=subprocess.PIPE, check=False).stdout == b"served"
            ),
            what="a response",
        )
        pids = [process.pid, *children(process.pid)]
        assert len(pids) == 2
        for pid in pids:
            for fd in closed:
                assert os.readlink(f"/proc/{pid}/fd/{fd}") == "/dev/null"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
    assert 2 in closed or "written\n" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_wrong_command_without_standard_streams_has_its_exit_code(closed: str) -> None:
    command = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-m", "portico", "run"]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert ended.returncode == 2
    assert ended.stdout == b""
    assert ("2>" in closed) is not (b"no application was given" in ended.stderr)
