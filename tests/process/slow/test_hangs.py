"""A call that never comes back costs its worker, and no other request."""

from __future__ import annotations

import pytest
from support.lifecycle import load_for
from support.waiting import wait_until

from lifecycle.load import Load

from .conftest import Serve

TIMEOUT_S = 1.0
# After it: the look at the calls, the time for the siblings' calls, and the end.
OVER_S = 8.0


@pytest.mark.parametrize("how", ["sleep", "deadlock"])
def test_a_call_that_hangs(serve: Serve, rate: int, how: str) -> None:
    portico = serve("-w", "2", "--timeout", f"{TIMEOUT_S:g}s")
    with Load(portico.port, new_per_s=rate, kept=32, kept_per_s=200) as load:
        for times in range(1, 4):
            before = set(portico.worker_pids)
            with portico.ask(f"/{how}"):
                portico.wait_for(f"GET /{how} has been in the application for", times=times)
                wait_until(lambda before=before: before - set(portico.worker_pids), what="the end of it")  # type: ignore[misc]
            wait_until(lambda: len(portico.worker_pids) == 2, what="two workers")
            load_for(1)
    assert load.tally.failures == [], load.tally.summary()
    assert load.tally.stall_s < 0.1, load.tally.summary()
    portico.stop()


def test_a_call_that_hangs_in_c_with_the_interpreter(serve: Serve, rate: int) -> None:
    """What that worker had accepted is lost with it, for none of its threads can call; nothing else is."""
    portico = serve("-w", "2", "--timeout", f"{TIMEOUT_S:g}s")
    with Load(portico.port, new_per_s=rate, kept=32, kept_per_s=200) as load:
        for times in range(1, 3):
            before = set(portico.worker_pids)
            with portico.ask("/hold"):
                portico.wait_for("replacing the worker", times=times)
                wait_until(lambda before=before: before - set(portico.worker_pids), what="the end of it")  # type: ignore[misc]
            wait_until(lambda: len(portico.worker_pids) == 2, what="two workers")
            load_for(1)
    print(load.tally.summary())
    assert load.tally.stale == 0
    portico.stop()
