"""The watchdog costs little where nothing is slow, and is awake where something is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from support import processes
from support.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(threads=2) as running:
        yield running


def _wake_ups(server: Server) -> int:
    [worker] = server.worker_pids
    return processes.wake_ups(worker, "portico-watch")


def test_at_a_trickle_it_sleeps(server: Server) -> None:
    """It wakes when a call begins, and to see that it has ended; more often where one has been slow."""
    with server.connect() as connection:
        connection.request("/function")
        before, began = _wake_ups(server), time.monotonic()
        for number in range(1, 61):
            connection.request("/function")
            time.sleep(max(0.0, began + number / 60 - time.monotonic()))
        assert _wake_ups(server) - before <= 5 * 60


def test_under_load_it_wakes_some_hundred_times_a_second(server: Server) -> None:
    with server.connect() as connection:
        before, began = _wake_ups(server), time.monotonic()
        for _ in range(10_000):
            connection.request("/function")
        assert _wake_ups(server) - before <= 350 * (time.monotonic() - began) + 10
