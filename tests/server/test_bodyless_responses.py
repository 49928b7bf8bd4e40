"""HEAD, 204 and 304 keep the connection in step."""

from __future__ import annotations

import pytest
from support.raw_client import request_bytes
from support.server import Server


@pytest.mark.parametrize(
    "target", ["/with-length", "/generated", "/list", "/many-blocks", "/bytes", "/file-wrapper"]
)
def test_head_then_get_on_one_connection(server: Server, target: str) -> None:
    with server.connect() as connection:
        for _ in range(3):
            head = connection.request(target, method="HEAD")
            get = connection.request(target)
            assert (head.status, head.body) == (200, b"")
            assert head.get("Content-Type") == get.get("Content-Type")
            if head.get("Content-Length") is not None:
                assert head.get("Content-Length") == str(len(get.body))


@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
def test_head_with_close(server: Server, version: str) -> None:
    with server.connect() as connection:
        connection.send(request_bytes("/with-length", "HEAD", version, ["Connection: close"]))
        connection.read_response("HEAD")
        connection.expect_closed()


def test_head_of_a_failing_application_has_no_body(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/raises/at-call", method="HEAD")
        assert response.status == 500
        assert connection.request("/function").body == b"function"


@pytest.mark.parametrize("status", ["204+No+Content", "304+Not+Modified"])
def test_pipelined_responses_without_bodies(server: Server, status: str) -> None:
    with server.connect() as connection:
        connection.send((request_bytes(f"/without-body?status={status}") + request_bytes("/function")) * 5)
        for _ in range(5):
            assert connection.read_response().status == int(status[:3])
            assert connection.read_response().body == b"function"
