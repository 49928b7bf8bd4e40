"""Small files are kept for a second: what changes is seen after that, and nothing is kept for longer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.raw_client import Connection, Response, request_bytes
from support.server import Server
from support.waiting import wait_until

APPLICATION = "apps.beside_files:application"
KEPT_S = 1.0
FILE_BYTES = 10_240
MANY = 1_000
UNREAD = 300


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("static_changes")


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Server]:
    (folder / "root").mkdir()
    (folder / "root/index.html").write_text("index")
    with Server(APPLICATION, threads=2, options=["--static", f"/static={folder / 'root'}"]) as running:
        yield running


@pytest.fixture
def root(site: Server, folder: Path, key: str) -> Path:
    """A directory of one test's own below the one that is served."""
    root = folder / "root" / key
    root.mkdir()
    return root


def seen_in_time(ask: Callable[[], Response], is_new: Callable[[Response], bool]) -> Response:
    """The first response that shows what was just changed: it was asked for within a second."""
    changed = time.monotonic()
    while True:
        asked = time.monotonic()
        response = ask()
        if is_new(response):
            return response
        assert asked - changed < KEPT_S, f"{asked - changed:.3f} s later: {response.body[:80]!r}"


# --- What changes


def write(path: Path) -> None:
    """Other content of the same length, and of the same time: what only who reads it can see."""
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"NEW")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    next_one = path.with_name("next")
    next_one.write_text("NEW")
    next_one.rename(path)


def truncate(path: Path) -> None:
    os.truncate(path, 0)


def remove(path: Path) -> None:
    path.unlink()


def turn_into_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def link_inside(path: Path) -> None:
    path.with_name("other.txt").write_text("NEW")
    path.unlink()
    path.symlink_to("other.txt")


def link_outside(path: Path) -> None:
    outside = path.parents[2] / f"{path.parent.name}.txt"
    outside.write_text("never sent")
    path.unlink()
    path.symlink_to(f"../../{outside.name}")


def exchange_directory(path: Path) -> None:
    """As releases are changed: the file itself is as it was."""
    path.parent.rename(path.parent.with_name(f"{path.parent.name}-before"))
    path.parent.mkdir()
    path.write_text("NEW")


def compress(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(b"NEW")


CHANGES = {
    "written": (write, b"NEW"),
    "replaced": (replace, b"NEW"),
    "truncated": (truncate, b""),
    "removed": (remove, None),
    "a directory": (turn_into_directory, None),
    "a link inside": (link_inside, b"NEW"),
    "a link outside": (link_outside, None),
    "another directory": (exchange_directory, b"NEW"),
    "compressed": (compress, b"NEW"),
}


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=list(CHANGES))
def test_a_change_is_seen_within_a_second(
    site: Server, root: Path, change: Callable[[Path], None], expected: bytes | None
) -> None:
    path = root / "a.txt"
    path.write_text("old content")
    with site.connect() as connection:

        def ask() -> Response:
            return connection.request(f"/static/{root.name}/a.txt", headers=["Accept-Encoding: gzip"])

        assert ask().body == ask().body == b"old content"
        change(path)
        response = seen_in_time(ask, lambda response: response.body != b"old content")
        if expected is None:
            assert response.get("X-Application") == "called"
        else:
            assert response.body[: len(b"NEW")] == expected
        # Once seen it is not forgotten again.
        assert ask().body == response.body


def test_a_file_that_comes_is_seen_at_once(site: Server, root: Path) -> None:
    with site.connect() as connection:
        for number in range(20):
            target = f"/static/{root.name}/{number}.txt"
            assert connection.request(target).get("X-Application") == "called"
            (root / f"{number}.txt").write_text("there")
            assert connection.request(target).body == b"there"


def test_every_request_sees_the_same_file(site: Server, root: Path) -> None:
    """HEAD, ranges and conditions go by what is kept, as long as it is."""
    path = root / "a.bin"
    target = f"/static/{root.name}/a.bin"
    path.write_bytes(bytes(range(100)))
    with site.connect() as connection:
        whole = connection.request(target)
        tag = whole.get("ETag")
        assert whole.body == bytes(range(100))
        head = connection.request(target, method="HEAD")
        assert (head.get("Content-Length"), head.get("ETag"), head.body) == ("100", tag, b"")
        part = connection.request(target, headers=["Range: bytes=10-19", f"If-Range: {tag}"])
        assert (part.status, part.body) == (206, bytes(range(10, 20)))
        parts = connection.request(target, headers=["Range: bytes=0-1,90-91"])
        assert (parts.status, parts.body.count(b"Content-Range: bytes ")) == (206, 2)
        assert connection.request(target, headers=[f"If-None-Match: {tag}"]).status == 304
        assert connection.request(target, headers=['If-Match: "another"']).status == 412
        assert connection.request(target, headers=["Range: bytes=100-"]).status == 416
        assert connection.request(target, method="POST").status == 405


# --- What it costs


def read_bytes(server: Server) -> int:
    """How many bytes of files the workers have read."""
    texts = [Path(f"/proc/{pid}/io").read_text() for pid in server.worker_pids]
    return sum(int(text.partition("rchar: ")[2].split()[0]) for text in texts)


def test_a_file_is_read_once_a_second(site: Server, root: Path) -> None:
    (root / "a.txt").write_bytes(b"x" * FILE_BYTES)
    with site.connect() as connection:

        def ask(times: int) -> None:
            for _ in range(times):
                assert len(connection.request(f"/static/{root.name}/a.txt").body) == FILE_BYTES

        ask(1)
        before, began = read_bytes(site), time.monotonic()
        ask(200)
        reads = (read_bytes(site) - before) / FILE_BYTES
        assert reads <= 2 + (time.monotonic() - began) / KEPT_S


def get_all(connection: Connection, root: Path) -> None:
    for number in range(MANY):
        assert len(connection.request(f"/static/{root.name}/{number}.txt").body) == FILE_BYTES


def test_many_files_are_bounded_and_given_back(site: Server, root: Path) -> None:
    for number in range(MANY):
        (root / f"{number}.txt").write_bytes(b"x" * FILE_BYTES)
    with site.connect() as connection:
        connection.request("/static/")
        before = site.memory_bytes()
        descriptors = site.descriptor_count()
        for _ in range(3):
            get_all(connection, root)
            assert site.memory_bytes() - before < 6 << 20
            assert site.descriptor_count() <= descriptors
    wait_until(lambda: site.memory_bytes() - before < 1 << 20, what="memory to be given back")


def test_what_a_slow_reader_has_not_taken_stays_whole(site: Server, root: Path) -> None:
    """Also when the file is not kept any more when it reads on."""
    content = os.urandom(30_000)
    path = root / "a.bin"
    path.write_bytes(content)
    target = f"/static/{root.name}/a.bin"
    with site.connect(receive_buffer=4096) as slow, site.connect() as other:
        # More than sockets hold.
        slow.send(request_bytes(target) * UNREAD)
        bodies = [slow.read_response().body]
        replace(path)
        seen_in_time(lambda: other.request(target), lambda response: response.body == b"NEW")
        bodies += [slow.read_response().body for _ in range(UNREAD - 1)]
    earlier = bodies.count(content)
    assert bodies == [content] * earlier + [b"NEW"] * (UNREAD - earlier)
    assert 0 < earlier < UNREAD
