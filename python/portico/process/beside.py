"""The first things that a process does which the supervisor has forked beside its workers."""

from __future__ import annotations

from portico import _core
from portico.config.identity import are_privileges_given_up
from portico.process.signals import WORKER_SIGNALS, signal
from portico.process.worker import configure_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Plan


def be_beside(plan: Plan, what: str) -> None:
    """Have a name that says `what` it is, the log of `plan`, no signals, and no more privileges than workers.

    A signal of the terminal ends the server, and the supervisor says when this process is to leave.
    """
    _core.name_process(f"portico {what}", f"portico: {what} {plan.name}")
    configure_log(plan.settings)
    for number in WORKER_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if are_privileges_given_up(plan.settings, plan.identity):
        # Here, since few servers give any up.
        from portico.process.privileges import give_up

        # What there is to say of it was said before the start.
        give_up(plan.settings, plan.identity, plan.directory)
