"""X-Request-Start reaches the queue time: what a request has waited for at the door of a busy portico counts.

One portico with the listeners of all pairings, and all reverse proxies before it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from support.raw_client import Connection
from support.server import Server
from support.waiting import wait_until

from reverse_proxies.addresses import Addresses
from reverse_proxies.deployment import APPLICATIONS, NAME, PairedServer, temporary_folder
from reverse_proxies.pairings import PAIRINGS
from reverse_proxies.proxy import program, reverse_proxy

QUEUE_S = 1.0


@contextmanager
def stopped_workers(server: Server) -> Iterator[None]:
    """Nobody accepts connections in this block; the kernel does."""
    workers = server.worker_pids
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)


def test_the_time_at_the_door_counts(certificate: Path) -> None:
    for pairing in PAIRINGS:
        program(pairing.program)
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        places = {pairing: Addresses(folder / pairing.name, certificate) for pairing in PAIRINGS}
        for addresses in places.values():
            addresses.folder.mkdir()
        binds = {addresses.bind(pairing): addresses.portico(pairing) for pairing, addresses in places.items()}
        options = ["--queue-timeout", f"{QUEUE_S}s"]
        server = stack.enter_context(PairedServer(APPLICATIONS["flask"], binds, folder, options))
        clients = {}
        for pairing, addresses in places.items():
            stack.enter_context(reverse_proxy(pairing, addresses))
            clients[pairing] = stack.enter_context(Connection(("127.0.0.1", addresses.port)))
        with stopped_workers(server):
            for client in clients.values():
                client.send(f"GET /number/1 HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n".encode())
            late_s = time.monotonic() + QUEUE_S * 1.3
            wait_until(lambda: time.monotonic() > late_s, what="more time than the queue allows")
        found = {pairing.name: client.read_response().status for pairing, client in clients.items()}
        assert found == {pairing.name: 503 if pairing.tells_start else 200 for pairing in clients}
