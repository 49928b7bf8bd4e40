"""Blocks on their way: at once, within milliseconds, coalesced when they are many and small."""

from __future__ import annotations

import time

import pytest
from support.server import Server
from support.waiting import wait_until

FEW_MS = 0.05
"""The design says 1 ms; the rest is for a loaded machine. Nagle would cost 0.04 s at every block."""


def test_a_block_reaches_the_client_before_the_next_is_asked_for(server: Server, key: str) -> None:
    """The application asks for the next block only after the client has seen this one."""
    with server.connect() as connection:
        connection.ask(f"/gated?key={key}&count=20")
        for number in range(20):
            server.recorder.open_gate(key, number)
            if not number:
                connection.read_head()
            assert connection.read_chunk() == f"block {number}".encode()
        assert connection.read_chunk() == b""


def test_a_block_arrives_within_milliseconds(server: Server, key: str) -> None:
    """The machine may stumble at a block or two; a server that waits does so at each of them."""
    delays = []
    with server.connect() as connection:
        connection.ask(f"/stamped?key={key}&count=20")
        for number in range(20):
            server.recorder.open_gate(key, number)
            if not number:
                connection.read_head()
            yielded = float(connection.read_chunk())
            delays.append(time.monotonic() - yielded)
    delays.sort()
    assert delays[len(delays) // 2] < FEW_MS / 5, delays
    assert delays[-2] < FEW_MS, delays


def test_coalesced_blocks_do_not_wait_for_a_slow_application(server: Server, key: str) -> None:
    """Five blocks in a burst, then the application waits: all five must come while it does."""
    with server.connect() as connection:
        connection.ask(f"/blocks-then-gate?key={key}&count=5")
        connection.read_head()
        start = time.monotonic()
        received = b""
        while received.count(b";") < 5:
            received += connection.read_chunk()
        assert received == b"block 0;block 1;block 2;block 3;block 4;"
        assert time.monotonic() - start < 1
        server.recorder.open_gate(key)
        assert b"".join(connection.read_chunks()) == b"end"


def test_many_small_blocks_all_arrive(server: Server) -> None:
    with server.connect() as connection:
        for _ in range(3):
            response = connection.request("/many-blocks?count=20000&size=10")
            assert response.body == b"x" * 200_000


def test_many_small_blocks_are_coalesced(server: Server) -> None:
    """Far fewer segments leave the server than blocks were yielded."""
    with server.connect() as connection:
        response = connection.request("/many-blocks?count=5000&size=20")
        assert len(response.body) == 100_000
        assert connection.data_segments() < 500


def test_coalescing_keeps_http_1_0_bodies_whole(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/many-blocks?count=3000&size=7", version="HTTP/1.0")
    assert (response.framing, response.body) == ("close", b"x" * 21_000)


def test_a_slow_reader_bounds_what_a_fast_application_produces(server: Server, key: str) -> None:
    """Bytes in flight are bounded: memory does not follow an endless response."""
    before = server.memory_bytes()
    with server.connect(receive_buffer=4096) as connection:
        connection.ask(f"/endless?key={key}")
        connection.read_head()
        server.recorder.wait_for(key, "started")
        connection.discard(1 << 20)
        assert server.memory_bytes() - before < 32 << 20
    server.recorder.wait_for(key, "close")
    wait_until(lambda: server.memory_bytes() - before < 16 << 20, what="memory to be given back")


@pytest.mark.parametrize("path", ["/generated", "/many-blocks?count=1"])
def test_a_body_without_a_length_leaves_with_its_head_where_it_is_ready(server: Server, path: str) -> None:
    """The watchdog sends what waits every millisecond: on a busy machine a few bodies leave in two parts."""
    count = 200
    with server.connect() as connection:
        for _ in range(count):
            assert connection.request(path).framing == "chunked"
        assert connection.data_segments() < count * 1.5
