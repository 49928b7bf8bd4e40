"""Nobody ends a response: a thread of the application's own is inside write() while the application returns.

PEP 3333 does not allow it, but threads are not always where one thinks they are. The client has to see that
its response is not complete, the thread that it writes in vain, and nobody else has to see anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.raw_client import Closed, Connection
from support.server import Server

WRITTEN_BYTES = 8 << 20
"""More than the kernel takes while nobody reads."""
DECLARED_BYTES = WRITTEN_BYTES + 1
OPTIONS = ["--response-memory", "64K", "--response-spool", "64K"]
"""The thread waits in write(), since little is kept for a slow reader."""
FRAMINGS = {
    "chunked": ("HTTP/1.1", ""),
    "length": ("HTTP/1.1", str(DECLARED_BYTES)),
    "close": ("HTTP/1.0", ""),
}


@pytest.fixture(scope="module", params=[1, 8], ids=["1-thread", "8-threads"])
def waiting(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(threads=request.param, options=OPTIONS) as running:
        yield running


@pytest.fixture(params=[1, 256], ids=["one block", "many blocks"])
def count(request: pytest.FixtureRequest) -> int:
    """In how many blocks the thread writes."""
    return int(request.param)


def begin_write_in_thread(
    server: Server, reader: Connection, key: str, count: int, version: str = "HTTP/1.1", length: str = ""
) -> None:
    """Let a thread of the application be inside write(), and the application about to return."""
    target = f"/writes-in-a-thread?key={key}&count={count}&size={WRITTEN_BYTES // count}&length={length}"
    reader.send(f"GET {target} {version}\r\nHost: a\r\n\r\n".encode())
    assert reader.read_head().status == 200
    assert server.recorder.events(key) == []


@pytest.mark.parametrize(("version", "length"), FRAMINGS.values(), ids=FRAMINGS)
def test_the_client_sees_that_its_response_is_not_complete(
    waiting: Server, key: str, count: int, version: str, length: str
) -> None:
    [worker] = waiting.worker_pids
    with waiting.connect(receive_buffer=65536) as reader:
        begin_write_in_thread(waiting, reader, key, count, version, length)
        waiting.recorder.open_gate(key)
        # Although nobody reads.
        assert waiting.recorder.wait_for(key, "RuntimeError") == ["returns", "RuntimeError"]
        if version == "HTTP/1.0":
            # Where the close is the end of a body only a reset tells that it is not (RFC 9112 8).
            with pytest.raises(ConnectionResetError):
                reader.read_to_end()
        else:
            with pytest.raises((Closed, ConnectionResetError)):
                read_body(reader, length)
    with waiting.connect() as other:
        assert other.request("/function").body == b"function"
    assert waiting.worker_pids == [worker]


def read_body(reader: Connection, length: str) -> None:
    """Read to the end of the body."""
    if length:
        reader.discard(int(length))
    else:
        for _ in reader.read_chunks():
            pass


def test_the_thread_hears_of_a_client_that_leaves(waiting: Server, key: str, count: int) -> None:
    [worker] = waiting.worker_pids
    with waiting.connect(receive_buffer=65536) as reader:
        begin_write_in_thread(waiting, reader, key, count)
        reader.reset()
    waiting.recorder.wait_for(key, "ConnectionError")
    waiting.recorder.open_gate(key)
    assert waiting.recorder.wait_for(key, "returns") == ["ConnectionError", "returns"]
    with waiting.connect() as other:
        assert other.request("/function").body == b"function"
    assert waiting.worker_pids == [worker]
