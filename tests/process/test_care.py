"""Workers that have served long enough, or are too large, are replaced, and nobody loses a request."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from support.counted_load import counted_load
from support.processes import is_alive
from support.waiting import wait_until

from .conftest import Portico, Start

SHOP = """
import os, time
KEPT = []
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/leak":
        KEPT.append(os.urandom(2 << 20))
        time.sleep(0.05)
    elif path == "/burst":
        KEPT.append(b"x" * (100 << 20))
        time.sleep(30)
    elif path == "/wait":
        time.sleep(1)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SPENT = "it is replaced once its successor is ready"


def rss_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES


def limit_above(portico: Portico, more_mib: int) -> str:
    """A size that a worker has not yet, by so much."""
    return f"{(rss_bytes(portico.worker_pids[0]) >> 20) + more_mib}M"


def test_max_requests_under_load_loses_none(start: Start) -> None:
    portico = start(SHOP, "--workers", "2", "--max-requests", "50", "--min-lifetime", "0")
    portico.wait_ready()
    first = set(portico.worker_pids)
    with counted_load(portico.port) as load:
        portico.wait_for(SPENT, times=5)
        wait_until(lambda: not first & set(portico.worker_pids), what="the end of the first workers")
    assert not load.lost
    assert len({body for _, body in load.responses}) >= 5
    assert len(load.responses) > 250
    assert all(int(number) >= 50 for number in re.findall(r"has served (\d+) requests", portico.log()))
    portico.stop()


def test_there_are_never_fewer_workers_nor_many_more(start: Start) -> None:
    portico = start(SHOP, "--workers", "3", "--max-requests", "20", "--min-lifetime", "0")
    portico.wait_ready()
    counts = set()
    with counted_load(portico.port):
        while portico.log().count(SPENT) < 4:
            counts.add(len(portico.worker_pids))
            time.sleep(0.002)
    # As many at a time as reload_parallel says, which is one.
    assert counts <= {3, 4}
    portico.stop()


def test_the_jitter_differs_from_worker_to_worker(start: Start) -> None:
    portico = start(SHOP, "--workers", "4", "--max-lifetime", "1", "--max-lifetime-jitter", "3")
    portico.wait_ready()
    portico.wait_for(SPENT, times=4)
    lifetimes = [float(s) for s in re.findall(r"has served for ([\d.]+) s", portico.log())][:4]
    assert all(1 <= lifetime < 5 for lifetime in lifetimes)
    assert max(lifetimes) - min(lifetimes) > 0.1
    portico.stop()


def test_a_request_is_finished_by_the_worker_whose_time_is_over(start: Start) -> None:
    portico = start(SHOP, "--workers", "1", "--max-lifetime", "1.5")
    portico.wait_ready()
    pid = portico.worker_pids[0]
    with counted_load(portico.port, "/wait", clients=2) as load:
        wait_until(lambda: not is_alive(pid), what="the end of the first worker")
    assert not load.lost
    assert portico.worker_pids != [pid]
    portico.stop()


def test_a_leaking_application_is_kept_below_its_limit_and_serves_on(start: Start, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    measured = start(SHOP, "--workers", "1")
    measured.wait_ready()
    limit = limit_above(measured, 60)
    measured.stop()
    portico = start(SHOP, "--workers", "1", "--max-rss", limit)
    portico.wait_ready()
    largest = 0
    with counted_load(portico.port, "/other", clients=1) as others:
        deadline = time.monotonic() + 40
        # Less than 40 MiB a second, and most of the time is spent there: a look each second sees both.
        while portico.log().count("more than max_rss") < 3 and time.monotonic() < deadline:
            portico.get("/leak")
            largest = max([largest, *(rss_bytes(pid) for pid in portico.worker_pids if is_alive(pid))])
    assert portico.log().count("more than max_rss") >= 3
    assert not others.lost
    assert largest < (int(limit[:-1]) + 150) << 20
    # The path that leaks is named, with its share; so is the other one, by which it might have been.
    seen = re.findall(r"seen in calls while it grew by \d+ MiB: (.*): it is replaced", portico.log())
    assert all("/leak (" in each for each in seen), seen
    portico.stop()


def test_a_worker_beyond_the_hard_limit_is_killed_and_its_requests_are_told(start: Start) -> None:
    portico = start(SHOP, "--workers", "2", "--max-rss-hard", "90M", "--access-log", "access.log")
    portico.wait_ready()
    with portico.ask("/burst?n=1") as lost:
        portico.wait_for("more than max_rss_hard of 90M: it leaves in 1 s")
        with counted_load(portico.port) as load:
            portico.wait_for("did not finish within 1 s: killed, in flight: GET /burst")
        assert lost.recv(100) == b""
    assert not load.lost
    access = portico.folder / "access.log"
    wait_until(lambda: "/burst" in access.read_text(), what="its access line")
    line = re.findall(r'.*"GET /burst\?n=1 HTTP/1\.1" 000 0 .* killed:max_rss_hard', access.read_text())
    assert len(line) == 1
    portico.stop()


def test_a_worker_that_is_too_large_from_the_start_is_left_alone(start: Start) -> None:
    portico = start(SHOP, "--workers", "1", "--max-rss", "1M", "--min-lifetime", "0")
    portico.wait_ready()
    portico.wait_for("before its first request: no worker is replaced by it")
    pids = portico.worker_pids
    assert {portico.get() for _ in range(5)} == {str(pids[0])}
    portico.stop()


def test_a_successor_that_cannot_be_leaves_the_worker_serving(start: Start) -> None:
    portico = start(SHOP, "--workers", "1", "--max-requests", "5", "--min-lifetime", "0")
    portico.wait_ready()
    pids = portico.worker_pids
    (portico.folder / "shop.py").write_text("raise RuntimeError('broken')")
    with counted_load(portico.port) as load:
        portico.wait_for("cannot load shop", times=2)
    assert not load.lost
    assert {body for _, body in load.responses} == {str(pids[0])}
    assert "reload failed" not in portico.log()
    (portico.folder / "shop.py").write_text(SHOP)
    with counted_load(portico.port) as load:
        wait_until(lambda: not is_alive(pids[0]), what="the end of the old worker")
    assert not load.lost
    portico.stop()
