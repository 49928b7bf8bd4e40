"""What a receiver has had of each counter, and what it is still owed: so a sum of all lines is the count.

Receives families and samples, whose counts only grow; hands on lines (`lines.py`), and hears which of them
have left. What has not stays owed, whatever it is that was in the way. All of it can be dumped and loaded:
the process that pushes may be another one each time.
"""

from __future__ import annotations

from math import isfinite

from portico.admin.families import COUNTER, HISTOGRAM
from portico.admin.statsd.lines import Line, count_line, gauge_line, quantiles, timing_lines
from portico.admin.statsd.names import (
    COUNT,
    ERRORS,
    GAUGE,
    NAMES,
    OF_REQUESTS,
    STATUS,
    SUMS,
    Naming,
    scale_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, TypeAlias

    from portico.admin import Samples
    from portico.admin.families import Family

    Name: TypeAlias = tuple[str, str]
    """Of a line: the name, and tags."""
    Timing: TypeAlias = tuple[str, str, str, tuple[float, ...]]
    """The same, with the type, and upper bounds in the unit of the line."""


class Ledger:
    """Of one receiver; `record` is what `dump` has returned, perhaps in another process."""

    __slots__ = ("_counts", "_gauges", "_had", "_naming", "_quantiles", "_shown", "_timings")

    def __init__(self, *, has_tags: bool, record: dict[str, Any] | None = None) -> None:
        record = record or {}
        self._naming = Naming(has_tags=has_tags)
        # What was seen last of each counter and histogram, by family and labels.
        self._had: dict[tuple[str, tuple[str, ...]], list[float]] = record.get("had", {})
        # What is owed.
        self._counts: dict[Name, float] = record.get("counts", {})
        self._timings: dict[Timing, list[float]] = record.get("timings", {})
        self._gauges: dict[Name, float] = {}
        self._quantiles: dict[Name, float] = {}
        # The gauges that the receiver keeps until it is sent others.
        self._shown: set[Name] = {*record.get("shown", ())}

    def dump(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "had": self._had,
            "counts": self._counts,
            "timings": self._timings,
            "shown": [*self._shown],
        }

    @property
    def owes(self) -> bool:
        """Whether something is owed that can be sent."""
        return any(line.amount for line in self.lines())

    def pass_over(self, families: Iterable[Family], samples: Samples) -> None:
        """Take all that was counted until now for had."""
        for family in families:
            for labels, value in samples.get(family.name, ()):
                if family.kind in (COUNTER, HISTOGRAM):
                    self._had[family.name, labels] = _figures(value)

    def take(self, families: Iterable[Family], samples: Samples) -> None:
        """Note what was counted since, and how gauges are."""
        self._gauges, self._quantiles = {}, {}
        for family in families:
            kind = self._naming.type_of(family)
            grown: list[list[float]] = []
            for labels, value in samples.get(family.name, ()) if kind else ():
                if kind == GAUGE:
                    self._take_gauge(family, labels, value)
                    continue
                more = self._more(family, labels, _figures(value))
                if any(more):
                    grown.append(more)
                    self._owe(family, labels, more, kind)
            if family.name == OF_REQUESTS and grown:
                sums = [sum(figures) for figures in zip(*grown, strict=True)]
                scale = scale_of(family)
                bounds = [bound * scale for bound in family.bounds]
                for suffix, at in quantiles(sums[:-1], bounds, sums[-1] / family.per_sum * scale):
                    self._quantiles[f"{NAMES[OF_REQUESTS]}.{suffix}", ""] = at

    def failed(self) -> None:
        """Count that the receiver could not be reached."""
        self._add_count((ERRORS, ""), 1)

    def lines(self) -> Iterator[Line]:
        """Yield all that is to be sent now."""
        for (name, tags), amount in [*self._counts.items()]:
            yield from count_line(name, tags, amount)
        for key, figures in [*self._timings.items()]:
            name, tags, kind, bounds = key
            yield from timing_lines(name, tags, kind, bounds, figures)
        gauges = {**dict.fromkeys(self._shown, 0.0), **self._gauges}
        for (name, tags), value in (*gauges.items(), *self._quantiles.items()):
            yield gauge_line(name, tags, value)

    def sent(self, lines: Iterable[Line], sign: int = -1) -> None:
        """Owe no longer what has left; with another `sign`, owe it again, since it has not arrived."""
        for line in lines:
            if line.bounds:
                figures = self._timings.setdefault(
                    (line.name, line.tags, line.kind, line.bounds), [0.0] * (len(line.bounds) + 2)
                )
                figures[line.bucket] += sign * line.amount
                figures[-1] += sign * line.amount * line.value
                if not any(figures[:-1]):
                    # What is left of the sum are roundings.
                    del self._timings[line.name, line.tags, line.kind, line.bounds]
            elif line.kind == COUNT:
                self._add_count((line.name, line.tags), sign * line.amount)
            elif (line.name, line.tags) in self._gauges:
                self._shown.add((line.name, line.tags))
            elif sign < 0:
                self._shown.discard((line.name, line.tags))

    def not_arrived(self, lines: Iterable[Line]) -> None:
        """Owe `lines` again that were sent."""
        self.sent(lines, 1)

    def _take_gauge(self, family: Family, labels: tuple[str, ...], value: Any) -> None:
        if not isfinite(value):
            return
        name = self._naming.of(family, labels)
        self._gauges[name] = float(value)
        if family.name in SUMS:
            of_all = (SUMS[family.name], "")
            self._gauges[of_all] = self._gauges.get(of_all, 0.0) + value

    def _more(self, family: Family, labels: tuple[str, ...], figures: list[float]) -> list[float]:
        """Return what `figures` are more than was had; all of them where they have begun anew."""
        before = self._had.get((family.name, labels))
        self._had[family.name, labels] = figures
        if before is None or len(before) != len(figures):
            return figures
        more = [now - then for now, then in zip(figures, before, strict=True)]
        # The sum of a histogram may fall: an application observes what it likes.
        return figures if min(more[:-1] or more) < 0 else more

    def _owe(self, family: Family, labels: tuple[str, ...], more: list[float], kind: str) -> None:
        scale = scale_of(family)
        name, tags = self._naming.of(family, labels)
        if kind == COUNT:
            self._add_count((name, tags), more[0] * scale)
            return
        bounds = tuple([bound * scale for bound in family.bounds])
        sums = self._timings.setdefault((name, tags, kind, bounds), [0.0] * len(more))
        for index, figure in enumerate(more[:-1]):
            sums[index] += figure
        sums[-1] += more[-1] / family.per_sum * scale
        if family.name == OF_REQUESTS:
            self._add_count(self._naming.of(family, labels, STATUS), sum(more[:-1]))

    def _add_count(self, name: Name, amount: float) -> None:
        self._counts[name] = self._counts.get(name, 0) + amount
        if not self._counts[name]:
            del self._counts[name]


def _figures(value: float | Sequence[float]) -> list[float]:
    return [value] if isinstance(value, int | float) else [*value]
