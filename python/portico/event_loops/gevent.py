"""Calls of the application as greenlets of gevent.

A greenlet calls the application for one request after the other, and waits for the next in the hub, which
switches to it as soon as there is one: to make a greenlet costs more than most calls. At most `most_calls`
are made. A call that waits for its client is parked under a number, and goes on when the engine says that
the number's wait is over.
"""

from __future__ import annotations

import sys

from portico import log
from portico.errors import EXIT_APPLICATION, OperatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import greenlet

    from portico import _core

# Of libev: readable.
_READ = 1
_WITHOUT = (
    "worker is gevent, which cannot be imported: {why}; expected gevent to be installed where the "
    "application is (pip install 'portico-server[gevent]')"
)
_FREE_THREADED = (
    "worker is gevent, which has all calls on one thread: expected a Python with an interpreter lock, got a "
    "free-threaded one; expected worker = threads there"
)


def warn_if_patched() -> None:
    """Say so if the application has patched the standard library, and its calls have threads all the same."""
    from gevent import monkey

    if monkey.is_module_patched("threading") or monkey.is_module_patched("socket"):
        log.warning(
            "the application has called gevent.monkey.patch_all(), and its calls are on threads, each of which "
            "waits in a hub of its own: one may wait for another for ever; expected --worker gevent, which "
            "patches before the application is imported"
        )


class GeventLoop:
    """The hub of the main thread, as the engine has it."""

    def __init__(self, most_calls: int) -> None:
        self._most_calls = most_calls
        # Greenlets that wait for a request.
        self._idle: list[greenlet.greenlet] = []
        self._made = 0
        # By the number of the wait.
        self._parked: dict[int, greenlet.greenlet] = {}

    def prepare(self) -> None:
        """Let the standard library wait in the hub; raises OperatorError where there is none."""
        if not getattr(sys, "_is_gil_enabled", lambda: True)():
            raise OperatorError(_FREE_THREADED, exit_code=EXIT_APPLICATION)
        try:
            from gevent import monkey
        except ImportError as error:
            raise OperatorError(_WITHOUT.format(why=error), exit_code=EXIT_APPLICATION) from None
        monkey.patch_all()

    def run(self, calls: _core.EventLoop) -> None:
        """Have the application called until the server has ended, on the main thread."""
        # Here: a hub belongs to the process that has made it, and this one is not forked any more.
        import gevent

        self._gevent = gevent
        self._calls = calls
        self._hub = gevent.get_hub()
        self._main = gevent.getcurrent()
        loop = self._hub.loop
        # Called before each wait for events, after all greenlets whose turn it was: also those of the application.
        before_wait = loop.prepare(priority=loop.MINPRI)
        before_wait.start(calls.end_turn)
        summons = loop.io(calls.fileno(), _READ)
        summons.start(self._turn)
        loop.run_callback(self._turn)
        try:
            while not calls.is_over():
                self._hub.switch()
        finally:
            for watcher in (before_wait, summons):
                watcher.stop()
                watcher.close()

    def park(self, number: int) -> None:
        """Give the thread up until the wait with this number is over, or something is thrown in."""
        self._parked[number] = self._gevent.getcurrent()
        try:
            self._hub.switch()
        finally:
            del self._parked[number]

    def _turn(self) -> None:
        """Look at all that there is to do. Runs in the hub."""
        calls = self._calls
        woken, late, asides = calls.begin_turn()
        for number in woken:
            # It may have been woken twice, or have gone on because something was thrown into it.
            if (waiting := self._parked.get(number)) is not None:
                waiting.switch()
        if late:
            from portico.deadlines import RequestTimeout

            for task in late:
                task.throw(RequestTimeout())
        for aside in asides:
            self._gevent.spawn(aside)
        while calls.is_due() and not calls.is_over():
            if not self._idle:
                self._make_greenlets()
                break
            self._idle.pop().switch()
        if calls.is_over():
            self._main.switch()

    def _make_greenlets(self) -> None:
        """Have one more for each request, as far as there may be: they begin in the hub's next turn.

        Where there are none to be made, one whose call ends takes the next request.
        """
        for _ in range(min(self._calls.queued(), self._most_calls - self._made)):
            self._made += 1
            self._gevent.spawn(self._live)

    def _live(self) -> None:
        """Call the application for one request after the other: the life of a greenlet."""
        calls, idle, switch = self._calls, self._idle, self._hub.switch
        greenlet = self._gevent.getcurrent()
        try:
            while True:
                # What a call has set is nothing to the next; it is made when something is set again.
                greenlet.gr_context = None
                if not calls.call_next(greenlet):
                    idle.append(greenlet)
                    switch()
        finally:
            self._made -= 1
            if greenlet in idle:
                idle.remove(greenlet)
