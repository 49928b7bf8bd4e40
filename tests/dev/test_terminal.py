"""At a terminal: access lines, breakpoints, Ctrl-C, the browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from pathlib import Path

import pytest
from support.waiting import wait_until

from .conftest import Start, save

HELLO = """
def application(environ, start_response):
    status = environ["QUERY_STRING"] or "200 OK"
    start_response(status.replace("+", " "), [("Content-Type", "text/plain")])
    return [b"x" * 1500]
"""
BREAKPOINT = """
def application(environ, start_response):
    found = "before"
    breakpoint()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [found.encode()]
"""
LINE = re.compile(
    r"^(?:\x1b\[(\d+)m)?\d\d:\d\d:\d\d GET +(\S+) +(\d{3}) +(\S+) +([\d.]+ m?s)(?:\x1b\[0m)?$", re.MULTILINE
)


def test_a_short_line_for_each_request(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", HELLO)
    dev = start().wait_ready()
    dev.get("/cart")
    found = wait_until(lambda: LINE.search(dev.log()), what="an access line")
    assert found.groups()[:4] == (None, "/cart", "200", "1.5K")


@pytest.mark.parametrize(
    ("status", "colour"), [("200+OK", "32"), ("302+Found", "36"), ("404+Not+Found", "33"), ("500+Oh", "31")]
)
def test_is_coloured_by_status_and_as_wide_as_the_terminal(
    start: Start, tmp_path: Path, status: str, colour: str
) -> None:
    save(tmp_path / "shop.py", HELLO)
    dev = start(columns=60, environment={"TERM": "xterm"}).wait_ready()
    dev.get("/" + "a" * 200 + "/end?" + status)
    found = wait_until(lambda: LINE.search(dev.log()), what="an access line")
    assert (found[1], found[3]) == (colour, status[:3])
    line = re.sub(r"\x1b\[\d+m", "", found[0])
    assert len(line) == 60
    assert "aaa…" in line


@pytest.mark.parametrize(
    "environment", [{"TERM": "dumb"}, {"TERM": "xterm", "NO_COLOR": "1"}], ids=["dumb", "NO_COLOR"]
)
def test_has_no_colours_where_there_are_to_be_none(
    start: Start, tmp_path: Path, environment: dict[str, str]
) -> None:
    save(tmp_path / "shop.py", HELLO)
    dev = start(columns=60, environment=environment).wait_ready()
    dev.get("/cart?500+Oh")
    wait_until(lambda: LINE.search(dev.log()), what="an access line")
    assert "\x1b" not in dev.log()


def test_a_file_gets_the_usual_lines(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", HELLO)
    dev = start("--access-log", "access.log").wait_ready()
    dev.get("/cart")
    line = wait_until(lambda: (tmp_path / "access.log").read_text(), what="an access line")
    assert line.startswith("127.0.0.1 - - [")
    assert "/cart" not in dev.log()


def test_a_breakpoint_talks_to_the_terminal(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", BREAKPOINT)
    dev = start(columns=80).wait_ready()
    bodies: list[str] = []
    client = threading.Thread(target=lambda: bodies.append(dev.body()))
    client.start()
    dev.wait_for("(Pdb)")
    dev.type("found = 'changed'\n")
    dev.wait_for("(Pdb)", times=2)
    dev.type("continue\n")
    client.join()
    assert bodies == ["changed"]


def test_a_save_at_a_breakpoint_reloads_and_the_terminal_is_as_before(start: Start, tmp_path: Path) -> None:
    head = "import sys, termios\ndef silent():\n    state = termios.tcgetattr(0); state[3] &= ~termios.ECHO\n"
    head += "    termios.tcsetattr(0, termios.TCSANOW, state)\n"
    save(tmp_path / "shop.py", head + BREAKPOINT.replace("breakpoint()", "silent(); breakpoint()"))
    dev = start(columns=80).wait_ready()
    request = begin_request(dev.port)
    dev.wait_for("(Pdb)")
    assert not dev.echoes()
    save(tmp_path / "shop.py", HELLO)
    dev.wait_for("reloaded in ")
    dev.wait_body("x" * 1500)
    wait_until(lambda: len(dev.worker_pids) == 1, what="the end of the worker at the breakpoint")
    wait_until(dev.echoes, what="the terminal's echo")
    request.close()


def begin_request(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
    return connection


@pytest.mark.parametrize(
    "source", [pytest.param(HELLO, id="idle"), pytest.param(BREAKPOINT, id="at a breakpoint")]
)
def test_ctrl_c_ends_it_once(start: Start, tmp_path: Path, source: str) -> None:
    save(tmp_path / "shop.py", source)
    dev = start(columns=80).wait_ready()
    request = begin_request(dev.port)
    if source is BREAKPOINT:
        dev.wait_for("(Pdb)")
    dev.type("\x03")
    assert dev.wait() == 0
    assert "Traceback" not in dev.log()
    request.close()
    with pytest.raises(ConnectionRefusedError):
        dev.get()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_end_it(start: Start, tmp_path: Path, number: signal.Signals) -> None:
    save(tmp_path / "shop.py", HELLO)
    dev = start().wait_ready()
    dev.process.send_signal(number)
    assert dev.wait() == 0


def test_ctrl_c_ends_it_during_an_import(start: Start, tmp_path: Path) -> None:
    gate, reached = tmp_path / "gate", tmp_path / "reached"
    os.mkfifo(gate)
    save(tmp_path / "shop.py", f"open({str(reached)!r}, 'w').close()\nopen({str(gate)!r}).read()\n")
    dev = start(columns=80)
    wait_until(reached.exists, what="the import")
    dev.type("\x03")
    assert dev.wait() == 0


def test_its_worker_ends_where_it_was_killed(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", HELLO)
    dev = start().wait_ready()
    (pid, *_) = dev.worker_pids
    dev.process.kill()
    wait_until(lambda: not Path(f"/proc/{pid}/exe").exists(), what="the end of the worker")


def test_opens_the_browser_once(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", HELLO)
    browser, urls = tmp_path / "browser", tmp_path / "urls"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {urls}\n')
    browser.chmod(0o755)
    dev = start("--open", "--script-name", "/shop", environment={"BROWSER": f"{browser} %s"}).wait_ready()
    wait_until(urls.exists, what="the browser")
    save(tmp_path / "shop.py", HELLO + "\n")
    dev.wait_for("reloaded in ")
    assert urls.read_text() == f"http://127.0.0.1:{dev.port}/shop/\n"


def test_one_thread_unless_more_are_asked_for(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", HELLO)
    assert "with 1 thread," in start().wait_ready().log()


def test_as_many_threads_as_asked_for(start: Start, tmp_path: Path) -> None:
    save(tmp_path / "shop.py", HELLO)
    save(tmp_path / "portico.toml", "[processes]\nthreads = 3\nworkers = 4\ntimeout = 1\n")
    dev = start().wait_ready()
    assert "with 3 threads," in dev.log()
    assert len(dev.worker_pids) == 1
