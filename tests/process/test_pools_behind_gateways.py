"""Pools whose server listens for uwsgi, FastCGI and SCGI: all is as over HTTP, and as without pools."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from support.gateway import (
    PARAMS,
    STDIN,
    GatewayConnection,
    Variables,
    begin,
    fastcgi,
    pairs,
    scgi,
    stream,
    uwsgi,
    variables,
)
from support.raw_client import Closed, ProtocolError, Response, chunked
from support.server import free_port
from support.waiting import wait_until

from .test_pools import Several

GATEWAYS = ("uwsgi", "fastcgi", "scgi")
ALL = ("http", *GATEWAYS)

DOOR = """
import hashlib, json, os, sys, threading

def application(environ, start_response):
    path = environ["PATH_INFO"]
    text = [("Content-Type", "text/plain")]
    if path == "/body":
        body = environ["wsgi.input"]
        digest, length = hashlib.sha256(), 0
        while block := body.read(65536):
            digest.update(block)
            length += len(block)
        start_response("200 OK", text)
        return [f"{length} {digest.hexdigest()} {environ.get('CONTENT_LENGTH')}".encode()]
    if path == "/large":
        size = int(environ["QUERY_STRING"])
        start_response("200 OK", [*text, ("Content-Length", str(size))])
        return [b"l" * 100_000 for _ in range(size // 100_000)]
    if path == "/stream":
        start_response("200 OK", text)
        return two_blocks(environ)
    if path == "/raise":
        raise RuntimeError("on purpose")
    if path == "/raise-late":
        start_response("200 OK", text)
        return raise_late()
    if path == "/gone":
        start_response("404 Not Found", text)
        return [b"the application's own"]
    if path == "/empty":
        start_response("304 Not Modified", [("ETag", '"a"')])
        return []
    if path == "/pid":
        start_response("200 OK", text)
        return [str(os.getpid()).encode()]
    if path == "/leave":
        left = threading.Event()
        environ["portico.on_disconnect"](left.set)
        open("waits", "w").close()
        if left.wait(20):
            open("left", "w").close()
        start_response("200 OK", text)
        return [b"late"]
    said = {key: value for key, value in environ.items() if isinstance(value, str)}
    start_response("200 OK", [("Content-Type", "application/json"), ("X-Twice", "a"), ("X-Twice", "b")])
    return [json.dumps(said).encode()]

def two_blocks(environ):
    yield b"first"
    while not os.path.exists(environ["QUERY_STRING"]):
        threading.Event().wait(0.01)
    yield b"second"

def raise_late():
    yield b"first"
    raise RuntimeError("on purpose")
"""
BROKEN = "raise RuntimeError('on purpose')\n"
SHARED = """
[processes]
workers = 1
[request_limits]
body_memory = "10K"
body_spool = "100K"
[routes]
workers = 1
[[app]]
app = "door"
[[app]]
app = "door"
name = "shop"
mount = "/shop"
"""
POOLS = SHARED + "threads = 3\n"
"""The same with a pool for the shop: and so with a router before both."""
WITH_BROKEN = (
    POOLS
    + """
[[app]]
app = "broken"
name = "away"
mount = "/away"
threads = 3
error_pages = { 503 = "away.html" }
[[app]]
app = "broken"
name = "plain"
mount = "/plain"
threads = 3
"""
)


class Doors(Several):
    """A server that listens for HTTP and all protocols of reverse proxies."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.words = ("--access-log", "access.log")
        (folder / "door.py").write_text(DOOR)
        (folder / "broken.py").write_text(BROKEN)
        (folder / "away.html").write_text("<p>away</p>")
        self.ports = {"http": self.port, **{name: free_port() for name in GATEWAYS}}

    def write(self, text: str) -> None:
        binds = [f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()]
        address = f"[listening]\nbind = {json.dumps(binds)}\n"
        (self.folder / "portico.toml").write_text(address + text, "utf-8")

    def connect(self, protocol: str) -> GatewayConnection:
        return GatewayConnection(("127.0.0.1", self.ports[protocol]), timeout_s=20)

    def get(self, protocol: str, target: str, method: str = "GET", body: bytes | None = None) -> Response:
        """The response to a request with nothing special."""
        with self.connect(protocol) as connection:
            connection.send(asked(protocol, target, method, body))
            return read(connection, protocol, method)

    def environ(self, protocol: str, given: Variables) -> dict[str, str]:
        """What the application sees of a request with these variables."""
        with self.connect(protocol) as connection:
            connection.send(encoded(protocol, given))
            response = read(connection, protocol)
        assert response.status == 200, response
        found: dict[str, str] = json.loads(response.body)
        return found


def encoded(protocol: str, given: Variables, body: bytes = b"") -> bytes:
    return {"uwsgi": uwsgi, "scgi": scgi, "fastcgi": fastcgi}[protocol](given, body)


def asked(protocol: str, target: str, method: str = "GET", body: bytes | None = None) -> bytes:
    """The same request over any protocol: of the client 192.0.2.7."""
    if protocol != "http":
        length = [] if body is None else [("CONTENT_LENGTH", str(len(body)))]
        path = unquote(target.partition("?")[0])
        given = changed(variables(target, method, *length), PATH_INFO=path)
        return encoded(protocol, given, body or b"")
    lines = [f"{method} {target} HTTP/1.1", "Host: example.org", "X-Forwarded-For: 192.0.2.7"]
    lines += [] if body is None else [f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def read(connection: GatewayConnection, protocol: str, method: str = "GET") -> Response:
    if protocol == "scgi":
        return connection.read_cgi_response(method)
    if protocol == "fastcgi":
        response = connection.read_fastcgi_response(method).response
        assert response is not None
        return response
    return connection.read_response(method)


def as_received(response: Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """What a client is told, whichever way: but for what frames a message, and the moment."""
    left_out = {"date", "server", "connection", "transfer-encoding", "keep-alive"}
    fields = [(name.lower(), value) for name, value in response.headers if name.lower() not in left_out]
    return response.status, response.body, sorted(fields)


@contextmanager
def served(folder: Path, text: str, *waits_for: str) -> Iterator[Doors]:
    folder.mkdir()
    doors = Doors(folder)
    try:
        doors.start(text, waits_for=waits_for)
        yield doors
    finally:
        doors.kill()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("doors")


@pytest.fixture(scope="module")
def pooled(folder: Path) -> Iterator[Doors]:
    """With pools, of which two cannot start."""
    with served(folder / "pooled", WITH_BROKEN, "shared", "shop") as doors:
        yield doors


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[Doors]:
    """The same applications without a router."""
    with served(folder / "shared", SHARED) as doors:
        yield doors


# --- What the application sees


def changed(given: Variables, **others: str | None) -> list[tuple[str, str]]:
    """`given` with others in the place of those of the same name, or without what is None."""
    kept = [(name, value) for name, value in given if name not in others]
    return [*kept, *((name, value) for name, value in others.items() if value is not None)]


SEEN = {
    "a path": changed(variables("/a/b%20c?d=%2F"), PATH_INFO="/a/b c"),
    "a mount": changed(variables("/shop/b%20c%2Fd?e"), PATH_INFO="/shop/b c/d"),
    "a mount itself": variables("/shop"),
    "https": changed(variables("/a"), HTTPS="on", SERVER_PORT="443"),
    "scheme": changed(variables("/a"), REQUEST_SCHEME="https", SERVER_PORT="443"),
    "IPv6": changed(variables("/a"), REMOTE_ADDR="2001:db8::7"),
    "a Unix socket": changed(variables("/a"), REMOTE_ADDR="unix:", REMOTE_PORT=""),
    "no client": changed(variables("/a"), REMOTE_ADDR=None, REMOTE_PORT=None),
    "forged": [
        *variables("/a"),
        *(("HTTP_X_FORWARDED_FOR", "6.6.6.6"), ("HTTP_X_FORWARDED_PROTO", "https")),
        *(("HTTP_X_FORWARDED_PREFIX", "/evil"), ("HTTP_X_FORWARDED_HOST", "evil")),
        ("HTTP_FORWARDED", "for=6.6.6.6"),
    ],
    "headers": [
        *variables("/a"),
        *(("HTTP_COOKIE", "a=b"), ("HTTP_COOKIE", "c=d"), ("HTTP_X_A", "1"), ("HTTP_X_A", "2")),
        *(("HTTP_X_EMPTY", ""), ("HTTP_X_LATIN", "\u00e9"), ("HTTP_AUTHORIZATION", "Basic eA==")),
        *(("HTTP_ACCEPT_ENCODING", "gzip"), ("HTTP_PROXY", "evil")),
    ],
    "empty": changed(variables("/a"), CONTENT_TYPE=""),
    "a type": changed(variables("/a", "POST"), CONTENT_TYPE="text/plain", CONTENT_LENGTH="0"),
    "a method": variables("/a", "PROPFIND"),
    "as many headers as there may be": [*variables("/a"), *((f"HTTP_X_{n}", str(n)) for n in range(90))],
    "large headers": [*variables("/a"), *((f"HTTP_X_{n}", "x" * 15_000) for n in range(3)), ("HTTP_Y", "y")],
}
MADE = {
    "no target": changed(variables("/shop/a b"), REQUEST_URI=None),
    "a mount of the reverse proxy": changed(
        variables("/front/x%2Fy?z"), SCRIPT_NAME="/front", PATH_INFO="/x/y"
    ),
    "a mount with signs": changed(
        variables("/fr%20%C3%A9/x"), SCRIPT_NAME="/fr \u00c3\u00a9", PATH_INFO="/x"
    ),
    "a mount in that of the reverse proxy": changed(
        variables("/front/shop/x%2Fy"), SCRIPT_NAME="/front", PATH_INFO="/shop/x/y"
    ),
    "two mounts with signs": changed(
        variables("/fr%20%C3%A9/shop"), SCRIPT_NAME="/fr \u00c3\u00a9", PATH_INFO="/shop"
    ),
    "a path that was rewritten": changed(variables("/before?q"), PATH_INFO="/shop/after"),
    "a path that was normalised": changed(variables("/admin/../shop//a%2Fb"), PATH_INFO="/shop/a/b"),
    "another query": changed(variables("/shop/a?b"), QUERY_STRING="c=d"),
}
"""Whose REQUEST_URI a pool is not told: it is made of the path and the query that the reverse proxy has."""
NOT_COMPARED = re.compile("SERVER_NAME|SERVER_PORT|REMOTE_PORT|HTTP_X_FORWARDED_[A-Z]+")
"""Of the Host header, not passed on, and how the pool hears of the client: docs/pools.md says so."""


@pytest.mark.parametrize("protocol", GATEWAYS)
@pytest.mark.parametrize("name", [*SEEN, *MADE])
def test_the_application_sees_what_it_would_see_without_pools(
    pooled: Doors, shared: Doors, protocol: str, name: str
) -> None:
    given = {**SEEN, **MADE}[name]
    found, expected = (
        {key: value for key, value in environ.items() if NOT_COMPARED.fullmatch(key) is None}
        for environ in (doors.environ(protocol, given) for doors in (pooled, shared))
    )
    if name in MADE:
        for environ in (found, expected):
            del environ["REQUEST_URI"], environ["RAW_URI"]
    assert found == expected


@pytest.mark.parametrize("protocol", GATEWAYS)
def test_variables_that_are_no_headers_end_at_the_router(pooled: Doors, shared: Doors, protocol: str) -> None:
    """As docs/pools.md says: pools get requests as HTTP has them."""
    given = [*variables("/shop/a"), ("REMOTE_USER", "ann"), ("SHOP_CURRENCY", "EUR")]
    found, expected = ({*doors.environ(protocol, given)} for doors in (pooled, shared))
    assert {"REMOTE_USER", "SHOP_CURRENCY"} <= expected
    assert not {"REMOTE_USER", "SHOP_CURRENCY"} & found


def test_the_environ_is_that_of_http(pooled: Doors) -> None:
    keys = ("SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_HOST", "REMOTE_ADDR", "wsgi.url_scheme")
    found = {}
    for protocol in ALL:
        environ = json.loads(pooled.get(protocol, "/shop/b%20c?d").body)
        found[protocol] = [environ[key] for key in keys]
    expected = ["/shop", "/b c", "d", "example.org", "192.0.2.7", "http"]
    assert found == dict.fromkeys(ALL, expected)


# --- Bodies


@pytest.mark.parametrize("protocol", ALL)
@pytest.mark.parametrize("size", [None, 0, 1, 9_000, 50_000, 1 << 20], ids=str)
def test_a_body_arrives_whole(pooled: Doors, shared: Doors, protocol: str, size: int | None) -> None:
    """Those of 1 MB are larger than what is spooled: they come while the application reads."""
    body = None if size is None else os.urandom(size)
    found = [doors.get(protocol, "/shop/body", "POST", body) for doors in (pooled, shared)]
    length, digest, _ = found[0].body.split()
    assert (length, digest.decode()) == (b"%d" % (size or 0), hashlib.sha256(body or b"").hexdigest())
    assert as_received(found[0]) == as_received(found[1])


@pytest.mark.parametrize("size", [0, 50_000, 1 << 20], ids=str)
def test_a_body_whose_length_nobody_has_said_arrives_whole(pooled: Doors, size: int) -> None:
    body = os.urandom(size)
    given = variables("/shop/body", "POST")
    lines = "POST /shop/body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    requests = {
        "fastcgi": begin() + stream(PARAMS, pairs(given)) + stream(STDIN, body),
        "http": lines.encode() + chunked(*filter(None, [body])),
    }
    for protocol, request in requests.items():
        with pooled.connect(protocol) as connection:
            connection.send(request)
            length, digest, _ = read(connection, protocol).body.split()
        assert (length, digest.decode()) == (b"%d" % size, hashlib.sha256(body).hexdigest())


# --- Responses


@pytest.mark.parametrize("protocol", ALL)
def test_a_large_response_arrives_whole(pooled: Doors, protocol: str) -> None:
    response = pooled.get(protocol, "/shop/large?5000000")
    assert (response.status, response.get("content-length")) == (200, "5000000")
    assert response.body == b"l" * 5_000_000


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", ["/shop/large?300000", "/shop/gone", "/shop/empty", "/shop/raise"])
def test_a_response_is_that_of_http_and_of_a_server_without_pools(
    pooled: Doors, shared: Doors, target: str, method: str
) -> None:
    expected = as_received(shared.get("http", target, method))
    for protocol in GATEWAYS:
        assert as_received(pooled.get(protocol, target, method)) == expected, protocol
        assert as_received(shared.get(protocol, target, method)) == expected, protocol


@pytest.mark.parametrize("protocol", ALL)
def test_a_block_leaves_before_the_next_one_is_there(pooled: Doors, protocol: str) -> None:
    gate = f"go-{protocol}"
    with pooled.connect(protocol) as connection:
        connection.send(asked(protocol, f"/shop/stream?{gate}"))
        received = b""
        while b"first" not in received:
            received += connection.socket.recv(65536)
        assert b"second" not in received
        (pooled.folder / gate).touch()
        while b"second" not in received:
            received += connection.socket.recv(65536)


def outcome(doors: Doors, protocol: str, target: str) -> str:
    """Whether a response looks whole to who reads it."""
    with doors.connect(protocol) as connection:
        connection.send(asked(protocol, target))
        try:
            read(connection, protocol)
        except (Closed, ProtocolError, ConnectionError):
            return "aborted"
    return "whole"


@pytest.mark.parametrize("protocol", ALL)
def test_a_response_that_breaks_off_looks_as_without_pools(
    pooled: Doors, shared: Doors, protocol: str
) -> None:
    assert outcome(pooled, protocol, "/shop/raise-late") == outcome(shared, protocol, "/shop/raise-late")


@pytest.mark.parametrize("protocol", ALL)
def test_an_application_hears_that_its_client_has_left(pooled: Doors, protocol: str) -> None:
    for name in ("waits", "left"):
        (pooled.folder / name).unlink(missing_ok=True)
    with pooled.connect(protocol) as connection:
        connection.send(asked(protocol, "/shop/leave"))
        wait_until((pooled.folder / "waits").exists, what="the call")
    wait_until((pooled.folder / "left").exists, what="the application to hear of it")


# --- Pools that are away


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    ("mount", "page"), [("/away", b"<p>away</p>"), ("/plain", b"503 Service Unavailable\n")]
)
def test_a_pool_that_cannot_start_is_503_everywhere(
    pooled: Doors, mount: str, page: bytes, method: str
) -> None:
    body = b"abc" if method == "POST" else None
    expected = as_received(pooled.get("http", f"{mount}/a", method, body))
    assert expected[0] == 503
    assert expected[1] == (b"" if method == "HEAD" else page)
    assert ("retry-after", "1") in expected[2]
    for protocol in GATEWAYS:
        assert as_received(pooled.get(protocol, f"{mount}/a", method, body)) == expected, protocol


# --- Changes while requests run


class Load:
    """Clients of each protocol that ask one request after the other; `wrong` is what was not served."""

    def __init__(self, doors: Doors, target: str) -> None:
        self._doors = doors
        self._target = target
        self._done = threading.Event()
        self.bodies: dict[str, list[bytes]] = {protocol: [] for protocol in ALL}
        self.wrong: list[object] = []
        self._threads = [threading.Thread(target=self._run, args=(protocol,)) for protocol in ALL]

    def _run(self, protocol: str) -> None:
        while not self._done.is_set():
            try:
                response = self._doors.get(protocol, self._target, "POST", b"abc")
            except Exception as error:
                self.wrong.append((protocol, error))
                return
            if response.status != 200:
                self.wrong.append((protocol, response))
            self.bodies[protocol].append(response.body)

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, body: bytes | None = None) -> None:
        """Wait until all have had more responses, of `body` if that is said."""
        before = {protocol: len(bodies) for protocol, bodies in self.bodies.items()}

        def have_more() -> bool:
            new = [self.bodies[protocol][start:] for protocol, start in before.items()]
            return bool(self.wrong) or all(len(each) > 5 if body is None else body in each for each in new)

        wait_until(have_more, what="more responses", deadline_s=20)


def test_a_pool_that_reloads_or_is_killed_loses_no_request(tmp_path: Path) -> None:
    with served(tmp_path / "doors", POOLS, "shared", "shop") as doors:
        before = doors.get("http", "/shop/pid").body
        with Load(doors, "/shop/pid") as load:
            load.wait_for(before)
            doors.ctl("reload", "--pool", "shop")
            load.wait_for(doors.get("http", "/shop/pid").body)
            # A change of the file.
            doors.write(POOLS.replace("threads = 3", "threads = 4"))
            doors.ctl("reload")
            load.wait_for(doors.get("http", "/shop/pid").body)
        assert load.wrong == []
        assert {before} < {body for bodies in load.bodies.values() for body in bodies}
        # A supervisor that is killed: requests wait for the next one.
        parent = doors.pools()["shop"]["pid"]
        os.kill(parent, signal.SIGKILL)
        assert {doors.get(protocol, "/shop/pid").status for protocol in ALL} == {200}


def test_a_request_has_one_line_in_the_access_log_with_its_client(tmp_path: Path) -> None:
    with served(tmp_path / "doors", POOLS, "shared", "shop") as doors:
        for protocol in ALL:
            assert doors.get(protocol, f"/shop/gone?{protocol}").status == 404
        doors.running.stop()
        lines = (doors.folder / "access.log").read_text().splitlines()
    found = [(line.split()[0], line.split('"')[1], line.split('"')[2].split()[0]) for line in lines]
    assert found == [("192.0.2.7", f"GET /shop/gone?{protocol} HTTP/1.1", "404") for protocol in ALL]
