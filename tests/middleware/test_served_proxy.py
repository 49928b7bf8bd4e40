"""A proxy under real servers: bodies in bounded memory, blocks at once, clients and upstreams that go."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from portico.middleware.http_proxy import HTTPProxyMiddleware
from support.memory import bounded_memory
from support.raw_client import Closed, request_bytes
from support.server import Server

from .raw_upstream import RawUpstream

MEBIBYTE = 1 << 20
BLOCK = bytes(range(256)) * 4096
LARGE = 20 * MEBIBYTE
BOUND_BYTES = 8 * MEBIBYTE
"""How much a worker may grow meanwhile: less than half of a body."""


def proxy_to(*urls: str, threads: int = 4, **options: Any) -> Server:
    """A portico that passes everything on to `urls`."""
    environment = {"TARGETS": json.dumps({"/": {"target": urls}}), "OPTIONS": json.dumps(options)}
    return Server("apps.forwarding:application", threads=threads, environment=environment)


@pytest.fixture(scope="module")
def site() -> Iterator[Server]:
    with Server(threads=8) as running:
        yield running


@pytest.fixture(scope="module")
def proxy(site: Server) -> Iterator[Server]:
    with proxy_to(site.url) as running:
        # What is loaded with the first request is not the memory of the ones that follow.
        with running.connect() as connection:
            assert connection.request("/function").body == b"function"
        yield running


@pytest.mark.parametrize("is_chunked", [False, True], ids=["length", "chunked"])
def test_an_upload_is_streamed_in_bounded_memory(proxy: Server, site: Server, is_chunked: bool) -> None:
    header = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {LARGE}"
    block = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if is_chunked else BLOCK
    with bounded_memory(proxy, BOUND_BYTES), proxy.connect(timeout_s=60) as connection:
        connection.send(request_bytes("/digest", "POST", headers=[header]))
        for _ in range(LARGE // len(BLOCK)):
            connection.send(block)
        if is_chunked:
            connection.send(b"0\r\n\r\n")
        body = connection.read_response().body
    digest = hashlib.sha1(BLOCK * (LARGE // len(BLOCK)), usedforsecurity=False).hexdigest()
    assert body == f"{LARGE} {digest}".encode()


def test_a_download_is_streamed_in_bounded_memory(proxy: Server) -> None:
    count = LARGE // 10_000
    with bounded_memory(proxy, BOUND_BYTES), proxy.connect(timeout_s=60) as connection:
        connection.ask(f"/many-blocks?count={count}&size=10000")
        assert connection.read_head().status == 200
        assert sum(len(chunk) for chunk in connection.read_chunks()) == count * 10_000


def test_each_block_leaves_before_the_next_one_is_made(proxy: Server, site: Server, key: str) -> None:
    with proxy.connect() as connection:
        connection.ask(f"/gated?key={key}&count=3")
        for number in range(3):
            site.recorder.open_gate(key, number)
            if number == 0:
                connection.read_head()
            assert connection.read_chunk() == f"block {number}".encode()
        assert connection.read_chunk() == b""


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_that_leaves_between_two_blocks_ends_the_upstream_too(
    proxy: Server, site: Server, key: str, leave: str
) -> None:
    with proxy.connect() as connection:
        connection.ask(f"/gated?key={key}&count=1000")
        site.recorder.open_gate(key, 0)
        connection.read_head()
        assert connection.read_chunk() == b"block 0"
        getattr(connection, leave)()
    for number in range(1, 1000):
        site.recorder.open_gate(key, number)
        if "close" in site.recorder.events(key):
            break
    events = site.recorder.wait_for(key, "close")
    assert "asked 999" not in events


def test_a_client_that_leaves_ends_a_wait_for_the_upstream() -> None:
    asked, ended = threading.Event(), threading.Event()

    def silent(upstream: RawUpstream, connection: socket.socket, number: int) -> None:
        upstream.read_request(connection)
        asked.set()
        assert connection.recv(1) == b""
        ended.set()

    with RawUpstream(silent) as upstream, proxy_to(upstream.url, upstream.url, timeout=60) as proxy:
        with proxy.connect() as connection:
            connection.ask("/")
            assert asked.wait(10)
        assert ended.wait(10)
        proxy.access_log.wait_for("GET /")
    # Nobody else was asked for a client that is not there.
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: 100\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
    ids=["length", "chunked"],
)
def test_an_upstream_that_dies_amid_its_response_has_it_aborted_for_the_client_too(framing: bytes) -> None:
    def dies(upstream: RawUpstream, connection: socket.socket, number: int) -> None:
        upstream.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + framing)

    with RawUpstream(dies) as upstream, proxy_to(upstream.url) as proxy:
        with proxy.connect() as connection, pytest.raises(Closed):
            connection.request("/")
        proxy.error_log.wait_for(f"{upstream.url} broke off its response")


def test_a_killed_worker_of_the_upstream_is_a_502_and_the_next_one_is_served(key: str) -> None:
    with Server(threads=2) as site, proxy_to(site.url) as proxy, proxy.connect() as connection:
        connection.send(request_bytes(f"/waits?key={key}", "POST", body=b""))
        site.recorder.wait_for(key, "inside")
        os.kill(site.worker_pids[0], signal.SIGKILL)
        assert connection.read_response().status == 502
        assert connection.request("/function").body == b"function"


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/1.1"])
def test_it_runs_under_the_server_of_the_standard_library(site: Server, protocol: str) -> None:
    class Quiet(WSGIRequestHandler):
        protocol_version = protocol

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    middleware = HTTPProxyMiddleware(lambda environ, start_response: [b""], {"/": {"target": site.url}})
    with make_server("127.0.0.1", 0, middleware, WSGIServer, Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with closing(HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as client:
                client.request("POST", "/echo", BLOCK, {"Content-Type": "application/octet-stream"})
                response = client.getresponse()
                assert (response.status, response.read()) == (200, BLOCK)
        finally:
            server.shutdown()
            thread.join()
