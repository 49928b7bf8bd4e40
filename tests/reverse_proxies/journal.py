"""A test's side of `apps.journal`: what happened in the applications of all workers, dead ones too."""

from __future__ import annotations

from pathlib import Path

from support.waiting import DEADLINE_S, wait_until


class Journal:
    """Reads what applications wrote down in `folder`, and opens their gates."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def events(self, key: str) -> list[str]:
        """What was written under `key`, in order."""
        path = self._folder / f"{key}.events"
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, key: str, event: str, *, count: int = 1, deadline_s: float = DEADLINE_S) -> None:
        """Wait until `event` was written `count` times."""
        wait_until(
            lambda: self.events(key).count(event) >= count,
            what=f"{count} x {event!r} of {key}",
            deadline_s=deadline_s,
        )

    def worker_of(self, key: str) -> int:
        """The process id of the worker that wrote last under `key`."""
        return next(
            int(event.removeprefix("worker "))
            for event in reversed(self.events(key))
            if event.startswith("worker ")
        )

    def open_gate(self, key: str) -> None:
        """Let the applications go on that wait at the gate of `key`, or will come to it."""
        (self._folder / f"{key}.gate").touch()
