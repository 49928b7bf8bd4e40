"""Metrics of pools at the admin address: of each, exact whatever becomes of it, and nobody is waited for."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from portico.ctl.connection import ask as ask_control
from portico.process.pools.metric_lines import PoolReply, lines_of
from portico.process.pools.pool_metrics import PoolMetrics
from support.collector import Collector
from support.processes import is_alive
from support.server import free_port
from support.statsd import StatsdReceiver
from support.waiting import wait_until
from support.ways import of_the_default

from .test_admin import OPENMETRICS, ask
from .test_pools import Several

SHOP = """
import os, time
from portico.metrics import Counter, Gauge, Histogram
HITS = Counter("hits", "Requests.", labels=("pool",))
OPEN = Gauge("open_baskets", "Baskets.")
PAID = Histogram("paid_seconds", "Payment.", buckets=(1, 2))
def application(environ, start_response):
    path = environ["PATH_INFO"]
    environ["portico.route"] = path
    HITS.inc(pool="own")
    OPEN.set(3)
    PAID.observe(1.5)
    if path == "/raise":
        raise ValueError("on purpose")
    if path == "/wait":
        open("waits", "w").close()
        while not os.path.exists("go"):
            time.sleep(0.01)
    start_response("200 OK", [])
    return [b"hello"]
"""
CLIENT = """
from prometheus_client import Counter
ORDERS = Counter("orders", "Orders.", labelnames=("land",))
def application(environ, start_response):
    ORDERS.labels("at").inc()
    start_response("200 OK", [])
    return [b"hello"]
"""
POOLS = """
[admin]
bind = "127.0.0.1:{admin}"
[processes]
workers = 1
[routes]
workers = 1
[[app]]
app = "front"
[[app]]
app = "shop"
mount = "/shop"
threads = 2
[[app]]
app = "news"
mount = "/news"
threads = 3
{more}
[[respond]]
path = "/robots.txt"
body = "none"
"""
DURATION = "http_server_request_duration_seconds_count"
ROUTER = "portico_router_request_duration_seconds_count"


class Counted(Several):
    """Three pools, and an admin address."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.admin = free_port()
        for name in ("front", "news", "shop"):
            (folder / f"{name}.py").write_text(SHOP)

    def begin(self, more: str = "", waits_for: tuple[str, ...] = ("shared", "shop", "news")) -> None:
        self.start(POOLS.format(admin=self.admin, more=more), waits_for=waits_for)
        self.running.wait_for("metrics are at /metrics")

    def samples(self, accept: str = "") -> dict[tuple[str, ...], float]:
        """All samples, by name and values of labels in the order of their names."""
        reply = ask(self.admin, accept=accept)
        assert reply.status == 200, reply.text
        return {
            (each.name, *(f"{name}={value}" for name, value in sorted(each.labels.items()))): each.value
            for each in reply.parsed
        }

    def count(self, name: str, pool: str) -> float:
        """The sum of a metric of one pool."""
        found = self.samples()
        return sum(value for key, value in found.items() if key[0] == name and f"pool={pool}" in key)

    def wait_for_other(self, name: str, pid: int) -> None:
        """Wait until the pool has another process, which serves."""

        def serves() -> bool:
            pool = self.pools()[name]
            return bool(pool["pid"] not in (pid, None) and pool["workers"])

        wait_until(serves, what="another process of the pool", deadline_s=30)

    def wait_for(self, name: str, pool: str, expected: float) -> None:
        wait_until(
            lambda: self.count(name, pool) == expected,
            what=f"{name} of {pool} to be {expected}, not {self.count(name, pool)}",
        )


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[Counted]:
    server = Counted(tmp_path)
    yield server
    if server.portico is not None and server.portico.process.poll() is None:
        server.portico.process.terminate()
        server.portico.process.wait(20)


