"""Wait for a condition with a deadline: the only way a test may wait for another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE_S = 10.0
"""Long enough for a loaded machine; a test that passes never waits this long."""

_FIRST_PAUSE_S = 0.001
_LONGEST_PAUSE_S = 0.02


def wait_until(condition: Callable[[], T], *, what: str, deadline_s: float = DEADLINE_S) -> T:
    """Call `condition` until its value is true, and return that value.

    Raises AssertionError naming `what` when `deadline_s` seconds have gone by first.
    """
    end = time.monotonic() + deadline_s
    pause = _FIRST_PAUSE_S
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline_s} s in vain for {what}; last value: {value!r}")
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)
