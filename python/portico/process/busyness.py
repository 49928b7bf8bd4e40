"""What the workers do now, as one number: of their threads, and of a CPU each. Runs in the supervisor."""

from __future__ import annotations

import time

from portico.process.scaling import Sample
from portico.process.unaccepted import count_unaccepted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico import _core
    from portico.process.generations import Generations
    from portico.process.worker_handle import WorkerHandle
    from portico.process.worker_set import WorkerSet

# A thread that waits so long for the interpreter has it kept from it by a call that computes.
_WAITS_S = 0.1


class Busyness:
    """Looks at the workers that are ready; what they had used before tells what they use."""

    __slots__ = (
        "_counters",
        "_cpu_s",
        "_generations",
        "_looked_at_s",
        "_scoreboard",
        "_worker_set",
        "is_idle",
    )

    def __init__(self, generations: Generations, worker_set: WorkerSet, scoreboard: _core.Scoreboard) -> None:
        self._generations = generations
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._looked_at_s = 0.0
        # By process id, at the last look.
        self._cpu_s: dict[int, float] = {}
        self._counters: dict[int, tuple[int, int]] = {}
        # Whether nothing was asked since the look before, and no connection is open.
        self.is_idle = False

    def look(self, now_s: float) -> Sample:
        """Return what is seen; `is_idle` is of the same look."""
        elapsed_s, self._looked_at_s = now_s - self._looked_at_s, now_s
        workers = [worker for worker in self._worker_set.workers.values() if worker.ready_at_s]
        cpu_before_s, counters_before = self._cpu_s, self._counters
        self._cpu_s, self._counters = {}, {}
        busy, ready, waiting, connections = 0.0, 0, 0, 0
        for worker in workers:
            status = self._scoreboard.read(worker.slot)
            calls = len(status.calls)
            connections += status.connections + calls
            self._counters[worker.pid] = (status.connections_total, status.requests)
            if not worker.is_active:
                continue
            self._cpu_s[worker.pid] = cpu_s(worker)
            used_s = self._cpu_s[worker.pid] - cpu_before_s.get(worker.pid, self._cpu_s[worker.pid])
            computes = 1.0 if status.waiting_s > _WAITS_S else used_s / elapsed_s
            busy += min(1.0, max(computes, calls / worker.settings.most_calls))
            waiting += max(0, status.connections - calls)
            ready += 1
        is_new = self._counters != counters_before
        self.is_idle = not connections and not is_new
        waiting += count_unaccepted(self._generations.listeners)
        return Sample(now_s, ready=ready, busy=busy, waiting=waiting)


def cpu_s(worker: WorkerHandle) -> float:
    """Return the seconds of CPU time that the worker has used, by the clock of its process."""
    # clock_getcpuclockid(3): the inverted process id, shifted, and CPUCLOCK_SCHED.
    try:
        return time.clock_gettime((~worker.pid << 3) | 2)
    except OSError:
        return 0.0  # it has ended
