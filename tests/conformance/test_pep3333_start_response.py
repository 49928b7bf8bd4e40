"""PEP 3333, `start_response` and `write`: numbers 24 to 33."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from time import time

import pytest
from apps.starting import BAD_CALLS, GOOD_CALLS, HOP_BY_HOP
from support.raw_client import Closed
from support.server import Server

QUIET_S = 0.05
"""How long nothing may come where nothing may be sent: the server had something to send long before."""


def test_24_start_response_returns_write(server: Server) -> None:
    with server.connect() as connection:
        assert json.loads(connection.request("/tells-write").body) == {"two": True, "three": True}


def test_24_exc_info_may_be_given_by_name(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/exc-info-by-name")
    assert (response.status, response.reason, response.body) == (201, "Named", b"by name")


def test_25_start_response_sends_nothing_itself(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/starts-then-waits?key={key}")
        server.recorder.wait_for(key, "started")
        assert connection.is_silent(QUIET_S)
        server.recorder.open_gate(key)
        assert connection.read_response().body == b"after the gate"


def test_26_empty_blocks_do_not_let_the_head_go(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/yields-empty-then-waits?key={key}")
        server.recorder.wait_for(key, "empty blocks taken")
        assert connection.is_silent(QUIET_S)
        server.recorder.open_gate(key)
        assert connection.read_response().body == b"after the gate"


def test_26_the_head_can_be_replaced_after_an_empty_block(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/replaces-after-empty")
    assert (response.status, response.reason, response.body) == (503, "Replaced", b"replaced")
    assert (response.get("X-Old"), response.get("X-New")) == (None, "yes")


def test_26_the_head_goes_at_the_first_write(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/writes-then-waits?key={key}")
        assert connection.read_head().status == 200
        assert connection.read_chunk() == b"first"
        server.recorder.open_gate(key)
        assert b"".join(connection.read_chunks()) == b"second"


@pytest.mark.parametrize("target", ["/empty-list", "/generated-nothing", "/list-of-empty", "/empty-closed"])
def test_26_the_head_goes_at_exhaustion(server: Server, target: str) -> None:
    with server.connect() as connection:
        response = connection.request(target)
        assert (response.status, response.body) == (200, b"")
        assert connection.request("/function").body == b"function"


def test_27_a_second_call_without_exc_info_is_an_error(server: Server, key: str) -> None:
    with server.connect() as connection:
        response = connection.request(f"/starts-twice?key={key}")
    assert response.status == 500
    assert server.recorder.events(key) == ["raised"]


def test_27_the_error_of_a_second_call_can_be_caught(server: Server, key: str) -> None:
    with server.connect() as connection:
        response = connection.request(f"/starts-twice?key={key}&catch=1")
    assert (response.status, response.reason) == (200, "OK")
    assert response.body.endswith(b"Error")


def test_28_exc_info_before_output_replaces_status_and_headers(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/replaces")
    assert (response.status, response.reason, response.body) == (500, "Replaced", b"the replacement")
    assert (response.get("X-Old"), response.get("X-New")) == (None, "yes")


def test_29_exc_info_after_output_raises_it_again(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/replaces-too-late?key={key}")
        assert connection.read_head().status == 200
        assert connection.read_chunk() == b"sent already"
        with pytest.raises((Closed, ConnectionError)):
            connection.read_chunk()
    assert server.recorder.wait_for(key, "same") == ["same"]
    server.error_log.wait_for("CustomError: too late")


def test_30_no_reference_to_exc_info_is_kept(server: Server, key: str) -> None:
    with server.connect() as connection:
        assert connection.request(f"/gives-exc-info?key={key}").status == 500
        assert connection.request(f"/tells-whether-kept?key={key}").body == b"gone"


@pytest.mark.parametrize("call", BAD_CALLS)
def test_31_bad_status_and_headers_raise_at_the_call(server: Server, key: str, call: str) -> None:
    with server.connect() as connection:
        response = connection.request(f"/bad-call?call={call}&key={key}")
    assert response.status == 500
    assert response.get("X-Injected") is None
    assert b"accepted" not in response.body
    (event,) = server.recorder.events(key)
    assert event in {"raised AssertionError", "raised ValueError", "raised TypeError"}


@pytest.mark.parametrize("call", GOOD_CALLS)
def test_31_native_strings_of_any_kind_are_taken_for_what_they_hold(server: Server, call: str) -> None:
    status, headers = GOOD_CALLS[call]
    status = str.__str__(status)
    with server.connect() as connection:
        response = connection.request(f"/good-call?call={call}")
        assert connection.request("/function").body == b"function"
    assert (response.status, response.reason, response.body) == (int(status[:3]), status[4:], b"accepted")
    assert response.get("X-Injected") is None
    assert response.get("X-Native") == ("caf\xe9" if len(headers) > 1 and "X-Native" in headers[1] else None)
    assert response.get("Content-Length") == "8"


@pytest.mark.parametrize("name", HOP_BY_HOP)
def test_32_a_hop_by_hop_header_from_an_application_is_never_sent(server: Server, name: str) -> None:
    """It is an error with --strict: tests/server/test_strict.py."""
    with server.connect() as connection:
        response = connection.request(f"/hop-by-hop?name={name}")
        assert (response.status, response.body, response.get(name)) == (200, b"accepted", None)
        assert connection.request("/function").body == b"function"


def test_33_date_and_server_are_added(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/function")
    date = response.get("Date")
    assert date is not None
    assert date.endswith(" GMT")
    assert abs(parsedate_to_datetime(date).timestamp() - time()) < 5
    assert response.get("Server") == "portico"


def test_33_the_application_has_the_last_word(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/own-date-and-server")
    assert response.get("Date") == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert response.get("Server") == "mine/1.0"


def test_33_reason_and_repeated_headers_are_kept(server: Server) -> None:
    with server.connect() as connection:
        assert connection.request("/own-reason").reason == "Quite All Right, Thanks"
        response = connection.request("/repeated-headers")
    assert response.all("Set-Cookie") == ["a=1", "b=2"]
    assert response.get("X-Latin") == "caf\xe9"
