"""portico.admin.statsd without sockets: names, lines, datagrams, and what a receiver is owed."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from portico.admin.families import COUNTER, FAMILIES, GAUGE, HISTOGRAM, INFO, Family
from portico.admin.statsd.ledger import Ledger
from portico.admin.statsd.lines import (
    MOST_BYTES,
    Line,
    datagrams,
    gauge_line,
    quantiles,
    timing_lines,
    written,
)
from portico.admin.statsd.names import NAMES
from portico.config.settings import Settings
from portico.config.sources import resolve
from portico.errors import OperatorError
from portico.process.statsd import receiver as receiver_module
from portico.process.statsd.kept import open_kept, read_kept, write_kept
from support.server import free_port
from support.statsd import StatsdReceiver
from support.waiting import wait_until

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.admin import Samples
    from portico.config.setting import Setting

ORDERS = Family("shop_orders_total", COUNTER, "", labels=("country",))
BASKETS = Family("shop_baskets", GAUGE, "")
PAYMENT = Family("shop_payment_seconds", HISTOGRAM, "", bounds=(0.1, 0.5), per_sum=1)
OF_SHOP = (ORDERS, BASKETS, PAYMENT)
REQUESTS = {family.name: family for family in FAMILIES}["http_server_request_duration_seconds"]


def texts(ledger: Ledger, prefix: str = "") -> list[str]:
    return [written(line, prefix, "") for line in ledger.lines()]


def push(ledger: Ledger, receiver: StatsdReceiver) -> None:
    for data, lines in datagrams([*ledger.lines()], "", ""):
        receiver.take(data)
        ledger.sent(lines)


def test_each_family_of_the_server_has_a_name() -> None:
    assert set(NAMES) == {family.name for family in FAMILIES if family.kind != INFO}
    assert len(set(NAMES.values())) == len(NAMES)


def test_what_has_left_is_not_owed_any_more() -> None:
    ledger, receiver = Ledger(has_tags=False), StatsdReceiver(0)
    counted = 0
    for more in (1, 0, 41, 1000):
        counted += more
        ledger.take(OF_SHOP, {ORDERS.name: [(("at",), counted)]})
        push(ledger, receiver)
        assert receiver.counts["app.shop_orders.at"] == counted
        assert not ledger.owes
    assert texts(ledger) == []


def test_what_has_not_left_stays_owed() -> None:
    ledger, receiver = Ledger(has_tags=False), StatsdReceiver(0)
    for counted in (1, 2, 5):
        ledger.take(OF_SHOP, {ORDERS.name: [(("at",), counted)], PAYMENT.name: [((), [counted, 0, 0, 0.05])]})
    assert texts(ledger)[0] == "app.shop_orders.at:5|c"
    push(ledger, receiver)
    assert (receiver.counts["app.shop_orders.at"], receiver.timings["app.shop_payment"]) == (5, 5)


def test_what_has_not_arrived_is_owed_again() -> None:
    ledger, receiver = Ledger(has_tags=False), StatsdReceiver(0)
    ledger.take(OF_SHOP, {ORDERS.name: [(("at",), 7)], PAYMENT.name: [((), [2, 1, 4, 9.0])]})
    before = texts(ledger)
    lines = [*ledger.lines()]
    ledger.sent(lines)
    assert not ledger.owes
    ledger.not_arrived(lines)
    assert texts(ledger) == before
    push(ledger, receiver)
    assert receiver.timings["app.shop_payment"] == 7


def test_another_process_goes_on_from_what_was_kept() -> None:
    fd = open_kept()
    assert read_kept(fd) is None
    receiver = StatsdReceiver(0)
    for counted in (3, 5, 9):
        ledger = Ledger(has_tags=False, record=read_kept(fd))
        ledger.take(OF_SHOP, {ORDERS.name: [(("at",), counted)], BASKETS.name: [((), 2.5)]})
        push(ledger, receiver)
        write_kept(fd, ledger.dump())
    os.close(fd)
    assert receiver.counts["app.shop_orders.at"] == 9
    assert receiver.gauges == {"app.shop_baskets": 2.5}


def test_what_is_written_last_counts_only_when_it_is_whole() -> None:
    fd = open_kept()
    write_kept(fd, {"counts": {("a", ""): 1}})
    write_kept(fd, {"counts": {("a", ""): 2}})
    # As if somebody was killed while a third one was written, in the place that the first had.
    os.pwrite(fd, b"\xff" * 4, 1 << 30)
    kept = read_kept(fd)
    os.close(fd)
    assert kept == {"counts": {("a", ""): 2}}


def test_a_count_that_begins_anew_is_counted_whole() -> None:
    ledger, receiver = Ledger(has_tags=False), StatsdReceiver(0)
    for counted in (10, 4, 6):
        ledger.take(OF_SHOP, {ORDERS.name: [(("at",), counted)]})
        push(ledger, receiver)
    assert receiver.counts["app.shop_orders.at"] == 10 + 6


def test_what_is_passed_over_is_never_sent() -> None:
    ledger = Ledger(has_tags=False)
    ledger.pass_over(OF_SHOP, {ORDERS.name: [(("at",), 5)]})
    ledger.take(OF_SHOP, {ORDERS.name: [(("at",), 7)]})
    assert texts(ledger) == ["app.shop_orders.at:2|c"]


def test_parts_of_a_count_add_up() -> None:
    ledger, receiver = Ledger(has_tags=False), StatsdReceiver(0)
    for step in range(1, 101):
        ledger.take(OF_SHOP, {ORDERS.name: [(("at",), step / 3e6)]})
        push(ledger, receiver)
    assert receiver.counts["app.shop_orders.at"] == pytest.approx(100 / 3e6, abs=1e-6)


def test_gauges_that_are_no_more_are_nothing() -> None:
    ledger, receiver = Ledger(has_tags=False), StatsdReceiver(0)
    ledger.take(OF_SHOP, {BASKETS.name: [((), 4)]})
    push(ledger, receiver)
    ledger.take(OF_SHOP, {})
    push(ledger, receiver)
    assert receiver.gauges == {"app.shop_baskets": 0}
    assert texts(ledger) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gauge_that_is_no_number_is_not_sent(value: float) -> None:
    ledger = Ledger(has_tags=False)
    ledger.take(OF_SHOP, {BASKETS.name: [((), value)]})
    assert texts(ledger) == []


# --- Names


@pytest.mark.parametrize(
    ("value", "part"), [("at", "at"), ("a.b c:d|e@f#g,h\ni", "a_b_c_d_e_f_g_h_i"), ("", "none"), ("é", "_")]
)
def test_values_are_parts_of_names_without_what_has_a_meaning_there(value: str, part: str) -> None:
    ledger = Ledger(has_tags=False)
    ledger.take(OF_SHOP, {ORDERS.name: [((value,), 1)]})
    assert texts(ledger, "shop") == [f"shop.app.shop_orders.{part}:1|c"]


@pytest.mark.parametrize(
    ("value", "tag"),
    [("at", "country:at"), ("/order/<int:n>", "country:/order/<int:n>"), ("a,b|c#d\n", "country:a_b_c_d_")],
)
def test_values_are_tags_without_what_has_a_meaning_there(value: str, tag: str) -> None:
    ledger = Ledger(has_tags=True)
    ledger.take(OF_SHOP, {ORDERS.name: [((value,), 1)]})
    assert texts(ledger) == [f"app.shop_orders:1|c|#{tag}"]


def test_labels_are_summed_over_where_there_are_no_tags() -> None:
    rows: Samples = {
        REQUESTS.name: [
            (("", "GET", "/a", "2xx"), [3, *[0] * 14, 3_000_000]),
            (("", "GET", "/b", "2xx"), [4, *[0] * 14, 5_000_000]),
            (("", "POST", "", ""), [1, *[0] * 14, 0]),
        ]
    }
    ledger, receiver = Ledger(has_tags=False), StatsdReceiver(0)
    ledger.take(FAMILIES, rows)
    push(ledger, receiver)
    assert receiver.counts == {"request.status.2xx": 7, "request.status.none": 1}
    assert round(receiver.timings["request.duration"], 9) == 8
    assert receiver.sums["request.duration"] == pytest.approx(8)
    tagged, receiver = Ledger(has_tags=True), StatsdReceiver(0)
    tagged.take(FAMILIES, rows)
    push(tagged, receiver)
    assert receiver.tags["request.duration"] == {
        "method:GET,route:/a,status_class:2xx",
        "method:GET,route:/b,status_class:2xx",
        "method:POST",
    }
    assert receiver.tags["request.status.2xx"] == {"method:GET,route:/a", "method:GET,route:/b"}
    assert round(receiver.timings["request.duration"], 9) == 8


def test_what_is_no_time_is_a_histogram_where_there_are_tags() -> None:
    size = Family("shop_size", HISTOGRAM, "", bounds=(1.0, 5.0), per_sum=1)
    samples: Samples = {size.name: [((), [0, 1, 0, 3.0])], PAYMENT.name: [((), [1, 0, 0, 0.05])]}
    for has_tags, kind in ((False, "ms"), (True, "h")):
        ledger = Ledger(has_tags=has_tags)
        ledger.take((size, PAYMENT), samples)
        assert texts(ledger) == [f"app.shop_size:3|{kind}", "app.shop_payment:50|ms"]


def test_another_way_to_name_them_repeats_nothing() -> None:
    """A reload may bring tags, or take them away."""
    ledger = Ledger(has_tags=False)
    ledger.take(OF_SHOP, {ORDERS.name: [(("at",), 5)]})
    ledger.sent([*ledger.lines()])
    tagged = Ledger(has_tags=True, record=ledger.dump())
    tagged.take(OF_SHOP, {ORDERS.name: [(("at",), 6)]})
    assert texts(tagged) == ["app.shop_orders:1|c|#country:at"]


# --- Lines


@pytest.mark.parametrize(
    ("counts", "total"),
    [
        ([3, 0, 0, 0], 0.0),
        ([3, 0, 0, 0], 15.0),
        ([1, 2, 3, 0], 70.0),
        ([1, 2, 3, 4], 5000.0),
        ([0, 0, 0, 1], 31_000.0),
        ([1_000_003, 7, 0, 0], 2_000_000.0),
    ],
)
def test_timings_have_the_count_and_the_sum_of_the_histogram(counts: list[float], total: float) -> None:
    bounds = (5.0, 10.0, 25.0)
    receiver = StatsdReceiver(0)
    lines = [*timing_lines("took", "", "ms", bounds, [*counts, total])]
    for line, lower, upper in zip(lines, (0, *bounds), (*bounds, float("inf")), strict=False):
        assert len(lines) < 4 or lower <= line.value <= upper
    for data, _ in datagrams(lines, "", ""):
        receiver.take(data)
    assert receiver.timings["took"] == pytest.approx(sum(counts), rel=1e-12)
    assert receiver.sums["took"] == pytest.approx(total, rel=1e-5)
    assert receiver.wrong == []


@pytest.mark.parametrize(
    ("counts", "total", "expected"),
    [
        # All of them some 0.03: not the middle of a bucket up to 5.
        ([100, 0, 0, 0], 3.0, [0.03, 0.057, 0.0594]),
        ([100, 0, 0, 0], 250.0, [2.5, 4.75, 4.95]),
        ([100, 0, 0, 0], 490.0, [4.9, 4.99, 4.998]),
        ([90, 0, 10, 0], 90 * 2.5 + 10 * 17.5, [2.5 + 2.5 / 9, 17.5, 23.5]),
        ([0, 0, 0, 4], 4000.0, [25, 25, 25]),
    ],
)
def test_quantiles_lie_around_the_mean_of_their_bucket(
    counts: list[float], total: float, expected: list[float]
) -> None:
    found = dict(quantiles(counts, (5.0, 10.0, 25.0), total))
    assert found == pytest.approx(dict(zip(("p50", "p95", "p99"), expected, strict=True)))


def test_a_rate_says_how_many_whichever_way_it_is_read() -> None:
    for count in (*range(2, 2000), *(10**power + more for power in range(4, 12) for more in (-1, 0, 1, 7))):
        (line,) = timing_lines("took", "", "ms", (5.0,), [count, 0, 0])
        rate = float(line.text.rpartition("@")[2])
        assert "e" not in line.text
        assert int(1 / rate) == round(1 / rate) == count


@pytest.mark.parametrize(
    ("value", "tags", "text"),
    [
        (0.0, "", "debt:0|g"),
        (1e20, "", "debt:100000000000000000000|g"),
        (1e-9, "", "debt:0|g"),
        (-2.5, "", "debt:0|g\ndebt:-2.5|g"),
        (-2.5, "env:test", "debt:-2.5|g|#env:test"),
    ],
)
def test_gauges_are_numbers_without_an_exponent(value: float, tags: str, text: str) -> None:
    assert written(gauge_line("debt", "", value), "", tags) == text


def test_datagrams_are_filled_and_lose_no_line() -> None:
    lines = [Line(f"n{number}", "", "c", "1|c", amount=1) for number in range(1000)]
    lines.insert(500, Line("long" * 500, "", "c", "1|c", amount=1))
    packed = [*datagrams(lines, "portico", "env:test")]
    assert [line for _, each in packed for line in each] == lines
    sizes = [len(data) for data, _ in packed]
    assert sum(size > MOST_BYTES for size in sizes) == 1
    assert min(sizes[:-1]) > MOST_BYTES - 40 or min(sizes) < MOST_BYTES
    text = b"\n".join(data for data, _ in packed).decode()
    assert text.split("\n")[0] == "portico.n0:1|c|#env:test"
    assert len(text.split("\n")) == len(lines)


# --- Whom it is sent to


def test_a_name_that_has_another_address_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    found_addresses: list[str] = []

    def look_up(host: str, port: int, *rest: int) -> list[Any]:
        if rest[-1] == socket.AI_NUMERICHOST or not found_addresses:
            raise OSError(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", (found_addresses[-1], port))]

    monkeypatch.setattr(receiver_module._socket, "getaddrinfo", look_up)
    monkeypatch.setattr(receiver_module, "LOOKED_UP_AGAIN_S", 0.02)
    monkeypatch.setattr(receiver_module, "AGAIN_S", 0.02)
    port = free_port()
    receiver = receiver_module.Receiver(f"moves.example:{port}")
    wait_until(lambda: "cannot look up moves.example" in receiver.send(b"a:1|c"), what="why it is not sent")
    with StatsdReceiver(port) as first, StatsdReceiver(port, host="127.0.0.2") as second:
        for at, address in ((first, "127.0.0.1"), (second, "127.0.0.2")):
            found_addresses.append(address)
            wait_until(lambda at=at: not receiver.send(b"a:1|c") and at.datagrams, what=f"one at {address}")  # type: ignore[misc]
        # Where that is not known any more, the address of before stays.
        found_addresses.clear()
        count = len(second.datagrams)
        wait_until(lambda: not receiver.send(b"a:1|c") and len(second.datagrams) > count + 20, what="more")
    receiver.end()


def test_a_receiver_that_does_not_read_is_waited_for_briefly_and_has_no_half_of_a_datagram(
    tmp_path: Path,
) -> None:
    path = tmp_path / "statsd.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.bind(str(path))
        receiver = receiver_module.Receiver(f"unix:{path}")
        sent, began_s = 0, time.monotonic()
        while not (why := receiver.send(b"a:1|c")):
            sent += 1
        assert why == "Resource temporarily unavailable"
        assert time.monotonic() - began_s < 5
        assert [full.recv(100) for _ in range(sent)] == [b"a:1|c"] * sent
        assert receiver.send(b"b:1|c") == ""
        assert full.recv(100) == b"b:1|c"
    receiver.end()


# --- The settings


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("localhost:8125", "localhost:8125"),
        ("udp://10.0.0.1:8125", "10.0.0.1:8125"),
        ("[::1]:8125", "[::1]:8125"),
        ("stats_d.shop-1.svc:8125", "stats_d.shop-1.svc:8125"),
        ("unix:/run/statsd.sock", "unix:/run/statsd.sock"),
        ("unix:///run/statsd.sock", "unix:/run/statsd.sock"),
        ("unix:statsd.sock", "unix:statsd.sock"),
    ],
)
def test_addresses(text: str, value: str) -> None:
    assert Settings.statsd.kind.parse(text) == value
    assert Settings.statsd.kind.parse(value) == value


@pytest.mark.parametrize(("text", "value"), [("shop.web", "shop.web"), ("shop.", "shop"), ("none", "")])
def test_prefixes(text: str, value: str) -> None:
    assert Settings.statsd_prefix.kind.parse(text) == value


WRONG = {
    Settings.statsd: [
        *("", "localhost", ":8125", "a b:1", "host:0", "host:65536", "::1:8125", "unix:", "tcp://a:1"),
        *("a,b:1", f"unix:/{'x' * 107}"),
    ],
    Settings.statsd_prefix: ["", ".", "a..b", "a b", "a:b", "a|b"],
    Settings.statsd_tags: ["", "a b", "a|b", "a#b", "a\nb"],
}


@pytest.mark.parametrize(
    ("row", "text"),
    [pytest.param(row, text, id=f"{row.name} {text}") for row in WRONG for text in WRONG[row]],
)
def test_what_is_none(row: Setting[Any], text: str) -> None:
    with pytest.raises(OperatorError) as caught:
        resolve({row.attribute: [text]}, {})
    assert f"expected {row.kind.expected}" in str(caught.value)


def test_nothing_of_it_is_imported_unasked() -> None:
    modules = "sys, portico.process.supervisor, portico.process.worker"
    code = f"import {modules}; print([*filter(lambda name: 'statsd' in name, sys.modules)])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"[]\n"
