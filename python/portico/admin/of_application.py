"""What is told of an application's own metrics (`portico.metrics`): families and samples, as of portico's.

Receives what is in the memory that the workers share; runs where somebody asks, in the admin process. Of two
metrics with one name, which a reload has changed, the one that was defined last is told.
"""

from __future__ import annotations

from portico.admin.families import COUNTER, GAUGE, HISTOGRAM, Family
from portico.admin.keys import HELP, METRIC, OTHER, SERIES, unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from portico import _core
    from portico.admin import Samples

_KINDS = (COUNTER, GAUGE, HISTOGRAM)


class _Defined:
    """A metric as it was defined: what its samples have in common."""

    __slots__ = ("defined_at_ns", "help", "helped_at_ns", "kind", "labels", "name", "special")

    def __init__(self, defined_at_ns: int, kind: str, name: str, special: str, *labels: str) -> None:
        self.defined_at_ns = defined_at_ns
        self.kind = kind
        self.name = name
        self.special = special
        self.labels = labels
        self.help = ""
        self.helped_at_ns = 0


class ApplicationMetrics:
    """Reads them out of a scoreboard; what keys mean is remembered, since they stay."""

    __slots__ = ("_keys", "_scoreboard")

    def __init__(self, scoreboard: _core.Scoreboard) -> None:
        self._scoreboard = scoreboard
        self._keys: dict[int, list[str]] = {}

    def now(self) -> tuple[list[Family], Samples]:
        """Return the metrics that are defined, by name, and their samples."""
        defined: dict[str, _Defined] = {}
        figures: dict[str, dict[tuple[str, ...], list[float]]] = {}
        series: dict[int, tuple[str, tuple[str, ...]]] = {}
        for entry, key, stamped_ns, values in self._scoreboard.metrics():
            what, *rest = self._key(entry, key)
            if what == METRIC:
                defined[str(entry)] = _Defined(stamped_ns, *rest)
            elif what == HELP and stamped_ns >= defined[rest[0]].helped_at_ns:
                defined[rest[0]].helped_at_ns, defined[rest[0]].help = stamped_ns, rest[1]
            elif what == SERIES:
                metric, *labels = rest
                series[entry] = (metric, tuple(labels))
                _add(figures.setdefault(metric, {}), tuple(labels), values)
        gauges = self._gauges(series)
        families: list[Family] = []
        samples: Samples = {}
        latest = {each.name: number for number, each in sorted(defined.items(), key=_age)}
        for _, number in sorted(latest.items()):
            each = defined[number]
            family = _family(each)
            families.append(family)
            of_gauge = gauges.get(number, {})
            samples[family.name] = [*_samples(each, figures.get(number, {}), of_gauge)]
        return families, samples

    def _key(self, number: int, key: bytes) -> list[str]:
        if number not in self._keys:
            self._keys[number] = unpacked(key)
        return self._keys[number]

    def _gauges(
        self, series: Mapping[int, tuple[str, tuple[str, ...]]]
    ) -> dict[str, dict[tuple[str, ...], list[tuple[int, float]]]]:
        """Return, of each metric and its series, the values, each with the slot of its worker."""
        found: dict[str, dict[tuple[str, ...], list[tuple[int, float]]]] = {}
        for slot, number, value in self._scoreboard.gauges():
            if number in series:
                metric, labels = series[number]
                found.setdefault(metric, {}).setdefault(labels, []).append((slot, value))
        return found


def _age(row: tuple[str, _Defined]) -> int:
    return row[1].defined_at_ns


def _add(sums: dict[tuple[str, ...], list[float]], labels: tuple[str, ...], values: list[float]) -> None:
    """Add what is in an entry: two may have the same key."""
    before = sums.get(labels)
    sums[labels] = values if before is None else [a + b for a, b in zip(before, values, strict=True)]


def _family(each: _Defined) -> Family:
    if each.kind == HISTOGRAM:
        bounds = tuple(map(float, each.special.split()))
        return Family(each.name, HISTOGRAM, each.help, labels=each.labels, bounds=bounds, per_sum=1)
    labels = (*each.labels, "worker") if each.special == "each" else each.labels
    name = f"{each.name}_total" if each.kind == COUNTER else each.name
    return Family(name, each.kind, each.help, labels=labels)


def _samples(
    each: _Defined,
    figures: Mapping[tuple[str, ...], list[float]],
    gauges: Mapping[tuple[str, ...], list[tuple[int, float]]],
) -> Iterable[tuple[tuple[str, ...], float | list[float]]]:
    """Yield the values of each series; that for what finds no room only if something was counted there."""
    others = (OTHER,) * len(each.labels)
    if each.kind == GAUGE and each.special != "last":
        yield from _samples_of_workers(each, gauges, others)
        return
    for labels, values in figures.items():
        if labels and labels == others and (each.kind == GAUGE or not any(values)):
            continue
        yield labels, values if each.kind == HISTOGRAM else values[0]


def _samples_of_workers(
    each: _Defined, gauges: Mapping[tuple[str, ...], list[tuple[int, float]]], others: tuple[str, ...]
) -> Iterable[tuple[tuple[str, ...], float]]:
    aggregate: dict[str, Callable[[list[float]], float]] = {"sum": sum, "max": max, "min": min}
    for labels, values in gauges.items():
        # Of several gauges one value says nothing.
        if labels and labels == others:
            continue
        if each.special in aggregate:
            yield labels, aggregate[each.special]([value for _, value in values])
        else:
            # People count from one.
            yield from (((*labels, str(slot + 1)), value) for slot, value in sorted(values))
