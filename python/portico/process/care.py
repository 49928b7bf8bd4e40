"""Workers that have served long enough, or have become too large: replaced before they do harm.

Looks at nothing unless one of the settings of the group is set. A worker that is due is marked as spent: it
serves on until it has a successor (`worker_set.py`). As many are at a time as a reload replaces: each takes
memory beside its successor, whose start takes CPU. Only one beyond `max_rss_hard` leaves without waiting.
"""

from __future__ import annotations

import math
import os

from portico import log
from portico.config.units import format_size
from portico.process.calls import describe_calls
from portico.process.growth import Growth, mebibytes
from portico.process.loop import Duty
from portico.process.messages import Drain
from portico.process.worker_handle import LEAVING, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico import _core
    from portico.config.settings import Settings
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet

# Between two looks at workers that do something, and at most between two at others.
_SHORTEST_TICK_S = 1.0
_LONGEST_TICK_S = 4.0
# What a worker beyond max_rss_hard gets for its requests.
HARD_PATIENCE_S = 1.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


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
        self._watched: dict[int, _Watched] = {}
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
            worker.pid: self._watched.get(worker.pid) or _Watched(worker, self._scoreboard)
            for worker in workers
        }
        changes = [watched.look(now_s) for watched in self._watched.values()]
        self._tick_s = _SHORTEST_TICK_S if is_new or any(changes) else min(_LONGEST_TICK_S, 2 * self._tick_s)
        self._is_held_back = False
        for worker in workers:
            watched = self._watched[worker.pid]
            if watched.is_too_large:
                self._end(worker, watched, now_s)
            elif worker.state == READY and not worker.is_spent and (why := self._why(watched, now_s)):
                self._is_held_back = self._replaced() >= self._at_a_time()
                if not self._is_held_back:
                    worker.is_spent = True
                    log.info(f"{worker} {why}: it is replaced once its successor is ready")
        due_s = [each.until_s for each in self._watched.values() if each.until_s > now_s]
        if any(each.is_measured for each in self._watched.values()):
            due_s.append(now_s + self._tick_s)
        self._next_s = min(due_s, default=math.inf)

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
        ready = [
            worker
            for worker in self._worker_set.in_state(READY)
            if is_measured(worker.settings) or worker.settings.max_lifetime_s
        ]
        return ready + leaving

    def _replaced(self) -> int:
        """How many are about to be replaced, or still finish their requests after that."""
        return sum(worker.is_spent for worker in self._worker_set.workers.values())

    def _why(self, watched: _Watched, now_s: float) -> str:
        limit_bytes = watched.settings.max_rss_bytes
        if watched.was_large_from_the_start and self._warned_of != limit_bytes:
            self._warned_of = limit_bytes
            log.warning(
                f"max_rss is {format_size(limit_bytes)}, and a worker has {mebibytes(watched.rss_bytes)} "
                "before its first request: no worker is replaced by it"
            )
        return watched.why(now_s)

    def _end(self, worker: WorkerHandle, watched: _Watched, now_s: float) -> None:
        worker.is_too_large = True
        log.error(
            f"{worker} has {mebibytes(watched.rss_bytes)}, more than max_rss_hard of "
            f"{format_size(watched.settings.max_rss_hard_bytes)}: it leaves in {HARD_PATIENCE_S:g} s"
            f"{watched.growth.describe()}{describe_calls(self._scoreboard.read(worker.slot))}"
        )
        worker.leave(Drain, now_s=now_s, within_s=HARD_PATIENCE_S)


class _Watched:
    """What was seen of one worker, and its own limits."""

    __slots__ = (
        "_at_s",
        "_least_s",
        "_pid",
        "_ready_at_s",
        "_requests",
        "_requests_limit",
        "_scoreboard",
        "_slot",
        "growth",
        "is_measured",
        "rss_bytes",
        "settings",
        "until_s",
        "was_large_from_the_start",
    )

    def __init__(self, worker: WorkerHandle, scoreboard: _core.Scoreboard) -> None:
        settings = self.settings = worker.settings
        self._scoreboard = scoreboard
        self._pid, self._slot = worker.pid, worker.slot
        self._requests = 0
        self._requests_limit = settings.max_requests + round(_at_random() * settings.max_requests_jitter)
        self._ready_at_s = worker.ready_at_s
        self._least_s = worker.ready_at_s + settings.min_lifetime_s
        lifetime_s = settings.max_lifetime_s + _at_random() * settings.max_lifetime_jitter_s
        self.until_s = worker.ready_at_s + lifetime_s if settings.max_lifetime_s else float("inf")
        self._at_s = worker.ready_at_s
        self.growth = Growth()
        self.is_measured = is_measured(settings)
        self.rss_bytes = self._rss_bytes()
        self.was_large_from_the_start = self.rss_bytes >= settings.max_rss_bytes > 0

    def look(self, now_s: float) -> bool:
        """See what it has become; return whether that is something else than before."""
        if not self.is_measured:
            return False
        status = self._scoreboard.read(self._slot)
        rss_bytes = self._rss_bytes()
        changed = status.requests != self._requests or rss_bytes != self.rss_bytes or bool(status.calls)
        if _has_size(self.settings):
            calls = self._scoreboard.latest_calls(self._slot, max(0.0, now_s - self._at_s))
            self.growth.note(rss_bytes - self.rss_bytes, calls)
        self._requests, self.rss_bytes, self._at_s = status.requests, rss_bytes, now_s
        return changed

    @property
    def is_too_large(self) -> bool:
        return self.rss_bytes > self.settings.max_rss_hard_bytes > 0

    def why(self, now_s: float) -> str:
        """Return why it should be replaced, or nothing."""
        settings = self.settings
        if now_s >= self.until_s:
            return f"has served for {now_s - self._ready_at_s:.1f} s"
        if now_s < self._least_s:
            return ""
        if settings.max_requests and self._requests >= self._requests_limit:
            return f"has served {self._requests} requests"
        if self.rss_bytes > settings.max_rss_bytes > 0 and not self.was_large_from_the_start:
            limit = format_size(settings.max_rss_bytes)
            return f"has {mebibytes(self.rss_bytes)}, more than max_rss of {limit}{self.growth.describe()}"
        return ""

    def _rss_bytes(self) -> int:
        """Return its resident set; 0 where that cannot be had, or need not."""
        if not _has_size(self.settings):
            return 0
        try:
            with open(f"/proc/{self._pid}/statm", encoding="ascii") as file:
                return int(file.read().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0


def is_measured(settings: Settings) -> bool:
    """Whether a worker has to be looked at now and again, and not only at the end of its time."""
    return bool(settings.max_requests or _has_size(settings))


def _has_size(settings: Settings) -> bool:
    return bool(settings.max_rss_bytes or settings.max_rss_hard_bytes)


def _at_random() -> float:
    """Return a number from 0 to 1; the module `random` would cost the supervisor more than this."""
    return int.from_bytes(os.urandom(4), "little") / 0xFFFF_FFFF
