"""max-in-flight: requests that run or wait, at the limit and one above."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from support.server import Server
from support.ways import beside_each_other, calls_at_a_time

LIMIT = 4


@pytest.mark.parametrize("threads", [1, 2])
def test_one_request_too_many_gets_503_at_once(key: str, threads: int) -> None:
    with Server(threads=threads, options=["--max-in-flight", str(LIMIT)]) as server, ExitStack() as stack:
        clients = [stack.enter_context(server.connect()) for _ in range(LIMIT)]
        for number, client in enumerate(clients):
            client.ask(f"/waits?key={key}")
            if number < calls_at_a_time(threads):
                server.recorder.wait_for(key, "inside", count=number + 1)
        # Idle connections are no requests: ten more of them change nothing.
        idle = [stack.enter_context(server.connect()) for _ in range(10)]
        for connection in idle[:3]:
            response = connection.request(f"/ignores-input?key={key}-rejected")
            assert (response.status, response.get("Retry-After")) == (503, "1")
            assert response.get("Connection") in (None, "keep-alive")
        server.recorder.open_gate(key)
        assert [client.read_response().body for client in clients] == [b"waited"] * LIMIT
        assert server.recorder.events(f"{key}-rejected") == []
        # The same connections again: they were kept.
        assert all(connection.request("/function").body == b"function" for connection in idle)


@beside_each_other
def test_a_request_is_in_flight_until_the_end_of_its_response(key: str) -> None:
    """Whatever its call still does: who has all of a response may ask again, here and elsewhere."""
    server = Server("apps.telling:application", options=["--max-in-flight", "1"], threads=2)
    with server, ExitStack() as stack:
        first, second = (stack.enter_context(server.connect()) for _ in range(2))
        assert first.request(f"/?application=lingers-in-close&key={key}").body == b"whole"
        server.recorder.wait_for(key, "closes")
        assert second.request("/?application=sets-status").body == b"whole"
        first.ask("/?application=sets-status")
        server.recorder.open_gate(key)
        assert first.read_response().body == b"whole"


def test_a_rejected_body_is_not_taken_for_the_next_request(key: str) -> None:
    with Server(options=["--max-in-flight", "1"]) as server, server.connect() as busy:
        busy.ask(f"/waits?key={key}")
        server.recorder.wait_for(key, "inside")
        with server.connect() as connection:
            body = b"GET /ignores-input HTTP/1.1\r\nHost: a\r\n\r\n" * 1000
            assert connection.request("/echo", method="POST", body=body).status == 503
            assert connection.is_silent(0.1)
            server.recorder.open_gate(key)
            assert busy.read_response().body == b"waited"
            # From its last byte on, a response is in flight no more.
            assert connection.request("/echo", method="POST", body=body).body == body
