"""What a worker remembers between two requests is small; what it has sent it gives back at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.gateway import variables
from support.gateway_server import LISTENERS, read_response, running_gateway_server
from support.gateway_server import request as gateway_request
from support.raw_client import request_bytes
from support.server import Server
from support.waiting import wait_until

MEBIBYTE = 1 << 20
SENT = 95
"""Mebibytes of a response: much more than a socket takes."""
LITTLE_BYTES = 16 * MEBIBYTE
AT_ONCE_S = 3.0


@pytest.fixture(scope="module", params=[1, 4], ids=["1-thread", "4-threads"])
def giving(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(threads=request.param) as running:
        with running.connect() as connection:
            # All that is loaded when it is first needed.
            assert len(connection.request("/one-block?mebibytes=1").body) == MEBIBYTE
        yield running


@pytest.mark.parametrize("reading", ["kept", "closed", "gone"])
def test_a_sent_block_is_given_back_before_the_next_request(giving: Server, reading: str) -> None:
    before = giving.memory_bytes()
    headers = ["Connection: close"] if reading == "closed" else []
    with giving.connect() as connection:
        connection.ask(f"/one-block?mebibytes={SENT}", headers=headers)
        connection.read_head()
        assert giving.memory_bytes() - before > SENT * MEBIBYTE // 2
        if reading == "gone":
            connection.reset()
        else:
            connection.discard(SENT * MEBIBYTE)
        wait_until(
            lambda: giving.memory_bytes() - before < LITTLE_BYTES,
            what="the memory of the block",
            deadline_s=AT_ONCE_S,
        )


@pytest.mark.parametrize("name", ["uwsgi", "scgi", "fastcgi"])
def test_a_block_sent_to_a_reverse_proxy_is_given_back(name: str) -> None:
    with running_gateway_server(
        listeners={name: LISTENERS[name]}, application="apps.conformance:application", is_strict=False
    ) as gateway:
        gateway.ask(name, "/one-block?mebibytes=1")
        before = gateway.server.memory_bytes()
        assert len(gateway.ask(name, f"/one-block?mebibytes={SENT}").body) == SENT * MEBIBYTE
        wait_until(
            lambda: gateway.server.memory_bytes() - before < LITTLE_BYTES,
            what="the memory of the block",
            deadline_s=AT_ONCE_S,
        )


def test_long_header_names_are_not_remembered(giving: Server) -> None:
    def ask(number: int) -> None:
        name = f"X-{number}-".ljust(15_000, "a")
        connection.send(request_bytes("/function", headers=[f"{name}: 1"]))
        assert connection.read_response().body == b"function"

    with giving.connect() as connection:
        for number in range(20):
            ask(number)
        before = giving.memory_bytes()
        for number in range(20, 1000):
            ask(number)
        assert giving.memory_bytes() - before < MEBIBYTE


@pytest.mark.parametrize("name", ["uwsgi", "scgi", "fastcgi"])
def test_long_names_of_variables_are_not_remembered(name: str) -> None:
    def ask(number: int) -> None:
        given = [*variables("/function"), (f"HTTP_X{number}".ljust(15_000, "A"), "1")]
        given.append((f"OWN_{number}".ljust(15_000, "A"), "1"))
        with gateway.connect(name) as connection:
            connection.send(gateway_request(name, given))
            assert read_response(connection, name).body == b"function"

    with running_gateway_server(
        listeners={name: LISTENERS[name]}, application="apps.conformance:application", is_strict=False
    ) as gateway:
        for number in range(20):
            ask(number)
        before = gateway.server.memory_bytes()
        for number in range(20, 600):
            ask(number)
        assert gateway.server.memory_bytes() - before < MEBIBYTE