@of_the_default
def test_each_pool_has_its_own_and_each_request_is_counted_once(counted: Counted) -> None:
    counted.begin()
    for path in ("/", "/", "/shop/item", "/shop/raise", "/news/a", "/robots.txt"):
        counted.status(path)

    def all_six() -> dict[tuple[str, ...], float] | None:
        # What the router counts itself may be newer than what pools have told.
        samples = counted.samples()
        spread = sum(value for key, value in samples.items() if key[0] == DURATION)
        return samples if samples[("portico_requests_total",)] == spread == 6 else None

    found = wait_until(all_six, what="six requests")
    assert found[("portico_request_errors_total",)] == 1
    # In pools by route, and what the router has responded itself.
    durations = {key[1:]: value for key, value in found.items() if key[0] == DURATION}
    route = ("http_request_method=GET", "http_response_status_class=5xx", "http_route=/raise", "pool=shop")
    assert durations[("application=shop:application", *route)] == 1
    assert durations[("http_request_method=GET", "http_response_status_class=2xx")] == 1
    # What it has passed on, as clients have seen it.
    assert {key[-1]: value for key, value in found.items() if key[0] == ROUTER and "2xx" in key[2]} == {
        "pool=shared": 2,
        "pool=shop": 1,
        "pool=news": 1,
    }
    for pool, count in (("shared", 2), ("shop", 2), ("news", 1)):
        assert found[("portico_pool_requests_total", f"pool={pool}")] == count
        assert found[("portico_pool_state", f"pool={pool}", "state=serving")] == 1
        assert found[("portico_pool_info_age_seconds", f"pool={pool}")] < 1
        assert found[("portico_workers", f"pool={pool}", "state=ready")] == 1
        assert 0 <= found[("portico_saturation", f"pool={pool}")] <= 1
        assert found[("portico_request_queue_seconds_count", f"pool={pool}")] == count
        assert found[("portico_gil_wait_seconds_count", f"pool={pool}")] == count
        assert found[("portico_worker_rss_bytes", f"pool={pool}", "worker=1")] > 1 << 20
        assert found[("portico_worker_restarts_total", f"pool={pool}", "reason=died")] == 0
        # The application's own; its label of the same name is another.
        assert found[("hits_total", "exported_pool=own", f"pool={pool}")] == count
        assert found[("open_baskets", f"pool={pool}")] == 3
        assert found[("paid_seconds_count", f"pool={pool}")] == count
    assert found[("portico_worker_threads", "pool=news", "state=idle")] == 3
    parts = [key for key in found if key[0] == "portico_request_part_seconds_total"]
    assert {key[-1] for key in parts if "pool=" in key[-1]} == {"pool=shared", "pool=shop", "pool=news"}
    assert not any(key[1].startswith("application=pool") for key in parts)
    assert set(counted.samples(OPENMETRICS)) >= set(found) - {("portico_build_info",)}


@of_the_default
def test_what_is_in_flight_and_waits_shows_in_its_pool(counted: Counted) -> None:
    counted.begin()
    with counted.ask("/shop/wait"), counted.ask("/shop/wait"), counted.ask("/shop/wait"):
        wait_until(
            lambda: counted.samples()[("portico_worker_threads", "pool=shop", "state=busy")] == 2,
            what="both threads to be busy",
        )
        counted.wait_for("portico_pool_active_requests", "shop", 3)
        assert counted.samples()[("http_server_active_requests",)] == 3
        assert counted.samples()[("portico_worker_threads", "pool=news", "state=busy")] == 0
        (counted.folder / "go").touch()
    counted.wait_for("portico_pool_active_requests", "shop", 0)


def test_counters_never_go_back_over_kills_reloads_and_a_removed_pool(counted: Counted) -> None:
    counted.begin()
    sent = 0

    def send() -> None:
        nonlocal sent
        assert counted.status("/shop/item") == 200
        sent += 1
        counted.wait_for("portico_pool_requests_total", "shop", sent)
        counted.wait_for("hits_total", "shop", sent)
        counted.wait_for(DURATION, "shop", sent)
        counted.wait_for(ROUTER, "shop", sent)

    send()
    worker = ask_control(counted.pools()["shop"]["control"], "workers", timeout_s=10)["workers"][0]["pid"]
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not is_alive(worker), what="the end of the worker")
    send()
    restarts = ("portico_worker_restarts_total", "pool=shop", "reason=died")
    wait_until(lambda: counted.samples()[restarts] == 1, what="the restart")
    counted.ctl("reload", "--pool", "shop")
    send()
    # The whole pool: what it has told is kept, and its successor goes on.
    supervisor = counted.pools()["shop"]["pid"]
    os.kill(supervisor, signal.SIGKILL)
    wait_until(
        lambda: (
            counted.pools()["shop"]["pid"] not in (supervisor, None) and counted.pools()["shop"]["workers"]
        ),
        what="another process of the pool",
        deadline_s=30,
    )
    send()
    counted.ctl("reload")
    send()
    counted.ctl("upgrade")
    send()
    text = POOLS.format(admin=counted.admin, more="")
    begin, end = text.index('[[app]]\napp = "shop"'), text.index('[[app]]\napp = "news"')
    counted.write(text[:begin] + text[end:])
    counted.ctl("reload")
    wait_until(lambda: "shop" not in counted.pools(), what="the pool to be gone")
    assert counted.count("portico_pool_requests_total", "shop") == sent
    assert counted.count(DURATION, "shop") == sent
    assert counted.count("portico_workers", "shop") == 0
    counted.write(text)
    counted.ctl("reload")
    counted.wait_for_state("shop", "serving")
    send()


