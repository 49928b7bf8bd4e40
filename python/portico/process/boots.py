"""Workers that are loading the application: where they are when that takes long, and when to give them up."""

from __future__ import annotations

from portico import log
from portico.process.loop import Duty
from portico.process.worker_handle import BOOTING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.worker_set import WorkerSet


class Boots(Duty):
    """Says after 5, 10, 20 seconds and so on where a worker is; gives it up after `boot_timeout`."""

    __slots__ = ("_worker_set",)

    def __init__(self, worker_set: WorkerSet) -> None:
        self._worker_set = worker_set

    def look(self, now_s: float) -> None:
        for worker in self._worker_set.in_state(BOOTING):
            sentence = worker.import_watch.look(worker.pid, now_s)
            if not sentence:
                continue
            limit_s = worker.settings.boot_timeout_s
            if limit_s and now_s >= worker.forked_at_s + limit_s:
                worker.give_up(f"{sentence}, and boot_timeout is {limit_s:g} s")
            else:
                log.warning(f"{worker}: {sentence}")

    def due_s(self) -> float | None:
        booting = self._worker_set.in_state(BOOTING)
        return min((worker.import_watch.due_s for worker in booting), default=None)
