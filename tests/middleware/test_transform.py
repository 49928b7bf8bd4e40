"""portico.middleware.transform: heads and bodies that are changed, and what has to stay true of them."""

from __future__ import annotations

import http.client
import io
import threading
import zlib
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.simple_server import make_server as standard_make_server

import pytest
from portico.middleware.transform import ResponseHead, Transform
from portico.simple_server import make_server
from support.raw_client import Closed
from support.server import Server

from .whole_calls import Called, call, environ_for

TEXT = ("Content-Type", "text/plain; charset=utf-8")


def upper(head: ResponseHead) -> Callable[[bytes, bool], bytes]:
    return lambda block, is_last: block.upper()


def with_end(head: ResponseHead) -> Callable[[bytes, bool], bytes]:
    return lambda block, is_last: b"!" if is_last else block


def loud(head: ResponseHead) -> Callable[[str, bool], str]:
    return lambda text, is_last: text.upper()


class Application:
    """Responds with `result` (a list, or blocks that are made one by one), and counts calls of close()."""

    def __init__(
        self,
        *blocks: bytes,
        headers: Any = (TEXT,),
        status: str = "200 OK",
        made: bool = False,
        late: bool = False,
    ) -> None:
        self.blocks = blocks
        self.headers = headers
        self.status = status
        self.is_made = made
        self.is_late = late
        self.closed = 0
        self.asked = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        if self.is_late:
            return Made(self, lambda: start_response(self.status, list(self.headers)))
        start_response(self.status, list(self.headers))
        return Made(self, lambda: None) if self.is_made else list(self.blocks)


class Made:
    def __init__(self, application: Application, begin: Callable[[], object]) -> None:
        self._application = application
        self._begin = begin

    def __iter__(self) -> Iterator[bytes]:
        self._begin()
        for block in self._application.blocks:
            self._application.asked += 1
            yield block

    def close(self) -> None:
        self._application.closed += 1


def transformed(application: Any, *, method: str = "GET", is_valid: bool = True, **changes: Any) -> Called:
    return call(Transform(application, **changes), environ_for(method=method), is_valid=is_valid)


def test_headers_and_status_are_changed() -> None:
    def no_store(head: ResponseHead) -> None:
        assert (head.code, head.environ["REQUEST_METHOD"]) == (200, "GET")
        head.status = "203 Changed"
        head.set("cache-control", "no-store")
        head.remove("x-powered-by")

    application = Application(
        b"body",
        headers=[
            TEXT,
            ("Cache-Control", "public"),
            ("X-Powered-By", "x"),
            ("Content-Length", "4"),
            ("ETag", '"a"'),
        ],
    )
    called = transformed(application, headers=no_store)
    assert called.status == "203 Changed"
    assert called.headers == [TEXT, ("Content-Length", "4"), ("ETag", '"a"'), ("cache-control", "no-store")]
    assert called.body == b"body"


def test_what_no_body_is_changed_of_passes_as_it_is() -> None:
    blocks = [b"a", b"b"]

    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        return blocks

    middleware = Transform(application, headers=lambda head: None, body=lambda head: None)
    assert middleware(environ_for(), lambda *arguments: blocks.append) is blocks


@pytest.mark.parametrize("kind", ["list", "tuple"])
def test_a_list_has_a_new_length(kind: str) -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "5"), TEXT])
        return [b"he", b"llo"] if kind == "list" else (b"he", b"llo")

    called = transformed(application, body=with_end)
    assert (called.body, called.all("Content-Length")) == (b"hello!", ["6"])


@pytest.mark.parametrize("late", [False, True], ids=["before", "with-the-first-block"])
def test_blocks_that_are_made_are_changed_one_by_one_without_a_length(late: bool) -> None:
    application = Application(b"he", b"llo", headers=[TEXT, ("Content-Length", "5")], made=True, late=late)
    called = transformed(application, body=with_end)
    assert (called.blocks, called.all("Content-Length")) == ([b"he", b"llo", b"!"], [])
    assert application.closed == 1


def test_no_block_is_asked_for_before_the_one_before_it_has_left() -> None:
    application = Application(b"a", b"b", b"c", made=True)
    body: Any = Transform(application, body=upper)(environ_for(), lambda *arguments: lambda block: None)
    for number, block in enumerate([b"A", b"B"], 1):
        assert (next(body), application.asked) == (block, number)
    body.close()
    assert (application.asked, application.closed) == (2, 1)


@pytest.mark.parametrize(("tag", "changed"), [('"a"', 'W/"a"'), ('W/"a"', 'W/"a"'), ("a", None), ('"', None)])
def test_a_changed_body_has_a_weak_etag(tag: str, changed: str | None) -> None:
    application = Application(b"a", headers=[TEXT, ("ETag", tag)])
    assert transformed(application, body=upper).get("etag") == changed


