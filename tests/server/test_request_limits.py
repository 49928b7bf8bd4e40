"""max-request-body: 413 and the application is not called."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.raw_client import chunked, request_bytes
from support.server import Server

LIMIT = 10_000


@pytest.fixture(scope="module", params=[1, 8], ids=["1-thread", "8-threads"])
def limited(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(threads=request.param, options=["--max-request-body", str(LIMIT)]) as running:
        yield running


def test_a_body_at_the_limit_is_served(limited: Server) -> None:
    with limited.connect() as connection:
        assert connection.request("/echo", method="POST", body=b"x" * LIMIT).status == 200
        connection.send(request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"]))
        connection.send(chunked(*[b"x" * 1000] * 10))
        assert connection.read_response().body == b"x" * LIMIT


@pytest.mark.parametrize("length", [LIMIT + 1, 10**12, 2**63 - 1])
def test_a_longer_content_length_is_413(limited: Server, key: str, length: int) -> None:
    with limited.connect() as connection:
        connection.send(
            request_bytes(f"/records-reading?key={key}", "POST", headers=[f"Content-Length: {length}"])
        )
        response = connection.read_response()
        assert response.status == 413
        assert (response.get("Connection") or "").lower() == "close"
    assert limited.recorder.events(key) == []


def test_no_100_before_a_413(limited: Server) -> None:
    with limited.connect() as connection:
        connection.send(
            request_bytes("/echo", "POST", headers=[f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"])
        )
        assert connection.read_response().status == 413


@pytest.mark.parametrize("size", [1, 100, 9000])
def test_a_longer_chunked_body_is_413(limited: Server, key: str, size: int) -> None:
    with limited.connect() as connection:
        connection.send(
            request_bytes(f"/records-reading?key={key}", "POST", headers=["Transfer-Encoding: chunked"])
        )
        try:
            connection.send(chunked(*[b"x" * size] * (LIMIT // size + 1)))
            assert connection.read_response().status == 413
        except ConnectionError:
            pytest.fail("the 413 was lost in a reset")
    assert "complete" not in limited.recorder.events(key)


def test_a_413_is_readable_while_the_client_goes_on_sending(limited: Server) -> None:
    """Lingering close: the client writes 2 MB before it looks."""
    with limited.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=["Content-Length: 2000000"]))
        connection.send(b"x" * 500_000)
        assert connection.read_response().status == 413
