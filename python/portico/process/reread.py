"""Reading the configuration anew while serving, for a reload or an upgrade: one dry run at a time.

Imported when the first of them begins.
"""

from __future__ import annotations

import os
import time

from portico import log
from portico.errors import OperatorError
from portico.process.dry_run import DryRun
from portico.process.life import UPGRADE
from portico.process.loading import EXIT_LOADED
from portico.process.loop import NEVER_S, Duty
from portico.process.signals import how_it_ended, signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portico.process.generations import Generations
    from portico.process.life import Readings
    from portico.process.loop import Loop
    from portico.process.plan import Plan

# To read a configuration, import what middleware there is a name of, and open sockets.
_PATIENCE_S = 60.0
_INDENT = "\n  "


class Rereading(Duty):
    """The dry run that is on its way, if there is one.

    A plan that comes of it is given to `take_plan`, which says why not if it is not taken; in an upgrade, to
    which belongs what `hand_over` returns, `replace` is given the report, and says why it has come back.
    `readings` is kept true.
    """

    __slots__ = (
        *("_again", "_covered", "_generations", "_hand_over", "_loop", "_patience_s", "_readings"),
        *("_replace", "_run", "_take_plan", "_why_given_up"),
    )

    def __init__(
        self,
        readings: Readings,
        loop: Loop,
        generations: Generations,
        take_plan: Callable[[Plan, str], str],
        *,
        hand_over: Callable[[], dict[str, Any]],
        replace: Callable[[dict[str, Any]], str],
    ) -> None:
        self._readings = readings
        self._loop = loop
        self._generations = generations
        self._take_plan = take_plan
        self._hand_over = hand_over
        self._replace = replace
        self._run: DryRun | None = None
        self._patience_s = _PATIENCE_S
        # What has been asked for meanwhile.
        self._again = ""
        self._covered = 0
        # Of the one on its way, once it was ended from here.
        self._why_given_up = ""

    @property
    def again(self) -> str:
        """What is to be begun once more: RELOAD, UPGRADE, which is a reload too, or nothing."""
        return self._again

    def begin(self, what: str) -> None:
        """Read the configuration; once more after that if it is being read."""
        self._readings.asked += 1
        if self._run is None:
            self._begin(what)
        else:
            self._again = UPGRADE if UPGRADE in (what, self._again) else what

    def _begin(self, what: str) -> None:
        self._again = ""
        self._patience_s, hand_over_fd = _PATIENCE_S, -1
        self._covered = self._readings.asked
        try:
            if what == UPGRADE:
                from portico.process.upgrade import hand_over_file

                hand_over_fd = hand_over_file(self._hand_over())
                # The application is loaded besides.
                self._patience_s += self._generations.current.settings.boot_timeout_s or NEVER_S
            run = self._run = DryRun(
                self._generations.current.invocation,
                *self._generations.lend(),
                until_s=time.monotonic() + self._patience_s,
                hand_over_fd=hand_over_fd,
            )
        except (OSError, OperatorError) as error:
            self._generations.take_back()
            why = error.strerror if isinstance(error, OSError) else error.message
            self._fail(f"cannot read the configuration anew: {why}; all stays as it is")
            return
        finally:
            if hand_over_fd >= 0:
                os.close(hand_over_fd)
        self._readings.is_on_its_way = True
        for fd in run.fds:
            self._loop.watch(fd, lambda _: run.read())

    def look(self, now_s: float) -> None:
        if self._run is not None and now_s >= self._run.until_s:
            why = f"reading the configuration anew has taken longer than {self._patience_s:g} s"
            log.error(f"{why}; all stays as it is")
            self._give_up(self._run, why)

    def due_s(self) -> float | None:
        return None if self._run is None else self._run.until_s

    def ended(self, pid: int, exit_code: int) -> bool:
        """Take the outcome if `pid`, which has ended, is the dry run; say whether it is."""
        run = self._run
        if run is None or run.pid != pid:
            return False
        self._run = None
        self._readings.is_on_its_way = False
        for fd in run.fds:
            self._loop.forget(fd)
        if self._why_given_up:
            run.end_with_report()
            run.give_up()
            self._conclude(self._why_given_up)
            self._why_given_up = ""
        elif run.is_upgrade:
            self._end_upgrade(run, exit_code)
        else:
            self._end_reload(run)
        # Before a next one is lent them.
        self._generations.take_back()
        if self._again:
            self._begin(self._again)
        return True

    def _end_reload(self, run: DryRun) -> None:
        plan, said = run.end()
        if plan is None:
            self._fail(f"the configuration was not taken, all stays as it is:{_indented(said)}")
        else:
            why_not = self._take_plan(plan, said)
            if why_not:
                run.give_up()
            self._conclude(why_not)

    def _end_upgrade(self, run: DryRun, exit_code: int) -> None:
        report, said = run.end_with_report()
        if report is not None and report["program"] and exit_code == EXIT_LOADED:
            # Comes back only from what has failed.
            said = self._replace(report)
        elif not said:
            said = f"the command line {how_it_ended(exit_code)} without a word"
        run.give_up()
        self._fail(f"the upgrade was not made, all stays as it is:{_indented(said)}")

    def _fail(self, sentence: str) -> None:
        log.error(sentence)
        self._conclude(sentence)

    def _conclude(self, failure: str) -> None:
        self._readings.done = self._covered
        self._readings.failure = failure

    def close(self) -> None:
        """In a worker: let go of what belongs to the dry run."""
        if self._run is not None:
            self._run.close()

    def stop(self, why: str) -> None:
        """Have no more of it, as `why` says: what is on its way is ended."""
        self._again = ""
        if self._run is not None:
            self._give_up(self._run, why)

    def _give_up(self, run: DryRun, why: str) -> None:
        self._why_given_up = why
        run.until_s = NEVER_S
        os.kill(run.pid, signal.SIGKILL)


def _indented(said: str) -> str:
    lines = said.splitlines()
    return "".join(_INDENT + line.removeprefix("portico: ") for line in lines) or " it ended without a word"
