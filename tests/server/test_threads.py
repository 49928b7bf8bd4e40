"""Threads of the crew look to the application like threads that Python has started."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any

import pytest
from support.server import Server
from support.ways import not_for

pytestmark = not_for("gevent", "asyncio", "tornado", reason="it is of the threads that calls have otherwise")

APPLICATION = "apps.threaded:application"
MIB = 1 << 20
DEEP = 9_000
"""More than 2 MiB of stack, less than 8: a level takes some 300 to 600 bytes, by the version of Python."""
_meetings = count()


def ask(server: Server, action: str, *, threads: int, **query: Any) -> list[Any]:
    """What so many calls at the same time say, each of which is on another thread."""
    query |= {"key": next(_meetings), "count": threads}
    path = f"/{action}?" + "&".join(f"{name}={value}" for name, value in query.items())
    with ExitStack() as stack:
        connections = [stack.enter_context(server.connect()) for _ in range(threads)]
        for connection in connections:
            connection.ask(path)
        return [json.loads(connection.read_response().body) for connection in connections]


@pytest.fixture(scope="module")
def four_threads() -> Iterator[Server]:
    with Server(APPLICATION, threads=4) as running:
        yield running


def test_a_thread_is_known_to_threading(four_threads: Server) -> None:
    """All but those whose call had begun when another one imported `threading`, until it ends."""
    ask(four_threads, "describes", threads=4)
    names = ["MainThread", "portico-2", "portico-3", "portico-4"]
    described = sorted(ask(four_threads, "describes", threads=4), key=lambda thread: str(thread["name"]))
    common = {"alive": True, "idents": True, "enumerated": names}
    main = {"name": "MainThread", "comm": "portico worker", "daemon": False, "main": True}
    others = [{"name": name, "comm": name, "daemon": True, "main": False} for name in names[1:]]
    assert described == [{**thread, **common} for thread in [main, *others]]


def test_no_native_name_is_too_long(four_threads: Server) -> None:
    """The kernel keeps 15 bytes."""
    ask(four_threads, "counts", threads=4)
    [names] = ask(four_threads, "native-names", threads=1)
    assert names == ["portico worker", "portico-2", "portico-3", "portico-4", "portico-watch"]


def test_what_is_local_to_a_thread_stays_with_it() -> None:
    with Server(APPLICATION, threads=3) as server:
        assert [ask(server, "counts", threads=3) for _ in range(3)] == [[1] * 3, [2] * 3, [3] * 3]


def test_the_hooks_of_threading_are_honoured() -> None:
    with Server(APPLICATION, threads=2, environment={"HOOKS": "1"}) as server:
        traces = ask(server, "traces", threads=2, where="other")
    assert sorted(filter(None, traces)) == [["profile portico-2", "trace portico-2"]]


def test_the_thread_of_callbacks_is_known_as_well() -> None:
    with Server(APPLICATION, environment={"HOOKS": "1"}) as server:
        for _ in range(2):
            with server.connect() as connection:
                connection.ask("/leaves")
                connection.half_close()
                seen = json.loads(connection.read_response().body)
            assert (seen["name"], seen["comm"]) == ("portico-leave", "portico-leave")
            assert seen["enumerated"] == ["MainThread", "portico-leave"]
            assert seen["traces"] == ["profile portico-leave", "trace portico-leave"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="threading.settrace_all_threads is new in Python 3.12")
def test_a_hook_for_all_threads_reaches_those_that_run(four_threads: Server) -> None:
    ask(four_threads, "counts", threads=4)
    traces = [result for result in ask(four_threads, "traces-all", threads=4, where="other") if result]
    assert {trace for result in traces for trace in result} <= {f"trace portico-{n}" for n in (2, 3, 4)}
    assert traces


def test_threading_is_not_imported_before_it_is_needed() -> None:
    """And then the main thread stays the main thread, although another one imports it."""
    with Server(APPLICATION, threads=2) as server:
        assert ask(server, "knows-threading", threads=1) == [False]
        [described] = filter(None, ask(server, "describes", threads=2, where="other"))
        assert (described["name"], described["enumerated"]) == ("portico-2", ["MainThread", "portico-2"])
        assert described["main"] is False
    assert "Exception" not in server.final_log


def test_a_process_forked_by_a_thread_ends_well(four_threads: Server) -> None:
    codes = ask(four_threads, "forks", threads=4, where="other")
    assert sorted(codes, key=str) == [0, 0, 0, None]


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="from Python 3.12 on it bounds recursion through C itself"
)
def test_a_deep_recursion_ends_on_every_thread(four_threads: Server) -> None:
    assert ask(four_threads, "recurses", threads=4, depth=DEEP) == [0] * 4


@pytest.mark.parametrize(
    ("limit", "stack"),
    [
        pytest.param(8 * MIB, 8 * MIB, id="the usual one"),
        pytest.param(64 * MIB, 64 * MIB, id="a larger one"),
        pytest.param(resource.RLIM_INFINITY, 8 * MIB, id="none"),
        pytest.param(MIB // 4, 2 * MIB, id="too little for Python"),
    ],
)
def test_a_thread_has_the_stack_of_the_limit(limit: int, stack: int) -> None:
    with Server(APPLICATION, threads=2) as server:
        [worker] = server.worker_pids
        _, hard = resource.prlimit(worker, resource.RLIMIT_STACK)
        resource.prlimit(worker, resource.RLIMIT_STACK, (limit, hard))
        [measured] = filter(None, ask(server, "stack", threads=2, where="other"))
        # The C library may add or take a few pages.
        assert abs(measured - stack) <= 16 * resource.getpagesize()
        assert server.worker_pids == [worker]
