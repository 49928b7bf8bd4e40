"""Metrics of an application's own, which all its workers count together: counters, gauges, histograms.

    from portico.metrics import Counter, Gauge, Histogram

    ORDERS = Counter("shop_orders", "Orders that were placed.", labels=("country",))
    ORDERS.inc(country="at")

They are told at the admin address of the server, `/metrics`. Under portico they are in memory that all
workers share: they are exact whatever becomes of a worker, and go on over reloads and upgrades. In any other
process, a test or a shell, they are that process's own. All of it may be called on any thread, before and
after a fork; nothing waits. Imported by applications alone.
"""

from __future__ import annotations

import math
import re
from _thread import allocate_lock
from functools import wraps
from time import perf_counter

from portico import _core
from portico._core import DURATION_BOUNDS_S, CounterSeries, GaugeSeries
from portico.admin.families import COUNTER, FAMILIES, GAUGE, HISTOGRAM
from portico.admin.keys import HELP, METRIC, OTHER, SERIES, packed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Any, ClassVar, Generic, TypeVar

    Call = TypeVar("Call", bound=Callable[..., Any])
    Series = TypeVar("Series")

    class _Of(Generic[Series]):
        """Of one kind of series."""

else:

    class _Of:
        __slots__ = ()

        def __class_getitem__(cls, _):
            return cls


__all__ = ["Counter", "CounterSeries", "Gauge", "GaugeSeries", "Histogram", "HistogramSeries", "Timer"]

MOST_BUCKETS = 64
VALUE_BYTES = 128
"""How much of the value of a label there is at most."""
MOST_HELP_BYTES = 2048

WORKERS = ("sum", "max", "min", "last", "each")
"""What is told of a gauge that each worker has set."""
WORKER = "worker"
"""The label that says whose gauge it is, where each is told."""

# The data model of Prometheus; a colon is for the rules of those who ask.
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_OWN_PREFIX = "portico_"
_SUFFIXES = {COUNTER: ("", "_total"), GAUGE: ("",), HISTOGRAM: ("", "_bucket", "_sum", "_count")}
_RESERVED_LABELS = {HISTOGRAM: ("le",), GAUGE: (WORKER,)}


class _Metric(_Of["Series"]):
    """What the kinds have in common: a name that is theirs alone, and series by the values of labels."""

    __slots__ = ("_labels", "_number", "_only", "_other", "_series", "name")

    _kind: ClassVar[str]

    def __init__(self, name: str, help: str, labels: Sequence[str], special: str) -> None:
        where = f"metrics: {type(self).__name__} {name!r}"
        _check_name(where, name, self._kind)
        self.name = name
        self._labels = _checked_labels(where, labels, self._kind)
        _check_help(where, help)
        _REGISTRY.add(where, self._kind, name, (self._labels, special))
        self._series: dict[tuple[str, ...], Series] = {}
        try:
            self._number = str(_core.define_metric(packed(METRIC, self._kind, name, special, *self._labels)))
            # Made at once: without labels it is told from the start on, with labels the rest has room.
            self._other = self._make((OTHER,) * len(self._labels), is_bounded=False)
        except MemoryError:
            raise ValueError(f"{where}: there is no room for another metric in this server") from None
        self._only = None if self._labels else self._other
        try:  # noqa: SIM105 - contextlib is not needed here otherwise
            _core.define_metric(packed(HELP, self._number, help))
        except MemoryError:
            pass  # the one before is told

    def labels(self, *values: object, **named: object) -> Series:
        """Return the series with these values of the labels, in their order or by name.

        Keep it where it is often used: finding it takes longer than counting. Raises ValueError if a value is
        missing or there is one too many.
        """
        if named:
            try:
                values = tuple([named[name] for name in self._labels]) if not values else ()
            except KeyError:
                values = ()
            if len(values) != len(named):
                raise self._wrong_labels([*named])
        elif len(values) != len(self._labels):
            raise self._wrong_labels([*map(repr, values)])
        try:
            # Those that are there have texts only.
            return self._series[values]  # type: ignore[index]
        except (KeyError, TypeError):
            return self._find(tuple(map(str, values)))

    def _of(self, labels: dict[str, object]) -> Series:
        if self._only is not None and not labels:
            return self._only
        return self.labels(**labels)

    def _find(self, key: tuple[str, ...]) -> Series:
        series = self._series.get(key)
        if series is not None:
            return series
        try:
            series = self._make(key, is_bounded=bool(key))
        except MemoryError:
            if _core.is_to_say_that_metrics_are_full():
                _core.log(
                    "warning",
                    f"metrics: {self.name}: there is no room for another series; those that come now are "
                    f"counted as {OTHER}",
                )
            return self._other
        self._series[key] = series
        return series

    def _make(self, key: tuple[str, ...], *, is_bounded: bool) -> Series:
        return self._new(packed(SERIES, self._number, *map(_shortened, key)), is_bounded)

    def _new(self, key: bytes, is_bounded: bool) -> Series:
        raise NotImplementedError

    def _wrong_labels(self, got: list[str]) -> ValueError:
        return ValueError(
            f"metrics: {self.name}: labels: expected {', '.join(self._labels) or 'none'}, "
            f"got {', '.join(got) or 'none'}"
        )


