"""The report for a terminal: tables of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from portico.report import wording
from portico.report.comparison import Comparison
from portico.report.figures import Figures, classes
from portico.report.units import date, duration, printable, share

_BAR_CHARACTERS = 40


def as_text(figures: Figures, comparison: Comparison | None, *, top: int) -> str:
    """Return the report, with `top` routes, changes and slow requests at most."""
    blocks = [
        [wording.headline(figures), wording.sources(figures)],
        list(_responses(figures)),
        list(_durations(figures)),
        list(_routes(figures, top)),
        list(_errors(figures, top)),
        list(_slowest(figures, top)),
        list(_changes(comparison, top)) if comparison else [],
        [f"* {sentence}" for sentence in wording.remarks(figures)],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def _responses(figures: Figures) -> Iterator[str]:
    yield "Responses"
    rows = [
        (f"{number:,}", share(number / figures.all.requests), wording.CLASS_WORDS.get(name, name))
        for name, number in classes(figures.statuses).items()
    ]
    yield from _table(rows, right=2)


def _durations(figures: Figures) -> Iterator[str]:
    if not figures.all.durations.timed:
        return
    yield "Durations"
    yield "  " + "   ".join(f"{name} {value}" for name, value in wording.percentiles(figures.all.durations))
    parts = figures.all.parts_ns
    whole = sum(parts.values())
    if whole:
        yield ""
        yield "Where the time went"
        rows = [
            (share(ns / whole), "#" * round(_BAR_CHARACTERS * ns / whole), wording.PART_WORDS[name])
            for name, ns in parts.items()
        ]
        yield from _table(rows, right=1)


def _routes(figures: Figures, top: int) -> Iterator[str]:
    yield "Routes by total time" if figures.all.durations.timed else "Routes by requests"
    has_framework = wording.has_framework(figures)
    shown, left = wording.shown_routes(figures, top)
    rows = [
        wording.route_cells(each, wording.route_name(each, has_framework=has_framework)) for each in shown
    ]
    yield from _table([wording.ROUTE_COLUMNS, *rows], right=len(wording.ROUTE_COLUMNS) - 1)
    if left:
        yield f"  and {left:,} more"


def _errors(figures: Figures, top: int) -> Iterator[str]:
    has_framework = wording.has_framework(figures)
    guilty = sorted((each for each in figures.routes if each.errors), key=lambda each: -each.errors)
    rows = [
        (
            f"{each.errors:,}",
            f"{share(each.errors / each.requests)} of its requests",
            wording.route_name(each, has_framework=has_framework),
        )
        for each in guilty[:top]
    ]
    if rows:
        yield "Errors"
        yield from _table(rows, right=2)
    if figures.causes:
        if rows:
            yield ""
        yield "Causes of requests that ended early"
        rows = [(f"{number:,}", printable(cause), "") for cause, number in figures.causes.items()]
        yield from _table(rows[:top], right=1)


def _slowest(figures: Figures, top: int) -> Iterator[str]:
    if not figures.slowest:
        return
    yield "Slowest requests"
    rows = [
        (
            duration(slow.total_ns),
            date(slow.ended_s),
            f"{slow.status:03}",
            printable(f"{slow.method} {slow.path}") + (f" ({printable(slow.cause)})" if slow.cause else ""),
        )
        for slow in figures.slowest[: min(top, 10)]
    ]
    yield from _table(rows, right=1)


def _changes(comparison: Comparison, top: int) -> Iterator[str]:
    yield "What changed"
    has_framework = wording.has_framework(comparison.after)
    whole = wording.change_cells(wording.whole_change(comparison), "all requests")
    rows = [
        wording.change_cells(change, wording.route_name(change.either, has_framework=has_framework))
        for change in comparison.changes[:top]
    ]
    # The route last, as it may be long.
    turned = [(*cells[1:], cells[0]) for cells in (wording.CHANGE_COLUMNS, whole, *rows)]
    yield from _table(turned, right=0)
    if len(comparison.changes) > top:
        yield f"  and {len(comparison.changes) - top:,} more"
    for sentence in wording.comparison_remarks(comparison):
        yield f"  * {sentence}"


def _table(rows: Sequence[Sequence[str]], *, right: int) -> Iterator[str]:
    """Yield lines of columns, the first `right` of them with their ends below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if index < right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield f"  {'  '.join(cells)}".rstrip()
