"""Metrics of a pool as lines of words (`line.py`), from its supervisor to the one that keeps all pools.

    family   NUMBER NAME KIND BOUNDS PER_SUM HELP LABEL...   a metric of the application's own
    client   NUMBER DIRECTORY                                where prometheus_client writes to in the pool
    sample   NUMBER NAME VALUES VALUE_OF_LABEL...            a histogram has several, with spaces between
    metrics  NUMBER                                          that is all

NUMBER is that of the question, 0 at the end of a pool, unasked. Who writes may be another user, and another
version: what is read is bounded and looked at, and what is not understood is passed over. Imported when
the first question comes.
"""

from __future__ import annotations

from portico.process.pools.line import METRICS, line_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from portico.admin import Samples
    from portico.admin.families import Family

    # A value, or those of a histogram.
    Value: TypeAlias = float | list[float]
    FamilyRow: TypeAlias = tuple[str, str, str, tuple[str, ...], tuple[float, ...], float]

FAMILY, CLIENT, SAMPLE = "family", "client", "sample"

_MOST_SAMPLES = 8192
_MOST_FAMILIES = 1024
_MOST_VALUES = 128
_MOST_LABELS = 32
_MOST_CHARACTERS = 4096
_KINDS = ("gauge", "counter", "histogram")
_NOTHING = "-"


def lines_of(number: int, samples: Samples, families: list[Family], directory: str) -> bytes:
    """Return all lines of one reply."""
    lines = [
        line_of(
            *(FAMILY, number, each.name, each.kind),
            " ".join(map(repr, each.bounds)) or _NOTHING,
            repr(each.per_sum),
            _escaped(each.documentation),
            *map(_escaped, each.labels),
        )
        for each in families
    ]
    if directory:
        lines.append(line_of(CLIENT, number, _escaped(directory)))
    for name, rows in samples.items():
        for labels, value in rows:
            values = repr(value) if isinstance(value, (int, float)) else " ".join(map(repr, value))
            lines.append(line_of(SAMPLE, number, name, values, *map(_escaped, labels)))
    lines.append(line_of(METRICS, number))
    return b"".join(lines)


class PoolReply:
    """What one process of a pool has told, in plain values; `number` is that of the question."""

    __slots__ = ("directory", "families", "number", "samples")

    def __init__(self, number: int) -> None:
        self.number = number
        self.directory = ""
        self.families: list[FamilyRow] = []
        self.samples: dict[tuple[str, ...], Value] = {}

    def take(self, what: str, words: list[str]) -> None:
        """Take in a line, without its number. Raises ValueError for one that is not understood."""
        if any(len(word) > _MOST_CHARACTERS for word in words):
            raise ValueError("too long")
        if what == SAMPLE:
            name, values, *labels = words
            if len(self.samples) < _MOST_SAMPLES and len(labels) <= _MOST_LABELS:
                key = (name, *map(_plain, labels))
                self.samples[key] = _values(values)
        elif what == CLIENT:
            self.directory = _plain(words[0])
        elif what == FAMILY and len(self.families) < _MOST_FAMILIES:
            self.families.append(_family(words))


def _family(words: list[str]) -> FamilyRow:
    name, kind, bounds, per_sum, documentation, *labels = words
    if kind not in _KINDS or not all(map(_is_name, (name, *labels))) or len(labels) > _MOST_LABELS:
        raise ValueError("no metric")
    edges = () if bounds == _NOTHING else tuple(map(float, bounds.split(" ")))
    return name, kind, _plain(documentation), tuple(labels), edges, float(per_sum)


def _values(text: str) -> Value:
    several = text.split(" ")
    if len(several) > _MOST_VALUES:
        raise ValueError("too many")
    if len(several) == 1:
        return _number(several[0])
    return [*map(_number, several)]


def _number(text: str) -> float:
    # An integer stays one: it is written so.
    return int(text) if text.isdecimal() and len(text) < 20 else float(text)


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _escaped(text: str) -> str:
    """Return it without what lines have a use for."""
    for character in "%\t\n":
        text = text.replace(character, f"%{ord(character):02x}")
    return text


def _plain(text: str) -> str:
    for character in "\n\t%":
        text = text.replace(f"%{ord(character):02x}", character)
    # What is no text of Unicode cannot be written later.
    return text.encode("utf-8", "replace").decode("utf-8")


def kept_of(samples: dict[tuple[str, ...], Value]) -> Iterator[tuple[tuple[str, ...], Value]]:
    """Yield what counts for ever: counters and histograms."""
    for key, value in samples.items():
        if isinstance(value, list) or key[0].endswith("_total"):
            yield key, value


def add(sums: dict[tuple[str, ...], Value], key: tuple[str, ...], value: Value) -> None:
    """Add a value to those of its key, where both are alike: buckets may have changed."""
    before = sums.get(key)
    if before is None:
        sums[key] = value
    elif isinstance(before, list) and isinstance(value, list):
        if len(before) == len(value):
            sums[key] = [a + b for a, b in zip(before, value, strict=True)]
    elif not isinstance(before, list) and not isinstance(value, list):
        sums[key] = before + value
