"""What the supervisor tells the user's hooks, and when; what calls them is imported with the first plan that
has any, for it would be in every worker's memory else.
"""

from __future__ import annotations

import os

from portico.process.limits import timeout_s
from portico.process.loop import Duty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico import _core
    from portico.hooks import Server
    from portico.process.generations import Generations
    from portico.process.hook_processes import SupervisorHooks
    from portico.process.life import Life
    from portico.process.worker_handle import WorkerHandle


class HookCalls(Duty):
    """The moments that there are hooks for. `leave` lets a forked process have nothing of the supervisor."""

    __slots__ = ("_generations", "_has_started", "_leave", "_life", "_processes")

    def __init__(self, generations: Generations, life: Life, leave: Callable[[], None]) -> None:
        self._generations = generations
        self._life = life
        self._leave = leave
        # Whether a worker was forked already: then the start is over for hooks that a reload brings.
        self._has_started = False
        self._processes: SupervisorHooks | None = None

    @property
    def server(self) -> Server | None:
        """What hooks are told of the server; None if the plan has none."""
        if not self._generations.current.hooks:
            return None
        from portico.process.hooks import server_of

        return server_of(
            self._generations.current,
            pid=os.getpid(),
            workers=self._life.wanted,
            generation=self._generations.number,
        )

    @property
    def before_each_fork(self) -> bool:
        """Whether there is one to be called before each worker."""
        return "pre_fork" in self._generations.current.hooks

    def let_fork(self, slot: int) -> bool:
        """Say whether worker `slot` may be forked now; if not, the hooks before it are on their way."""
        server, processes = self.server, self._called
        return server is None or processes is None or processes.let_fork(server, slot)

    def forked(self, slot: int) -> None:
        """Worker `slot` was forked."""
        self._has_started = True
        if self._processes is not None:
            self._processes.forked(slot)

    def reloading(self) -> None:
        """Another plan was taken."""
        self._tell("on_reload")

    def upgraded(self) -> None:
        """This supervisor has taken the place of another: the server has started long ago."""
        self._has_started = True
        self._tell("on_reload")

    def overdue(self, worker: WorkerHandle, call: _core.RunningCall) -> None:
        """RequestTimeout is raised in `call`."""
        if self._called is None:
            return
        from portico.hooks import Request, Worker

        request = Request(call.what, elapsed_s=call.elapsed_s, timeout_s=timeout_s(worker.settings, call))
        self._tell("request_timeout", Worker(worker.slot + 1, pid=worker.pid), request)

    def worker_ended(self, worker: WorkerHandle, exit_code: int) -> None:
        """`worker` was reaped."""
        if self._called is None:
            return
        from portico.hooks import Worker

        ended = Worker(
            worker.slot + 1, pid=worker.pid, exit_code=exit_code, was_expected=not worker.is_active
        )
        self._tell("worker_exit", ended)

    def have_ended(self) -> bool:
        """Have the last hook called, and say whether all are done; for the end of the supervisor."""
        return self._called is None or self._called.have_ended(self.server)

    def ended(self, pid: int, exit_code: int) -> bool:
        """Take note if `pid`, which has ended, has run a hook; say whether it has."""
        return self._processes is not None and self._processes.ended(pid, exit_code)

    def look(self, now_s: float) -> None:
        if self._processes is not None:
            self._processes.look(now_s)

    def due_s(self) -> float | None:
        return None if self._processes is None else self._processes.due_s()

    def _tell(self, name: str, *arguments: object) -> None:
        server, processes = self.server, self._called
        if server is not None and processes is not None:
            processes.tell(name, server, *arguments)

    @property
    def _called(self) -> SupervisorHooks | None:
        """What calls them, once a plan has any."""
        if self._processes is None and self._generations.current.hooks:
            from portico.process.hook_processes import SupervisorHooks

            self._processes = SupervisorHooks(self._generations, self._leave, has_started=self._has_started)
        return self._processes
