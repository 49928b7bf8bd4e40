"""Every request has one line in the access log, also those whose worker was killed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from portico.process.oom_kills import OomKills
from support.counted_load import counted_load
from support.waiting import wait_until
from support.ways import cannot_be_ended

from .conftest import Portico, Start

SHOP = """
import ctypes, os, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path in ("/wait", "/second"):
        with open("entered", "a") as entered:
            entered.write("x")
    if path == "/wait":
        time.sleep(30)
    elif path == "/second":
        time.sleep(1)
    elif path == "/segfault":
        ctypes.string_at(0)
    elif path == "/exit":
        os._exit(3)
    body = str(os.getpid()).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
LINE = re.compile(
    r'(?P<client>\S+) - - \[[^]]+\] "(?P<method>\S+) (?P<target>\S+) HTTP/1\.[01]" (?P<status>\d{3}) \d+ '
    r'"[^"]*" "[^"]*" (?P<seconds>\d+\.\d{6})(?: (?P<cause>\S+))?'
)


def serve(start: Start, *options: str, workers: int = 1) -> Portico:
    portico = start(SHOP, "--workers", str(workers), "--access-log", "access.log", *options)
    portico.wait_ready()
    return portico


def lines(portico: Portico) -> list[re.Match[str]]:
    found = [LINE.fullmatch(line) for line in (portico.folder / "access.log").read_text().splitlines()]
    assert all(found)
    return [line for line in found if line]


def wait_in_flight(portico: Portico, calls: int = 1) -> None:
    """Wait until so many requests that take long are in the application."""
    entered = portico.folder / "entered"
    wait_until(lambda: entered.exists() and len(entered.read_text()) == calls, what=f"{calls} calls")


def the_line(portico: Portico, target: str) -> re.Match[str]:
    """The only line of a request."""
    wait_until(lambda: any(line["target"] == target for line in lines(portico)), what=f"a line of {target}")
    found = [line for line in lines(portico) if line["target"] == target]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("path", "cause"),
    [("/segfault?a=1", "killed:SIGSEGV"), ("/exit?a=1", "ended:3")],
    ids=["segfault", "exit"],
)
def test_a_call_that_ends_its_worker_has_a_line(start: Start, path: str, cause: str) -> None:
    portico = serve(start)
    with portico.ask(path) as connection:
        assert connection.recv(100) == b""
    line = the_line(portico, path)
    assert line.group("client", "method", "status", "cause") == ("127.0.0.1", "GET", "000", cause)
    portico.stop()


def test_all_that_ran_in_a_killed_worker_have_lines(start: Start) -> None:
    portico = serve(start)
    targets = [f"/wait?n={number}" for number in range(5)]
    connections = [portico.ask(target) for target in targets]
    wait_in_flight(portico, 5)
    os.kill(portico.worker_pids[0], signal.SIGKILL)
    for connection, target in zip(connections, targets, strict=True):
        assert connection.recv(100) == b""
        assert the_line(portico, target).group("status", "cause") == ("000", "killed:SIGKILL")
        connection.close()
    portico.stop()


def test_a_long_request_line_is_truncated(start: Start) -> None:
    portico = serve(start)
    target = "/exit?" + "x" * 500
    with portico.ask(target) as connection:
        assert connection.recv(100) == b""
    access = portico.folder / "access.log"
    wait_until(access.read_text, what="a line")
    found = re.fullmatch(r'.* "GET (/exit\?x+)\.\.\." 000 0 "-" "-" \d\.\d{6} ended:3\n', access.read_text())
    assert found
    assert target.startswith(found[1])
    assert len(found[1]) == 256 - len("GET ")
    portico.stop()


def test_kill_9_under_load_loses_only_what_was_in_flight_and_each_has_one_line(start: Start) -> None:
    portico = serve(start, workers=2)
    with counted_load(portico.port, clients=6) as load:
        for times in range(1, 6):
            pid = portico.worker_pids[0]
            os.kill(pid, signal.SIGKILL)
            portico.wait_for("is ready after", times=times)
            wait_until(lambda: len(portico.worker_pids) == 2, what="two workers")
    portico.stop()
    written = Counter(line["target"] for line in lines(portico))
    assert max(written.values()) == 1
    had_response = {target for target, _ in load.responses}
    missing = had_response - set(written)
    assert not missing, f"{len(missing)} of {len(had_response)}"
    killed = {line["target"] for line in lines(portico) if line["cause"] == "killed:SIGKILL"}
    # Each kill meets one call in each of the clients at most.
    assert len(killed) <= 5 * 6
    assert len(load.lost) <= 5 * 6


