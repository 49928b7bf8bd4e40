"""The supervisor's duty towards the admin address: a process serves it while the current plan has one.

Each plan has a process of its own, which has inherited what that says: sockets, the error log, who it is. The
one before finishes what it has, and is killed where it does not; its socket stays open here, so nobody is
turned away. If a process ends by itself another one takes its place, after a moment where that happens again
and again.
"""

from __future__ import annotations

import time

from portico import log
from portico.process.admin.admin_process import AdminProcess
from portico.process.back_off import BackOff
from portico.process.loop import Duty
from portico.process.signals import how_it_ended

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portico.admin import Samples
    from portico.process.admin.sources import Sources
    from portico.process.control.subject import Subject
    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.loop import Loop
    from portico.process.plan import Plan

# One that has lived longer has not ended because it cannot serve.
_STABLE_AFTER_S = 1.0


class AdminAddress(Duty):
    """The process, if there is one, and those before it that still finish something.

    `leave` lets a forked process have nothing of the supervisor but the sockets of the admin address;
    `figures` returns what a process may be told, `subject` what a dashboard is made of, `sources` what a
    process reads by itself.
    """

    what = "admin process"
    # Twice what its engine gives those whose requests it has.
    leaves_within_s = 4.0

    __slots__ = (
        *("_back_off", "_figures", "_generations", "_leave", "_leaving", "_life", "_loop"),
        *("_plan", "_process", "_sources", "_subject"),
    )

    def __init__(
        self,
        loop: Loop,
        generations: Generations,
        life: Life,
        *,
        leave: Callable[[], None],
        figures: Callable[[float], Samples],
        subject: Callable[[], Subject],
        sources: Callable[[], Sources],
    ) -> None:
        self._loop = loop
        self._generations = generations
        self._life = life
        self._leave = leave
        self._figures = figures
        self._subject = subject
        self._sources = sources
        self._process: AdminProcess | None = None
        # With the time by which each is to be gone.
        self._leaving: dict[AdminProcess, float] = {}
        self._back_off = BackOff()
        # That of the process; none for one of before an upgrade.
        self._plan: Plan | None = None

    def look(self, now_s: float) -> None:
        if self._plan is not self._generations.current:
            # A reload has brought another, or was taken back.
            self._plan = self._generations.current
            self.renew()
        self._kill_the_late(now_s)
        for process in self._all:
            process.look(now_s)
        if self._is_missing and now_s >= self._back_off.not_before_s:
            self._start(now_s)

    def due_s(self) -> float | None:
        dues = [due_s for process in self._all if (due_s := process.due_s()) is not None]
        dues += self._leaving.values()
        if self._is_missing:
            dues.append(self._back_off.not_before_s)
        return min(dues, default=None)

    @property
    def _is_missing(self) -> bool:
        is_there = self._process is not None or self._life.is_stopping
        return not is_there and self.is_wanted_by(self._generations.current)

    def is_wanted_by(self, plan: Plan) -> bool:
        """Say whether there is to be one."""
        return bool(plan.admin)

    def renew(self) -> None:
        """Let the process finish; the next look starts another one, if there is to be one."""
        if self._process is not None:
            self._process.leave()
            self._leaving[self._process] = time.monotonic() + self.leaves_within_s
            self._process = None
        self._back_off.end()

    def ended(self, pid: int, exit_code: int, now_s: float) -> bool:
        """Take note if `pid`, which has ended, was one of them; say whether it was."""
        for process in self._all:
            if process.pid == pid:
                process.close()
                if process is self._process:
                    self._process = None
                    self._has_died(process, exit_code, now_s)
                else:
                    del self._leaving[process]
                return True
        return False

    def hand_over(self) -> dict[str, Any] | None:
        """Return what the supervisor in this one's place needs to know of the process, for `take_over`."""
        return None if self._process is None else self._process.hand_over()

    @property
    def fds(self) -> list[int]:
        """The descriptors of what is handed over."""
        return [] if self._process is None else self._process.fds

    def take_over(self, record: dict[str, Any]) -> None:
        """Have the process of the supervisor before: as that of a plan before."""
        self._process = AdminProcess(self._loop, self._figures, self._subject, **record)

    def end(self) -> None:
        """End all of them, with the server; what they have to tell is of no use any more."""
        for process in self._all:
            process.kill()
        self._leaving.clear()
        self._process = None

    def close(self) -> None:
        """In a forked process: let go of what is the supervisor's."""
        for process in self._all:
            process.close()

    @property
    def _all(self) -> list[AdminProcess]:
        return [*self._leaving, *([] if self._process is None else [self._process])]

    def _kill_the_late(self, now_s: float) -> None:
        for process, kill_at_s in [*self._leaving.items()]:
            if now_s >= kill_at_s:
                log.warning(f"the {self.what} of before does not leave: killed")
                process.kill()
                del self._leaving[process]

    def _start(self, now_s: float) -> None:
        try:
            self._process = self._fork(now_s)
        except OSError as error:
            self._back_off.failed(now_s)
            log.error(f"cannot fork the {self.what}: {error.strerror}; {self._back_off.next_try(now_s)}")

    def _fork(self, now_s: float) -> AdminProcess:
        return AdminProcess.start(
            self._loop,
            self._figures,
            self._subject,
            self._generations.current,
            self._sources(),
            self._leave,
            now_s=now_s,
        )

    def _has_died(self, process: AdminProcess, exit_code: int, now_s: float) -> None:
        if now_s >= process.started_at_s + _STABLE_AFTER_S:
            self._back_off.succeeded()
        self._back_off.failed(now_s)
        # At the end it may have had the signal, too.
        if self._life.is_serving and not self._life.has_stop_signal:
            log.error(f"the {self.what} {how_it_ended(exit_code)}; {self._back_off.next_try(now_s)}")
