"""What the application was asked, as JSON: for tests that compare it with the bytes on the wire."""

from __future__ import annotations

import json
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The request as environ and wsgi.input show it; in responses to HEAD, which have no body, as a
    header."""
    headers = {
        key: value
        for key, value in environ.items()
        if key.startswith("HTTP_") or key in {"CONTENT_TYPE", "CONTENT_LENGTH"}
    }
    seen = {
        "method": environ["REQUEST_METHOD"],
        "target": environ["REQUEST_URI"],
        "version": environ["SERVER_PROTOCOL"],
        "script": environ["SCRIPT_NAME"],
        "path": environ["PATH_INFO"],
        "query": environ["QUERY_STRING"],
        "scheme": environ["wsgi.url_scheme"],
        "headers": headers,
        "body": environ["wsgi.input"].read().decode("latin-1"),
    }
    text = json.dumps(seen)
    fields = [("Content-Type", "application/json")]
    if environ["REQUEST_METHOD"] == "HEAD":
        fields.append(("X-Seen", text))
    start_response("200 OK", fields)
    return [text.encode()]
