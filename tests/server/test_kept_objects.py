"""When a call is over its input and response are closed, whoever still holds them: no descriptor is kept."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from apps.keeping import IN_USE
from support.gateway_server import LISTENERS, running_gateway_server
from support.raw_client import Closed, request_bytes
from support.server import Server
from support.waiting import wait_until
from support.ways import bodies_in_calls

ENVIRONMENT = {
    **{"PORTICO_BODY_MEMORY": "16K", "PORTICO_BODY_SPOOL": "64K"},
    **{"PORTICO_RESPONSE_MEMORY": "64K", "PORTICO_RESPONSE_SPOOL": "64K"},
}
BODY_BYTES = 1_000_000
AT_ONCE_S = 4.0
"""Much less than `graceful_timeout`, and than the deadlines of slow clients."""


@pytest.fixture(params=[1, 4], ids=["1-thread", "4-threads"])
def keeping(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server("apps.keeping:application", threads=request.param, environment=ENVIRONMENT) as running:
        yield running
        began = time.monotonic()
    assert time.monotonic() - began < AT_ONCE_S, "the worker waited for somebody"


def post_head(target: str) -> bytes:
    return request_bytes(target, "POST", headers=[f"Content-Length: {BODY_BYTES}"])


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(200_000, id="half a body", marks=bodies_in_calls),
        pytest.param(BODY_BYTES, id="a body"),
    ],
)
@pytest.mark.parametrize("read", [0, 100_000], ids=["unread", "read in part"])
def test_kept_environs_hold_no_connection(keeping: Server, sent: int, read: int) -> None:
    with keeping.connect() as connection:
        assert connection.request("/plain").body == b"plain"
    before = keeping.descriptor_count()
    for _ in range(20):
        with keeping.connect() as connection:
            connection.send(post_head(f"/keeps-environ?read={read}") + b"x" * sent)
            assert connection.read_response().body == b"kept"
    wait_until(lambda: keeping.descriptor_count() <= before, what="descriptors", deadline_s=AT_ONCE_S)


@pytest.mark.parametrize("name", ["uwsgi", "scgi", "fastcgi"])
def test_kept_environs_hold_no_connection_of_a_reverse_proxy(name: str) -> None:
    with running_gateway_server(
        *("--body-memory", "16K", "--body-spool", "64K"),
        listeners={name: LISTENERS[name]},
        application="apps.keeping:application",
        is_strict=False,
    ) as gateway:
        assert gateway.ask(name, "/plain").body == b"plain"
        before = gateway.server.descriptor_count()
        for _ in range(20):
            assert gateway.ask(name, "/keeps-environ?read=9", "POST", b"x" * 300_000).body == b"kept"
        what = "descriptors"
        wait_until(lambda: gateway.server.descriptor_count() <= before, what=what, deadline_s=AT_ONCE_S)
        began = time.monotonic()
    assert time.monotonic() - began < AT_ONCE_S


def test_a_kept_environ_of_a_spooled_body_holds_no_file(keeping: Server) -> None:
    with keeping.connect() as connection:
        assert connection.request("/plain").body == b"plain"
        before = keeping.descriptor_count()
        for _ in range(20):
            response = connection.request("/keeps-environ", method="POST", body=b"x" * 50_000)
            assert response.body == b"kept"
        assert keeping.descriptor_count() <= before + 1


@pytest.mark.parametrize("size", [300, 50_000, BODY_BYTES], ids=["buffered", "spooled", "streamed"])
def test_what_was_kept_says_that_its_call_is_over(keeping: Server, size: int) -> None:
    with keeping.connect() as connection:
        assert connection.request("/keeps-environ", method="POST", body=b"x" * size).body == b"kept"
    with keeping.connect() as connection:
        lines = connection.request("/uses-what-was-kept").body.decode().split("\n")
    assert lines == ["AssertionError", "AssertionError", "ValueError", "False", "RuntimeError"]


@pytest.mark.parametrize("size", [300, 50_000], ids=["buffered", "spooled"])
def test_what_was_kept_reads_no_later_body(keeping: Server, size: int) -> None:
    with keeping.connect() as connection:
        for _ in range(3):
            assert connection.request("/keeps-environ", method="POST", body=b"x" * size).body == b"kept"
            lines = connection.request("/uses-what-was-kept", method="POST", body=b"y" * 300).body.split(
                b"\n"
            )
            assert lines[2] == b"ValueError"


@pytest.mark.parametrize("returns", ["list", "blocks", "generated", "raises"])
@pytest.mark.parametrize("length", ["", "length=1000000000"], ids=["chunked", "length"])
def test_a_thread_in_write_does_not_outlive_the_call(
    keeping: Server, key: str, returns: str, length: str
) -> None:
    with keeping.connect() as connection:
        assert connection.request("/plain").body == b"plain"
    before = keeping.descriptor_count()
    since = keeping.error_log.position()
    with keeping.connect(receive_buffer=4096) as connection:
        connection.ask(f"/leaves-a-writer?key={key}&returns={returns}&{length}")
        keeping.recorder.wait_for(key, IN_USE)
        began = time.monotonic()
        keeping.recorder.open_gate(key)
        over = "RuntimeError: the call of the application has ended while a thread was in write"
        keeping.recorder.wait_for(key, over)
        assert time.monotonic() - began < AT_ONCE_S
        expected = "ValueError: of the application" if returns == "raises" else "a thread of it was in write"
        keeping.error_log.wait_for(expected, since=since)
        with pytest.raises((Closed, ConnectionError)):
            connection.read_response()
    wait_until(lambda: keeping.descriptor_count() <= before, what="descriptors", deadline_s=AT_ONCE_S)
    with keeping.connect() as connection:
        assert connection.request("/plain").body == b"plain"


def test_a_sent_block_is_gone_before_its_thread_has_another_call(key: str) -> None:
    """Whoever has sent it lets go of it, and nothing waits for the thread that has made it."""
    with Server("apps.keeping:application", threads=4) as server, server.connect() as connection:
        connection.ask(f"/sends-a-telling-block?key={key}")
        length = int(connection.read_head().get("Content-Length") or 0)
        assert server.recorder.events(key) == []
        connection.discard(length)
        server.recorder.wait_for(key, "gone")


@bodies_in_calls
def test_a_thread_that_reads_does_not_outlive_the_call(keeping: Server, key: str) -> None:
    with keeping.connect() as connection:
        assert connection.request("/plain").body == b"plain"
    before = keeping.descriptor_count()
    with keeping.connect() as connection:
        connection.send(post_head(f"/leaves-a-reader?key={key}") + b"x" * 200_000)
        assert connection.read_response().body == b"returned"
        text = "ValueError: I/O operation on closed file: the request of this wsgi.input is over"
        keeping.recorder.wait_for(key, text)
    wait_until(lambda: keeping.descriptor_count() <= before, what="descriptors", deadline_s=AT_ONCE_S)