def test_nothing_is_said_any_more_of_the_bytes_that_were() -> None:
    gone = ("Accept-Ranges", "Content-MD5", "Digest", "Content-Digest", "Repr-Digest")
    application = Application(
        b"a", made=True, headers=[TEXT, *((name, "x") for name in gone), ("X-Kept", "x")]
    )
    assert transformed(application, body=upper).headers == [TEXT, ("X-Kept", "x")]


def test_a_head_is_that_of_a_get() -> None:
    headers = [TEXT, ("Content-Length", "5"), ("ETag", '"a"')]
    application = Application(made=True, headers=headers)
    called = transformed(application, method="HEAD", body=with_end)
    assert called.headers == [TEXT, ("ETag", 'W/"a"')]
    assert (called.body, application.closed) == (b"", 1)


@pytest.mark.parametrize("made", [False, True], ids=["list", "made"])
def test_the_whole_body_of_a_get_gives_a_head_its_length_and_nothing_else(made: bool) -> None:
    application = Application(b"he", b"llo", made=made, headers=[TEXT, ("Content-Length", "5")])
    get, head = (transformed(application, method=method, body=with_end) for method in ("GET", "HEAD"))
    assert head.headers == get.headers
    assert (get.body, head.body) == (b"hello!", b"")


def _single(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return [b"hello"]


def _none(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [TEXT, ("Content-Length", "5")])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [b"hello"]


def _file(environ: dict[str, Any], start_response: Any) -> Any:
    start_response("200 OK", [TEXT])
    return environ["wsgi.file_wrapper"](io.BytesIO(b"hello"))


@pytest.mark.parametrize("application", [_single, _none, _file])
@pytest.mark.parametrize("server", ["portico", "wsgiref"])
def test_no_server_gives_a_head_the_length_of_the_old_body(application: Any, server: str) -> None:
    """A server counts the only block of a list, and takes an empty list for an empty body."""
    made = make_server if server == "portico" else standard_make_server
    with made("127.0.0.1", 0, Transform(application, body=with_end)) as httpd:
        connection = http.client.HTTPConnection(*httpd.server_address[:2], timeout=10)
        asking = threading.Thread(target=httpd.handle_request)
        asking.start()
        connection.request("HEAD", "/")
        with connection.getresponse() as response:
            assert response.getheader("Content-Length") in (None, "6")
        connection.close()
        asking.join()


@pytest.mark.parametrize(
    "status", ["204 No Content", "205 Reset Content", "206 Partial Content", "304 Not Modified"]
)
def test_what_has_no_whole_body_is_left_alone(status: str) -> None:
    headers = [("ETag", 'W/"a"'), ("Content-Location", "/a")]
    application = Application(headers=headers, status=status)
    called = transformed(application, is_valid=False, body=lambda head: pytest.fail("asked for a change"))
    assert (called.status, called.headers) == (status, headers)


def test_a_304_has_the_etag_that_the_changed_200_had() -> None:
    application = Application(headers=[("ETag", '"a"')], status="304 Not Modified")
    assert transformed(application, body=upper).get("ETag") == 'W/"a"'
    assert transformed(application, headers=lambda head: None).get("ETag") == '"a"'


def test_what_is_written_is_changed_too_and_comes_first() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        write = start_response("200 OK", [TEXT, ("Content-Length", "11")])
        write(b"written")
        write(b" and")
        return [b" returned"]

    called = transformed(application, body=with_end)
    assert called.blocks == [b"written", b" and", b" returned", b"!"]
    assert called.all("Content-Length") == []


def test_an_error_page_takes_the_place_of_a_head_that_has_not_left() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [TEXT, ("X-Old", "1")])
        try:
            raise RuntimeError("on purpose")
        except RuntimeError as error:
            start_response("500 Oops", [TEXT], (type(error), error, error.__traceback__))
        return [b"sorry"]

    called = transformed(application, body=upper)
    assert (called.status, called.headers, called.body) == (
        "500 Oops",
        [TEXT, ("Content-Length", "5")],
        b"SORRY",
    )


