"""portico.middleware.http_proxy, called as a server calls it: what an upstream gets, and what comes back."""

from __future__ import annotations

import gc
import io
import socket
import threading
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from portico.middleware.http_proxy import HTTPProxyMiddleware
from support.server import Server, free_port

from .raw_upstream import RawUpstream, responding
from .whole_calls import Called, call, environ_for

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"the application"]


@pytest.fixture(scope="module")
def site() -> Iterator[Server]:
    """A real server behind the proxy."""
    with Server(threads=8) as running:
        yield running


def proxied(
    url: str | list[str], environ: dict[str, Any], *, is_valid: bool = True, **options: Any
) -> Called:
    """The response to `environ`, all of which goes to `url`."""
    own = {name: options.pop(name) for name in ("chunk_size", "timeout", "left_out_s") if name in options}
    middleware = HTTPProxyMiddleware(application, {"/": {"target": url, **options}}, **own)
    return call(middleware, environ, is_valid=is_valid)


def values_of(called: Called) -> dict[str, Any]:
    """environ at the upstream, as `apps.conformance` shows it."""
    return {key: each["value"] for key, each in called.json["values"].items()}


def fields_of(head: bytes) -> dict[str, str]:
    """The header lines of a request head; each may be there once."""
    lines = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:]]
    assert len({name.lower() for name, _ in lines}) == len(lines), lines
    return {name.lower(): value for name, value in lines}


# --- Werkzeug's options


def test_what_is_below_no_prefix_goes_to_the_application(site: Server) -> None:
    middleware = HTTPProxyMiddleware(application, {"/environ": {"target": site.url}})
    assert call(middleware, environ_for("/other")).body == b"the application"
    assert call(middleware, environ_for("/environ")).body == b"the application"
    assert values_of(call(middleware, environ_for("/environ/a")))["PATH_INFO"] == "/environ/a"


def test_the_path_stays_unless_the_prefix_is_removed(site: Server) -> None:
    middleware = HTTPProxyMiddleware(
        application,
        {
            "environ": {"target": f"{site.url}/ignored"},
            "/api/v1/": {"target": f"{site.url}/environ/", "remove_prefix": True},
        },
    )
    values = values_of(call(middleware, environ_for("/environ/a/b", query="a=1&b=%20")))
    assert (values["PATH_INFO"], values["QUERY_STRING"]) == ("/environ/a/b", "a=1&b=%20")
    assert "HTTP_X_FORWARDED_PREFIX" not in values
    values = values_of(call(middleware, environ_for("/api/v1/a/b", SCRIPT_NAME="/shop")))
    assert (values["PATH_INFO"], values["HTTP_X_FORWARDED_PREFIX"]) == ("/environ/a/b", "/shop/api/v1")


@pytest.mark.parametrize(
    ("host", "sent"),
    [("<auto>", "127.0.0.1"), (None, "shop.example:8080"), ("faked.invalid", "faked.invalid")],
)
def test_the_host_is_that_of_the_target_or_of_the_client_or_another(host: str | None, sent: str) -> None:
    with responding(OK) as upstream:
        proxied(upstream.url, environ_for(headers=[("Host", "shop.example:8080")]), host=host)
    assert fields_of(upstream.heads[0])["host"] == sent


def test_headers_of_the_target_win_over_those_of_the_client() -> None:
    with responding(OK) as upstream:
        environ = environ_for(headers=[("X-Special", "client"), ("X-Other", "client")])
        proxied(upstream.url, environ, headers={"x-special": "proxy", "Host": "set.example"})
    fields = fields_of(upstream.heads[0])
    assert (fields["x-special"], fields["x-other"], fields["host"]) == ("proxy", "client", "set.example")


