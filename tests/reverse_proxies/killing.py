"""The end of a worker by kill -9, to its very end."""

from __future__ import annotations

import os
import select
import signal
import time

from support.waiting import DEADLINE_S


def kill_worker(pid: int) -> tuple[float, float]:
    """Kill `pid`; return when it was about to end, and when its last thread and its sockets had gone."""
    descriptor = os.pidfd_open(pid)
    try:
        began_s = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        ready, _, _ = select.select([descriptor], [], [], DEADLINE_S)
        assert ready, f"{pid} did not end"
        return began_s, time.monotonic()
    finally:
        os.close(descriptor)
