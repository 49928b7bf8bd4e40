"""What many applications do against PEP 3333 is made good by default, with a warning; with --strict it is an
error."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from apps import careless
from support.gateway import variables
from support.gateway_server import GatewayServer, read_response, request, running_gateway_server
from support.raw_client import Response

LISTENERS = {name: f"{name}://{{address}}" for name in ("uwsgi", "scgi", "fastcgi")}
NAMES = ("http", *LISTENERS)
HOP_BY_HOP = (
    *("Connection", "keep-alive", "TRANSFER-ENCODING", "Upgrade", "TE", "Trailer"),
    *("Proxy-Authenticate", "Proxy-Authorization"),
)
MARK = "# its line is looked for"


def serving(application: str, *options: str, threads: int = 4) -> Any:
    return running_gateway_server(
        *options,
        listeners=LISTENERS,
        application=f"apps.careless:{application}",
        threads=threads,
        is_strict=False,
        has_tracebacks=True,
    )


@pytest.fixture(params=[1, 4], ids=["1-thread", "4-threads"])
def threads(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def ask(server: GatewayServer, name: str, target: str, method: str = "GET") -> Response:
    with server.connect(name) as connection:
        connection.send(request(name, variables(target, method)))
        return read_response(connection, name, method)


def entries(server: GatewayServer, level: str) -> list[str]:
    """What the log has of a level."""
    lines = server.server.error_log.lines()
    return [line.partition(f"[{level}] ")[2] for line in lines if f"[{level}] " in line]


def test_a_hop_by_hop_header_is_dropped_with_one_warning(threads: int) -> None:
    with serving("hop_by_hop", threads=threads) as server:
        for _ in range(2):
            for name in NAMES:
                response = ask(server, name, f"/?name={','.join(HOP_BY_HOP)}")
                assert (response.status, response.body, response.get("X-Kept")) == (200, b"sent", "yes")
                assert not [value for _, value in response.headers if value == "close, x"], response
        assert entries(server, "warning") == [
            f"the application apps.careless:hop_by_hop sends the header {header}, which is the server's to "
            "send: it is dropped (with --strict it is an error); this is said once of each name"
            for header in HOP_BY_HOP
        ]


def test_a_dropped_header_does_not_frame(threads: int) -> None:
    """Over HTTP the connection goes on, as the client wishes."""
    with serving("hop_by_hop", threads=threads) as server, server.connect("http") as connection:
        for _ in range(3):
            response = connection.request("/?name=Connection,Transfer-Encoding")
            assert (response.status, response.body, response.framing) == (200, b"sent", "length")


def test_a_hop_by_hop_header_is_an_error_if_strict(threads: int) -> None:
    with serving("hop_by_hop", "--strict", threads=threads) as server:
        for name in NAMES:
            for header in HOP_BY_HOP:
                assert ask(server, name, f"/?name={header}").status == 500
        assert entries(server, "warning") == []
        log = server.server.error_log.text()
        assert log.count("AssertionError: 'Connection' is hop-by-hop: it is the server's to send") == len(
            NAMES
        )


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/", (200, b"")),
        ("/?status=201 Made", (201, b"")),
        ("/?status=204 No Content", (204, b"")),
        ("/?status=304 Not Modified", (304, b"")),
        ("/?write=written", (200, b"written")),
        ("/?write=written&length=7", (200, b"written")),
        ("/?length=0", (200, b"")),
    ],
)
def test_none_is_an_empty_body_with_one_warning(
    threads: int, target: str, expected: tuple[int, bytes]
) -> None:
    with serving("none", threads=threads) as server:
        for _ in range(2):
            for name in NAMES:
                for method in ("GET", "HEAD", "POST"):
                    response = ask(server, name, target.replace(" ", "%20"), method)
                    body = b"" if method == "HEAD" else expected[1]
                    assert (response.status, response.body) == (expected[0], body)
        [warning] = entries(server, "warning")
        assert warning.startswith("the application apps.careless:none at ")
        assert "returned None, which is taken for an empty body" in warning
        assert "--strict" in warning
        assert entries(server, "error") == []


def test_none_leaves_the_connection_to_the_next_request(threads: int) -> None:
    with serving("none", threads=threads) as server, server.connect("http") as connection:
        for _ in range(3):
            assert (connection.request("/").get("Content-Length"), connection.is_silent(0.01)) == ("0", True)


@pytest.mark.parametrize("options", [(), ("--strict",)], ids=["default", "strict"])
def test_none_without_a_status_is_an_error(options: tuple[str, ...]) -> None:
    with serving("none_at_all", *options) as server:
        for name in NAMES:
            assert ask(server, name, "/").status == 500
        assert entries(server, "warning") == []
        assert len(entries(server, "error")) == len(NAMES)


def test_none_is_an_error_if_strict(threads: int) -> None:
    with serving("none", "--strict", threads=threads) as server:
        for name in NAMES:
            assert ask(server, name, "/").status == 500
        assert entries(server, "warning") == []
        log = server.server.error_log.text()
        error = "TypeError: apps.careless:none returned None; expected an iterable of bytes"
        assert log.count(error) == len(NAMES)


def marked_line(application: str) -> int:
    """The line of the application that its error has to name."""
    found: Any = getattr(careless, application)
    if application in ("instance", "partial"):
        found = {"instance": careless.Instance.__call__, "partial": careless._titled}[application]
    elif application == "generated_elsewhere":
        found = careless._texts
    lines, first = inspect.getsourcelines(found)
    if application == "decorated":
        return first
    return first + next(index for index, line in enumerate(lines) if MARK in line)


STR = (
    *("in_list", "in_tuple", "in_longer_list", "bare", "bare_and_empty", "generated", "generated_elsewhere"),
    *("written", "decorated", "partial", "instance", "method", "Iterating", "Stepping"),
)


@pytest.mark.parametrize("options", [(), ("--strict",)], ids=["default", "strict"])
@pytest.mark.parametrize("application", STR)
def test_a_str_is_an_error_that_says_where_to_encode(application: str, options: tuple[str, ...]) -> None:
    with serving(application, *options) as server:
        for name in NAMES:
            assert ask(server, name, "/").status == 500
        errors = [line for line in server.server.error_log.lines() if line.startswith("TypeError: ")]
    what = {"written": "write()", "bare": "the body", "bare_and_empty": "the body"}
    where = f"{careless.__file__}:{marked_line(application)}"
    assert errors == [
        f"TypeError: {what.get(application, 'a block of the body')}: expected bytes, got str; "
        f"encode it, as in text.encode('utf-8'); it comes from {where}"
    ] * len(NAMES)
