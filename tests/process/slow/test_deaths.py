"""Workers that are killed take nothing along but what they had in hand, and are back within a second."""

from __future__ import annotations

import os
import signal
import time

from support.lifecycle import (
    Deaths,
    assert_lost_with_workers_only,
    assert_nothing_lost,
    load_for,
    wait_for_others,
)
from support.processes import is_alive, memory_bytes
from support.waiting import wait_until

from lifecycle.load import Load

from ..conftest import Start
from .conftest import Serve, break_application, mend_application

KILLS = 100
"""At each of the two rates."""


def test_workers_are_killed_a_hundred_times(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    memory = max(memory_bytes(pid) for pid in portico.worker_pids)
    deaths = Deaths()
    with Load(portico.port, new_per_s=rate, kept=16, kept_per_s=100) as load:
        for count in range(KILLS):
            # The kernel's list of children may lack one for a moment (proc_pid_task(5), children).
            victim = wait_until(lambda: (pids := portico.worker_pids)[1:] and pids, what="two")[count % 2]
            deaths.kill(victim)
            wait_for_others(lambda: portico.worker_pids, victim, 2)
            portico.wait_for("is ready after", times=count + 1)
            # Who lives for less than a second counts as one that cannot start: the next has to wait.
            load_for(1.05)
    assert_lost_with_workers_only(load.tally, deaths)
    assert portico.log().count("was killed by SIGKILL after") == portico.log().count("[error]") == KILLS
    assert max(memory_bytes(pid) for pid in portico.worker_pids) < memory + (4 << 20)
    portico.stop()


def test_a_call_that_crashes_its_worker(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    deaths = Deaths()
    with Load(portico.port, new_per_s=rate) as load:
        for count in range(1, 11):
            before, began_s = portico.worker_pids, time.monotonic()
            assert portico.get("/segfault") == ""
            [dead] = [pid for pid in before if not is_alive(pid)]
            deaths.note(dead, began_s)
            portico.wait_for("was killed by SIGSEGV after", times=count)
            assert "in flight: GET /segfault" in portico.log()
            wait_for_others(lambda: portico.worker_pids, dead, 2)
            load_for(1.05)
    assert_lost_with_workers_only(load.tally, deaths)
    portico.stop()


def test_the_rest_serve_on_while_workers_die_at_boot_again_and_again(serve: Serve) -> None:
    portico = serve("-w", "2")
    deaths = Deaths()
    with Load(portico.port) as load:
        break_application(portico.folder)
        victim, survivor = portico.worker_pids
        deaths.kill(victim)
        portico.wait_for("cannot load shop", times=5)
        assert portico.worker_pids[0] == survivor
        assert_waits_longer_each_time(portico.log())
        # Nor does the last one that can serve take the supervisor with it.
        deaths.kill(survivor)
        portico.wait_for("cannot load shop", times=6)
        assert portico.process.poll() is None
        mend_application(portico.folder)
        portico.wait_for("is ready after", times=2)
    waited = [failure for failure in load.tally.failures if not deaths.explain(failure)]
    # While no worker was there connections waited in the queue of the socket.
    assert waited == []
    portico.stop()


def assert_waits_longer_each_time(log: str) -> None:
    """Before the next try at a worker; the first one after a death comes at once."""
    delays = [line.partition("the next one starts in ")[2] for line in log.splitlines()]
    seconds = [float(delay.partition(" ")[0]) for delay in delays if delay]
    assert len(seconds) >= 5
    assert seconds == sorted(set(seconds))


def test_a_start_that_never_succeeds_ends_with_another_code_than_0(start: Start) -> None:
    portico = start("import os\nos._exit(1)\n", "-w", "2")
    assert portico.wait() != 0


def test_a_supervisor_that_is_killed_takes_its_workers_along(serve: Serve) -> None:
    """Nobody would replace them; what they have accepted they finish."""
    portico = serve("-w", "2")
    pids = portico.worker_pids
    with Load(portico.port) as load:
        load_for(0.5)
        os.kill(portico.process.pid, signal.SIGKILL)
        portico.wait()
        wait_until(lambda: not any(map(is_alive, pids)), what="the end of the workers")
    accepted = [failure for failure in load.tally.failures if failure.was_accepted]
    assert accepted == [], load.tally.summary()


def test_a_stop_loses_nothing_that_was_accepted(serve: Serve, rate: int) -> None:
    for _ in range(10):
        portico = serve("-w", "2")
        with Load(portico.port, new_per_s=rate, kept=64, kept_per_s=200) as load:
            load_for(0.3)
            portico.stop()
        accepted = [failure for failure in load.tally.failures if failure.was_accepted]
        assert accepted == [], load.tally.summary()
        assert load.tally.stall_s < 0.5, load.tally.summary()


def test_nothing_is_lost_while_nothing_happens(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    with Load(portico.port, new_per_s=rate) as load:
        load_for(3)
    assert_nothing_lost(load.tally)
    portico.stop()
