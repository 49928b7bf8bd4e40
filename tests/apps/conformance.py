"""One application that hands each request to a small one, by the first segment of PATH_INFO.

Besides, it serves `/arguments` itself: how the server called it.
"""

from __future__ import annotations

import json
from typing import Any

from apps import (
    bulk,
    disconnecting,
    environment,
    filling,
    inputs,
    kinds,
    raising,
    recorder,
    results,
    starting,
    streaming,
)

VALID = {
    **environment.VALID,
    **inputs.VALID,
    **kinds.VALID,
    **raising.VALID,
    **results.VALID,
    **starting.VALID,
    **streaming.VALID,
    **bulk.VALID,
}
"""The applications that keep to PEP 3333."""

INVALID = {**results.INVALID, **starting.INVALID, **raising.INVALID, **inputs.INVALID}
"""Those that break it, to see what the server does."""

APPLICATIONS = {**VALID, **INVALID, **disconnecting.WAITING, **filling.FILLING}


def route(applications: dict[str, Any], environ: dict[str, Any]) -> Any:
    """The application that the path names; `*` and the empty path name `environ`."""
    name = environ["PATH_INFO"].lstrip("/").partition("/")[0]
    return applications.get("environ" if name in ("", "*") else name, not_found)


def application(*arguments: Any, **keywords: Any) -> Any:
    """Dispatch; the signature lets `/arguments` see how it was called."""
    environ, start_response = arguments[:2]
    if environ["PATH_INFO"] == "/arguments":
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"positional": len(arguments), "keywords": sorted(keywords)}).encode()]
    return route(APPLICATIONS, environ)(environ, start_response)


def not_found(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Type", "text/plain")])
    return [b"no such application"]


recorder.start()
