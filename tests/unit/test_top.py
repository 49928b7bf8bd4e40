"""The model of `portico top`, its columns and its text, without a server."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from portico.top.columns import COLUMNS, Order
from portico.top.model import Call, Row, matching, read_events, read_head, read_rows
from portico.top.quantiles import Quantile, counts_between, quantile
from portico.top.sample import Sample
from portico.top.table import column_widths, heading, plain_table, row_line, title_span
from portico.top.text import duration, escaped, fitted, latency, rate, size, sparkline, width

WORKER = {
    **{"slot": 1, "pid": 4251, "state": "ready", "requests": 10, "errors": 1, "bytes_sent": 5000},
    **{"connections": 2, "rss_bytes": 50_000_000, "age_s": 61.0, "running": 1},
}
STATUS = {
    **{"name": "shop", "version": "0.1.0", "pid": 4250, "uptime_s": 70.0, "stage": "serving"},
    **{"generation": 1, "reloading": False, "connections": 2, "workers_wanted": 1, "running": 1},
    **{"requests": 10, "errors": 1, "bytes_sent": 5000},
    "workers": {"booting": 0, "ready": 1, "leaving": 0, "killed": 0},
}
"""What a server says that does not tell threads, restarts and the like yet."""
CALL = {"pid": 4251, "slot": 1, "method": "GET", "path": "/a", "seconds": 1.5, "silent_s": 1.5}
MANY_MS = (Quantile(0.012), Quantile(0.25))
ROW = Row(1, 4251, "ready", 8, 2.0, 0.0, 100.0, *MANY_MS, 3, 50_000_000, 61.0, 0, (Call("GET", "/a", 1.5),))


def sample(at_s: float = 0.0, *, worker: dict[str, Any] | None = None, **status: Any) -> Sample:
    workers = [{**WORKER, **(worker or {})}]
    return Sample(at_s, {**STATUS, "uptime_s": 70.0 + at_s, **status}, workers, [CALL])


# --- Two samples


def test_without_a_sample_before_there_are_no_rates() -> None:
    [row] = read_rows(sample(), None)
    assert (row.requests_rate, row.errors_rate, row.bytes_rate) == (None, None, None)
    assert row.oldest == Call("GET", "/a", 1.5)


def test_rates_are_differences_by_the_time_between() -> None:
    now = sample(2.0, worker={"requests": 30, "errors": 2, "bytes_sent": 9000}, requests=30)
    [row] = read_rows(now, sample())
    assert (row.requests_rate, row.errors_rate, row.bytes_rate) == (10.0, 0.5, 2000.0)
    assert read_head(now, sample()).requests_rate == 10.0


def test_a_worker_that_was_not_there_has_begun_at_nothing() -> None:
    [row] = read_rows(sample(2.0, worker={"pid": 4263}), sample())
    assert row.requests_rate == 5.0


def test_another_server_has_no_rates_until_its_second_sample() -> None:
    now = sample(2.0, pid=9)
    assert read_head(now, sample()).requests_rate is None
    assert list(read_events(now, sample())) == ["another server is there: pid 9, portico 0.1.0"]


def test_sums_of_a_server_are_those_that_never_become_less() -> None:
    total = {"requests": 500, "errors": 0, "bytes_sent": 0}
    before = sample(total=total)
    # The worker that had the others has ended.
    now = sample(2.0, requests=0, total={**total, "requests": 510})
    assert read_head(now, before).requests_rate == 5.0


def test_a_server_that_tells_less_is_shown_all_the_same() -> None:
    [row] = read_rows(sample(), None)
    assert (row.threads, row.restarts) == (None, None)
    head = read_head(sample(), None)
    assert (head.saturation, head.threads, head.backlog, head.restarts) == (None, None, None, {})
    table = plain_table(head, [row], None)
    assert "saturation -  threads 1 busy  backlog -  connections 2" in table


@pytest.mark.parametrize(
    ("status", "worker", "events"),
    [
        pytest.param({}, {}, [], id="nothing"),
        pytest.param({"stage": "draining"}, {}, ["the server is draining"], id="stage"),
        pytest.param({"generation": 2}, {}, ["this is generation 2"], id="generation"),
        pytest.param({"version": "0.2.0"}, {}, ["upgraded to portico 0.2.0"], id="upgrade"),
        pytest.param({"reloading": True}, {}, ["the configuration is read anew"], id="reload"),
        pytest.param({"restarts": {"died": 2}}, {}, ["2 workers replaced: died"], id="restarts"),
        pytest.param({}, {"state": "leaving"}, ["worker 1, pid 4251, is leaving"], id="state"),
        pytest.param(
            {},
            {"pid": 4263, "state": "booting"},
            ["worker 1, pid 4263, is booting", "worker 1, pid 4251, has ended"],
            id="replaced",
        ),
    ],
)
def test_what_has_happened(status: dict[str, Any], worker: dict[str, Any], events: list[str]) -> None:
    assert list(read_events(sample(1.0, worker=worker, **status), sample())) == events


# --- Quantiles


def counts(**of: int) -> list[int]:
    """How many there are in buckets that are named by their number."""
    return [of.get(f"b{number}", 0) for number in range(15)]


@pytest.mark.parametrize(
    ("counted", "share", "expected"),
    [
        pytest.param(counts(), 0.5, None, id="none"),
        pytest.param(counts(b0=100), 0.5, Quantile(0.0025), id="in the middle of the first"),
        pytest.param(counts(b0=50, b6=50), 0.5, Quantile(0.005), id="at a bound"),
        pytest.param(counts(b0=50, b6=50), 0.99, Quantile(0.1 + 0.15 * 0.98), id="far into another"),
        pytest.param(counts(b0=98, b14=2), 0.99, Quantile(10.0, is_beyond=True), id="beyond all bounds"),
        pytest.param(counts(b3=1), 0.99, Quantile(0.025 + 0.025 * 0.99), id="one alone"),
    ],
)
def test_quantiles_of_a_histogram(counted: list[int], share: float, expected: Quantile | None) -> None:
    found = quantile(counted, share)
    if expected is None or found is None:
        assert found is expected
    else:
        assert found.seconds == pytest.approx(expected.seconds)
        assert found.is_beyond == expected.is_beyond


@pytest.mark.parametrize(
    ("now", "then", "between"),
    [
        pytest.param({"durations": counts(b1=5)}, {"durations": counts(b1=2)}, counts(b1=3), id="more"),
        pytest.param({"durations": counts(b1=5)}, {}, counts(b1=5), id="a new worker"),
        pytest.param({"durations": counts(b1=1)}, {"durations": counts(b1=5)}, counts(), id="less"),
        pytest.param({}, {}, [], id="a server that does not say"),
        pytest.param({"durations": [1, 2]}, {}, [], id="other buckets"),
    ],
)
def test_counts_between_two_samples(
    now: dict[str, list[int]], then: dict[str, list[int]], between: list[int]
) -> None:
    assert counts_between(now, then) == between


def test_quantiles_are_those_of_what_has_ended_between_two_samples() -> None:
    slow, quick = counts(b9=100), counts(b9=100, b0=10)
    now = sample(2.0, worker={"durations": quick}, durations=quick)
    before = sample(worker={"durations": slow}, durations=slow)
    [row] = read_rows(now, before)
    assert row.p50 == Quantile(0.0025)
    assert read_head(now, before).p50 == Quantile(0.0025)
    [row] = read_rows(now, None)
    assert row.p99 is None


# --- Order and filter


def test_an_order_is_turned_round_by_the_same_column() -> None:
    rows = [replace(ROW, number=1, rss_bytes=1), replace(ROW, number=2, rss_bytes=3), replace(ROW, number=3)]
    rss = [column.title for column in COLUMNS].index("RSS")
    order = Order().by(rss)
    assert [row.number for row in order.sorted(rows)] == [3, 2, 1]
    assert [row.number for row in order.by(rss).sorted(rows)] == [1, 2, 3]
    assert order.by(rss).by(rss) == order


@pytest.mark.parametrize("number", range(len(COLUMNS)), ids=[column.title for column in COLUMNS])
def test_every_column_sorts_rows_with_and_without_a_value(number: int) -> None:
    nothing = Row(2, 4252, "booting", None, None, None, None, None, None, 0, 0, 0.0, None, ())
    assert len(Order().by(number).sorted([ROW, nothing])) == 2


@pytest.mark.parametrize(
    ("text", "is_there"), [("READY", True), ("425", True), ("get /A", True), ("booting", False), ("", True)]
)
def test_filter(text: str, is_there: bool) -> None:
    assert bool(matching([ROW], text)) == is_there


# --- Lines


def test_titles_stand_above_their_cells_and_a_mark_before_one() -> None:
    columns = column_widths([replace(ROW, pool="shop")])
    line = heading(columns)
    assert line.split() == [column.title for column in COLUMNS]
    for number, column in enumerate(COLUMNS):
        start, end = title_span(columns, number)
        assert line[start:end] == column.title
        marked = heading(columns, Order().by(number))
        assert marked[start - 1] in "▲▼"
        assert marked[: start - 1] + " " + marked[start:] == line


def test_a_usual_row_leaves_room_for_a_request_in_80_columns() -> None:
    row = replace(ROW, pid=4194304, requests_rate=12345.6, bytes_rate=123_456_789.0, connections=1000)
    columns = column_widths([row])
    # Less with metrics; without, two columns are not there, nor a third without pools.
    assert 80 - title_span(columns, len(COLUMNS) - 1)[0] >= 4
    columns = column_widths([replace(row, p50=None, p99=None)])
    assert 80 - title_span(columns, len(COLUMNS) - 1)[0] >= 12
    line = row_line(row, columns)
    assert line.endswith(" 1.5s GET /a")
    assert "ms" not in line
    titles = heading(columns).split()
    assert ["#", "POOL", *titles[1:7], "P50", "P99", *titles[7:]] == [column.title for column in COLUMNS]


# --- Text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("/a b[red]", "/a b[red]", id="plain"),
        pytest.param("\x1b[31m", "\\x1b[31m", id="escape"),
        pytest.param("a\nb\r\t\x7f\x9b", "a\\nb\\r\\t\\x7f\\x9b", id="control"),
        pytest.param("\u202eabc", "\\u202eabc", id="bidi"),
        pytest.param("e\u0301", "e\\u0301", id="combining"),
        pytest.param("\ud800", "\\ud800", id="half"),
        pytest.param("漢", "漢", id="wide"),
    ],
)
def test_escapes(text: str, shown: str) -> None:
    assert escaped(text) == shown


@pytest.mark.parametrize("cells", range(8))
def test_fits_wide_characters(cells: int) -> None:
    assert width(fitted("a漢字b", cells)) <= cells
    assert fitted("a漢字b", 6) == "a漢字b"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (rate(None), "-"),
        (rate(0), "0.0"),
        (rate(999.4), "999.4"),
        (rate(999.5), "1000"),
        (rate(99_949), "99949"),
        (rate(99_950), "100k"),
        (size(0), "0"),
        (size(999), "999"),
        (size(1000), "1.0K"),
        (size(50 * 1024 * 1024), "50.0M"),
        (size(999 * 1024), "999K"),
        (size(5 * 1024**4), "5.0T"),
        (latency(None), "-"),
        (latency(Quantile(0.0034)), "3.4ms"),
        (latency(Quantile(0.00996)), "10ms"),
        (latency(Quantile(0.9994)), "999ms"),
        (latency(Quantile(0.9996)), "1.0s"),
        (latency(Quantile(9.96)), "10s"),
        (latency(Quantile(10.0, is_beyond=True)), ">10s"),
        (duration(0.04), "0.0s"),
        (duration(99), "99s"),
        (duration(100), "1m"),
        (duration(7200), "2h"),
        (duration(400_000), "4d"),
    ],
)
def test_numbers_are_short(written: str, value: str) -> None:
    assert written == value


def test_a_sparkline_has_the_last_values() -> None:
    assert sparkline([9, 0, 4, 8], 3) == "▁▅█"
    assert sparkline([0, 0], 5) == "▁▁"
    assert sparkline([1], 0) == ""
