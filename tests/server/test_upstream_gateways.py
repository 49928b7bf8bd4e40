"""Members of `[[upstream]]` that speak uwsgi or FastCGI, over real sockets.

Behind the router is a portico, a uWSGI, a php-fpm, or a raw server where a member has to misbehave.
"""

from __future__ import annotations

import json
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.gateway import STDERR, STDOUT, GatewayConnection, fastcgi, record, stream, uwsgi, variables
from support.members import (
    GatewayRequest,
    Member,
    cgi,
    end_request,
    read_fastcgi_request,
    read_uwsgi_request,
    responds,
    routed,
    router,
    upstream,
)
from support.raw_client import Connection, Response
from support.reverse_proxies import ForegroundProgram, find_program
from support.server import Server, free_port
from support.ways import CALLS_FOLLOW

OVER = ("uwsgi", "fastcgi")
READ = {"uwsgi": read_uwsgi_request, "fastcgi": read_fastcgi_request}
HTTP_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CGI_OK = b"Content-Length: 2\r\n\r\nok"

Handle = Callable[[Member, socket.socket], None]
Sends = Callable[[GatewayRequest], bytes]


def member_over(protocol: str, *responses: bytes | Sends) -> tuple[Member, list[GatewayRequest]]:
    """A raw server that sends `responses` to the requests of each connection, the last one for ever."""
    requests: list[GatewayRequest] = []

    def handle(member: Member, peer: socket.socket) -> None:
        number = 0
        try:
            while True:
                request = READ[protocol](peer)
                requests.append(request)
                response = responses[min(number, len(responses) - 1)]
                peer.sendall(response if isinstance(response, bytes) else response(request))
                number += 1
                if protocol == "uwsgi":
                    # One request for each connection: the end of that is the router's.
                    member.ends.put(peer.recv(1))
                    return
                if not request.keeps_connection:
                    return
        except EOFError:
            pass

    return Member(handle, scheme=protocol), requests


def usual(protocol: str) -> bytes:
    return HTTP_OK if protocol == "uwsgi" else cgi(CGI_OK)


