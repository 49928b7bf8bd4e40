"""What an application may be: anything that can be called with two arguments and gives an iterable."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

_HEADERS = [("Content-Type", "text/plain")]


def function(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", _HEADERS[:])
    return [b"function"]


class IterableClass:
    """The class is the application; its instance is the iterable."""

    def __init__(self, environ: dict[str, Any], start_response: Any) -> None:
        self._start_response = start_response

    def __iter__(self) -> Iterator[bytes]:
        self._start_response("200 OK", _HEADERS[:])
        yield b"iterable "
        yield b"class"


class IteratorClass:
    """The same, being its own iterator."""

    def __init__(self, environ: dict[str, Any], start_response: Any) -> None:
        start_response("200 OK", _HEADERS[:])
        self._blocks = [b"class", b"iterator "]

    def __iter__(self) -> IteratorClass:
        return self

    def __next__(self) -> bytes:
        if not self._blocks:
            raise StopIteration
        return self._blocks.pop()


class _Callable:
    def __call__(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", _HEADERS[:])
        return [b"instance"]

    def method(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", _HEADERS[:])
        return [b"bound method"]


instance = _Callable()
bound_method = instance.method


def generator(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", _HEADERS[:])
    yield b"gen"
    yield b"erator"


def _with_extra(extra: bytes, environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", _HEADERS[:])
    return [extra]


partial_function = partial(_with_extra, b"partial")


def factory() -> Any:
    """Makes an application; served as `apps.kinds:factory()`."""
    return partial(_with_extra, b"made by a factory")


VALID = {
    "function": function,
    "iterable-class": IterableClass,
    "iterator-class": IteratorClass,
    "instance": instance,
    "bound-method": bound_method,
    "generator": generator,
    "partial": partial_function,
}
