"""What a subclass of the standard library's classes has changed, and whether the engine can still serve for
it.

Whatever the engine calls, or has no use for, may be overridden. All else is part of how the standard library
reads a request and writes a response: who overrides that takes the I/O into their own hands, and gets it.
Nothing is called here.
"""

from __future__ import annotations

import socket
from collections.abc import Collection
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

OURS = "portico.simple_server"
"""The module whose server class stands for that of the standard library."""

_SERVER_CLASSES = frozenset({*WSGIServer.__mro__, ThreadingMixIn})
_HANDLER_CLASSES = frozenset(WSGIRequestHandler.__mro__)

ENVIRON_HOOKS = frozenset(
    {"address_string", "get_environ", "server_version", "sys_version", "version_string"}
)
"""What of a handler has a say in environ."""
LOG_HOOKS = frozenset(
    {
        "address_string",
        "log_date_time_string",
        "log_error",
        "log_message",
        "log_request",
        "monthname",
        "weekdayname",
    }
)
"""What of a handler has a say in the line about a request."""
STDERR_HOOKS = frozenset({"get_stderr"})
"""What of a handler has a say in `wsgi.errors`."""

_HANDLER_MAY = frozenset(
    {
        *ENVIRON_HOOKS,
        *LOG_HOOKS,
        *STDERR_HOOKS,
        # The engine speaks HTTP/1.1, sends at once, and has buffers of its own.
        "disable_nagle_algorithm",
        "protocol_version",
        "rbufsize",
        "wbufsize",
    }
)
_SERVER_MAY = frozenset(
    {
        "RequestHandlerClass",
        "__init__",
        "address_family",
        "allow_reuse_address",
        "allow_reuse_port",
        "application",
        "base_environ",
        "block_on_close",
        "daemon_threads",
        "get_app",
        # Told of what the standard library's I/O raises; the engine's does not.
        "handle_error",
        "handle_request",
        "handle_timeout",
        "request_queue_size",
        "serve_forever",
        "server_activate",
        "server_address",
        "server_bind",
        "server_close",
        "server_name",
        "server_port",
        "set_app",
        "setup_environ",
        "shutdown",
        "socket",
        "socket_type",
        "timeout",
    }
)
_IO_OF_A_HANDLER = frozenset({"connection", "rfile", "wfile"})
"""What the standard library only gives to instances."""


def overridden_by_handler(handler_class: type) -> frozenset[str]:
    """Return the names of the standard library's handler that `handler_class` has changed."""
    return _overridden(handler_class, _HANDLER_CLASSES, _IO_OF_A_HANDLER)


def takes_io(server: WSGIServer) -> str:
    """Return what takes the I/O of `server`, so that the standard library serves; empty if nothing does."""
    # None where a server without one stands in for another.
    sock = getattr(server, "socket", None)
    if type(sock) is not socket.socket:
        return f"socket, a {type(sock).__name__}"
    if server.socket_type != socket.SOCK_STREAM:
        return "socket_type"
    methods = {name for name in vars(server) if callable(getattr(WSGIServer, name, None))}
    of_server = (methods | _overridden(type(server), _SERVER_CLASSES)) - _SERVER_MAY
    if of_server:
        return f"server: {', '.join(sorted(of_server))}"
    handler_class = server.RequestHandlerClass
    if not isinstance(handler_class, type) or not issubclass(handler_class, WSGIRequestHandler):
        return "RequestHandlerClass"
    of_handler = overridden_by_handler(handler_class) - _HANDLER_MAY
    return f"handler: {', '.join(sorted(of_handler))}" if of_handler else ""


def _overridden(cls: type, standard: Collection[type], also: Collection[str] = frozenset()) -> frozenset[str]:
    known = {name for each in standard for name in vars(each) if not name.startswith("__")}
    known |= {"__init__", *also}
    own = [each for each in cls.__mro__ if each not in standard and each.__module__ != OURS]
    return frozenset(name for each in own for name in vars(each) if name in known)
