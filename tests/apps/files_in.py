"""An application that uses `wsgi.input` as a file, in ways that its path names; it responds with JSON."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tarfile
import time
import zipfile
from collections.abc import Callable
from typing import Any

from apps import recorder
from apps.reading import read_in_thread
from apps.recorder import parameter

KEPT: list[Any] = []
"""What applications have kept of earlier calls."""


def calls(environ: dict[str, Any]) -> list[Any]:
    """What each of the calls of `calls=` returns, such as `[["read", 3], ["seek", 0]]`."""
    return results(environ["wsgi.input"], json.loads(parameter(environ, "calls")))


def results(file: Any, wanted: list[list[Any]]) -> list[Any]:
    """What `file` returns to one call after the other; an exception is its type's name."""
    found: list[Any] = []
    for name, *arguments in wanted:
        try:
            found.append(_call(file, name, arguments))
        except Exception as error:
            found.append(type(error).__name__)
    return found


def _call(file: Any, name: str, arguments: list[Any]) -> Any:
    if name == "readinto":
        buffer = bytearray(arguments[0])
        return [file.readinto(memoryview(buffer)), buffer.decode("latin-1")]
    value = list(file) if name == "iterate" else getattr(file, name)
    value = value(*arguments) if callable(value) else value
    if isinstance(value, list):
        return [line.decode("latin-1") for line in value]
    return value.decode("latin-1") if isinstance(value, bytes) else value


def text(environ: dict[str, Any]) -> str:
    return io.TextIOWrapper(environ["wsgi.input"], "utf-8").read()


def buffered(environ: dict[str, Any]) -> str:
    return io.BufferedReader(environ["wsgi.input"]).read().decode("latin-1")


def rows(environ: dict[str, Any]) -> list[list[str]]:
    return list(csv.reader(io.TextIOWrapper(environ["wsgi.input"], "utf-8", newline="")))


def archive(environ: dict[str, Any]) -> dict[str, str]:
    with zipfile.ZipFile(environ["wsgi.input"]) as file:
        return {name: file.read(name).decode() for name in file.namelist()}


def is_a_file(environ: dict[str, Any]) -> list[bool]:
    file = environ["wsgi.input"]
    return [isinstance(file, kind) for kind in (io.IOBase, io.BufferedIOBase, io.RawIOBase, io.TextIOBase)]


def decompressed(environ: dict[str, Any]) -> str:
    with gzip.open(environ["wsgi.input"]) as file:
        return file.read().decode()


def tape(environ: dict[str, Any]) -> dict[str, str]:
    """Read from its start to its end, and, where that can be, member by member."""
    file = environ["wsgi.input"]
    with tarfile.open(fileobj=file, mode="r:" if file.seekable() else "r|") as archive:
        return {member.name: str(_content(archive, member), "utf-8") for member in archive}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def read_twice(environ: dict[str, Any]) -> list[str]:
    """As a server of objects does that tries a request again after a conflict."""
    file = environ["wsgi.input"]
    first = file.read()
    file.seek(0)
    return [first.decode("latin-1"), file.read().decode("latin-1")]


def wrapped_and_dropped(environ: dict[str, Any]) -> str:
    """A middleware uses a wrapper of its own, which closes what it wraps when it goes."""
    first = io.TextIOWrapper(environ["wsgi.input"], "latin-1")
    first.close()
    return str(environ["wsgi.input"].read(), "latin-1")


def lines(environ: dict[str, Any]) -> dict[str, Any]:
    """Reads lines of at most `size=` bytes, or iterates; says how much CPU time that took."""
    file = environ["wsgi.input"]
    size = int(parameter(environ, "size", "0"))
    began = time.thread_time()
    total = count = 0
    for line in iter(lambda: file.readline(size), b"") if size else file:
        total += len(line)
        count += 1
    return {"bytes": total, "lines": count, "cpu_s": time.thread_time() - began}


def keep(environ: dict[str, Any]) -> str:
    """Keeps environ for ever."""
    KEPT.append(environ)
    return "kept"


def kept(environ: dict[str, Any]) -> list[Any]:
    """What becomes of each call of `calls=` on the input that was kept first; then it is let go."""
    file = KEPT.pop(0)["wsgi.input"]
    return [file.closed, *results(file, json.loads(parameter(environ, "calls")))]


def identity(environ: dict[str, Any]) -> int:
    return id(environ["wsgi.input"])


USES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "calls": calls,
    "text": text,
    "buffered": buffered,
    "rows": rows,
    "archive": archive,
    "is-a-file": is_a_file,
    "decompressed": decompressed,
    "tape": tape,
    "read-twice": read_twice,
    "wrapped-and-dropped": wrapped_and_dropped,
    "lines": lines,
    "keep": keep,
    "kept": kept,
    "identity": identity,
    "read-in-thread": read_in_thread,
}


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = json.dumps(USES[environ["PATH_INFO"].strip("/")](environ)).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


recorder.start()
