"""The error log, as Python sees it: a thin layer over the engine's writer, and `wsgi.errors` on top of it.

Used by the supervisor and by the workers (any thread). The line format, the level and the single write to
standard error are the engine's (`_core.log`), so both languages write alike. No write waits for who reads.
"""

from __future__ import annotations

import _thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# An application that never ends its line must not fill the memory.
MAX_PARTIAL_LINE_CHARACTERS = 64 * 1024
_PATIENCE_S = 0.2


def debug(message: str) -> None:
    _log("debug", message)


def info(message: str) -> None:
    _log("info", message)


def warning(message: str) -> None:
    _log("warning", message)


def error(message: str) -> None:
    _log("error", message)


def critical(message: str) -> None:
    _log("critical", message)


def say(sentence: str) -> None:
    """Tell whoever starts portico, before there is a supervisor; waits only briefly for who reads."""
    from portico import _core

    _core.configure_log("info", False)
    _write_lines(f"portico: {sentence}")
    _core.flush_log(_PATIENCE_S)


def _log(level: str, message: str) -> None:
    # Here and not above: a command line that has nothing to say has no need of the engine.
    from portico import _core

    try:
        _core.log(level, message)
    except UnicodeEncodeError:
        _core.log(level, _escaped(message))


def _write_lines(text: str) -> None:
    from portico import _core

    try:
        _core.log_lines(text)
    except UnicodeEncodeError:
        _core.log_lines(_escaped(text))


def _escaped(text: str) -> str:
    """Lone surrogates (undecodable bytes of file names, PEP 383) have no UTF-8; show them escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class ErrorStream:
    """`wsgi.errors`: text in, whole lines out to the error log, as the application wrote them.

    Whatever the level of the log is, which is for what the server says; and with nothing put before them,
    because who writes here, such as the module logging, often has put a date and a level there already. Any
    Unicode is accepted. A line leaves when it is complete or at `flush()`; several lines written at once
    leave at once, so that a traceback is never mixed with another thread's lines.
    """

    __slots__ = ("_lock", "_partial")

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self) -> None:
        self._lock = _thread.allocate_lock()
        self._partial = ""

    def write(self, text: str, /) -> int:
        """Take `text`, pass on all that is whole lines, and return how many characters were taken."""
        if not isinstance(text, str):
            raise TypeError(f"wsgi.errors takes str, not {type(text).__name__}")
        with self._lock:
            whole, newline, self._partial = (self._partial + text).rpartition("\n")
            if len(self._partial) > MAX_PARTIAL_LINE_CHARACTERS:
                whole, newline, self._partial = whole + newline + self._partial, "\n", ""
        if newline:
            _write_lines(whole)
        return len(text)

    def writelines(self, lines: Iterable[str], /) -> None:
        """Write each of `lines`; as for any file, no line ends are added."""
        self.write("".join(lines))

    def flush(self) -> None:
        """Pass on a line that has no end yet."""
        with self._lock:
            partial, self._partial = self._partial, ""
        if partial:
            _write_lines(partial)

    def isatty(self) -> bool:
        return False

    def writable(self) -> bool:
        return True
