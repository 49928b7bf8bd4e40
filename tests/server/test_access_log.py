"""One line for each finished request, and no way for a client to forge one."""

from __future__ import annotations

import pytest
from support.raw_client import request_bytes
from support.server import Server


def test_a_line_tells_request_status_and_size(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.request(f"/function?key={key}", headers=["User-Agent: tester/1", "Referer: http://ref/"])
    line = server.access_log.wait_for(rf"^.*{key}.*$")[0]
    assert line.startswith("127.0.0.1 ")
    assert f'"GET /function?key={key} HTTP/1.1" 200 8' in line
    assert "tester/1" in line
    assert "http://ref/" in line


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ("GET /raises/at-call?key={} HTTP/1.1", 500),
        ("POST /ignores-input?key={} HTTP/1.1", 200),
        ("HEAD /function?key={} HTTP/1.0", 200),
        ("GET /missing?key={} HTTP/1.1", 404),
        ("GET /without-body?status=204+No&key={} HTTP/1.1", 204),
    ],
)
def test_a_line_for_each_outcome(server: Server, key: str, request_: str, status: int) -> None:
    request_line = request_.format(key)
    with server.connect() as connection:
        connection.send(f"{request_line}\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        connection.read_to_end()
    line = server.access_log.wait_for(rf"^.*{key}.*$")[0]
    assert f'"{request_line}" {status} ' in line


def test_one_line_each_for_pipelined_requests(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.send(b"".join(request_bytes(f"/function?key={key}-{number}.") for number in range(20)))
        for _ in range(20):
            connection.read_response()
    server.access_log.wait_for(rf"{key}-19\.")
    lines = [line for line in server.access_log.lines() if key in line]
    assert len(lines) == 20
    for number in range(20):
        assert sum(f"{key}-{number}." in line for line in lines) == 1


def test_a_client_that_vanished_has_a_line(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/endless?key={key}")
        connection.read_head()
        connection.reset()
    server.recorder.wait_for(key, "close")
    server.access_log.wait_for(rf"/endless\?key={key}")


@pytest.mark.parametrize(
    "header",
    [
        'User-Agent: a" 200 1 "forged',
        "User-Agent: tab\there",
        "User-Agent: \x85\x9b31mcolour",
        "Referer: \\",
        "User-Agent: " + "x" * 6000,
    ],
    ids=["quote", "tab", "c1-controls", "backslash", "long"],
)
def test_a_client_cannot_forge_or_break_a_line(server: Server, key: str, header: str) -> None:
    with server.connect() as connection:
        connection.request(f"/function?key={key}", headers=[header])
        connection.request(f"/function?key={key}-after")
    server.access_log.wait_for(f"{key}-after.*$")
    lines = [line for line in server.access_log.lines() if key in line]
    assert len(lines) == 2
    assert all(character.isprintable() for line in lines for character in line)
    assert '" 200 1 "forged' not in lines[0]


def test_access_log_on_standard_output() -> None:
    with Server(options=["--access-log", "-"]) as running:
        with running.connect() as connection:
            connection.request("/function?to=stdout")
        running.error_log.wait_for(r"GET /function\?to=stdout HTTP/1.1")
        assert "\x1b[" not in running.error_log.text(), "colour where no terminal is"


def test_access_log_off() -> None:
    with Server(options=["--access-log", "off"]) as running, running.connect() as connection:
        assert connection.request("/function?unlogged=1").status == 200
    assert "unlogged" not in running.final_log