def environ_in(response: Response) -> dict[str, Any]:
    assert response.status == 200, response
    return {key: each["value"] for key, each in json.loads(response.body)["values"].items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gateways")


@pytest.fixture(scope="module")
def doors(folder: Path) -> dict[str, str]:
    """Where the portico behind the router listens."""
    return {
        "uwsgi": f"uwsgi://127.0.0.1:{free_port()}",
        "uwsgi+unix": f"uwsgi+unix:{folder}/uwsgi.sock",
        "fastcgi": f"fastcgi://127.0.0.1:{free_port()}",
        "fastcgi+unix": f"fastcgi+unix:{folder}/fastcgi.sock",
    }


@pytest.fixture(scope="module")
def inner(doors: dict[str, str]) -> Iterator[Server]:
    options = [word for door in doors.values() for word in ("-b", door)]
    with Server(threads=4, options=options) as server:
        yield server


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    """Where the router listens itself, beside HTTP."""
    return {name: free_port() for name in OVER}


@pytest.fixture(scope="module")
def outer(folder: Path, inner: Server, doors: dict[str, str], ports: dict[str, int]) -> Iterator[Server]:
    """A router whose paths begin with the member's scheme; below /mounted that is all that is taken away."""
    text = "".join(
        upstream(door, more=f'host = "{name.replace("+", "-")}.example"')
        + upstream(door, more=f'host = "{name.replace("+", "-")}.example"\nmount = "/a b"\nstrip = true')
        for name, door in doors.items()
    )
    options = [word for name, port in ports.items() for word in ("-b", f"{name}://127.0.0.1:{port}")]
    options += ["--body-memory", "10K", "--body-spool", "100K"]
    with router(folder, text, options=options) as server:
        yield server


DOORS = ("uwsgi", "uwsgi+unix", "fastcgi", "fastcgi+unix")


def host_of(door: str) -> str:
    return f"Host: {door.replace('+', '-')}.example"


def ask(connection: Connection, door: str, target: str, *headers: str, **more: Any) -> Response:
    return connection.request(target, headers=(host_of(door), *headers), host=False, **more)


# --- A portico behind a portico


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https", "X-Forwarded-Prefix: /front"),
        ('Forwarded: for="192.0.2.1:4711";proto=https',),
        (
            "Cookie: a=b",
            "Cookie: c=d",
            "X-A: 1",
            "X-A: 2",
            "Content-Type: a/b",
            "Authorization: Basic eA==",
        ),
    ],
    ids=["none", "x-forwarded", "forwarded", "repeated"],
)
def test_the_application_sees_what_it_would_see_without_the_router(
    outer: Server, inner: Server, door: str, headers: tuple[str, ...]
) -> None:
    keys = [
        *("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "wsgi.url_scheme"),
        *("HTTP_HOST", "HTTP_COOKIE", "HTTP_X_A", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_AUTHORIZATION"),
        *("SERVER_PROTOCOL", "REQUEST_URI", "HTTPS"),
    ]
    target = "/environ/%C3%A9%2F//x?x=%2F&y"
    with inner.connect() as direct, outer.connect() as routed_one:
        expected, found = (
            environ_in(ask(each, door, target, *headers, method="POST", body=b"abc"))
            for each in (direct, routed_one)
        )
    assert {key: found.get(key) for key in keys} == {key: expected.get(key) for key in keys}
    is_named = any("192.0.2.1:4711" in header for header in headers)
    assert (found.get("REMOTE_PORT") == "4711") == is_named


@pytest.mark.parametrize("door", DOORS)
def test_what_is_stripped_becomes_script_name(outer: Server, door: str) -> None:
    with outer.connect() as connection:
        environ = environ_in(ask(connection, door, "/a%20b/environ/x%2Fy?q"))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"], environ["QUERY_STRING"]) == (
        *("/a b", "/environ/x/y"),
        "q",
    )
    assert "HTTP_X_FORWARDED_PREFIX" not in environ


@pytest.mark.parametrize("door", DOORS)
def test_bodies_go_both_ways(outer: Server, door: str) -> None:
    body = os.urandom(1 << 20) * 4
    chunked = b"POST /echo HTTP/1.1\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % host_of(door).encode()
    with outer.connect() as connection:
        for _ in range(2):
            assert ask(connection, door, "/echo", method="POST", body=body).body == body
        connection.send(chunked + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")
        assert connection.read_response().body == b"abcdefg"
        assert ask(connection, door, "/echo", method="HEAD").body == b""
        assert ask(connection, door, "/nowhere-at-all").status == 404
        assert ask(connection, door, "/echo", method="POST", body=b"").body == b""


@pytest.mark.parametrize("door", OVER)
def test_a_body_of_unknown_length_beyond_body_spool(outer: Server, door: str) -> None:
    head = b"POST /echo HTTP/1.1\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n" % host_of(door).encode()
    body = os.urandom(300_000)
    with outer.connect() as connection:
        connection.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
        if door == "fastcgi" or CALLS_FOLLOW:
            # FastCGI needs no length; where all bodies come before the call, each has one.
            assert connection.read_response().body == body
        else:
            assert connection.read_head().status == 411
            outer.error_log.wait_for(
                r"upstream uwsgi://\S+: the request cannot be passed on: the body has no length, and is "
                "larger than body_spool; responded with 411"
            )


@pytest.mark.parametrize("door", OVER)
@pytest.mark.parametrize("protocol", OVER)
def test_requests_of_reverse_proxies_are_passed_on(
    outer: Server, ports: dict[str, int], protocol: str, door: str
) -> None:
    given = [
        *((name, value) for name, value in variables("/front/echo/x?y", "POST") if name != "HTTP_HOST"),
        *(("HTTP_HOST", f"{door}.example"), ("CONTENT_LENGTH", "3"), ("HTTPS", "on")),
    ]
    with GatewayConnection(("127.0.0.1", ports[protocol])) as peer:
        mounted = [(name, value) for name, value in given if name != "PATH_INFO"]
        mounted = [*mounted, ("PATH_INFO", "/echo/x"), ("SCRIPT_NAME", "/front")]
        peer.send({"uwsgi": uwsgi, "fastcgi": fastcgi}[protocol](mounted, b"abc"))
        response = peer.read_response() if protocol == "uwsgi" else peer.read_fastcgi_response().response
        assert response is not None
        assert response.body == b"abc"
    got = [
        *((name, value) for name, value in variables("/environ") if name != "HTTP_HOST"),
        *(("HTTP_HOST", f"{door}.example"), ("HTTPS", "on"), ("HTTP_X_FORWARDED_FOR", "6.6.6.6")),
    ]
    with GatewayConnection(("127.0.0.1", ports[protocol])) as peer:
        peer.send({"uwsgi": uwsgi, "fastcgi": fastcgi}[protocol](got))
        response = peer.read_response() if protocol == "uwsgi" else peer.read_fastcgi_response().response
        assert response is not None
        environ = environ_in(response)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.7", "50000")
    assert (environ["wsgi.url_scheme"], environ["HTTP_HOST"]) == ("https", f"{door}.example")


# --- What members are told


@pytest.mark.parametrize("protocol", OVER)
def test_what_is_for_one_connection_or_another_program_is_not_passed_on(
    tmp_path: Path, protocol: str
) -> None:
    member, requests = member_over(protocol, usual(protocol))
    headers = [
        *(
            "Connection: keep-alive, X-Mine",
            "X-Mine: 1",
            "Keep-Alive: 5",
            "TE: trailers",
            "Upgrade: websocket",
        ),
        *("Proxy: http://evil", "X_Forwarded_For: 6.6.6.6", "X-Forwarded-For: 6.6.6.6", "Content_Length: 7"),
        *(
            "Proxy-Connection: close",
            "X.Y: 1",
            "X-A: b",
            "Expect: 100-continue",
            "Transfer_Encoding: x",
        ),
    ]
    with routed(tmp_path, member) as server, server.connect(source="127.0.0.2") as connection:
        connection.send(
            b"POST /x HTTP/1.1\r\nHost: a:81\r\nContent-Length: 3\r\n"
            + "".join(f"{header}\r\n" for header in headers).encode()
            + b"\r\nabc"
        )
        response = connection.read_response()
        if response.status == 100:
            response = connection.read_response()
        assert (response.status, response.body) == (200, b"ok")
    [request] = requests
    port = request.variables.pop("REMOTE_PORT")
    assert port.isdigit()
    assert request.variables == {
        "REQUEST_METHOD": "POST",
        "REQUEST_URI": "/x",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/x",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "a",
        "SERVER_PORT": "81",
        "REQUEST_SCHEME": "http",
        "REMOTE_ADDR": "127.0.0.2",
        "CONTENT_LENGTH": "3",
        "HTTP_HOST": "a:81",
        "HTTP_X_A": "b",
        "HTTP_X_FORWARDED_FOR": "127.0.0.2",
        "HTTP_X_FORWARDED_HOST": "a:81",
        "HTTP_X_FORWARDED_PROTO": "http",
    }
    assert request.body == b"abc"


@pytest.mark.parametrize("protocol", OVER)
def test_variables_of_the_row_replace_those_of_the_request(tmp_path: Path, protocol: str) -> None:
    member, requests = member_over(protocol, usual(protocol))
    more = 'variables = { SCRIPT_FILENAME = "/srv/a=b.php", SERVER_NAME = "shop" }'
    with routed(tmp_path, member, more=more) as server, server.connect() as connection:
        assert connection.request("/x").status == 200
    given = requests[0].variables
    assert (given["SCRIPT_FILENAME"], given["SERVER_NAME"]) == ("/srv/a=b.php", "shop")


@pytest.mark.parametrize("protocol", OVER)
def test_a_path_with_a_nul_is_rejected(tmp_path: Path, protocol: str) -> None:
    member, requests = member_over(protocol, usual(protocol))
    with routed(tmp_path, member) as server, server.connect() as connection:
        assert connection.request("/private%00.css").status == 400
        assert not requests


@pytest.mark.parametrize("protocol", OVER)
def test_what_does_not_fit_into_a_packet_is_431(tmp_path: Path, protocol: str) -> None:
    member, requests = member_over(protocol, usual(protocol))
    headers = [f"X-{number}: {'v' * 15_000}" for number in range(4)]
    with routed(tmp_path, member) as server, server.connect() as connection:
        response = connection.request("/environ?" + "q" * 5_000, headers=headers)
        if protocol == "uwsgi":
            assert (response.status, requests) == (431, [])
            server.error_log.wait_for(
                rf"upstream {member.url}: the request cannot be passed on: the variables are too large; "
                "responded with 431"
            )
        else:
            assert response.status == 200
            assert requests[0].variables["HTTP_X_3"] == "v" * 15_000
        assert connection.request().status == 200


@pytest.mark.parametrize("protocol", OVER)
def test_connections_are_kept_where_the_protocol_can(tmp_path: Path, protocol: str) -> None:
    member, requests = member_over(protocol, usual(protocol))
    with routed(tmp_path, member) as server, server.connect() as connection:
        for _ in range(4):
            assert connection.request(method="POST", body=b"abc").body == b"ok"
        assert len(member.connections) == (4 if protocol == "uwsgi" else 1)
        if protocol == "uwsgi":
            assert [member.ends.get(timeout=10) for _ in range(4)] == [b""] * 4
        assert [request.body for request in requests] == [b"abc"] * 4
    assert all(request.keeps_connection == (protocol == "fastcgi") for request in requests)


def test_a_member_over_fastcgi_is_told_where_none_is_kept(tmp_path: Path) -> None:
    member, requests = member_over("fastcgi", usual("fastcgi"))
    with routed(tmp_path, member, more="keep = 0") as server, server.connect() as connection:
        assert [connection.request().status for _ in range(2)] == [200, 200]
    assert [request.keeps_connection for request in requests] == [False, False]
    assert len(member.connections) == 2


def test_a_stale_connection_over_fastcgi_does_no_harm(tmp_path: Path) -> None:
    def handle(member: Member, peer: socket.socket) -> None:
        for _ in range(2):
            read_fastcgi_request(peer)
            peer.sendall(usual("fastcgi"))

    member = Member(handle, scheme="fastcgi")
    with routed(tmp_path, member) as server, server.connect() as connection:
        assert [connection.request().status for _ in range(6)] == [200] * 6
        assert len(member.connections) == 3


# --- Responses over FastCGI


def asked(folder: Path, handle: Handle | bytes, method: str = "GET", **more: Any) -> tuple[Response, Server]:
    """What a client gets of a raw FastCGI server that sends this to each request."""
    member = (
        member_over("fastcgi", handle)[0] if isinstance(handle, bytes) else Member(handle, scheme="fastcgi")
    )
    with routed(folder, member, **more) as server, server.connect() as connection:
        return connection.request(method=method), server


@pytest.mark.parametrize(
    ("sent", "status", "body"),
    [
        (b"Status: 404 Not Here\nContent-Type: a/b\n\nx", 404, b"x"),
        (b"Content-Type: a/b\r\n\r\nbody", 200, b"body"),
        (b"Location: https://a.example/b\r\n\r\n", 302, b""),
        (b"Location: /b?c\r\n\r\n", 302, b""),
        (b"Status: 201\r\nLocation: /b\r\n\r\nmade", 201, b"made"),
        (b"X: y\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nraw", 200, b"raw"),
        (b"Content-Length: 3\r\n\r\nabcdef", 200, b"abc"),
        (b"Status: 204 No Content\r\n\r\nabc", 204, b""),
        (b"Upgrade: b/2\r\nStatus: 426 Other\r\n\r\nx", 426, b"x"),
        (b"Upgrade: b/2\r\nX: y\r\n\r\nx", 200, b"x"),
    ],
    ids=[
        *("status", "document", "elsewhere", "path", "created", "hop-by-hop", "longer", "no-content"),
        *("another protocol", "offered"),
    ],
)
def test_the_response_of_cgi_is_one_of_http(tmp_path: Path, sent: bytes, status: int, body: bytes) -> None:
    response, _ = asked(tmp_path, cgi(sent))
    assert (response.status, response.body) == (status, body)
    if status == 302:
        assert response.get("location") in ("https://a.example/b", "/b?c")
    # RFC 9110 15.5.22: a 426 has to have it.
    assert response.get("upgrade") == ("b/2" if status == 426 else None)


@pytest.mark.parametrize("sent", [CGI_OK, b"X: y\r\n\r\nok", b"Content-Length: 9\r\n\r\n"])
def test_head_has_no_body_and_keeps_the_connection(tmp_path: Path, sent: bytes) -> None:
    member, _ = member_over("fastcgi", cgi(sent))
    with routed(tmp_path, member) as server, server.connect() as connection:
        for _ in range(3):
            assert connection.request(method="HEAD").body == b""
        assert len(member.connections) == 1


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "sent what is not a response: a record does not have version 1"),
        (cgi(b"HTTP/1.1 200 OK\r\n\r\n"), "sent what is not a response: a field name is not a token"),
        (cgi(b"\r\nbody"), "sent what is not a response: the head of the response has no field"),
        (cgi(b"Status: 100\r\n\r\n"), "sent what is not a response: the status is not a number"),
        (cgi(b"Status: 101 Up\r\n\r\n"), "sent what is not a response: the status is not a number"),
        (cgi(b"Status: 200\r\nStatus: 404\r\n\r\n"), "sent what is not a response: Status is given more"),
        (cgi(b"X: a\rSet-Cookie: b\r\n\r\n"), "sent what is not a response: a field value holds a control"),
        (cgi(b"X: a\r\n b\r\n\r\n"), "sent what is not a response: a field line begins with a space"),
        (
            cgi(b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
            "sent what is not a response: Content-Length",
        ),
        (
            record(STDOUT, b"X: y\r\n\r\n", id=2),
            "sent what is not a response: a record is of another",
        ),
        (record(1, bytes(8)), "sent what is not a response: a record has a type that no server sends"),
        (record(3, bytes(7)), "sent what is not a response: END_REQUEST does not have 8 bytes"),
        (stream(STDOUT, b"") + record(STDOUT, b"X"), "sent what is not a response: a stream goes on after"),
        (end_request(7), "ended the request without a response, with the status 7"),
        (cgi(b"X: y\r\n"), "ended the request without a response, with the status 0"),
        (end_request(0, 1), "rejected the request: it is no responder of FastCGI"),
    ],
)
def test_what_is_no_response_is_502_and_says_why(tmp_path: Path, sent: bytes, why: str) -> None:
    response, server = asked(tmp_path, sent, method="POST")
    assert response.status == 502
    assert f": {why}" in server.final_log, server.final_log
    assert "; responded with 502" in server.final_log


