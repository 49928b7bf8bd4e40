"""Clients that vanish at each stage: close() is called, nothing is held, the worker lives."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.raw_client import request_bytes
from support.server import Server

LEAVE = ["reset", "close"]
leaving = pytest.mark.parametrize("leave", LEAVE)


@pytest.fixture(autouse=True)
def _worker_survives(server: Server) -> Iterator[None]:
    """After each of these tests the same worker serves the next client."""
    workers = server.worker_pids
    position = server.error_log.position()
    yield
    with server.connect() as connection:
        assert connection.request("/function").body == b"function"
    assert server.worker_pids == workers
    assert "Traceback" not in server.error_log.text(position)


@leaving
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        b"GET /function HTTP/1.1\r\nHost: a\r\nX-Half",
        request_bytes("/echo", "POST", headers=["Content-Length: 100"]),
        request_bytes("/echo", "POST", headers=["Content-Length: 100"]) + b"half",
        request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"]) + b"5\r\nhel",
        request_bytes("/echo", "POST", headers=["Content-Length: 5", "Expect: 100-continue"]),
        request_bytes("/function") + b"GET /func",
    ],
    ids=["connect", "letter", "half-head", "no-body", "half-body", "half-chunk", "expect", "after-a-request"],
)
def test_before_the_application(server: Server, sent: bytes, leave: str) -> None:
    for _ in range(10):
        with server.connect() as connection:
            connection.send(sent)
            getattr(connection, leave)()


@leaving
def test_while_the_application_works(server: Server, key: str, leave: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/waits?key={key}")
        server.recorder.wait_for(key, "inside")
        getattr(connection, leave)()
    server.recorder.open_gate(key)
    assert server.recorder.wait_for(key, "close") == ["inside", "close"]


@leaving
def test_while_blocks_are_produced(server: Server, key: str, leave: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/endless?key={key}")
        assert connection.read_head().status == 200
        getattr(connection, leave)()
    assert server.recorder.wait_for(key, "close") == ["started", "close"]


@leaving
def test_between_blocks(server: Server, key: str, leave: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/gated?key={key}&count=4")
        server.recorder.open_gate(key, 0)
        assert connection.read_head().status == 200
        assert connection.read_chunk() == b"block 0"
        getattr(connection, leave)()
    for number in range(1, 4):
        server.recorder.open_gate(key, number)
    assert server.recorder.wait_for(key, "close").count("close") == 1


@leaving
@pytest.mark.parametrize("name", ["one-block", "download"])
def test_with_most_of_a_large_response_unread(server: Server, key: str, name: str, leave: str) -> None:
    with server.connect(receive_buffer=4096) as connection:
        connection.ask(f"/{name}?mebibytes=32&key={key}")
        assert connection.read_head().status == 200
        getattr(connection, leave)()
    server.recorder.wait_for(key, "returned" if name == "one-block" else "close")


@leaving
def test_in_a_file(server: Server, key: str, leave: str) -> None:
    with server.connect(receive_buffer=4096) as connection:
        connection.ask(f"/file-wrapper?kind=real&size=33554432&key={key}")
        assert connection.read_head().status == 200
        getattr(connection, leave)()
    assert server.recorder.wait_for(key, "close") == ["close"]


@leaving
def test_with_responses_in_the_pipeline(server: Server, leave: str) -> None:
    for _ in range(10):
        with server.connect() as connection:
            connection.send(request_bytes("/function") * 100)
            getattr(connection, leave)()


@leaving
def test_idle_after_a_response(server: Server, leave: str) -> None:
    for _ in range(10):
        with server.connect() as connection:
            connection.request("/function")
            getattr(connection, leave)()
