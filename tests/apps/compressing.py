"""An application whose responses a server may compress.

`shape=` says how the body comes, other parameters the head: `type=`, `status=`, `size=` (bytes of the body),
`header=` (more than once), `length=` (a Content-Length), `etag=`.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs

from apps import recorder

BLOCKS = 20


_TEXT = b"".join(b"%d times %d is %d\n" % (n, n * 7919 % 1009, n * (n * 7919 % 1009)) for n in range(20_000))


def text(size: int) -> bytes:
    """So many bytes of a text that shrinks to a third or so; it repeats itself only after half a megabyte."""
    return (_TEXT * (size // len(_TEXT) + 1))[:size]


def whole(body: bytes, key: str) -> Iterable[bytes]:
    """The body as a list of one."""
    return [body]


def bare(body: bytes, key: str) -> Iterable[bytes]:
    """The body itself, as some applications have it."""
    return body  # type: ignore[return-value]


class Closing:
    """An iterable that is not the server's, with `close()`, and perhaps a length."""

    def __init__(self, blocks: Iterator[bytes], key: str) -> None:
        self._blocks, self._key = blocks, key

    def __iter__(self) -> Iterator[bytes]:
        return self._blocks

    def close(self) -> None:
        """Tell the test."""
        recorder.record(self._key, "close")


class Sized(Closing):
    """One of one block, which says so."""

    def __len__(self) -> int:
        return 1


def sized(body: bytes, key: str) -> Iterable[bytes]:
    """The body as one block of a foreign sequence."""
    return Sized(iter([body]), key)


def blocks(body: bytes, key: str) -> Iterable[bytes]:
    """The body in parts."""
    size = max(1, len(body) // BLOCKS)
    return Closing((body[start : start + size] for start in range(0, len(body), size)), key)


def gated(body: bytes, key: str) -> Iterable[bytes]:
    """The same, each part only after its gate."""

    def parts() -> Iterator[bytes]:
        size = max(1, len(body) // BLOCKS)
        for number, start in enumerate(range(0, len(body), size)):
            recorder.pass_gate(key, number)
            yield body[start : start + size]

    return Closing(parts(), key)


def with_empty_blocks(body: bytes, key: str) -> Iterable[bytes]:
    """The body in three parts, with empty blocks between them."""
    third = len(body) // 3
    return iter([b"", body[:third], b"", b"", body[third : 2 * third], b"", body[2 * third :], b""])


def once(body: bytes, key: str) -> Iterable[bytes]:
    """The body as the one block of a generator."""
    return Closing(iter([body]), key)


def fails(body: bytes, key: str) -> Iterable[bytes]:
    """The body, then an exception."""

    def parts() -> Iterator[bytes]:
        yield body
        raise ArithmeticError("raised after a block")

    return Closing(parts(), key)


def endless(body: bytes, key: str) -> Iterable[bytes]:
    """Blocks that do not shrink, without end."""

    def parts() -> Iterator[bytes]:
        recorder.record(key, "started")
        for _ in range(1 << 16):
            yield os.urandom(1 << 16)

    return Closing(parts(), key)


SHAPES: dict[str, Callable[[bytes, str], Iterable[bytes]]] = {
    "whole": whole,
    "bare": bare,
    "sized": sized,
    "blocks": blocks,
    "gated": gated,
    "with-empty-blocks": with_empty_blocks,
    "once": once,
    "fails": fails,
    "endless": endless,
}


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Whatever the query string says."""
    given = parse_qs(environ["QUERY_STRING"], keep_blank_values=True)
    shape, key = given.get("shape", ["whole"])[0], recorder.key_of(environ)
    body = text(int(given.get("size", ["20000"])[0]))
    headers = [tuple(header.split(": ", 1)) for header in given.get("header", [])]
    if (media_type := given.get("type", ["text/html; charset=utf-8"])[0]) != "none":
        headers.append(("Content-Type", media_type))
    if "length" in given:
        headers.append(("Content-Length", given["length"][0]))
    if (tag := given.get("etag", [""])[0]) and environ.get("HTTP_IF_NONE_MATCH", "").removeprefix(
        "W/"
    ) == tag:
        start_response("304 Not Modified", [("ETag", tag)])
        return []
    if tag:
        headers.append(("ETag", tag))
    write = start_response(given.get("status", ["200 OK"])[0], headers)
    if shape == "write":
        half = len(body) // 2
        write(body[:half])
        return [body[half:]]
    if shape == "empty-for-head":
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
    if shape == "in-memory":
        return environ["wsgi.file_wrapper"](io.BytesIO(body))  # type: ignore[no-any-return]
    if shape == "file":
        file = tempfile.TemporaryFile()  # noqa: SIM115
        file.write(body)
        file.seek(0)
        return environ["wsgi.file_wrapper"](file)  # type: ignore[no-any-return]
    return SHAPES[shape](body, key)


recorder.start()
