"""Lint: warnings in both directions, and nothing else changed."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Iterator
from typing import Any
from wsgiref.validate import validator

import pytest
from portico.middleware import Lint
from portico.middleware.lint import HTTPWarning, WSGIWarning

from .calling import environ_of, fetch

PLAIN = [("Content-Type", "text/plain")]


def run(
    application: Any, environ: dict[str, Any] | None = None, start_response: Any = None
) -> list[tuple[type[Warning], str]]:
    """Call an application with Lint around it as a server does; what is warned of."""
    environ = environ_of() if environ is None else environ
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result: Any = Lint(application)(environ, start_response or (lambda *_: lambda block: None))
        try:
            list(result)
        except (TypeError, KeyError):
            pass
        finally:
            result.close()
    return [(warning.category, str(warning.message)) for warning in caught]


def responding(status: Any = "200 OK", headers: Any = PLAIN, body: Any = (b"hello",)) -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, headers)
        return body

    return application


def with_environ(**changes: Any) -> dict[str, Any]:
    environ = environ_of()
    for key, value in changes.items():
        if value is None:
            del environ[key]
        else:
            environ[key] = value
    return environ


# --- The server's part


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"wsgi.version": (2, 0)}, "Environ is not a WSGI 1.0 environ.", id="version"),
        pytest.param(
            {"wsgi.errors": None}, "The environ has no 'wsgi.errors', which is required.", id="lacks"
        ),
        pytest.param(
            {"SERVER_PORT": 80}, "'SERVER_PORT' in the environ has to be a str, but is an int.", id="type"
        ),
        pytest.param(
            {"SCRIPT_NAME": "shop"}, "'SCRIPT_NAME' does not start with a slash: 'shop'", id="script-name"
        ),
        pytest.param(
            {"SCRIPT_NAME": "/"},
            "'SCRIPT_NAME' of the root is empty, not '/', which 'PATH_INFO' begins with.",
            id="root",
        ),
        pytest.param({"PATH_INFO": "x"}, "'PATH_INFO' does not start with a slash: 'x'", id="path"),
        pytest.param(
            {"HTTP_CONTENT_TYPE": "a/b"},
            "'HTTP_CONTENT_TYPE' is in the environ; the name of it is 'CONTENT_TYPE'.",
            id="http-content-type",
        ),
        pytest.param({"CONTENT_LENGTH": "-1"}, "'CONTENT_LENGTH' is not a number: '-1'", id="length"),
    ],
)
def test_warns_of_the_environ(changes: dict[str, Any], expected: str) -> None:
    assert run(responding(), with_environ(**changes)) == [(WSGIWarning, expected)]


def test_warns_of_an_environ_that_is_no_dict() -> None:
    class Environ(dict):  # type: ignore[type-arg]
        pass

    assert run(responding(), Environ(environ_of())) == [
        (WSGIWarning, "The environ is not a dict, but an Environ.")
    ]


def test_warns_of_a_server_without_write() -> None:
    expected = "The server's start_response did not return a callable to write with."
    assert run(responding(), start_response=lambda *_: None) == [(WSGIWarning, expected)]


def test_warns_of_an_input_that_returns_too_much() -> None:
    class Input(io.BytesIO):
        def read(self, size: Any = -1, /) -> Any:
            return b"four" if size else "text"

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["wsgi.input"].read(3)
        environ["wsgi.input"].read(0)
        return responding()(environ, start_response)  # type: ignore[no-any-return]

    assert [message for _, message in run(application, with_environ(**{"wsgi.input": Input()}))] == [
        "wsgi.input.read() of this server returned more than 3 bytes: 4",
        "wsgi.input.read() of this server returned no bytes: 'text'",
    ]


def test_warns_of_a_server_that_does_not_close() -> None:
    results = [Lint(responding())(environ_of(), lambda *_: bytes)]
    with pytest.warns(WSGIWarning, match="was garbage collected and not closed"):
        results.clear()


def test_warns_of_a_server_that_goes_on_after_the_end() -> None:
    result: Any = Lint(responding(body=iter([b"a", b"b"])))(environ_of(), lambda *_: bytes)
    result.close()
    with pytest.warns(WSGIWarning, match=r"asked for a block after close\(\)"):
        next(result)
    with pytest.warns(WSGIWarning, match=r"called close\(\) again"):
        result.close()


# --- The application's part


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        pytest.param(
            "20 OK",
            PLAIN,
            [
                "The code of status '20 OK' does not have three digits.",
                "Status '20 OK' is not three digits, a space and a phrase.",
                "Status '20 OK' has a code below 100.",
            ],
            id="two-digits",
        ),
        pytest.param(
            "200", PLAIN, ["Status '200' is not three digits, a space and a phrase."], id="no-phrase"
        ),
        pytest.param(
            "200 \n", PLAIN, ["Status '200 \\n' is not three digits, a space and a phrase."], id="line-feed"
        ),
        pytest.param(b"200 OK", PLAIN, ["The status has to be a str, but is a bytes."], id="bytes-status"),
        pytest.param("200 OK", tuple(PLAIN), ["Header list is not a list, but a tuple."], id="tuple"),
        pytest.param("200 OK", None, ["Header list is not a list, but None."], id="no-headers"),
        pytest.param("200 OK", ["ab"], ["Header items must be 2-item tuples, not 'ab'."], id="strings"),
        pytest.param(
            "200 OK", [("A", 1)], ["Header names and values have to be strings: ('A', 1)"], id="number"
        ),
        pytest.param(
            "200 OK",
            [("Status", "200")],
            ["The status header is not supported: it is CGI's, and WSGI has an argument for it."],
            id="status-header",
        ),
        pytest.param("200 OK", [("A:", "b")], ["'A:' is not the name of a header."], id="name"),
        pytest.param(
            "200 OK",
            [("Connection", "close")],
            ["Header 'Connection' is about the connection, which is the server's."],
            id="hop-by-hop",
        ),
        pytest.param(
            "200 OK",
            [("A", "b\r\nC: d")],
            ["Header 'A' has control characters in its value: 'b\\r\\nC: d'"],
            id="splitting",
        ),
        pytest.param(
            "200 OK",
            [("A", "€")],
            ["Header 'A' has characters in its value that are not Latin-1: '€'"],
            id="not-latin-1",
        ),
    ],
)
def test_warns_of_the_head(status: Any, headers: Any, expected: list[str]) -> None:
    assert run(responding(status, headers)) == [(WSGIWarning, message) for message in expected]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(("ETag", "abc"), "An ETag has to stand in double quotes: abc", id="unquoted"),
        pytest.param(("ETag", '"'), 'An ETag has to stand in double quotes: "', id="one-quote"),
        pytest.param(("etag", 'w/"a"'), 'The mark of a weak ETag is an upper case W: w/"a"', id="weak"),
        pytest.param(
            ("Location", "/there"),
            "Absolute URLs required for location header, where old clients read it: /there",
            id="location",
        ),
        pytest.param(("Content-Length", "5 "), "The Content-Length is not a number: '5 '", id="length"),
    ],
)
def test_warns_of_headers(header: tuple[str, str], expected: str) -> None:
    assert run(responding(headers=[header])) == [(HTTPWarning, expected)]


@pytest.mark.parametrize(
    "headers",
    [
        [("ETag", '"a"'), ("Location", "https://shop.example/")],
        [("ETag", 'W/"a"'), ("Location", "//shop.example")],
        [("Content-Length", "5"), ("A", "tab\tand \xe4")],
    ],
)
def test_right_headers_bring_no_warning(headers: list[tuple[str, str]]) -> None:
    assert run(responding(headers=headers)) == []


@pytest.mark.parametrize(
    ("method", "status", "headers", "body", "expected"),
    [
        pytest.param(
            "GET",
            "200 OK",
            [("Content-Length", "6")],
            [b"hel", b"lo"],
            [(WSGIWarning, "The Content-Length is 6, but 5 bytes were sent.")],
            id="short",
        ),
        pytest.param(
            "GET",
            "200 OK",
            [("Content-Length", "4")],
            [b"hello"],
            [(WSGIWarning, "The Content-Length is 4, but 5 bytes were sent.")],
            id="long",
        ),
        pytest.param("HEAD", "200 OK", [("Content-Length", "6")], [], [], id="head"),
        pytest.param("GET", "204 No Content", [], [], [], id="204"),
        pytest.param("GET", "204 No Content", [("Content-Length", "0")], [], [], id="204-of-length-0"),
        pytest.param(
            "GET",
            "204 No Content",
            [("Content-Length", "5")],
            [b"hello"],
            [
                (HTTPWarning, "A 204 response has no body, but a Content-Length of 5."),
                (HTTPWarning, "A 204 response must not have a body, but 5 bytes were sent."),
            ],
            id="204-with-body",
        ),
        pytest.param(
            "GET",
            "304 Not Modified",
            [("ETag", '"a"'), ("Expires", "0"), ("Content-Type", "text/plain")],
            [b"x"],
            [
                (HTTPWarning, "Header 'content-type' in a 304 response, which has no representation."),
                (HTTPWarning, "A 304 response must not have a body, but 1 bytes were sent."),
            ],
            id="304",
        ),
    ],
)
def test_warns_of_the_whole_response(
    method: str, status: str, headers: Any, body: Any, expected: list[tuple[type[Warning], str]]
) -> None:
    assert run(responding(status, headers, body), environ_of(method=method)) == expected


def test_what_is_written_counts() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "5")])(b"hel")
        return [b"lo"]

    assert run(application) == []


def test_a_file_is_counted() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "4")])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"hello"), 2)

    assert run(application) == [(WSGIWarning, "The Content-Length is 4, but 5 bytes were sent.")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(["a"], ["A block of the body has to be bytes: 'a'"], id="str-block"),
        pytest.param(
            "a",
            [
                "The application returned a string, not a list of blocks: it is sent one by one.",
                "A block of the body has to be bytes: 'a'",
            ],
            id="str",
        ),
        pytest.param(
            b"a",
            [
                "The application returned a bytes object, not a list of blocks: it is sent one by one.",
                "A block of the body has to be bytes: 97",
            ],
            id="bytes",
        ),
        pytest.param(None, ["The application returned what is not iterable: None"], id="none"),
    ],
)
def test_warns_of_the_body(body: Any, expected: list[str]) -> None:
    assert run(responding(body=body)) == [(WSGIWarning, message) for message in expected]


def test_warns_of_no_start_response() -> None:
    expected = "The application returned without a call of start_response."
    assert run(lambda environ, start_response: []) == [(WSGIWarning, expected)]


def test_warns_of_a_late_start_response() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        yield b""
        start_response("200 OK", PLAIN)
        yield b"hello"

    expected = "The application gave a block before it called start_response."
    assert run(application) == [(WSGIWarning, expected)]


def test_warns_of_calls_of_start_response() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", PLAIN)
        start_response("200 OK", PLAIN)
        start_response("500 Sorry", PLAIN, exc_info=(ValueError, ValueError(), None))
        start_response("500 Sorry", PLAIN, ValueError())
        return []

    def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
        return bytes

    assert [message for _, message in run(application, start_response=start_response)] == [
        "start_response was called again without exc_info.",
        "start_response takes two or three positional arguments.",
        "exc_info is not a tuple as of sys.exc_info(), but a ValueError.",
    ]


def test_warns_of_streams() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        stream, errors = environ["wsgi.input"], environ["wsgi.errors"]
        read = [stream.readline(), stream.readline(2), stream.readlines(1), stream.read(1), stream.read()]
        assert read == [b"a\n", b"b\n", [b"c\n"], b"d", b"\ne"]
        assert list(stream) == []
        errors.writelines(["1", "2"])
        errors.flush()
        errors.close()
        stream.close()
        return responding()(environ, start_response)  # type: ignore[no-any-return]

    environ = with_environ(**{"wsgi.input": io.BytesIO(b"a\nb\nc\nd\ne")})
    assert [message for _, message in run(application, environ)] == [
        "wsgi.input.readline() without a size is as long as the client likes.",
        "wsgi.input.readline() with a size does not work on every server.",
        "wsgi.input.read() without a size may not return; ask for CONTENT_LENGTH bytes.",
        "The application closed wsgi.errors.",
        "The application closed wsgi.input.",
    ]


def test_warns_of_other_arguments() -> None:
    with pytest.warns(WSGIWarning, match="takes two positional arguments"):
        result: Any = Lint(responding())(environ_of(), lambda *_: bytes, 3)
    result.close()


def test_a_warning_is_where_the_mistake_is() -> None:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("20 OK", PLAIN)
        return []

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result: Any = Lint(application)(environ_of(), lambda *_: bytes)
        result.close()
    line = application.__code__.co_firstlineno + 1
    assert {(warning.filename, warning.lineno) for warning in caught} == {(__file__, line)}


# --- What stays as it is


def test_blocks_are_asked_for_one_by_one_and_closed_first() -> None:
    events: list[str] = []

    class Blocks:
        def __iter__(self) -> Iterator[bytes]:
            events.append("iter")
            for number in range(2):
                events.append(f"block {number}")
                yield b"x"

        def close(self) -> None:
            events.append("close")

    result: Any = Lint(responding(headers=[("Content-Length", "9")], body=Blocks()))(
        environ_of(), lambda *_: bytes
    )
    assert events == []
    next(result)
    assert events == ["iter", "block 0"]
    # The client has left: that the body is short is nobody's mistake.
    result.close()
    assert events == ["iter", "block 0", "close"]


def test_an_error_of_the_application_passes_and_the_result_is_closed() -> None:
    closed = []

    class Blocks:
        def __iter__(self) -> Iterator[bytes]:
            raise LookupError("mine")

        def close(self) -> None:
            closed.append(True)

    result: Any = Lint(responding(body=Blocks()))(environ_of(), lambda *_: bytes)
    with pytest.raises(LookupError, match="mine"):
        next(result)
    result.close()
    assert closed == [True]


def test_warnings_may_be_errors() -> None:
    closed = []

    class Blocks(list):  # type: ignore[type-arg]
        def close(self) -> None:
            closed.append(True)

    application = Lint(responding(headers=[*PLAIN, ("Content-Length", "9")], body=Blocks([b"short"])))
    with pytest.raises(WSGIWarning, match="The Content-Length is 9, but 5 bytes were sent"):
        fetch(application)
    assert closed == [True]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_passes_between_two_validators(method: str) -> None:
    def application(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        assert environ["wsgi.input"].read(4) == b"body"
        environ["wsgi.errors"].write("a line\n")
        write = start_response("200 OK", PLAIN)
        write(b"one ")
        yield b"two "
        try:
            raise LookupError
        except LookupError:
            start_response("500 Sorry", PLAIN, sys.exc_info())
        yield b"three"

    response = fetch(
        Lint(validator(application)),
        method=method,
        CONTENT_LENGTH="4",
        **{"wsgi.input": io.BytesIO(b"body")},
    )
    assert (response.status, response.body) == ("500 Sorry", b"one two three")
