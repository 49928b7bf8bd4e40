"""The service as its manager sees it: how far it is, what its workers do. Runs in the supervisor."""

from __future__ import annotations

from portico.process.worker_handle import BOOTING, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico import _core
    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet


class Service:
    """What the supervisor has."""

    __slots__ = ("generations", "life", "scoreboard", "worker_set")

    def __init__(
        self,
        generations: Generations,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        life: Life,
    ) -> None:
        self.generations = generations
        self.worker_set = worker_set
        self.scoreboard = scoreboard
        self.life = life

    @property
    def is_stopping(self) -> bool:
        """Whether it has been told to stop."""
        return not self.life.is_serving

    @property
    def is_reloading(self) -> bool:
        """Whether the configuration is being read, or workers of before are still to be replaced."""
        number = self.generations.number
        return self.life.readings.is_on_its_way or any(
            worker.is_active and worker.generation != number for worker in self.workers
        )

    @property
    def workers(self) -> list[WorkerHandle]:
        """All that exist."""
        return list(self.worker_set.workers.values())

    @property
    def booting(self) -> list[WorkerHandle]:
        """Those that load the application."""
        return self.worker_set.in_state(BOOTING)

    @property
    def ready(self) -> list[WorkerHandle]:
        """Those that serve and are not to leave."""
        return self.worker_set.in_state(READY)

    def status(self, worker: WorkerHandle) -> _core.WorkerStatus:
        """Return what the scoreboard has of `worker`."""
        return self.scoreboard.read(worker.slot)
