"""Replays tests/corpus/http1 over real sockets; crates/wire/tests/corpus.rs does the same without them.

A valid file gives exactly the responses it expects, an invalid one those to the requests before it, then the
status with `Connection: close`, then the end. What the application is shown is computed here from the header
lines, by the rules of PEP 3333 and RFC 3875, independently of the server.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.raw_client import Connection, Response
from support.server import Server

CORPUS = Path(__file__).parents[1] / "corpus" / "http1"
# Longer files have nothing that shorter ones do not have, but many bytes.
BYTEWISE_LIMIT = 250
# One in so many short files is sent byte by byte.
BYTEWISE_SHARE = 12


@dataclass
class Request:
    """A request that the application has to be shown."""

    method: str
    target: str
    version: str
    path: str = ""
    query: str = ""
    body: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)

    def environ(self) -> dict[str, str]:
        """The header variables; a name with an underscore, Proxy and the framing do not get there."""
        variables: dict[str, str] = {}
        for name, value in self.headers:
            key = name.upper().replace("-", "_")
            if "_" in name or key in {"PROXY", "CONTENT_LENGTH", "TRANSFER_ENCODING"}:
                continue
            key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
            separator = "; " if key == "HTTP_COOKIE" else ", "
            variables[key] = f"{variables[key]}{separator}{value}" if key in variables else value
        framed = [name for name, _ in self.headers if name.lower() in {"content-length", "transfer-encoding"}]
        if framed:
            variables["CONTENT_LENGTH"] = str(len(self.body))
        if self.target[:1] not in {"/", "*"}:
            # RFC 9112 3.2.2: the authority of the target goes before Host.
            variables["HTTP_HOST"] = urlsplit(self.target).netloc
        return variables

    def seen(self) -> dict[str, Any]:
        """The response of apps.echoing."""
        return {
            "method": self.method,
            "target": self.target,
            "version": self.version,
            "script": "",
            "path": self.path,
            "query": self.query,
            "scheme": "http",
            "headers": self.environ(),
            "body": self.body,
        }


@dataclass
class Case:
    """One file of the corpus, with what has to become of it."""

    name: str
    data: bytes
    requests: list[Request] = field(default_factory=list)
    status: int = 0
    after: int = 0


def read_case(path: Path) -> Case:
    """The file at `path` with its expectation."""
    case = Case(path.stem, path.read_bytes())
    for line in path.with_suffix(".expect").read_text().splitlines():
        key, _, text = line.partition(":")
        value = unescape(text.removeprefix(" "))
        if key == "request":
            method, target, version = value.split(" ")
            case.requests.append(Request(method, target, version))
        elif key in {"path", "query", "body"}:
            setattr(case.requests[-1], key, value)
        elif key == "header":
            name, _, text = value.partition(":")
            case.requests[-1].headers.append((name, text.removeprefix(" ")))
        elif key in {"status", "after"}:
            setattr(case, key, int(value))
        else:
            assert key in {"rule", "leftover"}, f"unknown key {key} in {path}"
    return case


def unescape(text: str) -> str:
    """The text of a bytes literal without its quotes, as Latin-1."""
    quoted = text.replace('"', '\\"')
    value = ast.literal_eval(f'b"{quoted}"')
    assert isinstance(value, bytes)
    return value.decode("latin-1")


VALID = [read_case(path) for path in sorted((CORPUS / "valid").glob("*.http"))]
INVALID = [read_case(path) for path in sorted((CORPUS / "invalid").glob("*.http"))]


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
        assert json.loads(text or "null") == request.seen()
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
