"""What bodies and responses may take of memory and of temporary files, seen from outside: /proc/PID/fd."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from apps.bulk import one_block_of
from apps.patient import BLOCK_BYTES
from support.raw_client import Connection, chunked, request_bytes
from support.server import Server
from support.waiting import wait_until

MEBIBYTE = 1 << 20
SOCKETS_BYTES = 12 * MEBIBYTE
"""More than the kernel keeps of one connection in both directions."""


@contextmanager
def server_with(folder: Path, *options: str, threads: int = 1) -> Iterator[Server]:
    """A server whose temporary files are in `folder`."""
    environment = {"TMPDIR": str(folder)}
    with Server(
        "apps.patient:application", threads=threads, options=options, environment=environment
    ) as running:
        # Memory is only compared from here on: the worker has loaded all that it needs.
        with running.connect() as connection:
            assert connection.request("/function").status == 200
        yield running


def temporary_files(server: Server, folder: Path) -> list[int]:
    """The sizes of the unlinked files in `folder` that the workers have open."""
    sizes = []
    for pid in server.worker_pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = os.readlink(entry)
                if target.startswith(f"{folder}/") and target.endswith(" (deleted)"):
                    sizes.append(entry.stat().st_size)
            except FileNotFoundError:
                continue
    return sorted(sizes)


def post(connection: Connection, target: str, body: bytes, *, in_chunks: bool = False) -> None:
    """Send a request in several pieces, so that its body is never whole in the read buffer."""
    header = "Transfer-Encoding: chunked" if in_chunks else f"Content-Length: {len(body)}"
    connection.send(request_bytes(target, "POST", headers=[header]))
    third = len(body) // 3
    pieces = [body[:third], body[third : 2 * third], body[2 * third :]]
    if in_chunks:
        connection.send(chunked(*pieces))
    else:
        for piece in pieces:
            connection.send(piece)


def digest(body: bytes) -> bytes:
    return f"{len(body)} {hashlib.sha1(body, usedforsecurity=False).hexdigest()}".encode()


def statuses(connections: Sequence[Connection]) -> list[int]:
    return [connection.read_response().status for connection in connections]


# -- request bodies


@pytest.fixture(scope="module")
def spooling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("spool")
    with server_with(folder, "--body-memory", "40000") as server:
        yield server, folder


@pytest.mark.parametrize("in_chunks", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(("size", "files"), [(40_000, []), (40_001, [40_001])], ids=["at", "above"])
def test_a_body_goes_to_a_file_only_above_body_memory(
    spooling: tuple[Server, Path], key: str, size: int, files: list[int], in_chunks: bool
) -> None:
    server, folder = spooling
    body = os.urandom(size)
    with server.connect() as connection:
        post(connection, f"/digest-after-gate?key={key}", body, in_chunks=in_chunks)
        server.recorder.wait_for(key, "inside")
        assert temporary_files(server, folder) == files
        server.recorder.open_gate(key)
        assert connection.read_response().body == digest(body)
    assert list(folder.iterdir()) == []
    wait_until(lambda: not temporary_files(server, folder), what="the end of the temporary file")


def test_bodies_go_to_files_at_once_when_max_buffered_is_reached(key: str, tmp_path: Path) -> None:
    options = ["--max-buffered", "4M", "--body-memory", "2M"]
    body = os.urandom(MEBIBYTE)
    with server_with(tmp_path, *options) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(8)]
        for number, client in enumerate(clients):
            post(client, f"/digest-after-gate?key={key}", body)
            if number == 1:
                # Two of them fit beside the read buffers.
                server.recorder.wait_for(key, "inside")
                assert temporary_files(server, tmp_path) == []
        wait_until(lambda: len(temporary_files(server, tmp_path)) >= 4, what="bodies in temporary files")
        server.recorder.open_gate(key)
        assert [client.read_response().body for client in clients] == [digest(body)] * 8
        assert clients[0].request("/function").body == b"function"


def test_unfinished_heads_are_closed_when_max_buffered_is_reached(tmp_path: Path) -> None:
    """64 KiB of head each, and 300 of them: the server keeps what it may, and serves the honest client."""
    unfinished = b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"X-A: " + b"b" * 15_000 + b"\r\n") * 4
    with server_with(tmp_path, "--max-buffered", "3M") as server, ExitStack() as stack:
        before = server.memory_bytes()
        crowd = [stack.enter_context(server.connect()) for _ in range(300)]
        for connection in crowd:
            with suppress(ConnectionError):
                connection.send(unfinished)
        fitting = 3 * MEBIBYTE // len(unfinished)
        wait_until(lambda: sum(map(is_open, crowd)) <= fitting, what="connections to be closed")
        # What malloc keeps comes on top; all of them would take 25 MB.
        assert server.memory_bytes() - before < 14 * MEBIBYTE
        with server.connect() as honest:
            assert honest.request("/function").body == b"function"
        assert server.error_log.text().count("max_buffered") == 1


def is_open(connection: Connection) -> bool:
    """Whether the server has not closed `connection`; it has sent nothing on it."""
    connection.socket.setblocking(False)
    with suppress(ConnectionError):
        try:
            return connection.socket.recv(1) != b""
        except BlockingIOError:
            return True
    return False


# -- temporary files


@pytest.fixture(scope="module")
def little_space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("little")
    options = ["--max-temporary", "1M", "--body-memory", "20K", "--response-memory", "20K"]
    with server_with(folder, *options, threads=2) as server:
        yield server


@pytest.mark.parametrize("in_chunks", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize(("size", "status"), [(MEBIBYTE, 200), (MEBIBYTE + 1, 507)], ids=["at", "above"])
def test_a_body_beyond_max_temporary_is_rejected(
    little_space: Server, key: str, size: int, status: int, in_chunks: bool
) -> None:
    with little_space.connect() as connection:
        post(connection, f"/records-reading?key={key}", bytes(size), in_chunks=in_chunks)
        assert connection.read_response().status == status
    assert little_space.recorder.events(key) == (["called", "complete"] if status == 200 else [])


def test_max_temporary_counts_the_bodies_of_all_requests(little_space: Server, key: str) -> None:
    body = bytes(600_000)
    with little_space.connect() as first, little_space.connect() as second:
        post(first, f"/digest-after-gate?key={key}", body)
        little_space.recorder.wait_for(key, "inside")
        post(second, "/digest", body)
        assert second.read_response().status == 507
        little_space.recorder.open_gate(key)
        assert first.read_response().status == 200
    with little_space.connect() as third:
        wait_until(lambda: posted(little_space, body) == 200, what="the space of the first body")
        # What needs no temporary file was never rejected.
        post(third, "/digest", bytes(1000))
        assert third.read_response().status == 200
    assert little_space.error_log.text().count("temporary file") == 1


def posted(server: Server, body: bytes) -> int:
    with server.connect() as connection:
        post(connection, "/digest", body)
        return connection.read_response().status


def test_an_application_waits_for_its_reader_when_max_temporary_is_reached(
    little_space: Server, key: str
) -> None:
    count = 400
    with little_space.connect(receive_buffer=4096) as reader:
        reader.ask(f"/counted-blocks?count={count}&key={key}")
        assert reader.read_head().status == 200
        given = settled_blocks(little_space, key)
        assert given < count
        assert given * BLOCK_BYTES < MEBIBYTE + SOCKETS_BYTES
        # Meanwhile others have their responses; the application goes on when the reader does.
        with little_space.connect() as other:
            assert other.request("/function").body == b"function"
        reader.discard(count * BLOCK_BYTES)
        assert reader.request("/function").body == b"function"


# -- responses to slow readers


def settled_blocks(server: Server, key: str) -> int:
    """How many blocks the application has given when it stops giving more."""
    last, since = 0, time.monotonic()

    def is_settled() -> bool:
        nonlocal last, since
        now = len(server.recorder.events(key))
        if now != last or not now:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 0.3

    wait_until(is_settled, what="the application to stop")
    return server.recorder.events(key).count("block")


def test_an_application_is_done_with_a_response_that_fits_response_spool(tmp_path: Path, key: str) -> None:
    """With one thread: others are served meanwhile, and memory does not hold the response."""
    count = 640
    options = ["--response-memory", "1M", "--response-spool", "48M"]
    with server_with(tmp_path, *options) as server, server.connect(receive_buffer=4096) as reader:
        before = server.memory_bytes()
        reader.ask(f"/counted-blocks?count={count}&key={key}")
        assert reader.read_head().status == 200
        server.recorder.wait_for(key, "close")
        files = temporary_files(server, tmp_path)
        assert len(files) == 1
        assert count * BLOCK_BYTES - SOCKETS_BYTES < files[0] <= count * BLOCK_BYTES
        assert server.memory_bytes() - before < 8 * MEBIBYTE
        with server.connect() as other:
            assert other.request("/function").body == b"function"
        reader.discard(count * BLOCK_BYTES)
        assert reader.request("/function").body == b"function"
        wait_until(lambda: not temporary_files(server, tmp_path), what="the end of the temporary file")


def test_an_application_waits_when_response_spool_is_full(tmp_path: Path, key: str) -> None:
    count = 800
    options = ["--response-memory", "1M", "--response-spool", "16M"]
    with server_with(tmp_path, *options) as server, server.connect(receive_buffer=4096) as reader:
        reader.ask(f"/counted-blocks?count={count}&key={key}")
        assert reader.read_head().status == 200
        given = settled_blocks(server, key) * BLOCK_BYTES
        assert 16 * MEBIBYTE <= given <= 16 * MEBIBYTE + SOCKETS_BYTES
        reader.discard(count * BLOCK_BYTES)
        assert server.recorder.wait_for(key, "close").count("block") == count


def test_response_memory_alone_needs_no_file(tmp_path: Path, key: str) -> None:
    count = 256
    options = ["--response-memory", "17M", "--response-spool", "17M"]
    with server_with(tmp_path, *options) as server, server.connect(receive_buffer=4096) as reader:
        reader.ask(f"/counted-blocks?count={count}&key={key}")
        assert reader.read_head().status == 200
        server.recorder.wait_for(key, "close")
        assert temporary_files(server, tmp_path) == []
        reader.discard(count * BLOCK_BYTES)


def test_what_is_kept_for_a_reader_that_leaves_is_given_back(tmp_path: Path, key: str) -> None:
    options = ["--response-memory", "64K", "--response-spool", "48M", "--max-temporary", "48M"]
    with server_with(tmp_path, *options) as server:
        for number in range(3):
            with server.connect(receive_buffer=4096) as reader:
                reader.ask(f"/counted-blocks?count=640&key={key}-{number}")
                assert reader.read_head().status == 200
                server.recorder.wait_for(f"{key}-{number}", "close")
                assert len(temporary_files(server, tmp_path)) == 1
                reader.reset()
            wait_until(lambda: not temporary_files(server, tmp_path), what="the end of the temporary file")


# -- complete responses that nobody reads


LARGE_MEBIBYTES = 8
"""Of one block, and more than the kernel takes of it."""
READERS = 12


def ask_for_blocks(server: Server, stack: ExitStack, key: str, count: int) -> list[Connection]:
    """Clients that ask for a large block each and read nothing; the application is done with all of them."""
    readers = [stack.enter_context(server.connect(receive_buffer=1 << 16)) for _ in range(count)]
    for reader in readers:
        reader.ask(f"/one-block?mebibytes={LARGE_MEBIBYTES}&key={key}")
    server.recorder.wait_for(key, "returned", count=count)
    return readers


def assert_served(connection: Connection) -> None:
    """Also what needs memory: a head in two pieces, a body in several."""
    head = request_bytes("/function")
    connection.send(head[:10])
    assert connection.is_silent(0.01)
    connection.send(head[10:])
    assert connection.read_response().body == b"function"
    body = os.urandom(300_000)
    post(connection, "/digest", body)
    assert connection.read_response().body == digest(body)


def test_blocks_that_nobody_reads_count_in_max_buffered(tmp_path: Path, key: str) -> None:
    """One has room in memory, the others wait in files; the one thread is free for others."""
    with server_with(tmp_path, "--max-buffered", "16M") as server, ExitStack() as stack:
        before = server.memory_bytes()
        readers = ask_for_blocks(server, stack, key, READERS)
        wait_until(lambda: len(temporary_files(server, tmp_path)) == READERS - 1, what="responses in files")
        with server.connect() as honest:
            assert_served(honest)
        # Not the one block that has room, but far less than all of them: malloc keeps some for the next.
        assert server.memory_bytes() - before < READERS * LARGE_MEBIBYTES * MEBIBYTE // 2
        for reader in readers:
            assert reader.read_response().body == one_block_of(LARGE_MEBIBYTES)
            assert reader.request("/function").body == b"function"
        wait_until(lambda: not temporary_files(server, tmp_path), what="the end of the temporary files")
        # What was counted is free again.
        [reader] = ask_for_blocks(server, stack, f"{key}-again", 1)
        with server.connect() as honest:
            assert_served(honest)
        # The request's body, which is in a file as well, lives a little longer than its response.
        wait_until(lambda: not temporary_files(server, tmp_path), what="a response in memory")
        assert reader.read_response().body == one_block_of(LARGE_MEBIBYTES)


def test_a_block_beyond_response_spool_holds_its_thread_when_memory_is_full(tmp_path: Path, key: str) -> None:
    options = ["--max-buffered", "16M", "--response-spool", "1M"]
    with server_with(tmp_path, *options) as server, ExitStack() as stack:
        readers = ask_for_blocks(server, stack, key, 2)
        assert temporary_files(server, tmp_path) == []
        other = stack.enter_context(server.connect())
        other.ask("/function")
        assert other.is_silent(0.3)
        # The second one holds the thread; the first is kept in memory.
        assert readers[1].read_response().body == one_block_of(LARGE_MEBIBYTES)
        assert other.read_response().body == b"function"
        assert readers[0].read_response().body == one_block_of(LARGE_MEBIBYTES)
        for reader in readers:
            assert reader.request("/function").body == b"function"


def test_responses_leave_a_quarter_of_max_buffered_to_requests(tmp_path: Path, key: str) -> None:
    """Slow readers of streamed responses take what they may get, to the last kilobyte."""
    options = ["--max-buffered", "4M", "--response-memory", "4M", "--body-memory", "1M"]
    count = 8000
    with server_with(tmp_path, *options) as server, ExitStack() as stack:
        readers = [stack.enter_context(server.connect(receive_buffer=1 << 16)) for _ in range(3)]
        for reader in readers:
            reader.ask(f"/many-blocks?size=1000&count={count}")
            assert reader.read_head().status == 200
        with server.connect() as honest:
            # Behind them, since there is one thread: by now they are given.
            assert_served(honest)
            files = temporary_files(server, tmp_path)
            assert len(files) >= 2
            body = os.urandom(600_000)
            post(honest, f"/digest-after-gate?key={key}", body)
            server.recorder.wait_for(key, "inside")
            assert len(temporary_files(server, tmp_path)) == len(files), "the body did not find its quarter"
            server.recorder.open_gate(key)
            assert honest.read_response().body == digest(body)
        for reader in readers:
            assert b"".join(reader.read_chunks()) == b"x" * (1000 * count)
        assert "max_buffered" not in server.error_log.text()
