"""`portico top` beside a portico that runs: what it says of a known load, its keys, a real terminal."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from portico.ctl.connection import ask
from portico.top.model import read_head, read_rows
from portico.top.sample import Sample, take_sample
from portico.top.view import TopApp
from support.server import WORKER, free_port
from support.waiting import wait_until
from support.ways import beside_each_other
from textual.pilot import Pilot

from .conftest import Portico, Start, read_body

SHOP = """
import os, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/hold"):
        while not os.path.exists("go on"):
            time.sleep(0.01)
    if path == "/fail":
        start_response("500 Internal Server Error", [])
        return [b"no"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x" * 1000]
"""
INTERVAL_S = 0.1
PATIENCE_S = 20.0
WITHOUT_TEXTUAL = "import sys; sys.modules['textual'] = None; from portico.cli import main; main()"


class Watched:
    """Starts servers with a control socket in its folder."""

    def __init__(self, start: Start, folder: Path) -> None:
        self._start = start
        self.folder = folder
        self.path = str(folder / "c.sock")

    def start(self, *options: str, **others: Any) -> Portico:
        portico = self._start(SHOP, "--control", self.path, *options, **others)
        portico.wait_ready()
        return portico

    def sample(self) -> Sample:
        return take_sample(self.path)

    def wait_served(self, count: int) -> Sample:
        """Wait until so many requests have been counted."""
        return wait_until(
            lambda: (got := self.sample()).status["total"]["requests"] >= count and got, what="the requests"
        )

    @contextlib.contextmanager
    def holding(self, portico: Portico, *paths: str) -> Iterator[None]:
        """Have a request for each path in the application, the first the oldest."""
        with contextlib.ExitStack() as stack:
            connections = []
            for number, path in enumerate(paths, 1):
                connections.append(stack.enter_context(portico.ask(path)))
                wait_until(lambda number=number: len(self.sample().requests) == number, what="the request")
            try:
                yield
            finally:
                (self.folder / "go on").touch()
            assert [len(read_body(connection)) for connection in connections] == [1000] * len(paths)


@pytest.fixture
def watched(start: Start, tmp_path: Path) -> Watched:
    return Watched(start, tmp_path)


# --- What is said of a load that is known


def test_rates_are_those_of_the_load(watched: Watched) -> None:
    portico = watched.start("-w", "2")
    before = watched.sample()
    for _ in range(20):
        assert len(portico.get()) == 1000
    for _ in range(5):
        portico.get("/fail")
    sample = watched.wait_served(25)
    elapsed_s = sample.at_s - before.at_s
    rows, head = read_rows(sample, before), read_head(sample, before)
    for rates in ([head], rows):
        assert sum(each.requests_rate for each in rates) * elapsed_s == pytest.approx(25)
        assert sum(each.errors_rate for each in rates) * elapsed_s == pytest.approx(5)
        assert sum(each.bytes_rate for each in rates) * elapsed_s == pytest.approx(20_010)
    portico.stop()


@beside_each_other
def test_rows_tell_what_is_in_flight_and_how_large_a_worker_is(watched: Watched) -> None:
    portico = watched.start("-w", "1", "--threads", "3")
    with watched.holding(portico, "/hold/first", "/hold/second"):
        sample = watched.sample()
        [row], head = read_rows(sample, None), read_head(sample, None)
        assert (row.number, row.pid, row.state) == (1, portico.worker_pids[0], "ready")
        assert (len(row.calls), row.threads, row.restarts) == (2, 3, 0)
        assert [str(call) for call in row.calls] == ["GET /hold/first", "GET /hold/second"]
        assert row.calls[0].seconds >= row.calls[1].seconds > 0
        assert (head.busy, head.threads, head.backlog, row.connections) == (2, 3, 0, 2)
        pages = int(Path(f"/proc/{row.pid}/statm").read_text().split()[1])
        assert row.rss_bytes == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.1)
    portico.stop()


def test_busy_threads_saturate(watched: Watched) -> None:
    portico = watched.start("-w", "1", "--threads", "1")
    with watched.holding(portico, "/hold"):
        wait_until(lambda: watched.sample().status["saturation"] > 0.5, what="the saturation")
    portico.stop()


def test_restarts_are_counted_by_reason_and_number(watched: Watched) -> None:
    portico = watched.start("-w", "1")
    portico.get()
    watched.wait_served(1)
    portico.signal_worker(portico.worker_pids[0], 9)  # type: ignore[arg-type]
    sample = wait_until(
        lambda: (
            (got := watched.sample()).status["workers"]["ready"] == 1
            and got.status["restarts"]["died"] == 1
            and got
        ),
        what="the successor",
    )
    assert [row.restarts for row in read_rows(sample, None)] == [1]
    assert read_head(sample, None).restarts == {"died": 1}
    # What the worker has done that is no more is still counted.
    assert sample.status["total"]["requests"] == 1
    ask(watched.path, "upgrade", wait=False)
    wait_until(lambda: _generation(watched) == 2, what="the upgrade")
    assert watched.sample().status["restarts"]["died"] == 1
    assert watched.sample().status["total"]["requests"] == 1
    portico.stop()


def _generation(watched: Watched) -> int:
    with contextlib.suppress(Exception):
        return int(watched.sample().status["generation"])
    return 0


def test_quantiles_are_of_what_has_ended_between_two_looks(watched: Watched) -> None:
    portico = watched.start("-w", "1", "--admin-bind", f"unix:{watched.folder}/a.sock")
    before = watched.sample()
    with watched.holding(portico, "/hold"):
        wait_until(lambda: watched.sample().requests[0]["seconds"] > 0.3, what="a request that takes long")
    sample = watched.wait_served(1)
    [row], head = read_rows(sample, before), read_head(sample, before)
    for each in (row, head):
        assert each.p50.seconds > 0.25
        assert each.p99 >= each.p50
    # Of another interval.
    for _ in range(200):
        portico.get()
    [row] = read_rows(watched.wait_served(201), sample)
    assert row.p50.seconds < 0.25
    portico.stop()


def test_a_table_for_scripts_has_the_quantiles_of_its_interval(watched: Watched) -> None:
    portico = watched.start("-w", "1", "--admin-bind", f"unix:{watched.folder}/a.sock")

    def table_of_busy_server() -> str:
        stop = threading.Event()

        def load() -> None:
            while not stop.is_set():
                portico.get()

        thread = threading.Thread(target=load)
        thread.start()
        try:
            return str(
                top("--once", "--interval", "0.5", "--socket", watched.path, folder=watched.folder).stdout
            )
        finally:
            stop.set()
            thread.join()

    lines = table_of_busy_server().splitlines()
    assert re.search(r"B/s sent  p50 \d+(\.\d)?m?s  p99 ", lines[1]), lines
    titles = "# PID STATE BUSY REQ/S ERR/S SENT/S P50 P99 CONN RSS AGE RST FOR REQUEST"
    assert " ".join(lines[5].split()) == titles
    portico.stop()


# --- The plain table


def top(*arguments: str, folder: Path, program: tuple[str, ...] = ("-m", "portico")) -> Any:
    return subprocess.run(
        [sys.executable, *program, "top", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("options", [["--once"], []], ids=["once", "no-terminal"])
def test_one_table_for_scripts_takes_no_textual(watched: Watched, options: list[str]) -> None:
    portico = watched.start("-w", "2")
    path = "/hold/" + "x" * 40
    with watched.holding(portico, path):
        ended = top(
            *("--interval", "0.2", "--socket", watched.path, *options),
            folder=watched.folder,
            program=("-c", WITHOUT_TEXTUAL),
        )
    assert (ended.returncode, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0].startswith(f"shop  portico {watched_version()}  pid {portico.process.pid}  up ")
    assert lines[1] == "0.0 req/s  0.0 err/s  0B/s sent"
    assert re.fullmatch(r"saturation \d+%  threads 1 of \d+ busy  backlog 0  connections 1", lines[2])
    assert lines[3] == "workers 2 of 2 ready  restarts none"
    assert " ".join(lines[5].split()) == "# PID STATE BUSY REQ/S ERR/S SENT/S CONN RSS AGE RST FOR REQUEST"
    assert [line.split()[1] for line in lines[6:]] == [*map(str, portico.worker_pids)]
    assert sum(line.endswith(f" GET {path}") for line in lines[6:]) == 1
    portico.stop()


def watched_version() -> str:
    from portico import _core

    return _core.__version__


def test_finds_the_server_as_ctl_does_and_ends_with_3_where_none_is(watched: Watched) -> None:
    portico = watched.start("-w", "1", "--name", "top-1", "--pid-file", "pid")
    (watched.folder / "portico.toml").write_text(f'[control]\ncontrol = "{watched.path}"\n')
    for which in ([], ["-c", "portico.toml"], ["--socket", "c.sock"]):
        ended = top("--once", "--interval", "0.1", *which, folder=watched.folder)
        assert ended.stdout.startswith("top-1  portico"), ended.stderr
    portico.stop()
    ended = top("--once", "--socket", watched.path, folder=watched.folder)
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "nobody can be reached" in ended.stderr


# --- The view, by its own pilot


class Screen:
    """What the view shows, and its keys."""

    def __init__(self, app: TopApp, pilot: Pilot[None]) -> None:
        self.app = app
        self.pilot = pilot
        self.press = pilot.press

    @property
    def lines(self) -> list[str]:
        return [strip.text.rstrip() for strip in self.app.screen._compositor.render_strips()]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def wait(self, condition: Callable[[], object], what: str) -> None:
        until_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < until_s, f"no {what} on\n{self.text}"
            await self.pilot.pause(0.02)

    async def wait_for(self, text: str) -> None:
        await self.wait(lambda: text in self.text, repr(text))

    async def wait_gone(self, text: str) -> None:
        await self.wait(lambda: text not in self.text, f"end of {text!r}")


@contextlib.asynccontextmanager
async def shown(path: str, first: Sample | None = None) -> AsyncIterator[Screen]:
    app = TopApp(path, first or take_sample(path), lambda: path, interval_s=INTERVAL_S)
    async with app.run_test(size=(80, 24)) as pilot:
        yield Screen(app, pilot)


def view(path: str, use: Callable[[Screen], Any], first: Sample | None = None) -> None:
    async def run() -> None:
        async with shown(path, first) as screen:
            await use(screen)

    asyncio.run(run())


@beside_each_other
def test_expands_a_worker_into_its_requests_and_shows_one(watched: Watched) -> None:
    portico = watched.start("-w", "1", "--threads", "3")
    long = "/hold/" + "x" * 36 + "/end"

    async def use(screen: Screen) -> None:
        await screen.wait_for("GET /hold/")
        assert "2/3" in screen.text
        assert "GET /hold/second" not in screen.text
        await screen.press("enter")
        await screen.wait_for("GET /hold/second")
        await screen.press("down", "enter")
        await screen.wait_for("/end")
        await screen.press("escape", "up", "enter")
        await screen.wait_gone("GET /hold/second")

    with watched.holding(portico, long, "/hold/second"):
        view(watched.path, use)
    portico.stop()


def test_takes_the_stack_of_a_request(watched: Watched) -> None:
    portico = watched.start("-w", "1", "--threads", "2")

    async def use(screen: Screen) -> None:
        await screen.wait_for("GET /hold")
        await screen.press("enter", "down", "k")
        await screen.wait_for("in application")
        assert "GET /hold/stack" in screen.text
        await screen.wait_for("File")
        assert WORKER == "gevent" or "most recent call first" in screen.text
        await screen.press("escape")
        await screen.wait_gone("in application")

    with watched.holding(portico, "/hold/stack"):
        view(watched.path, use)
    portico.stop()


def test_says_where_stacks_are_that_it_cannot_read(watched: Watched) -> None:
    read_fd, write_fd = os.pipe()
    portico = watched._start(SHOP, "--control", watched.path, "-w", "1", stderr=write_fd)
    os.close(write_fd)
    with open(read_fd, "rb") as log:
        drain = threading.Thread(target=log.read)
        drain.start()
        wait_until(lambda: _generation(watched) and _ready(watched) == 1, what="the worker")

        async def use(screen: Screen) -> None:
            await screen.press("k")
            await screen.wait_for("writes its stacks to the error log, its standard error")

        view(watched.path, use)
        portico.stop()
        drain.join()


def _ready(watched: Watched) -> int:
    return int(watched.sample().status["workers"]["ready"])


def test_recycles_a_worker_only_when_that_is_confirmed(watched: Watched) -> None:
    portico = watched.start("-w", "2")
    pids = portico.worker_pids

    async def use(screen: Screen) -> None:
        await screen.wait_for(str(pids[1]))
        await screen.press("down", "r")
        await screen.wait_for(f"Replace worker 2, pid {pids[1]}")
        await screen.press("n")
        await screen.wait_gone("Replace worker")
        await screen.press("r")
        await screen.wait_for("Replace worker")
        assert [*map(str, pids)] == [row["pid"].__str__() for row in take_sample(watched.path).workers]
        await screen.press("y")
        await screen.wait_for("restarts 1 spent")
        await screen.wait(lambda: _row(screen, pids[1]) is None, "new worker")

    view(watched.path, use)
    assert pids[0] in portico.worker_pids
    assert pids[1] not in portico.worker_pids
    portico.stop()


def _row(screen: Screen, pid: int) -> str | None:
    return next((line for line in screen.lines[7:] if line.split()[1:2] == [str(pid)]), None)


def _listed(screen: Screen) -> list[int]:
    words = [line.split() for line in screen.lines[7:23]]
    return [int(each[1]) for each in words if len(each) > 2 and each[1].isdigit()]


def test_filters_and_sorts(watched: Watched) -> None:
    portico = watched.start("-w", "2", "--threads", "1")
    first, second = portico.worker_pids

    async def use(screen: Screen) -> None:
        await screen.wait_for("GET /hold/[red]")
        busy = first if "[red]" in str(_row(screen, first)) else second
        idle = second if busy == first else first
        # BUSY is the fourth column: the most first, then the least.
        await screen.press("right", "right", "right", "s")
        await screen.wait(lambda: _listed(screen) == [busy, idle], "order")
        assert "▼BUSY" in screen.text
        await screen.press("s")
        await screen.wait(lambda: _listed(screen) == [idle, busy], "reverse")
        assert "▲BUSY" in screen.text
        await screen.press("slash", *"[red")
        await screen.wait(lambda: _listed(screen) == [busy], "filter")
        await screen.press("enter")
        await screen.wait_for("filter: [red")
        await screen.press("escape")
        await screen.wait(lambda: len(_listed(screen)) == 2, "all")
        await screen.press("slash", *str(idle), "enter")
        await screen.wait(lambda: _listed(screen) == [idle], "filter by pid")

    with watched.holding(portico, "/hold/[red]"):
        view(watched.path, use)
    portico.stop()


def test_holds_the_screen_while_paused(watched: Watched) -> None:
    portico = watched.start("-w", "1")

    async def use(screen: Screen) -> None:
        await screen.press("p")
        await screen.wait_for("paused")
        held = screen.lines[:4]
        at_s = screen.app._latest.at_s
        await screen.wait(lambda: screen.app._latest.at_s > at_s + 3 * INTERVAL_S, "samples")
        assert screen.lines[:4] == held
        await screen.press("p")
        await screen.wait(lambda: screen.lines[:4] != held, "next sample")
        await screen.press("question_mark")
        await screen.wait_for("sort by that column")

    view(watched.path, use)
    portico.stop()


def test_a_lost_server_is_said_and_found_again(watched: Watched) -> None:
    port = free_port()
    portico = watched.start("-w", "1", port=port)

    async def use(screen: Screen) -> None:
        ask(watched.path, "reload")
        await screen.wait_for("generation 2")
        portico.stop()
        await screen.wait_for("connection lost, trying again: nobody can be reached")
        # What was known stays.
        assert f"pid {portico.process.pid}" in screen.text
        again = watched.start("-w", "1", port=port)
        await screen.wait_for(f"pid {again.process.pid}")
        await screen.wait_gone("connection lost")
        again.stop()

    view(watched.path, use)


def test_an_upgrade_in_place_is_followed(watched: Watched) -> None:
    portico = watched.start("-w", "1")

    async def use(screen: Screen) -> None:
        await asyncio.to_thread(ask, watched.path, "upgrade", wait=False)
        await screen.wait_for("generation 2")
        await screen.wait_for("workers 1 of 1 ready")

    view(watched.path, use)
    portico.stop()


def test_fits_terminals_of_any_size(watched: Watched) -> None:
    portico = watched.start("-w", "1")

    async def use(screen: Screen) -> None:
        for width, height in ((40, 12), (200, 50), (10, 3), (80, 24)):
            await screen.pilot.resize_terminal(width, height)
            await screen.wait(lambda width=width: len(screen.lines[0]) <= width, "narrower screen")
        await screen.wait_for(str(portico.worker_pids[0]))
        assert screen.lines[-1].strip().endswith("q quit")

    with watched.holding(portico, "/hold"):
        view(watched.path, use)
    portico.stop()


HOSTILE = [
    pytest.param("/[red]x[/red]", "/[red]x[/red]", id="markup"),
    pytest.param("/[@click=app.quit]x[/]", "/[@click=app.quit]x[/]", id="link"),
    pytest.param("/\x1b[31m\x1b[2J\x9b", "/\\x1b[31m\\x1b[2J\\x9b", id="control"),
    pytest.param("/\n\r\t", "/\\n\\r\\t", id="lines"),
    pytest.param("/漢字漢字", "/漢字漢字", id="wide"),
    pytest.param("/\u202e\u200be\u0301", "/\\u202e\\u200be\\u0301", id="unseen"),
]


@pytest.mark.parametrize(("path", "seen"), HOSTILE)
def test_what_a_client_sends_is_text_on_the_screen(watched: Watched, path: str, seen: str) -> None:
    """A server of another version may not escape what this one does."""
    portico = watched.start("-w", "1")
    first = watched.sample()
    pid = portico.worker_pids[0]
    call = {"pid": pid, "slot": 1, "method": "GET", "path": path, "seconds": 1.0, "silent_s": 1.0}
    workers = [{**first.workers[0], "state": path}]
    hostile = replace(first, status={**first.status, "name": path}, workers=workers, requests=[call])

    async def use(screen: Screen) -> None:
        await screen.press("p", "enter")
        await screen.wait_for(f"GET {seen}")
        assert screen.lines[0].startswith(f"{seen}  portico")
        strips = screen.app.screen._compositor.render_strips()
        assert [strip.cell_length for strip in strips] == [80] * 24
        # One style, which is the screen's own.
        seen_parts = [segment for segment in strips[0] if segment.text.strip()]
        assert len({segment.style for segment in seen_parts}) == 1
        assert not any(ord(each) < 32 or ord(each) == 0x7F for strip in strips for each in strip.text)
        await screen.press("down", "enter")
        await screen.wait_for("escape closes")
        assert f"GET {seen}" in screen.text

    view(str(watched.folder / "nobody"), use, hostile)
    portico.stop()


# --- A real terminal


class Terminal:
    """A program at a terminal of 80 columns."""

    def __init__(self, *arguments: str, folder: Path, **environment: str) -> None:
        self.fd, slave_fd = pty.openpty()
        fcntl.ioctl(slave_fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self._slave_fd = slave_fd
        self._state = termios.tcgetattr(slave_fd)
        self.output = b""
        inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=folder,
            stdin=slave_fd,
            stdout=slave_fd,
            stderr=slave_fd,
            env={**inherited, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
            start_new_session=True,
        )
        os.set_blocking(self.fd, False)

    def read(self) -> bytes:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.fd, 65536):
                self.output += data
        return self.output

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text.encode() in self.read(), what=f"{text!r} on the terminal")

    def type(self, keys: str) -> None:
        os.write(self.fd, keys.encode())

    def end(self) -> int:
        """Wait for the end; returns the exit code."""
        wait_until(lambda: (self.read(), self.process.poll() is not None)[1], what="the end")
        self.read()
        return self.process.returncode

    @property
    def is_restored(self) -> bool:
        return termios.tcgetattr(self._slave_fd) == self._state

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.fd)
        os.close(self._slave_fd)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_one(*arguments: str, **environment: str) -> Terminal:
        opened.append(Terminal(*arguments, folder=tmp_path, **environment))
        return opened[-1]

    yield open_one
    for each in opened:
        each.close()


@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "ctrl-c"])
def test_leaves_a_terminal_as_it_was(watched: Watched, terminal: Callable[..., Terminal], key: str) -> None:
    portico = watched.start("-w", "1")
    screen = terminal("-m", "portico", "top", "--interval", "0.1", "--socket", watched.path)
    screen.wait_for(str(portico.worker_pids[0]))
    screen.wait_for("q quit")
    assert not screen.is_restored
    screen.type(key)
    assert screen.end() == 0
    assert screen.is_restored
    # The screen of before, and the cursor.
    assert screen.output.rindex(b"\x1b[?1049l") > screen.output.rindex(b"\x1b[?1049h")
    assert screen.output.rindex(b"\x1b[?25h") > screen.output.rindex(b"\x1b[?25l")
    portico.stop()


@pytest.mark.parametrize("typed", [b"\xff", b"\xe4x"], ids=["byte", "latin-1"])
def test_what_is_no_utf8_is_no_key(watched: Watched, terminal: Callable[..., Terminal], typed: bytes) -> None:
    portico = watched.start("-w", "1")
    screen = terminal("-m", "portico", "top", "--interval", "0.1", "--socket", watched.path)
    screen.wait_for("q quit")
    os.write(screen.fd, typed)
    # Not read together with it.
    wait_until(lambda: _unread(screen) == 0, what="the byte to be read")
    screen.type("p")
    screen.wait_for("paused")
    screen.type("q")
    assert screen.end() == 0
    assert b"UnicodeDecodeError" not in screen.output
    portico.stop()


def _unread(screen: Terminal) -> int:
    """How many bytes were typed and not read."""
    return int(struct.unpack("i", fcntl.ioctl(screen._slave_fd, termios.FIONREAD, b"\0" * 4))[0])


@pytest.mark.parametrize("value", ["1", ""], ids=["set", "empty"])
def test_has_no_colours_with_no_color(
    watched: Watched, terminal: Callable[..., Terminal], value: str
) -> None:
    portico = watched.start("-w", "1")
    screen = terminal("-m", "portico", "top", "--socket", watched.path, NO_COLOR=value)
    screen.wait_for(str(portico.worker_pids[0]))
    screen.wait_for("q quit")
    screen.type("q")
    assert screen.end() == 0
    styles = b";".join(re.findall(rb"\x1b\[([0-9;]*)m", screen.output)).split(b";")
    # 39 and 49 are the terminal's own.
    coloured = {style for style in styles if style.isdigit() and 30 <= int(style) <= 48 and style != b"39"}
    # An empty variable is none (no-color.org).
    assert bool(coloured) == (value == "")
    if value:
        assert re.search(rb"\x1b\[1;4;[0-9;]*m 1 ", screen.output), "the line that is chosen"
    portico.stop()


def test_on_a_dumb_terminal_it_is_one_table(watched: Watched, terminal: Callable[..., Terminal]) -> None:
    portico = watched.start("-w", "1")
    screen = terminal("-m", "portico", "top", "--interval", "0.1", "--socket", watched.path, TERM="dumb")
    assert screen.end() == 0
    assert str(portico.worker_pids[0]).encode() in screen.output
    assert b"\x1b" not in screen.output
    portico.stop()


def test_without_textual_it_says_what_to_install(watched: Watched, terminal: Callable[..., Terminal]) -> None:
    portico = watched.start("-w", "1")
    screen = terminal("-c", WITHOUT_TEXTUAL, "top", "--socket", watched.path)
    assert screen.end() == 2
    said = " ".join(screen.output.decode().split())
    assert "got none: pip install 'portico-server[top]'" in said
    portico.stop()


def test_does_not_begin_where_nobody_is(watched: Watched, terminal: Callable[..., Terminal]) -> None:
    screen = terminal("-m", "portico", "top", "--socket", watched.path)
    assert screen.end() == 3
    assert b"nobody can be reached" in screen.output
    assert b"\x1b[?1049h" not in screen.output
