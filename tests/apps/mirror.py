"""Tells what it was given: the texts in environ, and how long the body was."""

from __future__ import annotations

import json
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """`{"environ": {...}, "body": LENGTH}`."""
    length = 0
    while block := environ["wsgi.input"].read(65536):
        length += len(block)
    texts = {key: value for key, value in environ.items() if isinstance(value, str)}
    response = json.dumps({"environ": texts, "body": length}).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(response)))])
    return [response]