def test_an_overloaded_member_is_503_and_others_are_asked(tmp_path: Path) -> None:
    full, _ = member_over("fastcgi", end_request(0, 2))
    with routed(tmp_path, full) as server, server.connect() as connection:
        assert connection.request().status == 503
        server.error_log.wait_for("rejected the request: it is overloaded; responded with 503")
    full, _ = member_over("fastcgi", end_request(0, 2))
    there, _ = member_over("fastcgi", usual("fastcgi"))
    with routed(tmp_path, full, there) as server, server.connect() as connection:
        # What was rejected was not begun, so it does no harm twice, whatever it is.
        statuses = [connection.request(method=method, body=b"x").status for method in ("PUT", "POST", "POST")]
        assert statuses == [200] * 3


@pytest.mark.parametrize(
    "begun",
    [b"Content-Length: 10\r\n\r\nabc", b"Content-Type: a/b\r\n\r\nabc"],
    ids=["length", "no length"],
)
def test_a_response_that_ends_too_early_looks_so(tmp_path: Path, begun: bytes) -> None:
    def handle(member: Member, peer: socket.socket) -> None:
        read_fastcgi_request(peer)
        peer.sendall(record(STDOUT, begun))

    with routed(tmp_path, Member(handle, scheme="fastcgi")) as server, server.connect() as connection:
        connection.ask("/")
        assert connection.read_head().status == 200
        assert b"0\r\n\r\n" not in connection.read_to_end()
        server.error_log.wait_for(r"closed the connection before .*; its response is not complete")