def test_a_pool_that_sleeps_keeps_what_it_has_counted_to_the_last_request(counted: Counted) -> None:
    counted.begin('workers_min = 0\nworkers = 1\nidle_timeout = "1s"', waits_for=("shared", "shop"))
    ready = ("portico_workers", "pool=news", "state=ready")
    for round in (1, 2):
        # Nobody asks for metrics before it sleeps: its last words have it.
        assert counted.status("/news/a") == 200
        counted.wait_for_state("news", "asleep")
        wait_until(lambda: not counted.pools()["news"]["pid"], what="no process")
        # The process that leaves is told of as long as it is there.
        wait_until(lambda: ready not in counted.samples(), what="the last words")
        found = counted.samples()
        assert found[("portico_pool_state", "pool=news", "state=asleep")] == 1
        assert found[("portico_pool_requests_total", "pool=news")] == round
        assert found[("hits_total", "exported_pool=own", "pool=news")] == round
        assert ("open_baskets", "pool=news") not in found


def test_a_pool_that_does_not_respond_is_not_waited_for_and_its_age_is_told(counted: Counted) -> None:
    counted.begin()
    counted.status("/shop/item")
    counted.wait_for("portico_pool_requests_total", "shop", 1)
    supervisor = counted.pools()["shop"]["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        counted.status("/news/a")
        age = ("portico_pool_info_age_seconds", "pool=shop")
        wait_until(lambda: counted.samples()[age] > 1, what="a stale pool")
        began_s = time.monotonic()
        found = counted.samples()
        assert time.monotonic() - began_s < 1.5
        assert found[("portico_pool_requests_total", "pool=shop")] == 1
        counted.wait_for("portico_pool_requests_total", "news", 1)
        assert counted.samples()[("portico_pool_info_age_seconds", "pool=news")] < 1.5
    finally:
        os.kill(supervisor, signal.SIGCONT)
    counted.status("/shop/item")
    counted.wait_for("portico_pool_requests_total", "shop", 2)
    wait_until(lambda: counted.samples()[age] < 1, what="a pool that responds")


def test_prometheus_client_counts_in_pools(counted: Counted) -> None:
    for name in ("shop", "news"):
        (counted.folder / f"{name}.py").write_text(CLIENT)
    counted.begin()
    for path in ("/shop", "/shop", "/news"):
        assert counted.status(path) == 200
    counted.wait_for("orders_total", "shop", 2)
    counted.wait_for("orders_total", "news", 1)
    counted.ctl("reload", "--pool", "shop")
    supervisor = counted.pools()["shop"]["pid"]
    os.kill(supervisor, signal.SIGKILL)
    wait_until(
        lambda: (
            counted.pools()["shop"]["pid"] not in (supervisor, None) and counted.pools()["shop"]["workers"]
        ),
        what="another process of the pool",
        deadline_s=30,
    )
    assert counted.status("/shop") == 200
    counted.wait_for("orders_total", "shop", 3)
    assert ("orders_total", "land=at", "pool=shop") in counted.samples(OPENMETRICS)


def test_pools_count_nothing_without_an_admin_address(counted: Counted) -> None:
    counted.start(POOLS.format(admin=counted.admin, more="").replace(f'"127.0.0.1:{counted.admin}"', '"off"'))
    counted.wait_for_state("shop", "serving")
    counted.status("/shop/item")
    status = ask_control(counted.pools()["shop"]["control"], "status", timeout_s=10, durations=True)
    assert sum(status["durations"]) == 0


def test_what_pools_count_is_pushed_too(counted: Counted) -> None:
    with StatsdReceiver(free_port()) as receiver:
        off = POOLS.format(admin=counted.admin, more="").replace(f'"127.0.0.1:{counted.admin}"', '"off"')
        counted.start(f'{off}\n[statsd]\naddress = "{receiver.address}"\ninterval = "0.1s"\n')
        counted.wait_for_state("shop", "serving")
        for _ in range(5):
            counted.status("/shop/item")
        counted.status("/elsewhere")
        expected = {"pool.shop.requests": 5, "pool.shop.app.hits.own": 5, "pool.shared.app.hits.own": 1}
        wait_until(
            lambda: {name: receiver.counts[f"portico.{name}"] for name in expected} == expected,
            what=f"{expected}, not {dict(receiver.counts)}",
        )
        assert receiver.gauges["portico.pool.shop.app.open_baskets"] == 3
        assert receiver.timings["portico.pool.shop.request.duration"] == 5
        assert receiver.timings["portico.pool.shop.router.duration"] == 5
        assert receiver.wrong == []


def test_the_last_push_has_what_pools_have_counted_until_their_end(counted: Counted) -> None:
    with StatsdReceiver(free_port()) as receiver:
        off = POOLS.format(admin=counted.admin, more="").replace(f'"127.0.0.1:{counted.admin}"', '"off"')
        counted.start(f'{off}\n[statsd]\naddress = "{receiver.address}"\ninterval = "1h"\n')
        counted.wait_for_state("shop", "serving")
        for _ in range(5):
            counted.status("/shop/item")
        counted.running.stop()
        assert receiver.counts["portico.pool.shop.requests"] == 5
        assert receiver.counts["portico.pool.shop.app.hits.own"] == 5


def test_what_pools_count_is_sent_to_a_collector_too(counted: Counted) -> None:
    with Collector() as collector:
        off = POOLS.format(admin=counted.admin, more="").replace(f'"127.0.0.1:{counted.admin}"', '"off"')
        counted.start(f'{off}\n[otlp]\nendpoint = "{collector.url}"\ninterval = "0.2s"\n')
        counted.wait_for_state("shop", "serving")
        for _ in range(5):
            counted.status("/shop/item")

        def hits() -> float | None:
            return collector.value("hits", pool="shop")

        wait_until(lambda: hits() == 5, what="five hits of a pool at the collector")


# --- Lines


def test_lines_bring_over_what_they_were_made_of() -> None:
    hostile = "a\tb\nc%09d"
    samples: Any = {"one_total": [((hostile,), 2)], "two": [((), [1, 2, 3.5])]}
    reply = PoolReply(7)
    for line in lines_of(7, samples, [], "/run/x.metrics").decode().splitlines():
        what, number, *words = line.split("\t")
        assert number == "7"
        if words:
            reply.take(what, words)
    assert reply.samples == {("one_total", hostile): 2, ("two",): [1, 2, 3.5]}
    assert reply.directory == "/run/x.metrics"


@pytest.mark.parametrize(
    "words",
    [
        ["one", "x"],
        ["one", " ".join(["1"] * 200)],
        ["one", "1", "x" * 5000],
        ["one"],
    ],
    ids=["no number", "many buckets", "a long label", "no value"],
)
def test_a_line_that_is_none_is_rejected(words: list[str]) -> None:
    reply = PoolReply(1)
    with pytest.raises(ValueError, match=r"."):
        reply.take("sample", words)
    assert reply.samples == {}


def test_what_has_ended_is_kept_without_gauges() -> None:
    metrics = PoolMetrics()
    for number in (1, 2):
        reply = PoolReply(0)
        reply.samples = {("a_total", "x"): number, ("gauge",): 5, ("h",): [1, 2]}
        metrics.ended("shop", reply)
    found = metrics.samples([], 0.0)
    assert (found["a_total"], found["h"]) == ([(("x", "shop"), 3)], [(("shop",), [2, 4])])
    assert "gauge" not in found
    again = PoolMetrics()
    again.take_over(json.loads(json.dumps(metrics.hand_over())))
    assert again.samples([], 0.0)["a_total"] == found["a_total"]
