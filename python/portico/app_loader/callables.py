"""Whether what was found is a WSGI application: a callable that takes two positional arguments (PEP 3333).

Runs where the application will run, once. Receives what was found and the name it was found under; returns,
or raises a LoadError that says what it is instead and what to write. It looks at code objects, since
`inspect` would be in every worker's memory. What tells nothing of its arguments (C, other descriptors) is let
through.

Decorated functions are judged by what is called, never by `__wrapped__`: the wrapper is what takes environ
and start_response, and what it wraps (a view of one `request`, for example) may take anything.
"""

from __future__ import annotations

import sys

from portico.app_loader.name import FACTORY_PREFIXES
from portico.errors import LoadError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

_CO_VARARGS = 0x04
_CO_COROUTINE = 0x80
_CO_ASYNC_GENERATOR = 0x200
_ANY_NUMBER = 1 << 30
_NUMBERS = ("no", "one", "two", "three", "four", "five")
_EXPECTED = "environ and start_response"


def check_factory(found: Any, name: str, *, has_arguments: bool) -> None:
    """Raise LoadError unless `found`, which is called `name`, can be called for an application.

    Without arguments it has to take none; whether it takes those that there are, its call will tell.
    """
    if not callable(found):
        raise LoadError(f"{name} is not callable: it is {_described(found)}")
    takes = _parameters(found)
    if takes is None:
        return
    if takes.is_asynchronous:
        raise LoadError(f"{name} is asynchronous, and what makes an application is called without waiting")
    if (takes.least or takes.keyword) and not has_arguments:
        if takes.fit() and takes.least == 2:
            raise LoadError(f"{name} {takes}, as an application does; what is called without makes one")
        raise LoadError(f"{name} {takes}, and would be called without: write {name}(...) with its arguments")


def check_application(found: Any, name: str, *, made: bool) -> None:
    """Raise LoadError unless `found` is a WSGI application, as far as can be seen without calling it.

    `made`: it was returned by `name`, which is the call of a factory.
    """
    if not callable(found):
        verb = "returned" if made else "is"
        raise LoadError(
            f"{name} {verb} {_described(found)}, which is not callable; expected a WSGI application"
        )
    subject = f"what {name} returned" if made else name
    takes = _parameters(found)
    if _is_asgi(found, takes):
        raise LoadError(f"{subject} is asynchronous (ASGI); portico serves WSGI applications")
    if _is_of_tornado(found):
        raise LoadError(f"{subject} is an application of Tornado's own; expected worker = tornado for that")
    if issubclass(type(found), type):
        _check_class(found, takes, subject, f"{name}()" if not made else "")
    elif takes is not None:
        _check_function(found, takes, subject, name if not made and _is_function(found) else "")


def _is_of_tornado(found: Any) -> bool:
    """Say whether `found` is a tornado.web.Application, without importing that."""
    tornado = sys.modules.get("tornado.web")
    return tornado is not None and isinstance(found, tornado.Application)


class Parameters:
    """What has to be given to a callable, and what may be.

    `least` and `most` are numbers of positional arguments; `names` are the parameters that they are for, and
    `keyword` is one that has to be given by its name, or empty.
    """

    __slots__ = ("is_asynchronous", "keyword", "least", "most", "names")

    def __init__(
        self,
        least: int,
        most: int,
        *,
        names: tuple[str, ...] = (),
        keyword: str = "",
        is_asynchronous: bool = False,
    ) -> None:
        self.least = least
        self.most = most
        self.names = names
        self.keyword = keyword
        self.is_asynchronous = is_asynchronous

    def fit(self) -> bool:
        """Say whether two positional arguments are right."""
        return self.least <= 2 <= self.most and not self.keyword

    def __str__(self) -> str:
        """The verb of a sentence: `takes one argument (config)`."""
        if self.keyword:
            return f"wants the keyword argument `{self.keyword}`"
        if self.least > self.most:
            return f"cannot be called with positional arguments for {' and '.join(self.names)}"
        if self.most >= _ANY_NUMBER:
            return f"takes at least {_counted(self.least)}" if self.least else "takes any arguments"
        shown = f" ({', '.join(self.names)})" if self.names else ""
        if self.least == self.most:
            return f"takes {_counted(self.most)}{shown}"
        least = f"from {_NUMBERS[self.least]} to" if 0 < self.least < len(_NUMBERS) else "at most"
        return f"takes {least} {_counted(self.most)}{shown}"


def _parameters(found: Any, given: int = 0, keywords: Collection[str] = ()) -> Parameters | None:
    """Return what `found` takes beside `given` positional arguments and `keywords`; None if nobody can tell.

    It is asked of the type, since a proxy (werkzeug's LocalProxy) may claim to be anything else.
    """
    kind = type(found)
    if hasattr(kind, "__code__"):  # of Python, or of Cython
        return _of_function(found, given, keywords)
    if hasattr(kind, "__func__"):  # a method; a staticmethod has no __self__
        return _parameters(found.__func__, given + hasattr(kind, "__self__"), keywords)
    if issubclass(kind, type):
        return _of_class(found, given, keywords)
    functools = sys.modules.get("functools")
    if functools is not None and issubclass(kind, functools.partial):
        # Python 3.14: a Placeholder leaves its argument to the caller.
        gap = getattr(functools, "Placeholder", functools)
        bound = sum(argument is not gap for argument in found.args)
        return _parameters(found.func, given + bound, {*keywords, *found.keywords})
    return _of_instances(kind, given, keywords)


