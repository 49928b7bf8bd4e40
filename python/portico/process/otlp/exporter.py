"""The supervisor's duty towards a collector: a process sends it spans and metrics while the plan has one.

As with the admin address, each plan has a process of its own, and one that ends by itself is replaced; those
read from the same socket, so a message is in one of them. At the end of the server the process has some
seconds to send what it has.
"""

from __future__ import annotations

import _socket
import os

from portico import _core, log
from portico.process.admin.address import AdminAddress
from portico.process.admin.admin_process import AdminProcess
from portico.process.tracebacks import traceback_of
from portico.process.ways import Ways
from portico.process.worker import LOG_PATIENCE_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from portico.process.admin.sources import Sources
    from portico.process.plan import Plan

DRAIN_S = 5.0
"""How long it may take to send what it has, at its end."""
_KILLED_AFTER_S = DRAIN_S + 1.0
# As much as the kernel lets anybody have (net.core.wmem_max) takes some hundred spans.
_SOCKET_BYTES = 4 * 1024 * 1024


class Exporter(AdminAddress):
    """The process, if there is one, those before it that still send something, and the socket that they read.

    `write_fd` is the end that workers write to.
    """

    __slots__ = ("_drained_by_s", "_read_fd", "write_fd")

    what = "process that exports metrics and spans"
    leaves_within_s = _KILLED_AFTER_S

    def __init__(self, *args: Any, spans_fds: tuple[int, int] | None = None, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self._read_fd, self.write_fd = spans_fds or _open_socket()
        self._drained_by_s: float | None = None

    def is_wanted_by(self, plan: Plan) -> bool:
        return plan.settings.otlp != "off"

    @property
    def fds(self) -> list[int]:
        return [*super().fds, self._read_fd, self.write_fd]

    def hand_over(self) -> dict[str, Any]:
        return {"spans_fds": (self._read_fd, self.write_fd), "process": super().hand_over()}

    def has_drained(self, now_s: float) -> bool:
        """Have the process send what it has, now that nobody has more for it; say whether that is over."""
        if self._drained_by_s is None:
            self._drained_by_s = now_s + _KILLED_AFTER_S
            for process in self._all:
                process.leave()
        return not self._all or now_s >= self._drained_by_s

    def due_s(self) -> float | None:
        return super().due_s() if self._drained_by_s is None else self._drained_by_s

    def close(self) -> None:
        """In a forked process: let go of what is the supervisor's; a worker keeps its end of the socket."""
        super().close()
        os.close(self._read_fd)

    def _fork(self, now_s: float) -> AdminProcess:
        ways = Ways(_core.socket_pair, _core.socket_pair)
        pid = ways.fork()
        line_fd, figures_fd = ways.ends
        plan, read_fd = self._generations.current, self._read_fd
        if pid == 0:
            _be_exporter(plan, self._sources(), self._leave, line_fd, figures_fd, os.dup(read_fd))
        return AdminProcess(
            self._loop,
            self._figures,
            self._subject,
            pid=pid,
            line_fd=line_fd,
            figures_fd=figures_fd,
            started_at_s=now_s,
        )


def _open_socket() -> tuple[int, int]:
    """Return the reader's and the writers' end of what keeps messages apart."""
    reader, writer = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    for end in (reader, writer):
        end.setblocking(False)
    writer.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, _SOCKET_BYTES)
    return reader.detach(), writer.detach()


def _be_exporter(
    plan: Plan, sources: Sources, leave: Callable[[], None], line_fd: int, figures_fd: int, spans_fd: int
) -> NoReturn:
    """In the forked process: send until the supervisor says otherwise, or is gone."""
    supervisor_pid = os.getppid()
    try:
        leave()
        # Here, since it is nobody else's.
        from portico.process.otlp.serving import export

        export(
            plan,
            sources,
            line_fd=line_fd,
            figures_fd=figures_fd,
            spans_fd=spans_fd,
            supervisor_pid=supervisor_pid,
            drain_s=DRAIN_S,
        )
    except BaseException as error:
        log.error(f"metrics and spans cannot be exported\n{traceback_of(error, hide_loader=False)}")
    finally:
        _core.flush_log(LOG_PATIENCE_S)
        os._exit(1)
