"""`wsgi.file_wrapper` sends what reading its file would give; a plain file is sent by the kernel."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from apps.files_out import CONTENT, MEMORY, PLAIN, READ
from support.gateway_server import LISTENERS, running_gateway_server
from support.server import WORKER, Server
from support.waiting import wait_until

FIRST_LINE = len(b"0 squared is 0\n")
UPPER = ("own-file", "own-reader", "reader-of-own-file", "encrypted", "own-memory")
MADE_UP = {
    "proc": ["/proc/version", "/proc/cpuinfo", "/proc/filesystems"],
    "sys": ["/sys/kernel/mm/transparent_hugepage/enabled", "/sys/kernel/profiling", "/sys/power/state"],
}


@pytest.fixture(scope="module", params=[1, 4], ids=["1-thread", "4-threads"])
def files(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server("apps.files_out:application", threads=request.param) as running:
        yield running


def expected(kind: str) -> bytes:
    """What reading the file gives."""
    if kind.startswith(("peeked", "middle")):
        return CONTENT[FIRST_LINE:]
    if kind.startswith("end"):
        return b""
    if kind == "unflushed":
        return b"0" * (len(CONTENT) - 500)
    is_upper = kind in UPPER or kind.startswith("own-read")
    return CONTENT.upper() if is_upper else CONTENT


@pytest.mark.parametrize("kind", PLAIN)
def test_a_plain_file_is_sent_by_the_kernel_from_its_position_on(files: Server, key: str, kind: str) -> None:
    with files.connect() as connection:
        response = connection.request(f"/{kind}?key={key}")
        assert (response.framing, response.get("Content-Length")) == ("length", str(len(expected(kind))))
        assert response.body == expected(kind)
    assert files.recorder.wait_for(key, "close") == ["sent", "close"]


# A thread of it writes into a pipe, which is a wait that the hub knows nothing of.
WITHOUT_PIPE = [kind for kind in READ if WORKER == "threads" or kind != "pipe"]


@pytest.mark.parametrize("kind", WITHOUT_PIPE)
def test_any_other_file_is_read(files: Server, kind: str) -> None:
    with files.connect() as connection:
        for _ in range(2):
            response = connection.request(f"/{kind}")
            assert (response.status, response.body) == (200, expected(kind))


@pytest.mark.parametrize("kind", MEMORY)
def test_a_file_in_memory_has_a_length(files: Server, key: str, kind: str) -> None:
    body = expected(kind)
    with files.connect() as connection:
        response = connection.request(f"/{kind}?key={key}")
        assert (response.framing, response.get("Content-Length")) == ("length", str(len(body)))
        assert response.body == body
        assert connection.request(f"/{kind}?key={key}&length=12").body == body[:12] if body else True
    with files.connect() as connection:
        head = connection.request(f"/{kind}?key={key}", method="HEAD")
        assert (head.get("Content-Length"), head.body) == (str(len(body)) if body else None, b"")
    events = files.recorder.wait_for(key, "close", count=3 if body else 2)
    assert events.count("close") == (3 if body else 2)


@pytest.mark.parametrize("name", ["uwsgi", "scgi", "fastcgi"])
@pytest.mark.parametrize("kind", ["plain", "peeked-reader", "gzip", "own-read", "middle-of-memory"])
def test_files_to_reverse_proxies(name: str, kind: str) -> None:
    with running_gateway_server(
        listeners={name: LISTENERS[name]}, application="apps.files_out:application", is_strict=False
    ) as server:
        assert server.ask(name, f"/{kind}").body == expected(kind)


@pytest.mark.parametrize("names", MADE_UP.values(), ids=MADE_UP)
def test_files_that_the_kernel_makes_up_are_read(files: Server, key: str, names: list[str]) -> None:
    """Their size is none, or a page."""
    present = [name for name in names if os.access(name, os.R_OK)]
    if not present:
        pytest.skip(f"none of {names} is here")
    for name in present:
        with files.connect() as connection:
            response = connection.request(f"/by-name?key={key}&name={name}")
        assert response.body == Path(name).read_bytes(), name


def test_an_empty_file_has_an_empty_body(files: Server, key: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with files.connect() as connection:
        response = connection.request(f"/by-name?key={key}&name={tmp_path / 'empty'}")
        assert (response.get("Content-Length"), response.body) == ("0", b"")
    assert files.recorder.wait_for(key, "close").count("close") == 1


def test_a_file_that_shrinks_while_it_is_sent_ends_the_response(
    files: Server, tmp_path: Path, key: str
) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * (32 << 20))
    with files.connect(receive_buffer=4096) as connection:
        connection.ask(f"/by-name?key={key}&name={large}")
        assert connection.read_head().get("Content-Length") == str(32 << 20)
        files.recorder.wait_for(key, "close")
        os.truncate(large, 1000)
        assert len(connection.read_to_end()) < 32 << 20
    with files.connect() as connection:
        assert connection.request("/plain").body == CONTENT


def test_a_file_that_grows_while_it_is_sent_is_sent_as_it_was(
    files: Server, tmp_path: Path, key: str
) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * (16 << 20))
    with files.connect(receive_buffer=4096) as connection:
        connection.ask(f"/by-name?key={key}&name={large}")
        assert connection.read_head().get("Content-Length") == str(16 << 20)
        with large.open("ab") as file:
            file.write(b"y" * 1000)
        connection.discard(16 << 20)
        assert connection.request("/plain").body == CONTENT


def test_a_wrapper_seeks_and_reads_in_blocks() -> None:
    with Server("apps.files_out:uses_wrapper") as server, server.connect() as connection:
        found = connection.request("/").body.decode()
    last = CONTENT[-9:]
    end = len(CONTENT) - 9
    blocks = [[last[at : at + 1] for at in range(9)], *([[last[:7], last[7:]]] * 3)]
    seeks = [(True, 5, 5, end, each) for each in blocks]
    wrong = [(f"blksize: expected a number of bytes from 1 on, got {size}",) for size in (0, -1)]
    assert found == repr([*seeks, (False, 8192), *wrong])


def read_bytes(server: Server) -> int:
    """Bytes that the worker has read from files, or had the kernel read."""
    (worker,) = server.worker_pids
    found = re.search(r"^rchar: (\d+)", Path(f"/proc/{worker}/io").read_text(), re.MULTILINE)
    assert found
    return int(found[1])


def test_a_range_of_a_large_file_reads_little_of_it(tmp_path: Path) -> None:
    size = 60 << 20
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(size - 10)
        file.seek(0, 2)
        file.write(b"0123456789")
    environment = {"LARGE_FILE": str(large)}
    application = "apps.files_out:flask_application()"
    with Server(application, environment=environment) as server, server.connect() as connection:
        assert connection.request("/file", headers=["Range: bytes=0-0"]).body == b"\0"
        before = read_bytes(server)
        for header, body in [("-10", b"0123456789"), (f"{size - 5}-", b"56789"), ("100-103", bytes(4))]:
            response = connection.request("/file", headers=[f"Range: bytes={header}"])
            assert (response.status, response.body) == (206, body)
        assert read_bytes(server) - before < 1 << 20
        connection.ask("/file")
        assert connection.read_head().get("Content-Length") == str(size)
        connection.discard(size)
        assert connection.request("/compressed").body == CONTENT


def test_files_leave_no_descriptors_behind(files: Server) -> None:
    kinds = [*PLAIN, "gzip", "own-read-named", "memory"]
    with files.connect() as connection:
        for kind in kinds:
            connection.request(f"/{kind}")
        before = files.descriptor_count()
        for _ in range(10):
            for kind in kinds:
                connection.request(f"/{kind}")
        wait_until(lambda: files.descriptor_count() <= before + 3, what="descriptors to be closed")