def test_what_a_member_says_for_the_log_is_in_the_log(tmp_path: Path) -> None:
    said = record(STDERR, b"PHP Warning: caf\xc3\xa9\n[2026] [critical] forged\x1b[31m")
    said += record(STDERR, b"more\n")
    member, _ = member_over("fastcgi", said + cgi(CGI_OK))
    with routed(tmp_path, member) as server, server.connect() as connection:
        assert connection.request().body == b"ok"
        server.error_log.wait_for(rf"\[error\] upstream {member.url}: says: PHP Warning: café$")
        server.error_log.wait_for(rf"upstream {member.url}: says: \[2026\] \[critical\] forged \[31mmore$")


def test_blocks_go_both_ways_as_they_come(tmp_path: Path) -> None:
    go_on = threading.Event()

    def handle(member: Member, peer: socket.socket) -> None:
        read_fastcgi_request(peer)
        peer.sendall(record(STDOUT, b"X: y\r\n\r\none")[:-3])
        go_on.wait(10)
        peer.sendall(bytes(3) + record(STDOUT, b"two") + end_request())

    with routed(tmp_path, Member(handle, scheme="fastcgi")) as server, server.connect() as connection:
        connection.ask("/")
        assert connection.read_head().status == 200
        assert connection.read_chunk() == b"one"
        go_on.set()
        assert connection.read_chunk() == b"two"
        assert connection.read_chunk() == b""


