"""Fifty reloads in a row, also to what does not serve, lose no request."""

from __future__ import annotations

import signal

from support.lifecycle import assert_nothing_lost
from support.server import free_port
from support.waiting import wait_until

from lifecycle.load import Load

from ..conftest import Portico, Start
from .conftest import APPLICATION, Serve, break_application, mend_application

FAILED = "reload failed, the workers of before go on serving"
NOT_TAKEN = "the configuration was not taken, all stays as it is:"


def reload(portico: Portico, count: int = 2) -> None:
    """Replace every worker, and wait until those of before have left and `count` are there."""
    before = set(portico.worker_pids)
    portico.signal(signal.SIGHUP)
    wait_until(
        lambda: len(portico.worker_pids) == count and not before & set(portico.worker_pids),
        what="other workers",
    )


def test_fifty_reloads(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    with Load(portico.port, new_per_s=rate, kept=64, kept_per_s=200) as load:
        for _ in range(50):
            reload(portico)
    assert_nothing_lost(load.tally)
    portico.stop()


def test_reloads_of_many_workers_at_a_time(serve: Serve, rate: int) -> None:
    portico = serve("-w", "6", "--reload-parallel", "50%")
    with Load(portico.port, new_per_s=rate) as load:
        for _ in range(10):
            reload(portico, 6)
    assert_nothing_lost(load.tally)
    portico.stop()


def test_reloads_that_come_faster_than_workers_do(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    with Load(portico.port, new_per_s=rate) as load:
        for times in range(1, 31):
            portico.signal(signal.SIGHUP)
            portico.wait_for("reading the configuration", times=times)
        before = portico.log().count("each worker is replaced")
        reload(portico)
        assert portico.log().count("each worker is replaced") > before
    assert_nothing_lost(load.tally)
    portico.stop()


def test_reloads_to_a_broken_application(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    pids = portico.worker_pids
    with Load(portico.port, new_per_s=rate) as load:
        break_application(portico.folder)
        for times in range(1, 11):
            portico.signal(signal.SIGHUP)
            portico.wait_for(FAILED, times=times)
        assert portico.worker_pids == pids
        mend_application(portico.folder)
        reload(portico)
    assert_nothing_lost(load.tally)
    portico.stop()


def test_reloads_to_a_broken_configuration(start: Start, rate: int) -> None:
    port = free_port()
    text = f'[[app]]\napp = "shop"\n[processes]\nworkers = 2\n[listening]\nbind = "127.0.0.1:{port}"\n'
    portico = start(APPLICATION, port=port, reads_file=True)
    portico.wait()
    (portico.folder / "portico.toml").write_text(text)
    portico = start(APPLICATION, port=port, reads_file=True)
    portico.wait_ready()
    pids = portico.worker_pids
    with Load(port, new_per_s=rate) as load:
        (portico.folder / "portico.toml").write_text(text + "workers = many\n")
        for times in range(1, 11):
            portico.signal(signal.SIGHUP)
            portico.wait_for(NOT_TAKEN, times=times)
        assert portico.worker_pids == pids
        (portico.folder / "portico.toml").write_text(text)
        reload(portico)
    assert_nothing_lost(load.tally)
    portico.stop()
