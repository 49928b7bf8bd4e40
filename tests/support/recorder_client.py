"""A test's side of `apps.recorder`: what happened inside the applications, and opening their gates.

It speaks over a Unix socket of the worker's own, not through the server under test, so that it also works
while the only thread of the crew is inside an application.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from support.waiting import DEADLINE_S, wait_until


class RecorderClient:
    """Asks the youngest worker that has a socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def events(self, key: str) -> list[str]:
        """What was recorded under `key`, in order."""
        return self._ask(operation="events", key=key)

    def wait_for(self, key: str, event: str, *, count: int = 1, deadline_s: float = DEADLINE_S) -> list[str]:
        """Wait until `event` was recorded `count` times; return all events of `key`."""
        events = self._ask(operation="wait", key=key, event=event, count=count, deadline_s=deadline_s)
        assert events.count(event) >= count, f"waited in vain for {count} x {event!r}; recorded: {events}"
        return list(events)

    def open_gate(self, key: str, number: int = 0) -> None:
        """Let an application go on that waits at gate `number` of `key` (or will come to it)."""
        self._ask(operation="open", key=key, number=number)

    def _ask(self, **question: Any) -> Any:
        with wait_until(self._connect, what="the recorder of a worker") as connection:
            connection.settimeout(question.get("deadline_s", 0) + DEADLINE_S)
            connection.sendall(json.dumps(question).encode() + b"\n")
            with connection.makefile("rb") as reply:
                return json.loads(reply.readline())

    def _connect(self) -> socket.socket | None:
        paths = sorted(self._folder.glob("recorder-*.sock"), key=lambda path: path.stat().st_mtime_ns)
        for path in reversed(paths):
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(path))
            except OSError:
                connection.close()
                continue
            return connection
        return None
