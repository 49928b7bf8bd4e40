"""Metrics of the application at the admin address: exact whatever becomes of workers."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from support.counted_load import counted_load
from support.server import free_port
from support.waiting import wait_until
from support.ways import without_loop

from .conftest import Portico, Start
from .test_admin import OPENMETRICS, TEXT, ask, begin, samples, wait_for_samples, workers
from .test_metric_histograms import scoreboard_bytes

SHOP = """
import os
from portico.metrics import Counter, Gauge, Histogram

ORDERS = Counter("shop_orders", "Orders that were placed.", labels=("country",))
SIZES = Histogram("shop_order_size", "Books in an order.", buckets=(1, 5))
LOADS = Counter("shop_loads", "How often the application was loaded.")
LOADS.inc()
WAYS = ("sum", "max", "min", "last", "each")
OF_WORKERS = {how: Gauge(f"shop_{how}", "A gauge.", workers=how) for how in WAYS}
for gauge in OF_WORKERS.values():
    gauge.set(0.5)

def application(environ, start_response):
    path, value = environ["PATH_INFO"].split("/")[1:]
    if path == "order":
        ORDERS.inc(country="at")
        SIZES.observe(int(value))
    if path == "set":
        for gauge in OF_WORKERS.values():
            gauge.set(float(value))
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


def wait_for_values(admin: int, expected: dict[str, float]) -> None:
    """Wait until these are the samples of the application with these names."""

    def found() -> dict[str, float | None]:
        now = samples(admin)
        return {name: now.get(name) for name in expected}

    wait_until(lambda: found() == expected, what=f"{expected}, not {found()}")


def wait_for_workers_ready(portico: Portico, times: int) -> None:
    """Wait for so many workers since the start; templates are none."""
    wait_until(lambda: len(re.findall(r"worker \d+ is ready after", portico.log())) >= times, what="workers")


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_counts_are_exact_whatever_becomes_of_workers(start: Start, preload: tuple[str, ...]) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "2", "--threads", "2", *preload, source=SHOP)
    sent = 0

    def load(number: signal.Signals | None, ready: int) -> None:
        nonlocal sent
        with counted_load(portico.port, "/order/3") as running:
            wait_until(lambda: running.asked > 200, what="some requests")
            if number is not None:
                portico.signal(number)
                wait_for_workers_ready(portico, ready)
            asked = running.asked
            wait_until(lambda: running.asked > asked + 200, what="some more")
        assert running.lost == []
        sent += len(running.responses)
        wait_for_values(
            admin,
            {
                "shop_orders_total{at}": sent,
                "shop_order_size_bucket{1.0}": 0,
                "shop_order_size_bucket{5.0}": sent,
                "shop_order_size_bucket{+Inf}": sent,
                "shop_order_size_sum": 3 * sent,
                "shop_order_size_count": sent,
            },
        )

    load(None, 0)
    for victim in workers(portico):
        os.kill(victim, signal.SIGKILL)
    wait_for_workers_ready(portico, 2)
    wait_for_values(admin, {"shop_orders_total{at}": sent})
    load(signal.SIGHUP, 4)
    load(signal.SIGUSR2, 6)
    load(signal.SIGHUP, 8)
    wait_for_values(admin, {"shop_loads_total": 4 if preload else 10})
    reply = ask(admin, accept=OPENMETRICS)
    assert "# HELP shop_orders Orders that were placed.\n" in reply.text
    assert reply.samples["shop_orders_total{at}"] == sent
    portico.stop()


def test_a_worker_that_is_killed_under_load_loses_no_count(start: Start) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "2", "--threads", "1", source=SHOP)
    with counted_load(portico.port, "/order/1") as running:
        wait_until(lambda: running.asked > 200, what="some requests")
        os.kill(workers(portico)[0], signal.SIGKILL)
        portico.wait_for("is ready after")
        asked = running.asked
        wait_until(lambda: running.asked > asked + 200, what="some more")
    responses, lost = len(running.responses), len(running.lost)
    counted = samples(admin)["shop_orders_total{at}"]
    # What was in a call may have been counted, and have had no response.
    assert responses <= counted <= responses + lost
    portico.stop()


