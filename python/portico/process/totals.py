"""What workers that are no more have done, and why others have taken their place: kept while the server runs.

The scoreboard has the counts of those that are there, and forgets each worker when it ends. Runs in the
supervisor, from the start on, since nobody knows whether the counts will be asked for (`admin/`).
"""

from __future__ import annotations

from portico.process.worker_handle import BOOTING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portico import _core
    from portico.process.durations import Durations
    from portico.process.recent_errors import RecentErrors
    from portico.process.slow_lines import SlowLines
    from portico.process.worker_handle import WorkerHandle

COUNTED = ("requests", "errors", "bytes_sent", "connections_total")
"""The counts of the scoreboard that only grow."""

BOOT, DIED, MEMORY, SIGNAL, SPENT = "boot", "died", "oom", "signal", "spent"
TIMEOUT, TOO_LARGE = "timeout", "max_rss_hard"
REASONS = (BOOT, DIED, TOO_LARGE, MEMORY, SIGNAL, SPENT, TIMEOUT)
"""Why a worker gets a successor although nobody has told the server to: each end has one at most."""


class Totals:
    """Sums of counts, durations, slow lines, errors, ends for each reason, and workers of each slot."""

    __slots__ = ("_durations", "_in_slots", "_recent_errors", "_slow_lines", "counts", "restarts")

    def __init__(self, record: dict[str, Any] | None = None) -> None:
        """`record` is what `hand_over` has returned, perhaps in another version."""
        record = record or {}
        self.counts = {**dict.fromkeys(COUNTED, 0), **record.get("counts", {})}
        self.restarts = {**dict.fromkeys(REASONS, 0), **record.get("restarts", {})}
        # By the number of the slot, as a text: so it is handed over.
        self._in_slots: dict[str, int] = {**record.get("in_slots", {})}
        self._durations: Durations | None = None
        self._slow_lines: SlowLines | None = None
        self._recent_errors: RecentErrors | None = None
        # A version of before has handed over none.
        if durations := record.get("durations"):
            self.durations.add_handed_over(durations)
        if slow_lines := record.get("slow_lines"):
            self.slow_lines.take_over(slow_lines)
        if recent_errors := record.get("recent_errors"):
            self.recent_errors.take_over(recent_errors)

    def hand_over(self) -> dict[str, Any]:
        """Return them as plain values."""
        return {
            "counts": self.counts,
            "restarts": self.restarts,
            "in_slots": self._in_slots,
            "durations": [] if self._durations is None else self._durations.hand_over(),
            "slow_lines": None if self._slow_lines is None else self._slow_lines.hand_over(),
            "recent_errors": [] if self._recent_errors is None else self._recent_errors.hand_over(),
        }

    @property
    def durations(self) -> Durations:
        """How long requests have taken."""
        if self._durations is None:
            # Here, because few servers count that, and each worker would have it.
            from portico.process.durations import Durations

            self._durations = Durations()
        return self._durations

    @property
    def slow_lines(self) -> SlowLines:
        """Where slow calls have stood."""
        if self._slow_lines is None:
            # Here, because most servers have no slow calls, and each worker would have it.
            from portico.process.slow_lines import SlowLines

            self._slow_lines = SlowLines()
        return self._slow_lines

    @property
    def recent_errors(self) -> RecentErrors:
        """Which requests have failed last."""
        if self._recent_errors is None:
            # Here, because most servers have none yet, and each worker would have it.
            from portico.process.recent_errors import RecentErrors

            self._recent_errors = RecentErrors()
        return self._recent_errors

    def add(self, scoreboard: _core.Scoreboard, slot: int) -> None:
        """Add what the worker of `slot` has done, which is about to be cleared."""
        status = scoreboard.read(slot)
        for name in COUNTED:
            self.counts[name] += getattr(status, name)
        self._in_slots[str(slot)] = self.workers_before(slot) + 1
        if rows := scoreboard.durations(slot):
            self.durations.add(rows)
        if self._slow_lines is not None:
            self._slow_lines.worker_gone(slot)

    def workers_before(self, slot: int) -> int:
        """Return how many workers `slot` has had before the one that is there."""
        return self._in_slots.get(str(slot), 0)

    def restarted(self, reason: str) -> None:
        """Note why a worker is replaced."""
        self.restarts[reason] += 1

    def ended(self, worker: WorkerHandle, *, is_for_memory: bool) -> None:
        """Note why `worker`, which has ended, is replaced, unless that was ordered, or is noted already."""
        reason = _reason(worker, is_for_memory=is_for_memory)
        if reason:
            self.restarted(reason)


def _reason(worker: WorkerHandle, *, is_for_memory: bool) -> str:
    if worker.is_overdue:
        return TIMEOUT
    if worker.is_too_large:
        return TOO_LARGE
    if worker.is_spent:
        return SPENT
    if not worker.is_active:
        return ""
    if is_for_memory:
        return MEMORY
    return BOOT if worker.state == BOOTING else DIED
