"""All that an application is given, as JSON: environ with the types of what is no text, and the body."""

from __future__ import annotations

import json
from typing import Any

from apps import (
    bulk,
    disconnecting,
    environment,
    finishing,
    inputs,
    kinds,
    raising,
    recorder,
    results,
    streaming,
)

APPLICATIONS = {
    **bulk.VALID,
    **disconnecting.WAITING,
    **environment.VALID,
    **finishing.VALID,
    **inputs.VALID,
    **kinds.VALID,
    **raising.INVALID,
    **results.VALID,
    **results.INVALID,
    **streaming.VALID,
}


def tell(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """`{"environ": {key: text}, "types": {key: type}, "body": text}`; tuples and dicts count as texts."""
    texts = {key: value for key, value in environ.items() if isinstance(value, (str, tuple, dict))}
    types = {key: type(value).__name__ for key, value in environ.items() if key not in texts}
    body = b"".join(iter(lambda: environ["wsgi.input"].read(1 << 16), b""))
    response = json.dumps({"environ": texts, "types": types, "body": body.decode("latin-1")}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(response)))])
    return [response]


def application(environ: dict[str, Any], start_response: Any) -> Any:
    """The application that `application=` names, else `tell`: the path may be anything."""
    name = recorder.parameter(environ, "application")
    return APPLICATIONS[name](environ, start_response) if name else tell(environ, start_response)


recorder.start()