def test_an_error_after_bytes_have_left_is_raised_again() -> None:
    def application(environ: Any, start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"first"
        try:
            raise RuntimeError("on purpose")
        except RuntimeError as error:
            start_response("500 Oops", [TEXT], (type(error), error, error.__traceback__))
        yield b"never"

    with pytest.raises(RuntimeError, match="on purpose"):
        transformed(application, body=upper)


def test_a_second_start_without_an_error_is_one() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        start_response("200 OK", [TEXT])
        return []

    with pytest.raises(AssertionError, match="a second time"):
        transformed(application, is_valid=False, body=upper)


def test_what_was_returned_is_closed_when_a_change_fails_or_the_server_rejects_the_head() -> None:
    def rejects(*arguments: Any) -> Any:
        raise ValueError("no such header")

    application = Application(b"a", made=True)
    with pytest.raises(ValueError, match="no such header"):
        Transform(application, body=upper)(environ_for(), rejects)
    assert application.closed == 1


def test_a_block_that_is_not_bytes_is_told_as_one() -> None:
    def application(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [TEXT])
        return ["text"]

    with pytest.raises(TypeError, match="expected bytes, got str"):
        transformed(application, is_valid=False, body=upper)


# --- Text


def test_text_is_changed_in_its_charset_however_its_characters_are_split() -> None:
    for charset in ("utf-8", "utf-16", "latin-1", "shift_jis"):
        text = "grüße" if charset != "shift_jis" else "日本 abc"
        data = text.encode(charset)
        blocks = [data[index : index + 1] for index in range(len(data))]
        application = Application(
            *blocks, made=True, headers=[("Content-Type", f'text/html; charset="{charset}"')]
        )
        changed = transformed(application, text=lambda head: lambda part, is_last: part.replace("ü", "Ü"))
        assert changed.body.decode(charset) == text.replace("ü", "Ü")


def test_without_a_charset_text_is_utf_8_and_what_is_not_passes_unchanged() -> None:
    application = Application(
        b"caf\xc3\xa9 \xff\xc3", made=True, headers=[("Content-Type", "application/json")]
    )
    assert transformed(application, text=loud).body == "CAFÉ ".encode() + b"\xff\xc3"


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "image/png")],
        [],
        [TEXT, ("Content-Encoding", "gzip")],
        [("Content-Type", "text/plain; charset=base64")],
        [("Content-Type", "text/plain; charset=klingon")],
        [("Content-Type", "text/plain; charset=idna")],
        [("Content-Type", "text/plain; charset=punycode")],
    ],
    ids=["image", "no-type", "encoded", "no-charset", "unknown-charset", "of-hosts", "of-labels"],
)
def test_what_is_no_text_is_not_taken_for_it(headers: list[tuple[str, str]]) -> None:
    headers = [*headers, ("ETag", '"a"'), ("Content-Length", "4")]
    application = Application(b"body", headers=headers)
    called = transformed(application, is_valid=False, text=lambda head: pytest.fail("asked for a change"))
    assert (called.headers, called.body) == (headers, b"body")


@pytest.mark.parametrize(
    "media_type", ["text/html", "TEXT/HTML", "application/json", "image/svg+xml", "application/problem+json"]
)
def test_text_is_known_by_its_type(media_type: str) -> None:
    application = Application(b"body", headers=[("Content-Type", media_type)])
    assert transformed(application, text=loud).body == b"BODY"


def test_the_last_words_are_the_changes_own() -> None:
    def banner(head: ResponseHead) -> Callable[[str, bool], str]:
        return lambda text, is_last: text + "<p>ü" * is_last

    application = Application(b"<p>a", made=True, headers=[("Content-Type", "text/html; charset=latin-1")])
    assert transformed(application, text=banner).body == b"<p>a<p>\xfc"


# --- What is asked for


@pytest.mark.parametrize("changes", [{}, {"body": upper, "text": loud}])
def test_rejects_nothing_to_do_and_two_bodies(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^expected "):
        Transform(Application(), **changes)


def test_a_compressor_is_a_change_of_the_body_with_a_header() -> None:
    def compressed(head: ResponseHead) -> Callable[[bytes, bool], bytes]:
        head.set("Content-Encoding", "gzip")
        compressor = zlib.compressobj(wbits=31)
        return lambda block, is_last: (
            compressor.compress(block) + (compressor.flush(zlib.Z_FINISH if is_last else zlib.Z_SYNC_FLUSH))
        )

    called = transformed(Application(b"a" * 1000, b"b" * 1000, made=True), body=compressed)
    assert called.get("Content-Encoding") == "gzip"
    assert zlib.decompress(called.body, wbits=31) == b"a" * 1000 + b"b" * 1000


def test_it_streams_under_a_real_server(key: str) -> None:
    with Server("apps.transforming:application", threads=2) as server, server.connect() as connection:
        connection.ask(f"/gated?key={key}&count=2")
        for number in range(2):
            server.recorder.open_gate(key, number)
            if number == 0:
                assert connection.read_head().get("Content-Length") is None
            assert connection.read_chunk() == f"BLOCK {number}".encode()
        assert connection.read_chunk() == b"END"
        assert connection.read_chunk() == b""


def test_the_server_knows_the_length_and_the_failure_of_what_is_changed() -> None:
    with Server("apps.transforming:application", threads=2) as server, server.connect() as connection:
        response = connection.request("/function")
        assert (response.framing, response.body) == ("length", b"FUNCTIONEND")
        with pytest.raises(Closed):
            connection.request("/raises/at-second-next")
