"""Where the access log and the error log go, and what is in them."""

from __future__ import annotations

from portico.config.kinds import (
    AccessLog,
    Choice,
    LogConfig,
    LogField,
    LogFile,
    Portion,
    ProgramName,
    SyslogFacility,
    Text,
)
from portico.config.setting import Group, ManySetting, Setting
from portico.config.values import Values

_LOGS = Group("logs", "logs")


class LogSettings(Values):
    """The rows of the group `logs`."""

    __slots__ = ()

    access_log = Setting(
        "access_log",
        AccessLog(),
        "-",
        group=_LOGS,
        summary="Where requests are logged.",
        documentation="Where the access log goes: a file, - for standard output, off, syslog (the daemon at "
        "/dev/log), syslog:unix:/PATH, syslog:udp://HOST:PORT (RFC 5424), or journald (systemd's journal, "
        "with fields such as HTTP_STATUS), journald:unix:/PATH. Size and time in a "
        "line are those of the application's call; a slow reader may take longer. If nobody reads what a "
        "pipe should take, a worker keeps 1 MiB of lines and gives up the rest, with a warning: requests do "
        "not wait for their log. After a file was moved away, USR1 opens it anew.",
    )
    syslog_facility = Setting(
        "syslog_facility",
        SyslogFacility(),
        "user",
        group=_LOGS,
        documentation="By which facility a log daemon sorts the access lines, where access_log is syslog or "
        "journald: local0 to local7 are free to choose. The level is the status's: info, warning from 400, "
        "err from 500.",
    )
    syslog_tag = Setting(
        "syslog_tag",
        ProgramName(),
        "portico",
        group=_LOGS,
        documentation="What the program is called in access lines, where access_log is syslog or journald "
        "(there it is SYSLOG_IDENTIFIER: journalctl -t NAME).",
    )
    access_log_format = Setting(
        "access_log_format",
        Text("FORMAT", "auto, combined, common, short, json, logfmt, or a template with variables"),
        "auto",
        group=_LOGS,
        documentation="What an access line looks like: combined (that of Apache and nginx, with the duration "
        "in seconds at the end), common, short, auto (short on a terminal, the request and its status in "
        "journald, else combined), json (names of "
        "the Elastic Common Schema), logfmt (key=value), or a template of gunicorn's variables, as %(h)s, of "
        "uWSGI's, as %(uri), and of portico's own, as %(queue_ms). docs/run/logs.md has all of them. A "
        "variable that does not exist is an error at the start.",
    )
    access_log_fields = ManySetting(
        "access_log_fields",
        LogField(),
        (),
        separator=",",
        group=_LOGS,
        documentation="Fields that json and logfmt have beside their own: a header of the request "
        "(header.x-tenant), a header of the response (response.content-type), a variable of the environ "
        "after the call (environ.shop.customer), or any other field. May be repeated.",
    )
    access_log_if = Setting(
        "access_log_if",
        Text("CONDITION", "a condition such as status >= 500 or total_ms > 200"),
        "",
        group=_LOGS,
        documentation="A condition that has to hold for a request that has an access line, such as "
        "status >= 500 or total_ms > 200. and, or, not and brackets join comparisons of a field with a "
        "number or a text in quotes: ==, !=, <, <=, >, >=, and ~ for a pattern in which * stands for "
        "anything. Requests whose worker was killed, or whose call was given up, are logged in any case.",
    )
    access_log_skip = ManySetting(
        "access_log_skip",
        Text("PATH", "a path such as /healthz, or /static/*"),
        (),
        separator=",",
        group=_LOGS,
        documentation="Paths whose requests have no access line; a `*` stands for anything: /static/*. "
        "May be repeated.",
    )
    access_log_sample = Setting(
        "access_log_sample",
        Portion(),
        1.0,
        group=_LOGS,
        documentation="The share of requests that have an access line, of those that would have one: 0.1 "
        "is a tenth of them, chosen at random. Those that end with a status of 500 or above always have one.",
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
    error_log_format = Setting(
        "error_log_format",
        Choice("text", "json"),
        "text",
        group=_LOGS,
        documentation="How records of the error log are written: as text, or each as one line of JSON with "
        "the names of the Elastic Common Schema, such as error.stack_trace and http.request.id. What the "
        "application writes to wsgi.errors stays as it was written.",
    )
    logconfig = Setting(
        "logconfig",
        LogConfig(),
        "",
        group=_LOGS,
        documentation="What Python's logging is to be, in workers before the application is imported: a "
        "file of TOML or JSON (.toml, .json) for logging.config.dictConfig, any other for "
        "logging.config.fileConfig, or, in portico.toml, a table [logconfig]. The records of portico go "
        "there too then, to the logger portico.error, with request_id, method, path, route, app and worker "
        "as attributes, and not to the error log. log_level still decides which there are.",
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
