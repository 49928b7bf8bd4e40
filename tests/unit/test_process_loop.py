"""portico.process.loop: a process that was stopped notices it, wherever it was."""

from __future__ import annotations

import os
import time

from portico.process.loop import NEVER_S, Loop


def nothing(now_s: float) -> None:
    pass


def test_a_round_that_takes_no_time_is_no_stop() -> None:
    loop = Loop()
    for _ in range(3):
        loop.wait([time.monotonic()], first=nothing)
        assert not loop.is_resumed


def test_a_long_time_after_a_wait_is_a_stop() -> None:
    loop = Loop()
    loop.wait([time.monotonic()], first=lambda now_s: time.sleep(1.1))
    assert loop.is_resumed, "it was held up by what has happened"
    loop.wait([time.monotonic()], first=nothing)
    assert not loop.is_resumed


def test_a_long_time_between_two_waits_is_a_stop() -> None:
    loop = Loop()
    read_fd, write_fd = os.pipe()
    loop.watch(read_fd, nothing)
    os.write(write_fd, b"!")
    loop.wait([NEVER_S], first=nothing)
    assert not loop.is_resumed
    time.sleep(1.1)
    loop.wait([NEVER_S], first=nothing)
    assert loop.is_resumed
    os.close(read_fd)
    os.close(write_fd)
