"""What reverse proxies say of a request is believed from those that the settings name, and from nobody
else."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.forwarded import FORWARDED_HEADERS as HEADERS
from support.raw_client import Connection, request_bytes
from support.server import Server, free_port

PROXY = "127.0.0.2"
"""A reverse proxy that is trusted; so is 10.0.0.0/8."""
STRANGER = "127.0.0.3"

ABOUT_THE_CLIENT = (
    "REMOTE_ADDR",
    "REMOTE_PORT",
    "wsgi.url_scheme",
    "HTTPS",
    "HTTP_HOST",
    "SERVER_NAME",
    "SERVER_PORT",
    "SCRIPT_NAME",
)
KEYS = {
    "HTTP_FORWARDED": "for=192.0.2.1",
    "HTTP_X_FORWARDED_FOR": "192.0.2.1",
    "HTTP_X_FORWARDED_PROTO": "https",
    "HTTP_X_FORWARDED_HOST": "example.org",
    "HTTP_X_FORWARDED_PORT": "8443",
    "HTTP_X_FORWARDED_PREFIX": "/shop",
    "HTTP_X_REQUEST_START": "t=1700000000.5",
}


@pytest.fixture(scope="module", params=[pytest.param(1, id="1-thread"), pytest.param(8, id="8-threads")])
def proxied(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server behind `PROXY`."""
    trusted = ["--forwarded-allow-ips", PROXY, "--forwarded-allow-ips", "10.0.0.0/8"]
    with Server(threads=request.param, options=trusted) as running:
        yield running


def ask(connection: Connection, *headers: str, **options: Any) -> dict[str, str]:
    """The environ of one request with these header lines."""
    response = connection.request("/environ", headers=headers, **options)
    assert response.status == 200, response
    return {key: entry["value"] for key, entry in json.loads(response.body)["values"].items()}


def about_the_client(values: dict[str, str]) -> dict[str, str]:
    return {key: values[key] for key in ABOUT_THE_CLIENT if key in values}


def test_each_request_has_the_address_of_its_own_client(proxied: Server) -> None:
    one, other = "192.0.2.1", "2001:db8::7"
    clients = [one, one, one, other, one, other, other, other, one, "192.0.2.3", one, one]
    with proxied.connect(source=PROXY) as connection:
        seen = [ask(connection, f"X-Forwarded-For: {client}")["REMOTE_ADDR"] for client in clients]
        assert ask(connection)["REMOTE_ADDR"] == PROXY
    assert seen == clients


def forwarded_keys(values: dict[str, str]) -> dict[str, str]:
    return {key: values[key] for key in KEYS if key in values}


def seen_directly(connection: Connection) -> dict[str, str]:
    """What the server sees itself of the client at the other end of `connection`."""
    address, port = connection.socket.getsockname()
    _, server_port = connection.socket.getpeername()
    return {
        "REMOTE_ADDR": address,
        "REMOTE_PORT": str(port),
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "localhost",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": str(server_port),
        "SCRIPT_NAME": "",
    }


