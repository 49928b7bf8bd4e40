"""portico, a WSGI application server. This module holds the version and costs nothing to import.

`portico.serve` and `portico.running`, which serve from within a program, and `portico.RequestTimeout`, which
is raised in calls that take too long, are loaded when they are first named; `__init__.pyi` has their types.
"""

__version__ = "0.1.0"
__all__ = ["RequestTimeout", "__version__", "running", "serve"]


def __getattr__(name: str) -> object:
    # Here and not above: every process imports this module.
    if name == "RequestTimeout":
        from portico.deadlines import RequestTimeout

        return RequestTimeout
    if name not in ("running", "serve"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from portico.embedding import server

    return getattr(server, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
