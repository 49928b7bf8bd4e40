"""The access log goes into a pipe: requests wait for nobody who reads it, and lines stay whole.

A pipe takes 64 KiB, a worker keeps 1 MiB of lines besides, and the rest is given up with a warning.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from support.raw_client import Connection
from support.server import Server
from support.unread_pipe import UnreadPipe
from support.waiting import wait_until

TEXT = "x" * 300
"""What a client says of itself: the target, Referer and User-Agent make a line of a kilobyte."""
MANY = 4000
"""Such lines are far more than a pipe and a worker take."""
FEW = 800
"""So many are taken in any case."""
PIPE_BUF = 4096
"""What a pipe takes at once or not at all (pipe(7))."""
LINE = re.compile(
    r'127\.0\.0\.1 - - \[[^\]]+\] "GET /function\?n=(\d+)&x*(?: HTTP/1\.1|\.\.\.)" 200 8'
    r' "[x\\2]+(?:\.\.\.)?" "[x\\2]+(?:\.\.\.)?" \d+\.\d{6}'
)
"""A text that is too long is truncated; a quote is written as `\\x22`."""
LOST = "lines are lost"
QUOTE = '"'
"""Four bytes in a line."""


class Pipe(UnreadPipe):
    """A pipe as a server's standard output; nobody reads it before `read`."""

    @contextmanager
    def server(self, workers: int = 1) -> Iterator[Server]:
        """A server that writes its access log here, and nobody else any more."""
        options = ["--access-log", "-", "--max-pipelined", "0"]
        with Server(threads=1, workers=workers, options=options, standard_output=self.writer) as running:
            self.close_writer()
            yield running

    def numbers(self) -> list[int]:
        """Which request each line is about, once the server has ended; asserts that all lines are whole."""
        self.wait_for_end()
        assert self.received.endswith(b"\n")
        matches = [(LINE.fullmatch(line), line) for line in self.received.decode().splitlines()]
        assert [line[:300] for match, line in matches if match is None] == []
        return [int(match[1]) for match, _ in matches if match]

    def longest_line(self) -> int:
        """Bytes of the longest line."""
        return max(map(len, self.received.splitlines(keepends=True)))

    def has(self, text: bytes) -> bool:
        """Whether `text` was read."""
        return text in self.received


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def ask(connection: Connection, numbers: range, text: str = TEXT) -> float:
    """One request for each number, whose line shows `text` thrice; returns how many seconds they took."""
    headers = [f"Referer: {text}", f"User-Agent: {text}"]
    began_s = time.monotonic()
    for number in numbers:
        target = f"/function?n={number}&{text.replace(QUOTE, '')}"
        assert connection.request(target, headers=headers).status == 200
    return time.monotonic() - began_s


def test_requests_do_not_wait_for_who_reads_their_log(pipe: Pipe) -> None:
    with pipe.server() as server:
        with server.connect() as connection:
            ask(connection, range(FEW))
            early_s = ask(connection, range(FEW, 2 * FEW))
            ask(connection, range(2 * FEW, MANY - FEW))
            late_s = ask(connection, range(MANY - FEW, MANY))
            assert late_s < early_s * 4 + 0.2
        pipe.read()
        server.error_log.wait_for(LOST)
        with server.connect() as connection:
            later = iter(range(MANY, 2 * MANY))
            wait_until(lambda: ask_and_see(connection, next(later), pipe), what="lines to be taken again")
    numbers = pipe.numbers()
    # In order, once each; first those that were taken, and then those after somebody read again.
    assert numbers == sorted(set(numbers))
    assert numbers[:FEW] == list(range(FEW))
    assert len(numbers) < MANY
    assert server.final_log.count(LOST) == 1


def ask_and_see(connection: Connection, number: int, pipe: Pipe) -> bool:
    """Ask once more, with a short line; whether such a line has arrived."""
    ask(connection, range(number, number + 1), "x")
    return pipe.has(b'" 200 8 "x" "x" ')


def test_lost_lines_are_logged_while_nobody_reads(pipe: Pipe) -> None:
    with pipe.server() as server, server.connect() as connection:
        ask(connection, range(MANY))
        server.error_log.wait_for(LOST)


def test_a_stop_does_not_wait_for_who_reads_the_log(pipe: Pipe) -> None:
    with pipe.server(workers=2) as server:
        with server.connect() as connection:
            ask(connection, range(MANY))
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 5
    # What the pipe itself has taken.
    pipe.read()
    numbers = pipe.numbers()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 50


def test_lines_that_a_stop_gives_up_are_logged(pipe: Pipe) -> None:
    with pipe.server() as server, server.connect() as connection:
        ask(connection, range(FEW))
        assert LOST not in server.error_log.text()
    pipe.read()
    lost = re.findall(rf"(\d+) of its {LOST}", server.final_log)
    assert [len(pipe.numbers()) + int(count) for count in lost] == [FEW]


@pytest.mark.parametrize(
    "text",
    ["x", TEXT, "x" * 1150, "x" * (PIPE_BUF // 3), "x" * PIPE_BUF, QUOTE * 250, QUOTE * PIPE_BUF],
    ids=["short", "usual", "long", "a third", "too long", "escaped", "escaped and too long"],
)
def test_lines_of_two_workers_are_not_mixed(pipe: Pipe, text: str) -> None:
    """Both have more than the pipe takes when somebody begins to read, a little at a time."""
    # Less than one worker keeps: none is lost.
    count = 600_000 // (200 + 3 * min(len(text.replace(QUOTE, r"\x22")), 1200))
    with pipe.server(workers=2) as server, ExitStack() as stack:
        connections = connections_to_both(server, stack)
        for number, connection in enumerate(connections):
            ask(connection, range(number, count, len(connections)), text)
        pipe.read(piece=997)
    assert sorted(pipe.numbers()) == list(range(count))
    assert pipe.longest_line() <= PIPE_BUF


def connections_to_both(server: Server, stack: ExitStack) -> list[Connection]:
    """As many connections as it takes until both workers have some."""
    before = descriptors(server)
    connections: list[Connection] = []

    def both_have() -> bool:
        connections.append(stack.enter_context(server.connect()))
        return all(now > then for now, then in zip(descriptors(server), before, strict=True))

    wait_until(both_have, what="connections to both workers")
    return connections


def descriptors(server: Server) -> list[int]:
    return [len(os.listdir(f"/proc/{pid}/fd")) for pid in server.worker_pids]
