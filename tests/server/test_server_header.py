"""--server-header: what the Server header of every response says, the server's own among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from support.gateway import variables
from support.gateway_server import GatewayServer, read_response, request, running_gateway_server
from support.raw_client import Response, request_bytes
from support.server import Server

LISTENERS = {name: f"{name}://{{address}}" for name in ("uwsgi", "scgi", "fastcgi")}
NAMES = ("http", *LISTENERS)
TARGETS = {
    "application": ("/function", 200),
    "own": ("/own-date-and-server", 200),
    "failed": ("/raises/at-call?key=x", 500),
    "health": ("/up", 200),
    "invalid": ("/a b", 400),
}
CASES: list[tuple[Sequence[str], Mapping[str, str], str | None]] = [
    ((), {}, "portico"),
    (("--server-header", "shop/1.2 (Unix)"), {}, "shop/1.2 (Unix)"),
    (("--server-header", ""), {}, None),
    (("--server-header", "none"), {}, None),
    ((), {"PORTICO_SERVER_HEADER": "shop"}, "shop"),
    ((), {"PORTICO_SERVER_HEADER": ""}, "portico"),
    ((), {"PORTICO_SERVER_HEADER": "none"}, None),
]


def ask(server: GatewayServer, name: str, target: str) -> Response:
    with server.connect(name) as connection:
        connection.send(request(name, variables(target)))
        return read_response(connection, name)


@pytest.mark.parametrize(
    ("options", "expected"), [(options, said) for options, env, said in CASES if not env]
)
@pytest.mark.parametrize("threads", [1, 4])
def test_every_response_says_it(options: Sequence[str], expected: str | None, threads: int) -> None:
    with running_gateway_server(
        *(*options, "--health-path", "/up"),
        listeners=LISTENERS,
        application="apps.conformance:application",
        threads=threads,
        is_strict=False,
        has_tracebacks=True,
    ) as server:
        for name in NAMES:
            for what, (target, status) in TARGETS.items():
                response = ask(server, name, target)
                assert response.status == status, (name, what)
                said = ["mine/1.0"] if what == "own" else [] if expected is None else [expected]
                assert response.all("Server") == said, (name, what)
        with server.connect("http") as connection:
            connection.send(b"GET / HTTP/9.9\r\n\r\n")
            assert connection.read_response().all("Server") == ([] if expected is None else [expected])


@pytest.mark.parametrize(("environment", "expected"), [(env, said) for _, env, said in CASES if env])
def test_the_environment_says_it(environment: Mapping[str, str], expected: str | None) -> None:
    with Server(environment=environment) as server, server.connect() as connection:
        connection.send(request_bytes("/function"))
        assert connection.read_response().get("Server") == expected
