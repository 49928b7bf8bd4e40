"""What happens to a server: functions over one that runs, each done when its effect is over or time is up."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from lifecycle.running import Running
from lifecycle.servers import CALLS, MAX_RSS_MIB, MEMORY, REQUESTS, Server

_AFTER_S = 1.0
"""The load goes on for so long after each step."""
_RELOAD_S = 10.0
_LEAK_S = 8.0


@dataclass(frozen=True, slots=True)
class Event:
    """One row of the table."""

    name: str
    happen: Callable[[Running], None]
    is_for: Callable[[Server], bool] = lambda server: True
    """Which servers know such a thing."""
    limit: str = ""
    """That the server is started with."""
    new_per_s: int = 200
    ends: bool = False
    """The server is gone after it, and may refuse connections."""


def _reload(run: Running) -> None:
    for _ in range(3):
        before = run.workers()
        run.signal(signal.SIGHUP)
        run.wait_for_others(before, _RELOAD_S)
        time.sleep(_AFTER_S / 2)


def _reload_once(run: Running) -> None:
    before = run.workers()
    run.signal(signal.SIGHUP)
    run.wait_for_others(before, _RELOAD_S)
    time.sleep(_AFTER_S)


def _reload_to_broken_application(run: Running) -> None:
    run.break_application()
    run.signal(signal.SIGHUP)
    time.sleep(4 * _AFTER_S)


def _reload_to_broken_configuration(run: Running) -> None:
    run.break_configuration()
    run.signal(signal.SIGHUP)
    time.sleep(3 * _AFTER_S)


def _kill_workers(run: Running) -> None:
    for _ in range(3):
        time.sleep(_AFTER_S)
        pid = run.ask()
        if pid:
            run.signal(signal.SIGKILL, pid)
    time.sleep(_AFTER_S)


def _crash_workers(run: Running) -> None:
    for _ in range(3):
        time.sleep(_AFTER_S)
        run.ask("/segfault")
    time.sleep(_AFTER_S)


def _hang(run: Running) -> None:
    with socket.create_connection(("127.0.0.1", run.port)) as connection:
        connection.sendall(b"GET /sleep HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        time.sleep(5 * _AFTER_S)


def _hold(run: Running) -> None:
    with socket.create_connection(("127.0.0.1", run.port)) as connection:
        connection.sendall(b"GET /hold HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        time.sleep(5 * _AFTER_S)


def _leak(run: Running) -> None:
    """A mebibyte for each request, until two workers have been replaced or the time is up."""
    first = run.workers()
    ends_s = time.monotonic() + _LEAK_S
    while time.monotonic() < ends_s:
        run.ask("/leak")
        time.sleep(0.015)
    run.wait_for_others(first, _AFTER_S)


def _many_requests(run: Running) -> None:
    time.sleep(5 * _AFTER_S)


def _scale(run: Running) -> None:
    assert run.server.more
    assert run.server.fewer
    for _ in range(2):
        for number in (run.server.more, run.server.more, run.server.fewer, run.server.fewer):
            run.signal(number)
            time.sleep(_AFTER_S / 2)
    time.sleep(_AFTER_S)


def _upgrade(run: Running) -> None:
    assert run.server.upgrade
    before = run.workers()
    run.signal(run.server.upgrade)
    if run.server.has_successor:
        # As its documentation says: both serve until the first is told to stop.
        run.wait_until(lambda: bool(run.workers() - before), _RELOAD_S)
        run.signal(signal.SIGTERM)
    run.wait_for_others(before, _RELOAD_S)
    time.sleep(_AFTER_S)


def _stop(run: Running) -> None:
    time.sleep(_AFTER_S / 2)
    run.signal(signal.SIGTERM)
    waiting = threading.Thread(target=run.process.wait, args=(10,), daemon=True)
    waiting.start()
    waiting.join(10)


EVENTS = (
    Event("three reloads (HUP)", _reload),
    Event("a reload at 3,000 new connections a second", _reload_once, new_per_s=3000),
    Event("a reload to a broken application", _reload_to_broken_application),
    Event(
        "a reload to a broken configuration",
        _reload_to_broken_configuration,
        is_for=lambda server: server.configuration is not None,
    ),
    Event("an upgrade of the program", _upgrade, is_for=lambda server: server.upgrade is not None),
    Event("three workers killed (`kill -9`)", _kill_workers),
    Event("three workers crash (a segmentation fault)", _crash_workers),
    Event("two workers more and less, twice", _scale, is_for=lambda server: server.more is not None),
    Event(
        "a limit of 50 requests for each worker",
        _many_requests,
        is_for=lambda server: REQUESTS in server.limits,
        limit=REQUESTS,
    ),
    Event(
        f"an application that leaks, with a limit of {MAX_RSS_MIB} MiB",
        _leak,
        is_for=lambda server: MEMORY in server.limits,
        limit=MEMORY,
    ),
    Event(
        "a call that sleeps for ever, with a timeout of 2 s",
        _hang,
        is_for=lambda server: CALLS in server.limits,
        limit=CALLS,
    ),
    Event(
        "a call that keeps the interpreter for ever, with a timeout of 2 s",
        _hold,
        is_for=lambda server: CALLS in server.limits,
        limit=CALLS,
    ),
    Event("a stop (TERM)", _stop, ends=True),
)
