"""A thread of an application that goes on reading when the call is over."""

from __future__ import annotations

import threading
from typing import Any

from apps.recorder import key_of, record


def read_in_thread(environ: dict[str, Any]) -> str:
    """Leaves a thread behind that reads, and returns once it does."""
    key, file = key_of(environ), environ["wsgi.input"]
    begun = threading.Event()

    def read() -> None:
        file.read(1)
        begun.set()
        try:
            file.read()
        except Exception as error:
            record(key, f"{type(error).__name__}: {error}")
        else:
            record(key, "read all")

    threading.Thread(target=read, daemon=True).start()
    begun.wait(10)
    return "returned"
