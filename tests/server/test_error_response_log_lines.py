"""Rejected requests have an access line too: status, and the request line as far as it came, escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from support.raw_client import request_bytes
from support.server import Server

LONGEST = 256
"""Bytes of the request line that a line shows."""

OPTIONS = [
    *("--head-timeout", "500ms", "--body-timeout", "500ms", "--max-request-body", "1000"),
    *("--max-headers", "20"),
]


@pytest.fixture(scope="module")
def rejecting() -> Iterator[Server]:
    with Server(threads=1, options=OPTIONS) as running:
        yield running


def lines_after(server: Server, position: int, key: str) -> list[str]:
    """The access lines since `position`, once a request made after it has its own."""
    with server.connect() as connection:
        assert connection.request(f"/function?end={key}").status == 200
    server.access_log.wait_for(rf"/function\?end={key}", since=position)
    return [line for line in server.access_log.lines(position) if f"end={key}" not in line]


LINE = re.compile(r'127\.0\.0\.1 - - \[[^\]]+\] "(?P<request>[^"]*)" (?P<status>\d+) (?P<size>\d+)( .*)?')

POST = "POST /{key} HTTP/1.1\r\nHost: a\r\n"
REJECTED: dict[str, tuple[int, str]] = {
    "no host": (400, "GET /{key} HTTP/1.1\r\n\r\n"),
    "bad header": (400, "GET /{key} HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n"),
    "method": (405, "TRACE /{key} HTTP/1.1\r\nHost: a\r\n\r\n"),
    "body": (413, POST + "Content-Length: 1001\r\n\r\n"),
    "chunked body": (413, POST + "Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + "x" * 1001 + "\r\n0\r\n\r\n"),
    "chunk": (400, POST + "Transfer-Encoding: chunked\r\n\r\nx\r\n"),
    "expectation": (417, POST + "Content-Length: 1\r\nExpect: 200-ok\r\n\r\n"),
    "headers": (431, "GET /{key} HTTP/1.1\r\nHost: a\r\n" + "X-A: b\r\n" * 20 + "\r\n"),
    "coding": (501, POST + "Transfer-Encoding: gzip, chunked\r\n\r\n"),
    "version": (505, "GET /{key} HTTP/2.0\r\nHost: a\r\n\r\n"),
    "late head": (408, "GET /{key} HTTP/1.1\r\nHost:"),
    "late body": (408, POST + "Content-Length: 10\r\n\r\nx"),
    "half a line": (408, "GET /{key}"),
}


def test_each_error_response_has_one_line_with_its_status_and_request_line(
    rejecting: Server, key: str
) -> None:
    """All of them at the same time: some have to wait until they are late."""
    position = rejecting.access_log.position()
    expected, found = {}, {}
    with ExitStack() as stack:
        connections = {}
        for number, (name, (status, text)) in enumerate(REJECTED.items()):
            request = text.replace("{key}", f"{key}-{number}.")
            expected[name] = [(request.partition("\r\n")[0], status)]
            connections[name] = stack.enter_context(rejecting.connect())
            connections[name].send(request.encode())
        responses = {name: connection.read_response().status for name, connection in connections.items()}
    assert responses == {name: status for name, (status, _) in REJECTED.items()}
    lines = lines_after(rejecting, position, key)
    for number, name in enumerate(REJECTED):
        matches = [LINE.fullmatch(line) for line in lines if f"{key}-{number}." in line]
        found[name] = [(match["request"], int(match["status"])) if match else None for match in matches]
    assert found == expected


FOREIGN: dict[str, tuple[bytes, str]] = {
    "TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", r"\x16\x03\x01\x02\x00\x01\x00"),
    "NULs": (bytes(20) + b"\r\n\r\n", r"\x00" * 20),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0"),
    "quotes": (b'GET /"\\ HTTP/1.1" 200 0 "x\r\n\r\n', r"GET /\x22\x5c HTTP/1.1\x22 200 0 \x22x"),
    "terminal": (b"GET /\x1b[31m\x9b HTTP/1.1\r\n\r\n", r"GET /\x1b[31m\x9b HTTP/1.1"),
    "non-ASCII": ("GET /é HTTP/1.1\r\n\r\n".encode(), r"GET /\xc3\xa9 HTTP/1.1"),
    "no line": (b"\x00" + b"y" * 9000, r"\x00" + "y" * (LONGEST - 1)),
    "long line": (b"GET /" + b"z" * 9000 + b" HTTP/1.1\r\n\r\n", "GET /" + "z" * (LONGEST - 5)),
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_http_is_shown_escaped_on_one_line(rejecting: Server, key: str, name: str) -> None:
    sent, shown = FOREIGN[name]
    position = rejecting.access_log.position()
    with rejecting.connect() as connection:
        connection.send(sent)
        status = connection.read_response().status
        assert 400 <= status < 600
        assert connection.read_to_end() == b""
    [line] = lines_after(rejecting, position, key)
    match = LINE.fullmatch(line)
    assert match, line
    assert (match["request"], match["status"]) == (shown, str(status))


def test_a_request_that_never_came_has_a_line_without_one(rejecting: Server, key: str) -> None:
    """Empty lines begin a request (RFC 9112 2.2), which is then late."""
    position = rejecting.access_log.position()
    with rejecting.connect() as connection:
        connection.send(b"\r\n")
        assert connection.read_response().status == 408
    [line] = lines_after(rejecting, position, key)
    assert '] "-" 408 ' in line


def test_the_line_behind_a_good_request_is_the_bad_one(rejecting: Server, key: str) -> None:
    position = rejecting.access_log.position()
    with rejecting.connect() as connection:
        connection.send(request_bytes(f"/function?{key}-good") + f"GET /{key}-bad HTTP/1.1\r\n\r\n".encode())
        assert [connection.read_response().status for _ in range(2)] == [200, 400]
    lines = lines_after(rejecting, position, key)
    assert [match["request"] for line in lines if (match := LINE.fullmatch(line))] == [
        f"GET /function?{key}-good HTTP/1.1",
        f"GET /{key}-bad HTTP/1.1",
    ]


def test_connections_that_send_nothing_or_are_idle_have_no_line(rejecting: Server, key: str) -> None:
    position = rejecting.access_log.position()
    for _ in range(3):
        rejecting.connect().close()
    assert lines_after(rejecting, position, key) == []


# -- clients that leave before their response: 499


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_a_client_that_leaves_a_running_call_is_499(rejecting: Server, key: str, leave: str) -> None:
    with rejecting.connect() as connection:
        connection.ask(f"/waits?key={key}")
        rejecting.recorder.wait_for(key, "inside")
        # A short call is not worth a look at the client before its response.
        assert connection.is_silent(0.1)
        getattr(connection, leave)()
    rejecting.recorder.open_gate(key)
    line = rejecting.access_log.wait_for(rf'"GET /waits\?key={key} HTTP/1\.1" (\d+) ')
    assert line[1] == "499"


def test_a_client_that_leaves_the_queue_is_499(rejecting: Server, key: str) -> None:
    with rejecting.connect() as busy:
        busy.ask(f"/waits?key={key}")
        rejecting.recorder.wait_for(key, "inside")
        with rejecting.connect() as connection:
            connection.ask(f"/function?key={key}-queued")
            assert connection.is_silent(0.1)
            connection.reset()
        rejecting.recorder.open_gate(key)
        assert busy.read_response().body == b"waited"
    line = rejecting.access_log.wait_for(rf'"GET /function\?key={key}-queued HTTP/1\.1" (\d+) ')
    assert line[1] == "499"


@pytest.mark.parametrize("leave", ["reset", "close"])
def test_a_client_that_leaves_in_its_body_is_499(rejecting: Server, key: str, leave: str) -> None:
    with rejecting.connect() as connection:
        connection.send(request_bytes(f"/{key}", "POST", headers=["Content-Length: 100"]) + b"half")
        assert connection.is_silent(0.1)
        getattr(connection, leave)()
    line = rejecting.access_log.wait_for(rf'"POST /{key} HTTP/1\.1" (\d+) ', deadline_s=3)
    assert line[1] == "499"


def test_a_client_that_leaves_in_the_response_keeps_its_status(rejecting: Server, key: str) -> None:
    with rejecting.connect(receive_buffer=4096) as connection:
        connection.ask(f"/endless?key={key}")
        assert connection.read_head().status == 200
        connection.reset()
    rejecting.recorder.wait_for(key, "close")
    assert rejecting.access_log.wait_for(rf'"GET /endless\?key={key} HTTP/1\.1" (\d+) ')[1] == "200"


def test_a_half_closed_client_gets_its_response(rejecting: Server, key: str) -> None:
    """Shutting one side down says that no more requests come, not that nobody listens."""
    with rejecting.connect() as connection:
        connection.ask(f"/waits?key={key}")
        rejecting.recorder.wait_for(key, "inside")
        connection.half_close()
        rejecting.recorder.open_gate(key)
        assert connection.read_response().body == b"waited"
        assert connection.read_to_end() == b""