def test_a_body_leaves_before_it_is_complete(tmp_path: Path) -> None:
    came = threading.Event()

    def handle(member: Member, peer: socket.socket) -> None:
        data = b""
        while b"first" not in data:
            data += peer.recv(4096)
        came.set()
        while b"second" not in data:
            data += peer.recv(4096)
        peer.sendall(usual("fastcgi"))

    with routed(tmp_path, Member(handle, scheme="fastcgi")) as server, server.connect() as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst")
        assert came.wait(10)
        connection.send(b"second")
        assert connection.read_response().body == b"ok"


@pytest.mark.parametrize("protocol", OVER)
def test_a_member_learns_that_the_client_has_left(tmp_path: Path, protocol: str) -> None:
    def handle(member: Member, peer: socket.socket) -> None:
        READ[protocol](peer)
        member.heads.put(b"")
        member.ends.put(peer.recv(1))

    member = Member(handle, scheme=protocol)
    with routed(tmp_path, member) as server:
        with server.connect() as leaving:
            leaving.ask("/")
            member.heads.get(timeout=10)
        assert member.ends.get(timeout=10) == b""


@pytest.mark.parametrize("protocol", OVER)
def test_a_silent_member_is_504(tmp_path: Path, protocol: str) -> None:
    def handle(member: Member, peer: socket.socket) -> None:
        READ[protocol](peer)
        peer.recv(1)

    member = Member(handle, scheme=protocol)
    with routed(tmp_path, member, more='timeout = "200ms"') as server, server.connect() as connection:
        assert connection.request().status == 504
        server.error_log.wait_for(f"upstream {member.url}: sent nothing for 200 ms, and a response was due")


