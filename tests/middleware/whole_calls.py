"""A call of a WSGI application as a server makes it, by `wsgiref.validate`, and all that came of it."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator


@dataclass(frozen=True)
class Called:
    """A response. `blocks` are those that were not empty, `errors` what was written to wsgi.errors."""

    status: str
    headers: list[tuple[str, str]]
    blocks: list[bytes]
    environ: dict[str, Any]
    errors: str = ""

    @property
    def body(self) -> bytes:
        return b"".join(self.blocks)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def all(self, name: str) -> list[str]:
        """The values of all headers called `name`."""
        return [value for known, value in self.headers if known.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of the only header called `name`."""
        values = self.all(name)
        assert len(values) < 2, values
        return values[0] if values else None


def environ_for(
    path: str = "/",
    *,
    method: str = "GET",
    query: str = "",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | None = None,
    **others: Any,
) -> dict[str, Any]:
    """What a server would make of such a request."""
    environ: dict[str, Any] = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path}
    environ["QUERY_STRING"] = query
    environ["wsgi.errors"] = io.StringIO()
    if body is not None:
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
    for name, value in headers:
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    environ.update(others)
    setup_testing_defaults(environ)
    return environ


def call(application: Any, environ: dict[str, Any], *, is_valid: bool = True) -> Called:
    """Call, iterate to the end, and close; with `is_valid`, all of it held to PEP 3333."""
    started: list[tuple[str, list[tuple[str, str]]]] = []
    blocks: list[bytes] = []
    errors = environ["wsgi.errors"]

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
        if exc_info and blocks:
            raise exc_info[1]
        started[:] = [(status, list(headers))]
        return blocks.append

    if is_valid:
        application = validator(application)
    result = application(environ, start_response)
    try:
        for block in result:
            if block:
                blocks.append(block)
    finally:
        if hasattr(result, "close"):
            result.close()
    [(status, headers)] = started
    text = errors.getvalue() if isinstance(errors, io.StringIO) else ""
    return Called(status, headers, blocks, environ, text)


def starts_anew(environ: Any, start_response: Any) -> list[bytes]:
    """Fails when it has begun a response, and begins another (PEP 3333 "Error Handling")."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    try:
        raise RuntimeError("on purpose")
    except RuntimeError:
        start_response("500 Oops", [("Content-Type", "text/plain")], sys.exc_info())
    return [b"sorry"]
