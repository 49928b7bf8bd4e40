"""Between which numbers the count of workers may be, by the plan and by the memory there is."""

from __future__ import annotations

from portico import log
from portico.process.banner import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.memory_room import Room
    from portico.process.plan import Plan
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet


class Bounds:
    """The bounds; where memory is limited, what a first worker takes says how many there may be."""

    __slots__ = ("_generations", "_is_for_first", "_life", "_measured", "_room", "_worker_set")

    def __init__(self, life: Life, generations: Generations, worker_set: WorkerSet) -> None:
        self._life = life
        self._generations = generations
        self._worker_set = worker_set
        # What the memory has room for, by the first worker of this generation that was ready.
        self._room: Room | None = None
        self._measured = -1
        # Whether the others wait for the first worker, because what it takes says how many may come.
        self._is_for_first = (
            generations.current.settings.workers is None
            and generations.current.worker_count > 1
            and _is_limited()
        )

    @property
    def first(self) -> int:
        """How many workers are wanted at first."""
        return 1 if self._is_for_first else self._generations.current.worker_count

    @property
    def both(self) -> tuple[int, int]:
        """The fewest and the most workers that may be wanted."""
        plan = self._generations.current
        if not plan.is_scaled:
            return 1, self._worker_set.most_workers
        most = min(self._most_by_memory(plan), self._worker_set.most_workers)
        return max(1, min(plan.fewest_workers, most)), most

    def worker_ready(self, worker: WorkerHandle) -> None:
        """Measure the first worker of a generation, and want as many as there is room for."""
        plan, number = self._generations.current, self._generations.number
        if worker.generation != number or self._measured == number:
            return
        self._measured = number
        before, self._room = self._room, _room(plan, worker.pid)
        wanted = self._life.wanted
        if self._is_for_first or (before is not None and wanted == before.workers):
            # There were no more because of the memory.
            wanted = max(wanted, plan.worker_count)
        self._is_for_first = False
        most = self._most_by_memory(plan)
        if most < plan.most_workers:
            wanted, shown = min(wanted, most), counted(most, "worker")
            log.info(f"there will be no more than {shown}: {self._room}")
        self._life.wanted = wanted

    def _most_by_memory(self, plan: Plan) -> int:
        """Return how many workers may be without being asked for by number."""
        if self._room is None:
            return plan.most_workers
        asked_for = plan.settings.workers or plan.settings.workers_min or 1
        return min(plan.most_workers, max(self._room.workers, asked_for))


def _room(plan: Plan, pid: int) -> Room | None:
    """Return what there is room for by what worker `pid` takes; None without a limit, or if nobody asks."""
    if plan.settings.workers is not None and not plan.is_scaled:
        return None
    from portico.process.memory_room import Room, memory_limit, memory_of

    limit_bytes = memory_limit()
    worker_bytes = 0 if limit_bytes is None else memory_of(pid)
    return Room(limit_bytes, worker_bytes) if limit_bytes and worker_bytes else None


def _is_limited() -> bool:
    from portico.process.memory_room import memory_limit

    return memory_limit() is not None
