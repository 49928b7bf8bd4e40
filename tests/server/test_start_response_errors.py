"""An error of start_response shows what is bad, and showing it may run any code of the application.

A `str` of its own kind may call start_response in its `__repr__`, wait, or fail: nothing may be locked
meanwhile, and the error stays clear.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from apps.starting import SHOWN_CALLS
from support.server import Server
from support.ways import calls_at_a_time

DEEDS = {
    "nothing": [],
    "starts": ["started again"],
    "asks": ["asked False"],
    "registers": ["asked None"],
}


@pytest.fixture(scope="module", params=[1, 8], ids=["1-thread", "8-threads"])
def shown_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """One of its own, since a deadlock would hold up all other tests."""
    with Server(threads=request.param, options=["--health-path", "/up"]) as running:
        yield running


def shows(server: Server, key: str, call: str, deed: str) -> list[str]:
    """Ask for the bad call and get a 500; returns what was recorded."""
    with server.connect(timeout_s=5) as connection:
        response = connection.request(f"/shows?key={key}&call={call}&deed={deed}")
        assert (response.status, response.body) == (500, b"500 Internal Server Error\n")
        assert connection.request("/function").body == b"function"
    return list(server.recorder.events(key))


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("call", SHOWN_CALLS)
def test_an_error_shows_what_is_bad_with_nothing_locked(
    shown_server: Server, key: str, call: str, deed: str
) -> None:
    position = shown_server.error_log.position()
    *done, error = shows(shown_server, key, call, deed)
    assert done == DEEDS[deed]
    assert error.startswith("ValueError: ")
    assert error.endswith("shown")
    shown_server.error_log.wait_for("^ValueError: .*shown$", since=position)


@pytest.mark.parametrize("call", SHOWN_CALLS)
def test_what_cannot_be_shown_is_an_error_of_the_same_kind(shown_server: Server, key: str, call: str) -> None:
    [error] = shows(shown_server, key, call, "raises")
    assert error.startswith("ValueError: ")


def test_others_are_served_while_an_error_is_shown(shown_server: Server, key: str) -> None:
    with shown_server.connect() as waiting, shown_server.connect() as other:
        waiting.ask(f"/shows?key={key}&call=value&deed=waits")
        shown_server.recorder.wait_for(key, "waits")
        assert other.request("/up").body == b"ok\n"
        if calls_at_a_time(shown_server.threads) > 1:
            assert other.request("/function").body == b"function"
        shown_server.recorder.open_gate(key)
        assert waiting.read_response().status == 500


def test_without_a_head_nothing_is_written(shown_server: Server, key: str) -> None:
    """The one that there was is gone, since what was to replace it was bad."""
    with shown_server.connect() as connection:
        response = connection.request(f"/replaces-badly?key={key}")
        assert (response.status, response.body) == (500, b"500 Internal Server Error\n")
    replaced, written = shown_server.recorder.events(key)
    assert replaced == "ValueError: status: expected like '200 OK', got 'abc'"
    assert written == "AssertionError: write was called while the response had no head"


def test_an_endless_recursion_has_an_end(key: str) -> None:
    """To show what is bad makes the same bad call again."""
    with Server() as server:
        [worker] = server.worker_pids
        assert shows(server, key, "value", "starts-as-badly")[-1].startswith("ValueError: ")
        assert server.worker_pids == [worker]
