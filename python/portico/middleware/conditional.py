"""Conditional requests (RFC 9110 13): whether a response is due at all, given what the client has already.

Receives the fields of a request and the validators of what it asks for; hands on the status that is due.
"""

from __future__ import annotations

import re
from calendar import timegm
from email.utils import parsedate_to_datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portico.types import Environ

NOT_MODIFIED = "304 Not Modified"
PRECONDITION_FAILED = "412 Precondition Failed"

_TAG = re.compile(r'(W/)?("[^"]*")')  # RFC 9110 8.8.3


def status_due(environ: Environ, etag: str, modified_s: int) -> str | None:
    """Return the status that the preconditions of a request lead to, None where they hold (RFC 9110 13.2.2).

    `etag` is a strong entity tag in its quotes, `modified_s` the last modification in whole seconds since
    1970.
    """
    if if_match := environ.get("HTTP_IF_MATCH"):
        if not _matches(if_match, etag, weakly=False):
            return PRECONDITION_FAILED
    elif (latest := _seconds(environ.get("HTTP_IF_UNMODIFIED_SINCE"))) is not None and modified_s > latest:
        return PRECONDITION_FAILED
    if if_none_match := environ.get("HTTP_IF_NONE_MATCH"):
        if _matches(if_none_match, etag, weakly=True):
            return NOT_MODIFIED if _is_reading(environ) else PRECONDITION_FAILED
    elif (latest := _seconds(environ.get("HTTP_IF_MODIFIED_SINCE"))) is not None and _is_reading(environ):
        return NOT_MODIFIED if modified_s <= latest else None
    return None


def is_range_due(environ: Environ, etag: str | None, modified_s: int) -> bool:
    """Say whether a range of the same bytes can be sent as the client expects them (RFC 9110 13.1.5)."""
    condition = environ.get("HTTP_IF_RANGE")
    if condition is None:
        return True
    if '"' in condition:
        # The strong comparison: a weak tag is equal to nothing.
        return bool(condition.strip() == etag)
    return _seconds(condition) == modified_s


def _matches(value: str, etag: str, *, weakly: bool) -> bool:
    if value.strip() == "*":
        return True
    return any(tag == etag and (weakly or not mark) for mark, tag in _TAG.findall(value))


def _is_reading(environ: Environ) -> bool:
    return environ.get("REQUEST_METHOD") in ("GET", "HEAD")


def _seconds(date: str | None) -> int | None:
    """Read a date; one that is none is ignored (RFC 9110 13.1.3)."""
    if not date:
        return None
    try:
        # All dates of HTTP are in UTC, also those that do not say so (RFC 9110 5.6.7).
        return timegm(parsedate_to_datetime(date).utctimetuple())
    except (TypeError, ValueError, OverflowError):
        return None
