"""What others see of the server, as far as that takes processes of its own: the admin address, those that
push to StatsD and to a collector, the handlers of Python's logging; and the directory of prometheus_client.

Each is there from the first plan on that wants it. What it takes is imported then: few servers have any, and
in every worker it would be memory for nothing.
"""

from __future__ import annotations

import time

from portico.process.duties import OnDemand
from portico.process.life import KILLING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from portico import _core
    from portico.process.admin.address import AdminAddress
    from portico.process.admin.sources import Sources
    from portico.process.control.subject import Subject
    from portico.process.figures import Figures
    from portico.process.generations import Generations
    from portico.process.life import Life
    from portico.process.loop import Duty, Loop
    from portico.process.metric_files import MetricFiles
    from portico.process.otlp.exporter import Exporter
    from portico.process.plan import Plan
    from portico.process.predecessor import Predecessor
    from portico.process.python_logging.log_process import LogProcess
    from portico.process.statsd.pushes import StatsdPushes
    from portico.process.totals import Totals
    from portico.process.worker_set import WorkerSet


class Observers:
    """Those that there are.

    `leave` is called in each forked process, `leave_to_admin` in the one that keeps the admin address;
    `subject` returns what may be asked for.
    """

    __slots__ = (
        *("_admin", "_exporter", "_figures", "_generations", "_leave", "_leave_to_admin", "_life"),
        *("_log_process", "_loop", "_metric_files", "_scoreboard", "_statsd", "_subject", "_totals"),
        "_worker_set",
    )

    def __init__(
        self,
        loop: Loop,
        generations: Generations,
        life: Life,
        worker_set: WorkerSet,
        scoreboard: _core.Scoreboard,
        totals: Totals,
        *,
        leave: Callable[[], None],
        leave_to_admin: Callable[[], None],
        subject: Callable[[], Subject],
    ) -> None:
        self._loop = loop
        self._generations = generations
        self._life = life
        self._worker_set = worker_set
        self._scoreboard = scoreboard
        self._totals = totals
        self._leave = leave
        self._leave_to_admin = leave_to_admin
        self._subject = subject
        self._admin: AdminAddress | None = None
        self._statsd: StatsdPushes | None = None
        self._exporter: Exporter | None = None
        self._log_process: LogProcess | None = None
        self._metric_files: MetricFiles | None = None
        # From when somebody first asks for them, here or over the control socket.
        self._figures: Figures | None = None

    @property
    def duties(self) -> list[Duty]:
        """What the supervisor has to look after."""
        return [
            OnDemand(lambda: self._admin is not None or bool(self._plan.admin), self._have_admin),
            OnDemand(
                lambda: self._statsd is not None or self._plan.settings.statsd != "off", self._have_statsd
            ),
            OnDemand(
                lambda: self._exporter is not None or self._plan.settings.otlp != "off", self._have_exporter
            ),
            OnDemand(lambda: bool(self._plan.settings.logconfig), self._have_log_process),
        ]

    @property
    def _plan(self) -> Plan:
        return self._generations.current

    # -- what there is

    def figures(self) -> Figures:
        """Return what is counted, for those who ask."""
        if self._figures is None:
            from portico.process.figures import Figures

            self._figures = Figures(self._generations, self._worker_set, self._scoreboard, self._totals)
        return self._figures

    @property
    def spans_fd(self) -> int:
        """Where workers write what becomes spans; -1 if nobody reads it."""
        return -1 if self._exporter is None or self._plan.settings.otlp == "off" else self._exporter.write_fd

    @property
    def metrics_directory(self) -> str:
        """Where prometheus_client counts; empty if that is nowhere, or somebody else's."""
        return self._metric_files.directory if self._metric_files else ""

    def use_metric_files(self) -> None:
        """In a worker: have prometheus_client count there."""
        if self._metric_files is not None:
            self._metric_files.use_for(self._plan)

    def _sources(self) -> Sources:
        from portico.process.admin.sources import Sources

        return Sources(self._scoreboard, self.metrics_directory)

    def _have_admin(self) -> AdminAddress:
        if self._admin is None:
            from portico.process.admin.address import AdminAddress

            self._admin = AdminAddress(
                self._loop,
                self._generations,
                self._life,
                leave=self._leave_to_admin,
                figures=self.figures().now,
                subject=self._subject,
                sources=self._sources,
            )
        return self._admin

    def _have_statsd(self) -> StatsdPushes:
        if self._statsd is None:
            from portico.process.statsd.pushes import StatsdPushes

            self._statsd = StatsdPushes(
                self._loop,
                self._generations,
                self._life,
                self._scoreboard,
                leave=self._leave,
                figures=self.figures().now,
                subject=self._subject,
            )
        return self._statsd

    def _have_exporter(self, spans_fds: tuple[int, int] | None = None) -> Exporter:
        """Return it; `spans_fds` are those of a supervisor before an upgrade."""
        if self._exporter is None:
            from portico.process.otlp.exporter import Exporter

            self._exporter = Exporter(
                self._loop,
                self._generations,
                self._life,
                leave=self._leave,
                figures=self.figures().now,
                subject=self._subject,
                sources=self._sources,
                spans_fds=spans_fds,
            )
        return self._exporter

    def _have_log_process(self) -> LogProcess:
        if self._log_process is None:
            from portico.process.python_logging.log_process import LogProcess

            self._log_process = LogProcess(self._generations, self._leave)
        return self._log_process

    # -- their life

    def open_log(self) -> None:
        """Have a process for what is logged, if the plan wants one: before there is anything to say."""
        if self._plan.settings.logconfig or self._log_process is not None:
            self._have_log_process().look(time.monotonic())

    def prepare_metric_files(self, *, is_upgraded: bool = False) -> None:
        """Have a directory for prometheus_client, if the plan wants that and nobody else sees to it."""
        if self._plan.has_metrics and self._plan.settings.prometheus_client:
            from portico.process.metric_files import prepared

            self._metric_files = prepared(self._metric_files, self._plan, is_upgraded=is_upgraded)

    def renew(self) -> None:
        """Have those that show or send something replaced, as their log is another one."""
        for each in (self._admin, self._exporter):
            if each is not None:
                each.renew()
        if self._statsd is not None:
            self._statsd.renew(time.monotonic())

    def reopen(self) -> None:
        """Have the files of logs opened anew."""
        if self._log_process is not None:
            self._log_process.reopen()
        self.renew()

    def ended(self, pid: int, exit_code: int) -> bool:
        """Take note if `pid`, which has ended, was one of them; say whether it was."""
        for each in (self._admin, self._statsd, self._exporter):
            if each is not None and each.ended(pid, exit_code, time.monotonic()):
                return True
        return self._log_process is not None and self._log_process.ended(pid)

    def any_ended(self, pid: int) -> None:
        """Take note of the end of whatever process."""
        if self._metric_files is not None:
            self._metric_files.ended(pid)

    def may_end(self, now_s: float) -> bool:
        """Say whether all was sent, when nothing is counted any more."""
        if self._statsd is not None and not self._statsd.may_end(now_s):
            return False
        if self._exporter is None or self._life.stage == KILLING:
            return True
        return self._exporter.has_drained(now_s)

    def end(self) -> None:
        """End them, with the server, but for the log, which others may still have something for."""
        for each in (self._admin, self._exporter):
            if each is not None:
                each.end()
        if self._metric_files is not None:
            self._metric_files.remove()

    def end_log(self) -> None:
        """End the log, last of all."""
        if self._log_process is not None:
            self._log_process.end()

    def close(self) -> None:
        """In a forked process: let go of what is the supervisor's."""
        for each in (self._admin, self._statsd, self._exporter):
            if each is not None:
                each.close()

    # -- an upgrade

    @property
    def fds(self) -> list[int]:
        """The descriptors of what is handed over."""
        there = [each for each in (self._admin, self._statsd, self._exporter) if each is not None]
        return [fd for each in there for fd in each.fds]

    def hand_over(self) -> dict[str, Any]:
        """Return what the supervisor in this one's place needs to know."""
        return {
            "admin_process": None if self._admin is None else self._admin.hand_over(),
            "statsd": None if self._statsd is None else self._statsd.hand_over(),
            "exporter": None if self._exporter is None else self._exporter.hand_over(),
        }

    def take_over(self, before: Predecessor) -> None:
        """Go on with those of the supervisor before."""
        if before.admin_process:
            self._have_admin().take_over(before.admin_process)
        if before.statsd:
            self._have_statsd().take_over(before.statsd)
        if before.exporter:
            exporter = self._have_exporter(before.exporter["spans_fds"])
            if before.exporter["process"]:
                exporter.take_over(before.exporter["process"])
