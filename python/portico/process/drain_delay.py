"""The time between the word that a stop is near and the stop: load balancers find another way meanwhile.

While it runs, workers respond to health checks with 503 and to everybody else as ever, but for
`Connection: close`; those that start are told too. After that the supervisor does what it was told to do.
"""

from __future__ import annotations

from portico import log
from portico.process.loop import Duty
from portico.process.messages import Announce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet


class DrainDelay(Duty):
    """The delay of a supervisor's one stop. `on_end` is called with the time when it is over."""

    __slots__ = ("_ends_at_s", "_on_end", "_worker_set")

    def __init__(self, worker_set: WorkerSet, on_end: Callable[[float], None]) -> None:
        self._worker_set = worker_set
        self._on_end = on_end
        self._ends_at_s: float | None = None

    def begin(self, delay_s: float, now_s: float) -> None:
        """Tell all workers, and end in `delay_s`."""
        self._ends_at_s = now_s + delay_s
        log.info(f"stopping in {delay_s:g} s: health checks fail from now on, requests are served")
        for worker in self._worker_set.workers.values():
            self.tell(worker)

    def tell(self, worker: WorkerHandle) -> None:
        """Let `worker` say that the stop is near, if it is."""
        if self._ends_at_s is not None and worker.is_active:
            worker.tell(Announce)

    def end(self) -> None:
        """Have no more of it: what is to come after it has come."""
        self._ends_at_s = None

    def look(self, now_s: float) -> None:
        if self._ends_at_s is not None and now_s >= self._ends_at_s:
            self._on_end(now_s)

    def due_s(self) -> float | None:
        return self._ends_at_s
