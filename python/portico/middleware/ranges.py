"""Byte ranges (RFC 9110 14): a part of a file, or several in one response.

Receives the field Range and an open file; hands on bodies that read no further than they should.
"""

from __future__ import annotations

import os
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

BLOCK_BYTES = 64 * 1024
MAX_RANGES = 32
"""A request that wants more gets the whole file (RFC 9110 17.15)."""

_RANGE = re.compile(r"([0-9]{0,100})-([0-9]{0,100})")


def requested_ranges(value: str, size: int) -> list[tuple[int, int]] | None:
    """Return the ranges that a field asks for of `size` bytes, each as its start and its stop.

    None where the field is to be ignored: another unit than bytes, malformed, or ranges that are together
    longer than the file, so many or so much over each other (RFC 9110 14.2). Empty if none of them is in the
    file: 416.

        requested_ranges("bytes=0-9, -5", 100)  ->  [(0, 10), (95, 100)]
    """
    unit, _, specs = value.partition("=")
    if unit.strip().lower() != "bytes":
        return None
    found = []
    texts = [text for part in specs.split(",") if (text := part.strip(" \t"))]
    if not texts or len(texts) > MAX_RANGES:
        return None
    for text in texts:
        match = _RANGE.fullmatch(text)
        if not match or text == "-":
            return None
        first, last = match.groups()
        if first and last and int(first) > int(last):
            return None
        start = int(first) if first else max(0, size - int(last))
        stop = min(size, int(last) + 1) if first and last else size
        if start < stop:
            found.append((start, stop))
    if len(found) > 1 and sum(stop - start for start, stop in found) > size:
        return None
    return found


class Section:
    """The bytes of a file from `start` to `stop`, as a file that can be read and closed."""

    def __init__(self, file: IO[bytes], start: int, stop: int) -> None:
        file.seek(start)
        self._file = file
        self._left = stop - start

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, with -1 all that are left."""
        data = self._file.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Multipart:
    """Several ranges of a file of `size` bytes as one body, `multipart/byteranges` (RFC 9110 14.6).

    `content_type` and `content_length` are the fields of the response. What the parts are is `part_type`.
    """

    def __init__(self, file: IO[bytes], ranges: Sequence[tuple[int, int]], size: int, part_type: str) -> None:
        self._file = file
        self._ranges = ranges
        boundary = os.urandom(16).hex()
        self._heads = [
            f"\r\n--{boundary}\r\nContent-Type: {part_type}\r\n"
            f"Content-Range: {content_range(start, stop, size)}\r\n\r\n".encode("latin-1")
            for start, stop in ranges
        ]
        self._end = f"\r\n--{boundary}--\r\n".encode()
        self.content_type = f"multipart/byteranges; boundary={boundary}"
        self.content_length = (
            sum(map(len, self._heads)) + sum(stop - start for start, stop in ranges) + len(self._end)
        )

    def __iter__(self) -> Iterator[bytes]:
        for head, (start, stop) in zip(self._heads, self._ranges, strict=True):
            yield head
            section = Section(self._file, start, stop)
            while block := section.read(BLOCK_BYTES):
                yield block
        yield self._end

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def content_range(start: int, stop: int, size: int) -> str:
    """The value of Content-Range, whose last position is included (RFC 9110 14.4)."""
    return f"bytes {start}-{stop - 1}/{size}"
