"""Header fields: what names and values are made of, and values that are lists (RFC 9110 5).

For the middleware that reads or checks them.
"""

from __future__ import annotations

import re

NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A name is a token (RFC 9110 5.6.2)."""
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What no value may have in it; a tab is whitespace (RFC 9110 5.5)."""

# RFC 9110 5.6.4: a comma in a quoted string separates nothing, and there is no other way to write one.
_ITEM = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*")*', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)


def list_items(value: str) -> list[str]:
    r"""Return the elements of a list, in order, those that are quoted strings without their quotes.

    Empty elements are left out (RFC 9110 5.6.1.2). A quoted string that does not end makes all of it invalid:
    then there is no element.

        list_items('a, "b, c", d;e="f"')  ->  ['a', 'b, c', 'd;e="f"']
    """
    items = []
    position = 0
    while True:
        match = _ITEM.match(value, position)
        assert match is not None  # of nothing, if need be
        if item := match[0].strip(" \t"):
            items.append(_unquoted(item))
        position = match.end() + 1
        if position > len(value):
            return items
        if value[position - 1] != ",":
            return []


def _unquoted(item: str) -> str:
    if len(item) > 1 and item[0] == item[-1] == '"':
        return _ESCAPED.sub(r"\1", item[1:-1])
    return item