class Counter(_Metric["CounterSeries"]):
    """A number that only grows, one for all workers.

    It is told as `name_total`, whether `name` ends so or not. Raises ValueError if a name is none, or is
    another metric's.

        ORDERS = Counter("shop_orders", "Orders that were placed.", labels=("country",))
        ORDERS.inc(3, country="at")
    """

    __slots__ = ()

    _kind = COUNTER

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()) -> None:
        name = name.removesuffix("_total") if isinstance(name, str) else name
        super().__init__(name, help, labels, "")

    def inc(self, amount: float = 1, /, **labels: object) -> None:
        """Add `amount`, a number from 0 on; ValueError if it is none."""
        self._of(labels).inc(amount)

    def value(self, /, **labels: object) -> float:
        """Return what all workers have counted."""
        return self._of(labels).value()

    def _new(self, key: bytes, is_bounded: bool) -> CounterSeries:
        return CounterSeries(key, is_bounded)


class Gauge(_Metric["GaugeSeries"]):
    """A number that goes up and down.

    Each worker has its own until it ends, and `workers` is what is told of them:

    * `sum`, `max` or `min` of those that have set it;
    * `each` of them, with the label `worker`, whose value is the number in the worker's title;
    * `last`: there is only one, which all set, and which stays when a worker ends.

    Raises ValueError if a name is none, or is another metric's.

        BASKETS = Gauge("shop_open_baskets", "Baskets that are not paid yet.")
        BASKETS.inc()
    """

    __slots__ = ("_workers",)

    _kind = GAUGE

    def __init__(self, name: str, help: str, labels: Sequence[str] = (), *, workers: str = "sum") -> None:
        if workers not in WORKERS:
            raise ValueError(
                f"metrics: Gauge {name!r}: workers: expected {', '.join(WORKERS[:-1])} or {WORKERS[-1]}, "
                f"got {workers!r}"
            )
        self._workers = workers
        super().__init__(name, help, labels, workers)

    def set(self, value: float, /, **labels: object) -> None:
        """Set it to `value`."""
        self._of(labels).set(value)

    def inc(self, amount: float = 1, /, **labels: object) -> None:
        """Add `amount`."""
        self._of(labels).inc(amount)

    def dec(self, amount: float = 1, /, **labels: object) -> None:
        """Subtract `amount`."""
        self._of(labels).dec(amount)

    def value(self, /, **labels: object) -> float:
        """Return what this worker has set; with `last`, what any has."""
        return self._of(labels).value()

    def _new(self, key: bytes, is_bounded: bool) -> GaugeSeries:
        return GaugeSeries(key, is_bounded, self._workers == "last")


class HistogramSeries(_core.HistogramSeries):
    """One series of a histogram."""

    __slots__ = ()

    def time(self) -> Timer:
        """Return what observes how many seconds a `with` block takes, or each call of a function."""
        return Timer(self.observe)

    def count(self) -> int:
        """Return how many there are."""
        return int(sum(self.figures()[:-1]))

    def sum(self) -> float:
        """Return the sum of all."""
        return self.figures()[-1]


class Histogram(_Metric["HistogramSeries"]):
    """How often something was how large, one for all workers.

    `buckets` are the upper bounds of what is counted together, at most 64 numbers from 0 on in ascending
    order; by default those of durations in seconds that OpenTelemetry recommends. Raises ValueError if a name
    is none, or is another metric's.

        TOOK = Histogram("shop_payment_seconds", "How long the bank takes.", labels=("bank",))
        with TOOK.time(bank="alpha"):
            pay()
    """

    __slots__ = ("_bounds",)

    _kind = HISTOGRAM

    def __init__(
        self,
        name: str,
        help: str,
        labels: Sequence[str] = (),
        *,
        buckets: Sequence[float] = DURATION_BOUNDS_S,
    ) -> None:
        self._bounds = _checked_bounds(f"metrics: Histogram {name!r}", buckets)
        super().__init__(name, help, labels, " ".join(map(repr, self._bounds)))

    def observe(self, value: float, /, **labels: object) -> None:
        """Count `value`; ValueError if it is no number."""
        self._of(labels).observe(value)

    def time(self, /, **labels: object) -> Timer:
        """Return what observes how many seconds a `with` block takes, or each call of a function."""
        return self._of(labels).time()

    def count(self, /, **labels: object) -> int:
        """Return how many there are, of all workers."""
        return self._of(labels).count()

    def sum(self, /, **labels: object) -> float:
        """Return the sum of all, of all workers."""
        return self._of(labels).sum()

    def _new(self, key: bytes, is_bounded: bool) -> HistogramSeries:
        return HistogramSeries(key, is_bounded, self._bounds)


