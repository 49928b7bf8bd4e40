"""Where the access log and the error log go, and what is in them."""

from __future__ import annotations

from portico.config.kinds import Choice, LogFile
from portico.config.setting import Group, Setting
from portico.config.values import Values

_LOGS = Group("logs", "logs")


class LogSettings(Values):
    """The rows of the group `logs`."""

    __slots__ = ()

    access_log = Setting(
        "access_log",
        LogFile(),
        "-",
        group=_LOGS,
        summary="Where requests are logged.",
        documentation="Where the access log goes: a file, - for standard output, or off. Size and time in a "
        "line are those of the application's call; a slow reader may take longer. If nobody reads what a "
        "pipe should take, a worker keeps 1 MiB of lines and gives up the rest, with a warning: requests do "
        "not wait for their log. After a file was moved away, USR1 opens it anew.",
    )
    error_log = Setting(
        "error_log",
        LogFile("a file, or - for standard error", ("-",)),
        "-",
        group=_LOGS,
        documentation="Where the error log goes, and whatever else is written to standard error: a file, or "
        "- to leave standard error as it is; /dev/stdout is standard output. After a file was moved away, "
        "USR1 opens it anew.",
    )
    log_level = Setting(
        "log_level",
        Choice(
            *("trace", "debug", "info", "warning", "error", "critical"),
            synonyms=(("warn", "warning"),),
        ),
        "info",
        group=_LOGS,
        summary="The least that is logged, as debug.",
        documentation="The least important records that the error log keeps of what portico itself says. "
        "trace follows each request by the number of its connection: accepted, head, queued, called, head "
        "sent, done. What the application writes to wsgi.errors is there at every level and as it was "
        "written, with no date or level before it, and so is the traceback of an exception that it raises. "
        "If nobody reads what a pipe should take, each process keeps 256 KiB and gives up the rest, which "
        "is said later: neither requests nor signals wait.",
    )
