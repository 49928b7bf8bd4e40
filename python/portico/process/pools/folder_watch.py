"""Looks whether files of the folder of applications have come, gone or changed."""

from __future__ import annotations

from portico.config.routes.application_files import changed_ns
from portico.process.loop import Duty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.process.generations import Generations

# Such a folder may be on a network, of whose changes the kernel tells nobody; and to ask for the times of a
# thousand files takes two milliseconds.
_TICK_S = 2.0


class FolderWatch(Duty):
    """Calls `reload` when the folder of the current plan is no longer as it was when it was read."""

    __slots__ = ("_asked_for", "_generations", "_next_s", "_reload")

    def __init__(self, generations: Generations, reload: Callable[[], None]) -> None:
        self._generations = generations
        self._reload = reload
        self._next_s = 0.0
        # As the folder was at the last reload that was asked for here, which may have come to nothing.
        self._asked_for: dict[str, list[int]] | None = None

    def look(self, now_s: float) -> None:
        record = self._generations.current.settings.pools
        if now_s < self._next_s or record is None or not record["folder"]:
            return
        self._next_s = now_s + _TICK_S
        try:
            found = changed_ns(record["folder"])
        except OSError:
            return  # a release may be switched just now; without a folder a reload fails, and says so
        if found not in (record["changed_ns"], self._asked_for):
            self._asked_for = found
            self._reload()

    def due_s(self) -> float | None:
        record = self._generations.current.settings.pools
        return self._next_s if record is not None and record["folder"] else None
