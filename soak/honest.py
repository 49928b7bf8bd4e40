"""Honest clients that check every byte: `python soak/honest.py --port 8000 --seconds 60`.

Each visitor is a thread that asks `application.py` for one thing after another, some on a kept connection,
some on a new one each time, and compares what comes with what must come. At the end (after `--seconds`, or
at TERM) it writes one JSON object to standard output: counts, latencies, wrong responses, and for every
response that never came what is needed to say whose fault it was (`judgement.py` says it).

The response parser is the strict one of the tests, which shares no code with the server.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import select
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import application
from support.raw_client import Closed, Connection, Head, ProtocolError, Response, chunked, request_bytes

TIMEOUT_S = 15.0
MOST_RECORDS = 1000
"""Records of failures that are kept; all are counted."""
BUCKETS_PER_DOUBLING = 8
"""Latencies are kept as a histogram: each bucket is 9 % wide."""


class WatchedConnection(Connection):
    """A connection that knows its worker from the first response on."""

    worker: int | None = None
    response_begun = False

    def read_head(self) -> Head:
        self.response_begun = False
        head = super().read_head()
        self.response_begun = True
        worker = head.get("X-Worker")
        if worker is not None:
            self.worker = int(worker)
        return head


@dataclass(frozen=True, slots=True)
class MissingResponse:
    """A response that did not come, or not whole. Times are of the machine's monotonic clock."""

    began_s: float
    ended_s: float
    route: str
    error: str
    worker: int | None
    """The worker of this connection, if a response has told it."""
    first_on_connection: bool
    response_begun: bool