class Timer:
    """Observes how many seconds a `with` block takes, or a function that it decorates; also if it raises."""

    __slots__ = ("_observe", "_started_s")

    def __init__(self, observe: Callable[[float], None]) -> None:
        self._observe = observe
        self._started_s = 0.0

    def __enter__(self) -> Timer:
        self._started_s = perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._observe(perf_counter() - self._started_s)

    def __call__(self, function: Call) -> Call:
        observe = self._observe

        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            # Each call for itself: they may overlap.
            started_s = perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                observe(perf_counter() - started_s)

        return timed  # type: ignore[return-value]


class _Registry:
    """The names that this process has given. A module that is reloaded makes the same metric once more."""

    def __init__(self) -> None:
        self._lock = allocate_lock()
        self._given: dict[str, tuple[str, str, object]] = {}

    def add(self, where: str, kind: str, name: str, rest: object) -> None:
        """Note all names that the samples of a metric have. Raises ValueError if one is another's."""
        mine = (kind, name, rest)
        names = [name + suffix for suffix in _SUFFIXES[kind]]
        with self._lock:
            for each in names:
                before = self._given.get(each, mine)
                if before != mine:
                    raise ValueError(
                        f"{where}: expected a new name, got {each}, which is {_described(before, mine)}"
                    )
            self._given.update(dict.fromkeys(names, mine))


_REGISTRY = _Registry()
_TAKEN = {family.name + suffix for family in FAMILIES for suffix in _SUFFIXES.get(family.kind, ("",))}


def _described(before: tuple[str, str, object], mine: tuple[str, str, object]) -> str:
    kind, name, _ = before
    if before[:2] == mine[:2]:
        return f"that {kind} with other labels or options"
    return f"of the {kind} {name}"


def _check_name(where: str, name: object, kind: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ValueError(
            f"{where}: expected a name of letters, digits and _ that begins with no digit, got {name!r}"
        )
    own = [name + suffix for suffix in _SUFFIXES[kind] if name + suffix in _TAKEN]
    if name.startswith(_OWN_PREFIX) or own:
        raise ValueError(f"{where}: expected a name of your own, got one of portico's, {[*own, name][0]}")
    if kind != COUNTER and name.endswith(("_total", "_created", "_info")):
        raise ValueError(f"{where}: expected a name without the end _{name.rpartition('_')[2]}, got {name!r}")
    if len(name) > VALUE_BYTES:
        raise ValueError(f"{where}: expected a name of at most {VALUE_BYTES} letters, got {len(name)}")


def _check_help(where: str, help: object) -> None:
    if not isinstance(help, str) or len(help.encode("utf-8", "replace")) > MOST_HELP_BYTES:
        raise ValueError(
            f"{where}: help: expected a text of at most {MOST_HELP_BYTES} bytes, got {help!r:.60}"
        )


def _checked_labels(where: str, labels: object, kind: str) -> tuple[str, ...]:
    if isinstance(labels, str) or not isinstance(labels, tuple | list):
        raise ValueError(f"{where}: labels: expected a sequence of names, got {labels!r}")
    for label in labels:
        if not isinstance(label, str) or not _NAME.fullmatch(label) or label.startswith("__"):
            raise ValueError(
                f"{where}: labels: expected names of letters, digits and _ that begin with no digit, and not "
                f"with two _, got {label!r}"
            )
        if label in _RESERVED_LABELS.get(kind, ()):
            raise ValueError(f"{where}: labels: expected names of your own, got {label}, which portico adds")
    if len({*labels}) != len(labels) or len(labels) > 16:
        raise ValueError(f"{where}: labels: expected at most 16 different names, got {', '.join(labels)}")
    return tuple(labels)


def _checked_bounds(where: str, buckets: Sequence[float]) -> tuple[float, ...]:
    try:
        bounds = [float(bound) for bound in buckets]
    except (TypeError, ValueError):
        bounds = []
    # What is beyond all has a bucket in any case.
    if bounds and bounds[-1] == math.inf:
        bounds.pop()
    if (
        not 0 < len(bounds) <= MOST_BUCKETS
        or not all(map(math.isfinite, bounds))
        or bounds[0] < 0
        or sorted({*bounds}) != bounds
    ):
        raise ValueError(
            f"{where}: buckets: expected 1 to {MOST_BUCKETS} numbers from 0 on in ascending order, "
            f"got {buckets!r:.200}"
        )
    return tuple(bounds)


def _shortened(value: str) -> str:
    """Return as much of the value of a label as there is room for: no part of a character."""
    if len(value) * 4 <= VALUE_BYTES:
        return value
    return value.encode("utf-8", "replace")[:VALUE_BYTES].decode("utf-8", "ignore")
