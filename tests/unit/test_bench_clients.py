"""What `make bench` measures with: the client that never sleeps, and the check that close() is called."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
DEPTH = 3
PAUSE_S = 0.02
"""Between a last response and the end of its connection."""
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHello"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nHello"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\n\r\nHello"
WRONG = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
TRUNCATED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHe"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"


class Canned:
    """Reads so many requests at a time and sends one reply to each, whole or byte by byte."""

    def __init__(
        self, reply: bytes, *, at_a_time: int = 1, closes: bool = False, slices: bool = False
    ) -> None:
        self.reply, self.at_a_time, self.closes, self.slices = reply, at_a_time, closes, slices
        self.served = 0
        self.too_late = 0
        """Requests after the last response of a connection."""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(peer,), daemon=True).start()

    def serve(self, peer: socket.socket) -> None:
        received = b""
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while block := peer.recv(65536):
                    received += block
                    if received.count(b"\r\n\r\n") < self.at_a_time:
                        continue
                    received = b""
                    self.served += self.at_a_time
                    replies = self.reply * self.at_a_time
                    for piece in (
                        [replies[i : i + 1] for i in range(len(replies))] if self.slices else [replies]
                    ):
                        peer.sendall(piece)
                    if self.closes:
                        peer.settimeout(PAUSE_S)
                        self.too_late += bool(peer.recv(1))
                        return
            except OSError:
                return


@pytest.fixture(scope="module")
def spin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("spin") / "spin"
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-o", program, BENCH / "spin.c"], check=True)
    return program


def run(spin: Path, port: int, depth: int = 1) -> tuple[dict[str, float], str]:
    command = [spin, str(port), "2", "0.2", "/", str(depth), "X-Field: value"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    _, _, outcome = done.stdout.partition("OUTCOME ")
    return json.loads(outcome) if outcome else {}, done.stderr


@pytest.mark.parametrize(
    ("canned", "depth"),
    [
        pytest.param(Canned(HELLO), 1, id="kept"),
        pytest.param(Canned(HELLO, at_a_time=DEPTH), DEPTH, id="pipelined"),
        pytest.param(Canned(HELLO, slices=True), 1, id="byte by byte"),
        pytest.param(Canned(EMPTY), 1, id="without a body"),
        pytest.param(Canned(EMPTY, at_a_time=DEPTH), DEPTH, id="pipelined without a body"),
        pytest.param(Canned(LAST, closes=True), 1, id="closes and says so"),
        pytest.param(Canned(UNTIL_CLOSE, closes=True), 1, id="body ends with the connection"),
    ],
)
def test_spin_counts_each_complete_response(spin: Path, canned: Canned, depth: int) -> None:
    outcome, errors = run(spin, canned.port, depth)
    assert errors == ""
    assert (outcome["read"], outcome["status"], canned.too_late) == (0, 0, 0)
    # The batches that were under way at the end were served, and not counted.
    assert 0 < outcome["requests"] <= canned.served <= outcome["requests"] + 2 * depth


def test_spin_counts_wrong_statuses(spin: Path) -> None:
    outcome, _ = run(spin, Canned(WRONG).port)
    assert outcome["status"] == outcome["requests"] > 0


def test_spin_counts_responses_truncated(spin: Path) -> None:
    outcome, _ = run(spin, Canned(TRUNCATED, closes=True).port)
    assert outcome["requests"] == 0
    assert outcome["read"] > 0


def test_spin_says_that_it_reads_no_chunks(spin: Path) -> None:
    assert run(spin, Canned(CHUNKED).port) == ({}, "spin: a response is chunked, which it does not read\n")


CLOSES = "self.result.close() if hasattr(self.result, 'close') else None"
SERVER = """
import sys
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import ServerHandler, make_server
sys.path.insert(0, ".")
from bench.apps import closing
SimpleHandler.close = ServerHandler.close = lambda self: (%s, None)[1]
make_server("127.0.0.1", int(sys.argv[1]), closing).serve_forever()
"""


ASKER = """
import json, os, sys
from cases import Row
from closing import problems
from servers import Command, Role, Server

def command(launch):
    return Command([sys.executable, "-c", sys.argv[1], str(launch.port)])

row = Row("toy", Server("toy", Role.PEER, "", command), None, False)
print(json.dumps(problems(row, min(os.sched_getaffinity(0)))))
"""


@pytest.mark.parametrize(
    ("at_the_end", "problems"),
    [
        pytest.param(CLOSES, [], id="closes"),
        pytest.param("None", ["calls close() of 0 of 3 responses"], id="does not close"),
    ],
)
def test_a_server_that_leaves_close_out_is_marked(at_the_end: str, problems: list[str]) -> None:
    # In a process of its own: the modules of bench have such plain names as `apps`.
    command = [sys.executable, "-c", ASKER, SERVER % at_the_end]
    environment = {**os.environ, "PYTHONPATH": str(BENCH)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == problems
