"""Nothing that an application passes to the server can make two responses out of one.

A script (status, headers, blocks) goes to `apps.splitting` and the next request follows it at once on
the same connection. The strict client has to find exactly one response, made of what was passed or
the server's own 500, and then the response to the next request, or the end of the connection.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from apps.splitting import NEXT
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.raw_client import Closed, Connection, Response, request_bytes
from support.server import Server

OWN_HEADERS = {"content-length", "transfer-encoding", "connection", "date", "server", "content-type"}
"""What the server adds by itself, or with its own 500."""

# Code points above 255 whose low byte is CR or LF are here because a careless encoder truncates them to that
# byte.
SPLITTERS = [
    *(
        "\r\n",
        "\r",
        "\n",
        "\0",
        "\x0b",
        "\x0c",
        "\x7f",
        "\x85",
        "\u2028",
        "\u010d\u010a",
        "\ud800",
        "\xe9",
        "\u2603",
    ),
    "\r\nX-Injected: yes",
    "\r\n X-Injected: yes",
    "\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nX-Injected: yes\r\n\r\n",
    "\u010d\u010aX-Injected: yes",
]
GOOD_STATUSES = [
    *("200 OK", "200", "200 ", "204 No Content", "304 Not Modified", "404 Not \xe9", "599 \t", "500 Own"),
]
STATUSES = [
    *(*GOOD_STATUSES, "999 Last", "100 Continue", "101 Switching Protocols", "199 x", "099 Low", "1000 High"),
    *("2x0 OK", "", "200OK", " 200 OK", "HTTP/1.1 200 OK", "\uff12\uff10\uff10 OK"),
]
GOOD_NAMES = ["X-A", "Set-Cookie", "Content-Type", "Date", "Server"]
NEIGHBOURS = ["Transfer-Encoding", "transfer-encoding", "Connection", "CONNECTION"]
"""What is between the server and the client only."""
HOP_BY_HOP = {
    *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization"),
    *("te", "trailer", "transfer-encoding", "upgrade"),
}
"""What the server drops, in lower case."""
NAMES = [
    *(*GOOD_NAMES, *NEIGHBOURS, "content-LENGTH", "Content-Length", "Keep-Alive", "Trailer", "Upgrade", "TE"),
    *("Proxy-Authenticate", "", " ", "X A", "X:", "Content-Length ", "Transfer_Encoding", "\u0130"),
]
GOOD_VALUES = ["", " ", "b", "text/plain"]
LENGTHS = ["0", "3", "5", "05", "12"]
OPTIONS = ["chunked", "close", "keep-alive", "identity"]
VALUES = [
    *(*GOOD_VALUES, *LENGTHS, *OPTIONS, "9999", "18446744073709551615", "18446744073709551616", "\u0665"),
    *("+5", "-5", " 5", "5 ", "5, 5", "5,5", "0x5", "5.0", "1_0"),
]
BLOCKS = [
    *(b"", b"hello", b"\r\n", b"\r\n\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n0\r\n\r\n", b"x" * 5000),
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Injected: yes\r\n\r\n",
    b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nX-Injected: yes\r\n\r\n",
]

Script = dict[str, Any]


def encoded(kind: str, data: bytes) -> dict[str, str]:
    return {kind: base64.b64encode(data).decode()}


def dangerous(plain: list[str]) -> st.SearchStrategy[str]:
    """Text that would split a response if it went out as it is."""
    parts = st.tuples(st.sampled_from(plain), st.sampled_from(SPLITTERS), st.sampled_from(plain))
    return parts.map("".join)


def values(plain: list[str]) -> st.SearchStrategy[Any]:
    """Mostly text, half of it dangerous; sometimes what is not a str, or only nearly."""
    text = st.one_of(st.sampled_from(plain), dangerous(plain), st.text(max_size=8))
    latin_1 = text.map(lambda text: encoded("bytes", text.encode("latin-1", "replace")))
    others = st.sampled_from([None, 200, 1.5, True, {"list": ["5", "5"]}, {"tuple": []}])
    return st.one_of(text, text, dangerous(plain), latin_1, text.map(lambda text: {"Text": text}), others)


def pair(name: st.SearchStrategy[Any], value: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(name, value).map(lambda pair: {"tuple": list(pair)})


def header_lists() -> st.SearchStrategy[Any]:
    """Good headers with one among them that is odd: with two, one would be rejected for the other's sake."""
    names, plain = st.sampled_from(GOOD_NAMES), st.sampled_from(GOOD_VALUES)
    good = st.lists(pair(names, plain), max_size=2)
    odd = st.one_of(
        pair(names, dangerous(VALUES)),
        pair(dangerous(GOOD_NAMES), plain),
        pair(st.sampled_from(NAMES), st.sampled_from(VALUES)),
        pair(st.sampled_from(NEIGHBOURS), st.sampled_from(OPTIONS)),
        pair(values(NAMES), values(VALUES)),
        st.sampled_from(
            [{"tuple": ["X-A"]}, {"list": ["X-A", "b"]}, {"tuple": ["X-A", "b", "c"]}, "X-A: b", None]
        ),
    )
    lengths = st.lists(pair(st.just("Content-Length"), st.sampled_from(LENGTHS)), max_size=2)
    lists = st.tuples(good, st.one_of(odd.map(lambda pair: [pair]), lengths), good)
    return lists.map(lambda parts: {"list": [*parts[0], *parts[1], *parts[2]]})


