"""Logging as the configuration says, and portico's records made into those of logging.

Receives what config/logconfig.py has read, and records; hands these to the handlers that the configuration
has given to `portico.error`, whatever the application makes of logging later. Runs in workers and in the log
process, on one thread of each. What a handler fails with never leaves this file.
"""

from __future__ import annotations

import logging
import logging.config
import os
import time
import traceback

from portico import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

NAME = "portico.error"
"""The logger of portico's records."""
THEIRS = "gunicorn.error"
"""The logger whose handlers they get where the configuration names none of ours."""
TRACE = 5
NOT_THERE = "-"
"""What an attribute has that is not known, as %(request_id)s outside of a request."""

_LEVELS = {"trace": TRACE, "critical": logging.CRITICAL}
_ATTRIBUTES = {
    "http.request.id": "request_id",
    "http.request.method": "method",
    "url.path": "path",
    "http.route": "route",
    "service.name": "app",
    "worker": "worker",
}
_PAUSE_S = 60.0


class Handlers:
    """The handlers of portico's records, as they were when logging was configured.

    They are those of a logger of its own, which no dictConfig of the application's can find. `is_theirs`:
    the configuration names gunicorn's logger and none of ours. `constant` are attributes of each record.
    """

    def __init__(self, constant: Mapping[str, str]) -> None:
        self._constant = constant
        ours = [each for each in _named_loggers() if each == "portico" or each.startswith("portico.")]
        self.is_theirs = not ours and THEIRS in _named_loggers()
        configured = logging.getLogger(THEIRS if self.is_theirs else NAME)
        self._logger = logging.Logger(NAME, configured.getEffectiveLevel())
        self._logger.filters = configured.filters[:]
        self._logger.handlers = list(_handlers_of(configured))
        self._logger.propagate = False
        # Where an application adds handlers of its own.
        self._found = [logging.getLogger(NAME), logging.getLogger(NAME.partition(".")[0])]
        self._record: logging.LogRecord | None = None
        self._failure = ""
        self._said_at_s: dict[str, float] = {}
        for handler in self._logger.handlers:
            self._watch(handler)

    def be_of_worker(self, number: int) -> None:
        """Say of each record that it is of this worker."""
        self._constant = {**self._constant, "worker": str(number)}

    @property
    def are_none(self) -> bool:
        """Whether the configuration has none for portico's records."""
        return not self._logger.handlers

    def handle(
        self,
        level: str,
        created_s: float,
        message: str,
        fields: Mapping[str, str],
        error: BaseException | None = None,
        *,
        pid: int | None = None,
    ) -> None:
        """Hand on one record; one that a handler fails with goes to standard error. Raises nothing."""
        try:
            record = self._made(level, created_s, message, fields, error, pid)
            self._record, self._failure = record, ""
            self._add_new_handlers()
            if self._logger.handlers and record.levelno < self._logger.level:
                return
            if self._logger.handlers:
                self._logger.handle(record)
            else:
                self._failure = "-"
        except BaseException as failure:
            self._failure = f"a handler of logconfig failed: {_shown(failure)}"
        finally:
            self._record = None
        if self._failure:
            self._write(level, message, error)

    def _made(
        self,
        level: str,
        created_s: float,
        message: str,
        fields: Mapping[str, str],
        error: BaseException | None,
        pid: int | None,
    ) -> logging.LogRecord:
        number = _LEVELS.get(level) or getattr(logging, level.upper())
        exc_info = None if error is None else (type(error), error, error.__traceback__)
        parts: Any = (NAME, number, "portico", 0, message, None, exc_info)
        try:
            record = logging.getLogRecordFactory()(*parts)
        except Exception:  # the application's
            record = logging.LogRecord(*parts)
        record.created, record.msecs = created_s, int(created_s % 1 * 1000) + 0.0
        if pid is not None:
            record.process = pid
        for name, attribute in _ATTRIBUTES.items():
            value = fields.get(name) or self._constant.get(attribute) or NOT_THERE
            setattr(record, attribute, value)
        return record

    def _add_new_handlers(self) -> None:
        for logger in self._found:
            for handler in logger.handlers:
                if handler not in self._logger.handlers:
                    self._logger.handlers.append(handler)
                    self._watch(handler)

    def _watch(self, handler: logging.Handler) -> None:
        """Hear of what `handler` fails with, which logging would only print."""
        before = handler.handleError

        def handle_error(record: logging.LogRecord) -> None:
            if record is not self._record:
                before(record)
                return
            name = handler.get_name() or type(handler).__name__
            self._failure = f"the handler {name} of logconfig failed: {_shown()}"
            if type(handler).handleError is not logging.Handler.handleError:
                before(record)  # it may have a connection to give up

        handler.handleError = handle_error  # type: ignore[method-assign]

    def _write(self, level: str, message: str, error: BaseException | None) -> None:
        """Write to standard error what no handler has taken, and once a minute why."""
        now_s = time.monotonic()
        if self._failure != "-" and now_s - self._said_at_s.get(self._failure, -_PAUSE_S) >= _PAUSE_S:
            if len(self._said_at_s) > 100:
                self._said_at_s.clear()
            self._said_at_s[self._failure] = now_s
            _plainly("error", f"{self._failure}; its records are here")
        if error is not None:
            try:
                message += "\n" + "".join(traceback.format_exception(error))
            except Exception:
                message += f"\n{type(error).__name__}"
        _plainly(level, message)


def apply(logconfig: Mapping[str, Any], constant: Mapping[str, str]) -> Handlers:
    """Configure logging in this process; `constant` are attributes of each record.

    Raises whatever logging does if that cannot be.
    """
    if logging.getLevelName(TRACE) == f"Level {TRACE}":
        logging.addLevelName(TRACE, "TRACE")
    if "ini" in logconfig:
        import io

        path = logconfig["path"]
        places = {"__file__": path, "here": os.path.dirname(path)}
        file = io.StringIO(logconfig["ini"])
        logging.config.fileConfig(file, defaults=places, disable_existing_loggers=False)
    else:
        config = {"version": 1, "disable_existing_loggers": False, **logconfig["config"]}
        logging.config.dictConfig(config)
    return Handlers(constant)


def reopen_files() -> None:
    """Open anew the files of all handlers of logging, which may have been moved away."""
    for reference in list(logging._handlerList):  # type: ignore[attr-defined]
        handler = reference()
        if not isinstance(handler, logging.FileHandler) or handler.stream is None:
            continue
        try:
            handler.acquire()
            try:
                before = handler.setStream(handler._open())
                if before is not None:
                    before.close()
            finally:
                handler.release()
        except Exception as error:
            name = handler.baseFilename
            _plainly("error", f"cannot reopen {name}: {_shown(error)}; going on with the one of before")


def _handlers_of(logger: logging.Logger | None) -> Iterator[logging.Handler]:
    while logger is not None:
        yield from logger.handlers
        logger = logger.parent if logger.propagate else None


def _named_loggers() -> list[str]:
    found = logging.root.manager.loggerDict.items()
    return [name for name, logger in found if isinstance(logger, logging.Logger)]


def _shown(error: BaseException | None = None) -> str:
    """Return what `error` is, or the one that is being handled, in one line."""
    import sys

    error = error or sys.exc_info()[1]
    try:
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    except Exception:
        return type(error).__name__


def _plainly(level: str, message: str) -> None:
    _core.log_plainly(level, message.encode("utf-8", "backslashreplace").decode("utf-8"))
