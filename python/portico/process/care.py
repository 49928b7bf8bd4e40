"""Workers that have served long enough, or have become too large: replaced before they do harm.

Looks at nothing unless one of the settings of the group is set. A worker that is due is marked as spent: it
serves on until it has a successor (`worker_set.py`). As many are at a time as a reload replaces: each takes
memory beside its successor, whose start takes CPU. One beyond `max_rss_hard` leaves without waiting for its
successor, but for those of others that are missing: all may have grown alike.
"""

from __future__ import annotations

from portico import log
from portico.process.calls import describe_calls
from portico.process.loop import Duty
from portico.process.messages import Drain
from portico.process.worker_handle import BOOTING, LEAVING, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico import _core
    from portico.process.watched import Watched
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet

# Between two looks at workers that do something, and at most between two at others.
_SHORTEST_TICK_S = 1.0
_LONGEST_TICK_S = 4.0
# What a worker beyond max_rss_hard gets for its requests.
HARD_PATIENCE_S = 1.0


class Care(Duty):
    """Looks for such workers, and marks them; `at_a_time` is how many may be replaced at the same time."""

    __slots__ = (
        "_at_a_time",
        "_is_held_back",
        "_next_s",
        "_scoreboard",
        "_tick_s",
        "_warned_of",
        "_watched",
        "_worker_set",
    )

    def __init__(
        self, worker_set: WorkerSet, scoreboard: _core.Scoreboard, at_a_time: Callable[[], int]
    ) -> None:
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._at_a_time = at_a_time
        self._watched: dict[int, Watched] = {}
        self._next_s = 0.0
        # Whether one is due that has to wait until another has been replaced.
        self._is_held_back = False
        self._tick_s = _SHORTEST_TICK_S
        # The max_rss that a worker had from the start, so that this is said once.
        self._warned_of = 0

    def look(self, now_s: float) -> None:
        workers = self._cared_for()
        is_new = self._has_new(workers)
        has_room = self._is_held_back and self._replaced() < self._at_a_time()
        if now_s < self._next_s and not is_new and not has_room:
            return
        self._watched = {
            worker.pid: self._watched.get(worker.pid) or _watch(worker, self._scoreboard)
            for worker in workers
        }
        changes = [watched.look(now_s) for watched in self._watched.values()]
        self._tick_s = _SHORTEST_TICK_S if is_new or any(changes) else min(_LONGEST_TICK_S, 2 * self._tick_s)
        self._is_held_back = False
        # The largest first: not all of them may be ended now.
        for worker in sorted(workers, key=lambda worker: -self._watched[worker.pid].rss_bytes):
            watched = self._watched[worker.pid]
            if watched.is_too_large:
                if worker.state == LEAVING or self._missing() < self._at_a_time():
                    self._end(worker, watched, now_s)
            elif worker.state == READY and not worker.is_spent and (why := self._why(watched, now_s)):
                self._is_held_back = self._replaced() >= self._at_a_time()
                if not self._is_held_back:
                    worker.is_spent = True
                    log.info(f"{worker} {why}: it is replaced once its successor is ready")
        due_s = [each.until_s for each in self._watched.values() if each.until_s > now_s]
        if any(each.is_measured for each in self._watched.values()):
            due_s.append(now_s + self._tick_s)
        self._next_s = min(due_s, default=float("inf"))

    def due_s(self) -> float | None:
        workers = self._cared_for()
        if self._has_new(workers):
            return 0.0
        return self._next_s if workers else None

    def _has_new(self, workers: list[WorkerHandle]) -> bool:
        return any(worker.pid not in self._watched for worker in workers)

    def _cared_for(self) -> list[WorkerHandle]:
        """The workers with any of the limits; those that leave have one of them still."""
        leaving = [
            worker
            for worker in self._worker_set.in_state(LEAVING)
            if worker.settings.max_rss_hard_bytes and not worker.is_too_large
        ]
        ready = [worker for worker in self._worker_set.in_state(READY) if worker.has_limits]
        return ready + leaving

    def _replaced(self) -> int:
        """How many are about to be replaced, or still finish their requests after that."""
        return sum(worker.is_spent for worker in self._worker_set.workers.values())

    def _missing(self) -> int:
        """How many do not serve because they were too large, or have not got ready yet."""
        leaving = [worker for worker in self._worker_set.in_state(LEAVING) if worker.is_too_large]
        return max(len(leaving), len(self._worker_set.in_state(BOOTING)))

    def _why(self, watched: Watched, now_s: float) -> str:
        limit_bytes = watched.settings.max_rss_bytes
        if watched.was_large_from_the_start and self._warned_of != limit_bytes:
            self._warned_of = limit_bytes
            log.warning(watched.why_left_alone())
        return watched.why(now_s)

    def _end(self, worker: WorkerHandle, watched: Watched, now_s: float) -> None:
        worker.is_too_large = True
        log.error(
            f"{worker} {watched.why_too_large()}: it leaves in {HARD_PATIENCE_S:g} s"
            f"{watched.growth.describe()}{describe_calls(self._scoreboard.read(worker.slot))}"
        )
        worker.leave(Drain, now_s=now_s, within_s=HARD_PATIENCE_S)


def _watch(worker: WorkerHandle, scoreboard: _core.Scoreboard) -> Watched:
    # Here, because every worker would have it in its memory, also where nothing of this is set.
    from portico.process.watched import Watched

    return Watched(worker, scoreboard)
