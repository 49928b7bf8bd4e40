"""What all workers say of the members of their upstreams, asked once; the supervisor waits for nobody."""

from __future__ import annotations

import time

from portico.process.messages import Report
from portico.process.worker_handle import KILLED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portico.process.worker_handle import WorkerHandle

# A worker's engine tells at once, whatever its application does: one that does not is stopped, or ends.
PATIENCE_S = 2.0
_FIELDS = 8


class MemberReport:
    """What one worker says of one member.

    `of` is the name that has its address, or empty; `state` is up, down (by its health checks), ejected,
    draining, or leaving: it is none any more, and still has requests.
    """

    __slots__ = ("failures", "in_flight", "member", "of", "requests", "state", "upstream", "weight")

    def __init__(self, fields: list[str]) -> None:
        self.upstream, self.member, self.of, self.state = fields[:4]
        self.weight, self.in_flight, self.requests, self.failures = map(int, fields[4:])

    def is_about(self, upstream: str, member: str) -> bool:
        """Say whether it is about `member`, or an address of that."""
        return self.upstream == upstream and member in (self.member, self.of)


class Survey:
    """One question to all of `workers` that serve."""

    __slots__ = ("_asked", "_until_s")

    def __init__(self, workers: Iterable[WorkerHandle]) -> None:
        self._until_s = time.monotonic() + PATIENCE_S
        self._asked = [
            (worker, worker.ask(Report)) for worker in workers if worker.ready_at_s and worker.state != KILLED
        ]

    @property
    def has_ended(self) -> bool:
        """Whether all have told, or nobody is waited for any longer."""
        return not self.unheard or time.monotonic() >= self._until_s

    @property
    def unheard(self) -> list[WorkerHandle]:
        """The workers that are there, and have not told."""
        return [
            worker
            for worker, number in self._asked
            if worker.message_fd >= 0 and (worker.reply is None or worker.reply.number < number)
        ]

    def reports(self) -> Iterator[MemberReport]:
        """Yield what was told."""
        for worker, number in self._asked:
            if worker.reply is not None and worker.reply.number >= number:
                fields = worker.reply.text.split("\0")[:-1]
                for start in range(0, len(fields) - _FIELDS + 1, _FIELDS):
                    yield MemberReport(fields[start : start + _FIELDS])
