"""Making a template of a worker that has served, so that what it has in memory since is shared.

    most requests of all --> spent: its successor starts --ready--> it drains --Warmed--> Promote
    --Ready--> the workers are replaced by forks of it, as in a reload

Once for each generation of code, when all workers are there. Runs in the supervisor, with `refork_after`.
"""

from __future__ import annotations

from portico import log
from portico.process.loop import Duty
from portico.process.messages import Quit
from portico.process.worker_handle import READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico import _core
    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.templates import Templates
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet

_TICK_S = 1.0
# With one there is nobody to share with.
_FEWEST_WORKERS = 2


class Reforking(Duty):
    """Looks for a worker that has served enough."""

    __slots__ = (
        "_candidate",
        "_generations",
        "_life",
        "_next_s",
        "_scoreboard",
        "_templates",
        "_tried",
        "_worker_set",
    )

    def __init__(
        self,
        generations: Generations,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        templates: Templates,
        life: Life,
    ) -> None:
        self._generations = generations
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._templates = templates
        self._life = life
        self._candidate: WorkerHandle | None = None
        # The generation that a worker was chosen in, or that has come of it: there is no other choice.
        self._tried = -1
        self._next_s = 0.0

    def look(self, now_s: float) -> None:
        if now_s < self._next_s or not self._is_on:
            return
        self._next_s = now_s + _TICK_S
        workers = self._worker_set.in_state(READY)
        number = self._generations.number
        is_settled = len(workers) == len(self._worker_set.workers) == self._life.wanted >= _FEWEST_WORKERS
        if not is_settled or any(worker.generation != number for worker in workers):
            return
        worker = max(workers, key=self._requests)
        requests = self._requests(worker)
        if requests < self._generations.current.settings.refork_after:
            return
        log.info(f"refork_after: {worker} has served {requests} requests, and is to be the template of all")
        self._tried = number
        self._candidate = worker
        # Its successor starts first, as in a reload.
        worker.generation = number - 1

    def due_s(self) -> float | None:
        return self._next_s if self._is_on else None

    def take(self, worker: WorkerHandle, now_s: float) -> bool:
        """`worker` has finished: tell it what to be, and say whether that is a template."""
        is_chosen = worker is self._candidate and self._tried == self._generations.number
        if not is_chosen:
            worker.tell(Quit, "")
        else:
            self._candidate = None
            self._templates.promote(worker, now_s)
        return is_chosen

    def has_ended(self, worker: WorkerHandle) -> None:
        """`worker` is no more: it will be no template, whatever it has said."""
        if worker is self._candidate:
            self._candidate = None

    def has_renewed(self, number: int) -> None:
        """The template of generation `number` was made of a worker."""
        self._tried = number

    @property
    def _is_on(self) -> bool:
        current = self._templates.current
        return (
            bool(self._generations.current.settings.refork_after)
            and self._tried != self._generations.number
            and current is not None
            and current.is_confirmed
        )

    def _requests(self, worker: WorkerHandle) -> int:
        return self._scoreboard.read(worker.slot).requests
