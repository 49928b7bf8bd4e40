"""PEP 3333, `wsgi.input` and `wsgi.errors`: numbers 17 to 23, 48 and 51."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
from support.raw_client import Connection, chunked, request_bytes
from support.server import WORKER, Server
from support.ways import CALLS_FOLLOW

LINES = b"first\nsecond\r\n\n\r\nno\rbreak\x00\xff\nlong " + b"x" * 300 + b"\nlast without newline"
ALL_BYTES = bytes(range(256)) * 3 + b"\r\n\n\r\r\n"


def post(connection: Connection, target: str, body: bytes, coding: str = "length") -> list[bytes]:
    """Post `body` in one of the two framings; return the parts the application read."""
    if coding == "chunked":
        half = len(body) // 2
        connection.send(request_bytes(target, "POST", headers=["Transfer-Encoding: chunked"]))
        connection.send(chunked(*filter(None, [body[:half], body[half:]])))
        response = connection.read_response()
    else:
        response = connection.request(target, method="POST", body=body)
    assert response.status == 200, response
    return [part.encode("latin-1") for part in json.loads(response.body)]


codings = pytest.mark.parametrize("coding", ["length", "chunked"])


def test_17_input_and_errors_have_all_methods(server: Server) -> None:
    with server.connect() as connection:
        response = json.loads(connection.request("/environ").body)
    assert response["input_methods"] == ["read", "readline", "readlines", "__iter__"]
    assert response["errors_methods"] == ["write", "writelines", "flush"]


@codings
def test_18_read_without_size_returns_the_rest(server: Server, coding: str) -> None:
    with server.connect() as connection:
        assert post(connection, "/reads-all", b"0123456789", coding) == [b"012", b"3456789", b"", b""]


@codings
@pytest.mark.parametrize("sizes", ["-1,5", "all,all", "4,-1,1", "0,3,0,100,1", "1,1,1,1", "1000000,1"])
def test_18_read_with_sizes(server: Server, coding: str, sizes: str) -> None:
    body = b"0123456789"
    model = io.BytesIO(body)
    expected = [model.read(-1 if size == "all" else int(size)) for size in sizes.split(",")]
    with server.connect() as connection:
        assert post(connection, f"/reads-with-sizes?sizes={sizes}", body, coding) == expected


@codings
def test_19_end_of_file_at_the_end_of_the_body(server: Server, coding: str) -> None:
    """A pipelined request behind the body is not read as body, and reading past the end never blocks."""
    with server.connect() as connection:
        if coding == "length":
            connection.send(request_bytes("/reads-with-sizes?sizes=3,10,10,-1,1", "POST", body=b"01234"))
        else:
            head = request_bytes(
                "/reads-with-sizes?sizes=3,10,10,-1,1", "POST", headers=["Transfer-Encoding: chunked"]
            )
            connection.send(head + chunked(b"01234"))
        connection.send(request_bytes("/function"))
        parts = json.loads(connection.read_response().body)
        assert connection.read_response().body == b"function"
    assert "".join(parts) == "01234"
    assert parts[-2:] == ["", ""]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_19_no_body_is_an_empty_file(server: Server, method: str) -> None:
    with server.connect() as connection:
        for target in ("/reads-with-sizes?sizes=-1,5,all", "/reads-lines-with-sizes?sizes=all,-1,5"):
            assert json.loads(connection.request(target, method=method).body) == ["", "", ""]
        assert json.loads(connection.request("/iterates", method=method).body) == []
        assert json.loads(connection.request("/readlines", method=method).body) == []


@codings
@pytest.mark.parametrize(
    "sizes", ["all,all", "3,3,3,3", "0,-1,2", "1000,1000,1000", "all,1,1,1,1,all,4,400,all,all,5"]
)
def test_20_readline_with_sizes(server: Server, coding: str, sizes: str) -> None:
    model = io.BytesIO(LINES)
    expected = [model.readline(-1 if size == "all" else int(size)) for size in sizes.split(",")]
    with server.connect() as connection:
        assert post(connection, f"/reads-lines-with-sizes?sizes={sizes}", LINES, coding) == expected


@codings
@pytest.mark.parametrize("hint", ["all", "1", "8", "-1", "0", "100000"])
def test_20_readlines(server: Server, coding: str, hint: str) -> None:
    """The hint may be ignored; no line may be lost or split."""
    with server.connect() as connection:
        assert post(connection, f"/readlines?hint={hint}", LINES, coding) == io.BytesIO(LINES).readlines()


@codings
def test_21_iteration_keeps_newlines(server: Server, coding: str) -> None:
    with server.connect() as connection:
        assert post(connection, "/iterates", LINES, coding) == list(io.BytesIO(LINES))


@codings
@pytest.mark.parametrize("repeat", [1, 400], ids=["small", "300 kB"])
def test_21_the_body_is_never_altered(server: Server, coding: str, repeat: int) -> None:
    body = ALL_BYTES * repeat
    with server.connect() as connection:
        if coding == "length":
            assert connection.request("/echo", method="POST", body=body).body == body
        else:
            connection.send(request_bytes("/echo", "POST", headers=["Transfer-Encoding: chunked"]))
            connection.send(chunked(*(body[at : at + 1000] for at in range(0, len(body), 1000))))
            assert connection.read_response().body == body


@codings
def test_21_lines_of_a_large_body(server: Server, coding: str) -> None:
    body = b"".join(b"%d %b\n" % (number, b"y" * (number % 200)) for number in range(5000))
    with server.connect() as connection:
        assert b"".join(post(connection, "/iterates", body, coding)) == body
        assert post(connection, "/readlines", body, coding) == body.splitlines(keepends=True)


def test_21_each_request_reads_its_own_body(server: Server) -> None:
    with server.connect() as connection:
        for body in [b"first", b"second", b"", b"x" * 5000, b"third"]:
            assert connection.request("/echo", method="POST", body=body).body == body
            assert connection.request("/echo").body == b""
            # Half of it is left to be read.
            sizes = f"/reads-with-sizes?sizes={len(body) // 2}"
            connection.request(sizes, method="POST", body=body)


def test_22_errors_go_to_the_error_log(server: Server, key: str) -> None:
    with server.connect() as connection:
        assert connection.request(f"/writes-errors?key={key}").status == 200
    for text in (f"write {key}", f"writelines {key} 1", f"writelines {key} 2"):
        server.error_log.wait_for(text)


def test_23_errors_take_any_unicode(server: Server, key: str) -> None:
    with server.connect() as connection:
        assert connection.request(f"/writes-errors?key={key}").status == 200
    server.error_log.wait_for(f"unicode {key} z\u017c \u2603 \U0001f40d")
    server.error_log.wait_for(f"surrogate {key} .* end")


def test_48_expect_gets_100_before_the_body_comes(server: Server) -> None:
    with server.connect() as connection:
        connection.send(request_bytes("/echo", "POST", headers=["Content-Length: 5", "Expect: 100-continue"]))
        interim = connection.read_head()
        assert (interim.status, interim.headers) == (100, [])
        connection.send(b"12345")
        assert connection.read_response().body == b"12345"


def test_48_expect_of_an_application_that_does_not_read(server: Server) -> None:
    """100 and then the response, or the response alone."""
    with server.connect() as connection:
        connection.send(
            request_bytes("/ignores-input", "POST", headers=["Content-Length: 5", "Expect: 100-continue"])
        )
        head = connection.read_response()
        if head.status == 100:
            connection.send(b"12345")
            head = connection.read_response()
        assert (head.status, head.body) == (200, b"ignored")


def test_48_never_100_to_http_1_0(server: Server) -> None:
    head = request_bytes(
        "/echo", "POST", version="HTTP/1.0", headers=["Content-Length: 5", "Expect: 100-continue"]
    )
    with server.connect() as connection:
        connection.send(head)
        assert connection.is_silent(0.05)
        connection.send(b"12345")
        response = connection.read_response()
        assert (response.status, response.body) == (200, b"12345")


def test_51_input_terminated(server: Server) -> None:
    with server.connect() as connection:
        entry = json.loads(connection.request("/environ").body)["values"]["wsgi.input_terminated"]
    assert entry == {"type": "bool", "value": True}


@codings
def test_51_a_buffered_body_that_was_truncated_never_looks_complete(
    server: Server, key: str, coding: str
) -> None:
    target = f"/records-reading?key={key}"
    with server.connect() as connection:
        if coding == "length":
            connection.send(request_bytes(target, "POST", headers=["Content-Length: 100"]) + b"half")
        else:
            connection.send(
                request_bytes(target, "POST", headers=["Transfer-Encoding: chunked"]) + b"64\r\nhalf"
            )
        connection.half_close()
        rest = connection.read_to_end()
    assert not rest.startswith(b"HTTP/1.1 2")
    assert "complete" not in server.recorder.events(key)


@pytest.fixture(scope="module", params=[1, 8], ids=["1-thread", "8-threads"])
def streaming_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Streams bodies beyond 64 KiB to the application instead of buffering them first."""
    if CALLS_FOLLOW:
        pytest.skip(f"{WORKER}: bodies have come before the call")
    environment = {"PORTICO_BODY_MEMORY": "16K", "PORTICO_BODY_SPOOL": "64K"}
    with Server(threads=request.param, environment=environment) as running:
        yield running


