"""PEP 3333, what leaves the application: numbers 34 to 46."""

from __future__ import annotations

import pytest
from support.raw_client import Closed, Connection
from support.server import Server


@pytest.mark.parametrize("target", ["/too-long", "/too-long-block", "/too-long-list"])
def test_34_no_more_than_the_content_length_is_sent(server: Server, key: str, target: str) -> None:
    position = server.error_log.position()
    with server.connect() as connection:
        response = connection.request(f"{target}?key={key}")
        assert (response.status, response.framing, response.body) == (200, "length", b"exact")
        _expect_next_response_or_end(connection)
    server.error_log.wait_for(r"(?i)content-length", since=position)


def _expect_next_response_or_end(connection: Connection) -> None:
    """What comes next is another response or the end, never more of the last body."""
    try:
        rest = connection.request("/function").body
    except Closed as error:
        rest = error.received
    except ConnectionError:
        rest = b""
    assert rest in {b"", b"function"}


def test_34_iteration_stops_at_the_content_length(server: Server, key: str) -> None:
    with server.connect() as connection:
        assert connection.request(f"/too-long?key={key}").body == b"exact"
    events = server.recorder.wait_for(key, "close")
    assert events.count("close") == 1
    assert events.count("block") <= 2


@pytest.mark.parametrize("target", ["/too-short", "/too-short-list"])
def test_34_fewer_bytes_than_the_content_length_close_the_connection(server: Server, target: str) -> None:
    position = server.error_log.position()
    with server.connect() as connection:
        connection.ask(target)
        head = connection.read_head()
        if head.status == 200:
            assert head.get("Content-Length") == "10"
            assert connection.read_to_end() == b"short"
        else:
            assert (head.status, target) == (500, "/too-short-list")
    server.error_log.wait_for(r"(?i)content-length", since=position)


def test_34_an_exact_content_length_keeps_the_connection(server: Server, key: str) -> None:
    with server.connect() as connection:
        for _ in range(2):
            response = connection.request(f"/with-length?key={key}")
            assert (response.framing, response.body) == ("length", b"twelve bytes")


@pytest.mark.parametrize("target", ["/list-of-one", "/sized-one", "/function"])
def test_35_a_length_from_an_iterable_of_one(server: Server, target: str) -> None:
    with server.connect() as connection:
        response = connection.request(target)
    assert response.get("Content-Length") == str(len(response.body))
    assert response.body in {b"only one", b"sized at one", b"function"}


