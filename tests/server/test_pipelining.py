"""Several requests sent before the first response is read: responses in order, nothing lost, nothing
mixed."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.raw_client import chunked, request_bytes
from support.server import WORKER, Server
from support.waiting import wait_until

DEPTH = 16
ROUNDS = 50


def test_responses_come_in_the_order_of_the_requests(server: Server) -> None:
    with server.connect() as connection:
        connection.send(b"".join(request_bytes(f"/environ/{number}") for number in range(50)))
        for number in range(50):
            environ = json.loads(connection.read_response().body)["values"]
            assert environ["PATH_INFO"]["value"] == f"/environ/{number}"


def test_requests_of_all_framings_follow_each_other(server: Server) -> None:
    chunked_head = request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"])
    with server.connect() as connection:
        connection.send(
            request_bytes("/echo", "POST", body=b"with a length")
            + request_bytes("/generated", "HEAD")
            + chunked_head
            + chunked(b"with ", b"chunks")
            + request_bytes("/without-body?status=204+No")
            + request_bytes("/echo", "POST", body=b"")
            + request_bytes("/generated")
            + request_bytes("/function", headers=["Connection: close"])
        )
        bodies = [
            connection.read_response(method).body
            for method in ("POST", "HEAD", "POST", "GET", "POST", "GET", "GET")
        ]
        connection.expect_closed()
    assert bodies == [b"with a length", b"", b"with chunks", b"", b"", b"generated", b"function"]


def test_a_slow_response_holds_back_the_later_ones(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.send(request_bytes(f"/waits?key={key}") + request_bytes("/function"))
        server.recorder.wait_for(key, "inside")
        assert connection.is_silent(0.05)
        server.recorder.open_gate(key)
        assert connection.read_response().body == b"waited"
        assert connection.read_response().body == b"function"


def test_an_unread_body_is_not_taken_for_a_request(server: Server) -> None:
    smuggled = request_bytes("/raises/at-call")
    with server.connect() as connection:
        connection.send(request_bytes("/ignores-input", "POST", body=smuggled) + request_bytes("/function"))
        assert connection.read_response().body == b"ignored"
        assert connection.read_response().body == b"function"


def test_nothing_after_connection_close_is_served(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.send(
            request_bytes("/function", headers=["Connection: close"])
            + request_bytes(f"/ignores-input?key={key}")
        )
        assert connection.read_response().body == b"function"
        connection.expect_closed()
    assert server.recorder.events(key) == []


@pytest.mark.parametrize("count", [900])
def test_a_long_pipeline_with_a_late_reader(server: Server, count: int) -> None:
    """More responses than the socket holds; the other client is served meanwhile."""
    with server.connect() as connection, server.connect() as other:
        connection.send(request_bytes("/function") * count)
        assert other.request("/function").body == b"function"
        for _ in range(count):
            assert connection.read_response().body == b"function"


def test_an_empty_line_before_a_request_is_ignored(server: Server) -> None:
    """RFC 9112 2.2."""
    with server.connect() as connection:
        connection.send(b"\r\n" + request_bytes("/function") + b"\r\n" + request_bytes("/function"))
        assert [connection.read_response().body for _ in range(2)] == [b"function"] * 2


def test_bytes_after_a_closing_request_do_not_cost_its_response(server: Server, key: str) -> None:
    """They come while it is served: closing with unread bytes would be a reset.

    The response takes a few milliseconds: behind a shorter one they come after the close as well as before.
    """
    with server.connect() as connection:
        connection.ask(f"/waits?key={key}", headers=["Connection: close"])
        server.recorder.wait_for(key, "inside")
        connection.ask("/function")
        time.sleep(0.005)
        server.recorder.open_gate(key)
        assert connection.read_response().body == b"waited"
        assert connection.read_to_end() == b""


def test_a_rejected_head_request_has_no_body(server: Server) -> None:
    """RFC 9110 9.3.2, wherever the request line was understood."""
    with server.connect() as connection:
        connection.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        head = connection.read_head()
        assert (head.status, connection.read_to_end()) == (400, b"")


def test_responses_that_are_ready_together_leave_together(server: Server) -> None:
    """The watchdog sends what waits every millisecond, so on a busy machine a few leave apart."""
    with server.connect() as connection:
        for _ in range(ROUNDS):
            connection.send(request_bytes("/function") * DEPTH)
            assert [connection.read_response().body for _ in range(DEPTH)] == [b"function"] * DEPTH
        assert connection.data_segments() < ROUNDS * DEPTH / 4


def test_the_next_request_in_the_buffer_wakes_nobody(tmp_path: Path) -> None:
    """System calls for each response: one to send it and three to wake the runtime were too many."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    with Server(options=["--access-log", "off"]) as server, server.connect() as connection:
        [worker] = server.worker_pids
        connection.request("/function")
        counts = tmp_path / "counts"
        tracer = subprocess.Popen(
            ["strace", "-f", "-c", "-o", str(counts), "-p", str(worker)], stderr=subprocess.PIPE, text=True
        )
        assert tracer.stderr is not None
        if "attached" not in (first := tracer.stderr.readline()):
            pytest.skip(f"strace cannot trace: {first}")
        for _ in range(ROUNDS):
            connection.send(request_bytes("/function") * DEPTH)
            assert [connection.read_response().body for _ in range(DEPTH)] == [b"function"] * DEPTH
        tracer.send_signal(signal.SIGINT)
        tracer.communicate(timeout=30)
    # Columns: share, seconds, microseconds per call, calls, perhaps errors, name.
    rows = [line.split() for line in counts.read_text().splitlines() if re.match(r" *[\d.]+ ", line)]
    calls = {row[-1]: int(row[3]) for row in rows}
    assert calls["recvfrom"] >= ROUNDS, calls
    # The watchdog's pauses are its own.
    spent = sum(calls.get(name, 0) for name in ("sendto", "sendmsg", "recvfrom", "write", "epoll_wait"))
    # A loop has its turn after a millisecond, in which strace lets hardly more than one response be.
    assert spent / (ROUNDS * DEPTH) < (1 if WORKER == "threads" else 2), calls