@pytest.mark.parametrize(
    ("headers", "changes"),
    [
        pytest.param(
            ["X-Forwarded-For: 192.0.2.1"], {"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": None}, id="for"
        ),
        pytest.param(
            ["X-Forwarded-For: 192.0.2.1:4711"],
            {"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711"},
            id="port",
        ),
        pytest.param(
            ["X-Forwarded-For: 127.0.0.1, 192.0.2.1, 10.0.0.7"],
            {"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": None},
            id="chain-with-a-part-that-the-client-made-up",
        ),
        pytest.param(
            ["X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 192.0.2.1"],
            {"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": None},
            id="two-lines",
        ),
        pytest.param(
            ["X-Forwarded-For: 2001:db8::1"], {"REMOTE_ADDR": "2001:db8::1", "REMOTE_PORT": None}, id="ipv6"
        ),
        pytest.param(
            ["X-Forwarded-Proto: https"],
            {"wsgi.url_scheme": "https", "HTTPS": "on", "SERVER_PORT": "443"},
            id="https",
        ),
        pytest.param(["X-Forwarded-Proto: http"], {"SERVER_PORT": "80"}, id="http"),
        pytest.param(
            ["X-Forwarded-Proto: wss"],
            {"wsgi.url_scheme": "https", "HTTPS": "on", "SERVER_PORT": "443"},
            id="wss",
        ),
        pytest.param(["X-Forwarded-Proto: ws"], {"SERVER_PORT": "80"}, id="ws"),
        pytest.param(
            ["Forwarded: proto=WSS", "X-Forwarded-Proto: https"],
            {"wsgi.url_scheme": "https", "HTTPS": "on", "SERVER_PORT": "443"},
            id="wss-in-both-families",
        ),
        pytest.param(
            ["X-Forwarded-Host: example.org:8080"],
            {"HTTP_HOST": "example.org:8080", "SERVER_NAME": "example.org", "SERVER_PORT": "8080"},
            id="host-with-port",
        ),
        pytest.param(
            ["X-Forwarded-Host: [2001:db8::1]"],
            {"HTTP_HOST": "[2001:db8::1]", "SERVER_NAME": "[2001:db8::1]", "SERVER_PORT": "80"},
            id="host-ipv6",
        ),
        pytest.param(["X-Forwarded-Port: 8443"], {"SERVER_PORT": "8443"}, id="server-port"),
        pytest.param(["X-Forwarded-Prefix: /shop/"], {"SCRIPT_NAME": "/shop"}, id="prefix"),
        pytest.param(
            ["X-Forwarded-For: 192.0.2.1, 10.0.0.7", "X-Forwarded-Proto: http, https, http"],
            {
                "REMOTE_ADDR": "192.0.2.1",
                "REMOTE_PORT": None,
                "wsgi.url_scheme": "https",
                "HTTPS": "on",
                "SERVER_PORT": "443",
            },
            id="scheme-of-the-same-server",
        ),
        pytest.param(
            ['Forwarded: for=127.0.0.1, for="[2001:db8::1]:4711";proto=https;host=example.org'],
            {
                "REMOTE_ADDR": "2001:db8::1",
                "REMOTE_PORT": "4711",
                "wsgi.url_scheme": "https",
                "HTTPS": "on",
                "HTTP_HOST": "example.org",
                "SERVER_NAME": "example.org",
                "SERVER_PORT": "443",
            },
            id="rfc-7239",
        ),
        pytest.param(
            list(HEADERS),
            {
                "REMOTE_ADDR": "192.0.2.1",
                "REMOTE_PORT": None,
                "wsgi.url_scheme": "https",
                "HTTPS": "on",
                "HTTP_HOST": "example.org",
                "SERVER_NAME": "example.org",
                "SERVER_PORT": "8443",
                "SCRIPT_NAME": "/shop",
            },
            id="all",
        ),
        pytest.param([], {}, id="none"),
        pytest.param(["X-Request-Start: t=1700000000"], {}, id="request-start-alone"),
        pytest.param(["X_Forwarded_For: 192.0.2.1", "X-Forwarded_Proto: https"], {}, id="underscores"),
    ],
)
@pytest.mark.parametrize("closing", [False, True], ids=["kept", "closed"])
def test_a_reverse_proxy_is_believed(
    proxied: Server, headers: list[str], changes: dict[str, str | None], closing: bool
) -> None:
    with proxied.connect(source=PROXY) as connection:
        expected = {**seen_directly(connection), **changes}
        values = ask(connection, *headers, *(["Connection: close"] if closing else []))
    assert about_the_client(values) == {key: value for key, value in expected.items() if value is not None}


