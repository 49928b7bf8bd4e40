"""What a start takes, and what a server that nobody asks costs."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from support.waiting import wait_until

from ..conftest import Portico, Start
from .conftest import APPLICATION, Serve

FIRST_RESPONSE_S = 0.15
WATCHED_S = 10.0


def test_the_first_response_comes_soon_after_the_command(start: Start, tmp_path: Path) -> None:
    """The best of five: whatever else the machine does makes it longer, and nothing makes it shorter."""
    # The first one compiles what is not compiled yet.
    environment = {"PYTHONPYCACHEPREFIX": str(tmp_path / "compiled"), "PYTHONDONTWRITEBYTECODE": ""}
    took_s = []
    for _ in range(5):
        began_s = time.monotonic()
        portico = start(APPLICATION, "-w", "1", environment=environment)
        wait_until(lambda portico=portico: has_response(portico), what="a response")  # type: ignore[misc]
        took_s.append(time.monotonic() - began_s)
        portico.stop()
    assert min(took_s) < FIRST_RESPONSE_S, took_s


def has_response(portico: Portico) -> bool:
    try:
        return portico.get("/?1") == "1"
    except ConnectionRefusedError:
        return False


def switches(pid: int) -> int:
    """How often any thread of `pid` has waited and been woken."""
    count = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        match = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", (thread / "status").read_text(), re.MULTILINE)
        assert match
        count += int(match[1])
    return count


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="plain"),
        pytest.param(("--workers-min", "2", "--workers-max", "6"), id="scaled"),
        pytest.param(("--touch-reload", "touched"), id="touch-reload"),
        pytest.param(("--max-rss", "1G"), id="max-rss"),
        pytest.param(("--max-requests", "1000"), id="max-requests"),
    ],
)
def test_nobody_wakes_more_than_once_a_second(serve: Serve, options: tuple[str, ...]) -> None:
    portico = serve("-w", "4", *options)
    assert [portico.get(f"/?{number}") for number in range(20)] == [str(number) for number in range(20)]
    pids = [portico.process.pid, *portico.worker_pids]
    assert len(pids) == 5
    # What the requests have begun comes to an end.
    time.sleep(2)
    before = [switches(pid) for pid in pids]
    time.sleep(WATCHED_S)
    woken = [switches(pid) - count for pid, count in zip(pids, before, strict=True)]
    assert max(woken) < WATCHED_S, woken
    portico.stop()