def test_gauges_are_those_of_the_workers_that_are_there(start: Start) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "2", "--threads", "1", source=SHOP)
    first, second = ("shop_each{1}", "shop_each{2}")

    def set_to(value: int, of: str) -> int:
        """Ask until the worker of `of` has set its gauges."""
        pids: list[int] = []

        def is_set() -> bool:
            pids.append(int(portico.get(f"/set/{value}")))
            return samples(admin).get(of) == value

        wait_until(is_set, what=f"{of}: {value}")
        return pids[-1]

    def spread(values: dict[str, float], last: float) -> dict[str, float]:
        each = [*values.values()]
        of_all = {"shop_sum": sum(each), "shop_max": max(each), "shop_min": min(each), "shop_last": last}
        return {**values, **of_all}

    wait_for_values(admin, spread({first: 0.5, second: 0.5}, last=0.5))
    set_to(3, first)
    set_to(3, second)
    wait_for_values(admin, spread({first: 3, second: 3}, last=3))
    for victim in workers(portico):
        os.kill(victim, signal.SIGKILL)
    portico.wait_for("is ready after", times=2)
    wait_for_samples(admin, workers__ready=2)
    # What was set before has ended with the workers.
    wait_for_values(admin, spread({first: 0.5, second: 0.5}, last=0.5))
    portico.stop()


def test_a_gauge_that_is_set_before_the_fork_is_where_each_worker_begins(start: Start) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "2", "--preload", source=SHOP)
    begun = {"shop_each{1}": 0.5, "shop_each{2}": 0.5, "shop_sum": 1, "shop_max": 0.5}
    wait_for_values(admin, begun)
    portico.get("/set/7")
    wait_for_values(admin, {"shop_sum": 7.5, "shop_last": 7})
    for victim in workers(portico):
        os.kill(victim, signal.SIGKILL)
    portico.wait_for("is ready after", times=2)
    wait_for_samples(admin, workers__ready=2)
    wait_for_values(admin, {**begun, "shop_last": 7})
    portico.stop()


@without_loop
def test_a_worker_that_becomes_a_template_hands_its_gauges_on(start: Start) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "2", "--preload", "--refork-after", "20", source=SHOP)
    wait_for_values(admin, {"shop_each{1}": 0.5, "shop_each{2}": 0.5})
    before = workers(portico)

    def has_begun() -> bool:
        portico.get("/set/9")
        return "is to be the template of all" in portico.log()

    wait_until(has_begun, what="a worker that is to be a template")
    wait_until(lambda: not {*workers(portico)} & {*before}, what="workers of the new template")
    wait_for_values(admin, {"shop_sum": 18, "shop_min": 9, "shop_max": 9, "shop_loads_total": 1})
    portico.stop()


def test_a_metric_that_a_reload_changes_is_told_as_it_is_now(start: Start, tmp_path: Path) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "1", source=SHOP)
    portico.get("/order/1")
    wait_for_values(admin, {"shop_orders_total{at}": 1})
    source = SHOP.replace('"Orders that were placed.", labels=("country",)', '"Orders."').replace(
        'inc(country="at")', "inc()"
    )
    (tmp_path / "shop.py").write_text(source)
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    portico.get("/order/1")
    wait_for_values(admin, {"shop_orders_total": 1, "shop_order_size_count": 2})
    assert "# HELP shop_orders_total Orders.\n" in ask(admin).text
    # What it had counted before is there if it comes back.
    (tmp_path / "shop.py").write_text(SHOP)
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after", times=2)
    wait_for_values(admin, {"shop_orders_total{at}": 1, "shop_loads_total": 3})
    portico.stop()


PLAIN = """
import sys
def application(environ, start_response):
    start_response("200 OK", [])
    return [str([name for name in sys.modules if "metric" in name or "admin" in name]).encode()]
"""


def test_an_application_without_metrics_pays_nothing(start: Start) -> None:
    portico = start(PLAIN, "-w", "1", "--threads", "1")
    portico.wait_ready()
    assert portico.get("/") == "[]"
    portico.stop()


def test_metrics_take_memory_where_there_are_any(start: Start) -> None:
    plain = start(PLAIN, "-w", "1", "--threads", "1")
    plain.wait_ready()
    plain.get("/")
    without = scoreboard_bytes(plain)
    plain.stop()
    admin = free_port()
    portico = begin(start, admin, "-w", "1", "--threads", "1", source=SHOP)
    portico.get("/order/1")
    wait_for_values(admin, {"shop_orders_total{at}": 1})
    # A page for each place in the table of 8,192 that it has met, and some for the rest.
    assert without < scoreboard_bytes(portico) < without + 50 * os.sysconf("SC_PAGE_SIZE")
    assert ask(admin).headers["Content-Type"] == TEXT
    portico.stop()
