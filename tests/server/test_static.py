"""Files that the server sends without the application: `--static`."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.gateway import GatewayConnection, fastcgi, scgi, uwsgi, variables
from support.gateway_server import read_response
from support.raw_client import Response, request_bytes
from support.server import Server, free_port
from support.static_tree import etag, lines, make_tree, read_case
from support.waiting import wait_until
from support.ways import not_for

APPLICATION = "apps.beside_files:application"
LARGE_BYTES = 64 << 20
FILE_THREADS = 4


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the corpus, and some larger ones."""
    root = make_tree(tmp_path_factory.mktemp("static"))
    with (root / "large.bin").open("wb") as file:
        file.truncate(LARGE_BYTES)
    (root / "numbers.txt").write_text("".join(f"{number:07}\n" for number in range(40_000)))
    return root


@pytest.fixture(scope="module")
def site(root: Path) -> Iterator[Server]:
    options = ["--static", f"/static={root}", "--static", f"/static/deep={root.parent / 'deep'}"]
    with Server(APPLICATION, options=options) as running:
        yield running


def is_from_application(response: Response) -> bool:
    return response.get("X-Application") == "called"


# --- The corpus


@pytest.mark.parametrize("line", lines(), ids=lambda line: line[:100])
def test_each_request_gets_what_the_corpus_says(site: Server, root: Path, line: str) -> None:
    case = read_case(line, root)
    request, *fields = case.request
    method, target = request.split(" ")
    with site.connect() as connection:
        response = connection.request(target, method=method, headers=fields)
        # Whatever it was, the connection serves the next one.
        assert connection.request("/static/ten.txt").body == b"0123456789"
    assert is_from_application(response) == (case.outcome == "app")
    if case.outcome == "app":
        return
    assert response.status == int(case.outcome)
    assert response.get("Date")
    for expected in case.expected:
        if expected.startswith("=parts "):
            assert parts_of(response) == expected.removeprefix("=parts ").split(",")
        elif expected.startswith("="):
            assert response.body.decode().removesuffix("\n") == expected[1:]
        elif expected.startswith("!"):
            assert response.get(expected[1:]) is None
        else:
            name, _, value = expected.partition(": ")
            found = response.get(name) or ""
            assert found.startswith(value[:-1]) if value.endswith("=*") else found == value


def parts_of(response: Response) -> list[str]:
    """The ranges in a multipart body, each with the bytes that it should have."""
    boundary = (response.get("Content-Type") or "").partition("boundary=")[2]
    first, *parts, last = response.body.decode().split(f"\r\n--{boundary}")
    assert (first, last) == ("", "--\r\n")
    ranges = []
    for part in parts:
        head, _, body = part.partition("\r\n\r\n")
        match = re.fullmatch(
            r"\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes (\d+)-(\d+)/1000", head
        )
        assert match
        start, last_position = int(match[1]), int(match[2])
        assert body == ("abcdefghij" * 100)[start : last_position + 1]
        ranges.append(f"{start}-{last_position}")
    return ranges


# --- One connection


def test_files_and_the_application_in_a_pipeline(site: Server) -> None:
    paths = "/static/ten.txt /first /static/missing /static/numbers.txt /static/ten.txt /last"
    targets = paths.split(" ")
    with site.connect() as connection:
        connection.send(b"".join(map(request_bytes, targets)) * 10)
        for _ in range(10):
            bodies = [connection.read_response().body for _ in targets]
            assert bodies[0] == bodies[4] == b"0123456789"
            assert bodies[1:3] == [b"GET :/first 0", b"GET :/static/missing 0"]
            assert (len(bodies[3]), bodies[5]) == (320_000, b"GET :/last 0")


@pytest.mark.parametrize("target", ["/static/ten.txt", "/static/numbers.txt", "/static/../x"])
def test_a_last_request_is_the_last(site: Server, target: str) -> None:
    with site.connect() as connection:
        response = connection.request(target, headers=["Connection: close"])
        assert response.get("Connection") == "close"
        connection.expect_closed()


def test_http_1_0(site: Server) -> None:
    with site.connect() as connection:
        response = connection.request("/static/ten.txt", version="HTTP/1.0")
        assert (response.body, response.framing) == (b"0123456789", "length")
        connection.expect_closed()


def test_a_body_for_a_file_is_read_past(site: Server) -> None:
    with site.connect() as connection:
        for size in (10, 200_000):
            assert connection.request("/static/ten.txt", method="POST", body=b"x" * size).status == 405
            assert connection.request("/static/ten.txt").body == b"0123456789"


def test_a_body_for_no_file_is_the_applications(site: Server) -> None:
    with site.connect() as connection:
        response = connection.request("/static/missing", method="POST", body=b"x" * 200_000)
        assert response.body == b"POST :/static/missing 200000"


