"""What new workers are made by, and what to go back to: the plans of a reload.

    confirmed     the plan of workers that serve, or did when it was taken
    current       what the next worker is forked by; the same, until a reload has had its first success

A plan is taken by making this process what it would be had it been started by it: variables, import path,
log, title, limits. Workers inherit that. Sockets are given up only when the plan that lacks them is
confirmed, so that one which fails has closed nothing.

Each socket has one owner, who alone closes it. Those of the plans are owned here, and stay open for a dry run
as well, which may keep them in the plan that it makes, until it has ended; at the end of the server all are
closed at once, and such a plan is dropped. What a dry run has opened is its own until its plan is taken.
"""

from __future__ import annotations

import os
import sys

from portico import _core, log
from portico.process.listeners import close_all_but, each_once
from portico.process.standard_streams import write_errors_to
from portico.process.worker import configure_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portico.config.settings import Settings
    from portico.process.plan import Listener, Plan
    from portico.process.predecessor import Predecessor


class Generations:
    """The plans, and the number of the current one.

    `failed` is the number of the last one that could not be served by, and `failure` is why.
    """

    __slots__ = ("_confirmed", "_lent", "current", "failed", "failure", "number")

    def __init__(self, plan: Plan, before: Predecessor | None = None) -> None:
        self.current = plan
        self._confirmed = before.plan if before else plan
        # What a dry run may keep, which the plan of an upgrade comes of, too: for clients, and of the admin.
        self._lent: tuple[list[Listener], list[Listener]] = (
            (before.listeners, before.admin) if before else ([], [])
        )
        self.number = before.generation + 1 if before else 0
        self.failed = -1
        self.failure = ""

    @property
    def confirmed(self) -> Plan:
        """What there is to go back to."""
        return self._confirmed

    @property
    def listeners(self) -> list[Listener]:
        """All sockets for clients that are open."""
        return each_once([*self.current.listeners, *self._confirmed.listeners, *self._lent[0]])

    @property
    def admin(self) -> list[Listener]:
        """All sockets of admin addresses that are open."""
        return each_once([*self.current.admin, *self._confirmed.admin, *self._lent[1]])

    @property
    def sockets(self) -> list[Listener]:
        """Both."""
        return [*self.listeners, *self.admin]

    def lend(self) -> tuple[list[Listener], list[Listener]]:
        """Return all sockets, for a dry run: until `take_back` none of them is closed but by the end."""
        self._lent = self.listeners, self.admin
        return self._lent

    def take_back(self) -> None:
        """The dry run is over, and its plan taken or not: give up what no plan asks for any longer."""
        lent, self._lent = self._lent, ([], [])
        self._give_up_aloud([*lent[0], *lent[1]])

    def take(self, plan: Plan) -> None:
        """Let workers be made by `plan` from now on."""
        unconfirmed, self.current = self.current, plan
        self.number += 1
        close_all_but(unconfirmed.sockets, self.sockets)
        _become(plan, before=unconfirmed)

    def renew(self) -> int:
        """Let workers be made by the same plan, but of something newer; returns their number."""
        self.number += 1
        return self.number

    def take_over(self, before: Settings) -> None:
        """Be, after an upgrade, what the plan asks for beyond what the exec has made of this process."""
        self.take_back()
        self.open_error_log()
        _become_in_system(self.current.settings, before)

    def confirm(self) -> None:
        """A worker of the current plan serves: give up what only the plan before has asked for."""
        before, self._confirmed = self._confirmed, self.current
        self._give_up_aloud(before.sockets)

    def _give_up_aloud(self, listeners: list[Listener]) -> None:
        for listener in close_all_but(listeners, self.sockets):
            log.info(f"no longer listening on {listener.display}")

    def go_back(self, why: str) -> None:
        """The current plan cannot be served by: workers are made by the confirmed one again."""
        self.failed, self.failure = self.number, why
        failed, self.current = self.current, self._confirmed
        close_all_but(failed.sockets, self.sockets)
        _become(self.current, before=failed)

    def keep_only(self, kept: Iterable[Listener]) -> None:
        """In a forked process: let go of all sockets but those that it serves."""
        fds = {listener.fd for listener in kept}
        for listener in self.sockets:
            if listener.fd not in fds:
                os.close(listener.fd)

    def close_listeners(self) -> None:
        """Close all sockets for clients, at the end."""
        for listener in self.listeners:
            listener.leave()
        for listeners in (self.current.listeners, self._confirmed.listeners, self._lent[0]):
            listeners.clear()

    def close_admin(self) -> None:
        """Close all sockets of admin addresses, at the very end."""
        for listener in self.admin:
            listener.leave()
        for listeners in (self.current.admin, self._confirmed.admin, self._lent[1]):
            listeners.clear()

    def open_error_log(self) -> None:
        """Open the file of the error log anew: it may have been moved away. Workers inherit it."""
        settings = self.current.settings
        if settings.error_log == "-":
            return
        path = os.path.join(self.current.directory, settings.error_log)
        try:
            write_errors_to(path)
        except OSError as error:
            log.error(f"cannot write the error log {path}: {error.strerror}; going on with the one of before")


def _become(plan: Plan, *, before: Plan) -> None:
    """Make this process what it would be had it been started by `plan`, and not by `before`."""
    variables, variables_before = (
        each.invocation.variables(dict(each.settings.env)) for each in (plan, before)
    )
    for name in variables_before.keys() - variables.keys():
        os.environ.pop(name, None)
    for name, value in variables.items():
        if variables_before.get(name) != value:
            os.environ[name] = value
    sys.path[:] = plan.import_path
    plan.take_umask()
    _core.name_process("portico", f"portico: supervisor {plan.name}")
    configure_log(plan.settings)
    _become_in_system(plan.settings, before.settings)
    _core.give_back_memory()


def _become_in_system(settings: Settings, before: Settings) -> None:
    """Have what `settings` want of the system, and `before` did not."""
    if settings.error_log == "-" != before.error_log:
        log.warning("error_log: standard error cannot be had back without a restart; the file stays in use")
    if settings.max_connections != before.max_connections:
        from portico.process.descriptor_limit import raise_descriptor_limit

        if warning := raise_descriptor_limit(settings):
            log.warning(warning)
