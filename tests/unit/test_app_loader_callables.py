"""portico.app_loader.callables: what is a WSGI application, and the sentence for each thing that is none."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import MagicMock

import pytest
from portico.app_loader.callables import check_application
from portico.errors import LoadError


def application(environ, start_response):  # type: ignore[no-untyped-def]
    return []


def with_more(first, environ, start_response, *, debug=False):  # type: ignore[no-untyped-def]
    return []


def without_names(*arguments):  # type: ignore[no-untyped-def]
    return []


def decorated(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def wrapper(*arguments: Any, **keywords: Any) -> Any:
        return function(*arguments, **keywords)

    return wrapper


@decorated
def decorated_application(environ, start_response):  # type: ignore[no-untyped-def]
    return []


@decorated
def view(request):  # type: ignore[no-untyped-def]
    """As under werkzeug's Request.application: the wrapper takes what the view does not."""
    return []


class AppClass:
    """PEP 3333 "The Application/Framework Side"."""

    def __init__(self, environ, start_response):  # type: ignore[no-untyped-def]
        pass

    def __iter__(self):  # type: ignore[no-untyped-def]
        yield b""


class OlderAppClass(AppClass):
    """Iterated over as before there were iterators."""

    __iter__ = None  # type: ignore[assignment]

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        raise IndexError


class MadeByNew:
    def __new__(cls, environ, start_response):  # type: ignore[no-untyped-def]
        return [b""]


class MetaCalled(type):
    def __call__(cls, environ, start_response):  # type: ignore[no-untyped-def]
        return []


class MadeByMeta(metaclass=MetaCalled):
    pass


class Shop:
    def __call__(self, environ, start_response):  # type: ignore[no-untyped-def]
        return []

    def method(self, environ, start_response):  # type: ignore[no-untyped-def]
        return []

    @classmethod
    def of_class(cls, environ, start_response):  # type: ignore[no-untyped-def]
        return []

    @staticmethod
    def static(environ, start_response):  # type: ignore[no-untyped-def]
        return []

    static_itself = staticmethod(application)


class Inherited(Shop):
    pass


class StaticCall:
    @staticmethod
    def __call__(environ, start_response):  # type: ignore[no-untyped-def]
        return []


class Middleware:
    """Hands on whatever it is asked for to what it wraps, `__code__` too."""

    def __init__(self, wrapped: Any) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def __call__(self, environ, start_response):  # type: ignore[no-untyped-def]
        return []


class InC(dict):  # type: ignore[type-arg]
    """Its constructor is dict's."""


