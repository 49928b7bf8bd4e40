"""PEP 3333, when things go wrong, and what is ours: numbers 47, 49, 50 and 52."""

from __future__ import annotations

import json

import pytest
from apps.raising import STAGES_BEFORE_OUTPUT
from support.raw_client import Closed
from support.server import Server


@pytest.mark.parametrize(
    "target", [*(f"/raises/{stage}" for stage in STAGES_BEFORE_OUTPUT), "/raises-in-generator"]
)
def test_47_an_exception_before_output_is_a_500_and_a_traceback(
    server: Server, key: str, target: str
) -> None:
    with server.connect() as connection:
        response = connection.request(f"{target}?key={key}")
        assert response.status == 500
        assert (response.get("Content-Type") or "").startswith("text/plain")
        assert key.encode() not in response.body, "the client must not see the error's text"
        assert b"Traceback" not in response.body
    server.error_log.wait_for(rf"StageError: raised for {key}")
    log = server.error_log.text()
    assert "Traceback (most recent call last)" in log
    assert 'raising.py", line' in log


@pytest.mark.parametrize("stage", ["at-second-next", "after-write"])
@pytest.mark.parametrize("length", ["", "&length=100"], ids=["chunked", "length"])
def test_47_an_exception_after_output_aborts_the_response(
    server: Server, key: str, stage: str, length: str
) -> None:
    with server.connect() as connection:
        connection.ask(f"/raises/{stage}?key={key}{length}")
        with pytest.raises((Closed, ConnectionError)):
            connection.read_response()
    server.error_log.wait_for(rf"StageError: raised for {key}")


def test_47_an_exception_in_close_is_logged(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/raises/at-close?key={key}")
        assert connection.read_head().status == 200
        assert connection.read_chunk() == b"first"
    server.error_log.wait_for(rf"StageError: raised for {key}")
    with server.connect() as connection:
        assert connection.request("/function").status == 200


def test_49_connection_close_is_obeyed(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/function", headers=["Connection: close"])
        assert (response.body, (response.get("Connection") or "").lower()) == (b"function", "close")
        connection.expect_closed()


@pytest.mark.parametrize(
    "headers",
    [
        ["Connection: Upgrade", "Upgrade: websocket"],
        ["Connection: TE", "TE: trailers, deflate"],
        ["Connection: keep-alive", "Keep-Alive: timeout=1"],
        ["Connection: X-Own", "X-Own: 1"],
    ],
    ids=["upgrade", "te", "keep-alive", "named"],
)
def test_49_hop_by_hop_headers_are_the_servers(server: Server, headers: list[str]) -> None:
    with server.connect() as connection:
        for _ in range(2):
            response = connection.request("/function", headers=headers)
            assert (response.status, response.body, response.get("Upgrade")) == (200, b"function", None)


def test_49_the_transfer_coding_is_taken_off(server: Server) -> None:
    with server.connect() as connection:
        connection.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3;extension=1\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Trailer: x\r\n\r\n"
        )
        assert connection.read_response().body == b"abcdefg"


def test_50_an_application_can_be_given_settings(server: Server) -> None:
    with server.connect() as connection:
        assert json.loads(connection.request("/setting").body) == "from the command line"


@pytest.mark.parametrize(
    "query",
    ["", "?code=3", "?code=a+message", "?where=iteration"],
    ids=["zero", "number", "message", "iteration"],
)
def test_52_sys_exit_is_one_500(server: Server, query: str) -> None:
    with server.connect() as connection:
        before = connection.request("/process").body
    position = server.error_log.position()
    with server.connect() as connection:
        assert connection.request(f"/exits{query}").status == 500
    server.error_log.wait_for("SystemExit", since=position)
    with server.connect() as connection:
        assert connection.request("/process").body == before


@pytest.mark.parametrize("error", ["exit", "interrupt", "generator-exit"])
@pytest.mark.parametrize("stage", ["at-call", "at-first-next", "at-close"])
def test_52_no_exception_of_an_application_stops_the_server(
    server: Server, key: str, stage: str, error: str
) -> None:
    with server.connect() as connection:
        before = connection.request("/process").body
    with server.connect() as connection:
        connection.ask(f"/raises/{stage}?error={error}&key={key}")
        assert connection.read_head().status == (200 if stage == "at-close" else 500)
    server.error_log.wait_for(rf"raised for {key}")
    with server.connect() as connection:
        assert connection.request("/process").body == before
