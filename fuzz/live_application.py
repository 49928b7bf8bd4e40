"""What live.py serves: reads the whole body, and tells which method was seen and how long the body was."""

from __future__ import annotations

from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Respond with 200; to `/honest` with the body itself."""
    body = environ["wsgi.input"].read()
    response = body if environ["PATH_INFO"] == "/honest" else b"%d bytes" % len(body)
    # The client has sent bytes of any kind and cannot know whether they were a HEAD.
    headers = [("Content-Type", "application/octet-stream"), ("X-Method", environ["REQUEST_METHOD"])]
    start_response("200 OK", headers)
    return [response]
