"""The figures of a report: what text, page and --json show, made of a tally."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portico.report.histogram import Histogram
from portico.report.reading import Log
from portico.report.tally import OTHERS, PARTS, Route, RouteTally, SlowRequest, Tally

PERCENTILES = (50.0, 90.0, 99.0, 99.9)


@dataclass(frozen=True)
class Percentile:
    """A percentile, and between which durations it truly is: None where there are too few requests."""

    ns: int
    low_ns: int | None
    high_ns: int | None


@dataclass(frozen=True)
class Durations:
    """How long requests took; `timed` of them say so."""

    timed: int
    p50: Percentile
    p90: Percentile
    p99: Percentile
    p99_9: Percentile
    max_ns: int


@dataclass(frozen=True)
class RouteFigures:
    """One route; `share` is of the total time of all."""

    route: Route
    requests: int
    errors: int
    body_bytes: int
    total_ns: int
    share: float
    durations: Durations
    parts_ns: Mapping[str, int]


@dataclass(frozen=True)
class Interval:
    """A piece of the period."""

    start_s: float
    requests: int
    errors: int


@dataclass(frozen=True)
class Source:
    """A log, and how much of it could be read."""

    name: str
    format: str
    lines: int
    unreadable_lines: int
    first_unreadable: str | None
    is_truncated: bool


@dataclass(frozen=True)
class Figures:
    """All figures of one log, or of several together."""

    sources: Sequence[Source]
    by_path: bool
    first_s: float | None
    last_s: float | None
    per_second: float | None
    resolution_ns: int
    all: RouteFigures
    routes: Sequence[RouteFigures]
    """By total time; the last may be all others."""
    folded_requests: int
    statuses: Mapping[str, int]
    causes: Mapping[str, int]
    interval_s: int
    intervals: Sequence[Interval]
    slowest: Sequence[SlowRequest]


def figures(tally: Tally, logs: Sequence[Log]) -> Figures:
    """Return the figures of `tally`, which has counted all records of `logs`."""
    tally.fold()
    total_ns = tally.all.total_ns
    ranked = sorted(
        tally.routes.items(), key=lambda item: (-item[1].total_ns, -item[1].requests, item[0].text)
    )
    routes = [_route(route, each, total_ns) for route, each in ranked]
    if tally.others.requests:
        routes.append(_route(OTHERS, tally.others, total_ns))
    period_s = (tally.last_s or 0) - (tally.first_s or 0)
    return Figures(
        sources=[_source(log) for log in logs],
        by_path=tally.by_path,
        first_s=tally.first_s,
        last_s=tally.last_s,
        per_second=tally.all.requests / period_s if period_s >= 1 else None,
        resolution_ns=tally.resolution_ns,
        all=_route(Route("", "all", False), tally.all, total_ns),
        routes=routes,
        folded_requests=tally.others.requests,
        statuses={f"{status:03}": number for status, number in sorted(tally.statuses.items())},
        causes=dict(tally.causes.most_common()),
        interval_s=tally.interval_s,
        intervals=_intervals(tally),
        slowest=tally.slowest,
    )


def classes(statuses: Mapping[str, int]) -> dict[str, int]:
    """Return how many responses of each class there were; two statuses that are none of HTTP stand alone."""
    found: dict[str, int] = {}
    for status, number in statuses.items():
        name = status if status in ("000", "499") else f"{status[0]}xx"
        found[name] = found.get(name, 0) + number
    return found


def _route(route: Route, tally: RouteTally, all_ns: int) -> RouteFigures:
    parts = dict(zip(PARTS, tally.parts_ns, strict=True))
    return RouteFigures(
        route=route,
        requests=tally.requests,
        errors=tally.errors,
        body_bytes=tally.body_bytes,
        total_ns=tally.total_ns,
        share=tally.total_ns / all_ns if all_ns else 0.0,
        durations=_durations(tally.durations),
        parts_ns={name: ns for name, ns in parts.items() if ns},
    )


def _durations(histogram: Histogram) -> Durations:
    p50, p90, p99, p99_9 = (_percentile(histogram, percent) for percent in PERCENTILES)
    return Durations(histogram.count, p50, p90, p99, p99_9, histogram.largest_ns)


def _percentile(histogram: Histogram, percent: float) -> Percentile:
    low_ns, high_ns = histogram.interval(percent) or (None, None)
    return Percentile(histogram.percentile(percent), low_ns, high_ns)


def _intervals(tally: Tally) -> list[Interval]:
    """All intervals of the period, also those without a request."""
    if not tally.intervals:
        return []
    none = (0, 0)
    return [
        Interval(index * tally.interval_s, *tally.intervals.get(index, none))
        for index in range(min(tally.intervals), max(tally.intervals) + 1)
    ]


def _source(log: Log) -> Source:
    first = str(log.first_unreadable) if log.first_unreadable else None
    name = log.format.name if log.format else "unknown"
    return Source(log.name, name, log.lines, log.unreadable_lines, first, log.is_truncated)
