"""Lines of StatsD, and datagrams of several: `name:value|type`, perhaps `|@rate` and `|#tags` behind it.

    c   a count, which the receiver adds to what it has
    g   a gauge, which the receiver keeps
    ms  a duration in milliseconds; with a rate of 1/n it stands for n of them (h: of anything else)

A histogram knows how many there were between two bounds, and the sum of all. So each of its buckets is one
line with a rate, whose value lies in the bucket, all equally far, where the sum of all is what it was.
"""

from __future__ import annotations

from math import nextafter

from portico.admin.statsd.names import COUNT, GAUGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

MOST_BYTES = 1432
"""Of a datagram: what an Ethernet takes whole (the documentation of StatsD, "Multi-Metric Packets")."""

_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
_DECIMALS = 6


class Line:
    """A line without prefix and constant tags, and what it is of: see `Ledger.sent`."""

    __slots__ = ("amount", "bounds", "bucket", "kind", "name", "tags", "text", "value")

    def __init__(
        self,
        name: str,
        tags: str,
        kind: str,
        text: str,
        *,
        amount: float = 0,
        bounds: tuple[float, ...] = (),
        bucket: int = 0,
        value: float = 0.0,
    ) -> None:
        """`text` is what follows the name; `amount` how much it counts, for a `bucket` at that `value`."""
        self.name = name
        self.tags = tags
        self.kind = kind
        self.text = text
        self.amount = amount
        self.bounds = bounds
        self.bucket = bucket
        self.value = value


def count_line(name: str, tags: str, amount: float) -> Iterator[Line]:
    """Yield the line of a count, unless that is less than a line has decimals."""
    text = number(amount)
    if text != "0":
        yield Line(name, tags, COUNT, f"{text}|{COUNT}", amount=float(text))


def gauge_line(name: str, tags: str, value: float) -> Line:
    """Return the line of a gauge."""
    return Line(name, tags, GAUGE, f"{number(value)}|{GAUGE}", value=value)


def timing_lines(
    name: str, tags: str, kind: str, bounds: tuple[float, ...], figures: Sequence[float]
) -> Iterator[Line]:
    """Yield a line for each bucket of a histogram in which something is."""
    *counts, total = figures
    for bucket, (count, value) in enumerate(zip(counts, _values(counts, bounds, total), strict=True)):
        if count > 0:
            text = number(value)
            rate = f"|@{_rate(int(count))}" if count > 1 else ""
            yield Line(
                name,
                tags,
                kind,
                f"{text}|{kind}{rate}",
                amount=count,
                bounds=bounds,
                bucket=bucket,
                value=float(text),
            )


def quantiles(counts: Sequence[float], bounds: Sequence[float], total: float) -> Iterator[tuple[str, float]]:
    """Yield the name of each quantile, and where it is; what is beyond all bounds is at the last.

    What is in a bucket is spread evenly around the value that its line has.
    """
    at = _position(counts, bounds, total)
    start, width = max(0.0, 2 * at - 1), min(1.0, 2 * at, 2 - 2 * at)
    number_of_all = sum(counts)
    for name, share in _QUANTILES:
        below, lower = 0.0, 0.0
        for count, upper in zip(counts, (*bounds, bounds[-1]), strict=True):
            if count and below + count >= share * number_of_all:
                part = (share * number_of_all - below) / count
                yield name, lower + (upper - lower) * (start + width * part)
                break
            below, lower = below + count, upper


def datagrams(
    lines: Iterable[Line], prefix: str, tags: str, *, most_bytes: int = MOST_BYTES
) -> Iterator[tuple[bytes, list[Line]]]:
    """Yield datagrams, each with the lines that are in it. A line that is too long has one for itself."""
    data, packed = b"", list[Line]()
    for line in lines:
        text = written(line, prefix, tags).encode("utf-8", "replace")
        if data and len(data) + 1 + len(text) > most_bytes:
            yield data, packed
            data, packed = b"", []
        data = data + b"\n" + text if data else text
        packed.append(line)
    if data:
        yield data, packed


def written(line: Line, prefix: str, tags: str) -> str:
    """Return a line as it is sent, with `tags` that all have."""
    name = f"{prefix}.{line.name}" if prefix else line.name
    all_tags = ",".join(filter(None, (tags, line.tags)))
    text = f"{name}:{line.text}|#{all_tags}" if all_tags else f"{name}:{line.text}"
    if line.kind == GAUGE and line.value < 0 and not tags:
        # Without tags a sign says by how much a gauge changes: it has to be 0 before.
        return f"{name}:0|{GAUGE}\n{text}"
    return text


def number(value: float) -> str:
    """Return a number as StatsD has it: never with an exponent."""
    if value == int(value):
        return str(int(value))
    return f"{value:.{_DECIMALS}f}".rstrip("0").rstrip(".") if round(value, _DECIMALS) else "0"


def _values(counts: Sequence[float], bounds: Sequence[float], total: float) -> Iterator[float]:
    """Yield a value for each bucket, so that all of them together are `total`, as far as that can be."""
    at = _position(counts, bounds, total)
    rest = total
    for count, lower, upper in zip(counts, (0.0, *bounds), bounds, strict=False):
        value = lower + at * (upper - lower)
        rest -= count * value
        yield value
    # Of what is beyond all bounds nobody knows how far: it has what the others leave.
    yield max(bounds[-1], rest / counts[-1]) if counts[-1] else bounds[-1]


def _position(counts: Sequence[float], bounds: Sequence[float], total: float) -> float:
    """Return how far in its bucket a value is, from 0 to 1, where all of them together are `total`."""
    if counts[-1]:
        return 0.5
    buckets = [*zip(counts, (0.0, *bounds), bounds, strict=False)]
    least = sum(count * lower for count, lower, _ in buckets)
    room = sum(count * (upper - lower) for count, lower, upper in buckets)
    return min(1.0, max(0.0, (total - least) / room)) if room else 0.0


def _rate(count: int) -> str:
    """Return 1/count; those who count `int(1 / rate)` get the same as those who add up `1 / rate`."""
    rate = 1 / count
    if int(1 / rate) < count:
        rate = nextafter(rate, 0)
    # As many digits as tell it from all others.
    return f"{rate:.{17 + len(str(count))}f}".rstrip("0")
