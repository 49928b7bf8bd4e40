"""Durations at the admin address: exact whatever becomes of workers, bounded whatever routes there are."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import NamedTuple

import pytest
from portico.process.durations import MOST_SERIES, REQUEST, Durations
from portico.process.totals import Totals
from support.counted_load import counted_load
from support.server import free_port
from support.waiting import wait_until

from .conftest import Portico, Start, read_body
from .test_admin import OPENMETRICS, ask, begin, samples, wait_for_samples, workers

DURATION = "http_server_request_duration_seconds"
QUEUE = "portico_request_queue_seconds"
INTERPRETER = "portico_gil_wait_seconds"
BOUNDS = (
    *("0.005", "0.01", "0.025", "0.05", "0.075", "0.1", "0.25", "0.5", "0.75", "1.0", "2.5", "5.0"),
    *("7.5", "10.0", "+Inf"),
)

SHOP = """
import os, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path.startswith("/route"):
        environ["portico.route"] = path
    if path == "/hostile":
        environ["portico.route"] = eval(open("route").read())
    if path.startswith("/wait"):
        while not os.path.exists("go on"):
            time.sleep(0.01)
    if path == "/sleep":
        time.sleep(30)
    start_response("500 Oh No" if path == "/fails" else "200 OK", [])
    return [b"x" * 100]
"""

FLASK = """
from flask import Flask
from portico.frameworks.flask import tell_route

application = Flask(__name__)
tell_route(application)

@application.route("/order/<int:number>", methods=["GET", "POST"])
def order(number):
    return "hello"

@application.get("/fails")
def fails():
    1 / 0
