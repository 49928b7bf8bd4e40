"""The supervisor's duty towards a StatsD receiver: a process pushes to it while the current plan has one.

Each plan has a process of its own, which has inherited what that says. The one before pushes a last time
first, so that no two send the same: what the receiver has had is in a file that the next one goes on from
(`kept.py`). At the end of the server it pushes once more, when all workers have left.
"""

from __future__ import annotations

import os

from portico import _core, log
from portico.process.admin.admin_process import AdminProcess
from portico.process.back_off import BackOff
from portico.process.loop import Duty
from portico.process.signals import how_it_ended
from portico.process.statsd.kept import open_kept
from portico.process.tracebacks import traceback_of
from portico.process.ways import Ways
from portico.process.worker import LOG_PATIENCE_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from portico.admin import Samples
    from portico.process.control.subject import Subject
    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.loop import Loop
    from portico.process.plan import Plan

# One that has lived longer has not ended because it cannot push.
_STABLE_AFTER_S = 1.0
# For the last push, of which a receiver that reads slowly may take one.
_LEAVES_WITHIN_S = 4.0


class StatsdPushes(Duty):
    """The process, if there is one. `leave` lets a forked process have nothing of the supervisor.

    `figures` returns what the process may be told; `subject` it never asks for.
    """

    __slots__ = (
        *(
            "_back_off",
            "_figures",
            "_generations",
            "_is_from_start",
            "_is_last",
            "_kept_fd",
            "_kill_at_s",
            "_leave",
        ),
        *("_life", "_loop", "_place", "_plan", "_process", "_scoreboard", "_subject"),
    )

    def __init__(
        self,
        loop: Loop,
        generations: Generations,
        life: Life,
        scoreboard: _core.Scoreboard,
        *,
        leave: Callable[[], None],
        figures: Callable[[float], Samples],
        subject: Callable[[], Subject],
    ) -> None:
        self._loop = loop
        self._generations = generations
        self._life = life
        self._scoreboard = scoreboard
        self._leave = leave
        self._figures = figures
        self._subject = subject
        self._process: AdminProcess | None = None
        # Whether it is the one that pushes once all workers have left.
        self._is_last = False
        # When the process is to be gone, once it was told to leave.
        self._kill_at_s: float | None = None
        self._kept_fd = -1
        # One that a reload has brought is owed nothing of before.
        self._is_from_start = not life.is_announced
        self._back_off = BackOff()
        # That of the process; none for one of before an upgrade.
        self._plan: Plan | None = None
        # Where to metrics are pushed, as it was logged.
        self._place = ""

    def look(self, now_s: float) -> None:
        if self._plan is not self._generations.current:
            # A reload has brought another, or was taken back.
            self._plan = self._generations.current
            self.renew(now_s)
        self._kill_the_late(now_s)
        if self._process is not None:
            self._process.look(now_s)
        if self._process is None and not self._is_wanted and not self._life.is_stopping:
            self._forget_receiver()
        if self._is_missing and now_s >= self._back_off.not_before_s:
            self._start(now_s)

    def due_s(self) -> float | None:
        if self._process is None:
            return self._back_off.not_before_s if self._is_missing else None
        dues = [due_s for due_s in (self._kill_at_s, self._process.due_s()) if due_s is not None]
        return min(dues, default=None)

    @property
    def _is_wanted(self) -> bool:
        return self._generations.current.settings.statsd != "off"

    @property
    def _is_missing(self) -> bool:
        return self._process is None and self._is_wanted and not self._life.is_stopping

    def renew(self, now_s: float) -> None:
        """Let the process push a last time; another one follows it, if there is to be one."""
        self._dismiss(now_s)
        self._back_off.end()

    def may_end(self, now_s: float) -> bool:
        """Say whether all was pushed, when nothing is counted any more; begin with that if need be."""
        if self._process is None:
            if self._is_last or not self._is_wanted:
                return True
            # It has ended just now, by whatever, and before all was counted.
            self._start(now_s)
            if self._process is None:
                return True
        if self._kill_at_s is None:
            self._is_last = True
            self._dismiss(now_s)
        self._kill_the_late(now_s)
        return self._process is None

    def ended(self, pid: int, exit_code: int, now_s: float) -> bool:
        """Take note if `pid`, which has ended, was it; say whether it was."""
        process = self._process
        if process is None or process.pid != pid:
            return False
        process.close()
        self._process = None
        if self._kill_at_s is None:
            self._has_died(process, exit_code, now_s)
        self._kill_at_s = None
        return True

    def hand_over(self) -> dict[str, Any] | None:
        """Return what the supervisor in this one's place needs to know, for `take_over`."""
        if self._kept_fd < 0:
            return None
        process = None if self._process is None else self._process.hand_over()
        return {"kept_fd": self._kept_fd, "process": process}

    @property
    def fds(self) -> list[int]:
        """The descriptors of what is handed over."""
        process_fds = [] if self._process is None else self._process.fds
        return [*process_fds, *([self._kept_fd] if self._kept_fd >= 0 else [])]

    def take_over(self, record: dict[str, Any]) -> None:
        """Have the process of the supervisor before: as that of a plan before."""
        self._kept_fd = record["kept_fd"]
        if record["process"] is not None:
            self._process = AdminProcess(self._loop, self._figures, self._subject, **record["process"])

    def close(self) -> None:
        """In a forked process: let go of what is the supervisor's."""
        if self._process is not None:
            self._process.close()
        if self._kept_fd >= 0:
            os.close(self._kept_fd)
            self._kept_fd = -1

    def _dismiss(self, now_s: float) -> None:
        if self._process is not None and self._kill_at_s is None:
            self._process.leave()
            self._kill_at_s = now_s + _LEAVES_WITHIN_S

    def _kill_the_late(self, now_s: float) -> None:
        if self._process is not None and self._kill_at_s is not None and now_s >= self._kill_at_s:
            log.warning("the statsd process does not leave: killed, without a last push")
            self._process.kill()
            self._process = None
            self._kill_at_s = None

    def _forget_receiver(self) -> None:
        """There is none by this plan: what one that comes later has had begins anew, then."""
        self._is_from_start, self._place = False, ""
        if self._kept_fd >= 0:
            os.close(self._kept_fd)
            self._kept_fd = -1

    def _start(self, now_s: float) -> None:
        try:
            if self._kept_fd < 0:
                self._kept_fd = open_kept()
            ways = Ways(_core.socket_pair, _core.socket_pair)
            pid = ways.fork()
        except OSError as error:
            self._back_off.failed(now_s)
            log.error(f"cannot fork the statsd process: {error.strerror}; {self._back_off.next_try(now_s)}")
            return
        line_fd, figures_fd = ways.ends
        if pid == 0:
            self._be_pushing(line_fd, figures_fd)
        settings = self._generations.current.settings
        if settings.statsd != self._place:
            self._place = settings.statsd
            log.info(f"metrics are pushed to {self._place} every {settings.statsd_interval_s:g} s (StatsD)")
        self._process = AdminProcess(
            self._loop,
            self._figures,
            self._subject,
            pid=pid,
            line_fd=line_fd,
            figures_fd=figures_fd,
            started_at_s=now_s,
        )

    def _be_pushing(self, line_fd: int, figures_fd: int) -> NoReturn:
        """In the forked process: push until the supervisor says otherwise, or is gone."""
        supervisor_pid = os.getppid()
        plan = self._generations.current
        # It is open in the supervisor only once this process has let go of that.
        kept_fd, self._kept_fd = self._kept_fd, -1
        try:
            self._leave()
            # Here, since it is nobody else's.
            from portico.process.statsd.pushing import push_metrics

            push_metrics(
                plan,
                self._scoreboard,
                supervisor_fd=line_fd,
                figures_fd=figures_fd,
                kept_fd=kept_fd,
                supervisor_pid=supervisor_pid,
                is_from_start=self._is_from_start,
            )
        except BaseException as error:
            log.error(f"the statsd process cannot push\n{traceback_of(error, hide_loader=False)}")
        finally:
            _core.flush_log(LOG_PATIENCE_S)
            os._exit(1)

    def _has_died(self, process: AdminProcess, exit_code: int, now_s: float) -> None:
        if now_s >= process.started_at_s + _STABLE_AFTER_S:
            self._back_off.succeeded()
        self._back_off.failed(now_s)
        # At the end it may have had the signal, too.
        if self._life.is_serving and not self._life.has_stop_signal:
            log.error(f"the statsd process {how_it_ended(exit_code)}; {self._back_off.next_try(now_s)}")
