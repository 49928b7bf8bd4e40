"""Warming up: paths that a worker asks its application for, before it says that it is ready.

What an application makes at its first requests (templates, connections, caches) is made then, by nobody's
request.
"""

from __future__ import annotations

import io
import sys
from urllib.parse import unquote_to_bytes

from portico import log
from portico.errors import OperatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico.process.plan import Plan
    from portico.types import WSGIApplication

_FIRST_BAD_STATUS = 500
_FIRST_DOUBTFUL_STATUS = 400


def warm_up(application: WSGIApplication, plan: Plan) -> None:
    """Call `application` for each path of the setting `warmup`, one after the other.

    Raises OperatorError if a response has a status of 500 or more; an exception of the application's passes
    through.
    """
    for url in plan.settings.warmup:
        status = _call(application, _environ(url, plan))
        code = int(status.partition(" ")[0] or 0)
        if code >= _FIRST_BAD_STATUS:
            raise OperatorError(f"warmup: GET {url} has the response {status}")
        if code >= _FIRST_DOUBTFUL_STATUS:
            log.warning(f"warmup: GET {url} has the response {status}")


def _call(application: WSGIApplication, environ: dict[str, Any]) -> str:
    """Take all of one response, and return its status."""
    given: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        given[:] = [status]
        return len

    body = application(environ, start_response)
    try:
        for _ in body:
            pass
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return given[0] if given else ""


def _environ(url: str, plan: Plan) -> dict[str, Any]:
    """Return what PEP 3333 asks to be in environ, for a GET of `url`: a path, or one with scheme and host."""
    scheme, _, rest = ("", "", url) if url.startswith("/") else url.partition("://")
    host, _, path = rest.partition("/")
    path, _, query = f"/{path}".partition("?")
    server_name, _, port = (host or "localhost").partition(":")
    mount = plan.settings.script_name
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": mount,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1").removeprefix(mount),
        "QUERY_STRING": query,
        "SERVER_NAME": server_name,
        "SERVER_PORT": port or ("443" if scheme == "https" else "80"),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": host or "localhost",
        "HTTP_USER_AGENT": "portico-warmup",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme or "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": plan.settings.most_calls > 1,
        "wsgi.multiprocess": plan.most_workers > 1,
        "wsgi.run_once": False,
    }
