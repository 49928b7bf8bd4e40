"""An application that keeps the interpreter, in a call or beside it, by native code."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from pathlib import Path
from typing import Any

# Unlike ctypes.CDLL, this keeps the interpreter while a function runs.
_KEEPING = ctypes.PyDLL(None)
_FOLDER = Path(os.environ["RECORDER_FOLDER"])
_GATE = _FOLDER / "gate"


def _keep() -> None:
    """Makes the file `keeps`, and keeps the interpreter until somebody writes a byte into the pipe `gate`."""
    descriptor = os.open(_GATE, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(descriptor, True)
    # Open for writing too, so that a read waits for a byte where no writer is there yet.
    writer = os.open(_GATE, os.O_WRONLY)
    block = ctypes.create_string_buffer(1)
    (_FOLDER / "keeps").touch()
    _KEEPING.read(descriptor, block, 1)
    os.close(descriptor)
    os.close(writer)


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/keeps":
        _keep()
    elif environ["PATH_INFO"] == "/keeps-beside":
        threading.Thread(target=_keep, daemon=True).start()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"called"]


# Each worker is the first where none was before it.
with contextlib.suppress(FileExistsError):
    os.mkfifo(_GATE)