@pytest.mark.parametrize(
    ("targets", "sentence"),
    [
        ({"/a": {}}, "expected a target for '/a'"),
        ({"/a": {"target": []}}, "expected a target for '/a'"),
        ({"/a": "http://a/"}, "expected a target for '/a'"),
        ({"/a": {"target": "ftp://a/"}}, "expected a URL such as http://127.0.0.1:5001/, got 'ftp://a/'"),
        ({"/a": {"target": ["http://a/", "b:80"]}}, "got 'b:80'"),
        ({"/a": {"target": "http://a:many/"}}, "got 'http://a:many/'"),
        ({"/a": {"target": "http://a/", "remove_prefx": True}}, "for '/a', got 'remove_prefx'"),
    ],
)
def test_rejects_what_is_no_target_at_the_start(targets: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the sentence is compared below
        HTTPProxyMiddleware(application, targets)
    assert sentence in str(raised.value)


# --- Heads


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/caf\xc3\xa9", b"/caf%C3%A9"),
        ("/a b?c#d%20e", b"/a%20b%3Fc%23d%2520e"),
        ("/$&'()*+,;=:@~!-._", b"/$&'()*+,;=:@~!-._"),
        ("/a//b", b"/a//b"),
    ],
)
def test_a_path_is_encoded_once(path: str, sent: bytes) -> None:
    with responding(OK) as upstream:
        proxied(upstream.url, environ_for(path))
    assert upstream.heads[0].split(b"\r\n")[0] == b"GET " + sent + b" HTTP/1.1"


def test_a_query_passes_as_it_came_and_nothing_else_with_it() -> None:
    with responding(OK, OK) as upstream:
        proxied(upstream.url, environ_for(query="a=%zz&b=c?d/\"'"))
        proxied(upstream.url, environ_for(query="a=\xe9 b\r\nX: y"))
    assert [head.split(b"\r\n")[0] for head in upstream.heads] == [
        b"GET /?a=%zz&b=c?d/\"' HTTP/1.1",
        b"GET /?a=%E9%20b%0D%0AX:%20y HTTP/1.1",
    ]


