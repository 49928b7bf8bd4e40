"""What an operator does, whatever executes the calls: reload, upgrade, stop, deadlines, `portico ctl`.

Each of these has a file of its own for threads, with all that may happen.
"""

from __future__ import annotations

import json
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.lifecycle import APPLICATION
from support.waiting import wait_until

from lifecycle.load import Load

from .conftest import Portico, Start, read_body
from .test_control import ctl
from .test_gevent import status_of

ways = pytest.mark.parametrize("way", ["threads", "gevent", "asyncio", "tornado"])
beside_each_other = pytest.mark.parametrize("way", ["threads", "gevent"])

SHOP = """
import json, os, time
def application(environ, start_response):
    path, _, argument = environ["PATH_INFO"][1:].partition("/")
    if path == "events":
        return events(environ["portico.draining"], start_response)
    if path == "sleeps":
        sleeps(float(argument))
    if path == "computes":
        computes(float(argument))
    if path == "asks":
        environ["portico.extend_deadline"](float(argument))
        computes(1.6)
    if path == "ignores":
        while True:
            try:
                computes(100)
            except BaseException:
                pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
def sleeps(seconds):
    time.sleep(seconds)
def computes(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
def events(is_draining, start_response):
    start_response("200 OK", [("Content-Type", "text/event-stream")])
    yield b"data: hello\\n\\n"
    while not is_draining():
        time.sleep(0.01)
    yield b"data: bye\\n\\n"
"""


def begin(start: Start, way: str, *options: str, source: str = SHOP) -> Portico:
    portico = start(source, "--worker", way, *options)
    portico.wait_ready()
    return portico


def wait_for_others(portico: Portico, before: list[int]) -> None:
    wait_until(
        lambda: len(portico.worker_pids) == len(before) and not set(before) & set(portico.worker_pids),
        what="other workers",
    )


@ways
@pytest.mark.parametrize("order", [signal.SIGHUP, signal.SIGUSR2], ids=["reload", "upgrade"])
def test_a_reload_and_an_upgrade_lose_no_request(start: Start, way: str, order: signal.Signals) -> None:
    portico = begin(start, way, "-w", "2", source=APPLICATION)
    with Load(portico.port, new_per_s=150, kept=8, kept_per_s=50) as load:
        for _ in range(2):
            before = portico.worker_pids
            portico.signal(order)
            wait_for_others(portico, before)
    assert load.tally.failures == [], load.tally.summary()
    assert load.tally.right == load.tally.sent > 0, load.tally.summary()
    portico.stop()


@ways
def test_a_call_in_flight_goes_on_through_a_reload_and_an_upgrade(start: Start, way: str) -> None:
    portico = begin(start, way, "-w", "1")
    for order in (signal.SIGHUP, signal.SIGUSR2):
        before = portico.worker_pids
        with portico.ask("/sleeps/2.5") as connection:
            wait_until(lambda: connection.getsockname(), what="the request")
            portico.signal(order)
            assert read_body(connection) == str(before[0])
        wait_for_others(portico, before)
    portico.stop()


@ways
def test_a_stop_is_announced_to_health_checks_and_to_streams(start: Start, way: str) -> None:
    portico = begin(start, way, "-w", "1", "--health-path", "/up", "--drain-delay", "1s")
    with portico.ask("/up") as connection:
        assert status_of(connection) == 200
    with portico.ask("/events") as stream:
        received = b""
        while b"hello" not in received:
            received += stream.recv(65536)
        portico.signal(signal.SIGTERM)
        portico.wait_for("health checks fail from now on, requests are served")
        wait_until(lambda: health_of(portico) == 503, what="a health check that fails")
        while data := stream.recv(65536):
            received += data
        assert b"data: bye" in received
        assert portico.get().isdigit()
    assert portico.wait() == 0


def health_of(portico: Portico) -> int:
    with portico.ask("/up") as connection:
        return status_of(connection)