def honest_headers() -> st.SearchStrategy[Any]:
    """Headers that pass, so that framing is what is tried."""
    length = st.sampled_from([[], [{"tuple": ["Content-Length", "5"]}], [{"tuple": ["Content-Length", "4"]}]])
    large = st.just([{"tuple": ["content-length", "5001"]}])
    return st.one_of(length, large).map(lambda pairs: {"list": [{"tuple": ["X-A", "b"]}, *pairs]})


def good_blocks() -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from(BLOCKS).map(lambda data: encoded("bytes", data)), max_size=3)


def odd_blocks() -> st.SearchStrategy[Any]:
    data = st.one_of(st.sampled_from(BLOCKS), st.binary(max_size=6))
    kinds = st.sampled_from(["bytes"] * 12 + ["bytearray", "memoryview", "Block"])
    block = st.tuples(kinds, data).map(lambda pair: encoded(*pair))
    return st.lists(
        st.one_of(block, block, block, block, block, st.sampled_from(["str", None, 5])), max_size=4
    )


def scripts(status: st.SearchStrategy[Any], headers: st.SearchStrategy[Any]) -> st.SearchStrategy[Script]:
    required = {
        "status": status,
        "headers": headers,
        "blocks": st.one_of(good_blocks(), odd_blocks()),
        "how": st.sampled_from(["list", "generator", "write", "write and list"]),
    }
    optional = {"again": st.tuples(status, headers), "exc_info": st.booleans()}
    return st.fixed_dictionaries(required, optional=optional)


HOW_ASKED = st.tuples(
    st.sampled_from(["GET", "POST", "HEAD"]), st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"])
)