def _of_function(function: Any, given: int, keywords: Collection[str]) -> Parameters:
    code = function.__code__
    count = code.co_argcount
    names = code.co_varnames[given:count]
    first_optional = count - len(function.__defaults__ or ())
    needed = [
        index for index, name in enumerate(names[: max(first_optional - given, 0)]) if name not in keywords
    ]
    by_name = [index for index, name in enumerate(names) if name in keywords]
    by_position = _ANY_NUMBER if code.co_flags & _CO_VARARGS else max(count - given, 0)
    keyword_only = code.co_varnames[count : count + code.co_kwonlyargcount]
    defaults = function.__kwdefaults__ or {}
    missing = [name for name in keyword_only if name not in keywords and name not in defaults]
    is_marked = getattr(function, "_is_coroutine_marker", None) or getattr(function, "_is_coroutine", None)
    return Parameters(
        needed[-1] + 1 if needed else 0,
        by_name[0] if by_name else by_position,
        names=names,
        keyword=missing[0] if missing else "",
        # What only returns a coroutine is marked, by inspect.markcoroutinefunction(), asyncio or Cython.
        is_asynchronous=bool(code.co_flags & (_CO_COROUTINE | _CO_ASYNC_GENERATOR) or is_marked),
    )


def _of_instances(kind: type, given: int = 0, keywords: Collection[str] = ()) -> Parameters | None:
    """Return what instances of `kind` take when they are called."""
    call = _attribute(kind, "__call__")
    if hasattr(type(call), "__code__"):
        return _of_function(call, given + 1, keywords)
    return _parameters(call, given, keywords) if type(call) is staticmethod else None


def _of_class(found: type, given: int, keywords: Collection[str]) -> Parameters | None:
    """Return what the constructor of `found` takes."""
    if _attribute(type(found), "__call__") is not vars(type)["__call__"]:
        return _of_instances(type(found), given, keywords)
    makers = [_attribute(found, name) for name in ("__new__", "__init__")]
    own = [maker for maker in makers if maker not in (vars(object)["__new__"], vars(object)["__init__"])]
    if not own:
        return Parameters(0, 0)
    takes = None
    for maker in own:
        function = maker.__func__ if type(maker) is staticmethod else maker
        if not hasattr(type(function), "__code__"):
            return None
        takes = _of_function(function, given + 1, keywords)
        if not takes.fit():
            break
    return takes


def _attribute(kind: type, name: str) -> Any:
    """Return what `kind` or a class above it defines as `name`, unbound; None if none does."""
    for each in kind.__mro__:
        if name in vars(each):
            return vars(each)[name]
    return None


def _is_asgi(found: Any, takes: Parameters | None) -> bool:
    """Say whether `found` is called with a scope, and awaited: versions 2 and 3 of ASGI."""
    if issubclass(type(found), type) and not (_is_iterable(found) and takes is not None and takes.fit()):
        call = _of_instances(found)
        if (call is not None and call.is_asynchronous) or _attribute(found, "__await__") is not None:
            return True
    if takes is None:
        return False
    if takes.most >= _ANY_NUMBER and not takes.least and not takes.is_asynchronous:
        # A decorator that passes on whatever it gets; of all others the wrapper itself says what it takes.
        wrapped = getattr(found, "__wrapped__", None)
        inner = _parameters(wrapped) if hasattr(type(wrapped), "__code__") else None
        return inner is not None and inner.names[:1] == ("scope",) and not inner.fit()
    return takes.is_asynchronous or (takes.names[:1] == ("scope",) and not takes.fit())


def _check_class(found: type, takes: Parameters | None, subject: str, call: str) -> None:
    """A class is an application if its instances are what an application returns (PEP 3333, AppClass)."""
    if takes is None:
        return
    instances = _of_instances(found)
    are_applications = instances is not None and instances.fit() and not _is_iterable(found)
    # A metaclass, or __new__, may return something else.
    returns_instances = (
        _attribute(type(found), "__call__") is vars(type)["__call__"]
        and _attribute(found, "__new__") is vars(object)["__new__"]
    )
    if are_applications and returns_instances:
        advice = f"write {call}" if call and not takes.least and not takes.keyword else "name one of them"
        raise LoadError(f"{subject} is a class whose instances are applications: {advice}")
    if not takes.fit():
        raise LoadError(
            f"{subject} is a class whose constructor {takes}; one that is an application takes two, "
            f"{_EXPECTED}"
        )


def _check_function(found: Any, takes: Parameters, subject: str, name: str) -> None:
    """`name` is that of a function, which may be a factory, or empty."""
    is_called_like_factory = getattr(found, "__name__", "").startswith(FACTORY_PREFIXES) if name else False
    is_factory = not takes.least and not takes.keyword and (takes.most < 2 or is_called_like_factory)
    if name and is_factory:
        raise LoadError(f"{name} {takes}, so it makes the application: write {name}()")
    if not takes.fit():
        advice = f"; if it makes one, write {name}(...) with its arguments" if name else ""
        raise LoadError(f"{subject} {takes}; a WSGI application takes two, {_EXPECTED}{advice}")


def _is_function(found: Any) -> bool:
    """Say whether `found` is a function, a method, or one of these with some arguments given."""
    kind = type(found)
    functools = sys.modules.get("functools")
    is_partial = functools is not None and issubclass(kind, functools.partial)
    return is_partial or hasattr(kind, "__code__") or hasattr(kind, "__func__")


def _is_iterable(kind: type) -> bool:
    return _attribute(kind, "__iter__") is not None or _attribute(kind, "__getitem__") is not None


def _counted(number: int) -> str:
    word = _NUMBERS[number] if number < len(_NUMBERS) else str(number)
    return f"{word} argument" if number == 1 else f"{word} arguments"


def _described(value: Any) -> str:
    if value is None:
        return "None"
    kind = "module" if type(value).__name__ == "module" else type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
