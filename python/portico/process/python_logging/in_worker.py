"""Logging in a worker, or in a template of workers, and the thread that hands portico's records on.

A worker has logging before its application is imported, which logs by it too. With `preload` the workers have
it as their template has it, with the same handlers; each has a thread of its own.
"""

from __future__ import annotations

import atexit
import os
import threading

# Here, before gevent may put others in their place: the thread waits outside of any loop.
from _thread import LockType, allocate_lock, get_ident, start_new_thread

from portico import _core
from portico.errors import OperatorError, quoted
from portico.process.python_logging.applying import Handlers, apply, reopen_files
from portico.threads import introduce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.process.plan import Plan

_END_S = 2.0

_handlers: Handlers | None = None
"""Those of this process, from when logging was configured."""
_running: LockType | None = None
"""What the thread of this process holds as long as it runs."""


def configure(plan: Plan) -> None:
    """Have logging as `plan` says, unless this process has it already. Raises OperatorError."""
    global _handlers
    if _handlers is not None:
        return
    settings = plan.settings
    try:
        _handlers = apply(settings.logconfig, {"app": plan.name})  # type: ignore[arg-type]
    except Exception as error:
        name = quoted(settings.logconfig["name"])  # type: ignore[index]
        why = f"{type(error).__name__}: {error}"
        raise OperatorError(f"logging cannot be configured by {name}: {why}") from error


def begin_thread(worker: int) -> None:
    """From now on have portico's records of this process handled; `worker` is its number."""
    global _running
    assert _handlers is not None, "configured before"
    _handlers.be_of_worker(worker)
    _core.queue_log()
    _running = allocate_lock()
    _running.acquire()
    start_new_thread(_hand_on, (_handlers, _running))
    atexit.register(_end_of, os.getpid())


def end_thread() -> None:
    """Have what waits handled, and no more: this process has one thread less."""
    global _running
    running, _running = _running, None
    if running is not None:
        _core.unqueue_log()
        running.acquire(timeout=_END_S)


def _end_of(pid: int) -> None:
    if pid == os.getpid():
        end_thread()


def _hand_on(handlers: Handlers, running: LockType) -> None:
    # Where gevent has patched it, `threading` takes no such thread.
    if threading.get_ident is get_ident:
        introduce("portico-log")
    while (record := _core.next_record()) is not None:
        level, created_s, message, fields, error = record
        if level == "reopen":
            reopen_files()
        else:
            handlers.handle(level, created_s, message, fields, error)
        # Not kept until the next one: an exception has the frames that it has passed.
        del record, error
    running.release()
