"""Whatever is thrown into a call at whatever moment, nothing of it is left behind; each way to execute."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest

from .conftest import Start, read_body
from .throwing import GREENLETS, Throwing, assert_as_before, begin_throwing, state_of

ways = pytest.mark.parametrize("way", ["threads", "gevent", "asyncio", "tornado"])


@ways
def test_nothing_is_left_of_calls_that_were_ended_at_any_moment(
    start: Start, tmp_path: Path, way: str
) -> None:
    portico = begin_throwing(start, tmp_path, way)
    [pid] = portico.worker_pids
    before = state_of(portico)
    throwing = Throwing(portico.port, way, seed=1)
    throwing.run(4, clients=40)
    assert_as_before(portico, way, before)
    assert portico.worker_pids == [pid], portico.log()
    assert "panicked" not in portico.log()
    assert "the call has kept its client waiting" in portico.log()
    portico.get("/fine")
    # All places are there, and each can be had.
    together = {"threads": 16, "gevent": GREENLETS}.get(way, 1)
    with ExitStack() as stack:
        calls = [stack.enter_context(portico.ask(f"/together/{together}")) for _ in range(together)]
        assert [read_body(call) for call in calls] == ["together"] * together
    portico.stop()
