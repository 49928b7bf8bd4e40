"""Calls that are ended at any moment, for a minute in each way to execute: memory stays where it was, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import Start
from ..throwing import Throwing, assert_as_before, begin_throwing, state_of

SECONDS = 15
ROUNDS = 4
# What the allocators keep, which comes and goes.
GROWTH_BYTES = 6 * 1024 * 1024


@pytest.mark.parametrize("way", ["threads", "gevent", "asyncio", "tornado"])
def test_a_minute_of_it_leaves_nothing_behind(start: Start, tmp_path: Path, way: str) -> None:
    portico = begin_throwing(start, tmp_path, way)
    [pid] = portico.worker_pids
    before = state_of(portico)
    resident = []
    # Where calls follow each other a client waits for all others, of which some last until their deadline.
    clients = 80 if way in ("threads", "gevent") else 10
    for number in range(ROUNDS):
        Throwing(portico.port, way, seed=number).run(SECONDS, clients=clients)
        assert_as_before(portico, way, before)
        resident.append(state_of(portico)["resident"])
    assert portico.worker_pids == [pid], portico.log()
    assert "panicked" not in portico.log()
    assert min(resident[ROUNDS // 2 :]) < min(resident[: ROUNDS // 2]) + GROWTH_BYTES, resident
    portico.stop()
