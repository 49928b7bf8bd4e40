"""Middleware of portico around each other, for tests over sockets; its files are in SHARED_FOLDER."""

from __future__ import annotations

import os
from typing import Any

from portico.middleware import DispatcherMiddleware, Lint, Profile, ProxyFix, SharedDataMiddleware


def shows_client(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = "{REMOTE_ADDR}|{SCRIPT_NAME}|{PATH_INFO}\n".format_map(environ).encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def make_application(folder: str) -> Any:
    """The files of a folder at `/files`, the client at every other path; below `/linted` and `/profiled`,
    too."""
    inner = ProxyFix(SharedDataMiddleware(shows_client, {"/files": folder}))
    return DispatcherMiddleware(inner, {"/linted": Lint(inner), "/profiled": Profile(inner, stream=None)})


def from_environment() -> Any:
    """The application of a server's process."""
    return make_application(os.environ["SHARED_FOLDER"])