ACCEPTED = {
    "function": application,
    "lambda": lambda environ, start_response: [],
    "a third with a default": lambda environ, start_response, extra=None: [],
    "defaults for both": lambda environ=None, start_response=None: [],
    "any arguments": without_names,
    "one and any": lambda environ, *others: [],
    "positional only": eval("lambda environ, start_response, /: []"),
    "keyword-only with a default": lambda environ, start_response, *, debug=False: [],
    "any keywords": lambda environ, start_response, **keywords: [],
    "decorated": decorated_application,
    "decorated view": view,
    "instance": Shop(),
    "instance of a subclass": Inherited(),
    "instance with a static call": StaticCall(),
    "bound method": Shop().method,
    "class method": Shop.of_class,
    "static method": Shop.static,
    "static method itself": vars(Shop)["static_itself"],
    "partial": functools.partial(with_more, 1),
    "partial with a keyword": functools.partial(with_more, 1, debug=True),
    "partial of a partial": functools.partial(functools.partial(with_more, 1), debug=True),
    "partial that needs a keyword and has it": functools.partial(
        lambda environ, start_response, *, debug: [], debug=True
    ),
    "partial of a method": functools.partial(Shop().method),
    "partial of a class": functools.partial(AppClass),
    "AppClass": AppClass,
    "AppClass, older": OlderAppClass,
    "class with __new__": MadeByNew,
    "class with a metaclass": MadeByMeta,
    "class of C": InC,
    "function of C": os.fspath,
    "type of C": memoryview,
    "middleware that hands on attributes": Middleware(lambda: None),
    "mock": MagicMock(),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_takes_what_can_be_called_with_two_arguments(name: str) -> None:
    check_application(ACCEPTED[name], "shop:x", made=False)
    check_application(ACCEPTED[name], "shop:x()", made=True)


def create_app():  # type: ignore[no-untyped-def]
    return application


def create_app_of(config, name=None):  # type: ignore[no-untyped-def]
    return application


def create_app_perhaps(config=None, name=None, *, debug=False):  # type: ignore[no-untyped-def]
    return application


@decorated
def create_decorated():  # type: ignore[no-untyped-def]
    return application


class Factories:
    def create(self):  # type: ignore[no-untyped-def]
        return application


class Callable0:
    def __call__(self):  # type: ignore[no-untyped-def]
        return application


class ShopOfName(Shop):
    def __init__(self, name: str) -> None:
        pass


class ShopOfTwo(Shop):
    def __init__(self, name: str, place: str) -> None:
        pass


class ShopOfDefaults(Shop):
    def __init__(self, name: str = "", place: str = "") -> None:
        pass


class Nothing:
    pass


class Thing:
    def __init__(self, name: str) -> None:
        pass


TAKES_TWO = "a WSGI application takes two, environ and start_response"
ADVICE = "if it makes one, write shop:x(...) with its arguments"
CONSTRUCTOR_TAKES_TWO = "one that is an application takes two, environ and start_response"

REJECTED = {
    "factory": (create_app, "shop:x takes no arguments, so it makes the application: write shop:x()"),
    "factory with a default": (
        lambda config=None: application,
        "shop:x takes at most one argument (config), so it makes the application: write shop:x()",
    ),
    "factory with defaults": (
        create_app_perhaps,
        "shop:x takes at most two arguments (config, name), so it makes the application: write shop:x()",
    ),
    "factory with keywords": (
        lambda **config: application,
        "shop:x takes no arguments, so it makes the application: write shop:x()",
    ),
    "factory, decorated": (
        create_decorated,
        "shop:x takes any arguments, so it makes the application: write shop:x()",
    ),
    "factory, a method": (
        Factories().create,
        "shop:x takes no arguments, so it makes the application: write shop:x()",
    ),
    "factory, a partial": (
        functools.partial(lambda config: application, {}),
        "shop:x takes no arguments, so it makes the application: write shop:x()",
    ),
    "one argument": (lambda config: [], f"shop:x takes one argument (config); {TAKES_TWO}; {ADVICE}"),
    "three arguments": (
        lambda app, environ, start_response: [],
        f"shop:x takes three arguments (app, environ, start_response); {TAKES_TWO}; {ADVICE}",
    ),
    "three or more": (
        lambda app, environ, start_response, *others: [],
        f"shop:x takes at least three arguments; {TAKES_TWO}; {ADVICE}",
    ),
    "seven arguments": (
        lambda a, b, c, d, e, f, g: [],
        f"shop:x takes 7 arguments (a, b, c, d, e, f, g); {TAKES_TWO}; {ADVICE}",
    ),
    "a keyword": (
        lambda environ, start_response, *, debug: [],
        f"shop:x wants the keyword argument `debug`; {TAKES_TWO}; {ADVICE}",
    ),
    "only keywords": (
        lambda *, environ, start_response: [],
        f"shop:x wants the keyword argument `environ`; {TAKES_TWO}; {ADVICE}",
    ),
    "partial with too much": (
        functools.partial(application, {}),
        f"shop:x takes one argument (start_response); {TAKES_TWO}; {ADVICE}",
    ),
    "partial that gives environ by its name": (
        functools.partial(application, environ={}),
        "shop:x cannot be called with positional arguments for environ and start_response; "
        f"{TAKES_TWO}; {ADVICE}",
    ),
    "unbound method": (
        Shop.method,
        f"shop:x takes three arguments (self, environ, start_response); {TAKES_TWO}; {ADVICE}",
    ),
    "instance without arguments": (Callable0(), f"shop:x takes no arguments; {TAKES_TWO}"),
    "class of applications": (
        Shop,
        "shop:x is a class whose instances are applications: write shop:x()",
    ),
    "class of applications with defaults": (
        ShopOfDefaults,
        "shop:x is a class whose instances are applications: write shop:x()",
    ),
    "class of applications that are made of something": (
        ShopOfName,
        "shop:x is a class whose instances are applications: name one of them",
    ),
    "class of applications that are made of two things": (
        ShopOfTwo,
        "shop:x is a class whose instances are applications: name one of them",
    ),
    "class without a constructor": (
        Nothing,
        f"shop:x is a class whose constructor takes no arguments; {CONSTRUCTOR_TAKES_TWO}",
    ),
    "class with another constructor": (
        Thing,
        f"shop:x is a class whose constructor takes one argument (name); {CONSTRUCTOR_TAKES_TWO}",
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejects_what_cannot_be_called_with_two_arguments(name: str) -> None:
    found, sentence = REJECTED[name]
    with pytest.raises(LoadError) as caught:
        check_application(found, "shop:x", made=False)
    assert caught.value.message == sentence


def test_what_a_factory_returned_is_not_called_again() -> None:
    with pytest.raises(LoadError) as caught:
        check_application(create_app, "shop:x()", made=True)
    assert caught.value.message == f"what shop:x() returned takes no arguments; {TAKES_TWO}"
    with pytest.raises(LoadError) as caught:
        check_application(Shop, "shop:x()", made=True)
    assert caught.value.message == (
        "what shop:x() returned is a class whose instances are applications: name one of them"
    )


async def asgi(scope, receive, send):  # type: ignore[no-untyped-def]
    pass


async def asgi_generator(environ, start_response):  # type: ignore[no-untyped-def]
    yield b""


def asgi_without_async(scope, receive, send):  # type: ignore[no-untyped-def]
    return asgi(scope, receive, send)


def asgi_2(scope):  # type: ignore[no-untyped-def]
    return functools.partial(asgi, scope)


class Asgi3:
    async def __call__(self, scope, receive, send):  # type: ignore[no-untyped-def]
        pass

    async def method(self, scope, receive, send):  # type: ignore[no-untyped-def]
        pass


class Asgi3Inherited(Asgi3):
    def __init__(self, one: Any, two: Any) -> None:
        pass


class Asgi2:
    def __init__(self, scope: Any) -> None:
        pass

    async def __call__(self, receive, send):  # type: ignore[no-untyped-def]
        pass


class Endpoint:
    """As Starlette's HTTPEndpoint."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        pass

    def __await__(self):  # type: ignore[no-untyped-def]
        yield


def marked(environ, start_response):  # type: ignore[no-untyped-def]
    return asgi(environ, start_response, None)


marked._is_coroutine_marker = object()  # type: ignore[attr-defined]

ASYNCHRONOUS = {
    "function": asgi,
    "function of two": asgi_generator,
    "function without async": asgi_without_async,
    "function of version 2": asgi_2,
    "function that is marked": marked,
    "instance": Asgi3(),
    "instance of a subclass": Asgi3Inherited(1, 2),
    "method": Asgi3().method,
    "partial": functools.partial(asgi, {}),
    "class": Asgi3,
    "class with a constructor of two": Asgi3Inherited,
    "class of version 2": Asgi2,
    "class that is awaited": Endpoint,
    "decorated": decorated(asgi),
}


@pytest.mark.parametrize("name", ASYNCHRONOUS)
def test_rejects_asgi_of_any_shape(name: str) -> None:
    with pytest.raises(LoadError) as caught:
        check_application(ASYNCHRONOUS[name], "shop:x", made=False)
    assert caught.value.message == "shop:x is asynchronous (ASGI); portico serves WSGI applications"
    with pytest.raises(LoadError) as caught:
        check_application(ASYNCHRONOUS[name], "shop:x()", made=True)
    assert caught.value.message == (
        "what shop:x() returned is asynchronous (ASGI); portico serves WSGI applications"
    )


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is of Python 3.12")
def test_rejects_what_inspect_has_marked() -> None:
    import inspect

    marker = inspect.markcoroutinefunction  # type: ignore[attr-defined, unused-ignore]
    with pytest.raises(LoadError, match="asynchronous"):
        check_application(marker(lambda environ, start_response: None), "shop:x", made=False)


@pytest.mark.skipif(sys.version_info < (3, 14), reason="functools.Placeholder is of Python 3.14")
def test_a_placeholder_leaves_its_argument_to_the_server() -> None:
    gap = functools.Placeholder  # type: ignore[attr-defined, unused-ignore]
    check_application(
        functools.partial(lambda environ, extra, start_response: [], gap, 1), "shop:x", made=False
    )


# --- Frameworks

FRAMEWORKS = {
    "flask": ("import flask; app = flask.Flask('x')", ""),
    "flask, the class": (
        "import flask; app = flask.Flask",
        "shop:x is a class whose instances are applications: name one of them",
    ),
    "werkzeug, a decorated view": (
        "from werkzeug import Request, Response\n@Request.application\ndef app(request): return Response('')",
        "",
    ),
    "werkzeug, a proxy": (
        "from werkzeug.local import LocalProxy\ndef f(environ, start_response): return []\n"
        "app = LocalProxy(lambda: f)",
        "",
    ),
    "flask's proxy of what is not there": ("from flask import current_app as app", ""),
    "django": ("from django.core.handlers.wsgi import WSGIHandler as H; app = H.__new__(H)", ""),
    "django, asynchronous": (
        "from django.core.handlers.asgi import ASGIHandler as H; app = H.__new__(H)",
        "shop:x is asynchronous (ASGI); portico serves WSGI applications",
    ),
    "asgiref, asynchronous": (
        "from asgiref.sync import sync_to_async\napp = sync_to_async(lambda environ, start_response: [])",
        "shop:x is asynchronous (ASGI); portico serves WSGI applications",
    ),
    "asgiref, synchronous": (
        "from asgiref.sync import async_to_sync\nasync def f(environ, start_response): pass\n"
        "app = async_to_sync(f)",
        "",
    ),
    "bottle": ("import bottle; app = bottle.Bottle()", ""),
    "falcon": ("import falcon; app = falcon.App()", ""),
    "falcon, asynchronous": (
        "import falcon.asgi; app = falcon.asgi.App()",
        "shop:x is asynchronous (ASGI); portico serves WSGI applications",
    ),
    "webob": ("from webob.dec import wsgify\n@wsgify\ndef app(request): return ''", ""),
    "wsgiref": ("from wsgiref.simple_server import demo_app as app", ""),
    "wsgiref, validated": (
        "from wsgiref.simple_server import demo_app\nfrom wsgiref.validate import validator\n"
        "app = validator(demo_app)",
        "",
    ),
    "starlette": (
        "from starlette.applications import Starlette; app = Starlette()",
        "shop:x is asynchronous (ASGI); portico serves WSGI applications",
    ),
    "fastapi": (
        "from fastapi import FastAPI; app = FastAPI()",
        "shop:x is asynchronous (ASGI); portico serves WSGI applications",
    ),
    "starlette, an endpoint": (
        "from starlette.endpoints import HTTPEndpoint as app",
        "shop:x is asynchronous (ASGI); portico serves WSGI applications",
    ),
}


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_judges_the_objects_of_frameworks(name: str) -> None:
    source, sentence = FRAMEWORKS[name]
    pytest.importorskip(name.partition(",")[0].partition("'")[0])
    # In a process of its own: what frameworks leave behind in an interpreter is no other test's.
    program = f"""{source}
from portico.app_loader.callables import check_application
from portico.errors import LoadError
try:
    check_application(app, "shop:x", made=False)
except LoadError as error:
    print(error.message)
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.stderr, ended.stdout.strip()) == ("", sentence)
