"""`portico.wire.RequestParser`: events, what is left over, limits, misuse."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import pytest
from portico import wire
from portico.config.settings import Settings

from wire.reading import bytewise, read

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def head_of(data: bytes) -> wire.RequestHead:
    parser = wire.RequestParser()
    parser.feed(data)
    event = parser.next_event()
    assert isinstance(event, wire.RequestHead)
    return event


def fields_of(head: wire.RequestHead) -> dict[str, Any]:
    names = [name for name in dir(head) if not name.startswith("_")]
    return {name: getattr(head, name) for name in names}


def test_a_head_has_all_that_was_said() -> None:
    head = head_of(
        b"PUT /a%2Fb%E2%82%AC?c=%20d HTTP/1.1\r\nHost: a:80\r\nX: \xe9\r\nx:  \r\n"
        b"Content-Length: 5\r\nExpect: 100-continue\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    )
    assert fields_of(head) == {
        "method": "PUT",
        "target": "/a%2Fb%E2%82%AC?c=%20d",
        "path": "/a/b\xe2\x82\xac",
        "query": "c=%20d",
        "version": "HTTP/1.1",
        "headers": (
            ("Host", "a:80"),
            ("X", "\xe9"),
            ("x", ""),
            ("Content-Length", "5"),
            ("Expect", "100-continue"),
            ("Connection", "upgrade"),
            ("Upgrade", "x"),
        ),
        "host": "a:80",
        "content_length": 5,
        "keep_alive": True,
        "expect_continue": True,
        "upgrade": True,
    }


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(
            b"GET / HTTP/1.0\r\n\r\n", {"version": "HTTP/1.0", "host": None, "keep_alive": False}, id="1.0"
        ),
        pytest.param(
            b"GET http://b?c HTTP/1.1\r\nHost: a\r\n\r\n",
            {"target": "http://b?c", "path": "/", "query": "c", "host": "b"},
            id="absolute",
        ),
        pytest.param(
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", {"target": "*", "path": "", "host": "a"}, id="asterisk"
        ),
        pytest.param(GET, {"content_length": 0, "keep_alive": True, "upgrade": False}, id="without-body"),
        pytest.param(CHUNKED, {"content_length": None, "expect_continue": False}, id="chunked"),
        pytest.param(
            GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), {"keep_alive": False}, id="close"
        ),
    ],
)
def test_a_head_says(data: bytes, expected: dict[str, Any]) -> None:
    head = head_of(data)
    assert {name: getattr(head, name) for name in expected} == expected


def test_events_can_be_shown_and_matched_and_not_changed() -> None:
    parser = wire.RequestParser()
    parser.feed(CHUNKED + b"2\r\nhi\r\n0\r\n\r\n")
    shown = [repr(parser.next_event()) for _ in range(4)]
    assert shown == ["<RequestHead POST / HTTP/1.1>", "Data(b'hi')", "EndOfRequest(())", "NEED_DATA"]
    parser.feed(CHUNKED + b"2\r\nhi\r\n0\r\nT: 1\r\n\r\n")
    parser.next_event()
    match parser.next_event(), parser.next_event():
        case wire.Data(data), wire.EndOfRequest(trailers):
            assert (data, trailers) == (b"hi", (("T", "1"),))
        case other:
            pytest.fail(f"not matched: {other}")
    for name in ("method", "anything"):
        with pytest.raises(AttributeError):
            setattr(head_of(GET), name, "PUT")


def test_the_chunks_that_are_there_are_one_event() -> None:
    parser = wire.RequestParser()
    parser.feed(CHUNKED + b"1\r\na\r\n2;x=y\r\nbc\r\n3\r\nde")
    assert isinstance(parser.next_event(), wire.RequestHead)
    assert repr(parser.next_event()) == "Data(b'abcde')"
    assert parser.next_event() is wire.NEED_DATA


@pytest.mark.parametrize("split", ["whole", "bytewise"])
@pytest.mark.parametrize(
    ("section", "trailers"),
    [
        pytest.param(b"", (), id="none"),
        pytest.param(b"A: 1\r\n", (("A", "1"),), id="one"),
        pytest.param(b"A:1 \r\nb:\t\r\nA: \xff\r\n", (("A", "1"), ("b", ""), ("A", "\xff")), id="several"),
    ],
)
@pytest.mark.parametrize("chunks", [b"", b"5\r\nhello\r\n"], ids=["empty", "not-empty"])
def test_trailers_are_handed_on(
    split: str, chunks: bytes, section: bytes, trailers: tuple[tuple[str, str], ...]
) -> None:
    data = (CHUNKED + chunks + b"0;last\r\n" + section + b"\r\n") * 2
    reading = read(bytewise(data) if split == "bytewise" else [data])
    assert (reading.trailers, reading.leftover) == ([trailers, trailers], b"")


def test_pipelined_requests_come_one_after_the_other() -> None:
    data = GET + CHUNKED + b"1\r\na\r\n0\r\n\r\n" + GET
    for pieces in ([data], bytewise(data)):
        reading = read(pieces)
        assert [(request.method, request.body) for request in reading.requests] == [
            ("GET", ""),
            ("POST", "a"),
            ("GET", ""),
        ]
        assert (reading.state, reading.leftover) == (wire.NEED_DATA, b"")


def test_what_no_event_has_taken_is_left_over() -> None:
    parser = wire.RequestParser()
    parser.feed(GET + GET[:7])
    assert parser.leftover == GET + GET[:7]
    parser.next_event()
    assert parser.leftover == GET[:7]


def test_nothing_is_read_after_the_last_request() -> None:
    reading = read([b"GET / HTTP/1.0\r\n\r\nmo", b"re"])
    assert (len(reading.requests), reading.state, reading.leftover) == (1, wire.CLOSED, b"more")


@pytest.mark.parametrize("before", [b"", GET, GET + b"\r\n"], ids=["fresh", "idle", "empty-line"])
def test_a_client_that_leaves_between_requests_closes(before: bytes) -> None:
    assert read([before, b""] if before else [b""]).state is wire.CLOSED


@pytest.mark.parametrize(
    ("sent", "missing"),
    [
        pytest.param(b"GET /", "head", id="request-line"),
        pytest.param(GET[:-2], "head", id="fields"),
        pytest.param(CHUNKED, "body", id="body"),
        pytest.param(CHUNKED + b"0\r\n", "body", id="trailers"),
    ],
)
def test_a_client_that_leaves_in_a_request_raises(sent: bytes, missing: str) -> None:
    with pytest.raises(ConnectionError, match=f"before the end of the request {missing}$"):
        read([sent, b""])


# --- Limits


def test_limits_are_the_settings_with_their_defaults() -> None:
    parameters = inspect.signature(wire.RequestParser).parameters
    defaults = {name: parameter.default for name, parameter in parameters.items()}
    assert defaults == {name: getattr(Settings, name).default for name in parameters}
    server_header = inspect.signature(wire.ResponseEncoder).parameters["server_header"].default
    assert server_header == Settings.server_header.default


@pytest.mark.parametrize(
    ("limits", "data", "status"),
    [
        pytest.param({"max_head_bytes": len(GET)}, GET, None, id="head-fits"),
        pytest.param({"max_head_bytes": len(GET) - 1}, GET, 431, id="head"),
        pytest.param({"max_headers": 1}, GET, None, id="headers-fit"),
        pytest.param({"max_headers": 0}, GET, 431, id="headers"),
        pytest.param({"max_request_line_bytes": 14}, GET, None, id="request-line-fits"),
        pytest.param({"max_request_line_bytes": 13}, GET, 414, id="request-line"),
        pytest.param({"max_header_bytes": 6}, GET, 431, id="header"),
        pytest.param({"max_chunk_extension_bytes": 2}, CHUNKED + b"0;ab\r\n\r\n", 400, id="extensions"),
        pytest.param({"max_trailer_bytes": 5}, CHUNKED + b"0\r\nA:1\r\n\r\n", None, id="trailers-fit"),
        pytest.param({"max_trailer_bytes": 4}, CHUNKED + b"0\r\nA:1\r\n\r\n", 431, id="trailers"),
        pytest.param(
            {"max_request_body_bytes": 4},
            GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n") + b"hello",
            413,
            id="length",
        ),
        pytest.param(
            {"max_request_body_bytes": 4}, CHUNKED + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 413, id="chunks"
        ),
        pytest.param({"max_request_body_bytes": 0}, CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", None, id="any-body"),
    ],
)
def test_limits_are_kept(limits: dict[str, int], data: bytes, status: int | None) -> None:
    whole = read([data], **limits)
    assert (whole.rejected and whole.rejected[0]) == status
    if status == 413 and whole.open is not None:
        assert len(whole.open.body) == limits["max_request_body_bytes"], "not one byte beyond the limit"
    split = read(bytewise(data), **limits)
    assert (split.requests, split.open, split.rejected) == (whole.requests, whole.open, whole.rejected)


def test_limits_are_numbers_that_are_not_negative() -> None:
    with pytest.raises(ValueError, match=r"^max_headers: expected a number from 0 on, got -1$"):
        wire.RequestParser(max_headers=-1)
    with pytest.raises(TypeError):
        wire.RequestParser(max_headers="many")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        wire.RequestParser(100)  # type: ignore[call-arg]


# --- Misuse


def test_a_rejection_is_raised_each_time_and_nothing_can_be_fed() -> None:
    parser = wire.RequestParser()
    parser.feed(b"\0")
    raised = []
    for _ in range(2):
        with pytest.raises(wire.RequestRejected) as caught:
            parser.next_event()
        raised.append((caught.value.status, caught.value.reason))
    assert raised == [(400, "the method is not a token")] * 2
    with pytest.raises(RuntimeError, match="a request was rejected"):
        parser.feed(GET)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_rejected_head_request_gets_a_response_without_a_body(method: str) -> None:
    parser = wire.RequestParser()
    parser.feed(f"{method} / HTTP/1.1\r\n\r\n".encode())
    with pytest.raises(wire.RequestRejected) as caught:
        parser.next_event()
    assert caught.value.response.endswith(b"\r\n\r\n" if method == "HEAD" else b"400 Bad Request\n")


def test_nothing_can_be_fed_after_the_end() -> None:
    parser = wire.RequestParser()
    parser.feed(b"")
    parser.feed(b"")
    with pytest.raises(RuntimeError, match="the connection has ended"):
        parser.feed(GET)


@pytest.mark.parametrize("data", ["text", None, 5, [b"a"]], ids=["str", "none", "int", "list"])
def test_only_bytes_can_be_fed(data: Any) -> None:
    parser = wire.RequestParser()
    with pytest.raises(TypeError):
        parser.feed(data)
    parser.feed(bytearray(GET))
    assert isinstance(parser.next_event(), wire.RequestHead)


@pytest.mark.parametrize("kind", ["RequestHead", "Data", "EndOfRequest", "ParserState"])
def test_events_come_from_a_parser_only(kind: str) -> None:
    with pytest.raises(TypeError):
        getattr(wire, kind)()


def test_threads_may_share_a_parser() -> None:
    parser = wire.RequestParser()
    requests, length = 200, 50
    request = GET.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % length) + b"x" * length
    found: list[wire.Event] = []

    def take() -> None:
        while (event := parser.next_event()) is not wire.CLOSED:
            if event is not wire.NEED_DATA:
                found.append(event)

    threads = [threading.Thread(target=take) for _ in range(3)]
    for thread in threads:
        thread.start()
    for byte in bytewise(request * requests):
        parser.feed(byte)
    parser.feed(b"")
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert sum(len(event.data) for event in found if isinstance(event, wire.Data)) == requests * length
    assert sum(isinstance(event, wire.EndOfRequest) for event in found) == requests
