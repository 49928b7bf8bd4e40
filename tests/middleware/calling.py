"""Calls an application as a server does, with `wsgiref.validate` in between, and keeps what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass(frozen=True)
class Response:
    """A whole response; no header comes twice."""

    status: str
    headers: dict[str, str]
    body: bytes


def environ_of(path: str = "/", method: str = "GET", **variables: Any) -> dict[str, Any]:
    """A request's environ; `variables` are added."""
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path.encode().decode("latin-1"),
        "QUERY_STRING": "",
        "REMOTE_ADDR": "192.0.2.1",
        **variables,
    }
    setup_testing_defaults(environ)
    return environ


def fetch(application: Application, path: str = "/", method: str = "GET", **variables: Any) -> Response:
    """Send a request through the validator, and close what came back."""
    heads: list[tuple[str, list[tuple[str, str]]]] = []
    written: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:
        heads[:] = [(status, headers)]
        return written.append

    result = validator(application)(environ_of(path, method, **variables), start_response)
    try:
        blocks = list(result)
    finally:
        result.close()  # type: ignore[attr-defined]
    ((status, headers),) = heads
    assert len({name.lower() for name, _ in headers}) == len(headers), "a header comes twice"
    return Response(status, dict(headers), b"".join(written + blocks))


def shows_path(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """An application that shows where it believes to be."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}".encode("latin-1")]
