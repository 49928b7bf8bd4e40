"""Numbers and texts as people read them. Whatever comes from a log is shown by `printable`, or not at all."""

from __future__ import annotations

from datetime import datetime, timezone


def printable(text: str, longest: int = 200) -> str:
    """Return `text` without what a terminal or a browser acts on: controls, directions, lone surrogates."""
    if len(text) > longest:
        text = text[:longest] + "..."
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in text)


def duration(ns: float) -> str:
    """Return a duration with three digits: `12.3 ms`."""
    for unit, unit_ns in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= 0.9995 * unit_ns:
            return f"{three_digits(ns / unit_ns)} {unit}"
    return f"{ns:.0f} ns" if ns else "0"


def seconds(value: float) -> str:
    """Return the length of a period: `1 h 2 min`."""
    whole = round(value)
    parts = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        if whole >= size:
            parts.append(f"{whole // size:,} {unit}")
            whole %= size
    return " ".join(parts[:2]) or "0 s"


def size(value: float) -> str:
    """Return a number of bytes: `12.3 MB`."""
    for unit, bytes_each in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= bytes_each:
            return f"{three_digits(value / bytes_each)} {unit}"
    return f"{value:.0f} B"


def share(value: float) -> str:
    """Return a share of one as per cent; one that is small is not nothing."""
    percent = 100 * value
    if 0 < percent < 0.1:
        return "<0.1 %"
    return f"{percent:.1f} %"


def rate(per_second: float) -> str:
    """Return requests per second."""
    return f"{three_digits(per_second)}/s"


def date(since_1970_s: float | None) -> str:
    """Return a moment, to the second."""
    if since_1970_s is None:
        return "-"
    return datetime.fromtimestamp(since_1970_s, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def three_digits(value: float) -> str:
    """Return `value` with three digits, or with all before the point."""
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
