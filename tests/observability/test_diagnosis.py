"""Each view tells what is slow in the shop: which page, and whether it computes or waits, and for whom."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from process.conftest import Portico
from prometheus_client.parser import text_string_to_metric_families
from support.waiting import wait_until

from .conftest import SHOP, SLOW_ROUTES, busy, read_slowly

ENOUGH = 8


@pytest.fixture
def records(shop: Portico, tmp_path: Path) -> dict[str, list[dict[str, Any]]]:
    """The access lines of a load that has ended, by route."""

    def read() -> dict[str, list[dict[str, Any]]]:
        lines = (tmp_path / "access.json").read_text().splitlines()
        by_route: dict[str, list[dict[str, Any]]] = {}
        for line in lines:
            record = json.loads(line)
            by_route.setdefault(record["http.route"], []).append(record)
        return by_route

    with busy(shop), ThreadPoolExecutor(1) as pool:
        assert pool.submit(read_slowly, shop).result() > 8 << 20
        wait_until(
            lambda: all(len(read().get(route, [])) >= ENOUGH for route in SLOW_ROUTES[:3]),
            what="enough requests",
            deadline_s=60,
        )
    shop.stop()
    return read()


def median(records: list[dict[str, Any]], value: Callable[[dict[str, Any]], float]) -> float:
    return statistics.median(value(record) for record in records)


def test_the_access_log_says_what_each_page_does(records: dict[str, list[dict[str, Any]]]) -> None:
    def computing(record: dict[str, Any]) -> float:
        return float(record["portico.cpu_ns"] / (record["portico.app_ns"] + record["portico.client_ns"]))

    def of_client(record: dict[str, Any]) -> float:
        return float(record["portico.client_ns"] / (record["portico.app_ns"] + record["portico.client_ns"]))

    assert median(records["/stock"], computing) < 0.1
    assert median(records["/basket"], computing) < 0.1
    # A page that computes also waits for the processor, on a busy machine for most of its time.
    waiting = max(median(records[route], computing) for route in ("/stock", "/basket"))
    assert median(records["/prices"], computing) > max(0.15, 3 * waiting)
    assert median(records["/stock"], lambda record: record["portico.app_ns"]) >= 150e6
    # Three clients, one lock: they wait for each other beyond what saving takes.
    assert median(records["/basket"], lambda record: record["portico.app_ns"]) >= 100e6
    # The rest is waiting for the interpreter after each block.
    assert median(records["/picture"], of_client) > 0.5
    assert max(median(records[route], of_client) for route in SLOW_ROUTES[:3]) < 0.2


def test_the_report_has_the_same_by_route(records: dict[str, list[dict[str, Any]]], tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "portico", "report", "access.json", "--json", "figures.json"],
        cwd=tmp_path,
        check=True,
    )
    figures = json.loads((tmp_path / "figures.json").read_text())
    routes = {each["route"]["text"]: each for each in figures["routes"]}
    assert set(routes) >= set(SLOW_ROUTES)
    for route in SLOW_ROUTES:
        assert routes[route]["requests"] == len(records[route])
    parts = {route: routes[route]["parts_ns"] for route in SLOW_ROUTES}
    largest = {route: max(parts[route], key=parts[route].__getitem__) for route in SLOW_ROUTES}
    assert largest["/stock"] == largest["/basket"] == "waiting", parts
    assert largest["/picture"] == "client", parts
    assert parts["/prices"]["computing"] > 10 * parts["/stock"]["computing"], parts


def ask_control(shop: Portico, *arguments: str) -> str:
    """What a command says of the shop, which runs."""
    done = subprocess.run(
        [sys.executable, "-m", "portico", *arguments],
        cwd=shop.folder,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def line_of(text: str) -> int:
    """The number of the line of the shop that has `text`, the last one if several do."""
    lines = SHOP.read_text().splitlines()
    return max(number for number, line in enumerate(lines, 1) if text in line)


def of_shop(shop: Portico) -> list[str]:
    return ["--pid-file", str(shop.folder / "pid")]


def test_slow_lines_name_the_guilty_ones(shop: Portico) -> None:
    guilty = {
        "/stock": line_of("time.sleep(_WAREHOUSE_S)"),
        "/basket": line_of("with _basket_lock:"),
    }

    def seconds() -> dict[int, float]:
        lines = json.loads(ask_control(shop, "ctl", "slow", *of_shop(shop), "--json"))["lines"]
        return {line["line"]: line["seconds"] for line in lines}

    with busy(shop):
        wait_until(
            lambda: all(seconds().get(line, 0) > 1 for line in guilty.values()),
            what="the lines of the warehouse and of the lock",
            deadline_s=60,
        )
    slow = json.loads(ask_control(shop, "ctl", "slow", *of_shop(shop), "--json"))
    by_line = {line["line"]: line for line in slow["lines"]}
    for route, line in guilty.items():
        assert max(by_line[line]["routes"], key=by_line[line]["routes"].__getitem__) == route
    assert any("slow_shop" in frame or "shop.py" in frame for frame in slow["recent"][0]["stack"])
    # The error log has a record of each, where the time went among it.
    assert "route /stock; queue " in shop.log()
    shop.stop()


def test_a_profile_tells_who_computes_and_who_waits(shop: Portico) -> None:
    with busy(shop):
        text = ask_control(
            shop, "profile", *of_shop(shop), "--seconds", "3", "--format", "json", "--output", "-"
        )
    result = json.loads(text)

    def ticks(route: str, function: str = "", kind: str = "") -> int:
        return sum(
            sample["count"]
            for sample in result["samples"]
            if sample["route"] == route
            and (not kind or sample["kind"] == kind)
            and any(frame.startswith(function) for frame in sample["stack"])
        )

    assert ticks("/prices", "price_with_discounts", "cpu") > 0.5 * ticks("/prices") > 0
    assert ticks("/stock", "ask_the_warehouse", "waiting") > 0.8 * ticks("/stock") > 0
    # Two wait for the lock while one saves.
    waits = ticks("/basket", "basket", "waiting") - ticks("/basket", "save_the_basket", "waiting")
    assert waits > 0.4 * ticks("/basket") > 0
    shop.stop()


def test_metrics_have_the_parts_of_each_route(shop: Portico, admin: int) -> None:
    def parts() -> dict[tuple[str, str], float]:
        with urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=20) as response:
            families = text_string_to_metric_families(response.read().decode())
        return {
            (sample.labels["http_route"], sample.labels["part"]): sample.value
            for family in families
            for sample in family.samples
            if sample.name == "portico_request_part_seconds_total"
        }

    with busy(shop), ThreadPoolExecutor(1) as pool:
        pool.submit(read_slowly, shop).result()
        wait_until(
            lambda: parts().get(("/stock", "queue"), -1) >= 0 and parts().get(("/prices", "cpu"), 0) > 0.5,
            what="half a second of computing",
            deadline_s=60,
        )
    seconds = parts()
    assert seconds["/prices", "cpu"] > 10 * seconds["/stock", "cpu"]
    assert seconds["/picture", "client"] > 10 * seconds["/prices", "client"]
    shop.stop()


def test_top_shows_what_each_worker_is_in(shop: Portico) -> None:
    with busy(shop):
        shown = ""

        def is_slow_there() -> bool:
            nonlocal shown
            shown = ask_control(shop, "top", *of_shop(shop), "--once")
            return re.search(r"GET /(basket|stock)", shown) is not None

        wait_until(is_slow_there, what="a request that waits", deadline_s=60)
    assert "threads" in shown
    assert re.search(r"p50 [\d.]+ms  p99 [\d.]+ms", shown), shown
    shop.stop()
