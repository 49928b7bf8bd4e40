"""Access lines of a running server in other formats: what their readers find, and which requests have one."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from support.log_file import LogFile
from support.raw_client import Closed, Connection
from support.waiting import wait_until
from support.ways import own_cpu_time

from .conftest import Portico, Start

APPLICATION = """
import enum, time

class Colour(enum.IntEnum):
    RED = 3

def application(environ, start_response):
    path = environ["PATH_INFO"]
    environ["portico.route"] = "/" + path.split("/")[1] + "/<rest>"
    environ["shop.customer"] = 4711
    environ["shop.is_new"], environ["shop.debt"], environ["shop.object"] = True, -(2**70), object()
    environ["shop.share"], environ["shop.colour"], environ["shop.file"] = 0.25, Colour.RED, "a\\udcff"
    if path == "/sleeps":
        time.sleep(0.05)
    if path == "/computes":
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
    if path == "/reads":
        open("called", "w").close()
        environ["wsgi.input"].read()
    if path == "/killed":
        import os
        os.kill(os.getpid(), 9)
    status = "500 No" if path == "/fails" else "200 OK"
    start_response(status, [("Content-Type", "text/plain"), ("X-Cache", "hit"), ("Content-Length", "5")])
    return [b"hello"]
"""


class Served:
    """A portico with an access log."""

    def __init__(self, start: Start, folder: Path, *options: str) -> None:
        self.access_log = LogFile(folder / "access.log")
        self.portico: Portico = start(APPLICATION, "--access-log", str(self.access_log.path), *options)
        self.portico.wait_ready()

    def ask(self, path: str, *headers: str, method: str = "GET") -> None:
        with Connection(("127.0.0.1", self.portico.port)) as connection:
            connection.request(path, method=method, headers=list(headers))

    def line(self, path: str, *headers: str) -> str:
        """The line of one request."""
        since = self.access_log.position()
        self.ask(path, *headers)
        wait_until(lambda: self.access_log.lines(since), what="a line")
        [line] = self.access_log.lines(since)
        return line


def object_of(line: str) -> dict[str, Any]:
    """A line of JSON, in which no name is there twice."""
    pairs = json.loads(line, object_pairs_hook=list)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


def pairs_of(line: str) -> dict[str, str]:
    """A line of logfmt."""
    return dict(word.split("=", 1) for word in shlex.split(line))


@own_cpu_time
def test_json_tells_where_the_time_went(start: Start, tmp_path: Path) -> None:
    served = Served(start, tmp_path, "--access-log-format", "json")
    before = datetime.now(timezone.utc)
    found = object_of(served.line("/sleeps?a=1", "X-Request-ID: r-1", 'User-Agent: a \\xff\x85"b'))
    ended = datetime.fromisoformat(found["@timestamp"].replace("Z", "+00:00"))
    assert (ended - before).total_seconds() < 20
    expected = {
        "log.level": "info",
        "message": "GET /sleeps?a=1 200",
        "http.request.method": "GET",
        "url.path": "/sleeps",
        "url.query": "a=1",
        "http.version": "1.1",
        "http.route": "/sleeps/<rest>",
        "http.request.id": "r-1",
        "http.request.body.bytes": 0,
        "http.response.status_code": 200,
        "http.response.body.bytes": 5,
        "client.ip": "127.0.0.1",
    }
    assert {name: found[name] for name in expected} == expected
    assert found["process.pid"] in served.portico.worker_pids
    assert found["portico.app_ns"] >= 50_000_000 > found["portico.cpu_ns"] > 0
    assert found["event.duration"] >= found["portico.first_byte_ns"] >= 50_000_000
    computed = object_of(served.line("/computes"))
    assert computed["portico.cpu_ns"] >= 50_000_000
    parts = sum(computed[f"portico.{part}_ns"] for part in ("queue", "lock", "app", "client"))
    assert abs(computed["event.duration"] - parts) < 1_000_000


def test_a_slow_client_is_told_from_a_slow_application(start: Start, tmp_path: Path) -> None:
    served = Served(
        start, tmp_path, "--access-log-format", "json", "--body-memory", "1K", "--body-spool", "1K"
    )
    with Connection(("127.0.0.1", served.portico.port)) as connection:
        connection.send(b"POST /reads HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + b"x" * 2000)
        wait_until((tmp_path / "called").exists, what="the call")
        # As long as that: the kernel's clock is what is measured.
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.2)"], check=True, timeout=20)
        connection.send(b"x" * 3000)
        assert connection.read_response().status == 200
    served.access_log.wait_for("/reads")
    found = object_of(served.access_log.lines()[-1])
    assert found["portico.client_ns"] >= 200_000_000 > found["portico.app_ns"]


@own_cpu_time
def test_a_call_that_waits_for_the_interpreter_says_so(start: Start, tmp_path: Path) -> None:
    served = Served(start, tmp_path, "--access-log-format", "json", "--threads", "4", "-w", "1")
    with (
        Connection(("127.0.0.1", served.portico.port)) as one,
        Connection(("127.0.0.1", served.portico.port)) as two,
    ):
        one.ask("/computes")
        two.ask("/computes")
        one.read_response()
        two.read_response()
    wait_until(lambda: len(served.access_log.lines()) == 2, what="two lines")
    found = [object_of(line) for line in served.access_log.lines()]
    # Two that compute on one interpreter: together they have waited for one another as long as one computes.
    waited = sum(each["portico.queue_ns"] + each["portico.lock_ns"] for each in found)
    waited += sum(each["portico.app_ns"] - each["portico.cpu_ns"] for each in found)
    assert waited > 20_000_000


def test_logfmt_and_more_fields(start: Start, tmp_path: Path) -> None:
    fields = ["environ.shop.customer,header.x-tenant", "response.x-cache"]
    fields += ["environ.shop.is_new", "environ.shop.debt", "environ.shop.object"]
    fields += ["environ.shop.share", "environ.shop.colour", "environ.shop.file"]
    options = [word for field in fields for word in ("--access-log-fields", field)]
    served = Served(start, tmp_path, "--access-log-format", "logfmt", *options)
    found = pairs_of(served.line("/a", 'X-Tenant: a b="c', "X-Tenant: d"))
    assert found["path"] == "/a"
    assert found["route"] == "/a/<rest>"
    assert (found["environ.shop.customer"], found["response.x-cache"]) == ("4711", "hit")
    assert found["header.x-tenant"] == "a b=\\x22c, d"
    assert (found["environ.shop.is_new"], found["environ.shop.debt"]) == ("True", str(-(2**70)))
    assert (found["environ.shop.share"], found["environ.shop.colour"]) == ("0.25", "3")
    assert found["environ.shop.file"] == "a" + "\\xef\\xbf\\xbd" * 3
    assert "environ.shop.object" not in found


@pytest.mark.parametrize("path", ["/a", "/killed"])
def test_a_worker_has_the_number_of_its_title(start: Start, tmp_path: Path, path: str) -> None:
    served = Served(start, tmp_path, "-w", "2", "--access-log-format", "%(worker) %(wid) %(process)")
    titles = {pid: Path(f"/proc/{pid}/cmdline").read_text() for pid in served.portico.worker_pids}
    numbers = {pid: title.split()[2] for pid, title in titles.items()}
    assert sorted(numbers.values()) == ["1", "2"]
    with contextlib.suppress(Closed):
        served.ask(path)
    wait_until(served.access_log.lines, what="a line")
    worker, wid, process = served.access_log.lines()[0].split()[:3]
    assert worker == wid == numbers[int(process)]


@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        (
            '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
            r'127\.0\.0\.1 - - \[.*\] "GET /a\?b HTTP/1\.1" 200 5 "-" "x"',
        ),
        (
            "%(m)s %(U)s %(q)s %({x-cache}o)s %({portico.route}e)s %({user-agent}i)s",
            "GET /a b hit /a/<rest> x",
        ),
        (
            "%(method) %(uri) => %(rsize) bytes in %(msecs) msecs %(status) %(headers) headers %(hsize)",
            r"GET /a\?b => 5 bytes in \d+ msecs 200 [3-9] headers \d{2,3}",
        ),
        ("%(var.REQUEST_METHOD) %(var.shop.customer)", "GET 4711"),
        ("common", r'127\.0\.0\.1 - - \[.*\] "GET /a\?b HTTP/1\.1" 200 5'),
        ("short", r"\d\d:\d\d:\d\d GET /a\?b 200 5 \d+\.\d{3} ms"),
    ],
)
def test_templates_of_other_servers(start: Start, tmp_path: Path, format_: str, expected: str) -> None:
    served = Served(start, tmp_path, "--access-log-format", format_)
    assert re.fullmatch(expected, served.line("/a?b", "User-Agent: x"))


def test_only_chosen_requests_have_lines_and_all_are_counted(start: Start, tmp_path: Path) -> None:
    condition = "status >= 500 or total_ms > 40"
    options = ("--access-log-if", condition, "--access-log-skip", "/skipped/*", "-w", "1")
    served = Served(start, tmp_path, *options)
    for path in ("/quick", "/skipped/sleeps", "/sleeps", "/quick", "/fails"):
        served.ask(path)
    wait_until(lambda: len(served.access_log.lines()) == 2, what="two lines")
    assert [line.split()[6] for line in served.access_log.lines()] == ["/sleeps", "/fails"]


def test_a_killed_request_has_a_line_in_the_format_whatever_is_chosen(start: Start, tmp_path: Path) -> None:
    options = ("--access-log-format", "json", "--access-log-if", "status == 1", "--access-log-sample", "0")
    served = Served(start, tmp_path, "-w", "1", *options)
    [pid] = served.portico.worker_pids
    with Connection(("127.0.0.1", served.portico.port)) as connection:
        connection.ask("/killed?x")
        assert connection.read_to_end() == b""
    served.access_log.wait_for("/killed")
    [line] = served.access_log.lines()
    found = object_of(line)
    assert found["portico.cause"] == "killed:SIGKILL"
    assert (found["url.path"], found["http.response.status_code"]) == ("/killed", 0)
    assert found["process.pid"] == pid
    assert found["portico.app_ns"] > 0


def test_a_reload_changes_the_format(start: Start, tmp_path: Path) -> None:
    (tmp_path / "portico.toml").write_text('[logs]\naccess_log_format = "logfmt"\n')
    served = Served(start, tmp_path, "-c", str(tmp_path / "portico.toml"), "-w", "1")
    assert pairs_of(served.line("/a"))["path"] == "/a"
    (tmp_path / "portico.toml").write_text('[logs]\naccess_log_format = "json"\n')
    served.portico.signal(signal.SIGHUP)
    wait_until(lambda: served.line("/a").startswith("{"), what="a line of JSON", deadline_s=20)
    assert object_of(served.line("/a"))["url.path"] == "/a"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ("--access-log-format", "%(a)"),
            "--access-log-format on the command line: expected %(a)s, got %(a)",
        ),
        (("--access-log-if", "status >"), "--access-log-if on the command line: expected a number or a text"),
        (("--access-log-fields", "nonsense", "--access-log-format", "json"), "unknown field nonsense"),
        (("--access-log-sample", "2"), "expected a share from 0 to 1"),
    ],
)
def test_what_is_wrong_is_said_at_the_start(tmp_path: Path, options: tuple[str, ...], sentence: str) -> None:
    (tmp_path / "shop.py").write_text(APPLICATION)
    words = [sys.executable, "-m", "portico", "run", "shop", *options]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_on_a_terminal_lines_are_short(start: Start, tmp_path: Path) -> None:
    ours, theirs = os.openpty()
    try:
        portico = start(APPLICATION, "--access-log", "-", stdout=theirs)
        portico.wait_ready()
        portico.get("/a?b")
        wait_until(lambda: b"/a?b" in os.read(ours, 65536), what="a line")
    finally:
        os.close(ours)
        os.close(theirs)


COUNTING = """
from portico.metrics import Counter, Gauge, Histogram

