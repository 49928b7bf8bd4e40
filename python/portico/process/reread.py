"""Reading the configuration anew while serving: one dry run of the command line at a time."""

from __future__ import annotations

import os
import time

from portico import log
from portico.process.loop import Duty
from portico.process.signals import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.process.dry_run import DryRun
    from portico.process.generations import Generations
    from portico.process.loop import Loop
    from portico.process.plan import Plan

# To read a configuration, import what middleware there is a name of, and open sockets.
_PATIENCE_S = 60.0
_INDENT = "\n  "


class Rereading(Duty):
    """The dry run that is on its way, if there is one. What comes of it is given to `take_plan`.

    `asked` is how often the configuration was to be read.
    """

    __slots__ = ("_generations", "_is_due_again", "_loop", "_run", "_take_plan", "asked")

    def __init__(self, loop: Loop, generations: Generations, take_plan: Callable[[Plan, str], None]) -> None:
        self._loop = loop
        self._generations = generations
        self._take_plan = take_plan
        self._run: DryRun | None = None
        self._is_due_again = False
        self.asked = 0

    @property
    def is_on_its_way(self) -> bool:
        """Whether the configuration is being read."""
        return self._run is not None

    def begin(self) -> None:
        """Read the configuration; once more after that if it is being read."""
        self.asked += 1
        self._begin()

    def _begin(self) -> None:
        if self._run is not None:
            self._is_due_again = True
            return
        self._is_due_again = False
        # Here, because few servers ever reload, and each worker would have it.
        from portico.process.dry_run import DryRun

        try:
            run = self._run = DryRun(
                self._generations.current.invocation,
                self._generations.listeners,
                until_s=time.monotonic() + _PATIENCE_S,
            )
        except OSError as error:
            log.error(f"cannot read the configuration anew: {error.strerror}; all stays as it is")
            return
        for fd in run.fds:
            self._loop.watch(fd, lambda _: run.read())

    def look(self, now_s: float) -> None:
        if self._run is not None and now_s >= self._run.until_s:
            log.error(f"reading the configuration anew has taken longer than {_PATIENCE_S:g} s")
            self.stop()

    def due_s(self) -> float | None:
        return None if self._run is None else self._run.until_s

    def ended(self, pid: int) -> bool:
        """Take the outcome if `pid`, which has ended, is the dry run; say whether it is."""
        run = self._run
        if run is None or run.pid != pid:
            return False
        self._run = None
        for fd in run.fds:
            self._loop.forget(fd)
        plan, said = run.end()
        if plan is None:
            why = " it ended without a word"
            if said:
                why = "".join(_INDENT + line.removeprefix("portico: ") for line in said.splitlines())
            log.error(f"the configuration was not taken, all stays as it is:{why}")
        else:
            self._take_plan(plan, said)
        if self._is_due_again:
            self._begin()
        return True

    def close(self) -> None:
        """In a worker: let go of what belongs to the dry run."""
        if self._run is not None:
            for fd in self._run.fds:
                os.close(fd)

    def stop(self) -> None:
        """Have no more of it: what is on its way is ended."""
        self._is_due_again = False
        if self._run is not None:
            self._run.until_s = float("inf")
            os.kill(self._run.pid, signal.SIGKILL)
