"""Text as it may stand on a terminal: escaped, as wide as it is said to be; numbers in a few characters."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from portico.top.quantiles import Quantile

_MORE = "\N{HORIZONTAL ELLIPSIS}"
_BARS = "▁▂▃▄▅▆▇█"


def escaped(text: str) -> str:
    """Return `text` with escapes for what moves the cursor, is not seen, or joins another character."""
    return "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    if character.isprintable() and unicodedata.category(character) not in ("Mn", "Me", "Mc"):
        return character
    return character.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """Return how many cells of a terminal an escaped `text` takes."""
    return sum(map(_width, text))


def _width(character: str) -> int:
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def fitted(text: str, cells: int) -> str:
    """Return as much of `text` as there are `cells`, with a sign that there is more."""
    if width(text) <= cells:
        return text
    taken = 0
    for index, character in enumerate(text):
        taken += _width(character)
        if taken > cells - 1:
            return text[:index] + _MORE if cells > 0 else ""
    return text


def padded(text: str, cells: int, *, to_the_left: bool) -> str:
    """Return `text` with spaces up to `cells`."""
    spaces = " " * (cells - width(text))
    return text + spaces if to_the_left else spaces + text


def rate(per_second: float | None) -> str:
    """Return a number per second in five characters at most, up to a million."""
    if per_second is None:
        return "-"
    if per_second >= 99_950:
        return f"{per_second / 1000:.0f}k"
    return f"{per_second:.1f}" if per_second < 999.5 else f"{per_second:.0f}"


def size(count: float | None) -> str:
    """Return a number of bytes in five characters at most, up to a thousand terabytes."""
    if count is None:
        return "-"
    for unit in ("", "K", "M", "G"):
        if count < 999.5:
            return f"{count:.0f}{unit}" if not unit or count >= 99.95 else f"{count:.1f}{unit}"
        count /= 1024
    return f"{count:.1f}T"


def duration(seconds: float | None) -> str:
    """Return a time in four characters at most, up to a thousand days."""
    if seconds is None:
        return "-"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    for unit, unit_s, end_s in (("s", 1, 100), ("m", 60, 6000), ("h", 3600, 360_000)):
        if seconds < end_s:
            return f"{int(seconds // unit_s)}{unit}"
    return f"{int(seconds // 86400)}d"


def latency(quantile: Quantile | None) -> str:
    """Return the time of most requests in five characters at most; thousandths of a second are told apart."""
    if quantile is None:
        return "-"
    seconds, sign = quantile.seconds, ">" if quantile.is_beyond else ""
    if seconds < 0.9995:
        return f"{seconds * 1000:.{1 if seconds < 0.00995 else 0}f}ms"
    return f"{sign}{seconds:.{1 if seconds < 9.95 else 0}f}s"


def sparkline(values: Sequence[float], cells: int) -> str:
    """Return a bar for each of the last values, in proportion to the largest of these."""
    shown = values[-cells:] if cells > 0 else ()
    most = max(shown, default=0.0) or 1.0
    return "".join(_BARS[min(len(_BARS) - 1, int(value / most * len(_BARS)))] for value in shown)
