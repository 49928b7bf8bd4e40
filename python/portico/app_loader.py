"""`pkg.mod:attribute` to a callable, with errors that help.

Runs in a worker, once, before it reports ready. Receives the application's name and the paths to import
from; hands on a callable and the name it was found under. An error in the application's own code passes
through with its traceback; everything the operator can mend by a better name is an OperatorError.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from portico.errors import EXIT_APPLICATION, OperatorError, quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

    from portico.types import WSGIApplication

DEFAULT_ATTRIBUTES = ("application", "app")
_CO_VARARGS = 0x04
_CO_COROUTINE = 0x80
_CO_ASYNC_GENERATOR = 0x200


class LoadError(OperatorError):
    """The application cannot be found under the name that was given."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=EXIT_APPLICATION)


def load_application(name: str) -> tuple[WSGIApplication, str]:
    """Import and return the application called `name`, and its full name.

    `name` is `pkg.mod`, `pkg.mod:attribute`, `pkg.mod:object.attribute` or `pkg.mod:factory()`.
    Raises LoadError when there is no such application; whatever the module or factory raises passes through.

        load_application("shop.wsgi")  ->  (<function application>, "shop.wsgi:application")
    """
    module_name, colon, attribute = name.partition(":")
    _check_name(name, module_name, attribute, has_colon=bool(colon))
    module = _import(module_name)
    if not attribute:
        attribute = _default_attribute(module)
    path, is_factory = attribute.removesuffix("()"), attribute.endswith("()")
    found = _look_up(module, path)
    full_name = f"{module_name}:{attribute}"
    if is_factory:
        if not callable(found):
            raise LoadError(f"{module_name}:{path} is not callable: it is {_article(found)}")
        found = found()
    _check_application(found, full_name, made=is_factory)
    return found, full_name


def extend_path(directories: Sequence[str]) -> None:
    """Put `directories` at the front of the import path, in their order, each once."""
    sys.path[:] = [*directories, *(path for path in sys.path if path not in directories)]
    # The supervisor may have listed a directory long ago; a reload must see today's files. From Python 3.12
    # on importlib.invalidate_caches() would load importlib.metadata, json and typing into each worker.
    sys.path_importer_cache.clear()


def _check_name(name: str, module_name: str, attribute: str, *, has_colon: bool) -> None:
    example = "such as shop.wsgi:application"
    if module_name.endswith(".py") or "/" in module_name:
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        better = f"{dotted}:{attribute}" if attribute else dotted
        raise LoadError(f"{quoted(name)} is a file's name; the module is called {better}")
    if not module_name or not all(part.isidentifier() for part in module_name.split(".")):
        raise LoadError(f"expected the name of an application, {example}, got {quoted(name)}")
    if has_colon:
        path = attribute.removesuffix("()")
        if "(" in path:
            raise LoadError(
                f"a factory is called without arguments: expected {module_name}:factory(), got {quoted(name)}"
            )
        if not all(part.isidentifier() for part in path.split(".")):
            raise LoadError(f"expected an attribute after the colon, {example}, got {quoted(name)}")


def _import(module_name: str) -> ModuleType:
    try:
        return import_module(module_name)
    except ModuleNotFoundError as error:
        # Only the module itself or a package above it: one that *it* fails to import is the application's
        # error.
        missing = error.name or ""
        if module_name != missing and not module_name.startswith(missing + "."):
            raise
        if _is_module_without_package(module_name, missing):
            parent = missing.rpartition(".")[0]
            raise LoadError(f"{parent} is a module, not a package: it has no {module_name}") from None
        where = sys.path[0] if sys.path else "."
        if not os.access(where, os.R_OK):
            where += ", which this user may not read,"
        raise LoadError(f"no module named {missing} in {where} or installed{_near_module(missing)}") from None


def _is_module_without_package(module_name: str, missing: str) -> bool:
    """Say whether `import a.b` failed because `a` is a plain module."""
    parent = missing.rpartition(".")[0]
    return bool(parent) and parent in sys.modules and not hasattr(sys.modules[parent], "__path__")


def _near_module(missing: str) -> str:
    """Return a hint at a module in the working directory whose name is almost `missing`."""
    import difflib

    if "." in missing:
        package, _, missing = missing.rpartition(".")
        folders = list(getattr(sys.modules.get(package), "__path__", []))
        prefix = package + "."
    else:
        folders, prefix = sys.path[:1], ""
    names = []
    for folder in folders:
        try:
            entries = os.listdir(folder)
        except OSError:
            continue
        names += [entry.removesuffix(".py") for entry in entries]
    near = difflib.get_close_matches(missing, [entry for entry in names if entry.isidentifier()], n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


def _default_attribute(module: ModuleType) -> str:
    for attribute in DEFAULT_ATTRIBUTES:
        if hasattr(module, attribute):
            return attribute
    raise LoadError(f"module {module.__name__} has no `application` and no `app`{_what_it_has(module)}")


def _look_up(module: ModuleType, path: str) -> Any:
    found: Any = module
    owner = f"module {module.__name__}"
    shown = f"{module.__name__}:"
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LoadError(f"{owner} has no `{part}`{_what_it_has(found)}") from None
        owner = shown = shown + ("" if shown.endswith(":") else ".") + part
    return found


def _what_it_has(owner: Any) -> str:
    """Return the end of a sentence that names what could be meant: the likely names first, at most four."""
    own = getattr(owner, "__name__", None)
    names = []
    for name, value in vars(owner).items() if hasattr(owner, "__dict__") else ():
        # What the module only imported (`from flask import Flask`) is not what anyone means.
        is_own = getattr(value, "__module__", own) == own or not hasattr(value, "__name__")
        if callable(value) and not name.startswith("_") and (is_own or name in DEFAULT_ATTRIBUTES):
            names.append(name)
    # Where there is one of the usual names, the rest would only distract. A class is the least likely.
    names = [name for name in names if name in DEFAULT_ATTRIBUTES] or names
    names.sort(key=lambda name: (isinstance(getattr(owner, name), type), "app" not in name.lower()))
    if not names:
        return ""
    shown = [
        f"`{name}()`" if name.startswith(("create_", "make_", "build_")) else f"`{name}`"
        for name in names[:4]
    ]
    return "; it has " + (shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1])


def _check_application(found: Any, name: str, *, made: bool) -> None:
    if not callable(found):
        verb = "returned" if made else "is"
        raise LoadError(
            f"{name} {verb} {_article(found)}, which is not callable; expected a WSGI application"
        )
    function = found if hasattr(found, "__code__") else vars(type(found)).get("__call__")
    code = getattr(function, "__code__", None)
    if code is None or isinstance(found, type):
        return
    if code.co_flags & (_CO_COROUTINE | _CO_ASYNC_GENERATOR):
        raise LoadError(f"{name} is asynchronous (ASGI); portico serves WSGI applications")
    if function is found and code.co_argcount == 0 and not code.co_flags & _CO_VARARGS:
        raise LoadError(f"{name} takes no arguments, so it makes the application: write {name}()")


def _article(value: Any) -> str:
    if value is None:
        return "None"
    kind = "module" if type(value).__name__ == "module" else type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