@dataclass(slots=True)
class Account:
    """What all visitors have seen. Only touched with the lock held."""

    requests: int = 0
    body_bytes: int = 0
    connections: int = 0
    closed_while_idle: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    missing_count: int = 0
    missing: list[MissingResponse] = field(default_factory=list)
    wrong_count: int = 0
    wrong: list[str] = field(default_factory=list)
    first_seen_s: dict[int, float] = field(default_factory=dict)
    """When each worker gave its first response."""
    buckets: dict[str, Counter[int]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def complete(self, route: str, response: Response, seconds: float, worker: int | None) -> None:
        with self.lock:
            self.requests += 1
            self.body_bytes += len(response.body)
            self.statuses[str(response.status)] += 1
            self.routes[route] += 1
            bucket = math.ceil(math.log2(max(seconds, 1e-6) * 1e6) * BUCKETS_PER_DOUBLING)
            self.buckets.setdefault(route, Counter())[bucket] += 1
            if worker is not None:
                self.first_seen_s.setdefault(worker, time.monotonic())

    def no_response(self, missing: MissingResponse) -> None:
        with self.lock:
            self.requests += 1
            self.missing_count += 1
            if len(self.missing) < MOST_RECORDS:
                self.missing.append(missing)

    def wrong_response(self, what: str) -> None:
        with self.lock:
            self.wrong_count += 1
            if len(self.wrong) < MOST_RECORDS:
                self.wrong.append(what)

    def report(self) -> dict[str, object]:
        with self.lock:
            return {
                "requests": self.requests,
                "body_bytes": self.body_bytes,
                "connections": self.connections,
                "closed_while_idle": self.closed_while_idle,
                "statuses": dict(sorted(self.statuses.items())),
                "routes": dict(sorted(self.routes.items())),
                "missing_count": self.missing_count,
                "missing": [asdict(one) for one in self.missing],
                "wrong_count": self.wrong_count,
                "wrong": self.wrong,
                "first_seen_s": self.first_seen_s,
                "latency_ms": {route: _percentiles(buckets) for route, buckets in self.buckets.items()},
            }


@dataclass(frozen=True, slots=True)
class Errand:
    """One request, and the only right response to it."""

    route: str
    request: bytes
    status: int
    body: bytes | None
    """None: whatever comes (an error page of the server's)."""


def errand(chance: random.Random) -> Errand:
    """Any of the routes, the fast one most often."""
    kinds: tuple[Callable[[random.Random], Errand], ...]
    kinds = (_fast, _slow, _stream, _upload, _large, _missing, _raise)
    return chance.choices(kinds, weights=(50, 10, 12, 14, 8, 5, 1))[0](chance)


def _fast(chance: random.Random) -> Errand:
    return Errand("fast", request_bytes("/fast"), 200, application.FAST)


def _slow(chance: random.Random) -> Errand:
    ms = chance.randint(5, 50)
    return Errand("slow", request_bytes(f"/slow?ms={ms}"), 200, str(ms).encode())


def _stream(chance: random.Random) -> Errand:
    seed, count, size = (
        chance.randrange(10_000),
        chance.randint(1, 40),
        chance.choice((1, 100, 5_000, 20_000)),
    )
    body = b"".join(application.blocks(seed, count, size))
    return Errand("stream", request_bytes(f"/stream?seed={seed}&blocks={count}&bytes={size}"), 200, body)


def _upload(chance: random.Random) -> Errand:
    size = chance.choice((0, 1, 1_000, 60_000, 200_000, 1_000_000))
    body = application.pattern(chance.randrange(10_000), size)
    expected = f"{size} {hashlib.sha256(body).hexdigest()}".encode()
    if chance.random() < 0.3:
        pieces = [body[start : start + 30_000] for start in range(0, size, 30_000)]
        head = request_bytes("/digest", "POST", headers=["Transfer-Encoding: chunked"])
        return Errand("upload", head + chunked(*pieces), 200, expected)
    return Errand("upload", request_bytes("/digest", "POST", body=body), 200, expected)


def _large(chance: random.Random) -> Errand:
    seed, kibibytes = chance.randrange(4), chance.choice((64, 256, 1024))
    body = application.large(seed, kibibytes)
    return Errand("large", request_bytes(f"/large?seed={seed}&kibibytes={kibibytes}"), 200, body)


def _missing(chance: random.Random) -> Errand:
    return Errand("missing", request_bytes("/nowhere"), 404, application.MISSING)


def _raise(chance: random.Random) -> Errand:
    return Errand("raise", request_bytes("/raise"), 500, None)


class Visitor(threading.Thread):
    """One client: asks, checks, pauses, again."""

    def __init__(
        self, number: int, port: int, pause_s: float, account: Account, over: threading.Event
    ) -> None:
        super().__init__(daemon=True)
        self._chance = random.Random(number)
        self._address = ("127.0.0.1", port)
        self._pause_s = pause_s
        self._account = account
        self._over = over
        # A third comes anew for every request; the others stay for so many.
        self._stays_for = 1 if number % 3 == 0 else 200
        self._connection: WatchedConnection | None = None
        self._asked = 0

    def run(self) -> None:
        while not self._over.wait(self._chance.expovariate(1 / self._pause_s)):
            self._visit(errand(self._chance))
        self._leave()

    def _visit(self, wanted: Errand) -> None:
        if self._connection is not None and select.select([self._connection.socket], [], [], 0)[0]:
            # The server has ended it meanwhile; what can be read must be nothing but that end.
            self._expect_end(self._connection)
        is_last = self._stays_for <= self._asked + 1
        request = wanted.request
        if is_last:
            request = request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        began_s = time.monotonic()
        try:
            if self._connection is None:
                self._connection = WatchedConnection(self._address, timeout_s=TIMEOUT_S)
                with self._account.lock:
                    self._account.connections += 1
            self._connection.response_begun = False
            self._connection.send(request)
            response = self._connection.read_response()
        except (OSError, Closed) as error:
            self._record_missing(wanted.route, began_s, error)
            self._leave()
            return
        except ProtocolError as error:
            self._account.wrong_response(f"{wanted.route}: {error}"[:500])
            self._leave()
            return
        self._asked += 1
        seconds = time.monotonic() - began_s
        self._account.complete(wanted.route, response, seconds, self._connection.worker)
        if response.status != wanted.status or wanted.body not in (None, response.body):
            self._account.wrong_response(
                f"{wanted.route}: {response.status}, {len(response.body)} bytes {response.body[:60]!r} "
                f"instead of {wanted.status}, {len(wanted.body or b'')} bytes"
            )
        if is_last or "close" in (response.get("Connection") or "").lower():
            self._leave()

    def _expect_end(self, connection: WatchedConnection) -> None:
        with self._account.lock:
            self._account.closed_while_idle += 1
        try:
            connection.expect_closed()
        except ProtocolError as error:
            self._account.wrong_response(f"between requests: {error}"[:500])
        self._leave()

    def _record_missing(self, route: str, began_s: float, error: Exception) -> None:
        connection = self._connection
        self._account.no_response(
            MissingResponse(
                began_s,
                time.monotonic(),
                route,
                f"{type(error).__name__}: {error}"[:200],
                connection.worker if connection is not None else None,
                self._asked == 0,
                connection is not None and connection.response_begun,
            )
        )

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._asked = 0


def _percentiles(buckets: Counter[int]) -> dict[str, float]:
    """p50, p99 and the most, in milliseconds, each the upper end of its bucket."""
    total = sum(buckets.values())
    found = {}
    for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0)):
        left = math.ceil(total * share)
        for bucket in sorted(buckets):
            left -= buckets[bucket]
            if left <= 0:
                found[name] = round(2 ** (bucket / BUCKETS_PER_DOUBLING) / 1000, 3)
                break
    return found


def main() -> None:
    """Parse, visit, tell."""
    parser = argparse.ArgumentParser(description="Honest clients that check every byte.")
    parser.add_argument("--port", type=int, required=True, help="of the server, on 127.0.0.1")
    parser.add_argument("--seconds", type=float, default=60, help="the longest run (default 60)")
    parser.add_argument("--visitors", type=int, default=24, help="how many at the same time (default 24)")
    parser.add_argument("--pause", type=float, default=0.02, help="mean pause of each in s (default 0.02)")
    parser.add_argument("--cpu", type=int, help="the only CPU to run on")
    options = parser.parse_args()
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: over.set())
    account = Account()
    visitors = [
        Visitor(number, options.port, options.pause, account, over) for number in range(options.visitors)
    ]
    for visitor in visitors:
        visitor.start()
    over.wait(options.seconds)
    over.set()
    end_s = time.monotonic() + TIMEOUT_S + 5
    for visitor in visitors:
        visitor.join(max(0.0, end_s - time.monotonic()))
    print(json.dumps(account.report() | {"cpu_s": round(time.process_time(), 1)}), flush=True)


if __name__ == "__main__":
    main()
