"""Pools as people see them: by `portico ctl` and `portico top` without --pool, and on the dashboard."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.browser import Browser
from support.ways import of_the_default, own_cpu_time

from .test_dashboard import wait_for_text, watching
from .test_pool_metrics import Counted


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    server = Counted(tmp_path)
    yield server
    if server.portico is not None and server.portico.process.poll() is None:
        server.portico.process.terminate()
        server.portico.process.wait(20)


SLEEPS = 'workers_min = 0\nworkers = 1\nidle_timeout = "1s"'


def test_ctl_has_rows_of_all_pools(counted: Counted) -> None:
    counted.begin(SLEEPS, waits_for=("shared", "shop"))
    for path in ("/", "/shop/item", "/shop/raise", "/shop/raise"):
        counted.status(path)
    with counted.ask("/shop/wait"):
        counted.wait_for("portico_pool_active_requests", "shop", 1)
        workers = json.loads(counted.ctl("workers", "--json"))["workers"]
        assert {worker.get("pool", "") for worker in workers} == {"", "shared", "shop"}
        assert sum(worker["running"] for worker in workers) == 1
        (request,) = json.loads(counted.ctl("requests", "--json"))["requests"]
        assert (request["pool"], request["path"]) == ("shop", "/wait")
        (counted.folder / "go").touch()
    (error,) = json.loads(counted.ctl("errors", "--json"))["errors"]
    assert (error["pool"], error["count"], error["error"]) == ("shop", 2, "ValueError")
    assert "POOL" in counted.ctl("errors").splitlines()[0]
    assert "shop: serving, 1 of 1 workers ready" in counted.ctl("status")
    assert "4 served, 2 errors, 0 running" in counted.ctl("status")
    assert json.loads(counted.ctl("slow", "--json"))["lines"] == []
    # One that sleeps is not woken, and has nothing to say.
    assert "news: asleep" in counted.ctl("status")
    said = counted.ctl("workers", "--pool", "news", fails=True)
    assert said == "portico: the pool news cannot be asked: it sleeps until somebody asks for it\n"


def test_ctl_tells_of_a_pool_that_does_not_respond(counted: Counted) -> None:
    counted.begin()
    supervisor = counted.pools()["shop"]["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        said = counted.ctl("workers")
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert "news" in said
    assert "the pool shop: workers: no outcome after 2 s" in said


@of_the_default
def test_top_has_workers_of_all_pools(counted: Counted) -> None:
    counted.begin()
    with counted.ask("/shop/wait"):
        counted.wait_for("portico_pool_active_requests", "shop", 1)
        command = [sys.executable, "-m", "portico", "top", "--once", "--interval", "0.2"]
        command += ["--socket", counted.control]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        (counted.folder / "go").touch()
    head, _, table = done.stdout.partition("\n\n")
    assert "threads 1 of 13 busy" in head
    title, *rows = table.splitlines()
    assert title.split()[:3] == ["#", "POOL", "PID"]
    assert sorted(row.split()[1] for row in rows if "1/2" not in row)[-2:] == ["news", "shared"]
    (shop,) = (row for row in rows if "1/2" in row)
    assert shop.split()[1] == "shop"
    assert shop.endswith("GET /wait")


@own_cpu_time
def test_the_dashboard_tells_of_pools(counted: Counted) -> None:
    counted.begin()
    with watching(counted.admin) as events:
        events.wait_for(lambda _: True)
        for path in ("/", "/shop/item", "/shop/raise", "/robots.txt"):
            counted.status(path)
        with counted.ask("/shop/wait"):
            snapshot = events.wait_for(
                lambda each: (
                    each["start"]["requests"] == 4 and each["requests"] and each["point"]["busy"] == 1
                )
            )
            (counted.folder / "go").touch()
        assert [(pool["name"], pool["state"]) for pool in snapshot["pools"]] == [
            ("shop", "serving"),
            ("news", "serving"),
            ("shared", "serving"),
        ]
        assert [(call["pool"], call["path"]) for call in snapshot["requests"]] == [("shop", "/wait")]
        assert {worker.get("pool", "") for worker in snapshot["workers"]} == {"", "shared", "shop", "news"}
        assert [(error["pool"], error["path"]) for error in snapshot["errors"]] == [("shop", "/raise")]
        routes = {(row.get("pool", ""), row["route"]): row for row in snapshot["start"]["routes"]}
        assert set(routes) == {("", ""), ("shared", "/"), ("shop", "/item"), ("shop", "/raise")}
        assert set(routes[("shop", "/item")]["parts_s"]) == {"queue", "lock", "cpu", "client", "waiting"}
        assert (snapshot["point"]["threads"], snapshot["running"]) == (13, 1)
        # Each once, as clients have seen them.
        with watching(counted.admin) as later:
            _, history = later.next()
        assert sum(sum(point["counts"]) for point in history["points"]) == 4
        supervisor = counted.pools()["shop"]["pid"]
        os.kill(supervisor, signal.SIGSTOP)
        try:
            events.wait_for(lambda each: each["pools"][0]["age_s"] > 1)
        finally:
            os.kill(supervisor, signal.SIGCONT)
        events.wait_for(lambda each: each["pools"][0]["age_s"] < 1)


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_a_browser_shows_pools(counted: Counted, browser: Browser, width: int, scheme: str) -> None:
    counted.begin(SLEEPS, waits_for=("shared", "shop"))
    browser.look_like(width=width, scheme=scheme)
    browser.open(f"http://127.0.0.1:{counted.admin}/")
    wait_for_text(browser, "connection", "connected")
    for path in ("/shop/item", "/shop/raise"):
        counted.status(path)
    wait_for_text(browser, "pools", "shop", "serving", "1 of 1", "news", "asleep")
    wait_for_text(browser, "routes", "GET /item shop:application in shop")
    wait_for_text(browser, "failed", "ValueError GET /raise (/raise)")
    wait_for_text(browser, "workers", "1 shop", "1 shared")
    wait_for_text(browser, "flame-elsewhere", "portico profile --pool NAME")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    browser.open("about:blank")
