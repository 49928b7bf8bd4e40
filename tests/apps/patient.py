"""Applications for tests of limits: some count what they give, one waits without needing a descriptor."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from apps import bulk, inputs, kinds, recorder, results, streaming
from apps.recorder import key_of, parameter, record

BLOCK_BYTES = 1 << 16
_FILE_DEADLINE_S = 20.0
_TEXT = ("Content-Type", "text/plain")


def waits_for_file(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Waits until the file `path=` exists: a gate that works where no descriptor is left."""
    path, end_s = parameter(environ, "path"), time.monotonic() + _FILE_DEADLINE_S
    while not os.path.exists(path):
        if time.monotonic() > end_s:
            raise TimeoutError(f"{path} was not made")
        time.sleep(0.005)
    start_response("200 OK", [_TEXT])
    return [b"waited"]


def counted_blocks(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """`count=` blocks of 64 KiB; records each when it is asked for, and the close."""
    key, count = key_of(environ), int(parameter(environ, "count"))
    start_response("200 OK", [_TEXT, ("Content-Length", str(count * BLOCK_BYTES))])
    block = bytes(BLOCK_BYTES)
    try:
        for _ in range(count):
            record(key, "block")
            yield block
    finally:
        record(key, "close")


def digest_after_gate(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Records `inside`, waits at the gate, and only then reads its body."""
    record(key_of(environ), "inside")
    recorder.pass_gate(key_of(environ))
    return inputs.digest(environ, start_response)


APPLICATIONS = {
    **bulk.VALID,
    **inputs.VALID,
    **kinds.VALID,
    **results.VALID,
    **streaming.VALID,
    "waits-for-file": waits_for_file,
    "counted-blocks": counted_blocks,
    "digest-after-gate": digest_after_gate,
}


def application(environ: dict[str, Any], start_response: Any) -> Any:
    name = environ["PATH_INFO"].lstrip("/").partition("/")[0]
    if name not in APPLICATIONS:
        start_response("404 Not Found", [_TEXT])
        return [b"no such application"]
    return APPLICATIONS[name](environ, start_response)


recorder.start()
