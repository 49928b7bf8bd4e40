"""The smallest WSGI application: `portico run hello` in this folder."""

from collections.abc import Callable
from typing import Any


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """Greet whoever asks."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello, world!"]
