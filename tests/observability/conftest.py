"""The shop of examples/slow_shop.py under a load that shows each of its faults."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from process.conftest import Portico, Start
from process.conftest import start as start
from support.counted_load import counted_load
from support.server import free_port

SHOP = Path(__file__).resolve().parents[2] / "examples" / "slow_shop.py"
SLOW_ROUTES = ("/prices", "/stock", "/basket", "/picture")


@pytest.fixture
def shop(start: Start) -> Portico:
    """The shop, with everything on that tells of it; its access log is `access.json`."""
    portico = start(
        SHOP.read_text(),
        *("--threads", "8", "--workers", "1", "--slow-after", "60ms", "--response-spool", "1M"),
        *("--pid-file", "pid", "--admin-bind", f"127.0.0.1:{free_port()}"),
        *("--access-log", "access.json", "--access-log-format", "json"),
    )
    portico.wait_ready()
    return portico


@pytest.fixture
def admin(shop: Portico) -> int:
    """The port at which the shop has its dashboard and its metrics."""
    found = re.search(r"metrics are at /metrics on http://127\.0\.0\.1:(\d+)", wait_for_metrics(shop))
    assert found
    return int(found[1])


def wait_for_metrics(shop: Portico) -> str:
    shop.wait_for("metrics are at")
    return shop.log()


@contextmanager
def busy(portico: Portico) -> Iterator[None]:
    """Have clients ask for each of the slow pages: one at a time, but for the basket; the picture slowly."""
    with ExitStack() as loads:
        for route, clients in (("/prices", 1), ("/stock", 2), ("/basket", 3)):
            loads.enter_context(counted_load(portico.port, route, clients=clients))
        yield


def read_slowly(portico: Portico) -> int:
    """Take the picture as a client with a slow line does; return how many bytes it has."""
    with socket.create_connection(("127.0.0.1", portico.port), timeout=60) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.sendall(b"GET /picture HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
        count = 0
        while data := connection.recv(1 << 20):
            count += len(data)
            if count < 4 << 20:
                # What makes the line slow; nothing is waited for.
                time.sleep(0.01)
    return count


@contextmanager
def reading_slowly(portico: Portico) -> Iterator[None]:
    """Have a client take the picture again and again."""
    has_ended = threading.Event()

    def read() -> None:
        while not has_ended.is_set():
            read_slowly(portico)

    client = threading.Thread(target=read)
    client.start()
    try:
        yield
    finally:
        has_ended.set()
        client.join()
