"""The columns of the table of workers: a new one is a line here, and a field of `model.Row`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from portico.top.model import Row
from portico.top.text import duration, escaped, latency, rate, size


@dataclass(frozen=True, slots=True)
class Column:
    """What it is called, what it has of a row, and how that is written.

    `is_rising`: sorted by it, the least comes first until that is reversed; the most else. `is_optional`: it
    is only there once a row has a value.
    """

    title: str
    value: Callable[[Row], Any]
    write: Callable[[Any], str]
    is_text: bool = False
    is_rising: bool = False
    is_optional: bool = False

    def cell(self, row: Row) -> str:
        return self.write(self.value(row))

    def sort_key(self, row: Row) -> tuple[bool, Any]:
        """Return what rows are sorted by; one without a value is less than all others."""
        value = self.value(row)
        return (value is not None, value)


def _count(value: int | None) -> str:
    return "-" if value is None else str(value)


def _share(value: tuple[int, int | None]) -> str:
    busy, threads = value
    return f"{busy}/{_count(threads)}"


def _text(value: object) -> str:
    return "" if value is None else escaped(str(value))


COLUMNS = (
    Column("#", lambda row: row.number, _count, is_rising=True),
    Column("POOL", lambda row: row.pool or None, _text, is_text=True, is_rising=True, is_optional=True),
    Column("PID", lambda row: row.pid, _count, is_rising=True),
    Column("STATE", lambda row: row.state, _text, is_text=True, is_rising=True),
    Column("BUSY", lambda row: (len(row.calls), row.threads), _share),
    Column("REQ/S", lambda row: row.requests_rate, rate),
    Column("ERR/S", lambda row: row.errors_rate, rate),
    Column("SENT/S", lambda row: row.bytes_rate, size),
    Column("P50", lambda row: row.p50, latency, is_optional=True),
    Column("P99", lambda row: row.p99, latency, is_optional=True),
    Column("CONN", lambda row: row.connections, _count),
    Column("RSS", lambda row: row.rss_bytes, size),
    Column("AGE", lambda row: row.age_s, duration),
    Column("RST", lambda row: row.restarts, _count),
    Column("FOR", lambda row: row.oldest.seconds if row.oldest else None, duration),
    # The last has the rest of the line.
    Column(
        "REQUEST", lambda row: str(row.oldest) if row.oldest else None, _text, is_text=True, is_rising=True
    ),
)


@dataclass(frozen=True, slots=True)
class Order:
    """What rows are sorted by: the number of a column, and whether that is turned round."""

    column: int = 0
    is_reversed: bool = False

    @property
    def is_falling(self) -> bool:
        return COLUMNS[self.column].is_rising == self.is_reversed

    def by(self, column: int) -> Order:
        """Return the order by `column`; the reverse if it is that already."""
        return Order(column, column == self.column and not self.is_reversed)

    def sorted(self, rows: list[Row]) -> list[Row]:
        by_number = sorted(rows, key=COLUMNS[0].sort_key)
        return sorted(by_number, key=COLUMNS[self.column].sort_key, reverse=self.is_falling)
