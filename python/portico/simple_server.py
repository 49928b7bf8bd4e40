"""`wsgiref.simple_server` on portico's engine: the same names, and as far as a program can tell the same
behaviour.

    from portico.simple_server import make_server

    with make_server("", 8000, app) as httpd:
        httpd.serve_forever()

`WSGIServer` is a subclass of the standard library's, all else that is not a function is the standard
library's own. As long as nothing that a program overrides takes the I/O (`portico.embedding.overrides`),
requests are served by the engine: on the calling thread, and on as many more as `threads` says. Otherwise the
standard library's code runs, unchanged. docs/embedding.md tells what differs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from socketserver import ThreadingMixIn
from typing import Any, TypeVar, overload
from wsgiref import simple_server as standard
from wsgiref.simple_server import (
    ServerHandler,
    WSGIRequestHandler,
    demo_app,
    server_version,
    software_version,
    sys_version,
)

from portico import log
from portico.config.address import Address
from portico.config.settings import Settings
from portico.embedding.engine import STANDARD_ERROR_FD, EmbeddedListener, Stop, access_log_of, serve_here
from portico.embedding.hooks import HookedApplication
from portico.embedding.keywords import NOT_HERE, settings_from
from portico.embedding.overrides import takes_io
from portico.types import WSGIApplication

__all__ = [
    "ServerHandler",
    "WSGIRequestHandler",
    "WSGIServer",
    "demo_app",
    "make_server",
    "server_version",
    "software_version",
    "sys_version",
]

_Server = TypeVar("_Server", bound=standard.WSGIServer)

_NOT_OF_A_SERVER = {
    **NOT_HERE,
    "backlog": "it is the class attribute request_queue_size",
    "bind": "host and port are arguments of their own",
}
_MIXED_IN_THREADS = 64
"""`ThreadingMixIn` begins a thread for each connection; here one is begun when calls block, up to so many."""
_ONE_REQUEST = {"keep_alive": 0, "linger_timeout": 0, "threads": 1}
"""For a connection that is closed after its first response, as the standard library does."""


class WSGIServer(standard.WSGIServer):
    """The standard library's `WSGIServer`, with requests on the engine.

    `portico_settings`, of a class or an object, are those of docs/settings.md by name; `threads` is 1 if they
    do not say it, and more with `socketserver.ThreadingMixIn` in the bases.
    """

    request_queue_size = Settings.backlog.default
    portico_settings: Mapping[str, object] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._stop = Stop()
        self._is_over = threading.Event()
        self._served: HookedApplication | None = None
        super().__init__(*args, **kwargs)

    def serve_forever(self, poll_interval: float = 0.5) -> None:
        """Serve until `shutdown`; `poll_interval` is for the standard library's way, the engine needs none.

        On the main thread what a signal's handler raises, such as KeyboardInterrupt, passes through.
        """
        if takes_io(self):
            return super().serve_forever(poll_interval)
        self._is_over.clear()
        try:
            self._serve(self.socket, self._stop)
        finally:
            self._served = None
            self._is_over.set()

    def shutdown(self) -> None:
        """Have `serve_forever`, on another thread, finish what has come in; wait until it returns.

        In a call of the application, or a handler of a signal on the thread that serves, it does not wait.
        """
        if takes_io(self):
            return super().shutdown()
        served = self._served
        self._stop.gracefully()
        if served is None or not served.is_served_here:
            self._is_over.wait()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve the first request of the connection `request`: what `handle_request` does with it."""
        if takes_io(self) or type(request) is not socket.socket:
            return super().finish_request(request, client_address)
        self._serve(request, Stop(), is_connection=True)

    def _serve(self, sock: socket.socket, stop: Stop, *, is_connection: bool = False) -> None:
        threads = _MIXED_IN_THREADS if isinstance(self, ThreadingMixIn) else 1
        given = {"threads": threads, **self.portico_settings, **(_ONE_REQUEST if is_connection else {})}
        settings = settings_from(type(self).__name__, given, not_here=_NOT_OF_A_SERVER)
        display = f"http://{self.server_name}:{self.server_port}"
        with _log_of(settings, is_asked_for="access_log" in given) as log_fd, _borrowed(sock) as fd:
            application = HookedApplication(self, logs_itself=log_fd is None)
            if not is_connection:
                self._served = application
            serve_here(
                application,
                settings,
                [EmbeddedListener(fd, Address(), display, is_connection=is_connection)],
                stop=stop,
                errors=log.ErrorStream(),
                access_log_fd=-1 if log_fd is None or application.on_response else log_fd,
                on_response=application.on_response,
            )


@overload
def make_server(
    host: str,
    port: int,
    app: WSGIApplication,
    *,
    handler_class: type[WSGIRequestHandler] = ...,
    **settings: Any,
) -> WSGIServer: ...
@overload
def make_server(
    host: str,
    port: int,
    app: WSGIApplication,
    server_class: type[_Server],
    handler_class: type[WSGIRequestHandler] = ...,
    **settings: Any,
) -> _Server: ...


def make_server(
    host: str,
    port: int,
    app: WSGIApplication,
    server_class: type[standard.WSGIServer] = WSGIServer,
    handler_class: type[WSGIRequestHandler] = WSGIRequestHandler,
    **settings: Any,
) -> standard.WSGIServer:
    """Return a `server_class` that listens on `host` ("" for all of IPv4) and `port` (0 for any free one).

    `settings` are those of docs/settings.md by name, `threads` above all; they take a `server_class` of this
    module. Raises TypeError or ValueError for one that cannot be, OSError if the address cannot be listened
    on.
    """
    if settings:
        if not issubclass(server_class, WSGIServer):
            raise TypeError(
                f"make_server(): {', '.join(settings)}: expected a subclass of "
                f"portico.simple_server.WSGIServer as server_class, got {server_class!r}"
            )
        settings_from("make_server", settings, not_here=_NOT_OF_A_SERVER)
    server = server_class((host, port), handler_class)
    if isinstance(server, WSGIServer):
        server.portico_settings = {**server.portico_settings, **settings}
    server.set_app(app)  # type: ignore[arg-type]
    return server


@contextlib.contextmanager
def _borrowed(sock: socket.socket) -> Iterator[int]:
    """Yield a descriptor for the engine, which closes it; the socket stays its owner's, as it was."""
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        # A response leaves in few large writes: Nagle's delay only hurts. What is accepted inherits it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fd = os.dup(sock.fileno())
    os.set_blocking(fd, False)
    try:
        yield fd
    finally:
        # Blocking or not is of the socket, not of its descriptors. It may have been closed meanwhile.
        with contextlib.suppress(OSError):
            sock.settimeout(sock.gettimeout())


@contextlib.contextmanager
def _log_of(settings: Settings, *, is_asked_for: bool) -> Iterator[int | None]:
    """Yield where the engine writes access lines: as asked, else to standard error, as the standard library
    does.

    None if that is no file of the process's, but an object that only Python can write to.
    """
    if is_asked_for:
        with access_log_of(settings) as fd:
            yield fd
        return
    try:
        is_standard_error = sys.stderr.fileno() == STANDARD_ERROR_FD
    except (AttributeError, OSError, ValueError):
        is_standard_error = False
    yield STANDARD_ERROR_FD if is_standard_error else None
