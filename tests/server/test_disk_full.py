"""No space for logs, request bodies or responses: requests are served, or rejected with 507, and it is
told."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from apps.patient import BLOCK_BYTES
from support.raw_client import Connection, request_bytes
from support.server import Server
from support.waiting import wait_until

SPACE_BYTES = 256 << 10
OPTIONS = ["--body-memory", "20K", "--response-memory", "20K"]


def test_requests_are_served_when_the_access_log_cannot_be_written(key: str) -> None:
    options = ["--access-log", "/dev/full"]
    with Server(options=options) as server, server.connect() as connection:
        for _ in range(50):
            assert connection.request(f"/function?key={key}").body == b"function"
        server.error_log.wait_for("cannot write the access log")
        for _ in range(50):
            assert connection.request("/function").body == b"function"
        connection.send(b"GET / HTTP/1.1\r\n\r\n")
        assert connection.read_response().status == 400
    assert server.final_log.count("cannot write the access log") == 1


# -- temporary files


@contextmanager
def spooling_in(folder: Path) -> Iterator[Server]:
    """A server with its temporary files in `folder`, once it serves."""
    environment = {"TMPDIR": str(folder)}
    with Server("apps.patient:application", options=OPTIONS, environment=environment) as running:
        with running.connect() as connection:
            assert connection.request("/function").status == 200
        yield running


@contextmanager
def small_file_system(folder: Path) -> Iterator[Server]:
    """A server whose temporary files are on a file system of 256 KiB."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SPACE_BYTES}", "portico-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("NOT TESTED: a full disk, since only root can mount a small file system")
    try:
        with spooling_in(folder) as running:
            yield running
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def small_files(folder: Path) -> Iterator[Server]:
    """A server that may write files of 256 KiB at most (its logs stay below that)."""
    with spooling_in(folder) as running:
        [worker] = running.worker_pids
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (SPACE_BYTES, SPACE_BYTES))
        yield running


@pytest.fixture(params=[small_file_system, small_files], ids=["full disk", "file size limit"])
def little_space(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with request.param(tmp_path) as running:
        yield running


def post(connection: Connection, key: str, size: int) -> int:
    """Send a body in two pieces, so that it is spooled; return the status."""
    head = request_bytes(f"/records-reading?key={key}", "POST", headers=[f"Content-Length: {size}"])
    connection.send(head)
    connection.send(bytes(size))
    return connection.read_response().status


def test_a_body_without_space_is_507_and_others_are_served(little_space: Server, key: str) -> None:
    with little_space.connect() as honest:
        for attempt in range(3):
            with little_space.connect() as large:
                assert post(large, f"{key}-large", SPACE_BYTES * 4) == 507
                assert large.read_to_end() == b""
            # What needs less space, or none, is served; the space of the rejected body came back.
            assert post(honest, f"{key}-small-{attempt}", 100_000) == 200
            assert honest.request("/function").body == b"function"
    assert little_space.recorder.events(f"{key}-large") == []
    assert little_space.recorder.events(f"{key}-small-2") == ["called", "complete"]
    assert little_space.error_log.text().count("temporary file") == 1


def test_a_response_without_space_waits_for_its_reader(little_space: Server, key: str) -> None:
    """Nothing of it is lost, and memory does not take what the disk cannot."""
    count = 640
    with little_space.connect(receive_buffer=4096) as reader:
        before = little_space.memory_bytes()
        reader.ask(f"/counted-blocks?count={count}&key={key}")
        assert reader.read_head().status == 200
        little_space.error_log.wait_for("cannot keep a response in a temporary file")
        reader.discard(count * BLOCK_BYTES // 2)
        assert little_space.memory_bytes() - before < 8 << 20
        reader.discard(count * BLOCK_BYTES // 2)
        assert reader.request("/function").body == b"function"
    events = little_space.recorder.wait_for(key, "close")
    assert events.count("block") == count
    assert little_space.error_log.text().count("cannot keep a response") == 1
    wait_until(lambda: post_again(little_space, key) == 200, what="the space of the response")


def post_again(server: Server, key: str) -> int:
    with server.connect() as connection:
        return post(connection, f"{key}-after", 100_000)
