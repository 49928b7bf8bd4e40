"""Hooks of the user's: which process runs them, and what becomes of one that raises, hangs or ends it.

    in the worker                      post_fork, worker_ready
    in a process forked for each call  on_start, pre_fork, worker_exit, request_timeout, on_reload, on_exit

The supervisor itself imports nothing of the user's: what such a module brings would be in every worker's
memory, and one that hangs would stop the supervision. So it forks a process for each hook of its own, which
imports the module, calls the hook and ends. Those before the first worker and before each are waited for; the
others run one after the other, beside all else. Nothing that a hook does ends the server.
"""

from __future__ import annotations

import gc
import os
import sys
import time

from portico import _core, log
from portico.errors import OperatorError
from portico.hooks import Server, Worker
from portico.process.hooks import LONG_S, named, run_hook
from portico.process.loading import enter
from portico.process.loop import Duty
from portico.process.privileges import give_up
from portico.process.signals import SUPERVISOR_SIGNALS, block_signals, how_it_ended, signal, unblock_signals
from portico.process.tracebacks import traceback_of
from portico.process.worker import LOG_PATIENCE_S, configure_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portico.process.generations import Generations
    from portico.process.plan import Plan

PATIENCE_S = 60.0
"""After this a hook that the supervisor has run is ended."""
# systemd and others give a stop 5 s more than the requests (`portico.generate.times`).
_PATIENCE_AT_END_S = 3.0
_MOST_WAITING = 100
_FAILED = 1


class Call:
    """A hook that is to be called, and the process that does, once there is one."""

    __slots__ = ("arguments", "began_at_s", "is_warned", "name", "pid")

    def __init__(self, name: str, arguments: tuple[object, ...]) -> None:
        self.name = name
        self.arguments = arguments
        self.pid = 0
        self.began_at_s = 0.0
        self.is_warned = False


class SupervisorHooks(Duty):
    """The hooks that the supervisor has run. `leave_supervisor` lets a forked process have nothing of it."""

    __slots__ = ("_at_end", "_done", "_gate", "_generations", "_leave_supervisor", "_waiting")

    def __init__(
        self, generations: Generations, leave_supervisor: Callable[[], None], *, has_started: bool
    ) -> None:
        """`has_started`: the start of the server is over, so nothing is called for that."""
        self._generations = generations
        self._leave_supervisor = leave_supervisor
        self._gate: Call | None = None
        self._done = {("on_start", 0)} if has_started else set()
        self._waiting: list[Call] = []
        self._at_end = False

    def let_fork(self, server: Server, slot: int) -> bool:
        """Say whether worker `slot` may be forked now; if not, the hooks before it are on their way."""
        worker = Worker(slot + 1)
        return self._passes(("on_start", 0), server) and self._passes(("pre_fork", slot), server, worker)

    def forked(self, slot: int) -> None:
        """A worker was forked: before the next one in its place its hook is called again."""
        self._done.discard(("pre_fork", slot))
        self._done.add(("on_start", 0))

    def tell(self, name: str, *arguments: object) -> None:
        """Call the hook `name`, if there is one, after those that wait already."""
        if name not in self._plan.hooks:
            return
        if len(self._waiting) >= _MOST_WAITING:
            log.error(f"{self._named(name)} is not called: {_MOST_WAITING} others wait before it")
            return
        self._waiting.append(Call(name, arguments))
        self.look(time.monotonic())

    def have_ended(self, server: Server | None) -> bool:
        """Have the last hook called, and say whether all are done; for the end of the supervisor."""
        if not self._at_end:
            self._at_end = True
            self.tell("on_exit", server)
        return self._gate is None and not self._waiting

    def look(self, now_s: float) -> None:
        if self._waiting and not self._waiting[0].pid:
            self._begin(self._waiting[0], now_s)
        for call in self._running():
            elapsed_s = now_s - call.began_at_s
            if elapsed_s >= LONG_S and not call.is_warned:
                call.is_warned = True
                log.warning(f"{self._named(call.name)} takes longer than {LONG_S:g} s")
            patience_s = _PATIENCE_AT_END_S if self._at_end else PATIENCE_S
            if elapsed_s >= patience_s:
                log.error(f"{self._named(call.name)} has not ended within {patience_s:g} s: it is killed")
                os.kill(call.pid, signal.SIGKILL)
                call.began_at_s = now_s

    def due_s(self) -> float | None:
        patience_s = _PATIENCE_AT_END_S if self._at_end else PATIENCE_S
        due = [call.began_at_s + (patience_s if call.is_warned else LONG_S) for call in self._running()]
        if self._at_end:
            due += [call.began_at_s + patience_s for call in self._running()]
        return min(due, default=None)

    def ended(self, pid: int, exit_code: int) -> bool:
        """Take note if `pid`, which has ended, has run a hook; say whether it has."""
        for call in self._running():
            if call.pid != pid:
                continue
            if exit_code not in (0, _FAILED):
                log.error(f"the process of {self._named(call.name)} {how_it_ended(exit_code)}")
            if call is self._gate:
                self._gate = None
            else:
                del self._waiting[0]
            self.look(time.monotonic())
            return True
        return False

    def _passes(self, key: tuple[str, int], *arguments: object) -> bool:
        if self._gate is not None:
            return False
        if key in self._done or key[0] not in self._plan.hooks:
            return True
        self._gate = Call(key[0], arguments)
        self._done.add(key)
        self._begin(self._gate, time.monotonic())
        return self._gate is None

    def _running(self) -> list[Call]:
        return [call for call in (self._gate, *self._waiting[:1]) if call is not None and call.pid]

    def _begin(self, call: Call, now_s: float) -> None:
        call.began_at_s = now_s
        block_signals(SUPERVISOR_SIGNALS)
        try:
            call.pid = os.fork()
        except OSError as error:
            unblock_signals(SUPERVISOR_SIGNALS)
            log.error(f"cannot fork a process for {self._named(call.name)}: {error.strerror}")
            if call is self._gate:
                self._gate = None
            else:
                self._waiting.remove(call)
            return
        if call.pid == 0:
            self._be_hook(call)
        unblock_signals(SUPERVISOR_SIGNALS)

    def _be_hook(self, call: Call) -> None:
        """In the forked process: call the hook, and end."""
        code = _FAILED
        try:
            self._leave_supervisor()
            gc.enable()
            plan = self._plan
            _core.name_process("portico hook", f"portico: hook {call.name} {plan.name}")
            configure_log(plan.settings)
            give_up(plan.settings, plan.identity, plan.directory)
            enter(plan.directory, plan.settings.pythonpath)
            if run_hook(plan, call.name, call.arguments):
                code = 0
        except OperatorError as error:
            log.error(f"{self._named(call.name)} cannot be called: {error.message}")
        except BaseException as error:
            log.error(f"{self._named(call.name)} cannot be called\n{traceback_of(error)}")
        finally:
            _flush()
            os._exit(code)

    def _named(self, name: str) -> str:
        return named(self._plan, name)

    @property
    def _plan(self) -> Plan:
        return self._generations.current


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:  # noqa: SIM105 - contextlib costs the supervisor 0.4 MB
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass  # closed or full: there is nobody left to tell
    _core.flush_log(LOG_PATIENCE_S)
