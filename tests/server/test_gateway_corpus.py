"""Replays tests/corpus/{uwsgi,scgi,fastcgi,proxy} over sockets; crates/wire/tests does the same without them.

Each file goes to a listener of its protocol: the application sees exactly what a valid one says, an invalid
one is rejected in the protocol's own form, with a log line that says why.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

import pytest
from support.gateway import (
    ABORT_REQUEST,
    BEGIN_REQUEST,
    COMPLETE,
    END_REQUEST,
    PONG,
    STDIN,
    GatewayConnection,
    Record,
    record,
    variables,
)
from support.gateway_corpus import Case, Request, cases
from support.gateway_server import (
    KEPT,
    LISTENERS,
    PROXIED,
    GatewayServer,
    read_response,
    request,
    running_gateway_server,
)
from support.raw_client import Response
from support.ways import KEYS_OF_LOOP

ALL = {
    (protocol, folder): cases(protocol, folder)
    for protocol in ("uwsgi", "scgi", "fastcgi", "proxy")
    for folder in ("valid", "invalid")
}
BYTEWISE_LIMIT = 150
# One in so many short files is sent byte by byte.
BYTEWISE_SHARE = 7

SERVER_TYPES = {
    **{
        "wsgi.input": "Input",
        "wsgi.multithread": "bool",
        "wsgi.multiprocess": "bool",
        "wsgi.run_once": "bool",
    },
    **{"wsgi.input_terminated": "bool", "wsgi.file_wrapper": "type", "wsgi.errors": "ErrorStream"},
}
PORTICO_KEYS = (
    *("portico.disconnected", "portico.on_disconnect", "portico.draining"),
    "portico.extend_deadline",
)


def each(protocol: str, folder: str) -> pytest.MarkDecorator:
    found = ALL[protocol, folder]
    return pytest.mark.parametrize("case", found, ids=[case.name for case in found])


def sample(*folders: str) -> pytest.MarkDecorator:
    """Some short files of the protocols with heads, to be sent byte by byte."""
    found = [
        case
        for protocol in ("uwsgi", "scgi", "fastcgi")
        for folder in folders
        for case in ALL[protocol, folder]
        if len(case.data) <= BYTEWISE_LIMIT
    ][::BYTEWISE_SHARE]
    return pytest.mark.parametrize("case", found, ids=[f"{case.protocol}-{case.name}" for case in found])


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    with running_gateway_server("--keep-alive", "120s", "--handshake-timeout", "120s", kept=KEPT) as running:
        yield running


@pytest.fixture(autouse=True)
def others_go_on(gateway: GatewayServer) -> Iterator[None]:
    yield
    gateway.serves_everybody()


def send(connection: GatewayConnection, data: bytes, *, bytewise: bool = False) -> None:
    """Send all, unless the server has heard enough."""
    try:
        if bytewise:
            connection.send_bytewise(data)
        else:
            connection.send(data)
    except ConnectionError:
        return


def expect_environ(
    gateway: GatewayServer, name: str, connection: GatewayConnection, response: Response, asked: Request
) -> None:
    """The application has seen what the file says, and the server's own keys are the server's."""
    assert response.status == 200
    reported = json.loads(response.body)
    environ = reported["environ"]
    assert environ.pop("SERVER_SOFTWARE").startswith("portico/")
    assert environ.pop("wsgi.version") == [1, 0]
    assert environ == asked.environ(gateway.addresses[name], connection.socket.getsockname())
    assert reported["body"] == asked.body
    types = reported["types"]
    assert {key: types.get(key) for key in SERVER_TYPES if key != "wsgi.errors"} == {
        key: value for key, value in SERVER_TYPES.items() if key != "wsgi.errors"
    }
    assert set(types) == {*SERVER_TYPES, *PORTICO_KEYS, *KEYS_OF_LOOP}


# -- what is valid


def replay_valid(gateway: GatewayServer, case: Case, *, bytewise: bool = False) -> None:
    """A file of uwsgi or SCGI, which holds one request at most."""
    with gateway.connect(case.protocol) as connection:
        send(connection, case.data, bytewise=bytewise)
        if case.is_ping:
            assert connection.read_to_end() == PONG
            return
        if case.is_incomplete:
            connection.half_close()
            assert connection.read_to_end() == b""
            return
        response = read_response(connection, case.protocol)
        expect_environ(gateway, case.protocol, connection, response, case.requests[0])
        connection.expect_closed()


@each("uwsgi", "valid")
def test_a_valid_uwsgi_packet_is_served(gateway: GatewayServer, case: Case) -> None:
    replay_valid(gateway, case)


@each("scgi", "valid")
def test_a_valid_scgi_request_is_served(gateway: GatewayServer, case: Case) -> None:
    replay_valid(gateway, case)


def replay_valid_fastcgi(gateway: GatewayServer, case: Case, *, bytewise: bool = False) -> None:
    with gateway.connect("fastcgi") as connection:
        send(connection, case.data, bytewise=bytewise)
        others: list[bytes] = []
        opened, complete = fastcgi_requests(case.data)
        for asked in case.requests:
            if asked.id not in complete:
                continue
            response = connection.read_fastcgi_response(id=asked.id)
            while response.protocol_status != COMPLETE:
                # Of an earlier one with this number, which was not for a responder.
                rejected = struct.pack(">IB3x", response.app_status, response.protocol_status)
                others.append(as_bytes(Record(END_REQUEST, asked.id, rejected)))
                response = connection.read_fastcgi_response(id=asked.id)
            others += map(as_bytes, response.others)
            assert (response.app_status, response.errors) == (0, b"")
            assert response.response is not None
            expect_environ(gateway, "fastcgi", connection, response.response, asked)
            if not asked.keep_connection:
                break
        connection.half_close()
        others += map(as_bytes, connection.read_records())
        expected = [*case.replies]
        if case.is_aborted:
            expected.append(as_bytes(Record(END_REQUEST, case.requests[-1].id, bytes(8))))
        assert sorted(others) == sorted(expected)
        assert not opened or case.is_incomplete


def as_bytes(one: Record) -> bytes:
    return record(one.kind, one.content, id=one.id, padding=0)


def fastcgi_requests(data: bytes) -> tuple[list[int], list[int]]:
    """The requests for a responder in `data`: those that are open at its end, and those that are complete."""
    opened: list[int] = []
    complete: list[int] = []
    while len(data) >= 8 and data[0] == 1:
        kind, id, length, padding = struct.unpack_from(">xBHHB", data)
        is_responder = kind == BEGIN_REQUEST and data[8:10] == b"\0\1" and length == 8
        if is_responder and id and id not in opened:
            # Of two at a time the second is rejected.
            opened += [] if opened else [id]
        elif id in opened and ((kind == STDIN and not length) or kind == ABORT_REQUEST):
            opened.remove(id)
            complete += [id] if kind == STDIN else []
        data = data[8 + length + padding :]
    return opened, complete


@each("fastcgi", "valid")
def test_a_valid_fastcgi_connection_is_served(gateway: GatewayServer, case: Case) -> None:
    replay_valid_fastcgi(gateway, case)


@sample("valid")
def test_a_valid_connection_is_served_byte_by_byte(gateway: GatewayServer, case: Case) -> None:
    if case.protocol == "fastcgi":
        replay_valid_fastcgi(gateway, case, bytewise=True)
    else:
        replay_valid(gateway, case, bytewise=True)


# -- what is invalid


def replay_invalid(gateway: GatewayServer, case: Case, *, bytewise: bool = False) -> None:
    position = gateway.server.error_log.position()
    with gateway.connect(case.protocol) as connection:
        send(connection, case.data, bytewise=bytewise)
        if case.protocol == "fastcgi":
            expect_fastcgi_error_response(connection, case)
        else:
            response = read_response(connection, case.protocol)
            assert response.status == case.status
            assert response.body.startswith(str(case.status).encode())
            connection.expect_closed()
    gateway.wait_for_line(case.protocol, case.reason, since=position)


def expect_fastcgi_error_response(connection: GatewayConnection, case: Case) -> None:
    """Requests before the wrong bytes are served; the one that they belong to is ended with a status."""
    opened, complete = fastcgi_requests(case.data)
    if case.name in ENDED_IN_THE_HEAD:
        opened, complete = complete, []
    for id in complete:
        response = connection.read_fastcgi_response(id=id)
        assert response.response is not None
        assert response.response.status == 200
    for id in opened:
        response = connection.read_fastcgi_response(id=id)
        assert response.response is not None
        assert (response.response.status, response.protocol_status) == (case.status, 0)
    assert [one for one in connection.read_records() if one.kind == END_REQUEST] == []


# All of the request is there, but its variables or its body are wrong.
ENDED_IN_THE_HEAD = {
    case.name
    for case in ALL["fastcgi", "invalid"]
    if fastcgi_requests(case.data)[1] and case.name != "second_record_garbage"
}


@each("uwsgi", "invalid")
def test_an_invalid_uwsgi_packet_is_rejected_over_http(gateway: GatewayServer, case: Case) -> None:
    replay_invalid(gateway, case)


@each("scgi", "invalid")
def test_an_invalid_scgi_request_is_rejected_as_cgi_does(gateway: GatewayServer, case: Case) -> None:
    replay_invalid(gateway, case)


@each("fastcgi", "invalid")
def test_an_invalid_fastcgi_connection_is_rejected_in_records(gateway: GatewayServer, case: Case) -> None:
    replay_invalid(gateway, case)


@sample("invalid")
def test_an_invalid_connection_is_rejected_byte_by_byte(gateway: GatewayServer, case: Case) -> None:
    replay_invalid(gateway, case, bytewise=True)


# -- the PROXY protocol


@pytest.mark.parametrize("name", PROXIED)
@each("proxy", "valid")
def test_a_valid_proxy_header_tells_of_the_client(gateway: GatewayServer, case: Case, name: str) -> None:
    given = variables("/p")
    data = request(name, [(key, value) for key, value in given if not key.startswith("REMOTE_")])
    header = case.data[: len(case.data) - len(case.leftover)]
    with gateway.connect(name) as connection:
        if case.is_incomplete:
            send(connection, header)
            connection.half_close()
            assert connection.read_to_end() == b""
            return
        send(connection, header + data[data.index(b"\r\n") + 2 :])
        reported = json.loads(read_response(connection, name).body)
        peer = connection.socket.getsockname()
    environ, details = reported["environ"], dict(case.details)
    family, _, ends = case.endpoints.partition(": ")
    client: tuple[str, str | None]
    if family == "ip":
        source, details["destination"] = ends.split(" ")
        address, _, port = source.rpartition(":")
        client = (address.strip("[]"), port)
    else:
        client = ("", None) if family == "unix" else (peer[0], str(peer[1]))
    assert (environ["REMOTE_ADDR"], environ.get("REMOTE_PORT")) == client
    is_tls = details.pop("tls", "").startswith("true")
    assert (environ["wsgi.url_scheme"], environ.get("HTTPS")) == (
        ("https", "on") if is_tls else ("http", None)
    )
    renamed = {"tls_common_name": "tls_client_cn"}
    assert environ["portico.proxy"] == {renamed.get(key, key): value for key, value in details.items()}


@pytest.mark.parametrize("name", PROXIED)
@each("proxy", "invalid")
def test_an_invalid_proxy_header_ends_the_connection(gateway: GatewayServer, case: Case, name: str) -> None:
    position = gateway.server.error_log.position()
    with gateway.connect(name) as connection:
        send(connection, case.data)
        connection.expect_closed()
    gateway.wait_for_line(name, case.reason, since=position)


@pytest.mark.parametrize("name", ["uwsgi", "scgi", "fastcgi"])
def test_the_host_of_requests_over_http_is_no_other_protocols(name: str) -> None:
    unnamed = [(variable, value) for variable, value in variables("/") if variable != "HTTP_HOST"]
    with running_gateway_server(listeners={name: LISTENERS[name]}, threads=1, is_strict=False) as gateway:
        for sent in (unnamed, [*unnamed, ("HTTP_HOST", "of.variables")], unnamed):
            # So often that it is taken for that of the next request, too.
            hosts = [json.loads(gateway.ask("http", "/").body)["environ"]["HTTP_HOST"] for _ in range(3)]
            assert len(set(hosts)) == 1
            with gateway.connect(name) as connection:
                connection.send(request(name, sent, b""))
                environ = json.loads(read_response(connection, name, "GET").body)["environ"]
            assert environ.get("HTTP_HOST") == dict(sent).get("HTTP_HOST")
