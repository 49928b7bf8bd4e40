"""Human quantities to numbers and back: `10M` is 10485760 bytes, `500ms` is 0.5 seconds.

Pure functions without imports; each raises ValueError without a message of its own, because only the caller
knows what to say was expected.
"""

from __future__ import annotations

_SIZE_UNITS = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_DURATION_UNITS_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str) -> int:
    """Return the bytes in `text`: digits and K, M, G or T, powers of 1024, also as KB or KiB."""
    number, unit = _split(text)
    unit = unit.upper()
    if len(unit) > 1:
        unit = unit.removesuffix("B").removesuffix("I")
    if unit not in _SIZE_UNITS:
        raise ValueError
    return round(number * _SIZE_UNITS[unit])


def parse_duration(text: str) -> float:
    """Return the seconds in `text`: a number and ms, s, m, h or d; a bare number is seconds."""
    number, unit = _split(text)
    if unit not in _DURATION_UNITS_S:
        raise ValueError
    return number * _DURATION_UNITS_S[unit]


def format_size(size_bytes: int) -> str:
    """Return `size_bytes` in the largest unit that leaves a whole number: 1048576 is `1M`."""
    for unit in ("T", "G", "M", "K"):
        if size_bytes and size_bytes % _SIZE_UNITS[unit] == 0:
            return f"{size_bytes // _SIZE_UNITS[unit]}{unit}"
    return str(size_bytes)


def format_duration(duration_s: float) -> str:
    """Return `duration_s` as a person would write it: 0.5 is `500ms`, 120 is `2m`."""
    if duration_s == 0:
        return "0s"
    for unit in ("h", "m"):
        if duration_s % _DURATION_UNITS_S[unit] == 0:
            return f"{duration_s / _DURATION_UNITS_S[unit]:.0f}{unit}"
    if duration_s < 1:
        return f"{duration_s * 1000:g}ms"
    return f"{duration_s:g}s"


def _split(text: str) -> tuple[float, str]:
    """Split `text` where its number ends. Only ASCII digits and one point: no sign, no exponent, no `inf`."""
    text = text.strip()
    end = 0
    while end < len(text) and (text[end] in "0123456789."):
        end += 1
    return float(text[:end]), text[end:].strip()
