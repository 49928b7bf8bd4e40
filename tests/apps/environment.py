"""What an application is given: environ as JSON, changes to it, wsgi.errors, settings."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

from apps.recorder import parameter

INPUT_METHODS = ("read", "readline", "readlines", "__iter__")
ERRORS_METHODS = ("write", "writelines", "flush")


def environ(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Each key with the type of its value and the value itself."""
    body = {
        "type": type(environ).__qualname__,
        "values": {
            key: {"type": type(value).__qualname__, "value": _plain(value)} for key, value in environ.items()
        },
        "key_types": sorted({type(key).__qualname__ for key in environ}),
        "input_methods": [name for name in INPUT_METHODS if hasattr(environ["wsgi.input"], name)],
        "errors_methods": [name for name in ERRORS_METHODS if hasattr(environ["wsgi.errors"], name)],
    }
    return _json(start_response, body)


def changes_environ(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Adds, replaces and removes; tells which of its additions were there before."""
    before = [key for key in ("x.added", "HTTP_X_ADDED") if key in environ]
    before += [key for key in ("REQUEST_METHOD", "wsgi.input") if key not in environ]
    environ["x.added"] = object()
    environ["HTTP_X_ADDED"] = "yes"
    environ["REQUEST_METHOD"] = "CHANGED"
    environ["PATH_INFO"] = "/changed"
    environ["wsgi.url_scheme"] = "gopher"
    blocks = _json(start_response, before)
    if not parameter(environ, "gently"):
        environ.clear()
    return blocks


def writes_errors(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Uses all of wsgi.errors, with a mark from the query string."""
    errors = environ["wsgi.errors"]
    mark = parameter(environ, "key")
    errors.write(f"write {mark}\n")
    errors.writelines([f"writelines {mark} 1\n", f"writelines {mark} 2\n"])
    errors.write(f"unicode {mark} z\u017c \u2603 \U0001f40d\n")
    errors.write(f"surrogate {mark} \udc80 end\n")
    errors.flush()
    return _json(start_response, "written")


def setting(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The setting that the command line gave."""
    return _json(start_response, os.environ.get("TEST_SETTING"))


def process(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The worker that serves the request."""
    return _json(start_response, os.getpid())


def calling_thread(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Which thread calls."""
    return _json(start_response, threading.get_ident())


def _plain(value: Any) -> Any:
    if isinstance(value, (str, bool, int, type(None))):
        return value
    return list(value) if isinstance(value, tuple) else repr(value)


def _json(start_response: Any, value: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(value).encode()]


VALID = {
    "environ": environ,
    "changes-environ": changes_environ,
    "writes-errors": writes_errors,
    "setting": setting,
    "process": process,
    "calling-thread": calling_thread,
}
