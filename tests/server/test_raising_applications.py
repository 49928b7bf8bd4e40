"""Applications that raise at each stage, many times: the worker and its connections stay well."""

from __future__ import annotations

import pytest
from apps.raising import STAGES_AFTER_OUTPUT, STAGES_BEFORE_OUTPUT
from support.raw_client import Closed, request_bytes
from support.server import Server


@pytest.mark.parametrize("stage", STAGES_BEFORE_OUTPUT)
def test_the_connection_and_close_after_an_error_before_output(server: Server, key: str, stage: str) -> None:
    workers = server.worker_pids
    with server.connect() as connection:
        for _ in range(20):
            assert connection.request(f"/raises/{stage}?key={key}").status == 500
            assert connection.request("/function").body == b"function"
    called = stage in {"at-iter", "at-first-next", "after-empty-block"}
    assert server.recorder.events(key) == ["close"] * (20 if called else 0)
    assert server.worker_pids == workers


@pytest.mark.parametrize("stage", STAGES_AFTER_OUTPUT)
def test_close_after_an_error_behind_output(server: Server, key: str, stage: str) -> None:
    workers = server.worker_pids
    for _ in range(10):
        with server.connect() as connection:
            connection.ask(f"/raises/{stage}?key={key}")
            assert connection.read_head().status == 200
            assert connection.read_chunk() == b"first"
            with pytest.raises((Closed, ConnectionError)):
                connection.read_chunk()
    if stage == "at-second-next":
        server.recorder.wait_for(key, "close", count=10)
    assert server.recorder.events(key).count("close") == (10 if stage == "at-second-next" else 0)
    assert server.worker_pids == workers


def test_an_error_while_a_body_is_unread(server: Server) -> None:
    """The body of a failed request is not taken for the next one."""
    with server.connect() as connection:
        for _ in range(3):
            assert connection.request("/raises/at-call", method="POST", body=b"x" * 5000).status == 500
            assert connection.request("/function").body == b"function"


def test_the_log_has_one_traceback_for_one_error(server: Server, key: str) -> None:
    with server.connect() as connection:
        assert connection.request(f"/raises/at-call?key={key}").status == 500
    server.error_log.wait_for(f"StageError: raised for {key}")
    assert server.error_log.text().count(f"raised for {key}") == 1


@pytest.mark.parametrize("stage", STAGES_AFTER_OUTPUT)
def test_a_body_that_ends_with_the_connection_is_reset_and_not_closed(
    server: Server, key: str, stage: str
) -> None:
    """RFC 9112 8: to HTTP/1.0 an orderly close would say that the body is complete."""
    with server.connect() as connection:
        connection.send(request_bytes(f"/raises/{stage}?key={key}", version="HTTP/1.0"))
        with pytest.raises(ConnectionResetError):
            connection.read_to_end()
