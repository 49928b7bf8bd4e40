"""docs/environ.md against the environ that an application really gets, over each protocol.

A request that says as little as may be has all the keys that the page promises for every request, and no
others; one that says much has none that the page does not know.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from portico.middleware import Profile, ProxyFix, RequestID, ServerTiming
from support.gateway import GatewayConnection, Variables
from support.gateway_server import GatewayServer, read_response, request, running_gateway_server
from support.raw_client import request_bytes
from support.ways import CALLS_FOLLOW, KEYS_OF_LOOP, LOOPS

PAGE = (Path(__file__).parents[2] / "docs/environ.md").read_text("utf-8")
PROTOCOLS = ("http", "uwsgi", "fastcgi", "scgi")
GATEWAYS = PROTOCOLS[1:]
LISTENERS = {name: f"{name}://{{address}}" for name in GATEWAYS} | {
    "http-proxy": "http://{address}?proxy=required"
}
SPOOL_BYTES = 2048
NOT_CALLED_BY_THEIR_NAME = {
    "file of bytes": {"Input"},
    "file of text": {"ErrorStream"},
    "class": {"type"},
    "event loop": {"_UnixSelectorEventLoop", "Loop"},
    "callable": {"Disconnected", "OnDisconnect", "Draining", "ExtendDeadline"},
}
"""Types that the page says in words."""
ON_TCP = {"REMOTE_PORT"}
NOT_OF_THE_WAY = {"HTTP_TRANSFER_ENCODING", "werkzeug.socket", "gunicorn.socket"} if CALLS_FOLLOW else set()
"""What the page says of the way that the tests are run for."""
SAID_AT_LEAST = {"scgi": {"CONTENT_LENGTH"}}
"""Keys that every request of a protocol has besides."""


def rows(title: str) -> dict[str, list[str]]:
    """The rows of the table below a heading, by what stands first in backquotes."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    table = [[cell.strip() for cell in cells] for cells in lines]
    return {row[0].strip("`"): row for row in table}


ALWAYS = rows("In every request")
SOMETIMES = rows("Where there is something to say")
VARIABLES = rows("Over uwsgi, FastCGI and SCGI")
BY_MIDDLEWARE = rows("Set by middleware")
KEYS = ALWAYS | SOMETIMES

Environ = dict[str, Any]


@dataclass(frozen=True)
class Listening:
    """A running server."""

    gateway: GatewayServer
    unix_socket: str

    def entries(self, name: str, data: bytes, *, source: str | None = None) -> Environ:
        """What the application gets: each key with its type and value."""
        address = self.unix_socket if name == "unix" else self.gateway.addresses[name]
        with GatewayConnection(address, source=source) as connection:
            connection.send(data)
            protocol = "http" if name == "unix" else name
            entries: Environ = json.loads(read_response(connection, protocol).body)["values"]
        return entries


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    path = tmp_path_factory.mktemp("socket") / "http.sock"
    limits = ("--body-memory", "1K", "--body-spool", str(SPOOL_BYTES))
    with running_gateway_server(
        *("-b", f"unix:{path}", *limits),
        listeners=LISTENERS,
        application="apps.conformance:application",
        is_strict=False,
    ) as gateway:
        yield Listening(gateway, str(path))


