"""A whole number of the commands that are no settings (`ctl`, `profile`, `report`)."""

from __future__ import annotations

from typing import Any

import click


class WholeNumber(click.IntRange):
    """One that is written in digits alone: `+1` is one for Python, and to `scale` one more for people."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number; fails as click does."""
        if isinstance(value, str) and not (value.isascii() and value.isdigit()):
            self.fail(f"expected a whole number in digits, got {value!r}.", param, ctx)
        number: int = super().convert(value, param, ctx)
        return number
