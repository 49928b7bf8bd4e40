"""Draws curves over time as SVG: panels below each other, a line per process, marks at the faults.

Receives points and marks; hands on text. Nothing is needed to draw it, and a browser to look at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, PANEL_HEIGHT = 900, 240
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 34, 30
MOST_POINTS = 450
"""Per line: more than the picture has room for."""
GRID = 5
STYLE = (
    "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.line{fill:none;stroke-width:1.3}"
    ".grid{stroke:#ddd}.mark{stroke-width:1;stroke-dasharray:3 3}"
)


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve: (minutes, value)."""

    points: Sequence[tuple[float, float]]
    colour: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A vertical line."""

    at_minutes: float
    colour: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A diagram with its own scale, which begins at 0."""

    title: str
    lines: Sequence[Curve]


def drawing(panels: Sequence[Panel], marks: Sequence[Mark], legend: Sequence[tuple[str, str]]) -> str:
    """The picture; `legend` is (words, colour)."""
    height = PANEL_HEIGHT * len(panels) + 30
    longest = max(
        (minute for panel in panels for line in panel.lines for minute, _ in line.points), default=1.0
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for number, panel in enumerate(panels):
        parts += _panel(panel, marks, longest or 1.0, number * PANEL_HEIGHT)
    left = LEFT
    for words, colour in legend:
        parts.append(f'<rect x="{left}" y="{height - 22}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{left + 17}" y="{height - 12}">{escape(words)}</text>')
        left += 40 + 7 * len(words)
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, marks: Sequence[Mark], longest: float, offset: int) -> list[str]:
    top, bottom = offset + TOP, offset + PANEL_HEIGHT - BOTTOM
    highest = _round_up(max((value for line in panel.lines for _, value in line.points), default=1.0))

    def x(minutes: float) -> float:
        return LEFT + minutes / longest * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return bottom - value / highest * (bottom - top)

    parts = [f'<text class="title" x="{LEFT}" y="{offset + 20}">{escape(panel.title)}</text>']
    for step in range(GRID + 1):
        value, minutes = highest * step / GRID, longest * step / GRID
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
        unit = " min" if step == GRID else ""
        parts.append(
            f'<text x="{x(minutes):.1f}" y="{bottom + 18}" text-anchor="middle">{minutes:.1f}{unit}</text>'
        )
    for mark in marks:
        at = f"{x(mark.at_minutes):.1f}"
        parts.append(
            f'<line class="mark" stroke="{mark.colour}" x1="{at}" x2="{at}" y1="{top}" y2="{bottom}"/>'
        )
    for line in panel.lines:
        every = max(1, -(-len(line.points) // MOST_POINTS))
        points = " ".join(f"{x(minutes):.1f},{y(value):.1f}" for minutes, value in line.points[::every])
        parts.append(f'<polyline class="line" stroke="{line.colour}" points="{points}"/>')
    return parts


def _round_up(value: float) -> float:
    """The next of 1, 2, 2.5, 5, 10 and their powers of ten: round numbers at the grid."""
    power = 1.0
    while power * 10 < value:
        power *= 10
    return next((power * step for step in (1, 2, 2.5, 5, 10) if power * step >= value), power * 10)
