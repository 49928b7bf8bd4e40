"""A log that a server process writes and a test reads."""

from __future__ import annotations

import re
from pathlib import Path

from support.waiting import DEADLINE_S, wait_until


class LogFile:
    """Text that grows; `position()` lets a test look only at what came after."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def position(self) -> int:
        """The present end, in bytes."""
        return self.path.stat().st_size

    def text(self, since: int = 0) -> str:
        """All that was written after byte `since`."""
        with self.path.open("rb") as file:
            file.seek(since)
            return file.read().decode("utf-8", "replace")

    def lines(self, since: int = 0) -> list[str]:
        """The complete lines after byte `since`."""
        return self.text(since).split("\n")[:-1]

    def wait_for(self, pattern: str, *, since: int = 0, deadline_s: float = DEADLINE_S) -> re.Match[str]:
        """The first match of the regular expression `pattern` (multi-line) after byte `since`."""
        compiled = re.compile(pattern, re.MULTILINE)
        try:
            return wait_until(
                lambda: compiled.search(self.text(since)),
                what=f"{pattern!r} in {self.path.name}",
                deadline_s=deadline_s,
            )
        except AssertionError as error:
            raise AssertionError(f"{error}\n--- {self.path.name}:\n{self.text(since)[-4000:]}") from None
