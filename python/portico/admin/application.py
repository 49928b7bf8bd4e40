"""The WSGI application: its paths, who may ask for which, and what each responds with.

Called on the threads of the admin process. It never waits for the supervisor longer than who asks that for it
(`Source`), and knows nothing of requests to the application that is served.
"""

from __future__ import annotations

from portico.admin import SilentError
from portico.admin.access import COOKIE, Access, Rejection
from portico.admin.exposition import base_name, exposed, preferred, with_more
from portico.admin.families import FAMILIES
from portico.admin.of_pools import POOL_DIRECTORIES, with_pools

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

    from portico.admin import Samples, Source
    from portico.admin.dashboard import Dashboard
    from portico.admin.families import Family
    from portico.types import Environ, StartResponse

    # Names of pools, each with a path.
    Pairs = Iterable[tuple[str, str]]

METRICS = "/metrics"
_PLAIN = "text/plain; charset=utf-8"
_READING = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_GUARDED = (
    ("Content-Security-Policy", _POLICY),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)
"""Sent with all of the dashboard: nothing comes from elsewhere, nobody else shows it or reads it."""
# It leads to the page, as a step of its own: a browser that came from elsewhere sends the cookie with that.
_ENTERED = b"""<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url=/">
<title>portico</title><p><a href="/">To the dashboard</a></p></html>
"""


class AdminApplication:
    """Serves what `source` tells to those who have `access`; `write` returns a value as JSON.

    `of_application` returns the metrics of the application, and their samples; `of_client` those that are
    already text, but for names that are taken, with those of the directories of pools.
    """

    def __init__(
        self,
        source: Source,
        access: Access,
        write: Callable[[Any], bytes],
        *,
        of_application: Callable[[], tuple[list[Family], Samples]] = lambda: ([], {}),
        of_client: Callable[[str, Collection[str], Pairs], str] = lambda media_type, taken, pools: "",
    ) -> None:
        self._source = source
        self._access = access
        self._write = write
        self._of_application = of_application
        self._of_client = of_client
        # From the first time on that somebody may look at it.
        self._dashboard: Dashboard | None = None
        # What was written last, by media type, and of which samples: several may ask within their time.
        self._written: tuple[Samples, dict[str, bytes]] = ({}, {})

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == METRICS:
            return self._metrics(environ, start_response)
        if path == "/" and "token=" in environ.get("QUERY_STRING", ""):
            return self._enter(environ, start_response)
        rejection = self._access.to_dashboard(environ)
        if rejection is not None:
            return _reject(start_response, rejection)
        return self._show(environ, start_response)

    def _metrics(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in _READING:
            return _not_allowed(start_response, _READING)
        rejection = self._access.to_metrics(environ)
        if rejection is not None:
            return _reject(start_response, rejection)
        try:
            samples = self._source.ask()
        except SilentError:
            return _say(start_response, "503 Service Unavailable", "The supervisor does not respond.")
        media_type = preferred(environ.get("HTTP_ACCEPT", ""))
        return _send(
            start_response, "200 OK", media_type, self._text(samples, media_type), ("Vary", "Accept")
        )

    def _enter(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Turn the token in the address into a cookie, which no page and no script can read."""
        # Here, because browsers do so once.
        from urllib.parse import parse_qs

        (token, *_) = parse_qs(environ["QUERY_STRING"]).get("token", [""])
        if not self._access.is_token(token):
            return _reject(start_response, Rejection("401 Unauthorized", "This is not the admin token."))
        cookie = ("Set-Cookie", f"{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict")
        return _send(start_response, "200 OK", "text/html; charset=utf-8", _ENTERED, cookie, *_GUARDED)

    def _show(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        # Here, because most who ask here are programs, and read metrics.
        from portico.admin.dashboard import PATHS, Dashboard

        methods = PATHS.get(environ["PATH_INFO"])
        if methods is None:
            return _say(start_response, "404 Not Found", f"There are only {METRICS} and / here.")
        if environ["REQUEST_METHOD"] not in methods:
            return _not_allowed(start_response, methods)
        if self._dashboard is None:
            self._dashboard = Dashboard(self._source, self._write)
        status, media_type, body, headers = self._dashboard.respond(environ)
        length = [("Content-Length", str(len(body[0])))] if isinstance(body, tuple) and body else []
        head = [("Content-Type", media_type), *length, ("Cache-Control", "no-store"), *_GUARDED, *headers]
        start_response(status, head)
        return body

    def _text(self, samples: Samples, media_type: str) -> bytes:
        of, written = self._written
        if of is not samples:
            written = {}
            self._written = (samples, written)
        if media_type not in written:
            families, all_samples = with_pools(*self._of_application(), samples)
            text = exposed(all_samples, media_type, families)
            taken = {base_name(family) for family in (*FAMILIES, *families)}
            directories: Any = samples.get(POOL_DIRECTORIES, ())
            written[media_type] = with_more(text, self._of_client(media_type, taken, directories)).encode()
        return written[media_type]


def _reject(start_response: StartResponse, rejection: Rejection) -> Iterable[bytes]:
    challenge = [("WWW-Authenticate", 'Bearer realm="portico"')] if rejection.status.startswith("401") else []
    return _say(start_response, rejection.status, rejection.sentence, *challenge, *_GUARDED)


def _not_allowed(start_response: StartResponse, methods: tuple[str, ...]) -> Iterable[bytes]:
    allow = ("Allow", ", ".join(methods))
    sentence = "This can only be read." if methods == _READING else f"Expected {allow[1]}."
    return _say(start_response, "405 Method Not Allowed", sentence, allow)


def _say(
    start_response: StartResponse, status: str, sentence: str, *headers: tuple[str, str]
) -> Iterable[bytes]:
    return _send(start_response, status, _PLAIN, f"{sentence}\n".encode(), *headers)


def _send(
    start_response: StartResponse, status: str, media_type: str, body: bytes, *headers: tuple[str, str]
) -> Iterable[bytes]:
    start_response(
        status,
        [
            ("Content-Type", media_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *headers,
        ],
    )
    return [body]