@pytest.mark.parametrize("where", ["file", "pipe"])
def test_a_worker_that_is_killed_while_it_writes_its_lines_has_them_once(start: Start, where: str) -> None:
    """What it has written is in the log when the call that wrote it has not returned yet."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    log_name = "access.log" if where == "file" else "-"
    portico = start(SHOP, "--workers", "1", "--access-log", log_name, stdout=write_fd)
    portico.wait_ready()
    path = portico.folder / "access.log"
    written = bytearray()

    def text() -> str:
        if where == "file":
            return path.read_text()
        with contextlib.suppress(BlockingIOError):
            written.extend(os.read(read_fd, 65536))
        return written.decode()

    with held_in_write(portico.worker_pids[0]):
        portico.get("/first")
        wait_until(lambda: "/first" in text(), what="the line")
        os.kill(portico.worker_pids[0], signal.SIGKILL)
    portico.wait_for("is ready after")
    portico.get("/second")
    portico.stop()
    assert [line.split()[6] for line in text().splitlines()] == ["/first", "/second"]
    os.close(read_fd)
    os.close(write_fd)


@contextlib.contextmanager
def held_in_write(pid: int) -> Iterator[None]:
    """Let each write of a process be done, but not return to it for a while."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    options = ["-e", "trace=write", "-e", "inject=write:delay_exit=20000000", "-o", os.devnull]
    with subprocess.Popen(
        ["strace", "-f", *options, "-p", str(pid)], stderr=subprocess.PIPE, text=True
    ) as tracer:
        assert tracer.stderr is not None
        if "attached" not in (first := tracer.stderr.readline()):
            pytest.skip(f"strace cannot trace: {first}")
        try:
            yield
        finally:
            tracer.send_signal(signal.SIGINT)


def test_a_drained_request_has_one_line(start: Start) -> None:
    portico = serve(start)
    with portico.ask("/second") as connection:
        wait_in_flight(portico)
        portico.signal(signal.SIGTERM)
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert portico.wait() == 0
    assert the_line(portico, "/second").group("status", "cause") == ("200", None)


def test_a_request_that_outlives_the_stop_has_one_line(start: Start) -> None:
    portico = serve(start, "--graceful-timeout", "0.5")
    with portico.ask("/wait") as connection:
        wait_in_flight(portico)
        portico.signal(signal.SIGTERM)
        assert connection.recv(1000) == b""
    assert portico.wait() == 0
    assert the_line(portico, "/wait").group("status", "cause") == ("000", "killed:graceful_timeout")


def test_a_request_that_is_aborted_by_int_has_one_line(start: Start) -> None:
    portico = serve(start)
    with portico.ask("/wait") as connection:
        wait_in_flight(portico)
        portico.signal(signal.SIGINT)
        assert connection.recv(1000) == b""
    assert portico.wait() == 0
    assert the_line(portico, "/wait").group("status", "cause") == ("000", "killed:stop")


@cannot_be_ended
def test_a_call_beyond_the_timeout_has_one_line(start: Start) -> None:
    portico = serve(start, "--timeout", "1")
    with portico.ask("/wait?n=late") as late:
        portico.wait_for("longer than the timeout")
        assert late.recv(1000).startswith(b"HTTP/1.1 504 ")
    assert the_line(portico, "/wait?n=late").group("status", "cause") == ("504", "timeout")
    portico.stop()


def test_a_shed_request_has_one_line(start: Start) -> None:
    portico = serve(start, "--threads", "1", "--max-in-flight", "1")
    with portico.ask("/wait"):
        wait_in_flight(portico)
        portico.get("/shed")
    assert the_line(portico, "/shed").group("status", "cause") == ("503", None)


