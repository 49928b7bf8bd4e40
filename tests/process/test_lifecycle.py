"""What an operator does costs nobody a request: the short form of `tests/process/slow`."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.lifecycle import (
    APPLICATION,
    Deaths,
    assert_lost_with_workers_only,
    assert_nothing_lost,
    load_for,
    wait_for_others,
)
from support.processes import is_stopped
from support.waiting import wait_until

from lifecycle.load import Load

from .conftest import Portico, Start, read_body

# Other tests run beside these and take the processors; how long a stall may be is judged by `make test-slow`.
_ANY_S = 5.0


def serve(start: Start, *options: str) -> Portico:
    portico = start(APPLICATION, "-w", "2", *options)
    portico.wait_ready()
    return portico


def reload(portico: Portico) -> None:
    before = set(portico.worker_pids)
    portico.signal(signal.SIGHUP)
    wait_until(
        lambda: len(portico.worker_pids) == 2 and not before & set(portico.worker_pids), what="other workers"
    )


def test_reloads(start: Start) -> None:
    portico = serve(start)
    with Load(portico.port, new_per_s=1000, kept=32) as load:
        for _ in range(3):
            reload(portico)
    assert_nothing_lost(load.tally, most_stalled_s=_ANY_S)
    portico.stop()


def test_a_killed_worker(start: Start) -> None:
    portico = serve(start)
    deaths = Deaths()
    with Load(portico.port) as load:
        load_for(0.2)
        victim = portico.worker_pids[0]
        deaths.kill(victim)
        wait_for_others(lambda: portico.worker_pids, victim, 2)
        portico.wait_for("is ready after")
        load_for(0.2)
    assert_lost_with_workers_only(load.tally, deaths, most_stalled_s=_ANY_S)
    portico.stop()


def test_one_worker_more_and_less(start: Start) -> None:
    portico = serve(start)
    with Load(portico.port, new_per_s=1000) as load:
        for number, count in ((signal.SIGTTIN, 3), (signal.SIGTTOU, 2), (signal.SIGTTOU, 1)):
            portico.signal(number)
            wait_until(lambda count=count: len(portico.worker_pids) == count, what="it")  # type: ignore[misc]
    assert_nothing_lost(load.tally, most_stalled_s=_ANY_S)
    portico.stop()


def test_a_stop(start: Start) -> None:
    """Who comes too late is refused; nobody is accepted and then left alone."""
    portico = serve(start)
    with Load(portico.port, new_per_s=2000) as load:
        load_for(0.3)
        portico.stop()
    assert [failure for failure in load.tally.failures if failure.was_accepted] == [], load.tally.summary()
    assert load.tally.right > 100


@contextmanager
def standing_still(portico: Portico) -> Iterator[None]:
    """One worker is stopped, and the other has so many connections that nobody would choose it."""
    stands, goes_on = portico.worker_pids
    with ExitStack() as stack:
        portico.signal_worker(stands, signal.SIGSTOP)
        # Not one of its threads may still be about to accept.
        wait_until(lambda: is_stopped(stands), what="the worker to stand still")
        stack.callback(portico.signal_worker, stands, signal.SIGCONT)
        for _ in range(20):
            connection = stack.enter_context(portico.connect())
            connection.sendall(b"GET /?1 HTTP/1.1\r\nHost: test\r\n\r\n")
            assert f"X-Worker: {goes_on}\r\n".encode() in connection.recv(65536)
        yield


def test_a_worker_that_stands_still_holds_up_nobody(start: Start) -> None:
    """Twenty connections a second would be all that the other takes, waiting each time for this one."""
    portico = serve(start)
    with standing_still(portico):
        began_s = time.monotonic()
        bodies = [portico.get(f"/?{number}") for number in range(60)]
        assert bodies == [str(number) for number in range(60)]
        assert time.monotonic() - began_s < 1.5
    portico.stop()


def test_a_worker_that_dies_while_the_supervisor_stands_still_holds_up_nobody(start: Start) -> None:
    portico = serve(start)
    with standing_still(portico):
        dies = portico.worker_pids[0]
        portico.signal(signal.SIGSTOP)
        try:
            portico.signal_worker(dies, signal.SIGKILL)
            began_s = time.monotonic()
            assert [portico.get(f"/?{number}") for number in range(60)] == [str(n) for n in range(60)]
            assert time.monotonic() - began_s < 1.5
        finally:
            portico.signal(signal.SIGCONT)
        portico.wait_for("was killed by SIGKILL after")
    portico.stop()


def switches(pid: int) -> int:
    """How often any thread of `pid` has waited and been woken."""
    texts = [(thread / "status").read_text() for thread in Path(f"/proc/{pid}/task").iterdir()]
    found = [re.search(r"^voluntary_ctxt_switches:\s+(\d+)", text, re.MULTILINE) for text in texts]
    return sum(int(match[1]) for match in found if match)


@pytest.fixture
def asleep(start: Start, tmp_path: Path) -> Portico:
    """A server with one worker, whose last request is some time ago."""
    options = ("-w", "1", "--head-timeout", "500ms", "--access-log", str(tmp_path / "access.log"))
    portico = start(APPLICATION, *options)
    portico.wait_ready()
    assert portico.get("/?1") == "1"
    [worker] = portico.worker_pids

    def has_slept() -> bool:
        before = switches(worker)
        time.sleep(1)
        return switches(worker) <= before + 1

    wait_until(has_slept, what="a second in which it is not woken")
    return portico


def test_a_worker_that_nobody_asks_sleeps_and_is_as_quick_as_before(asleep: Portico, tmp_path: Path) -> None:
    assert asleep.get("/?2") == "2"
    wait_until(lambda: "/?2" in (tmp_path / "access.log").read_text(), what="its access line", deadline_s=2)
    asleep.stop()


def test_deadlines_hold_after_a_sleep(asleep: Portico) -> None:
    with asleep.connect() as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        began_s = time.monotonic()
        read_body(connection)
        assert 0.4 < time.monotonic() - began_s < 3
    asleep.stop()
