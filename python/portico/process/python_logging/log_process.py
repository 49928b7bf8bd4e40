"""The log process: it has the handlers for the records of the supervisor, and of all others but workers.

The supervisor forks it, writes records into a pipe without waiting, as JSON, and imports nothing of what the
configuration names: that would be in every worker, and stay as it is through each reload. A new plan gets a
new process; the one before ends when nobody is left to write to it.
"""

from __future__ import annotations

import gc
import os
import sys
import time

from portico import _core, log
from portico.process.loop import Duty
from portico.process.signals import SUPERVISOR_SIGNALS, block_signals, signal, unblock_signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    from portico.process.generations import Generations
    from portico.process.plan import Plan

_AGAIN_S = 1.0
_END_S = 2.0
_LOOK_S = 0.005
_READ_BYTES = 65536
_END = "end"
_REOPEN = "reopen"


class LogProcess(Duty):
    """The process, as the supervisor sees it.

    `leave` lets a forked process have nothing of the supervisor.
    """

    __slots__ = ("_before", "_generations", "_leave", "_not_before_s", "_pid", "_plan")

    def __init__(self, generations: Generations, leave: Callable[[], None]) -> None:
        self._generations = generations
        self._leave = leave
        self._pid = 0
        self._plan: Plan | None = None
        # Those of plans before, which end by themselves.
        self._before: set[int] = set()
        self._not_before_s = 0.0

    def look(self, now_s: float) -> None:
        """Have the process that the current plan asks for."""
        plan = self._generations.current
        if plan is not self._plan:
            if self._pid:
                self._before.add(self._pid)
            self._pid, self._plan, self._not_before_s = 0, plan, 0.0
            if not plan.settings.logconfig:
                _core.unpipe_log()
        if plan.settings.logconfig and not self._pid and now_s >= self._not_before_s:
            self._start(plan, now_s)

    def due_s(self) -> float | None:
        if self._plan is not self._generations.current:
            return 0.0
        return self._not_before_s if not self._pid and self._plan.settings.logconfig else None

    def ended(self, pid: int) -> bool:
        """Take note if `pid`, which has ended, was one of these; say whether it was."""
        if pid in self._before:
            self._before.discard(pid)
            return True
        if not pid or pid != self._pid:
            return False
        self._pid = 0
        self._not_before_s = time.monotonic() + _AGAIN_S
        _core.unpipe_log()
        log.error(
            "the log process has ended, which has the handlers of logconfig; there is a new one in a moment"
        )
        return True

    def reopen(self) -> None:
        """Have the files of the handlers opened anew."""
        _core.order_log(_REOPEN)

    def end(self) -> None:
        """Let it write what there is, and end it."""
        if not self._pid:
            return
        _core.order_log(_END)
        _core.flush_log(_END_S)
        _core.unpipe_log()
        until_s = time.monotonic() + _END_S
        while not self._has_ended():
            if time.monotonic() >= until_s:
                # A handler hangs.
                os.kill(self._pid, signal.SIGKILL)
                until_s += _END_S
            time.sleep(_LOOK_S)

    def _has_ended(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True

    def _start(self, plan: Plan, now_s: float) -> None:
        self._not_before_s = now_s + _AGAIN_S
        read_fd = -1
        block_signals(SUPERVISOR_SIGNALS)
        try:
            read_fd = _core.pipe_log()
            self._pid = os.fork()
        except OSError as error:
            unblock_signals(SUPERVISOR_SIGNALS)
            _core.unpipe_log()
            if read_fd >= 0:
                os.close(read_fd)
            log.error(f"cannot fork a process for the handlers of logconfig: {error.strerror}")
            return
        if self._pid == 0:
            _be_log_process(plan, read_fd, self._leave)
        unblock_signals(SUPERVISOR_SIGNALS)
        os.close(read_fd)


def _be_log_process(plan: Plan, read_fd: int, leave: Callable[[], None]) -> NoReturn:
    """In the forked process: hand on records until nobody writes any."""
    from portico.process.worker import configure_log

    try:
        _core.unpipe_log()
        leave()
        _pass_over_signals()
        gc.enable()
        _core.name_process("portico log", f"portico: log {plan.name}")
        configure_log(plan.settings)
        _hand_on(plan, read_fd)
    except BaseException as error:
        from portico.process.tracebacks import traceback_of

        log.error(f"the log process cannot go on\n{traceback_of(error)}")
    finally:
        sys.stderr.flush()
        _core.flush_log(_END_S)
        os._exit(0)


def _pass_over_signals() -> None:
    """Let nobody end this process before all others have ended, whose last words it has."""
    for number in SUPERVISOR_SIGNALS:
        if number != signal.SIGCHLD:
            signal.signal(number, signal.SIG_IGN)


def _hand_on(plan: Plan, read_fd: int) -> None:
    from portico.process.loading import enter
    from portico.process.python_logging.applying import apply, reopen_files

    # Records that come meanwhile wait in the pipe.
    handlers = None
    try:
        enter(plan.directory, plan.settings.pythonpath)
        handlers = apply(plan.settings.logconfig, {})  # type: ignore[arg-type]
    except Exception as error:
        # It could be at the start.
        why = f"{type(error).__name__}: {error}"
        log.error(f"logging cannot be configured any more: {why}")
    import json
    from datetime import datetime

    for line in _lines(read_fd):
        if line == _REOPEN:
            reopen_files()
            continue
        try:
            record = json.loads(line)
            level, message = record["log.level"], record["message"]
            created = datetime.fromisoformat(record["@timestamp"].replace("Z", "+00:00"))
        except (ValueError, KeyError):
            log.error(line)  # two writers have met in the pipe
            continue
        if handlers is None:
            _core.log_plainly(level, message)
        else:
            handlers.handle(level, created.timestamp(), message, record, pid=record["process.pid"])
    if handlers is not None:
        import logging

        logging.shutdown()


def _lines(read_fd: int) -> Iterator[str]:
    """What comes, line by line, until the end of the file or of the supervisor."""
    rest = b""
    while data := os.read(read_fd, _READ_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        for each in lines:
            line = each.decode("utf-8", "backslashreplace")
            if line == _END:
                return
            yield line
