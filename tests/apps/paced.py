"""An application whose calls take as long as they are asked to."""

from __future__ import annotations

import time
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """`/ANY/compute/N` computes for N microseconds, `/ANY/wait/N` sleeps for as long."""
    *_, kind, microseconds = environ["PATH_INFO"].split("/")
    seconds = int(microseconds) / 1e6
    if kind == "wait":
        time.sleep(seconds)
    else:
        end_s = time.perf_counter() + seconds
        while time.perf_counter() < end_s:
            pass
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]
