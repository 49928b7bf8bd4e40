"""The admin address: what is told there is exact, and telling it costs the rest of the server nothing."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from portico import __version__
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text
from support.lifecycle import RESPAWN_S
from support.processes import children, cpu_s, is_alive, is_stopped
from support.server import free_port
from support.waiting import wait_until
from support.ways import cannot_be_ended, without_loop

from .conftest import Portico, Start

SHOP = """
import json, os, sys, time
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/wait":
        while not os.path.exists("go on"):
            time.sleep(0.01)
    if path == "/sleep":
        time.sleep(30)
    if path == "/imported":
        start_response("200 OK", [])
        return [json.dumps([name for name in sys.modules if "admin" in name]).encode()]
    start_response("500 Oh No" if path == "/fails" else "200 OK", [])
    return [b"x" * 100]
"""
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Reply:
    """A response of the admin address."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.text = response.read().decode()

    @property
    def parsed(self) -> list[Any]:
        """The samples, as a client of that format reads them."""
        is_openmetrics = self.headers["Content-Type"] == OPENMETRICS
        families = (read_openmetrics if is_openmetrics else read_text)(self.text)
        return [sample for family in families for sample in family.samples]

    @property
    def samples(self) -> dict[str, float]:
        """The values, by name and labels: `portico_workers{ready}`."""
        return {
            sample.name + (f"{{{','.join(sample.labels.values())}}}" if sample.labels else ""): sample.value
            for sample in self.parsed
        }


class Connection(http.client.HTTPConnection):
    """A connection to an admin address: a port of 127.0.0.1, or the path of a socket."""

    def __init__(self, place: int | Path) -> None:
        super().__init__("127.0.0.1", place if isinstance(place, int) else 0, timeout=10)
        self._place = place

    def connect(self) -> None:
        if isinstance(self._place, Path):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(10)
            self.sock.connect(str(self._place))
        else:
            super().connect()


def ask(place: int | Path, path: str = "/metrics", method: str = "GET", accept: str = "") -> Reply:
    with contextlib.closing(Connection(place)) as connection:
        connection.request(method, path, headers={"Accept": accept} if accept else {})
        return Reply(connection.getresponse())


def samples(place: int | Path) -> dict[str, float]:
    reply = ask(place)
    assert reply.status == 200, reply.text
    return reply.samples


def wait_for_samples(place: int | Path, **expected: float) -> None:
    """Wait until these metrics are so: `name` is that without `portico_`, `name__label` has a label."""
    wanted = {
        "portico_" + (f"{name.replace('__', '{')}}}" if "__" in name else name): value
        for name, value in expected.items()
    }

    def are_so() -> bool:
        found = samples(place)
        return {name: found.get(name) for name in wanted} == wanted

    wait_until(are_so, what=f"{wanted}, not {samples(place)}")


