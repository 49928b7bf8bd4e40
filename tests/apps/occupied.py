"""An application whose workers tell who they are, and can be kept occupied."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from apps.recorder import parameter

_DEADLINE_S = 20.0


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """The worker's process id; with `gate=`, once the file `gate` is there; `inside=` is made before."""
    if gate := parameter(environ, "gate"):
        Path(parameter(environ, "inside")).touch()
        end_s = time.monotonic() + _DEADLINE_S
        while not os.path.exists(gate):
            if time.monotonic() > end_s:
                raise TimeoutError(f"{gate} was not made")
            time.sleep(0.005)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]
