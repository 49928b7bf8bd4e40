"""The supervisor's first line, after the exec in `launch`: `python -m portico.process FD [ARGV...]`.

Everything that is imported here is in the memory of every worker: no click, no typing, no logging, no socket.
"""

from __future__ import annotations

import os
import sys

from portico.process.plan import load_plan
from portico.process.supervisor import Supervisor
from portico.process.worker import Assignment, run_worker


def main() -> None:
    """Run the supervisor; or, in a process that it forked, a worker."""
    with open(int(sys.argv[1]), "rb") as file:
        plan = load_plan(file.read())
    # The application sees the command line that the user typed.
    sys.argv[:] = sys.argv[2:] or ["portico"]
    for listener in plan.listeners:
        os.set_inheritable(listener.fd, False)
    # A forked worker returns from here instead of starting below the supervisor's frames, and shares no
    # stack with it.
    outcome = Supervisor(plan).run()
    if isinstance(outcome, Assignment):
        run_worker(outcome)
    else:
        sys.exit(outcome)


if __name__ == "__main__":
    main()