def test_every_byte_of_a_larger_file_is_right(site: Server, root: Path) -> None:
    content = (root / "numbers.txt").read_bytes()
    with site.connect() as connection:
        assert connection.request("/static/numbers.txt").body == content
        response = connection.request("/static/numbers.txt", headers=["Range: bytes=100000-299999"])
        assert response.body == content[100_000:300_000]
        response = connection.request("/static/numbers.txt", headers=["Range: bytes=200000-299999,0-99999"])
        assert content[200_000:300_000] in response.body
        assert response.body.endswith(b"--\r\n")


def test_each_request_has_its_line(site: Server, root: Path, key: str) -> None:
    with site.connect() as connection:
        connection.request(f"/static/ten.txt?{key}-1", headers=["User-Agent: tester/1"])
        connection.request(f"/static/numbers.txt?{key}-2")
        connection.request(f"/static/ten.txt?{key}-3", headers=[f"If-None-Match: {etag(root / 'ten.txt')}"])
        connection.request(f"/static/thousand.bin?{key}-4", headers=["Range: bytes=0-9"])
        connection.request(f"/static/../ten.txt?{key}-5")
        connection.request(f"/static/ten.txt?{key}-6", method="HEAD")
    site.access_log.wait_for(rf"{key}-6")
    found = [line for line in site.access_log.lines() if key in line]
    assert [line.split('" ')[1].split(" ")[:2] for line in found] == [
        *(["200", "10"], ["200", "320000"], ["304", "0"], ["206", "10"], ["404", "14"], ["200", "0"]),
    ]
    assert "tester/1" in found[0]


# --- Slow readers and disks


def test_slow_readers_hold_no_thread(site: Server) -> None:
    """More of them than there are threads that read files."""
    slow = [site.connect(receive_buffer=4096) for _ in range(3 * FILE_THREADS)]
    for connection in slow:
        connection.ask("/static/large.bin", headers=["Connection: close"])
        assert connection.read_head().get("Content-Length") == str(LARGE_BYTES)
    with site.connect() as connection:
        for _ in range(10):
            assert connection.request("/static/numbers.txt").status == 200
            assert is_from_application(connection.request("/"))
    for connection in slow[1:]:
        connection.close()
    slow[0].discard(LARGE_BYTES)
    slow[0].expect_closed()
    slow[0].close()


def test_a_large_file_needs_no_memory(site: Server) -> None:
    before = site.memory_bytes()
    with site.connect() as connection:
        connection.ask("/static/large.bin")
        connection.read_head()
        connection.discard(LARGE_BYTES)
    assert site.memory_bytes() - before < 8 << 20


def test_a_file_that_gets_shorter_ends_in_the_middle(site: Server, root: Path) -> None:
    """Nothing is made up in the place of what is gone."""
    path = root / "shrinking.bin"
    with path.open("wb") as file:
        file.truncate(LARGE_BYTES)
    with site.connect(receive_buffer=4096) as connection:
        connection.ask("/static/shrinking.bin")
        connection.read_head()
        os.truncate(path, 0)
        assert len(connection.read_to_end()) < LARGE_BYTES
    with site.connect() as connection:
        assert connection.request("/static/shrinking.bin").get("Content-Length") == "0"


def test_files_leave_no_descriptors_behind(site: Server) -> None:
    targets = ["/static/ten.txt", "/static/numbers.txt", "/static/docs", "/static/fifo", "/static/style.css"]
    with site.connect() as connection:
        connection.request("/static/ten.txt")
        before = site.descriptor_count()
        for _ in range(20):
            for target in targets:
                connection.request(target, headers=["Accept-Encoding: br"])
        wait_until(lambda: site.descriptor_count() <= before, what="descriptors to be closed")
    gone = site.connect(receive_buffer=4096)
    gone.ask("/static/large.bin")
    gone.read_head()
    gone.reset()
    wait_until(lambda: site.descriptor_count() < before, what="the file to be closed")


# --- Where the application is mounted, and the end


def test_prefixes_are_of_the_whole_path(root: Path) -> None:
    options = ["--script-name", "/shop", "--static", f"/static={root}", "--static", f"/shop/media={root}"]
    with Server(APPLICATION, options=options) as server, server.connect() as connection:
        assert connection.request("/static/ten.txt").body == b"0123456789"
        assert connection.request("/shop/media/ten.txt").body == b"0123456789"
        assert connection.request("/shop/media/missing").body == b"GET /shop:/media/missing 0"
        assert connection.request("/static/missing").status == 404


def test_a_directory_may_be_served_at_the_root(root: Path) -> None:
    """Files first, then the application: what `try_files` of nginx does."""
    (root / "docs/again").mkdir(exist_ok=True)
    options = ["--static", f"/={root / 'docs'}"]
    with Server(APPLICATION, options=options) as server, server.connect() as connection:
        assert connection.request("/").body == b"index of docs"
        assert connection.request("http://localhost").body == b"index of docs"
        assert connection.request("/index.html").body == b"index of docs"
        assert connection.request("/again/").body == b"GET :/again/ 0"
        assert connection.request("/login", method="POST", body=b"abc").body == b"POST :/login 3"
        assert connection.request("*", method="OPTIONS").body == b"OPTIONS : 0"


