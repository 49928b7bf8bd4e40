"""Middleware: callables that are WSGI applications and call another one (PEP 3333 "Middleware").

    from portico.middleware import ProxyFix, SharedDataMiddleware

    application = ProxyFix(SharedDataMiddleware(application, {"/static": "static"}))

They need no engine: they run under any WSGI server, in the thread that calls the application. Where a name is
Werkzeug's the behaviour is too, and so is the module's name (`portico.middleware.lint.LintMiddleware`). A
name is imported when it is first asked for, so that a worker has in memory only what it uses.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.middleware.dispatcher import DispatcherMiddleware as DispatcherMiddleware
    from portico.middleware.http_proxy import HTTPProxyMiddleware as HTTPProxyMiddleware
    from portico.middleware.lint import Lint as Lint
    from portico.middleware.profiler import ProfilerMiddleware
    from portico.middleware.proxy_fix import ProxyFix as ProxyFix
    from portico.middleware.request_id import RequestID as RequestID
    from portico.middleware.server_timing import ServerTiming as ServerTiming
    from portico.middleware.shared_data import SharedDataMiddleware as SharedDataMiddleware
    from portico.middleware.transform import Transform as Transform

    Profile = ProfilerMiddleware

# Name here, module, name there. `Profile` of the module is cProfile's, as in Werkzeug's.
_NAMES = {
    "DispatcherMiddleware": ("dispatcher", "DispatcherMiddleware"),
    "HTTPProxyMiddleware": ("http_proxy", "HTTPProxyMiddleware"),
    "Lint": ("lint", "LintMiddleware"),
    "Profile": ("profiler", "ProfilerMiddleware"),
    "ProxyFix": ("proxy_fix", "ProxyFix"),
    "RequestID": ("request_id", "RequestID"),
    "ServerTiming": ("server_timing", "ServerTiming"),
    "RequestIDFilter": ("request_id_filter", "RequestIDFilter"),
    "SharedDataMiddleware": ("shared_data", "SharedDataMiddleware"),
    "Transform": ("transform", "Transform"),
    "current_request_id": ("request_id", "current_request_id"),
}

if not TYPE_CHECKING:  # else a type checker would take any name for one of ours
    __all__ = tuple(_NAMES)

    def __getattr__(name: str) -> type:
        """Import the middleware called `name` (PEP 562)."""
        if name not in _NAMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_NAMES)}")
        from importlib import import_module

        module, attribute = _NAMES[name]
        found = getattr(import_module(f"{__name__}.{module}"), attribute)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
