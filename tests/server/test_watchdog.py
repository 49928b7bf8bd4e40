"""The watchdog costs little where nothing is slow, and is awake where something is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from support import processes
from support.server import Server
from support.waiting import wait_until

pytestmark = pytest.mark.alone


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(threads=2) as running:
        yield running


def _wake_ups(server: Server) -> int:
    [worker] = server.worker_pids
    return processes.wake_ups(worker, "portico-watch")


def _fewest_wake_ups(server: Server, at_most: float, requests: Callable[[], None]) -> None:
    """Wait until there are so few while `requests` are made: a busy machine makes any call a slow one."""

    def are_few() -> bool:
        before, began = _wake_ups(server), time.monotonic()
        requests()
        return (_wake_ups(server) - before) / (time.monotonic() - began) <= at_most

    wait_until(are_few, what=f"at most {at_most} wake-ups a second")


def test_at_a_trickle_it_sleeps(server: Server) -> None:
    """It wakes when a call begins, and to see that it has ended."""
    with server.connect() as connection:

        def trickle() -> None:
            began = time.monotonic()
            for number in range(1, 31):
                connection.request("/function")
                time.sleep(max(0.0, began + number / 60 - time.monotonic()))

        _fewest_wake_ups(server, 180, trickle)


def test_under_load_it_wakes_some_hundred_times_a_second(server: Server) -> None:
    with server.connect() as connection:

        def load() -> None:
            for _ in range(2_000):
                connection.request("/function")

        _fewest_wake_ups(server, 350, load)