UNUSABLE = [
    ["X-Forwarded-For: unknown"],
    ["X-Forwarded-For: garbage"],
    ["X-Forwarded-For:"],
    ["X-Forwarded-For: , ,"],
    ["X-Forwarded-For: _hidden"],
    ["X-Forwarded-For: :8080"],
    ["X-Forwarded-For: 192.0.2.256"],
    ["X-Forwarded-For: 192.0.2.1, unknown"],
    ["X-Forwarded-For: unknown, 10.0.0.7"],
    ["X-Forwarded-For: unix:"],
    ["Forwarded: for=unknown"],
    ['Forwarded: for=""'],
    ['Forwarded: for="_hidden:4711"'],
    ["Forwarded: for=192.0.2.1, for=unknown"],
    ["Forwarded: for=unknown", "X-Forwarded-For: unknown"],
]


@pytest.mark.parametrize("headers", UNUSABLE, ids=[" | ".join(lines) for lines in UNUSABLE])
@pytest.mark.parametrize("proto", [False, True], ids=["alone", "beside-a-scheme"])
def test_a_client_that_cannot_be_told_leaves_the_peer(
    proxied: Server, headers: list[str], proto: bool
) -> None:
    """RFC 3875 4.1.8: REMOTE_ADDR is an address; the reverse proxy has the nearest one that is known."""
    position = proxied.access_log.position()
    with proxied.connect(source=PROXY) as connection:
        expected = seen_directly(connection)
        if proto:
            expected |= {"wsgi.url_scheme": "https", "HTTPS": "on", "SERVER_PORT": "443"}
        values = ask(connection, *headers, *(["X-Forwarded-Proto: https"] if proto else []))
    assert about_the_client(values) == expected
    proxied.access_log.wait_for(rf"^{PROXY} .*/environ", since=position)


@pytest.mark.parametrize(
    "headers",
    [
        ["Forwarded: for=192.0.2.1", "X-Forwarded-For: unknown"],
        ["Forwarded: for=unknown", "X-Forwarded-For: 192.0.2.1"],
    ],
    ids=["x-forwarded-for", "forwarded"],
)
def test_the_other_family_cannot_say_who_a_hidden_client_is(proxied: Server, headers: list[str]) -> None:
    """It may be the client that sent it."""
    with proxied.connect(source=PROXY) as connection:
        assert connection.request("/environ", headers=headers).status == 400


def test_an_application_sees_the_headers_of_a_reverse_proxy(proxied: Server) -> None:
    with proxied.connect(source=PROXY) as connection:
        assert forwarded_keys(ask(connection, *HEADERS)) == KEYS
        joined = ask(connection, "X-Forwarded-For: 192.0.2.7", "x-forwarded-for: 192.0.2.1")
    assert forwarded_keys(joined) == {"HTTP_X_FORWARDED_FOR": "192.0.2.7, 192.0.2.1"}


def test_others_are_not_believed_and_their_headers_removed(proxied: Server) -> None:
    with proxied.connect(source=STRANGER) as connection:
        values = ask(
            connection, *HEADERS, *(header.lower() for header in HEADERS), "X-Forwarded-Server: other"
        )
        assert about_the_client(values) == seen_directly(connection)
    assert forwarded_keys(values) == {}
    assert values["HTTP_X_FORWARDED_SERVER"] == "other"


def test_others_are_not_believed_where_their_headers_are_kept() -> None:
    options = ["--forwarded-allow-ips", PROXY, "--untrusted-forwarded", "keep"]
    with Server(options=options) as server, server.connect(source=STRANGER) as connection:
        values = ask(connection, *HEADERS)
        assert about_the_client(values) == seen_directly(connection)
    assert forwarded_keys(values) == KEYS


INVALID = [
    pytest.param(["X-Forwarded-Proto: gopher"], id="proto"),
    pytest.param(["X-Forwarded-Host: a b"], id="host"),
    pytest.param(["X-Forwarded-Port: 65536"], id="port"),
    pytest.param(["X-Forwarded-Prefix: //evil.example"], id="prefix"),
    pytest.param(['Forwarded: for="192.0.2.1'], id="rfc-7239"),
    pytest.param(["Forwarded: for=192.0.2.7", "X-Forwarded-For: 192.0.2.1"], id="client-contradicted"),
    pytest.param(["Forwarded: proto=https", "X-Forwarded-Proto: http"], id="proto-contradicted"),
    pytest.param(["Forwarded: host=a", "X-Forwarded-Host: b"], id="host-contradicted"),
]


