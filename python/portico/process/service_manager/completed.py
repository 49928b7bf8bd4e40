"""How many requests have been completed since the last look, by all workers together."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.service_manager.service import Service


class Completed:
    """Remembers the counters of the workers; what one has done between a look and its end is not seen."""

    __slots__ = ("_counted", "_service")

    def __init__(self, service: Service) -> None:
        self._service = service
        # By process id, at the last look.
        self._counted: dict[int, int] = {}

    def since_last(self) -> int:
        """Return how many requests have been completed since this was last asked for."""
        before = self._counted
        self._counted = {
            worker.pid: self._service.status(worker).requests for worker in self._service.workers
        }
        return sum(max(0, count - before.get(pid, 0)) for pid, count in self._counted.items())
