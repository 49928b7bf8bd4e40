"""Formats of names and values: JSON with the names of the Elastic Common Schema, and logfmt."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from portico.report.dates import iso_date
from portico.report.histogram import LARGEST_NS
from portico.report.record import Record, UnreadableError

_JSON_TEXTS = {
    "http.request.method": "method",
    "url.path": "path",
    "http.route": "route",
    "portico.cause": "cause",
}
_JSON_NUMBERS = {
    "http.response.body.bytes": "body_bytes",
    "event.duration": "total_ns",
    "portico.queue_ns": "queue_ns",
    "portico.lock_ns": "lock_ns",
    "portico.app_ns": "app_ns",
    "portico.cpu_ns": "cpu_ns",
    "portico.client_ns": "client_ns",
}
_STATUS = "http.response.status_code"

# Whether a value is in quotes, and an escape within.
_PAIR = re.compile(r'([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]*))(?: |$)')
_LOGFMT_TIMES = ("total", "queue", "lock", "app", "client")
_MILLISECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_COUNT = re.compile(r"[0-9]{1,15}")


class Json:
    """`access_log_format = "json"`: an object of JSON in each line."""

    name = "json"
    expected = f'an object of JSON with "{_STATUS}"'

    def __init__(self) -> None:
        # A number that is none of JSON (RFC 8259 6), though Python reads it.
        self._decode = json.JSONDecoder(parse_constant=_no_constant).decode

    def read(self, line: str) -> Record:
        """Return what `line` says."""
        if not line.startswith("{"):
            raise UnreadableError(self.expected)
        try:
            values = self._decode(line)
        except (ValueError, RecursionError):
            raise UnreadableError(self.expected) from None
        if _STATUS not in values:
            raise UnreadableError(self.expected)
        record = Record()
        record.status = _number(values, _STATUS, 999)
        date = values.get("@timestamp")
        if date is not None:
            if not isinstance(date, str):
                raise UnreadableError("a text as @timestamp")
            record.ended_s = iso_date(date)
        for name, field in _JSON_TEXTS.items():
            text = values.get(name)
            if text is not None:
                if not isinstance(text, str):
                    raise UnreadableError(f"a text as {name}")
                setattr(record, field, text)
        for name, field in _JSON_NUMBERS.items():
            if name in values:
                setattr(record, field, _number(values, name, LARGEST_NS))
        return record


def _number(values: dict[str, Any], name: str, largest: int) -> int:
    value = values[name]
    if type(value) is not int or not 0 <= value <= largest:
        raise UnreadableError(f"a whole number from 0 to {largest} as {name}")
    return value


def _no_constant(text: str) -> NoReturn:
    raise ValueError(text)


class Logfmt:
    """`access_log_format = "logfmt"`: `name=value`, with quotes where they have to be."""

    name = "logfmt"
    expected = "name=value, with time and status"

    def read(self, line: str) -> Record:
        """Return what `line` says."""
        if not line.startswith("time="):
            raise UnreadableError(self.expected)
        values: dict[str, str] = {}
        position = 0
        while position < len(line):
            match = _PAIR.match(line, position)
            if match is None:
                raise UnreadableError(self.expected)
            values[match[1]] = match[3] if match[2] is None else match[2]
            position = match.end()
        if "status" not in values:
            raise UnreadableError(self.expected)
        record = Record()
        record.ended_s = iso_date(values["time"])
        record.status = _count(values["status"], "status")
        record.method, record.path = values.get("method"), values.get("path")
        record.route, record.cause = values.get("route"), values.get("cause")
        record.resolution_ns = 1000
        if "body_bytes" in values:
            record.body_bytes = _count(values["body_bytes"], "body_bytes")
        for name in _LOGFMT_TIMES:
            text = values.get(f"{name}_ms")
            if text is not None:
                if not _MILLISECONDS.fullmatch(text):
                    raise UnreadableError(f"milliseconds as {name}_ms")
                setattr(record, f"{name}_ns", round(float(text) * 1_000_000))
        return record


def _count(text: str, name: str) -> int:
    if not _COUNT.fullmatch(text) or (name == "status" and len(text) > 3):
        raise UnreadableError(f"a number as {name}")
    return int(text)
