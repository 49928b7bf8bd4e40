"""Which route a request is counted for: the one that the framework has found, else its path made general."""

from __future__ import annotations

import re
from functools import lru_cache

LONGEST = 160
"""Characters of a route; of one that a client has chosen, more say nothing."""

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"))
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
# A word such as `defaced` is none; a digest or the id of an object is.
_HEX = re.compile(r"(?=.*[0-9])[0-9a-fA-F]{12,}")
_ORIGIN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]*")


@lru_cache(maxsize=4096)
def general(path: str) -> str:
    """Return `path` without its query, and with `<n>`, `<uuid>` and `<hex>` for what looks like one."""
    path = path[: 8 * LONGEST].partition("?")[0]
    if not path.startswith("/"):
        path = _ORIGIN.sub("", path, count=1) or "/"
    path = "/".join(map(_general_part, path.split("/")))
    return path if len(path) <= LONGEST else path[:LONGEST] + "..."


def _general_part(part: str) -> str:
    if _NUMBER.fullmatch(part):
        return "<n>"
    if _UUID.fullmatch(part):
        return "<uuid>"
    return "<hex>" if _HEX.fullmatch(part) else part


def method_of(method: str | None) -> str:
    """Return a method as it is shown: one that there is, or a dash."""
    return method if method in _METHODS else "-"
