"""Files that are watched for a reload (the setting `touch_reload`)."""

from __future__ import annotations

import os

from portico.process.loop import Duty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.process.generations import Generations

# Such a file may be on a network, of whose changes the kernel tells nobody.
_TICK_S = 2.0


class TouchReload(Duty):
    """Calls `reload` when the time of a file has changed."""

    __slots__ = ("_generations", "_next_s", "_reload", "_seen")

    def __init__(self, generations: Generations, reload: Callable[[], None]) -> None:
        self._generations = generations
        self._reload = reload
        self._next_s = 0.0
        # Of files that have been looked at: another list of files is no change of one.
        self._seen: dict[str, int] = {}

    def look(self, now_s: float) -> None:
        if now_s < self._next_s:
            return
        self._next_s = now_s + _TICK_S
        before, self._seen = self._seen, {path: _changed_ns(path) for path in self._paths()}
        if any(before.get(path, changed_ns) != changed_ns for path, changed_ns in self._seen.items()):
            self._reload()

    def due_s(self) -> float | None:
        return self._next_s if self._paths() else None

    def _paths(self) -> list[str]:
        plan = self._generations.current
        return [os.path.join(plan.directory, path) for path in plan.settings.touch_reload]


def _changed_ns(path: str) -> int:
    """Return when the file was changed; 0 if there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
