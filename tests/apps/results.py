"""What an application may return, and what it may not."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

from apps.recorder import key_of, parameter, record

_TEXT = ("Content-Type", "text/plain")


class Recorded:
    """An iterable that records its `close()`; every use of another attribute is recorded too."""

    def __init__(self, key: str, blocks: list[Any]) -> None:
        self._key = key
        self._blocks = blocks

    def __iter__(self) -> Iterator[Any]:
        for block in self._blocks:
            record(self._key, "block")
            yield block

    def close(self) -> None:
        record(self._key, "close")


class Sized(Recorded):
    """The same with a length."""

    def __len__(self) -> int:
        return len(self._blocks)


class Foreign:
    """An iterable of someone else's making: it records every attribute that is looked up on it."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __getattribute__(self, name: str) -> Any:
        if name != "key":
            record(object.__getattribute__(self, "key"), name)
        return object.__getattribute__(self, name)

    def __iter__(self) -> Iterator[bytes]:
        yield b"foreign "
        yield b"iterable"


def _returning(make: Callable[[str], Any], *headers: tuple[str, str], status: str = "200 OK") -> Any:
    def application(environ: dict[str, Any], start_response: Any) -> Any:
        start_response(status, [_TEXT, *headers])
        return make(key_of(environ))

    return application


def _generated(*blocks: Any) -> Any:
    def make(key: str) -> Iterator[Any]:
        try:
            for block in blocks:
                record(key, "block")
                yield block
        finally:
            record(key, "close")

    return make


def without_body(environ: dict[str, Any], start_response: Any) -> Recorded:
    """204 or 304 (`status=`), with blocks that must not be sent."""
    start_response(parameter(environ, "status"), [])
    return Recorded(key_of(environ), [b"not ", b"to be sent"])


def file_wrapper(environ: dict[str, Any], start_response: Any) -> Any:
    """A file through `wsgi.file_wrapper`.

    `kind=real|memory|NUMBER` (in memory, with a `fileno` that returns it), `size=` bytes in it, `at=` where
    it stands, `length=` the Content-Length, `block=` the size given to the wrapper.
    """
    content = bytes(range(256)) * (int(parameter(environ, "size", "1024")) // 256)
    key, kind = key_of(environ), parameter(environ, "kind", "real")
    file: Any = recorded_plain_file(key) if kind == "real" else RecordedFile(key, kind)
    file.write(content)
    file.seek(int(parameter(environ, "at", "0")))
    headers = [_TEXT]
    if length := parameter(environ, "length"):
        headers.append(("Content-Length", length))
    start_response("200 OK", headers)
    return environ["wsgi.file_wrapper"](file, int(parameter(environ, "block", "8192")))


def iterates_file_wrapper(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Uses the wrapper itself, as a middleware may: iterates and closes it."""
    key = key_of(environ)
    file = RecordedFile(key, "memory")
    file.write(b"0123456789")
    file.seek(2)
    wrapper = environ["wsgi.file_wrapper"](file, 3)
    blocks = list(wrapper)
    wrapper.close()
    start_response("200 OK", [_TEXT])
    return [b"|".join(blocks)]


def recorded_plain_file(key: str) -> Any:
    """A plain file that records its closing, and, under `KEY reads`, if it has been read until then."""
    file: Any = tempfile.TemporaryFile()  # noqa: SIM115
    begins: list[int] = []
    seek, close = file.seek, file.close

    def recorded_seek(position: int) -> None:
        begins[:] = [seek(position)]

    def recorded_close() -> None:
        if [file.tell()] != begins:
            record(f"{key} reads", "read")
        record(key, "close")
        close()

    file.seek, file.close = recorded_seek, recorded_close
    return file


class RecordedFile:
    """A file in memory that records its closing and, under the key `KEY reads`, its reads.

    `memory` has no `fileno`; a number is what `fileno` returns.
    """

    def __init__(self, key: str, kind: str) -> None:
        self._key = key
        self._file = io.BytesIO()
        if kind != "memory":
            self.fileno = lambda: int(kind)
        self.write, self.seek, self.tell = self._file.write, self._file.seek, self._file.tell

    def read(self, size: int = -1) -> bytes:
        record(f"{self._key} reads", "read")
        return bytes(self._file.read(size))

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._file)

    def close(self) -> None:
        record(self._key, "close")
        self._file.close()


def real_file(environ: dict[str, Any], start_response: Any) -> Any:
    """A plain temporary file object, as applications have them: `size=` MiB of it, sparse."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  (the server closes it)
    file.truncate(int(parameter(environ, "size", "1")) << 20)
    start_response("200 OK", [_TEXT, ("Content-Length", str(int(parameter(environ, "size", "1")) << 20))])
    return environ["wsgi.file_wrapper"](file)


VALID = {
    "list": _returning(lambda key: [b"one ", b"two"]),
    "list-of-one": _returning(lambda key: [b"only one"]),
    "empty-list": _returning(lambda key: []),
    "list-of-empty": _returning(lambda key: [b""]),
    "tuple": _returning(lambda key: (b"a ", b"tuple")),
    "generated": _returning(_generated(b"gen", b"er", b"ated")),
    "generated-nothing": _returning(_generated()),
    "generated-empty-blocks": _returning(_generated(b"", b"a", b"", b"", b"b", b"")),
    "recorded": _returning(lambda key: Recorded(key, [b"closed ", b"once"])),
    "sized": _returning(lambda key: Sized(key, [b"sized ", b"at ", b"three"])),
    "sized-one": _returning(lambda key: Sized(key, [b"sized at one"])),
    "foreign": _returning(Foreign),
    "line-endings": _returning(lambda key: [b"a\r\nb\nc\rd\n", b"\r\n\r\n", b"\n\n"]),
    "with-length": _returning(lambda key: Recorded(key, [b"twelve", b" bytes"]), ("Content-Length", "12")),
    "own-date-and-server": _returning(
        lambda key: [b"x"], ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine/1.0")
    ),
    "repeated-headers": _returning(
        lambda key: [b"x"], ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Latin", "caf\xe9")
    ),
    "own-reason": _returning(lambda key: [b"x"], status="299 Quite All Right, Thanks"),
    "empty-closed": _returning(lambda key: Recorded(key, [])),
    "file-wrapper": file_wrapper,
    "iterates-file-wrapper": iterates_file_wrapper,
    "real-file": real_file,
}

INVALID = {
    "bytes": _returning(lambda key: b"bare bytes"),
    "none": _returning(lambda key: None),
    "number": _returning(lambda key: 7),
    "str-block": _returning(lambda key: Recorded(key, ["a str"])),
    "bytearray-block": _returning(lambda key: Recorded(key, [bytearray(b"bytearray")])),
    "none-block": _returning(lambda key: Recorded(key, [None])),
    "int-block": _returning(lambda key: Recorded(key, [7])),
    "str-block-later": _returning(lambda key: Recorded(key, [b"good", "bad", b"never"])),
    "too-long": _returning(
        lambda key: Recorded(key, [b"exact", b"too much", b"far too much", b"never"]), ("Content-Length", "5")
    ),
    "too-long-block": _returning(lambda key: Recorded(key, [b"exactand more"]), ("Content-Length", "5")),
    "too-long-list": _returning(lambda key: [b"exa", b"ctand more"], ("Content-Length", "5")),
    "too-short": _returning(lambda key: Recorded(key, [b"short"]), ("Content-Length", "10")),
    "too-short-list": _returning(lambda key: [b"short"], ("Content-Length", "10")),
    "without-body": without_body,
}
