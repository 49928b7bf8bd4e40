"""FastCGI connections as reverse proxies use and misuse them: kept, multiplexed, aborted, in tiny records."""

from __future__ import annotations

import hashlib
import json
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from apps.raising import STAGES_AFTER_OUTPUT, STAGES_BEFORE_OUTPUT
from support.gateway import (
    ABORT_REQUEST,
    CANNOT_MULTIPLEX,
    COMPLETE,
    DATA,
    END_REQUEST,
    GET_VALUES,
    GET_VALUES_RESULT,
    KEEP_CONNECTION,
    PARAMS,
    STDIN,
    STDOUT,
    UNKNOWN_ROLE,
    UNKNOWN_TYPE,
    FastCgiResponse,
    GatewayConnection,
    Record,
    begin,
    fastcgi,
    pairs,
    record,
    stream,
    variables,
)
from support.gateway_server import GatewayServer, running_gateway_server
from support.memory import bounded_memory
from support.raw_client import Closed, Response
from support.ways import bodies_in_calls

MEBIBYTE = 1 << 20
CROWD = 100_000
MULTIPLEXING = Record(GET_VALUES_RESULT, 0, b"\x0f\x01FCGI_MPXS_CONNS0")
QUERY = record(GET_VALUES, pairs([("FCGI_MPXS_CONNS", ""), ("FCGI_MAX_REQS", "")]), id=0)
"""What is asked for by `QUERY`, and the response."""


@pytest.fixture(scope="module")
def gateway() -> Iterator[GatewayServer]:
    listeners = {"fastcgi": "fastcgi://{address}", "fastcgi-errors": "fastcgi://{address}?stderr=on"}
    options = ["--max-requests-per-connection", "0"]
    with running_gateway_server(
        *options, listeners=listeners, kept=["fastcgi"], has_tracebacks=True
    ) as running:
        yield running


@pytest.fixture(autouse=True)
def others_go_on(gateway: GatewayServer) -> Iterator[None]:
    yield
    gateway.serves_everybody()


@pytest.fixture
def connection(gateway: GatewayServer) -> Iterator[GatewayConnection]:
    with gateway.connect("fastcgi", timeout_s=30) as connection:
        yield connection


def kept(target: str, method: str = "GET", body: bytes = b"", *, id: int = 1) -> bytes:
    """A request whose connection is to be kept."""
    length = [("CONTENT_LENGTH", str(len(body)))] if body else []
    return fastcgi(variables(target, method, *length), body, id=id, flags=KEEP_CONNECTION)


def completed(response: FastCgiResponse) -> Response:
    """The response of a complete exchange."""
    assert (response.app_status, response.protocol_status) == (0, COMPLETE)
    assert response.response is not None
    return response.response


def ended(status: int, *, id: int = 1) -> Record:
    return Record(END_REQUEST, id, struct.pack(">IB3x", 0, status))


def unknown(kind: int) -> Record:
    return Record(UNKNOWN_TYPE, 0, bytes([kind]) + bytes(7))


# -- one request after the other


def test_a_kept_connection_serves_many_requests(connection: GatewayConnection) -> None:
    """With the same number, with others, with bodies and without: each has its own environ."""
    for number in range(500):
        id = (1, 1, 2, 65535, 1)[number % 5]
        body = b"b" * (number % 3)
        connection.send(kept(f"/{number}?{number}", "POST" if body else "GET", body, id=id))
        reported = json.loads(completed(connection.read_fastcgi_response(id=id)).body)
        environ = reported["environ"]
        assert (environ["REQUEST_URI"], environ["QUERY_STRING"]) == (f"/{number}?{number}", str(number))
        assert (environ.get("CONTENT_LENGTH"), reported["body"]) == (
            str(len(body)) if body else None,
            body.decode(),
        )


def test_requests_that_do_not_wait_are_served_in_turn(connection: GatewayConnection) -> None:
    connection.send(b"".join(kept(f"/{number}", id=1 + number % 2) for number in range(50)))
    for number in range(50):
        reported = json.loads(completed(connection.read_fastcgi_response(id=1 + number % 2)).body)
        assert reported["environ"]["REQUEST_URI"] == f"/{number}"


