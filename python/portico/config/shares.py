"""What a setting means that is a number, or a share of all such as `25%`."""

from __future__ import annotations


def share_of(text: str, count: int) -> int:
    """Return how many of `count` are meant by `text`, one at least."""
    if text.endswith("%"):
        return max(1, count * int(text[:-1]) // 100)
    return int(text)
