"""An application beside static files: says what it was called for."""

from __future__ import annotations

from collections.abc import Iterable

from portico.types import Environ, StartResponse


def application(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    body = environ["wsgi.input"].read()
    said = f"{environ['REQUEST_METHOD']} {environ['SCRIPT_NAME']}:{environ['PATH_INFO']} {len(body)}"
    start_response("200 OK", [("X-Application", "called")])
    return [said.encode("latin-1")]
