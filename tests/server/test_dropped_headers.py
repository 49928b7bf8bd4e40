"""Headers that no application sees are told of once for each name, however often they come, whatever the
names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from support.forwarded import FORWARDED_HEADERS
from support.gateway import variables
from support.gateway_server import GatewayServer, read_response, request, running_gateway_server
from support.raw_client import request_bytes
from support.server import Server

MOST_NAMES = 64
PROXY = "127.0.0.2"
STRANGER = "127.0.0.3"
UNDERSCORE = "in environ its underscore could not be told from a hyphen"
HTTPOXY = "programs take HTTP_PROXY for their own proxy setting"
FORWARDED = "it is believed only from forwarded_allow_ips"


@contextmanager
def serving(threads: int, *options: str) -> Iterator[Server]:
    trusted = ["--forwarded-allow-ips", PROXY]
    with Server("apps.echoing:application", threads=threads, options=[*trusted, *options]) as server:
        yield server


def ask(server: Server, *headers: str, source: str = STRANGER) -> dict[str, str]:
    """The headers that the application has seen of some requests with these."""
    with server.connect(source=source) as connection:
        for _ in range(3):
            connection.send(request_bytes("/", headers=headers))
            response = connection.read_response()
            assert response.status == 200
    seen: dict[str, str] = json.loads(response.body)["headers"]
    return seen


def dropped(server: Server) -> list[tuple[str, str, str]]:
    """Level, name and reason of each line about a dropped header."""
    lines = re.findall(
        r"\[(\w+)\] the header (\S+) of \S+ is dropped: (.*?); (?:this is said once|of further names)",
        server.error_log.text(),
    )
    return [(level, name, why) for level, name, why in lines]


@pytest.mark.parametrize("threads", [1, 4])
def test_each_dropped_name_is_told_once(threads: int) -> None:
    with serving(threads) as server:
        for name in ("X_Real_IP", "X-Real_IP", "x_real_ip"):
            assert ask(server, f"{name}: 192.0.2.1") == {"HTTP_HOST": "localhost"}
        assert ask(server, "Proxy: http://evil.example") == {"HTTP_HOST": "localhost"}
        # What the server undoes itself is not dropped.
        ask(server, "Content-Length: 0")
        assert dropped(server) == [
            ("info", "X_Real_IP", UNDERSCORE),
            ("info", "X-Real_IP", UNDERSCORE),
            ("info", "Proxy", HTTPOXY),
        ]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_forwarded_header_of_a_stranger_is_told_once(threads: int) -> None:
    with serving(threads) as server:
        ask(server, *FORWARDED_HEADERS, source=PROXY)
        assert dropped(server) == []
        for _ in range(2):
            assert ask(server, *FORWARDED_HEADERS, *map(str.lower, FORWARDED_HEADERS)) == {
                "HTTP_HOST": "localhost"
            }
        names = [header.partition(":")[0] for header in FORWARDED_HEADERS]
        assert dropped(server) == [("info", name, FORWARDED) for name in names]
        assert f"the header Forwarded of {STRANGER} is dropped" in server.error_log.text()


def test_nothing_is_told_of_headers_that_are_kept() -> None:
    with serving(1, "--untrusted-forwarded", "keep") as server:
        assert len(ask(server, *FORWARDED_HEADERS)) == 1 + len(FORWARDED_HEADERS)
        assert dropped(server) == []


def test_nothing_is_told_above_the_log_level() -> None:
    with serving(1, "--log-level", "warning") as server:
        ask(server, "X_Real_IP: 192.0.2.1")
        assert server.error_log.text() == ""


@pytest.mark.parametrize("threads", [1, 4])
def test_names_that_a_client_invents_fill_no_log(threads: int) -> None:
    with serving(threads) as server:
        for number in range(20):
            ask(server, *(f"X_{number}_{name}: y" for name in range(50)))
        lines = dropped(server)
        assert [name for _, name, _ in lines] == [f"X_{name // 50}_{name % 50}" for name in range(MOST_NAMES)]
        text = server.error_log.text()
        assert (text.count("of further names nothing is said"), text.count("is dropped")) == (1, MOST_NAMES)


def test_of_a_long_name_only_the_start_is_told() -> None:
    with serving(1) as server:
        ask(server, "X_" + "y" * 5000 + ": z", "X_" + "y" * 6000 + ": z")
        assert dropped(server) == [("info", "X_" + "y" * 62, UNDERSCORE)]


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    listeners = {name: f"{name}://{{address}}" for name in ("uwsgi", "scgi", "fastcgi")}
    with running_gateway_server(
        listeners=listeners, application="apps.echoing:application", is_strict=False
    ) as running:
        yield running


@pytest.mark.parametrize(
    ("variable", "why"),
    [
        ("HTTP_X_FORWARDED_FOR", FORWARDED),
        ("HTTP_PROXY", HTTPOXY),
        ("HTTP_X-REAL-IP", "the name of a variable has letters from A to Z, digits and underscores"),
    ],
)
def test_a_dropped_variable_is_told_once(gateway: GatewayServer, variable: str, why: str) -> None:
    """Over the other protocols too, all of which have the same names."""
    before = dropped(gateway.server)
    for name in ("uwsgi", "scgi", "fastcgi"):
        for _ in range(2):
            with gateway.connect(name) as connection:
                connection.send(request(name, variables("/", "GET", (variable, "192.0.2.1"))))
                seen = json.loads(read_response(connection, name).body)
            assert variable not in seen["headers"]
    assert dropped(gateway.server) == [*before, ("info", variable, why)]


def test_nothing_is_told_of_variables_about_the_framing(gateway: GatewayServer) -> None:
    """The reverse proxy has undone it: there is nothing that the application would miss."""
    before = gateway.server.error_log.text()
    for name in ("uwsgi", "scgi", "fastcgi"):
        with gateway.connect(name) as connection:
            given = (("HTTP_TRANSFER_ENCODING", "chunked"), ("HTTP_CONTENT_LENGTH", "7"))
            connection.send(request(name, variables("/", "GET", *given)))
            assert read_response(connection, name).status == 200
    assert gateway.server.error_log.text() == before
