"""100 MB through every pairing: whole, and with bounded memory."""

from __future__ import annotations

import hashlib
import json

from support.memory import bounded_memory
from support.raw_client import Connection, Response

from reverse_proxies.deployment import NAME, RunningDeployment
from reverse_proxies.pairings import Pairing

BLOCK = bytes(range(256)) * 4096
BOUND_BYTES = 48 << 20
"""How much supervisor and workers may grow meanwhile: frameworks import more when they are first called."""


def send_blocks(connection: Connection, count: int, *, in_chunks: bool) -> None:
    """A POST of `count` MiB."""
    framing = "Transfer-Encoding: chunked" if in_chunks else f"Content-Length: {count * len(BLOCK)}"
    head = ["POST /digest HTTP/1.1", f"Host: {NAME}", "Content-Type: application/octet-stream", framing]
    connection.send("\r\n".join([*head, "", ""]).encode())
    block = b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if in_chunks else BLOCK
    for _ in range(count):
        connection.send(block)
    if in_chunks:
        connection.send(b"0\r\n\r\n")


def expected(count: int) -> dict[str, object]:
    """The application's response to `count` MiB."""
    digest = hashlib.sha256()
    for _ in range(count):
        digest.update(BLOCK)
    return {"length": count * len(BLOCK), "sha256": digest.hexdigest()}


def upload(deployment: RunningDeployment, count: int, *, in_chunks: bool) -> Response:
    """The response to `count` MiB."""
    # One that is just loading Django grows by that.
    deployment.portico.wait_ready()
    with bounded_memory(deployment.portico, BOUND_BYTES), deployment.connect(timeout_s=60) as connection:
        send_blocks(connection, count, in_chunks=in_chunks)
        return connection.read_response()


def test_a_hundred_mebibytes(deployment: RunningDeployment) -> None:
    response = upload(deployment, 100, in_chunks=False)
    assert response.status == 200, response
    assert json.loads(response.body) == expected(100)


def test_ten_mebibytes_in_chunks(deployment: RunningDeployment, pairing: Pairing) -> None:
    if not pairing.takes_chunked:
        return
    response = upload(deployment, 10, in_chunks=True)
    assert response.status == 200, response
    assert json.loads(response.body) == expected(10)