def test_a_rejected_request_has_one_line(start: Start) -> None:
    portico = serve(start)
    with portico.connect() as connection:
        connection.sendall(b"GET /rejected HTTP/1.1\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 400")
    assert the_line(portico, "/rejected").group("status", "cause") == ("400", None)
    portico.stop()


def test_without_an_access_log_nothing_is_written(start: Start) -> None:
    portico = start(SHOP, "--workers", "1")
    portico.wait_ready()
    with portico.ask("/exit") as connection:
        assert connection.recv(100) == b""
    portico.wait_for("ended with status 3")
    assert not (portico.folder / "access.log").exists()
    portico.stop()


@pytest.mark.parametrize(
    ("membership", "path"),
    [
        ("0::/a/b\n", "a/b/memory.events"),
        ("0::/the/host's/path\n", "memory.events"),
        ("4:memory:/x\n0::/\n", "memory/x/memory.oom_control"),
    ],
    ids=["v2", "v2 in a container", "v1"],
)
def test_an_end_for_want_of_memory_is_told_once(tmp_path: Path, membership: str, path: str) -> None:
    counter = tmp_path / "fs" / path
    counter.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cgroup").write_text(membership)
    counter.write_text("low 0\noom 7\noom_kill 2\n")
    kills = OomKills(str(tmp_path / "fs"), str(tmp_path / "cgroup"))
    assert not kills.take()
    counter.write_text("low 0\noom 9\noom_kill 4\n")
    assert [kills.take(), kills.take(), kills.take()] == [True, True, False]


def test_a_kill_for_want_of_memory_that_was_of_no_worker_is_forgotten(tmp_path: Path) -> None:
    """Of a program that the application has started: nobody hears of its end here."""
    (tmp_path / "cgroup").write_text("0::/\n")
    counter = tmp_path / "memory.events"
    counter.write_text("oom_kill 0\n")
    kills = OomKills(str(tmp_path), str(tmp_path / "cgroup"))
    kills.look(0)
    counter.write_text("oom_kill 1\n")
    kills.look(5)
    kills.look(10)
    assert not kills.take()
    counter.write_text("oom_kill 2\n")
    kills.look(15)
    assert kills.take()


@pytest.fixture
def memory_group() -> Iterator[Path]:
    """A control group of its own for a server, which allows 150 MB."""
    root = Path("/sys/fs/cgroup")
    folder = (root / "memory" if (root / "memory").is_dir() else root) / f"portico-test-{os.getpid()}"
    is_v1 = folder.parent.name == "memory"
    try:
        folder.mkdir()
        (folder / ("memory.limit_in_bytes" if is_v1 else "memory.max")).write_text(str(150 << 20))
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"takes a control group for memory: {error}")
    yield folder

    def is_removed() -> bool:
        with contextlib.suppress(OSError):
            folder.rmdir()
        return not folder.exists()

    wait_until(is_removed, what="the end of the control group")


def test_the_kernel_kills_a_worker_for_want_of_memory(start: Start, memory_group: Path) -> None:
    source = SHOP.replace("    body =", "    elif path == '/grow':\n        b'x' * (300 << 20)\n    body =")
    group = memory_group / "cgroup.procs"
    portico = start(
        *(source, "-w", "2", "--access-log", "access.log"),
        before_exec=lambda: group.write_text(str(os.getpid())),  # type: ignore[arg-type,return-value]
    )
    portico.wait_ready()
    with portico.ask("/grow") as connection:
        assert connection.recv(100) == b""
    assert the_line(portico, "/grow").group("status", "cause") == ("000", "killed:oom")
    portico.wait_for("was killed by SIGKILL, for want of memory in its cgroup, after")
    # At once after that, and by another.
    with portico.ask("/wait"):
        wait_in_flight(portico)
        for pid in portico.worker_pids:
            portico.signal_worker(pid, signal.SIGKILL)
        assert the_line(portico, "/wait").group("status", "cause") == ("000", "killed:SIGKILL")
    portico.stop()


def test_no_cgroup_is_no_reason(tmp_path: Path) -> None:
    assert not OomKills(str(tmp_path), str(tmp_path / "none")).take()
