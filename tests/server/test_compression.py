"""Responses that the engine compresses on their way out: which, how, and when they arrive."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import brotli
import httpx
import pytest
import zstandard
from apps.compressing import BLOCKS, text
from support.gateway import variables
from support.gateway_server import GatewayServer, read_response, request, running_gateway_server
from support.raw_client import Closed, Response
from support.server import Server

ACCEPTS = "Accept-Encoding: gzip, deflate, br"
SIZE = 20_000
PAGE = "".join(f"<p>line {number * 7919 % 1009} of a page</p>\n" for number in range(2000))
LARGE = 3_000_000
OPTIONS = ["--compress", "zstd,gzip,br", "--response-memory", "64K", "--response-spool", "16M"]


@pytest.fixture(scope="module")
def compressing() -> Iterator[Server]:
    with Server("apps.compressing:application", threads=8, options=OPTIONS) as running:
        yield running


@pytest.fixture(scope="module")
def one_thread() -> Iterator[Server]:
    with Server("apps.compressing:application", threads=1, options=OPTIONS) as running:
        yield running


@pytest.fixture(params=["one_thread", "compressing"])
def either(request: pytest.FixtureRequest) -> Server:
    """A server with one thread, and one with several: where the time counts at which bytes leave."""
    server: Server = request.getfixturevalue(request.param)
    return server


def target(*headers: str, **parameters: object) -> str:
    return "/?" + urlencode([*parameters.items(), *(("header", header) for header in headers)])


def get(server: Server, path: str, *headers: str, method: str = "GET", version: str = "HTTP/1.1") -> Response:
    with server.connect() as connection:
        return connection.request(path, method=method, version=version, headers=headers or (ACCEPTS,))


def is_compressed(response: Response) -> bool:
    """Whether it is; what it says of itself has to be true."""
    coding = response.get("Content-Encoding")
    assert coding in (None, "br", "gzip", "zstd")
    return coding is not None


class BrotliDecoder:
    """As those of zlib and zstandard."""

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()
        self.unused_data = b""

    @property
    def eof(self) -> bool:
        return bool(self._decompressor.is_finished())

    def decompress(self, data: bytes) -> bytes:
        decoded: bytes = self._decompressor.process(data)
        return decoded


def decoder(coding: str | None) -> Any:
    """What decodes one body, block by block."""
    if coding == "br":
        return BrotliDecoder()
    return zstandard.ZstdDecompressor().decompressobj() if coding == "zstd" else zlib.decompressobj(wbits=31)


def content(response: Response) -> bytes:
    """The body, decoded, which has to be complete."""
    if not is_compressed(response):
        return response.body
    decoding = decoder(response.get("Content-Encoding"))
    decoded: bytes = decoding.decompress(response.body)
    assert (decoding.eof, decoding.unused_data) == (True, b"")
    return decoded


all_codings = pytest.mark.parametrize("coding", ["br", "gzip", "zstd"])


# --- How bodies come


@all_codings
@pytest.mark.parametrize("shape", ["whole", "bare", "sized", "in-memory"])
def test_a_body_of_one_block_has_the_length_of_what_was_sent(
    compressing: Server, shape: str, coding: str
) -> None:
    response = get(compressing, target(shape=shape, size=SIZE), f"Accept-Encoding: {coding}")
    assert response.get("Content-Encoding") == coding
    assert (response.framing, is_compressed(response)) == ("length", True)
    assert content(response) == text(SIZE)
    assert len(response.body) < SIZE / 2
    assert response.get("Vary") == "Accept-Encoding"


@all_codings
@pytest.mark.parametrize("shape", ["whole", "blocks", "once", "write", "with-empty-blocks", "file"])
@pytest.mark.parametrize("has_length", [False, True], ids=["without-length", "with-length"])
def test_a_body_is_whole_however_it_comes(
    compressing: Server, shape: str, has_length: bool, coding: str
) -> None:
    with compressing.connect() as connection:
        for size in (1, 1023, 1024, 4096, 65_535, 65_536, 65_537, 300_000, 1024):
            length = {"length": size} if has_length else {}
            path = target(shape=shape, size=size, **length)
            response = connection.request(path, headers=[f"Accept-Encoding: {coding}"])
            assert response.get("Content-Encoding") in (coding, None)
            assert content(response) == text(size), size


def test_a_first_block_of_all_that_is_declared_is_one_block(compressing: Server) -> None:
    """As frameworks return it: an iterable that knows its length, of one block."""
    response = get(compressing, target(shape="once", size=SIZE, length=SIZE))
    assert (response.framing, is_compressed(response)) == ("length", True)
    assert content(response) == text(SIZE)


def test_a_streamed_body_is_chunked(compressing: Server) -> None:
    response = get(compressing, target(shape="blocks", size=SIZE))
    assert (response.framing, is_compressed(response)) == ("chunked", True)


@all_codings
def test_a_block_reaches_the_client_before_the_next_is_asked_for(
    either: Server, key: str, coding: str
) -> None:
    decoding = decoder(coding)
    expected, step = text(SIZE), SIZE // BLOCKS
    with either.connect() as connection:
        path = target(shape="gated", key=key, size=SIZE)
        connection.ask(path, headers=[f"Accept-Encoding: {coding}"])
        for number in range(BLOCKS):
            either.recorder.open_gate(key, number)
            if not number:
                assert connection.read_head().get("Content-Encoding") == coding
            block = b""
            while len(block) < step:
                block += decoding.decompress(connection.read_chunk())
            assert block == expected[number * step : (number + 1) * step]
        rest = b"".join(decoding.decompress(chunk) for chunk in connection.read_chunks())
    assert (rest, decoding.eof) == (b"", True)
    either.recorder.wait_for(key, "close")


def test_a_block_that_completes_a_declared_body_ends_it(compressing: Server, key: str) -> None:
    """The client waits for nothing that the application does after that."""
    with compressing.connect() as connection:
        connection.ask(target(shape="gated", key=key, size=SIZE, length=SIZE), headers=[ACCEPTS])
        for number in range(BLOCKS):
            compressing.recorder.open_gate(key, number)
        assert content(connection.read_response()) == text(SIZE)
        assert is_compressed(connection.request(target(size=SIZE), headers=[ACCEPTS]))


def test_a_slow_reader_gets_all_of_a_large_body(either: Server) -> None:
    size = 10_000_000
    with either.connect(receive_buffer=4096) as connection:
        connection.ask(target(shape="whole", size=size), headers=[ACCEPTS])
        # Others are served meanwhile, also where there is one thread.
        assert is_compressed(get(either, target(size=SIZE)))
        assert content(connection.read_response()) == text(size)


def test_a_reader_that_takes_nothing_bounds_what_is_compressed_for_it(compressing: Server, key: str) -> None:
    before = compressing.memory_bytes()
    with compressing.connect(receive_buffer=4096) as connection:
        connection.ask(target(shape="endless", key=key), headers=[ACCEPTS])
        connection.read_head()
        compressing.recorder.wait_for(key, "started")
        connection.discard(1 << 20)
        assert compressing.memory_bytes() - before < 32 << 20
    compressing.recorder.wait_for(key, "close")


def test_pipelined_responses_come_in_order(compressing: Server) -> None:
    with compressing.connect() as connection:
        for size in (2000, 500, 3000):
            for shape in ("whole", "blocks"):
                connection.ask(target(shape=shape, size=size), headers=[ACCEPTS])
        for size in (2000, 500, 3000):
            for _ in range(2):
                response = connection.read_response()
                assert content(response) == text(size)


# --- What a client accepts


@pytest.mark.parametrize(
    "accepted",
    ["gzip", "GZIP;q=0.1", "x-gzip", "*", "br, *;q=0.1", "gzip, identity", "identity;q=0, gzip;q=0.001"],
)
def test_a_client_that_accepts_the_coding_gets_it(compressing: Server, accepted: str) -> None:
    assert is_compressed(get(compressing, target(size=SIZE), f"Accept-Encoding: {accepted}"))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, zstd", "zstd"), ("gzip, zstd;q=0.9", "gzip"), ("*", "zstd"), ("zstd;q=0, *", "gzip")],
)
def test_of_two_codings_it_gets_the_one_that_it_likes_better(
    compressing: Server, accepted: str, coding: str
) -> None:
    response = get(compressing, target(size=SIZE), f"Accept-Encoding: {accepted}")
    assert (response.get("Content-Encoding"), content(response)) == (coding, text(SIZE))


@pytest.mark.parametrize(
    "accepted",
    [
        "",
        "compress",
        "gzip;q=0",
        "*;q=0",
        "identity",
        "identity, gzip;q=0.5",
        "gzip;q=2",
        "identity;q=0",
        "deflate",
    ],
)
def test_another_gets_the_same_as_it_is_and_caches_are_told(compressing: Server, accepted: str) -> None:
    response = get(compressing, target(size=SIZE, etag='"a"'), f"Accept-Encoding: {accepted}")
    assert (response.body, is_compressed(response)) == (text(SIZE), False)
    assert (response.get("Vary"), response.get("ETag")) == ("Accept-Encoding", '"a"')


def test_a_client_that_says_nothing_gets_the_same_as_it_is(compressing: Server) -> None:
    response = get(compressing, target(size=SIZE), "X: y")
    assert (response.body, response.get("Vary")) == (text(SIZE), "Accept-Encoding")


def test_several_fields_are_one_list(compressing: Server) -> None:
    assert is_compressed(get(compressing, target(size=SIZE), "Accept-Encoding: br", "Accept-Encoding: gzip"))


# --- Which responses


@pytest.mark.parametrize(
    "media_type",
    [
        *("text/html", "text/plain; charset=utf-8", "TEXT/CSS", "application/json", "application/ld+json"),
        *("application/javascript", "image/svg+xml", "application/atom+xml", "application/xml;charset=x"),
    ],
)
def test_texts_are_compressed(compressing: Server, media_type: str) -> None:
    assert is_compressed(get(compressing, target(size=SIZE, type=media_type)))


@pytest.mark.parametrize(
    "media_type", ["image/png", "application/octet-stream", "application/zip", "video/mp4", "none", "text"]
)
def test_other_types_are_not(compressing: Server, media_type: str) -> None:
    response = get(compressing, target(size=SIZE, type=media_type))
    assert (response.body, is_compressed(response), response.get("Vary")) == (text(SIZE), False, None)


def test_a_stream_of_events_is_not(compressing: Server) -> None:
    response = get(compressing, target(shape="blocks", type="text/event-stream"))
    assert (is_compressed(response), response.get("Vary")) == (False, None)


@pytest.mark.parametrize(
    "header",
    [
        *("Content-Encoding: br", "content-encoding: identity", "Cache-Control: no-transform"),
        *("Cache-Control: public, No-Transform, max-age=1", "Content-Range: bytes 0-19999/30000"),
        *("Content-MD5: x", "Digest: x", "Repr-Digest: sha-256=:x:", "Content-Digest: sha-256=:x:"),
    ],
)
def test_a_response_whose_bytes_are_settled_is_left_alone(compressing: Server, header: str) -> None:
    response = get(compressing, target(header, "Vary: Cookie", "Accept-Ranges: bytes", size=SIZE, etag='"a"'))
    name, value = header.split(": ")
    assert response.body == text(SIZE)
    assert (response.get(name), response.get("ETag"), response.get("Vary")) == (value, '"a"', "Cookie")


@pytest.mark.parametrize("status", ["206 Partial Content", "205 Reset Content"])
def test_a_status_about_a_part_or_nothing_is_left_alone(compressing: Server, status: str) -> None:
    response = get(compressing, target(size=SIZE, status=status))
    assert (is_compressed(response), response.get("Vary")) == (False, None)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_a_status_without_a_body_has_none(compressing: Server, status: str) -> None:
    with compressing.connect() as connection:
        response = connection.request(target(size=SIZE, status=status), headers=[ACCEPTS])
        assert (is_compressed(response), response.framing, response.get("Vary")) == (False, "none", None)
        assert is_compressed(connection.request(target(size=SIZE), headers=[ACCEPTS]))


@pytest.mark.parametrize("status", ["404 Not Found", "500 Internal Server Error", "201 Created"])
def test_error_pages_are_compressed(compressing: Server, status: str) -> None:
    assert is_compressed(get(compressing, target(size=SIZE, status=status)))


@pytest.mark.parametrize("shape", ["whole", "sized", "file", "in-memory"])
@pytest.mark.parametrize(("size", "is_worth_it"), [(1023, False), (1024, True)])
def test_a_short_body_is_not(compressing: Server, shape: str, size: int, is_worth_it: bool) -> None:
    response = get(compressing, target(size=size, shape=shape))
    assert is_compressed(response) is is_worth_it
    assert response.get("Vary") == ("Accept-Encoding" if is_worth_it else None)


def test_a_short_body_whose_length_is_declared_is_not(compressing: Server) -> None:
    assert not is_compressed(get(compressing, target(size=1000, length=1000, shape="blocks")))


def test_a_file_of_another_type_is_sent_as_a_file(compressing: Server) -> None:
    response = get(compressing, target(size=LARGE, shape="file", type="image/png"))
    assert (response.framing, response.body) == ("length", text(LARGE))


def test_nothing_is_compressed_unless_it_is_asked_for(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/many-blocks?count=100", headers=[ACCEPTS])
    assert (response.get("Content-Encoding"), response.get("Vary")) == (None, None)


def test_settings_say_which_and_from_how_many_bytes_on() -> None:
    options = [*OPTIONS, "--compress-types", "image/png,text/event-stream", "--compress-min-size", "100"]
    with Server("apps.compressing:application", options=[*options, "--compress-level", "9"]) as running:
        assert is_compressed(get(running, target(size=100, type="image/png")))
        assert is_compressed(get(running, target(shape="blocks", type="text/event-stream")))
        assert not is_compressed(get(running, target(size=99, type="image/png")))
        assert not is_compressed(get(running, target(size=SIZE, type="text/plain")))


# --- Heads


@pytest.mark.parametrize(
    ("given", "merged"),
    [
        (("Vary: Cookie",), ["Cookie, Accept-Encoding"]),
        (("vary: Cookie", "Vary: Origin"), ["Cookie, Accept-Encoding", "Origin"]),
        (("Vary: accept-encoding",), ["accept-encoding"]),
        (("Vary: Cookie, Accept-Encoding",), ["Cookie, Accept-Encoding"]),
        (("Vary: Cookie", "Vary: Accept-Encoding"), ["Cookie", "Accept-Encoding"]),
        (("Vary: *",), ["*"]),
        (("Vary: ",), ["", "Accept-Encoding"]),
    ],
)
@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_vary_is_merged(
    compressing: Server, given: tuple[str, ...], merged: list[str], accepted: str
) -> None:
    response = get(compressing, target(*given, size=SIZE), f"Accept-Encoding: {accepted}")
    assert response.all("Vary") == merged


def test_other_headers_stay(compressing: Server) -> None:
    given = ("Set-Cookie: a=1", "Set-Cookie: b=2", "Server: mine", "Date: today", "Accept-Ranges: bytes")
    response = get(compressing, target(*given, size=SIZE))
    assert (response.all("Set-Cookie"), response.get("Server"), response.get("Date")) == (
        ["a=1", "b=2"],
        "mine",
        "today",
    )
    assert response.get("Accept-Ranges") is None, "those that the application has are of other bytes"


@pytest.mark.parametrize("tag", ['"a"', 'W/"a"'])
def test_an_etag_of_a_compressed_body_is_weak(compressing: Server, tag: str) -> None:
    assert get(compressing, target(size=SIZE, etag=tag)).get("ETag") == 'W/"a"'


def test_an_application_recognises_the_etag_and_the_client_its_own(compressing: Server) -> None:
    """RFC 9110 15.4.5: with the ETag and the Vary that the 200 would have had."""
    path = target(size=SIZE, etag='"a"')
    tag = get(compressing, path).get("ETag")
    response = get(compressing, path, ACCEPTS, f"If-None-Match: {tag}")
    assert (response.status, response.get("ETag"), response.get("Vary")) == (304, tag, "Accept-Encoding")
    uncompressed = get(compressing, path, 'If-None-Match: "a"')
    assert (uncompressed.status, uncompressed.get("ETag")) == (304, '"a"')


@pytest.mark.parametrize("shape", ["whole", "blocks", "in-memory", "file"])
@pytest.mark.parametrize("size", [500, SIZE, LARGE])
@pytest.mark.parametrize("accepted", ["gzip", "identity"])
def test_head_has_the_head_of_get(compressing: Server, shape: str, size: int, accepted: str) -> None:
    def head(method: str) -> list[tuple[str, str]]:
        left_out = {"date", "content-length", "transfer-encoding"}
        path = target("Vary: Cookie", shape=shape, size=size, etag='"a"')
        response = get(compressing, path, f"Accept-Encoding: {accepted}", method=method)
        return [header for header in response.headers if header[0].lower() not in left_out]

    assert head("HEAD") == head("GET")


@pytest.mark.parametrize("shape", ["whole", "empty-for-head"])
@pytest.mark.parametrize("size", [500, SIZE])
def test_head_goes_by_the_length_that_the_application_declares(
    compressing: Server, shape: str, size: int
) -> None:
    with compressing.connect() as connection:
        path = target(shape=shape, size=size, length=size)
        response = connection.request(path, method="HEAD", headers=[ACCEPTS])
        assert is_compressed(response) is (size == SIZE)
        # Never the length of what is not sent.
        assert response.get("Content-Length") == (None if size == SIZE else str(size))
        assert is_compressed(connection.request(target(size=SIZE), headers=[ACCEPTS]))


# --- HTTP/1.0 and reverse proxies


def test_http_1_0_gets_a_length_where_it_can(compressing: Server) -> None:
    path = target(size=SIZE)
    response = get(compressing, path, ACCEPTS, "Connection: keep-alive", version="HTTP/1.0")
    assert (response.framing, response.get("Connection")) == ("length", "keep-alive")
    assert content(response) == text(SIZE)


@pytest.mark.parametrize("shape", ["blocks", "file"])
def test_http_1_0_gets_the_rest_until_the_connection_closes(compressing: Server, shape: str) -> None:
    response = get(compressing, target(size=SIZE, shape=shape, length=SIZE), version="HTTP/1.0")
    assert (response.framing, is_compressed(response)) == ("close", True)
    assert content(response) == text(SIZE)


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    listeners = {
        **{name: name + "://{address}" for name in ("uwsgi", "scgi", "fastcgi")},
        "uwsgi-kept": "uwsgi://{address}?persistent=on",
    }
    with running_gateway_server(
        *OPTIONS, listeners=listeners, application="apps.compressing:application", is_strict=False
    ) as running:
        yield running


@pytest.mark.parametrize("name", ["uwsgi", "uwsgi-kept", "scgi", "fastcgi"])
@pytest.mark.parametrize("shape", ["whole", "blocks", "once", "file", "write"])
@pytest.mark.parametrize("has_length", [False, True], ids=["without-length", "with-length"])
def test_reverse_proxies_get_the_same(
    gateway: GatewayServer, name: str, shape: str, has_length: bool
) -> None:
    for size in (SIZE, 300_000):
        length = {"length": size} if has_length else {}
        path = target(shape=shape, size=size, **length)
        given = variables(path, "GET", ("HTTP_ACCEPT_ENCODING", "br, gzip"))
        with gateway.connect(name) as connection:
            for _ in range(2 if name == "fastcgi" else 1):
                connection.send(request(name, given))
                response = read_response(connection, name)
                assert (response.get("Content-Encoding"), response.get("Vary")) == ("gzip", "Accept-Encoding")
                assert content(response) == text(size)
                assert response.get("Transfer-Encoding") is None


@pytest.mark.parametrize("name", ["uwsgi", "scgi", "fastcgi"])
def test_their_variables_say_what_the_client_accepts(gateway: GatewayServer, name: str) -> None:
    response = gateway.ask(name, target(size=SIZE))
    assert (response.body, response.get("Vary")) == (text(SIZE), "Accept-Encoding")


# --- What goes wrong


def test_a_body_that_breaks_off_does_not_look_complete(compressing: Server, key: str) -> None:
    with compressing.connect() as connection:
        connection.ask(target(shape="fails", key=key, size=SIZE), headers=[ACCEPTS])
        connection.read_head()
        assert decoder("gzip").decompress(connection.read_chunk()) == text(SIZE)
        with pytest.raises((Closed, ConnectionError)):
            connection.read_chunk()
    compressing.recorder.wait_for(key, "close")


@pytest.mark.parametrize("shape", ["blocks", "once", "file"])
def test_a_body_that_is_shorter_than_declared_does_not_look_complete(compressing: Server, shape: str) -> None:
    with compressing.connect() as connection:
        connection.ask(target(shape=shape, size=SIZE, length=SIZE + 1), headers=[ACCEPTS])
        with pytest.raises((Closed, ConnectionError)):
            connection.read_response()
    compressing.error_log.wait_for("shorter than the application's Content-Length")


@pytest.mark.parametrize("shape", ["blocks", "once", "whole", "file"])
def test_what_is_longer_than_declared_is_dropped(compressing: Server, shape: str) -> None:
    response = get(compressing, target(shape=shape, size=SIZE, length=SIZE - 1))
    assert content(response) == text(SIZE - 1)


@pytest.mark.parametrize("shape", ["blocks", "sized", "gated"])
def test_a_client_that_leaves_has_its_iterable_closed(compressing: Server, key: str, shape: str) -> None:
    with compressing.connect() as connection:
        connection.ask(target(shape=shape, key=key, size=SIZE), headers=[ACCEPTS])
        connection.reset()
    for number in range(BLOCKS + 1):
        compressing.recorder.open_gate(key, number)
    compressing.recorder.wait_for(key, "close")
    assert is_compressed(get(compressing, target(size=SIZE)))


# --- Accounts


@pytest.mark.parametrize("shape", ["whole", "blocks"])
def test_the_access_log_has_the_bytes_that_were_sent(compressing: Server, key: str, shape: str) -> None:
    response = get(compressing, target(shape=shape, key=key, size=SIZE))
    line = compressing.access_log.wait_for(rf"^.*{key}.*$")[0]
    assert f'HTTP/1.1" 200 {len(response.body)} ' in line


def test_encoders_are_used_again_and_given_back(compressing: Server) -> None:
    def serve(count: int) -> None:
        with compressing.connect() as connection:
            for _ in range(count):
                assert is_compressed(connection.request(target(size=5000), headers=[ACCEPTS]))

    serve(200)
    before = compressing.memory_bytes()
    serve(500)
    assert compressing.memory_bytes() - before < 4 << 20


# --- Frameworks


@pytest.fixture(scope="module", params=["flask", "django"])
def site(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    """A client that decodes, of a site."""
    pytest.importorskip(request.param)
    with (
        Server(f"apps.compressed_{request.param}", threads=4, options=OPTIONS) as running,
        httpx.Client(base_url=running.url, timeout=10, headers={"Accept-Encoding": "gzip"}) as client,
    ):
        yield client


def test_a_page_of_a_framework(site: httpx.Client) -> None:
    response = site.get("/page")
    assert response.text == PAGE
    assert response.headers["Content-Encoding"] == "gzip"
    assert int(response.headers["Content-Length"]) < len(PAGE) / 2


def test_a_framework_recognises_the_etag(site: httpx.Client) -> None:
    tag = site.get("/page").headers["ETag"]
    assert tag.startswith("W/")
    response = site.get("/page", headers={"If-None-Match": tag})
    assert (response.status_code, response.headers["ETag"], response.content) == (304, tag, b"")


def test_a_stream_of_a_framework(site: httpx.Client) -> None:
    response = site.get("/stream")
    assert response.text == "".join(f"line {number} of a stream\n" for number in range(100))
    assert response.headers["Content-Encoding"] == "gzip"


def test_a_file_of_a_framework(site: httpx.Client) -> None:
    response = site.get("/file")
    assert response.content == Path(logging.__file__).read_bytes()
    plain = site.get("/file", headers={"Accept-Encoding": "identity"})
    assert response.content == plain.content
    assert ("Content-Encoding" in plain.headers, plain.headers["Vary"]) == (False, "Accept-Encoding")


def test_what_a_framework_has_compressed_is_left_alone(site: httpx.Client) -> None:
    response = site.get("/compressed")
    assert response.text == PAGE
    assert response.headers.get_list("Content-Encoding") == ["gzip"]
