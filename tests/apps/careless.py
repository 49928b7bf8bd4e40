"""Applications that break PEP 3333 in the ways that tutorials teach."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from apps.recorder import parameter

_TEXT = ("Content-Type", "text/plain")


def hop_by_hop(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Sends the headers `name=`, with commas between them, and some others."""
    names = parameter(environ, "name").split(",")
    start_response("200 OK", [_TEXT, *((name, "close, x") for name in names), ("X-Kept", "yes")])
    return [b"sent"]


def none(environ: dict[str, Any], start_response: Any) -> None:
    """Returns None, after `status=`; `write=` is written before, `length=` is the Content-Length."""
    headers = [("Content-Length", length)] if (length := parameter(environ, "length")) else []
    write = start_response(parameter(environ, "status", "200 OK"), headers)
    if text := parameter(environ, "write"):
        write(text.encode())


def none_at_all(environ: dict[str, Any], start_response: Any) -> None:
    """Calls nothing and returns None."""


def in_list(environ: dict[str, Any], start_response: Any) -> list[str]:  # its line is looked for
    start_response("200 OK", [_TEXT])
    return ["a str"]


def in_tuple(environ: dict[str, Any], start_response: Any) -> tuple[str]:  # its line is looked for
    start_response("200 OK", [_TEXT])
    return ("a str",)


def in_longer_list(environ: dict[str, Any], start_response: Any) -> list[Any]:  # its line is looked for
    start_response("200 OK", [_TEXT])
    return ["a str", b"bytes"]


def bare(environ: dict[str, Any], start_response: Any) -> str:  # its line is looked for
    start_response("200 OK", [_TEXT])
    return "a str"


def bare_and_empty(environ: dict[str, Any], start_response: Any) -> str:  # its line is looked for
    start_response("200 OK", [_TEXT])
    return ""


def generated(environ: dict[str, Any], start_response: Any) -> Iterator[Any]:
    start_response("200 OK", [_TEXT])
    yield b""
    yield "a str"  # its line is looked for


def generated_elsewhere(environ: dict[str, Any], start_response: Any) -> Iterator[Any]:
    start_response("200 OK", [_TEXT])
    yield from _texts()


def _texts() -> Iterator[str]:
    yield "a str"  # its line is looked for


def written(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    write = start_response("200 OK", [_TEXT])
    write("a str")  # its line is looked for
    return []


def _logged(application: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(application)
    def wrapper(*arguments: Any) -> Any:
        return application(*arguments)

    return wrapper


@_logged
def decorated(environ: dict[str, Any], start_response: Any) -> list[str]:
    start_response("200 OK", [_TEXT])
    return ["a str"]


def _titled(title: str, _: Any, start_response: Any) -> list[str]:  # its line is looked for
    start_response("200 OK", [_TEXT])
    return [title]


partial = functools.partial(_titled, "a str")


class Instance:
    """An object that is called."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[str]:  # its line is looked for
        start_response("200 OK", [_TEXT])
        return ["a str"]

    def method(self, environ: dict[str, Any], start_response: Any) -> list[str]:  # its line is looked for
        start_response("200 OK", [_TEXT])
        return ["a str"]


class Iterating:
    """A class whose instances are the body."""

    def __init__(self, environ: dict[str, Any], start_response: Any) -> None:
        start_response("200 OK", [_TEXT])

    def __iter__(self) -> Iterator[str]:
        yield "a str"  # its line is looked for


class Stepping:
    """One that makes each block itself."""

    def __init__(self, environ: dict[str, Any], start_response: Any) -> None:
        start_response("200 OK", [_TEXT])

    def __iter__(self) -> Stepping:
        return self

    def __next__(self) -> str:  # its line is looked for
        return "a str"


instance = Instance()
method = instance.method
