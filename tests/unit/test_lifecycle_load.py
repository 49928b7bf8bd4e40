"""The load that counts every request tells how each has ended, whatever a server does with it."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from support.server import free_port

from lifecycle.load import Load, Tally, Tenth

Serve = Callable[[socket.socket, int], None]
"""What is done with a connection, and how manyth it is."""


def number_of(connection: socket.socket) -> bytes:
    """Read one request, and return its number; empty at the end."""
    received = b""
    while b"\r\n\r\n" not in received:
        data = connection.recv(4096)
        if not data:
            return b""
        received += data
    return received.partition(b"?")[2].partition(b" ")[0]


def response(body: bytes, status: bytes = b"200 OK", fields: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\nX-Worker: 7\r\n%s\r\n%s" % (status, len(body), fields, body)


def right(connection: socket.socket, _: int) -> None:
    while number := number_of(connection):
        connection.sendall(response(number))


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    """A server that does so with each connection, one thread for each."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            count = 0
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=run, args=(connection, count), daemon=True).start()
                count += 1

        def run(connection: socket.socket, count: int) -> None:
            with connection:
                try:
                    serve(connection, count)
                except ConnectionError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)


def loaded(port: int, *, new_per_s: float = 100, kept: int = 0, patience_s: float = 1) -> Tally:
    with Load(port, new_per_s=new_per_s, kept=kept, kept_per_s=50 * kept, patience_s=patience_s) as load:
        time.sleep(0.3)
    assert sum(load.tally.counts.values()) == load.tally.sent > 0
    assert len(load.tally.failures) == load.tally.sent - load.tally.right
    return load.tally


def outcomes(tally: Tally) -> set[str]:
    return {outcome for outcome, count in tally.counts.items() if count}


def test_all_are_right() -> None:
    with serving(right) as port:
        tally = loaded(port, kept=4)
    assert outcomes(tally) == {"right"}
    assert (tally.lost, tally.stale, tally.never_accepted, tally.held_back) == (0, 0, 0, 0)
    assert tally.sent > 40


def test_nobody_listens() -> None:
    tally = loaded(free_port())
    assert outcomes(tally) == {"refused"}
    assert (tally.lost, tally.never_accepted) == (0, tally.sent)
    assert not any(failure.was_accepted for failure in tally.failures)


def test_a_queue_that_is_full() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        tally = loaded(listening.getsockname()[1], patience_s=0.5)
    # One is in the queue and never taken out of it.
    assert outcomes(tally) == {"unconnected", "silent"}
    assert tally.lost == tally.counts["silent"] <= 2


def silent(connection: socket.socket, _: int) -> None:
    number_of(connection)
    time.sleep(2)


def closed(connection: socket.socket, _: int) -> None:
    number_of(connection)


def reset(connection: socket.socket, _: int) -> None:
    number_of(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


WRONG: dict[str, Serve] = {
    "status": lambda connection, _: connection.sendall(response(number_of(connection), b"503 No")),
    "body": lambda connection, _: connection.sendall(response(number_of(connection) + b"0")),
    "cut": lambda connection, _: connection.sendall(response(number_of(connection))[:-1]),
    "closed": closed,
    "reset": reset,
    "silent": silent,
}


@pytest.mark.parametrize("outcome", WRONG)
def test_what_is_lost(outcome: str) -> None:
    with serving(WRONG[outcome]) as port:
        tally = loaded(port, patience_s=0.5)
    assert outcomes(tally) == {outcome}
    assert tally.lost == tally.sent
    assert all(failure.was_accepted for failure in tally.failures)


def test_a_kept_connection_that_is_closed_when_it_is_used_is_stale() -> None:
    def serve(connection: socket.socket, _: int) -> None:
        connection.sendall(response(number_of(connection)))
        number_of(connection)

    with serving(serve) as port:
        tally = loaded(port, new_per_s=0, kept=4)
    assert outcomes(tally) == {"right", "stale"}
    assert tally.stale == tally.lost > 3
    assert all(failure.is_kept and failure.worker == 7 for failure in tally.failures)


@pytest.mark.parametrize("fields", [b"", b"Connection: close\r\n"], ids=["idle", "announced"])
def test_a_kept_connection_that_is_closed_while_idle_or_with_notice_costs_nothing(fields: bytes) -> None:
    def serve(connection: socket.socket, _: int) -> None:
        connection.sendall(response(number_of(connection), fields=fields))

    with serving(serve) as port:
        tally = loaded(port, new_per_s=0, kept=4)
    assert outcomes(tally) == {"right"}
    assert (tally.announced if fields else tally.closed_idle) > 3


def test_a_stall_is_seen() -> None:
    def serve(connection: socket.socket, count: int) -> None:
        number = number_of(connection)
        if count == 10:
            time.sleep(0.4)
        connection.sendall(response(number))

    with serving(serve) as port:
        tally = loaded(port)
    assert outcomes(tally) == {"right"}
    assert 0.3 < tally.stall_s < 1


def test_what_the_load_itself_was_late_with_is_no_stall() -> None:
    tenths = [Tenth(10, 0.01, 0.0), Tenth(10, 0.25, 0.0), Tenth(10, 0.2, 0.24), Tenth(10, 0.01, 0.0)]
    tally = Tally(40, {"right": 40}, [], tenths, 0, 0, 0, 100.0, 100.4)
    assert tally.longest_s == 0.25
    assert tally.stall_s == pytest.approx(0.01)
    assert tally.stall_within_s(100.3, 100.4) == 0.01