def test_a_response_does_not_wait_for_the_next_call(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.send(request_bytes("/function") + request_bytes(f"/waits?key={key}"))
        assert connection.read_response().body == b"function"
        server.recorder.wait_for(key, "inside")
        server.recorder.open_gate(key)
        assert connection.read_response().body == b"waited"


@pytest.mark.parametrize("how", ["close", "half-close", "reset"])
def test_a_client_that_leaves_early_leaves_no_descriptor(server: Server, key: str, how: str) -> None:
    before = server.descriptor_count()
    with server.connect() as connection:
        connection.send(request_bytes(f"/waits?key={key}") + request_bytes("/function") * 20)
        server.recorder.wait_for(key, "inside")
        {"close": connection.close, "half-close": connection.half_close, "reset": connection.reset}[how]()
        server.recorder.open_gate(key)
        if how == "half-close":
            bodies = [connection.read_response().body for _ in range(21)]
            assert bodies == [b"waited"] + [b"function"] * 20
            connection.expect_closed()
    wait_until(lambda: server.descriptor_count() <= before, what="the connection's end")


def test_what_is_wrong_after_whole_requests_is_rejected_after_their_responses(server: Server) -> None:
    with server.connect() as connection:
        connection.send(request_bytes("/function") * 5 + b"nonsense\r\n\r\n" + request_bytes("/function"))
        assert [connection.read_response().body for _ in range(5)] == [b"function"] * 5
        assert connection.read_response().status == 400
        connection.expect_closed()


@pytest.mark.parametrize("split", [1, 20, 60])
def test_the_rest_of_a_request_comes_later(server: Server, split: int) -> None:
    """The whole ones before it are served meanwhile."""
    last = request_bytes("/echo", "POST", body=b"x" * 50)
    with server.connect() as connection:
        connection.send(request_bytes("/function") * 5 + last[:split])
        assert [connection.read_response().body for _ in range(5)] == [b"function"] * 5
        connection.send(last[split:] + request_bytes("/function"))
        assert connection.read_response().body == b"x" * 50
        assert connection.read_response().body == b"function"


def test_requests_whose_room_is_that_of_the_one_before_are_served() -> None:
    with Server(options=["--max-in-flight", "1"]) as server, server.connect() as connection:
        connection.send(request_bytes("/function") * 50)
        assert [connection.read_response().status for _ in range(50)] == [200] * 50


def test_requests_that_find_no_room_are_shed_in_their_turn() -> None:
    """Several clients for one place: each gets its responses in order, whole, be they 200 or 503."""
    with Server(threads=4, options=["--max-in-flight", "1"]) as server:

        def client(name: int) -> list[str]:
            paths = [f"/environ/{name}/{number}" for number in range(100)]
            with server.connect() as connection:
                connection.send(b"".join(map(request_bytes, paths)))
                responses = [connection.read_response() for _ in paths]
            served = [
                json.loads(response.body)["values"]["PATH_INFO"]["value"] if response.status == 200 else path
                for response, path in zip(responses, paths, strict=True)
            ]
            assert {response.status for response in responses} <= {200, 503}
            assert served == paths
            return served

        with ThreadPoolExecutor(8) as pool:
            assert len(list(pool.map(client, range(16)))) == 16


def test_a_worker_that_leaves_serves_all_requests_that_it_has_and_says_so_with_the_last(key: str) -> None:
    with Server(options=["--health-path", "/health"]) as server, server.connect() as connection:
        connection.send(request_bytes(f"/waits?key={key}") + request_bytes("/function") * 3)
        server.recorder.wait_for(key, "inside")
        with server.connect() as other:
            other.request("/health")
            os.kill(server.pid, signal.SIGTERM)
            wait_until(lambda: other.request("/health").status == 503, what="the worker to drain")
        server.recorder.open_gate(key)
        responses = [connection.read_response() for _ in range(4)]
        assert responses[0].body == b"waited"
        assert [response.get("Connection") for response in responses] == [None, None, None, "close"]
        connection.expect_closed()
