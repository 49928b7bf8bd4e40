"""Calls of the application as greenlets of gevent's hub, with a standard library that waits there."""

from __future__ import annotations

import sys

from portico import log
from portico.errors import EXIT_APPLICATION, OperatorError
from portico.event_loops.greenlets import Greenlets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico import _core

# Of libev: readable.
_READ = 1
_FREE_THREADED = (
    "worker is gevent, which has all calls on one thread: expected a Python with an interpreter lock, got a "
    "free-threaded one; expected worker = threads there"
)


def warn_if_patched() -> None:
    """Say so if the application has patched the standard library, and its calls have threads all the same."""
    from gevent import monkey

    if monkey.is_module_patched("threading") or monkey.is_module_patched("socket"):
        log.warning(
            "the application has called gevent.monkey.patch_all(), and its calls are on threads, each of "
            "which waits in a hub of its own: one may wait for another for ever; expected --worker gevent, "
            "which patches before the application is imported"
        )


class GeventLoop(Greenlets):
    """The hub of the main thread, as the engine has it."""

    # They begin in the hub's next turn.
    begins_at_once = False

    def prepare(self) -> None:
        """Let the standard library wait in the hub; raises OperatorError where there is none."""
        if not getattr(sys, "_is_gil_enabled", lambda: True)():
            raise OperatorError(_FREE_THREADED, exit_code=EXIT_APPLICATION)
        try:
            from gevent import monkey
        except ImportError as error:
            raise OperatorError(
                f"worker is gevent, which cannot be imported: {error}; expected gevent to be installed where "
                "the application is (pip install 'portico-server[gevent]')",
                exit_code=EXIT_APPLICATION,
            ) from None
        monkey.patch_all()

    def leave_behind(self) -> list[str]:
        """Name nothing: a hub that the application has made goes on in each process, with its greenlets."""
        return []

    def begin_anew(self) -> None:
        """Have the hub that `run` gets."""

    def run(self, calls: _core.EventLoop) -> None:
        """Have the application called until the server has ended, on the main thread."""
        # Here: a hub belongs to the process that has made it, and this one is not forked any more.
        import gevent

        self.calls, self.call_next = calls, calls.call_next
        hub = gevent.get_hub()
        self.current, self.give_up_thread, self.begin = gevent.getcurrent, hub.switch, gevent.spawn
        self._main = self.current()
        # Called before each wait for events, after all greenlets whose turn it was: also the application's.
        before_wait = hub.loop.prepare(priority=hub.loop.MINPRI)
        before_wait.start(calls.end_turn)
        summons = hub.loop.io(calls.fileno(), _READ)
        summons.start(self._turn)
        hub.loop.run_callback(self._turn)
        try:
            while not calls.is_over():
                try:
                    hub.switch()
                except BaseException as error:
                    # The hub throws to here what a signal handler raises in it, and what would end a program,
                    # wherever it is raised: not all other calls.
                    calls.failed_in_loop(error)
        finally:
            for watcher in (before_wait, summons):
                watcher.stop()
                watcher.close()

    def _turn(self) -> None:
        self.turn()
        if self.calls.is_over():
            self._main.switch()
