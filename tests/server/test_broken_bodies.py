"""A streamed body that breaks while the application reads it: the client's fault, not the application's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.raw_client import chunked, request_bytes
from support.server import Server
from support.ways import CALLS_FOLLOW

STREAMED = b"x" * 4000
"""More than is kept before the call."""


@pytest.fixture(scope="module")
def streaming() -> Iterator[Server]:
    options = [
        "--body-memory",
        "1K",
        "--body-spool",
        "2K",
        "--max-request-body",
        "20K",
        "--body-timeout",
        "500ms",
    ]
    with Server(options=[*options, "--log-level", "debug"]) as running:
        yield running
    assert "Traceback" not in running.final_log
    # Where bodies come before the call nothing was called for this one.
    assert ("could not read the request body" in running.final_log) is not CALLS_FOLLOW


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        pytest.param(b"zz\r\n", 400, id="malformed"),
        pytest.param(chunked(b"x" * 20_000)[:-5], 413, id="too-large"),
        pytest.param(b"", 408, id="too-slow"),
    ],
)
def test_the_client_is_told_and_no_traceback_is_logged(streaming: Server, rest: bytes, status: int) -> None:
    with streaming.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"]))
        connection.send(chunked(STREAMED)[:-5] + rest)
        response = connection.read_response()
    assert response.status == status
    assert response.get("Connection") == "close"


def test_a_client_that_leaves_in_the_middle_is_no_error(streaming: Server) -> None:
    with streaming.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"]))
        connection.send(chunked(STREAMED)[:-5])
    with streaming.connect() as connection:
        assert connection.request("/function").status == 200