"""


class Series(NamedTuple):
    """One histogram: its labels, without those of its buckets, and what it says."""

    labels: dict[str, str]
    buckets: list[float]
    count: float
    sum_s: float


def series_of(place: int | Path, name: str = DURATION, accept: str = "") -> list[Series]:
    """The series of a histogram, each looked at for what has to be."""
    reply = ask(place, accept=accept)
    found: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for sample in reply.parsed:
        if sample.name.rpartition("_")[0] == name:
            labels = dict(sample.labels)
            kind = labels.pop("le", sample.name.rpartition("_")[2])
            found.setdefault(tuple(labels.items()), {})[kind] = sample.value
    series = []
    for key, values in found.items():
        assert list(values) == [*BOUNDS, "sum", "count"]
        buckets = [values[bound] for bound in BOUNDS]
        assert buckets == sorted(buckets)
        assert buckets[-1] == values["count"]
        series.append(Series(dict(key), buckets, values["count"], values["sum"]))
    return series


def counts(place: int | Path, accept: str = "") -> dict[tuple[str, ...], float]:
    """How many requests each series has, by the values of its labels."""
    return {tuple(series.labels.values()): series.count for series in series_of(place, accept=accept)}


def wait_for_counts(place: int | Path, expected: dict[tuple[str, ...], float]) -> None:
    wait_until(lambda: counts(place) == expected, what=f"{expected}, not {counts(place)}")


# --- Exact


def test_counts_are_what_a_load_has_sent_whatever_becomes_of_workers(start: Start) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "2", "--threads", "2", source=SHOP)
    key = ("shop:application", "GET", "/route", "2xx")
    sent = 0

    def load(number: signal.Signals | None, ready: int) -> None:
        nonlocal sent
        with counted_load(portico.port, "/route") as running:
            wait_until(lambda: running.asked > 200, what="some requests")
            if number is not None:
                portico.signal(number)
                portico.wait_for("is ready after", times=ready)
            asked = running.asked
            wait_until(lambda: running.asked > asked + 200, what="some more")
        assert running.lost == []
        sent += len(running.responses)
        wait_for_counts(admin, {key: sent})

    load(None, 0)
    for victim in workers(portico):
        os.kill(victim, signal.SIGKILL)
    portico.wait_for("is ready after", times=2)
    wait_for_samples(admin, workers__ready=2)
    wait_for_counts(admin, {key: sent})
    load(signal.SIGHUP, 4)
    load(signal.SIGUSR2, 6)
    load(signal.SIGHUP, 8)
    wait_for_samples(admin, workers__ready=2, workers__leaving=0)
    wait_for_counts(admin, {key: sent})
    assert samples(admin)["portico_requests_total"] == sent
    assert [series.count for series in (*series_of(admin, QUEUE), *series_of(admin, INTERPRETER))] == [
        sent
    ] * 2
    portico.stop()


def test_what_a_worker_has_in_hand_that_is_killed_is_counted(start: Start) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "2", source=SHOP)
    with counted_load(portico.port, "/route") as running:
        wait_until(lambda: running.asked > 200, what="some requests")
        os.kill(workers(portico)[0], signal.SIGKILL)
        portico.wait_for("is ready after")
        asked = running.asked
        wait_until(lambda: running.asked > asked + 200, what="some more")

    def of_durations() -> int:
        return sum(count for name, count in samples(admin).items() if name.startswith(f"{DURATION}_count"))

    wait_until(lambda: samples(admin)["portico_requests_total"] == of_durations(), what="the same in both")
    responses = len(running.responses)
    # A call that was not over may have been for nobody.
    assert responses <= of_durations() <= responses + len(running.lost)
    portico.stop()


def test_a_duration_is_in_its_bucket(start: Start, tmp_path: Path) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "1", "--threads", "1", source=SHOP)
    with portico.ask("/wait") as first, portico.ask("/wait") as second:
        wait_for_samples(admin, worker_threads__busy=1)
        wait_until(lambda: samples(admin)["http_server_active_requests"] == 2, what="both")
        # Both are told of by now: a second at least is over.
        (tmp_path / "go on").touch()
        assert read_body(first) == read_body(second) == "x" * 100
    wait_for_counts(admin, {("shop:application", "GET", "2xx"): 2})
    assert samples(admin)["http_server_active_requests"] == 0
    (duration,), (queue,), (interpreter,) = (
        series_of(admin, name) for name in (DURATION, QUEUE, INTERPRETER)
    )
    assert duration.buckets[0] == 0
    assert (queue.count, queue.buckets[0]) == (2, 1), "the second has waited for the only thread"
    assert duration.sum_s > queue.sum_s > 0.005
    assert interpreter.count == 2
    portico.stop()


# --- Labels


def test_routes_are_those_of_the_framework(start: Start) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "2", source=FLASK)
    for number in range(5):
        portico.get(f"/order/{number}")
    for path in ("/nowhere", "/order/x", "/fails"):
        portico.get(path)
    send(portico, b"POST /order/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    send(portico, b"BREW /order/7 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    send(portico, b"GET / HTTP/3.3\r\n\r\n")
    wait_for_counts(
        admin,
        {
            ("shop:application", "GET", "/order/<int:number>", "2xx"): 5,
            ("shop:application", "GET", "4xx"): 2,
            ("shop:application", "GET", "/fails", "5xx"): 1,
            ("shop:application", "POST", "/order/<int:number>", "2xx"): 1,
            ("shop:application", "_OTHER", "4xx"): 1,
            # Nothing was called.
            ("_OTHER", "5xx"): 1,
        },
    )
    assert all(
        list(series.labels)
        == [
            name
            for name in ("application", "http_request_method", "http_route", "http_response_status_class")
            if name in series.labels
        ]
        for series in series_of(admin)
    )
    wait_until(lambda: counts(admin) == counts(admin, OPENMETRICS), what="the same in both formats")
    portico.stop()


def send(portico: Portico, request: bytes) -> bytes:
    with portico.connect() as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_the_access_log_and_metrics_have_the_same_route(start: Start, tmp_path: Path) -> None:
    admin = free_port()
    options = ("--access-log", "access.log", "--access-log-format", '%(U)s "%({portico.route}e)s"')
    portico = begin(start, admin, "-w", "1", *options, source=SHOP)
    portico.get("/route/1")
    wait_for_counts(admin, {("shop:application", "GET", "/route/1", "2xx"): 1})
    line = '/route/1 "/route/1"\n'
    wait_until(lambda: (tmp_path / "access.log").read_text() == line, what="its line")
    portico.stop()


def test_what_is_given_up_has_its_class_and_no_route(start: Start) -> None:
    admin = free_port()
    options = ("--timeout", "1s", "--timeout-grace", "100ms")
    portico = begin(start, admin, "-w", "1", *options, source=SHOP)
    portico.get("/sleep")
    wait_for_counts(admin, {("shop:application", "GET", "5xx"): 1})
    portico.stop()


@pytest.mark.parametrize(
    ("route", "shown"),
    [
        pytest.param(repr('/a "quoted" \\ one\n# TYPE x\n'), '/a "quoted" \\ one\n# TYPE x\n', id="quotes"),
        pytest.param('"/" + "x" * 65536', "/" + "x" * 127, id="64-KB"),
        pytest.param('"x" + "\\u20ac" * 65536', "x" + "\u20ac" * 42, id="characters"),
        pytest.param('"/\\0\\r\\x0b\\x1c\\x85\\u2028/"', "/\0\r\x0b\x1c\x85\u2028/", id="ends-of-lines"),
        pytest.param('"/\\xff\\xfe"', "/\xff\xfe", id="bytes"),
        pytest.param('"/\\udcff"', "/\ufffd\ufffd\ufffd", id="surrogates"),
        pytest.param('b"/bytes"', None, id="no-text"),
        pytest.param('""', None, id="empty"),
        pytest.param("[1]", None, id="a-list"),
    ],
)
def test_no_route_breaks_the_exposition(start: Start, tmp_path: Path, route: str, shown: str | None) -> None:
    admin = free_port()
    (tmp_path / "route").write_text(route)
    portico = begin(start, admin, "-w", "1", source=SHOP)
    portico.get("/hostile")
    key = ("shop:application", "GET", *([] if shown is None else [shown]), "2xx")
    wait_for_counts(admin, {key: 1})
    wait_until(lambda: counts(admin, OPENMETRICS) == {key: 1}, what="the same in the other format")
    portico.stop()


# --- Bounded


def test_what_finds_no_series_is_counted_with_the_others(start: Start) -> None:
    admin = free_port()
    portico = begin(start, admin, "-w", "1", source=SHOP)

    def ask_for(name: str, routes: int) -> None:
        with portico.connect() as connection:
            reader = connection.makefile("rb")
            for number in range(routes):
                # As long as may be: all of them leave in one reply.
                path = f"/route/{name}/{number}/".ljust(128, "x")
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
                head = b"".join(iter(reader.readline, b"\r\n"))
                assert head.startswith(b"HTTP/1.1 200 ")
                reader.read(100)

    others = ("_OTHER", "_OTHER", "2xx")

    def expect(requests: int) -> dict[tuple[str, ...], float]:
        wait_until(lambda: sum(counts(admin).values()) == requests, what=f"{requests} requests")
        found = counts(admin)
        assert len(found) == MOST_SERIES + 1
        assert found == counts(admin, OPENMETRICS)
        assert found[others] == requests - MOST_SERIES
        return found

    ask_for("first", MOST_SERIES + 100)
    first = expect(MOST_SERIES + 100)
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after")
    # The next worker has room for these, and the server has not.
    ask_for("second", 50)
    expect(MOST_SERIES + 150)
    os.kill(workers(portico)[0], signal.SIGKILL)
    portico.wait_for("is ready after", times=2)
    second = expect(MOST_SERIES + 150)
    assert {key for key in first if key != others} == {key for key in second if key != others}
    portico.signal(signal.SIGUSR2)
    portico.wait_for("is ready after", times=3)
    assert expect(MOST_SERIES + 150) == second
    assert portico.log().count("metrics are at") == 3, "each process was let live"
    portico.stop()


def scoreboard_bytes(portico: Portico) -> int:
    """How much memory the scoreboard has."""
    fds = Path(f"/proc/{portico.process.pid}/fd")
    (found,) = [fd for fd in fds.iterdir() if "portico-scoreboard" in os.readlink(fd)]
    return found.stat().st_blocks * 512


def test_there_is_memory_for_it_only_where_somebody_wants_it(start: Start) -> None:
    portico = start(SHOP, "-w", "1", "--threads", "1")
    portico.wait_ready()
    portico.get("/route")
    before = scoreboard_bytes(portico)
    for number in range(50):
        portico.get(f"/route/{number}")
    assert scoreboard_bytes(portico) == before
    (worker,) = workers(portico)
    os.kill(worker, signal.SIGKILL)
    portico.wait_for("is ready after")
    # One more page: the half of lines that are not written yet which nobody has used is looked at.
    assert scoreboard_bytes(portico) <= before + os.sysconf("SC_PAGE_SIZE")
    portico.stop()


# --- Handed over


def test_a_version_without_durations_has_handed_over_what_it_had() -> None:
    totals = Totals({"counts": {"requests": 7}, "restarts": {"died": 1}})
    assert (totals.counts["requests"], totals.restarts["died"]) == (7, 1)
    assert totals.hand_over()["durations"] == []


def test_a_version_with_other_buckets_has_handed_over_nothing_of_them() -> None:
    durations = Durations()
    row = ((REQUEST, "shop", "GET", "/", "2xx"), [1] * 16)
    durations.add([row])
    handed_over = Totals({"durations": durations.hand_over()}).hand_over()["durations"]
    assert handed_over == [row]
    assert Totals({"durations": [(row[0], [1] * 5)]}).hand_over()["durations"] == []
