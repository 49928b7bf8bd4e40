"""Workers that come and go, as many as the operator or the load wants, lose no request."""

from __future__ import annotations

import signal

from support.lifecycle import assert_nothing_lost, load_for
from support.waiting import wait_until

from lifecycle.load import Load

from ..conftest import Portico
from .conftest import Serve


def resize(portico: Portico, number: signal.Signals, count: int) -> None:
    portico.signal(number)
    wait_until(lambda: len(portico.worker_pids) == count, what=f"{count} workers")


def test_by_signals(serve: Serve, rate: int) -> None:
    portico = serve("-w", "1")
    with Load(portico.port, new_per_s=rate, kept=64, kept_per_s=200) as load:
        for _ in range(10):
            for count in (2, 3, 4):
                resize(portico, signal.SIGTTIN, count)
            for count in (3, 2, 1):
                resize(portico, signal.SIGTTOU, count)
    assert_nothing_lost(load.tally)
    portico.stop()


def test_by_load_and_back(serve: Serve) -> None:
    """Calls that last keep the only worker busy; when they have ended the added ones leave again."""
    portico = serve("-w", "1", "--workers-max", "3", "--threads", "4")
    with Load(portico.port) as load:
        held = [portico.ask("/sleep") for _ in range(3)]
        portico.wait_for("the number of workers is 2 now")
        portico.wait_for("is ready after")
        load_for(2)
        for connection in held:
            connection.close()
    assert_nothing_lost(load.tally)
    portico.kill()


def test_asleep_and_awake_again(serve: Serve) -> None:
    portico = serve("-w", "2", "--workers-min", "0", "--idle-timeout", "1s")
    for times in range(1, 6):
        portico.wait_for("no worker until one comes", times=times)
        with Load(portico.port, kept=4, kept_per_s=20) as load:
            load_for(0.5)
        # The first ones wait until a worker has started.
        assert_nothing_lost(load.tally, most_stalled_s=0.5)
    portico.stop()
