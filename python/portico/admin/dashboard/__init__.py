"""The dashboard: a page, what it is made of, and the events that it lives on.

`snapshots.py` looks at the server while somebody watches, and puts together what is shown; `watching.py`
sends that, as server-sent events. The page itself are the three files beside these, read when somebody asks
for one. Nothing of this is imported before.
"""

from __future__ import annotations

import os
import time
from _thread import allocate_lock

from portico.admin import SilentError
from portico.admin.dashboard.snapshots import Snapshots
from portico.admin.dashboard.watching import Watch, Watchers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from portico.admin import Source
    from portico.types import Environ

    Response = tuple[str, str, Iterable[bytes], tuple[tuple[str, str], ...]]
    """A status, a media type, the body, and further headers."""

EVENTS, PROFILE = "/events", "/profile"
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
PATHS = {**dict.fromkeys((*_FILES, EVENTS), ("GET", "HEAD")), PROFILE: ("POST",)}
"""What there is, with the methods that each may be asked by."""

MOST_PROFILE_S = 60
_PROFILE_S = "10"
_MOST_WORD_CHARACTERS = 200
# Between two questions of whether a profile is there.
_PAUSE_S = 0.25
_PLAIN = "text/plain; charset=utf-8"
_JSON = "application/json"
_FAILURES = {"bad-request": "400 Bad Request", "rejected": "409 Conflict"}
_SILENT = "The supervisor does not respond.\n"


class Dashboard:
    """Responds to requests for what is in `PATHS`, by one of its methods, from somebody who may see it.

    `write` returns a value as JSON.
    """

    def __init__(self, source: Source, write: Callable[[Any], bytes]) -> None:
        self._source = source
        self._write = write
        self._files: dict[str, bytes] = {}
        self._watchers = Watchers()
        self._snapshots = Snapshots(source, write)
        self._is_profiling = allocate_lock()

    def respond(self, environ: Environ) -> Response:
        """Return the response."""
        path = environ["PATH_INFO"]
        if path == EVENTS:
            return self._events(environ)
        if path == PROFILE:
            return self._profile(environ)
        name, media_type = _FILES[path]
        return "200 OK", media_type, (self._file(name),), ()

    def _file(self, name: str) -> bytes:
        if name not in self._files:
            with open(os.path.join(os.path.dirname(__file__), name), "rb") as file:
                self._files[name] = file.read()
        return self._files[name]

    def _events(self, environ: Environ) -> Response:
        if environ["REQUEST_METHOD"] == "HEAD":
            return "200 OK", "text/event-stream", (), ()
        if not self._watchers.enter():
            sentence = f"{self._watchers.most} watch already, which is as many as may; try again later.\n"
            return "503 Service Unavailable", _PLAIN, (sentence.encode(),), (("Retry-After", "10"),)
        return "200 OK", "text/event-stream", Watch(self._snapshots, self._watchers, environ), ()

    def _profile(self, environ: Environ) -> Response:
        """Have a profile made, and wait for it; one at a time."""
        if "HTTP_PORTICO_DASHBOARD" not in environ:
            # No page of others can have a browser send it without asking first.
            return _said("403 Forbidden", "Expected a header Portico-Dashboard, which the dashboard sends.")
        try:
            wanted = _wanted(environ.get("QUERY_STRING", ""))
        except ValueError as error:
            return _said("400 Bad Request", f"{error}.")
        if not self._is_profiling.acquire(False):
            return _said("409 Conflict", "Another profile is being made.")
        try:
            reply = self._source.begin_profile(self._write(wanted))
            until_s = time.monotonic() + wanted["seconds"] + MOST_PROFILE_S
            while not reply and time.monotonic() < until_s and not environ["portico.draining"]():
                time.sleep(_PAUSE_S)
                reply = self._source.profile()
        except SilentError:
            return "503 Service Unavailable", _PLAIN, (_SILENT.encode(),), ()
        finally:
            self._is_profiling.release()
        if "result" in reply:
            return "200 OK", _JSON, (self._write(reply["result"]),), ()
        if "error" in reply:
            status = _FAILURES.get(reply["error"], "500 Internal Server Error")
            return _said(status, f"{reply['message']}.")
        return _said("503 Service Unavailable", "The profile was not there in time.")


def _wanted(query: str) -> dict[str, Any]:
    """Return what a query asks for. Raises ValueError."""
    # Here, because few make profiles.
    from urllib.parse import parse_qs

    given = {name: values[-1] for name, values in parse_qs(query).items()}
    wanted: dict[str, Any] = {}
    for name, least, most in (("seconds", 1, MOST_PROFILE_S), ("worker", 1, 1_000_000)):
        text = given.get(name, _PROFILE_S if name == "seconds" else "")
        if text:
            if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most):
                raise ValueError(f"{name}: expected a whole number from {least} to {most}")
            wanted[name] = int(text)
    if route := given.get("route", ""):
        if len(route) > _MOST_WORD_CHARACTERS:
            raise ValueError(f"route: expected at most {_MOST_WORD_CHARACTERS} characters")
        wanted["route"] = route
    return wanted


def _said(status: str, sentence: str) -> Response:
    return status, _PLAIN, (f"{sentence}\n".encode(),), ()
