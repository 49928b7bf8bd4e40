"""Calls of the application on the thread of an asyncio loop, which runs for the application too.

A call is not asynchronous: while the application is in it the loop stands still, and is not the running one,
as for any code that is called without waiting. What waits is what the engine does of a call, for its client.
So the calls are greenlets; but hardly one gives the thread up in the middle of the application's code, where
another call would come between that has the same locals of the thread: bodies have come before the call, so
that only the response waits for its client.
"""

from __future__ import annotations

from functools import wraps

from portico.errors import EXIT_APPLICATION, OperatorError
from portico.event_loops.greenlets import Greenlets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Callable

    import greenlet

    from portico import _core

# So long may tasks that are cancelled at the end, and then asynchronous generators, take to clean up.
_END_PATIENCE_S = 1.0
# Of asyncio: what sets the loop of a thread, or who decides which that is.
_SETTERS = ("set_event_loop", "set_event_loop_policy")


class AsyncioLoop(Greenlets):
    """An asyncio loop of the main thread, as the engine has it: uvloop's where that is installed."""

    name = "asyncio"

    def prepare(self) -> None:
        """Make the loop, which is the thread's from now on; raises OperatorError where there can be none."""
        try:
            self.import_all()
        except ImportError as error:
            raise OperatorError(
                f"worker is {self.name}, which cannot be had: {error}; expected what it needs to be "
                f"installed where the application is (pip install 'portico-server[{self.name}]')",
                exit_code=EXIT_APPLICATION,
            ) from None
        self.begin_anew()

    def import_all(self) -> None:
        """Import what this needs; raises ImportError."""
        import asyncio
        from asyncio import events

        import greenlet

        self._asyncio = asyncio
        self._greenlet = greenlet
        self._set_running = events._set_running_loop
        for name in _SETTERS:
            setter = self._noting(getattr(events, name))
            for module in (asyncio, events):
                setattr(module, name, setter)

    def leave_behind(self) -> list[str]:
        """Close the loop, since no two processes can have one; name what it had to do for the application."""
        tasks = len(self._asyncio.all_tasks(self.loop))
        self.loop.close()
        return [f"{tasks} tasks of the event loop run in no worker: begin them in a call"] if tasks else []

    def begin_anew(self) -> None:
        """Make the loop, which is the thread's from now on."""
        try:
            import uvloop
        except ImportError:
            # What `environ["portico.loop"]` is.
            self.loop: AbstractEventLoop = self._asyncio.new_event_loop()
        else:
            self.loop = uvloop.new_event_loop()
        self._set_loop()

    def _noting(self, setter: Callable[..., object]) -> Callable[..., object]:
        """Return `setter` as one that notes it: setting the loop after each call would cost more."""

        @wraps(setter)
        def set_and_note(*arguments: object, **named: object) -> None:
            self._may_be_another = True
            setter(*arguments, **named)

        return set_and_note

    def _set_loop(self) -> None:
        """Have the thread's loop be this one."""
        self._asyncio.set_event_loop(self.loop)
        self._may_be_another = False

    def run(self, calls: _core.EventLoop) -> None:
        """Have the application called until the server has ended, on the main thread."""
        self.calls = calls
        self.current, self.give_up_thread = self._greenlet.getcurrent, self._leave_thread
        self.begin, self.call_next = self._begin_now, self._call_next
        self._main = self.current()
        loop = self.loop
        # The import of the application may have set another.
        self._set_loop()
        loop.add_reader(calls.fileno(), self._turn)
        loop.call_soon(self._turn)
        while not calls.is_over():
            # Once more if it was the application that has stopped it.
            self._go_on(loop.run_forever)
        loop.remove_reader(calls.fileno())
        self._end_tasks()

    def _end_tasks(self) -> None:
        """Cancel the application's tasks and let them clean up, as asyncio.run() does; not for ever."""
        loop, tasks = self.loop, self._asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        if tasks:
            self._wait_for(tasks)
        self._wait_for({loop.create_task(loop.shutdown_asyncgens())})

    def _wait_for(self, tasks: set[Task[object]]) -> None:
        """Have the loop run until these tasks have ended; not for ever."""
        waiting = self.loop.create_task(self._asyncio.wait(tasks, timeout=_END_PATIENCE_S))
        while not waiting.done():
            self._go_on(lambda: self.loop.run_until_complete(waiting))

    def _go_on(self, run: Callable[[], object]) -> None:
        """Have the loop run; what comes out of it, such as SystemExit of a task, ends no other's calls."""
        try:
            run()
        except BaseException as error:
            if self.loop.is_closed():
                raise
            self.calls.failed_in_loop(error)

    def _call_next(self, own: greenlet.greenlet) -> bool:
        try:
            return self.calls.call_next(own)
        finally:
            # It may have run a loop of its own, as asyncio.run() does: after that the thread has none.
            if self._may_be_another:
                self._set_loop()

    def _leave_thread(self) -> None:
        """Have the loop go on, as the one that runs."""
        self._set_running(self.loop)
        try:
            self._main.switch()
        finally:
            self._set_running(None)

    def _begin_now(self, what: Callable[[], object]) -> None:
        """Have a new greenlet call `what`."""
        self._greenlet.greenlet(self._call_hidden, self._main).switch(what)

    def _call_hidden(self, what: Callable[[], object]) -> None:
        """Call `what` with no loop that runs, but for when it leaves the thread: it may run one."""
        self._set_running(None)
        try:
            what()
        finally:
            self._set_running(self.loop)

    def _turn(self) -> None:
        self.turn()
        self.calls.end_turn()
        if self.calls.is_over():
            self.loop.stop()
