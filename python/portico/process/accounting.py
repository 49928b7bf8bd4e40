"""The account of a worker that has ended: the cause, and what is said of its unfinished calls.

Receives a worker that was reaped, before its slot of the scoreboard is cleared. A worker writes a line after
a request has ended; what was running when it died has none yet, and the latest ones may not be written.
"""

from __future__ import annotations

import os

from portico import log
from portico.process.calls import name_of
from portico.process.messages import Quit
from portico.process.signals import signal, signal_name
from portico.process.worker import STANDARD_OUTPUT_FD, open_access_log, shows_colour
from portico.process.worker_handle import KILLED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico import _core
    from portico.process.oom_kills import OomKills
    from portico.process.plan import Plan
    from portico.process.worker_handle import WorkerHandle

OUT_OF_MEMORY = "killed:oom"


class Accounting:
    """What is known of the ends of workers."""

    __slots__ = ("_oom_kills", "_scoreboard")

    def __init__(self, scoreboard: _core.Scoreboard, oom_kills: OomKills) -> None:
        self._scoreboard = scoreboard
        self._oom_kills = oom_kills

    def settle(self, worker: WorkerHandle, exit_code: int, plan: Plan, spans_fd: int = -1) -> str:
        """Count the calls that `worker` has left, and write the access lines that it has; return the cause.

        Spans of its calls go to `spans_fd`, if anywhere.
        """
        cause = self._cause(worker, exit_code)
        self._scoreboard.count_unfinished(worker.slot)
        if not self._scoreboard.has_unwritten(worker.slot):
            return cause
        status = self._scoreboard.read(worker.slot)
        # These are why; the others have only been in the same worker.
        causes = {call.cell: "timeout" for call in status.calls if name_of(call) in worker.given_up}
        fd = open_access_log(plan)
        if fd < 0 and spans_fd < 0:
            return cause
        try:
            self._scoreboard.log_unfinished(
                (worker.slot, worker.pid),
                (fd, spans_fd),
                fd >= 0 and shows_colour(fd),
                plan.settings,
                cause,
                causes,
            )
        except OSError as error:
            log.error(f"cannot write the access lines of {worker}: {error.strerror}")
        finally:
            if fd not in (-1, STANDARD_OUTPUT_FD):
                os.close(fd)
        return cause

    def was_for_memory(self, worker: WorkerHandle, exit_code: int) -> bool:
        """Say whether the kernel has ended `worker`, or a template, for want of memory; asked once."""
        return exit_code == -signal.SIGKILL and worker.state != KILLED and self._oom_kills.take()

    def _cause(self, worker: WorkerHandle, exit_code: int) -> str:
        by = -exit_code
        if self.was_for_memory(worker, exit_code):
            return OUT_OF_MEMORY
        if by > 0 and (by != signal.SIGKILL or worker.state != KILLED):
            return f"killed:{signal_name(by)}"
        if worker.is_overdue:
            return "killed:timeout"
        if worker.is_too_large:
            return "killed:max_rss_hard"
        if worker.is_active:
            return f"ended:{exit_code}"
        return "killed:stop" if worker.order in (None, Quit) else "killed:graceful_timeout"
