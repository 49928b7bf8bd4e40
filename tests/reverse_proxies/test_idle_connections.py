"""docs/run/load-balancers.md: a reverse proxy that keeps connections longer than portico loses what cannot be
sent twice, and each of the two settings that avoid it does.

A network in between takes time to say that a connection has ended. Here that time is one in which nginx
stands still: the request waits in its socket, as it would be on its way.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import processes
from support.raw_client import Connection
from support.server import Server
from support.waiting import wait_until

from reverse_proxies.addresses import Addresses
from reverse_proxies.deployment import APPLICATIONS, NAME, PairedServer, temporary_folder
from reverse_proxies.pairings import TCP, Pairing
from reverse_proxies.proxy import program, reverse_proxy

PAGE = (Path(__file__).parents[2] / "docs" / "run" / "load-balancers.md").read_text("utf-8")
(SHOWN,) = re.findall(r"^```nginx\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FIX = "    keepalive_timeout 10s;               # shorter than portico's keep_alive\n"
_CLOSE_WAIT = "08"
_STILL_S = 1.5


@dataclass(frozen=True, slots=True)
class PagePairing(Pairing):
    """nginx as the page has it, or with other times."""

    shown: str = SHOWN

    @property
    def configuration(self) -> str:
        return self.shown


def test_the_page_marks_the_line_that_matters() -> None:
    assert FIX in SHOWN


@contextmanager
def running(certificate: Path, *, shown: str, keep_alive: str) -> Iterator[tuple[Connection, int, int]]:
    """portico and nginx; gives a connection to nginx, portico's port and nginx's process for requests."""
    pairing = PagePairing("nginx-idle", TCP, shown=shown)
    program(pairing.program)
    with temporary_folder() as folder:
        addresses = Addresses(folder, certificate)
        binds = {addresses.bind(pairing): addresses.portico(pairing)}
        options = ("--keep-alive", keep_alive)
        proxy = reverse_proxy(pairing, addresses)
        with PairedServer(APPLICATIONS["flask"], binds, folder, options), proxy:
            # nginx listens before it forks.
            (worker,) = wait_until(lambda: processes.children(proxy.pid), what="nginx's worker")
            with Connection(("127.0.0.1", addresses.port)) as connection:
                yield connection, addresses.portico_port, worker


def closed_by_portico(port: int) -> int:
    """How many connections portico has ended whose other end is still open."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(f":{port:04X}") and row[3] == _CLOSE_WAIT for row in rows)


def ask(connection: Connection, method: str) -> None:
    """A request of which portico's response is known."""
    length = "Content-Length: 0\r\n" if method == "POST" else ""
    connection.send(f"{method} /seen/it HTTP/1.1\r\nHost: {NAME}\r\n{length}\r\n".encode())


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(("method", "status"), [("POST", 502), ("GET", 200)])
def test_a_request_meets_a_connection_that_portico_has_closed(
    certificate: Path, method: str, status: int
) -> None:
    without = SHOWN.replace(FIX, "")
    with running(certificate, shown=without, keep_alive="1s") as (connection, port, worker):
        ask(connection, "POST")
        assert connection.read_response().status == 200
        with standing_still(worker):
            ask(connection, method)
            wait_until(lambda: closed_by_portico(port), what="portico to close")
        assert connection.read_response().status == status


@pytest.mark.parametrize(
    ("shown", "keep_alive"),
    [
        pytest.param(SHOWN.replace(FIX, ""), "75s", id="portico keeps longer"),
        # As 10 s and 15 s, in a third of the time.
        pytest.param(SHOWN.replace(FIX, FIX.replace("10s", "3s")), "5s", id="nginx lets go sooner"),
    ],
)
def test_a_request_meets_none_with_either_setting(certificate: Path, shown: str, keep_alive: str) -> None:
    with running(certificate, shown=shown, keep_alive=keep_alive) as (connection, port, worker):
        ask(connection, "POST")
        assert connection.read_response().status == 200
        with standing_still(worker):
            ask(connection, "POST")
            # Longer than the test above has waited.
            time.sleep(_STILL_S)
            assert not closed_by_portico(port)
        assert connection.read_response().status == 200


CLIENTS = {
    "google cloud": "198.51.100.9, 192.0.2.7, 203.0.113.9",
    "application gateway": "198.51.100.9, 192.0.2.7:51234",
    "alb": "198.51.100.9, 192.0.2.7",
}


@pytest.fixture(scope="module")
def behind_load_balancers() -> Iterator[Server]:
    assert '"203.0.113.9"]' in PAGE
    allowed = ["--forwarded-allow-ips", "127.0.0.1", "--forwarded-allow-ips", "203.0.113.9"]
    with Server("apps.mirror", options=allowed) as server:
        yield server


@pytest.mark.parametrize("balancer", CLIENTS)
def test_the_client_is_found_in_what_load_balancers_write(
    behind_load_balancers: Server, balancer: str
) -> None:
    path = f"/{balancer.replace(' ', '-')}"
    with behind_load_balancers.connect() as connection:
        connection.request(path, headers=[f"X-Forwarded-For: {CLIENTS[balancer]}"])
    behind_load_balancers.access_log.wait_for(rf'^192\.0\.2\.7 - - .*"GET {path} ')
