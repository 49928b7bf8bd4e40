"""portico, a WSGI application server. This module holds the version and costs nothing to import.

`portico.serve` and `portico.running`, which serve from within a program, are loaded when they are first
named; `__init__.pyi` has their types.
"""

__version__ = "0.1.0"
__all__ = ["__version__", "running", "serve"]


def __getattr__(name: str) -> object:
    if name not in ("running", "serve"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Here and not above: every process imports this module.
    from portico.embedding import server

    return getattr(server, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
