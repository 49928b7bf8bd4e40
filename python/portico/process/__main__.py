"""The supervisor's first line, after the exec in `launch`.

Everything that is imported here is in the memory of every worker: no click, no typing, no logging, no socket.
"""

from __future__ import annotations

import os
import sys

from portico import log
from portico.errors import EXIT_USAGE
from portico.process.plan import load_plan
from portico.process.supervisor import Supervisor
from portico.process.worker import Assignment, run_worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Plan
    from portico.process.predecessor import Predecessor


def main(data: bytes) -> None:
    """Run the supervisor by the plan in `data`; or, in a process that it forked, a worker or template."""
    supervise(load_plan(data))


def supervise(plan: Plan, before: Predecessor | None = None) -> None:
    """Run the supervisor by `plan`, in the place of the one `before` if there was one."""
    # The application sees the command line that the user typed.
    sys.argv[:] = sys.argv[1:]
    for listener in (*plan.sockets, *plan.control):
        os.set_inheritable(listener.fd, False)
    if plan.settings.pool is not None and "line_fd" in plan.settings.pool:
        os.set_inheritable(plan.settings.pool["line_fd"], False)
    # A forked worker returns from here instead of starting below the supervisor's frames, and shares no
    # stack with it. It keeps the supervisor's objects: to free them would write to the pages that it shares.
    supervisor = Supervisor(plan, before)
    outcome = supervisor.run()
    if isinstance(outcome, Assignment):
        if outcome.is_template:
            # Here, because few servers preload, and each worker would have it.
            from portico.process.template import run_template

            run_template(outcome)
        run_worker(outcome)
    else:
        sys.exit(outcome)


if __name__ == "__main__":
    log.say("portico.process is the supervisor, which the command line starts: `python -m portico run APP`")
    sys.exit(EXIT_USAGE)
