"""Where an import is that takes long: the supervisor asks by a signal, faulthandler shows the worker's stack.

That works whatever the import waits for, also where it keeps the interpreter for itself. No thread is there
for it, and an import that is quick pays for two system calls. What is interrupted goes on (PEP 475,
SA_RESTART), but for a C library that takes an interruption for an end: hence the question is rare.
"""

from __future__ import annotations

import faulthandler
import os

from portico.process.loop import NEVER_S
from portico.process.signals import signal

_FIRST_S = 5.0
# Between the question and a look at what came: the stack is written in many small pieces.
_REPLY_S = 0.2
# By default it does nothing, so that it harms nobody who is not prepared for it.
_QUESTION = signal.SIGURG
_READ_BYTES = 65536
_STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep
_PORTICO = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def show_stack_when_asked(fd: int) -> None:
    """In a worker: have the stack of the main thread written to `fd` whenever the supervisor asks."""
    faulthandler.register(_QUESTION, file=fd, all_threads=False)


def show_no_stack(fd: int) -> None:
    """In a worker: leave that off, because the application is there."""
    faulthandler.unregister(_QUESTION)
    os.close(fd)


class ImportWatch:
    """A worker's import as the supervisor sees it. Times are on the monotonic clock.

    `fd` is where its stack can be read, -1 once the application is there.
    `due_s` is when to `look` again: after 5, 10, 20 seconds and so on, and after `limit_s` (0 is no limit).
    """

    __slots__ = ("_after_s", "_is_asked", "_limit_s", "_started_at_s", "due_s", "fd")

    def __init__(self, fd: int, *, now_s: float, limit_s: float = 0.0) -> None:
        self.fd = fd
        self._started_at_s = now_s
        self._limit_s = limit_s or NEVER_S
        self._after_s = min(_FIRST_S, self._limit_s)
        self._is_asked = False
        self.due_s = now_s + self._after_s

    def look(self, pid: int, now_s: float) -> str:
        """Ask the worker `pid`, or return a sentence on what it said the last time; else an empty text."""
        if now_s < self.due_s or self.fd < 0:
            return ""
        if not self._is_asked:
            os.kill(pid, _QUESTION)
            self._is_asked = True
            self.due_s = now_s + _REPLY_S
            return ""
        return self._take_reply(now_s)

    def end(self, now_s: float) -> str:
        """The application is there: return what the worker has still said, as `look` does."""
        sentence = self._take_reply(now_s) if self._is_asked else ""
        self.close()
        return sentence

    def _take_reply(self, now_s: float) -> str:
        self._is_asked = False
        is_at_limit = self._after_s == self._limit_s
        self._after_s = NEVER_S if is_at_limit else min(2 * self._after_s, self._limit_s)
        self.due_s = self._started_at_s + self._after_s
        where = describe_stack(self._read())
        elapsed_s = round(now_s - self._started_at_s)
        return f"the application is still being imported after {elapsed_s} s{where and ': '}{where}"

    def resume(self, now_s: float) -> None:
        """Count what has passed until now not as taken by the import."""
        self._started_at_s = now_s
        self._after_s = min(_FIRST_S, self._limit_s)
        if self.fd >= 0:
            self.due_s = now_s + self._after_s

    def close(self) -> None:
        """Ask no more."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self.due_s = NEVER_S

    def _read(self) -> str:
        try:
            return os.read(self.fd, _READ_BYTES).decode("utf-8", "replace")
        except BlockingIOError:
            return ""


def describe_stack(text: str) -> str:
    """Return the application's line in a stack that faulthandler has written, and what that line waits in.

    Each as `file:line (function)`; of frames of which none is the application's only the innermost.
    """
    frames = [frame for line in text.splitlines() if (frame := _frame(line))]
    if not frames:
        return ""
    own = next((frame for frame in frames if not _is_of_others(frame[0])), frames[0])
    shown = [own] if own is frames[0] else [own, frames[0]]
    return ", in ".join(f"{path}:{number} ({function})" for path, number, function in shown)


def _frame(line: str) -> tuple[str, str, str] | None:
    """Return path, line and function of `  File "/srv/shop.py", line 3 in <module>`."""
    path, is_frame, rest = line.removeprefix('  File "').rpartition('", line ')
    number, _, function = rest.partition(" in ")
    return (path, number, function) if is_frame and line.startswith("  File ") else None


def _is_of_others(path: str) -> bool:
    return path.startswith((_STANDARD_LIBRARY, _PORTICO, "<")) or any(part in path for part in _INSTALLED)
