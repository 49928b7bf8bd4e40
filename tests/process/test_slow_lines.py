"""Slow requests: which line of the application has held the time, in the error log and by `portico ctl`."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.waiting import wait_until
from support.ways import cannot_be_ended, not_for, own_cpu_time

from .conftest import Portico, Start
from .test_control import Asked

SHOP = """
import threading, time
import helper
lock = threading.Lock()
def spin(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        count = sum(range(1000))  # spins
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/spin":
        environ["portico.route"] = "/spin/<n>"
        spin(0.8)
    if path == "/sleep":
        helper.rest(0.8)  # sleeps
    if path == "/queue":
        environ["portico.request_id"] = "of-the-application"
        with lock:  # waits
            time.sleep(0.6)  # holds
    if path == "/holds":
        with lock:
            open("held", "w").close()
            time.sleep(60)  # forever
    start_response("200 OK", [])
    return [b"done"]
"""


@pytest.fixture
def server(start: Start, tmp_path: Path) -> Asked:
    # An installed package, which is not the application's own code.
    package = tmp_path / "lib" / "site-packages"
    package.mkdir(parents=True)
    (package / "helper.py").write_text("import time\ndef rest(seconds):\n    time.sleep(seconds)\n")
    return Asked(start, tmp_path)


def begin(server: Asked, *options: str) -> Portico:
    package = str(server.folder / "lib" / "site-packages")
    given = ("-w", "1", "--threads", "4", "--slow-after", "200ms", "--pythonpath", package)
    return server.start(*given, *options, source=SHOP)


def line_of(mark: str) -> int:
    return next(number for number, line in enumerate(SHOP.splitlines(), 1) if line.endswith(f"# {mark}"))


def lines(server: Asked) -> dict[int, Any]:
    """What there is, by the number of the line."""
    found = server.ask("slow")["lines"]
    assert all(each["file"] == str(server.folder / "shop.py") for each in found), found
    return {each["line"]: each for each in found}


@not_for("gevent", reason="below a call that waits there are frames of gevent")
def test_the_line_that_computes_sleeps_or_waits_is_named(server: Asked) -> None:
    portico = begin(server)
    assert server.ask("slow") == {"lines": [], "recent": []}
    assert portico.get("/") == "done"
    for path in ("/spin", "/sleep"):
        assert portico.get(path) == "done"
    with portico.ask("/queue") as first, portico.ask("/queue") as second:
        for each in (first, second):
            while each.recv(4096):
                pass
    wait_until(
        lambda: len(server.ask("slow")["recent"]) == 4 and not running(server), what="four slow requests"
    )
    found = lines(server)
    sleeps, waits, holds = (found[line_of(mark)] for mark in ("sleeps", "waits", "holds"))
    # The loop is on one of its two lines.
    spins = [found[number] for number in (line_of("spins"), line_of("spins") - 1) if number in found]
    assert sum(each["seconds"] for each in spins) >= 0.7
    assert all(each["function"] == "spin" and list(each["routes"]) == ["/spin/<n>"] for each in spins)
    assert sleeps["function"] == "application"
    assert sleeps["source"] == "helper.rest(0.8)  # sleeps"
    assert sleeps["seconds"] >= 0.7
    assert sleeps["requests"] == 1
    assert list(sleeps["routes"]) == ["GET /sleep"]
    assert sleeps["ended"]["file"].endswith("/site-packages/helper.py")
    assert sleeps["ended"]["function"] == "rest"
    assert waits["seconds"] >= 0.2
    assert holds["seconds"] >= 0.2


def running(server: Asked) -> list[Any]:
    result: list[Any] = server.ask("requests")["requests"]
    return result


@not_for("gevent", reason="below a call that waits there are frames of gevent")
def test_recent_calls_have_their_request_and_stack(server: Asked) -> None:
    portico = begin(server)
    portico.get("/queue")
    wait_until(lambda: not running(server) and server.ask("slow")["recent"], what="a slow request")
    wait_until(lambda: server.ask("slow")["recent"][0]["request_id"], what="its end")
    (recent,) = server.ask("slow")["recent"]
    assert recent["at"] > 1.7e9
    stack = recent.pop("stack")
    assert (
        stack[-1] == f"{server.folder / 'shop.py'}:{line_of('holds')} application: time.sleep(0.6)  # holds"
    )
    assert recent.pop("seconds") >= 0.6
    del recent["at"]
    assert recent == {
        "request_id": "of-the-application",
        "method": "GET",
        "path": "/queue",
        "route": "",
        "worker": 1,
    }


@own_cpu_time
def test_one_record_has_the_times_and_all_stacks(server: Asked) -> None:
    portico = begin(server)
    portico.get("/spin")
    portico.wait_for("the application shop:application at GET /spin has ended after ")
    record = portico.log().partition("the application shop:application at GET /spin has ended after ")[2]
    head, _, stacks = record.partition("; it stood\n")
    assert "with status 200, route /spin/<n>; queue " in head
    # It was computing, whatever else the machine does.
    cpu_s = float(head.partition(" CPU ")[2].partition(" ")[0])
    assert cpu_s >= 0.2
    assert stacks.startswith("after 0.")
    assert f'shop.py", line {line_of("spins")}, in spin' in stacks or "in spin" in stacks


@cannot_be_ended
def test_they_outlive_workers_and_reloads(server: Asked) -> None:
    portico = begin(server)
    with portico.ask("/holds"):
        wait_until((server.folder / "held").exists, what="a call that holds the lock")
        # A call that never ends counts while it goes on, too.
        wait_until(lambda: line_of("forever") in lines(server), what="its line")
        (worker,) = portico.worker_pids
        portico.signal_worker(worker, signal.SIGKILL)
        wait_until(lambda: portico.worker_pids not in ([worker], []), what="another worker")
    assert lines(server)[line_of("forever")]["routes"].keys() == {"GET /holds"}
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after", times=2)
    assert line_of("forever") in lines(server)


def test_an_upgrade_keeps_them(server: Asked) -> None:
    portico = begin(server)
    portico.get("/sleep")
    wait_until(lambda: line_of("sleeps") in lines(server) and not running(server), what="its line")
    before = lines(server)
    portico.signal(signal.SIGUSR2)
    portico.wait_for("upgraded from ")
    wait_until(lambda: (server.folder / "c.sock").exists(), what="the control socket")
    assert lines(server) == before


def test_ctl_prints_tables(server: Asked) -> None:
    portico = begin(server)
    assert ctl(server, "slow") == "no request has been slower than slow_after\n"
    portico.get("/sleep")
    wait_until(lambda: line_of("sleeps") in lines(server) and not running(server), what="its line")
    wait_until(lambda: "/sleep" in ctl(server, "slow"), what="its path")
    table, _, calls = ctl(server, "slow").partition("\n\n")
    assert table.startswith("SECONDS  REQUESTS  LINE ")
    assert f"shop.py:{line_of('sleeps')} application  GET /sleep  helper.rest(0.8)" in table
    assert calls.startswith("AT (UTC)")
    assert json.loads(ctl(server, "slow", "--json")) == server.ask("slow")


def ctl(server: Asked, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "portico", "ctl", *arguments, "--socket", server.path],
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_without_slow_after_nothing_is_kept(server: Asked) -> None:
    portico = begin(server, "--slow-after", "0")
    portico.get("/sleep")
    assert server.ask("slow") == {"lines": [], "recent": []}