@pytest.mark.parametrize("protocol", OVER)
def test_a_web_socket_is_asked_for_in_vain(tmp_path: Path, protocol: str) -> None:
    headers = ("Connection: upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x")
    member, requests = member_over(protocol, usual(protocol))
    with routed(tmp_path, member) as server, server.connect() as connection:
        assert connection.request(headers=headers).body == b"ok"
        assert not {"HTTP_UPGRADE", "HTTP_CONNECTION"} & requests[0].variables.keys()
    switches = b"HTTP/1.1 101 Up\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    member, _ = member_over(protocol, switches if protocol == "uwsgi" else cgi(b"Status: 101\r\n\r\n"))
    with routed(tmp_path, member) as server, server.connect() as connection:
        assert connection.request(headers=headers).status == 502


@pytest.mark.parametrize("protocol", OVER)
def test_what_is_idempotent_is_asked_of_another_member(tmp_path: Path, protocol: str) -> None:
    def breaks(member: Member, peer: socket.socket) -> None:
        READ[protocol](peer)

    broken = Member(breaks, scheme=protocol)
    there, _ = member_over(protocol, usual(protocol))
    over_http = Member(responds())
    with routed(tmp_path, broken, there, over_http) as server, server.connect() as connection:
        assert [connection.request().body for _ in range(6)] == [b"ok"] * 6
        assert over_http.count > 0