bounded = settings(
    derandomize=True,  # the same cases at every run
    database=None,
    deadline=None,
    max_examples=500,
    phases=[Phase.generate],  # a case that hangs would hang again and again while it is made smaller
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def splitting_server() -> Iterator[Server]:
    with Server("apps.splitting:application", threads=2) as running:
        yield running


_numbers = itertools.count()


class StrictClient(Connection):
    """The strict client, which can also look whether the end has come."""

    def is_closed(self) -> bool:
        """Wait for a byte or for the end; whether it was the end."""
        if not self._buffer:
            self._buffer += self.socket.recv(65536)
        return not self._buffer


def ask(server: Server, script: Script, method: str = "POST", version: str = "HTTP/1.1") -> Response | None:
    """Send the script and the next request; assert one response and one more, or one and the end.

    Returns the first response, or None if it was aborted.
    """
    token = f"next-{next(_numbers)}"
    with StrictClient(server.address) as connection:
        keep = ["Connection: keep-alive"]
        body = json.dumps(script).encode()
        following = request_bytes(f"{NEXT}?{token}", version=version, headers=keep)
        connection.send(request_bytes("/script", method, version, keep, body) + following)
        try:
            response = connection.read_response(method)
        except (Closed, ConnectionResetError) as ended:
            if not may_be_aborted(script):
                raise
            received = getattr(ended, "received", b"") + bytes(connection.read_to_end())
            assert token.encode() not in received, "a next response behind half a response"
            return None
        check_response(response, script, method)
        if response.framing == "close" or response.get("connection") == "close":
            connection.expect_closed()
        elif may_be_aborted(script) and connection.is_closed():
            # Complete for the client, because it has no body, but not for the server.
            return response
        else:
            check_next(connection, token)
    return response


def check_next(connection: Connection, token: str) -> None:
    response = connection.read_response()
    assert (response.status, response.all("X-Next"), response.body) == (200, [token], token.encode())


def check_response(response: Response, script: Script, method: str) -> None:
    """The head is one that was passed or the server's own, and the body is no more than the blocks."""
    passed = [passed_head(script["status"], script["headers"])]
    if "again" in script:
        passed.append(passed_head(*script["again"]))
    assert response.status >= 200, "an interim response of the application"
    own = [(name, value) for name, value in response.headers if name.lower() not in OWN_HEADERS]
    status = f"{response.status} {response.reason}"
    if status == "500 Internal Server Error" and not own:
        assert response.body in (b"500 Internal Server Error\n", b"" if method == "HEAD" else b"never")
        return
    assert (status.rstrip(), own) in passed
    sent = b"".join(passed_bytes(script))
    assert sent.startswith(response.body)
    if response.status in (204, 304) or method == "HEAD":
        assert response.body == b""
    elif response.framing in ("chunked", "close"):
        assert response.body == sent


def passed_head(status: Any, headers: Any) -> tuple[Any, Any]:
    """What a client may read of a head that was passed, if it was passed as strings at all."""

    def text(value: Any) -> Any:
        return value.get("Text") if isinstance(value, dict) else value

    pairs = headers.get("list", []) if isinstance(headers, dict) else []
    read = [
        (text(pair["tuple"][0]), (text(pair["tuple"][1]) or "").strip(" \t"))
        for pair in pairs
        if isinstance(pair, dict)
        and len(pair.get("tuple", [])) == 2
        and isinstance(text(pair["tuple"][1]), str)
    ]
    dropped = {*OWN_HEADERS, *HOP_BY_HOP}
    kept = [pair for pair in read if isinstance(pair[0], str) and pair[0].lower() not in dropped]
    return (text(status).rstrip() if isinstance(text(status), str) else status, kept)


def passed_bytes(script: Script) -> list[bytes]:
    """The blocks that the server takes, up to the first that is not bytes."""
    kinds = [next(iter(block.items())) if isinstance(block, dict) else ("", "") for block in script["blocks"]]
    taken = itertools.takewhile(lambda kind: kind[0] in ("bytes", "Block"), kinds)
    return [base64.b64decode(data) for _, data in taken]


def may_be_aborted(script: Script) -> bool:
    """Whether the response cannot be completed: a block that is not bytes, or fewer bytes than declared."""
    if len(passed_bytes(script)) < len(script["blocks"]):
        return True
    if "again" in script and not script.get("exc_info"):
        return False
    total = sum(len(block) for block in passed_bytes(script))
    headers = script["again"][1] if "again" in script else script["headers"]
    pairs = headers.get("list", []) if isinstance(headers, dict) else []
    lengths = [
        pair["tuple"][1]
        for pair in pairs
        if isinstance(pair, dict)
        and len(pair.get("tuple", [])) == 2
        and str(pair["tuple"][0]).lower() == "content-length"
    ]
    return any(isinstance(length, str) and length.isdigit() and int(length) > total for length in lengths)


@bounded
@given(script=scripts(values(STATUSES), honest_headers()), asked=HOW_ASKED)
def test_no_status_splits_a_response(
    splitting_server: Server, script: Script, asked: tuple[str, str]
) -> None:
    ask(splitting_server, script, *asked)


@bounded
@given(script=scripts(st.sampled_from(GOOD_STATUSES), header_lists()), asked=HOW_ASKED)
def test_no_header_splits_a_response(
    splitting_server: Server, script: Script, asked: tuple[str, str]
) -> None:
    ask(splitting_server, script, *asked)


@bounded
@given(script=scripts(st.sampled_from(GOOD_STATUSES), honest_headers()), asked=HOW_ASKED)
def test_no_body_splits_a_response(splitting_server: Server, script: Script, asked: tuple[str, str]) -> None:
    ask(splitting_server, script, *asked)


def script_of(
    status: Any = "200 OK",
    headers: list[Any] | None = None,
    blocks: list[bytes] | None = None,
    how: str = "list",
) -> Script:
    pairs = [{"tuple": list(pair)} for pair in headers or []]
    given = [b"hello"] if blocks is None else blocks
    return {
        "status": status,
        "headers": {"list": pairs},
        "blocks": [encoded("bytes", block) for block in given],
        "how": how,
    }


@pytest.mark.parametrize("splitter", SPLITTERS, ids=ascii)
@pytest.mark.parametrize("place", ["status", "name", "value"])
def test_what_could_split_is_rejected_or_harmless(
    splitting_server: Server, place: str, splitter: str
) -> None:
    script = {
        "status": script_of(status=f"200 O{splitter}K"),
        "name": script_of(headers=[(f"X-A{splitter}", "b")]),
        "value": script_of(headers=[("X-A", f"b{splitter}c")]),
    }[place]
    response = ask(splitting_server, script)
    assert response is not None
    harmless = splitter in ("\x85", "\xe9") and place != "name"
    assert response.status == (200 if harmless else 500)
    assert response.all("X-Injected") == []


@pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "103 Early Hints"])
def test_interim_statuses_are_rejected(splitting_server: Server, status: str) -> None:
    response = ask(splitting_server, script_of(status))
    assert response is not None
    assert response.status == 500


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            ("Content-Length", value)
            for value in ("5, 5", "+5", " 5", "5 ", "", "\u0665", "18446744073709551616")
        ],
        *[(name, "close\r\nX-Injected: yes") for name in ("Connection", "Transfer-Encoding")],
        ("Content-Length", {"list": ["5"]}),
        ("Content-Length", encoded("bytes", b"5")),
        ("Content-Length", 5),
    ],
    ids=ascii,
)
def test_framing_by_the_application_is_rejected(splitting_server: Server, name: str, value: Any) -> None:
    response = ask(splitting_server, script_of(headers=[(name, value)]))
    assert response is not None
    assert response.status == 500


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("Transfer-Encoding", value) for value in ("chunked", "identity", "")],
        *[("Connection", value) for value in ("close", "keep-alive", "upgrade")],
    ],
)
def test_what_is_between_neighbours_is_not_the_applications(
    splitting_server: Server, name: str, value: str
) -> None:
    response = ask(splitting_server, script_of(headers=[(name, value)]))
    assert response is not None
    assert (response.status, response.framing, response.get(name)) == (200, "length", None)


