"""The loop's first line, after the exec in `launch`."""

from __future__ import annotations

import os
import sys

from portico.dev.loop import Loop
from portico.dev.options import load_development_plan
from portico.dev.worker import DevelopmentAssignment, run_development_worker


def main(data: bytes) -> None:
    """Run the loop by the plan in `data`; or, in a process that it forked, a worker."""
    development = load_development_plan(data)
    # The application sees the command line that the user typed.
    sys.argv[:] = sys.argv[1:]
    for listener in development.plan.listeners:
        os.set_inheritable(listener.fd, False)
    # A forked worker returns from here, and starts with no frame of the loop below it.
    outcome = Loop(development).run()
    if isinstance(outcome, DevelopmentAssignment):
        run_development_worker(outcome)
    else:
        sys.exit(outcome)
