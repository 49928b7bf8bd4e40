"""The application of `lifecycle`, served, and judgements on a load that counted every request."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lifecycle import application
from lifecycle.load import Failure, Tally
from support.processes import is_alive, thread_count
from support.waiting import wait_until

APPLICATION = Path(application.__file__).read_text()
STALL_S = 0.1
"""No request may take longer because of anything that an operator does."""
RESPAWN_S = 1.0
KILL_S = 0.05
"""How long the connections of a killed process may take to end."""
RATES = {"200": 200, "thousands": 4000}
"""New connections a second."""


def assert_nothing_lost(tally: Tally, *, most_stalled_s: float = STALL_S) -> None:
    """Every request was answered rightly, and none waited."""
    assert tally.failures == [], tally.summary()
    assert tally.right == tally.sent > 0, tally.summary()
    assert tally.held_back == 0, tally.summary()
    assert tally.stall_s < most_stalled_s, tally.summary()


class Deaths:
    """Workers that end suddenly, by their pids, each with the moments before and after its end."""

    def __init__(self) -> None:
        self.windows: list[tuple[int, float, float]] = []

    def kill(self, pid: int) -> None:
        before_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        self.note(pid, before_s)

    def note(self, pid: int, before_s: float) -> None:
        """One that ends, and did not before `before_s`. Until its end it may be sent requests."""
        wait_until(lambda: _has_ended(pid), what=f"the end of {pid}")
        self.windows.append((pid, before_s, time.monotonic()))

    def explain(self, failure: Failure) -> bool:
        """Whether the request was under way in a worker at its end: it ended with it.

        A connection that has brought a response before belongs to the worker that it came from; a new one may
        have been any worker's.
        """
        return any(
            failure.worker in (0, pid)
            and failure.was_under_way(before_s, after_s)
            and failure.ended_s <= after_s + KILL_S
            for pid, before_s, after_s in self.windows
        )


def _has_ended(pid: int) -> bool:
    """Whether all its threads have ended, and with the last of them its connections."""
    try:
        return not is_alive(pid) and thread_count(pid) == 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def assert_lost_with_workers_only(tally: Tally, deaths: Deaths, *, most_stalled_s: float = STALL_S) -> None:
    """Nothing is missing but what was in flight in a worker at its end, and nobody else waited."""
    unexplained = [failure for failure in tally.failures if not deaths.explain(failure)]
    assert unexplained == [], tally.summary()
    assert tally.never_accepted == 0, tally.summary()
    assert tally.held_back == 0, tally.summary()
    assert tally.stall_s < most_stalled_s, tally.summary()


def wait_for_others(worker_pids: Callable[[], Sequence[int]], gone: int, count: int) -> None:
    """Wait until `count` workers are there, and `gone` is not one of them."""
    wait_until(
        lambda: gone not in worker_pids() and len(worker_pids()) == count,
        what=f"the successor of {gone}",
        deadline_s=RESPAWN_S,
    )


def load_for(seconds: float) -> None:
    """Let a load go on: the time itself is what is wanted."""
    time.sleep(seconds)
