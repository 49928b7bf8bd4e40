"""`threads` is an upper limit: all of them are used when calls are slow, and never one more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from support.server import Server
from support.ways import beside_each_other, calls_at_a_time


@pytest.fixture(scope="module")
def eight_threads() -> Iterator[Server]:
    with Server(threads=8) as running:
        yield running


@beside_each_other
def test_eight_calls_are_inside_at_the_same_time(eight_threads: Server, key: str) -> None:
    """None of the eight goes on before all are inside; twice, first with threads that do not exist yet."""
    for meeting in range(2):
        with ExitStack() as stack:
            connections = [stack.enter_context(eight_threads.connect()) for _ in range(8)]
            for connection in connections:
                connection.ask(f"/meets?key={key}{meeting}&count=8")
            assert [connection.read_response().body for connection in connections] == [b"met"] * 8


@beside_each_other
def test_fast_calls_go_on_beside_seven_slow_ones(eight_threads: Server, key: str) -> None:
    server = eight_threads
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(7)]
        for connection in slow:
            connection.ask(f"/waits?key={key}")
        server.recorder.wait_for(key, "inside", count=7)
        with server.connect() as fast:
            for _ in range(200):
                assert fast.request("/function").body == b"function"
        server.recorder.open_gate(key)
        assert [connection.read_response().body for connection in slow] == [b"waited"] * 7


def test_requests_beyond_the_threads_wait_their_turn(eight_threads: Server, key: str) -> None:
    server = eight_threads
    with ExitStack() as stack:
        slow = [stack.enter_context(server.connect()) for _ in range(12)]
        for connection in slow:
            connection.ask(f"/waits?key={key}")
        most = calls_at_a_time(8)
        server.recorder.wait_for(key, "inside", count=most)
        assert all(connection.is_silent(0.01) for connection in slow)
        assert server.recorder.events(key).count("inside") == most
        server.recorder.open_gate(key)
        assert [connection.read_response().body for connection in slow] == [b"waited"] * 12


@pytest.mark.parametrize("threads", [1, 3])
def test_never_more_calls_inside_than_threads(threads: int) -> None:
    with Server(threads=threads) as server:

        def client(_: int) -> int:
            with server.connect() as connection:
                return max(int(connection.request("/counts-inside").body) for _ in range(25))

        with ThreadPoolExecutor(12) as pool:
            most = max(pool.map(client, range(12)))
    assert most == calls_at_a_time(threads)


def test_one_thread_is_one_python_thread() -> None:
    """With 1 thread every call is made by the same thread, whatever came before."""
    with Server(threads=1) as server, ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(_calling_thread, [server] * 64))) == 1


def _calling_thread(server: Server) -> bytes:
    with server.connect() as connection:
        return connection.request("/calling-thread").body
