"""An hour of rotations, one after the other under load: each request has one line, in one of the files."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.counted_load import counted_load
from support.waiting import wait_until

from .conftest import Portico, Start

SHOP = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
MINUTES = 60
CLIENTS = 8


def rotate(portico: Portico, times: int) -> None:
    """Move the file away and have it opened anew, once all workers write to the new one."""
    path = portico.folder / "access.log"
    path.rename(portico.folder / f"access.log.{times}")
    portico.signal(signal.SIGUSR1)
    wait_until(lambda: portico.log().count("opened anew") == times, what="the files that are opened anew")
    # Requests go on, so there are lines soon.
    wait_until(lambda: path.exists() and path.stat().st_size > 0, what="lines in the new file")


def targets(folder: Path) -> Iterator[str]:
    """What was asked, of each line of all files."""
    for path in folder.glob("access.log*"):
        for line in path.read_bytes().splitlines(keepends=True):
            assert line.endswith(b"\n"), (path, line)
            record = json.loads(line)
            yield f"{record['url.path']}?{record['url.query']}"


@pytest.mark.parametrize("kills", [False, True], ids=["rotations", "rotations and deaths"])
def test_an_hour_of_rotations_loses_no_line(start: Start, kills: bool) -> None:
    portico = start(SHOP, "-w", "2", "--access-log", "access.log", "--access-log-format", "json")
    portico.wait_ready()
    with counted_load(portico.port, "/", clients=CLIENTS) as load:
        wait_until((portico.folder / "access.log").exists, what="the first lines")
        for minute in range(1, MINUTES + 1):
            rotate(portico, minute)
            if kills and minute % 10 == 0:
                dead = portico.worker_pids[0]
                os.kill(dead, signal.SIGKILL)
                wait_until(
                    lambda dead=dead: dead not in portico.worker_pids and len(portico.worker_pids) == 2,
                    what="a successor",
                )
    portico.stop()
    logged = Counter(targets(portico.folder))
    asked = {target for target, _ in load.responses}
    assert kills or not load.lost
    assert {target for target in asked if logged[target] != 1} == set()
    # Of a killed worker: a request in flight has a line that says so, and one that it had not taken has none.
    assert set(logged) - asked <= set(load.lost)
    assert max(logged.values()) == 1
    assert len(asked) > MINUTES
