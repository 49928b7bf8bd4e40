"""The watchdog costs little where nothing is slow, and is awake where something is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from support import processes
from support.server import Server
from support.waiting import wait_until
from support.ways import not_for

pytestmark = [
    pytest.mark.alone,
    not_for("gevent", "asyncio", "tornado", reason="there is none"),
]


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


@pytest.fixture
def paced_server() -> Iterator[Server]:
    with Server("apps.paced:application", threads=2) as running:
        yield running


def test_where_nearly_every_look_finds_a_call_it_wakes_no_more_often(paced_server: Server) -> None:
    """A look that finds the leader in a call is followed up once, and not for as long as there are calls."""
    with paced_server.connect() as connection:

        def load() -> None:
            for _ in range(1_000):
                connection.request("/compute/800")

        _fewest_wake_ups(paced_server, 350, load)


def test_a_slow_call_now_and_then_does_not_make_it_wake_more_often(paced_server: Server) -> None:
    """One call of 20 ms in more than a second costs others less than a look in each millisecond does."""
    numbers = count()
    with paced_server.connect() as connection:

        def load() -> None:
            # Not on a route of which it is known that it is slow.
            connection.request(f"/{next(numbers)}/wait/20000")
            began = time.monotonic()
            while time.monotonic() - began < 1.5:
                connection.request("/compute/100")

        _fewest_wake_ups(paced_server, 350, load)


def test_slow_calls_that_are_frequent_keep_it_awake(paced_server: Server) -> None:
    numbers = count()
    with paced_server.connect() as connection:

        def are_many() -> bool:
            before, began = _wake_ups(paced_server), time.monotonic()
            connection.request(f"/{next(numbers)}/wait/20000")
            for _ in range(1_000):
                connection.request("/compute/100")
            return (_wake_ups(paced_server) - before) / (time.monotonic() - began) >= 600

        wait_until(are_many, what="at least 600 wake-ups a second")


def test_under_load_it_wakes_some_hundred_times_a_second(server: Server) -> None:
    with server.connect() as connection:

        def load() -> None:
            for _ in range(2_000):
                connection.request("/function")

        _fewest_wake_ups(server, 350, load)
