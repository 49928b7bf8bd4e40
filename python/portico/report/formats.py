"""The formats of access logs, by name, and the one that lines are in.

A format receives a line without its end and hands on a record, or raises UnreadableError. Those of names and
values are in pairs.py, those that are texts with values in them in patterns.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from portico.errors import OperatorError, quoted
from portico.report.pairs import Json, Logfmt
from portico.report.patterns import COMBINED, COMMON, SHORT, UWSGI, template
from portico.report.record import Record, UnreadableError


class Format(Protocol):
    """How lines are read."""

    name: str
    expected: str

    def read(self, line: str) -> Record:
        """Return what `line` says; raises UnreadableError."""


FORMATS: Mapping[str, Format] = MappingProxyType(
    {each.name: each for each in (Json(), Logfmt(), UWSGI, COMBINED, COMMON, SHORT)}
)
"""All that have a name. gunicorn's own is `combined`."""

_OTHER_NAMES = {"gunicorn": "combined", "uWSGI": "uwsgi"}


def named(text: str) -> Format:
    """Return the format that --format says: a name, or a template. Raises OperatorError."""
    found = FORMATS.get(_OTHER_NAMES.get(text, text))
    if found is not None:
        return found
    if "%" in text:
        return template(text)
    raise OperatorError(
        f"--format: expected {', '.join([*FORMATS, 'gunicorn'])}, or a template with variables such as "
        f"%(status), got {quoted(text)}"
    )


def find(lines: Sequence[str]) -> Format | None:
    """Return the format that most of `lines` are in, None if no line is in any."""
    counts = {name: sum(_is_in(line, each) for line in lines) for name, each in FORMATS.items()}
    best = max(counts, key=lambda name: counts[name])
    return FORMATS[best] if counts[best] else None


def _is_in(line: str, each: Format) -> bool:
    try:
        each.read(line)
    except UnreadableError:
        return False
    return True