ORDERS = Counter("shop_orders", "Orders that were placed.", labels=("country",))
TOOK = Histogram("shop_payment_seconds", "How long the bank takes.", buckets=(0.1, 0.5))
DEBT = Gauge("shop_debt", "What is owed.", workers="last")

def application(environ, start_response):
    ORDERS.inc(2, country=environ["QUERY_STRING"])
    TOOK.observe(0.25)
    DEBT.set(-2.5)
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]
"""
METRICS = ("worker.1.requests", "worker.0.total_tx", "worker.2.requests", "core.busy_workers")
OF_SHOP = ("shop_orders", "shop_payment_seconds_sum", "shop_payment_seconds_count", "shop_debt")


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_values_of_metrics_as_in_uwsgi_and_those_of_the_application(
    start: Start, tmp_path: Path, options: tuple[str, ...]
) -> None:
    format_ = "%(uri) " + " ".join(f"%(metric.{name})" for name in (*METRICS, *OF_SHOP))
    log = LogFile(tmp_path / "access.log")
    words = ("-w", "1", "--access-log", str(log.path), "--access-log-format", format_, *options)
    portico = start(COUNTING, *words)
    portico.wait_ready()
    for number, country in enumerate(("at", "at", "de"), 1):
        portico.get(f"/?{country}")
        wait_until(lambda: len(log.lines()) == number, what="a line")  # noqa: B023
    assert [line.split() for line in log.lines()] == [
        ["/?at", "1", "5", "-", "1", "2", "0.25", "1", "-2.5"],
        ["/?at", "2", "10", "-", "1", "4", "0.5", "2", "-2.5"],
        ["/?de", "3", "15", "-", "1", "6", "0.75", "3", "-2.5"],
    ]
    portico.stop()


def test_durations_are_there_without_anybody_who_is_told_them(start: Start, tmp_path: Path) -> None:
    options = ("-w", "1", "--access-log-format", "%(metric.worker.1.avg_response_time) %(metric.rss_size)")
    served = Served(start, tmp_path, *options)
    served.line("/sleeps")
    served.ask("/quick")
    wait_until(lambda: len(served.access_log.lines()) == 2, what="two lines")
    mean_us, rss_bytes = map(int, served.access_log.lines()[-1].split())
    assert 25_000 <= mean_us < 5_000_000
    assert rss_bytes > 1 << 20


def test_a_metric_that_the_application_has_not_made_is_an_error_at_the_start(
    start: Start, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    portico = start(COUNTING, "--access-log", str(log), "--access-log-format", "%(metric.shop_order)")
    assert portico.wait() != 0
    assert (
        "access log: unknown metric shop_order: expected one of the application, which has shop_debt, "
        "shop_orders, shop_payment_seconds_count" in portico.log()
    )
    assert "Traceback" not in portico.log()


def test_a_metric_that_uwsgi_does_not_have_is_an_error_before_the_start(start: Start) -> None:
    portico = start(COUNTING, "--access-log", "-", "--access-log-format", "%(metric.core.overloaded)")
    assert portico.wait() == 2
    assert "unknown variable %(metric.core.overloaded): expected core.avg_response_time, " in portico.log()


def test_a_fifo_needs_nobody_who_reads(start: Start, tmp_path: Path) -> None:
    fifos = {name: tmp_path / f"{name}.fifo" for name in ("access", "error")}
    for fifo in fifos.values():
        os.mkfifo(fifo)
    portico = start(APPLICATION, *(word for name in fifos for word in (f"--{name}-log", str(fifos[name]))))
    for path in ("/before", "/between", "/after"):
        wait_until(lambda: is_served(portico, path), what="a response")  # noqa: B023 - called here
        readers = {name: os.open(fifo, os.O_RDONLY | os.O_NONBLOCK) for name, fifo in fifos.items()}
        wait_until(lambda: path in read_some(readers["access"]), what="the line")  # noqa: B023
        portico.signal(signal.SIGUSR1)
        wait_until(lambda: "opened anew" in read_some(readers["error"]), what="a record")  # noqa: B023
        for reader in readers.values():
            os.close(reader)


def is_served(portico: Portico, path: str) -> bool:
    with contextlib.suppress(OSError):
        return portico.get(path) == "hello"
    return False


def read_some(fd: int) -> str:
    """What is in a FIFO, if anything is."""
    with contextlib.suppress(BlockingIOError):
        return os.read(fd, 1 << 16).decode()
    return ""
