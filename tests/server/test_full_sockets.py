"""Coalesced blocks meet a full socket: they leave when the client reads, whatever the application does.

The watchdog sends what was coalesced, and what it cannot send waits for the client beside the application,
which may end the response meanwhile: two sides, one socket.
"""

from __future__ import annotations

import pytest
from apps.filling import LAST_BLOCK, numbered
from support.raw_client import Connection
from support.server import Server

SMALL_BLOCKS = 3
"""12 KiB together: what is coalesced leaves without the watchdog only from 16 KiB on."""
ROOMS = range(0, 24 << 10, 2 << 10)
"""Bytes that the socket has left for them: some of these are too few, some enough."""
TRIALS = 40


def ask_to_fill(connection: Connection, key: str, room: int, *, pause: str = "") -> None:
    connection.ask(f"/fills-socket?key={key}&room={room}&count={SMALL_BLOCKS}&pause={pause}")


def wait_filled(server: Server, key: str) -> tuple[str, int]:
    """Wait until the application waits: how full the socket is, and how many bytes were written."""
    how_full, wrote, *_ = server.recorder.wait_for(key, "waiting")
    return how_full, int(wrote.removeprefix("wrote "))


def read_chunked(connection: Connection, size: int) -> bytes:
    """`size` bytes of a chunked body, which ends where a chunk ends."""
    body = b""
    while len(body) < size:
        body += connection.read_chunk()
    return body


def read_last_chunks(connection: Connection) -> bytes:
    """The rest of the response, and after it a response that is whole, too."""
    body = b"".join(connection.read_chunks())
    assert connection.read_exactly(2) == b"\r\n"
    assert connection.request("/function").body == b"function"
    return body


def test_coalesced_blocks_leave_a_full_socket_while_the_application_waits(server: Server, key: str) -> None:
    """Its gate opens only after all that it wrote has arrived; then a large last block follows."""
    seen = set()
    for room in ROOMS:
        with server.connect(receive_buffer=4096) as reader:
            ask_to_fill(reader, f"{key}-{room}", room)
            how_full, written = wait_filled(server, f"{key}-{room}")
            seen.add(how_full)
            assert reader.read_head().status == 200
            assert read_chunked(reader, written) == numbered(written)
            server.recorder.open_gate(f"{key}-{room}")
            assert read_last_chunks(reader) == numbered(written + LAST_BLOCK)[written:]
    # Else the rooms are not chosen well any more.
    assert seen >= {"became full", "has room"}


@pytest.mark.parametrize("read_before", [0.0, 0.5, 0.9], ids=["nothing", "half", "most"])
def test_a_last_block_follows_coalesced_blocks_that_still_wait(
    server: Server, key: str, read_before: float
) -> None:
    """The application ends the response before the client has read what it wrote."""
    for room in ROOMS:
        with server.connect(receive_buffer=4096) as reader:
            ask_to_fill(reader, f"{key}-{room}", room)
            _, written = wait_filled(server, f"{key}-{room}")
            body = b""
            if read_before:
                assert reader.read_head().status == 200
                body = read_chunked(reader, round(written * read_before))
            server.recorder.open_gate(f"{key}-{room}")
            if not read_before:
                server.recorder.wait_for(f"{key}-{room}", "ends")
                assert reader.read_head().status == 200
            body += read_last_chunks(reader)
            assert body == numbered(written + LAST_BLOCK)


def test_only_one_side_writes_when_the_response_ends_at_the_watchdogs_tick(server: Server, key: str) -> None:
    """Each trial ends a little later after the coalesced blocks, so that some find the watchdog at work."""
    whole = numbered(1 << 20)
    with server.connect(receive_buffer=4096) as reader:
        for trial in range(TRIALS):
            ask_to_fill(reader, f"{key}-{trial}", trial * 300, pause=str(trial * 25))
            server.recorder.wait_for(f"{key}-{trial}", "ends")
            response = reader.read_response()
            assert len(response.body) > LAST_BLOCK
            assert response.body == whole[: len(response.body)]
