"""A server whose calls are in every wait that portico has, and clients at whose random moments those end.

What is thrown into a call: `gevent.Timeout` and a kill (with gevent), RequestTimeout by the deadline, and
what comes of a client that has left.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from support.waiting import wait_until

from .conftest import Portico

GREENLETS = 100
FILE_BYTES = 8_000_000

APPLICATION = """
import gc, json, os, sys, time
from wsgiref.util import FileWrapper
import portico
way = os.environ["WAY"]
file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "file")
begun = []
BIG = b"b" * 8_000_000
if way == "gevent":
    import gevent
def respond(start_response, body, *headers):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers])
    return [body]
def read(environ, start_response):
    while environ["wsgi.input"].read(3000):
        pass
    return respond(start_response, b"read")
def lines(environ, start_response):
    for _ in environ["wsgi.input"]:
        pass
    return respond(start_response, b"read")
def blocks(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (b"c" * 100_000 for _ in range(80))
def big(environ, start_response):
    return respond(start_response, BIG)
def write(environ, start_response):
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    for _ in range(80):
        write(b"d" * 100_000)
    return []
def wrapped(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return environ["wsgi.file_wrapper"](open(file, "rb"))
def small_blocks(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    class Blocks:
        def __init__(self):
            self.file = open(file, "rb")
        def read(self, size):
            return self.file.read(size)
        def close(self):
            self.file.close()
    return environ["wsgi.file_wrapper"](Blocks(), 30000)
def named(environ, start_response):
    return respond(start_response, b"", ("X-Sendfile", file))
def web_socket(environ, start_response):
    own = environ.get("werkzeug.socket")
    if own is None:
        return respond(start_response, b"none")
    own.sendall(b"HTTP/1.1 101 Switching Protocols\\r\\n")
    own.sendall(b"Connection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n")
    while data := own.recv(1000):
        own.sendall(data * 500)
    return []
def sleep(environ, start_response):
    # RequestTimeout ends that of a greenlet; a thread has to come back from it.
    time.sleep({"gevent": 5, "threads": 1.2}.get(way, 0.3))
    return respond(start_response, b"slept")
def computes(environ, start_response):
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass
    return respond(start_response, b"computed")
def tells(environ, start_response):
    environ["portico.on_disconnect"](lambda: time.sleep(0.01))
    time.sleep(0.2)
    return blocks(environ, start_response)
WAITS = {function.__name__: function for function in (
    read, lines, blocks, big, write, wrapped, small_blocks, named, web_socket, sleep, computes, tells,
)}
def state():
    told = {"descriptors": len(os.listdir("/proc/self/fd"))}
    with open("/proc/self/statm") as statm:
        told["resident"] = int(statm.read().split()[1]) * 4096
    if way == "threads":
        return told
    import greenlet
    from portico.event_loops.greenlets import Greenlets
    gc.collect()
    found = gc.get_objects()
    [loop] = [each for each in found if issubclass(type(each), Greenlets)]
    told["greenlets"] = sum(issubclass(type(each), greenlet.greenlet) and bool(each) for each in found)
    told["made"], told["idle"] = loop._made, len(loop._idle)
    told["parked"] = len(loop._parked)
    return told
def application(environ, start_response):
    path, _, argument = environ["PATH_INFO"][1:].partition("/")
    if path == "state":
        return respond(start_response, json.dumps(state()).encode())
    if path == "together":
        # As many as there may be: each waits for the last.
        begun.append(1)
        environ["portico.extend_deadline"](30)
        wait_for_all(int(argument))
        return respond(start_response, b"together")
    if path not in WAITS:
        begun.clear()
        return respond(start_response, b"fine")
    kind, before, after = argument.split("/")
    if float(before):
        time.sleep(float(before))
    if kind == "killed":
        # Not taken back: it may hit whatever the greenlet does then, which may be to wait for a request.
        gevent.spawn_later(float(after), gevent.getcurrent().kill, block=False)
    if kind == "timeout":
        with gevent.Timeout(float(after)):
            return WAITS[path](environ, start_response)
    if kind == "timeout-after":
        gevent.Timeout.start_new(float(after))
    return WAITS[path](environ, start_response)
def wait_for_all(count):
    end = time.monotonic() + 20
    while len(begun) < count and time.monotonic() < end:
        time.sleep(0.01)
    assert len(begun) >= count, f"{len(begun)} of {count} calls at a time"
"""

PATHS = [
    *("read", "lines", "blocks", "big", "write", "wrapped", "small_blocks", "named", "web_socket", "sleep"),
    *("computes", "tells"),
]
BODIES = ("read", "lines")


@dataclass
class Throwing:
    """What clients do, by chance, until `seconds` are over."""

    port: int
    way: str
    seed: int
    outcomes: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float, *, clients: int) -> None:
        """Have so many clients at a time."""
        asyncio.run(self._run(seconds, clients))

    async def _run(self, seconds: float, clients: int) -> None:
        until_s = asyncio.get_running_loop().time() + seconds
        chances = [random.Random(f"{self.seed} {each}") for each in range(clients)]
        tasks = [asyncio.ensure_future(self._client(chance, until_s)) for chance in chances]
        await asyncio.wait(tasks)
        for task in tasks:
            task.result()

    async def _client(self, chance: random.Random, until_s: float) -> None:
        while asyncio.get_running_loop().time() < until_s:
            path = chance.choice(PATHS)
            try:
                outcome = await asyncio.wait_for(self._request(path, chance), 30)
            except ConnectionError:
                outcome = "reset"
            self.outcomes[f"{path} {outcome}"] += 1

    async def _request(self, path: str, chance: random.Random) -> str:
        kinds = ["none"] + (["killed", "timeout", "timeout-after"] if self.way == "gevent" else [])
        # Mostly soon; and around the deadline, so that RequestTimeout comes in what follows.
        before_s = chance.choice([0, 0, 0.01, 0.1 if self.way in ("threads", "gevent") else 0])
        # On a loop whose calls follow each other it holds up all.
        if chance.random() < (0.2 if self.way in ("threads", "gevent") else 0.02):
            before_s = chance.uniform(0.9, 1.3)
        kind, after_s = chance.choice(kinds), chance.choice([0, 0.001, chance.random() * 0.5])
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", self.port))
        reader, writer = await asyncio.open_connection(sock=connection, limit=4096)
        try:
            method = "POST" if path in BODIES else "GET"
            length = "Content-Length: 9000\r\n" if path in BODIES else ""
            upgrade = (
                "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                if path == "web_socket"
                else "Connection: close\r\n"
            )
            target = f"/{path}/{kind}/{before_s}/{after_s}"
            writer.write(f"{method} {target} HTTP/1.1\r\nHost: test\r\n{length}{upgrade}\r\n".encode())
            if path in BODIES:
                writer.write(b"x" * 2999 + b"\n")
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(chance.random() * 0.2)
                if path in BODIES:
                    writer.write(b"x" * 2999 + b"\n")
                elif path == "web_socket":
                    writer.write(b"abc" * 10)
                else:
                    await reader.read(20_000)
            if chance.random() < 0.5:
                reset(connection)
                return "left"
            if path in BODIES and chance.random() < 0.5:
                # What it waits for never comes.
                head = await asyncio.wait_for(reader.read(100), 10)
                return f"stalled {head[9:12].decode()}"
            if path in BODIES:
                writer.write(b"x" * 9000)
            if path == "web_socket":
                writer.write_eof()
            head = await reader.read(100)
            while await reader.read(65536):
                pass
            return f"read {head[9:12].decode()}"
        finally:
            writer.transport.abort()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def begin_throwing(start: Callable[..., Portico], folder: Path, way: str) -> Portico:
    """A server of the application, with one worker."""
    (folder / "file").write_bytes(b"f" * FILE_BYTES)
    calls = ("--threads", "16") if way == "threads" else ("--greenlets", str(GREENLETS))
    portico = start(
        APPLICATION,
        *("-w", "1", "--worker", way, *calls, "--x-sendfile", str(folder)),
        *("--body-memory", "0", "--body-spool", "0", "--response-memory", "64k", "--response-spool", "64k"),
        *("--timeout", "1", "--timeout-grace", "5", "--body-timeout", "2", "--write-timeout", "2"),
        environment={"WAY": way},
    )
    portico.wait_ready()
    # What is made once, when it is first needed.
    for path in PATHS:
        if path not in BODIES:
            portico.get(f"/{path}/none/0/0")
    return portico


def state_of(portico: Portico) -> dict[str, int]:
    state: dict[str, int] = json.loads(portico.get("/state"))
    return state


def assert_as_before(portico: Portico, way: str, before: dict[str, int]) -> None:
    """Assert that nothing is left of what was: descriptors, greenlets, waits, memory."""
    state: dict[str, int] = {}

    def is_as_before() -> bool:
        state.update(state_of(portico))
        is_at_rest = state["descriptors"] <= before["descriptors"]
        if way == "threads":
            return is_at_rest
        # Those of portico's, the hub, the first; all others have ended: a kill may be due in half a second.
        are_ours = state["greenlets"] <= state["made"] + before["greenlets"] - before["made"]
        # The one that tells this is none of the idle ones.
        return is_at_rest and not state["parked"] and state["idle"] == state["made"] - 1 and are_ours

    try:
        wait_until(is_as_before, what="the state of before")
    except AssertionError as error:
        raise AssertionError(f"{before} -> {state}") from error
