"""The dashboard, a flame graph and `portico top` show the slow shop; the pictures of docs/observability.md.

They are kept in target/observability, or in the folder that PORTICO_TEST_PICTURES names: to renew those of
the page, `PORTICO_TEST_PICTURES=docs/observability pytest tests/observability/test_pictures.py`.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from process.conftest import Portico
from support.browser import Browser
from support.package import ROOT
from support.waiting import wait_until

from .conftest import SLOW_ROUTES, busy, reading_slowly

PICTURES = Path(os.environ.get("PORTICO_TEST_PICTURES", ROOT / "target" / "observability"))
WIDTH = 1100


@pytest.fixture
def screen(browser: Browser) -> Browser:
    browser.look_like(width=WIDTH, scheme="light")
    return browser


def keep(name: str, picture: bytes) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / name).write_bytes(picture)


def text_of(browser: Browser, id_: str) -> str:
    return str(browser.evaluate(f"document.getElementById('{id_}').innerText"))


def parts_of(browser: Browser, route: str) -> dict[str, float]:
    """How wide each part of the bar of a route is, in pixels."""
    found = browser.evaluate(
        "JSON.stringify([...document.querySelectorAll('#routes tbody tr')].map(row => [row.innerText, "
        "[...row.querySelectorAll('td.meter i')].map(i => [i.className, i.getBoundingClientRect().width])]))"
    )
    for text, parts in json.loads(found):
        if route in text:
            return dict(parts)
    return {}


def test_the_dashboard_shows_where_the_time_of_each_route_goes(
    shop: Portico, admin: int, screen: Browser
) -> None:
    with busy(shop), reading_slowly(shop):
        screen.open(f"http://127.0.0.1:{admin}/")
        screen.evaluate("document.querySelector('input[name=window][value=start]').click()")
        bars: dict[str, dict[str, float]] = {}

        def share(route: str, part: str) -> float:
            return bars[route].get(part, 0.0) / max(1.0, sum(bars[route].values()))

        def shows_them() -> bool:
            bars.update((route, parts_of(screen, route)) for route in SLOW_ROUTES)
            # Where the processors are others', too, who computes waits for one.
            return (
                share("/prices", "cpu") > max(0.2, 3 * share("/stock", "cpu"), 3 * share("/basket", "cpu"))
                and min(share("/stock", "waiting"), share("/basket", "waiting")) > 0.6
                and share("/picture", "client") > 0.3
            )

        wait_until(shows_them, what=f"bars of their own, not {bars}", deadline_s=60)
        wait_until(
            lambda: all(each in text_of(screen, "lines") for each in ("_basket_lock", "_WAREHOUSE_S")),
            what="the slow lines",
            deadline_s=60,
        )
        wait_until(lambda: "GET /" in text_of(screen, "requests"), what="requests in flight")
        screen.evaluate("document.getElementById('requests-title').scrollIntoView()")
        keep("dashboard.png", screen.picture())
    shop.stop()


def test_a_flame_graph_has_the_shop_s_functions(shop: Portico, screen: Browser, tmp_path: Path) -> None:
    with busy(shop):
        subprocess.run(
            [
                *(sys.executable, "-m", "portico", "profile", "--pid-file", str(shop.folder / "pid")),
                *("--seconds", "3", "--output", str(tmp_path / "profile.html")),
            ],
            check=True,
            timeout=60,
        )
    shown = screen.open((tmp_path / "profile.html").as_uri())
    for function in ("price_with_discounts", "ask_the_warehouse", "save_the_basket"):
        assert function in shown
    keep("flame-graph.png", screen.picture())
    shop.stop()


def test_top_follows_the_shop(shop: Portico) -> None:
    textual = pytest.importorskip("textual")
    from portico.ctl.instances import Wish, find_socket
    from portico.top.sample import take_sample
    from portico.top.view import TopApp

    path = find_socket(Wish("", str(shop.folder / "pid"), "", None, ""))

    async def follow() -> str:
        app = TopApp(path, take_sample(path), lambda: path, interval_s=0.5)
        async with app.run_test(size=(100, 16)) as pilot:
            await pilot.press("enter")
            deadline = asyncio.get_running_loop().time() + 60
            while True:
                picture = app.export_screenshot(title="portico top")
                if "/basket" in picture and "/stock" in picture:
                    return str(picture)
                assert asyncio.get_running_loop().time() < deadline
                await pilot.pause(0.2)

    assert textual
    with busy(shop):
        keep("top.svg", asyncio.run(follow()).encode())
    shop.stop()
