"""Seconds in an option: a number that is one, and no longer than anybody waits."""

from __future__ import annotations

import math
from typing import Any

import click

# What a socket can wait for has an end, too.
_MOST_S = 86400.0


class Seconds(click.FloatRange):
    """Seconds from `least_s` on, which does not count if `is_open`, to a day."""

    def __init__(self, least_s: float = 0.0, *, is_open: bool = False) -> None:
        super().__init__(min=least_s, min_open=is_open, max=_MOST_S)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        # Nothing is more or less than "nan".
        if math.isnan(seconds := float(super().convert(value, param, ctx))):
            self.fail(f"{value} is no number.", param, ctx)
        return seconds