def test_a_connection_is_closed_if_it_is_not_to_be_kept(connection: GatewayConnection) -> None:
    connection.send(fastcgi(variables("/1")) + fastcgi(variables("/2")))
    reported = json.loads(completed(connection.read_fastcgi_response()).body)
    assert reported["environ"]["REQUEST_URI"] == "/1"
    connection.expect_closed()


@pytest.mark.parametrize(
    ("target", "method", "expected"),
    [
        pytest.param("/?application=function", "GET", (200, 8), id="length"),
        pytest.param("/?application=function", "HEAD", (200, 0), id="head"),
        pytest.param("/?application=many-blocks&size=100&count=30", "GET", (200, 3000), id="blocks"),
        pytest.param(
            "/?application=many-blocks&size=70000&count=20", "GET", (200, 1_400_000), id="large-blocks"
        ),
        pytest.param("/?application=one-block&mebibytes=8", "GET", (200, 8 * MEBIBYTE), id="one-block"),
        pytest.param("/?application=real-file&size=2", "GET", (200, 2 * MEBIBYTE), id="file"),
        pytest.param("/?application=empty-list", "GET", (200, 0), id="empty"),
        pytest.param("/?application=generated-nothing", "GET", (200, 0), id="empty-generator"),
        pytest.param("/?application=without-body&status=204%20None", "GET", (204, 0), id="no-content"),
    ],
)
def test_every_kind_of_response_ends_with_its_stream(
    connection: GatewayConnection, target: str, method: str, expected: tuple[int, int | None]
) -> None:
    """Also one without a length, after which the connection is kept."""
    for _ in range(3):
        connection.send(kept(target, method))
        response = completed(connection.read_fastcgi_response(method))
        assert response.status == expected[0]
        assert expected[1] in (None, len(response.body))


