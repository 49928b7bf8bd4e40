"""Large responses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apps.recorder import key_of, parameter, record

_TEXT = ("Content-Type", "application/octet-stream")
_BLOCK = bytes(range(256)) * 1024


def download(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """`mebibytes=` of a known length, in blocks of 256 KiB."""
    count = int(parameter(environ, "mebibytes", "1")) * 4
    start_response("200 OK", [_TEXT, ("Content-Length", str(count * len(_BLOCK)))])
    try:
        for _ in range(count):
            yield _BLOCK
    finally:
        record(key_of(environ), "close")


def one_block(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """`mebibytes=` in one block: complete as soon as it is returned."""
    record(key_of(environ), "returned")
    start_response("200 OK", [_TEXT])
    return [one_block_of(int(parameter(environ, "mebibytes", "1")))]


def one_block_of(mebibytes: int) -> bytes:
    """The body of `one_block`."""
    return _BLOCK * (4 * mebibytes)


VALID = {"download": download, "one-block": one_block}
