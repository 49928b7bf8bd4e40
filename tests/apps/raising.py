"""Applications that raise at each stage (`/raises/STAGE`), with any exception (`error=`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from apps.recorder import key_of, parameter, record

_TEXT = ("Content-Type", "text/plain")

STAGES_BEFORE_OUTPUT = ("at-call", "after-start", "at-iter", "at-first-next", "after-empty-block")
STAGES_AFTER_OUTPUT = ("at-second-next", "after-write")


class StageError(Exception):
    """The ordinary error here; its text carries the test's key, to be found in the log."""


class _Raising:
    def __init__(self, environ: dict[str, Any], stage: str) -> None:
        self._environ = environ
        self._stage = stage
        self._blocks: list[bytes] = [b"second", b"first"]
        if stage == "after-empty-block":
            self._blocks = [b""]

    def __iter__(self) -> _Raising:
        _raise_at("at-iter", self._stage, self._environ)
        return self

    def __next__(self) -> bytes:
        if len(self._blocks) == 2:
            _raise_at("at-first-next", self._stage, self._environ)
        if len(self._blocks) == 1:
            _raise_at("at-second-next", self._stage, self._environ)
        if not self._blocks:
            _raise_at("after-empty-block", self._stage, self._environ)
            raise StopIteration
        return self._blocks.pop()

    def close(self) -> None:
        record(key_of(self._environ), "close")
        _raise_at("at-close", self._stage, self._environ)


def raises(environ: dict[str, Any], start_response: Any) -> Any:
    """Raises at the stage that the path names."""
    stage = environ["PATH_INFO"].rpartition("/")[2]
    _raise_at("at-call", stage, environ)
    headers = [_TEXT]
    if length := parameter(environ, "length"):
        headers.append(("Content-Length", length))
    write = start_response("200 OK", headers)
    _raise_at("after-start", stage, environ)
    if stage == "after-write":
        write(b"first")
    _raise_at("after-write", stage, environ)
    return _Raising(environ, stage)


def raises_in_generator(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """A generator that raises before its first block."""
    start_response("200 OK", [_TEXT])
    _raise(environ)
    yield b"never"


def exits(environ: dict[str, Any], start_response: Any) -> Any:
    """Ends with sys.exit() (`code=`), at the call or in the iteration (`where=`)."""
    code = parameter(environ, "code", "0")
    if parameter(environ, "where", "call") == "call":
        sys.exit(int(code) if code.isdigit() else code)
    return _exiting_iterable(start_response)


def _exiting_iterable(start_response: Any) -> Iterator[bytes]:
    start_response("200 OK", [_TEXT])
    sys.exit(3)
    yield b"never"


def _raise_at(point: str, stage: str, environ: dict[str, Any]) -> None:
    if point == stage:
        _raise(environ)


def _raise(environ: dict[str, Any]) -> None:
    kinds = {"exit": SystemExit, "interrupt": KeyboardInterrupt, "generator-exit": GeneratorExit}
    kind = kinds.get(parameter(environ, "error"), StageError)
    raise kind(f"raised for {key_of(environ)}")


VALID: dict[str, Any] = {}

INVALID = {"raises": raises, "raises-in-generator": raises_in_generator, "exits": exits}
