"""Formats that are a text with values in it: combined, common, uWSGI's, templates in three servers' words.

Each is one regular expression, whose groups are named after variables of portico's own templates
(docs/run/logs.md#variables).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from portico.errors import OperatorError, quoted
from portico.report.dates import common_date, ctime_date, iso_date
from portico.report.histogram import LARGEST_NS
from portico.report.record import Record, UnreadableError

_SECOND_NS = 1_000_000_000
_UNITS_NS = {"s": _SECOND_NS, "ms": 1_000_000, "us": 1_000, "ns": 1}


class Pattern:
    """A format by its regular expression."""

    def __init__(self, name: str, expected: str, pattern: str) -> None:
        self.name = name
        self.expected = expected
        self._match = re.compile(pattern, re.ASCII | re.DOTALL).fullmatch
        self._setters = [(group, _SETTERS[group]) for group in re.compile(pattern).groupindex]

    def read(self, line: str) -> Record:
        """Return what `line` says."""
        match = self._match(line)
        if match is None:
            raise UnreadableError(self.expected)
        record = Record()
        for group, set_value in self._setters:
            text = match[group]
            if text is not None and text != "-":
                set_value(record, text)
        return record


# --- What becomes of a value


def _set_text(field: str) -> Callable[[Record, str], None]:
    return lambda record, text: setattr(record, field, text)


def _set_date(read: Callable[[str], float]) -> Callable[[Record, str], None]:
    def set_value(record: Record, text: str) -> None:
        record.ended_s = read(text)

    return set_value


def _set_time(field: str, unit_ns: int) -> Callable[[Record, str], None]:
    def set_value(record: Record, text: str) -> None:
        fraction = text.partition(".")[2]
        setattr(record, field, min(round(float(text) * unit_ns), LARGEST_NS))
        if field == "total_ns":
            record.resolution_ns = max(unit_ns // 10 ** len(fraction), 1)

    return set_value


def _set_status(record: Record, text: str) -> None:
    record.status = int(text)


def _set_bytes(record: Record, text: str) -> None:
    record.body_bytes = int(text)


def _set_request(record: Record, text: str) -> None:
    method, space, rest = text.partition(" ")
    if space:
        record.method, record.path = method, rest.rpartition(" ")[0] or rest


def _since_1970(per_second: int) -> Callable[[str], float]:
    return lambda text: int(text) / per_second


_TIMES = ("total", "queue", "lock", "app", "cpu", "client")
_SETTERS: dict[str, Callable[[Record, str], None]] = {
    "request": _set_request,
    "method": _set_text("method"),
    "target": _set_text("path"),
    "path": _set_text("path"),
    "route": _set_text("route"),
    "cause": _set_text("cause"),
    "status": _set_status,
    "body_bytes": _set_bytes,
    "ended_clf": _set_date(common_date),
    "ended": _set_date(iso_date),
    "ctime": _set_date(ctime_date),
    "epoch_s": _set_date(_since_1970(1)),
    "epoch_ms": _set_date(_since_1970(1_000)),
    "epoch_us": _set_date(_since_1970(1_000_000)),
    **{
        f"{time}_{unit}": _set_time(f"{time}_ns", unit_ns)
        for time in _TIMES
        for unit, unit_ns in _UNITS_NS.items()
    },
}

# --- The formats that have a name

# gunicorn escapes a quote by a backslash, portico and nginx as \x22.
_QUOTED = r'[^"\\]*(?:\\.[^"\\]*)*'
_WORD = r"\S+"
_STATUS = r"[0-9]{3}"
_BYTES = r"[0-9]{1,15}|-"
_TIME = r"[0-9]{1,12}(?:\.[0-9]{1,9})?|-"
_CLF = r"[0-9]{2}/[A-Za-z]{3}/[0-9]{4}:[0-9:]{8} [+-][0-9]{4}"
_START = rf'{_WORD} {_WORD} [^\[]*\[(?P<ended_clf>{_CLF})\] "(?P<request>{_QUOTED})" (?P<status>{_STATUS})'

COMBINED = Pattern(
    "combined",
    'a line such as 192.0.2.7 - - [29/Nov/2026:01:46:07 +0000] "GET / HTTP/1.1" 200 5120 "-" "curl/8" 0.0123',
    # nginx often has X-Forwarded-For behind the agent.
    rf'{_START} (?P<body_bytes>{_BYTES}) "{_QUOTED}" "{_QUOTED}"(?: "{_QUOTED}")?'
    r"(?: (?P<total_s>[0-9]{1,9}\.[0-9]{1,9})(?: (?P<cause>\S+))?)?",
)
COMMON = Pattern(
    "common",
    'a line such as 192.0.2.7 - - [29/Nov/2026:01:46:07 +0000] "GET / HTTP/1.1" 200 5120',
    rf"{_START} (?P<body_bytes>{_BYTES})(?: (?P<cause>\S+))?",
)
SHORT = Pattern(
    "short",
    "a line such as 01:46:07 GET / 200 5120 12.345 ms",
    rf"[0-9:]{{8}} (?P<method>\S+) (?P<path>.+) (?P<status>{_STATUS}) (?P<body_bytes>{_BYTES})"
    rf" (?P<total_ms>{_TIME}) ms(?: (?P<cause>\S+))?",
)
UWSGI = Pattern(
    "uwsgi",
    "a line such as [pid: 1|app: 0|req: 1/1] 192.0.2.7 () {28 vars in 301 bytes} [Sun Nov 29 01:46:07 2026] "
    "GET / => generated 5 bytes in 1 msecs (HTTP/1.1 200) 2 headers in 79 bytes (1 switches on core 0)",
    # Before it, what --memory-report says; how it was sent stands behind the duration.
    r"(?:\{[^}]*\} )*\[pid: [0-9]+\|app: -?[0-9]+\|req: [^\]]*\] \S* \(.*?\) \{[0-9]+ vars in [0-9]+ bytes\} "
    r"\[(?P<ctime>[A-Za-z]{3} [A-Za-z]{3} [ 0-9]{2} [0-9:]{8} [0-9]{4})\] (?P<method>\S*) (?P<target>.*) "
    r"=> generated (?P<body_bytes>[0-9]{1,15}) bytes in "
    r"(?:(?P<total_ms>[0-9]{1,12}) msecs|(?P<total_us>[0-9]{1,15}) micros) (?:via \w+\(\) )?"
    r"\(\S* (?P<status>[0-9]{3})\) .*",
)

# --- Templates

_CTIME = r"[A-Za-z]{3} [A-Za-z]{3} [ 0-9]{2} [0-9:]{8} [0-9]{4}"
_ISO = r"[0-9-]{10}T[0-9:]{8}(?:\.[0-9]{1,9})?Z"
_DIGITS = r"[0-9]{1,18}"
# How the value of each variable that is read looks like.
_OWN = {
    "request": r"\S+ \S+(?: \S+)?|-",
    **dict.fromkeys(("target", "path", "route", "cause", "method"), r"\S*"),
    "status": _STATUS,
    "body_bytes": _BYTES,
    "ended_clf": _CLF,
    "ended": _ISO,
    "ctime": _CTIME,
    "epoch_s": _DIGITS,
    "epoch_ms": _DIGITS,
    "epoch_us": _DIGITS,
    **{f"{time}_{unit}": _TIME for time in _TIMES for unit in _UNITS_NS},
}
_OF_UWSGI = {
    "uri": "target",
    "rsize": "body_bytes",
    "secs": "total_s",
    "msecs": "total_ms",
    "micros": "total_us",
    "ltime": "ended_clf",
    "ftime": "ended_clf",
    "time": "epoch_s",
    "tmsecs": "epoch_ms",
    "tmicros": "epoch_us",
    "epoch": "epoch_s",
    "started": "ended",
    "var.portico.route": "route",
}
_OF_GUNICORN = {
    "r": "request",
    "m": "method",
    "U": "path",
    "s": "status",
    "st": "status",
    "B": "body_bytes",
    "b": "body_bytes",
    "T": "total_s",
    "M": "total_ms",
    "D": "total_us",
    "L": "total_s",
    "{portico.route}e": "route",
}
# What may have spaces.
_TEXTS = re.compile(r"a|f|u|user|user_agent|uagent|referer|message|(header|response|environ|var)\..*|\{.*\}.")
_SEPARATORS = "|;,^~"
"""What ends a value before it: else values could be told apart in as many ways as there are of these."""
_SPACES = " \t%"
_MOST_RUNNING_ON = 3
"""Values that something else stands behind, and that may have this in them: the same."""
_VARIABLE = re.compile(r"%%|%\((?P<name>\{[^}]*\}[a-z]|[^)]*)\)")


def template(text: str) -> Pattern:
    """Return the format of a template: gunicorn's access_log_format, uWSGI's logformat or portico's own.

    Raises OperatorError if it says no status, which every request has.
    """
    pieces: list[str] = []
    known: set[str] = set()
    free_texts = runs_on = 0
    position = 0
    for match in _VARIABLE.finditer(text):
        pieces.append(re.escape(text[position : match.start()]))
        position = match.end()
        name = match["name"]
        if name is None:
            pieces.append("%")
            continue
        is_gunicorns = len(name) == 1 or name.startswith("{")
        is_quoted = text[match.start() - 1 : match.start()] == '"'
        if is_gunicorns and text[position : position + 1] == "s":
            position += 1
        group = (_OF_GUNICORN if is_gunicorns else _OF_UWSGI).get(name, name)
        if name == "t":
            pieces.append(rf"\[(?P<ended_clf>{_CLF})\]")
            continue
        is_read = group in _OWN and group not in known
        has_spaces = group == "request" or _TEXTS.fullmatch(name) is not None
        is_open = group == "request" or _OWN.get(group, _OWN["path"]) == _OWN["path"]
        after = text[position : position + 1]
        if not is_open:
            value = _OWN[group]
        elif is_quoted:
            value = _QUOTED
        elif after and (after in _SEPARATORS or (runs_on > _MOST_RUNNING_ON and after not in _SPACES)):
            value = rf"[^{re.escape(after)}]*" if has_spaces else rf"[^\s{re.escape(after)}]*"
        elif is_read:
            value = _OWN[group]
        else:
            # Two of them could be told apart in as many ways as there are spaces: hours for a long line.
            free_texts += has_spaces
            value = r".*?" if has_spaces and free_texts == 1 else r"\S*"
        runs_on += is_open and after not in _SPACES
        known |= {group} & _OWN.keys()
        pieces.append(f"(?P<{group}>{value})" if is_read else f"(?:{value})")
    pieces.append(re.escape(text[position:]))
    if "status" not in known:
        raise OperatorError(
            f"--format: expected a template with the status, as %(s)s or %(status), got {quoted(text)}"
        )
    # What ended without a response has a cause behind the line.
    tail = "" if "cause" in known else r"(?: (?P<cause>timeout|[a-z]+:\S+))?"
    return Pattern("template", f"a line as {text}", "".join(pieces) + tail)
