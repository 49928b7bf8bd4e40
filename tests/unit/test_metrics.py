"""portico.metrics without a server: what is counted, what is told of it, and what is refused."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from portico import _core
from portico.admin.exposition import OPENMETRICS, TEXT, exposed
from portico.admin.families import FAMILIES
from portico.admin.keys import packed, unpacked
from portico.admin.of_application import ApplicationMetrics
from portico.metrics import Counter, Gauge, Histogram
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

ODD = 'a "quote", a \\, a\nline, é and \x1f.'


def samples_of(name: str, read: Any = read_text) -> dict[tuple[str, ...], float]:
    """What is told of a metric of this process: its samples by their suffix and labels."""
    return {
        (sample.name.removeprefix(name), *sample.labels.values()): sample.value
        for sample in family(name, read).samples
    }


def family(name: str, read: Any = read_text) -> Any:
    families, samples = ApplicationMetrics(_core.metrics_here()).now()
    text = exposed(samples, TEXT if read is read_text else OPENMETRICS, families)
    (found,) = [each for each in read(text) if each.name == name]
    return found


# --- What is counted


@pytest.mark.parametrize("read", [read_text, read_openmetrics], ids=["text", "openmetrics"])
def test_a_counter_is_told_by_its_labels(read: Any) -> None:
    name = f"unit_orders_of_{read.__module__.split('.')[1]}"
    orders = Counter(name, ODD, labels=("country", "kind"))
    orders.inc(country="at", kind=ODD)
    orders.inc(2.5, kind=ODD, country="at")
    orders.labels("de", 5).inc()
    orders.labels("de", "5").inc(3)
    assert samples_of(name, read) == {("_total", "at", ODD): 3.5, ("_total", "de", "5"): 4}
    found = family(name, read)
    assert (found.type, found.documentation) == ("counter", ODD)
    assert orders.value(country="de", kind=5) == 4


@pytest.mark.parametrize("name", ["unit_named", "unit_named_total"])
def test_a_counter_ends_in_total_once(name: str) -> None:
    Counter(name, "C.").inc(0)
    assert samples_of("unit_named").keys() == {("_total",)}


def test_what_has_no_labels_is_told_before_it_is_counted() -> None:
    Counter("unit_early", "C.")
    Histogram("unit_early_seconds", "H.", buckets=(1,))
    Counter("unit_labelled", "C.", labels=("a",))
    assert samples_of("unit_early") == {("_total",): 0}
    assert samples_of("unit_early_seconds") == {
        ("_bucket", "1.0"): 0,
        ("_bucket", "+Inf"): 0,
        ("_sum",): 0,
        ("_count",): 0,
    }
    assert samples_of("unit_labelled") == {}


@pytest.mark.parametrize(
    ("workers", "shown"), [*((each, ()) for each in ("sum", "max", "min", "last")), ("each", ("1",))]
)
def test_a_gauge_goes_up_and_down(workers: str, shown: tuple[str, ...]) -> None:
    gauge = Gauge(f"unit_gauge_{workers}", "G.", workers=workers)
    gauge.set(7)
    gauge.inc()
    gauge.inc(2)
    gauge.dec(0.5)
    gauge.labels().dec()
    assert gauge.value() == 8.5
    assert samples_of(gauge.name) == {("", *shown): 8.5}
    gauge.set(-math.inf)
    assert samples_of(gauge.name, read_openmetrics) == {("", *shown): -math.inf}
    gauge.set(math.nan)
    assert math.isnan(samples_of(gauge.name)[("", *shown)])
    gauge.set(0)
    assert samples_of(gauge.name) == {("", *shown): 0}


def test_a_gauge_with_labels_is_told_by_each_worker() -> None:
    gauge = Gauge("unit_gauge_labels", "G.", labels=("kind",), workers="each")
    gauge.set(1, kind="a")
    gauge.inc(2, kind="b")
    assert samples_of(gauge.name) == {("", "a", "1"): 1, ("", "b", "1"): 2}


def test_a_histogram_has_what_is_at_most_its_bounds() -> None:
    sizes = Histogram("unit_sizes", "H.", labels=("kind",), buckets=(0, 1, 2.5, math.inf))
    for size in (-2, -1, 0, 1, 2.5, 3, math.inf):
        sizes.observe(size, kind="a")
    assert samples_of("unit_sizes", read_openmetrics) == {
        ("_bucket", "a", "0.0"): 3,
        ("_bucket", "a", "1.0"): 4,
        ("_bucket", "a", "2.5"): 5,
        ("_bucket", "a", "+Inf"): 7,
        ("_sum", "a"): math.inf,
        ("_count", "a"): 7,
    }
    assert sizes.count(kind="a") == 7


def test_time_is_observed_of_blocks_and_calls() -> None:
    took = Histogram("unit_took_seconds", "H.", labels=("kind",))
    with took.time(kind="block"):
        pass
    with pytest.raises(ZeroDivisionError), took.labels("block").time():
        1 / 0  # noqa: B018

    @took.time(kind="call")
    def recursive(depth: int) -> int:
        """Its text."""
        return depth and recursive(depth - 1)

    assert (recursive(2), recursive.__name__, recursive.__doc__) == (0, "recursive", "Its text.")
    assert (took.count(kind="block"), took.count(kind="call")) == (2, 3)
    assert 0 < took.sum(kind="call") < 60


def test_threads_lose_nothing() -> None:
    counter, histogram = Counter("unit_threads", "C.", labels=("n",)), Histogram("unit_threads_h", "H.")
    gauge = Gauge("unit_threads_g", "G.")

    def count() -> None:
        for number in range(20_000):
            counter.inc(0.5, n=number % 3)
            histogram.observe(1)
            gauge.inc()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sum(samples_of("unit_threads").values()) == 40_000
    assert (histogram.count(), histogram.sum(), gauge.value()) == (80_000, 80_000, 80_000)


def test_a_process_counts_together_with_those_that_it_forks() -> None:
    counter = Counter("unit_forks", "C.", labels=("kind",))
    counter.inc(kind="a")
    pids = []
    for _ in range(4):
        if (pid := os.fork()) == 0:
            for _ in range(1000):
                counter.inc(kind="a")
                counter.inc(kind="made by a child")
            os._exit(0)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 4
    assert samples_of("unit_forks") == {("_total", "a"): 4001, ("_total", "made by a child"): 4000}


def test_the_same_metric_once_more_is_that_one() -> None:
    Counter("unit_again", "One help.", labels=("a",)).inc(a="x")
    Counter("unit_again", "Another.", labels=["a"]).inc(a="x")
    assert samples_of("unit_again") == {("_total", "x"): 2}
    assert family("unit_again").documentation == "Another."


def test_of_two_definitions_the_later_is_told() -> None:
    # As before and after a reload: no process may define both.
    for labels, value in ((("a",), 1.0), (("b", "c"), 2.0), (("a",), 4.0)):
        number = _core.define_metric(packed("metric", "counter", "unit_changed", "", *labels))
        _core.CounterSeries(packed("series", str(number), *labels), True).inc(value)
    assert samples_of("unit_changed") == {("_total", "a"): 5}


def test_a_long_value_is_shortened() -> None:
    counter = Counter("unit_long", "C.", labels=("a",))
    counter.inc(a="€" * 100)
    counter.inc(a="\udcff")
    assert samples_of("unit_long").keys() == {("_total", "€" * 42), ("_total", "?")}


@pytest.mark.parametrize("texts", [(), ("",), ("a", "", "é\0"), ("x" * 60_000,)])
def test_keys_are_read_as_written(texts: tuple[str, ...]) -> None:
    assert unpacked(packed(*texts)) == [*texts]


# --- Bounds: of a process of its own, which is full afterwards

FULL = """
from portico.metrics import Counter, Gauge, Histogram
first = Counter("first", "C.", labels=("n",))
for number in range(3000):
    first.inc(n=number)