@pytest.mark.parametrize("protocol", OVER)
def test_health_checks_say_who_gets_requests(tmp_path: Path, protocol: str) -> None:
    is_well = threading.Event()
    is_well.set()

    def respond(request: GatewayRequest) -> bytes:
        ill = request.variables["REQUEST_URI"] == "/readyz?x" and not is_well.is_set()
        if protocol == "uwsgi":
            return b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" if ill else HTTP_OK
        return cgi(b"Status: 500\r\n\r\n") if ill else cgi(CGI_OK)

    member, requests = member_over(protocol, respond)
    more = (
        'health_path = "/readyz?x"\nhealth_interval = "20ms"\nhost = "shop.example"\n'
        'variables = { SCRIPT_FILENAME = "/a.php" }'
    )
    with routed(tmp_path, member, more=more) as server:
        is_well.clear()
        server.error_log.wait_for(f"upstream {member.url}: does not respond well to health checks")
        is_well.set()
        server.error_log.wait_for(f"upstream {member.url}: responds well again to health checks")
    given = requests[0].variables
    assert (given["REQUEST_METHOD"], given["PATH_INFO"], given["QUERY_STRING"]) == ("GET", "/readyz", "x")
    assert (given["HTTP_HOST"], given["REMOTE_ADDR"], given["SCRIPT_FILENAME"]) == (
        *("shop.example", "127.0.0.1"),
        "/a.php",
    )


# --- Servers of others


SHOWING = """
def application(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    keys = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "HTTP_HOST",
            "wsgi.url_scheme", "HTTP_X_A", "CONTENT_TYPE", "SERVER_NAME", "SERVER_PORT")
    given = "".join(f"{key}={environ.get(key)}\\n" for key in keys).encode()
    start_response("201 Made", [("Content-Type", "text/plain"), ("X-Body", str(len(body)))])
    return [given, body]
"""
EXPECTED = (
    "REQUEST_METHOD={method}\nSCRIPT_NAME=\nPATH_INFO=/x y\nQUERY_STRING=q=1\nREMOTE_ADDR=127.0.0.1\n"
    "HTTP_HOST=shop.example\nwsgi.url_scheme=http\nHTTP_X_A=b\nCONTENT_TYPE=a/b\n"
    "SERVER_NAME=shop.example\nSERVER_PORT=80\n"
)


def is_right(connection: Connection, method: str, body: bytes) -> None:
    headers = ("Host: shop.example", "X-A: b", "Content-Type: a/b")
    response = connection.request("/x%20y?q=1", method=method, headers=headers, host=False, body=body or None)
    assert (response.status, response.body) == (201, EXPECTED.format(method=method).encode() + body)
    assert response.get("x-body") == str(len(body))


