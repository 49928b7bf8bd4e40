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
    """Calls `reload` when a file has changed, or has become another."""

    __slots__ = ("_generations", "_next_s", "_reload", "_seen")

    def __init__(self, generations: Generations, reload: Callable[[], None]) -> None:
        self._generations = generations
        self._reload = reload
        self._next_s = 0.0
        # Of files that have been looked at: another list of files is no change of one.
        self._seen: dict[str, tuple[int, ...]] = {}

    def look(self, now_s: float) -> None:
        if now_s < self._next_s:
            return
        self._next_s = now_s + _TICK_S
        before, self._seen = self._seen, {path: _state(path) for path in self._paths()}
        if any(before.get(path, state) != state for path, state in self._seen.items()):
            self._reload()

    def due_s(self) -> float | None:
        return self._next_s if self._paths() else None

    def _paths(self) -> list[str]:
        plan = self._generations.current
        return [os.path.join(plan.directory, path) for path in plan.settings.touch_reload]


def _state(path: str) -> tuple[int, ...]:
    """Return what tells whether the file is the same as before; nothing if there is none.

    Not its time alone: a link may lead to another file that was made at the same time.
    """
    try:
        status = os.stat(path)
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