gauge = Gauge("gauge", "G.", labels=("n",))
gauge.set(5, n="x")
again = Counter("again", "C.", labels=("n", "m"))
again.inc(2, n="x", m="y")
plain = Counter("plain", "C.")
plain.inc()
sizes = Histogram("sizes", "H.", labels=("n",), buckets=(1,))
sizes.observe(1, n="x")
from portico import _core
from portico.admin.exposition import TEXT, exposed
from portico.admin.of_application import ApplicationMetrics
families, samples = ApplicationMetrics(_core.metrics_here()).now()
print(exposed(samples, TEXT, families))
try:
    for number in range(5000):
        Counter(f"more_{number}", "C.")
except ValueError as error:
    print(f"# {number} {error}")
"""


def test_what_finds_no_room_is_counted_with_the_others_and_said_once() -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=True)
    text, _, wrong = done.stdout.rpartition("# ")
    found = {family.name: family.samples for family in read_text(text)}
    assert len(found["first"]) == 2048 + 1
    assert sum(sample.value for sample in found["first"]) == 3000
    values = {tuple(sample.labels.values()): sample.value for sample in found["first"]}
    assert (values[("0",)], values[("_OTHER",)]) == (1, 3000 - 2048)
    assert found["gauge"] == []
    assert [(sample.labels, sample.value) for sample in found["again"]] == [
        ({"n": "_OTHER", "m": "_OTHER"}, 2)
    ]
    assert [sample.value for sample in found["plain"]] == [1]
    assert {sample.labels["n"] for sample in found["sizes"]} == {"_OTHER"}
    assert done.stderr.count("metrics: first: there is no room for another series") == 1
    assert done.stderr.count("\n") == 1
    assert "there is no room for another metric in this server" in wrong
    assert int(wrong.split()[0]) > 500


# --- What is wrong

WRONG: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Counter("a b", "C."),
        "metrics: Counter 'a b': expected a name of letters, digits and _ that begins with no digit, "
        "got 'a b'",
    ),
    (lambda: Counter("", "C."), "got ''"),
    (lambda: Counter(5, "C."), "got 5"),  # type: ignore[arg-type]
    (lambda: Gauge("naïve", "G."), "got 'naïve'"),
    (lambda: Gauge("x\n", "G."), r"got 'x\\n'"),
    (lambda: Gauge("x" * 200, "G."), "at most 128 letters, got 200"),
    (lambda: Gauge("x_total", "G."), "expected a name without the end _total, got 'x_total'"),
    (lambda: Counter("portico_mine", "C."), "a name of your own, got one of portico's, portico_mine"),
    (
        lambda: Gauge("http_server_request_duration_seconds_count", "G."),
        "one of portico's, http_server_request_duration_seconds_count",
    ),
    (lambda: Gauge("process_start_time_seconds", "G."), "one of portico's"),
    (lambda: Gauge("unit_x", 5), "help: expected a text of at most 2048 bytes, got 5"),  # type: ignore[arg-type]
    (lambda: Counter("unit_x", "C.", labels="kind"), "labels: expected a sequence of names, got 'kind'"),
    (lambda: Counter("unit_x", "C.", labels=("a-b",)), "got 'a-b'"),
    (lambda: Counter("unit_x", "C.", labels=("__a",)), "got '__a'"),
    (lambda: Counter("unit_x", "C.", labels=("a", "a")), "different names, got a, a"),
    (lambda: Histogram("unit_x", "H.", labels=("le",)), "got le, which portico adds"),
    (lambda: Gauge("unit_x", "G.", labels=("worker",)), "got worker, which portico adds"),
    (lambda: Gauge("unit_x", "G.", workers="all"), "expected sum, max, min, last or each, got 'all'"),
    (
        lambda: Histogram("unit_x", "H.", buckets=()),
        r"expected 1 to 64 numbers from 0 on in ascending order, got \(\)",
    ),
    (lambda: Histogram("unit_x", "H.", buckets=(2, 1)), r"got \(2, 1\)"),
    (lambda: Histogram("unit_x", "H.", buckets=(-1, 1)), r"from 0 on in ascending order, got \(-1, 1\)"),
    (lambda: Histogram("unit_x", "H.", buckets=(1, math.nan)), "got"),
    (lambda: Histogram("unit_x", "H.", buckets=("a",)), "got"),  # type: ignore[arg-type]
    (lambda: (Counter("unit_y", "C."), Gauge("unit_y", "G.")), "got unit_y, which is of the counter unit_y"),
    (
        lambda: (Counter("unit_y", "C."), Counter("unit_y", "C.", labels=("a",))),
        "got unit_y, which is that counter with other labels or options",
    ),
    (
        lambda: (Histogram("unit_z", "H."), Gauge("unit_z_sum", "G.")),
        "got unit_z_sum, which is of the histogram unit_z",
    ),
    (
        lambda: Counter("unit_l", "C.", labels=("a", "b")).inc(a=1),
        "metrics: unit_l: labels: expected a, b, got a",
    ),
    (lambda: Counter("unit_l", "C.", labels=("a", "b")).inc(), "expected a, b, got none"),
    (lambda: Counter("unit_l", "C.", labels=("a", "b")).labels("x"), "expected a, b, got 'x'"),
    (lambda: Counter("unit_l", "C.", labels=("a", "b")).labels("x", b=1), "expected a, b, got b"),
    (lambda: Counter("unit_l", "C.", labels=("a", "b")).inc(a=1, b=2, c=3), "expected a, b, got a, b, c"),
    (lambda: Counter("unit_n", "C.").inc(a=1), "labels: expected none, got a"),
    (lambda: Counter("unit_n", "C.").inc(-1), "inc: expected a number from 0 on, got -1"),
    (lambda: Counter("unit_n", "C.").inc(math.nan), "got NaN"),
    (lambda: Counter("unit_n", "C.").inc(math.inf), "got inf"),
    (lambda: Histogram("unit_h", "H.").observe(math.nan), "observe: expected a number, got nan"),
]


@pytest.mark.parametrize(("define", "sentence"), WRONG)
def test_what_is_wrong_is_a_sentence(define: Callable[[], object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        define()


def test_no_number_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        Counter("unit_n", "C.").inc("1")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [family.name for family in FAMILIES])
def test_names_of_portico_are_taken(name: str) -> None:
    with pytest.raises(ValueError, match=r"one of portico's|without the end"):
        Gauge(name, "G.")
