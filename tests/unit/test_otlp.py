"""What a collector is sent, without one: spans of records, data of metrics, and a queue that has an end."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from opentelemetry.sdk.resources import Resource
from portico.admin.families import COUNTER, GAUGE, HISTOGRAM, Family
from portico.otlp import delivery
from portico.otlp.delivery import Outage, SpanDelivery
from portico.otlp.metrics import MetricsMaker, name_of
from portico.otlp.spans import SpanMaker
from support.waiting import wait_until

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
LEAST = {"trace": TRACE, "span": SPAN, "start": 1_000, "total": 7, "status": 200}


def span_of(**more: Any) -> Any:
    return SpanMaker(Resource({}), "1").make(json.dumps({**LEAST, **more}).encode())[0]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop", ("shop", None)),
        ("shop:80", ("shop", 80)),
        ("[::1]", ("[::1]", None)),
        ("[::1]:8000", ("[::1]", 8000)),
        ("shop:", ("shop:", None)),
        ("shop:http", ("shop:http", None)),
        ("shop:999999", ("shop:999999", None)),
    ],
)
def test_a_host_is_a_name_and_perhaps_a_port(host: str, expected: tuple[str, int | None]) -> None:
    said = span_of(host=host).attributes
    assert (said["server.address"], said.get("server.port")) == expected


@pytest.mark.parametrize(
    ("record", "name", "has_failed", "error"),
    [
        ({"method": "GET"}, "GET", False, None),
        ({"method": "GET", "route": "/a/<b>"}, "GET /a/<b>", False, None),
        ({"method": "JUMP"}, "HTTP", False, None),
        ({"method": "GET", "status": 499}, "GET", False, None),
        ({"method": "GET", "status": 503}, "GET", True, "503"),
        ({"method": "GET", "status": 0}, "GET", True, "no_response"),
        ({"method": "GET", "status": 200, "cause": "timeout"}, "GET", True, "timeout"),
    ],
)
def test_a_span_is_called_by_method_and_route_and_says_what_has_failed(
    record: dict[str, Any], name: str, has_failed: bool, error: str | None
) -> None:
    span = span_of(**record)
    assert (span.name, not span.status.is_unset) == (name, has_failed)
    assert span.attributes.get("error.type") == error


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("a=b", "a=b"),
        ("sig=secret", "sig=REDACTED"),
        ("a=b&Signature=secret&c=d", "a=b&Signature=REDACTED&c=d"),
        ("design=x", "design=x"),
    ],
)
def test_a_signature_is_in_no_span(query: str, shown: str) -> None:
    assert span_of(query=query).attributes["url.query"] == shown


def test_the_state_of_another_trace_is_not_this_ones() -> None:
    begun, child = span_of(state="a=b"), span_of(state="a=b", parent="b7ad6b7169203331")
    assert begun.context.trace_state.to_header() == ""
    assert child.context.trace_state.to_header() == "a=b"
    assert (begun.parent, child.parent.span_id) == (None, 0xB7AD6B7169203331)
    assert (begun.start_time, begun.end_time) == (1_000, 1_007)


def test_metrics_of_an_application_keep_their_names_and_their_figures() -> None:
    families = [
        Family("baskets_total", COUNTER, "Baskets.", labels=("kind",)),
        Family("stock", GAUGE, "What there is."),
        Family("price_seconds", HISTOGRAM, "", unit="seconds", bounds=(1.0, 2.0), per_sum=1),
    ]
    assert [name_of(family) for family in families] == ["baskets", "stock", "price"]
    samples: Any = {"baskets_total": [(("full",), 3), (("",), 4)], "stock": [((), 1.5)]}
    samples["price_seconds"] = [((), [1, 2, 3, 10.5])]
    maker = MetricsMaker(Resource({}), "1", started_at_ns=5)
    data = maker.make(samples, families, (8, 9), own_since_ns=6, now_ns=7)
    metrics = {each.name: each for each in data.resource_metrics[0].scope_metrics[0].metrics}
    assert set(metrics) == {"baskets", "stock", "price", "portico.exported_spans", "portico.lost_spans"}
    points = {name: list(metric.data.data_points) for name, metric in metrics.items()}
    assert [(point.attributes, point.value) for point in points["baskets"]] == [
        ({"kind": "full"}, 3),
        ({}, 4),
    ]
    assert {(point.start_time_unix_nano, point.time_unix_nano) for point in points["baskets"]} == {(5, 7)}
    (price,) = points["price"]
    assert (price.count, price.sum, list(price.bucket_counts)) == (6, 10.5, [1, 2, 3])
    assert (points["portico.lost_spans"][0].value, points["portico.lost_spans"][0].start_time_unix_nano) == (
        9,
        6,
    )


class Deliveries:
    """A collector that takes, or does not, what is in its list, one for each batch."""

    def __init__(self, *takes: bool) -> None:
        self.takes = list(takes)
        self.batches: list[int] = []
        self.said: list[str] = []
        self.outage = Outage("x", self.said.append, self.said.append)

    def export(self, spans: Any) -> bool:
        self.batches.append(len(spans))
        return self.takes.pop(0) if self.takes else True

    def delivery(self, **bounds: int) -> SpanDelivery:
        maker = SpanMaker(Resource({}), "1")
        bounds = {"queue": 10, "batch": 4, **bounds}
        return SpanDelivery(maker.make, self.export, self.outage, delay_s=60, **bounds)


def send(one: SpanDelivery, *messages: bytes) -> int:
    for message in messages:
        one.add(message)
    one.start()
    return one.end(time.monotonic() + 10)


def test_what_finds_no_room_is_lost_and_counted() -> None:
    collector = Deliveries()
    one = collector.delivery()
    messages = [json.dumps({**LEAST, "path": ',"lost":7}'}, separators=(",", ":")).encode()] * 15
    messages[3] = json.dumps({**LEAST, "lost": 2}, separators=(",", ":")).encode()
    assert send(one, *messages) == 0
    assert (one.counts, collector.batches, collector.said) == ((10, 7), [4, 4, 2], [])


def test_what_a_worker_has_lost_is_counted_and_so_is_what_is_no_record() -> None:
    collector = Deliveries()
    one = collector.delivery()
    assert send(one, json.dumps({**LEAST, "lost": 3}).encode(), b"{", b"{}", b"[]") == 0
    assert one.counts == (1, 6)


def test_a_batch_is_tried_again_and_lost_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_FIRST_PAUSE_S", 0.0)
    collector = Deliveries(*[False] * 6, False, True)
    one = collector.delivery(batch=1)
    for _ in range(2):
        one.add(json.dumps(LEAST).encode())
    one.start()
    wait_until(lambda: one.counts == (1, 1), what="one taken and one lost")
    assert one.end(time.monotonic() + 10) == 0
    assert collector.batches == [1] * 8
    assert collector.said == [
        "the collector at x takes no spans; requests are served, and it is tried again",
        "the collector at x takes spans again; 1 spans are lost",
    ]


def test_at_the_end_nothing_is_tried_for_long() -> None:
    collector = Deliveries(*[False] * 9)
    one = collector.delivery()
    assert send(one, *[json.dumps(LEAST).encode()] * 6) == 6
    # The first may have begun before that was the end.
    assert collector.batches in ([4], [4, 4])