@pytest.mark.parametrize("headers", INVALID)
@pytest.mark.parametrize(
    ("method", "more"),
    [
        pytest.param("GET", [], id="kept"),
        pytest.param("GET", ["Connection: close"], id="closed"),
        pytest.param("POST", ["Content-Length: 5"], id="with-a-body"),
    ],
)
def test_what_a_reverse_proxy_must_not_say_is_rejected(
    proxied: Server, headers: list[str], method: str, more: list[str]
) -> None:
    with proxied.connect(source=PROXY) as connection:
        assert ask(connection)["REMOTE_ADDR"] == PROXY
        connection.send(request_bytes("/environ", method, headers=[*headers, *more]))
        assert connection.read_response().status == 400
        connection.expect_closed()
    with proxied.connect(source=PROXY) as connection:
        connection.send(request_bytes("/environ", method, headers=[*headers, *more]))
        assert connection.read_response().status == 400
        connection.expect_closed()


@pytest.mark.parametrize("headers", INVALID)
def test_what_others_say_is_not_even_read(proxied: Server, headers: list[str]) -> None:
    with proxied.connect(source=STRANGER) as connection:
        values = ask(connection, *headers)
        assert about_the_client(values) == seen_directly(connection)


def test_nothing_stays_for_the_next_request(proxied: Server) -> None:
    """Not on the connection, and not in a buffer that another connection gets."""
    with proxied.connect(source=PROXY) as proxy:
        for _ in range(3):
            assert about_the_client(ask(proxy, *HEADERS))["REMOTE_ADDR"] == "192.0.2.1"
            assert about_the_client(ask(proxy)) == seen_directly(proxy)
            assert ask(proxy, "X-Forwarded-For: 192.0.2.9")["REMOTE_ADDR"] == "192.0.2.9"
            with proxied.connect(source=STRANGER) as stranger:
                assert about_the_client(ask(stranger, "Connection: close")) == seen_directly(stranger)
    with proxied.connect(source=PROXY) as proxy:
        several = [request_bytes("/environ", headers=HEADERS), request_bytes("/environ")]
        proxy.send(b"".join(several) * 3)
        addresses = [
            json.loads(proxy.read_response().body)["values"]["REMOTE_ADDR"]["value"] for _ in range(6)
        ]
    assert addresses == ["192.0.2.1", PROXY] * 3


def test_a_request_that_comes_byte_by_byte(proxied: Server) -> None:
    with proxied.connect(source=PROXY) as connection:
        connection.send_bytewise(request_bytes("/environ", headers=["X-Forwarded-For: 127.0.0.1, 192.0.2.1"]))
        values = json.loads(connection.read_response().body)["values"]
    assert values["REMOTE_ADDR"]["value"] == "192.0.2.1"


def test_the_target_of_a_request_is_not_believed_over_the_reverse_proxy(proxied: Server) -> None:
    with proxied.connect(source=PROXY) as connection:
        connection.ask("http://inner.example/environ", headers=["X-Forwarded-Host: example.org"])
        values = json.loads(connection.read_response().body)["values"]
    assert values["HTTP_HOST"]["value"] == "example.org"


