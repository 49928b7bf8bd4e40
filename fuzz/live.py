#!/usr/bin/env python3
"""Sends mutated requests to a real server for a bounded time; exit code 1 if anything was wrong.

    fuzz/live.py [--seconds N] [--clients N] [--seed N]

Each case is one connection: one or more messages of the corpus, mutated, split, then the end of the
sending side. All that comes back has to be whole responses, read by the strict client of the tests; an honest
request beside it has to get its own response; no worker may die or panic. Cases depend on the seed alone.
Two of five go to the listeners for reverse proxies (live_gateway.py).
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path

FUZZ = Path(__file__).resolve().parent
sys.path[:0] = [str(FUZZ.parent / "tests"), str(FUZZ)]

from live_gateway import Gateways  # noqa: E402
from run import FOUND, HTTP_CORPUS, escaped_lines  # noqa: E402
from support.raw_client import Closed, Connection, Head, ProtocolError, request_bytes  # noqa: E402
from support.server import Server  # noqa: E402

HONEST_EVERY = 10
"""So many hostile connections, then an honest request."""
RESPONSE_DEADLINE_S = 30.0
"""The client has ended its side, so a response that takes longer is one that never comes."""
GATEWAY_SHARE = 0.4
"""So many of the hostile connections go to the listeners for reverse proxies."""
MAX_MESSAGE_BYTES = 128 * 1024
MAX_LOST = 0
"""Connections that may be reset before their first response was read, although all was sent in one piece."""

TELLING = [
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"\x0b",
        b"\x7f",
        b"\x80",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"%",
        b"#",
        b"/",
    ),
    *(b"0\r\n\r\n", b"\r\n\r\n", b"Content-Length: 3\r\n", b"Content-Length: 99999999999999999999\r\n"),
    *(
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b" HTTP/1.0\r\n",
    ),
    *(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", b"ffffffff", b"-1", b"_"),
]


class StrictClient(Connection):
    """The strict client, told by the application whether it served a HEAD."""

    @staticmethod
    def _framing(head: Head, method: str) -> str:
        return Connection._framing(head, "HEAD" if head.get("x-method") == "HEAD" else method)


def corpus() -> list[bytes]:
    """What is mutated: small seeds, and the corpus of the tests."""
    files = [path.read_bytes() for path in sorted(HTTP_CORPUS.glob("**/*.http"))]
    return [
        message for message in [*escaped_lines("requests.txt"), *files] if len(message) <= MAX_MESSAGE_BYTES
    ]


def mutated(
    message: bytes, chance: random.Random, messages: list[bytes], telling: list[bytes] = TELLING
) -> bytes:
    """`message` with a few bytes or lines changed; `telling` is what is put into it."""
    for _ in range(chance.choice((0, 1, 1, 2, 3, 6))):
        at = chance.randrange(len(message) + 1)
        end = min(len(message), at + chance.choice((1, 1, 2, 8)))
        match chance.randrange(7):
            case 0 | 1:
                message = message[:at] + chance.choice(telling) + message[end:]
            case 2:
                message = message[:at] + chance.choice(telling) + message[at:]
            case 3:
                message = message[:at] + message[end:]
            case 4:
                lines = message.split(b"\r\n")
                lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
                message = b"\r\n".join(lines)
            case 5:
                message = message[:at] + chance.choice(messages)[-chance.randrange(1, 64) :]
            case _:
                message = message[:at] + bytes([chance.randrange(256)]) + message[end:]
    return message[:MAX_MESSAGE_BYTES]


def split(message: bytes, chance: random.Random) -> list[bytes]:
    """`message` in pieces, often in one."""
    if chance.random() < 0.4:
        return [message]
    places = sorted(chance.randrange(len(message) + 1) for _ in range(chance.choice((1, 2, 5, 20))))
    return [message[start:end] for start, end in zip([0, *places], [*places, len(message)], strict=True)]


def exchange(server: Server, pieces: list[bytes], seen: Counter[str]) -> None:
    """One hostile connection, from connect to close."""
    with StrictClient(server.address, timeout_s=RESPONSE_DEADLINE_S) as client:
        try:
            for piece in pieces:
                client.send(piece)
            client.half_close()
        except TimeoutError:
            raise
        except OSError:
            seen["rejected while sending"] += 1
        has_response = False
        while True:
            try:
                response = client.read_response()
            except ConnectionResetError:
                # What was sent after an error response, and not read any more, may reset the connection.
                seen["reset"] += 1
                if not has_response and len(pieces) > 1:
                    # What comes behind a last request may come after the close (RFC 9112 9.6); not if it
                    # comes together with the request.
                    seen["sent again in one piece"] += 1
                    exchange(server, [b"".join(pieces)], seen)
                elif not has_response:
                    seen["reset before any response"] += 1
                return
            except Closed as closed:
                if closed.received:
                    raise
                seen["closed without a response"] += not has_response
                return
            has_response = True
            seen[f"status {response.status}"] += 1


def honest(server: Server, connection: Connection, number: int) -> None:
    """A request that has nothing to do with the others, on a connection that is kept and on a fresh one."""
    body = b"honest %d" % number
    for client in (connection, Connection(server.address, timeout_s=RESPONSE_DEADLINE_S)):
        client.send(request_bytes("/honest", "POST", body=body))
        response = client.read_response()
        if (response.status, response.body) != (200, body):
            raise ProtocolError(f"an honest request got {response}")
        if client is connection and response.get("connection") is not None:
            raise ProtocolError(f"a connection that waits for each response is closed after {number} cases")
        if client is not connection:
            client.close()


class Run:
    """The clients of one run, and what they saw."""

    def __init__(self, server: Server, gateways: Gateways, *, seconds: float, seed: int) -> None:
        self.server = server
        self.gateways = gateways
        self.end = time.monotonic() + seconds
        self.seed = seed
        self.messages = corpus()
        self.seen: Counter[str] = Counter()
        self.failures: list[str] = []
        self.lock = threading.Lock()

    def client(self, index: int) -> None:
        """One client's cases, until the end or the first failure of anybody."""
        chance = random.Random(self.seed * 1000 + index)
        seen: Counter[str] = Counter()
        name, message = "", b""
        try:
            with self.server.connect(timeout_s=RESPONSE_DEADLINE_S) as kept:
                while time.monotonic() < self.end and not self.failures:
                    if chance.random() < GATEWAY_SHARE:
                        name, message = self.gateways.case(chance, self.messages, mutated)
                        self.gateways.exchange(name, split(message, chance), seen, RESPONSE_DEADLINE_S)
                    else:
                        name = "http"
                        parts = [chance.choice(self.messages) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
                        message = mutated(b"".join(parts), chance, self.messages)
                        exchange(self.server, split(message, chance), seen)
                    seen["sent"] += 1
                    if seen["sent"] % HONEST_EVERY == 0:
                        honest(self.server, kept, seen["sent"])
                        self.gateways.honest(seen["sent"], RESPONSE_DEADLINE_S)
                        seen["honest"] += 2 + len(self.gateways.addresses)
        except (OSError, AssertionError) as error:
            FOUND.mkdir(exist_ok=True)
            path = FOUND / f"live-{self.seed}-{index}-{seen['sent']}"
            path.write_bytes(message)
            with self.lock:
                self.failures.append(
                    f"{type(error).__name__}: {error} (the last message sent is {path}, to {name})"
                )
        with self.lock:
            self.seen += seen


def main() -> int:
    """Start the server, let the clients run, say what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, [str(FUZZ), os.environ.get("PYTHONPATH")]))}
    gateways = Gateways()
    application, options = "live_application:application", gateways.options
    with Server(application, threads=4, environment=environment, options=options) as server:
        workers = server.worker_pids
        run = Run(server, gateways, seconds=arguments.seconds, seed=arguments.seed)
        threads = [threading.Thread(target=run.client, args=(index,)) for index in range(arguments.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if server.worker_pids != workers:
            run.failures.append(f"workers died: {workers} before, {server.worker_pids} after")
        if "panicked at" in server.error_log.text():
            run.failures.append("a panic in the error log")
        lost = run.seen["reset before any response"]
        if lost > MAX_LOST:
            run.failures.append(f"{lost} connections were reset before any response was read")
        if run.failures:
            print(server.log_tail())
    for what, count in sorted(run.seen.items()):
        print(f"{what:<48}{count:>9}")
    sent, honest_ones = run.seen["sent"], run.seen["honest"]
    print(f"sent {sent} connections, {honest_ones} honest requests, {len(run.messages)} seeds")
    for failure in run.failures:
        print(failure)
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
