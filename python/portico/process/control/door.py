"""Where clients of the control socket come in: all that the supervisor has of it until one does."""

from __future__ import annotations

import os

from portico import log
from portico.process.loop import Duty

# Settings that a reload cannot change.
_FOR_A_START = ("control", "pid_file")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.control.clients import Clients
    from portico.process.control.subject import Subject
    from portico.process.loop import Loop
    from portico.process.plan import Plan


class Door(Duty):
    """The control socket of `plan`, if it has one, and the clients that have come."""

    __slots__ = ("_clients", "_listeners", "_loop", "_pid_file", "_subject")

    def __init__(self, loop: Loop, plan: Plan, subject: Subject) -> None:
        self._loop = loop
        self._subject = subject
        self._listeners = plan.control
        self._pid_file = plan.pid_file
        self._clients: Clients | None = None
        for listener in self._listeners:
            loop.watch(listener.fd, self._knock)

    def look(self, now_s: float) -> None:
        if self._clients is not None:
            self._clients.look(now_s)

    def due_s(self) -> float | None:
        return None if self._clients is None else self._clients.due_s()

    def take_plan(self, plan: Plan, before: Plan) -> None:
        """Hand on to `plan`, of a reload, what stays as it was at the start."""
        for name in _FOR_A_START:
            if plan.settings.values[name] != before.settings.values[name]:
                log.warning(f"{name} takes a restart; it stays as it is")
                plan.settings.values[name] = before.settings.values[name]
                plan.settings.origins[name] = before.settings.origins[name]
        plan.control, plan.pid_file = before.control, before.pid_file

    def close(self) -> None:
        """In a worker: let go of what is the supervisor's."""
        for listener in self._listeners:
            os.close(listener.fd)
        if self._clients is not None:
            self._clients.close()

    def end(self) -> None:
        """Remove what tells others of this server. Clients that are there see the end of the process."""
        for listener in self._listeners:
            self._loop.forget(listener.fd)
            listener.close()
        self._listeners.clear()
        if self._pid_file:
            # At the end only.
            from portico.process.pid_file import remove_pid_file

            remove_pid_file(self._pid_file)

    def _knock(self, now_s: float) -> None:
        if self._clients is None:
            # Not before: most workers are forked by then, and need none of it.
            from portico.process.control.clients import Clients

            self._clients = Clients(self._loop, self._listeners[0].fd, self._subject)
        self._clients.accept(now_s)
