"""Porticos and HAProxies, ended after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from process.conftest import Portico
from process.conftest import start as start
from support.waiting import wait_until

from .haproxies import HAProxy

NewHAProxy = Callable[..., HAProxy]

APPLICATION = """
import time

def application(environ, start_response):
    query = environ["QUERY_STRING"]
    if query.startswith("seconds="):
        with open("calls", "a") as calls:
            calls.write(query + "\\n")
        time.sleep(float(query.partition("=")[2]))
    body = query.encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture
def haproxy(tmp_path: Path) -> Iterator[NewHAProxy]:
    """Make an HAProxy with servers of its configuration; it is started, unless it is told not to."""
    made: list[HAProxy] = []

    def make(*servers: str, starts: bool = True, **others: Any) -> HAProxy:
        folder = tmp_path / f"haproxy-{len(made)}"
        folder.mkdir()
        made.append(HAProxy(folder, *servers, **others))
        if starts:
            made[-1].start()
        return made[-1]

    yield make
    for each in made:
        each.stop()


CHECKED = "check inter 200 rise 1 fall 2 weight 100"


def joining(proxy: HAProxy, server: str = "auto", options: str = CHECKED) -> list[str]:
    """The options by which a portico joins `proxy`."""
    return [
        *("--cluster-haproxy", f"unix:{proxy.path}", "--cluster-backend", "shop", "--cluster-server", server),
        *("--cluster-options", options),
    ]


def wait_for_calls(portico: Portico, count: int) -> None:
    """Wait until the application was called so often for `seconds=`."""
    path = portico.folder / "calls"
    wait_until(lambda: path.exists() and len(path.read_text().splitlines()) == count, what=f"{count} calls")


def cluster_lines(portico: Portico) -> list[str]:
    """What the error log says of the cluster, without time and process."""
    return [line.partition("] cluster: ")[2] for line in portico.log().splitlines() if "cluster: " in line]
