"""The number of workers follows the load, the memory allowed, and silence; no request is lost by it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.processes import memory_bytes
from support.server import free_port
from support.waiting import wait_until
from support.ways import of_the_default

from .conftest import Portico, Start, read_body

SHOP = """
import os, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    while path == "/wait" and not os.path.exists("go on"):
        time.sleep(0.02)
    if path == "/compute":
        until_s = time.thread_time() + 0.05
        while time.thread_time() < until_s:
            pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"several" if environ["wsgi.multiprocess"] else b"one"]
"""
ASLEEP = "no request for 1 s: no worker until one comes"


def sleeping(start: Start, *options: str, source: str = SHOP) -> Portico:
    portico = start(source, "--workers-min", "0", "--idle-timeout", "1s", *options)
    portico.wait_ready()
    fall_asleep(portico)
    return portico


def fall_asleep(portico: Portico, *, times: int = 1) -> None:
    portico.wait_for(ASLEEP, times=times)
    wait_until(lambda: not portico.worker_pids, what="the workers to leave")


def switches(pid: int) -> int:
    """How often the process has waited."""
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)
    assert match
    return int(match[1])


@of_the_default
def test_calls_that_wait_start_workers_up_to_the_most(start: Start) -> None:
    portico = start(SHOP, "-w", "1", "--workers-max", "3", "--threads", "2")
    portico.wait_ready()
    assert "with 1 worker x 2 threads (--workers on the command line; from 1 to 3 by load)" in portico.log()
    with ExitStack() as connections:
        waiting = [connections.enter_context(portico.ask("/wait")) for _ in range(2)]
        portico.wait_for("the number of workers is 2 now: 1.0 of 1 were busy")
        portico.wait_for("is ready after")
        waiting += [connections.enter_context(portico.ask("/wait")) for _ in range(6)]
        portico.wait_for("the number of workers is 3 now: 2.0 of 2 were busy")
        wait_until(lambda: len(portico.worker_pids) == 3, what="three workers")
        (portico.folder / "go on").touch()
        assert [read_body(connection) for connection in waiting] == ["several"] * 8
    portico.stop()


def test_calls_that_compute_start_workers(start: Start) -> None:
    portico = start(SHOP, "-w", "1", "--workers-max", "2")
    portico.wait_ready()
    with ThreadPoolExecutor(6) as clients:
        end_s = time.monotonic() + 40

        def ask_on(_: int) -> int:
            count = 0
            while "the number of workers is 2 now" not in portico.log() and time.monotonic() < end_s:
                count += portico.get("/compute") == "several"
            return count

        counts = list(clients.map(ask_on, range(6)))
    portico.wait_for("the number of workers is 2 now: ")
    assert min(counts) > 0
    portico.stop()


def test_no_worker_while_nobody_asks_and_one_for_the_first_connection(start: Start) -> None:
    portico = sleeping(start, "-w", "2")
    # Beside the file pages that everybody has: what an idle server costs.
    assert memory_bytes(portico.process.pid) < 8 << 20
    for times in range(2, 5):
        assert portico.get() == "several"
        assert portico.log().count("a connection waits: starting a worker") == times - 1
        fall_asleep(portico, times=times)
    portico.stop()


def test_a_crowd_that_comes_as_the_workers_leave_is_served(start: Start) -> None:
    portico = sleeping(start, "-w", "2")
    for times in range(2, 5):
        with ThreadPoolExecutor(20) as clients:
            assert list(clients.map(lambda _: portico.get(), range(60))) == ["several"] * 60
        # The next crowd comes at the very moment.
        portico.wait_for(ASLEEP, times=times)
    portico.stop()


def test_who_is_connected_keeps_the_workers(start: Start) -> None:
    portico = start(SHOP, "-w", "1", "--workers-min", "0", "--idle-timeout", "1s")
    portico.wait_ready()
    with portico.ask("/wait") as connection:
        began_s = time.monotonic()
        wait_until(lambda: time.monotonic() > began_s + 2.5, what="more than twice the time")
        assert ASLEEP not in portico.log()
        (portico.folder / "go on").touch()
        assert read_body(connection) == "one"
    fall_asleep(portico)


@pytest.mark.alone
def test_a_sleeping_server_does_not_wake(start: Start) -> None:
    portico = sleeping(start, "-w", "1")
    before, began_s = switches(portico.process.pid), time.monotonic()
    wait_until(lambda: time.monotonic() > began_s + 2, what="some time")
    assert switches(portico.process.pid) - before <= 1


def test_term_ends_a_sleeping_server(start: Start) -> None:
    sleeping(start, "-w", "1").stop()


def test_a_reload_wakes_it_and_takes_new_code(start: Start) -> None:
    portico = sleeping(start, "-w", "1")
    (portico.folder / "shop.py").write_text(SHOP.replace('b"one"', 'b"new"'))
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    assert portico.get() == "new"
    fall_asleep(portico, times=2)
    assert portico.get() == "new"
    portico.stop()


def test_a_reload_keeps_as_many_workers_as_the_load_has_asked_for(start: Start) -> None:
    portico = start(SHOP, "-w", "1", "--workers-max", "2", "--threads", "1")
    portico.wait_ready()
    with portico.ask("/wait") as first, portico.ask("/wait") as second:
        portico.wait_for("the number of workers is 2 now")
        portico.wait_for("is ready after")
        portico.signal(signal.SIGHUP)
        portico.wait_for("is ready after", times=3)
        (portico.folder / "go on").touch()
        assert [read_body(first), read_body(second)] == ["several"] * 2
    wait_until(lambda: len(portico.worker_pids) == 2, what="the old workers to leave")
    portico.stop()


def test_a_reload_to_other_bounds_holds_at_once(start: Start, tmp_path: Path) -> None:
    port = free_port()

    def write(*lines: str) -> None:
        text = ["[[app]]", 'app = "shop"', "[listening]", f'bind = ["127.0.0.1:{port}"]', *lines]
        (tmp_path / "portico.toml").write_text("\n".join(text) + "\n")

    write("[processes]", "workers = 2")
    portico = start(SHOP, port=port, reads_file=True)
    portico.wait_ready()
    write(
        "[processes]", "workers = 2", "[scaling]", "workers_min = 0", "workers_max = 4", 'idle_timeout = "1s"'
    )
    portico.signal(signal.SIGHUP)
    fall_asleep(portico)
    write("[processes]", "workers = 3")
    portico.signal(signal.SIGHUP)
    wait_until(lambda: len(portico.worker_pids) == 3, what="three workers")
    assert portico.get() == "several"
    portico.stop()


def test_a_connection_waits_until_the_application_can_be_loaded(start: Start) -> None:
    portico = sleeping(start, "-w", "1")
    (portico.folder / "shop.py").write_text("raise RuntimeError('broken')")
    with portico.ask() as connection:
        portico.wait_for("RuntimeError: broken")
        (portico.folder / "shop.py").write_text(SHOP)
        assert read_body(connection) == "one"
    portico.stop()


def test_ttin_and_ttou_stay_within_the_bounds(start: Start) -> None:
    portico = start(SHOP, "-w", "2", "--workers-min", "1", "--workers-max", "3")
    portico.wait_ready()
    portico.signal(signal.SIGTTIN)
    portico.wait_for("the number of workers is 3 now")
    portico.signal(signal.SIGTTIN)
    portico.wait_for("the number of workers stays at 3")
    for count in (2, 1):
        portico.signal(signal.SIGTTOU)
        # One that comes before another of its kind was heard is none (signal(7)).
        portico.wait_for(f"the number of workers is {count} now")
        wait_until(lambda count=count: len(portico.worker_pids) == count, what=f"{count} workers")
    portico.signal(signal.SIGTTOU)
    portico.wait_for("the number of workers stays at 1")
    portico.stop()


def test_ttin_wakes_a_sleeping_server(start: Start) -> None:
    portico = sleeping(start, "-w", "1")
    portico.signal(signal.SIGTTIN)
    portico.wait_for("is ready after")
    assert portico.get() == "one"
    portico.stop()


def in_a_cgroup_of(limit_bytes: int, folder: Path) -> tuple[str, ...]:
    """A program that runs portico where /sys/fs/cgroup says so much memory is allowed (both versions)."""
    (folder / "cgroup/memory").mkdir(parents=True)
    (folder / "cgroup/memory/memory.limit_in_bytes").write_text(f"{limit_bytes}\n")
    (folder / "cgroup/memory.max").write_text(f"{limit_bytes}\n")
    mount = f"mount --bind {folder}/cgroup /sys/fs/cgroup"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], check=False, capture_output=True).returncode:
        pytest.skip("no mount namespace can be had")
    return ("unshare", "-m", "sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, "-m", "portico")


AS_LARGE = "ballast = bytearray(40 << 20)\n" + SHOP


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU is one worker")
def test_the_memory_limit_bounds_how_many_workers_start_by_themselves(start: Start, tmp_path: Path) -> None:
    portico = start(AS_LARGE, program=in_a_cgroup_of(90 << 20, tmp_path))
    portico.wait_ready()
    assert "there will be no more than 1 worker: the cgroup allows 90 MiB of memory" in portico.log()
    assert "with 1 worker x " in portico.log()
    assert len(portico.worker_pids) == 1
    # Somebody who says so may have more.
    portico.signal(signal.SIGTTIN)
    wait_until(lambda: len(portico.worker_pids) == 2, what="a second worker")
    portico.stop()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU is one worker")
def test_where_there_is_memory_there_is_a_worker_for_each_cpu(start: Start, tmp_path: Path) -> None:
    portico = start(SHOP, program=in_a_cgroup_of(64 << 30, tmp_path))
    portico.wait_ready()
    assert len(portico.worker_pids) == len(os.sched_getaffinity(0))
    assert "there will be no more than" not in portico.log()
    assert portico.get() == "several"
    portico.stop()


@of_the_default
def test_the_memory_limit_bounds_growth(start: Start, tmp_path: Path) -> None:
    program = in_a_cgroup_of(130 << 20, tmp_path)
    portico = start(AS_LARGE, "-w", "1", "--workers-max", "8", "--threads", "1", program=program)
    portico.wait_ready()
    portico.wait_for(
        "there will be no more than 2 workers: the cgroup allows 130 MiB of memory, and one worker"
    )
    with ExitStack() as connections:
        waiting = [connections.enter_context(portico.ask("/wait")) for _ in range(4)]
        portico.wait_for("the number of workers is 2 now")
        portico.wait_for("is ready after")
        began_s = time.monotonic()
        wait_until(lambda: time.monotonic() > began_s + 2, what="some more looks")
        assert "the number of workers is 3" not in portico.log()
        (portico.folder / "go on").touch()
        assert [read_body(connection) for connection in waiting] == ["several"] * 4
    portico.stop()
