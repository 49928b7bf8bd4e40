"""Applications that read `wsgi.input`."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from apps.recorder import key_of, parameter, record

_BLOCK = 1 << 16


def echo(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The body as it came."""
    body = environ["wsgi.input"].read(-1) if environ.get("CONTENT_LENGTH") else _read_all(environ)
    return _respond(start_response, body)


def reads_all(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """`read()` without a size, after one `read(3)`; then twice more at the end of the file."""
    source = environ["wsgi.input"]
    parts = [source.read(3), source.read(), source.read(), source.read(10)]
    return _respond_with_parts(start_response, parts)


def reads_with_sizes(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """One `read(n)` for each n of `sizes=1,0,5`; `-1` and `all` (no argument) too."""
    source = environ["wsgi.input"]
    sizes = parameter(environ, "sizes").split(",")
    return _respond_with_parts(start_response, [_call(source.read, size) for size in sizes])


def reads_lines_with_sizes(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """One `readline(n)` for each n of `sizes`."""
    source = environ["wsgi.input"]
    sizes = parameter(environ, "sizes").split(",")
    return _respond_with_parts(start_response, [_call(source.readline, size) for size in sizes])


def readlines(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """`readlines()`, or `readlines(hint)` for `hint=`; then the rest."""
    source = environ["wsgi.input"]
    lines = _call(source.readlines, parameter(environ, "hint", "all"))
    lines += source.readlines()
    return _respond_with_parts(start_response, lines)


def iterates(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The lines that iteration gives."""
    return _respond_with_parts(start_response, list(environ["wsgi.input"]))


def ignores_input(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Never looks at the body."""
    record(key_of(environ), "called")
    return _respond(start_response, b"ignored")


def records_reading(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Reads to the end by one `method`; records `complete`, or that reading raised."""
    key = key_of(environ)
    record(key, "called")
    source = environ["wsgi.input"]
    try:
        match parameter(environ, "method", "read"):
            case "read":
                source.read(-1)
            case "blocks":
                while source.read(_BLOCK):
                    record(key, "block")
            case "readline":
                while source.readline(_BLOCK):
                    pass
            case "readlines":
                source.readlines()
            case "iteration":
                for _ in source:
                    pass
    except Exception as error:
        record(key, "raised")
        record(key, f"error {type(error).__name__}: {error}")
        raise
    record(key, "complete")
    return _respond(start_response, b"complete")


def digest(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Length and SHA-1 of a body of any size, read in blocks."""
    hasher = hashlib.sha1(usedforsecurity=False)
    length = 0
    while block := environ["wsgi.input"].read(_BLOCK):
        hasher.update(block)
        length += len(block)
    return _respond(start_response, f"{length} {hasher.hexdigest()}".encode())


def counts(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The length of a body of any size, read in blocks; records when it is called."""
    record(key_of(environ), "called")
    length = 0
    while block := environ["wsgi.input"].read(_BLOCK):
        length += len(block)
    return _respond(start_response, str(length).encode())


def responds_early(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Responds after `size=` bytes of the body, whatever is still to come."""
    environ["wsgi.input"].read(int(parameter(environ, "size", "0")))
    return _respond(start_response, b"early")


def _read_all(environ: dict[str, Any]) -> bytes:
    return b"".join(iter(lambda: environ["wsgi.input"].read(_BLOCK), b""))


def _call(method: Any, size: str) -> Any:
    return method() if size == "all" else method(int(size))


def _respond(start_response: Any, body: bytes) -> list[bytes]:
    start_response(
        "200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))]
    )
    return [body]


def _respond_with_parts(start_response: Any, parts: list[bytes]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps([part.decode("latin-1") for part in parts]).encode()]


VALID = {
    "echo": echo,
    "reads-with-sizes": reads_with_sizes,
    "reads-lines-with-sizes": reads_lines_with_sizes,
    "iterates": iterates,
    "ignores-input": ignores_input,
    "records-reading": records_reading,
    "digest": digest,
    "counts": counts,
    "responds-early": responds_early,
}

INVALID = {
    # wsgiref.validate knows only read(size), and takes arguments of readlines() for a mistake.
    "reads-all": reads_all,
    "readlines": readlines,
}
