"""What a reader of one value raises where a general sentence would not help."""

from __future__ import annotations


class UnfitError(ValueError):
    """A text is not what it has to be: what was `expected` in the place of `got`, a part of it or all."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected {expected}, got {got!r}")
        self.expected = expected
        self.got = got
