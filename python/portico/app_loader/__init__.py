"""The name of an application to a callable, with errors that help.

Runs in a worker, once, before it reports ready, and in the child of `portico check`. Receives APP as it was
given; hands on a callable and the name it was found under. name.py reads APP, modules.py imports,
callables.py judges what was found. An error in the application's own code passes through with its traceback;
everything the operator can mend by a better name is a LoadError.
"""

from __future__ import annotations

from portico.app_loader.modules import import_file, import_named
from portico.app_loader.name import DEFAULT_ATTRIBUTES, FACTORIES, FACTORY_PREFIXES, parse_name
from portico.errors import LoadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType
    from typing import Any

    from portico.types import WSGIApplication

# Any number of arguments, a coroutine, or an asynchronous generator.
_CO_MORE = 0x04 | 0x08 | 0x80 | 0x200


def load_application(
    text: str, *, directory: str = ".", factory: bool = False, adapt: Callable[[Any], Any] | None = None
) -> tuple[WSGIApplication, str]:
    """Import and return the application that `text` names, and its full name.

    `text` is `pkg.mod`, `pkg.mod:attribute`, `pkg.mod:object.attribute` or `pkg.mod:factory("an argument")`;
    a file may stand in place of the module, whose path starts from `directory`. With `factory` the attribute
    is called without arguments. What was found is passed through `adapt`. Raises LoadError when there is no
    such application, or if it is none; whatever the module or factory raises passes through.

        load_application("shop.wsgi")  ->  (<function application>, "shop.wsgi:application")
    """
    name = parse_name(text, directory)
    if name.is_file:
        module, owner = import_file(name.target, directory), name.target
    else:
        module, owner = import_named(name.target), f"module {name.target}"
    path = name.path or _default_attribute(module, owner, FACTORIES if factory else DEFAULT_ATTRIBUTES)
    found = _look_up(module, owner, name.target, path)
    call = name.call or ("()" if factory else "")
    if call:
        from portico.app_loader.callables import check_factory

        has_arguments = bool(name.arguments or name.keywords)
        check_factory(found, f"{name.target}:{path}", has_arguments=has_arguments)
        found = found(*name.arguments, **name.keywords)
    full_name = f"{name.target}:{path}{call}"
    if adapt is not None:
        found = adapt(found)
    if not _is_plain(found):
        # Here, because a plain function needs no closer look, and it would be in every worker's memory.
        from portico.app_loader.callables import check_application

        check_application(found, full_name, made=bool(call))
    return found, full_name


def _is_plain(found: Any) -> bool:
    """Say whether `found` is a function of two arguments, without anything that makes it more."""
    if type(found) is not type(_is_plain) or vars(found):
        return False
    code = found.__code__
    takes = (code.co_argcount, code.co_kwonlyargcount, code.co_flags & _CO_MORE, found.__defaults__)
    return takes == (2, 0, 0, None)


def _default_attribute(module: ModuleType, owner: str, attributes: Sequence[str]) -> str:
    for attribute in attributes:
        if hasattr(module, attribute):
            return attribute
    missing = " and no ".join(f"`{attribute}`" for attribute in attributes)
    raise LoadError(f"{owner} has no {missing}{_what_it_has(module)}")


def _look_up(module: ModuleType, owner: str, target: str, path: str) -> Any:
    found: Any = module
    shown = f"{target}:"
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
    shown = [f"`{name}()`" if name.startswith(FACTORY_PREFIXES) else f"`{name}`" for name in names[:4]]
    return "; it has " + (shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " and " + shown[-1])