def test_a_body_of_any_size_arrives_whole(connection: GatewayConnection) -> None:
    for size in (0, 1, 7, 8, 9, 65_535, 65_536, 300_000, 3 * MEBIBYTE):
        body = bytes(range(251)) * (size // 251 + 1)
        body = body[:size]
        connection.send(kept("/?application=digest", "POST", body))
        digest = hashlib.sha1(body, usedforsecurity=False).hexdigest()
        assert completed(connection.read_fastcgi_response()).body == f"{size} {digest}".encode()


def test_a_body_without_a_length_ends_with_its_stream(connection: GatewayConnection) -> None:
    body = b"x" * 200_000
    connection.send(fastcgi(variables("/?application=counts", "POST"), body, flags=KEEP_CONNECTION))
    assert completed(connection.read_fastcgi_response()).body == b"200000"
    connection.send(kept("/after"))
    assert completed(connection.read_fastcgi_response()).status == 200


# -- queries for values, and other records between


def test_queries_get_replies_wherever_they_come(connection: GatewayConnection) -> None:
    """Before a request, in its head, in its body, and behind it."""
    params = pairs(variables("/queried", "POST"))
    connection.send(QUERY + begin(flags=KEEP_CONNECTION) + QUERY + stream(PARAMS, params) + QUERY)
    connection.send(record(STDIN, b"body"))
    connection.send(QUERY + record(99, b"what?", id=0) + record(STDIN) + QUERY)
    response = connection.read_fastcgi_response()
    assert json.loads(completed(response).body)["body"] == "body"
    connection.send(kept("/after"))
    after = connection.read_fastcgi_response()
    assert completed(after).status == 200
    replies = response.others + after.others
    assert sorted(replies, key=lambda one: one.kind) == [MULTIPLEXING] * 5 + [unknown(99)]


def test_a_query_during_a_call_gets_its_reply_behind_the_response(
    gateway: GatewayServer, connection: GatewayConnection, key: str
) -> None:
    connection.send(kept(f"/?application=waits&key={key}"))
    gateway.server.recorder.wait_for(key, "inside")
    connection.send(QUERY)
    assert connection.is_silent(0.1)
    gateway.server.recorder.open_gate(key)
    response = connection.read_fastcgi_response()
    assert completed(response).body == b"waited"
    assert [*response.others, connection.read_record()] == [MULTIPLEXING]


def test_the_largest_unknown_record_is_skipped(connection: GatewayConnection) -> None:
    connection.send(record(77, b"?" * 0xFFFF, id=0, padding=255) + kept("/after"))
    response = connection.read_fastcgi_response()
    assert completed(response).status == 200
    assert response.others == [unknown(77)]


# -- roles and multiplexing


@pytest.mark.parametrize("role", [0, 2, 3, 256, 65535])
def test_other_roles_are_rejected_and_the_connection_goes_on(
    connection: GatewayConnection, role: int
) -> None:
    rejected = struct.pack(">HB5x", role, KEEP_CONNECTION)
    rest = stream(PARAMS, pairs(variables())) + stream(STDIN, b"body") + record(DATA, b"data")
    connection.send(record(1, rejected) + rest)
    assert connection.read_record() == ended(UNKNOWN_ROLE)
    connection.send(kept("/after"))
    assert completed(connection.read_fastcgi_response()).status == 200


def test_a_second_request_at_a_time_is_rejected_and_skipped(connection: GatewayConnection) -> None:
    """While the first one sends its head or its body."""
    second = b"".join(fastcgi(variables("/second"), b"second", id=id) for id in (2, 3, 65535))
    params = pairs(variables("/first", "POST"))
    connection.send(begin(flags=KEEP_CONNECTION) + second + stream(PARAMS, params[:50])[:-8])
    assert [connection.read_record() for _ in range(3)] == [
        ended(CANNOT_MULTIPLEX, id=id) for id in (2, 3, 65535)
    ]
    connection.send(stream(PARAMS, params[50:]) + record(STDIN, b"fi") + begin(id=9) + stream(STDIN, b"rst"))
    records: list[Record] = []
    while not records or records[-1] != ended(COMPLETE):
        records.append(connection.read_record())
    if ended(CANNOT_MULTIPLEX, id=9) not in records:
        # Behind the response, where it was already on its way.
        assert connection.read_record() == ended(CANNOT_MULTIPLEX, id=9)
    stdout = b"".join(one.content for one in records if (one.kind, one.id) == (STDOUT, 1))
    reported = json.loads(stdout.partition(b"\r\n\r\n")[2])
    assert (reported["environ"]["REQUEST_URI"], reported["body"]) == ("/first", "first")


def test_a_storm_of_second_requests_takes_no_memory(
    gateway: GatewayServer, connection: GatewayConnection
) -> None:
    with bounded_memory(gateway.server, 16 * MEBIBYTE):
        connection.send(begin(flags=KEEP_CONNECTION))
        storm = threading.Thread(
            target=connection.send, args=(b"".join(begin(id=2 + n % 60_000) for n in range(CROWD)),)
        )
        storm.start()
        for number in range(CROWD):
            assert connection.read_record() == ended(CANNOT_MULTIPLEX, id=2 + number % 60_000)
        storm.join()
        connection.send(stream(PARAMS, pairs(variables("/after"))) + record(STDIN))
        assert completed(connection.read_fastcgi_response()).status == 200


# -- aborts


@pytest.mark.parametrize("flags", [0, KEEP_CONNECTION], ids=["closed", "kept"])
@pytest.mark.parametrize(
    "send",
    [GatewayConnection.send, GatewayConnection.send_bytewise],
    ids=["at-once", "byte-by-byte"],
)
def test_an_application_knows_of_an_abort(
    gateway: GatewayServer,
    connection: GatewayConnection,
    key: str,
    flags: int,
    send: Callable[[GatewayConnection, bytes], None],
) -> None:
    """The reverse proxy's own connection stays: only the record says that the client is gone."""
    connection.send(fastcgi(variables(f"/?application=asks-disconnected&key={key}"), flags=flags))
    gateway.server.recorder.wait_for(key, "inside False")
    send(connection, record(ABORT_REQUEST))
    gateway.server.recorder.wait_for(key, "outside True")
    # What comes of the response is whole records; then the connection ends, or the request does.
    connection.half_close()
    with suppress(ConnectionError):
        connection.read_records()


def test_a_callback_is_called_at_an_abort(
    gateway: GatewayServer, connection: GatewayConnection, key: str
) -> None:
    connection.send(kept(f"/?application=registers&key={key}"))
    gateway.server.recorder.wait_for(key, "inside")
    connection.send(record(ABORT_REQUEST))
    gateway.server.recorder.wait_for(key, "called 0")
    gateway.server.recorder.open_gate(key)


def test_an_abort_of_another_request_is_nobodys(
    gateway: GatewayServer, connection: GatewayConnection, key: str
) -> None:
    connection.send(record(ABORT_REQUEST, id=7))
    connection.send(kept(f"/?application=registers&key={key}"))
    gateway.server.recorder.wait_for(key, "inside")
    connection.send(record(ABORT_REQUEST, id=7))
    gateway.server.recorder.open_gate(key)
    assert completed(connection.read_fastcgi_response()).body == b"registered"
    assert gateway.server.recorder.events(key) == ["inside", "responds"]


@pytest.mark.parametrize("place", ["head", "body"])
def test_an_aborted_request_never_reaches_the_application(
    gateway: GatewayServer, connection: GatewayConnection, key: str, place: str
) -> None:
    """FastCGI 1.0, 5.4: the request is ended, with nothing else."""
    params = pairs(variables(f"/?application=records-reading&key={key}", "POST", ("CONTENT_LENGTH", "9")))
    connection.send(begin(flags=KEEP_CONNECTION))
    if place == "head":
        connection.send(record(PARAMS, params[:40]))
    else:
        connection.send(stream(PARAMS, params) + record(STDIN, b"four"))
    connection.send(record(ABORT_REQUEST))
    connection.half_close()
    assert connection.read_records() == [ended(COMPLETE)]
    assert gateway.server.recorder.events(key) == []


# -- bodies that lie


@pytest.mark.parametrize("size", [0, 8, 10, 70_000], ids=["none", "shorter", "longer", "much-longer"])
def test_a_body_of_another_length_is_rejected(
    gateway: GatewayServer, connection: GatewayConnection, key: str, size: int
) -> None:
    position = gateway.server.error_log.position()
    given = variables(f"/?application=records-reading&key={key}", "POST", ("CONTENT_LENGTH", "9"))
    with suppress(ConnectionError):
        connection.send(fastcgi(given, b"b" * size, flags=KEEP_CONNECTION))
    assert completed(connection.read_fastcgi_response()).status == 400
    assert connection.read_records() == []
    what = "STDIN ends before CONTENT_LENGTH" if size < 9 else "STDIN is longer than CONTENT_LENGTH"
    gateway.wait_for_line("fastcgi", what, since=position)
    assert gateway.server.recorder.events(key) == []


@bodies_in_calls
@pytest.mark.parametrize("size", [-1, 1], ids=["shorter", "longer"])
def test_a_streamed_body_of_another_length_raises_where_it_is_read(key: str, size: int) -> None:
    """The application already reads: it must not take what it got for all of it."""
    options = ["--body-memory", "1K", "--body-spool", "10K"]
    listeners = {"fastcgi": "fastcgi://{address}"}
    with (
        running_gateway_server(*options, listeners=listeners) as gateway,
        gateway.connect("fastcgi") as connection,
    ):
        target = f"/?application=records-reading&method=blocks&key={key}"
        given = variables(target, "POST", ("CONTENT_LENGTH", "50000"))
        connection.send(begin() + stream(PARAMS, pairs(given)) + record(STDIN, b"b" * 30_000))
        gateway.server.recorder.wait_for(key, "called")
        with suppress(ConnectionError):
            connection.send(record(STDIN, b"b" * (20_000 + size)) + record(STDIN))
        with suppress(ConnectionError, Closed):
            assert connection.read_fastcgi_response().protocol_status == COMPLETE
        assert "raised" in gateway.server.recorder.wait_for(key, "raised")
        assert "complete" not in gateway.server.recorder.events(key)


# -- a hundred thousand tiny records


def test_a_body_in_tiny_records_arrives_whole(gateway: GatewayServer, connection: GatewayConnection) -> None:
    head = begin(flags=KEEP_CONNECTION) + stream(PARAMS, pairs(variables("/?application=counts", "POST")))
    with bounded_memory(gateway.server, 16 * MEBIBYTE):
        connection.send(head + record(STDIN, b"x") * CROWD + record(STDIN))
        assert completed(connection.read_fastcgi_response()).body == str(CROWD).encode()


def test_variables_in_tiny_records_are_read(connection: GatewayConnection) -> None:
    params = pairs([*variables("/tiny"), ("HTTP_X_LONG", "l" * 60_000)])
    tiny = b"".join(record(PARAMS, params[at : at + 1], padding=at % 256) for at in range(len(params)))
    connection.send(begin() + tiny + record(PARAMS) + record(STDIN))
    environ = json.loads(completed(connection.read_fastcgi_response()).body)["environ"]
    assert (environ["REQUEST_URI"], len(environ["HTTP_X_LONG"])) == ("/tiny", 60_000)


@pytest.mark.parametrize(
    ("tiny", "reply"),
    [
        pytest.param(record(99, id=0), unknown(99), id="unknown"),
        pytest.param(record(END_REQUEST), unknown(END_REQUEST), id="servers-own"),
        pytest.param(record(GET_VALUES, id=0), Record(GET_VALUES_RESULT, 0), id="queries"),
        pytest.param(record(STDIN, b"x"), None, id="stray"),
        pytest.param(record(ABORT_REQUEST, id=3), None, id="aborts"),
    ],
)
def test_a_storm_of_tiny_records_is_served_and_takes_no_memory(
    gateway: GatewayServer, connection: GatewayConnection, tiny: bytes, reply: Record | None
) -> None:
    with bounded_memory(gateway.server, 16 * MEBIBYTE):
        storm = threading.Thread(target=connection.send, args=(tiny * CROWD,))
        storm.start()
        if reply is not None:
            expected = record(reply.kind, reply.content, id=0, padding=0)
            assert connection.read_exactly(len(expected) * CROWD) == expected * CROWD
        storm.join()
        connection.send(kept("/after"))
        assert completed(connection.read_fastcgi_response()).status == 200


# -- applications that fail


@pytest.mark.parametrize("stage", STAGES_BEFORE_OUTPUT)
def test_an_application_that_raises_is_a_500_in_records(
    connection: GatewayConnection, key: str, stage: str
) -> None:
    for _ in range(2):
        connection.send(kept(f"/{stage}?application=raises&key={key}"))
        assert completed(connection.read_fastcgi_response()).status == 500


@pytest.mark.parametrize("stage", STAGES_AFTER_OUTPUT)
def test_an_aborted_response_can_be_told_from_a_whole_one(
    connection: GatewayConnection, key: str, stage: str
) -> None:
    """Its stream does not end, its request neither; the connection does."""
    connection.send(kept(f"/{stage}?application=raises&key={key}"))
    records = connection.read_records()
    assert records
    assert all(one.kind == STDOUT and one.content for one in records)


def test_a_response_shorter_than_its_length_ends_the_connection(
    connection: GatewayConnection, key: str
) -> None:
    """The length tells that it is not whole, if its stream does not."""
    connection.send(kept(f"/?application=too-short&key={key}") + kept("/after"))
    stdout = b"".join(one.content for one in connection.read_records() if one.kind == STDOUT)
    assert b"Content-Length: 10\r\n" in stdout
    assert stdout.endswith(b"\r\n\r\nshort")


def test_errors_go_to_the_reverse_proxy_where_it_wants_them(gateway: GatewayServer) -> None:
    """With stderr=on; else to the log alone."""
    for name in ("fastcgi", "fastcgi-errors"):
        with gateway.connect(name) as connection:
            connection.send(kept(f"/?application=writes-errors&key={name}"))
            response = connection.read_fastcgi_response()
            assert completed(response).body == b'"written"'
            if name == "fastcgi":
                assert response.errors == b""
                gateway.server.error_log.wait_for(f"write {name}$")
            else:
                assert f"write {name}\n".encode() in response.errors
