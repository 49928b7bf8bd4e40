"""Calls of the application on the thread of Tornado's loop, which is asyncio's under another name."""

from __future__ import annotations

from portico.event_loops.asyncio import AsyncioLoop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class TornadoLoop(AsyncioLoop):
    """The loop that `IOLoop.current()` is, also while the application is imported."""

    name = "tornado"

    def import_all(self) -> None:
        """Import what this needs; raises ImportError."""
        super().import_all()
        import tornado.ioloop  # noqa: F401


def as_wsgi_application(found: Any) -> Any:
    """Return what was found, as a WSGI application if it is one of Tornado's own."""
    from tornado.httputil import HTTPServerConnectionDelegate

    if not isinstance(found, HTTPServerConnectionDelegate):
        return found
    # Here, because applications of Tornado's need it alone.
    from portico.event_loops.tornado_application import TornadoApplication

    return TornadoApplication(found)
