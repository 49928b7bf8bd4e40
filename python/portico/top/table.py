"""The head and the table as lines of text, for a terminal of some width or of none."""

from __future__ import annotations

from collections.abc import Sequence

from portico.top.columns import COLUMNS, Order
from portico.top.model import Call, Head, Row
from portico.top.text import duration, escaped, fitted, latency, padded, rate, size, sparkline, width

_GAP = " "
# Less says nothing.
_LEAST_SPARKLINE = 8


def plain_table(head: Head, rows: list[Row], cells: int | None) -> str:
    """Return all that is known, with every request in full where `cells` is None."""
    columns = column_widths(rows)
    table = [heading(columns), *(row_line(row, columns) for row in rows)]
    # The first gap is for a mark, which there is none of.
    lines = [*head_lines(head, (), cells), "", *(line[len(_GAP) :] for line in table)]
    return "\n".join(line if cells is None else fitted(line, cells) for line in lines)


def head_lines(head: Head, history: Sequence[float], cells: int | None) -> list[str]:
    """Return the lines above the table; `history` is the rate of requests of the last minutes."""
    states = ", ".join(f"{count} {state}" for state, count in head.states.items() if state != "ready")
    restarts = ", ".join(f"{count} {reason}" for reason, count in head.restarts.items())
    saturation = "-" if head.saturation is None else f"{head.saturation:.0%}"
    threads = "" if head.threads is None else f" of {head.threads}"
    backlog = "-" if head.backlog is None else str(head.backlog)
    rates = (
        f"{rate(head.requests_rate)} req/s  {rate(head.errors_rate)} err/s  {size(head.bytes_rate)}B/s sent"
    )
    if head.p50 is not None:
        rates += f"  p50 {latency(head.p50)}  p99 {latency(head.p99)}"
    room = (cells or 0) - width(rates) - 2
    if history and room >= _LEAST_SPARKLINE:
        rates += f"  {sparkline(history, room)}"
    lines = [
        f"{head.name}  portico {head.version}  pid {head.pid}  up {duration(head.uptime_s)}  "
        f"{head.stage}, generation {head.generation}",
        rates,
        f"saturation {saturation}  threads {head.busy}{threads} busy  backlog {backlog}  "
        f"connections {head.connections}",
        f"workers {head.states.get('ready', 0)} of {head.workers_wanted} ready"
        f"{f', {states}' if states else ''}  restarts {restarts or 'none'}",
    ]
    return [escaped(line) for line in lines]


def column_widths(rows: Sequence[Row], at_least: Sequence[int] = ()) -> list[int]:
    """Return how wide each column is, that only cells of the last are shortened; 0 for one not there."""
    before = at_least or [0] * len(COLUMNS)
    return [
        max(least, len(column.title), *(width(column.cell(row)) for row in rows))
        if least or not column.is_optional or any(column.value(row) is not None for row in rows)
        else 0
        for column, least in zip(COLUMNS, before, strict=True)
    ]


def heading(columns: Sequence[int], order: Order | None = None) -> str:
    """Return the titles; before the one that rows are sorted by stands a mark."""
    line = _line([column.title for column in COLUMNS], columns)
    if order is None:
        return line
    start, _ = title_span(columns, order.column)
    return line[: start - 1] + ("▼" if order.is_falling else "▲") + line[start:]


def title_span(columns: Sequence[int], number: int) -> tuple[int, int]:
    """Return where in the heading the title of a column begins and ends."""
    column = COLUMNS[number]
    start = sum(len(_GAP) + each for each in columns[:number] if each) + len(_GAP)
    if not column.is_text:
        start += columns[number] - len(column.title)
    return start, start + len(column.title)


def row_line(row: Row, columns: Sequence[int]) -> str:
    """Return the line of a worker."""
    return _line([column.cell(row) for column in COLUMNS], columns)


def call_line(call: Call) -> str:
    """Return the line of a request below its worker."""
    return f"    {padded(duration(call.seconds), 5, to_the_left=False)}  {escaped(str(call))}"


def _line(cells: Sequence[str], columns: Sequence[int]) -> str:
    # A gap stands before the first, too.
    line = "".join(
        _GAP + padded(cell, cells_there, to_the_left=column.is_text)
        for cell, cells_there, column in zip(cells, columns, COLUMNS, strict=True)
        if cells_there
    )
    return line.rstrip()
