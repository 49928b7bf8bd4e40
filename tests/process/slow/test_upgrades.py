"""Twenty upgrades in place, and those that cannot be, lose no request."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from support.lifecycle import assert_nothing_lost

from lifecycle.load import Load

from .conftest import Serve, break_application, mend_application

UPGRADED = "upgraded from portico"
NOT_MADE = "the upgrade was not made, all stays as it is:"


def test_twenty_upgrades(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    with Load(portico.port, new_per_s=rate, kept=64, kept_per_s=200) as load:
        for count in range(1, 21):
            portico.signal(signal.SIGUSR2)
            portico.wait_for("is ready after", times=2 * count)
    assert_nothing_lost(load.tally)
    assert portico.log().count(UPGRADED) == 20
    portico.stop()


def test_upgrades_to_a_broken_application(serve: Serve, rate: int) -> None:
    portico = serve("-w", "2")
    pids = portico.worker_pids
    with Load(portico.port, new_per_s=rate) as load:
        break_application(portico.folder)
        for times in range(1, 6):
            portico.signal(signal.SIGUSR2)
            portico.wait_for(NOT_MADE, times=times)
        assert portico.worker_pids == pids
        mend_application(portico.folder)
        portico.signal(signal.SIGUSR2)
        portico.wait_for("is ready after", times=2)
    assert_nothing_lost(load.tally)
    portico.stop()


def test_upgrades_to_a_broken_program(serve: Serve, tmp_path: Path, rate: int) -> None:
    program = tmp_path / "current"
    program.symlink_to(sys.prefix)
    portico = serve("-w", "2", program=(str(program / "bin/python"), "-m", "portico"))
    pids = portico.worker_pids
    with Load(portico.port, new_per_s=rate) as load:
        program.unlink()
        program.symlink_to(tmp_path / "nowhere")
        for times in range(1, 6):
            portico.signal(signal.SIGUSR2)
            portico.wait_for(NOT_MADE, times=times)
        assert portico.worker_pids == pids
    assert_nothing_lost(load.tally)
    portico.stop()
