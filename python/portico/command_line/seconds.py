"""A number of seconds of the commands that are no settings (`ctl`, `top`)."""

from __future__ import annotations

import math
from typing import Any

import click

_MOST_S = 86400.0
"""A day. What a socket of Python's can wait for has an end, too (its milliseconds are 32 bits)."""


class Seconds(click.FloatRange):
    """A number of seconds that can be waited for: `nan`, which is in any range for click, is none."""

    def __init__(self, least_s: float, *, least_open: bool = False) -> None:
        super().__init__(least_s, _MOST_S, min_open=least_open)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds; fails as click does."""
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds
