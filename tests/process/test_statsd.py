"""The StatsD push: what a receiver sums up is what was counted, whatever becomes of processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from support.counted_load import counted_load
from support.processes import is_alive
from support.server import free_port
from support.statsd import StatsdReceiver
from support.waiting import wait_until

from .conftest import Portico, Start, read_body
from .test_admin import named, samples, workers

SHOP = """
import json, os, sys, time
from portico.metrics import Counter, Gauge, Histogram

ORDERS = Counter("shop_orders", "Orders that were placed.", labels=("country",))
SIZES = Histogram("shop_order_size", "Books in an order.", buckets=(1, 5))
TOOK = Histogram("shop_payment_seconds", "How long the bank takes.", buckets=(0.1, 0.5))
DEBT = Gauge("shop_debt", "What is owed.", workers="last")

def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/order":
        ORDERS.inc(country="at")
        SIZES.observe(3)
        TOOK.observe(0.2)
        DEBT.set(-5)
    if path == "/wait":
        open("waiting", "w").close()
        while not os.path.exists("go on"):
            time.sleep(0.01)
    if path == "/imported":
        start_response("200 OK", [])
        return [json.dumps([name for name in sys.modules if "statsd" in name]).encode()]
    start_response("500 Oh No" if path == "/fails" else "200 OK", [])
    return [str(os.getpid()).encode()]
"""
QUICK = ("--statsd-interval", "0.1")


@pytest.fixture(params=["udp", "unix"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> StatsdReceiver:
    return StatsdReceiver(free_port() if request.param == "udp" else tmp_path / "statsd.sock")


def begin(start: Start, receiver: StatsdReceiver, *options: str, source: str = SHOP) -> Portico:
    portico = start(source, "--statsd", receiver.address, *QUICK, *options)
    portico.wait_ready()
    portico.wait_for(f"metrics are pushed to {receiver.address} every ")
    return portico


def are_two_others(portico: Portico, gone: list[int]) -> bool:
    """Whether two workers are there, none of them of `gone`."""
    now = workers(portico)
    return len(now) == 2 and not set(now) & set(gone)


def statsd_pid(portico: Portico, but: int = 0) -> int:
    """The process id of the one that pushes, once there is one."""

    def found() -> int:
        return next((pid for pid in named(portico, "portico statsd") if pid != but), 0)

    wait_until(lambda: found() > 0, what="a process that pushes")
    return found()


def wait_for_count(receiver: StatsdReceiver, name: str, count: float) -> None:
    wait_until(lambda: receiver.counts[name] >= count, what=f"{count} of {name}, not {receiver.counts}")
    assert receiver.counts[name] == count


# --- What is sent


def test_a_receiver_has_what_was_counted_once_the_server_has_stopped(
    start: Start, receiver: StatsdReceiver
) -> None:
    with receiver:
        portico = begin(start, receiver, "-w", "2", "--threads", "3", "--statsd-interval", "1h")
        assert receiver.datagrams == []
        for path, times in (("/order", 5), ("/fails", 2)):
            for _ in range(times):
                portico.get(path)
        portico.stop()
        wait_for_count(receiver, "portico.requests", 7)
        counts, gauges = receiver.counts, receiver.gauges
        assert receiver.wrong == []
        assert counts["portico.request.errors"] == 2
        assert counts["portico.request.status.2xx"] == 5
        assert counts["portico.request.status.5xx"] == 2
        assert counts["portico.connections.accepted"] == 7
        assert counts["portico.app.shop_orders.at"] == 5
        assert counts["portico.response.bytes"] > 7
        assert round(receiver.timings["portico.request.duration"], 6) == 7
        assert round(receiver.timings["portico.request.queue"], 6) == 7
        assert round(receiver.timings["portico.request.lock"], 6) == 7
        assert 0 < receiver.sums["portico.request.duration"] < 60_000
        assert {"p50", "p95", "p99"} == {
            name.rpartition(".")[2] for name in gauges if name.startswith("portico.request.duration.")
        }
        assert round(receiver.timings["portico.app.shop_order_size"], 6) == 5
        assert round(receiver.sums["portico.app.shop_order_size"], 6) == 15
        assert round(receiver.sums["portico.app.shop_payment"], 6) == 1000
        # A sign is a change, where there are no tags.
        assert gauges["portico.app.shop_debt"] == -5
        assert gauges["portico.workers"] == 0


def test_gauges_are_those_of_now(start: Start, receiver: StatsdReceiver) -> None:
    with receiver:
        portico = begin(start, receiver, "-w", "2", "--threads", "3")
        expected = {
            "portico.workers": 2,
            "portico.workers.ready": 2,
            "portico.workers.booting": 0,
            "portico.threads.busy": 0,
            "portico.threads.idle": 6,
            "portico.backlog": 0,
            "portico.requests.active": 0,
        }

        def found() -> dict[str, float | None]:
            return {name: receiver.gauges.get(name) for name in expected}

        wait_until(lambda: found() == expected, what=f"{expected}, not {found()}")
        assert receiver.gauges["portico.worker.1.rss"] > 1 << 20
        assert receiver.gauges["portico.worker.2.rss"] > 1 << 20
        assert receiver.gauges["portico.start_time"] > 1_700_000_000
        # One that is no more is nothing, and not for ever what it was.
        portico.signal(signal.SIGTTOU)
        wait_until(lambda: receiver.gauges["portico.worker.2.rss"] == 0, what="no second worker")
        portico.stop()
        assert receiver.wrong == []


def test_the_names_of_gunicorn_with_its_prefix(start: Start) -> None:
    with StatsdReceiver(free_port()) as receiver:
        portico = start(
            SHOP, "--statsd-host", receiver.address, "--statsd-prefix", "gunicorn", "-w", "1", *QUICK
        )
        portico.wait_ready()
        portico.get()
        wait_for_count(receiver, "gunicorn.requests", 1)
        assert receiver.counts["gunicorn.request.status.2xx"] == 1
        assert receiver.gauges["gunicorn.workers"] == 1
        assert receiver.timings["gunicorn.request.duration"] == 1
        portico.stop()


def test_labels_are_tags_where_there_are_tags(start: Start) -> None:
    with StatsdReceiver(free_port()) as receiver:
        portico = begin(start, receiver, "--statsd-tags", "env:test,service:shop")
        portico.get("/order")
        wait_for_count(receiver, "portico.app.shop_orders", 1)
        assert receiver.tags["portico.app.shop_orders"] == {"env:test,service:shop,country:at"}
        assert receiver.tags["portico.requests"] == {"env:test,service:shop"}
        assert receiver.tags["portico.request.status.2xx"] == {
            "env:test,service:shop,application:shop:application,method:GET"
        }
        assert receiver.counts["portico.request.status.2xx"] == 1
        # There a gauge has a sign of its own.
        assert b"portico.app.shop_debt:-5|g|#env:test,service:shop" in b"\n".join(receiver.datagrams)
        portico.stop()
        assert receiver.wrong == []


def test_datagrams_fit_in_what_a_network_takes(start: Start) -> None:
    with StatsdReceiver(free_port()) as receiver:
        portico = begin(start, receiver, "--statsd-tags", f"long:{'x' * 200}")
        portico.get("/order")
        wait_for_count(receiver, "portico.requests", 1)
        portico.stop()
    sizes = [len(data) for data in receiver.datagrams]
    assert max(sizes) <= 1432
    assert max(data.count(b"\n") for data in receiver.datagrams) >= 3


# --- What becomes of processes


def test_counts_are_exact_over_kills_reloads_and_upgrades_under_load(
    start: Start, receiver: StatsdReceiver
) -> None:
    with receiver:
        portico = begin(start, receiver, "-w", "2", "--threads", "2")
        sent = lost = 0
        for number in (None, signal.SIGHUP, signal.SIGUSR2, signal.SIGKILL, signal.SIGHUP):
            with counted_load(portico.port, "/order") as running:
                wait_until(lambda load=running: load.asked > 100, what="some requests")  # type: ignore[misc]
                go = workers(portico)
                if number == signal.SIGKILL:
                    go = go[:1]
                    os.kill(go[0], signal.SIGKILL)
                elif number is not None:
                    portico.signal(number)
                if number is not None:
                    wait_until(lambda gone=go: are_two_others(portico, gone), what="successors")  # type: ignore[misc]
                asked = running.asked
                wait_until(lambda load=running, more=asked: load.asked > more + 100, what="some more")  # type: ignore[misc]
            sent += len(running.responses)
            lost += len(running.lost)
            if number != signal.SIGKILL:
                assert running.lost == []
        portico.stop()
        wait_until(lambda: receiver.gauges.get("portico.workers") == 0, what="the last push")
        counts = receiver.counts
        # What was in a call when its worker was killed may have been counted, and have had no response.
        for name in ("portico.requests", "portico.request.status.2xx", "portico.app.shop_orders.at"):
            assert sent <= counts[name] <= sent + lost, name
        assert counts["portico.requests"] == round(receiver.timings["portico.request.duration"], 3)
        if not lost:
            assert counts["portico.requests"] == sent
        assert counts["portico.worker.restarts.died"] == 1
        assert receiver.wrong == []


def test_a_process_that_is_killed_neither_loses_nor_repeats_anything(
    start: Start, receiver: StatsdReceiver
) -> None:
    with receiver:
        portico = begin(start, receiver)
        for count in (1, 2, 3):
            portico.get("/order")
            wait_for_count(receiver, "portico.requests", count)
            # What it had sent by then it has noted, too.
            before, datagrams = statsd_pid(portico), len(receiver.datagrams)
            wait_until(lambda so_far=datagrams: len(receiver.datagrams) > so_far + 2, what="a push")  # type: ignore[misc]
            os.kill(before, signal.SIGKILL)
            portico.get("/order")
            statsd_pid(portico, but=before)
            wait_for_count(receiver, "portico.requests", count + 1)
            receiver.counts["portico.requests"] -= 1
        assert portico.log().count("the statsd process was killed by SIGKILL; the next one starts in ") == 3
        portico.stop()
        assert receiver.counts["portico.app.shop_orders.at"] == 6


def test_a_reload_takes_the_push_elsewhere(start: Start, tmp_path: Path) -> None:
    config = tmp_path / "portico.toml"
    with StatsdReceiver(free_port()) as first, StatsdReceiver(free_port()) as second:
        table = '[statsd]\naddress = "{}"\ninterval = "{}"\n'
        config.write_text(table.format(first.address, "1h"))
        portico = start(SHOP, "-c", str(config))
        portico.wait_ready()
        portico.get("/order")
        config.write_text(table.format(second.address, "100ms"))
        portico.signal(signal.SIGHUP)
        # The last push to whom it went before.
        wait_for_count(first, "portico.requests", 1)
        portico.wait_for("is ready after")
        portico.wait_for(f"metrics are pushed to {second.address}")
        portico.get("/order")
        wait_for_count(second, "portico.requests", 1)
        config.write_text("")
        before = statsd_pid(portico)
        portico.signal(signal.SIGHUP)
        portico.wait_for("is ready after", times=2)
        wait_until(lambda: not is_alive(before), what="no process")
        portico.get("/order")
        # Whoever comes later is not sent what was counted before.
        config.write_text(table.format(first.address, "100ms"))
        portico.signal(signal.SIGHUP)
        portico.wait_for(f"metrics are pushed to {first.address}", times=2)
        wait_until(lambda: "portico.workers" in first.gauges, what="a push")
        first.gauges.clear()
        wait_until(lambda: "portico.workers" in first.gauges, what="another push")
        portico.get("/order")
        portico.stop()
        wait_for_count(first, "portico.requests", 2)
        assert second.counts["portico.requests"] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_each_end_has_a_last_push(start: Start, receiver: StatsdReceiver, number: signal.Signals) -> None:
    with receiver:
        portico = begin(start, receiver, "--statsd-interval", "1h")
        portico.get("/order")
        portico.signal(number)
        assert portico.wait() == 0
        wait_for_count(receiver, "portico.requests", 1)


def test_what_ends_after_a_process_was_replaced_is_pushed_as_well(
    start: Start, receiver: StatsdReceiver, tmp_path: Path
) -> None:
    with receiver:
        portico = begin(start, receiver, "-w", "1")
        before = statsd_pid(portico)
        with portico.ask("/wait") as connection:
            wait_until((tmp_path / "waiting").exists, what="a call")
            # As the logs are opened anew, the process is to be another; but at the end none is started.
            portico.process.send_signal(signal.SIGUSR1)
            portico.process.send_signal(signal.SIGTERM)
            portico.wait_for("stopping after the requests in flight")
            wait_until(lambda: not is_alive(before), what="no process")
            (tmp_path / "go on").touch()
            assert read_body(connection)
        assert portico.wait() == 0
        wait_for_count(receiver, "portico.requests", 1)


def test_it_ends_with_a_supervisor_that_is_killed(start: Start, receiver: StatsdReceiver) -> None:
    with receiver:
        portico = begin(start, receiver)
        pid = statsd_pid(portico)
        portico.process.kill()
        wait_until(lambda: not is_alive(pid), what="no process")


# --- A receiver that is not there


def test_what_a_receiver_has_missed_it_is_sent_when_it_is_back(
    start: Start, receiver: StatsdReceiver
) -> None:
    portico = begin(start, receiver)
    for _ in range(3):
        portico.get("/order")
    portico.wait_for(f"statsd: cannot send to {receiver.address}: ")
    with receiver:
        wait_for_count(receiver, "portico.requests", 3)
        portico.wait_for(f"statsd: {receiver.address} is reached again, after ")
        wait_until(lambda: receiver.counts["portico.statsd.errors"] > 0, what="errors, counted")
    portico.get("/order")
    portico.wait_for("statsd: cannot send to", times=2)
    with receiver:
        portico.stop()
        wait_for_count(receiver, "portico.requests", 4)
    assert receiver.wrong == []


def test_a_receiver_that_is_not_there_does_not_keep_the_server_from_its_end(
    start: Start, receiver: StatsdReceiver
) -> None:
    portico = begin(start, receiver)
    portico.get("/order")
    portico.wait_for(f"statsd: cannot send to {receiver.address}: ")
    portico.stop()
    log = portico.log()
    assert log.count("statsd: cannot send to") == 1
    assert f"statsd: {receiver.address} was not reached by the last push" in log


def test_a_name_that_is_not_found_is_looked_up_again(start: Start) -> None:
    portico = start(SHOP, "--statsd", "nowhere.invalid:8125", *QUICK)
    portico.wait_ready()
    portico.wait_for("statsd: cannot send to nowhere.invalid:8125: ")
    portico.get("/order")
    portico.stop()


def test_a_name_is_as_good_as_an_address(start: Start) -> None:
    with StatsdReceiver(free_port()) as receiver:
        portico = start(SHOP, "--statsd", f"udp://localhost:{receiver.place}", *QUICK)
        portico.wait_ready()
        portico.get("/order")
        wait_for_count(receiver, "portico.requests", 1)
        portico.stop()


def test_a_process_that_is_stopped_does_not_keep_the_server_from_its_end(
    start: Start, receiver: StatsdReceiver
) -> None:
    with receiver:
        portico = begin(start, receiver)
        os.kill(statsd_pid(portico), signal.SIGSTOP)
        portico.stop()
        assert "the statsd process does not leave: killed, without a last push" in portico.log()


# --- What it costs the others


def test_without_a_receiver_nothing_is_there(start: Start) -> None:
    portico = start(SHOP)
    portico.wait_ready()
    assert portico.get("/imported") == "[]"
    assert named(portico, "portico statsd") == []
    portico.stop()


def test_beside_the_admin_address(start: Start) -> None:
    admin = free_port()
    with StatsdReceiver(free_port()) as receiver:
        portico = begin(start, receiver, "--admin-bind", f"127.0.0.1:{admin}")
        portico.get("/order")
        wait_for_count(receiver, "portico.requests", 1)
        assert samples(admin)["portico_requests_total"] == 1
        portico.stop()