@ways
def test_calls_that_take_too_long(start: Start, way: str) -> None:
    """Each rung of the ladder, with the line of the application that holds the call."""
    options = ("--slow-after", "400ms", "--timeout", "1", "--timeout-grace", "1", "-w", "1")
    portico = begin(start, way, *options)
    pid = portico.get()
    with portico.ask("/computes/0.7") as connection:
        assert read_body(connection) == pid
    portico.wait_for("GET /computes/0.7 has been in the application for")
    portico.wait_for("; it stands at")
    assert " in computes" in portico.log()
    with portico.ask("/asks/3") as connection:
        assert read_body(connection) == pid
    assert "RequestTimeout" not in portico.log()
    with portico.ask("/computes/100") as connection:
        assert status_of(connection) == 504
    portico.wait_for("was ended by RequestTimeout")
    assert portico.get() == pid
    with portico.ask("/ignores") as connection:
        assert status_of(connection) == 504
    portico.wait_for("has not ended within 1 s of RequestTimeout; replacing the worker")
    wait_until(lambda: portico.worker_pids not in ([], [int(pid)]), what="another worker")
    assert portico.get() != pid
    portico.stop()


@beside_each_other
def test_request_timeout_ends_a_call_that_waits_and_no_other(start: Start, way: str) -> None:
    portico = begin(start, way, "--timeout", "1", "-w", "1")
    with portico.ask("/sleeps/0.8") as other, portico.ask("/sleeps/1.4") as late:
        assert read_body(other).isdigit()
        assert status_of(late) == 504
    assert portico.get().isdigit()
    portico.stop()


@ways
def test_ctl_shows_requests_and_stacks(start: Start, way: str, tmp_path: Path) -> None:
    portico = begin(start, way, "-w", "1", "--control", str(tmp_path / "c.sock"))
    with ExitStack() as stack:
        calls = 4 if way in ("threads", "gevent") else 1
        waiting = [stack.enter_context(portico.ask("/sleeps/3")) for _ in range(calls)]

        def running() -> list[dict[str, str]]:
            said = ctl("requests", "--json", "--socket", str(tmp_path / "c.sock"), folder=tmp_path).stdout
            found: list[dict[str, str]] = json.loads(said)["requests"]
            return found

        wait_until(lambda: len(running()) == calls, what="the calls")
        assert {call["path"] for call in running()} == {"/sleeps/3"}
        [pid] = portico.worker_pids
        said = ctl("stacks", str(pid), "--socket", str(tmp_path / "c.sock"), folder=tmp_path)
        assert said.returncode == 0, said
        portico.wait_for(" in sleeps")
        if way == "gevent":
            portico.wait_for("  4 at\n")
        assert {read_body(connection) for connection in waiting} == {str(pid)}
    portico.stop()


@ways
def test_a_preload_names_nothing_that_the_way_has_itself(start: Start, way: str) -> None:
    portico = begin(start, way, "--preload", "-w", "2")
    assert portico.get("/") in map(str, portico.worker_pids)
    portico.stop()
    assert "[warning]" not in portico.log()


TASKS = """
import asyncio
async def beat():
    while True:
        await asyncio.sleep(0.01)
tasks = [asyncio.get_event_loop().create_task(beat()) for _ in range(3)]
def application(environ, start_response):
    start_response("200 OK", [])
    return [str(environ["portico.loop"].is_closed()).encode()]
"""


@pytest.mark.parametrize("way", ["asyncio", "tornado"])
def test_a_preload_names_tasks_that_no_worker_has(start: Start, way: str) -> None:
    portico = begin(start, way, "--preload", "-w", "2", source=TASKS)
    assert portico.get("/") == "False"
    portico.stop()
    log = portico.log()
    assert log.count("[warning]") == 1
    assert "[warning] preload: 3 tasks of the event loop run in no worker: begin them in a call" in log