@pytest.mark.parametrize("method", ["read", "blocks", "readline", "readlines", "iteration"])
@pytest.mark.parametrize("leave", ["half_close", "reset", "close"])
def test_51_a_streamed_body_that_was_truncated_raises(
    streaming_server: Server, key: str, method: str, leave: str
) -> None:
    server = streaming_server
    with server.connect() as connection:
        connection.send(
            request_bytes(
                f"/records-reading?key={key}&method={method}", "POST", headers=["Content-Length: 1000000"]
            )
        )
        connection.send(b"x" * 200_000)
        server.recorder.wait_for(key, "called")
        getattr(connection, leave)()
        events = server.recorder.wait_for(key, "raised")
        if leave == "half_close":
            assert not connection.read_to_end().startswith(b"HTTP/1.1 2")
    assert "complete" not in events


@pytest.mark.parametrize("truncated", [b"", b"10", b"10\r\nabc", b"ffffffffffffffffff\r\n", b"zz\r\n"])
def test_51_a_streamed_chunked_body_that_was_truncated_raises(
    streaming_server: Server, key: str, truncated: bytes
) -> None:
    server = streaming_server
    with server.connect() as connection:
        connection.send(
            request_bytes(f"/records-reading?key={key}", "POST", headers=["Transfer-Encoding: chunked"])
        )
        connection.send(b"30000\r\n" + b"x" * 0x30000 + b"\r\n")
        server.recorder.wait_for(key, "called")
        connection.send(truncated)
        connection.half_close()
        events = server.recorder.wait_for(key, "raised")
    assert "complete" not in events


def test_51_a_streamed_body_arrives_whole(streaming_server: Server) -> None:
    body = ALL_BYTES * 1500
    with streaming_server.connect() as connection:
        for _ in range(2):
            assert connection.request("/echo", method="POST", body=body).body == body
        assert post(connection, "/iterates", LINES * 500) == list(io.BytesIO(LINES * 500))
