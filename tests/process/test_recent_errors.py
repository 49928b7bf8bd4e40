"""Requests that have failed last: over workers, reloads, kills and upgrades, and bounded."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from portico.process.recent_errors import MOST_KINDS, RecentErrors
from support.gateway import uwsgi, variables
from support.server import free_port
from support.waiting import wait_until

from .conftest import Portico, Start
from .test_control import Asked

SHOP = """
import os, time
import helper
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/order"):
        environ["portico.route"] = "/order/<n>"
    if path.startswith("/order/raise"):
        environ["portico.request_id"] = path[-1]
        helper.fail()  # raises
    if path == "/iterable":
        start_response("200 OK", [])
        return broken()
    if path == "/wait":
        open("waits", "w").close()
        time.sleep(60)
    start_response("503 Busy" if path.endswith("busy") else "200 OK", [])
    return [b"done"]
def broken():
    yield b"a"
    {}["b"]  # breaks
"""


@pytest.fixture
def server(start: Start, tmp_path: Path) -> Asked:
    # An installed package, which is not the application's own code.
    package = tmp_path / "lib" / "site-packages"
    package.mkdir(parents=True)
    (package / "helper.py").write_text("def fail():\n    raise ValueError('on purpose')\n")
    return Asked(start, tmp_path)


def begin(server: Asked, *options: str) -> Portico:
    package = str(server.folder / "lib" / "site-packages")
    return server.start("-w", "1", "--threads", "4", "--pythonpath", package, *options, source=SHOP)


def line_of(mark: str) -> int:
    return next(number for number, line in enumerate(SHOP.splitlines(), 1) if line.endswith(f"# {mark}"))


def errors(server: Asked) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.ask("errors")["errors"]
    return found


def wait_for(server: Asked, count: int) -> list[dict[str, Any]]:
    """Wait until so many requests have failed."""
    wait_until(
        lambda: sum(each["count"] for each in errors(server)) == count, what=f"{count}, not {errors(server)}"
    )
    return errors(server)


def test_an_exception_has_its_request_and_the_applications_own_line(server: Asked) -> None:
    portico = begin(server)
    assert errors(server) == []
    for number in (1, 2, 3):
        portico.get(f"/order/raise/{number}")
    (error,) = wait_for(server, 3)
    assert error.pop("at") >= error.pop("first_at") > 1.7e9
    assert error == {
        "method": "GET",
        "path": "/order/raise/3",
        "route": "/order/<n>",
        "request_id": "3",
        "worker": 1,
        "status": None,
        "error": "ValueError",
        "file": str(server.folder / "shop.py"),
        "line": line_of("raises"),
        "function": "application",
        "source": "helper.fail()  # raises",
        "count": 3,
    }


def test_a_status_and_what_breaks_in_a_body_are_told_once_the_latest_first(server: Asked) -> None:
    portico = begin(server)
    portico.get("/busy")
    wait_for(server, 1)
    portico.get("/iterable")
    wait_for(server, 2)
    portico.get("/")
    portico.get("/order/busy")
    found = wait_for(server, 3)
    assert [(each["path"], each["status"], each["error"], each["line"]) for each in found] == [
        ("/order/busy", 503, "", 0),
        ("/iterable", None, "KeyError", line_of("breaks")),
        ("/busy", 503, "", 0),
    ]


@pytest.mark.parametrize("protocol", ["http", "uwsgi"])
def test_what_another_server_fails_is_told_once_with_its_sentence(server: Asked, protocol: str) -> None:
    port = free_port()
    bind = f'["{protocol}://127.0.0.1:{port}"]'
    row = '[[upstream]]\nmount = "/down"\nto = "unix:/nowhere/s.sock"\n'
    (server.folder / "portico.toml").write_text(f"[listening]\nbind = {bind}\n{row}", "utf-8")
    server.start("-w", "1", reads_file=True, port=port)
    for number in (1, 2, 3):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            if protocol == "uwsgi":
                connection.sendall(uwsgi(variables(f"/down/{number}", "GET")))
            else:
                connection.sendall(b"GET /down/%d HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % number)
            assert b" 503 " in connection.recv(65536)
    (error,) = wait_for(server, 3)
    names = ("method", "path", "route", "status", "error", "file")
    assert {name: error[name] for name in names} == {
        "method": "GET",
        "path": "/down/3",
        "route": "portico.toml:3:1",
        "status": 503,
        "error": "upstream unix:/nowhere/s.sock: cannot connect: No such file or directory",
        "file": "",
    }


def test_they_outlive_workers_reloads_and_upgrades(server: Asked) -> None:
    portico = begin(server)
    portico.get("/order/raise/1")
    wait_for(server, 1)
    with portico.ask("/wait"):
        wait_until((server.folder / "waits").exists, what="a call")
        (worker,) = portico.worker_pids
        os.kill(worker, signal.SIGKILL)
        # What it has taken along has failed, too.
        (lost, error) = wait_for(server, 2)
    assert (lost["path"], lost["error"], error["error"]) == ("/wait", "killed:SIGKILL", "ValueError")
    wait_until(lambda: portico.worker_pids not in ([], [worker]), what="another worker")
    portico.get("/order/raise/2")
    wait_for(server, 3)
    server.ask("reload")
    portico.get("/order/raise/3")
    wait_for(server, 4)
    command = [sys.executable, "-m", "portico", "ctl", "upgrade", "--socket", server.path]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    portico.get("/order/raise/4")
    (error, lost) = wait_for(server, 5)
    assert (error["count"], error["request_id"], lost["path"]) == (4, "4", "/wait")


def test_a_table_for_people(server: Asked) -> None:
    portico = begin(server)

    def say(*words: str) -> str:
        command = [sys.executable, "-m", "portico", "ctl", "errors", "--socket", server.path, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    assert say() == "no request has failed\n"
    portico.get("/order/raise/7")
    portico.get("/busy")
    wait_for(server, 2)
    head, busy, error = say().splitlines()
    assert head.split() == [
        *("AT", "(UTC)", "COUNT", "WORKER", "ERROR", "METHOD", "PATH", "ROUTE", "REQUEST", "ID", "LINE")
    ]
    assert busy.split()[2:] == ["1", "1", "503", "GET", "/busy", "-", "-", "-"]
    assert error.split()[2:8] == ["1", "1", "ValueError", "GET", "/order/raise/7", "/order/<n>"]
    assert error.endswith(f"shop.py:{line_of('raises')} application")
    assert [each["error"] for each in json.loads(say("--json"))["errors"]] == ["", "ValueError"]


def test_an_application_that_always_fails_is_told_of_now_and_then(server: Asked) -> None:
    portico = begin(server)
    for _ in range(300):
        portico.get("/order/busy")
    (error,) = wait_for(server, 300)
    assert error["route"] == "/order/<n>"


# --- What is kept


def text(
    path: str, error: str = "ValueError", place: str = "shop.py\t3\tapp\traise x", count: int = 1
) -> str:
    return f"{count} 0\nGET\n{path}\n\n\n{error}\n{place}"


def test_kinds_are_bounded_and_the_oldest_is_forgotten() -> None:
    kept = RecentErrors()
    for number in range(3 * MOST_KINDS):
        kept.hear(0, text("/", error=f"Error{number}"))
        kept.hear(0, text("/", error="Often"))
    report = kept.report()
    assert len(report) == MOST_KINDS
    assert (report[0]["error"], report[0]["count"]) == ("Often", 3 * MOST_KINDS)
    assert report[1]["error"] == f"Error{3 * MOST_KINDS - 1}"


def test_alike_are_those_of_a_line_whatever_the_path() -> None:
    kept = RecentErrors()
    for path in ("/a", "/b"):
        kept.hear(0, text(path))
        kept.hear(1, text(path, error="Other", place=""))
    assert [(each["path"], each["count"]) for each in kept.report()] == [("/b", 1), ("/b", 2), ("/a", 1)]


@pytest.mark.parametrize("wrong", ["", "x", "1 2", "x 0\na\nb\nc\nd\ne\nf", "-1 0\na\nb\nc\nd\ne\nf"])
def test_what_a_worker_says_wrongly_is_passed_over(wrong: str) -> None:
    kept = RecentErrors()
    kept.hear(0, wrong)
    assert kept.report() == []


def test_they_are_handed_over() -> None:
    kept, other = RecentErrors(), RecentErrors()
    kept.hear(0, text("/", count=3))
    other.take_over(json.loads(json.dumps(kept.hand_over())))
    other.hear(0, text("/"))
    assert [each["count"] for each in other.report()] == [4]
