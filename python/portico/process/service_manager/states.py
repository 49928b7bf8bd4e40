"""Where the service is in its life, as states of sd_notify(3), and a line of figures for people.

    LOADING --first workers ready--> SERVING <--reload, its end--> RELOADING
    (all) --told to stop--> STOPPING

READY=1 says that SERVING begins, also after a reload, whatever has come of that. In the other three the
limits of the service manager (TimeoutStartSec=, TimeoutStopSec=) are moved on while portico's own run.
"""

from __future__ import annotations

import time

from portico.process.loop import NEVER_S, Duty
from portico.process.service_manager.completed import Completed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.service_manager.notify_socket import NotifySocket
    from portico.process.service_manager.service import Service

LOADING, SERVING, RELOADING, STOPPING = "loading", "serving", "reloading", "stopping"
# Between two looks at the figures, and two extensions of the service manager's limits.
_TICK_S = 5.0
# What it is asked to wait from now on: longer than until it is asked again.
_EXTENSION_S = 15.0


class States(Duty):
    """Tells of each state when it begins, and the figures when they have changed."""

    __slots__ = (
        *("_asked", "_began_s", "_completed", "_is_empty", "_looked_at_s", "_next_s", "_rate"),
        *("_service", "_socket", "_state", "_status"),
    )

    def __init__(self, service: Service, socket: NotifySocket) -> None:
        self._service = service
        self._socket = socket
        self._completed = Completed(service)
        self._state = LOADING
        self._began_s = self._looked_at_s = time.monotonic()
        self._next_s = 0.0
        # How often a reload had been asked for when it was last said that one has begun.
        self._asked = service.life.readings.asked
        self._rate = 0.0
        self._status = ""
        # Whether there are no workers, so that nothing changes before something happens.
        self._is_empty = False

    def look(self, now_s: float) -> None:
        service = self._service
        if service.is_stopping:
            if self._state != STOPPING:
                self._begin(STOPPING, now_s, "STOPPING=1")
        elif service.life.is_announced:
            asked_before, self._asked = self._asked, service.life.readings.asked
            is_new = service.is_reloading and self._state != RELOADING
            if is_new or self._asked != asked_before:
                # Also of one that was asked for during another: systemd waits for what comes after its order.
                now_usec = time.monotonic_ns() // 1000
                self._begin(RELOADING, now_s, "RELOADING=1", f"MONOTONIC_USEC={now_usec}")
            if self._state != SERVING and not service.is_reloading:
                self._begin(SERVING, now_s, "READY=1")
        if now_s >= self._next_s:
            self._look_at_figures(now_s)
            self._tell(now_s)

    def due_s(self) -> float | None:
        return NEVER_S if self._is_empty else self._next_s

    def _begin(self, state: str, now_s: float, *assignments: str) -> None:
        self._state = state
        self._began_s = now_s
        self._tell(now_s, *assignments)

    def _look_at_figures(self, now_s: float) -> None:
        elapsed_s, self._looked_at_s = now_s - self._looked_at_s, now_s
        self._rate = self._completed.since_last() / max(elapsed_s, 0.001)
        self._is_empty = self._state == SERVING and not self._service.workers

    def _tell(self, now_s: float, *assignments: str) -> None:
        """Tell `assignments` and what else there is to tell, if anything."""
        self._next_s = now_s + _TICK_S
        message = list(assignments)
        status = self._status_line()
        if status != self._status:
            self._status = status
            message.append(f"STATUS={status}")
        if self._may_extend(now_s):
            message.append(f"EXTEND_TIMEOUT_USEC={_EXTENSION_S * 1e6:.0f}")
        if message:
            self._socket.send(*message)

    def _may_extend(self, now_s: float) -> bool:
        """Whether a limit of portico's own runs, so that the service manager's need not."""
        if self._state == STOPPING:
            return True
        limit_s = self._service.generations.current.settings.boot_timeout_s
        if self._state == SERVING or not limit_s:
            return False
        # The first worker may be waited for before the others start, and no more than that.
        return self._state == RELOADING or now_s < self._began_s + 2 * limit_s

    def _status_line(self) -> str:
        service = self._service
        ready = len(service.ready)
        if self._state == LOADING:
            return f"loading the application, {ready} of {_number(service.life.wanted, 'worker')} ready"
        running = sum(len(service.status(worker).calls) for worker in service.workers)
        in_flight = f"{_number(running, 'request')} in flight"
        if self._state == STOPPING:
            return f"stopping, {_number(len(service.workers), 'worker')} left, {in_flight}"
        rate = f"{self._rate:.0f}" if self._rate >= 10 or not self._rate else f"{self._rate:.1f}"
        reloading = "reloading, " if self._state == RELOADING else ""
        return f"{reloading}{_number(ready, 'worker')}, {in_flight}, {rate} requests/s"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
