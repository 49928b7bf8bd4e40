"""Hosts that say in each response who they are, and who of them has responded to a load."""

from __future__ import annotations

from support.counted_load import CountedLoad
from support.waiting import wait_until

HELLO = """
import os

def application(environ, start_response):
    body = os.environ["HOST_NAME"].encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def names(load: CountedLoad) -> set[str]:
    """Who has responded."""
    return {body for _, body in load.responses}


def wait_for_requests(load: CountedLoad, name: str, count: int = 20) -> None:
    """Wait until `name` has responded to so many more."""

    def responded() -> int:
        return sum(body == name for _, body in load.responses)

    before = responded()
    wait_until(lambda: responded() >= before + count, what=f"requests to come to {name}")
