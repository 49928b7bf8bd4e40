"""Replays tests/corpus/http1 over real sockets; crates/wire/tests/corpus.rs does the same without them.

A valid file gives exactly the responses it expects, an invalid one those to the requests before it, then the
status with `Connection: close`, then the end. What the application is shown is computed here from the header
lines, by the rules of PEP 3333 and RFC 3875, independently of the server.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.http1_corpus import INVALID, VALID, Case, Request
from support.raw_client import Connection, Response
from support.server import Server

# Longer files have nothing that shorter ones do not have, but many bytes.
BYTEWISE_LIMIT = 250
# One in so many short files is sent byte by byte.
BYTEWISE_SHARE = 12


def environ_of(request: Request) -> dict[str, str]:
    """The header variables; a name with an underscore, Proxy and the framing do not get there."""
    variables: dict[str, str] = {}
    for name, value in request.headers:
        key = name.upper().replace("-", "_")
        if "_" in name or key in {"PROXY", "CONTENT_LENGTH", "TRANSFER_ENCODING"}:
            continue
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        separator = "; " if key == "HTTP_COOKIE" else ", "
        variables[key] = f"{variables[key]}{separator}{value}" if key in variables else value
    framed = [name for name, _ in request.headers if name.lower() in {"content-length", "transfer-encoding"}]
    if framed:
        variables["CONTENT_LENGTH"] = str(len(request.body))
    if request.target[:1] not in {"/", "*"}:
        # RFC 9112 3.2.2: the authority of the target goes before Host.
        variables["HTTP_HOST"] = urlsplit(request.target).netloc
    return variables


def seen(request: Request) -> dict[str, Any]:
    """The response of apps.echoing."""
    return {
        "method": request.method,
        "target": request.target,
        "version": request.version,
        "script": "",
        "path": request.path,
        "query": request.query,
        "scheme": "http",
        "headers": environ_of(request),
        "body": request.body,
    }


def sample(cases: list[Case]) -> list[Case]:
    """Some of the short ones, evenly spread, to be sent byte by byte."""
    return [case for case in cases if len(case.data) <= BYTEWISE_LIMIT][::BYTEWISE_SHARE]


def each(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


@pytest.fixture(scope="module")
def echoing() -> Iterator[Server]:
    with Server("apps.echoing:application", threads=4) as running:
        yield running


@each(VALID)
def test_a_valid_connection_is_served(echoing: Server, case: Case) -> None:
    with echoing.connect() as connection:
        connection.send(case.data)
        expect_responses(connection, case)


@each(sample(VALID))
def test_a_valid_connection_is_served_byte_by_byte(echoing: Server, case: Case) -> None:
    with echoing.connect() as connection:
        send_bytewise(connection, case.data)
        expect_responses(connection, case)


@each(INVALID)
def test_an_invalid_connection_is_rejected(echoing: Server, case: Case) -> None:
    with echoing.connect() as connection:
        send_what_is_taken(connection, case.data)
        expect_error_response(connection, case)


@each(sample(INVALID))
def test_an_invalid_connection_is_rejected_byte_by_byte(echoing: Server, case: Case) -> None:
    with echoing.connect() as connection:
        send_bytewise(connection, case.data)
        expect_error_response(connection, case)


def expect_responses(connection: Connection, case: Case) -> None:
    """Every request gets a response with what it said, and nothing else comes."""
    for request in case.requests:
        response = read_final_response(connection, request.method)
        assert response.status == 200, response
        text = response.get("X-Seen") if request.method == "HEAD" else response.body.decode()
        assert json.loads(text or "null") == seen(request)
    try:
        connection.half_close()
    except OSError:  # the server has closed already
        assert case.requests
    assert connection.read_to_end() == b""


def expect_error_response(connection: Connection, case: Case) -> None:
    """The requests before the wrong bytes are served, these are rejected, and then it is over."""
    for _ in range(case.after):
        assert read_final_response(connection, "GET").status == 200
    # RFC 9110 9.3.2: a response to HEAD has no body, an error response neither.
    is_head = case.after == 0 and case.data.startswith(b"HEAD ")
    response = read_final_response(connection, "HEAD" if is_head else "GET")
    assert response.status == case.status
    assert (response.get("Connection") or "").lower() == "close"
    # RFC 9110 15.5.6: a 405 has to say what is allowed.
    assert (response.get("Allow") is not None) == (case.status == 405)
    assert connection.read_to_end() == b""


def read_final_response(connection: Connection, method: str) -> Response:
    """The next response that is not a 100."""
    response = connection.read_response(method)
    while response.status == 100:
        response = connection.read_response(method)
    return response


def send_bytewise(connection: Connection, data: bytes) -> None:
    """Send byte by byte, unless the server has heard enough."""
    try:
        connection.send_bytewise(data)
    except ConnectionError:
        return


def send_what_is_taken(connection: Connection, data: bytes) -> None:
    """Send all, unless the server has heard enough."""
    try:
        connection.send(data)
    except ConnectionError:
        return
