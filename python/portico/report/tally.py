"""The account of a log: what is kept of its requests while they go by.

Bounded, whatever comes: so many routes, intervals, causes and slow requests, and no more. When there are too
many routes those with the least time are put together as others.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from portico.report.histogram import Histogram
from portico.report.record import Record
from portico.report.routes import LONGEST, general, method_of

MAX_ROUTES = 500
MAX_CAUSES = 50
SLOWEST = 20
MAX_INTERVALS = 240

PARTS = ("queue", "lock", "computing", "waiting", "application", "client", "other")
"""Where the time of a request went; `application` is computing and waiting, where the log has no more."""


@dataclass(frozen=True)
class Route:
    """What requests are counted by: a method, and a route of the framework or a general path."""

    method: str
    text: str
    is_framework: bool


OTHERS = Route("", "other routes", False)


class RouteTally:
    """What is kept of the requests of one route."""

    __slots__ = ("body_bytes", "durations", "errors", "parts_ns", "requests", "total_ns")

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        self.body_bytes = 0
        self.total_ns = 0
        self.parts_ns = [0] * len(PARTS)
        self.durations = Histogram()

    def add(self, record: Record) -> None:
        """Count one request."""
        self.requests += 1
        self.errors += is_error(record)
        self.body_bytes += record.body_bytes or 0
        if record.total_ns is None:
            return
        self.total_ns += record.total_ns
        self.durations.add(record.total_ns)
        if record.app_ns is not None:
            for index, part_ns in enumerate(parts_of(record)):
                self.parts_ns[index] += part_ns

    def merge(self, other: RouteTally) -> None:
        """Add all that `other` has counted."""
        self.requests += other.requests
        self.errors += other.errors
        self.body_bytes += other.body_bytes
        self.total_ns += other.total_ns
        self.parts_ns = [one + two for one, two in zip(self.parts_ns, other.parts_ns, strict=True)]
        self.durations.merge(other.durations)


@dataclass(frozen=True)
class SlowRequest:
    """One of the slowest requests."""

    total_ns: int
    ended_s: float | None
    method: str
    path: str
    status: int
    cause: str | None
    parts_ns: tuple[int, ...] | None


class Tally:
    """What is kept of a log. `by_path`: also where the framework has told a route."""

    def __init__(self, *, by_path: bool, max_routes: int = MAX_ROUTES) -> None:
        self.by_path = by_path
        self.all = RouteTally()
        self.routes: dict[Route, RouteTally] = {}
        self.others = RouteTally()
        self.statuses: Counter[int] = Counter()
        self.causes: Counter[str] = Counter()
        self.first_s: float | None = None
        self.last_s: float | None = None
        self.interval_s = 1
        self.intervals: dict[int, list[int]] = {}
        self.resolution_ns = 1
        self._max_routes = max_routes
        self._slowest: list[tuple[int, int, SlowRequest]] = []
        self._numbers = count()

    def add_all(self, records: Iterable[Record]) -> None:
        """Count all of `records`."""
        for record in records:
            self.add(record)

    def add(self, record: Record) -> None:
        """Count one request."""
        self.all.add(record)
        self.statuses[record.status] += 1
        self._route(record).add(record)
        if record.cause is not None:
            self._add_cause(record.cause)
        if record.ended_s is not None:
            self._add_moment(record.ended_s, is_error(record))
        if record.total_ns is not None:
            self.resolution_ns = max(self.resolution_ns, record.resolution_ns)
            self._add_slow(record, record.total_ns)

    @property
    def slowest(self) -> list[SlowRequest]:
        """The slowest requests, the slowest first."""
        return [slow for _, _, slow in sorted(self._slowest, reverse=True)]

    def _route(self, record: Record) -> RouteTally:
        method = method_of(record.method)
        if record.route is not None and not self.by_path:
            route = Route(method, record.route[:LONGEST], True)
        else:
            route = Route(method, general(record.path or "-"), False)
        tally = self.routes.get(route)
        if tally is None:
            if len(self.routes) >= 2 * self._max_routes:
                self.fold()
            tally = self.routes[route] = RouteTally()
        return tally

    def fold(self) -> None:
        """Put routes together as others, so that `max_routes` are left."""
        ranked = sorted(self.routes.items(), key=lambda item: (item[1].total_ns, item[1].requests))
        for route, tally in ranked[: -self._max_routes]:
            self.others.merge(tally)
            del self.routes[route]

    def _add_cause(self, cause: str) -> None:
        if cause not in self.causes and len(self.causes) >= MAX_CAUSES:
            cause = "other"
        self.causes[cause[:LONGEST]] += 1

    def _add_moment(self, ended_s: float, is_an_error: bool) -> None:
        if self.first_s is None or self.last_s is None:
            self.first_s = self.last_s = ended_s
        elif ended_s > self.last_s:
            self.last_s = ended_s
        elif ended_s < self.first_s:
            self.first_s = ended_s
        while self.last_s // self.interval_s - self.first_s // self.interval_s >= MAX_INTERVALS:
            self._widen()
        interval = self.intervals.setdefault(int(ended_s // self.interval_s), [0, 0])
        interval[0] += 1
        interval[1] += is_an_error

    def _widen(self) -> None:
        self.interval_s *= 2
        narrow, self.intervals = self.intervals, {}
        for index, (requests, errors) in narrow.items():
            wide = self.intervals.setdefault(index // 2, [0, 0])
            wide[0] += requests
            wide[1] += errors

    def _add_slow(self, record: Record, total_ns: int) -> None:
        if len(self._slowest) == SLOWEST and total_ns <= self._slowest[0][0]:
            return
        slow = SlowRequest(
            total_ns,
            record.ended_s,
            method_of(record.method),
            (record.path or "-")[: 2 * LONGEST],
            record.status,
            record.cause,
            None if record.app_ns is None else tuple(parts_of(record)),
        )
        # The number decides between equals: the earlier stays.
        push = heapq.heappush if len(self._slowest) < SLOWEST else heapq.heappushpop
        push(self._slowest, (total_ns, -next(self._numbers), slow))


def is_error(record: Record) -> bool:
    """Whether the server is to blame: from 500 on, and 000, of a worker that was killed."""
    return record.status >= 500 or record.status < 100


def parts_of(record: Record) -> list[int]:
    """Return where the time of a request went, as PARTS, in nanoseconds; they add up."""
    left = record.total_ns or 0
    taken = []
    # That of the client is beside that of the application, not in it.
    app_ns, client_ns = record.app_ns or 0, record.client_ns or 0
    if record.cpu_ns is None:
        computing = waiting = 0
        application = app_ns
    else:
        computing = min(record.cpu_ns, app_ns)
        waiting = app_ns - computing
        application = 0
    for part in (record.queue_ns or 0, record.lock_ns or 0, computing, waiting, application, client_ns):
        taken.append(min(part, left))
        left -= taken[-1]
    return [*taken, left]