@pytest.mark.parametrize("lengths", [("5", "5"), ("5", "4"), ("4", "5")])
def test_repeated_content_length_is_rejected(splitting_server: Server, lengths: tuple[str, str]) -> None:
    response = ask(splitting_server, script_of(headers=[("Content-Length", length) for length in lengths]))
    assert response is not None
    assert response.status == 500


@pytest.mark.parametrize("how", ["list", "generator", "write", "write and list"])
def test_more_than_the_declared_length_is_dropped(splitting_server: Server, how: str) -> None:
    rest = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    script = script_of(headers=[("Content-Length", "5")], blocks=[b"hel", b"lo" + rest, rest], how=how)
    response = ask(splitting_server, script)
    assert response is not None
    assert response.body == b"hello"


@pytest.mark.parametrize("how", ["list", "generator", "write", "write and list"])
def test_less_than_the_declared_length_ends_the_connection(splitting_server: Server, how: str) -> None:
    script = script_of(headers=[("Content-Length", "6")], blocks=[b"he", b"llo"], how=how)
    assert ask(splitting_server, script) is None


@pytest.mark.parametrize("how", ["list", "generator", "write", "write and list"])
@pytest.mark.parametrize(
    ("status", "method"), [("204 No Content", "GET"), ("304 Not Modified", "GET"), ("200 OK", "HEAD")]
)
def test_responses_without_a_body_have_none(
    splitting_server: Server, status: str, method: str, how: str
) -> None:
    fake = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    for headers in ([], [("Content-Length", "5")]):
        response = ask(splitting_server, script_of(status, headers, [fake, fake], how), method)
        assert response is not None
        assert (f"{response.status} {response.reason}", response.body) == (status, b"")
