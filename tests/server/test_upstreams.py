"""Requests that other servers respond to: `[[upstream]]`, over real sockets.

Behind the router is a portico on a Unix socket, or a raw server where a member has to misbehave.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.gateway import GatewayConnection, fastcgi, scgi, uwsgi, variables
from support.members import (
    OK,
    Member,
    is_silent,
    length_of,
    reads_and_closes,
    responds,
    routed,
    router,
    upstream,
)
from support.raw_client import Connection, Response
from support.server import Server, free_port
from support.waiting import wait_until

_OPEN: list[Connection] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _OPEN:
        _OPEN.pop().socket.close()


def client(server: Server, source: str | None = None) -> Connection:
    """A connection for as long as the test."""
    _OPEN.append(server.connect(source=source))
    return _OPEN[-1]


def environ_of(connection: Connection, target: str, *headers: str) -> dict[str, Any]:
    return environ_in(connection.request(target, headers=headers))


def environ_in(response: Response) -> dict[str, Any]:
    assert response.status == 200, response
    return {key: each["value"] for key, each in json.loads(response.body)["values"].items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("router")


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """A port for each protocol at the router, and one at which the portico behind it is reached without."""
    return {name: free_port() for name in ("direct", "uwsgi", "scgi", "fastcgi")}


@pytest.fixture(scope="module")
def inner(folder: Path, ports: dict[str, int]) -> Iterator[Server]:
    options = ["-b", f"127.0.0.1:{ports['direct']}"]
    with Server(threads=4, bind=f"unix:{folder}/inner.sock", options=options) as server:
        yield server


@pytest.fixture(scope="module")
def outer(folder: Path, inner: Server, ports: dict[str, int]) -> Iterator[Server]:
    doors = [f"{name}://127.0.0.1:{port}" for name, port in ports.items() if name != "direct"]
    options = [word for door in doors for word in ("-b", door)]
    text = f"""
[processes]
workers = 2

{upstream("unix:inner.sock")}
{upstream("unix:inner.sock", more='mount = "/a b"' + chr(10) + "strip = true")}
[[respond]]
path = "/robots.txt"
body = "Disallow: /"

