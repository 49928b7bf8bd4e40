"""nginx over uwsgi, FastCGI and SCGI in front of a server with pools."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from process.test_pools import Several
from process.test_pools_behind_gateways import BROKEN, DOOR, WITH_BROKEN
from support.raw_client import Connection, Response

from reverse_proxies.addresses import Addresses
from reverse_proxies.deployment import NAME, ask, temporary_folder
from reverse_proxies.pairings import PAIRINGS, Pairing
from reverse_proxies.proxy import program, reverse_proxy

GATEWAYS = [pairing for pairing in PAIRINGS if pairing.program == "nginx" and pairing.speaks != "http"]
CLIENT = "127.0.0.2"


class PooledServer(Several):
    """A server with pools that listens as a pairing says; `request` goes through its reverse proxy."""

    def __init__(self, folder: Path, pairing: Pairing, addresses: Addresses) -> None:
        super().__init__(folder)
        self._bind = addresses.bind(pairing)
        self._addresses = addresses
        (folder / "door.py").write_text(DOOR)
        (folder / "broken.py").write_text(BROKEN)
        (folder / "away.html").write_text("<p>away</p>")

    def write(self, text: str) -> None:
        address = f"[listening]\nbind = {json.dumps([self._bind])}\n"
        (self.folder / "portico.toml").write_text(address + text, "utf-8")

    def request(
        self, target: str, *, method: str = "GET", body: bytes | None = None, tls: bool = False
    ) -> Response:
        port = self._addresses.tls_port if tls else self._addresses.port
        with Connection(("127.0.0.1", port), timeout_s=20, source=CLIENT) as connection:
            if tls:
                trusting = ssl.create_default_context(cafile=str(self._addresses.certificate))
                connection.socket = trusting.wrap_socket(connection.socket, server_hostname=NAME)
            return ask(connection, target, method=method, body=body)

    def seen(self, target: str, *, tls: bool = False) -> dict[str, str]:
        """What the application sees."""
        response = self.request(target, tls=tls)
        assert response.status == 200, response
        found: dict[str, str] = json.loads(response.body)
        return found


@pytest.fixture(scope="module", params=GATEWAYS, ids=str)
def pooled(request: pytest.FixtureRequest, certificate: Path) -> Iterator[PooledServer]:
    pairing: Pairing = request.param
    program(pairing.program)
    with temporary_folder() as folder:
        addresses = Addresses(folder, certificate)
        server = PooledServer(folder, pairing, addresses)
        try:
            server.start(WITH_BROKEN, waits_for=("shared", "shop"))
            with reverse_proxy(pairing, addresses):
                yield server
        finally:
            server.kill()


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_the_application_sees_its_mount_and_the_client(pooled: PooledServer, tls: bool) -> None:
    keys = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST")
    seen = pooled.seen("/shop/b%20c%2Fd?e=%2F", tls=tls)
    scheme = "https" if tls else "http"
    assert [seen[key] for key in keys] == ["/shop", "/b c/d", "e=%2F", CLIENT, scheme, NAME]


def test_the_path_is_the_one_that_nginx_has_made_of_it(pooled: PooledServer) -> None:
    for target in ("/shop//a", "/front/../shop/a", "/shop/./a"):
        seen = pooled.seen(target)
        assert (seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("/shop", "/a"), target


@pytest.mark.parametrize("size", [0, 1, 50_000, 1 << 20])
def test_a_body_arrives_whole(pooled: PooledServer, size: int) -> None:
    body = os.urandom(size)
    length, digest, said = pooled.request("/shop/body", method="POST", body=body).body.decode().split()
    assert (length, digest, said) == (str(size), hashlib.sha256(body).hexdigest(), str(size))


def test_responses_arrive_whole(pooled: PooledServer) -> None:
    response = pooled.request("/shop/large?5000000")
    assert (response.status, response.get("content-length")) == (200, "5000000")
    assert response.body == b"l" * 5_000_000
    response = pooled.request("/shop/large?5000000", method="HEAD")
    assert (response.status, response.get("content-length"), response.body) == (200, "5000000", b"")
    assert pooled.request("/shop/gone").body == b"the application's own"
    assert pooled.request("/shop/raise").status == 500


def test_a_pool_that_cannot_start_is_503_with_its_page(pooled: PooledServer) -> None:
    response = pooled.request("/away/a")
    assert (response.status, response.body, response.get("retry-after")) == (503, b"<p>away</p>", "1")
    assert pooled.request("/plain/a").body == b"503 Service Unavailable\n"
