"""The time between the word that a stop is near and the stop: load balancers find another way meanwhile.

While it runs, workers respond to health checks with 503 and to everybody else as ever, but for
`Connection: close`; those that start are told too. After that, and once load balancers that are told have
heard it (`cluster/`), the supervisor does what it was told to do. Imported when such a stop begins.
"""

from __future__ import annotations

from portico import log
from portico.process.life import ANNOUNCING
from portico.process.loop import Duty
from portico.process.messages import Announce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.process.life import Life
    from portico.process.worker_set import WorkerSet


class DrainDelay(Duty):
    """The delay of a supervisor's one stop.

    `on_end` is called with the time when it is over, and `may_end` says so, which is asked from then on.
    """

    __slots__ = ("_ends_at_s", "_is_over", "_life", "_may_end", "_on_end")

    def __init__(
        self,
        life: Life,
        worker_set: WorkerSet,
        on_end: Callable[[float], None],
        *,
        may_end: Callable[[float], bool],
        delay_s: float,
        now_s: float,
    ) -> None:
        """Tell all workers, and end in `delay_s`."""
        self._life = life
        self._ends_at_s = now_s + delay_s
        self._on_end = on_end
        self._may_end = may_end
        self._is_over = False
        if delay_s:
            log.info(f"stopping in {delay_s:g} s: health checks fail from now on, requests are served")
        for worker in worker_set.workers.values():
            if worker.is_active:
                worker.tell(Announce)

    def look(self, now_s: float) -> None:
        if self._life.stage == ANNOUNCING and now_s >= self._ends_at_s:
            self._is_over = True
            if self._may_end(now_s):
                self._on_end(now_s)

    def due_s(self) -> float | None:
        # Once it is over, whoever holds up the end knows when to look again.
        return self._ends_at_s if self._life.stage == ANNOUNCING and not self._is_over else None