def test_the_access_log_names_the_client(proxied: Server, key: str) -> None:
    with proxied.connect(source=PROXY) as connection:
        connection.request(f"/function?key={key}-1.", headers=["X-Forwarded-For: 127.0.0.1, 2001:db8::1"])
        connection.request(f"/function?key={key}-2.", headers=["X-Forwarded-For: _hidden"])
        connection.request(f"/function?key={key}-3.")
    with proxied.connect(source=STRANGER) as connection:
        connection.request(f"/function?key={key}-4.", headers=["X-Forwarded-For: 192.0.2.1"])
    proxied.access_log.wait_for(rf"{key}-4\.")
    lines = [line for line in proxied.access_log.lines() if key in line]
    assert [line.split()[0] for line in lines] == ["2001:db8::1", PROXY, PROXY, STRANGER]


@pytest.mark.parametrize(
    ("trusted", "believed"),
    [
        pytest.param([], True, id="by-default"),
        pytest.param(["--forwarded-allow-ips", "127.0.0.1"], False, id="not-named"),
        pytest.param(["--forwarded-allow-ips", "*"], True, id="everybody"),
    ],
)
def test_unix_sockets(tmp_path: Path, trusted: list[str], believed: bool) -> None:
    bind = f"unix:{tmp_path / 'portico.sock'}"
    with Server(bind=bind, options=trusted) as server, server.connect() as connection:
        values = ask(connection, *HEADERS)
        direct = ask(connection)
    assert forwarded_keys(values) == (KEYS if believed else {})
    got = about_the_client(values)
    assert (got["REMOTE_ADDR"], got["wsgi.url_scheme"]) == (
        ("192.0.2.1", "https") if believed else ("", "http")
    )
    assert (direct["REMOTE_ADDR"], direct.get("REMOTE_PORT")) == ("", None)


@pytest.mark.parametrize(("source", "believed"), [("127.0.0.1", True), (PROXY, False)])
def test_by_default_only_the_own_machine_is_believed(source: str, believed: bool) -> None:
    with Server() as server, server.connect(source=source) as connection:
        values = ask(connection, "X-Forwarded-For: 192.0.2.1")
    assert values["REMOTE_ADDR"] == ("192.0.2.1" if believed else source)


def test_a_reverse_proxy_that_comes_by_ipv4_to_a_socket_for_both() -> None:
    try:
        port = free_port("::")
    except OSError:
        pytest.skip("no IPv6 here")
    with Server(options=["-b", f"[::]:{port}", "--forwarded-allow-ips", PROXY]), socket.socket() as raw:
        raw.bind((PROXY, 0))
        try:
            raw.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            pytest.skip("[::] takes no IPv4 here")
        raw.sendall(b"GET /environ HTTP/1.0\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n")
        response = b"".join(iter(lambda: raw.recv(65536), b""))
    values = json.loads(response.partition(b"\r\n\r\n")[2])["values"]
    assert values["REMOTE_ADDR"]["value"] == "192.0.2.1"


def test_names_that_a_client_invents_change_nothing_for_others(proxied: Server) -> None:
    """More names than are remembered, with values that have to come out under their own."""
    usual = {
        "Accept": "a",
        "Accept-Encoding": "b",
        "Cookie": "c=d",
        "User-Agent": "e",
        "X-Forwarded-For": "f",
    }
    lines = [f"{name}: {value}" for name, value in usual.items()]
    with proxied.connect(source=STRANGER) as connection:
        for first in range(0, 1000, 50):
            invented = {f"X-Invented-{number:03}-Name": str(number) for number in range(first, first + 50)}
            values = ask(connection, *lines, *(f"{name}: {value}" for name, value in invented.items()))
            expected = {
                f"HTTP_{name.upper().replace('-', '_')}": value
                for name, value in {**usual, **invented}.items()
            }
            del expected["HTTP_X_FORWARDED_FOR"]
            assert {name: values[name] for name in values if name.startswith("HTTP_")} == {
                **expected,
                "HTTP_HOST": "localhost",
            }


def test_a_long_chain(proxied: Server) -> None:
    with proxied.connect(source=PROXY) as connection:
        values = ask(connection, "X-Forwarded-For: " + "1.1.1.1," * 1_500 + "192.0.2.1")
    assert values["REMOTE_ADDR"] == "192.0.2.1"
