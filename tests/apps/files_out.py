"""Applications that respond with `wsgi.file_wrapper` over files of every kind; the path names the kind."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable
from typing import Any

from apps import recorder
from apps.recorder import key_of, parameter, record

CONTENT = b"".join(b"%d squared is %d\n" % (number, number * number) for number in range(20_000))
"""What all of them hold."""


class OwnFile(io.FileIO):
    """A file that reads in capitals."""

    def read(self, size: int | None = -1, /) -> bytes:
        return (super().read(size) or b"").upper()

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        count = super().readinto(view) or 0
        view[:count] = bytes(view[:count]).upper()
        return count


class OwnReader(io.BufferedReader):
    """The same, buffered."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size).upper()


class OwnMemory(io.BytesIO):
    """The same, in memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(size).upper()


class Encrypted:
    """What is in the file is not what is read, and `fileno` is the file's."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.fileno, self.tell, self.close = file.fileno, file.tell, file.close

    def read(self, size: int = -1) -> bytes:
        return bytes(self._file.read(size)).upper()


def plain() -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the server closes it
    file.write(CONTENT)
    file.seek(0)
    return file


def reader() -> io.BufferedReader:
    return io.BufferedReader(unbuffered())


def unbuffered() -> io.FileIO:
    with tempfile.NamedTemporaryFile() as named:
        named.write(CONTENT)
        named.flush()
        return io.FileIO(named.name)


def own_file() -> OwnFile:
    with unbuffered() as file:
        return OwnFile(os.dup(file.fileno()))


def named() -> Any:
    file = tempfile.NamedTemporaryFile()  # noqa: SIM115
    file.write(CONTENT)
    file.seek(0)
    return file


def _with_own_read(file: Any) -> Any:
    read = file.read
    file.read = lambda size=-1: read(size).upper()
    return file


def _with_own_descriptor(file: Any) -> Any:
    other = tempfile.TemporaryFile()  # noqa: SIM115
    other.write(b"of another file")
    file.fileno = other.fileno
    return file


def compressed(module: Any) -> Callable[[], Any]:
    def make() -> Any:
        file = tempfile.TemporaryFile()  # noqa: SIM115
        file.write(module.compress(CONTENT))
        file.seek(0)
        return module.open(file)

    return make


def member_of_an_archive() -> Any:
    file = tempfile.TemporaryFile()  # noqa: SIM115
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("content", CONTENT)
    return zipfile.ZipFile(file).open("content")


def spooled() -> Any:
    file = tempfile.SpooledTemporaryFile()  # noqa: SIM115
    file.write(CONTENT)
    file.seek(0)
    return file


def rolled_over() -> Any:
    file = spooled()
    file.rollover()
    return file


def unflushed() -> Any:
    """What was written last is not in the file when it is sent."""
    file = tempfile.TemporaryFile(buffering=1 << 20)  # noqa: SIM115
    file.write(b"0" * len(CONTENT))
    file.flush()
    file.seek(0)
    file.write(CONTENT[:500])
    return file


def pipe() -> Any:
    """What has no size and no position."""
    read_end, write_end = os.pipe()

    def write() -> None:
        with open(write_end, "wb") as file:
            file.write(CONTENT)

    threading.Thread(target=write, daemon=True).start()
    return open(read_end, "rb")


def peeked(file: Any) -> Any:
    """A buffered file whose descriptor stands elsewhere than itself."""
    file.readline()
    file.peek()
    return file


PLAIN: dict[str, Callable[[], Any]] = {
    "plain": plain,
    "reader": reader,
    "unbuffered": unbuffered,
    "named": named,
    "peeked": lambda: peeked(plain()),
    "peeked-reader": lambda: peeked(reader()),
    "unflushed": unflushed,
}
"""Files that the kernel can send."""
READ: dict[str, Callable[[], Any]] = {
    "gzip": compressed(gzip),
    "bz2": compressed(bz2),
    "lzma": compressed(lzma),
    "member-of-an-archive": member_of_an_archive,
    "spooled": spooled,
    "rolled-over": rolled_over,
    "own-file": lambda: own_file(),
    "own-reader": lambda: OwnReader(unbuffered()),
    "reader-of-own-file": lambda: io.BufferedReader(own_file()),
    "encrypted": lambda: Encrypted(plain()),
    "own-read": lambda: _with_own_read(plain()),
    "own-read-unbuffered": lambda: _with_own_read(unbuffered()),
    "own-read-named": lambda: _with_own_read(named()),
    "own-descriptor": lambda: _with_own_descriptor(plain()),
    "pipe": pipe,
    "own-memory": lambda: OwnMemory(CONTENT),
}
"""Files of which only reading tells what they hold."""
MEMORY: dict[str, Callable[[], Any]] = {
    "memory": lambda: io.BytesIO(CONTENT),
    "middle-of-memory": lambda: peeked_memory(),
    "end-of-memory": lambda: io.BytesIO(b""),
}
"""Files in memory."""


def peeked_memory() -> io.BytesIO:
    file = io.BytesIO(CONTENT)
    file.readline()
    return file


def recorded(file: Any, key: str) -> Any:
    """Has the file record that it is closed, and whether it was read until then."""
    begin, close = file.tell(), file.close

    def recorded_close() -> None:
        record(key, "sent" if file.tell() == begin else "read")
        record(key, "close")
        close()

    file.close = recorded_close
    return file


def by_name(environ: dict[str, Any]) -> Any:
    """The file called `name=`, opened as most applications do."""
    return open(parameter(environ, "name"), "rb")


def application(environ: dict[str, Any], start_response: Any) -> Any:
    name, key = environ["PATH_INFO"].strip("/"), key_of(environ)
    headers = [("Content-Type", "application/octet-stream")]
    if length := parameter(environ, "length"):
        headers.append(("Content-Length", length))
    start_response("200 OK", headers)
    if name == "by-name":
        return environ["wsgi.file_wrapper"](recorded(by_name(environ), key))
    file = {**PLAIN, **READ, **MEMORY}[name]()
    return environ["wsgi.file_wrapper"](recorded(file, key) if name not in READ else file)


def uses_wrapper(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """What a middleware does with a wrapper."""
    make = environ["wsgi.file_wrapper"]
    wrappers = [make(io.BytesIO(CONTENT), size) for size in (1, 7)]
    wrappers += [make(io.BytesIO(CONTENT), blksize=7), make(filelike=io.BytesIO(CONTENT), block_size=7)]
    found: list[Any] = []
    for wrapper in wrappers:
        found.append(
            (wrapper.seekable(), wrapper.seek(5), wrapper.tell(), wrapper.seek(-9, 2), list(wrapper))
        )
    cannot = make(Encrypted(plain()))
    found.append((cannot.seekable(), make(io.BytesIO()).blksize))
    for size in (0, -1):
        try:
            make(io.BytesIO(), size)
        except ValueError as error:
            found.append((str(error),))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [repr(found).encode()]


def flask_application() -> Any:
    """A large file by Flask's send_file, with conditional requests and ranges."""
    from flask import Flask, send_file

    app = Flask(__name__)

    @app.get("/file")
    def file() -> Any:
        return send_file(os.environ["LARGE_FILE"], conditional=True)

    @app.get("/compressed")
    def compressed_file() -> Any:
        return send_file(compressed(gzip)(), mimetype="text/plain")

    return app


recorder.start()
