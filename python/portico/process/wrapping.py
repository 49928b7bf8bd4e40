"""The middleware of the configuration around the application.

Runs where the application is loaded; imports what the entries name, and nothing where there are none.
"""

from __future__ import annotations

from portico.errors import EXIT_APPLICATION, OperatorError, quoted
from portico.process.tracebacks import traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from portico.types import WSGIApplication

    MiddlewareEntry = tuple[str, tuple[tuple[str, Any], ...]]
    """`MODULE:NAME`, and the arguments by name."""


def wrapped(application: WSGIApplication, middleware: Sequence[MiddlewareEntry]) -> WSGIApplication:
    """Return `application` inside `middleware`, entries of a callable's name and its arguments.

    Raises OperatorError, naming the entry, if it cannot be imported, is not callable, does not take its
    arguments or returns no application; with a traceback where that is the fault of what it names.
    """
    for index in range(len(middleware), 0, -1):
        use, arguments = middleware[index - 1]
        entry = f"middleware {index} of {len(middleware)}, {use}"
        make = _middleware(use, entry)
        try:
            application = make(application, **dict(arguments))
        except Exception as error:
            # A TypeError of the call itself, or a ValueError, says what is wrong with the arguments.
            is_plain = (
                isinstance(error, TypeError) and error.__traceback__ and not error.__traceback__.tb_next
            )
            shown = f"{error}" if is_plain or isinstance(error, ValueError) else _raised(error)
            raise _failed(f"{entry}, does not take its arguments ({_listed(arguments)}): {shown}") from None
        if not callable(application):
            raise _failed(f"{entry}, returned {quoted(repr(application))}, which is no WSGI application")
    return application


def _middleware(use: str, entry: str) -> Any:
    """Return what `use` names."""
    module_name, _, path = use.partition(":")
    from importlib import import_module

    try:
        found: Any = import_module(module_name)
    except ModuleNotFoundError as error:
        # One that it fails to import itself is told with the traceback.
        missing = error.name or ""
        shown = f"{error}" if f"{module_name}.".startswith(f"{missing}.") else _raised(error)
        raise _failed(f"{entry}, cannot be imported: {shown}") from None
    except Exception as error:
        raise _failed(f"{entry}, cannot be imported: {_raised(error)}") from None
    for part in path.split("."):
        owner = found
        try:
            found = getattr(owner, part)
        except AttributeError:
            import difflib

            near = difflib.get_close_matches(part, dir(owner), n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise _failed(f"{entry}, cannot be imported: {module_name} has no {part}{hint}") from None
    if not callable(found):
        raise _failed(f"{entry}, is not callable: it is {quoted(repr(found))}")
    return found


def _failed(sentence: str) -> OperatorError:
    return OperatorError(sentence, exit_code=EXIT_APPLICATION)


def _raised(error: Exception) -> str:
    return f"{type(error).__name__}\n{traceback_of(error)}"


def _listed(arguments: Sequence[tuple[str, Any]]) -> str:
    return ", ".join(f"{name} = {value!r}" for name, value in arguments) or "none but the application"
