"""All workers that exist, and which of them should start or leave; it decides and does nothing itself.

A reload goes one worker at a time, or some: one of the new generation boots; when it is ready, one of the old
is surplus. So there is never a moment with fewer ready workers than wanted. A worker that is spent (it has
served long enough, or has become too large) counts as one of the old generation.
"""

from __future__ import annotations

from portico.process.worker_handle import BOOTING, READY, WorkerHandle

# Room in the scoreboard for more workers (TTIN) and for those that are still draining after a reload.
_SPARE_SLOTS = 16


class WorkerSet:
    """The workers by pid, and the scoreboard's slots that they occupy."""

    __slots__ = ("most_workers", "resumed_at_s", "slots", "workers")

    def __init__(self, worker_count: int) -> None:
        self.most_workers = worker_count + _SPARE_SLOTS
        self.slots = 2 * self.most_workers
        self.workers: dict[int, WorkerHandle] = {}
        # When the supervisor last went on after it was stopped; monotonic.
        self.resumed_at_s = 0.0

    def use_slots(self, slots: int) -> None:
        """Have as many slots as a scoreboard that was there before."""
        self.slots = slots
        self.most_workers = slots // 2

    def add(self, worker: WorkerHandle) -> None:
        self.workers[worker.pid] = worker

    def remove(self, worker: WorkerHandle) -> None:
        del self.workers[worker.pid]

    def resume(self, now_s: float) -> None:
        """Note that the supervisor, and perhaps others, were stopped until now: all have their time again."""
        self.resumed_at_s = now_s
        for worker in self.workers.values():
            worker.resume(now_s)

    def in_state(self, state: str) -> list[WorkerHandle]:
        """Return the workers in `state`, the oldest first."""
        return [worker for worker in self.workers.values() if worker.state == state]

    @property
    def has_room(self) -> bool:
        """Whether there is a slot that no worker occupies."""
        return len(self.workers) < self.slots

    def free_slots(self, most: int) -> list[int]:
        """Return the lowest slots that no worker occupies; there is one if it `has_room`."""
        taken = {worker.slot for worker in self.workers.values()}
        return [slot for slot in range(self.slots) if slot not in taken][:most]

    def surplus(self, generation: int, wanted: int) -> list[WorkerHandle]:
        """Return the workers that should leave now."""
        current, before = self._split(generation)
        ready = [worker for worker in current if worker.state == READY]
        # An old worker that is not even ready has nothing to hand over.
        leaving = [worker for worker in before if worker.state == BOOTING]
        serving_before = [worker for worker in before if worker.state == READY]
        leaving += serving_before[: max(0, len(serving_before) + len(ready) - wanted)]
        if not before:
            # TTOU: the youngest go, whose caches are the coldest.
            leaving += current[wanted:]
        return leaving

    def missing(self, generation: int, wanted: int, parallel: int = 1) -> int:
        """Return how many workers should start now; in a reload, `parallel` at a time."""
        current, before = self._split(generation)
        count = min(wanted - len(current), self.slots - len(self.workers))
        if any(worker.state == READY for worker in before):
            count = min(count, parallel - sum(worker.state == BOOTING for worker in current))
        return max(0, count)

    def has_ready(self, generation: int) -> bool:
        return any(worker.generation == generation for worker in self.in_state(READY))

    def has_ready_before(self, generation: int) -> bool:
        return any(worker.generation != generation for worker in self.in_state(READY))

    def adopt(self, generation: int) -> None:
        """Count every worker to `generation`: its own cannot be loaded, those of before are to stay."""
        for worker in self.workers.values():
            worker.generation = generation

    def _split(self, generation: int) -> tuple[list[WorkerHandle], list[WorkerHandle]]:
        active = [worker for worker in self.workers.values() if worker.is_active]
        current = [worker for worker in active if worker.generation == generation and not worker.is_spent]
        return current, [worker for worker in active if worker not in current]