def of_chunks(connection: Connection, body: bytes) -> Response:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.send(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
    return connection.read_response()


@pytest.mark.parametrize("how", ["tcp", "unix"])
def test_a_uwsgi_serves_behind_portico(tmp_path: Path, how: str) -> None:
    program = find_program("uwsgi-core", what="a uWSGI behind portico")
    (tmp_path / "showing.py").write_text(SHOWING)
    port = free_port()
    bound = [f"127.0.0.1:{port}", *([f"{tmp_path}/uwsgi.sock"] if how == "unix" else [])]
    command = [
        *(program, "--plugin", "python3", "--need-app", "--die-on-term", "--master", "--processes", "2"),
        *("--chdir", str(tmp_path), "--wsgi", "showing:application", "--buffer-size", "65535"),
        *(word for each in bound for word in ("--uwsgi-socket", each)),
    ]
    to = f"uwsgi://127.0.0.1:{port}" if how == "tcp" else f"uwsgi+unix:{tmp_path}/uwsgi.sock"
    with ExitStack() as stack:
        log = tmp_path / "uwsgi.log"
        stack.enter_context(ForegroundProgram("uwsgi", command, folder=tmp_path, log_path=log, port=port))
        server = stack.enter_context(router(tmp_path, upstream(to)))
        connection = stack.enter_context(server.connect())
        for _ in range(2):
            is_right(connection, "GET", b"")
            is_right(connection, "POST", os.urandom(300_000))
            is_right(connection, "PUT", b"abc")
        assert of_chunks(connection, b"abc" * 1000).get("x-body") == "3000"
        assert connection.request(method="HEAD").status == 201


PHP = """<?php
$body = file_get_contents("php://input");
http_response_code(201);
header("X-Body: " . strlen($body));
header("Content-Type: text/plain");
error_log("said by PHP");
foreach (["REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "HTTP_HOST"] as $key) {
    echo $key, "=", $_SERVER[$key] ?? "None", "\\n";
}
echo "wsgi.url_scheme=", $_SERVER["REQUEST_SCHEME"], "\\n";
foreach (["HTTP_X_A", "CONTENT_TYPE", "SERVER_NAME", "SERVER_PORT"] as $key) {
    echo $key, "=", $_SERVER[$key] ?? "None", "\\n";
}
echo $body;
"""


@pytest.mark.parametrize("how", ["tcp", "unix"])
def test_a_php_fpm_serves_behind_portico(tmp_path: Path, how: str) -> None:
    program = next((str(path) for path in sorted(Path("/usr/sbin").glob("php-fpm*"))), "")
    if not program:
        program = find_program("php-fpm", what="a php-fpm behind portico")
    (tmp_path / "index.php").write_text(PHP)
    port = free_port()
    place = f"127.0.0.1:{port}" if how == "tcp" else f"{tmp_path}/php.sock"
    pool = "pm = static\npm.max_children = 1\nphp_admin_value[log_errors] = on\n"
    if os.getuid() == 0:
        pool += "user = root\ngroup = root\n"
    # The second pool is there to be waited for.
    (tmp_path / "fpm.conf").write_text(
        f"[global]\nerror_log = {tmp_path}/fpm.log\n[www]\nlisten = {place}\n{pool}"
        + (f"[wait]\nlisten = 127.0.0.1:{port}\n{pool}" if how == "unix" else "")
    )
    command = [program, "--nodaemonize", "--fpm-config", str(tmp_path / "fpm.conf"), "--allow-to-run-as-root"]
    to = f"fastcgi://127.0.0.1:{port}" if how == "tcp" else f"fastcgi+unix:{tmp_path}/php.sock"
    more = f'variables = {{ SCRIPT_FILENAME = "{tmp_path}/index.php" }}'
    with ExitStack() as stack:
        log = tmp_path / "said.log"
        stack.enter_context(ForegroundProgram("php-fpm", command, folder=tmp_path, log_path=log, port=port))
        server = stack.enter_context(router(tmp_path, upstream(to, more=more)))
        connection = stack.enter_context(server.connect())
        for _ in range(2):
            is_right(connection, "GET", b"")
            is_right(connection, "POST", os.urandom(300_000))
        # PHP reads no body without a length: it has one, since it has come before.
        assert of_chunks(connection, b"abc" * 1000).get("x-body") == "3000"
        assert connection.request(method="HEAD").status == 201
        server.error_log.wait_for(rf"upstream {re.escape(to)}: says: PHP message: said by PHP")
