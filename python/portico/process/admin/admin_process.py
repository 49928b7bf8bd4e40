"""One admin process, as the supervisor sees it: told to leave over its line, told what it asks for.

It is never waited for. What it does not take at once is kept, and nothing more is read of it until it has.
"""

from __future__ import annotations

import os
import select

from portico import _core, log
from portico.process.admin.question import FIGURES, OVERVIEW, BadQuestionError, read_questions, reply_to
from portico.process.messages import Decoder, Drain, Ready, encode
from portico.process.signals import signal
from portico.process.tracebacks import traceback_of
from portico.process.ways import Ways
from portico.process.worker import LOG_PATIENCE_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from portico.admin import Samples
    from portico.process.admin.overview import Overview
    from portico.process.admin.sources import Sources
    from portico.process.control.subject import Subject
    from portico.process.loop import Loop
    from portico.process.plan import Plan

_READ_BYTES = 4096
POOL_PATIENCE_S = 0.5
"""For pools to reply: what they have said before stands in the place of what is late."""


class AdminProcess:
    """A process with its line and the socket that it asks over.

    `figures` returns what it may be told, `subject` what more of that is made of where it has a dashboard.
    """

    __slots__ = (
        *("_decoder", "_figures", "_figures_fd", "_line_fd", "_loop", "_overview", "_places"),
        *("_received", "_subject", "_unsent", "_waiting", "pid", "started_at_s"),
    )

    def __init__(
        self,
        loop: Loop,
        figures: Callable[[float], Samples],
        subject: Callable[[], Subject],
        *,
        pid: int,
        line_fd: int,
        figures_fd: int,
        started_at_s: float,
        places: str = "",
    ) -> None:
        """`places` are where it serves, for the log; empty if that was said."""
        self._loop = loop
        self._figures = figures
        self._subject = subject
        # From the first time on that somebody looks at the dashboard.
        self._overview: Overview | None = None
        self._received = bytearray()
        self._unsent = b""
        # A question for which pools were asked: its number, what it is about, and how long they have.
        self._waiting: tuple[int, int, float] | None = None
        self.pid = pid
        self._line_fd = line_fd
        self._figures_fd = figures_fd
        self.started_at_s = started_at_s
        self._places = places
        self._decoder = Decoder()
        loop.watch(line_fd, lambda _: self._hear())
        loop.watch(figures_fd, self._reply)

    @staticmethod
    def start(
        loop: Loop,
        figures: Callable[[float], Samples],
        subject: Callable[[], Subject],
        plan: Plan,
        sources: Sources,
        leave: Callable[[], None],
        *,
        now_s: float,
    ) -> AdminProcess:
        """Fork the process of `plan`, in which `leave` is called first. Raises OSError."""
        ways = Ways(_core.socket_pair, _core.socket_pair)
        pid = ways.fork()
        line_fd, figures_fd = ways.ends
        if pid == 0:
            _be_admin(plan, sources, leave, line_fd, figures_fd)
        return AdminProcess(
            loop,
            figures,
            subject,
            pid=pid,
            line_fd=line_fd,
            figures_fd=figures_fd,
            started_at_s=now_s,
            places=", ".join(listener.display for listener in plan.admin),
        )

    def hand_over(self) -> dict[str, Any]:
        """Return what the supervisor in this one's place needs to know."""
        return {
            "pid": self.pid,
            "line_fd": self._line_fd,
            "figures_fd": self._figures_fd,
            "started_at_s": self.started_at_s,
        }

    @property
    def fds(self) -> list[int]:
        """The descriptors that are open for it."""
        return [fd for fd in (self._line_fd, self._figures_fd) if fd >= 0]

    def leave(self) -> None:
        """Have it finish what it has, and end; until then it is told what it asks for."""
        try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
            os.write(self._line_fd, encode(Drain(number=1)))
        except OSError:
            pass  # it has ended, and is about to be reaped

    def kill(self) -> None:
        """End it at once, and take leave of it."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self.close()

    def close(self) -> None:
        """Close the supervisor's ends of the ways to it."""
        for fd in self.fds:
            self._loop.forget(fd)
            os.close(fd)
        self._line_fd = self._figures_fd = -1

    def _hear(self) -> None:
        data = _read(self._line_fd)
        if data == b"":
            self._loop.forget(self._line_fd)  # it is reaped in a moment
        elif data and self._places and any(each.kind is Ready for each in self._decoder.feed(data)):
            log.info(f"metrics are at /metrics on {self._places}")
            self._places = ""

    def _reply(self, now_s: float) -> None:
        """Reply to the last question that has come: who asks another one does not wait for those before."""
        data = _read(self._figures_fd)
        if data is None:
            return
        if not data:
            self._loop.forget(self._figures_fd)  # it is reaped in a moment
            return
        self._received += data
        try:
            questions = list(read_questions(self._received))
        except BadQuestionError:
            # The next one will be of sound mind.
            os.kill(self.pid, signal.SIGKILL)
            self._loop.forget(self._figures_fd)
            return
        if questions:
            number, about, line = questions[-1]
            pools = self._subject().pools() if about in (FIGURES, OVERVIEW) else None
            if pools is None:
                reply = self._figures(now_s) if about == FIGURES else self._tell(about, line, now_s)
                self._respond(number, reply)
            else:
                what = "metrics" if about == FIGURES else "overview"
                pools.metrics.ask(pools.all, what, now_s)
                self._waiting = (number, about, now_s + POOL_PATIENCE_S)
                self.look(now_s)

    def look(self, now_s: float) -> None:
        """Reply to a question for which pools were asked, once they have replied, or have had their time."""
        if self._waiting is None:
            return
        number, about, until_s = self._waiting
        pools = self._subject().pools()
        assert pools is not None, "there were pools, which stay"
        if now_s < until_s and not pools.metrics.have_all_replied():
            return
        self._waiting = None
        if about == FIGURES:
            from portico.admin.of_pools import joined

            self._respond(number, joined(self._figures(now_s), pools.metrics.samples(pools.all, now_s)))
        else:
            reply = self._tell(about, b"", now_s)
            self._respond(number, {**reply, "pools": pools.metrics.overviews(pools.shown, now_s)})

    def due_s(self) -> float | None:
        """Return when to look next if nothing happens until then."""
        return None if self._waiting is None else self._waiting[2]

    def _respond(self, number: int, reply: Any) -> None:
        self._unsent = reply_to(number, reply)
        self._send()

    def _tell(self, about: int, line: bytes, now_s: float) -> dict[str, Any]:
        if self._overview is None:
            # Here, because most who ask for figures look at no dashboard.
            from portico.process.admin.overview import Overview

            self._overview = Overview(self._subject())
        return self._overview.tell(about, line, now_s)

    def _send(self) -> None:
        """Send as much as it takes now, and the rest when there is room; then hear of it again."""
        try:
            self._unsent = self._unsent[os.write(self._figures_fd, self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._loop.forget(self._figures_fd)  # it is reaped in a moment
            return
        if self._unsent:
            self._loop.watch(self._figures_fd, lambda _: self._send(), when=select.POLLOUT)
        else:
            self._loop.watch(self._figures_fd, self._reply)


def _be_admin(
    plan: Plan, sources: Sources, leave: Callable[[], None], line_fd: int, figures_fd: int
) -> NoReturn:
    """In the forked process: serve until the supervisor says otherwise, or is gone."""
    supervisor_pid = os.getppid()
    try:
        leave()
        # Here, since it is nobody else's.
        from portico.process.admin.serving import serve_admin

        serve_admin(
            plan, sources, supervisor_fd=line_fd, figures_fd=figures_fd, supervisor_pid=supervisor_pid
        )
    except BaseException as error:
        log.error(f"the admin process cannot serve\n{traceback_of(error, hide_loader=False)}")
    finally:
        _core.flush_log(LOG_PATIENCE_S)
        os._exit(1)


def _read(fd: int) -> bytes | None:
    """Return what has come, empty at the end; None if that is nothing."""
    try:
        return os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""
