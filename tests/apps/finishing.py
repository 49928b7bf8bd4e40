"""Applications whose responses end, or begin, in an unusual way, for the listeners of reverse proxies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apps import recorder

ERROR_LINES, ERROR_LINE = 500, "x" * 15_999 + "\n"


def raises_after_length(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Fails when all of its Content-Length has been taken."""
    start_response("200 OK", [("Content-Length", "5")])
    yield b"whole"
    raise ArithmeticError("raised after the last byte")


def sets_status(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Sends a Status header, as programs do that were CGI once."""
    start_response("200 OK", [("Status", "404 Gone"), ("Content-Length", "5"), ("STATUS", "500 x")])
    return [b"whole"]


def writes_errors_first(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Writes more lines for the reverse proxy's log than a socket takes, then responds."""
    key = recorder.key_of(environ)
    for number in range(ERROR_LINES):
        environ["wsgi.errors"].write(ERROR_LINE)
        # Each has gone out before the next, as far as the socket takes it.
        recorder.pass_gate(key, number)
    start_response("200 OK", [("Content-Length", "5")])
    recorder.record(key, "responds")
    return [b"whole"]


class _LingersInClose:
    """All of its Content-Length, and a `close()` that waits at the gate."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __iter__(self) -> Iterator[bytes]:
        yield b"whole"

    def close(self) -> None:
        recorder.record(self._key, "closes")
        recorder.pass_gate(self._key)


def lingers_in_close(environ: dict[str, Any], start_response: Any) -> _LingersInClose:
    """Has sent all when its `close()` begins."""
    start_response("200 OK", [("Content-Length", "5")])
    return _LingersInClose(recorder.key_of(environ))


VALID = {
    "lingers-in-close": lingers_in_close,
    "raises-after-length": raises_after_length,
    "sets-status": sets_status,
    "writes-errors-first": writes_errors_first,
}
