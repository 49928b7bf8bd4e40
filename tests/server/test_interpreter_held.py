"""Whoever keeps the interpreter keeps calls waiting, and nothing else: I/O is driven all the time."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest
from support.server import Server
from support.waiting import wait_until


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("path", ["/keeps", "/keeps-beside"])
def test_io_is_driven_while_requests_wait_for_the_interpreter(threads: int, path: str) -> None:
    """A thread that has taken a request and waits for the interpreter is seen like one in a call."""
    server = Server("apps.holding:application", threads=threads, options=["--health-path", "/healthz"])
    with server, ExitStack() as stack:
        first, *others = [stack.enter_context(server.connect()) for _ in range(10)]
        first.ask(path)
        wait_until((server.folder / "keeps").exists, what="the interpreter to be kept")
        prober = stack.enter_context(server.connect())
        for connection in others:
            connection.ask("/")
            assert prober.request("/healthz").body == b"ok\n"
        gate = os.open(server.folder / "gate", os.O_WRONLY)
        stack.callback(os.close, gate)
        os.write(gate, b".")
        assert [connection.read_response().body for connection in (first, *others)] == [b"called"] * 10
