"""The service manager's watchdog (WatchdogSec=): fed while workers make progress, or nobody waits for them.

A worker makes progress when it completes requests, begins or goes on with a call, or loads the application.
A call that keeps its client waiting for no longer than its `timeout` is going on: after that the supervisor
replaces the worker itself. So the service is restarted only where that is not enough: where calls have no
`timeout`, or workers neither serve nor end.

    last progress P, limit L:  fed until P + L/2 at most, restarted between P + L and P + 3/2 L
"""

from __future__ import annotations

import time

from portico import log
from portico.process.calls import describe_calls
from portico.process.limits import timeout_s
from portico.process.loop import NEVER_S, Duty
from portico.process.service_manager.completed import Completed
from portico.process.unaccepted import count_unaccepted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico._core import RunningCall, WorkerStatus
    from portico.process.service_manager.notify_socket import NotifySocket
    from portico.process.service_manager.service import Service
    from portico.process.worker_handle import WorkerHandle


class Watchdog(Duty):
    """Feeds a watchdog that bites after `limit_s` without food."""

    __slots__ = (
        *(
            "_completed",
            "_is_silent",
            "_limit_s",
            "_looked_at_s",
            "_next_s",
            "_service",
            "_socket",
            "_well_at_s",
        ),
    )

    def __init__(self, service: Service, socket: NotifySocket, *, limit_s: float) -> None:
        self._service = service
        self._socket = socket
        self._limit_s = limit_s
        self._completed = Completed(service)
        self._looked_at_s = self._well_at_s = time.monotonic()
        self._next_s = 0.0
        self._is_silent = False

    def look(self, now_s: float) -> None:
        if now_s < self._next_s:
            return
        self._next_s = now_s + self._limit_s / 4
        if self._is_well(now_s):
            self._well_at_s = now_s
        if now_s - self._well_at_s <= self._limit_s / 2:
            self._is_silent = False
            self._socket.send("WATCHDOG=1")
        elif not self._is_silent:
            self._is_silent = True
            self._say_why()

    def due_s(self) -> float | None:
        return self._next_s

    def _is_well(self, now_s: float) -> bool:
        elapsed_s, self._looked_at_s = now_s - self._looked_at_s, now_s
        service = self._service
        if self._completed.since_last() or service.booting or service.is_stopping or not service.life.wanted:
            return True
        statuses = [(worker, service.status(worker)) for worker in service.workers]
        return not self._requests_wait(statuses, elapsed_s) or any(
            call.silent_s <= max(elapsed_s, _patience_s(worker, call))
            for worker, status in statuses
            for call in status.calls
        )

    def _requests_wait(self, statuses: list[tuple[WorkerHandle, WorkerStatus]], elapsed_s: float) -> bool:
        """Whether somebody waits to be accepted, or no worker has room for a call more."""
        is_occupied = [
            len(status.calls) >= worker.settings.most_calls or status.waiting_s > elapsed_s
            for worker, status in statuses
            if worker.is_active
        ]
        return (bool(is_occupied) and all(is_occupied)) or count_unaccepted(
            self._service.generations.listeners
        ) > 0

    def _say_why(self) -> None:
        """Leave behind what the workers are doing: they are about to be killed."""
        log.error("no worker makes progress though requests wait: the service manager's watchdog is not fed")
        for worker in self._service.ready:
            doing = describe_calls(self._service.status(worker)).removeprefix(", ")
            log.error(f"{worker}: {doing or 'nothing in flight'}")
            worker.write_stacks()


def _patience_s(worker: WorkerHandle, call: RunningCall) -> float:
    """Return how long `call` may be silent because the supervisor ends it then; 0 if nobody does."""
    limit_s = timeout_s(worker.settings, call)
    return limit_s if limit_s < NEVER_S else 0.0
