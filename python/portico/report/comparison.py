"""What changed between two logs: only what more requests would not take back.

A percentile has changed if the intervals that its true value is in do not overlap, and by more than a tenth,
and by more than the durations of both logs tell apart. Errors have become more, or fewer, by a test of two
proportions. Each is wrong in one of a thousand cases at most, since a log has many routes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from portico.report.figures import Figures, Percentile, RouteFigures
from portico.report.tally import OTHERS

ENOUGH = 30
"""Requests that a route has at least, before it is said that it is new, gone, or called more often."""

_LEAST_CHANGE = 0.1
_LOAD_FACTOR = 1.5
_STANDARD_DEVIATIONS = 3.29


@dataclass(frozen=True)
class Change:
    """A route that is not as it was, in the ways of `kinds`; before or after is None if it was not there."""

    kinds: tuple[str, ...]
    before: RouteFigures | None
    after: RouteFigures | None

    @property
    def either(self) -> RouteFigures:
        """The route as it is, or was."""
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True)
class Comparison:
    """All that changed. Changes are in the order of the time that they cost or save."""

    before: Figures
    after: Figures
    overall: tuple[str, ...]
    changes: Sequence[Change]
    new_causes: Sequence[str]


def compare(before: Figures, after: Figures) -> Comparison:
    """Return what changed from `before` to `after`."""
    resolution_ns = max(before.resolution_ns, after.resolution_ns)
    seconds = (_period_s(before), _period_s(after))
    old = {each.route: each for each in before.routes if each.route != OTHERS}
    new = {each.route: each for each in after.routes if each.route != OTHERS}
    changes = []
    for route in {**new, **old}:
        one, two = old.get(route), new.get(route)
        if one and two:
            kinds = tuple(_kinds(one, two, resolution_ns, seconds))
        elif two:
            kinds = ("new",) if two.requests >= ENOUGH and not before.folded_requests else ()
        else:
            assert one is not None
            kinds = ("gone",) if one.requests >= ENOUGH and not after.folded_requests else ()
        if kinds:
            changes.append(Change(kinds, one, two))
    return Comparison(
        before,
        after,
        tuple(_kinds(before.all, after.all, resolution_ns, seconds)),
        sorted(changes, key=lambda change: (-abs(cost_ns(change)), change.either.route.text)),
        [cause for cause in after.causes if cause not in before.causes],
    )


def cost_ns(change: Change) -> float:
    """Return how much longer the requests took, in all, than they would have by the mean of before."""
    before, after = change.before, change.after
    if before is None or after is None:
        return after.total_ns if after else -change.either.total_ns
    if not before.durations.timed or not after.durations.timed:
        return 0.0
    mean_ns = before.total_ns / before.durations.timed
    return after.total_ns - mean_ns * after.durations.timed


def _kinds(
    before: RouteFigures, after: RouteFigures, resolution_ns: int, seconds: tuple[float, float]
) -> Iterator[str]:
    """Yield in which ways a route has changed."""
    for name, one, two in (
        ("p50", before.durations.p50, after.durations.p50),
        ("p99", before.durations.p99, after.durations.p99),
    ):
        direction = _direction(one, two, resolution_ns)
        if direction:
            yield f"{direction} ({name})"
    if min(seconds) >= 1 and min(before.requests, after.requests) >= ENOUGH:
        # How many requests of the route there were at a time, on average (Little, 1961).
        load = (before.total_ns / seconds[0], after.total_ns / seconds[1])
        if min(load) > 0 and max(load) / min(load) >= _LOAD_FACTOR:
            yield "more time" if load[1] > load[0] else "less time"
    deviations = _deviations(before, after)
    if deviations > _STANDARD_DEVIATIONS:
        yield "more errors" if before.errors else "new errors"
    elif deviations < -_STANDARD_DEVIATIONS:
        yield "fewer errors" if after.errors else "no more errors"


def _direction(before: Percentile, after: Percentile, resolution_ns: int) -> str:
    if before.low_ns is None or before.high_ns is None or after.low_ns is None or after.high_ns is None:
        return ""
    difference_ns = after.ns - before.ns
    if abs(difference_ns) <= max(resolution_ns, _LEAST_CHANGE * min(before.ns, after.ns)):
        return ""
    if after.low_ns > before.high_ns:
        return "slower"
    return "faster" if after.high_ns < before.low_ns else ""


def _deviations(before: RouteFigures, after: RouteFigures) -> float:
    """Return how many standard deviations the share of errors has moved by."""
    both = before.requests + after.requests
    share = (before.errors + after.errors) / both
    variance = share * (1 - share) * (1 / before.requests + 1 / after.requests)
    if variance == 0:
        return 0.0
    moved = after.errors / after.requests - before.errors / before.requests
    return moved / math.sqrt(variance)


def _period_s(figures: Figures) -> float:
    return (figures.last_s or 0) - (figures.first_s or 0)