def least(protocol: str) -> bytes:
    """A request that says as little as the protocol allows."""
    if protocol == "http":
        return b"GET /environ HTTP/1.0\r\n\r\n"
    return request(protocol, [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/environ")])


def sent(protocol: str, *more: tuple[str, str]) -> bytes:
    """A request with more variables than those that make it one."""
    path = ("PATH_INFO", "/environ")
    return request(protocol, [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/environ"), path, *more])


MUCH: Variables = [
    *(("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/environ/x?q=1"), ("QUERY_STRING", "q=1")),
    *(("SERVER_PROTOCOL", "HTTP/2.0"), ("SERVER_NAME", "shop.example"), ("SERVER_PORT", "443")),
    *(("REMOTE_ADDR", "192.0.2.7"), ("REMOTE_PORT", "50000"), ("HTTPS", "on"), ("SCRIPT_NAME", "")),
    *(("CONTENT_TYPE", "text/plain"), ("HTTP_HOST", "shop.example"), ("HTTP_COOKIE", "a=1")),
    ("HTTP_X_SENT", "yes"),
]


def much(protocol: str) -> bytes:
    """A request that says much."""
    if protocol != "http":
        return request(protocol, MUCH, b"body")
    headers = [
        *("Content-Type: text/plain", "Cookie: a=1", "X-Sent: yes", "X-Forwarded-Proto: https"),
        "X-Forwarded-For: 192.0.2.7",
    ]
    return request_bytes("/environ/x?q=1", "POST", headers=headers, body=b"body")


over_each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


# --- Keys


@over_each_protocol
def test_every_request_has_the_keys_that_the_page_promises_and_no_others(
    listening: Listening, protocol: str
) -> None:
    expected = set(ALWAYS) | KEYS_OF_LOOP | ON_TCP | SAID_AT_LEAST.get(protocol, set())
    assert set(listening.entries(protocol, least(protocol))) == expected


def test_a_request_on_a_unix_socket_has_them_as_well(listening: Listening) -> None:
    entries = listening.entries("unix", least("http"))
    assert set(entries) == set(ALWAYS) | KEYS_OF_LOOP | {"portico.peer"}
    assert entries["portico.peer"]["type"] == "tuple"
    named = [entries[key]["value"] for key in ("REMOTE_ADDR", "SERVER_NAME", "SERVER_PORT")]
    assert named == ["", "localhost", "80"]


@over_each_protocol
def test_a_request_that_says_much_has_no_key_that_the_page_does_not_know(
    listening: Listening, protocol: str
) -> None:
    forwarded = {"HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO"} if protocol == "http" else set()
    entries = listening.entries(protocol, much(protocol))
    assert set(entries) - set(KEYS) == {"HTTP_X_SENT"} | forwarded
    expected = {"CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_HOST", "HTTP_COOKIE", "HTTPS"}
    assert set(entries) & set(SOMETIMES) - ON_TCP - KEYS_OF_LOOP == expected
    assert entries["wsgi.url_scheme"]["value"] == "https"


@over_each_protocol
def test_types_are_those_of_the_page(listening: Listening, protocol: str) -> None:
    entries = listening.entries(protocol, much(protocol))
    types = {key: NOT_CALLED_BY_THEIR_NAME.get(row[1], {row[1]}) for key, row in KEYS.items()}
    assert {
        key: entry["type"] for key, entry in entries.items() if entry["type"] not in types.get(key, {"str"})
    } == {}


@pytest.mark.parametrize("key", [key for key, row in KEYS.items() if row[2]])
def test_example_has_the_type_that_stands_beside_it(key: str) -> None:
    _, kind, example, *_ = KEYS[key]
    assert type(ast.literal_eval(example.strip("`"))).__name__ == kind


@pytest.mark.parametrize("key", KEYS)
def test_source_is_named(key: str) -> None:
    assert re.search(r"PEP 3333|RFC \d+ \d|no standard|portico", KEYS[key][4])


# --- Conditions


def chunked(size: int) -> bytes:
    body = b"x" * size
    head = request_bytes("/environ", "POST", headers=["Transfer-Encoding: chunked"])
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (size, body)


WEB_SOCKET = (
    "http",
    request_bytes("/environ", headers=["Connection: Upgrade", "Upgrade: websocket"]),
)
CONDITIONS = {
    "CONTENT_TYPE": ("http", request_bytes("/environ", headers=["Content-Type: text/plain"])),
    "CONTENT_LENGTH": ("http", chunked(100)),
    "HTTP_TRANSFER_ENCODING": ("http", chunked(2 * SPOOL_BYTES)),
    "HTTP_HOST": ("http", request_bytes("/environ")),
    "HTTP_COOKIE": ("http", request_bytes("/environ", headers=["Cookie: a=1", "Cookie: b=2"])),
    "REMOTE_PORT": ("scgi", sent("scgi", ("REMOTE_ADDR", "192.0.2.7"), ("REMOTE_PORT", "50000"))),
    "HTTPS": ("uwsgi", sent("uwsgi", ("HTTPS", "on"))),
    "portico.peer": ("unix", least("http")),
    "portico.proxy": ("http-proxy", sent("http-proxy")),
    "werkzeug.socket": WEB_SOCKET,
    "gunicorn.socket": WEB_SOCKET,
}
"""A request that has the key, and where it is sent."""
ABSENT = {
    "CONTENT_LENGTH": ("http", chunked(2 * SPOOL_BYTES)),
    "REMOTE_PORT": ("scgi", sent("scgi", ("REMOTE_ADDR", "192.0.2.7"))),
}
"""One that has it not; for all others the least request has it not."""


@pytest.mark.parametrize("key", CONDITIONS)
def test_key_is_there_when_the_page_says_so(listening: Listening, key: str) -> None:
    if key in NOT_OF_THE_WAY:
        assert "Not with `asyncio` and `tornado`" in "".join(SOMETIMES[key])
        assert key not in listening.entries(*CONDITIONS[key])
        return
    entry = listening.entries(*CONDITIONS[key])[key]
    assert entry["type"] == SOMETIMES[key][1]
    if key != "CONTENT_LENGTH" or not CALLS_FOLLOW:
        assert key not in listening.entries(*ABSENT.get(key, ("http", least("http"))))


def test_there_is_a_condition_for_each_key_but_that_of_loops() -> None:
    assert set(CONDITIONS) == set(SOMETIMES) - {"portico.loop"}


@pytest.mark.parametrize("way", LOOPS)
def test_the_loop_is_there_when_the_page_says_so(way: str) -> None:
    pytest.importorskip(way)
    with running_gateway_server(
        *("--worker", way), listeners={}, application="apps.conformance:application", is_strict=False
    ) as gateway:
        entries = Listening(gateway, "").entries("http", least("http"))
    assert set(entries) == set(ALWAYS) | ON_TCP | {"portico.loop"}
    assert entries["portico.loop"]["type"] in NOT_CALLED_BY_THEIR_NAME["event loop"]
    assert f"`{way}`" in SOMETIMES["portico.loop"][3]


def test_repeated_headers_are_joined_as_the_page_says(listening: Listening) -> None:
    headers = ["Cookie: a=1", "Cookie: b=2", "Accept-Language: de", "Accept-Language: en"]
    entries = listening.entries("http", request_bytes("/environ", headers=headers))
    joined = [entries[key]["value"] for key in ("HTTP_COOKIE", "HTTP_ACCEPT_LANGUAGE")]
    assert joined == ["a=1; b=2", "de, en"]


def test_headers_that_the_page_excludes_are_not_there(listening: Listening) -> None:
    headers = ["Proxy: evil.example", "X_Real: 1", "Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1"]
    data = request_bytes("/environ", headers=headers)
    entries = listening.entries("http", data, source="127.0.0.2")
    assert set(entries) == set(ALWAYS) | KEYS_OF_LOOP | ON_TCP | {"HTTP_HOST"}
    assert entries["REMOTE_ADDR"]["value"] == "127.0.0.2"


# --- Variables of reverse proxies


@pytest.mark.parametrize("protocol", GATEWAYS)
@pytest.mark.parametrize("name", VARIABLES)
def test_variable_becomes_what_the_page_says(listening: Listening, name: str, protocol: str) -> None:
    _, example, becomes, _ = VARIABLES[name]
    value = ast.literal_eval(example.strip("`"))
    before = listening.entries(protocol, sent(protocol))
    after = listening.entries(protocol, sent(protocol, (name, value)))
    added = {key: after[key]["value"] for key in after if key not in before}
    if becomes.startswith("nothing"):
        assert (added, after["wsgi.url_scheme"]["value"]) == ({}, "http")
    elif becomes.startswith("the key of that name"):
        assert added == {name: value}
    else:
        assert becomes.startswith("`wsgi.url_scheme` and `HTTPS`")
        assert (added, after["wsgi.url_scheme"]["value"]) == ({"HTTPS": "on"}, "https")


# --- Middleware


def test_keys_of_middleware_are_those_of_the_page(tmp_path: Path) -> None:
    seen: dict[str, str] = {}

    def application(environ: Environ, start_response: Any) -> list[bytes]:
        seen.update({key: type(value).__name__ for key, value in environ.items() if key not in before})
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    def name_of(environ: Environ) -> str:
        seen["werkzeug.profiler"] = type(environ["werkzeug.profiler"]).__name__
        return "profile"

    profiled = Profile(application, stream=None, profile_dir=str(tmp_path), filename_format=name_of)
    wrapped = RequestID(ServerTiming(ProxyFix(profiled)))
    environ: Environ = {}
    setup_testing_defaults(environ)
    before = set(environ)
    list(wrapped(environ, lambda *_: lambda _: None))
    assert seen == {key: row[1] for key, row in BY_MIDDLEWARE.items()}
