"""Bodies that come slowly, clients that read slowly, a thousand each, and responses that never have to wait:
everybody else is served meanwhile.

How fast is measured by `bench/beside.py`.
"""

from __future__ import annotations

import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.waiting import wait_until

from .conftest import Portico, Start, read_body
from .test_gevent import status_of

APPLICATION = """
import time
def application(environ, start_response):
    path, _, argument = environ["PATH_INFO"][1:].partition("/")
    count = 0
    if path == "upload":
        while data := environ["wsgi.input"].read(65536):
            count += len(data)
    if path == "computes":
        open("computing", "w").close()
        end = time.monotonic() + float(argument)
        while time.monotonic() < end:
            pass
    body = b"d" * 1_000_000 if path == "download" else str(count).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
# A response that is made for seconds and is never waited with, unless somebody has had enough of it.
ENDLESS = """
import time
enough = []
def blocks():
    for _ in range(4000):
        end = time.monotonic() + 0.001
        while time.monotonic() < end:
            pass
        if enough:
            break
        yield b"." * 100
    else:
        yield b"nobody has said so"
    yield b"enough"
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/enough":
        enough.append(True)
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/written":
        for block in blocks():
            write(block)
    return blocks() if path == "/iterated" else [] if path == "/written" else [b"fine"]
"""
# A response that a slow reader leaves to a file.
LEFT = """
def blocks():
    for _ in range(8):
        yield b"d" * 1_000_000
    open("made", "w").close()
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "8000000")])
    return blocks()
"""
STREAMED = ("--body-memory", "0", "--body-spool", "0", "--response-memory", "64k", "--response-spool", "64k")
# Of each sort. Where calls wait in the application, there are as many of them.
KEPT, IN_CALLS = 1000, 400


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def reader(portico: Portico, path: str) -> socket.socket:
    """A client that has asked for much, and whose kernel takes little of it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", portico.port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".encode())
    return connection


def read_all(connection: socket.socket) -> int:
    """Read a response to its end; returns the bytes of its body."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1_000_000)
    return len(read_body(connection))


@pytest.mark.parametrize(
    ("way", "options", "count"),
    [
        ("threads", ("--threads", "4"), KEPT),
        ("gevent", (), KEPT),
        ("asyncio", (), KEPT),
        ("threads", ("--threads", str(2 * IN_CALLS + 4), *STREAMED), IN_CALLS),
        ("gevent", STREAMED, IN_CALLS),
    ],
    ids=["threads", "gevent", "asyncio", "threads in calls", "greenlets in calls"],
)
@pytest.mark.usefixtures("many_descriptors")
def test_others_are_served_beside_slow_bodies_and_slow_readers(
    start: Start, way: str, options: tuple[str, ...], count: int
) -> None:
    bounds = (
        "--max-connections",
        "5000",
        "--max-in-flight",
        "5000",
        "--health-path",
        "/up",
        "--timeout",
        "0",
    )
    portico = start(APPLICATION, "-w", "1", "--worker", way, *options, *bounds)
    portico.wait_ready()
    with ExitStack() as stack:
        readers = [stack.enter_context(reader(portico, "/download")) for _ in range(count)]
        uploads = [stack.enter_context(portico.connect()) for _ in range(count)]
        for upload in uploads:
            upload.sendall(
                b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\nConnection: close\r\n\r\n"
            )
            upload.sendall(b"x" * 1000)
        for _ in range(20):
            assert portico.get() == "0"
            with portico.ask("/up") as connection:
                assert status_of(connection) == 200
        for upload in uploads:
            upload.sendall(b"x" * 1000)
        assert [read_body(upload) for upload in uploads] == ["2000"] * count
        assert portico.get() == "0"
        assert {read_all(connection) for connection in readers} == {1_000_000}
    portico.stop()


@pytest.mark.parametrize("way", ["threads", "gevent", "asyncio", "tornado"])
def test_a_health_check_is_responded_to_beside_a_call_that_computes(start: Start, way: str) -> None:
    calls = ("--threads", "1") if way == "threads" else ()
    portico = start(APPLICATION, "-w", "1", "--worker", way, *calls, "--health-path", "/up")
    portico.wait_ready()
    with portico.ask("/computes/2") as computing:
        wait_until((portico.folder / "computing").exists, what="the call")
        for _ in range(20):
            with portico.ask("/up") as connection:
                assert status_of(connection) == 200
        computing.setblocking(False)
        with pytest.raises(BlockingIOError):
            computing.recv(1)
        computing.settimeout(20)
        assert read_body(computing) == "0"
    portico.stop()


@pytest.mark.parametrize("way", ["threads", "gevent", "asyncio", "tornado"])
def test_what_a_slow_reader_leaves_is_written_to_its_file_by_no_thread_that_others_wait_for(
    start: Start, way: str
) -> None:
    portico = start(LEFT, "-w", "1", "--worker", way)
    portico.wait_ready()
    [worker] = portico.worker_pids
    with reader(portico, "/") as connection:
        wait_until((portico.folder / "made").exists, what="the end of the response")
        written = written_bytes(worker)
        assert written.pop("portico-files", 0) > 4_000_000
        assert sum(written.values()) < 1_000_000, written
        assert read_all(connection) == 8_000_000
    portico.stop()


def written_bytes(process: int) -> dict[str, int]:
    """How much each thread of a process has written to files, added up by their names (proc_pid_io(5))."""
    written: dict[str, int] = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        counters = dict(line.split(": ") for line in (task / "io").read_text().splitlines())
        name = (task / "comm").read_text().strip()
        written[name] = written.get(name, 0) + int(counters["wchar"])
    return written


@pytest.mark.parametrize("path", ["/iterated", "/written"])
@pytest.mark.parametrize("way", ["threads", "gevent", "asyncio", "tornado"])
def test_others_are_served_beside_a_response_that_never_waits_for_its_client(
    start: Start, way: str, path: str
) -> None:
    portico = start(ENDLESS, "-w", "1", "--worker", way)
    portico.wait_ready()
    with portico.ask(path) as connection:
        assert connection.recv(10)
        assert portico.get("/enough") == "fine"
        body = read_body(connection)
        assert "enough" in body
        assert "nobody" not in body
    portico.stop()
