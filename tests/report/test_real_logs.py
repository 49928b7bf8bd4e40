"""Logs that servers have written: portico in each of its formats, gunicorn and uWSGI."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from process.conftest import Start
from support.log_file import LogFile
from support.reverse_proxies import ForegroundProgram, find_program
from support.server import free_port
from support.waiting import wait_until

from .conftest import Report

SHOP = """
import os
import time

def application(environ, start_response):
    path = environ["PATH_INFO"]
    environ["portico.route"] = "/" + path.split("/")[1] + "/<rest>"
    if path.startswith("/slow"):
        time.sleep(0.03)
    if path == "/killed":
        os.kill(os.getpid(), 9)
    start_response("500 No" if path == "/fails" else "200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
PATHS = ("/slow/1", "/slow/2?a=b", "/order/<script>", "/fails", "/fails")


def ask(port: int, paths: Sequence[str] = PATHS) -> None:
    """Make the requests, one after the other."""
    for path in paths:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            head = f'GET {path} HTTP/1.1\r\nHost: shop\r\nUser-Agent: a "b" c\r\nConnection: close\r\n\r\n'
            connection.sendall(head.encode())
            while connection.recv(65536):
                pass


def counted(report: Report, folder: Path, *arguments: str) -> dict[str, Any]:
    """The figures of a log: routes with requests and errors, statuses, and the rest as it is."""
    report(*arguments, "--json", "figures.json")
    figures = json.loads((folder / "figures.json").read_text())
    assert isinstance(figures, dict)
    return {
        **figures,
        "routes": {each["route"]["text"]: (each["requests"], each["errors"]) for each in figures["routes"]},
        "unreadable": sum(source["unreadable_lines"] for source in figures["sources"]),
        "p50_ms": figures["all"]["durations"]["p50"]["ns"] / 1e6,
        "max_ms": figures["all"]["durations"]["max_ns"] / 1e6,
    }


BY_PATH = {"/slow/<n>": (2, 0), "/order/<script>": (1, 0), "/fails": (2, 2)}
BY_ROUTE = {"/slow/<rest>": (2, 0), "/order/<rest>": (1, 0), "/fails/<rest>": (2, 2)}
GUNICORNS = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s" %(D)s'


@pytest.mark.parametrize(
    ("access_log_format", "found", "routes"),
    [
        ("json", "json", BY_ROUTE),
        ("logfmt", "logfmt", BY_ROUTE),
        ("combined", "combined", BY_PATH),
        ("common", "common", BY_PATH),
        ("short", "short", BY_PATH),
        (GUNICORNS, "template", BY_PATH),
        ("%(addr) [%(ctime)] %(method) %(uri) => %(status) %(rsize) %(msecs)", "template", BY_PATH),
        (
            "%(ended) %(method) %(path) %(route) %(status) %(total_us) %(queue_us) %(app_us)",
            "template",
            BY_ROUTE,
        ),
    ],
)
def test_reads_porticos_own(
    start: Start, report: Report, tmp_path: Path, access_log_format: str, found: str, routes: dict[str, Any]
) -> None:
    log = LogFile(tmp_path / "access.log")
    portico = start(SHOP, "--access-log", str(log.path), "--access-log-format", access_log_format)
    portico.wait_ready()
    ask(portico.port)
    portico.stop()
    wanted = ("--format", access_log_format) if found == "template" else ()
    figures = counted(report, tmp_path, "access.log", *wanted)
    assert (figures["unreadable"], figures["sources"][0]["format"]) == (0, found)
    assert figures["routes"] == routes
    assert figures["statuses"] == {"200": 3, "500": 2}
    assert figures["all"]["body_bytes"] in (25, 0)
    if found != "common":
        assert 30 <= figures["max_ms"] < 1000
    parts_ns = figures["all"]["parts_ns"]
    if found == "json":
        assert parts_ns["waiting"] > 50e6 > parts_ns["computing"]
    if found == "logfmt":
        assert parts_ns["application"] > 50e6


@pytest.mark.parametrize("access_log_format", ["json", "combined"])
def test_a_killed_request_has_its_cause(
    start: Start, report: Report, tmp_path: Path, access_log_format: str
) -> None:
    log = LogFile(tmp_path / "access.log")
    portico = start(SHOP, "--access-log", str(log.path), "--access-log-format", access_log_format)
    portico.wait_ready()
    ask(portico.port, ["/killed"])
    log.wait_for("killed:SIGKILL")
    figures = counted(report, tmp_path, "access.log")
    assert (figures["unreadable"], figures["causes"]) == (0, {"killed:SIGKILL": 1})
    assert figures["statuses"] == {"000": 1}


def wait_for_lines(log: Path, wanted: str, *, count: int = len(PATHS)) -> None:
    """Wait until the log has all of its lines: a server writes them after the response."""
    wait_until(lambda: log.read_text().count(wanted) >= count, what=f"{count} lines in {log.name}")


def by_gunicorn(folder: Path, port: int, *options: str) -> ForegroundProgram:
    command = [
        *(find_program("gunicorn", what="gunicorn's access log"), "--bind", f"127.0.0.1:{port}"),
        *(
            "--no-control-socket",
            "--access-logfile",
            str(folder / "gunicorn.log"),
            *options,
            "shop:application",
        ),
    ]
    return ForegroundProgram("gunicorn", command, folder=folder, log_path=folder / "error.log", port=port)


def by_uwsgi(folder: Path, port: int) -> ForegroundProgram:
    command = [
        *(find_program("uwsgi-core", what="uWSGI's log"), "--plugin", "python3", "--die-on-term"),
        *("--http-socket", f"127.0.0.1:{port}", "--wsgi", "shop:application", "--need-app"),
    ]
    return ForegroundProgram("uwsgi", command, folder=folder, log_path=folder / "uwsgi.log", port=port)


def test_reads_gunicorns_default(report: Report, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    port = free_port()
    with by_gunicorn(tmp_path, port):
        ask(port)
        wait_for_lines(tmp_path / "gunicorn.log", '"GET ')
    figures = counted(report, tmp_path, "gunicorn.log")
    assert (figures["unreadable"], figures["sources"][0]["format"]) == (0, "combined")
    assert figures["routes"] == BY_PATH
    assert figures["all"]["durations"]["timed"] == 0


def test_reads_gunicorns_own_format(report: Report, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    port = free_port()
    with by_gunicorn(tmp_path, port, "--access-logformat", GUNICORNS):
        ask(port)
        wait_for_lines(tmp_path / "gunicorn.log", '"GET ')
    figures = counted(report, tmp_path, "gunicorn.log", "--format", GUNICORNS)
    assert (figures["unreadable"], figures["routes"]) == (0, BY_PATH)
    assert 30 <= figures["max_ms"] < 1000


def test_reads_uwsgis_default(report: Report, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    port = free_port()
    with by_uwsgi(tmp_path, port):
        ask(port)
        wait_for_lines(tmp_path / "uwsgi.log", "=> generated")
    figures = counted(report, tmp_path, "uwsgi.log")
    assert figures["sources"][0]["format"] == "uwsgi"
    assert figures["routes"] == BY_PATH
    assert figures["statuses"] == {"200": 3, "500": 2}
    assert 30 <= figures["max_ms"] < 1000
    # What it says at its start and end.
    assert figures["unreadable"] > 5


def test_before_and_after_moving(start: Start, report: Report, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP.replace("0.03", "0.01"))
    port = free_port()
    paths = [f"/slow/{n}" for n in range(40)]
    with by_uwsgi(tmp_path, port):
        ask(port, paths)
        wait_for_lines(tmp_path / "uwsgi.log", "=> generated", count=len(paths))
    log = LogFile(tmp_path / "access.log")
    # Far from what a busy machine adds to those of before. Of another length, too: else Python takes a source
    # of the same second for the one that it has compiled.
    slower = SHOP.replace("0.03", "0.150")
    portico = start(slower, "--access-log", str(log.path), "--access-log-format", "json")
    portico.wait_ready()
    ask(portico.port, paths)
    portico.stop()
    printed = report("access.log", "--before", "uwsgi.log").stdout
    assert "slower (p50)" in printed
    assert "GET /slow/<n>\n" in printed
