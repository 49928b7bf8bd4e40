"""What the system does to a server: processes stand still, disks are full, clocks jump, folders go away."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.lifecycle import (
    Deaths,
    assert_lost_with_workers_only,
    assert_nothing_lost,
    load_for,
    wait_for_others,
)
from support.processes import is_stopped
from support.waiting import wait_until

from lifecycle.load import Load

from ..conftest import Start
from .conftest import APPLICATION, Serve
from .test_reloads import reload

STOPPED_S = 0.5


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: is_stopped(pid), what="a process that stands still")
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_worker_that_stands_still_holds_up_no_new_connection(serve: Serve, rate: int) -> None:
    """Also where it looks like the one with more room, since the other has all connections that are kept."""
    portico = serve("-w", "2")
    stands, goes_on = portico.worker_pids
    with ExitStack() as stack:
        stack.enter_context(stopped(stands))
        for _ in range(40):
            connection = stack.enter_context(portico.connect())
            connection.sendall(b"GET /?1 HTTP/1.1\r\nHost: test\r\n\r\n")
            assert f"X-Worker: {goes_on}\r\n".encode() in connection.recv(65536)
        with Load(portico.port, new_per_s=rate, kept=0, kept_per_s=0) as load:
            load_for(3)
    assert_nothing_lost(load.tally)
    portico.stop()


def test_a_worker_that_stands_still_again_and_again(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    pids = portico.worker_pids
    with Load(portico.port, new_per_s=rate, kept=0, kept_per_s=0) as load:
        for count in range(10):
            load_for(0.2)
            with stopped(pids[count % 2]):
                load_for(STOPPED_S)
        load_for(0.2)
    # What it had in hand at the moment waits for it.
    slow = sum(tenth.longest_s - tenth.late_s > 0.1 for tenth in load.tally.tenths)
    assert load.tally.failures == [], load.tally.summary()
    assert slow <= 10, load.tally.summary()
    assert load.tally.stall_s < STOPPED_S + 0.1, load.tally.summary()
    assert portico.worker_pids == pids
    portico.stop()


def test_connections_of_a_worker_that_stands_still_go_on_when_it_does(serve: Serve) -> None:
    portico = serve("-w", "2")
    with Load(portico.port, new_per_s=50, kept=32, kept_per_s=100) as load:
        load_for(0.3)
        for pid in portico.worker_pids:
            with stopped(pid):
                load_for(STOPPED_S)
        load_for(0.2)
    assert load.tally.failures == [], load.tally.summary()
    assert load.tally.stale == 0
    assert load.tally.stall_s < STOPPED_S + 0.1, load.tally.summary()
    portico.stop()


def test_a_supervisor_that_stands_still_is_not_missed(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    with Load(portico.port, new_per_s=rate) as load:
        for _ in range(5):
            with stopped(portico.process.pid):
                portico.signal(signal.SIGHUP)
                load_for(STOPPED_S)
            load_for(0.3)
        reload(portico)
    assert_nothing_lost(load.tally)
    portico.stop()


def test_a_worker_that_dies_while_the_supervisor_stands_still_is_replaced_afterwards(serve: Serve) -> None:
    portico = serve("-w", "2")
    deaths = Deaths()
    with Load(portico.port) as load:
        for _ in range(3):
            load_for(1)
            victim = portico.worker_pids[0]
            with stopped(portico.process.pid):
                deaths.kill(victim)
                load_for(0.3)
            wait_for_others(lambda: portico.worker_pids, victim, 2)
    assert_lost_with_workers_only(load.tally, deaths)
    portico.stop()


SPACE_BYTES = 64 << 10


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 64 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SPACE_BYTES}", "portico-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT TESTED: a full disk, since only root can mount a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_for_both_logs(start: Start, small_file_system: Path, rate: int) -> None:
    logs = (
        "--access-log",
        f"{small_file_system}/access.log",
        "--error-log",
        f"{small_file_system}/error.log",
    )
    portico = start(APPLICATION, "-w", "2", *logs)
    wait_until(lambda: len(portico.worker_pids) == 2 and portico.get("/?1") == "1", what="a response")
    with Load(portico.port, new_per_s=rate) as load:
        wait_until(lambda: shutil.disk_usage(small_file_system).free == 0, what="the end of the space")
        load_for(1)
        reload(portico)
        load_for(0.5)
        reload(portico)
    assert_nothing_lost(load.tally)
    portico.stop()


def test_logs_that_take_nothing(start: Start, rate: int) -> None:
    portico = start(APPLICATION, "-w", "2", "--access-log", "/dev/full", "--error-log", "/dev/full")
    wait_until(lambda: len(portico.worker_pids) == 2 and portico.get("/?1") == "1", what="a response")
    with Load(portico.port, new_per_s=rate) as load:
        for _ in range(5):
            reload(portico)
    assert_nothing_lost(load.tally)
    portico.stop()


FAKETIME = [
    *Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"),
    *Path("/usr/lib").glob("faketime/libfaketimeMT.so.1"),
]
DAY_S = 86_400


@pytest.mark.skipif(not FAKETIME, reason="NOT TESTED: clock jumps, since libfaketime is missing")
def test_a_clock_that_jumps(start: Start, tmp_path: Path, rate: int) -> None:
    """A day forwards and two back, in the supervisor as in the workers, some of which are just starting."""
    offset = tmp_path / "offset"
    environment = {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }

    def jump(offset_s: int) -> None:
        fresh = offset.with_suffix(".new")
        fresh.write_text(f"{offset_s:+d}s\n")
        fresh.rename(offset)

    jump(0)
    portico = start(APPLICATION, "-w", "2", "--timeout", "5s", environment=environment)
    portico.wait_ready()
    with Load(portico.port, new_per_s=rate) as load:
        for offset_s in (DAY_S, -DAY_S, 0):
            jump(offset_s)
            load_for(0.7)
            portico.signal(signal.SIGHUP)
            jump(-offset_s)
            reload(portico)
        deaths = Deaths()
        victim = portico.worker_pids[0]
        load_for(1.1)
        jump(-DAY_S)
        deaths.kill(victim)
        wait_for_others(lambda: portico.worker_pids, victim, 2)
    assert_lost_with_workers_only(load.tally, deaths)
    assert "longer than the timeout" not in portico.log()
    portico.stop()


PIDS = Path("/sys/fs/cgroup/pids")


class ProcessLimit:
    """A control group that allows as many processes and threads, in all, as `allow` says."""

    def __init__(self, name: str) -> None:
        # The hierarchy of its own that version 1 has, or the only one.
        self.folder = (PIDS if PIDS.is_dir() else PIDS.parent) / name
        self.folder.mkdir()

    def move(self, pid: int) -> None:
        (self.folder / "cgroup.procs").write_text(f"{pid}\n")

    def allow(self, limit: str) -> None:
        """So many; `max` is any number. Those that are there stay."""
        (self.folder / "pids.max").write_text(f"{limit}\n")

    def remove(self) -> None:
        wait_until(lambda: not (self.folder / "cgroup.procs").read_text(), what="the end of its processes")
        self.folder.rmdir()


@pytest.fixture
def process_limit() -> Iterator[ProcessLimit]:
    try:
        limit = ProcessLimit(f"portico-test-{os.getpid()}")
    except OSError as error:
        pytest.skip(f"NOT TESTED: no more processes, since no control group can be made: {error}")
    if not (limit.folder / "pids.max").exists():
        limit.remove()
        pytest.skip("NOT TESTED: no more processes, since no control group limits them")
    yield limit
    limit.remove()


def test_no_process_can_be_made(process_limit: ProcessLimit, serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    for pid in [portico.process.pid, *portico.worker_pids]:
        process_limit.move(pid)
    deaths = Deaths()
    with Load(portico.port, new_per_s=rate) as load:
        load_for(1.1)
        process_limit.allow("0")
        # Neither a reload nor a worker.
        portico.signal(signal.SIGHUP)
        portico.wait_for("all stays as it is")
        victim, survivor = portico.worker_pids
        deaths.kill(victim)
        portico.wait_for("cannot fork a worker: Resource temporarily unavailable", times=3)
        assert portico.worker_pids == [survivor]
        process_limit.allow("max")
        wait_until(lambda: len(portico.worker_pids) == 2, what="two workers")
        portico.wait_for("is ready after")
        reload(portico)
    assert_lost_with_workers_only(load.tally, deaths)
    portico.kill()


def test_a_working_directory_that_goes_away(start: Start, tmp_path: Path, rate: int) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "shop.py").write_text(APPLICATION)
    portico = start(
        APPLICATION, "-w", "2", "--chdir", str(folder), "--access-log", str(folder / "access.log")
    )
    portico.wait_ready()
    pids = portico.worker_pids
    with Load(portico.port, new_per_s=rate) as load:
        shutil.rmtree(folder)
        portico.signal(signal.SIGHUP)
        portico.wait_for("all stays as it is")
        assert portico.worker_pids == pids
        folder.mkdir()
        (folder / "shop.py").write_text(APPLICATION)
        reload(portico)
    assert_nothing_lost(load.tally)
    portico.stop()


def test_the_end_of_its_reader_is_not_the_end_of_a_server(start: Start, rate: int) -> None:
    """Who has read the error log from a pipe leaves."""
    reader, writer = os.pipe()
    portico = start(APPLICATION, "-w", "2", stderr=writer)
    os.close(writer)
    wait_until(lambda: len(portico.worker_pids) == 2 and portico.get("/?1") == "1", what="a response")
    with Load(portico.port, new_per_s=rate) as load:
        os.close(reader)
        for _ in range(3):
            reload(portico)
    assert_nothing_lost(load.tally)
    portico.stop()
