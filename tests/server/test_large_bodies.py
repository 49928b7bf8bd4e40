"""A gibibyte up and down: whole, and with bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

import pytest
from support.memory import bounded_memory
from support.raw_client import request_bytes
from support.server import Server

GIBIBYTE = 1 << 30
BLOCK = bytes(range(256)) * 4096
BOUND_BYTES = 64 << 20
"""How much the memory of supervisor and worker may grow meanwhile."""

pytestmark = pytest.mark.large


@pytest.fixture(scope="module")
def large_server() -> Iterator[Server]:
    options = ["--max-request-body", "2G", "--body-spool", "256M", "--timeout", "120"]
    with Server(threads=1, options=options) as running:
        yield running


def post(server: Server, target: str, size: int, framing: Callable[[bytes], bytes] | None) -> bytes:
    header = "Transfer-Encoding: chunked" if framing else f"Content-Length: {size}"
    block = framing(BLOCK) if framing else BLOCK
    with server.connect(timeout_s=60) as connection:
        connection.send(request_bytes(target, "POST", headers=[header]))
        for _ in range(size // len(BLOCK)):
            connection.send(block)
        if framing:
            connection.send(b"0\r\n\r\n")
        return connection.read_response().body


def test_a_gibibyte_up(large_server: Server) -> None:
    with bounded_memory(large_server, BOUND_BYTES):
        assert post(large_server, "/counts", GIBIBYTE, None) == str(GIBIBYTE).encode()


def test_a_gibibyte_up_in_chunks(large_server: Server) -> None:
    with bounded_memory(large_server, BOUND_BYTES):
        body = post(large_server, "/counts", GIBIBYTE, lambda block: b"%x\r\n%b\r\n" % (len(block), block))
    assert body == str(GIBIBYTE).encode()


@pytest.mark.parametrize("size", [64 << 20, 300 << 20], ids=["spooled", "streamed"])
def test_a_large_upload_is_not_altered(large_server: Server, size: int) -> None:
    hasher = hashlib.sha1(usedforsecurity=False)
    for _ in range(size // len(BLOCK)):
        hasher.update(BLOCK)
    with bounded_memory(large_server, BOUND_BYTES):
        assert post(large_server, "/digest", size, None) == f"{size} {hasher.hexdigest()}".encode()


def test_a_gibibyte_down(large_server: Server) -> None:
    with bounded_memory(large_server, BOUND_BYTES), large_server.connect(timeout_s=60) as connection:
        connection.ask("/download?mebibytes=1024")
        assert connection.read_head().get("Content-Length") == str(GIBIBYTE)
        connection.discard(GIBIBYTE)
        assert connection.request("/function").body == b"function"


def test_a_gibibyte_from_a_file(large_server: Server) -> None:
    with bounded_memory(large_server, BOUND_BYTES), large_server.connect(timeout_s=60) as connection:
        connection.ask("/real-file?size=1024")
        assert connection.read_head().get("Content-Length") == str(GIBIBYTE)
        connection.discard(GIBIBYTE)
        assert connection.request("/function").body == b"function"
