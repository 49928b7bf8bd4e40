"""A program that serves: a page shows the state of work that it does meanwhile, until that is done.

Run it with `python embedded.py`, and open the address that it prints. Nothing but portico is needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import portico

STEPS = 20
done = 0
is_over = threading.Event()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Show how far the work is; `POST /stop` ends it."""
    if (environ["REQUEST_METHOD"], environ["PATH_INFO"]) == ("POST", "/stop"):
        is_over.set()
    text = f"{done} of {STEPS} steps are done\n"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Refresh", "1")])
    return [text.encode()]


def work(pause_s: float = 1.0) -> None:
    """Do one step after the other, here by waiting, until all are done or somebody wants no more."""
    global done
    while done < STEPS and not is_over.wait(pause_s):
        done += 1


if __name__ == "__main__":
    with portico.running(application, threads=2) as server:
        print(f"{server.url} shows how far it is", flush=True)
        work()
