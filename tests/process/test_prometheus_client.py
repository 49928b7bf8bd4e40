"""prometheus_client in an application: its multiprocess mode is set up, and told at the admin address."""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path

import pytest
from support.counted_load import counted_load
from support.server import free_port
from support.waiting import wait_until

from .conftest import Start
from .test_admin import OPENMETRICS, ask, begin, samples, wait_for_samples, workers
from .test_application_metrics import wait_for_values

SHOP = """
import os
from prometheus_client import Counter, Gauge, Histogram

ORDERS = Counter("shop_orders", "Orders that were placed.", ["country"])
SIZES = Histogram("shop_order_size", "Books in an order.", buckets=(1, 5))
LIVE = Gauge("shop_live", "Of workers that live.", multiprocess_mode="livesum")
MOST = Gauge("shop_most", "Of all.", multiprocess_mode="max")
LIVE.set(1)

def application(environ, start_response):
    if environ["PATH_INFO"] == "/order":
        ORDERS.labels("at").inc()
        SIZES.observe(3)
        MOST.set(5)
    start_response("200 OK", [])
    return [os.environ.get("PROMETHEUS_MULTIPROC_DIR", "none").encode()]
"""


@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["", "preload"])
def test_counts_are_exact_whatever_becomes_of_workers(start: Start, preload: tuple[str, ...]) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "2", "--threads", "2", *preload, source=SHOP)
    directory = Path(portico.get())
    sent = 0

    def load(number: signal.Signals | None, ready: int) -> None:
        nonlocal sent
        with counted_load(portico.port, "/order") as running:
            wait_until(lambda: running.asked > 200, what="some requests")
            if number is not None:
                portico.signal(number)
                portico.wait_for("is ready after", times=ready)
            asked = running.asked
            wait_until(lambda: running.asked > asked + 200, what="some more")
        assert running.lost == []
        sent += len(running.responses)
        wait_for_values(
            admin,
            {
                "shop_orders_total{at}": sent,
                "shop_order_size_bucket{5.0}": sent,
                "shop_order_size_count": sent,
                "shop_order_size_sum": 3 * sent,
                "shop_most": 5,
            },
        )

    load(None, 0)
    for victim in workers(portico):
        os.kill(victim, signal.SIGKILL)
    portico.wait_for("is ready after", times=2)
    wait_for_values(admin, {"shop_orders_total{at}": sent})
    load(signal.SIGHUP, 4)
    load(signal.SIGUSR2, 6)
    load(signal.SIGHUP, 8)
    wait_for_samples(admin, workers__ready=2, workers__leaving=0)
    # With preload it is the template that has set it.
    wait_for_values(admin, {"shop_live": 1 if preload else 2})
    reply = ask(admin, accept=OPENMETRICS)
    assert reply.samples["shop_orders_total{at}"] == sent
    assert reply.text.count("# EOF") == 1
    assert Path(portico.get()) == directory
    portico.stop()
    assert not directory.exists()


def test_the_directory_is_this_servers_and_only_its_users(start: Start) -> None:
    portico = begin(start, free_port(), "-w", "1", source=SHOP)
    directory = Path(portico.get())
    assert directory.name == f"{portico.process.pid}.metrics"
    assert directory.stat().st_mode & 0o777 == 0o700
    (directory.parent / "2147483646.metrics").mkdir()
    (directory.parent / "2147483646.metrics" / "counter_1.db").touch()
    other = begin(start, free_port(), "-w", "1", source=SHOP)
    assert Path(other.get()) != directory
    assert not (directory.parent / "2147483646.metrics").exists(), "of a server that is no more"
    assert directory.exists()
    for each in (portico, other):
        each.stop()


def options_off(tmp_path: Path) -> list[tuple[tuple[str, ...], dict[str, str], str]]:
    return [
        (("--no-prometheus-client",), {}, "none"),
        ((), {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}, str(tmp_path)),
        (("--env", f"PROMETHEUS_MULTIPROC_DIR={tmp_path}"), {}, str(tmp_path)),
    ]


@pytest.mark.parametrize("case", range(3), ids=["setting", "environment", "env"])
def test_who_sees_to_it_is_left_alone(start: Start, tmp_path: Path, case: int) -> None:
    options, environment, expected = options_off(tmp_path)[case]
    admin = free_port()
    portico = start(SHOP, "-w", "1", "--admin-bind", f"127.0.0.1:{admin}", *options, environment=environment)
    portico.wait_ready()
    assert portico.get("/order") == expected
    portico.wait_for("metrics are at")
    assert "shop_orders_total{at}" not in samples(admin)
    portico.stop()
    assert tmp_path.exists()


def test_without_an_admin_address_nothing_is_set_up(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    assert portico.get() == "none"
    portico.stop()


def test_a_reload_may_bring_it(start: Start, tmp_path: Path) -> None:
    admin = free_port()
    (tmp_path / "portico.toml").write_text("")
    portico = start(SHOP, "-w", "1", "-c", "portico.toml")
    portico.wait_ready()
    assert portico.get() == "none"
    (tmp_path / "portico.toml").write_text(f'[admin]\nbind = "127.0.0.1:{admin}"\n')
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    portico.wait_for("metrics are at")
    wait_until(lambda: portico.get("/order") != "none", what="the new worker")
    wait_until(lambda: "shop_orders_total{at}" in samples(admin), what="its metric")
    portico.stop()


# As many bytes as are used, and the first of its keys, which are JSON.
BROKEN = struct.pack("<ii", 64, 0) + struct.pack("<i", 12) + b"never a JSON" + bytes(48)


def test_a_file_that_is_none_is_a_sentence(start: Start) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "1", source=SHOP)
    directory = Path(portico.get("/order"))
    wait_for_values(admin, {"shop_orders_total{at}": 1})
    (directory / "counter_99999.db").write_bytes(BROKEN)

    def has_said() -> bool:
        reply = ask(admin)
        assert (reply.status, reply.samples["portico_workers{ready}"]) == (200, 1)
        return "metrics: cannot read those of prometheus_client: " in portico.log()

    wait_until(has_said, what="the sentence")
    (directory / "counter_99999.db").unlink()
    wait_for_values(admin, {"shop_orders_total{at}": 1})
    assert portico.log().count("cannot read those of prometheus_client") == 1
    portico.stop()


BOTH = """
import prometheus_client, portico.metrics
theirs = prometheus_client.Counter("shop_orders", "Theirs.")
also = prometheus_client.Counter("shop_others", "Theirs.")
mine = portico.metrics.Counter("shop_orders", "Ours.")
def application(environ, start_response):
    theirs.inc(); also.inc(); mine.inc(5)
    start_response("200 OK", [])
    return [b""]
"""


@pytest.mark.parametrize("accept", ["", OPENMETRICS], ids=["text", "openmetrics"])
def test_a_name_is_told_once(start: Start, accept: str) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "1", source=BOTH)
    portico.get()

    def found(name: str) -> float | None:
        return ask(admin, accept=accept).samples.get(name)

    wait_until(lambda: (found("shop_orders_total"), found("shop_others_total")) == (5, 1), what="each once")
    portico.stop()
