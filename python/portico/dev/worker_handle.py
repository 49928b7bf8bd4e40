"""A worker of `portico dev` as the loop sees it: as the supervisor would, and what files it reads."""

from __future__ import annotations

import os

from portico.dev.modules import ReportDecoder
from portico.process.worker_handle import WorkerHandle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.config.settings import Settings
    from portico.dev.modules import Report

_READ_BYTES = 65536


class DevelopmentHandle(WorkerHandle):
    """One child process. `forked_at_ns` is on the wall clock, which files have their times of.

    `noticed_at_s`, on the monotonic clock, is when the change was noticed that it was made for; 0 for none.
    `gate_fd` is readable when a connection waits that it has a thread for: `let_in`, or let it leave.
    """

    __slots__ = ("_reports", "forked_at_ns", "gate_fd", "noticed_at_s", "report_fd")

    def __init__(
        self,
        settings: Settings,
        *,
        pid: int,
        slot: int,
        message_fd: int,
        report_fd: int,
        gate_fd: int,
        now_s: float,
        forked_at_ns: int,
        noticed_at_s: float,
    ) -> None:
        # Nobody asks where its import is: it may be at a breakpoint.
        super().__init__(
            settings, pid=pid, slot=slot, generation=0, message_fd=message_fd, stack_fd=-1, now_s=now_s
        )
        self.report_fd = report_fd
        self.gate_fd = gate_fd
        self.forked_at_ns = forked_at_ns
        self.noticed_at_s = noticed_at_s
        self._reports = ReportDecoder()

    def read_reports(self) -> list[Report]:
        """Return what the worker has reported since the last call; closes the pipe at its end."""
        reports: list[Report] = []
        while self.report_fd >= 0:
            try:
                data = os.read(self.report_fd, _READ_BYTES)
            except BlockingIOError:
                break
            if not data:
                self._close_reports()
            reports += self._reports.feed(data)
        return reports

    def let_in(self) -> None:
        """Let it accept one connection; each is asked for (crates/engine/src/gate.rs)."""
        try:
            os.read(self.gate_fd, 1)
            os.write(self.gate_fd, b"!")
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass  # it is gone, as others will see

    def close(self) -> None:
        """Close the loop's ends of the worker's sockets and pipe."""
        self._close_reports()
        os.close(self.gate_fd)
        super().close()

    def _close_reports(self) -> None:
        if self.report_fd >= 0:
            os.close(self.report_fd)
            self.report_fd = -1
