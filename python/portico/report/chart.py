"""Pictures of a report as inline SVG: requests over time, a bar split into parts. They show numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portico.report.figures import Interval

_WIDTH = 1000
_HEIGHT = 100


def over_time(intervals: Sequence[Interval]) -> str:
    """Return a column for each interval, its errors at the foot."""
    most = max((interval.requests for interval in intervals), default=0) or 1
    width = _WIDTH / max(len(intervals), 1)
    columns = []
    for index, interval in enumerate(intervals):
        for name, number in (("requests", interval.requests), ("errors", interval.errors)):
            if number:
                height = max(_HEIGHT * number / most, 0.5)
                columns.append(
                    f'<rect class="{name}" x="{index * width:.2f}" y="{_HEIGHT - height:.2f}" '
                    f'width="{0.9 * width:.2f}" height="{height:.2f}"/>'
                )
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Requests over time">{"".join(columns)}</svg>'
    )


def split(parts: Mapping[str, int]) -> str:
    """Return a bar in which each part has its share; `parts` has names of classes of the style."""
    whole = sum(parts.values())
    if not whole:
        return ""
    position = 0.0
    pieces = []
    for name, value in parts.items():
        width = _WIDTH * value / whole
        pieces.append(f'<rect class="{name}" x="{position:.2f}" width="{width:.2f}" height="{_HEIGHT}"/>')
        position += width
    return (
        f'<svg class="split" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Where the time went">{"".join(pieces)}</svg>'
    )


def swatch(name: str) -> str:
    """Return a square in the colour of a part."""
    return f'<svg viewBox="0 0 1 1" aria-hidden="true"><rect class="{name}" width="1" height="1"/></svg>'
