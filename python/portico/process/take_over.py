"""An upgrade, as the supervisor sees it that takes the place of another: its first line after the exec.

Receives the record that the one before has made (`upgrade.py`), with the plan that this version has made of
the command line in a dry run. There it was called for a trial as well: then it reads the record, loads the
application as `portico check` does, and ends, so that nothing is tried for the first time after the exec.
"""

from __future__ import annotations

import os

from portico.process.__main__ import supervise
from portico.process.dry_run import renumber
from portico.process.plan import load_listeners, load_plan
from portico.process.predecessor import Predecessor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main(record: dict[str, Any]) -> None:
    """Take over what `record` tells of; or, in a trial, see whether that would do."""
    plan = load_plan(record["plan"])
    renumber(plan.sockets, record["numbers"])
    plan.control, plan.pid_file = load_listeners(record["control"]), record["pid_file"]
    before = Predecessor(record, plan)
    if record["is_trial"]:
        from portico.process.trial import load_or_exit

        load_or_exit(plan.directory, plan.settings, plan.identity)
    for fd in before.fds:
        os.set_inheritable(fd, False)
    supervise(plan, before)
