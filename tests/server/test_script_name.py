"""--script-name: the application is mounted below a path, and is not asked for what is not below it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from support.gateway import variables
from support.gateway_server import GatewayServer, read_response, request, running_gateway_server
from support.raw_client import Response, request_bytes

LISTENERS = {name: f"{name}://{{address}}" for name in ("uwsgi", "scgi", "fastcgi")}
NAMES = ("http", *LISTENERS)
BELOW = [
    ("/shop/x", "/x"),
    ("/shop", ""),
    ("/shop/", "/"),
    ("/shop//x", "//x"),
    ("/shop/shop/x", "/shop/x"),
    ("/shop/x?a=b", "/x"),
    ("/shop?a=b", ""),
]
OUTSIDE = ["/", "/shopping", "/sho", "/Shop/x", "/x/shop", "//shop/x", "/shop.html", "/?/shop/x"]


@pytest.fixture(scope="module", params=[1, 4], ids=["1-thread", "4-threads"])
def mounted(request: pytest.FixtureRequest) -> Iterator[GatewayServer]:
    with running_gateway_server(
        *("--script-name", "/shop/", "--health-path", "/up"),
        listeners=LISTENERS,
        application="apps.echoing:application",
        threads=request.param,
        is_strict=False,
    ) as running:
        yield running


def ask(server: GatewayServer, name: str, target: str, *more: tuple[str, str]) -> Response:
    with server.connect(name) as connection:
        connection.send(request(name, variables(target, "GET", *more)))
        return read_response(connection, name)


def place(response: Response) -> tuple[str, str, str]:
    """Where the application was, where it was asked, and for what target."""
    assert response.status == 200, response
    seen: dict[str, Any] = json.loads(response.body)
    return (seen["script"], seen["path"], seen["target"])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("target", "path"), BELOW)
def test_the_mount_is_moved_from_the_path(mounted: GatewayServer, name: str, target: str, path: str) -> None:
    assert place(ask(mounted, name, target)) == ("/shop", path, target)


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/sh%6Fp/x", "/x"),
        ("/%73hop", ""),
        ("/shop/%2Fx%20y", "//x y"),
        ("http://localhost/shop/x", "/x"),
        ("http://localhost/shop", ""),
        ("http://localhost/shop/", "/"),
    ],
)
def test_the_mount_is_found_in_any_spelling_of_a_target(
    mounted: GatewayServer, target: str, path: str
) -> None:
    assert place(ask(mounted, "http", target)) == ("/shop", path, target)


@pytest.mark.parametrize("name", NAMES)
def test_the_whole_server_is_no_path(mounted: GatewayServer, name: str) -> None:
    with mounted.connect(name) as connection:
        connection.send(request(name, variables("*", "OPTIONS")))
        assert place(read_response(connection, name)) == ("/shop", "", "*")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("target", OUTSIDE)
def test_what_is_outside_is_not_found(mounted: GatewayServer, name: str, target: str) -> None:
    response = ask(mounted, name, target)
    assert (response.status, response.body) == (404, b"404 Not Found\n")


@pytest.mark.parametrize(
    "target", ["/shop%2Fx", "/%2Fshop/x", "/shop%", "http://localhost", "http://localhost/"]
)
def test_an_escaped_slash_is_no_border(mounted: GatewayServer, target: str) -> None:
    assert ask(mounted, "http", target).status == 404


def test_a_connection_goes_on_after_what_is_not_found(mounted: GatewayServer) -> None:
    position = mounted.server.access_log.position()
    with mounted.connect("http") as connection:
        assert connection.request("/a").status == 404
        assert connection.request("/b", method="POST", body=b"x" * 70_000).status == 404
        chunked = request_bytes("/c", "PUT", headers=["Transfer-Encoding: chunked"])
        connection.send(chunked + b"5\r\nhello\r\n0\r\n\r\n" + request_bytes("/d", "HEAD"))
        assert connection.read_response().status == 404
        head = connection.read_response("HEAD")
        assert (head.status, head.get("Content-Length"), head.body) == (404, "14", b"")
        assert place(connection.request("/shop/e"))[1] == "/e"
        assert connection.request("/f", headers=["Connection: close"]).status == 404
        connection.expect_closed()
    mounted.server.access_log.wait_for(r'"GET /a HTTP/1.1" 404 14 ', since=position)
    assert "[warning]" not in mounted.server.error_log.text()


@pytest.mark.parametrize("name", LISTENERS)
def test_a_reverse_proxy_that_mounts_is_left_alone(mounted: GatewayServer, name: str) -> None:
    given = dict(variables("/there/x"), SCRIPT_NAME="/there", PATH_INFO="/x")
    with mounted.connect(name) as connection:
        connection.send(request(name, list(given.items())))
        assert place(read_response(connection, name)) == ("/there", "/x", "/there/x")


def test_a_prefix_that_a_reverse_proxy_has_stripped_stands_before_it(mounted: GatewayServer) -> None:
    with mounted.connect("http") as connection:
        response = connection.request("/shop/x", headers=["X-Forwarded-Prefix: /outer/"])
        assert place(response) == ("/outer/shop", "/x", "/shop/x")
        assert connection.request("/x", headers=["X-Forwarded-Prefix: /shop"]).status == 404


@pytest.mark.parametrize("name", NAMES)
def test_a_health_path_is_the_servers(mounted: GatewayServer, name: str) -> None:
    assert ask(mounted, name, "/up").body == b"ok\n"
    assert place(ask(mounted, name, "/shop/up"))[:2] == ("/shop", "/up")


def test_a_mount_may_be_deep_and_in_any_language() -> None:
    with running_gateway_server(
        *("--script-name", "/caf\xe9/my shop"),
        listeners=LISTENERS,
        application="apps.echoing:application",
        is_strict=False,
    ) as server:
        script = "/caf\xe9/my shop".encode().decode("latin-1")
        target = "/caf%C3%A9/my%20shop/%C3%A9"
        assert place(ask(server, "http", target)) == (script, "/\xc3\xa9", target)
        given = dict(variables("/raw"), PATH_INFO=f"{script}/x")
        for name in LISTENERS:
            with server.connect(name) as connection:
                connection.send(request(name, list(given.items())))
                assert place(read_response(connection, name)) == (script, "/x", "/raw")
        assert ask(server, "http", "/caf%E9/my%20shop").status == 404


def test_without_one_nothing_is_moved() -> None:
    with running_gateway_server(
        "--script-name",
        "/",
        listeners=LISTENERS,
        application="apps.echoing:application",
        is_strict=False,
    ) as server:
        for name in NAMES:
            assert place(ask(server, name, "/shop/x")) == ("", "/shop/x", "/shop/x")
