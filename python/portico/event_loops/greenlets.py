"""Calls of the application as greenlets, whatever loop has them.

A greenlet calls the application for one request after the other, and waits for the next one in the loop,
which switches to it as soon as there is one: to make a greenlet costs more than most calls. At most
`most_calls` are made. A call that waits for its client is parked under a number, and goes on when the engine
says that the number's wait is over.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    import greenlet

    from portico import _core


class Greenlets:
    """The greenlets of one loop, which sets what is declared here, and calls `turn` when it is summoned."""

    calls: _core.EventLoop
    # Has the application called for the next request in the calling greenlet, which it is given.
    call_next: Callable[[greenlet.greenlet], bool]
    # Returns the greenlet that calls it.
    current: Callable[[], greenlet.greenlet]
    # Leaves the thread to others, until somebody switches to the calling greenlet or throws into it.
    give_up_thread: Callable[[], object]
    # Has a new greenlet call what it is given, now or soon.
    begin: Callable[[Callable[[], object]], object]
    # Whether what `begin` is given has begun when that returns.
    begins_at_once = True

    def __init__(self, most_calls: int) -> None:
        self._most_calls = most_calls
        # Those that wait for a request.
        self._idle: list[greenlet.greenlet] = []
        self._made = 0
        # By the number of the wait.
        self._parked: dict[int, greenlet.greenlet] = {}

    def park(self, number: int) -> None:
        """Give the thread up until the wait with this number is over, or something is thrown in."""
        self._parked[number] = self.current()
        try:
            self.give_up_thread()
        finally:
            del self._parked[number]

    def turn(self) -> None:
        """Do all that there is to do. Runs in the loop."""
        try:
            self._do_what_is_due()
        except BaseException as error:
            # A signal handler's: it may have come between what is to be done and its doing.
            self.calls.failed_in_loop(error)
            # One whose wait is not over parks again.
            self._wake(list(self._parked))
            self.calls.summon()

    def _do_what_is_due(self) -> None:
        calls = self.calls
        woken, has_late, asides = calls.begin_turn()
        self._wake(woken)
        if has_late:
            from portico.deadlines import RequestTimeout

            # One by one: what has run since may have ended the call of the next, and its task have another.
            while (task := calls.next_late()) is not None:
                task.throw(RequestTimeout())
        for aside in asides:
            self.begin(aside)
        while calls.is_due() and not calls.is_over():
            if self._idle:
                self._idle.pop().switch()
            elif not self._make_more():
                # One whose call ends takes the next request.
                break
            elif not self.begins_at_once:
                # What comes until they begin summons nobody, and may be more than they take.
                calls.summon()
                break
            if calls.is_turn_over():
                # However many requests wait, the loop has others to run; it is summoned once more.
                break

    def _wake(self, numbers: list[int]) -> None:
        """Let those go on that wait under these numbers."""
        for number in numbers:
            # It may have been woken twice, or have gone on because something was thrown into it.
            if (waiting := self._parked.get(number)) is not None:
                waiting.switch()

    def _make_more(self) -> bool:
        """Have one more greenlet for each request, as far as there may be; say whether there are any."""
        count = min(self.calls.queued(), self._most_calls - self._made)
        for _ in range(count):
            self._made += 1
            self.begin(self._live)
        return count > 0

    def _live(self) -> None:
        """Call the application for one request after the other: the life of a greenlet."""
        own, idle = self.current(), self._idle
        try:
            while True:
                # What a call has set is nothing to the next; it is made when something is set again.
                own.gr_context = None
                if not self.call_next(own):
                    idle.append(own)
                    self.give_up_thread()
        finally:
            self._made -= 1
            if own in idle:
                idle.remove(own)
            # It might have been the one to take the next request.
            self.calls.summon()
