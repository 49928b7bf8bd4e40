"""Seconds on the command line that a wait takes as they are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from click import Context, Parameter

_MOST_S = 1e9
"""Some thirty years: more than that no wait of the system has to take."""


class Seconds(click.FloatRange):
    """A number of seconds from `least` on, or of more than 0."""

    def __init__(self, least: float = 0.0) -> None:
        super().__init__(least, _MOST_S, min_open=not least)

    def convert(self, value: Any, param: Parameter | None, ctx: Context | None) -> float:
        # What is no number is in no order with the ends of a range.
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return float(seconds)