def test_a_download_is_finished_before_the_server_ends(root: Path) -> None:
    with (
        Server(APPLICATION, options=["--static", f"/static={root}"]) as server,
        server.connect(receive_buffer=4096) as connection,
        server.connect() as idle,
    ):
        assert idle.request("/static/ten.txt").get("Connection") is None
        connection.ask("/static/large.bin")
        connection.read_head()
        os.kill(server.pid, signal.SIGTERM)
        idle.expect_closed()
        connection.discard(LARGE_BYTES)
        connection.expect_closed()


@not_for("gevent", "asyncio", "tornado", reason="it counts threads")
def test_threads_for_files_begin_when_one_is_not_small_or_not_in_memory(root: Path) -> None:
    def threads() -> int:
        tasks = Path(f"/proc/{server.worker_pids[0]}/task").glob("*/comm")
        return sum(comm.read_text() == "portico-files\n" for comm in tasks)

    # What is not there is in memory, too, once somebody has looked for it.
    for name in ("ten.txt", "missing"):
        for suffix in ("", ".br", ".zst", ".gz"):
            (root / f"{name}{suffix}").exists()
    options = ["--static", f"/static={root}"]
    with Server(APPLICATION, options=options) as server, server.connect() as connection:
        connection.request("/")
        assert threads() == 0
        for _ in range(10):
            connection.request("/static/ten.txt")
            connection.request("/static/missing")
        assert threads() == 0
        for _ in range(10):
            connection.request("/static/numbers.txt")
        # Another begins where the first is not free again yet.
        assert 1 <= threads() <= 4


def test_a_directory_that_is_none_is_a_mistake_at_the_start(root: Path) -> None:
    with pytest.raises(AssertionError, match="exit code 2") as failure:
        Server(APPLICATION, options=["--static", f"/static={root}/missing"]).start()
    assert "--static on the command line: expected a directory for /static, got" in str(failure.value)


# --- Behind reverse proxies


@pytest.fixture(scope="module")
def behind(root: Path) -> Iterator[dict[str, tuple[str, int]]]:
    """Where each protocol of reverse proxies is spoken."""
    addresses = {name: ("127.0.0.1", free_port()) for name in ("uwsgi", "scgi", "fastcgi")}
    binds = [word for name, (host, port) in addresses.items() for word in ("-b", f"{name}://{host}:{port}")]
    with Server(APPLICATION, options=[*binds, "--static", f"/static={root}"]):
        yield addresses


def ask(behind: dict[str, tuple[str, int]], name: str, target: str, *more: tuple[str, str]) -> Response:
    given = variables(target)
    given = [pair for pair in given if pair[0] not in dict(more)] + [*more]
    with GatewayConnection(behind[name]) as connection:
        connection.send({"uwsgi": uwsgi, "scgi": scgi, "fastcgi": fastcgi}[name](given))
        return read_response(connection, name)


each_protocol = pytest.mark.parametrize("name", ["uwsgi", "scgi", "fastcgi"])


@each_protocol
@pytest.mark.parametrize("file", ["ten.txt", "empty.txt", "numbers.txt", "large.bin"])
def test_files_over_the_protocols_of_reverse_proxies(
    behind: dict[str, tuple[str, int]], root: Path, name: str, file: str
) -> None:
    response = ask(behind, name, f"/static/{file}")
    assert response.status == 200
    assert response.body == (root / file).read_bytes()
    assert response.get("ETag") == etag(root / file)


@each_protocol
def test_fields_and_paths_over_the_protocols_of_reverse_proxies(
    behind: dict[str, tuple[str, int]], root: Path, name: str
) -> None:
    several = ask(behind, name, "/static/numbers.txt", ("HTTP_RANGE", "bytes=0-7,200000-300000"))
    assert (several.status, several.body.count(b"Content-Range: bytes ")) == (206, 2)
    known = ask(behind, name, "/static/ten.txt", ("HTTP_IF_NONE_MATCH", etag(root / "ten.txt")))
    assert (known.status, known.body) == (304, b"")
    # PATH_INFO has no escapes any more.
    assert ask(behind, name, "/static/100%.txt").body == b"a percent sign"
    assert ask(behind, name, "/static/a%20b.txt", ("PATH_INFO", "/static/a b.txt")).body == b"a space"
    assert ask(behind, name, "/static/../ten.txt").status == 404
    below = ask(behind, name, "/static/ten.txt", ("SCRIPT_NAME", "/static"), ("PATH_INFO", "/ten.txt"))
    assert below.body == b"0123456789"
    missing = ask(behind, name, "/static/missing", ("SCRIPT_NAME", "/static"), ("PATH_INFO", "/missing"))
    assert missing.body == b"GET /static:/missing 0"
