"""kill -9 of a worker under load: only what was in flight in it is lost, and a new one is there at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from support.raw_client import ProtocolError
from support.server import Server
from support.waiting import wait_until

CLIENTS = 6
RESPAWN_S = 1.0


@dataclass
class ClientLoad:
    """Clients that send request after request, each response on a connection of its own."""

    responses: int = 0
    lost: int = 0
    unconnected: int = 0
    longest_gap_s: float = 0.0


@pytest.fixture
def two_workers() -> Iterator[Server]:
    with Server(threads=4, workers=2) as running:
        yield running


def run_clients(server: Server, done: threading.Event, load: ClientLoad, lock: threading.Lock) -> None:
    last = time.monotonic()
    while not done.is_set():
        responses = lost = unconnected = 0
        try:
            with server.connect() as connection:
                try:
                    connection.request("/function", headers=["Connection: close"])
                    responses = 1
                except (ProtocolError, OSError):
                    lost = 1
        except OSError:
            unconnected = 1
        now = time.monotonic()
        with lock:
            load.responses += responses
            load.lost += lost
            load.unconnected += unconnected
            load.longest_gap_s = max(load.longest_gap_s, now - last)
        last = now


def test_only_what_was_in_flight_is_lost(two_workers: Server) -> None:
    server = two_workers
    load, lock, done = ClientLoad(), threading.Lock(), threading.Event()
    clients = [threading.Thread(target=run_clients, args=(server, done, load, lock)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    try:
        for _ in range(3):
            before = load.responses
            wait_until(lambda least=before + 100: load.responses > least, what="load")
            workers = server.worker_pids
            killed_at = time.monotonic()
            os.kill(workers[0], signal.SIGKILL)
            wait_until(
                lambda old=workers: len(server.worker_pids) == 2 and old[0] not in server.worker_pids,
                what="a new worker",
            )
            assert time.monotonic() - killed_at < RESPAWN_S
            before = load.responses
            wait_until(lambda least=before + 100: load.responses > least, what="load afterwards")
    finally:
        done.set()
        for client in clients:
            client.join()
    assert load.unconnected == 0, load
    assert load.lost <= 3 * CLIENTS, load
    assert load.longest_gap_s < 2, load


def test_the_only_worker_is_replaced_within_a_second(key: str) -> None:
    with Server(threads=2) as server, server.connect() as in_flight:
        in_flight.ask(f"/waits?key={key}")
        server.recorder.wait_for(key, "inside")
        (old,) = server.worker_pids
        start = time.monotonic()
        os.kill(old, signal.SIGKILL)
        with pytest.raises((ProtocolError, ConnectionError)):
            in_flight.read_response()
        with server.connect() as connection:
            assert connection.request("/function").body == b"function"
        assert time.monotonic() - start < RESPAWN_S
        assert server.worker_pids != [old]
        server.error_log.wait_for(str(old))
        server.access_log.wait_for(r"/function")
