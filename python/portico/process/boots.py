"""Processes that load the application: where they are when that takes long, and when to give them up."""

from __future__ import annotations

from portico import log
from portico.process.loop import Duty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.process.worker_handle import WorkerHandle


class Boots(Duty):
    """Says after 5, 10, 20 seconds and so on where one of them is; gives it up after `boot_timeout`."""

    __slots__ = ("_booting",)

    def __init__(self, booting: Callable[[], list[WorkerHandle]]) -> None:
        self._booting = booting

    def look(self, now_s: float) -> None:
        for worker in self._booting():
            sentence = worker.import_watch.look(worker.pid, now_s)
            if not sentence:
                continue
            limit_s = worker.settings.boot_timeout_s
            if limit_s and now_s >= worker.forked_at_s + limit_s:
                worker.give_up(f"{sentence}, and boot_timeout is {limit_s:g} s")
            else:
                log.warning(f"{worker}: {sentence}")

    def due_s(self) -> float | None:
        return min((worker.import_watch.due_s for worker in self._booting()), default=None)