def named(portico: Portico, name: str) -> list[int]:
    """The process ids of the children with that short name."""
    found = []
    for pid in children(portico.process.pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().rstrip("\n") == name:
                found.append(pid)
    return found


def workers(portico: Portico) -> list[int]:
    return named(portico, "portico worker")


def admin_pid(portico: Portico, but: int = 0) -> int:
    """The process id of the admin process, once there is one."""

    def found() -> int:
        return next((pid for pid in named(portico, "portico admin") if pid != but), 0)

    return wait_until(found, what="the admin process")


@pytest.fixture
def admin() -> int:
    """The port of the admin address."""
    return free_port()


def begin(start: Start, admin: int, *options: str, source: str = SHOP) -> Portico:
    portico = start(source, "--admin-bind", f"127.0.0.1:{admin}", *options)
    portico.wait_ready()
    portico.wait_for(f"metrics are at /metrics on http://127.0.0.1:{admin}")
    return portico


# --- What is told


def test_a_scrape_tells_of_the_server(start: Start, admin: int) -> None:
    began_s = time.time()
    portico = begin(start, admin, "-w", "2", "--threads", "3")
    found = samples(admin)
    expected = {
        "portico_workers{booting}": 0,
        "portico_workers{ready}": 2,
        "portico_workers{leaving}": 0,
        "portico_workers{killed}": 0,
        "portico_worker_threads{busy}": 0,
        "portico_worker_threads{idle}": 6,
        "portico_accept_backlog": 0,
        "portico_connections": 0,
        "portico_accepted_connections_total": 0,
        "http_server_active_requests": 0,
        "portico_requests_total": 0,
        "portico_request_errors_total": 0,
        "portico_response_bytes_total": 0,
        f"portico_build_info{{{__version__},{sys.version.partition(' ')[0]}}}": 1,
        **{
            f"portico_worker_restarts_total{{{reason}}}": 0
            for reason in ("boot", "died", "max_rss_hard", "oom", "signal", "spent", "timeout")
        },
    }
    assert {name: found.pop(name) for name in expected} == expected
    waits = {name for name in found if name.startswith(("portico_request_queue_", "portico_gil_wait_"))}
    # Each of both has 15 buckets, a sum and a count.
    assert (len(waits), {found.pop(name) for name in waits}) == (34, {0})
    for number, pid in enumerate(workers(portico), 1):
        resident = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        assert found.pop(f"portico_worker_rss_bytes{{{number}}}") == pytest.approx(resident, rel=0.2)
    assert began_s - 2 < found.pop("process_start_time_seconds") < began_s + 2
    assert 0 <= found.pop("portico_saturation") <= 1
    assert found == {}
    portico.stop()


def test_both_formats_tell_the_same(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1")
    portico.get()
    wait_for_samples(admin, requests_total=1)
    prometheus = (
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
    )

    def both_at_once() -> tuple[Reply, Reply]:
        # What is told is kept for a second, so that these two are mostly of the same moment.
        return ask(admin), ask(admin, accept=prometheus)

    def are_the_same() -> bool:
        text, openmetrics = both_at_once()
        assert (text.headers["Content-Type"], openmetrics.headers["Content-Type"]) == (TEXT, OPENMETRICS)
        assert openmetrics.text.endswith("\n# EOF\n")
        return text.samples == openmetrics.samples

    wait_until(are_the_same, what="the same samples in both formats")
    portico.stop()


@pytest.mark.parametrize(
    ("method", "path", "status", "headers"),
    [
        ("GET", "/page", 404, {}),
        ("GET", "/metrics/", 404, {}),
        ("POST", "/other", 404, {}),
        ("POST", "/metrics", 405, {"Allow": "GET, HEAD"}),
        ("DELETE", "/metrics", 405, {"Allow": "GET, HEAD"}),
    ],
)
def test_there_is_nothing_else(
    start: Start, admin: int, method: str, path: str, status: int, headers: dict[str, str]
) -> None:
    portico = begin(start, admin, "-w", "1")
    reply = ask(admin, path, method)
    assert (reply.status, {name: reply.headers[name] for name in headers}) == (status, headers)
    portico.stop()


def test_head_has_the_headers_alone(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1")
    reply = ask(admin, method="HEAD")
    assert (reply.status, reply.headers["Content-Type"], reply.text) == (200, TEXT, "")
    assert int(reply.headers["Content-Length"]) > 1000
    portico.stop()


def test_what_is_set_for_the_application_has_no_effect(start: Start, admin: int, tmp_path: Path) -> None:
    (tmp_path / "page").write_text("")
    options = ("--health-path", "/metrics", "--script-name", "/shop", "--static", "/metrics=.")
    portico = begin(start, admin, "-w", "1", *options)
    assert samples(admin)["portico_workers{ready}"] == 1
    portico.stop()


# --- Exact


class Client:
    """Asks, and counts what it has asked for and got."""

    def __init__(self, portico: Portico) -> None:
        self._portico = portico
        self.requests = self.errors = self.body_bytes = 0

    def ask(self, times: int) -> None:
        for number in range(times):
            is_error = number % 5 == 0
            body = self._portico.get("/fails" if is_error else "/")
            self.requests += 1
            self.errors += is_error
            self.body_bytes += len(body)

    def is_counted(self, admin: int) -> None:
        wait_for_samples(
            admin,
            requests_total=self.requests,
            request_errors_total=self.errors,
            response_bytes_total=self.body_bytes,
            accepted_connections_total=self.requests,
        )


def test_counts_are_what_a_client_has_sent_whatever_becomes_of_workers(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "2")
    client = Client(portico)
    client.ask(30)
    client.is_counted(admin)
    for victim in workers(portico):
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda victim=victim: victim not in workers(portico), what="the end")  # type: ignore[misc]
    portico.wait_for("is ready after", times=2)
    client.is_counted(admin)
    client.ask(20)
    client.is_counted(admin)
    portico.signal(signal.SIGHUP)
    portico.wait_for("is ready after", times=4)
    client.ask(20)
    client.is_counted(admin)
    wait_for_samples(admin, workers__ready=2, workers__leaving=0)
    client.is_counted(admin)
    portico.signal(signal.SIGUSR2)
    portico.wait_for("is ready after", times=6)
    client.ask(20)
    client.is_counted(admin)
    wait_for_samples(admin, worker_restarts_total__died=2, workers__ready=2)
    portico.stop()


@without_loop
def test_counts_are_exact_when_a_worker_becomes_the_template(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "2", "--preload", "--refork-after", "20")
    client = Client(portico)
    while "is to be the template of all" not in portico.log():
        client.ask(10)
    # The one from the start, and the worker that has become one.
    wait_until(lambda: len(re.findall(r"template \d+ is ready", portico.log())) == 2, what="the template")
    client.is_counted(admin)
    portico.stop()


@cannot_be_ended
def test_each_replaced_worker_is_counted_once_by_its_reason(start: Start, admin: int) -> None:
    portico = begin(
        start,
        admin,
        "-w",
        "2",
        "--max-requests",
        "10",
        "--min-lifetime",
        "0",
        "--timeout",
        "1s",
        "--timeout-grace",
        "100ms",
    )
    (first, _) = workers(portico)
    os.kill(first, signal.SIGKILL)
    wait_for_samples(admin, worker_restarts_total__died=1, workers__ready=2)
    os.kill(workers(portico)[0], signal.SIGTERM)
    wait_for_samples(admin, worker_restarts_total__signal=1, workers__ready=2, workers__leaving=0)
    # Nothing can be raised in it before it is over.
    with portico.ask("/sleep"):
        wait_for_samples(admin, worker_restarts_total__timeout=1)
    spent = samples(admin)["portico_worker_restarts_total{spent}"]
    assert spent == 0
    for _ in range(25):
        portico.get()
    wait_until(lambda: samples(admin)["portico_worker_restarts_total{spent}"] >= 1, what="a spent worker")
    wait_for_samples(admin, workers__ready=2, workers__leaving=0, workers__booting=0)
    before = samples(admin)
    # What was ordered is none.
    portico.signal(signal.SIGHUP)
    portico.wait_for("reloading: each worker is replaced")
    wait_for_samples(admin, workers__ready=2, workers__leaving=0, workers__booting=0)
    after = samples(admin)
    names = [name for name in before if "restarts" in name and "spent" not in name]
    assert {name: before[name] for name in names} == {name: after[name] for name in names}
    portico.stop()


def test_a_worker_that_cannot_load_is_counted(start: Start, admin: int, tmp_path: Path) -> None:
    portico = begin(start, admin, "-w", "1")
    (tmp_path / "shop.py").write_text("1 / 0\n")
    os.kill(workers(portico)[0], signal.SIGKILL)
    wait_until(lambda: samples(admin)["portico_worker_restarts_total{boot}"] >= 2, what="two that failed")
    assert samples(admin)["portico_worker_restarts_total{died}"] == 1
    assert samples(admin)["portico_saturation"] == 0
    (tmp_path / "shop.py").write_text(SHOP)
    wait_for_samples(admin, workers__ready=1)
    portico.stop()


def test_saturation_rises_while_all_threads_are_busy_and_falls_again(
    start: Start, admin: int, tmp_path: Path
) -> None:
    portico = begin(start, admin, "-w", "2", "--threads", "2")
    # The start has used CPU, too.
    wait_until(lambda: samples(admin)["portico_saturation"] < 0.2, what="an idle server", deadline_s=30)
    with contextlib.ExitStack() as stack:
        # More than threads: which worker takes which is up to the workers.
        for _ in range(8):
            stack.enter_context(portico.ask("/wait"))
        wait_for_samples(admin, worker_threads__busy=4, worker_threads__idle=0, connections=8)
        wait_until(lambda: samples(admin)["portico_saturation"] > 0.8, what="a busy server", deadline_s=30)
        (tmp_path / "go on").touch()
        wait_for_samples(admin, worker_threads__busy=0, connections=0)
    wait_until(lambda: samples(admin)["portico_saturation"] < 0.2, what="an idle server", deadline_s=30)
    portico.stop()


def test_connections_that_no_worker_accepts_are_told(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1")
    (worker,) = workers(portico)
    os.kill(worker, signal.SIGSTOP)
    wait_until(lambda: is_stopped(worker), what="the worker to stop")
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(portico.ask())
        wait_for_samples(admin, **{"accept_backlog": 3})
        os.kill(worker, signal.SIGCONT)
        wait_for_samples(admin, requests_total=3, **{"accept_backlog": 0})
    portico.stop()


# --- The process


def test_the_process_is_back_when_it_is_killed(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1")
    before = workers(portico)
    for _ in range(3):
        first = admin_pid(portico)
        os.kill(first, signal.SIGKILL)
        assert admin_pid(portico, but=first) != first
        assert samples(admin)["portico_workers{ready}"] == 1
    assert portico.log().count("the admin process was killed by SIGKILL; the next one starts in ") == 3
    assert workers(portico) == before
    portico.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_for_the_supervisor_do_not_end_it(start: Start, admin: int, number: signal.Signals) -> None:
    portico = begin(start, admin, "-w", "1")
    pid = admin_pid(portico)
    os.kill(pid, number)
    assert samples(admin)["portico_workers{ready}"] == 1
    assert admin_pid(portico) == pid
    portico.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_it_ends_with_the_supervisor(start: Start, admin: int, number: signal.Signals) -> None:
    portico = begin(start, admin, "-w", "1")
    pid = admin_pid(portico)
    portico.signal(number)
    portico.wait()
    wait_until(lambda: not is_alive(pid), what="the end of the admin process")
    if number != signal.SIGKILL:
        assert "admin process" not in portico.log()
    with pytest.raises(ConnectionRefusedError):
        ask(admin)


def test_it_tells_of_a_stop_until_the_end(start: Start, admin: int, tmp_path: Path) -> None:
    portico = begin(start, admin, "-w", "2")
    with portico.ask("/wait") as connection:
        wait_for_samples(admin, worker_threads__busy=1)
        portico.signal(signal.SIGTERM)
        wait_for_samples(admin, workers__leaving=1, workers__ready=0, worker_threads__busy=1)
        (tmp_path / "go on").touch()
        assert connection.recv(64).startswith(b"HTTP/1.1 200")
    assert portico.wait() == 0, portico.log()


def test_it_says_so_when_the_supervisor_does_not_respond(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1")
    portico.signal(signal.SIGSTOP)
    try:
        wait_until(lambda: ask(admin).status == 503, what="a supervisor that is silent")
    finally:
        portico.signal(signal.SIGCONT)
    wait_until(lambda: ask(admin).status == 200, what="one that is not")
    assert samples(admin)["portico_workers{ready}"] == 1
    portico.stop()


def test_a_storm_of_scrapes_costs_the_supervisor_nothing(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "2")
    counts: list[int] = []

    def storm() -> None:
        until_s, count = time.monotonic() + 2, 0
        with contextlib.closing(Connection(admin)) as connection:
            while time.monotonic() < until_s:
                connection.request("GET", "/metrics")
                assert connection.getresponse().read()
                count += 1
        counts.append(count)

    before_s = cpu_s(portico.process.pid)
    threads = [threading.Thread(target=storm) for _ in range(4)]
    for thread in threads:
        thread.start()
    victim = workers(portico)[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(
        lambda: victim not in workers(portico) and len(workers(portico)) == 2,
        what="the next worker",
        deadline_s=RESPAWN_S,
    )
    for thread in threads:
        thread.join()
    assert len(counts) == 4
    assert sum(counts) > 200
    # Two or three questions, and a fork.
    assert cpu_s(portico.process.pid) - before_s < 0.1
    portico.stop()


def sockets_at(port: int) -> set[str]:
    """The inodes of sockets of IPv4 that listen at a port."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if int(row[1].partition(":")[2], 16) == port and row[3] == "0A"}


def sockets_of(pid: int) -> set[str]:
    """The inodes of the sockets that a process has."""
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(os.readlink(fd).removeprefix("socket:[").removesuffix("]"))
    return found


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["forked", "preloaded"])
def test_nobody_has_the_sockets_of_others(start: Start, admin: int, options: tuple[str, ...]) -> None:
    portico = begin(start, admin, "-w", "1", *options)
    for times, number in enumerate((signal.SIGHUP, signal.SIGUSR2), 2):
        portico.signal(number)
        portico.wait_for("metrics are at", times=times)
        wait_for_samples(admin, workers__ready=1, workers__booting=0, workers__leaving=0)
    ours, admins = sockets_at(portico.port), sockets_at(admin)
    assert len(ours) == len(admins) == 1
    serving = admin_pid(portico)
    wait_until(lambda: named(portico, "portico admin") == [serving], what="the one before to leave")
    assert sockets_of(portico.process.pid) >= ours | admins
    assert sockets_of(serving) & (ours | admins) == admins

    def others() -> list[int]:
        return [pid for pid in children(portico.process.pid) if pid != serving]

    wait_until(lambda: len(others()) == 1 + len(options), what="those of before to leave")
    for pid in others():
        assert sockets_of(pid) & (ours | admins) == ours
    portico.stop()


def imported(portico: Portico) -> str:
    return portico.get("/imported")


def test_nothing_of_it_is_in_memory_without_the_setting(start: Start) -> None:
    portico = start(SHOP, "-w", "1")
    portico.wait_ready()
    (first,) = workers(portico)
    os.kill(first, signal.SIGKILL)
    portico.wait_for("is ready after")
    assert imported(portico) == "[]"
    assert named(portico, "portico admin") == []
    portico.stop()


# --- The address


@contextlib.contextmanager
def scraped(place: int) -> Iterator[list[object]]:
    """Somebody who asks again and again meanwhile; yields what was not as it should be."""
    has_ended = threading.Event()
    failures: list[object] = []
    asked = [0]

    def run() -> None:
        while not has_ended.is_set():
            try:
                reply = ask(place)
            except OSError as error:
                failures.append(error)
            else:
                asked[0] += 1
                if reply.status != 200:
                    failures.append(reply.text)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield failures
    finally:
        has_ended.set()
        thread.join()
    assert asked[0] > 5


def test_a_reload_and_an_upgrade_lose_no_scrape(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1")
    before = sockets_at(admin)
    with scraped(admin) as failures:
        for times, number in enumerate((signal.SIGHUP, signal.SIGUSR2, signal.SIGHUP, signal.SIGUSR2), 1):
            portico.signal(number)
            portico.wait_for("is ready after", times=times)
            wait_for_samples(admin, workers__ready=1, workers__leaving=0)
    assert failures == []
    assert sockets_at(admin) == before
    assert "the supervisor is gone" not in portico.log()
    portico.stop()


def test_a_reload_adds_changes_and_removes_it(start: Start, tmp_path: Path) -> None:
    port, first, second = free_port(), free_port(), free_port()
    file = tmp_path / "portico.toml"

    def write(address: str) -> None:
        file.write_text(
            f'[[app]]\napp = "shop"\n[listening]\nbind = "127.0.0.1:{port}"\n'
            f'[processes]\nworkers = 1\n[admin]\nbind = "{address}"\n'
        )

    write("off")
    portico = start(SHOP, port=port, reads_file=True)
    portico.wait_ready()
    client = Client(portico)
    client.ask(7)
    write(f"127.0.0.1:{first}")
    portico.signal(signal.SIGHUP)
    portico.wait_for(f"metrics are at /metrics on http://127.0.0.1:{first}")
    # What was asked before somebody wanted to know is counted, too.
    client.is_counted(first)
    write(f"127.0.0.1:{second}")
    portico.signal(signal.SIGHUP)
    portico.wait_for(f"no longer listening on http://127.0.0.1:{first}")
    client.ask(3)
    client.is_counted(second)
    wait_until(lambda: not sockets_at(first), what="the first address to be free")
    write("off")
    portico.signal(signal.SIGHUP)
    portico.wait_for(f"no longer listening on http://127.0.0.1:{second}")
    wait_until(lambda: not sockets_at(second) and not named(portico, "portico admin"), what="its end")
    assert portico.get() == "x" * 100
    portico.stop()


def test_one_of_before_a_reload_that_does_not_leave_is_killed(start: Start, admin: int) -> None:
    portico = begin(start, admin, "-w", "1")
    before = admin_pid(portico)
    os.kill(before, signal.SIGSTOP)
    wait_until(lambda: is_stopped(before), what="an admin process that is stopped")
    portico.signal(signal.SIGHUP)
    portico.wait_for("the admin process of before does not leave: killed")
    assert not is_alive(before)
    assert samples(admin)["portico_workers{ready}"] == 1
    portico.stop()


def test_a_reload_that_fails_leaves_it_where_it_was(start: Start, tmp_path: Path) -> None:
    port, first, second = free_port(), free_port(), free_port()
    file = tmp_path / "portico.toml"
    text = (
        f'[[app]]\napp = "shop"\n[listening]\nbind = "127.0.0.1:{port}"\n'
        '[processes]\nworkers = 1\n[admin]\nbind = "127.0.0.1:{admin}"\n'
    )
    file.write_text(text.format(admin=first))
    portico = start(SHOP, port=port, reads_file=True)
    portico.wait_ready()
    assert samples(first)["portico_workers{ready}"] == 1
    with socket.create_server(("127.0.0.1", second)):
        file.write_text(text.format(admin=second))
        portico.signal(signal.SIGHUP)
        portico.wait_for(f"cannot listen on 127.0.0.1:{second}: the port is in use")
        assert "or choose another port with --admin-bind" in portico.log()
    assert samples(first)["portico_workers{ready}"] == 1
    (tmp_path / "shop.py").write_text("1 / 0\n")
    portico.signal(signal.SIGHUP)
    portico.wait_for("reload failed, the workers of before go on serving")
    wait_until(lambda: not sockets_at(second), what="the other address to be given up")
    assert samples(first)["portico_workers{ready}"] == 1
    portico.stop()


def test_a_unix_socket_has_its_mode_and_is_removed(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    portico = start(SHOP, "-w", "1", "--admin-bind", "unix:admin.sock?mode=600")
    portico.wait_ready()
    portico.wait_for("metrics are at /metrics on unix:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert samples(path)["portico_workers{ready}"] == 1
    portico.stop()
    assert not path.exists()


@pytest.mark.parametrize("command", ["run", "check"])
@pytest.mark.parametrize(
    ("bind", "admin", "sentence"),
    [
        (":8000", ":8000", "--admin-bind on the command line: expected an address of its own, got 0.0.0.0:"),
        ("127.0.0.1:8000", ":8000", "where 127.0.0.1:8000 (--bind on the command line) is"),
        ("unix:a", "unix:./a", "where unix:a (--bind on the command line) is"),
        (":8000", "uwsgi://:8001", "expected HOST:PORT, unix:PATH or off"),
        (":8000", "fd://3", "expected HOST:PORT, unix:PATH or off"),
        (":8000", ":8001?proxy=required", "expected HOST:PORT, unix:PATH or off"),
    ],
)
def test_says_which_address_it_cannot_have(
    tmp_path: Path, command: str, bind: str, admin: str, sentence: str
) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    done = subprocess.run(
        [sys.executable, "-m", "portico", command, "shop", "-b", bind, "--admin-bind", admin],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, sentence in done.stderr) == (2, True), done.stderr


def test_check_tries_it(tmp_path: Path, admin: int) -> None:
    (tmp_path / "shop.py").write_text(SHOP)
    command = [*(sys.executable, "-m", "portico", "check", "shop", "-b", f"127.0.0.1:{free_port()}")]

    def check(address: str) -> str:
        done = subprocess.run(
            [*command, "--admin-bind", address],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout + done.stderr

    assert f"127.0.0.1:{admin} can be listened on" in check(f"127.0.0.1:{admin}")
    assert "cannot listen on 192.0.2.1:1: this machine has no address 192.0.2.1" in check("192.0.2.1:1")
    with socket.create_server(("127.0.0.1", admin)):
        assert f"127.0.0.1:{admin} is in use, which is fine if it is by this server" in check(
            f"127.0.0.1:{admin}"
        )


def test_an_address_in_use_ends_the_start(start: Start, admin: int, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", admin)):
        portico = start(SHOP, "--admin-bind", f"127.0.0.1:{admin}", "-b", "unix:shop.sock")
        assert portico.wait() == 4
    assert "the port is in use" in portico.log()
    assert not (tmp_path / "shop.sock").exists()


def test_with_pools_there_is_one_of_the_processes_before_them(
    start: Start, admin: int, tmp_path: Path
) -> None:
    port = free_port()
    (tmp_path / "portico.toml").write_text(
        f'[listening]\nbind = "127.0.0.1:{port}"\n[admin]\nbind = "127.0.0.1:{admin}"\n'
        '[[app]]\napp = "shop"\nmount = "/one"\nworkers = 1\n'
        '[[app]]\napp = "shop"\nmount = "/two"\nworkers = 2\n'
    )
    portico = start(SHOP, port=port, reads_file=True)
    portico.wait_for(f"metrics are at /metrics on http://127.0.0.1:{admin}")
    wait_until(lambda: portico.get("/two") == "x" * 100, what="a pool")
    found = samples(admin)
    assert "portico_saturation" not in found
    assert found["portico_workers{ready}"] >= 1
    assert portico.log().count("metrics are at") == 1
    portico.stop()