def test_hop_by_hop_headers_go_no_further_in_either_direction() -> None:
    response = (
        b"HTTP/1.1 200 OK\r\nConnection: X-Internal, close\r\nX-Internal: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Upgrade: h2c\r\nTrailer: X-Sum\r\nX-Kept: yes\r\nContent-Type: text/plain\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    )
    hop_by_hop = (
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Expect",
    )
    with responding(response) as upstream:
        named = [("Connection", "X-Secret , upgrade"), ("X-Secret", "1"), ("X-Kept", "yes")]
        environ = environ_for(headers=[*named, *((name, "x") for name in hop_by_hop)])
        called = proxied(upstream.url, environ)
    assert {*fields_of(upstream.heads[0])} == {
        *("host", "x-kept", "x-forwarded-proto", "x-forwarded-host"),
    }
    assert (called.headers, called.body) == ([("X-Kept", "yes"), ("Content-Type", "text/plain")], b"ok")


def test_the_client_is_told_in_forwarded_headers_that_nobody_can_forge() -> None:
    forged = [("Forwarded", "for=1.2.3.4"), ("X-Forwarded-Port", "1"), ("X-Forwarded-Host", "evil.example")]
    environ = environ_for(
        headers=[
            *forged,
            ("X-Forwarded-Proto", "ftp"),
            ("X-Forwarded-For", "198.51.100.1"),
            ("Host", "a:81"),
        ],
        REMOTE_ADDR="192.0.2.7",
        **{"wsgi.url_scheme": "https"},
    )
    with responding(OK) as upstream:
        proxied(upstream.url, environ)
    fields = fields_of(upstream.heads[0])
    assert {name: value for name, value in fields.items() if "forwarded" in name} == {
        "x-forwarded-for": "198.51.100.1, 192.0.2.7",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "a:81",
    }


def test_a_folded_header_is_unfolded_and_repeated_ones_stay_apart() -> None:
    head = (
        b"HTTP/1.1 200\r\nContent-Type: text/plain\r\nX-Long: a\r\n  b\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2"
    )
    with responding(head + b"\r\nContent-Length: 0\r\n\r\n") as upstream:
        called = proxied(upstream.url, environ_for())
    assert called.status == "200 OK"
    assert (called.get("X-Long"), called.all("Set-Cookie")) == ("a b", ["a=1", "b=2"])


def test_an_interim_response_is_not_the_response() -> None:
    with responding(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK
    ) as upstream:
        assert proxied(upstream.url, environ_for()).body == b"ok"


@pytest.mark.parametrize(
    ("method", "response", "length"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\n", "7"),
        ("GET", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', None),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n", None),
        # RFC 9112 6.1 lets both say what a GET would have got.
        ("GET", b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        (
            "HEAD",
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
            None,
        ),
    ],
)
def test_a_response_without_a_body_ends_with_its_head(
    method: str, response: bytes, length: str | None
) -> None:
    with responding(response, response) as upstream:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": upstream.url}})
        for _ in range(2):
            called = call(middleware, environ_for(method=method))
            assert (called.get("Content-Length"), called.body) == (length, b"")
    assert upstream.connections == 1


# --- Bodies


@pytest.mark.parametrize("chunk_size", [1, 7, 1 << 14])
def test_bodies_are_not_altered_in_either_direction(site: Server, chunk_size: int) -> None:
    body = bytes(range(256)) * 10
    called = proxied(site.url, environ_for("/echo", method="POST", body=body), chunk_size=chunk_size)
    assert called.body == body


def test_a_chunked_body_stays_chunked(site: Server) -> None:
    body = bytes(range(256)) * 10
    environ = environ_for(
        "/echo",
        method="POST",
        headers=[("Transfer-Encoding", "chunked")],
        **{"wsgi.input": io.BytesIO(body), "wsgi.input_terminated": True},
    )
    assert proxied(site.url, environ, chunk_size=100).body == body


def test_a_chunked_body_whose_end_cannot_be_found_has_to_come_with_a_length() -> None:
    with responding(OK) as upstream:
        called = proxied(upstream.url, environ_for(method="POST", headers=[("Transfer-Encoding", "chunked")]))
    assert (called.status, called.body) == (
        "411 Length Required",
        b"The request body has to be sent with its length.\n",
    )
    assert upstream.connections == 0


def test_a_body_that_ends_too_early_is_the_fault_of_the_client() -> None:
    with responding(OK) as upstream:
        environ = environ_for(method="POST", body=b"half", CONTENT_LENGTH="8")
        called = proxied(upstream.url, environ)
    assert (called.status, called.body) == (
        "400 Bad Request",
        b"The request body ended after 4 of 8 bytes.\n",
    )
    assert called.errors == ""


def test_what_reading_the_body_raises_passes() -> None:
    class Broken:
        def read(self, size: int) -> bytes:
            raise ConnectionError("the client has left")

    with responding(OK) as upstream:
        environ = environ_for(method="POST", CONTENT_LENGTH="8", **{"wsgi.input": Broken()})
        with pytest.raises(ConnectionError, match="the client has left"):
            proxied(upstream.url, environ, is_valid=False)


def test_a_response_to_half_a_request_counts() -> None:
    def rejects(upstream: RawUpstream, connection: socket.socket, number: int) -> None:
        while b"\r\n\r\n" not in connection.recv(1 << 16):
            pass
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nno")
        connection.shutdown(socket.SHUT_WR)
        # Unread bytes would have the kernel take the response back.
        while connection.recv(1 << 16):
            pass

    with RawUpstream(rejects) as upstream:
        called = proxied(upstream.url, environ_for(method="POST", body=b"x" * (1 << 20)))
    assert (called.status, called.body) == ("413 Too Large", b"no")


def test_a_response_counts_also_if_the_upstream_has_closed_before_it_had_the_request() -> None:
    def rejects_and_leaves(upstream: RawUpstream, connection: socket.socket, number: int) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nno")

    with RawUpstream(rejects_and_leaves) as upstream:
        called = proxied(upstream.url, environ_for(method="POST", body=b"x" * (16 << 20)))
    assert (called.status, called.body) == ("413 Too Large", b"no")


def test_a_response_to_half_a_request_counts_also_where_nothing_more_is_read() -> None:
    def rejects_and_waits(upstream: RawUpstream, connection: socket.socket, number: int) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\nno")
        assert is_over.wait(10)

    is_over = threading.Event()
    with RawUpstream(rejects_and_waits) as upstream:
        called = proxied(upstream.url, environ_for(method="POST", body=b"x" * (16 << 20)))
        is_over.set()
    assert (called.status, called.body) == ("413 Too Large", b"no")


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_response_to_each_block_of_the_request_is_streamed_both_ways(framing: str) -> None:
    """The upstream takes nothing more until what it has made of it is taken."""
    size = 16 << 20

    def echoes(upstream: RawUpstream, connection: socket.socket, number: int) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(1)
        said = f"Content-Length: {size}" if framing == "length" else "Transfer-Encoding: chunked"
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n{said}\r\n\r\n".encode())
        left = size
        while left:
            block = connection.recv(1 << 16)
            left -= len(block)
            connection.sendall(block if framing == "length" else b"%x\r\n%b\r\n" % (len(block), block))
        if framing == "chunks":
            connection.sendall(b"0\r\n\r\n")

    body = bytes(range(256)) * (size // 256)
    with RawUpstream(echoes) as upstream:
        called = proxied(upstream.url, environ_for(method="POST", body=body), timeout=5)
    assert called.status == "200 OK"
    assert called.body == body


def test_a_body_that_fails_while_the_response_comes_is_not_the_fault_of_the_upstream() -> None:
    class Body:
        left = 64

        def read(self, size: int) -> bytes:
            self.left -= 1
            if self.left < 0:
                raise ConnectionError("the client has left")
            return b"x" * size

    def responds_slowly(upstream: RawUpstream, connection: socket.socket, number: int) -> None:
        connection.recv(1)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nok")
        while connection.recv(1 << 16):
            pass

    with RawUpstream(responds_slowly) as upstream:
        environ = environ_for(method="POST", CONTENT_LENGTH=str(1 << 30), **{"wsgi.input": Body()})
        with pytest.raises(ConnectionError, match="the client has left"):
            proxied(upstream.url, environ, is_valid=False, chunk_size=1 << 20)


# --- Upstreams that fail


def test_one_that_cannot_be_reached_is_a_502_and_a_line() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    called = proxied(url, environ_for())
    assert (called.status, called.body) == (
        "502 Bad Gateway",
        b"The server behind this address cannot be reached.\n",
    )
    assert called.errors == f"HTTPProxyMiddleware: {url} cannot be reached: [Errno 111] Connection refused\n"


def test_one_that_takes_too_long_is_a_504_and_a_line() -> None:
    with RawUpstream(
        lambda upstream, connection, number: connection.recv(1 << 16) and connection.recv(1)
    ) as upstream:
        called = proxied(upstream.url, environ_for(), timeout=0.1)
    assert (called.status, called.body) == (
        "504 Gateway Timeout",
        b"The server behind this address did not respond in time.\n",
    )
    assert called.errors == f"HTTPProxyMiddleware: {upstream.url} did not respond in time\n"


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX-Name: a\0b\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 O\x1bK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX(Name): a\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=[
        *(
            "nothing",
            "half-line",
            "half-head",
            "ssh",
            "no-header",
            "lengths",
            "negative",
            "coding",
            "upgrade",
        ),
        *("control-character", "control-character-in-the-reason", "no-name"),
    ],
)
def test_a_response_that_is_none_is_a_502(response: bytes) -> None:
    with responding(response) as upstream:
        called = proxied(upstream.url, environ_for(method="POST", body=b""))
    assert called.status == "502 Bad Gateway"
    assert upstream.url in called.errors
    assert upstream.url not in called.body.decode()


@pytest.mark.parametrize(
    ("response", "missing"),
    [
        (b"Content-Length: 10\r\n\r\nhalf", "6 bytes are missing"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "IncompleteRead"),
        (b"Transfer-Encoding: chunked\r\n\r\n8\r\nhalf", "IncompleteRead"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n", "IncompleteRead"),
    ],
    ids=["length", "chunks", "in-a-chunk", "nonsense"],
)
def test_a_response_that_breaks_off_raises_and_is_never_taken_for_complete(
    response: bytes, missing: str
) -> None:
    with responding(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + response) as upstream:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": upstream.url}})
        blocks = []
        with pytest.raises(ConnectionError) as raised:  # noqa: PT012 - what comes before counts
            for block in middleware(environ_for(), lambda *arguments: lambda block: None):
                blocks.append(block)
    assert blocks == [b"half"]
    assert str(raised.value).startswith(f"{upstream.url} broke off its response: {missing}")


# --- Several upstreams


def test_equals_are_asked_in_turn() -> None:
    with responding(OK, OK, OK) as one, responding(OK, OK, OK) as two, responding(OK, OK, OK) as three:
        urls = [each.url for each in (one, two, three)]
        middleware = HTTPProxyMiddleware(application, {"/": {"target": urls}})
        for _ in range(6):
            call(middleware, environ_for())
        assert [len(each.heads) for each in (one, two, three)] == [2, 2, 2]


def test_the_one_with_the_fewest_requests_in_flight_is_asked_first() -> None:
    with responding(OK, OK, OK) as busy, responding(OK, OK, OK) as idle:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": [busy.url, idle.url]}})
        # Its response is not read to the end, so it is in flight.
        open_response: Any = middleware(environ_for(), lambda *arguments: lambda block: None)
        for _ in range(3):
            call(middleware, environ_for())
        assert [len(each.heads) for each in (busy, idle)] == [1, 3]
        open_response.close()
        call(middleware, environ_for())
        assert len(busy.heads) == 2


def test_a_dead_one_is_left_out_and_the_next_asked_whatever_the_method() -> None:
    dead = f"http://127.0.0.1:{free_port()}"
    with responding(OK, OK) as alive:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": [dead, alive.url]}})
        first = call(middleware, environ_for(method="POST", body=b"body"))
        second = call(middleware, environ_for(method="POST", body=b"body"))
    assert (first.body, alive.bodies) == (b"ok", [b"body", b"body"])
    assert first.errors == f"HTTPProxyMiddleware: {dead} cannot be reached: [Errno 111] Connection refused\n"
    assert second.errors == ""


def test_a_dead_one_is_retried_after_a_while() -> None:
    port = free_port()
    with responding(OK, OK) as alive:
        targets = {"/": {"target": [f"http://127.0.0.1:{port}", alive.url]}}
        middleware = HTTPProxyMiddleware(application, targets, left_out_s=0.0)
        assert [call(middleware, environ_for()).errors.count(f":{port} cannot") for _ in range(2)] == [1, 1]


def test_one_that_is_left_out_is_asked_where_there_is_no_other() -> None:
    with responding(b"") as upstream:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": upstream.url}})
        for _ in range(2):
            assert call(middleware, environ_for()).status == "502 Bad Gateway"
    assert upstream.connections == 2


@pytest.mark.parametrize(
    ("method", "body", "is_repeated"),
    [
        ("GET", None, True),
        ("DELETE", None, True),
        ("POST", b"", False),
        ("PUT", b"x", False),
        ("PATCH", None, False),
    ],
)
def test_only_what_may_be_repeated_is_sent_twice(method: str, body: bytes | None, is_repeated: bool) -> None:
    with responding(b"") as broken, responding(OK) as alive:
        called = proxied([broken.url, alive.url], environ_for(method=method, body=body))
    assert (called.status == "200 OK") == is_repeated
    assert (len(broken.heads), len(alive.heads)) == (1, int(is_repeated))


def test_one_that_is_slow_is_neither_left_out_nor_is_another_asked() -> None:
    done = threading.Event()
    with RawUpstream(lambda upstream, connection, number: done.wait(10)) as slow, responding(OK) as alive:
        called = proxied([slow.url, alive.url], environ_for(), timeout=0.1)
        done.set()
    assert (called.status, alive.connections) == ("504 Gateway Timeout", 0)


# --- Kept connections


def test_a_connection_is_kept_for_the_next_request() -> None:
    with responding(
        OK, b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", OK
    ) as upstream:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": upstream.url}})
        bodies = [call(middleware, environ_for()).body for _ in range(3)]
    assert (bodies, upstream.connections) == ([b"ok", b"", b"ok"], 1)


def test_a_kept_connection_that_was_closed_meanwhile_costs_nobody_a_response() -> None:
    def closes_at_the_second(upstream: RawUpstream, connection: socket.socket, number: int) -> None:
        upstream.read_request(connection)
        connection.sendall(OK)
        if number == 0:
            upstream.read_request(connection)

    with RawUpstream(closes_at_the_second) as upstream:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": upstream.url}})
        called = [call(middleware, environ_for()) for _ in range(2)]
    assert [(each.body, each.errors) for each in called] == [(b"ok", ""), (b"ok", "")]
    assert (upstream.connections, len(upstream.heads)) == (2, 3)


def test_a_kept_connection_keeps_nothing_of_a_request() -> None:
    class Input(io.BytesIO):
        pass

    body = Input(b"body")
    with responding(OK, OK) as upstream:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": upstream.url}})
        environ = environ_for(method="POST", CONTENT_LENGTH="4", **{"wsgi.input": body})
        assert call(middleware, environ, is_valid=False).body == b"ok"
        left = weakref.ref(body)
        del body, environ
        gc.collect()
        assert left() is None
        assert call(middleware, environ_for()).body == b"ok"
    assert upstream.connections == 1


def test_targets_may_come_from_an_iterator() -> None:
    with responding(OK, OK) as upstream:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": (url for url in [upstream.url])}})
        assert [call(middleware, environ_for()).body for _ in range(2)] == [b"ok"] * 2


def test_what_cannot_be_repeated_gets_a_fresh_connection() -> None:
    with responding(OK, OK, OK) as upstream:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": upstream.url}})
        call(middleware, environ_for())
        call(middleware, environ_for(method="POST", body=b"body"))
        call(middleware, environ_for())
        assert upstream.connections == 2


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Type: a/b\r\n\r\nok",
    ],
    ids=["close", "http-1.0"],
)
def test_a_connection_that_is_to_be_closed_is(response: bytes) -> None:
    with responding(response) as upstream:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": upstream.url}})
        assert [call(middleware, environ_for()).body for _ in range(2)] == [b"ok", b"ok"]
    assert upstream.connections == 2


def test_closing_the_response_ends_the_connection_to_the_upstream() -> None:
    ended = threading.Event()

    def endless(upstream: RawUpstream, connection: socket.socket, number: int) -> None:
        upstream.read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 100\r\n\r\nfirst")
        with suppress(ConnectionError):
            assert connection.recv(1) == b""
        ended.set()

    with RawUpstream(endless) as upstream:
        middleware = HTTPProxyMiddleware(application, {"/": {"target": upstream.url}})
        response: Any = middleware(environ_for(), lambda *arguments: lambda block: None)
        assert next(response) == b"first"
        response.close()
        assert ended.wait(10)
        assert list(response) == []


def test_targets_that_are_equal_share_their_upstreams() -> None:
    with responding(OK, OK) as upstream:
        target = {"target": upstream.url}
        middleware = HTTPProxyMiddleware(application, {"/a": target, "/b": dict(target)})
        call(middleware, environ_for("/a/"))
        call(middleware, environ_for("/b/"))
    assert upstream.connections == 1


def test_many_threads_at_once_each_get_their_own_response(site: Server) -> None:
    middleware = HTTPProxyMiddleware(application, {"/": {"target": [site.url, f"{site.url}/"]}})
    bodies: dict[int, bytes] = {}

    def work(number: int) -> None:
        for step in range(20):
            body = f"{number} {step}".encode()
            assert call(middleware, environ_for("/echo", method="PUT", body=body)).body == body
            query = f"number={number}-{step}"
            assert values_of(call(middleware, environ_for("/environ", query=query)))["QUERY_STRING"] == query
        bodies[number] = body

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert bodies == {number: f"{number} 19".encode() for number in range(8)}
