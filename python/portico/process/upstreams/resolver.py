"""The process that looks up names, as the supervisor sees it: there while a plan has any, and no longer.

What it says is handed on to `members.py`. If it ends, the next one starts a moment later; the addresses of
before stay.
"""

from __future__ import annotations

import gc
import os
import sys
import time

from portico import _core, log
from portico.config.identity import are_privileges_given_up
from portico.process.messages import Decoder, Failed, Members
from portico.process.signals import how_it_ended, signal
from portico.process.tracebacks import traceback_of
from portico.process.ways import Ways
from portico.process.worker import LOG_PATIENCE_S, configure_log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn, TypeAlias

    from portico.process.generations import Generations
    from portico.process.loop import Loop

    Asked: TypeAlias = "dict[tuple[str, str], float]"
    """Places, each with its resolver, and the longest time between two tries."""

_AGAIN_S = 1.0
_READ_BYTES = 65536


class Resolver:
    """The process, if there is one. `leave` lets a forked process have nothing of the supervisor.

    `found` is called with place and resolver, addresses, and why some are lacking if they are; `failed` with
    why there are none.
    """

    __slots__ = (
        *("_asked", "_decoder", "_failed", "_fd", "_found", "_generations", "_leave", "_loop", "_pid"),
        "start_at_s",
    )

    def __init__(
        self,
        loop: Loop,
        generations: Generations,
        *,
        leave: Callable[[], None],
        found: Callable[[tuple[str, str], str, str], None],
        failed: Callable[[tuple[str, str], str], None],
    ) -> None:
        self._loop = loop
        self._generations = generations
        self._leave = leave
        self._found = found
        self._failed = failed
        self._asked: Asked = {}
        self._pid = self._fd = -1
        self._decoder = Decoder()
        # When to start, if it is to be.
        self.start_at_s: float | None = None

    def ask(self, asked: Asked) -> None:
        """Have these looked up from now on, and no others."""
        if asked != self._asked:
            self._asked = asked
            self.end()
            self.start_at_s = time.monotonic() if asked else None

    def look(self, now_s: float) -> None:
        """Start it if that is due."""
        if self.start_at_s is not None and now_s >= self.start_at_s:
            self.start_at_s = None
            self._start(now_s)

    def ended(self, pid: int, exit_code: int, *, is_wanted: bool) -> bool:
        """Take note if `pid`, which has ended, was it; say whether it was."""
        if pid != self._pid:
            return False
        if is_wanted:
            # At the end it may have had the signal, too.
            log.error(f"the process that looks up names {how_it_ended(exit_code)}; it starts again")
        self._pid = -1
        self.close()
        self.start_at_s = time.monotonic() + _AGAIN_S
        return True

    def end(self) -> None:
        """End it, if there is one; it has nothing to finish."""
        pid, self._pid = self._pid, -1
        self.close()
        if pid > 0:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def close(self) -> None:
        """Close the supervisor's end of its socket."""
        if self._fd >= 0:
            self._loop.forget(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _start(self, now_s: float) -> None:
        try:
            ways = Ways(_core.socket_pair)
            pid = ways.fork()
        except OSError as error:
            log.error(f"cannot fork a process that looks up names: {error.strerror}")
            self.start_at_s = now_s + _AGAIN_S
            return
        if pid == 0:
            self._be_resolver(ways.ends[0])
        self._pid, [self._fd] = pid, ways.ends
        self._decoder = Decoder()
        self._loop.watch(self._fd, lambda now_s: self._read())

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()  # it is reaped in a moment
            return
        for message in self._decoder.feed(data):
            place, resolver, text, lacking = message.text.split("\0")[:4]
            if message.kind is Members:
                self._found((place, resolver), text, lacking)
            elif message.kind is Failed:
                self._failed((place, resolver), text)

    def _be_resolver(self, fd: int) -> NoReturn:
        """In the forked process: look up names until the supervisor ends."""
        plan = self._generations.current
        try:
            self._leave()
            gc.enable()
            _core.name_process("portico names", f"portico: resolver {plan.name}")
            configure_log(plan.settings)
            if are_privileges_given_up(plan.settings, plan.identity):
                from portico.process.privileges import give_up

                give_up(plan.settings, plan.identity, plan.directory)
            # Here, since it is nobody else's.
            from portico.process.upstreams.resolving import Name, resolve

            resolve(fd, [Name(place, by, resolve_s) for (place, by), resolve_s in self._asked.items()])
        except BaseException as error:
            log.error(f"names cannot be looked up\n{traceback_of(error)}")
        finally:
            sys.stderr.flush()
            _core.flush_log(LOG_PATIENCE_S)
            os._exit(1)
