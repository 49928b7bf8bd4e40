"""The dates of access logs, as seconds since 1970. Lines of one second share a text: it is read once."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

from portico.report.record import UnreadableError

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_END = re.compile(r"(?:\.[0-9]{1,9})?Z")


@lru_cache(maxsize=64)
def common_date(text: str) -> float:
    """Read `29/Nov/2026:01:46:07 +0000`."""
    try:
        day, month, rest = text.split("/")
        year, hour, minute, second = rest[:-6].split(":")
        minutes = int(rest[-4:-2]) * 60 + int(rest[-2:])
        zone = timezone(timedelta(minutes=-minutes if rest[-5] == "-" else minutes))
        numbers = (int(year), _MONTHS.index(month) + 1, int(day), int(hour), int(minute), int(second))
        return datetime(*numbers, tzinfo=zone).timestamp()
    except (ValueError, IndexError, OverflowError):
        raise UnreadableError("a date such as 29/Nov/2026:01:46:07 +0000") from None


@lru_cache(maxsize=64)
def ctime_date(text: str) -> float:
    """Read `Sun Nov 29 01:46:07 2026`, which says of no time zone, as if it were UTC."""
    try:
        _, month, day, clock, year = text.split()
        hour, minute, second = map(int, clock.split(":"))
        moment = datetime(
            int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=timezone.utc
        )
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise UnreadableError("a date such as Sun Nov 29 01:46:07 2026") from None


def iso_date(text: str) -> float:
    """Read `2026-11-29T01:46:07.123Z` (RFC 3339)."""
    fraction = text[19:-1]
    if not _END.fullmatch(text[19:]):
        raise UnreadableError("a date such as 2026-11-29T01:46:07.123Z")
    return _iso_second(text[:19]) + float(f"0{fraction}")


@lru_cache(maxsize=64)
def _iso_second(text: str) -> float:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except (ValueError, OverflowError):
        raise UnreadableError("a date such as 2026-11-29T01:46:07.123Z") from None
