"""Each view tells what is slow in the shop: which page, and whether it computes or waits, and for whom."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from process.conftest import Portico
from support.waiting import wait_until

from .conftest import SLOW_ROUTES, busy, read_slowly

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

    # On a busy machine a page that computes also waits for the processor.
    assert median(records["/prices"], computing) > 0.3
    assert median(records["/stock"], computing) < 0.1
    assert median(records["/basket"], computing) < 0.1
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
