"""The application as a server of `portico.simple_server` has it called: with the environ, the errors and the
log lines that its classes ask for.

Called by the engine on each of its threads. A handler object is made for a request only where its class has
changed something; it never reads or writes the connection.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from http.client import HTTPMessage
from typing import Any, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from portico import log
from portico.embedding.overrides import (
    ENVIRON_HOOKS,
    LOG_HOOKS,
    STDERR_HOOKS,
    overridden_by_handler,
)
from portico.types import Environ, OnResponse, StartResponse, WSGIApplication

_OF_BASE = frozenset({"GATEWAY_INTERFACE", "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT"})
"""Of what both name, what is as `base_environ` says, if it says anything: all else is of the request."""


class HookedApplication:
    """The WSGI application of `server`, whichever `set_app` has set by the time of a request.

    `logs_itself`: log lines are the handler's in any case. `on_response` is then called after each response.
    """

    def __init__(self, server: WSGIServer, *, logs_itself: bool = False) -> None:
        self._server = server
        self._handler_class = cast("type[WSGIRequestHandler]", server.RequestHandlerClass)
        changed = overridden_by_handler(self._handler_class)
        self._makes_environ = bool(changed & ENVIRON_HOOKS)
        self._has_stderr = bool(changed & STDERR_HOOKS)
        self._logs = logs_itself or bool(changed & LOG_HOOKS)
        self._of_thread = threading.local()
        self._log_errors = log.ErrorStream()
        self._of_thread.serves = True
        # Whom an error in the log is of, and where it is looked for. get_app() is asked with each request.
        application = getattr(server, "application", None) or server.get_app
        self.__wrapped__ = application
        self.__module__ = getattr(application, "__module__", __name__)
        self.__qualname__ = getattr(application, "__qualname__", type(application).__qualname__)

    @property
    def is_served_here(self) -> bool:
        """Whether this thread is one of those that serve: it waits in vain for the end of them."""
        return getattr(self._of_thread, "serves", False)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        self._of_thread.serves = True
        handler = None
        if self._makes_environ or self._has_stderr or self._logs:
            handler = self._of_thread.handler = make_handler(self._handler_class, self._server, environ)
        if handler is not None and self._makes_environ:
            _replace(environ, handler.get_environ())
        else:
            _begin_with(self._server.base_environ, environ)
        if handler is not None and self._has_stderr:
            environ["wsgi.errors"] = handler.get_stderr()
        else:
            # That of the moment: tests put another in its place. None where a program has no standard error.
            environ["wsgi.errors"] = sys.stderr or self._log_errors
        return cast("WSGIApplication", self._server.get_app())(environ, start_response)

    @property
    def on_response(self) -> OnResponse | None:
        """What writes the line about a request, if the handler does; called on the thread of the call."""
        return self._log if self._logs else None

    def _log(self, status: int, body_bytes: int) -> None:
        handler: WSGIRequestHandler | None = self._of_thread.__dict__.pop("handler", None)
        if handler is not None:
            # As text, which is how `ServerHandler` says it.
            handler.log_request(str(status), body_bytes)


def make_handler(
    handler_class: type[WSGIRequestHandler], server: WSGIServer, environ: Environ
) -> WSGIRequestHandler:
    """Return a handler that knows the request as if it had read it, but has no connection."""
    handler: Any = handler_class.__new__(handler_class)
    method, target = environ["REQUEST_METHOD"], environ.get("REQUEST_URI", "")
    version = environ["SERVER_PROTOCOL"]
    handler.server = server
    handler.request = None
    handler.client_address = (environ["REMOTE_ADDR"], int(environ.get("REMOTE_PORT") or 0))
    handler.command, handler.path, handler.request_version = method, target, version
    handler.requestline = f"{method} {target} {version}"
    handler.raw_requestline = f"{handler.requestline}\r\n".encode("latin-1")
    handler.close_connection = True
    handler.headers = _headers(environ)
    return cast(WSGIRequestHandler, handler)


def _headers(environ: Environ) -> HTTPMessage:
    headers = HTTPMessage()
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            headers[name[5:].replace("_", "-").title()] = value
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").title()] = environ[name]
    return headers


def _replace(environ: Environ, made: Environ) -> None:
    """Let `environ` be what the handler has made, with what only the engine knows of the request."""
    of_engine = {name: value for name, value in environ.items() if "." in name}
    environ.clear()
    environ.update(made)
    environ.update(of_engine)
    _set_scheme(environ)


def _begin_with(base: Environ, environ: Environ) -> None:
    """Let `environ` begin with `base`, as it does in the standard library."""
    for name, value in base.items():
        if name not in environ or (name in _OF_BASE and value):
            environ[name] = value
    _set_scheme(environ)


def _set_scheme(environ: Environ) -> None:
    # What guess_scheme() of wsgiref.util goes by.
    if environ.get("HTTPS") in ("yes", "on", "1"):
        environ["wsgi.url_scheme"] = "https"
