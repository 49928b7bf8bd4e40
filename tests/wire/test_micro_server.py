"""examples/micro_server.py: a server to be read, that serves."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any
from wsgiref.simple_server import demo_app
from wsgiref.validate import validator

import pytest
from support.raw_client import Connection, chunked

EXAMPLES = Path(__file__).parents[2] / "examples"
SOURCE = EXAMPLES / "micro_server.py"
METHODS = (
    "set_app",
    "serve_forever",
    "handle_request",
    "parse_request",
    "get_environ",
    "start_response",
    "finish_response",
)


def load() -> Any:
    spec = spec_from_file_location("micro_server", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MicroServer = load().MicroServer


@contextmanager
def serving(application: Any) -> Iterator[Any]:
    """A server that serves `application` on a thread until the block is left."""
    server = MicroServer(port=0)
    server.set_app(application)
    is_over = threading.Event()

    def serve() -> None:
        while not is_over.is_set():
            server.handle_request()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield server
    finally:
        is_over.set()
        # It is still in accept().
        Connection(("127.0.0.1", server.server_port)).close()
        thread.join(20)
        assert not thread.is_alive()
        server.listener.close()


def ask(
    server: Any, method: str = "GET", target: str = "/", body: Any = None, **headers: str
) -> http.client.HTTPResponse:
    """A request of `http.client`, and its response with all of the body in `.content`."""
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as connection:
        connection.request(
            method, target, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        response = connection.getresponse()
        response.content = response.read()  # type: ignore[attr-defined]
    return response


def content_of(response: Any) -> bytes:
    content = response.content
    assert isinstance(content, bytes)
    return content


def test_it_is_short_and_has_the_methods_that_one_looks_for() -> None:
    assert len(SOURCE.read_text().splitlines()) <= 120
    assert [name for name in METHODS if not callable(getattr(MicroServer, name, None))] == []


@pytest.mark.parametrize("name", ["hello", "shop:app"])
def test_serves_what_is_beside_it_or_in_the_working_directory(name: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text("from hello import application as app")
    command = [sys.executable, str(SOURCE), name, "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline().rstrip("/\n").rpartition(":")[2])
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
                connection.request("GET", "/")
                response = connection.getresponse()
                assert (response.status, response.read()) == (200, b"Hello, world!")
                assert response.getheader("Content-Type") == "text/plain"
        finally:
            process.terminate()
            process.wait(10)


def test_serves_flask() -> None:
    with serving(import_module("apps.flask_site").app) as server:
        hello = ask(server, target="/hello/J%C3%B6rg?a=b", Host="example.org")
        assert json.loads(content_of(hello)) == {
            "name": "J\xf6rg",
            "query": {"a": "b"},
            "url": "http://example.org/hello/J\xf6rg?a=b",
        }
        form = ask(server, "POST", "/form", "a=1&b=2", Content_Type="application/x-www-form-urlencoded")
        assert json.loads(content_of(form)) == {"a": "1", "b": "2"}
        pieces = ask(server, "POST", "/json", iter([b'{"a":', b"1}"]), Content_Type="application/json")
        assert json.loads(content_of(pieces)) == {"a": 1}
        first = ask(server, target="/count")
        cookie = (first.getheader("Set-Cookie") or "").partition(";")[0]
        assert json.loads(content_of(ask(server, target="/count", Cookie=cookie))) == 2
        stream = ask(server, target="/stream")
        assert stream.getheader("Transfer-Encoding") == "chunked"
        assert content_of(stream).count(b"\n") == 1000
        assert content_of(ask(server, target="/memory")) == b"0123456789" * 1000
        assert ask(server, target="/redirect").status == 302
        assert ask(server, target="/broken").status == 500
        head = ask(server, "HEAD", "/memory")
        assert (head.getheader("Content-Length"), content_of(head)) == ("10000", b"")


def writes(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    write(b"written, ")
    return [b"returned"]


def reads(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    lines = list(environ["wsgi.input"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["CONTENT_LENGTH"].encode(), b" ", *lines, environ["wsgi.input"].read(1)]


def says_nothing(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("204 No Content", [])
    return []


def changes_its_mind(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        raise KeyError("no such thing")
    except KeyError:
        start_response("404 Not Found", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"not there"]


@pytest.mark.parametrize(
    ("application", "method", "expected"),
    [
        pytest.param(writes, "GET", (200, b"written, returned"), id="write"),
        pytest.param(writes, "HEAD", (200, b""), id="head"),
        pytest.param(reads, "POST", (200, b"11 line\nline 2"), id="input"),
        pytest.param(says_nothing, "GET", (204, b""), id="no-body"),
        pytest.param(changes_its_mind, "GET", (404, b"not there"), id="exc-info"),
    ],
)
def test_the_validator_has_nothing_to_say(
    capfd: pytest.CaptureFixture[str],
    application: Callable[..., Any],
    method: str,
    expected: tuple[int, bytes],
) -> None:
    with serving(validator(application)) as server:
        response = ask(server, method, "/a%20b?c", b"line\nline 2" if method == "POST" else None, X_Y="z")
        assert (response.status, content_of(response)) == expected
    assert capfd.readouterr().err == ""


def test_the_validator_lets_environ_pass(capfd: pytest.CaptureFixture[str]) -> None:
    with serving(validator(demo_app)) as server:
        text = content_of(ask(server, target="/a?b", X_Y="z")).decode()
    assert text.startswith("Hello world!")
    for line in ("PATH_INFO = '/a'", "QUERY_STRING = 'b'", "HTTP_X_Y = 'z'", "SERVER_PROTOCOL = 'HTTP/1.1'"):
        assert line in text
    assert capfd.readouterr().err == ""


def test_a_body_that_is_waited_for_is_asked_for() -> None:
    with serving(reads) as server, Connection(("127.0.0.1", server.server_port)) as connection:
        connection.send(b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert connection.read_head().status == 100
        connection.send(b"hi")
        assert connection.read_response().body == b"2 hi"
        connection.expect_closed()


def test_a_chunked_body_has_a_length_for_the_application() -> None:
    with serving(reads) as server, Connection(("127.0.0.1", server.server_port)) as connection:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.send(head + chunked(b"h", b"i"))
        assert connection.read_response().body == b"2 hi"


def test_http_1_0_gets_no_chunks() -> None:
    with serving(writes) as server, Connection(("127.0.0.1", server.server_port)) as connection:
        response = connection.request(version="HTTP/1.0")
        assert (response.framing, response.body) == ("close", b"written, returned")


def test_a_request_that_breaks_a_rule_is_rejected() -> None:
    with serving(writes) as server, Connection(("127.0.0.1", server.server_port)) as connection:
        assert connection.request(host=False).status == 400
        connection.expect_closed()


def test_a_client_that_leaves_does_no_harm() -> None:
    with serving(writes) as server:
        for sent in (b"", b"GET / HT", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe"):
            with Connection(("127.0.0.1", server.server_port)) as connection:
                connection.send(sent)
        assert ask(server).status == 200


class Blocks:
    """What an application returns; knows whether it was closed."""

    def __init__(self, *blocks: Any) -> None:
        self.blocks = blocks
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for block in self.blocks:
            if isinstance(block, Exception):
                raise block
            yield block

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize(
    ("status", "blocks", "expected"),
    [
        pytest.param("200 OK", [OSError("no disk")], 500, id="first-block"),
        pytest.param("OK", [b"a"], 500, id="status"),
        pytest.param("200 OK", [b"a", OSError("no disk")], None, id="later-block"),
    ],
)
def test_an_application_that_fails_is_told_of(
    capfd: pytest.CaptureFixture[str], status: str, blocks: list[Any], expected: int | None
) -> None:
    result = Blocks(*blocks)

    def application(environ: dict[str, Any], start_response: Any) -> Blocks:
        start_response(status, [])
        return result

    with serving(application) as server:
        if expected is None:
            # The last chunk is missing, by which the client knows.
            with pytest.raises(http.client.IncompleteRead):
                ask(server)
        else:
            assert ask(server).status == expected
    assert result.is_closed
    assert "Traceback" in capfd.readouterr().err


@pytest.mark.parametrize("calls", [0, 2], ids=["never", "twice"])
def test_start_response_is_called_once(capfd: pytest.CaptureFixture[str], calls: int) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        for _ in range(calls):
            start_response("200 OK", [])
        return [b"a"]

    with serving(application) as server:
        assert ask(server).status == 500
    assert "Traceback" in capfd.readouterr().err