def test_35_no_length_from_an_iterable_of_one_after_write(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/writes-before-one")
        assert (response.framing, response.body) == ("chunked", b"written returned")
        assert connection.request("/function").body == b"function"


def test_35_chunked_without_a_length(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/generated")
        assert (response.framing, response.body) == ("chunked", b"generated")
        assert connection.request("/function").body == b"function"


@pytest.mark.parametrize(
    ("target", "body"),
    [
        ("/list", b"one two"),
        ("/tuple", b"a tuple"),
        ("/sized", b"sized at three"),
        ("/iterable-class", b"iterable class"),
        ("/iterator-class", b"iterator class"),
        ("/generator", b"generator"),
        ("/partial", b"partial"),
        ("/instance", b"instance"),
        ("/bound-method", b"bound method"),
        ("/writes-only", b"all written"),
        ("/writes-with-length", b"12345678"),
    ],
)
def test_35_any_framing_carries_the_whole_body(server: Server, target: str, body: bytes) -> None:
    with server.connect() as connection:
        response = connection.request(target)
        assert response.body == body
        assert response.framing in {"length", "chunked"}
        assert connection.request("/function").body == b"function"


@pytest.mark.parametrize("headers", [[], ["Connection: keep-alive"]], ids=["plain", "keep-alive"])
@pytest.mark.parametrize("target", ["/generated", "/writes", "/starts-late"])
def test_36_never_chunked_to_http_1_0(server: Server, target: str, headers: list[str]) -> None:
    with server.connect() as connection:
        response = connection.request(target, version="HTTP/1.0", headers=headers)
        assert response.get("Transfer-Encoding") is None
        assert response.framing == "close"
    assert response.body == {"/generated": b"generated", "/writes": b"1234", "/starts-late": b"late"}[target]


@pytest.mark.parametrize(
    "target", ["/with-length", "/generated", "/list-of-one", "/list", "/writes", "/empty-list"]
)
def test_37_no_body_for_head(server: Server, target: str) -> None:
    with server.connect() as connection:
        response = connection.request(target, method="HEAD")
        assert (response.status, response.body) == (200, b"")
        assert connection.request("/function").body == b"function"


def test_37_head_keeps_the_content_length_of_the_application(server: Server) -> None:
    with server.connect() as connection:
        assert connection.request("/with-length", method="HEAD").get("Content-Length") == "12"


@pytest.mark.parametrize("status", ["204+No+Content", "304+Not+Modified"])
def test_37_no_body_for_204_and_304(server: Server, key: str, status: str) -> None:
    with server.connect() as connection:
        response = connection.request(f"/without-body?status={status}&key={key}")
        assert (str(response.status), response.body) == (status[:3], b"")
        assert response.get("Transfer-Encoding") is None
        if response.status == 204:
            assert response.get("Content-Length") is None
        assert connection.request("/function").body == b"function"
    assert server.recorder.wait_for(key, "close").count("close") == 1


@pytest.mark.parametrize("name", ["gated", "gated-writes"])
def test_38_each_block_is_on_its_way_before_the_next_is_asked_for(
    server: Server, key: str, name: str
) -> None:
    with server.connect() as connection:
        connection.ask(f"/{name}?key={key}&count=4")
        for number in range(4):
            server.recorder.open_gate(key, number)
            if not number:
                assert connection.read_head().status == 200
            assert connection.read_chunk() == f"block {number}".encode()
        assert connection.read_chunk() == b""


def test_39_empty_blocks_send_nothing(server: Server) -> None:
    """A chunk of no bytes would end the body."""
    with server.connect() as connection:
        response = connection.request("/generated-empty-blocks")
        assert (response.framing, response.body) == ("chunked", b"ab")
        assert connection.request("/function").body == b"function"


def test_40_written_blocks_go_before_those_of_the_iterable(server: Server) -> None:
    with server.connect() as connection:
        assert connection.request("/writes").body == b"1234"


@pytest.mark.parametrize(
    ("target", "method"),
    [
        ("/recorded", "GET"),
        ("/recorded", "HEAD"),
        ("/sized", "GET"),
        ("/sized-one", "GET"),
        ("/with-length", "GET"),
        ("/with-length", "HEAD"),
        ("/empty-closed", "GET"),
        ("/too-long", "GET"),
        ("/generated", "GET"),
        ("/generated-nothing", "GET"),
        ("/without-body?status=204+No", "GET"),
        ("/str-block", "GET"),
        ("/raises/at-first-next", "GET"),
        ("/raises/at-iter", "GET"),
        ("/raises/after-empty-block", "GET"),
        ("/file-wrapper", "GET"),
        ("/file-wrapper", "HEAD"),
        ("/file-wrapper?kind=memory", "GET"),
    ],
)
def test_41_close_is_called_once(server: Server, key: str, target: str, method: str) -> None:
    with server.connect() as connection:
        target += ("&" if "?" in target else "?") + f"key={key}"
        connection.request(target, method=method, headers=["Connection: close"])
        server.recorder.wait_for(key, "close")
    with server.connect() as connection:
        assert connection.request("/function").body == b"function"
    assert server.recorder.events(key).count("close") == 1


@pytest.mark.parametrize("target", ["/too-short", "/str-block-later", "/raises/at-second-next"])
def test_41_close_is_called_once_when_the_response_is_aborted(server: Server, key: str, target: str) -> None:
    with server.connect() as connection:
        connection.ask(f"{target}?key={key}")
        connection.read_to_end()
    assert server.recorder.wait_for(key, "close").count("close") == 1


def test_41_close_is_called_once_when_the_client_is_gone(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/endless?key={key}")
        connection.read_head()
        connection.reset()
    assert server.recorder.wait_for(key, "close") == ["started", "close"]


@pytest.mark.parametrize(("query", "body"), [("", b"late"), ("?empty=1", b"")], ids=["block", "no-block"])
def test_42_start_response_may_come_at_the_first_iteration(server: Server, query: str, body: bytes) -> None:
    with server.connect() as connection:
        response = connection.request(f"/starts-late{query}")
    assert (response.status, response.reason, response.body) == (202, "Late", body)
    assert response.get("X-Late") == "yes"


def test_42_an_application_that_never_calls_start_response_is_an_error(server: Server) -> None:
    with server.connect() as connection:
        assert connection.request("/never-starts").status == 500


def test_43_only_iteration_len_and_close_of_a_foreign_iterable(server: Server, key: str) -> None:
    with server.connect() as connection:
        assert connection.request(f"/foreign?key={key}").body == b"foreign iterable"
    assert set(server.recorder.events(key)) <= {"__iter__", "__len__", "close", "__class__"}


def test_44_line_endings_of_bodies_are_untouched(server: Server) -> None:
    with server.connect() as connection:
        assert connection.request("/line-endings").body == b"a\r\nb\nc\rd\n\r\n\r\n\n\n"


@pytest.mark.parametrize(
    "target", ["/str-block", "/bytearray-block", "/none-block", "/int-block", "/writes-str"]
)
def test_45_a_block_that_is_not_bytes_is_an_error(server: Server, key: str, target: str) -> None:
    position = server.error_log.position()
    with server.connect() as connection:
        assert connection.request(f"{target}?key={key}").status == 500
    server.error_log.wait_for(r"\w+Error: .*bytes", since=position)


def test_45_a_later_block_that_is_not_bytes_aborts_the_response(server: Server, key: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/str-block-later?key={key}")
        assert connection.read_head().status in {200, 500}
        rest = connection.read_to_end()
    assert b"never" not in rest
    assert not rest.endswith(b"0\r\n\r\n")


def test_45_bare_bytes_are_sent_whole(server: Server) -> None:
    with server.connect() as connection:
        response = connection.request("/bytes")
    assert (response.status, response.get("Content-Length"), response.body) == (200, "10", b"bare bytes")


def test_45_no_iterable_is_an_error_that_names_the_application(server: Server) -> None:
    """None is one with --strict: tests/server/test_strict.py."""
    position = server.error_log.position()
    with server.connect() as connection:
        assert connection.request("/number").status == 500
    server.error_log.wait_for(r"conformance.*application|application.*conformance", since=position)


def content(start: int, end: int) -> bytes:
    return (bytes(range(256)) * 2000)[start:end]


@pytest.mark.parametrize("kind", ["real", "memory", "-1", "-100", "1000000", "4294967296"])
@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("size=1024", content(0, 1024)),
        ("size=1024&at=100", content(100, 1024)),
        ("size=1024&at=1024", b""),
        ("size=1024&length=1024", content(0, 1024)),
        ("size=1024&at=10&length=500", content(10, 510)),
        ("size=256000&block=7", content(0, 256000)),
        ("size=512000&at=3&length=400001", content(3, 400004)),
        ("size=512000&block=1000000", content(0, 512000)),
        ("size=0", b""),
    ],
)
def test_46_file_wrapper(server: Server, key: str, kind: str, query: str, body: bytes) -> None:
    with server.connect() as connection:
        for _ in range(2):
            response = connection.request(f"/file-wrapper?key={key}&kind={kind}&{query}")
            assert (response.status, len(response.body)) == (200, len(body))
            assert response.body == body
    assert server.recorder.wait_for(key, "close", count=2) == ["close", "close"]


def test_46_file_wrapper_is_iterable_and_closes_its_file(server: Server, key: str) -> None:
    with server.connect() as connection:
        assert connection.request(f"/iterates-file-wrapper?key={key}").body == b"234|567|89"
    assert server.recorder.events(key) == ["close"]


@pytest.mark.parametrize("kind", ["real", "memory"])
def test_46_a_file_shorter_than_its_content_length_is_aborted(server: Server, key: str, kind: str) -> None:
    with server.connect() as connection:
        connection.ask(f"/file-wrapper?key={key}&kind={kind}&size=1024&length=2048")
        assert connection.read_head().get("Content-Length") == "2048"
        assert connection.read_to_end() == content(0, 1024)
    assert server.recorder.wait_for(key, "close") == ["close"]
