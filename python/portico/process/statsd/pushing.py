"""The pushing process as itself: be who workers are, push until the supervisor says otherwise, or is gone.

Runs in a forked process, on its main thread. It has the end of a line that orders come over, as a worker has
(`messages.py`), and one over which it asks for figures. Once it is told to leave it pushes a last time: then
all that was counted has been sent.
"""

from __future__ import annotations

import gc
import os
import select
import time

from portico import _core, log
from portico.admin import SilentError
from portico.admin.families import FAMILIES
from portico.admin.of_application import ApplicationMetrics
from portico.admin.of_pools import with_pools
from portico.admin.statsd.ledger import Ledger
from portico.admin.statsd.lines import Line, datagrams
from portico.errors import EXIT_FINE
from portico.process.admin.question import Question
from portico.process.admin.started import when_started
from portico.process.beside import be_beside
from portico.process.messages import Ready, encode
from portico.process.statsd.kept import read_kept, write_kept
from portico.process.statsd.receiver import Receiver
from portico.process.worker import flush_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from portico.admin import Samples
    from portico.admin.families import Family
    from portico.process.plan import Plan

# How long the last push may take, for a receiver that is there and reads slowly.
_LAST_PUSH_S = 1.0
_PAUSE_S = 0.02
_READ_BYTES = 4096


def push_metrics(
    plan: Plan,
    scoreboard: _core.Scoreboard,
    *,
    supervisor_fd: int,
    figures_fd: int,
    kept_fd: int,
    supervisor_pid: int,
    is_from_start: bool,
) -> NoReturn:
    """Be the pushing process of `plan`; ends the process.

    `is_from_start`: what was counted before is sent as well; else a receiver that has had nothing yet gets
    what is counted from now on.
    """
    gc.enable()
    be_beside(plan, "statsd")
    own: Samples = {}
    if (started := when_started(supervisor_pid)) is not None:
        own["process_start_time_seconds"] = [((), started)]
    pushes = _Pushes(plan, scoreboard, Question(figures_fd, own), kept_fd)
    os.write(supervisor_fd, encode(Ready()))
    if not is_from_start:
        pushes.begin_now(supervisor_fd)
    due_s = time.monotonic() + plan.settings.statsd_interval_s
    while not _is_to_leave(supervisor_fd, due_s):
        pushes.push()
        # Not one after the other for those that a stopped process has missed.
        due_s = max(due_s, time.monotonic() - plan.settings.statsd_interval_s)
        due_s += plan.settings.statsd_interval_s
    pushes.push_last()
    flush_all()
    os._exit(EXIT_FINE)


def _is_to_leave(supervisor_fd: int, due_s: float) -> bool:
    """Wait until then; say whether the supervisor wants this process to leave. Ends it if that is gone."""
    poll = select.poll()
    poll.register(supervisor_fd, select.POLLIN)
    if not poll.poll(max(0.0, due_s - time.monotonic()) * 1000):
        return False
    if not os.read(supervisor_fd, _READ_BYTES):
        # Nobody has figures any more.
        os._exit(EXIT_FINE)
    # There is only one order.
    return True


class _Pushes:
    """Takes what there is to the receiver, and notes what it has had."""

    __slots__ = (
        *("_kept_fd", "_last", "_ledger", "_of_application", "_prefix", "_question", "_receiver"),
        *("_failures", "_tags"),
    )

    def __init__(self, plan: Plan, scoreboard: _core.Scoreboard, question: Question, kept_fd: int) -> None:
        settings = plan.settings
        kind, colon, path = settings.statsd.partition("unix:")
        place = f"unix:{os.path.join(plan.directory, path)}" if colon and not kind else settings.statsd
        self._receiver = Receiver(place)
        self._prefix = settings.statsd_prefix
        self._tags = ",".join(settings.statsd_tags)
        self._question = question
        self._of_application = ApplicationMetrics(scoreboard)
        self._kept_fd = kept_fd
        self._ledger = Ledger(has_tags=bool(self._tags), record=read_kept(kept_fd))
        # What was sent last: whether it has arrived may be known later only.
        self._last: list[Line] = []
        # How many pushes in a row have not left.
        self._failures = 0

    def begin_now(self, supervisor_fd: int) -> None:
        """Pass over what was counted until now, unless the receiver has had something already."""
        while read_kept(self._kept_fd) is None:
            try:
                families, samples = self._look()
            except SilentError:
                # It has something else to do.
                if _is_to_leave(supervisor_fd, time.monotonic() + _PAUSE_S):
                    flush_all()
                    os._exit(EXIT_FINE)
                continue
            self._ledger.pass_over(families, samples)
            write_kept(self._kept_fd, self._ledger.dump())

    def push(self) -> bool:
        """Push what is new; say whether all of it has left."""
        try:
            families, samples = self._look()
        except SilentError:
            # What it has not said is said the next time.
            return False
        self._ledger.take(families, samples)
        return self._send()

    def push_last(self) -> None:
        """Push what is new, and what is owed, while the receiver takes it."""
        until_s = time.monotonic() + _LAST_PUSH_S
        was_there = not self._failures
        while not self.push() and time.monotonic() < until_s and was_there:
            time.sleep(_PAUSE_S)
        self._take_back_undelivered()
        write_kept(self._kept_fd, self._ledger.dump())
        if self._failures and self._ledger.owes:
            log.warning(f"statsd: {self._receiver.place} was not reached by the last push")

    def _look(self) -> tuple[list[Family], Samples]:
        samples = self._question.ask(kept_s=0.0)
        families, all_samples = with_pools(*self._of_application.now(), samples)
        return [*FAMILIES, *families], all_samples

    def _send(self) -> bool:
        # After that, the first datagram shows whether somebody is there again.
        why = self._take_back_undelivered()
        for data, lines in datagrams([*self._ledger.lines()], self._prefix, self._tags):
            why = self._take_back_undelivered() or self._receiver.send(data)
            if why:
                break
            self._ledger.sent(lines)
            self._last += lines
        write_kept(self._kept_fd, self._ledger.dump())
        self._note(why)
        return not why

    def _take_back_undelivered(self) -> str:
        """Owe again what was sent last, if it has not arrived; return why."""
        why = self._receiver.failure()
        if why:
            self._ledger.not_arrived(self._last)
        self._last = []
        return why

    def _note(self, why: str) -> None:
        """Say what has become of the receiver: once, until it is another."""
        if why:
            self._ledger.failed()
            if not self._failures:
                log.warning(
                    f"statsd: cannot send to {self._receiver.place}: {why}; counts are kept, and it is tried "
                    "again"
                )
            self._failures += 1
        elif self._failures:
            log.info(f"statsd: {self._receiver.place} is reached again, after {self._failures} pushes")
            self._failures = 0