[[redirect]]
mount = "/old"
to = "/new"
"""
    with router(folder, text, workers=2, options=options) as server:
        yield server


# --- A portico behind a portico


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example:8443"),
        ("Forwarded: for=192.0.2.1;proto=https;host=shop.example",),
        ("X-Forwarded-For: 192.0.2.1, 127.0.0.1", "X-Forwarded-Prefix: /front"),
        ("Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1"),
    ],
    ids=["none", "x-forwarded", "forwarded", "prefix", "both"],
)
def test_the_application_sees_what_it_would_see_without_the_router(
    outer: Server, ports: dict[str, int], headers: tuple[str, ...]
) -> None:
    keys = ["REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SCRIPT_NAME", "PATH_INFO", "REQUEST_METHOD"]
    with Connection(("127.0.0.1", ports["direct"])) as direct:
        expected, found = (
            environ_of(each, "/environ/%C3%A9?x=%2F", *headers) for each in (direct, client(outer))
        )
    assert {key: found.get(key) for key in keys} == {key: expected.get(key) for key in keys}
    assert found["QUERY_STRING"] == "x=%2F"


def test_nobody_else_is_believed(outer: Server) -> None:
    connection = client(outer, "127.0.0.2")
    environ = environ_of(connection, "/environ", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https")
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == ("127.0.0.2", "http")


def test_what_is_stripped_becomes_script_name(outer: Server) -> None:
    environ = environ_of(client(outer), "/a%20b/environ/x%2Fy?q")
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]) == (
        "/a b",
        "/environ/x/y",
        "q",
    )


def test_the_router_responds_by_itself_where_a_row_says_so(outer: Server) -> None:
    connection = client(outer)
    assert connection.request("/robots.txt").body == b"Disallow: /"
    assert connection.request("/old/x").get("location") == "/new/x"


def test_large_bodies_go_both_ways_at_a_time(outer: Server) -> None:
    body = os.urandom(1 << 20) * 8
    connection = client(outer)
    for _ in range(2):
        assert connection.request("/echo", method="POST", body=body).body == body
    connection.send(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    )
    assert connection.read_response().body == b"abc"


def test_requests_that_are_pipelined_are_responded_to_in_order(outer: Server) -> None:
    connection = client(outer)
    paths = ["/echo?1", "/robots.txt", "/echo?2", "/old", "/echo?3"]
    for path in paths:
        connection.ask(path)
    assert [connection.read_response().status for _ in paths] == [200, 200, 200, 307, 200]


def asked_over(protocol: str, port: int, given: list[tuple[str, str]], body: bytes = b"") -> Response:
    """What a reverse proxy gets that speaks `protocol`."""
    with GatewayConnection(("127.0.0.1", port)) as peer:
        peer.send({"uwsgi": uwsgi, "scgi": scgi, "fastcgi": fastcgi}[protocol](given, body))
        if protocol == "fastcgi":
            response = peer.read_fastcgi_response().response
            assert response is not None
            return response
        return peer.read_response() if protocol == "uwsgi" else peer.read_cgi_response()


def with_others(given: list[tuple[str, str]], **others: str) -> list[tuple[str, str]]:
    return [*((name, value) for name, value in given if name not in others), *others.items()]


@pytest.mark.parametrize("protocol", ["uwsgi", "scgi", "fastcgi"])
def test_requests_of_reverse_proxies_are_passed_on(
    outer: Server, ports: dict[str, int], protocol: str
) -> None:
    port = ports[protocol]
    posted = with_others(variables("/echo/x?y", "POST"), CONTENT_LENGTH="3")
    assert asked_over(protocol, port, posted, b"abc").body == b"abc"
    given = with_others(
        variables("/environ/x?y"), HTTP_X_A="b", HTTPS="on", HTTP_X_FORWARDED_FOR="6.6.6.6", HTTP_PROXY="x"
    )
    values = environ_in(asked_over(protocol, port, given))
    assert (values["HTTP_X_A"], values["REMOTE_ADDR"]) == ("b", "192.0.2.7")
    assert (values["wsgi.url_scheme"], values["PATH_INFO"]) == ("https", "/environ/x")
    assert values["QUERY_STRING"] == "y"
    mounted = with_others(
        variables("/front/environ/%2Fx?y"), SCRIPT_NAME="/front", PATH_INFO="/environ//x", HTTPS="on"
    )
    values = environ_in(asked_over(protocol, port, mounted))
    assert (values["SCRIPT_NAME"], values["PATH_INFO"]) == ("/front", "/environ//x")
    stripped = [each for each in variables("/a%20b/environ/ x") if each[0] != "REQUEST_URI"]
    values = environ_in(asked_over(protocol, port, with_others(stripped, PATH_INFO="/a b/environ/ x")))
    assert (values["SCRIPT_NAME"], values["PATH_INFO"]) == ("/a b", "/environ/ x")
    hostile = with_others(variables("/environ"), HTTP_X_A="b\r\nX-B: c")
    assert asked_over(protocol, port, hostile).status == 400


def test_what_is_no_file_is_passed_on(tmp_path: Path, folder: Path, inner: Server) -> None:
    (tmp_path / "a.txt").write_text("a file")
    options = ["--static", f"/={tmp_path}"]
    with router(tmp_path, upstream(f"unix:{folder}/inner.sock"), options=options) as server:
        connection = client(server)
        assert connection.request("/a.txt").body == b"a file"
        assert environ_of(connection, "/environ", "X-Forwarded-For: 192.0.2.1")["REMOTE_ADDR"] == "192.0.2.1"
        body = os.urandom(300_000)
        assert connection.request("/echo", method="POST", body=body).body == body
        assert connection.request("/environ", method="HEAD").body == b""
        assert connection.request("/gone").status == 404


def test_no_worker_of_a_router_has_an_application(outer: Server) -> None:
    assert "serves router" in outer.log_tail()
    assert "imported" not in outer.log_tail()


def test_the_example_is_a_router(tmp_path: Path) -> None:
    examples = Path(__file__).parents[2] / "examples"
    chdir, database = ["--chdir", str(examples)], {"GUESTBOOK": str(tmp_path / "guestbook")}
    port = free_port()
    text = (examples / "router.toml").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{port}")
    with (
        Server("hello", bind=f"unix:{tmp_path}/hello.sock", options=chdir),
        Server("guestbook", bind=f"unix:{tmp_path}/guestbook.sock", options=chdir, environment=database),
        router(tmp_path, text) as server,
    ):
        connection = client(server)
        assert connection.request("/").body == b"Hello, world!"
        assert connection.request("/guestbook/").status == 200
        assert connection.request("/book").get("location") == "/guestbook/"


# --- Members that misbehave


def test_a_member_that_is_not_there_costs_nobody_a_response(tmp_path: Path) -> None:
    there = Member(responds())
    with ExitStack() as stack:
        stack.callback(there.close)
        nobody = f"http://127.0.0.1:{free_port()}"
        server = stack.enter_context(router(tmp_path, upstream(nobody, there.url)))
        connection = client(server)
        assert [connection.request(method="POST", body=b"x").status for _ in range(8)] == [200] * 8
        server.error_log.wait_for(rf"upstream {nobody}: ejected for a while")


@pytest.mark.parametrize(
    ("handle", "method", "status", "why"),
    [
        (reads_and_closes, "POST", 502, "closed the connection before the end of its response"),
        (is_silent, "GET", 504, "sent nothing for 200 ms, and a response was due"),
        (responds(b"hello\r\n\r\n"), "GET", 502, "sent what is not a response"),
    ],
    ids=["closes", "silent", "malformed"],
)
def test_a_failure_names_the_member_and_the_reason(
    tmp_path: Path, handle: Callable[[Member, socket.socket], None], method: str, status: int, why: str
) -> None:
    first, second = Member(handle), Member(handle)
    with routed(tmp_path, first, second, more='timeout = "200ms"') as server:
        connection = client(server)
        assert connection.request(method=method).status == status
        # Not a second time: the member may be at work on it.
        assert first.count + second.count == 1
        server.error_log.wait_for(rf"upstream {first.url}: {why}.*; responded with {status}")
        assert connection.request("/", method=method).status == status


def test_what_is_idempotent_is_asked_of_another_member(tmp_path: Path) -> None:
    broken, there = Member(reads_and_closes), Member(responds())
    with routed(tmp_path, broken, there) as server:
        assert client(server).request().status == 200
        assert (broken.count, there.count) == (1, 1)


def test_a_response_that_ends_too_early_looks_so(tmp_path: Path) -> None:
    def handle(member: Member, peer: socket.socket) -> None:
        member.read_head(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")

    member = Member(handle)
    with routed(tmp_path, member) as server:
        connection = client(server)
        connection.ask("/")
        assert connection.read_head().status == 200
        assert connection.read_to_end() == b"abc"
        connection.socket.close()
        server.error_log.wait_for(r"closed the connection before .*; its response is not complete")


def test_more_than_a_member_may_have_is_503(tmp_path: Path) -> None:
    member = Member(is_silent)
    with routed(tmp_path, member, more="max_in_flight = 1") as server:
        waiting = client(server)
        waiting.ask("/")
        member.heads.get(timeout=10)
        response = client(server).request()
        assert (response.status, response.get("retry-after")) == (503, "1")
        server.error_log.wait_for("no member takes requests: all are ejected, draining or at their limit")
        waiting.socket.close()


@pytest.mark.parametrize("behind", ["", "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"], ids=["alone", "pipelined"])
def test_a_member_learns_that_the_client_has_left(tmp_path: Path, behind: str) -> None:
    member = Member(is_silent)
    with routed(tmp_path, member) as server:
        with client(server) as leaving:
            leaving.ask("/")
            member.heads.get(timeout=10)
            leaving.send(behind.encode())
        assert member.ends.get(timeout=10) == b""
        server.access_log.wait_for(r'"GET / HTTP/1.1" 499 ')


def test_what_is_sent_while_a_request_waits_is_the_next_one(tmp_path: Path) -> None:
    go_on = threading.Event()

    def handle(member: Member, peer: socket.socket) -> None:
        while member.read_head(peer):
            go_on.wait(10)
            peer.sendall(OK)

    member = Member(handle)
    with routed(tmp_path, member) as server:
        connection = client(server)
        connection.ask("/1")
        member.heads.get(timeout=10)
        connection.ask("/2")
        connection.ask("/3")
        go_on.set()
        assert [connection.read_response().body for _ in range(3)] == [b"ok"] * 3


def test_connections_are_kept_and_stale_ones_do_no_harm(tmp_path: Path) -> None:
    def handle(member: Member, peer: socket.socket) -> None:
        for _ in range(2):
            member.read_head(peer)
            peer.sendall(OK)

    member = Member(handle)
    with routed(tmp_path, member) as server:
        connection = client(server)
        for _ in range(6):
            assert connection.request().status == 200
        assert len(member.connections) == 3


def test_health_checks_say_who_gets_requests(tmp_path: Path) -> None:
    is_well = threading.Event()
    is_well.set()

    def handle(member: Member, peer: socket.socket) -> None:
        while head := member.read_head(peer):
            ill = head.startswith(b"GET /readyz?x ") and not is_well.is_set()
            peer.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" if ill else OK)

    sick, there = Member(handle), Member(responds())
    more = 'health_path = "/readyz?x"\nhealth_interval = "20ms"\nhost = "shop.example"\n'
    with routed(tmp_path, sick, there, more=more) as server:
        assert b"\r\nHost: shop.example\r\n" in sick.heads.get(timeout=10)
        is_well.clear()
        server.error_log.wait_for(f"upstream {sick.url}: does not respond well to health checks")
        connection = client(server)

        def asked() -> int:
            return sum(head.startswith(b"GET /asked ") for head in list(sick.heads.queue))

        for _ in range(4):
            assert connection.request("/asked", headers=("Host: shop.example",), host=False).status == 200
        assert asked() == 0
        is_well.set()
        server.error_log.wait_for(f"upstream {sick.url}: responds well again to health checks")
        for _ in range(4):
            connection.request("/asked", headers=("Host: shop.example",), host=False)
        assert asked() == 2


# --- Which member


def numbered(number: int) -> Callable[[Member, socket.socket], None]:
    return responds(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)


@pytest.mark.parametrize(
    ("balance", "header"),
    [("round-robin", ""), ("header:X-User", "X-User: {}"), ("cookie:user", "Cookie: a=b; user={}")],
    ids=["round-robin", "header", "cookie"],
)
def test_which_member_gets_a_request(tmp_path: Path, balance: str, header: str) -> None:
    members = [Member(numbered(number)) for number in range(3)]
    with routed(tmp_path, *members, more=f'balance = "{balance}"') as server:
        connection = client(server)

        def chosen(user: int) -> bytes:
            return connection.request(headers=(header.format(user),) if header else ()).body

        if not header:
            assert sorted(chosen(0) for _ in range(6)) == sorted([b"0", b"1", b"2"] * 2)
            return
        by_user = {user: chosen(user) for user in range(24)}
        assert set(by_user.values()) == {b"0", b"1", b"2"}
        assert {user: chosen(user) for user in range(24)} == by_user


def test_the_member_with_the_fewest_requests_gets_the_next(tmp_path: Path) -> None:
    busy, there = Member(is_silent), Member(responds())
    with routed(tmp_path, busy, there, more='balance = "least-requests"') as server:
        waiting = []
        while not busy.count:
            waiting.append(client(server))
            waiting[-1].ask("/")
            wait_until(lambda: busy.count + there.count == len(waiting), what="the request")
        connection = client(server)
        before = there.count
        assert [connection.request().status for _ in range(5)] == [200] * 5
        assert (busy.count, there.count - before) == (1, 5)
        for each in waiting:
            each.socket.close()


def test_a_name_is_looked_up(tmp_path: Path) -> None:
    member = Member(responds())
    with ExitStack() as stack:
        stack.callback(member.close)
        unknown = upstream("http://nobody.invalid:80", more='mount = "/unknown"')
        server = stack.enter_context(router(tmp_path, upstream(f"http://localhost:{member.port}") + unknown))
        connection = client(server)
        assert connection.request().status == 200
        assert connection.request("/unknown").status == 503
        server.error_log.wait_for(
            r"upstream http://nobody.invalid:80: cannot look up the name: .*; it has no members"
        )


# --- Streams and tunnels


def test_blocks_come_as_the_member_sends_them(tmp_path: Path) -> None:
    go_on = threading.Event()

    def handle(member: Member, peer: socket.socket) -> None:
        member.read_head(peer)
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        go_on.wait(10)
        peer.sendall(b"3\r\ntwo\r\n0\r\n\r\n")

    with routed(tmp_path, Member(handle)) as server:
        connection = client(server)
        connection.ask("/")
        assert connection.read_head().status == 200
        assert connection.read_chunk() == b"one"
        go_on.set()
        assert connection.read_chunk() == b"two"
        assert connection.read_chunk() == b""


def test_an_upgrade_is_a_tunnel(tmp_path: Path) -> None:
    def handle(member: Member, peer: socket.socket) -> None:
        head = member.read_head(peer)
        assert b"\r\nUpgrade: websocket\r\n" in head
        peer.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        while data := peer.recv(1024):
            peer.sendall(data.upper())

    with routed(tmp_path, Member(handle)) as server:
        connection = client(server)
        connection.ask("/", headers=("Connection: upgrade", "Upgrade: websocket"))
        assert connection.read_head().status == 101
        for _ in range(3):
            connection.send(b"hello")
            assert connection.read_exactly(5) == b"HELLO"
        connection.socket.shutdown(socket.SHUT_WR)
        assert connection.read_to_end() == b""


_OFFERED = (
    b"Upgrade: websocket\r\nConnection: upgrade\r\nUpgrade: a/1\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nno"
)


@pytest.mark.parametrize(
    ("status", "request_line", "named"),
    [
        ("426 Upgrade Required", "GET / HTTP/1.1", ["websocket, a/1"]),
        ("426 Upgrade Required", "GET / HTTP/1.0", []),
        # It is only offered here: `h2c` of a member would be taken for that of the router.
        ("200 OK", "GET / HTTP/1.1", []),
    ],
    ids=["required", "HTTP-1.0", "offered"],
)
def test_a_required_upgrade_is_named(
    tmp_path: Path, status: str, request_line: str, named: list[str]
) -> None:
    # RFC 9110 15.5.22: "The server MUST send an Upgrade header field in a 426 response".
    with routed(tmp_path, Member(responds(f"HTTP/1.1 {status}\r\n".encode() + _OFFERED))) as server:
        connection = client(server)
        connection.send(f"{request_line}\r\nHost: a\r\n\r\n".encode())
        response = connection.read_response()
        assert (response.status, response.body) == (int(status[:3]), b"no")
        fields = [(name.lower(), value) for name, value in response.headers]
        assert [value for name, value in fields if name == "upgrade"] == named
        assert ("x-a", "1") in fields
        # 7.8: "A sender of Upgrade MUST also send an "Upgrade" connection option".
        assert (("connection", "upgrade") in fields) is bool(named)
        if named:
            assert connection.request("/").status == 426


def test_the_only_one_that_is_well_is_not_ejected(tmp_path: Path) -> None:
    """Its requests could go nowhere else: those that it can respond to have their responses."""

    def closes_some(member: Member, peer: socket.socket) -> None:
        while head := member.read_head(peer):
            if head.startswith(b"GET /fails "):
                return
            peer.sendall(OK)

    def is_ill(member: Member, peer: socket.socket) -> None:
        while member.read_head(peer):
            peer.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")

    there, ill = Member(closes_some), Member(is_ill)
    more = 'health_path = "/readyz"\nhealth_interval = "20ms"\neject_after = 2\neject_for = 600\n'
    with routed(tmp_path, there, ill, more=more) as server:
        server.error_log.wait_for(f"upstream {ill.url}: does not respond well to health checks")
        connection = client(server)
        assert [connection.request("/fails").status for _ in range(5)] == [502] * 5
        assert connection.request("/").status == 200


# --- The router's own life


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["plain", "preload"])
def test_a_reload_changes_the_members_and_loses_no_request(tmp_path: Path, options: list[str]) -> None:
    before, after = Member(numbered(1)), Member(numbered(2))
    with ExitStack() as stack:
        for member in (before, after):
            stack.callback(member.close)
        server = stack.enter_context(router(tmp_path, upstream(before.url), workers=2, options=options))
        found: list[bytes] = []
        is_over = threading.Event()

        def ask() -> None:
            while not is_over.is_set():
                with client(server) as connection:
                    found.append(connection.request().body)

        asking = threading.Thread(target=ask)
        asking.start()
        (tmp_path / "portico.toml").write_text(upstream(after.url))
        server.error_log.wait_for("ready in")
        os.kill(server.pid, signal.SIGHUP)
        wait_until(lambda: found[-3:] == [b"2"] * 3, what="responses of the new member")
        server.error_log.wait_for("is ready after")
        is_over.set()
        asking.join(10)
        assert set(found) == {b"1", b"2"}


def test_a_request_that_waits_at_a_member_is_responded_to_before_the_end(tmp_path: Path) -> None:
    go_on = threading.Event()

    def handle(member: Member, peer: socket.socket) -> None:
        member.read_head(peer)
        go_on.wait(10)
        peer.sendall(OK)

    member = Member(handle)
    with routed(tmp_path, member) as server:
        connection = client(server)
        connection.ask("/")
        member.heads.get(timeout=10)
        os.kill(server.pid, signal.SIGTERM)
        server.error_log.wait_for("stopping")
        go_on.set()
        response = connection.read_response()
        assert (response.body, response.get("connection")) == (b"ok", "close")
        connection.socket.close()


@pytest.mark.parametrize("fails", [False, True], ids=["responds", "fails"])
@pytest.mark.parametrize("body", ["", "Content-Length: 3\r\n"], ids=["alone", "with a body"])
def test_no_request_is_given_up_that_has_been_read_before_the_end(
    tmp_path: Path, body: str, fails: bool
) -> None:
    """Pipelined behind one that waits at a member when the end is announced: each has its response."""
    waits, go_on = threading.Event(), threading.Event()

    def handle(member: Member, peer: socket.socket) -> None:
        while head := member.read_head(peer):
            if head.startswith(b"POST /0 "):
                peer.recv(length_of(head))
                waits.set()
                go_on.wait(20)
                if fails:
                    return
            peer.sendall(OK)

    options = ["--health-path", "/health"]
    with routed(tmp_path, Member(handle), options=options) as server, client(server) as other:
        connection = client(server)
        first = f"POST /0 HTTP/1.1\r\nHost: a\r\n{body}\r\n{'abc' if body else ''}"
        connection.send(first.encode())
        targets = ["/1", "/health", "/2"]
        connection.send("".join(f"GET {each} HTTP/1.1\r\nHost: a\r\n\r\n" for each in targets).encode())
        assert waits.wait(20)
        other.request("/health")
        os.kill(server.pid, signal.SIGTERM)
        wait_until(lambda: other.request("/health").status == 503, what="the worker to drain")
        go_on.set()
        responses = [connection.read_response() for _ in range(4)]
        assert [response.status for response in responses] == [502 if fails else 200, 200, 503, 200]
        assert [response.get("Connection") == "close" for response in responses] == [False] * 3 + [True]
        connection.expect_closed()


def test_a_portico_that_was_killed_is_back_with_its_next_worker(tmp_path: Path) -> None:
    path = tmp_path / "inner.sock"
    with (
        Server(bind=f"unix:{path}") as behind,
        router(tmp_path, upstream(f"unix:{path}", more="retries = 5")) as server,
    ):
        connection = client(server)
        [first] = behind.worker_pids
        assert connection.request("/process").body == str(first).encode()
        os.kill(first, signal.SIGKILL)
        wait_until(
            lambda: connection.request("/process").body not in (b"", str(first).encode()),
            what="another worker",
        )


def test_a_portico_that_reloads_behind_it_loses_no_request(tmp_path: Path) -> None:
    path = tmp_path / "inner.sock"
    is_over = threading.Event()
    found: list[int] = []
    with (
        Server(bind=f"unix:{path}", workers=2, threads=2) as behind,
        router(tmp_path, upstream(f"unix:{path}")) as server,
    ):

        def ask() -> None:
            with server.connect() as connection:
                while not is_over.is_set():
                    found.append(connection.request("/echo", method="POST", body=b"abc").status)

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for each in asking:
            each.start()
        behind.error_log.wait_for("ready in")
        for number in range(2):
            since = behind.error_log.position()
            os.kill(behind.pid, signal.SIGHUP)
            behind.error_log.wait_for("is ready after", since=since)
            seen = len(found)
            wait_until(lambda least=seen + 50: len(found) > least, what=f"requests after reload {number}")
        is_over.set()
        for each in asking:
            each.join(10)
    assert set(found) == {200}
