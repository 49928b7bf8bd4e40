"""What the supervisor's one thread sleeps on: descriptors that bring something, and duties that are due.

A duty is something that has its time, such as a look at calls that take too long. It is looked after each
time the loop goes round, and says when it wants to be next; what it finds it changes in the state of the
workers, or tells the supervisor. A new one is a file with a `Duty`, and a line in `duties.py`.
"""

from __future__ import annotations

import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NEVER_S = float("inf")
# Later than that the loop does not go round because the machine is busy: this process was stopped (SIGSTOP, a
# frozen control group, a virtual machine that was paused), and others may have been.
_HELD_UP_S = 1.0


class Duty:
    """Something that has its time. Times are in seconds on the monotonic clock."""

    __slots__ = ()

    def look(self, now_s: float) -> None:
        """Do what is due; called whenever something has happened, so mostly there is nothing to do."""

    def due_s(self) -> float | None:
        """Return when to look next if nothing happens until then; None, or NEVER_S, is never."""
        return None


class Loop:
    """Descriptors, each with what is called when it can be read.

    `is_resumed` says that this process was stopped, in the latest `wait` or since the one before: it has come
    back long after something was due, or what is done between two has taken that long.
    """

    __slots__ = ("_left_at_s", "_poll", "_takers", "is_resumed")

    def __init__(self) -> None:
        self.is_resumed = False
        # When the latest `wait` was over.
        self._left_at_s = NEVER_S
        self._poll = select.poll()
        self._takers: dict[int, Callable[[float], None]] = {}

    def watch(self, fd: int, take: Callable[[float], None], *, when: int = select.POLLIN) -> None:
        """Call `take` with the time whenever `fd` can be read, or whatever else `when` says (poll(2)).

        What was to be called for `fd` before is no longer.
        """
        self._takers[fd] = take
        self._poll.register(fd, when)

    def forget(self, fd: int) -> None:
        """Watch `fd` no longer; it may be closed already."""
        if self._takers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def wait(self, due_s: Iterable[float | None], *, first: Callable[[float], None]) -> None:
        """Sleep until something happens or the earliest of `due_s` has come; take in all that has happened.

        `first` is called before all others, whatever has happened.
        """
        is_held_up = time.monotonic() > self._left_at_s + _HELD_UP_S
        deadline_s = min((each for each in due_s if each is not None), default=NEVER_S)
        timeout_ms = None
        if deadline_s < NEVER_S:
            deadline_s = max(deadline_s, time.monotonic())
            timeout_ms = max(0.0, (deadline_s - time.monotonic()) * 1000) + 1
        ready_fds = [fd for fd, _ in self._poll.poll(timeout_ms)]
        now_s = time.monotonic()
        first(now_s)
        for fd in ready_fds:
            # Another may have made an end of this one.
            take = self._takers.get(fd)
            if take is not None:
                take(now_s)
        self._left_at_s = time.monotonic()
        is_late = now_s > deadline_s + _HELD_UP_S
        self.is_resumed = is_held_up or is_late or self._left_at_s > now_s + _HELD_UP_S
