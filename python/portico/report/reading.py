"""Logs from files, compressed or not, and standard input, line by line; only the first lines are kept.

A line that cannot be read is counted, and the first is remembered; only a log without any other is a mistake.
"""

from __future__ import annotations

import gzip
import io
import os
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, BinaryIO

from portico.errors import OperatorError, quoted
from portico.report.formats import FORMATS, Format, find
from portico.report.record import Record, UnreadableError

STANDARD_STREAM = "-"
"""In the place of a file: standard input, or standard output."""

MAX_LINE_BYTES = 64 * 1024
_SAMPLE_LINES = 1000
_GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Unreadable:
    """The first line that could not be read: where it is, what was expected, and what it is."""

    place: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.place}: expected {self.expected}, got {quoted(self.got)}"


class Log:
    """One log, open at its start; its first lines say which format it has."""

    def __init__(self, name: str, stream: BinaryIO, wanted: Format | None) -> None:
        self.name = name
        self.lines = 0
        self.unreadable_lines = 0
        self.first_unreadable: Unreadable | None = None
        self.is_truncated = False
        self._numbered = enumerate(_lines(stream, self), 1)
        self._sample = list(islice(self._numbered, _SAMPLE_LINES))
        texts = [text for _, text in self._sample if text]
        self.format = wanted or find(texts)

    @property
    def has_routes(self) -> bool:
        """Whether some of its first lines have the route that the framework has found."""
        return self.format is not None and any(_route(self.format, text) for _, text in self._sample if text)

    def records(self) -> Iterator[Record]:
        """Yield what each line says."""
        numbered = chain(self._sample, self._numbered)
        read = self.format.read if self.format else _read_none
        self._sample = []
        for number, text in numbered:
            if text == "":
                continue
            self.lines += 1
            try:
                if text is None:
                    raise UnreadableError(f"a line of at most {MAX_LINE_BYTES} bytes")
                record = read(text)
            except UnreadableError as error:
                self.unreadable_lines += 1
                if self.first_unreadable is None:
                    got = "one that is longer" if text is None else text
                    self.first_unreadable = Unreadable(f"{self.name}:{number}", error.expected, got)
            else:
                yield record


@contextmanager
def open_logs(paths: Sequence[str], wanted: Format | None) -> Iterator[list[Log]]:
    """Open all of `paths`, in the format `wanted` or each in its own; raises OperatorError."""
    with ExitStack() as opened:
        logs = []
        for path in paths:
            name = "standard input" if path == STANDARD_STREAM else path
            try:
                # The program's own standard input stays open.
                plain = (
                    sys.stdin.buffer if path == STANDARD_STREAM else opened.enter_context(open(path, "rb"))
                )
                logs.append(Log(name, _uncompressed(plain), wanted))
            except OSError as error:
                raise OperatorError(f"cannot read {quoted(path)}: {error.strerror or error}") from None
        yield logs


def same_file(path: str, other: str) -> bool:
    """Whether both are one file that exists."""
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False


def raise_if_none_was_read(logs: Sequence[Log]) -> None:
    """Raise OperatorError if no line of `logs` could be read."""
    lines = sum(log.lines for log in logs)
    if lines > sum(log.unreadable_lines for log in logs):
        return
    names = ", ".join(log.name for log in logs)
    first = next((log.first_unreadable for log in logs if log.first_unreadable), None)
    if first is None:
        raise OperatorError(f"{names}: expected lines of an access log, got none")
    raise OperatorError(f"{names}: none of {lines} lines could be read; {first}")


def _uncompressed(stream: BinaryIO) -> BinaryIO:
    buffered = io.BufferedReader(stream, MAX_LINE_BYTES) if isinstance(stream, io.RawIOBase) else stream
    assert isinstance(buffered, io.BufferedReader)
    if buffered.peek(len(_GZIP))[: len(_GZIP)] == _GZIP:
        return io.BufferedReader(_Uncompressed(gzip.GzipFile(fileobj=buffered)))
    return buffered


class _Uncompressed(io.RawIOBase):
    """What is in a compressed file, as far as it goes: `GzipFile` itself loses what it has read last."""

    def __init__(self, file: gzip.GzipFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._file.read1(len(memoryview(buffer)))
        memoryview(buffer)[: len(data)] = data
        return len(data)


def _lines(stream: BinaryIO, log: Log) -> Iterator[str | None]:
    """Yield each line without its end; None for one that is too long."""
    try:
        while line := stream.readline(MAX_LINE_BYTES):
            if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
                yield line.decode("utf-8", "backslashreplace").strip("\r\n")
                continue
            while (rest := stream.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        # A compressed file that is still written, or was copied in part: what was before counts.
        log.is_truncated = True


def _route(of: Format, text: str) -> str | None:
    try:
        return of.read(text).route
    except UnreadableError:
        return None


def _read_none(text: str) -> Record:
    raise UnreadableError(f"a line of one of {', '.join(FORMATS)}")
