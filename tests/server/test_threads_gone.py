"""No further crew thread can be started: those there are serve everybody, one warning, and nothing hangs."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.processes import thread_count
from support.raw_client import Connection
from support.server import Server
from support.waiting import wait_until
from support.ways import not_for

pytestmark = not_for("gevent", "asyncio", "tornado", reason="it is of the threads that calls have otherwise")

CLIENTS = 12
ENDLESS_STACK = 1 << 60
"""More than there are addresses."""
SPACE_BYTES = 1 << 20
"""Less than the stack of a thread, and enough for a few requests."""
WARNING = "cannot start crew thread"


@pytest.fixture(scope="module")
def alone() -> Iterator[Server]:
    """A worker whose crew never grows beyond its first thread: a further one would need an endless stack."""
    with Server(threads=8, environment={"RUST_MIN_STACK": str(ENDLESS_STACK)}) as running:
        yield running


def bodies(crowd: list[Connection]) -> list[bytes]:
    return [connection.read_response().body for connection in crowd]


def test_slow_calls_are_served_one_after_the_other(alone: Server) -> None:
    """The route becomes known as slow: from then on the lead is to go to another thread before the call."""
    [worker] = alone.worker_pids
    with ExitStack() as stack:
        crowd = [stack.enter_context(alone.connect()) for _ in range(CLIENTS)]
        for _ in range(3):
            for connection in crowd:
                connection.ask("/counts-inside")
            assert bodies(crowd) == [b"1"] * CLIENTS
    before = thread_count(worker)
    with alone.connect() as connection:
        assert connection.request("/counts-inside").body == b"1"
    assert thread_count(worker) == before
    assert alone.worker_pids == [worker]


def test_everybody_is_served_after_a_call_that_blocks(alone: Server, key: str) -> None:
    """Meanwhile what needs no thread goes on: bodies arrive, responses leave."""
    with ExitStack() as stack:
        busy, reader, writer, *crowd = [stack.enter_context(alone.connect()) for _ in range(CLIENTS)]
        reader.ask("/one-block?mebibytes=8")
        assert reader.read_head().status == 200
        busy.ask(f"/waits?key={key}")
        alone.recorder.wait_for(key, "inside")
        for connection in crowd:
            connection.ask("/function")
        writer.send(b"POST /counts HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n" + bytes(500_000))
        reader.discard(8 << 20)
        assert crowd[0].is_silent(0.05)
        alone.recorder.open_gate(key)
        assert busy.read_response().body == b"waited"
        assert writer.read_response().body == b"500000"
        assert bodies(crowd) == [b"function"] * len(crowd)


def test_it_is_logged_once(alone: Server) -> None:
    with alone.connect() as connection:
        for _ in range(20):
            assert connection.request("/counts-inside").body == b"1"
    assert alone.error_log.text().count(WARNING) == 1


def test_threads_are_started_once_they_can_be(key: str) -> None:
    """Addresses run out, and come back."""
    with Server(threads=4) as server, ExitStack() as stack:
        crowd = [stack.enter_context(server.connect()) for _ in range(4)]
        for connection in crowd:
            assert connection.request("/function").body == b"function"
        [worker] = server.worker_pids
        _, hard = resource.prlimit(worker, resource.RLIMIT_AS)
        resource.prlimit(worker, resource.RLIMIT_AS, (size_bytes(worker) + SPACE_BYTES, hard))

        def is_short_of_threads() -> bool:
            for connection in crowd:
                connection.ask("/counts-inside")
            # One after the other, unless a call before took so long that there is a second thread.
            assert set(bodies(crowd)) <= {b"1", b"2"}
            return WARNING in server.error_log.text()

        # With a second one a third is missing only if both are busy for long enough.
        wait_until(is_short_of_threads, what="the warning")
        assert server.error_log.text().count(WARNING) == 1
        resource.prlimit(worker, resource.RLIMIT_AS, (resource.RLIM_INFINITY, hard))
        for connection in crowd:
            connection.ask(f"/meets?count=4&key={key}")
        assert bodies(crowd) == [b"met"] * 4
        assert server.worker_pids == [worker]


def size_bytes(pid: int) -> int:
    """The addresses that `pid` uses."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()
