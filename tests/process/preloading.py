"""What the tests of preload share: a portico whose templates and workers are told apart."""

from __future__ import annotations

from pathlib import Path

from support.processes import children
from support.waiting import wait_until

from .conftest import Portico

SHOP = """
import os
LOADED_BY = os.getpid()
SERVED = 0
def application(environ, start_response):
    global SERVED
    SERVED += 1
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{LOADED_BY} {os.getpid()} {os.getppid()} {SERVED}".encode()]
"""


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
    except OSError:
        return ""


def templates(portico: Portico) -> list[int]:
    """The process ids of the templates, the oldest first."""
    return [pid for pid in children(portico.process.pid) if title(pid).startswith("portico: template")]


def workers(portico: Portico) -> list[int]:
    return [pid for pid in children(portico.process.pid) if title(pid).startswith("portico: worker")]


def wait_for_workers(portico: Portico, count: int, *, besides: list[int] | None = None) -> list[int]:
    """Wait until there are `count` workers, and one template; none of them is among `besides`."""
    others = set(besides or ())

    def are_there() -> bool:
        pids = workers(portico)
        return len(pids) == count and len(templates(portico)) == 1 and not others & {*pids}

    wait_until(are_there, what=f"{count} workers and a template")
    return workers(portico)
